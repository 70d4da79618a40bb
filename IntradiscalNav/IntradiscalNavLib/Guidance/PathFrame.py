"""The planned path from skin entry to target, with axes that stay still while the needle turns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, invertRigid, rigidFrom, transformPoints
from TranslatedText.Translation import tr as _

SHORTEST_PATH_MM = 1.0
"""A path shorter than this has no usable direction."""

PARALLEL_SINE = 0.05
"""Below this sine (about 3 degrees) an axis is too nearly parallel to the path to orient a view by it."""


def crossProduct(first: FloatArray, second: FloatArray) -> FloatArray:
    """Cross product of two 3-vectors. (numpy's own takes twenty times as long for single vectors, and it is needed at every tick.)"""
    ax, ay, az = first.tolist()
    bx, by, bz = second.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def vectorLength(vector: FloatArray) -> float:
    """Length of one vector, in a quarter of the time of ``np.linalg.norm``."""
    return math.sqrt(vector @ vector)


def directionBetween(fromPointRas: npt.ArrayLike, toPointRas: npt.ArrayLike) -> FloatArray:
    """Unit vector from one point to another (RAS).

    :raises ValueError: when the points coincide or hold NaN.
    """
    difference = np.asarray(toPointRas, float) - np.asarray(fromPointRas, float)
    length = float(np.linalg.norm(difference))
    if not np.isfinite(length) or length < 1e-9:
        raise ValueError(_("The two points give no direction: they coincide or are not finite. Place them apart."))
    result: FloatArray = difference / length
    return result


def uprightAxes(directionRas: npt.ArrayLike, preferredRightRas: npt.ArrayLike = (1.0, 0.0, 0.0)) -> FloatArray:
    """3x3 rotation whose columns are right, down and the given direction, without roll, as one sees looking along the direction.

    *Right* is the preferred axis made perpendicular to the direction; where the two are nearly parallel, patient superior
    takes its place. Only the direction enters, never the roll of a tool, so a view built on it can't turn with the needle.
    """
    forward = np.asarray(directionRas, float)
    forward = forward / vectorLength(forward)
    for candidate in (np.asarray(preferredRightRas, float), np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])):
        right = candidate - (candidate @ forward) * forward
        length = vectorLength(right)
        if length > PARALLEL_SINE * vectorLength(candidate):
            right = right / length
            break
    down = crossProduct(forward, right)
    return np.column_stack([right, down, forward])


@dataclass(frozen=True, eq=False)
class PathFrame:
    """Straight planned path.

    ``pathToRas`` has its origin at the target, +Z along the path (entry to target) and +X as near to patient right as the path
    allows, so +X is what an operator looking along the path sees to the right, and +Y what is seen below.
    """

    entryRas: FloatArray
    targetRas: FloatArray
    pathToRas: FloatArray
    lengthMm: float

    @property
    def directionRas(self) -> FloatArray:
        """Unit vector from entry to target."""
        return self.pathToRas[:3, 2]

    @cached_property
    def rasToPath(self) -> FloatArray:
        return invertRigid(self.pathToRas)

    def toPath(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Points (..., 3) in path coordinates: right, down, and depth past the target (negative before it), mm."""
        return transformPoints(self.rasToPath, pointsRas)

    def depthFromEntryMm(self, pointRas: npt.ArrayLike) -> float:
        """Depth along the path counted from the skin entry; negative outside the body."""
        return float(self.toPath(pointRas)[2]) + self.lengthMm


def pathFrame(entryRas: npt.ArrayLike, targetRas: npt.ArrayLike) -> PathFrame:
    """Path of a planned trajectory.

    :raises ValueError: when a point is not three finite numbers or the path is shorter than 1 mm.
    """
    entry, target = np.array(entryRas, float), np.array(targetRas, float)
    for name, point in (("entry", entry), ("target", target)):
        if point.shape != (3,) or not np.isfinite(point).all():
            raise ValueError(
                _("The {name} point of the path must be three finite numbers in RAS mm, not {point!r}. Plan the path again.").format(
                    name=name, point=point
                )
            )
    lengthMm = float(np.linalg.norm(target - entry))
    if lengthMm < SHORTEST_PATH_MM:
        raise ValueError(
            _("The planned path is {lengthMm:.3g} mm long. Place entry and target at least {shortestPathMm:g} mm apart.").format(
                lengthMm=lengthMm, shortestPathMm=SHORTEST_PATH_MM
            )
        )
    axes = uprightAxes((target - entry) / lengthMm)
    return PathFrame(entry, target, rigidFrom(axes, target), lengthMm)
