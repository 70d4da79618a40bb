"""Smallest clearance along many needle paths at once.

The combined clearance is Lipschitz: from a point with clearance c, with m the smallest met so far, the next (c - m) / L millimetres
cannot hold a smaller one than m, so that the march jumps over them. Rays die as soon as they are illegal (``floorMm``). Plain numpy,
int8 look-ups.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.GridResampling import RasGrid

DEAD = -128
"""Value of a ray given up because it fell under the floor."""

_BATCH = 65536


def marchClearance(
    values: npt.NDArray[np.int8],
    grid: RasGrid,
    entriesRas: npt.ArrayLike,
    targetRas: npt.ArrayLike,
    *,
    floorMm: float | None = 0.0,
    minStepMm: float = 0.75,
    lipschitz: float = 1.0,
) -> npt.NDArray[np.int8]:
    """Smallest clearance (eighths of a millimetre) of the paths from entries (n, 3) to one target (3,), RAS mm.

    :param floorMm: rays below it are given up and get ``DEAD``; None gives every ray's true minimum.
    :param minStepMm: shortest step: smaller is slower and misses less.
    :raises ValueError: when an entry or the target lies outside the grid.
    """
    entries = np.asarray(entriesRas, float)
    target = np.asarray(targetRas, float)
    origin = np.asarray(grid.originRas)
    far = origin + np.asarray(grid.spacingMm) * (np.asarray(grid.shape)[::-1] - 1)
    tolerance = 0.5 * min(grid.spacingMm)
    if len(entries) and ((entries < origin - tolerance).any() or (entries > far + tolerance).any()):
        raise ValueError("Some entries lie outside the clearance field; build it over all of them.")
    if (target < origin - tolerance).any() or (target > far + tolerance).any():
        raise ValueError("The target lies outside the clearance field; build it over the target too.")
    out = np.empty(len(entries), np.int8)
    for start in range(0, len(entries), _BATCH):
        out[start : start + _BATCH] = _marchBatch(
            values.reshape(-1), grid, entries[start : start + _BATCH], target, floorMm, minStepMm, lipschitz
        )
    return out


def _marchBatch(
    flat: npt.NDArray[np.int8],
    grid: RasGrid,
    entries: npt.NDArray[np.float64],
    target: npt.NDArray[np.float64],
    floorMm: float | None,
    minStepMm: float,
    lipschitz: float,
) -> npt.NDArray[np.int8]:
    ny, nx = grid.shape[1], grid.shape[2]
    spacing = grid.spacingMm[0]
    vector = entries - target
    length = np.linalg.norm(vector, axis=1).astype(np.float32)
    direction = (vector / np.maximum(length, 1e-6)[:, None] / spacing).astype(np.float32)
    dx, dy, dz = (np.ascontiguousarray(direction[:, n]) for n in range(3))
    base = ((target - np.asarray(grid.originRas)) / spacing + 0.5).astype(np.float32)
    count = len(entries)
    out = np.full(count, DEAD, np.int8)
    index = np.arange(count)
    smallest = np.full(count, 127, np.int8)
    travelled = np.zeros(count, np.float32)
    floor = -127 if floorMm is None else round(floorMm * UNITS_PER_MM)
    stepPerUnit = np.float32(1.0 / UNITS_PER_MM / lipschitz)
    while len(index):
        position = (base[2] + travelled * dz).astype(np.int32)
        position *= ny
        position += (base[1] + travelled * dy).astype(np.int32)
        position *= nx
        position += (base[0] + travelled * dx).astype(np.int32)
        clearance = flat.take(position, mode="clip")
        np.minimum(smallest, clearance, out=smallest)
        jump = clearance.astype(np.float32)
        jump -= smallest
        jump *= stepPerUnit
        np.maximum(jump, np.float32(minStepMm), out=jump)
        atEnd = travelled >= length
        travelled += jump
        # The entry itself is looked at too: the last jump is cut short there.
        np.minimum(travelled, length, out=travelled)
        dead = smallest < floor
        finished = atEnd & ~dead
        keep = ~(atEnd | dead)
        out[index[finished]] = smallest[finished]
        index, smallest, travelled, dx, dy, dz, length = (a[keep] for a in (index, smallest, travelled, dx, dy, dz, length))
    return out
