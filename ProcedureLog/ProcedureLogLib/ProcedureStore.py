"""The durable log of one procedure: SQLite in a case folder.

An event is durable when the call that adds it returns: SQLite commits with a full sync, then a second copy goes to a plain-text journal
that outlives a damaged database. Entries are only ever added: a correction is a new revision, the old value stays. Several programs may
have the case open. Everything is written under the pseudonym, with shifted dates and hashed UIDs (see CaseIdentity).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .CaseIdentity import CaseIdentity, IdentityRemoved, createIdentity, readIdentity, removeIdentity, writeIdentity
from .Clock import ClockTime, workstationNow
from .EventJournal import EventJournal
from .FolderLock import folderLock
from .ProcedureDetails import checkDetail, checkInjection
from .ProcedureEvent import EventKind, EventSource, ProcedureEvent, checkedValues, eventFromJson, eventToJson
from .StoreRecovery import RecoveryReport, recoverDatabase
from .WholeFile import writeWhole

DATABASE_FILE = "procedure.sqlite"
JOURNAL_FILE = "procedure-journal.jsonl"
CASE_FILE = "procedure-case.json"
SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS revisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    eventId TEXT NOT NULL,
    revision INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    kind TEXT NOT NULL,
    face TEXT NOT NULL,
    withdrawn INTEGER NOT NULL,
    entry TEXT NOT NULL,
    UNIQUE (eventId, revision));
CREATE TRIGGER IF NOT EXISTS revisionsKept BEFORE DELETE ON revisions
    BEGIN SELECT RAISE(ABORT, 'entries of the log are never deleted'); END;
CREATE TRIGGER IF NOT EXISTS revisionsFixed BEFORE UPDATE ON revisions
    BEGIN SELECT RAISE(ABORT, 'entries of the log are never changed'); END;
"""


class EventNotStored(RuntimeError):
    """The event isn't in the log: disk full, folder gone, or another program holds the file."""


@dataclass(frozen=True)
class Addition:
    """What to add: an event before it has a place in the log."""

    kind: EventKind
    time: ClockTime | None = None
    text: str = ""
    values: Mapping[str, Any] | None = None
    source: EventSource = EventSource.MANUAL
    eventId: str = ""
    author: str = ""


class ProcedureStore:
    """Open or create the log in a case folder. Use as a context manager, or call close().

    identity: given for a new case, else made with a random pseudonym. recovery tells what was found damaged on opening and what was saved.
    Raises RuntimeError when the folder can't be written or was made by a newer program.
    """

    def __init__(self, folder: str | Path, identity: CaseIdentity | None = None, timeoutSec: float = 10.0) -> None:
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RuntimeError(
                _("The case folder {folder} can't be made: {error}; choose a folder you may write to").format(
                    folder=self.folder, error=error
                )
            ) from error
        self._timeoutSec = timeoutSec
        self._lock = threading.RLock()
        self.databasePath = self.folder / DATABASE_FILE
        self._journal = EventJournal(self.folder / JOURNAL_FILE)
        try:
            with folderLock(self.folder, timeoutSec):
                isNew = not self.databasePath.exists() and not self._journal.path.exists()
                self.recovery: RecoveryReport = recoverDatabase(self.databasePath, self._journal, SCHEMA)
                self._connection = self._connect()
                self.identity = self._openIdentity(identity, isNew)
        except (sqlite3.Error, OSError) as error:
            raise RuntimeError(
                _("The log in {folder} can't be opened: {error}; check that the folder may be written to").format(
                    folder=self.folder, error=error
                )
            ) from error
        self.pseudonym = self._meta("pseudonym")
        self.caseId = self._meta("caseId")

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.databasePath, timeout=self._timeoutSec, isolation_level=None, check_same_thread=False)
        # Changing the mode needs the file alone; a case that another program has open is in the right mode already.
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")  # stays as it was where the file system has no shared memory
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(SCHEMA)
        return connection

    def _openIdentity(self, given: CaseIdentity | None, isNew: bool) -> CaseIdentity | None:
        with self._transaction():
            version = self._meta("schemaVersion")
            if version and int(version) > SCHEMA_VERSION:
                raise RuntimeError(
                    _("The log in {folder} was written by a newer version ({version}); update this program to open it").format(
                        folder=self.folder, version=version
                    )
                )
            found = readIdentity(self.folder)
            pseudonym = self._meta("pseudonym")
            if given is not None and found is not None and given.pseudonym != found.pseudonym:
                raise RuntimeError(
                    _("{folder} already holds case '{pseudonym}'; choose another folder for '{pseudonym2}'").format(
                        folder=self.folder, pseudonym=found.pseudonym, pseudonym2=given.pseudonym
                    )
                )
            named = self._readCaseFile()
            if found is None and not named and not pseudonym and isNew:
                found = given or createIdentity()
                writeIdentity(found, self.folder)
            if not pseudonym or not named:
                pseudonym = pseudonym or named.get("pseudonym") or (found.pseudonym if found is not None else "unknown")
                caseId = self._meta("caseId") or named.get("caseId") or uuid.uuid4().hex
                rows = [("pseudonym", pseudonym), ("schemaVersion", str(SCHEMA_VERSION)), ("caseId", caseId)]
                self._connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", rows)
                writeWhole(self.folder / CASE_FILE, json.dumps({"caseId": caseId, "pseudonym": pseudonym}))
            return found

    def _readCaseFile(self) -> dict[str, str]:
        """Name and number of the case beside the database, so that a rebuilt one keeps them; empty where there is none."""
        try:
            content = json.loads((self.folder / CASE_FILE).read_text(encoding="utf-8"))
            return {"caseId": str(content["caseId"]), "pseudonym": str(content["pseudonym"])}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _meta(self, name: str) -> str:
        row = self._connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    # --- writing

    def addEvent(
        self,
        kind: EventKind,
        *,
        time: ClockTime | None = None,
        text: str = "",
        values: Mapping[str, Any] | None = None,
        source: EventSource = EventSource.MANUAL,
        eventId: str = "",
        author: str = "",
    ) -> ProcedureEvent:
        """Add an event; it is on the disk when this returns. time: now on this workstation where not given.

        With an eventId already in the log the entry becomes a new revision if anything changed, so automatic entries may be sent again.
        Raises ValueError for values that aren't plain JSON, EventNotStored when it couldn't be written.
        """
        return self.addEvents([Addition(kind, time, text, values, source, eventId, author)])[0]

    def addEvents(self, additions: Iterable[Addition]) -> tuple[ProcedureEvent, ...]:
        """Add several events in one transaction: all are durable on return, or none is stored."""
        prepared = []
        for addition in additions:
            values = dict(addition.values or {})
            checkedValues(values)
            if addition.kind is EventKind.INJECTION:
                checkInjection(values)
            moment = addition.time or workstationNow()
            event = ProcedureEvent(
                eventId=addition.eventId or uuid.uuid4().hex,
                kind=addition.kind,
                time=moment.shifted(self._shift()),
                source=addition.source,
                text=addition.text,
                values=values,
                author=addition.author,
            )
            prepared.append(event)
        return self._write(prepared)

    def correctEvent(
        self,
        eventId: str,
        *,
        time: ClockTime | None = None,
        text: str | None = None,
        values: Mapping[str, Any] | None = None,
        author: str = "",
        reason: str = "",
        withdrawn: bool | None = None,
    ) -> ProcedureEvent:
        """Correct an entry; the old value stays in its history. values replaces the values named in it, others stay.

        Raises KeyError for an unknown eventId, IdentityRemoved for a new time after the identity was deleted.
        """
        current = self.event(eventId)
        changed = replace(
            current,
            time=current.time if time is None else time.shifted(self._shift()),
            text=current.text if text is None else text,
            values=dict(current.values) | dict(values or {}),
            author=author,
            reason=reason,
            withdrawn=current.withdrawn if withdrawn is None else withdrawn,
        )
        checkedValues(changed.values)
        if changed.kind is EventKind.INJECTION and not changed.withdrawn:
            checkInjection(changed.values)
        return self._write([changed])[0]

    def withdrawEvent(self, eventId: str, *, author: str = "", reason: str = "") -> ProcedureEvent:
        """Take an entry out of the numbers; it stays in the file with the reason."""
        return self.correctEvent(eventId, author=author, reason=reason, withdrawn=True)

    def setDetail(self, name: str, value: Any, *, author: str = "", reason: str = "") -> ProcedureEvent:
        """Set a fact about the procedure (see ProcedureDetails for the names); the earlier value stays in its history.

        Raises ValueError for an impossible value of a known fact.
        """
        checkDetail(name, value)
        eventId = f"detail:{name}"
        try:
            current = self.event(eventId)
        except KeyError:
            current = None
        if current is None:
            return self.addEvent(EventKind.DETAIL, values={"name": name, "value": value}, eventId=eventId, author=author)
        if current.values.get("value") == value and not current.withdrawn:
            return current
        return self.correctEvent(eventId, values={"value": value}, author=author, reason=reason, withdrawn=False)

    def _write(self, events: list[ProcedureEvent]) -> tuple[ProcedureEvent, ...]:
        """Store revisions; the listener's thread and the panel may write through one store at once."""
        with self._lock:
            return self._writeLocked(events)

    def _writeLocked(self, events: list[ProcedureEvent]) -> tuple[ProcedureEvent, ...]:
        written: list[ProcedureEvent] = []
        try:
            with self._transaction():
                cursor = self._connection.cursor()
                highest = int(cursor.execute("SELECT COALESCE(MAX(sequence), 0) FROM revisions").fetchone()[0])
                for event in events:
                    row = cursor.execute(
                        "SELECT entry FROM revisions WHERE eventId = ? ORDER BY revision DESC LIMIT 1", (event.eventId,)
                    ).fetchone()
                    if row is None:
                        highest += 1
                        placed = replace(event, revision=0, sequence=highest)
                    else:
                        last = eventFromJson(json.loads(row[0]))
                        if _sameContent(last, event):
                            written.append(last)
                            continue
                        placed = replace(event, revision=last.revision + 1, sequence=last.sequence)
                    entry = json.dumps(eventToJson(placed), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
                    cursor.execute(
                        "INSERT INTO revisions (eventId, revision, sequence, kind, face, withdrawn, entry) VALUES (?, ?, ?, ?, ?, ?, ?)",
                        (
                            placed.eventId,
                            placed.revision,
                            placed.sequence,
                            placed.kind.value,
                            placed.time.isoText(),
                            int(placed.withdrawn),
                            entry,
                        ),
                    )
                    self._journal.stage(entry)
                    written.append(placed)
        except sqlite3.Error as error:
            self._journal.forget()
            raise EventNotStored(
                _(
                    "The event was NOT stored in {folder}: {error}. "
                    "Free space on the disk or close the other program, then repeat the entry."
                ).format(folder=self.folder, error=error)
            ) from error
        except BaseException:
            self._journal.forget()
            raise
        self._journal.append()
        return tuple(written)

    # --- reading

    def event(self, eventId: str) -> ProcedureEvent:
        """Latest revision of an entry. Raises KeyError for an unknown one."""
        row = self._connection.execute(
            "SELECT entry FROM revisions WHERE eventId = ? ORDER BY revision DESC LIMIT 1", (eventId,)
        ).fetchone()
        if row is None:
            raise KeyError(_("The log of case '{pseudonym}' has no entry '{eventId}'").format(pseudonym=self.pseudonym, eventId=eventId))
        return eventFromJson(json.loads(row[0]))

    def events(self, withdrawn: bool = False) -> tuple[ProcedureEvent, ...]:
        """Latest revision of every entry in the order first noted, dates shifted as stored; withdrawn ones on request."""
        rows = self._connection.execute(
            "SELECT entry FROM revisions r WHERE revision ="
            " (SELECT MAX(revision) FROM revisions WHERE eventId = r.eventId) ORDER BY sequence"
        )
        found = [eventFromJson(json.loads(row[0])) for row in rows]
        return tuple(event for event in found if withdrawn or not event.withdrawn)

    def history(self, eventId: str) -> tuple[ProcedureEvent, ...]:
        """All revisions of an entry, oldest first."""
        rows = self._connection.execute("SELECT entry FROM revisions WHERE eventId = ? ORDER BY revision", (eventId,))
        return tuple(eventFromJson(json.loads(row[0])) for row in rows)

    def auditTrail(self) -> tuple[ProcedureEvent, ...]:
        """Every revision of every entry in the order written."""
        return tuple(eventFromJson(json.loads(row[0])) for row in self._connection.execute("SELECT entry FROM revisions ORDER BY number"))

    def trueTime(self, event: ProcedureEvent) -> ClockTime:
        """The time as the clock showed it. For the screen of this workstation only, never for anything exported."""
        return event.time.shifted(-self._shift())

    def keyOf(self, identifier: str) -> str:
        """What stands for a DICOM UID in this case. Raises IdentityRemoved after the identity file was deleted."""
        if self.identity is None:
            raise IdentityRemoved(self._closedText())
        return self.identity.keyOf(identifier)

    # --- identity

    def _shift(self) -> timedelta:
        if self.identity is None:
            raise IdentityRemoved(self._closedText())
        return self.identity.shift

    def _closedText(self) -> str:
        return _("The identity file of case '{pseudonym}' was deleted: the case is anonymous and takes no new times").format(
            pseudonym=self.pseudonym
        )

    def removeIdentity(self) -> bool:
        """Delete the identity file: the case is anonymous from now on."""
        self.identity = None
        return removeIdentity(self.folder)

    def close(self) -> None:
        self._journal.close()
        self._connection.close()

    def __enter__(self) -> ProcedureStore:
        return self

    def __exit__(self, *_unused: object) -> None:
        self.close()


def _sameContent(first: ProcedureEvent, second: ProcedureEvent) -> bool:
    left, right = eventToJson(first), eventToJson(second)
    for name in ("revision", "sequence", "author", "reason"):
        left.pop(name)
        right.pop(name)
    return left == right
