"""Markers and bone together: agreement, contradiction, and which of them counts where."""

import json

import numpy as np
import pytest
from SurfaceCases import Hardness, makeSweep, targetErrors

from FusionRegistrationLib.JointRegistration import Disagreement, compareRegistrations, markerPrior, registerJointly
from FusionRegistrationLib.PoseRefinement import PosePrior
from FusionRegistrationLib.RigidFit import fitRigid
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationFromVector, transformPoints


@pytest.fixture(scope="module")
def sweep(spineCases):
    spine, dense, _ = spineCases
    return makeSweep(spine, dense, np.random.default_rng(21), Hardness(outlierShare=0.2), middleLevel=2.0)


def _markerFit(sweep, noiseMm, shiftRas, seed=0):
    """Six markers on the skin behind the sweep, measured with noise, all carried by the skin."""
    random = np.random.default_rng(seed)
    centre = sweep.centreRas + np.array([0.0, -90.0, 0.0])
    ras = centre + np.array([[-40, 0, -50], [40, 2, -45], [-38, 1, 40], [42, 0, 50], [0, -4, 0], [5, 3, 55]], float)
    reference = transformPoints(invertRigid(sweep.referenceToRas), ras + np.asarray(shiftRas)) + random.normal(0, noiseMm, ras.shape)
    return fitRigid(reference, ras)


def test_goodMarkersAgree(spineCases, sweep):
    spine, _, surface = spineCases
    joint = registerJointly(sweep.points, surface, markerPrior(_markerFit(sweep, 0.7, [0, 0, 0])), targetsRas=spine.discs)
    assert joint.disagreement.agree, joint.disagreement.message
    assert joint.trusted, joint.fit.doubts
    assert targetErrors(sweep, spine, joint.fit.referenceToRas).max() < 1.2
    # Two sources are never less certain than one.
    for name in sweep.discs:
        assert joint.fit.predictedTre[name].rmsMm <= joint.surfaceOnly.predictedTre[name].rmsMm * 1.05


def test_draggedSkinIsFoundOut(spineCases, sweep):
    """All markers carried 12 mm by the skin: they agree among themselves, but not with the bone."""
    spine, _, surface = spineCases
    fit = _markerFit(sweep, 0.5, [12.0, 0.0, 0.0])
    assert fit.freMm < 1.5
    joint = registerJointly(sweep.points, surface, markerPrior(fit), targetsRas=spine.discs)
    assert not joint.disagreement.agree and not joint.trusted
    assert "contradict" in joint.disagreement.message
    assert joint.disagreement.message in joint.fit.doubts
    assert 9.0 < joint.disagreement.shiftMm < 15.0
    assert 8.0 < joint.disagreement.atTargetsMm[sweep.discs[0]] < 16.0
    assert targetErrors(sweep, spine, joint.surfaceOnly.referenceToRas).max() < 1.2  # the bone alone was right


def test_preciseMarkersPullThePose(spineCases, sweep):
    """With a marker fit of tiny covariance the joint pose is the markers'."""
    spine, _, surface = spineCases
    place = transformPoints(sweep.referenceToRas, sweep.points.pointsReference.mean(axis=0)[None])[0]
    exact = PosePrior(sweep.referenceToRas, np.diag([1e-4] * 3 + [0.02] * 3) ** 2, place)
    joint = registerJointly(sweep.points, surface, exact)
    assert targetErrors(sweep, spine, joint.fit.referenceToRas).max() < 0.15


def test_falseAlarmRate(spineCases, sweep):
    """Honest covariances: of forty marker fits drawn from their own, nearly all agree with the surface fit."""
    surface = spineCases[2]
    alone = registerJointly(sweep.points, surface, markerPrior(_markerFit(sweep, 0.7, [0, 0, 0]))).surfaceOnly
    prior = markerPrior(_markerFit(sweep, 0.7, [0, 0, 0]))
    random = np.random.default_rng(3)
    factor = np.linalg.cholesky(prior.covariance)
    agreed = 0
    for _ in range(40):
        twist = factor @ random.normal(size=6)
        rotation = rotationFromVector(twist[:3])
        moved = rigidFrom(rotation, prior.centreRas - rotation @ prior.centreRas + twist[3:]) @ sweep.referenceToRas
        agreed += compareRegistrations(alone, PosePrior(moved, prior.covariance, prior.centreRas)).agree
    assert agreed >= 38


def test_disagreementOfKnownShift(spineCases, sweep):
    _, _, surface = spineCases
    joint = registerJointly(sweep.points, surface, markerPrior(_markerFit(sweep, 0.5, [0, 0, 0])))
    shifted = PosePrior(rigidFrom(np.eye(3), [0.0, 3.0, 4.0]) @ joint.surfaceOnly.referenceToRas, np.eye(6), np.zeros(3))
    compared = compareRegistrations(joint.surfaceOnly, shifted, {"disc": [1.0, 2.0, 3.0]})
    assert compared.shiftMm == pytest.approx(5.0)
    assert compared.turnDeg == pytest.approx(0.0, abs=1e-9)
    assert compared.atTargetsMm["disc"] == pytest.approx(5.0)
    assert Disagreement.fromDict(json.loads(json.dumps(compared.toDict()))) == compared


def test_skinShiftMustNotBeNegative(sweep):
    with pytest.raises(ValueError, match="skin shift"):
        markerPrior(_markerFit(sweep, 0.5, [0, 0, 0]), skinShiftMm=-1.0)
