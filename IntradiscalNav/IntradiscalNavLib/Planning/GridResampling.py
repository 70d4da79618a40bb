"""Resampling of voxel arrays onto RAS-aligned grids.

Planning works on small grids whose axes are R, A, S, whatever the scanner's axes, spacing or gantry tilt were.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RasGrid:
    """Grid of points ``origin + (i, j, k) * spacing`` in RAS; arrays over it have shape (nk, nj, ni) = (S, A, R)."""

    originRas: tuple[float, float, float]
    spacingMm: tuple[float, float, float]
    shape: tuple[int, int, int]

    @staticmethod
    def around(lowRas: npt.ArrayLike, highRas: npt.ArrayLike, spacingMm: float) -> RasGrid:
        """Grid of one spacing that covers the box from ``lowRas`` to ``highRas``."""
        low = np.asarray(lowRas, float)
        high = np.asarray(highRas, float)
        step = float(spacingMm)
        count = [max(int(np.ceil(size / step)) + 1, 2) for size in high - low]
        return RasGrid((float(low[0]), float(low[1]), float(low[2])), (step, step, step), (count[2], count[1], count[0]))

    def axis(self, ras: int) -> FloatArray:
        """Coordinates (mm) along axis 0 = R, 1 = A, 2 = S."""
        return np.asarray(self.originRas[ras] + self.spacingMm[ras] * np.arange(self.shape[2 - ras]), float)

    def points(self) -> FloatArray:
        """RAS points, shape (nk, nj, ni, 3)."""
        s, a, r = np.meshgrid(self.axis(2), self.axis(1), self.axis(0), indexing="ij")
        return np.stack([r, a, s], axis=-1)


def _isAxisAligned(linear: FloatArray) -> bool:
    scale = np.abs(linear).max(axis=1, keepdims=True)
    return bool((np.count_nonzero(np.abs(linear) > 1e-6 * scale, axis=1) == 1).all())


def resampleToGrid(
    voxels: npt.NDArray, ijkToRas: npt.ArrayLike, grid: RasGrid, *, linear: bool = True, outside: float = 0.0
) -> npt.NDArray:
    """Values of a (k, j, i) voxel array on the grid.

    Linear interpolation gives float32 (boolean input is weighed 0..1); nearest keeps the type. Points outside the voxels get ``outside``
    (linear: the voxel array is taken as continued by ``outside``).
    """
    rasToIjk = np.linalg.inv(np.asarray(ijkToRas, float))
    start = rasToIjk[:3, :3] @ np.asarray(grid.originRas) + rasToIjk[:3, 3]
    steps = rasToIjk[:3, :3] * np.asarray(grid.spacingMm)[None, :]  # steps[ijk, ras]
    if not _isAxisAligned(rasToIjk[:3, :3]):
        from scipy.ndimage import affine_transform

        matrix = steps[::-1, ::-1]  # rows k, j, i; columns S, A, R
        source = voxels.astype(np.float32) if linear else voxels
        return affine_transform(source, matrix, start[::-1], grid.shape, order=1 if linear else 0, mode="constant", cval=outside)
    rasOfIjk = [int(np.argmax(np.abs(steps[axis]))) for axis in range(3)]
    out = voxels
    jobs = []
    for numpyAxis, ijk in ((0, 2), (1, 1), (2, 0)):
        ras = rasOfIjk[ijk]
        index = start[ijk] + steps[ijk, ras] * np.arange(grid.shape[2 - ras])
        jobs.append((len(index) / voxels.shape[numpyAxis], numpyAxis, index))
    for _, numpyAxis, index in sorted(jobs, key=lambda job: job[0]):  # the axes that shrink most first
        out = _interpolateAxis(out, index, numpyAxis, linear, outside)
    # Axis n of `out` follows voxel axis (k, j, i)[n], which runs along RAS axis rasOfIjk[2 - n]; bring them to (S, A, R).
    order = [[2 - rasOfIjk[2 - n] for n in range(3)].index(wanted) for wanted in range(3)]
    return np.ascontiguousarray(out.transpose(order))


def _interpolateAxis(array: npt.NDArray, index: FloatArray, axis: int, linear: bool, outside: float) -> npt.NDArray:
    count = array.shape[axis]
    shape = [1] * array.ndim
    shape[axis] = len(index)
    if not linear:
        nearest = np.rint(index).astype(np.intp)
        out = np.take(array, np.clip(nearest, 0, count - 1), axis=axis)
        invalid = (nearest < 0) | (nearest >= count)
        if invalid.any():
            out[(slice(None),) * axis + (np.flatnonzero(invalid),)] = outside
        return out
    low = np.floor(index).astype(np.intp)
    weight = (index - low).astype(np.float32).reshape(shape)

    def tap(position: npt.NDArray) -> npt.NDArray:
        values = np.take(array, np.clip(position, 0, count - 1), axis=axis).astype(np.float32)
        invalid = (position < 0) | (position >= count)
        if invalid.any():
            values[(slice(None),) * axis + (np.flatnonzero(invalid),)] = outside
        return values

    if not weight.any():
        return tap(low)
    first = tap(low)
    first += weight * (tap(low + 1) - first)
    return first


def trilinear(
    flat: npt.NDArray[np.float32] | npt.NDArray[np.int8],
    first: npt.NDArray[np.integer],
    ni: int,
    nj: int,
    fx: npt.NDArray[np.float32],
    fy: npt.NDArray[np.float32],
    fz: npt.NDArray[np.float32],
) -> npt.NDArray[np.float32]:
    """Values between the nodes of a flattened grid, i fastest.

    :param first: flat index of each cell's lowest corner; ``ni``, ``nj`` are the grid's rows and columns.
    :param fx, fy, fz: place in the cell, 0 to 1 along i, j, k.
    """

    def row(offset: int) -> npt.NDArray[np.float32]:
        low = flat.take(first + offset, mode="clip").astype(np.float32, copy=False)
        result: npt.NDArray[np.float32] = low + fx * (flat.take(first + offset + 1, mode="clip") - low)
        return result

    low = row(0)
    low += fy * (row(ni) - low)
    high = row(ni * nj)
    high += fy * (row(ni * nj + ni) - high)
    result: npt.NDArray[np.float32] = low + fz * (high - low)
    return result
