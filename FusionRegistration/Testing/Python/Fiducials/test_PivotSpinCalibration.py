"""Pivot and spin calibration on simulated hand movements with known tip and axis."""

import numpy as np
import pytest

from FusionRegistrationLib.PivotCalibration import calibratePivot, swingCoverageDeg
from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from FusionRegistrationLib.SpinCalibration import calibrateSpin, toolTipFrame

TIP = np.array([182.0, -12.5, 6.0])
PIVOT = np.array([-40.0, 310.0, 75.0])


def swing(count=300, angleDeg=35.0, noiseMm=0.25, seed=0, across=1.0):
    """Poses of a tool whose tip stays in the divot; sensor noise in place and angle."""
    random = np.random.default_rng(seed)
    base = rotationFromVector([0.3, 1.1, -0.6])
    poses = []
    for phase in np.linspace(0, 6 * np.pi, count):
        tilt = np.radians(angleDeg) * np.array([np.cos(phase), across * np.sin(phase), 0.0]) * random.uniform(0.3, 1.0)
        rotation = rotationFromVector(tilt) @ rotationFromVector([0, 0, 0.2 * np.sin(2 * phase)]) @ base
        pose = rigidFrom(rotation, PIVOT - rotation @ TIP + noiseMm * random.normal(size=3))
        pose[:3, :3] = rotationFromVector(0.0008 * random.normal(size=3)) @ pose[:3, :3]
        poses.append(pose)
    return np.array(poses)


def test_findsTipAndDivot():
    found = calibratePivot(swing())
    assert np.linalg.norm(found.tipInTool - TIP) < 0.2
    assert np.linalg.norm(found.pivotInReference - PIVOT) < 0.2
    assert 0.3 < found.rmsMm < 0.7
    assert found.acceptable and found.coverageDeg[1] > 20


def test_statedErrorIsHonest():
    """The stated deviation bounds the true error about as a standard deviation should, over 40 calibrations."""
    ratios = []
    for seed in range(40):
        found = calibratePivot(swing(count=100, seed=seed, noiseMm=0.5))
        ratios.append(np.linalg.norm(found.tipInTool - TIP) / found.tipSdMm)
    assert np.mean(np.array(ratios) < 2.0) > 0.9
    assert np.mean(ratios) > 0.15


def test_outliersAndInvalidPosesAreKeptOut():
    poses = swing()
    random = np.random.default_rng(1)
    wrong = random.choice(300, 45, replace=False)
    poses[wrong, :3, 3] += random.uniform(-30, 30, (45, 3))
    poses[5] = np.eye(4) * np.nan
    poses[6, 0, 0] = 7.0
    valid = np.ones(300, bool)
    valid[10:30] = False
    poses[10:30] = np.eye(4)
    found = calibratePivot(poses, valid)
    assert np.linalg.norm(found.tipInTool - TIP) < 0.3
    assert found.rejectedInvalid == 22
    assert found.rejectedOutliers >= len(set(wrong) - set(range(10, 30)) - {5, 6}) - 3


def test_repeatedPosesDontFeignPrecision():
    poses = swing(count=60)
    found, repeated = calibratePivot(poses), calibratePivot(np.repeat(poses, 20, axis=0))
    assert repeated.usedPoses == found.usedPoses
    assert repeated.tipSdMm == pytest.approx(found.tipSdMm)


@pytest.mark.parametrize(
    ("poses", "hint"),
    [(swing(angleDeg=5.0), "in all directions"), (swing(across=0.05), "in all directions"), (swing(noiseMm=2.0), "firmly in the divot")],
)
def test_hintsTellWhatToDo(poses, hint):
    found = calibratePivot(poses)
    assert not found.acceptable and hint in found.hint


def test_uselessDataAreRefused():
    with pytest.raises(ValueError, match="usable poses"):
        calibratePivot(swing(count=10))
    still = np.tile(np.eye(4), (100, 1, 1))
    still[:, :3, 3] = np.random.default_rng(2).normal(size=(100, 3))
    with pytest.raises(ValueError, match="not turned"):
        calibratePivot(still)
    with pytest.raises(ValueError, match="flags"):
        calibratePivot(swing(), [True])


def test_coverageByConstruction():
    poses = [rigidFrom(rotationFromVector(np.radians(a) * np.array([1.0, 0, 0])), [0, 0, 0]) for a in np.linspace(-30, 30, 200)]
    first, second = swingCoverageDeg(poses, [0, 0, 1])
    assert first == pytest.approx(57.6, abs=0.5)  # 2 % cut at either end
    assert second == pytest.approx(0.0, abs=1e-6)
    assert swingCoverageDeg(poses[:2], [0, 0, 1]) == (0.0, 0.0)


AXIS = np.array([0.6, -0.64, 0.48])


def spin(count=200, spanDeg=300.0, wobbleDeg=0.3, seed=0):
    random = np.random.default_rng(seed)
    base = rotationFromVector([0.5, -0.2, 2.0])
    return np.array(
        [
            rigidFrom(
                rotationFromVector(np.radians(wobbleDeg) * random.normal(size=3)) @ base @ rotationFromVector(np.radians(a) * AXIS),
                [10, 20, 30],
            )
            for a in np.linspace(0, spanDeg, count)
        ]
    )


def test_findsTheShaft():
    found = calibrateSpin(spin(), 150.0 * AXIS + [3, 2, -4])
    assert np.degrees(np.arccos(found.axisInTool @ AXIS)) < 0.15
    assert found.spinDeg == pytest.approx(300, abs=5)
    assert found.acceptable
    assert np.degrees(np.arccos(calibrateSpin(spin(), -AXIS).axisInTool @ -AXIS)) < 0.15


def test_repeatedPosesOfASpinDontFeignPrecision():
    found, repeated = calibrateSpin(spin(), AXIS), calibrateSpin(np.repeat(spin(), 20, axis=0), AXIS)
    assert repeated.usedPoses == found.usedPoses
    assert repeated.axisSdDeg == pytest.approx(found.axisSdDeg)
    with pytest.raises(ValueError, match="flags"):
        calibrateSpin(spin(), AXIS, [True])


def test_spinOutliersAreKeptOut():
    poses = spin()
    random = np.random.default_rng(3)
    for i in random.choice(200, 25, replace=False):
        poses[i, :3, :3] = rotationFromVector(random.normal(size=3)) @ poses[i, :3, :3]
    found = calibrateSpin(poses, AXIS)
    assert np.degrees(np.arccos(found.axisInTool @ AXIS)) < 0.2
    assert found.rejectedOutliers >= 23


def test_spinHintsAndRefusals():
    assert "further" in calibrateSpin(spin(spanDeg=40), AXIS).hint
    assert "wobbled" in calibrateSpin(spin(wobbleDeg=3.0), AXIS).hint
    with pytest.raises(ValueError, match="spin it"):
        calibrateSpin(spin(spanDeg=4.0), AXIS)
    with pytest.raises(ValueError, match="usable"):
        calibrateSpin(spin(count=5), AXIS)
    across = np.cross(AXIS, [0, 0, 1.0])
    with pytest.raises(ValueError, match="across"):
        calibrateSpin(spin(), across)


def test_tipFrameConvention():
    frame = toolTipFrame(TIP, 3.0 * AXIS)
    assert np.allclose(frame[:3, 2], AXIS) and np.allclose(frame[:3, 3], TIP)
    assert np.allclose(frame[:3, :3].T @ frame[:3, :3], np.eye(3)) and np.linalg.det(frame[:3, :3]) == pytest.approx(1)
    with pytest.raises(ValueError, match="non-zero"):
        toolTipFrame(TIP, [0, 0, 0])
