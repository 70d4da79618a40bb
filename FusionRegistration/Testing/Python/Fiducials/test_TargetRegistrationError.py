"""Predicted target error: against the published formula and tables, Monte Carlo truth, and the coverage of its bound."""

import numpy as np
import pytest

from FusionRegistrationLib.PairedPointSolver import solveRigid, twistDesign, twistMatrix
from FusionRegistrationLib.RigidFit import RigidFit, fitRigid
from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector, transformPoints
from FusionRegistrationLib.TargetRegistrationError import fitzpatrickTreMm, predictTwistUncertainty

SQUARE = np.array([[-40, -40, 0], [40, -40, 0], [40, 40, 0], [-40, 40, 0.0]])
SIX = np.array([[-60, -50, 0], [60, -50, 0], [60, 50, 0], [-60, 50, 0], [0, -50, 0], [0, 50, 0.0]])


@pytest.mark.parametrize("depth", [0.0, 60.0, 90.0, 120.0])
def test_squarePlateByHand(depth):
    """A square of half side a: d = depth from both in-plane axes, f = a, so TRE^2 = FLE^2 / 4 (1 + 2/3 (depth/a)^2)."""
    by_hand = 0.35 * np.sqrt(0.25 * (1 + 2 / 3 * (depth / 40.0) ** 2))
    assert fitzpatrickTreMm(SQUARE, [0, 0, -depth], 0.35) == pytest.approx(by_hand, rel=1e-12)
    assert fitzpatrickTreMm(
        SQUARE @ rotationFromVector([1, 2, 3.0]).T, rotationFromVector([1, 2, 3.0]) @ [0, 0, -depth], 0.35
    ) == pytest.approx(by_hand)


def test_formulaEqualsMonteCarlo():
    random = np.random.default_rng(0)
    target = np.array([15.0, -10.0, -80.0])
    errors = []
    for _ in range(4000):
        noisy = SIX + 0.2 * random.normal(size=SIX.shape)
        errors.append(transformPoints(solveRigid(SIX, noisy), target) - target)
    assert fitzpatrickTreMm(SIX, target, 0.2 * np.sqrt(3)) == pytest.approx(np.sqrt((np.array(errors) ** 2).sum(axis=1).mean()), rel=0.04)


def test_knownFleGivesTheFormula():
    mapped = SIX
    residuals = 0.01 * np.random.default_rng(1).normal(size=SIX.shape)
    found = predictTwistUncertainty(mapped, residuals, np.tile(np.eye(3), (6, 1, 1)), shapeKnown=True, knownFleMm=0.7)
    for target in ([0, 0, -60], [30, 20, -90], [0, 0, 0], [100, 0, 10]):
        assert found.at(target).rmsMm == pytest.approx(fitzpatrickTreMm(SIX, target, 0.7), rel=1e-9)
        assert found.at(target).meanMm < found.at(target).rmsMm < found.at(target).p95Mm


def test_isotropicEstimateFollowsStudent():
    """At the centroid the bound must be that of an F distribution with 3 and 3N-6 degrees of freedom."""
    from scipy.stats import f

    target = transformPoints(rigidFrom(np.eye(3), [5, 6, 7]), SQUARE) + 0.5 * np.random.default_rng(2).normal(size=(4, 3))
    fit = fitRigid(SQUARE, target, isotropicFle=True, targets={"centroid": target.mean(axis=0)})
    variance = fit.fleMm**2 / 3.0
    expected = np.sqrt(3.0 * f.ppf(0.95, 3, 6) * variance / 4.0)
    assert fit.predictedTre["centroid"].p95Mm == pytest.approx(expected, rel=0.03)
    assert fit.predictedTre["centroid"].rmsMm == pytest.approx(fit.fleMm / 2.0, rel=1e-6)


def test_covarianceEqualsMonteCarlo():
    """The plug-in covariance of the twist about the stated centre, on average over fits, is the true one."""
    random = np.random.default_rng(3)
    pose = rigidFrom(rotationFromVector([1.0, 0.5, -2.0]), [100, 50, -30])
    truth = transformPoints(pose, SIX)
    twists, stated = [], []
    for _ in range(1500):
        fitted = solveRigid(SIX, truth + 0.3 * random.normal(size=SIX.shape))
        center = truth.mean(axis=0)
        # true = exp(twist about the centre) * fitted, linearised at the points
        design = twistDesign(transformPoints(fitted, SIX), center).reshape(-1, 6)
        twists.append(np.linalg.lstsq(design, (truth - transformPoints(fitted, SIX)).ravel(), rcond=None)[0])
    for _ in range(60):
        fit = fitRigid(SIX, truth + 0.3 * random.normal(size=SIX.shape), isotropicFle=True)
        stated.append(fit.plugInCovariance)
        assert (np.linalg.eigvalsh(fit.covariance - fit.plugInCovariance) > -1e-12).all()
    observed, mean = np.cov(np.array(twists).T), np.mean(stated, axis=0)
    assert np.allclose(np.sqrt(np.diag(observed)), np.sqrt(np.diag(mean)), rtol=0.1)


def coverage(root, counts, runs, **options):
    random = np.random.default_rng(42)
    hits = 0
    for index in range(runs):
        count = counts[index % len(counts)]
        points = np.c_[random.uniform(-70, 70, count), random.uniform(-60, 60, count), random.uniform(-8, 8, count)]
        while np.linalg.svd(points - points.mean(0), compute_uv=False)[1] < 18 * np.sqrt(count):
            points = np.c_[random.uniform(-70, 70, count), random.uniform(-60, 60, count), random.uniform(-8, 8, count)]
        pose = rigidFrom(rotationFromVector(random.normal(size=3)), random.uniform(-100, 100, 3))
        turn = rotationFromVector(3 * random.normal(size=3))
        measured = transformPoints(pose, points + random.normal(size=points.shape) @ (turn @ root).T)
        fitted = solveRigid(points, measured)
        mapped = transformPoints(fitted, points)
        stated = predictTwistUncertainty(mapped, measured - mapped, np.tile(np.eye(3), (count, 1, 1)), **options)
        disc = np.array([random.uniform(-30, 30), random.uniform(-30, 30), -random.uniform(60, 110)])
        error = np.linalg.norm(transformPoints(fitted, disc) - transformPoints(pose, disc))
        hits += error <= stated.at(transformPoints(fitted, disc)).p95Mm
    return hits / runs


@pytest.mark.parametrize("ratio", [1.0, 3.0])
def test_boundCoversAboutAsOftenAsStated(ratio):
    """A short run (bench_fiducials.py makes the long one): 93-97 % wanted, the sampling error of 300 runs is 1.3 %."""
    found = coverage(np.diag([0.4, 0.4, 0.4 * ratio]), (4, 6, 8), 300, shapeKnown=False)
    assert 0.905 <= found <= 0.99


def test_takingTheEstimateForTheTruthWouldCoverTooLittle():
    random = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        measured = SQUARE + 0.4 * random.normal(size=SQUARE.shape)
        fitted = solveRigid(SQUARE, measured)
        mapped = transformPoints(fitted, SQUARE)
        fle = np.sqrt(3 * ((measured - mapped) ** 2).sum() / 6)
        naive = predictTwistUncertainty(mapped, measured - mapped, np.tile(np.eye(3), (4, 1, 1)), shapeKnown=True, knownFleMm=fle)
        hits += (
            np.linalg.norm(transformPoints(fitted, [0, 0, -90.0]) - [0, 0, -90.0]) <= naive.at(transformPoints(fitted, [0, 0, -90.0])).p95Mm
        )
    assert hits / 400 < 0.91


def test_mapAgreesWithSinglePointsAndGrowsWithDepth():
    measured = SIX + 0.4 * np.random.default_rng(5).normal(size=SIX.shape)
    fit = fitRigid(SIX, measured)
    points = np.array([[0, 0, -z] for z in (0, 30, 60, 90, 120.0)])
    rms, bound = fit.treMap(points)
    assert (np.diff(rms) > 0).all() and (np.diff(bound) > 0).all()
    for p, r, b in zip(points, rms, bound):
        one = fit.targetErrorAt(p)
        assert one.rmsMm == pytest.approx(r) and one.p95Mm == pytest.approx(b)


def test_predictionTurnsWithTheFrame():
    """The same measurement in a turned world gives the same prediction, within the sampling of FLE directions."""
    measured = SIX + 0.4 * np.random.default_rng(6).normal(size=SIX.shape)
    first = fitRigid(SIX, measured).targetErrorAt([10, 10, -80.0])
    turn = rigidFrom(rotationFromVector([0.7, 1.9, -0.4]), [30, -200, 10])
    second = fitRigid(SIX, transformPoints(turn, measured)).targetErrorAt(transformPoints(turn, [10, 10, -80.0]))
    assert second.rmsMm == pytest.approx(first.rmsMm, rel=0.06)
    assert second.p95Mm == pytest.approx(first.p95Mm, rel=0.08)


def test_predictionScalesWithTheResiduals():
    noise = np.random.default_rng(7).normal(size=SIX.shape)
    one, two = (fitRigid(SIX, SIX + s * noise).targetErrorAt([0, 0, -80.0]) for s in (1e-3, 2e-3))
    assert two.p95Mm == pytest.approx(2 * one.p95Mm, rel=1e-3)


def test_twistMatrixAgreesWithItsDesign():
    center = np.array([3.0, 4, 5])
    twist = np.array([1e-5, -2e-5, 1.5e-5, 0.01, -0.02, 0.03])
    moved = transformPoints(twistMatrix(twist, center), SIX) - SIX
    assert np.allclose(moved, twistDesign(SIX, center) @ twist, atol=1e-7)


def coveredShare(longAxis, ratio, runs=150, seed=77):
    """Share of fits of six points in a plane (A is across it) whose true error 80 mm deep is within the bound; FLE `ratio` times larger
    front to back. Everything is made here, apart from the fit."""
    random = np.random.default_rng(seed)
    layout = np.array([[-60, 0, -50], [-10, 5, -55], [50, -6, -40], [-50, -3, 30], [5, 7, 10], [55, 0, 45.0]])
    disc = np.array([10.0, 80, -5])
    within = 0
    for _ in range(runs):
        points = layout + random.normal(0, 6, layout.shape) * [1, 0.4, 1]
        fit = fitRigid(points, points + random.normal(0, 0.3, layout.shape) * [1, ratio, 1], longAxisTo=longAxis)
        error = np.linalg.norm(fit.fromToTo[:3, :3] @ disc + fit.fromToTo[:3, 3] - disc)
        within += error <= fit.targetErrorAt(disc).p95Mm
    return within / runs


def test_knownDirectionMakesTheBoundHonestWhereResidualsCannotTell():
    """1 : 3 across a flat layout: the direction alone lifts the coverage to 95 % (binomial spread of 150 runs: 1.8 %)."""
    unknown, known = coveredShare(None, 3.0), coveredShare((0, 1, 0), 3.0)
    assert unknown < 0.90 < 0.925 < known
    assert known < 0.985


def test_directionOfTheErrorIsChecked():
    points = np.array([[0, 0, 0], [50, 0, 0], [0, 50, 0], [40, 60, 5.0]])
    with pytest.raises(ValueError, match="direction"):
        fitRigid(points, points, longAxisTo=(0, 0, 0))
    with pytest.raises(ValueError, match="one way only"):
        fitRigid(points, points, longAxisTo=(0, 0, 1), isotropicFle=True)


def test_fitsStoredBeforeTheDirectionExistedCanBeRead():
    points = np.array([[0, 0, 0], [50, 0, 0], [0, 50, 0], [40, 60, 5.0]])
    content = fitRigid(points, points + np.array([1, 2, 3]), longAxisTo=(0, 0, 2)).toDict()
    assert RigidFit.fromDict(content).longAxisTo.tolist() == [0, 0, 1]
    del content["longAxisTo"]
    assert RigidFit.fromDict(content).longAxisTo is None
