"""A spine whose vertebrae have moved against each other since the CT."""

import json

import numpy as np
import pytest
from SpineMeshes import bentSpine
from SurfaceCases import Hardness, makeSweep

from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.PerVertebraRegistration import PerVertebraFit, movedDiscs, registerPerVertebra
from FusionRegistrationLib.RigidTransform import invertRigid, rotationAngleDeg, transformPoints
from FusionRegistrationLib.SurfaceRegistration import SurfaceRegistrationParameters, registerSurface


def _bentCase(spineCases, seed, degrees, millimetres, middleLevel=2.0, levelCount=4.5):
    spine, dense, surface = spineCases
    random = np.random.default_rng(seed)
    bent, motions = bentSpine(spine, random, degrees, millimetres)
    sweep = makeSweep(bent, dense.moved(motions), random, Hardness(levelCount=levelCount, outlierShare=0.15), middleLevel)
    quiet = SurfaceRegistrationParameters(checkLevels=False)
    rigid = registerSurface(sweep.points, surface, initialReferenceToRas=sweep.referenceToRas, parameters=quiet)
    return spine, surface, motions, sweep, rigid


@pytest.fixture(scope="module")
def bentCase(spineCases):
    return _bentCase(spineCases, 12, 5.0, 2.0)


@pytest.fixture(scope="module")
def fit(bentCase):
    _, surface, _, sweep, rigid = bentCase
    return registerPerVertebra(sweep.points, surface, rigid)


def _endplates(spine):
    names = spine.names
    return {
        disc: (names.index(disc.split("-")[0]) + 1, names.index(disc.split("-")[1]) + 1, *spine.endplates[disc]) for disc in spine.discs
    }


def test_discsAreFollowed(bentCase, fit):
    spine, _, motions, sweep, rigid = bentCase
    assert fit.converged
    errors, rigidErrors = [], []
    for disc, shift in movedDiscs(fit, _endplates(spine)).items():
        upper, lower = (spine.names.index(name) for name in disc.split("-"))
        top, bottom = spine.endplates[disc]
        truth = (transformPoints(motions[upper], top[None])[0] + transformPoints(motions[lower], bottom[None])[0]) / 2.0
        truth = transformPoints(rigid.referenceToRas @ invertRigid(sweep.referenceToRas), truth[None])[0]
        errors.append(np.linalg.norm(np.array(shift.movedRas) - truth))
        rigidErrors.append(np.linalg.norm(np.array(shift.plannedRas) - truth))
        gap = transformPoints(motions[upper], top[None])[0] - transformPoints(motions[lower], bottom[None])[0] - (top - bottom)
        assert abs(shift.disagreementMm - np.linalg.norm(gap)) < 2.0
    assert np.mean(errors) < 1.0
    assert np.mean(errors) < 0.6 * np.mean(rigidErrors)


def test_everyVertebraHasItsOwnTransform(bentCase, fit):
    spine, _, motions, sweep, _ = bentCase
    for number, vertebra in enumerate(fit.vertebrae[1:4], start=1):
        # Ultrasound sees the moved vertebra; its transform takes it back to where the CT has it.
        truth = invertRigid(motions[number]) @ sweep.referenceToRas
        difference = vertebra.referenceToRas @ invertRigid(truth)
        centre = spine.centres[number]
        assert np.linalg.norm(transformPoints(difference, centre[None])[0] - centre) < 1.5
        assert rotationAngleDeg(difference) < 3.0
        assert np.linalg.eigvalsh(vertebra.covariance).min() > 0


def test_obstaclesGoWithTheirVertebra(bentCase, fit):
    """At a vertebra's centre height a nerve goes with that vertebra alone; halfway with the mean of two."""
    upper, lower = fit.vertebrae[1], fit.vertebrae[2]
    point = upper.centreRas + np.array([20.0, -10.0, 0.0])
    assert np.allclose(fit.movedObstacles(point[None])[0], fit.movedByVertebra(upper.label, point[None])[0], atol=1e-9)
    half = (upper.centreRas + lower.centreRas) / 2.0
    expected = (fit.movedByVertebra(upper.label, half[None]) + fit.movedByVertebra(lower.label, half[None])) / 2.0
    assert np.allclose(fit.movedObstacles(half[None]), expected, atol=1e-9)
    far = fit.vertebrae[0].centreRas + np.array([0.0, 0.0, 100.0])
    assert np.allclose(fit.movedObstacles(far[None])[0], fit.movedByVertebra(fit.vertebrae[0].label, far[None])[0])


def test_unmovedSpineStaysTogether(spineCases):
    """Nothing moved: every vertebra stays within a millimetre of the rigid fit."""
    _, surface, _, sweep, rigid = _bentCase(spineCases, 3, 0.0, 0.0)
    fit = registerPerVertebra(sweep.points, surface, rigid.referenceToRas)
    for vertebra in fit.vertebrae[1:4]:
        assert vertebra.motionMm < 1.0
        assert vertebra.motionDeg < 2.0


def test_unseenVertebraIsCarriedAndSaid(spineCases):
    """A sweep over L1-L2 says nothing of L5: it follows its neighbours, is marked, and its covariance says so."""
    _, surface, _, sweep, rigid = _bentCase(spineCases, 5, 2.0, 1.0, middleLevel=0.5, levelCount=2.0)
    fit = registerPerVertebra(sweep.points, surface, rigid)
    first, last = fit.vertebrae[0], fit.vertebrae[-1]
    assert last.carried and not first.carried
    assert any(last.name in warning and "carried" in warning for warning in fit.warnings)
    assert np.trace(last.covariance[3:, 3:]) > 4.0 * np.trace(first.covariance[3:, 3:])


def test_surfaceWithoutLabelsIsNamed(bentCase, phantomSurface):
    _, _, _, sweep, rigid = bentCase
    assert isinstance(phantomSurface, BoneSurface) and not phantomSurface.vertebrae
    with pytest.raises(ValueError, match="segment the vertebrae"):
        registerPerVertebra(sweep.points, phantomSurface, rigid)


def test_jsonRoundTrip(bentCase, fit):
    again = PerVertebraFit.fromDict(json.loads(json.dumps(fit.toDict())))
    assert again.warnings == fit.warnings and again.converged == fit.converged and again.depthScale == fit.depthScale
    place = bentCase[0].centres
    for before, after in zip(fit.vertebrae, again.vertebrae):
        assert (before.label, before.name, before.pointCount, before.carried) == (after.label, after.name, after.pointCount, after.carried)
        assert np.array_equal(before.covariance, after.covariance)
        assert np.array_equal(fit.movedByVertebra(before.label, place), again.movedByVertebra(after.label, place))
    with pytest.raises(ValueError, match="depthScale"):
        PerVertebraFit.fromDict({name: value for name, value in fit.toDict().items() if name != "depthScale"})


def test_unknownVertebra(fit):
    with pytest.raises(KeyError, match="77"):
        fit.vertebra(77)
