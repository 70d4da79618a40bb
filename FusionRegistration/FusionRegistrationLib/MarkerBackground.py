"""What the CT would show at a marker's place without the marker: the surroundings' own profile across the skin."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

EDGE_HU = -480.0
"""Half-way between air and soft tissue: the place of the skin's edge."""

MIN_COLUMNS = 12
"""With fewer columns of skin in sight no surface is fitted."""

_STEP_MM = 0.25
_HALF_MM = 11.0
_COUNT = int(2 * _HALF_MM / _STEP_MM) + 1
_ZERO = int(_HALF_MM / _STEP_MM)
_BINS = np.arange(_COUNT)


@dataclasses.dataclass(frozen=True, eq=False)
class MarkerBackground:
    """Background of a block of voxels.

    :ivar hu: expected HU without the object, float32, shape of the block (along, depth, across).
    :ivar coefficients: surface depth (index within the block) as a quadratic in mm offsets a, b from the candidate (1, a, b, aa, ab, bb).
    :ivar airHu: level above the surface; ``tissueHu``: level 0.5-2.5 mm beneath it.
    :ivar blurSdMm: standard deviation of the scanner's point spread, read from the sharpness of the skin's edge.
    :ivar noiseHu: standard deviation of the voxels about this background.
    :ivar known: False where no skin was in sight and air was assumed.
    """

    hu: npt.NDArray[np.float32]
    coefficients: FloatArray
    airHu: float
    tissueHu: float
    blurSdMm: float
    noiseHu: float
    known: bool

    def surfaceDepth(self, a: float, b: float) -> float:
        """Depth index (within the block) of the surface at mm offsets (a, b) from the candidate."""
        return float(self.coefficients @ np.array([1.0, a, b, a * a, a * b, b * b]))


def estimateBackgrounds(
    blocks: npt.NDArray[np.float32], centers: FloatArray, spacing: FloatArray, radiiMm: FloatArray
) -> list[MarkerBackground]:
    """Fit surface and profile to the columns around each of several objects: together, as each alone takes nearly as long as ten.

    :param blocks: HU (object, along, depth, across), float32; depth grows inwards.
    :param centers: (objects, 3) index of each candidate within its block.
    :param radiiMm: (objects,) columns nearer than this (plus 2 mm) to the candidate are left out.
    """
    a = ((np.arange(blocks.shape[1]) - centers[:, :1]) * spacing[0])[:, :, None]
    b = ((np.arange(blocks.shape[3]) - centers[:, 2:]) * spacing[2])[:, None, :]
    first = np.argmax(blocks > EDGE_HU, axis=2)
    usable = (first > 0) & (a * a + b * b > (radiiMm[:, None, None] + 2.0) ** 2)
    outside = np.take_along_axis(blocks, np.maximum(first - 1, 0)[:, :, None], axis=2)[:, :, 0]
    inside = np.take_along_axis(blocks, first[:, :, None], axis=2)[:, :, 0]
    edge = first - 1 + (EDGE_HU - outside) / np.maximum(inside - outside, 1.0)
    flat = (len(blocks), -1)
    a, b = (np.broadcast_to(side, edge.shape).reshape(flat) for side in (a, b))
    terms = np.stack([np.ones(a.shape), a, b, a * a, a * b, b * b], axis=2)
    coefficients, good = _robustSurfaces(terms, edge.reshape(flat), usable.reshape(flat))
    grid = (terms @ coefficients[:, :, None])[:, :, 0]
    # Some 100 columns tell the profile as well as 400 do.
    every = np.maximum(1, good.sum(axis=1) // 120)
    owners, columns = np.nonzero(good & ((np.cumsum(good, axis=1) - 1) % every[:, None] == 0))
    depths = (np.arange(blocks.shape[2]) - grid[owners, columns][:, None]) * spacing[1]
    rows, columns = np.divmod(columns, blocks.shape[3])
    values = blocks[owners, rows, :, columns].astype(float)
    profiles = _profiles(owners, len(blocks), depths, values)
    place = np.arange(blocks.shape[2], dtype=np.float32)[:, None] - grid.astype(np.float32).reshape(edge.shape)[:, :, None]
    hu = _read(profiles.astype(np.float32), np.arange(len(blocks))[:, None, None, None], place * np.float32(spacing[1]))
    misfits = np.abs(values - _read(profiles, owners[:, None], depths))
    borders = np.searchsorted(owners, np.arange(len(blocks) + 1))
    result = []
    for n, (start, end) in enumerate(itertools.pairwise(borders)):
        if usable[n].sum() < MIN_COLUMNS:
            far = np.zeros(6)
            far[0] = blocks.shape[2] + 100.0 / spacing[1]
            result.append(MarkerBackground(np.full(blocks.shape[1:], np.float32(-1000.0)), far, -1000.0, 40.0, 0.5, 30.0, False))
            continue
        profile = profiles[n]
        airHu = _middle(profile[_ZERO - 20 : _ZERO - 6])
        tissueHu = float(profile[_ZERO + 4 : _ZERO + 10].mean())
        slope = float((profile[_ZERO - 4 : _ZERO + 6] - profile[_ZERO - 5 : _ZERO + 5]).max()) / _STEP_MM
        # Slope of a blurred step at its middle: height / (sqrt(2 pi) sd); binning adds its own width.
        blurSdMm = (min(tissueHu, 150.0) - airHu) / (2.5066 * max(slope, 1.0))
        noiseHu = max(_middle(misfits[start:end:2, ::2].ravel()) / 0.6745, 5.0)
        result.append(MarkerBackground(hu[n], coefficients[n], airHu, tissueHu, min(max(blurSdMm, 0.25), 1.5), noiseHu, True))
    return result


def _robustSurfaces(terms: FloatArray, edge: FloatArray, usable: npt.NDArray[np.bool_]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Quadratics (or, with few columns, planes) through the edges of each object, strays weighed down; and which columns follow them.

    :param terms: (objects, columns, 6), edge and usable (objects, columns).
    """
    counts = usable.sum(axis=1)
    middles = counts // 2
    turned = np.ascontiguousarray(terms.transpose(0, 2, 1))
    weights = usable.astype(float)
    ridge = 1e-9 * np.maximum(counts, 1)[:, None, None] * np.eye(6)
    # Where there are few columns, an overwhelming ridge holds the quadratic terms at nothing.
    ridge[counts <= 60, 3:, 3:] += 1e12 * np.eye(3)
    for _ in range(3):
        weighted = turned * weights[:, None]
        coefficients = np.linalg.solve(weighted @ terms + ridge, weighted @ edge[:, :, None])
        misfit = edge - (terms @ coefficients)[:, :, 0]
        # Columns out of use stand behind all others.
        sizes = np.partition(np.where(usable, np.abs(misfit), 1e9), np.unique(middles), axis=1)
        scale = np.maximum(1.4826 * sizes[np.arange(len(sizes)), middles], 0.1)[:, None]
        weights = usable / (1.0 + (misfit / (2.5 * scale)) ** 2) ** 2
    return coefficients[:, :, 0], usable & (np.abs(misfit) < 3.5 * scale)


def _read(profiles: npt.NDArray[Any], owners: npt.NDArray[np.int64], depths: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each owner's profile at depths (mm), linear between its steps; beyond its ends it stays as it is there."""
    kind = profiles.dtype.type
    place = depths * kind(1.0 / _STEP_MM)
    place += kind(_ZERO)
    np.maximum(place, kind(0.0), out=place)
    np.minimum(place, kind(_COUNT - 1.001), out=place)
    lower = place.astype(np.int32)
    place -= lower
    steps = np.zeros_like(profiles)
    np.subtract(profiles[:, 1:], profiles[:, :-1], out=steps[:, :-1])
    lower += (owners * _COUNT).astype(np.int32)
    result = steps.take(lower)
    result *= place
    result += profiles.take(lower)
    return result


def _middle(values: FloatArray) -> float:
    """Median (the upper one of the middle two) of a list."""
    half = len(values) // 2
    return float(np.partition(values, half)[half])


def _profiles(owners: npt.NDArray[np.int64], objects: int, depths: FloatArray, values: FloatArray) -> FloatArray:
    """Mean HU (objects, steps) over the depth (mm) under the surface, linear between filled steps."""
    bins = np.rint((depths + _HALF_MM) / _STEP_MM).astype(np.int64)
    bins = np.minimum(np.maximum(bins, 0), _COUNT - 1)
    bins += owners[:, None] * _COUNT
    sums = np.bincount(bins.ravel(), weights=np.minimum(np.maximum(values, -1100.0), 150.0).ravel(), minlength=objects * _COUNT)
    numbers = np.bincount(bins.ravel(), minlength=objects * _COUNT)
    result = (sums / np.maximum(numbers, 1)).reshape(objects, _COUNT)
    for profile, number in zip(result, numbers.reshape(objects, _COUNT)):
        filled = np.flatnonzero(number)
        if 0 < len(filled) < _COUNT:
            profile[:] = np.interp(_BINS, filled, profile[filled])
    return result
