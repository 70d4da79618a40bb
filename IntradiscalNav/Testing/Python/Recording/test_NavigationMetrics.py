"""Planned against done, on insertions whose errors are known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath, computeNavigationMetrics

PLAN = PlannedPath((60.0, -80.0, 10.0), (0.0, 0.0, 0.0))
D = PLAN.direction
SIDE = np.cross(D, [0, 0, 1.0])
SIDE /= np.linalg.norm(SIDE)


def poseAt(tip, direction=D):
    z = direction / np.linalg.norm(direction)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = tip
    return pose


def insertion(depths, lateral=0.0):
    return np.array([poseAt(np.array(PLAN.entryRas) + depth * D + lateral * SIDE) for depth in depths])


@given(lateral=st.floats(0, 15), short=st.floats(-5, 5))
def test_straightInsertionBesideThePlan(lateral, short):
    depths = np.arange(-20.0, PLAN.lengthMm - short, 0.5)
    times = np.arange(len(depths)) * 0.1
    metrics = computeNavigationMetrics(times, insertion(depths, lateral), PLAN)
    missing = PLAN.lengthMm - depths[-1]
    assert metrics.entryErrorMm == pytest.approx(lateral, abs=1e-6)
    assert metrics.finalLateralMm == pytest.approx(lateral, abs=1e-6)
    assert metrics.finalDepthErrorMm == pytest.approx(missing, abs=1e-6)
    assert metrics.finalTipToTargetMm == pytest.approx(np.hypot(lateral, missing), abs=1e-6)
    assert metrics.finalAngleDeg == pytest.approx(0, abs=1e-4)
    assert metrics.needlePasses == 1
    assert metrics.corrections == 0
    assert metrics.pathInTissueMm == pytest.approx(depths[-1], abs=1.0)
    assert metrics.invisibleShare == pytest.approx(0, abs=1e-12)
    assert metrics.profile is not None
    assert np.allclose(metrics.profile.lateralMm, lateral, atol=1e-6)


def test_pullBackAndSecondPassAreCounted():
    depths = np.concatenate(
        [np.arange(-10, 40, 0.5), np.arange(40, 30, -0.5), np.arange(30, 60, 0.5), np.arange(60, -10, -1.0), np.arange(-10, 80, 0.5)]
    )
    metrics = computeNavigationMetrics(np.arange(len(depths)) * 0.1, insertion(depths), PLAN)
    assert metrics.corrections == 1
    assert metrics.needlePasses == 2


def test_turnOfTheShaftIsACorrectionAndAnAngle():
    depths = np.arange(-10, 60, 0.5)
    poses = insertion(depths)
    turned = D + np.tan(np.radians(4)) * SIDE
    for index in range(100, len(depths)):
        poses[index] = poseAt(poses[index][:3, 3], turned)
    metrics = computeNavigationMetrics(np.arange(len(depths)) * 0.1, poses, PLAN)
    assert metrics.corrections == 1
    assert metrics.finalAngleDeg == pytest.approx(4, abs=1e-6)


def test_invisibleTimeAndPhasesAndClearances():
    depths = np.linspace(-10, 90, 101)
    times = np.arange(101) * 0.5
    valid = np.ones(101, bool)
    valid[50:60] = False
    poses = insertion(depths)
    poses[50:60] = np.nan
    clearance = np.linspace(20, 3, 101)
    metrics = computeNavigationMetrics(
        times,
        poses,
        PLAN,
        valid=valid,
        outOfPlaneMm=np.where(np.arange(101) < 80, 0.5, 5.0),
        phases=[(0.0, "aligning"), (10.0, "advancing"), (45.0, "at target")],
        clearancesMm={"root L4": clearance},
    )
    assert metrics.invisibleShare == pytest.approx(0.1, abs=0.01)
    assert metrics.timePerPhaseSec == {"aligning": 10.0, "advancing": 35.0, "at target": 5.0}
    assert metrics.leastClearanceMm["root L4"] == pytest.approx(3.0)
    assert metrics.outOfPlaneShare == pytest.approx(20 / 80, abs=0.02)


def test_needleThatNeverEnteredHasNoEntryError():
    metrics = computeNavigationMetrics(np.arange(10.0), insertion(np.linspace(-30, -5, 10)), PLAN)
    assert metrics.entryErrorMm is None
    assert metrics.maximumLateralInTissueMm is None
    assert metrics.needlePasses == 0
    assert metrics.profile is None


def test_badInputIsNamed():
    with pytest.raises(ValueError, match="no valid"):
        computeNavigationMetrics([0.0, 1.0], np.full((2, 4, 4), np.nan), PLAN)
    with pytest.raises(ValueError, match="backwards"):
        computeNavigationMetrics([0.0, 2.0, 1.0], insertion([0, 1, 2]), PLAN)
    with pytest.raises(ValueError, match="coincide"):
        _ = PlannedPath((0, 0, 0), (0, 0, 0)).direction
