"""Proof that no identifier of the source DICOM is in a file that leaves the case.

Files are searched byte by byte, with everything they wrap unpacked: zip archives (.mrb), gzip, PDF streams, compressed PNG texts, base64 in
HTML. Identifiers are looked for in UTF-8, Latin-1 and UTF-16, dates in the usual spellings.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from TranslatedText.Translation import tr as _

from .DicomIdentifiers import Identifier, IdentifierKind

DEEPEST = 5
LONG = 10
LARGEST_BYTES = 2 * 1024**3
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Leak:
    """Where an identifier was found: the file (and the member inside an archive), and which one, without its value."""

    place: str
    identifier: Identifier

    def text(self) -> str:
        return f"{self.place}: {self.identifier.hint}"


@dataclass(frozen=True)
class LeakReport:
    """What was looked through and found. notRead names what couldn't be searched: it proves nothing and makes `isClean` false."""

    leaks: tuple[Leak, ...]
    fileCount: int
    partCount: int
    identifierCount: int
    notRead: tuple[str, ...]

    @property
    def isClean(self) -> bool:
        return not self.leaks and not self.notRead

    def text(self) -> str:
        head = _("{identifierCount} identifiers looked for in {fileCount} files ({partCount} parts): ").format(
            identifierCount=self.identifierCount, fileCount=self.fileCount, partCount=self.partCount
        )
        if self.isClean:
            return head + _("none found.")
        lines = [
            head
            + _("{leakCount} found, {notReadCount} parts not readable.").format(leakCount=len(self.leaks), notReadCount=len(self.notRead))
        ]
        lines += [leak.text() for leak in self.leaks] + [f"not readable: {name}" for name in self.notRead]
        return "\n".join(lines)


def dateSpellings(digits: str) -> tuple[str, ...]:
    """Ways people and programs write a date given as YYYYMMDD."""
    year, month, day = digits[:4], digits[4:6], digits[6:8]
    name = MONTHS[int(month) - 1]
    single = str(int(day))
    return (
        digits,
        f"{year}-{month}-{day}",
        f"{year}/{month}/{day}",
        f"{year}.{month}.{day}",
        f"{day}.{month}.{year}",
        f"{day}/{month}/{year}",
        f"{month}/{day}/{year}",
        f"{day}-{month}-{year}",
        f"{single} {name} {year}",
        f"{name} {single}, {year}",
        f"{day}-{name}-{year}",
    )


class _Searcher:
    """All identifiers as one regular expression over lower-case bytes."""

    def __init__(self, identifiers: Iterable[Identifier]) -> None:
        self.byNeedle: dict[bytes, Identifier] = {}
        for identifier in identifiers:
            texts = dateSpellings(identifier.value) if identifier.kind is IdentifierKind.DATE else (identifier.value,)
            for text in texts:
                for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
                    try:
                        self.byNeedle.setdefault(text.lower().encode(encoding), identifier)
                    except UnicodeEncodeError:
                        continue
        needles = sorted(self.byNeedle, key=len, reverse=True)
        self.pattern = re.compile(b"|".join(re.escape(needle) for needle in needles)) if needles else None

    def search(self, data: bytes) -> set[Identifier]:
        """Identifiers in data. See `_counts` for short words."""
        found: set[Identifier] = set()
        if self.pattern is None:
            return found
        lowered = data.lower()
        position = 0
        while (match := self.pattern.search(lowered, position)) is not None:
            position = match.start() + 1
            identifier = self.byNeedle[match.group()]
            if self._counts(identifier, lowered, match.start(), match.end()):
                found.add(identifier)
        return found

    @staticmethod
    def _counts(identifier: Identifier, data: bytes, start: int, end: int) -> bool:
        """Long values count anywhere; dates unless they end a longer number (a time may follow); other short words only standing alone."""
        before = data[start - 1] if start else 32
        after = data[end] if end < len(data) else 32
        if identifier.kind is IdentifierKind.DATE:
            return not 48 <= before <= 57
        return len(identifier.value) >= LONG or not (_isWord(before) or _isWord(after))


def _isWord(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= byte <= 122 or byte >= 0xC3


def checkLeaks(places: Iterable[str | Path], identifiers: Iterable[Identifier]) -> LeakReport:
    """Look for identifiers in files, in folders (all files below) and in the names of both."""
    wanted = set(identifiers)
    searcher = _Searcher(wanted)
    leaks: dict[tuple[str, Identifier], Leak] = {}
    notRead: list[str] = []
    files = parts = 0
    for path, shown in _files(places):
        files += 1
        for identifier in searcher.search(shown.encode("utf-8")):
            leaks.setdefault((f"name of {shown}", identifier), Leak(_("the name of a file"), identifier))
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise ValueError(_("too large to search"))
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            notRead.append(f"{shown}: {error}")
            continue
        for place, part in _parts(shown, data, 0, notRead):
            parts += 1
            for identifier in searcher.search(part):
                leaks.setdefault((place, identifier), Leak(place, identifier))
    return LeakReport(tuple(leaks.values()), files, parts, len(wanted), tuple(notRead))


def _files(places: Iterable[str | Path]) -> Iterator[tuple[Path, str]]:
    for entry in places:
        place = Path(entry)
        if place.is_dir():
            for path in sorted(place.rglob("*")):
                if path.is_file():
                    yield path, str(path.relative_to(place))
        elif place.exists():
            yield place, place.name
        else:
            raise FileNotFoundError(_("{place} does not exist and can't be checked").format(place=place))


def _parts(place: str, data: bytes, depth: int, notRead: list[str]) -> Iterator[tuple[str, bytes]]:
    """The bytes themselves, then what is packed inside."""
    yield place, data
    if depth >= DEEPEST:
        return
    if data.startswith(b"PK\x03\x04"):
        yield from _zipParts(place, data, depth, notRead)
    elif data.startswith(b"\x1f\x8b"):
        yield from _gzipPart(place, data, depth, notRead)
    elif data.startswith(b"%PDF"):
        yield from _pdfParts(place, data)
    elif data.startswith(b"\x89PNG"):
        yield from _pngTexts(place, data)
    elif data.startswith(b"NRRD"):
        end = data.find(b"\n\n")
        if end > 0 and data[end + 2 : end + 4] == b"\x1f\x8b":
            yield from _gzipPart(f"{place}:data", data[end + 2 :], depth, notRead)
    for number, match in enumerate(re.finditer(rb"base64,([A-Za-z0-9+/=\s]{16,})", data)):
        try:
            inner = base64.b64decode(match.group(1))
        except (binascii.Error, ValueError):
            notRead.append(_("{place}: embedded data {number} is no base64").format(place=place, number=number))
            continue
        yield from _parts(f"{place}:embedded {number}", inner, depth + 1, notRead)


def _zipParts(place: str, data: bytes, depth: int, notRead: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.infolist():
                yield f"{place}:name of member", entry.filename.encode("utf-8")
                if entry.file_size > LARGEST_BYTES:
                    notRead.append(_("{place}:{filename}: too large to search").format(place=place, filename=entry.filename))
                elif not entry.is_dir():
                    yield from _parts(f"{place}:{entry.filename}", archive.read(entry), depth + 1, notRead)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        notRead.append(f"{place}: {error}")


def _gzipPart(place: str, data: bytes, depth: int, notRead: list[str]) -> Iterator[tuple[str, bytes]]:
    try:
        yield from _parts(f"{place}:unpacked", zlib.decompressobj(31).decompress(data, LARGEST_BYTES), depth + 1, notRead)
    except zlib.error as error:
        notRead.append(f"{place}: {error}")


def _pdfParts(place: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Streams of a PDF, unpacked, and once more with the operators between shown strings taken out (words split by kerning or lines)."""
    for number, match in enumerate(re.finditer(rb"stream\r?\n(.*?)endstream", data, re.DOTALL)):
        body = match.group(1).strip(b"\r\n")
        if b"ASCII85" in data[max(0, match.start() - 200) : match.start()]:
            try:
                body = base64.a85decode(body.strip().removesuffix(b"~>"))
            except ValueError:
                continue
        try:
            body = zlib.decompressobj().decompress(body)
        except zlib.error:
            continue
        yield f"{place}:stream {number}", body
        shown = [re.sub(rb"\\([()\\])", rb"\1", text) for text in re.findall(rb"\(((?:[^()\\]|\\.)*)\)", body)]
        yield f"{place}:text {number}", b"".join(shown) + b"\n" + b" ".join(shown)


def _pngTexts(place: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    position = 8
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + length]
        if kind in (b"zTXt", b"iTXt"):
            packed = body.split(b"\0", 1)[-1].lstrip(b"\0\1")
            try:
                yield f"{place}:{kind.decode()}", zlib.decompressobj().decompress(packed)
            except zlib.error:
                yield f"{place}:{kind.decode()}", packed
        position += 12 + length
