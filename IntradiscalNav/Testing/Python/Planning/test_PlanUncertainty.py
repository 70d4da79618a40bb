"""Probability of violation against closed forms, and its part in plans."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from IntradiscalNavLib.Planning.ClearanceField import CAP_UNITS, UNITS_PER_MM, ClearanceField
from IntradiscalNavLib.Planning.GridResampling import RasGrid
from IntradiscalNavLib.Planning.PathEvaluation import evaluateTrajectory
from IntradiscalNavLib.Planning.PlanContext import preparePlan
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty, bendMm, estimateViolation

STIFF = PlanningParameters(needleBendResidual=0.0)
ENTRY, TARGET = np.array([[0.0, -60.0, 0.0]]), np.array([[0.0, 0.0, 0.0]])
WIDE = np.eye(3) / 1000.0


def wallField(distanceMm: float, sigmaMm: float = 0.0, *, modelled: bool = False) -> ClearanceField:
    """Free half-space R < distance: the clearance of a point is its distance from that wall."""
    grid = RasGrid.around([-12, -70, -12], [12, 10, 12], 1.0)
    clearance = distanceMm - grid.axis(0)
    values = np.clip(np.rint(clearance * UNITS_PER_MM), -127, CAP_UNITS).astype(np.int8)
    wall = np.ascontiguousarray(np.broadcast_to(values, grid.shape))
    free = np.full(grid.shape, CAP_UNITS, np.int8)
    parts = (free, wall) if modelled else (wall, free)
    return ClearanceField(grid, wall, *parts, {}, {"bone": 0.5}, sigmaMm, 1.0)


@pytest.mark.parametrize(("distance", "tre"), [(1.5, 1.5), (1.5, 3.0), (3.5, 3.0), (0.5, 2.0)])
def test_translationTowardsAWallFollowsTheNormalDistribution(distance, tre):
    # Nearest voxels: the wall at x.5 is crossed exactly between two voxel centres.
    found = estimateViolation(
        wallField(distance), ENTRY, TARGET, RegistrationUncertainty.isotropic([0, 0, 0], tre), STIFF, TARGET[0], WIDE, draws=4000
    )
    expected = ndtr(-distance / (tre / np.sqrt(3)))
    assert found.total[0] == pytest.approx(expected, abs=0.03)
    assert found.byCause["segmented structures"][0] == found.total[0]
    assert found.byCause["modelled nerves"][0] == 0


def test_rotationActsThroughItsLeverArm():
    covariance = np.zeros((6, 6))
    covariance[2, 2] = np.radians(1.0) ** 2  # about S, 1 deg; the target lies 90 mm from the centre
    registration = RegistrationUncertainty(np.array([0.0, -90.0, 0.0]), covariance)
    found = estimateViolation(wallField(1.5), ENTRY, TARGET, registration, STIFF, TARGET[0], WIDE, draws=4000)
    assert found.total[0] == pytest.approx(ndtr(-1.5 / (90 * np.radians(1.0))), abs=0.03)


def test_bendingGrowsWithDepthSquared():
    p = PlanningParameters(needleBendResidual=1.0)
    assert bendMm(80.0, p) == pytest.approx(8.89)  # Rand 2016
    assert bendMm(40.0, p) == pytest.approx(8.89 / 4)
    bent = replace(STIFF, needleBendResidual=0.3)
    none = RegistrationUncertainty.isotropic([0, 0, 0], 0.0)
    found = estimateViolation(wallField(1.5), ENTRY, TARGET, none, bent, TARGET[0], WIDE, draws=4000)
    assert found.total[0] == pytest.approx(ndtr(-1.5 / float(bendMm(60.0, bent))), abs=0.03)


def test_uncertainNervesViolateWithoutAnyRegistrationError():
    none = RegistrationUncertainty.isotropic([0, 0, 0], 0.0)
    found = estimateViolation(wallField(2.0, 2.5, modelled=True), ENTRY, TARGET, none, STIFF, TARGET[0], WIDE, draws=4000)
    assert found.total[0] == pytest.approx(ndtr(-2.0 / 2.5), abs=0.03)
    assert found.byCause["modelled nerves"][0] == found.total[0]


def test_tipLeavingItsRegionCounts():
    tight = np.eye(3) / 1.0
    found = estimateViolation(
        wallField(9.5), ENTRY, TARGET, RegistrationUncertainty.isotropic([0, 0, 0], np.sqrt(3.0)), STIFF, TARGET[0], tight, draws=4000
    )
    # Chance that a standard normal 3-vector is longer than 1.
    assert found.byCause["tip"][0] == pytest.approx(0.801, abs=0.03)


def test_noErrorNoViolationAndMoreErrorMoreViolation(makeAnatomy):
    fast = PlanningParameters(minEntries=3000)
    context = preparePlan(makeAnatomy(), "L4-L5", "left", fast)
    from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories

    path = planTrajectories(makeAnatomy(), "L4-L5", "left", fast).best[0]
    still = replace(context, field=replace(context.field, nerveSigmaMm=0.0), parameters=replace(fast, needleBendResidual=0.0))
    values = []
    for tre in (0.0, 1.0, 3.0, 6.0):
        moved = still.withRegistration(RegistrationUncertainty.isotropic(path.targetRas, tre))
        values.append(evaluateTrajectory(moved, path.entryRas, path.targetRas, draws=256).violationProbability)
    assert values[0] <= 0.01
    assert values == sorted(values)
    assert values[-1] > 0.5


def test_uncertaintyDrawsThePlanToMoreRoom(makeAnatomy):
    from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories

    fast = PlanningParameters(minEntries=3000)
    calm = planTrajectories(makeAnatomy(), "L4-L5", "left", replace(fast, weightRobustness=0.0)).best[0]
    careful = planTrajectories(makeAnatomy(), "L4-L5", "left", replace(fast, weightRobustness=20.0)).best[0]
    assert careful.violationProbability <= calm.violationProbability


def test_covariancesThatAreNoneAreRefused():
    with pytest.raises(ValueError, match="6x6"):
        RegistrationUncertainty(np.zeros(3), np.eye(3))
    with pytest.raises(ValueError, match="negative eigenvalues"):
        RegistrationUncertainty(np.zeros(3), -np.eye(6))
