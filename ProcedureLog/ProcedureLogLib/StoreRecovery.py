"""What was damaged when a case was opened, and what was saved from it."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from TranslatedText.Translation import tr as _

from .EventJournal import EventJournal
from .ProcedureEvent import eventFromJson

INSERT = "INSERT OR IGNORE INTO revisions (eventId, revision, sequence, kind, face, withdrawn, entry) VALUES (?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class RecoveryReport:
    """messages is empty when nothing was wrong. recoveredRevisions counts entries brought back from the second copy."""

    messages: tuple[str, ...] = ()
    recoveredRevisions: int = 0
    damagedFile: Path | None = None

    def text(self) -> str:
        return "\n".join(self.messages) if self.messages else _("Nothing was damaged.")


def recoverDatabase(databasePath: Path, journal: EventJournal, schema: str) -> RecoveryReport:
    """Check the database; where it is damaged keep it aside and rebuild it from what it still gives and from the journal.

    Where the journal is short (killed between commit and second copy), complete it. Nothing is ever deleted.
    """
    content = journal.read()
    if not databasePath.exists() and not content.entries:
        return RecoveryReport()
    messages = [
        _("Line {number} of {name} was cut or damaged and is passed over.").format(number=number, name=journal.path.name)
        for number in content.damagedLines
    ]
    reason = _damage(databasePath, content.entries)
    damagedFile: Path | None = None
    salvaged: list[str] = []
    if reason:
        salvaged = _salvage(databasePath)
        if databasePath.exists():
            damagedFile = databasePath.with_name(f"{databasePath.stem}-damaged-{datetime.now():%Y%m%d%H%M%S%f}{databasePath.suffix}")
            databasePath.rename(damagedFile)
            for suffix in ("-wal", "-shm"):
                extra = databasePath.with_name(databasePath.name + suffix)
                if extra.exists():
                    extra.rename(damagedFile.with_name(damagedFile.name + suffix))
        messages.append(
            _("The database was damaged ({reason})").format(reason=reason)
            + (_(" and kept as {damagedFileName}.").format(damagedFileName=damagedFile.name) if damagedFile else ".")
        )
    connection = sqlite3.connect(databasePath, timeout=10.0)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(schema)
        before = _entries(connection)
        known = set(before)
        missing = [entry for entry in dict.fromkeys([*content.entries, *salvaged]) if entry not in known]
        restored = 0
        for entry in missing:
            event = eventFromJson(json.loads(entry))
            row = (event.eventId, event.revision, event.sequence, event.kind.value, event.time.isoText(), int(event.withdrawn), entry)
            restored += connection.execute(INSERT, row).rowcount
        connection.commit()
        if restored:
            source = _("{name} and the damaged database").format(name=journal.path.name) if salvaged else journal.path.name
            messages.append(_("{restored} entries were brought back ({source}).").format(restored=restored, source=source))
        written = set(content.entries)
        short = [entry for entry in _entries(connection) if entry not in written]
    finally:
        connection.close()
    if short:
        for entry in short:
            journal.stage(entry)
        journal.append()
        if content.entries or content.damagedLines:
            messages.append(
                _("{count} entries were missing from {name} and were added to it.").format(count=len(short), name=journal.path.name)
            )
    return RecoveryReport(tuple(messages), restored, damagedFile)


def _damage(path: Path, copies: tuple[str, ...]) -> str:
    """Why the database can't be trusted; empty when it can. copies: the checksummed entries of the journal."""
    if not path.exists():
        return _("the file is missing")
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=10.0)) as connection:
            found = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if found != "ok":
                return str(found).splitlines()[0]
            second = {_place(copy): copy for copy in copies}
            for row in connection.execute("SELECT entry FROM revisions"):
                if second.get(_place(row[0]), row[0]) != row[0]:
                    return _("an entry differs from its second copy")
            return ""
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return str(error) if copies else ""  # else it was made a moment ago and never used
        if "locked" in str(error) or "unable to open" in str(error):
            raise RuntimeError(
                _("{path} can't be opened: {error}; close the other program or check the folder's rights").format(path=path, error=error)
            ) from error
        return str(error)
    except (sqlite3.DatabaseError, ValueError, TypeError, AttributeError) as error:
        return str(error)


def _place(entry: str) -> tuple[str, int]:
    """Which revision of which event an entry is. Raises ValueError when it can't be read."""
    event = eventFromJson(json.loads(entry))
    return event.eventId, event.revision


def _salvage(path: Path) -> list[str]:
    """Entries that can still be read from a damaged database."""
    found: list[str] = []
    if not path.exists():
        return found
    # A damaged schema can break even the text of SQLite's error (UnicodeDecodeError, a ValueError).
    with contextlib.suppress(sqlite3.Error, ValueError), contextlib.closing(sqlite3.connect(path, timeout=10.0)) as connection:
        connection.text_factory = bytes
        for row in connection.execute("SELECT entry FROM revisions ORDER BY number"):
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                text = row[0].decode("utf-8")
                eventFromJson(json.loads(text))
                found.append(text)
    return found


def _entries(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT entry FROM revisions ORDER BY number")]
