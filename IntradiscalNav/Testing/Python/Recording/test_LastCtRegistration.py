"""The last CT against the first, on a phantom that was moved by a known amount."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform

from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationAngleDeg, rotationFromVector, transformPoints
from IntradiscalNavLib.Recording.LastCtRegistration import registerLastCt
from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom


@pytest.fixture(scope="module")
def phantom():
    return cachedLumbarPhantom()


def movedScan(phantom, planningToLast, seed=3):
    """The phantom resampled where a rigid motion of the patient brings it: last(x) = planning(planningToLast^-1 x)."""
    toIjk = np.linalg.inv(phantom.ijkToRas)
    ijkMap = toIjk @ invertRigid(planningToLast) @ phantom.ijkToRas
    kji = ijkMap[:3, :3][::-1, ::-1]
    voxels = affine_transform(phantom.voxels.astype(np.float32), kji, ijkMap[:3, 3][::-1], order=1, cval=-1000)
    return voxels + np.random.default_rng(seed).normal(0, 12, voxels.shape)


def masks(phantom, names):
    values = {name: value for value, name in phantom.labelNames.items()}
    return {name: phantom.labels == values[name] for name in names}


@pytest.mark.parametrize(("turnDeg", "shift"), [((0, 0, 0), (0, 0, 0)), ((3, -2, 2), (4, -3, 5))])
def test_knownMotionIsFound(phantom, turnDeg, shift):
    center = phantom.truth.discs["L4-L5"].centerRas
    rotation = rotationFromVector(np.radians(turnDeg))
    planningToLast = rigidFrom(rotation, center + np.array(shift) - rotation @ center)
    last = movedScan(phantom, planningToLast)
    found = registerLastCt(
        phantom.voxels, phantom.ijkToRas, last, phantom.ijkToRas, masks(phantom, ["vertebrae_L4", "vertebrae_L5"]), center
    )
    assert found.trusted, found.doubts
    error = found.lastToPlanning @ planningToLast
    assert np.linalg.norm(transformPoints(error, center) - center) < 0.5
    assert rotationAngleDeg(error) < 0.5
    assert found.disagreementMm < 0.8
    assert all(motion.boneOverlap > 0.8 for motion in found.vertebrae)


def test_otherPatientIsDoubted(phantom):
    other = phantom.voxels[:, ::-1, :]  # another anatomy: back to front
    center = phantom.truth.discs["L4-L5"].centerRas
    found = registerLastCt(phantom.voxels, phantom.ijkToRas, other, phantom.ijkToRas, masks(phantom, ["vertebrae_L4"]), center)
    assert not found.trusted
    assert "doubtful" in found.doubts[0]


def test_badInputIsNamed(phantom):
    center = phantom.truth.discs["L4-L5"].centerRas
    with pytest.raises(ValueError, match="No vertebra"):
        registerLastCt(phantom.voxels, phantom.ijkToRas, phantom.voxels, phantom.ijkToRas, {}, center)
    away = phantom.ijkToRas.copy()
    away[2, 3] += 2000
    with pytest.raises(ValueError, match="does not cover"):
        registerLastCt(phantom.voxels, phantom.ijkToRas, phantom.voxels, away, masks(phantom, ["vertebrae_L4"]), center)
