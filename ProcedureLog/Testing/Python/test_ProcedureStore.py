"""Entries, corrections, audit trail, shift of dates, identity."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ProcedureLogLib.CaseIdentity import IDENTITY_FILE, IdentityRemoved, createIdentity, readIdentity, writeIdentity
from ProcedureLogLib.Clock import HOSPITAL, ClockTime
from ProcedureLogLib.LogTable import TABLE_COLUMNS, eventsFromRows, latestRevisions, rows
from ProcedureLogLib.ProcedureEvent import EventKind, EventSource, ProcedureEvent, eventFromJson, eventToJson
from ProcedureLogLib.ProcedureStore import DATABASE_FILE, Addition, ProcedureStore

NOON = ClockTime(HOSPITAL, datetime(2026, 5, 4, 12, 0, 0), 7200)


def test_correctionKeepsTheOldValue(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        event = store.addEvent(EventKind.INJECTION, values={"volumeMl": 20, "site": "disc"}, author="A")
        store.correctEvent(event.eventId, values={"volumeMl": 18}, author="B", reason="read again")
        history = store.history(event.eventId)
        assert [entry.values["volumeMl"] for entry in history] == [20, 18]
        assert history[1].values["site"] == "disc" and (history[1].author, history[1].reason) == ("B", "read again")
        assert store.event(event.eventId).revision == 1
        assert len(store.events()) == 1 and len(store.auditTrail()) == 2


def test_withdrawnEntryStaysInTheFile(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        event = store.addEvent(EventKind.REMARK, text="wrong patient")
        store.withdrawEvent(event.eventId, reason="slip")
        assert store.events() == ()
        assert store.events(withdrawn=True)[0].reason == "slip"
        store.correctEvent(event.eventId, withdrawn=False)
        assert len(store.events()) == 1


def test_entriesCantBeChangedBehindTheTrail(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        store.addEvent(EventKind.REMARK, text="kept")
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        for statement in ("DELETE FROM revisions", "UPDATE revisions SET entry = '{}'"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                connection.execute(statement)


def test_sameEntrySentAgainAddsNothing(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        for volume in (10, 10, 12):
            store.addEvent(EventKind.INJECTION, time=NOON, values={"volumeMl": volume}, eventId="auto:1", source=EventSource.MODULE)
        assert [entry.values["volumeMl"] for entry in store.history("auto:1")] == [10, 12]


def test_severalEventsAreStoredTogetherOrNotAtAll(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        with pytest.raises(ValueError, match="plain JSON"):
            store.addEvents([Addition(EventKind.REMARK, text="good"), Addition(EventKind.REMARK, values={"bad": float("nan")})])
        assert store.events() == ()
        assert len(store.addEvents([Addition(EventKind.REMARK, text=str(number)) for number in range(50)])) == 50
        assert [event.sequence for event in store.events()] == list(range(1, 51))


def test_datesAreShiftedByWholeWeeksOnDiskAndTrueOnlyWithIdentity(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        event = store.addEvent(EventKind.PATIENT_IN, time=NOON)
        shift = NOON.face - event.time.face
        assert shift % timedelta(weeks=1) == timedelta(0) and timedelta(days=3640) < shift < timedelta(days=7300)
        assert store.trueTime(event).face == NOON.face
    for name in (DATABASE_FILE, "procedure-journal.jsonl"):
        assert b"2026-05-04" not in (tmp_path / name).read_bytes()


def test_identityFileMayBeDeleted(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path, createIdentity({"patientId": "PAT-0815", "patientName": "Muster^Hanna"})) as store:
        name = store.pseudonym
        event = store.addEvent(EventKind.INJECTION, values={"volumeMl": 20})
        assert (tmp_path / IDENTITY_FILE).stat().st_mode & 0o077 == 0
        assert store.removeIdentity()
    assert readIdentity(tmp_path) is None
    with ProcedureStore(tmp_path) as store:
        assert store.identity is None and store.pseudonym == name
        assert store.correctEvent(event.eventId, values={"volumeMl": 19}).values["volumeMl"] == 19
        for refused in (lambda: store.addEvent(EventKind.REMARK), lambda: store.keyOf("1.2.3"), lambda: store.trueTime(event)):
            with pytest.raises(IdentityRemoved, match="anonymous"):
                refused()
    assert not (tmp_path / IDENTITY_FILE).exists()


def test_identityRules(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contains the patient"):
        createIdentity({"patientName": "Muster^Hanna"}, pseudonym="hanna-1")
    first, second = (createIdentity({"patientId": "PAT-0815"}, studySecret="study") for _ in range(2))
    assert (first.pseudonym, first.dateShiftDays, first.secret) == (second.pseudonym, second.dateShiftDays, second.secret)
    other = createIdentity({"patientId": "PAT-0816"}, studySecret="study")
    assert other.secret != first.secret
    with ProcedureStore(tmp_path, first):
        pass
    with pytest.raises(RuntimeError, match="already holds case"):
        ProcedureStore(tmp_path, other)
    writeIdentity(first, tmp_path)
    (tmp_path / IDENTITY_FILE).write_text("{")
    with pytest.raises(RuntimeError, match="damaged"):
        ProcedureStore(tmp_path)


def test_factsAreCheckedAndTheirHistoryKept(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        store.setDetail("group", "fusion")
        store.setDetail("group", "fusion")
        store.setDetail("group", "control", reason="wrong arm")
        assert [entry.values["value"] for entry in store.history("detail:group")] == ["fusion", "control"]
        for name, value in (("group", "third"), ("ageYears", 400), ("ageYears", "old"), ("pain:before", 11), ("sex", 1)):
            with pytest.raises(ValueError, match=r"is|must"):
                store.setDetail(name, value)
        for volume in (-1, 5000, "much", float("inf"), True):
            with pytest.raises(ValueError, match=r"impossible|plain JSON"):
                store.addEvent(EventKind.INJECTION, values={"volumeMl": volume})


def test_newerFileIsRefused(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path):
        pass
    with sqlite3.connect(tmp_path / DATABASE_FILE) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE name = 'schemaVersion'")
    with pytest.raises(RuntimeError, match="newer version"):
        ProcedureStore(tmp_path)


def test_folderThatCantBeMade(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="choose a folder"):
        ProcedureStore(tmp_path / "file" / "case")


def test_tableRowsGiveTheLogBack(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        event = store.addEvent(
            EventKind.INJECTION, time=NOON, text='ozone µ;"quoted"\nline', values={"volumeMl": 20.5, "sites": ["a", None]}
        )
        store.correctEvent(event.eventId, values={"volumeMl": 20})
        store.withdrawEvent(store.addEvent(EventKind.REMARK).eventId)
        trail, table = store.auditTrail(), rows(store.auditTrail())
        assert all(len(row) == len(TABLE_COLUMNS) and all(isinstance(cell, str) for cell in row) for row in table)
        assert eventsFromRows(table) == trail
        assert latestRevisions(eventsFromRows(table)) == store.events(withdrawn=True)
    with pytest.raises(ValueError, match="'Entry' is missing"):
        eventsFromRows(table, ("A",))
    with pytest.raises(ValueError, match="Row 1"):
        eventsFromRows([("x",) * len(TABLE_COLUMNS)])


jsonValues = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(st.text(), st.dictionaries(st.text(), jsonValues, max_size=4), st.datetimes(datetime(1990, 1, 1), datetime(2050, 1, 1)))
def test_anyEventSurvivesJson(text: str, values: dict[str, object], face: datetime) -> None:
    event = ProcedureEvent("id", EventKind.REMARK, ClockTime("scanner", face), text=text, values=values)
    assert eventFromJson(json.loads(json.dumps(eventToJson(event)))) == event


def test_damagedEntryIsNamed() -> None:
    with pytest.raises(ValueError, match="'abc'"):
        eventFromJson({"eventId": "abc"})
