"""The angles of a needle path, defined once.

Anatomical axes at a disc: *right* is normal to the mid-sagittal plane, *superior* is the CT's cranio-caudal axis laid into that plane (so
that "axial" means the axial CT plane the radiologist sees), *anterior* completes them. Let ``v`` be the vector from skin entry to target.

- **medial inclination**: angle between ``v`` projected on the axial plane and the mid-sagittal plane, positive when the needle runs
  towards the midline. 0 deg is straight down, 90 deg is horizontal from the side.
- **caudal tilt**: angle between ``v`` and the axial plane, positive when the needle runs caudally.
- **entry distance**: of the entry from the mid-sagittal plane, straight (perpendicular) and along the skin in the entry's axial plane.

These are the terms of the published level values (L3-L4 40 deg, L4-L5 47 deg, L5-S1 52 deg; 102 MRIs).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AnatomicalAxes:
    """Right, anterior and superior unit vectors (RAS, orthonormal) with a point on the mid-sagittal plane."""

    originRas: FloatArray
    right: FloatArray
    anterior: FloatArray
    superior: FloatArray

    def matrix(self) -> FloatArray:
        """3x3 matrix with rows right, anterior, superior: ``matrix @ (p - origin)`` are the anatomical coordinates."""
        return np.stack([self.right, self.anterior, self.superior])

    def coordinates(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Anatomical coordinates (..., 3) mm of RAS points: right of the midline, anterior and superior of the origin."""
        result: FloatArray = (np.asarray(pointsRas, float) - self.originRas) @ self.matrix().T
        return result

    def points(self, coordinatesMm: npt.ArrayLike) -> FloatArray:
        """RAS points (..., 3) of anatomical coordinates."""
        result: FloatArray = np.asarray(coordinatesMm, float) @ self.matrix() + self.originRas
        return result


def axesFromSagittalPlane(originRas: npt.ArrayLike, rightNormal: npt.ArrayLike, superiorHint: npt.ArrayLike = (0, 0, 1)) -> AnatomicalAxes:
    """Axes of a mid-sagittal plane given by a point and its normal (towards the patient's right).

    :raises ValueError: when the normal is parallel to the superior hint.
    """
    right = np.asarray(rightNormal, float)
    right = right / np.linalg.norm(right)
    superior = np.asarray(superiorHint, float) - np.dot(superiorHint, right) * right
    length = float(np.linalg.norm(superior))
    if length < 1e-6:
        raise ValueError(_("The mid-sagittal plane is perpendicular to the superior direction; check the plane's normal."))
    superior = superior / length
    return AnatomicalAxes(np.asarray(originRas, float), right, np.cross(superior, right), superior)


@dataclass(frozen=True)
class PathAngles:
    """Medial inclination and caudal tilt (deg), straight entry distance from the midline (mm) and length (mm). Arrays or floats."""

    medialInclinationDeg: FloatArray
    caudalTiltDeg: FloatArray
    entryDistanceStraightMm: FloatArray
    lengthMm: FloatArray


def pathAngles(axes: AnatomicalAxes, entriesRas: npt.ArrayLike, targetsRas: npt.ArrayLike, side: str = "") -> PathAngles:
    """Angles of paths from entries (..., 3) to targets (..., 3), broadcast against each other.

    :param side: side of the approach ("left", "right"), which says where the midline is; the entry's own side when empty. It matters
        only for entries next to the midline.
    """
    entries = np.asarray(entriesRas, float)
    vector = (np.asarray(targetsRas, float) - entries) @ axes.matrix().T
    lateral = (entries - axes.originRas) @ axes.right
    sign = {"left": -1.0, "right": 1.0}[side] if side else np.sign(lateral)
    towardsMidline = -sign * vector[..., 0]
    inPlane = np.hypot(vector[..., 0], vector[..., 1])
    return PathAngles(
        np.degrees(np.arctan2(towardsMidline, vector[..., 1])),
        np.degrees(np.arctan2(-vector[..., 2], inPlane)),
        np.abs(lateral),
        np.sqrt(inPlane**2 + vector[..., 2] ** 2),
    )


def directionFromAngles(axes: AnatomicalAxes, side: str, medialInclinationDeg: float, caudalTiltDeg: float) -> FloatArray:
    """Unit vector entry-to-target (RAS) of a needle from ``side`` ("left"/"right") with the given angles: the inverse of
    ``pathAngles``."""
    medial = 1.0 if side == "left" else -1.0
    inclination, tilt = np.radians(medialInclinationDeg), np.radians(caudalTiltDeg)
    local = np.array([medial * np.sin(inclination) * np.cos(tilt), np.cos(inclination) * np.cos(tilt), -np.sin(tilt)])
    result: FloatArray = local @ axes.matrix()
    return result
