"""Independent check of a probe calibration with a wire phantom: do the wires seen in the pictures lie where the wires are?"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.ProbeCalibration import readPlusXml
from FusionRegistrationLib.RigidTransform import FloatArray, checkRigid, invertRigid
from TranslatedText.Translation import tr as _

PASS_MEAN_MM = 1.0
"""Mean distance of seen points from their wires that passes; PLUS's own N-wire calibrations reach 0.4-0.6 mm."""


@dataclasses.dataclass(frozen=True)
class Wire:
    """A wire between two points of the phantom's frame, mm."""

    name: str
    front: tuple[float, float, float]
    back: tuple[float, float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class WirePicture:
    """Pixels (column, row) of the wires seen in one picture, and the probe's pose at that moment."""

    wireNames: tuple[str, ...]
    pixels: FloatArray
    probeToReference: FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class WireCheck:
    """Distances (mm) of the seen points from their wires, with the mean per wire; ``passed`` when the mean is within the limit."""

    distancesMm: FloatArray
    meanMm: float
    p95Mm: float
    meanPerWireMm: dict[str, float]
    pictureCount: int
    limitMm: float
    passed: bool
    message: str


def readWires(path: str | pathlib.Path) -> dict[str, Wire]:
    """Wires of a PLUS phantom definition or of any PLUS file that contains one.

    :raises ValueError: unreadable, or no wires in it.
    """
    wires: dict[str, Wire] = {}
    for element in readPlusXml(path).iter("Wire"):
        front, back = element.get("EndPointFront"), element.get("EndPointBack")
        if front and back:
            name = element.get("Name", "")
            wires[name] = Wire(name, _triple(front, path), _triple(back, path))
    if not wires:
        raise ValueError(_("{path} holds no wires of a phantom.").format(path=path))
    return wires


def readWirePictures(path: str | pathlib.Path) -> tuple[WirePicture, ...]:
    """Segmented pictures of a PLUS probe-calibration result (both its calibration and validation frames).

    :raises ValueError: unreadable, or no segmented picture in it.
    """
    pictures: list[WirePicture] = []
    for frame in readPlusXml(path).iter("Frame"):
        if frame.get("SegmentationStatus") != "OK":
            continue
        found = frame.find("SegmentedPoints")
        fields = {f.get("Name"): f.get("Value", "") for f in frame.iter("CustomFrameField")}
        if found is None or "ProbeToTrackerTransform" not in fields or "ReferenceToTrackerTransform" not in fields:
            continue
        if fields.get("ProbeToTrackerTransformStatus") != "OK" or fields.get("ReferenceToTrackerTransformStatus") != "OK":
            continue
        points = list(found.iter("Point"))
        probe, reference = (np.array(fields[f"{n}ToTrackerTransform"].split(), float).reshape(4, 4) for n in ("Probe", "Reference"))
        pictures.append(
            WirePicture(
                tuple(p.get("WireName", "") for p in points),
                np.array([p.get("Position", "").split()[:2] for p in points], float),
                invertRigid(reference) @ probe,
            )
        )
    if not pictures:
        raise ValueError(_("{path} holds no segmented picture.").format(path=path))
    return tuple(pictures)


def checkWires(
    imageToProbe: npt.ArrayLike,
    phantomToReference: npt.ArrayLike,
    wires: dict[str, Wire],
    pictures: Sequence[WirePicture],
    *,
    limitMm: float = PASS_MEAN_MM,
) -> WireCheck:
    """Carry every seen pixel through image, probe and Reference into the phantom and measure its distance from its wire.

    :raises ValueError: unknown wire, no pictures, or a phantom pose that isn't rigid.
    """
    if not pictures:
        raise ValueError(_("No pictures of the wire phantom were given."))
    referenceToPhantom = invertRigid(checkRigid(phantomToReference, "PhantomToReference", 1e-2))
    matrix = np.asarray(imageToProbe, float)
    distances: list[float] = []
    perWire: dict[str, list[float]] = {}
    for picture in pictures:
        chain = referenceToPhantom @ picture.probeToReference @ matrix
        for name, pixel in zip(picture.wireNames, picture.pixels):
            if name not in wires:
                raise ValueError(_("The picture shows wire '{name}', which the phantom doesn't have.").format(name=name))
            place = (chain @ np.array([pixel[0], pixel[1], 0.0, 1.0]))[:3]
            front, back = np.array(wires[name].front), np.array(wires[name].back)
            along = (back - front) / np.linalg.norm(back - front)
            distance = float(np.linalg.norm(np.cross(place - front, along)))
            distances.append(distance)
            perWire.setdefault(name, []).append(distance)
    array = np.array(distances)
    meanMm = float(array.mean())
    passed = meanMm <= limitMm
    message = _("{count} points in {total} pictures lie {meanMm:.2f} mm (mean) from their wires; limit {limitMm:g} mm.").format(
        count=len(array), total=len(pictures), meanMm=meanMm, limitMm=limitMm
    )
    if not passed:
        message += _(" The probe calibration, the phantom's pose or the image orientation is wrong.")
    means = {name: float(np.mean(values)) for name, values in sorted(perWire.items())}
    return WireCheck(array, meanMm, float(np.quantile(array, 0.95)), means, len(pictures), limitMm, passed, message)


def _triple(text: str, path: str | pathlib.Path) -> tuple[float, float, float]:
    try:
        x, y, z = (float(v) for v in text.split())
    except ValueError as error:
        raise ValueError(_("{path}: '{text}' is no point of three numbers.").format(path=path, text=text)) from error
    return (x, y, z)
