"""Bytes of a raw recording: append-only chunk files of checked records.

A recording is a folder with ``recording.json`` and chunks ``chunk-000000.rec``, ``chunk-000001.rec``, ... Each chunk is a
file header followed by records. A record carries its own length and CRC-32, so that a file cut anywhere (crash, full
disk) is readable up to its last whole record, and a damaged stretch is skipped by looking for the next mark.

Times are nanoseconds of the recording's monotonic clock since its start; device times are Unix seconds as the stream
gave them (0: none). Matrices are row-major 4x4 without the last row. All numbers are little-endian.
"""

from __future__ import annotations

import enum
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FORMAT_VERSION = 1
MANIFEST_NAME = "recording.json"
FILE_HEADER = struct.Struct("<4sHHQ")  # mark, version, reserved, Unix ns of creation
FILE_MARK = b"INRC"
RECORD_HEADER = struct.Struct("<4sBBHQI")  # mark, kind, flags, stream, time ns, payload bytes; CRC-32 follows
RECORD_MARK = b"\xf5REC"
CRC = struct.Struct("<I")
COMPRESSED = 1
MAXIMUM_PAYLOAD_BYTES = 256 * 1024 * 1024

_POSE = struct.Struct("<dB12d")
_IMAGE = struct.Struct("<dBBIII12d")
_DATA_TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


class RecordKind(enum.IntEnum):
    """What a record holds. Numbers are part of the file format: never renumber."""

    STREAM = 1
    POSE = 2
    IMAGE = 3
    EVENT = 4
    TOOL_STATUS = 5
    GUIDANCE = 6


class PoseValidity(enum.IntEnum):
    """Validity of a pose as received. Numbers are part of the file format."""

    VALID = 0
    INVALID = 1
    UNKNOWN = 2


@dataclass(frozen=True)
class PoseRecord:
    """A transform as received: ``matrix`` 4x4 float64, named by its stream (``ProbeToReference``)."""

    streamName: str
    timeNs: int
    deviceTimeSec: float
    matrix: npt.NDArray[np.float64]
    validity: PoseValidity


@dataclass(frozen=True)
class ImageRecord:
    """An ultrasound image as received: pixels (slices, rows, columns), ``imageToParent`` maps pixel indices to mm."""

    streamName: str
    timeNs: int
    deviceTimeSec: float
    pixels: npt.NDArray[Any]
    imageToParent: npt.NDArray[np.float64]
    validity: PoseValidity


@dataclass(frozen=True)
class JsonRecord:
    """An event, a tool status or a set of guidance numbers."""

    kind: RecordKind
    streamName: str
    timeNs: int
    values: dict[str, Any] = field(default_factory=dict)


Record = PoseRecord | ImageRecord | JsonRecord


def encodeFileHeader(createdUnixNs: int) -> bytes:
    return FILE_HEADER.pack(FILE_MARK, FORMAT_VERSION, 0, createdUnixNs)


def checkFileHeader(data: bytes, name: str) -> None:
    """:raises ValueError: if the bytes are no chunk of a recording, or of a newer format."""
    if len(data) < FILE_HEADER.size or data[:4] != FILE_MARK:
        raise ValueError(_("{name} is no chunk of a recording.").format(name=name))
    version = FILE_HEADER.unpack_from(data)[1]
    if version > FORMAT_VERSION:
        raise ValueError(
            _("{name} was written in format {version}; this version reads up to {formatVersion}. Update IntradiscalNav.").format(
                name=name, version=version, formatVersion=FORMAT_VERSION
            )
        )


def encodeRecord(kind: RecordKind, streamNumber: int, timeNs: int, payload: bytes, flags: int = 0) -> bytes:
    header = RECORD_HEADER.pack(RECORD_MARK, kind, flags, streamNumber, timeNs, len(payload))
    return header + CRC.pack(zlib.crc32(payload, zlib.crc32(header))) + payload


def encodePose(record: PoseRecord) -> bytes:
    return _POSE.pack(record.deviceTimeSec, record.validity, *np.asarray(record.matrix, float)[:3].ravel())


def encodeImage(record: ImageRecord, compress: bool) -> tuple[bytes, int]:
    """Payload and flags of an image record. Compression is zlib level 1: lossless, about 100 MB/s on one core."""
    pixels = np.ascontiguousarray(record.pixels)
    if pixels.ndim != 3 or pixels.dtype.name not in _DATA_TYPES:
        raise ValueError(
            _("Image {streamName}: pixels must be (slices, rows, columns) of {names}; got {dtype}.").format(
                streamName=record.streamName, names=", ".join(_DATA_TYPES), dtype=pixels.dtype
            )
        )
    head = _IMAGE.pack(
        record.deviceTimeSec,
        record.validity,
        _DATA_TYPES.index(pixels.dtype.name),
        *pixels.shape,
        *np.asarray(record.imageToParent, float)[:3].ravel(),
    )
    data = pixels.tobytes()
    return head + (zlib.compress(data, 1) if compress else data), COMPRESSED if compress else 0


def encodeJson(values: dict[str, Any]) -> bytes:
    return json.dumps(values, ensure_ascii=False, allow_nan=True, separators=(",", ":")).encode()


def decodeRecord(kind: int, flags: int, streamName: str, timeNs: int, payload: bytes, withPixels: bool = True) -> Record:
    """One record; an image without its pixels has the shape (0, 0, 0).

    :raises ValueError: if the payload does not fit its kind."""
    if kind == RecordKind.POSE:
        deviceTimeSec, validity, *numbers = _POSE.unpack(payload)
        return PoseRecord(streamName, timeNs, deviceTimeSec, _matrixOf(numbers), PoseValidity(validity))
    if kind == RecordKind.IMAGE:
        deviceTimeSec, validity, dataType, slices, rows, columns, *numbers = _IMAGE.unpack_from(payload)
        if not withPixels:
            return ImageRecord(streamName, timeNs, deviceTimeSec, np.zeros((0, 0, 0), np.uint8), _matrixOf(numbers), PoseValidity(validity))
        data = payload[_IMAGE.size :]
        if flags & COMPRESSED:
            data = zlib.decompress(data)
        pixels = np.frombuffer(data, _DATA_TYPES[dataType]).reshape(slices, rows, columns)
        return ImageRecord(streamName, timeNs, deviceTimeSec, pixels, _matrixOf(numbers), PoseValidity(validity))
    return JsonRecord(RecordKind(kind), streamName, timeNs, json.loads(payload))


def _matrixOf(numbers: list[float]) -> npt.NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3] = np.reshape(numbers, (3, 4))
    return matrix
