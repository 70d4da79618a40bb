"""Small things that stand on the skin, found by their shape: faint markers whose blurred density is no higher than the skin's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from FusionRegistrationLib.SkinBand import SURFACE_HU, OrientedVolume, SkinBand, findSkinBand

MAX_BUMPS = 80
"""More candidates than these aren't looked at (a crumpled sheet has thousands); the highest ones are."""

_STEP_MM = 1.0


def findBumps(volume: OrientedVolume, *, aboveMm: float, belowMm: float, minHeightMm: float, maxWidthMm: float) -> FloatArray:
    """Indices (n, 3) in the view, a little inside the top of each bump, highest bumps first.

    The outer surface is read on a grid of about 1 mm in the skin band. What a morphological closing with a window a little wider than the
    largest marker takes off the surface is a bump; long ones (cables, folds) are left out.
    """
    from scipy.ndimage import find_objects, label, maximum_filter, minimum_filter

    band = findSkinBand(volume, aboveMm=aboveMm, belowMm=belowMm)
    if band is None:
        return np.empty((0, 3))
    steps = np.maximum(1, np.floor(_STEP_MM / volume.spacingMm + 1e-6)).astype(int)
    depth = _surfaceDepth(volume, band, int(steps[0]), int(steps[2]))
    stepMm = steps[[0, 2]] * volume.spacingMm[[0, 2]]
    size = tuple(int(n) for n in 2 * np.ceil(0.5 * (maxWidthMm + 3.0) / stepMm).astype(int) + 1)
    height = minimum_filter(maximum_filter(depth, size), size) - depth
    labels, _ = label(height * volume.spacingMm[1] > minHeightMm, np.ones((3, 3)))
    found: list[tuple[float, float, float, float]] = []
    for number, region in enumerate(find_objects(labels), 1):
        extent = np.array([s.stop - s.start for s in region]) * stepMm
        if (extent > maxWidthMm + stepMm).any():
            continue
        inside = labels[region] == number
        rows, columns = np.nonzero(inside)
        weights = height[region][inside]
        a = (weights @ rows / weights.sum() + region[0].start) * steps[0]
        b = (weights @ columns / weights.sum() + region[1].start) * steps[2]
        top = float(depth[region][inside].min())
        found.append((float(weights.max()), float(a), top + 0.5 * float(weights.max()), float(b)))
    found.sort(reverse=True)
    return np.array([f[1:] for f in found[:MAX_BUMPS]]).reshape(-1, 3)


def _surfaceDepth(volume: OrientedVolume, band: SkinBand, along: int, across: int) -> npt.NDArray[np.float32]:
    """Depth index of the outer surface at every ``along``-th and ``across``-th voxel; the band's floor where there is none."""
    view = volume.view
    rows, columns = -(-view.shape[0] // along), -(-view.shape[2] // across)
    result = np.full((rows, columns), np.float32(view.shape[1]))
    for a0, a1, low, high, b0, b1 in band.tiles(view.shape):
        r0, c0 = -(-a0 // along), -(-b0 // across)
        block = view[r0 * along : a1 : along, low:high, c0 * across : b1 : across]
        if 0 in block.shape:
            continue
        solid = block > SURFACE_HU
        first = np.where(solid.any(axis=1), np.argmax(solid, axis=1) + low, high)
        result[r0 : r0 + first.shape[0], c0 : c0 + first.shape[1]] = first
    return result
