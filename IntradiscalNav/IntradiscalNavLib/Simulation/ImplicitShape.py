"""Implicit shapes: functions of position that are negative inside, in about millimetres from the surface.

Coordinates come as three float32 arrays that broadcast against each other. Values need not be exact distances: the painter
divides by the length of the gradient, which makes them so to first order at the surface.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
Point = Sequence[float] | npt.NDArray[np.float64]


def capsule(x: Field, y: Field, z: Field, start: Point, end: Point, radii: tuple[float, float], stretch: Point = (1.0, 1.0, 1.0)) -> Field:
    """Segment with a radius that changes linearly from start to end, then stretched per axis about the segment's start.

    ``stretch`` (1, 1, 3) makes the cross-section three times as high (z) as it is wide.
    """
    sx, sy, sz = stretch
    px, py, pz = (x - start[0]) / sx, (y - start[1]) / sy, (z - start[2]) / sz
    ex, ey, ez = (end[0] - start[0]) / sx, (end[1] - start[1]) / sy, (end[2] - start[2]) / sz
    lengthSquared = ex * ex + ey * ey + ez * ez
    along = np.clip((px * ex + py * ey + pz * ez) / lengthSquared, 0.0, 1.0).astype(np.float32)
    distance = np.sqrt((px - along * ex) ** 2 + (py - along * ey) ** 2 + (pz - along * ez) ** 2)
    result: Field = (distance - (radii[0] + (radii[1] - radii[0]) * along)).astype(np.float32)
    return result


def ellipsoid(x: Field, y: Field, z: Field, center: Point, semiAxes: Point) -> Field:
    """Ellipsoid along the axes of the frame."""
    radius = np.sqrt(((x - center[0]) / semiAxes[0]) ** 2 + ((y - center[1]) / semiAxes[1]) ** 2 + ((z - center[2]) / semiAxes[2]) ** 2)
    result: Field = ((radius - 1.0) * min(semiAxes)).astype(np.float32)
    return result


def halfSpace(x: Field, y: Field, z: Field, point: Point, outward: Point) -> Field:
    """Everything behind a plane: negative on the side the outward normal points away from."""
    length = float(np.linalg.norm(np.asarray(outward, float)))
    result: Field = (((x - point[0]) * outward[0] + (y - point[1]) * outward[1] + (z - point[2]) * outward[2]) / length).astype(np.float32)
    return result


def superellipse(x: Field, y: Field, semiX: Field | float, semiY: Field | float, exponent: float) -> Field:
    """Normalised radius of a superellipse: 1 on the curve |x/a|^n + |y/b|^n = 1."""
    result: Field = ((np.abs(x / semiX) ** exponent + np.abs(y / semiY) ** exponent) ** (1.0 / exponent)).astype(np.float32)
    return result


def smoothUnion(shapes: Sequence[Field], radiusMm: float) -> Field:
    """Union with fillets of about the given radius (polynomial smooth minimum, taken one after the other)."""
    result = shapes[0]
    for shape in shapes[1:]:
        blend = np.maximum(radiusMm - np.abs(result - shape), 0.0) / radiusMm
        result = (np.minimum(result, shape) - blend * blend * (radiusMm * 0.25)).astype(np.float32)
    return result


def smoothIntersection(first: Field, second: Field, radiusMm: float) -> Field:
    """Intersection with rounded edges of about the given radius."""
    blend = np.maximum(radiusMm - np.abs(first - second), 0.0) / radiusMm
    result: Field = (np.maximum(first, second) + blend * blend * (radiusMm * 0.25)).astype(np.float32)
    return result


def normalised(shape: Field, spacingMm: tuple[float, float, float]) -> Field:
    """Divide a field sampled on a (k, j, i) grid by its gradient: distances in millimetres, right to first order at the surface."""
    gradientK, gradientJ, gradientI = np.gradient(shape, spacingMm[2], spacingMm[1], spacingMm[0])
    length = np.sqrt(gradientI * gradientI + gradientJ * gradientJ + gradientK * gradientK)
    result: Field = (shape / np.maximum(length, 0.25)).astype(np.float32)
    return result
