"""Times, clocks and durations."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ProcedureLogLib.Clock import (
    SCANNER,
    WORKSTATION,
    ClockOffset,
    ClockTable,
    ClockTime,
    UnalignedClocks,
    clockTime,
    findClockSteps,
    inZone,
    measureOffset,
    workstationNow,
)

ROME = ZoneInfo("Europe/Rome")


def at(text: str, clock: str = WORKSTATION, counter: float | None = None) -> ClockTime:
    return ClockTime(clock, datetime.fromisoformat(text), None, counter, None if counter is None else "boot")


def test_midnightGivesNoNegativeTime() -> None:
    assert ClockTable().duration(at("2026-05-04T23:55:00"), at("2026-05-05T00:10:00")).seconds == 900


def test_daylightSavingForward() -> None:
    before, after = clockTime("2026-03-29T01:50:00", WORKSTATION, ROME), clockTime("2026-03-29T03:10:00", WORKSTATION, ROME)
    assert ClockTable().duration(before, after).seconds == 20 * 60  # the face jumps over an hour


def test_daylightSavingBackward() -> None:
    before = clockTime(datetime(2026, 10, 25, 2, 50, tzinfo=ROME), WORKSTATION)
    after = clockTime(datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=ROME), WORKSTATION)
    assert before.face > after.face
    assert ClockTable().duration(before, after).seconds == 20 * 60


def test_naiveScannerTimesGetTheirZone() -> None:
    before, after = inZone(at("2026-03-29T01:50:00", SCANNER), ROME), inZone(at("2026-03-29T03:10:00", SCANNER), ROME)
    assert ClockTable().duration(before, after).seconds == 20 * 60
    assert inZone(before, ZoneInfo("Asia/Tokyo")) is before


def test_clockSetBackIsMeasuredOnTheCounter() -> None:
    start, end = at("2026-05-04T10:00:00", counter=100.0), at("2026-05-04T09:50:00", counter=400.0)
    found = ClockTable().duration(start, end)
    assert found.seconds == 300
    assert "set by -900 s" in found.note
    steps = findClockSteps([start, end])
    assert [step.stepSec for step in steps] == [-900]


def test_clockSetBackWithoutCounterIsRefused() -> None:
    found = ClockTable().duration(at("2026-05-04T10:00:00"), at("2026-05-04T09:50:00"))
    assert found.seconds is None and "before the start" in found.note
    assert findClockSteps([at("2026-05-04T10:00:00"), at("2026-05-04T09:50:00")])[0].stepSec == -600


def test_countersOfTwoSessionsAreNotCompared() -> None:
    start = ClockTime(WORKSTATION, datetime(2026, 5, 4, 10), 0, 5000.0, "one")
    end = ClockTime(WORKSTATION, datetime(2026, 5, 4, 11), 0, 3.0, "two")
    assert ClockTable().duration(start, end).seconds == 3600


def test_unalignedClocksAreRefusedOrMarked() -> None:
    scanner, room = at("2026-05-04T10:00:00", SCANNER), at("2026-05-04T10:20:00")
    refused = ClockTable().duration(scanner, room)
    assert refused.seconds is None and "not known" in refused.note
    marked = ClockTable(onUnaligned="mark").duration(scanner, room)
    assert marked.seconds == 1200 and "NOT ALIGNED" in marked.note
    with pytest.raises(UnalignedClocks, match="scanner"):
        ClockTable().offset(SCANNER, WORKSTATION)


def test_offsetCorrectsBothWays() -> None:
    table = ClockTable((ClockOffset(SCANNER, WORKSTATION, -40.0, 3.0),))
    scanner, room = at("2026-05-04T10:00:00", SCANNER), at("2026-05-04T10:20:40")
    forward = table.duration(scanner, room)
    assert (forward.seconds, forward.uncertaintySec) == (1200.0, 3.0)
    assert table.duration(at("2026-05-04T10:00:40"), at("2026-05-04T10:10:00", SCANNER)).seconds == 600.0


def test_offsetsChainWithUncertaintiesAdded() -> None:
    table = ClockTable((ClockOffset("scanner", "hospital", 30.0, 2.0), ClockOffset("workstation", "hospital", -10.0, 1.5)))
    found = table.offset("scanner", "workstation")
    assert (found.offsetSec, found.uncertaintySec) == (40.0, 3.5)


def test_orderInsideTheUncertaintyIsZeroNotNegative() -> None:
    table = ClockTable((ClockOffset(SCANNER, WORKSTATION, 0.0, 5.0),))
    found = table.duration(at("2026-05-04T10:00:03", SCANNER), at("2026-05-04T10:00:00"))
    assert found.seconds == 0.0 and found.uncertaintySec == 5.0


def test_measuredOffset() -> None:
    pairs = [
        (at(f"2026-05-04T10:{minute:02d}:{second:02d}", SCANNER), at(f"2026-05-04T10:{minute:02d}:00"))
        for minute, second in ((1, 30), (5, 34))
    ]
    found = measureOffset(pairs, 1.0)
    assert (found.offsetSec, found.uncertaintySec) == (32.0, 3.0)
    with pytest.raises(ValueError, match="No pair"):
        measureOffset([])


def test_badEntriesNameTheRemedy() -> None:
    with pytest.raises(ValueError, match="write it like"):
        clockTime("yesterday", WORKSTATION)
    with pytest.raises(ValueError, match="negative"):
        ClockOffset(SCANNER, WORKSTATION, 0.0, -1.0)
    with pytest.raises(ValueError, match="name of its clock"):
        ClockTime("", datetime(2026, 5, 4))


def test_workstationNowCarriesEverything() -> None:
    now = workstationNow()
    assert now.clock == WORKSTATION and now.session and now.monotonicSec is not None and now.utcOffsetSec is not None


faces = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))
times = st.builds(
    ClockTime,
    st.sampled_from(["scanner", "workstation", "hospital"]),
    faces,
    st.sampled_from([None, 0, 3600, 7200]),
    st.one_of(st.none(), st.floats(0, 1e6)),
    st.sampled_from([None, "a", "b"]),
)
offsets = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=2)


@given(times, times, offsets, st.sampled_from(["refuse", "mark"]))
def test_noDurationIsEverNegative(start: ClockTime, end: ClockTime, shifts: list[float], policy: str) -> None:
    table = ClockTable(
        (ClockOffset("scanner", "workstation", shifts[0], 1.0), ClockOffset("hospital", "workstation", shifts[1], 2.0)), policy
    )
    found = table.duration(start, end)
    assert (found.seconds is None and found.note) or (found.seconds is not None and found.seconds >= 0)


@given(faces, st.floats(0, 86000), st.floats(-1e4, 1e4))
def test_shiftingBothTimesChangesNothing(face: datetime, length: float, shiftDays: float) -> None:
    start, end = ClockTime(SCANNER, face), ClockTime(SCANNER, face + timedelta(seconds=length))
    delta = timedelta(days=int(shiftDays) % 3000)
    moved = ClockTable().duration(start.shifted(-delta), end.shifted(-delta))
    assert moved.seconds == ClockTable().duration(start, end).seconds
