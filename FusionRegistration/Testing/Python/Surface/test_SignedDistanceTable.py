"""Distance table against shapes whose distance is known in closed form."""

import numpy as np
import pytest

from FusionRegistrationLib.SignedDistanceTable import buildSignedDistanceTable


def _halfSphere(radius, count=40000):
    random = np.random.default_rng(0)
    normal = random.normal(size=(count, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    normal = normal[normal[:, 1] < 0.3]
    return radius * normal, normal


def test_distanceFromSphere():
    points, normals = _halfSphere(30.0)
    table = buildSignedDistanceTable(points, normals)
    random = np.random.default_rng(1)
    direction = random.normal(size=(5000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    direction = direction[direction[:, 1] < 0.1]
    for low, high, mean, worst in ((29.0, 31.0, 0.03, 0.1), (25.0, 35.0, 0.05, 0.2), (20.0, 45.0, 0.12, 0.8)):
        radius = random.uniform(low, high, len(direction))
        error = table.distances(direction * radius[:, None]) - (radius - 30.0)
        assert abs(error).mean() < mean
        assert abs(error).max() < worst
    _, gradient = table.distancesAndGradients(direction * 31.0)
    assert np.allclose(np.linalg.norm(gradient, axis=1), 1.0, atol=1e-5)
    assert ((gradient * direction).sum(axis=1) > 0.99).all()


def test_curvatureOfSphere():
    points, normals = _halfSphere(20.0)
    table = buildSignedDistanceTable(points, normals)
    _, normalsAt, curvature = table.lookup(np.ascontiguousarray((points[::50] * 1.05).T, np.float32))
    assert abs(np.median(curvature) - 2.0 / 21.0) < 0.01  # two principal curvatures of 1/r at r = 21 mm
    assert normalsAt.shape == (3, len(points[::50]))


def test_lookupEqualsDistances():
    points, normals = _halfSphere(20.0)
    table = buildSignedDistanceTable(points, normals)
    places = np.random.default_rng(2).uniform(-30, 30, (500, 3))
    distance, gradient = table.distancesAndGradients(places)
    fast, fastGradient, curvature = table.lookup(np.ascontiguousarray(places.T, np.float32))
    assert np.allclose(fast, distance, atol=2e-2)
    assert np.mean(np.abs(fastGradient.T - gradient).max(axis=1) < 1e-3) > 0.98  # a few fall on the border of two voxels
    assert np.allclose(
        curvature[np.abs(fastGradient.T - gradient).max(axis=1) < 1e-3],
        table.curvatures(places)[np.abs(fastGradient.T - gradient).max(axis=1) < 1e-3],
    )


def test_besideOpenBorderTheDistanceIsToTheBorder():
    """A plane patch: 10 mm beside its border, at its height, the distance is 10 mm, not 0."""
    x, z = np.meshgrid(np.arange(-20.0, 20.1, 0.7), np.arange(-20.0, 20.1, 0.7))
    points = np.stack([x.ravel(), np.zeros(x.size), z.ravel()], axis=1)
    table = buildSignedDistanceTable(points, np.tile([0.0, -1.0, 0.0], (len(points), 1)))
    assert abs(abs(table.distances([[30.0, 0.0, 0.0]])[0]) - 10.0) < 0.7
    assert table.distances([[0.0, -5.0, 0.0], [0.0, 5.0, 0.0]]) == pytest.approx([5.0, -5.0], abs=0.1)


def test_decimatedKeepsValues():
    points, normals = _halfSphere(20.0)
    table = buildSignedDistanceTable(points, normals)
    coarse = table.decimated(2)
    assert coarse.spacingMm == 2 * table.spacingMm
    centres = coarse.originRas + coarse.spacingMm * np.array([[3, 4, 5], [7, 2, 9]])
    assert np.allclose(coarse.distances(centres), table.distances(centres), atol=1e-5)


def test_contains():
    points, normals = _halfSphere(20.0)
    table = buildSignedDistanceTable(points, normals, marginMm=5.0)
    assert table.contains([[0, 0, 0], [100, 0, 0]]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("points", "normals", "options", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), {}, "no points"),
        (np.zeros((3, 3)), np.zeros((2, 3)), {}, "3 points but 2 normals"),
        (np.zeros((3, 3)), np.zeros((3, 3)), {"spacingMm": 0.0}, "positive"),
        (np.full((3, 3), np.nan), np.zeros((3, 3)), {}, "NaN"),
    ],
)
def test_badInputIsNamed(points, normals, options, message):
    with pytest.raises(ValueError, match=message):
        buildSignedDistanceTable(points, normals, **options)
