"""The marker plate on the skin as a solid that no needle may pass, out of its definition and the registration."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.MarkerPlate import MarkerPlate
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox

FloatArray = npt.NDArray[np.float64]

BORDER_MM = 10.0
"""A plate reaches beyond its outermost balls by about this (its definition doesn't tell)."""
BELOW_MM = 12.0
"""From the lowest ball down to the skin and the tape on it."""
ABOVE_MM = 15.0
"""The sensor and its cable stand above the highest ball."""


def plateKeepOut(plate: MarkerPlate, referenceToRas: npt.ArrayLike) -> KeepOutBox:
    """The box about a plate's balls, along the plate's own axes.

    :param referenceToRas: 4x4 from the frame of the plate's sensor to RAS mm: the accepted registration.
    """
    pose = np.asarray(referenceToRas, float)
    balls = plate.ballPositions @ pose[:3, :3].T + pose[:3, 3]
    centered = balls - balls.mean(axis=0)
    flattest = np.linalg.svd(centered, full_matrices=False)[2]
    if plate.outward is not None:
        normal = pose[:3, :3] @ plate.outward
    else:  # the plate lies on the back: posterior is out
        normal = -flattest[2] if flattest[2][1] > 0.0 else flattest[2]
    along = flattest[0] - (flattest[0] @ normal) * normal
    axes = _tightestAxes(centered, along / np.linalg.norm(along), normal / np.linalg.norm(normal))
    places = centered @ axes
    radius = 0.5 * plate.ballDiameterMm
    low = places.min(axis=0) - radius - [BORDER_MM, BORDER_MM, BELOW_MM]
    high = places.max(axis=0) + radius + [BORDER_MM, BORDER_MM, ABOVE_MM]
    boxToRas = np.eye(4)
    boxToRas[:3, :3] = axes
    boxToRas[:3, 3] = balls.mean(axis=0) + axes @ (0.5 * (low + high))
    return KeepOutBox(plate.name, boxToRas, high - low)


def _tightestAxes(points: FloatArray, along: FloatArray, normal: FloatArray) -> FloatArray:
    """Axes (columns) turned about the normal so that the rectangle about the points is smallest: the sides of the plate."""
    across = np.cross(normal, along)
    best, area = np.eye(3), np.inf
    for angle in np.radians(np.arange(90.0)):
        first = np.cos(angle) * along + np.sin(angle) * across
        axes = np.stack([first, np.cross(normal, first), normal], axis=1)
        size = np.ptp(points @ axes, axis=0)
        if size[0] * size[1] < area:
            best, area = axes, float(size[0] * size[1])
    return best
