"""Recordings made by PLUS: ``.igs.mha``, ``.mha``, ``.igs.nrrd``, ``.seq.nrrd`` with fields per frame.

The image of a recording is brought to PLUS's standard orientation MF (column numbers grow towards the marked side of the probe, row numbers
away from it), which is what PlusServer sends and what ImageToProbe calibrations are made for.
"""

from __future__ import annotations

import gzip
import pathlib
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

_FRAME_FIELD = re.compile(r"^Seq_Frame(\d+)_(\w+)$")
_META_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_NRRD_TYPES = {
    "signed char": "i1",
    "int8": "i1",
    "unsigned char": "u1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "unsigned short": "u2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "unsigned int": "u4",
    "uint32": "u4",
    "float": "f4",
    "double": "f8",
}
MAX_VOXEL_BYTES = 16 * 1024**3


class UnreadableRecordingError(ValueError):
    """The file is no recording this program reads; the message names the file and why."""


@dataclass(frozen=True, eq=False)
class PlusRecording:
    """A recording of n frames.

    ``imageFrames``: (n, rows, columns) or (n, rows, columns, components), None when the file has no pixels.
    ``timestampsSec``: (n,) as recorded (seconds since PLUS was started).
    ``transforms``: recorded name (``ProbeToTracker``) -> (n, 4, 4), NaN in frames that have none.
    ``statuses``: name -> n status words (OK, MISSING, OUT_OF_VIEW ...; MISSING in frames that have none).
    ``frameFields``: everything recorded per frame, as text. ``fileFields``: the header.
    ``recordedOrientation``: orientation of the file; ``imageFrames`` are in MF.
    """

    path: pathlib.Path
    imageFrames: npt.NDArray[Any] | None
    timestampsSec: FloatArray
    transforms: Mapping[str, FloatArray]
    statuses: Mapping[str, tuple[str, ...]]
    imageStatuses: tuple[str, ...]
    frameFields: tuple[Mapping[str, str], ...]
    fileFields: Mapping[str, str]
    recordedOrientation: str

    @property
    def frameCount(self) -> int:
        return len(self.timestampsSec)

    @property
    def durationSec(self) -> float:
        return float(self.timestampsSec[-1] - self.timestampsSec[0]) if self.frameCount else 0.0


@dataclass(frozen=True)
class _Layout:
    fields: Mapping[str, str]
    sizes: tuple[int, ...]
    components: int
    dtype: np.dtype[Any] | None
    encoding: str
    dataFile: str
    dataOffset: int
    frameAxisFirst: bool


def readPlusRecording(path: str | pathlib.Path) -> PlusRecording:
    """Read a recording; its pixels are unpacked into memory.

    :raises UnreadableRecordingError: when the file is missing, cut, or not a PLUS recording.
    """
    path = pathlib.Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnreadableRecordingError(f"The recording {path} cannot be read: {error.strerror or error}.") from error
    if data.startswith(b"NRRD"):
        layout = _nrrdLayout(data, path)
    elif data[:4096].lstrip().startswith((b"ObjectType", b"NDims")):
        layout = _metaImageLayout(data, path)
    else:
        raise UnreadableRecordingError(f"{path} is neither a MetaImage (.mha) nor a NRRD file. Choose a recording made by PLUS.")
    frames = _frameFields(layout.fields, layout.sizes[2], path)
    transforms, statuses = _transforms(frames, path)
    voxels = _voxels(data, layout, path)
    orientation = layout.fields.get("UltrasoundImageOrientation", "MFA")
    if voxels is not None:
        voxels = orientedToMarkedFar(voxels, orientation, path)
    fileFields = {key: value for key, value in layout.fields.items() if not _FRAME_FIELD.match(key)}
    timestamps = np.array([float(frame.get("Timestamp", index)) for index, frame in enumerate(frames)])
    imageStatuses = tuple(frame.get("ImageStatus", "OK" if voxels is not None else "INVALID") for frame in frames)
    return PlusRecording(path, voxels, timestamps, transforms, statuses, imageStatuses, tuple(frames), fileFields, orientation)


def orientedToMarkedFar(voxels: npt.NDArray[Any], orientation: str, path: pathlib.Path) -> npt.NDArray[Any]:
    """Frames (n, rows, columns, ...) of a PLUS orientation brought to MF.

    The first letter tells where column numbers grow to (M marked, U unmarked side), the second where row numbers grow to (F far, N near);
    FM and the like are their transposes. The third letter, of volumes, is left alone.

    :raises UnreadableRecordingError: for letters that mean nothing.
    """
    letters = orientation.strip().upper()[:2]
    if letters in ("", "XX"):
        return voxels
    if set(letters) not in ({"M", "F"}, {"M", "N"}, {"U", "F"}, {"U", "N"}):
        raise UnreadableRecordingError(
            f"{path} has image orientation {orientation}, which is not one of MF, MN, UF, UN or their transposes."
        )
    if letters[0] in "FN":
        voxels = np.swapaxes(voxels, 1, 2)
        letters = letters[::-1]
    if letters[0] == "U":
        voxels = voxels[:, :, ::-1]
    if letters[1] == "N":
        voxels = voxels[:, ::-1]
    return np.ascontiguousarray(voxels)


def _metaImageLayout(data: bytes, path: pathlib.Path) -> _Layout:
    fields: dict[str, str] = {}
    position = 0
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            raise UnreadableRecordingError(f"{path} ends before its pixels: the file is cut.")
        key, _, value = data[position:end].decode("utf-8", errors="replace").partition("=")
        position = end + 1
        fields[key.strip()] = value.strip()
        if key.strip() == "ElementDataFile":
            break
    sizes = _sizes(fields.get("DimSize", ""), path)
    kind = _META_TYPES.get(fields.get("ElementType", ""))
    big = _isTrue(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")))
    return _Layout(
        fields,
        sizes,
        int(fields.get("ElementNumberOfChannels", "1")),
        np.dtype((">" if big else "<") + kind) if kind else None,
        "zlib" if _isTrue(fields.get("CompressedData", "False")) else "raw",
        "" if fields["ElementDataFile"] == "LOCAL" else fields["ElementDataFile"],
        position,
        False,
    )


def _nrrdLayout(data: bytes, path: pathlib.Path) -> _Layout:
    header, separator, _ = data.partition(b"\n\n")
    if not separator:
        header, separator, _ = data.partition(b"\r\n\r\n")
    if not separator:
        raise UnreadableRecordingError(f"{path} has no end of its NRRD header: the file is cut.")
    fields: dict[str, str] = {}
    for line in header.decode("utf-8", errors="replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        key, colon, value = line.partition(":=")
        if not colon:
            key, colon, value = line.partition(":")
        if colon:
            fields[key.strip()] = value.strip()
    numbers = [int(word) for word in fields.get("sizes", "").split() if word.isdigit()]
    kinds = fields.get("kinds", "").split()
    components = 1
    if len(kinds) == len(numbers) and len(numbers) > 3 and kinds[0] not in ("domain", "space", "list"):
        components, numbers, kinds = numbers[0], numbers[1:], kinds[1:]
    listFirst = bool(kinds) and kinds[0] == "list" and kinds[-1] != "list"
    if listFirst:
        numbers = [*numbers[1:], numbers[0]]
    kind = _NRRD_TYPES.get(fields.get("type", ""))
    encoding = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(fields.get("encoding", ""))
    if encoding is None:
        raise UnreadableRecordingError(f"{path} has NRRD encoding {fields.get('encoding')}; raw and gzip are read.")
    return _Layout(
        fields,
        _sizes(" ".join(str(number) for number in numbers), path),
        components,
        np.dtype((">" if fields.get("endian") == "big" else "<") + kind) if kind else None,
        encoding,
        fields.get("data file", fields.get("datafile", "")),
        len(header) + len(separator),
        listFirst,
    )


def _isTrue(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes")


def _sizes(text: str, path: pathlib.Path) -> tuple[int, ...]:
    """(columns, rows, frames); a volume of one slice per frame loses that axis."""
    words = text.split()
    if not all(word.isdigit() for word in words) or len(words) not in (3, 4):
        raise UnreadableRecordingError(f"{path} has size '{text}'; a recording has columns, rows and frames.")
    sizes = tuple(int(word) for word in words)
    if len(sizes) == 4:
        if sizes[2] != 1:
            raise UnreadableRecordingError(f"{path} holds volumes of {sizes[2]} slices per frame; recordings of plane images are read.")
        sizes = (sizes[0], sizes[1], sizes[3])
    return sizes


def _frameFields(fields: Mapping[str, str], count: int, path: pathlib.Path) -> list[dict[str, str]]:
    frames: list[dict[str, str]] = [{} for _ in range(count if count <= 1_000_000 else 0)]
    seen = False
    for key, value in fields.items():
        match = _FRAME_FIELD.match(key)
        if match:
            index = int(match.group(1))
            if index >= len(frames):
                raise UnreadableRecordingError(f"{path} has fields of frame {index} but only {count} frames.")
            frames[index][match.group(2)] = value
            seen = True
    if not seen:
        raise UnreadableRecordingError(f"{path} has no fields per frame (Seq_Frame0000_...): it is an image, not a recording made by PLUS.")
    return frames


def _transforms(frames: list[dict[str, str]], path: pathlib.Path) -> tuple[dict[str, FloatArray], dict[str, tuple[str, ...]]]:
    names = sorted({key.removesuffix("Transform") for frame in frames for key in frame if key.endswith("Transform")})
    transforms, statuses = {}, {}
    for name in names:
        matrices = np.full((len(frames), 4, 4), np.nan)
        words = []
        for index, frame in enumerate(frames):
            text = frame.get(f"{name}Transform")
            if text is None:
                words.append("MISSING")
                continue
            try:
                matrices[index] = np.array([float(word) for word in text.split()]).reshape(4, 4)
            except ValueError:
                raise UnreadableRecordingError(f"{path}: {name} of frame {index} is not 16 numbers.") from None
            words.append(frame.get(f"{name}TransformStatus", "OK"))
        transforms[name] = matrices
        statuses[name] = tuple(words)
    return transforms, statuses


def _voxels(data: bytes, layout: _Layout, path: pathlib.Path) -> npt.NDArray[Any] | None:
    columns, rows, count = layout.sizes
    if columns * rows * count == 0:
        return None
    if layout.dtype is None:
        kind = layout.fields.get("ElementType", layout.fields.get("type", "none"))
        raise UnreadableRecordingError(f"{path} has pixels of type {kind}, which is not read.")
    size = columns * rows * count * layout.components * layout.dtype.itemsize
    if size > MAX_VOXEL_BYTES:
        raise UnreadableRecordingError(f"{path} announces {size / 1024**3:.0f} GB of pixels; the limit is {MAX_VOXEL_BYTES // 1024**3} GB.")
    packed = memoryview(data)[layout.dataOffset :]
    if layout.dataFile:
        beside = path.parent / pathlib.PurePath(layout.dataFile).name
        try:
            packed = memoryview(beside.read_bytes())
        except OSError as error:
            raise UnreadableRecordingError(f"The pixels of {path} should be in {beside}: {error.strerror or error}.") from error
    raw: bytes | memoryview
    try:
        if layout.encoding == "zlib":
            raw = zlib.decompressobj().decompress(packed, size)
        elif layout.encoding == "gzip":
            raw = gzip.decompress(packed)
        else:
            raw = packed[:size]
    except (zlib.error, OSError, EOFError) as error:
        raise UnreadableRecordingError(f"The pixels of {path} cannot be unpacked ({error}): the file is damaged.") from error
    if len(raw) < size:
        raise UnreadableRecordingError(f"{path} holds {len(raw)} of {size} bytes of pixels: the file is cut.")
    voxels = np.frombuffer(raw, layout.dtype, size // layout.dtype.itemsize)
    tail = (layout.components,) if layout.components > 1 else ()
    if layout.frameAxisFirst:
        return np.ascontiguousarray(np.moveaxis(voxels.reshape(rows, columns, count, *tail), 2, 0))
    return voxels.reshape(count, rows, columns, *tail)
