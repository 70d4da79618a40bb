"""The predicted error over a surface: what interpolating costs, bad input, and both kinds of fits."""

import numpy as np
import pytest

from FusionRegistrationLib.ErrorMap import errorMap
from FusionRegistrationLib.RigidFit import fitRigid
from FusionRegistrationLib.SurfaceFit import targetError, targetErrorLengths


def markersOnTheBack(count, seed):
    random = np.random.default_rng(seed)
    points = np.c_[random.uniform(-70, 70, count), random.uniform(-8, 8, count), random.uniform(-60, 60, count)]
    return points, points + random.normal(0, 0.4, points.shape)


def spine(count, seed):
    """Points of a column 30-80 mm in front of the skin and 200 mm long."""
    random = np.random.default_rng(seed)
    return np.c_[random.uniform(-30, 30, count), random.uniform(30, 80, count), random.uniform(-100, 100, count)]


@pytest.mark.parametrize("count", [4, 6, 8])
def test_interpolatedMapIsTheBoundItself(count):
    fit = fitRigid(*markersOnTheBack(count, count))
    points = spine(400, 1)
    exact = np.array([fit.targetErrorAt(point).p95Mm for point in points[::20]])
    found = errorMap(fit, points)
    np.testing.assert_allclose(found[::20], exact, rtol=0.025)
    assert (found[::20] - exact).mean() > -0.001 * exact.mean()  # it errs towards the larger error


def test_finerGridComesCloser():
    fit = fitRigid(*markersOnTheBack(6, 2))
    points = spine(300, 3)
    _, exact = fit.treMap(points)
    errors = [np.abs(errorMap(fit, points, gridMm=gridMm) / exact - 1).max() for gridMm in (30, 10, 4)]
    assert errors[0] > errors[1] > errors[2] and errors[2] < 0.008


def test_mapOfNothingAndOfOnePoint():
    fit = fitRigid(*markersOnTheBack(6, 2))
    assert errorMap(fit, np.empty((0, 3))).shape == (0,)
    assert errorMap(fit, [[1.0, 60, 3]])[0] == pytest.approx(fit.targetErrorAt([1, 60, 3]).p95Mm)


@pytest.mark.parametrize(("points", "gridMm", "text"), [([[np.nan, 0, 0]], 10, "surface"), ([[0, 0, 0]], 0, "spacing")])
def test_badInputIsNamed(points, gridMm, text):
    with pytest.raises(ValueError, match=text):
        errorMap(fitRigid(*markersOnTheBack(6, 2)), points, gridMm=gridMm)


def test_surfaceFitsErrorsAgreeWithSampling():
    """The vectorised prediction of surface fits against drawn twists."""
    random = np.random.default_rng(4)
    root = random.normal(size=(6, 6)) * np.array([0.004, 0.004, 0.004, 0.3, 0.3, 0.3])[:, None]
    covariance, centre = root @ root.T, np.array([5.0, 20, -30])
    points = spine(5, 6)
    rms, mean, p95 = targetErrorLengths(covariance, centre, points)
    twists = random.multivariate_normal(np.zeros(6), covariance, 40000)
    for row, point in enumerate(points):
        lengths = np.linalg.norm(np.cross(twists[:, :3], point - centre) + twists[:, 3:], axis=1)
        assert rms[row] == pytest.approx(np.sqrt((lengths**2).mean()), rel=0.02)
        assert mean[row] == pytest.approx(lengths.mean(), rel=0.03)
        assert p95[row] == pytest.approx(np.quantile(lengths, 0.95), rel=0.05)
        assert targetError(covariance, centre, point).p95Mm == pytest.approx(p95[row], rel=1e-12)
    assert targetErrorLengths(np.zeros((6, 6)), centre, points)[2].tolist() == [0.0] * 5
