"""OpenIGTLink on the wire: header versions 1 and 2, metadata, CRC-64, and a reader that turns a byte stream into messages.

The reader trusts nothing: sizes are bounded, CRCs are checked, pieces may have any length. A message that fails is counted and left out.
After bytes that cannot be a header it searches for the next header; what it could not understand is in ``problems``.
Note that OpenIGTLink's CRC covers the body alone: a flipped bit in a device name goes unnoticed by any receiver.
"""

from __future__ import annotations

import collections
import functools
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from IntradiscalNavLib.Streaming.Crc64 import crc64
from IntradiscalNavLib.Streaming.OpenIGTLinkContent import (
    MalformedMessageError,
    Parts,
    decodeContent,
    decodeText,
    encodeContent,
    encodeText,
    fixedText,
)
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from TranslatedText.Translation import tr as _

__all__ = ["HEADER_BYTES", "MalformedMessageError", "MessageReader", "StreamProblem", "encodeMessage", "encodeParts", "readAll"]

HEADER_BYTES = 58
DEFAULT_MAX_BODY_BYTES = 64 * 1024 * 1024
"""Larger than any ultrasound frame or block of frames; a size field beyond it is taken as damage."""

DEVICE_NAME_KEY = "IGTL_DEVICE_NAME"
"""Metadata that carries the whole of a device name longer than the header's 20 bytes."""

_HEADER = struct.Struct(">H12s20sIIQQ")
_EXTENDED = struct.Struct(">HHII")
_ENTRY = struct.Struct(">HHI")
_NEWEST_HEADER = 2
_CHUNK_BYTES = 65536
_TYPE_CHARACTERS = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")


@dataclass(frozen=True)
class StreamProblem:
    """Something in the stream that was left out. ``kind``: header, crc, content or size."""

    kind: str
    text: str
    arrivalSec: float


def _encodeMetadata(metadata: Mapping[str, str]) -> tuple[bytes, bytes]:
    entries, texts = [struct.pack(">H", len(metadata))], []
    for key, value in metadata.items():
        keyBytes = key.encode("utf-8")
        charset, valueBytes = encodeText(value)
        if len(keyBytes) > 0xFFFF:
            raise ValueError(
                _("Metadata key {key}... has {count} bytes; OpenIGTLink carries up to 65535.").format(key=key[:40], count=len(keyBytes))
            )
        entries.append(_ENTRY.pack(len(keyBytes), charset, len(valueBytes)))
        texts += [keyBytes, valueBytes]
    header = b"".join(entries)
    if len(header) > 0xFFFF:
        raise ValueError(_("{count} metadata entries do not fit one message; OpenIGTLink carries up to 8191.").format(count=len(metadata)))
    return header, b"".join(texts)


def encodeParts(message: OpenIGTLinkMessage, headerVersion: int | None = None) -> Parts:
    """Bytes of a message in pieces (header first); the voxels of an image are not copied.

    :param headerVersion: 1 or 2; default the message's own. Version 1 carries no metadata and no names beyond 20 bytes.
    :raises ValueError: when a value does not fit the format.
    """
    version = message.headerVersion if headerVersion is None else headerVersion
    if version not in (1, _NEWEST_HEADER):
        raise ValueError(_("Header version {version} is not known; use 1 or 2.").format(version=version))
    parts = encodeContent(message)
    if version >= 2:
        metadata = message.metadata
        if len(message.deviceName.encode("utf-8")) > 20 and DEVICE_NAME_KEY not in metadata:
            metadata = {DEVICE_NAME_KEY: message.deviceName, **metadata}
        entries, texts = _encodeMetadata(metadata)
        parts = [_EXTENDED.pack(_EXTENDED.size, len(entries), len(texts), message.messageId), *parts, entries + texts]
    if len(parts) > 1 and sum(len(part) for part in parts) < 4096:
        parts = [b"".join(parts)]
    checksum, size = 0, 0
    for part in parts:
        checksum = crc64(part, checksum)
        size += len(part)
    seconds = int(message.timestampSec)
    fraction = min(int((message.timestampSec - seconds) * 4294967296.0 + 0.5), 0xFFFFFFFF)
    header = _HEADER.pack(version, fixedText(message.messageType, 12), fixedText(message.deviceName, 20), seconds, fraction, size, checksum)
    if len(parts) == 1 and size < 4096:
        return [header + parts[0]]
    return [header, *parts]


def encodeMessage(message: OpenIGTLinkMessage, headerVersion: int | None = None) -> bytes:
    """Bytes of a message; see :func:`encodeParts`."""
    return b"".join(encodeParts(message, headerVersion))


def _decodeMetadata(header: memoryview, texts: memoryview) -> dict[str, str]:
    if len(header) < 2:
        return {}
    count = struct.unpack_from(">H", header)[0]
    if 2 + count * _ENTRY.size > len(header):
        raise MalformedMessageError(
            _("{count} metadata entries are announced in a table of {size} bytes.").format(count=count, size=len(header))
        )
    metadata, position = {}, 0
    for index in range(count):
        keySize, charset, valueSize = _ENTRY.unpack_from(header, 2 + index * _ENTRY.size)
        end = position + keySize + valueSize
        if end > len(texts):
            raise MalformedMessageError(_("A metadata entry reaches beyond the message."))
        key = bytes(texts[position : position + keySize]).decode("utf-8", errors="replace")
        metadata[key] = decodeText(charset, bytes(texts[position + keySize : end]))
        position = end
    return metadata


def _decodeBody(version: int, typeName: str, name: str, timestampSec: float, body: memoryview, arrivalSec: float) -> OpenIGTLinkMessage:
    metadata: dict[str, str] = {}
    messageId = 0
    content = body
    if version >= 2:
        if len(body) < _EXTENDED.size:
            raise MalformedMessageError(_("{typeName} {name} has no room for its extended header.").format(typeName=typeName, name=name))
        extended, metaHeader, metaTexts, messageId = _EXTENDED.unpack_from(body)
        end = len(body) - metaHeader - metaTexts
        if extended < _EXTENDED.size or end < extended:
            raise MalformedMessageError(
                _("{typeName} {name}: the sizes in its extended header exceed the message.").format(typeName=typeName, name=name)
            )
        content = body[extended:end]
        metadata = _decodeMetadata(body[end : end + metaHeader], body[end + metaHeader :])
        name = metadata.get(DEVICE_NAME_KEY, name)
    common = {
        "timestampSec": timestampSec,
        "metadata": metadata,
        "headerVersion": version,
        "messageId": messageId,
        "arrivalSec": arrivalSec,
    }
    return decodeContent(typeName, name, content, common)


@dataclass
class _Header:
    version: int
    typeName: str
    deviceName: str
    timestampSec: float
    size: int
    checksum: int


class MessageReader:
    """Turns a byte stream into messages. Not thread-safe: one reader per connection, one thread per reader.

    Either hand over bytes (``feed``), or let a socket write into ``writableView()`` and say how much arrived (``commit``): then the voxels
    of an image are copied by nobody, they stay where the socket wrote them, in memory of the image's own.
    """

    def __init__(self, maxBodyBytes: int = DEFAULT_MAX_BODY_BYTES, checkCrc: bool = True, maxProblems: int = 100) -> None:
        self.maxBodyBytes = maxBodyBytes
        self.checkCrc = checkCrc
        self.problems: collections.deque[StreamProblem] = collections.deque(maxlen=maxProblems)
        self.messageCount = 0
        self.problemCount = 0
        self.skippedBytes = 0
        self._chunk = bytearray(_CHUNK_BYTES)
        self._start = 0
        self._end = 0
        self._header: _Header | None = None
        self._body: memoryview | None = None
        self._filled = 0
        self._searching = False
        self._partialSinceSec: float | None = None

    @property
    def partialSinceSec(self) -> float | None:
        """Arrival of the first bytes of a message that is not complete yet; None between messages."""
        return self._partialSinceSec

    def writableView(self) -> memoryview:
        """Memory for the next bytes of the stream; never empty."""
        if self._body is not None:
            return self._body[self._filled :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._chunk):
            rest = self._end - self._start
            self._chunk[:rest] = self._chunk[self._start : self._end]
            self._start, self._end = 0, rest
        return memoryview(self._chunk)[self._end :]

    def commit(self, count: int, arrivalSec: float | None = None) -> list[OpenIGTLinkMessage]:
        """Messages completed by ``count`` bytes that were written into ``writableView()``."""
        now = time.monotonic() if arrivalSec is None else arrivalSec
        messages: list[OpenIGTLinkMessage] = []
        finishedBefore = self.messageCount + self.problemCount
        if self._body is not None:
            self._filled += count
            if self._filled == len(self._body):
                body, self._body = self._body, None
                self._finish(body, now, messages)
        else:
            self._end += count
            while self._parse(now, messages):
                pass
        if self._body is None and self._header is None and self._start == self._end:
            self._partialSinceSec = None
        elif self._partialSinceSec is None or self.messageCount + self.problemCount > finishedBefore:
            self._partialSinceSec = now
        return messages

    def feed(self, data: bytes | bytearray | memoryview, arrivalSec: float | None = None) -> list[OpenIGTLinkMessage]:
        """Messages completed by these bytes; a message may begin and end anywhere in them."""
        messages: list[OpenIGTLinkMessage] = []
        view = memoryview(data)
        while len(view):
            target = self.writableView()
            count = min(len(target), len(view))
            target[:count] = view[:count]
            messages += self.commit(count, arrivalSec)
            view = view[count:]
        return messages

    def _parse(self, now: float, messages: list[OpenIGTLinkMessage]) -> bool:
        """One step on the chunk; False when more bytes are needed."""
        available = self._end - self._start
        if self._header is None:
            if available < HEADER_BYTES:
                return False
            header, kind, reason = self._readHeader(self._start)
            if header is None:
                self._search(kind, reason, now)
                return True
            self._searching = False
            self._header = header
            self._start += HEADER_BYTES
            return True
        size = self._header.size
        if available >= size:
            # A copy: the chunk is written again, the message must own its bytes.
            body = memoryview(self._chunk[self._start : self._start + size])
            self._start += size
            self._finish(body, now, messages)
            return True
        if size > _CHUNK_BYTES // 4:
            target = np.empty(size, np.uint8).data
            target[:available] = memoryview(self._chunk)[self._start : self._end]
            self._start = self._end = 0
            self._body, self._filled = target, available
        return False

    def _readHeader(self, position: int) -> tuple[_Header | None, str, str]:
        """The header, or None with the kind of problem and what it is."""
        version, rawType, rawName, seconds, fraction, size, checksum = _HEADER.unpack_from(self._chunk, position)
        if not 1 <= version <= _NEWEST_HEADER:
            return None, "header", _("header version {version}").format(version=version)
        typeName = _typeName(rawType)
        if not typeName:
            return None, "header", _("message type {rawType!r}").format(rawType=rawType)
        if size > self.maxBodyBytes:
            return None, "size", _("a body of {size} bytes (the limit is {maxBodyBytes})").format(size=size, maxBodyBytes=self.maxBodyBytes)
        return _Header(version, typeName, readableName(rawName), seconds + fraction / 4294967296.0, size, checksum), "", ""

    def _search(self, kind: str, reason: str, now: float) -> None:
        """Step to the next place that may be a header: a version number of two bytes followed by a letter."""
        if not self._searching:
            self._searching = True
            self._note(
                kind,
                _("Not an OpenIGTLink header: {reason}. Searching for the next one.").format(reason=reason),
                now,
            )
        begin = self._start + 1
        position = self._end - HEADER_BYTES + 1
        for version in (1, 2):
            found = self._chunk.find(bytes((0, version)), begin, self._end)
            if found >= 0:
                position = min(position, found)
        position = max(position, begin)
        self.skippedBytes += position - self._start
        self._start = position

    def _finish(self, body: memoryview, now: float, messages: list[OpenIGTLinkMessage]) -> None:
        header = self._header
        self._header = None
        assert header is not None
        if self.checkCrc and crc64(body) != header.checksum:
            label = f"{header.typeName} {header.deviceName}".strip()
            self._note("crc", _("{label}: the checksum does not match; the message was left out.").format(label=label), now)
            return
        try:
            message = _decodeBody(header.version, header.typeName, header.deviceName, header.timestampSec, body, now)
        except MalformedMessageError as error:
            self._note("content", str(error), now)
            return
        self.messageCount += 1
        messages.append(message)

    def _note(self, kind: str, text: str, now: float) -> None:
        self.problemCount += 1
        self.problems.append(StreamProblem(kind, text, now))


@functools.lru_cache(maxsize=256)
def _typeName(raw: bytes) -> str:
    """Type name of the header's 12 bytes, empty where they cannot be one."""
    name = raw.rstrip(b"\0")
    return name.decode("ascii") if _TYPE_CHARACTERS.issuperset(name) else ""


@functools.lru_cache(maxsize=1024)
def readableName(raw: bytes) -> str:
    """Device name of the header's 20 bytes; undecodable bytes become U+FFFD."""
    return raw.split(b"\0", 1)[0].decode("utf-8", errors="replace")


def readAll(data: bytes) -> list[OpenIGTLinkMessage]:
    """All messages of a captured stream.

    :raises MalformedMessageError: at the first thing that is wrong, or when the last message is cut.
    """
    reader = MessageReader()
    messages = reader.feed(data)
    if reader.problems:
        raise MalformedMessageError(reader.problems[0].text)
    if reader._header is not None or reader._start != reader._end:
        raise MalformedMessageError(_("The stream ends in the middle of a message."))
    return messages
