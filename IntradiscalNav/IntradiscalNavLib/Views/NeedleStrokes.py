"""Needle and path as line strokes on a slice: solid inside the plane, dashed where they lie in front of it or behind it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.PathFrame import vectorLength

EMPTY: FloatArray = np.zeros((0, 2, 3))


def dashes(startRas: npt.ArrayLike, endRas: npt.ArrayLike, dashMm: float = 3.0, gapMm: float = 2.0) -> FloatArray:
    """Dash segments (n, 2, 3) from start to end; the last one is cut at the end."""
    start = np.asarray(startRas, float)
    way = np.asarray(endRas, float) - start
    length = vectorLength(way)
    if length < 1e-9:
        return EMPTY
    period = dashMm + gapMm
    marks = np.arange(math.ceil(length / period))[:, None] * period + (0.0, dashMm)
    result: FloatArray = start + (np.minimum(marks, length) / length)[:, :, None] * way
    return result


def strokesOnPlane(
    startRas: npt.ArrayLike,
    endRas: npt.ArrayLike,
    planePointRas: npt.ArrayLike,
    planeNormalRas: npt.ArrayLike,
    halfThicknessMm: float = 1.5,
    dashMm: float = 3.0,
    gapMm: float = 2.0,
) -> tuple[FloatArray, FloatArray]:
    """Split a straight segment at a slab about the plane.

    :returns: solid segments inside the slab (0 or 1) and dash segments outside it, each (n, 2, 3), at their true places (not projected).
    """
    start, end = np.asarray(startRas, float), np.asarray(endRas, float)
    normal, origin = np.asarray(planeNormalRas, float), np.asarray(planePointRas, float)
    first, last = float((start - origin) @ normal), float((end - origin) @ normal)
    change = last - first
    if abs(change) < 1e-12:
        enter, leave = (0.0, 1.0) if abs(first) <= halfThicknessMm else (1.0, 1.0)
    else:
        crossings = sorted(((-halfThicknessMm - first) / change, (halfThicknessMm - first) / change))
        enter, leave = max(crossings[0], 0.0), min(crossings[1], 1.0)
    if enter >= leave:
        return EMPTY, dashes(start, end, dashMm, gapMm)
    at = [start + share * (end - start) for share in (enter, leave)]
    # Dashes start at the plane, so they stay still there while the far end moves.
    return np.array([at]), np.concatenate([dashes(at[0], start, dashMm, gapMm), dashes(at[1], end, dashMm, gapMm)])


_ANGLES = np.linspace(0.0, 2 * np.pi, 61)
_CIRCLE = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_CIRCLE_SEGMENTS = np.stack([_CIRCLE[:-1], _CIRCLE[1:]], axis=1).reshape(-1, 2)
_ARMS = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])


def circle(centerRas: npt.ArrayLike, firstAxisRas: npt.ArrayLike, secondAxisRas: npt.ArrayLike, radiusMm: float) -> FloatArray:
    """Circle as 60 segments (60, 2, 3) in the plane of two unit axes (an ellipse when the axes have other lengths)."""
    axes = np.array([firstAxisRas, secondAxisRas], float)
    result: FloatArray = (np.asarray(centerRas, float) + _CIRCLE_SEGMENTS @ (radiusMm * axes)).reshape(-1, 2, 3)
    return result


def cross(
    centerRas: npt.ArrayLike, firstAxisRas: npt.ArrayLike, secondAxisRas: npt.ArrayLike, armMm: float, gapMm: float = 0.0
) -> FloatArray:
    """Cross of four arms as segments (4, 2, 3), each from ``gapMm`` to ``armMm`` off the centre."""
    directions = _ARMS @ np.array([firstAxisRas, secondAxisRas], float)
    result: FloatArray = np.asarray(centerRas, float) + directions[:, None, :] * np.array([gapMm, armMm])[None, :, None]
    return result
