"""Content of each OpenIGTLink message type: what lies between the header (and extended header) and the metadata. All big-endian."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    FloatArray,
    GetStatusMessage,
    ImageMessage,
    OpaqueMessage,
    OpenIGTLinkMessage,
    Point,
    PointMessage,
    PositionMessage,
    StartTrackingDataMessage,
    StatusMessage,
    StopTrackingDataMessage,
    StringMessage,
    TrackedTool,
    TrackingDataMessage,
    TrackingDataReplyMessage,
    TransformMessage,
)
from TranslatedText.Translation import tr as _


class MalformedMessageError(ValueError):
    """A message whose content does not fit its type."""


SCALAR_TYPES: Mapping[int, str] = {2: "i1", 3: "u1", 4: "i2", 5: "u2", 6: "i4", 7: "u4", 10: "f4", 11: "f8"}
"""IMAGE scalar-type codes and their numpy kinds."""

_SCALAR_CODES = {kind: code for code, kind in SCALAR_TYPES.items()}

_MATRIX = struct.Struct(">12f")
_IMAGE = struct.Struct(">HBBBB3H12f3H3H")
_STATUS = struct.Struct(">Hq20s")
_STRING = struct.Struct(">HH")
_POINT = struct.Struct(">64s32s4B3ff20s")
_TOOL = struct.Struct(">20sBB12f")
_START = struct.Struct(">I32s")

ASCII = 3
UTF8 = 106
"""IANA character-set numbers (MIBenum)."""

_CODECS = {ASCII: "ascii", 4: "latin-1", UTF8: "utf-8"}

Content = bytes | memoryview
Parts = list[bytes | memoryview]


def encodeText(text: str) -> tuple[int, bytes]:
    """Character-set number and bytes: ASCII where that holds the text, else UTF-8."""
    if text.isascii():
        return ASCII, text.encode("ascii")
    return UTF8, text.encode("utf-8")


def decodeText(charset: int, data: bytes) -> str:
    """Text of the bytes; bytes that do not fit the character set become U+FFFD, never an error."""
    return data.decode(_CODECS.get(charset, "utf-8"), errors="replace")


def fixedText(text: str, size: int) -> bytes:
    """UTF-8 bytes of at most ``size``, cut between characters."""
    data = text.encode("utf-8")
    if len(data) > size:
        data = data[:size].decode("utf-8", errors="ignore").encode("utf-8")
    return data


def readFixedText(data: bytes) -> str:
    """Text up to the first NUL; other bytes (uninitialised memory in PLUS's keep-alives) become U+FFFD."""
    return data.split(b"\0", 1)[0].decode("utf-8", errors="replace")


def _wireMatrix(matrix: FloatArray) -> list[float]:
    (a, b, c, d), (e, f, g, h), (i, j, k, m) = np.asarray(matrix, float)[:3].tolist()
    return [a, e, i, b, f, j, c, g, k, d, h, m]


def _readMatrix(values: tuple[float, ...]) -> FloatArray:
    tx, ty, tz, sx, sy, sz, nx, ny, nz, px, py, pz = values
    return np.array(((tx, sx, nx, px), (ty, sy, ny, py), (tz, sz, nz, pz), (0.0, 0.0, 0.0, 1.0)))


def _encodeImage(message: ImageMessage) -> Parts:
    voxels = message.voxels
    if voxels.ndim not in (3, 4):
        raise ValueError(
            _("Image {deviceName} has {ndim} dimensions; give (slices, rows, columns) or (slices, rows, columns, components).").format(
                deviceName=message.deviceName, ndim=voxels.ndim
            )
        )
    kind = voxels.dtype.str[1:]
    code = _SCALAR_CODES.get(kind)
    if code is None:
        raise ValueError(
            _("Image {deviceName} has scalar type {dtype}; OpenIGTLink carries {names}.").format(
                deviceName=message.deviceName, dtype=voxels.dtype, names=", ".join(sorted(_SCALAR_CODES))
            )
        )
    k, j, i = voxels.shape[:3]
    if max(*message.sizeIjk, i, j, k) > 0xFFFF:
        raise ValueError(
            _("Image {deviceName} of {i} x {j} x {k} voxels is too large: OpenIGTLink counts up to 65535 along an axis.").format(
                deviceName=message.deviceName, i=i, j=j, k=k
            )
        )
    components = voxels.shape[3] if voxels.ndim == 4 else 1
    voxels = np.ascontiguousarray(voxels, voxels.dtype.newbyteorder("<"))
    matrix = np.array(message.ijkToFrame, float)
    matrix[:3, 3] += matrix[:3, :3] @ ((np.array(message.sizeIjk) - 1) / 2.0)
    header = _IMAGE.pack(
        1, components, code, 2, int(message.coordinateSystem), *message.sizeIjk, *_wireMatrix(matrix), *message.offsetIjk, i, j, k
    )
    return [header, voxels.reshape(-1).view(np.uint8).data]


def _decodeImage(content: Content, name: str, common: Mapping[str, Any]) -> ImageMessage:
    if len(content) < _IMAGE.size:
        raise MalformedMessageError(_("IMAGE {name} has {count} bytes, fewer than its own header.").format(name=name, count=len(content)))
    fields = _IMAGE.unpack_from(content)
    _unused, components, code, endian, coordinates = fields[:5]
    size, offset, part = fields[5:8], fields[20:23], fields[23:26]
    kind = SCALAR_TYPES.get(code)
    if kind is None or endian not in (1, 2) or components < 1:
        raise MalformedMessageError(
            _("IMAGE {name} has scalar type {code}, byte order {endian}, {components} components: not an image this program reads.").format(
                name=name, code=code, endian=endian, components=components
            )
        )
    dtype = np.dtype((">" if endian == 1 else "<") + kind)
    expected = part[0] * part[1] * part[2] * components * dtype.itemsize
    if expected == 0:
        raise MalformedMessageError(
            _("IMAGE {name} of {i} x {j} x {k} voxels is empty.").format(name=name, i=part[0], j=part[1], k=part[2])
        )
    if any(offset[axis] + part[axis] > size[axis] for axis in range(3)):
        raise MalformedMessageError(
            _("IMAGE {name}: the part {part} at {offset} does not lie within the image {size}.").format(
                name=name, part=part, offset=offset, size=size
            )
        )
    if len(content) - _IMAGE.size < expected:
        raise MalformedMessageError(
            _("IMAGE {name} should hold {expected} bytes of voxels and holds {count}.").format(
                name=name, expected=expected, count=len(content) - _IMAGE.size
            )
        )
    voxels = np.frombuffer(content, dtype, expected // dtype.itemsize, _IMAGE.size)
    shape = (part[2], part[1], part[0])
    voxels = voxels.reshape(shape if components == 1 else (*shape, components))
    if not dtype.isnative:
        voxels = voxels.astype(dtype.newbyteorder("="))
    matrix = _readMatrix(fields[8:20])
    matrix[:3, 3] -= matrix[:3, :3] @ ((np.array(size) - 1) / 2.0)
    full = None if part == size else size
    return ImageMessage(name, voxels, matrix, coordinateSystem=coordinates, fullSizeIjk=full, offsetIjk=offset, **common)


def _encodePoints(message: PointMessage) -> Parts:
    return [
        b"".join(
            _POINT.pack(fixedText(p.name, 64), fixedText(p.group, 32), *p.rgba, *p.positionMm, p.diameterMm, fixedText(p.owner, 20))
            for p in message.points
        )
    ]


def _decodePoints(content: Content, name: str, common: Mapping[str, Any]) -> PointMessage:
    if len(content) % _POINT.size:
        raise MalformedMessageError(
            _("POINT {name} has {count} bytes, not a multiple of {pointSize}.").format(name=name, count=len(content), pointSize=_POINT.size)
        )
    points = []
    for label, group, r, g, b, a, x, y, z, diameter, owner in _POINT.iter_unpack(content):
        points.append(Point(readFixedText(label), (x, y, z), readFixedText(group), (r, g, b, a), diameter, readFixedText(owner)))
    return PointMessage(name, tuple(points), **common)


def _decodeTrackingData(content: Content, name: str, common: Mapping[str, Any]) -> TrackingDataMessage:
    if len(content) % _TOOL.size:
        raise MalformedMessageError(
            _("TDATA {name} has {count} bytes, not a multiple of {toolSize}.").format(name=name, count=len(content), toolSize=_TOOL.size)
        )
    tools = [
        TrackedTool(readFixedText(label), _readMatrix(tuple(values)), kind) for label, kind, _unused, *values in _TOOL.iter_unpack(content)
    ]
    return TrackingDataMessage(name, tuple(tools), **common)


def _decodeTransform(content: Content, name: str, common: Mapping[str, Any]) -> TransformMessage:
    if len(content) != _MATRIX.size:
        raise MalformedMessageError(
            _("TRANSFORM {name} has {count} bytes of content instead of {matrixSize}.").format(
                name=name, count=len(content), matrixSize=_MATRIX.size
            )
        )
    return TransformMessage(name, _readMatrix(_MATRIX.unpack(content)), **common)


def _encodePosition(message: PositionMessage) -> Parts:
    return [struct.pack(">7f", *(float(v) for v in message.positionMm), *(float(v) for v in message.quaternionXyzw))]


def _decodePosition(content: Content, name: str, common: Mapping[str, Any]) -> PositionMessage:
    if len(content) == 12:  # position alone
        return PositionMessage(name, np.array(struct.unpack(">3f", content)), np.array([0.0, 0.0, 0.0, 1.0]), **common)
    if len(content) == 24:  # the quaternion's scalar part follows from its unit length
        values = np.array(struct.unpack(">6f", content))
        scalar = float(np.sqrt(max(0.0, 1.0 - float(values[3:] @ values[3:]))))
        return PositionMessage(name, values[:3], np.array([*values[3:], scalar]), **common)
    if len(content) == 28:
        values = np.array(struct.unpack(">7f", content))
        return PositionMessage(name, values[:3], values[3:], **common)
    raise MalformedMessageError(
        _("POSITION {name} has {count} bytes of content instead of 12, 24 or 28.").format(name=name, count=len(content))
    )


def _decodeQtrans(content: Content, name: str, common: Mapping[str, Any]) -> PositionMessage:
    return _decodePosition(content, name, {**common, "wireTypeName": "QTRANS"})


def _encodeString(message: StringMessage) -> Parts:
    charset, data = encodeText(message.text)
    if len(data) > 0xFFFF:
        raise ValueError(
            _("STRING {deviceName} has {count} bytes; OpenIGTLink carries up to 65535.").format(
                deviceName=message.deviceName, count=len(data)
            )
        )
    return [_STRING.pack(charset, len(data)) + data]


def _decodeString(content: Content, name: str, common: Mapping[str, Any]) -> StringMessage:
    if len(content) < _STRING.size:
        raise MalformedMessageError(_("STRING {name} has {count} bytes, fewer than its own header.").format(name=name, count=len(content)))
    charset, length = _STRING.unpack_from(content)
    if _STRING.size + length > len(content):
        raise MalformedMessageError(
            _("STRING {name} announces {length} bytes and holds {count}.").format(
                name=name, length=length, count=len(content) - _STRING.size
            )
        )
    return StringMessage(name, decodeText(charset, bytes(content[_STRING.size : _STRING.size + length])), **common)


def _encodeStatus(message: StatusMessage) -> Parts:
    return [_STATUS.pack(message.code, message.subCode, fixedText(message.errorName, 20)) + message.text.encode("utf-8") + b"\0"]


def _decodeStatus(content: Content, name: str, common: Mapping[str, Any]) -> StatusMessage:
    if len(content) < _STATUS.size:
        raise MalformedMessageError(
            _("STATUS {name} has {count} bytes, fewer than {statusSize}.").format(name=name, count=len(content), statusSize=_STATUS.size)
        )
    code, subCode, errorName = _STATUS.unpack_from(content)
    return StatusMessage(name, code, subCode, readFixedText(errorName), readFixedText(bytes(content[_STATUS.size :])), **common)


def _encodeStart(message: StartTrackingDataMessage) -> Parts:
    return [_START.pack(message.resolution, fixedText(message.coordinateName, 32))]


def _decodeStart(content: Content, name: str, common: Mapping[str, Any]) -> StartTrackingDataMessage:
    if len(content) != _START.size:
        raise MalformedMessageError(
            _("STT_TDATA {name} has {count} bytes of content instead of {startSize}.").format(
                name=name, count=len(content), startSize=_START.size
            )
        )
    resolution, coordinates = _START.unpack(content)
    return StartTrackingDataMessage(name, resolution, readFixedText(coordinates), **common)


def _decodeReply(content: Content, name: str, common: Mapping[str, Any]) -> TrackingDataReplyMessage:
    if len(content) < 1:
        raise MalformedMessageError(_("RTS_TDATA {name} is empty.").format(name=name))
    return TrackingDataReplyMessage(name, content[0], **common)


_DECODERS: Mapping[str, Callable[[Content, str, Mapping[str, Any]], OpenIGTLinkMessage]] = {
    "TRANSFORM": _decodeTransform,
    "POSITION": _decodePosition,
    "QTRANS": _decodeQtrans,
    "IMAGE": _decodeImage,
    "STRING": _decodeString,
    "STATUS": _decodeStatus,
    "POINT": _decodePoints,
    "TDATA": _decodeTrackingData,
    "STT_TDATA": _decodeStart,
    "STP_TDATA": lambda content, name, common: StopTrackingDataMessage(name, **common),
    "RTS_TDATA": _decodeReply,
    "GET_STATUS": lambda content, name, common: GetStatusMessage(name, **common),
}


def decodeContent(typeName: str, name: str, content: Content, common: Mapping[str, Any]) -> OpenIGTLinkMessage:
    """Message of a content.

    :param common: further fields of every message (timestampSec, metadata, ...).
    :raises MalformedMessageError: naming type, device and what does not fit.
    """
    decoder = _DECODERS.get(typeName)
    if decoder is None:
        return OpaqueMessage(name, typeName, bytes(content), **common)
    return decoder(content, name, common)


def encodeContent(message: OpenIGTLinkMessage) -> Parts:
    """Content of a message, in pieces so that voxels are not copied.

    :raises ValueError: when a value does not fit the format.
    """
    try:
        return _encodeContent(message)
    except (OverflowError, struct.error) as error:
        raise ValueError(
            _("{messageType} {deviceName} holds a number that the format cannot carry: {error}.").format(
                messageType=message.messageType, deviceName=message.deviceName, error=error
            )
        ) from error


def _encodeContent(message: OpenIGTLinkMessage) -> Parts:
    if isinstance(message, TransformMessage):
        return [_MATRIX.pack(*_wireMatrix(message.matrix))]
    if isinstance(message, ImageMessage):
        return _encodeImage(message)
    if isinstance(message, PositionMessage):
        return _encodePosition(message)
    if isinstance(message, StringMessage):
        return _encodeString(message)
    if isinstance(message, StatusMessage):
        return _encodeStatus(message)
    if isinstance(message, PointMessage):
        return _encodePoints(message)
    if isinstance(message, TrackingDataMessage):
        return [b"".join(_TOOL.pack(fixedText(tool.name, 20), tool.toolType, 0, *_wireMatrix(tool.matrix)) for tool in message.tools)]
    if isinstance(message, StartTrackingDataMessage):
        return _encodeStart(message)
    if isinstance(message, TrackingDataReplyMessage):
        return [struct.pack(">B", message.errorCode)]
    if isinstance(message, OpaqueMessage):
        return [message.content]
    if isinstance(message, (GetStatusMessage, StopTrackingDataMessage)):
        return []
    raise ValueError(_("Messages of class {name} cannot be sent.").format(name=type(message).__name__))
