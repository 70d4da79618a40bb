"""Which voxels of bone ultrasound can see from behind, and where between the voxels their surface runs.

Grids here are axis-parallel in RAS, arrays (z, y, x) with all three coordinates ascending, so that y grows from back to front.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VIEW_TANGENTS = ((0.0, 0.0), (0.45, 0.0), (-0.45, 0.0), (0.0, 0.3), (0.0, -0.3))
"""(x, z) slopes of the beams that look at the back: straight, 24 degrees from either side, 17 degrees from head and foot."""


@dataclasses.dataclass(frozen=True, eq=False)
class RasGrid:
    """Axis-parallel sampling grid: RAS of the first voxel's centre, edge (mm), shape (nz, ny, nx)."""

    originRas: FloatArray
    spacingMm: float
    shape: tuple[int, int, int]

    def pointsOf(self, index: npt.NDArray) -> FloatArray:
        """RAS of (fractional) indices (n, 3) given as (z, y, x)."""
        result: FloatArray = self.originRas + np.asarray(index, float)[:, ::-1] * self.spacingMm
        return result

    def indexOf(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Fractional (z, y, x) indices (n, 3) of RAS points."""
        result: FloatArray = ((np.asarray(pointsRas, float) - self.originRas) / self.spacingMm)[:, ::-1]
        return result


def gridOver(lowerRas: npt.ArrayLike, upperRas: npt.ArrayLike, spacingMm: float) -> RasGrid:
    """Grid that spans a box."""
    lower, upper = np.asarray(lowerRas, float), np.asarray(upperRas, float)
    counts = np.maximum(np.ceil((upper - lower) / spacingMm).astype(int) + 1, 1)
    return RasGrid(lower, spacingMm, (int(counts[2]), int(counts[1]), int(counts[0])))


def resample(voxels: npt.NDArray, ijkToRas: npt.ArrayLike, grid: RasGrid, order: int, outside: float) -> npt.NDArray:
    """Values of a volume (k, j, i) at the points of a grid; order 0 nearest, 1 linear. Outside the volume: the given value."""
    from scipy.ndimage import affine_transform

    rasToIjk = np.linalg.inv(np.asarray(ijkToRas, float))
    flip = np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0]], float)  # (z, y, x) to (x, y, z), and (i, j, k) to (k, j, i)
    matrix = flip @ rasToIjk[:3, :3] @ flip * grid.spacingMm
    offset = flip @ (rasToIjk[:3, :3] @ grid.originRas + rasToIjk[:3, 3])
    off = matrix - np.diag(np.diag(matrix))
    diagonal = np.abs(off).max() < 1e-9 * np.abs(matrix).max()
    result = affine_transform(
        voxels,
        np.diag(matrix) if diagonal else matrix,
        offset,
        output_shape=grid.shape,
        order=order,
        mode="constant",
        cval=outside,
        prefilter=False,
    )
    return np.asarray(result)


def seenFromBehind(bone: BoolArray, tangents: Sequence[tuple[float, float]] = VIEW_TANGENTS) -> BoolArray:
    """Voxels of bone that a straight beam from behind (low y) meets first, for any of the beam slopes."""
    depth, height, width = bone.shape[1], bone.shape[0], bone.shape[2]
    seen = np.zeros_like(bone)
    byDepth = np.ascontiguousarray(bone.transpose(1, 0, 2))
    for slopeX, slopeZ in tangents:
        # The blocked beams, in the coordinates of the plane y = 0; a beam at (z, x) there is at (z + y sz, x + y sx) deeper down.
        padX, padZ = int(abs(slopeX) * depth) + 1, int(abs(slopeZ) * depth) + 1
        blocked = np.zeros((height + 2 * padZ, width + 2 * padX), bool)
        for y in range(depth):
            layer = byDepth[y]
            if not layer.any():
                continue
            z0, x0 = padZ - round(slopeZ * y), padX - round(slopeX * y)
            window = blocked[z0 : z0 + height, x0 : x0 + width]
            seen[:, y, :] |= layer & ~window
            window |= layer
    return seen


@dataclasses.dataclass(frozen=True, eq=False)
class SurfacePoints:
    """Sub-voxel surface points (n, 3) RAS mm with outward unit normals (n, 3)."""

    pointsRas: FloatArray
    normalsRas: FloatArray


def surfacePoints(
    field: npt.NDArray[np.float32], seen: BoolArray, grid: RasGrid, level: float, *, halfMaximum: bool = False, minimumFacing: float = 0.15
) -> SurfacePoints:
    """Where the field crosses the level near the seen voxels, along the field's gradient.

    halfMaximum: instead of the level take the middle between the brightest value just inside and the darkest just outside, as the
    edge of a thin cortex blurred by the scanner lies there. minimumFacing: cosine between normal and the way to the back, below
    which a surface is too steep to echo.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    index = np.argwhere(seen)
    if len(index) == 0:
        return SurfacePoints(np.zeros((0, 3)), np.zeros((0, 3)))
    upper = np.array(field.shape) - 1
    smooth = gaussian_filter(field, 0.8)
    gradient = np.empty((len(index), 3))
    for axis in range(3):
        step = np.zeros(3, int)
        step[axis] = 1
        after, before = np.minimum(index + step, upper), np.maximum(index - step, 0)
        gradient[:, axis] = smooth[after[:, 0], after[:, 1], after[:, 2]] - smooth[before[:, 0], before[:, 1], before[:, 2]]
    length = np.linalg.norm(gradient, axis=1)
    normal = -gradient / np.maximum(length, 1e-6)[:, None]  # (z, y, x), out of bone
    usable = (length > 1e-3) & (-normal[:, 1] > minimumFacing)
    index, normal = index[usable], normal[usable]
    # Profile along the normal, from 3 voxels inside to 3 outside.
    offsets = np.arange(-3.0, 3.01, 0.5)
    samples = index[:, :, None] + normal[:, :, None] * offsets
    profile = map_coordinates(field, samples.transpose(1, 0, 2).reshape(3, -1), order=1, mode="nearest").reshape(len(index), len(offsets))
    threshold = np.full(len(index), level, np.float32)
    if halfMaximum:
        # "Inside" is up to two voxels deep: farther in is marrow or the far side of a thin plate.
        inside = profile[:, (offsets >= -2.0) & (offsets <= 0.5)].max(axis=1)
        outside = profile[:, offsets >= 1.0].min(axis=1)
        threshold = np.clip((inside + np.maximum(outside, 0.0)) / 2.0, level * 0.75, level * 4.0).astype(np.float32)
    crossing = (profile[:, :-1] >= threshold[:, None]) & (profile[:, 1:] < threshold[:, None])
    middle = np.abs(offsets[:-1] + 0.25)
    rank = np.where(crossing, middle, np.inf)
    best = rank.argmin(axis=1)
    rows = np.arange(len(index))
    found = np.isfinite(rank[rows, best])
    here, there = profile[rows, best], profile[rows, best + 1]
    share = np.clip((here - threshold) / np.maximum(here - there, 1e-6), 0.0, 1.0)
    at = offsets[best] + 0.5 * share
    found &= np.abs(at) <= 2.0
    places = index + normal * at[:, None]
    return SurfacePoints(grid.pointsOf(places[found]), np.ascontiguousarray(normal[found][:, ::-1]))
