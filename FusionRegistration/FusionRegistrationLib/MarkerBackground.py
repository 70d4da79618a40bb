"""What the CT would show at a marker's place without the marker: the surroundings' own profile across the skin."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

EDGE_HU = -480.0
"""Half-way between air and soft tissue: the place of the skin's edge."""

_STEP_MM = 0.25
_HALF_MM = 11.0
_COUNT = int(2 * _HALF_MM / _STEP_MM) + 1


@dataclasses.dataclass(frozen=True, eq=False)
class MarkerBackground:
    """Background of a block of voxels.

    :ivar hu: expected HU without the object, shape of the block (along, depth, across).
    :ivar coefficients: surface depth (index within the block) as a quadratic in mm offsets a, b from the candidate (1, a, b, aa, ab, bb).
    :ivar airHu: level above the surface; ``tissueHu``: level 0.5-2.5 mm beneath it.
    :ivar blurSdMm: standard deviation of the scanner's point spread, read from the sharpness of the skin's edge.
    :ivar noiseHu: standard deviation of the voxels about this background.
    :ivar known: False where no skin was in sight and air was assumed.
    """

    hu: FloatArray
    coefficients: FloatArray
    airHu: float
    tissueHu: float
    blurSdMm: float
    noiseHu: float
    known: bool

    def surfaceDepth(self, a: float, b: float) -> float:
        """Depth index (within the block) of the surface at mm offsets (a, b) from the candidate."""
        return float(self.coefficients @ np.array([1.0, a, b, a * a, a * b, b * b]))


def estimateBackground(block: npt.NDArray[np.float32], center: FloatArray, spacing: FloatArray, radiusMm: float) -> MarkerBackground:
    """Fit surface and profile to the columns around an object.

    :param block: HU (along, depth, across), float32; depth grows inwards.
    :param center: index of the candidate within the block.
    :param radiusMm: columns nearer than this (plus 2 mm) to the candidate are left out.
    """
    a = ((np.arange(block.shape[0]) - center[0]) * spacing[0])[:, None]
    b = ((np.arange(block.shape[2]) - center[2]) * spacing[2])[None, :]
    solid = block > EDGE_HU
    first = np.argmax(solid, axis=1)
    usable = (first > 0) & (a * a + b * b > (radiusMm + 2.0) ** 2)
    rows, columns = np.nonzero(usable)
    if len(rows) < 12:
        far = np.zeros(6)
        far[0] = block.shape[1] + 100.0 / spacing[1]
        return MarkerBackground(np.full(block.shape, np.float32(-1000.0)), far, -1000.0, 40.0, 0.5, 30.0, False)
    index = first[rows, columns]
    outside, inside = block[rows, index - 1, columns], block[rows, index, columns]
    edge = index - 1 + (EDGE_HU - outside) / np.maximum(inside - outside, 1.0)
    ra, rb = a[rows, 0], b[0, columns]
    terms = np.stack([np.ones(len(rows)), ra, rb, ra * ra, ra * rb, rb * rb], axis=1)
    coefficients, good = _robustSurface(terms, edge)
    grid = _quadratic(coefficients, a, b)
    # Some 100 columns tell the profile as well as 400 do.
    every = max(1, int(good.sum()) // 120)
    rows, columns = rows[good][::every], columns[good][::every]
    depths = (np.arange(block.shape[1])[None, :] - grid[rows, columns][:, None]) * spacing[1]
    values = block[rows, :, columns].astype(float)
    profile = _profile(depths, values)
    place = (np.arange(block.shape[1], dtype=np.float32)[None, :, None] - grid[:, None, :].astype(np.float32)) * np.float32(
        spacing[1] / _STEP_MM
    )
    place = np.clip(place + np.float32(_HALF_MM / _STEP_MM), 0, _COUNT - 1.001)
    lower = place.astype(np.int32)
    steps = np.append(np.diff(profile), 0.0).astype(np.float32)
    hu = profile.astype(np.float32)[lower] + (place - lower) * steps[lower]
    zero = int(_HALF_MM / _STEP_MM)
    airHu = float(np.median(profile[max(zero - 20, 0) : zero - 6]))
    tissueHu = float(profile[zero + 4 : zero + 10].mean())
    slope = float(np.diff(profile[zero - 5 : zero + 6]).max()) / _STEP_MM
    # Slope of a blurred step at its middle: height / (sqrt(2 pi) sd); binning adds its own width.
    blurSdMm = float(np.clip((min(tissueHu, 150.0) - airHu) / (np.sqrt(2.0 * np.pi) * max(slope, 1.0)), 0.25, 1.5))
    residual = values - np.interp(depths, (np.arange(_COUNT) * _STEP_MM) - _HALF_MM, profile)
    sizes = np.abs(residual[::2, ::2]).ravel()
    noiseHu = float(np.partition(sizes, len(sizes) // 2)[len(sizes) // 2]) / 0.6745
    return MarkerBackground(hu, coefficients, airHu, tissueHu, blurSdMm, max(noiseHu, 5.0), True)


def _robustSurface(terms: FloatArray, edge: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Quadratic (or, with few columns, a plane) through the edges, strays weighed down; and which columns follow it."""
    order = 6 if len(edge) > 60 else 3
    chosen = terms[:, :order]
    weights = np.ones(len(edge))
    scale = 1.0
    misfit = edge
    ridge = 1e-9 * len(edge) * np.eye(order)
    for _ in range(3):
        weighted = chosen * weights[:, None]
        solution = np.linalg.solve(weighted.T @ chosen + ridge, weighted.T @ edge)
        misfit = edge - chosen @ solution
        sizes = np.abs(misfit)
        scale = max(1.4826 * float(np.partition(sizes, len(sizes) // 2)[len(sizes) // 2]), 0.1)
        weights = 1.0 / (1.0 + (misfit / (2.5 * scale)) ** 2) ** 2
    coefficients = np.zeros(6)
    coefficients[:order] = solution
    return coefficients, np.abs(misfit) < 3.5 * scale


def _quadratic(coefficients: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    c = coefficients
    result: FloatArray = c[0] + c[1] * a + c[2] * b + c[3] * a * a + c[4] * a * b + c[5] * b * b
    return result


def _profile(depths: FloatArray, values: FloatArray) -> FloatArray:
    """Mean HU over the depth (mm) under the surface, linear interpolation between filled bins."""
    bins = np.clip(np.rint((depths + _HALF_MM) / _STEP_MM).astype(np.int64), 0, _COUNT - 1).ravel()
    sums = np.bincount(bins, weights=np.clip(values, -1100.0, 150.0).ravel(), minlength=_COUNT)
    numbers = np.bincount(bins, minlength=_COUNT)
    filled = np.flatnonzero(numbers > 0)
    return np.interp(np.arange(_COUNT), filled, sums[filled] / numbers[filled])
