"""Rigid transforms as 4x4 arrays.

A transform named ``fromToTo`` maps homogeneous column points of frame *from* to frame *to*: ``pTo = fromToTo @ pFrom``.
Lengths are millimetres; angles carry their unit in the name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

RIGID_TOLERANCE = 1e-3
"""Largest deviation of R R^T from the identity that still passes as rigid: what single-precision messages and text files carry."""


def rigidFrom(rotation: npt.ArrayLike, translationMm: npt.ArrayLike) -> FloatArray:
    """4x4 transform of a 3x3 rotation and a 3-vector translation (mm)."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.asarray(rotation, float)
    matrix[:3, 3] = np.asarray(translationMm, float)
    return matrix


def invertRigid(fromToTo: npt.ArrayLike) -> FloatArray:
    """Inverse of a rigid 4x4 transform: ``toToFrom``. Exact transpose, no general inversion."""
    matrix = np.asarray(fromToTo, float)
    rotation = matrix[:3, :3].T
    return rigidFrom(rotation, -rotation @ matrix[:3, 3])


def transformPoints(fromToTo: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Map points (..., 3) of frame *from* to frame *to* (any affine 4x4)."""
    matrix = np.asarray(fromToTo, float)
    result: FloatArray = np.asarray(points, float) @ matrix[:3, :3].T + matrix[:3, 3]
    return result


def transformVectors(fromToTo: npt.ArrayLike, vectors: npt.ArrayLike) -> FloatArray:
    """Map direction vectors (..., 3): rotation only, no translation."""
    result: FloatArray = np.asarray(vectors, float) @ np.asarray(fromToTo, float)[:3, :3].T
    return result


def rotationFromVector(rotationVectorRad: Sequence[float] | FloatArray) -> FloatArray:
    """3x3 rotation about the axis of the vector by its length in radians (Rodrigues 1840)."""
    vector = np.asarray(rotationVectorRad, float)
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-12:
        return np.eye(3) + cross
    sinc = np.sin(angle) / angle
    versine = 2.0 * (np.sin(angle / 2.0) / angle) ** 2
    result: FloatArray = np.eye(3) + sinc * cross + versine * (cross @ cross)
    return result


def rotationAngleDeg(fromToTo: npt.ArrayLike) -> float:
    """Rotation angle in degrees, [0, 180], of a 3x3 or 4x4 rigid matrix. Accurate also near zero."""
    rotation = np.asarray(fromToTo, float)[:3, :3]
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    return float(np.degrees(np.arctan2(np.linalg.norm(skew), np.trace(rotation) - 1.0)))


def whyNotRigid(matrix: npt.ArrayLike, tolerance: float = RIGID_TOLERANCE) -> str:
    """Reason why a 4x4 matrix is no rigid transform, or an empty string. Never raises.

    In plain numbers, as every pose of a stream passes here: array operations on nine numbers take several times as long.
    """
    try:
        array = np.asarray(matrix, float)
    except (TypeError, ValueError):
        return _("it is not a matrix of numbers")
    if array.shape != (4, 4):
        return _("its shape is {arrayShape}, not (4, 4)").format(arrayShape=array.shape)
    if not all(map(math.isfinite, array.ravel().tolist())):
        return _("it holds NaN or infinite values")
    (a, b, c, _unused), (d, e, f, _unused), (g, h, i, _unused), (x, y, z, one) = array.tolist()
    if max(abs(x), abs(y), abs(z)) > 1e-6 or abs(one - 1.0) > 1.1e-5:
        return _("its last row is not 0 0 0 1")
    lengths = (a * a + b * b + c * c, d * d + e * e + f * f, g * g + h * h + i * i)
    products = (a * d + b * e + c * f, a * g + b * h + c * i, d * g + e * h + f * i)
    deviation = max(*(abs(length - 1.0) for length in lengths), *map(abs, products))
    if deviation > tolerance:
        return _("its axes are not orthonormal (deviation {deviation:.3g})").format(deviation=deviation)
    if a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) < 0:
        return _("it is mirrored (determinant -1)")
    return ""


def checkRigid(matrix: npt.ArrayLike, name: str, tolerance: float = RIGID_TOLERANCE) -> FloatArray:
    """Return the matrix as a float array.

    :raises ValueError: naming the transform and the reason, when it is not rigid.
    """
    reason = whyNotRigid(matrix, tolerance)
    if reason:
        raise ValueError(_("Transform {name} is not rigid: {reason}.").format(name=name, reason=reason))
    return np.asarray(matrix, float)
