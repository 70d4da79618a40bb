"""Times that carry their clock, offsets between clocks, and durations that say how sure they are.

Scanner, workstation and hospital system each have a clock of their own. A `ClockTime` says which clock showed it; a `ClockTable`
knows the offsets between clocks with their uncertainty; `ClockTable.duration` gives a duration, or refuses and says why. Differences
are taken on the monotonic counter where both times come from one run of one machine (immune to daylight saving and to a clock set
back), else in UTC where the UTC offset is known, else on the face of the clock.
"""

from __future__ import annotations

import os
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from TranslatedText.Translation import tr as _

SCANNER = "scanner"
WORKSTATION = "workstation"
HOSPITAL = "hospital"

STEP_TOLERANCE_SEC = 2.0
"""A clock face that departs from the monotonic counter by more than this was set, or changed to or from daylight saving."""


class UnalignedClocks(ValueError):
    """A duration was asked between two clocks whose offset isn't known."""


@lru_cache(maxsize=1)
def sessionId() -> str:
    """Names the span in which monotonic counters compare: the boot of this machine on Linux, else the run of this program."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as handle:
            return handle.read().strip()[:13]
    except OSError:
        return f"{os.getpid()}-{uuid.uuid4().hex[:8]}"


def monotonicNow() -> float:
    """Seconds of a counter that nobody can set back; goes on while the machine sleeps where the system offers that."""
    bootTime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if bootTime is None else time.clock_gettime(bootTime)


@dataclass(frozen=True)
class ClockTime:
    """A reading of one clock.

    face: what the clock showed, without time zone. utcOffsetSec: east of Greenwich, None where unknown.
    monotonicSec, session: reading of a counter that never goes back, comparable within one session; None where there is none.
    """

    clock: str
    face: datetime
    utcOffsetSec: int | None = None
    monotonicSec: float | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        if self.face.tzinfo is not None:
            raise ValueError(_("ClockTime.face must not carry a time zone; use clockTime() to make one from an aware time"))
        if not self.clock:
            raise ValueError(_("A time needs the name of its clock (scanner, workstation, hospital, ...)"))

    def utc(self) -> datetime | None:
        """The time in UTC without time zone, None where the UTC offset is unknown."""
        return None if self.utcOffsetSec is None else self.face - timedelta(seconds=self.utcOffsetSec)

    def shifted(self, delta: timedelta) -> ClockTime:
        """The same reading with its face moved by delta; counters stay."""
        return replace(self, face=self.face + delta)

    def isoText(self) -> str:
        """ISO 8601 with the UTC offset where it is known: 2026-03-29T01:30:00.000+01:00."""
        zone = None if self.utcOffsetSec is None else timezone(timedelta(seconds=self.utcOffsetSec))
        return self.face.replace(tzinfo=zone).isoformat(timespec="milliseconds")


def clockTime(text: str | datetime, clock: str, zone: tzinfo | None = None) -> ClockTime:
    """Time of an ISO text or datetime. A time zone in it, or the zone given, becomes the UTC offset.

    Raises ValueError when the text is no ISO date and time.
    """
    moment = text
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment.strip().replace("Z", "+00:00"))
        except ValueError as error:
            raise ValueError(
                _("'{text}' is no date and time; write it like 2026-03-29T14:05:00 or 2026-03-29T14:05:00+02:00").format(text=text)
            ) from error
    aware = moment if moment.tzinfo is not None or zone is None else moment.replace(tzinfo=zone)
    offset = aware.utcoffset()
    return ClockTime(clock, aware.replace(tzinfo=None, fold=0), None if offset is None else round(offset.total_seconds()))


def inZone(moment: ClockTime, zone: tzinfo) -> ClockTime:
    """A reading without UTC offset taken as local time of a zone (scanners rarely write theirs); others stay as they are.

    In the hour that daylight saving repeats, the first pass through it is taken.
    """
    if moment.utcOffsetSec is not None:
        return moment
    offset = moment.face.replace(tzinfo=zone).utcoffset()
    return moment if offset is None else replace(moment, utcOffsetSec=round(offset.total_seconds()))


def workstationNow() -> ClockTime:
    """This machine's clock now, with UTC offset and monotonic counter."""
    now = datetime.now().astimezone()
    offset = now.utcoffset()
    offsetSec = 0 if offset is None else round(offset.total_seconds())
    return ClockTime(WORKSTATION, now.replace(tzinfo=None, fold=0), offsetSec, monotonicNow(), sessionId())


@dataclass(frozen=True)
class ClockOffset:
    """`clock` shows `offsetSec` more than `reference` does at the same moment (in UTC where both know it), within ± uncertaintySec."""

    clock: str
    reference: str
    offsetSec: float
    uncertaintySec: float
    source: str = "entered"

    def __post_init__(self) -> None:
        if self.uncertaintySec < 0:
            raise ValueError(
                _("Uncertainty of the offset {clock} - {reference} is negative ({uncertaintySec} s)").format(
                    clock=self.clock, reference=self.reference, uncertaintySec=self.uncertaintySec
                )
            )
        if self.clock == self.reference:
            raise ValueError(_("The offset of clock '{clock}' to itself is zero by definition").format(clock=self.clock))


def measureOffset(pairs: Sequence[tuple[ClockTime, ClockTime]], readingUncertaintySec: float = 1.0) -> ClockOffset:
    """Mean offset of simultaneous readings (clock, reference); uncertainty = half the range + reading uncertainty."""
    if not pairs:
        raise ValueError(_("No pair of readings was given; read both clocks at the same moment at least once"))
    first, second = pairs[0]
    differences = [_faceDifference(reference, reading) for reading, reference in pairs]
    middle = sum(differences) / len(differences)
    spread = (max(differences) - min(differences)) / 2
    return ClockOffset(first.clock, second.clock, middle, spread + readingUncertaintySec, f"measured from {len(pairs)} pair(s) of readings")


def _faceDifference(start: ClockTime, end: ClockTime) -> float:
    startUtc, endUtc = start.utc(), end.utc()
    if startUtc is not None and endUtc is not None:
        return (endUtc - startUtc).total_seconds()
    return (end.face - start.face).total_seconds()


@dataclass(frozen=True)
class Duration:
    """A duration in seconds with its uncertainty, or the reason why there is none."""

    seconds: float | None
    uncertaintySec: float
    note: str = ""

    @property
    def minutes(self) -> float | None:
        return None if self.seconds is None else self.seconds / 60

    def text(self) -> str:
        if self.seconds is None:
            return f"not given: {self.note}"
        text = f"{self.seconds / 60:.1f} min"
        if self.uncertaintySec > 0:
            text += f" ± {self.uncertaintySec / 60:.1f}"
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class ClockTable:
    """Known offsets between clocks. onUnaligned: 'refuse' gives no duration, 'mark' gives the raw difference with a warning."""

    offsets: tuple[ClockOffset, ...] = ()
    onUnaligned: str = "refuse"

    def __post_init__(self) -> None:
        if self.onUnaligned not in ("refuse", "mark"):
            raise ValueError(_("onUnaligned is '{onUnaligned}'; it must be 'refuse' or 'mark'").format(onUnaligned=self.onUnaligned))

    def offset(self, clock: str, reference: str) -> ClockOffset:
        """Offset through as few known offsets as possible; uncertainties add up (worst case).

        Raises UnalignedClocks when no chain of offsets joins the two clocks.
        """
        if clock == reference:
            raise ValueError(_("The offset of clock '{clock}' to itself is zero by definition").format(clock=clock))
        reached: dict[str, tuple[float, float]] = {clock: (0.0, 0.0)}
        queue = deque([clock])
        while queue:
            current = queue.popleft()
            total, uncertainty = reached[current]
            for entry in self.offsets:
                for here, there, sign in ((entry.clock, entry.reference, 1.0), (entry.reference, entry.clock, -1.0)):
                    if here == current and there not in reached:
                        reached[there] = (total + sign * entry.offsetSec, uncertainty + entry.uncertaintySec)
                        queue.append(there)
        if reference not in reached:
            raise UnalignedClocks(
                _(
                    "The offset between the clocks '{clock}' and '{reference}' is not known; read both at the same moment and enter it"
                ).format(clock=clock, reference=reference)
            )
        total, uncertainty = reached[reference]
        return ClockOffset(clock, reference, total, uncertainty, "chain of offsets")

    def duration(self, start: ClockTime, end: ClockTime) -> Duration:
        """From start to end. Never negative: a negative difference is refused and the reason given."""
        if start.clock == end.clock:
            return _checked(*_sameClockDifference(start, end))
        raw = _faceDifference(start, end)
        try:
            offset = self.offset(end.clock, start.clock)
        except UnalignedClocks as error:
            if self.onUnaligned == "refuse":
                return Duration(None, 0.0, str(error))
            return _checked(raw, 0.0, f"CLOCKS NOT ALIGNED: {start.clock} to {end.clock}")
        note = f"{start.clock} to {end.clock} clock, offset {offset.offsetSec:+.1f} s"
        return _checked(raw - offset.offsetSec, offset.uncertaintySec, note)


def _sameClockDifference(start: ClockTime, end: ClockTime) -> tuple[float, float, str]:
    """Seconds, uncertainty, note of two readings of one clock."""
    face = _faceDifference(start, end)
    if start.monotonicSec is None or end.monotonicSec is None or start.session is None or start.session != end.session:
        return face, 0.0, ""
    true = end.monotonicSec - start.monotonicSec
    if abs(true - face) > STEP_TOLERANCE_SEC:
        return true, 0.0, f"the {start.clock} clock was set by {face - true:+.0f} s in between; taken from its counter"
    return true, 0.0, ""


def _checked(seconds: float, uncertaintySec: float, note: str) -> Duration:
    if seconds >= 0:
        return Duration(seconds, uncertaintySec, note)
    if -seconds <= uncertaintySec:
        return Duration(0.0, uncertaintySec, f"{note}; below the uncertainty of the clocks".lstrip("; "))
    reason = f"the end lies {-seconds:.0f} s before the start: wrong entry, or the clock was set back; correct the time or enter the offset"
    return Duration(None, uncertaintySec, f"{note}; {reason}".lstrip("; "))


@dataclass(frozen=True)
class ClockStep:
    """A clock's face departed from its counter between two readings: set by hand, by the network, or daylight saving without offset."""

    clock: str
    before: ClockTime
    after: ClockTime
    stepSec: float


def findClockSteps(times: Sequence[ClockTime]) -> tuple[ClockStep, ...]:
    """Steps among times in the order they were noted. Without a counter only backward steps can be seen."""
    last: dict[str, ClockTime] = {}
    steps: list[ClockStep] = []
    for moment in times:
        before = last.get(moment.clock)
        if before is not None:
            face = _faceDifference(before, moment)
            if before.monotonicSec is not None and moment.monotonicSec is not None and before.session == moment.session:
                step = face - (moment.monotonicSec - before.monotonicSec)
                if abs(step) > STEP_TOLERANCE_SEC:
                    steps.append(ClockStep(moment.clock, before, moment, step))
            elif face < -STEP_TOLERANCE_SEC:
                steps.append(ClockStep(moment.clock, before, moment, face))
        last[moment.clock] = moment
    return tuple(steps)
