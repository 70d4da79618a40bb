"""Plain-text second copy of the log: one line per revision, `CRC-32 <space> JSON`.

It is written after the database commit and read only when the database is damaged or short. A cut last line is recognised by its CRC.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from TranslatedText.Translation import tr as _


@dataclass(frozen=True)
class JournalContent:
    """Entries whose checksum is right, and the numbers (from 1) of lines that are damaged."""

    entries: tuple[str, ...]
    damagedLines: tuple[int, ...]


def journalLine(entry: str) -> bytes:
    data = entry.encode("utf-8")
    return b"%08x " % zlib.crc32(data) + data + b"\n"


class EventJournal:
    """Append-only file. `stage` entries while a transaction runs, `append` them once it is committed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._staged: list[bytes] = []
        self.failure = ""

    def stage(self, entry: str) -> None:
        self._staged.append(journalLine(entry))

    def forget(self) -> None:
        self._staged.clear()

    def append(self) -> None:
        """One write for all staged lines: lines of two programs don't mix. A failure is kept in `failure`; the database has it."""
        if not self._staged:
            return
        data = b"".join(self._staged)
        self._staged.clear()
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                if self._endsInsideLine():
                    data = b"\n" + data
            if os.write(self._descriptor, data) != len(data):
                raise OSError(_("only part of the line could be written"))
            self.failure = ""
        except OSError as error:
            self.failure = _("The second copy {name} could not be written: {error}").format(name=self.path.name, error=error)
            self.close()

    def _endsInsideLine(self) -> bool:
        with open(self.path, "rb") as handle:
            handle.seek(0, os.SEEK_END)
            if handle.tell() == 0:
                return False
            handle.seek(-1, os.SEEK_END)
            return handle.read(1) != b"\n"

    def read(self) -> JournalContent:
        """All whole lines; none where there is no file."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return JournalContent((), ())
        entries: list[str] = []
        damaged: list[int] = []
        for number, line in enumerate(data.split(b"\n"), 1):
            if not line:
                continue
            body = line[9:]
            if len(line) > 9 and line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(body):
                entries.append(body.decode("utf-8"))
            else:
                damaged.append(number)
        return JournalContent(tuple(entries), tuple(damaged))

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
