"""Rigid matrices of the simulator, written down without the registration code.

The simulator states its truth in its own terms: if a sign or a transposition were wrong in the code under test, borrowing
that code here would hide it. Rotations are therefore built from quaternions (Hamilton convention, scalar first) and inverted
by a general matrix inversion. Matrices are 4x4, ``pTo = fromToTo @ pFrom``, millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def quaternionFromAxisAngle(axis: Sequence[float], angleDeg: float) -> FloatArray:
    """Unit quaternion (w, x, y, z) of a right-handed turn about an axis."""
    direction = np.asarray(axis, float)
    length = float(np.sqrt((direction * direction).sum()))
    if length == 0.0:
        return np.array([1.0, 0.0, 0.0, 0.0])
    half = 0.5 * np.pi * angleDeg / 180.0
    return np.concatenate([[np.cos(half)], np.sin(half) * direction / length])


def rotationFromQuaternion(quaternion: Sequence[float] | FloatArray) -> FloatArray:
    """3x3 rotation of a quaternion (w, x, y, z); the quaternion need not be of unit length."""
    w, x, y, z = np.asarray(quaternion, float)
    n = w * w + x * x + y * y + z * z
    return np.array(
        [
            [w * w + x * x - y * y - z * z, 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), w * w - x * x + y * y - z * z, 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), w * w - x * x - y * y + z * z],
        ]
    ) / n  # fmt: skip


def poseFromColumns(xAxis: npt.ArrayLike, yAxis: npt.ArrayLike, zAxis: npt.ArrayLike, origin: npt.ArrayLike) -> FloatArray:
    """4x4 ``fromToTo`` from the axes and the origin of frame *from*, each given in frame *to*."""
    pose = np.eye(4)
    for column, value in enumerate((xAxis, yAxis, zAxis, origin)):
        pose[:3, column] = np.asarray(value, float)
    return pose


def poseFromTurns(turns: Sequence[tuple[Sequence[float], float]], translationMm: npt.ArrayLike) -> FloatArray:
    """4x4 pose: turns (axis, degrees) applied one after the other about fixed axes, then a shift."""
    rotation = np.eye(3)
    for axis, angleDeg in turns:
        rotation = rotationFromQuaternion(quaternionFromAxisAngle(axis, angleDeg)) @ rotation
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = np.asarray(translationMm, float)
    return pose


def inversePose(fromToTo: npt.ArrayLike) -> FloatArray:
    """Inverse of a 4x4 by general inversion (on purpose not by transposition)."""
    return np.linalg.inv(np.asarray(fromToTo, float))


def mapPoints(fromToTo: npt.ArrayLike, points: npt.ArrayLike) -> FloatArray:
    """Points (n, 3) or (3,) of frame *from* in frame *to*, through homogeneous columns."""
    array = np.asarray(points, float)
    columns = np.concatenate([np.atleast_2d(array).T, np.ones((1, np.atleast_2d(array).shape[0]))])
    result: FloatArray = (np.asarray(fromToTo, float) @ columns)[:3].T
    return result[0] if array.ndim == 1 else result


def mapDirection(fromToTo: npt.ArrayLike, direction: npt.ArrayLike) -> FloatArray:
    """Direction (3,) of frame *from* in frame *to*."""
    return np.asarray(fromToTo, float)[:3, :3] @ np.asarray(direction, float)


def lookAlong(direction: npt.ArrayLike, hint: npt.ArrayLike) -> FloatArray:
    """3x3 rotation whose +Z column is the direction and whose +X column is the hint made perpendicular to it."""
    zAxis = np.asarray(direction, float) / np.linalg.norm(np.asarray(direction, float))
    xAxis = np.asarray(hint, float) - zAxis * float(np.dot(np.asarray(hint, float), zAxis))
    if np.linalg.norm(xAxis) < 1e-6:
        raise ValueError("The hint for the X axis is parallel to the direction; give another hint.")
    xAxis = xAxis / np.linalg.norm(xAxis)
    return np.stack([xAxis, np.cross(zAxis, xAxis), zAxis], axis=1)
