"""Smallest clearance along many needle paths at once.

The combined clearance is Lipschitz: from a point with clearance c, with m the smallest met so far, the next (c - m) / L millimetres
cannot hold a smaller one than m, so that the march jumps over them. Rays die as soon as they are illegal (``floorMm``). Plain numpy,
int8 look-ups.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.GridResampling import RasGrid, trilinear
from TranslatedText.Translation import tr as _

DEAD = -128
"""Value of a ray given up because it fell under the floor."""

_BATCH = 16384


def marchClearance(
    values: npt.NDArray[np.int8],
    grid: RasGrid,
    entriesRas: npt.ArrayLike,
    targetRas: npt.ArrayLike,
    *,
    floorMm: float | None = 0.0,
    minStepMm: float = 0.75,
    lipschitz: float = 1.0,
    probesMm: Sequence[float] = (),
) -> npt.NDArray[np.int8]:
    """Smallest clearance (eighths of a millimetre) of the paths from entries (n, 3) to one target (3,), RAS mm.

    :param floorMm: rays below it are given up and get ``DEAD``; None gives every ray's true minimum.
    :param minStepMm: shortest step: smaller is slower and misses less.
    :param probesMm: depths before the target looked at first, where most rays die (``chooseProbes``); they only speed the march up (and
        may see a little more).
    :raises ValueError: when an entry or the target lies outside the grid.
    """
    entries = np.asarray(entriesRas, float)
    target = np.asarray(targetRas, float)
    origin = np.asarray(grid.originRas)
    far = origin + np.asarray(grid.spacingMm) * (np.asarray(grid.shape)[::-1] - 1)
    tolerance = 0.5 * min(grid.spacingMm)
    if len(entries) and ((entries < origin - tolerance).any() or (entries > far + tolerance).any()):
        raise ValueError(_("Some entries lie outside the clearance field; build it over all of them."))
    if (target < origin - tolerance).any() or (target > far + tolerance).any():
        raise ValueError(_("The target lies outside the clearance field; build it over the target too."))
    everything = np.arange(len(entries))
    found = marchMany(
        values,
        grid,
        entries,
        target[None],
        [everything],
        floorMm=floorMm,
        minStepMm=minStepMm,
        lipschitz=lipschitz,
        probesMm=probesMm,
    )
    return found[0]


def marchMany(
    values: npt.NDArray[np.int8],
    grid: RasGrid,
    entriesRas: npt.NDArray[np.float64],
    targetsRas: npt.NDArray[np.float64],
    indices: Sequence[npt.NDArray[np.intp]],
    *,
    floorMm: float | None = 0.0,
    minStepMm: float = 0.75,
    lipschitz: float = 1.0,
    probesMm: Sequence[float] = (),
) -> list[npt.NDArray[np.int8]]:
    """``marchClearance`` for several targets: ``indices[t]`` are the entries paired with target t. Rays of all targets that outlive the
    probes march together. Entries and targets must lie in the grid."""
    flat = values.reshape(-1)
    ny, nx = grid.shape[1], grid.shape[2]
    spacing = np.float32(grid.spacingMm[0])
    columns = np.ascontiguousarray(((np.asarray(entriesRas) - np.asarray(grid.originRas)) / grid.spacingMm[0]).T.astype(np.float32))
    starts = ((np.asarray(targetsRas) - np.asarray(grid.originRas)) / grid.spacingMm[0]).astype(np.float32)
    floor = -127 if floorMm is None else round(floorMm * UNITS_PER_MM)
    out = [np.full(len(index), DEAD, np.int8) for index in indices]
    pools: list[tuple[npt.NDArray, ...]] = []
    for number, index in enumerate(indices):
        if len(index) == 0:
            continue
        vector = [columns[axis].take(index) - starts[number, axis] for axis in range(3)]
        length = np.sqrt(vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2])
        inverse = np.float32(1.0) / np.maximum(length, np.float32(1e-6))
        length *= spacing  # millimetres from here on
        inverse /= spacing
        dx, dy, dz = (part * inverse for part in vector)
        base = starts[number] + np.float32(0.5)
        alive: npt.NDArray = np.arange(len(index))
        smallest: npt.NDArray = np.full(len(index), 127, np.int8)
        for depth in probesMm:
            at = np.minimum(np.float32(depth), length)
            np.minimum(smallest, _lookUp(flat, ny, nx, base[0], base[1], base[2], at, dx, dy, dz), out=smallest)
            keep = np.flatnonzero(smallest >= floor)
            alive, smallest, dx, dy, dz, length = (a.take(keep) for a in (alive, smallest, dx, dy, dz, length))
        count = len(alive)
        bases = [np.full(count, base[axis], np.float32) for axis in range(3)]
        pools.append((np.full(count, number), alive, smallest, dx, dy, dz, length, *bases))
    if pools:
        pool = [np.concatenate([part[n] for part in pools]) for n in range(len(pools[0]))]
        for start in range(0, len(pool[0]), _BATCH):
            _marchPool(flat, ny, nx, [part[start : start + _BATCH] for part in pool], out, floor, minStepMm, lipschitz)
    return out


def _marchPool(
    flat: npt.NDArray[np.int8],
    ny: int,
    nx: int,
    pool: list[npt.NDArray],
    out: list[npt.NDArray[np.int8]],
    floor: int,
    minStepMm: float,
    lipschitz: float,
) -> None:
    """March rays (target number, index, smallest so far, direction, length, base) to their ends and store their smallest clearance."""
    number, index, smallest, dx, dy, dz, length, bx, by, bz = pool
    stepPerUnit = np.float32(1.0 / UNITS_PER_MM / lipschitz)
    travelled: npt.NDArray = np.zeros(len(index), np.float32)
    while len(index):
        clearance = _lookUp(flat, ny, nx, bx, by, bz, travelled, dx, dy, dz)
        smallest = np.minimum(smallest, clearance)
        jump = clearance.astype(np.float32)
        jump -= smallest
        jump *= stepPerUnit
        np.maximum(jump, np.float32(minStepMm), out=jump)
        atEnd = travelled >= length
        dead = smallest < floor
        gone = atEnd | dead
        # The entry itself is looked at too: the last jump is cut short there.
        travelled = np.minimum(travelled + jump, length)
        goneCount = int(np.count_nonzero(gone))
        # Rays that are done may march on a little: taking them out costs more than a few idle look-ups.
        if goneCount == len(index) or goneCount > 0.12 * len(index):
            finished = np.flatnonzero(atEnd & ~dead)
            for target in np.unique(number[finished]):
                here = finished[number[finished] == target]
                out[target][index[here]] = smallest[here]
            keep = np.flatnonzero(~gone)
            number, index, smallest, travelled, dx, dy, dz, length, bx, by, bz = (
                a.take(keep) for a in (number, index, smallest, travelled, dx, dy, dz, length, bx, by, bz)
            )


def _lookUp(
    flat: npt.NDArray[np.int8],
    ny: int,
    nx: int,
    bx: npt.NDArray,
    by: npt.NDArray,
    bz: npt.NDArray,
    depth: npt.NDArray[np.float32],
    dx: npt.NDArray[np.float32],
    dy: npt.NDArray[np.float32],
    dz: npt.NDArray[np.float32],
) -> npt.NDArray[np.int8]:
    """Nearest voxel's clearance at a depth before the target on every ray."""
    position = (bz + depth * dz).astype(np.int32)
    position *= ny
    position += (by + depth * dy).astype(np.int32)
    position *= nx
    position += (bx + depth * dx).astype(np.int32)
    result: npt.NDArray[np.int8] = flat.take(position, mode="clip")
    return result


def chooseProbes(
    values: npt.NDArray[np.int8], grid: RasGrid, entriesRas: npt.NDArray[np.float64], targetRas: npt.NDArray[np.float64], count: int = 5
) -> tuple[float, ...]:
    """Depths (mm before the target) at which most of a sample of rays are illegal: greedy cover over every 2 mm."""
    sample = np.asarray(entriesRas, float)[:: max(1, len(entriesRas) // 400)]
    if len(sample) == 0:
        return ()
    vector = sample - targetRas
    length = np.linalg.norm(vector, axis=1)
    depths = np.arange(2.0, float(length.max()), 2.0)
    points = targetRas + np.minimum(depths[None, :], length[:, None])[..., None] * (vector / length[:, None])[:, None, :]
    index = np.rint((points - np.asarray(grid.originRas)) / np.asarray(grid.spacingMm)).astype(int)
    index = np.clip(index, 0, np.asarray(grid.shape)[::-1] - 1)
    dead = values[index[..., 2], index[..., 1], index[..., 0]] < -round(UNSURE_MM * UNITS_PER_MM)
    chosen: list[float] = []
    for _unused in range(count):
        gain = dead.sum(0)
        best = int(np.argmax(gain))
        if gain[best] < 0.03 * len(sample):
            break
        chosen.append(float(depths[best]))
        dead = dead & ~dead[:, best : best + 1]
    return tuple(chosen)


UNSURE_MM = 0.875
"""The march looks up the nearest voxel and so errs by up to half a voxel's diagonal, 0.87 mm: paths this near to the floor are looked at
again."""
_REFINE_BATCH = 1024


def refineClearance(
    values: npt.NDArray[np.int8],
    grid: RasGrid,
    entriesRas: npt.NDArray[np.float64],
    targetRas: npt.NDArray[np.float64],
    *,
    stepMm: float = 0.6,
    nearMm: float = 2.0,
) -> npt.NDArray[np.float32]:
    """Smallest clearance (mm) of paths from entries (n, 3) to one target, the field interpolated linearly wherever it is below
    ``nearMm``."""
    entries = np.asarray(entriesRas, float)
    out = np.empty(len(entries), np.float32)
    flat = values.reshape(-1)
    ni, nj = grid.shape[2], grid.shape[1]
    last = np.asarray(grid.shape)[::-1] - 1
    origin = np.asarray(grid.originRas)
    start = ((np.asarray(targetRas, float) - origin) / grid.spacingMm[0]).astype(np.float32)
    threshold = round(nearMm * UNITS_PER_MM)
    for first in range(0, len(entries), _REFINE_BATCH):
        block = entries[first : first + _REFINE_BATCH]
        vector = ((block - targetRas) / grid.spacingMm[0]).astype(np.float32)
        longest = float(np.linalg.norm(vector, axis=1).max()) * grid.spacingMm[0]
        share = np.linspace(0.0, 1.0, max(2, int(np.ceil(longest / stepMm)) + 1), dtype=np.float32)
        x, y, z = (start[axis] + vector[:, axis, None] * share for axis in range(3))
        nearest = ((z + np.float32(0.5)).astype(np.int32) * nj + (y + np.float32(0.5)).astype(np.int32)) * ni
        nearest += (x + np.float32(0.5)).astype(np.int32)
        coarse = flat.take(nearest, mode="clip")
        smallest = coarse.min(1).astype(np.float32)
        rows, columns = np.nonzero(coarse < threshold)
        if len(rows):
            fine = _interpolated(flat, ni, nj, last, x[rows, columns], y[rows, columns], z[rows, columns])
            starts = np.flatnonzero(np.r_[True, rows[1:] != rows[:-1]])
            smallest[rows[starts]] = np.minimum.reduceat(fine, starts)
        out[first : first + _REFINE_BATCH] = smallest / np.float32(UNITS_PER_MM)
    return out


def _interpolated(
    flat: npt.NDArray[np.int8], ni: int, nj: int, last: npt.NDArray, x: npt.NDArray, y: npt.NDArray, z: npt.NDArray
) -> npt.NDArray[np.float32]:
    i, j, k = (np.clip(a, 0, limit - 1e-3).astype(np.int32) for a, limit in zip((x, y, z), last))
    fx, fy, fz = (np.clip(a - b, 0, 1).astype(np.float32) for a, b in zip((x, y, z), (i, j, k)))
    return trilinear(flat, (k * nj + j) * ni + i, ni, nj, fx, fy, fz)
