"""Poses and dimensions of the simulated spine, T12 to S1.

Patient frame: x to the patient's right, y anterior, z along the patient's long axis to the head; the origin is the centre of
disc L3-L4. Vertebra frame: origin in the centre of the body (S1: in the centre of its upper endplate), x right, y anterior,
z up. A positive tilt lowers the anterior edge of an endplate.

Dimensions follow the morphometry that textbooks and CT studies agree on (bodies 42-51 mm wide, 31-35 deep, 26-27 high; discs
8-11.5 mm; interpedicular distance 22-28 mm; transverse processes 72-94 mm; facets wider apart from L1 to S1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .PhantomParameters import PhantomParameters
from .SimulatedPose import poseFromColumns

FloatArray = npt.NDArray[np.float64]

VERTEBRA_NAMES: tuple[str, ...] = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
DISC_NAMES: tuple[str, ...] = ("T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
DISC_L3_L4_TILT_DEG = -3.0


@dataclass(frozen=True)
class VertebraSize:
    """Dimensions of one vertebra in millimetres, already scaled."""

    widthMm: float
    depthMm: float
    heightMm: float
    pedicleWidthMm: float
    pedicleHeightMm: float
    pedicleMedialMm: float
    """From the mid-sagittal plane to the medial wall of the pedicle."""
    transverseSpanMm: float
    superiorFacetOuterMm: float
    """From the mid-sagittal plane to the lateral edge of the superior articular process."""
    spinousLengthMm: float
    spinousHeightMm: float


@dataclass(frozen=True)
class VertebraPose:
    """Where a vertebra is: its frame in the patient frame and its size. For S1 the origin is the centre of the upper endplate."""

    name: str
    vertebraToPatient: FloatArray
    wedgeDeg: float
    size: VertebraSize


@dataclass(frozen=True)
class DiscPose:
    """Where a disc is: its frame in the patient frame (z along the disc's axis, up), height, wedge and radii."""

    name: str
    discToPatient: FloatArray
    heightMm: float
    wedgeDeg: float
    semiWidthMm: float
    semiDepthMm: float


@dataclass(frozen=True)
class SpineGeometry:
    """All poses of the simulated spine, keyed by name (``L4``, ``L4-L5``)."""

    vertebrae: dict[str, VertebraPose]
    discs: dict[str, DiscPose]


#          width depth height pedW  pedH  pedMedial TPspan facetOuter spLength spHeight
_SIZES: dict[str, tuple[float, ...]] = {
    "T12": (41.0, 30.5, 25.0, 8.0, 15.5, 10.8, 60.0, 15.5, 27.0, 19.0),
    "L1": (42.0, 31.0, 26.0, 8.5, 15.0, 11.0, 72.0, 16.5, 29.0, 20.0),
    "L2": (44.0, 32.0, 27.0, 9.0, 15.0, 11.3, 80.0, 17.5, 30.0, 21.0),
    "L3": (46.0, 33.5, 27.0, 10.5, 14.5, 11.8, 94.0, 18.4, 30.0, 21.0),
    "L4": (48.5, 34.5, 27.0, 13.0, 14.5, 12.6, 88.0, 20.0, 27.0, 18.0),
    "L5": (51.0, 35.0, 26.0, 16.5, 14.0, 13.8, 90.0, 23.8, 21.0, 13.0),
    "S1": (51.0, 33.0, 30.0, 18.0, 16.0, 15.0, 0.0, 28.4, 14.0, 12.0),
}
_BODY_WEDGE_DEG: dict[str, float] = {"T12": -2.0, "L1": -2.0, "L2": 0.0, "L3": 1.0, "L4": 4.0, "L5": 7.0}
_DISC_HEIGHT_MM: dict[str, float] = {"T12-L1": 7.0, "L1-L2": 8.0, "L2-L3": 9.0, "L3-L4": 10.5, "L4-L5": 11.5, "L5-S1": 10.5}
_DISC_WEDGE_DEG: dict[str, float] = {"T12-L1": 3.0, "L1-L2": 5.0, "L2-L3": 6.0, "L3-L4": 8.0, "L4-L5": 10.0, "L5-S1": 12.0}
_DEFAULT_LORDOSIS_DEG = 51.0


def tiltedAxes(tiltDeg: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Right, anterior and up axis (in the patient frame) of something whose anterior edge is lowered by an angle."""
    angle = np.pi * tiltDeg / 180.0
    right = np.array([1.0, 0.0, 0.0])
    anterior = np.array([0.0, np.cos(angle), -np.sin(angle)])
    up = np.array([0.0, np.sin(angle), np.cos(angle)])
    return right, anterior, up


def buildSpineGeometry(parameters: PhantomParameters) -> SpineGeometry:
    """Chain of vertebrae and discs, starting from disc L3-L4 at the patient frame's origin, down to S1 and up to T12."""
    scale = parameters.sizeScale
    bend = parameters.lordosisDeg / _DEFAULT_LORDOSIS_DEG
    sizes = {name: VertebraSize(*(value * scale for value in values)) for name, values in _SIZES.items()}
    discHeight = {name: height * scale * parameters.discHeightScale for name, height in _DISC_HEIGHT_MM.items()}
    discWedge = {name: wedge * bend for name, wedge in _DISC_WEDGE_DEG.items()}
    bodyWedge = {name: wedge * bend for name, wedge in _BODY_WEDGE_DEG.items()}

    vertebrae: dict[str, VertebraPose] = {}
    discs: dict[str, DiscPose] = {}

    def place(name: str, center: FloatArray, tiltDeg: float) -> None:
        if "-" in name:
            upper, lower = (sizes[part] for part in name.split("-"))
            discs[name] = DiscPose(
                name,
                poseFromColumns(*tiltedAxes(tiltDeg), center),
                discHeight[name],
                discWedge[name],
                0.25 * (upper.widthMm + lower.widthMm) * 0.99,
                0.25 * (upper.depthMm + lower.depthMm) * 1.01,
            )
        else:
            vertebrae[name] = VertebraPose(name, poseFromColumns(*tiltedAxes(tiltDeg), center), bodyWedge.get(name, 0.0), sizes[name])

    def height(name: str) -> float:
        return discHeight[name] if "-" in name else sizes[name].heightMm

    def wedge(name: str) -> float:
        return discWedge[name] if "-" in name else bodyWedge[name]

    order = ["T12", "T12-L1", "L1", "L1-L2", "L2", "L2-L3", "L3", "L3-L4", "L4", "L4-L5", "L5", "L5-S1"]
    start = order.index("L3-L4")
    for step in (+1, -1):  # +1 downwards, -1 upwards
        tilt, center = DISC_L3_L4_TILT_DEG, np.zeros(3)
        if step > 0:
            place("L3-L4", center, tilt)
        index = start
        while 0 <= index + step < len(order):
            name, following = order[index], order[index + step]
            endplateTilt = tilt + step * 0.5 * wedge(name)
            endplate = center - step * 0.5 * height(name) * tiltedAxes(tilt)[2]
            tilt = endplateTilt + step * 0.5 * wedge(following)
            center = endplate - step * 0.5 * height(following) * tiltedAxes(tilt)[2]
            index += step
            place(following, center, tilt)
        if step > 0:
            sacralSlope = tilt + 0.5 * wedge("L5-S1")
            place("S1", center - 0.5 * height("L5-S1") * tiltedAxes(tilt)[2], sacralSlope)
    return SpineGeometry({name: vertebrae[name] for name in VERTEBRA_NAMES}, {name: discs[name] for name in DISC_NAMES})


def facetJoints(spine: SpineGeometry, level: str) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Centre and normal (pointing from the inferior process to the superior one) of both facet joints of a level, in the patient frame.

    The joint plane stands 45 deg to the mid-sagittal plane at every level.
    """
    lower = spine.vertebrae[level.split("-")[1]]
    jointInLower, normalInLower = facetJointInLower(lower, spine.discs[level].heightMm)
    result = {}
    for side, sign in (("left", -1.0), ("right", 1.0)):
        mirror = np.array([sign, 1.0, 1.0])
        rotation = lower.vertebraToPatient[:3, :3]
        result[side] = (rotation @ (jointInLower * mirror) + lower.vertebraToPatient[:3, 3], rotation @ (normalInLower * mirror))
    return result


def facetJointInLower(lower: VertebraPose, discHeightMm: float) -> tuple[FloatArray, FloatArray]:
    """Centre and normal of the right facet joint between a vertebra and the one above, in the lower vertebra's frame."""
    x, y = superiorProcessCenter(lower)
    endplateMm = 0.0 if lower.name == "S1" else 0.5 * lower.size.heightMm
    normal = np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)
    return np.array([x - 3.3, y - 3.3, endplateMm + 0.25 * discHeightMm]), normal


def superiorProcessCenter(vertebra: VertebraPose) -> tuple[float, float]:
    """x (right side) and y of the axis of the superior articular process, in the vertebra's frame."""
    size = vertebra.size
    return size.superiorFacetOuterMm - 4.6, -0.5 * size.depthMm - 11.4
