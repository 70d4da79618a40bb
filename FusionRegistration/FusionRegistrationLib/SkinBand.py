"""Dense voxels in a thin band around the patient's outer surface, found without looking at the rest of the volume."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

SURFACE_HU = -300
"""Level between air and everything solid; drapes and foam pads stay below it."""


@dataclasses.dataclass(frozen=True, eq=False)
class OrientedVolume:
    """A view (no copy) of a CT with axes (along, depth, across); depth grows from the outside inwards.

    :ivar view: array (along, depth, across), HU.
    :ivar viewToRas: 4x4, (along, depth, across, 1) index to RAS mm.
    :ivar spacingMm: voxel size along the three axes of the view.
    """

    view: npt.NDArray[Any]
    viewToRas: FloatArray
    spacingMm: FloatArray


def orientVolume(voxels: npt.NDArray[Any], ijkToRas: FloatArray, outwardRas: FloatArray) -> OrientedVolume:
    """View of ``voxels`` (k, j, i) whose second axis runs from the outside (where ``outwardRas`` points) into the body."""
    spacing = np.linalg.norm(ijkToRas[:3, :3], axis=0)
    cosines = (ijkToRas[:3, :3] / spacing).T @ outwardRas
    depthAxis = int(np.argmax(np.abs(cosines)))
    others = [axis for axis in (2, 1, 0) if axis != depthAxis]
    order = [others[0], depthAxis, others[1]]
    view = np.transpose(voxels, [2 - axis for axis in order])
    matrix = np.eye(4)
    matrix[:3, :3] = ijkToRas[:3, order]
    matrix[:3, 3] = ijkToRas[:3, 3]
    if cosines[depthAxis] > 0:
        view = view[:, ::-1]
        matrix[:3, 3] += matrix[:3, 1] * (view.shape[1] - 1)
        matrix[:3, 1] *= -1.0
    return OrientedVolume(view, matrix, np.linalg.norm(matrix[:3, :3], axis=0))


@dataclasses.dataclass(frozen=True, eq=False)
class SkinBand:
    """A band of depth indices [top, bottom) around the outer surface on a coarse grid of cells.

    :ivar first: depth index of the first solid voxel of each cell's column, ``hit`` whether there is one.
    :ivar strides: size of a cell in voxels (along, depth step, across).
    :ivar groups: cells (along, across) that make one tile.
    """

    top: npt.NDArray[np.int64]
    bottom: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    hit: npt.NDArray[np.bool_]
    strides: tuple[int, int, int]
    groups: tuple[int, int]

    def tiles(self, shape: tuple[int, ...]) -> Iterator[tuple[int, int, int, int, int, int]]:
        """Boxes (a0, a1, d0, d1, b0, b1) that cover the band, each about 24 mm long and 56 mm wide."""
        long, wide = self.groups[0] * self.strides[0], self.groups[1] * self.strides[2]
        rows, columns = (np.arange(0, size, group) for size, group in zip(self.top.shape, self.groups))
        lows = np.minimum.reduceat(np.minimum.reduceat(self.top, rows), columns, axis=1).tolist()
        highs = np.maximum.reduceat(np.maximum.reduceat(self.bottom, rows), columns, axis=1).tolist()
        for row in range(len(rows)):
            for column, (low, high) in enumerate(zip(lows[row], highs[row])):
                if high > low:
                    a0, b0 = row * long, column * wide
                    yield a0, min(a0 + long, shape[0]), low, high, b0, min(b0 + wide, shape[2])


def findSkinBand(volume: OrientedVolume, *, aboveMm: float, belowMm: float) -> SkinBand | None:
    """Band reaching ``aboveMm`` outwards of the outermost and ``belowMm`` inwards of the innermost surface among neighbouring cells.

    The surface is read on a coarse grid (about 6 x 8 mm), so slopes, and objects standing on the skin, are inside. None where all is air.
    """
    view, spacing = volume.view, volume.spacingMm
    along, deep, across = (max(1, int(mm // s)) for mm, s in zip((6.0, 2.4, 8.0), spacing))
    first, hit = _firstSolid(view, along, deep, across)
    if not hit.any():
        return None
    outer = _filter3x3(np.where(hit, first, view.shape[1]), np.minimum)
    inner = _filter3x3(np.where(hit, first, -1), np.maximum)
    top = np.maximum(outer - int(np.ceil(aboveMm / spacing[1])), 0)
    # A cell between a marker and its far background may span far: no band is thicker than 50 mm.
    bottom = np.minimum(np.minimum(inner, outer + int(50.0 / spacing[1])) + int(np.ceil(belowMm / spacing[1])) + deep, view.shape[1])
    groups = (max(1, int(24.0 / (along * spacing[0]))), max(1, int(np.ceil(56.0 / (across * spacing[2])))))
    return SkinBand(top, bottom, first, hit, (along, deep, across), groups)


def _firstSolid(view: npt.NDArray[Any], along: int, deep: int, across: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Depth index of the first solid voxel of each cell's column, and whether there is one. What lies under it is hardly read."""
    size = -(-view.shape[0] // along), -(-view.shape[2] // across)
    first, hit = np.zeros(size, np.int64), np.zeros(size, np.bool_)
    waiting = np.arange(size[1])
    slab = 32 * deep
    for start in range(0, view.shape[1], slab):
        # An index array is slower than a slice; it pays where few columns still wait for their first solid voxel.
        columns = slice(None, None, across) if len(waiting) == size[1] else waiting * across
        solid = view[::along, start : start + slab : deep, columns] > SURFACE_HU
        place = np.argmax(solid, axis=1)
        found = np.take_along_axis(solid, place[:, None], axis=1)[:, 0]
        rows, which = np.nonzero(found & ~hit[:, waiting])
        first[rows, waiting[which]] = start + deep * place[rows, which]
        hit[rows, waiting[which]] = True
        waiting = np.flatnonzero(~hit.all(axis=0))
        if not len(waiting):
            break
    return first, hit


def denseVoxelsNearSurface(
    volume: OrientedVolume, *, aboveMm: float, belowMm: float, minThresholdHu: float, maxThresholdHu: float
) -> tuple[npt.NDArray[np.int64], float]:
    """Indices (n, 3) in the view of voxels denser than a noise-adapted threshold within the skin band, and that threshold (HU)."""
    view, spacing = volume.view, volume.spacingMm
    band = findSkinBand(volume, aboveMm=aboveMm, belowMm=belowMm)
    if band is None:
        return np.empty((0, 3), np.int64), minThresholdHu
    threshold = _noiseThreshold(view, band.first, band.hit, band.strides, spacing, minThresholdHu, maxThresholdHu)
    # An integer level lets integer voxels be compared as they are, without a floating-point copy.
    level: float = int(np.floor(threshold)) if np.issubdtype(view.dtype, np.integer) else threshold
    # Every marker is hit by every second row of fine voxels; the rows between are looked at only beside a hit.
    every = 2 if 2.0 * spacing[1] <= 1.6 else 1
    found: list[npt.NDArray[np.int64]] = []
    corners: list[tuple[int, int, int, int, int, int]] = []
    for a0, a1, low, high, b0, b1 in band.tiles(view.shape):
        where = (view[a0:a1, low:high:every, b0:b1] > level).ravel().nonzero()[0]
        if len(where):
            found.append(where)
            corners.append((a0, low, b0, -(-(high - low) // every), b1 - b0, len(where)))
    if not found:
        return np.empty((0, 3), np.int64), threshold
    table = np.array(corners, np.int32)
    a, d, b, deep, wide = np.repeat(table[:, :5], table[:, 5], axis=0).T
    rows, columns = np.divmod(np.concatenate(found).astype(np.int32), wide)
    slices, rows = np.divmod(rows, deep)
    alongs, depths, acrosses = a + slices, d + every * rows, b + columns
    # A tile reaches as deep as the deepest of its cells.
    cells = (alongs // band.strides[0]) * np.int32(band.bottom.shape[1]) + acrosses // band.strides[2]
    within = depths < band.bottom.astype(np.int32).take(cells)
    indices = _onlyUnderAir(alongs[within], depths[within], acrosses[within], view, int((belowMm + 2.0) / spacing[1]))
    if every == 2:
        indices = _withRowsBetween(indices, view, level)
    return indices, threshold


def _onlyUnderAir(
    along: npt.NDArray[np.int32], depth: npt.NDArray[np.int32], across: npt.NDArray[np.int32], view: npt.NDArray[Any], steps: int
) -> npt.NDArray[np.int64]:
    """Indices (n, 3) of the voxels with air above. Far outwards of a marker there is air; of bone under the skin there isn't: most of it is
    dropped here at the cost of one look."""
    kept = view[along, np.maximum(depth - steps, 0), across] < SURFACE_HU
    return np.stack([along[kept], depth[kept], across[kept]], axis=1).astype(np.int64)


def _withRowsBetween(indices: npt.NDArray[np.int64], view: npt.NDArray[Any], level: float) -> npt.NDArray[np.int64]:
    """Add the dense neighbours in depth of voxels found in every second row."""
    parts = [indices]
    for step in (-1, 1):
        beside = indices + np.array([0, step, 0])
        beside = beside[(beside[:, 1] >= 0) & (beside[:, 1] < view.shape[1])]
        parts.append(beside[view[beside[:, 0], beside[:, 1], beside[:, 2]] > level])
    together = np.concatenate(parts)
    keys = (together[:, 0] * view.shape[1] + together[:, 1]) * view.shape[2] + together[:, 2]
    order = np.argsort(keys)
    # A row between two found ones was added from both sides.
    once = np.append(True, np.diff(keys[order]) > 0)
    return together[order[once]]


def _filter3x3(values: npt.NDArray[np.int64], pick: np.ufunc) -> npt.NDArray[np.int64]:
    padded = np.pad(values, 1, mode="edge")
    rows = pick(pick(padded[:-2], padded[1:-1]), padded[2:])
    result: npt.NDArray[np.int64] = pick(pick(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:])
    return result


def _noiseThreshold(
    view: npt.NDArray[Any],
    first: npt.NDArray[np.int64],
    hit: npt.NDArray[np.bool_],
    strides: tuple[int, int, int],
    spacing: FloatArray,
    lowest: float,
    highest: float,
) -> float:
    """Four and a half robust standard deviations of the noise above soft tissue lying 3-10 mm under the surface."""
    rows, columns = (index[::4] for index in np.nonzero(hit))
    depths = first[rows, columns][:, None] + (np.array([3.0, 5.0, 7.0, 9.0, 10.0]) / spacing[1]).astype(int)
    values = view[(rows * strides[0])[:, None], np.minimum(depths, view.shape[1] - 1), (columns * strides[2])[:, None]].astype(float)
    # The noise is read from differences of neighbours in depth, so that fat beside muscle doesn't count as noise.
    tissue = values[(values > -200) & (values < 200)]
    if len(tissue) < 50:
        return lowest
    steps = np.abs(np.diff(values, axis=1))[(values[:, 1:] < 200) & (values[:, 1:] > -200)]
    noise = _quantile(steps, 0.5) / 0.6745 / np.sqrt(2.0) if len(steps) else 0.0
    return float(np.clip(_quantile(tissue, 0.75) + 4.5 * noise, lowest, highest))


def _quantile(values: FloatArray, part: float) -> float:
    """The value that ``part`` of the others lie below; several times as fast as NumPy's, which interpolates."""
    place = int(part * len(values))
    return float(np.partition(values, place)[place])
