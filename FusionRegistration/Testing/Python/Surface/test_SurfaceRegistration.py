"""Registration of simulated sweeps whose true pose is known."""

import dataclasses
import json

import numpy as np
import pytest
from SpineMeshes import surfaceOf
from SurfaceCases import Hardness, makeSweep, startNear, targetErrors

from FusionRegistrationLib.BonePoints import BonePoints, NoBoneError, SweepTooSmallError, joinBonePoints
from FusionRegistrationLib.LevelCheck import LevelAlternative, judgeLevels
from FusionRegistrationLib.PoseRefinement import PosePrior
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, transformPoints
from FusionRegistrationLib.SurfaceFit import SurfaceFit, targetError
from FusionRegistrationLib.SurfaceRegistration import SurfaceRegistrationParameters, registerSurface
from FusionRegistrationLib.SurfaceSearch import shiftAlongSpine


@pytest.fixture(scope="module")
def sweep(spineCases):
    spine, dense, _ = spineCases
    return makeSweep(spine, dense, np.random.default_rng(42), Hardness(outlierShare=0.3), middleLevel=2.0)


@pytest.fixture(scope="module")
def fit(spineCases, sweep):
    spine, _, surface = spineCases
    start = startNear(sweep, np.random.default_rng(1), 20.0, 20.0)
    return registerSurface(sweep.points, surface, initialReferenceToRas=start, targetsRas=spine.discs)


def test_findsThePoseFromAWrongStart(spineCases, sweep, fit):
    assert targetErrors(sweep, spineCases[0], fit.referenceToRas).max() < 1.0
    assert fit.trusted, fit.doubts
    assert fit.converged
    assert 0.6 < fit.inlierShare < 0.8  # 30 % of the points are no bone
    assert abs(fit.depthScale - sweep.depthScale) < 0.012


def test_manyStarts(spineCases, sweep):
    spine, _, surface = spineCases
    random = np.random.default_rng(5)
    fast = SurfaceRegistrationParameters(checkLevels=False)
    errors = []
    for _ in range(25):
        start = startNear(sweep, random, 30.0, 30.0)
        errors.append(
            targetErrors(
                sweep, spine, registerSurface(sweep.points, surface, initialReferenceToRas=start, parameters=fast).referenceToRas
            ).max()
        )
    assert max(errors) < 2.0


@pytest.mark.parametrize("direction", ["unknown", "caudocranial"])
def test_withoutAnyStart(spineCases, sweep, direction):
    spine, _, surface = spineCases
    fit = registerSurface(sweep.points, surface, sweepDirection=direction)
    assert targetErrors(sweep, spine, fit.referenceToRas).max() < 1.0


def test_wrongSweepDirectionIsDoubted(spineCases, sweep):
    fit = registerSurface(sweep.points, spineCases[2], sweepDirection="craniocaudal")
    assert not fit.trusted


def test_predictedErrorCoversTheTrueOne(spineCases, sweep, fit):
    errors = targetErrors(sweep, spineCases[0], fit.referenceToRas)
    for name, error in zip(sweep.discs, errors):
        predicted = fit.predictedTre[name]
        assert predicted.meanMm <= predicted.rmsMm <= predicted.p95Mm
        assert error < 1.5 * predicted.p95Mm
        assert predicted.rmsMm < 1.5


def test_residualsAndPointsBelongTogether(spineCases, fit):
    assert np.allclose(spineCases[2].table.distances(fit.pointsRas), fit.residualsMm)
    assert fit.inlierShare == pytest.approx(np.mean(np.abs(fit.residualsMm) < 2.0))
    assert 0.2 < fit.holdOutDistanceMm < 2.0
    assert 0.5 < fit.holdOutInlierShare <= 1.0


def test_covarianceIsOne(fit):
    assert np.allclose(fit.covariance, fit.covariance.T)
    assert np.linalg.eigvalsh(fit.covariance).min() > 0


def test_jsonRoundTrip(fit):
    again = SurfaceFit.fromDict(json.loads(json.dumps(fit.toDict())))
    for field in dataclasses.fields(SurfaceFit):
        before, after = getattr(fit, field.name), getattr(again, field.name)
        assert np.array_equal(before, after) if isinstance(before, np.ndarray) else before == after, field.name
    with pytest.raises(ValueError, match="covariance"):
        SurfaceFit.fromDict({name: value for name, value in fit.toDict().items() if name != "covariance"})


def test_depthScaleIsWorthFitting(spineCases):
    """With depths 2 % off, leaving the scale out costs accuracy."""
    spine, dense, surface = spineCases
    clean = Hardness(noiseMm=0.3, outlierShare=0.0, jitterMm=0.0, depthScale=0.0, beamHalfWidthMm=0.4, gapShare=0.0)
    sweep = makeSweep(spine, dense, np.random.default_rng(3), clean, middleLevel=2.0)
    # Depths read 2 % short, about the probe's face.
    offsets = sweep.points.beamOffsetsMm / 1.02
    short = dataclasses.replace(
        sweep.points, pointsReference=sweep.points.pointsReference - sweep.points.beamOffsetsMm + offsets, beamOffsetsMm=offsets
    )
    fitted = registerSurface(short, surface, initialReferenceToRas=sweep.referenceToRas)
    chosen = SurfaceRegistrationParameters()
    fixed = registerSurface(
        short,
        surface,
        initialReferenceToRas=sweep.referenceToRas,
        parameters=dataclasses.replace(chosen, refinement=dataclasses.replace(chosen.refinement, depthScaleSigma=0.0)),
    )
    assert fixed.depthScale == 1.0
    assert abs(fitted.depthScale - 1.02) < 0.004
    assert targetErrors(sweep, spine, fitted.referenceToRas).max() < 0.6 * targetErrors(sweep, spine, fixed.referenceToRas).max()


def test_neighbouringLevelIsFoundOut(spineCases, sweep):
    """Started one level off and searched only there, the fit is doubted and the level named."""
    _, _, surface = spineCases
    chosen = SurfaceRegistrationParameters()
    narrow = dataclasses.replace(chosen, search=dataclasses.replace(chosen.search, radiusMm=8.0, radiusDeg=10.0, starts=96))
    place = transformPoints(sweep.referenceToRas, sweep.points.pointsReference.mean(axis=0)[None])[0]
    for sign in (-1.0, 1.0):
        start = shiftAlongSpine(sweep.referenceToRas, place, surface, sign * surface.pitchMm)
        fit = registerSurface(sweep.points, surface, initialReferenceToRas=start, parameters=narrow)
        assert not fit.trusted
        assert fit.levelCheck.ambiguous
        assert fit.levelCheck.closest.levels == -sign
        assert "confirm the level" in fit.levelCheck.message
        back = targetErrors(sweep, spineCases[0], fit.levelCheck.closest.matrix)
        assert back.max() < 2.0  # the alternative is the right pose


def test_ctWithoutTheScannedLevels(spineCases):
    """The sweep saw L1-L2, the CT shows L4-L5 only."""
    spine, dense, _ = spineCases
    sweep = makeSweep(spine, dense, np.random.default_rng(8), Hardness(levelCount=2.0, outlierShare=0.1), middleLevel=0.5)
    surface = surfaceOf(spine, 0.9, only=("L4", "L5"))
    fit = registerSurface(sweep.points, surface, initialReferenceToRas=sweep.referenceToRas)
    assert not fit.trusted
    assert any("doesn't show the scanned levels" in doubt for doubt in fit.doubts)


def test_uncheckedLevelIsSaid(spineCases):
    """A CT of one vertebra alone has no neighbouring level to try: that is said, not passed over."""
    spine, dense, _ = spineCases
    sweep = makeSweep(spine, dense, np.random.default_rng(9), Hardness(levelCount=1.2, outlierShare=0.0), middleLevel=2.0)
    surface = surfaceOf(spine, 0.9, only=("L3",))
    fit = registerSurface(sweep.points, surface, initialReferenceToRas=sweep.referenceToRas)
    assert fit.levelCheck.alternatives == () or not fit.trusted
    if not fit.levelCheck.alternatives:
        assert any("could not be cross-checked" in warning for warning in fit.warnings)


def test_priorHoldsWhatTheBoneLeavesOpen(spineCases, sweep):
    """A tight prior wins over the data, a loose one leaves the fit alone."""
    _, _, surface = spineCases
    place = transformPoints(sweep.referenceToRas, sweep.points.pointsReference.mean(axis=0)[None])[0]
    shifted = rigidFrom(np.eye(3), [1.0, 0.0, 0.0]) @ sweep.referenceToRas
    quiet = SurfaceRegistrationParameters(checkLevels=False)

    def shiftWith(sigma):
        prior = PosePrior(shifted, np.diag([sigma * 0.01] * 3 + [sigma] * 3) ** 2, place)
        fit = registerSurface(sweep.points, surface, initialReferenceToRas=sweep.referenceToRas, prior=prior, parameters=quiet)
        return (transformPoints(fit.referenceToRas @ invertRigid(sweep.referenceToRas), place[None])[0] - place)[0]

    assert abs(shiftWith(0.01) - 1.0) < 0.1
    assert abs(shiftWith(100.0)) < 0.4


def test_sameInputSameFit(spineCases, sweep):
    start = startNear(sweep, np.random.default_rng(2), 10.0, 10.0)
    quiet = SurfaceRegistrationParameters(checkLevels=False)
    fits = [registerSurface(sweep.points, spineCases[2], initialReferenceToRas=start, parameters=quiet) for _ in range(2)]
    assert np.array_equal(fits[0].referenceToRas, fits[1].referenceToRas)


def test_noBoneIsNamed(spineCases):
    with pytest.raises(NoBoneError, match="Only 3 bone points"):
        registerSurface(BonePoints(np.zeros((3, 3))), spineCases[2], initialReferenceToRas=np.eye(4))


def test_singleFrameIsNamed(spineCases, sweep):
    one = sweep.points.take(sweep.points.frames == np.bincount(sweep.points.frames).argmax())
    repeated = joinBonePoints([one] * 4)
    with pytest.raises(SweepTooSmallError, match="1 frame"):
        registerSurface(repeated, spineCases[2], initialReferenceToRas=sweep.referenceToRas)


def test_probeHeldStillIsNamed(spineCases, sweep):
    """Ten frames of the same plane are no sweep either."""
    one = sweep.points.take(sweep.points.frames == np.bincount(sweep.points.frames).argmax())
    normal = one.elevations[0]
    flat = one.pointsReference - np.outer((one.pointsReference - one.pointsReference[0]) @ normal, normal)
    parts = [dataclasses.replace(one, pointsReference=flat, frames=np.full(len(one), n)) for n in range(10)]
    with pytest.raises(SweepTooSmallError, match="one plane"):
        registerSurface(joinBonePoints(parts), spineCases[2], initialReferenceToRas=sweep.referenceToRas)


def test_startMustBeRigid(spineCases, sweep):
    with pytest.raises(ValueError, match="not rigid"):
        registerSurface(sweep.points, spineCases[2], initialReferenceToRas=2.0 * np.eye(4))
    with pytest.raises(ValueError, match="beams"):
        registerSurface(dataclasses.replace(sweep.points, beamOffsetsMm=None), spineCases[2])
    with pytest.raises(ValueError, match="sweep direction"):
        registerSurface(sweep.points, spineCases[2], sweepDirection="sideways")


def test_pointsFromNowhereAreDoubted(spineCases, sweep):
    """Random points in the place of bone fit nothing."""
    random = np.random.default_rng(6)
    low, high = sweep.points.pointsReference.min(axis=0), sweep.points.pointsReference.max(axis=0)
    noise = dataclasses.replace(sweep.points, pointsReference=random.uniform(low, high, sweep.points.pointsReference.shape))
    assert not registerSurface(noise, spineCases[2], initialReferenceToRas=sweep.referenceToRas).trusted


def test_judgeLevels():
    def alternative(levels, cost):
        return LevelAlternative(levels, 30.0 * levels, cost, 0.5, tuple(tuple(row) for row in np.eye(4).tolist()))

    sure = judgeLevels(0.3, (alternative(-1, 0.6), alternative(1, 0.55)))
    assert not sure.ambiguous and sure.margin == pytest.approx(0.25) and sure.closest.levels == 1
    close = judgeLevels(0.3, (alternative(-1, 0.33),))
    assert close.ambiguous and "nearly as well 1 level lower" in close.message
    better = judgeLevels(0.5, (alternative(2, 0.3),))
    assert better.ambiguous and "better 2 levels higher" in better.message
    alone = judgeLevels(0.3, ())
    assert not alone.ambiguous and "could not be cross-checked" in alone.message


def test_targetErrorOfAKnownCovariance():
    """Pure translation noise of 1 mm per axis: the length follows the Maxwell distribution."""
    covariance = np.diag([1e-12] * 3 + [1.0] * 3)
    error = targetError(covariance, np.zeros(3), np.array([10.0, 0.0, 0.0]))
    assert error.rmsMm == pytest.approx(np.sqrt(3.0), rel=1e-6)
    assert error.meanMm == pytest.approx(2.0 * np.sqrt(2.0 / np.pi), rel=1e-4)
    assert error.p95Mm == pytest.approx(2.7955, rel=1e-3)
    turned = targetError(np.diag([0, 0, 0.01**2, 1e-12, 1e-12, 1e-12]), np.zeros(3), np.array([100.0, 0.0, 50.0]))
    assert turned.rmsMm == pytest.approx(1.0, rel=1e-3)  # 0.01 rad about z at a lever of 100 mm


def test_shiftAlongSpineFollowsTheAxis(spineCases):
    surface = spineCases[2]
    place = surface.axisRas[len(surface.axisRas) // 2]
    moved = shiftAlongSpine(np.eye(4), place, surface, 30.0)
    target = transformPoints(moved, place[None])[0]
    assert 25.0 < np.linalg.norm(target - place) < 31.0
    assert np.min(np.linalg.norm(surface.axisRas - target, axis=1)) < 20.0
    back = shiftAlongSpine(moved, target, surface, -30.0)
    assert np.linalg.norm(transformPoints(back, place[None])[0] - place) < 3.0
