"""The OpenIGTLink messages the program sends and receives, as frozen dataclasses.

Matrices are 4x4 float64, lengths millimetres. Streams of PLUS name a transform ``FromToTo``; its matrix maps points of *From* to *To*.
Timestamps are Unix seconds (UTC) of acquisition at the sender, 0 where the sender gave none; ``arrivalSec`` is this machine's monotonic
clock at the moment the last byte came in, 0 for a message that was not received.
Layouts: OpenIGTLink protocol, http://openigtlink.org/developers/spec (versions 1 to 3; header versions 1 and 2).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class StatusCode(enum.IntEnum):
    """The codes of STATUS messages that the program meets; others stay plain numbers."""

    INVALID = 0
    OK = 1
    UNKNOWN_ERROR = 2
    NOT_FOUND = 4
    NOT_READY = 13
    DEVICE_ERROR = 16


class CoordinateSystem(enum.IntEnum):
    """World axes an image says it uses. PLUS always says RAS whatever the frame; Slicer's receiver ignores the field."""

    RAS = 1
    LPS = 2


@dataclass(frozen=True, eq=False)
class OpenIGTLinkMessage:
    """What every message carries."""

    typeName: ClassVar[str] = ""

    deviceName: str
    timestampSec: float = field(default=0.0, kw_only=True)
    metadata: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    headerVersion: int = field(default=1, kw_only=True)
    messageId: int = field(default=0, kw_only=True)
    arrivalSec: float = field(default=0.0, kw_only=True)

    @property
    def messageType(self) -> str:
        """Type name as in the header, such as TRANSFORM."""
        return self.typeName

    @property
    def key(self) -> tuple[str, str]:
        """(type, device name): one device name may carry a TRANSFORM and a POSITION."""
        return (self.messageType, self.deviceName)


@dataclass(frozen=True, eq=False)
class TransformMessage(OpenIGTLinkMessage):
    """TRANSFORM: ``matrix`` (4, 4); its values were 32-bit floats on the wire."""

    typeName: ClassVar[str] = "TRANSFORM"

    matrix: FloatArray

    @property
    def transformStatus(self) -> str:
        """PLUS's TransformStatus (OK, MISSING, OUT_OF_VIEW ...), empty where none came (always so in header version 1)."""
        return self.metadata.get("TransformStatus", "")

    @property
    def transformValid(self) -> bool | None:
        """PLUS's TransformValid; None where none came: unknown, not valid."""
        return parseValidity(self.metadata.get("TransformValid"))


@dataclass(frozen=True, eq=False)
class PositionMessage(OpenIGTLinkMessage):
    """POSITION (also sent as QTRANS): ``positionMm`` (3,), ``quaternionXyzw`` (4,) of unit length."""

    typeName: ClassVar[str] = "POSITION"

    positionMm: FloatArray
    quaternionXyzw: FloatArray
    wireTypeName: str = field(default="POSITION", kw_only=True)

    @property
    def messageType(self) -> str:
        return self.wireTypeName

    @property
    def transformStatus(self) -> str:
        return self.metadata.get("TransformStatus", "")


@dataclass(frozen=True, eq=False)
class ImageMessage(OpenIGTLinkMessage):
    """IMAGE.

    ``voxels`` is (k, j, i) or (k, j, i, components); a received array belongs to this message alone and is never reused.
    ``ijkToFrame`` (4, 4) maps the voxel index (i, j, k, 1) of voxel **centres** of the whole image to millimetres of the frame the image
    is sent in (for a PLUS device name ``Image_Reference``: Reference). On the wire the position is that of the image's centre.
    A message may carry a part of the image: ``fullSizeIjk`` is the size of the whole, ``offsetIjk`` where ``voxels`` belong in it.
    """

    typeName: ClassVar[str] = "IMAGE"

    voxels: npt.NDArray[Any]
    ijkToFrame: FloatArray
    coordinateSystem: int = field(default=CoordinateSystem.RAS, kw_only=True)
    fullSizeIjk: tuple[int, int, int] | None = field(default=None, kw_only=True)
    offsetIjk: tuple[int, int, int] = field(default=(0, 0, 0), kw_only=True)

    @property
    def sizeIjk(self) -> tuple[int, int, int]:
        """Size of the whole image: columns, rows, slices."""
        if self.fullSizeIjk is not None:
            return self.fullSizeIjk
        k, j, i = self.voxels.shape[:3]
        return (i, j, k)

    @property
    def isWhole(self) -> bool:
        """Whether ``voxels`` holds the whole image."""
        k, j, i = self.voxels.shape[:3]
        return self.sizeIjk == (i, j, k) and self.offsetIjk == (0, 0, 0)


@dataclass(frozen=True, eq=False)
class StringMessage(OpenIGTLinkMessage):
    """STRING; PLUS answers text commands with ``ACK_<id>``."""

    typeName: ClassVar[str] = "STRING"

    text: str


@dataclass(frozen=True, eq=False)
class StatusMessage(OpenIGTLinkMessage):
    """STATUS. In PLUS's keep-alives ``subCode`` and ``errorName`` are uninitialised memory: only ``code`` means something."""

    typeName: ClassVar[str] = "STATUS"

    code: int = StatusCode.OK
    subCode: int = 0
    errorName: str = ""
    text: str = ""


@dataclass(frozen=True)
class Point:
    """One element of a POINT message: position and diameter in mm, colour 0-255."""

    name: str
    positionMm: tuple[float, float, float]
    group: str = ""
    rgba: tuple[int, int, int, int] = (255, 255, 255, 255)
    diameterMm: float = 0.0
    owner: str = ""


@dataclass(frozen=True, eq=False)
class PointMessage(OpenIGTLinkMessage):
    """POINT: a list of named points."""

    typeName: ClassVar[str] = "POINT"

    points: tuple[Point, ...]


@dataclass(frozen=True, eq=False)
class TrackedTool:
    """One element of a TDATA message. ``toolType``: 1 tracker, 2 6-DOF instrument, 3 3-DOF, 4 5-DOF. The name is cut to 20 bytes."""

    name: str
    matrix: FloatArray
    toolType: int = 2


@dataclass(frozen=True, eq=False)
class TrackingDataMessage(OpenIGTLinkMessage):
    """TDATA: several poses in one message; PLUS adds the metadata ``<Name>Status`` in header version 2."""

    typeName: ClassVar[str] = "TDATA"

    tools: tuple[TrackedTool, ...]

    def toolStatus(self, name: str) -> str:
        """PLUS status of one element, empty where none came. The metadata key holds the whole name, the element its first 20 bytes."""
        exact = self.metadata.get(f"{name}Status")
        if exact is not None:
            return exact
        if len(name) < 20:
            return ""
        candidates = [key for key in self.metadata if key.startswith(name) and key.endswith("Status")]
        return self.metadata[candidates[0]] if len(candidates) == 1 else ""


@dataclass(frozen=True, eq=False)
class StartTrackingDataMessage(OpenIGTLinkMessage):
    """STT_TDATA. ``resolution`` is milliseconds by the specification but acts as seconds in PlusServer: send 0 for every frame."""

    typeName: ClassVar[str] = "STT_TDATA"

    resolution: int = 0
    coordinateName: str = ""


@dataclass(frozen=True, eq=False)
class StopTrackingDataMessage(OpenIGTLinkMessage):
    """STP_TDATA."""

    typeName: ClassVar[str] = "STP_TDATA"


@dataclass(frozen=True, eq=False)
class TrackingDataReplyMessage(OpenIGTLinkMessage):
    """RTS_TDATA: the answer to STT_TDATA and STP_TDATA; ``errorCode`` 0 is success."""

    typeName: ClassVar[str] = "RTS_TDATA"

    errorCode: int = 0


@dataclass(frozen=True, eq=False)
class GetStatusMessage(OpenIGTLinkMessage):
    """GET_STATUS. Sent with header version 2 it makes PlusServer send metadata from then on."""

    typeName: ClassVar[str] = "GET_STATUS"


@dataclass(frozen=True, eq=False)
class OpaqueMessage(OpenIGTLinkMessage):
    """A type the program does not read: the content passes through as bytes, without extended header and metadata."""

    wireTypeName: str
    content: bytes

    @property
    def messageType(self) -> str:
        return self.wireTypeName


def parseValidity(text: str | None) -> bool | None:
    """PLUS writes 1 or 0, other senders true or false; None for anything else."""
    if text is None:
        return None
    word = text.strip().lower()
    if word in ("1", "true", "ok", "yes"):
        return True
    if word in ("0", "false", "no"):
        return False
    return None
