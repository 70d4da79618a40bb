"""Reads a raw recording, whole or damaged, and says what could not be read."""

from __future__ import annotations

import json
import pathlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from IntradiscalNavLib.Recording.RecordFormat import (
    CRC,
    FILE_HEADER,
    MANIFEST_NAME,
    MAXIMUM_PAYLOAD_BYTES,
    RECORD_HEADER,
    RECORD_MARK,
    Record,
    RecordKind,
    checkFileHeader,
    decodeRecord,
)
from TranslatedText.Translation import tr as _


@dataclass(frozen=True)
class RecordingStream:
    """A stream of a recording: ``kind`` and the name it was recorded under."""

    kind: RecordKind
    name: str


@dataclass(frozen=True)
class RecordPlace:
    """Where the payload of a record lies, so that one picture can be read without reading the recording."""

    chunk: pathlib.Path
    offset: int
    size: int
    kind: int
    flags: int


class RecordingReader:
    """Iterates over the records of a recording folder in file order (arrival order).

    :param withPixels: False gives images without their pixels, which is all that measuring needs and much faster.
    :raises FileNotFoundError: if there is no recording in the folder.
    :raises ValueError: if it was written by a newer version.
    """

    def __init__(self, folder: pathlib.Path | str, withPixels: bool = True) -> None:
        self.folder = pathlib.Path(folder)
        self._withPixels = withPixels
        self.chunks = sorted(self.folder.glob("chunk-*.rec"))
        manifest = self.folder / MANIFEST_NAME
        if not manifest.is_file() and not self.chunks:
            raise FileNotFoundError(
                _("There is no recording in {folder}: neither {manifestName} nor chunk files.").format(
                    folder=self.folder, manifestName=MANIFEST_NAME
                )
            )
        self.startUnixNs = 0
        self.place: RecordPlace | None = None
        """Place of the record that was handed out last."""
        self.problems: list[str] = []
        """What could not be read, in words; filled while iterating."""
        try:
            self.startUnixNs = int(json.loads(manifest.read_text(encoding="utf-8"))["startUnixNs"])
        except (OSError, ValueError, KeyError) as error:
            self.problems.append(
                _("{manifest} can't be read ({error}); the records are read without the date.").format(manifest=manifest, error=error)
            )

    def __iter__(self) -> Iterator[Record]:
        for chunk in self.chunks:
            yield from self._readChunk(chunk)

    def streams(self) -> tuple[RecordingStream, ...]:
        """Streams of the recording, in the order of their first record."""
        found: dict[RecordingStream, None] = {}
        for chunk in self.chunks:
            for kind, _number, _timeNs, payload, _place in self._rawRecords(chunk):
                if kind == RecordKind.STREAM:
                    definition = json.loads(payload)
                    found[RecordingStream(RecordKind(definition["kind"]), definition["name"])] = None
        return tuple(found)

    def readAt(self, place: RecordPlace, streamName: str, timeNs: int) -> Record:
        """One record again, whole, by its place.

        :raises ValueError: when the file has changed and no longer holds it.
        """
        with place.chunk.open("rb") as file:
            file.seek(place.offset)
            payload = file.read(place.size)
        if len(payload) != place.size:
            raise ValueError(_("{name} has become shorter while it is replayed. Open the recording again.").format(name=place.chunk.name))
        return decodeRecord(place.kind, place.flags, streamName, timeNs, payload)

    def _readChunk(self, chunk: pathlib.Path) -> Iterator[Record]:
        names: dict[int, str] = {}
        for kind, flags, (number, timeNs), payload, body in self._rawRecords(chunk):
            self.place = RecordPlace(chunk, body, len(payload), kind, flags)
            if kind == RecordKind.STREAM:
                definition = json.loads(payload)
                names[definition["number"]] = definition["name"]
                continue
            try:
                yield decodeRecord(kind, flags, names[number], timeNs, payload, self._withPixels)
            except (KeyError, ValueError, zlib.error) as error:
                self._report(
                    _("{chunkName}: a record at {timeNs:.3f} s can't be decoded ({error}) and is skipped.").format(
                        chunkName=chunk.name, timeNs=timeNs / 1e9, error=error
                    )
                )

    def _rawRecords(self, chunk: pathlib.Path) -> Iterator[tuple[int, int, tuple[int, int], bytes, int]]:
        data = chunk.read_bytes()
        if len(data) < FILE_HEADER.size:
            self._report(_("{chunkName} is cut within its header; nothing in it can be read.").format(chunkName=chunk.name))
            return
        checkFileHeader(data, chunk.name)
        position = FILE_HEADER.size
        while position < len(data):
            fault = ""
            if len(data) - position < RECORD_HEADER.size + CRC.size:
                fault = _("the file ends within a record")
            else:
                mark, kind, flags, number, timeNs, size = RECORD_HEADER.unpack_from(data, position)
                body = position + RECORD_HEADER.size + CRC.size
                if mark != RECORD_MARK or size > MAXIMUM_PAYLOAD_BYTES:
                    fault = "damaged bytes"
                elif body + size > len(data):
                    fault = _("the file ends within a record")
                else:
                    payload = data[body : body + size]
                    (expected,) = CRC.unpack_from(data, position + RECORD_HEADER.size)
                    if zlib.crc32(payload, zlib.crc32(data[position : position + RECORD_HEADER.size])) != expected:
                        fault = _("a record with a wrong checksum")
            if not fault:
                yield kind, flags, (number, timeNs), payload, body
                position = body + size
                continue
            following = data.find(RECORD_MARK, position + 1)
            skipped = (following if following >= 0 else len(data)) - position
            self._report(
                _("{chunkName}: {fault}; {skipped} bytes at {position} are skipped.").format(
                    chunkName=chunk.name, fault=fault, skipped=skipped, position=position
                )
            )
            if following < 0:
                return
            position = following

    def _report(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
