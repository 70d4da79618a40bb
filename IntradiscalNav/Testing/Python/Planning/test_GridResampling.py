"""Resampling onto RAS grids against scipy's general interpolation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid

SIGNED_AXES = st.permutations([0, 1, 2]).flatmap(lambda order: st.tuples(st.just(order), st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)))


def _reference(voxels, affine, grid, order):
    rasToIjk = np.linalg.inv(affine)
    ijk = grid.points() @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    return map_coordinates(voxels.astype(float), [ijk[..., 2], ijk[..., 1], ijk[..., 0]], order=order, mode="constant", cval=0.0)


@settings(max_examples=25, deadline=None)
@given(SIGNED_AXES, st.floats(0.6, 3.1), st.floats(0.6, 5.0), st.integers(0, 10_000))
def test_anyAxisOrderAndDirectionAgreesWithScipy(axes, inPlane, slices, seed):
    order, signs = axes
    generator = np.random.default_rng(seed)
    voxels = generator.normal(size=(7, 9, 11))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for ijk, (ras, sign, spacing) in enumerate(zip(order, signs, (inPlane, inPlane, slices))):
        affine[ras, ijk] = sign * spacing
    affine[:3, 3] = generator.uniform(-50, 50, 3)
    center = affine[:3, :3] @ np.array([5.0, 4.0, 3.0]) + affine[:3, 3]
    grid = RasGrid.around(center - [6, 7, 8], center + np.array([6, 7, 8]), 0.9)
    ours = resampleToGrid(voxels, affine, grid)
    # scipy's constant mode drops to zero half a voxel outside; compare where both interpolate.
    rasToIjk = np.linalg.inv(affine)
    ijk = grid.points() @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    inside = ((ijk >= 0) & (ijk <= np.array([10, 8, 6]))).all(-1)
    assert np.allclose(ours[inside], _reference(voxels, affine, grid, 1)[inside], atol=1e-5)


def test_gantryTiltIsFollowed():
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[1, 2] = 0.5  # every slice is shifted forwards
    k, j, i = np.meshgrid(np.arange(12), np.arange(20), np.arange(15), indexing="ij")
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T
    voxels = 3.0 * points[..., 0] - 2.0 * points[..., 1] + 0.5 * points[..., 2]
    grid = RasGrid.around([3, 7, 4], [11, 13, 18], 1.0)
    expected = grid.points() @ np.array([3.0, -2.0, 0.5])
    assert np.allclose(resampleToGrid(voxels, affine, grid), expected, atol=1e-4)


def test_outsideTakesTheGivenValueAndNearestKeepsTheType():
    voxels = np.full((3, 3, 3), 7, np.int16)
    grid = RasGrid.around([-3, -3, -3], [5, 5, 5], 1.0)
    nearest = resampleToGrid(voxels, np.eye(4), grid, linear=False, outside=-1000)
    assert nearest.dtype == np.int16
    inside = ((grid.points() >= 0) & (grid.points() <= 2)).all(-1)
    assert (nearest[inside] == 7).all()
    assert (nearest[~inside] == -1000).all()
    assert resampleToGrid(voxels, np.eye(4), grid)[0, 0, 0] == pytest.approx(0.0)
