"""Distance fields against spheres and boxes whose distances are known, for fine, coarse and anisotropic segmentations."""

from dataclasses import replace

import numpy as np
import pytest

from IntradiscalNavLib.Planning.ClearanceField import (
    CAP_UNITS,
    FAR_MM,
    UNITS_PER_MM,
    buildClearanceField,
    distanceToMask,
    distanceToSurface,
)
from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters

P = PlanningParameters()


@pytest.mark.parametrize(
    ("voxel", "biasMm", "spreadMm"),
    [((0.6, 0.6, 1.2), 0.2, 0.3), ((1, 1, 1), 0.2, 0.3), ((2, 2, 2), 0.3, 0.5), ((3, 3, 3), 0.4, 0.75), ((1.5, 1.5, 5), 0.4, 0.8)],
)
def test_sphereIsMeasuredBelowTheVoxelSize(voxel, biasMm, spreadMm):
    affine = np.diag([*voxel, 1.0])
    affine[:3, 3] = [-29.87, -29.69, -29.8]
    count = [int(60 / size) for size in voxel]
    k, j, i = np.meshgrid(*(np.arange(n) for n in count[::-1]), indexing="ij")
    inside = np.linalg.norm(np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3], axis=-1) <= 15
    grid = RasGrid.around([-28] * 3, [28] * 3, 1.0)
    found = distanceToSurface(resampleToGrid(inside, affine, grid), 1.0, voxel)
    truth = np.linalg.norm(grid.points(), axis=-1) - 15
    for low, high in ((-0.5, 0.5), (0.5, 2.0), (2.0, 8.0)):
        error = (found - truth)[(truth > low) & (truth < high)]
        assert abs(error.mean()) < biasMm, (low, high)
        assert error.std() < spreadMm


def test_emptyMaskIsFarEverywhere():
    assert (distanceToMask(np.zeros((4, 5, 6), bool), 1.0) == FAR_MM).all()


def test_combinedFieldIsTheLeastOfItsStructures(makeAnatomy):
    anatomy = makeAnatomy()
    field = buildClearanceField(anatomy, [-80, -60, -20], [10, 20, 60], P)
    points = field.grid.points()
    least = np.min([f.at(points) - P.marginMm(name) for name, f in field.structures.items() if name in field.marginsMm], axis=0)
    expected = np.clip(least, -127 / UNITS_PER_MM, CAP_UNITS / UNITS_PER_MM)
    assert np.abs(field.combined / UNITS_PER_MM - expected).max() <= 0.07
    assert np.array_equal(field.combined, np.minimum(field.segmented, field.modelled))
    assert set(field.structures) >= {"bone", "root", "dura", "vessel", "bowel"}
    assert field.nerveSigmaMm > 0


def test_fieldIsLipschitz(makeAnatomy):
    anatomy = makeAnatomy()
    for facet, constant in ((None, 1.0), (anatomy.facet("L4-L5", "left"), 2.0)):
        field = buildClearanceField(anatomy, [-80, -70, -10], [10, 20, 50], P, facet)
        assert field.lipschitz == constant
        values = field.combined.astype(float) / UNITS_PER_MM
        for axis in range(3):
            step = np.abs(np.diff(values, axis=axis))
            # Sub-voxel corrections next to surfaces add up to half a millimetre to what one voxel may change.
            assert step.max() <= constant + 0.8
            assert np.percentile(step, 99) <= constant + 0.25


def test_contactIsLegalOnlyAtTheTargetJoint(makeAnatomy):
    anatomy = makeAnatomy()
    facet = anatomy.facet("L4-L5", "left")
    disc = buildClearanceField(anatomy, [-60, -76, -10], [10, 10, 50], P)
    joint = buildClearanceField(anatomy, [-60, -76, -10], [10, 10, 50], P, facet)
    near = np.linalg.norm(disc.grid.points() - facet.capsuleTargetRas, axis=-1)
    assert (joint.combined[near > P.facetContactRadiusMm + 3] == disc.combined[near > P.facetContactRadiusMm + 3]).all()
    inBone = (disc.combined < 0) & (near < 3)
    assert (joint.combined[inBone] >= disc.combined[inBone]).all()
    assert (joint.combined[inBone] > disc.combined[inBone]).any()


def test_drawnRootsCarryNoModelUncertainty(makeAnatomy):
    anatomy = makeAnatomy()
    bare = replace(anatomy, nerves=())
    field = buildClearanceField(bare, [-80, -60, -20], [10, 20, 60], P)
    assert field.nerveSigmaMm == 0.0
    assert (field.modelled == CAP_UNITS).all()
    assert "root" not in field.structures
