"""Courses of the dural sac and the nerve roots of the simulated spine, in the patient frame."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .SimulatedPose import mapPoints
from .SpineGeometry import VERTEBRA_NAMES, SpineGeometry, VertebraPose

FloatArray = npt.NDArray[np.float64]

DURA_SEMI_WIDTH_MM = 8.0
DURA_SEMI_DEPTH_MM = 6.2
_ROOT_RADIUS_MM = {"L1": 1.9, "L2": 2.1, "L3": 2.3, "L4": 2.5, "L5": 2.7}


def duralCenterline(spine: SpineGeometry) -> FloatArray:
    """Centreline of the dural sac (n, 3), from above T12 down to S2, half a canal's depth behind the vertebral bodies."""
    points = []
    for name in VERTEBRA_NAMES:
        pose = spine.vertebrae[name]
        back = -0.5 * pose.size.depthMm
        heights = (-14.0, -38.0) if name == "S1" else (0.35 * pose.size.heightMm, -0.35 * pose.size.heightMm)
        offset = 9.5 if name == "S1" else 8.2
        points += [mapPoints(pose.vertebraToPatient, np.array([0.0, back - offset, z])) for z in heights]
        if name == "T12":
            points.insert(0, mapPoints(pose.vertebraToPatient, np.array([0.0, back - offset, 40.0])))
    return np.array(points)


def rootCenterline(spine: SpineGeometry, vertebra: str, side: str) -> tuple[FloatArray, float]:
    """Centreline (n, 3) and radius of the exiting root of L1..L5.

    It leaves the side of the sac above its pedicle, rounds the pedicle's medial and lower wall, lies in the upper part of the
    foramen about 3 mm before the superior articular process, and slopes outwards and forwards across the disc (Kambin's
    triangle lies below and behind it). L5 passes before the sacral ala.
    """
    upper = spine.vertebrae[vertebra]
    lower = spine.vertebrae["S1" if vertebra == "L5" else f"L{int(vertebra[1]) + 1}"]
    previous = spine.vertebrae["T12" if vertebra == "L1" else f"L{int(vertebra[1]) - 1}"]
    sign = -1.0 if side == "left" else 1.0
    half, back = 0.5 * upper.size.heightMm, -0.5 * upper.size.depthMm
    pedicleX = upper.size.pedicleMedialMm + 0.5 * upper.size.pedicleWidthMm
    pedicleLow = half - upper.size.pedicleHeightMm - 0.5
    lowerBack = -0.5 * lower.size.depthMm

    def place(pose: VertebraPose, x: float, y: float, z: float) -> FloatArray:
        return mapPoints(pose.vertebraToPatient, np.array([sign * x, y, z]))

    points = [
        place(previous, 5.5, -0.5 * previous.size.depthMm - 8.0, -0.5 * previous.size.heightMm - 1.0),
        place(upper, 7.0, back - 7.0, 0.5 * half),
        place(upper, upper.size.pedicleMedialMm - 3.2, back - 6.0, pedicleLow + 2.5),
        place(upper, pedicleX - 2.0, back - 4.4, pedicleLow - 4.2),
        place(upper, pedicleX + 4.0, back - 2.0, -half),
    ]
    if vertebra == "L5":
        points += [place(lower, 33.5, -9.0, 4.5), place(lower, 38.0, 8.0, -4.0), place(lower, 41.0, 15.0, -25.0)]
    else:
        lowerHalf = 0.5 * lower.size.heightMm
        points += [
            place(lower, pedicleX + 12.5, lowerBack + 5.0, lowerHalf),
            place(lower, pedicleX + 18.0, lowerBack + 9.0, 0.0),
            place(lower, pedicleX + 20.0, lowerBack + 14.0, -lowerHalf - 8.0),
        ]
    return _smoothed(np.array(points)), _ROOT_RADIUS_MM[vertebra]


def _smoothed(points: FloatArray) -> FloatArray:
    """Corners cut twice (Chaikin 1974); the ends stay."""
    for _ in range(2):
        first, second = points[:-1], points[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], axis=1).reshape(-1, 3)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points
