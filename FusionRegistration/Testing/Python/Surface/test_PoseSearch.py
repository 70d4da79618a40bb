"""Batched Gauss-Newton against transforms that are known, and rotations against scipy's."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from FusionRegistrationLib.PoseRefinement import rotationVectorOf
from FusionRegistrationLib.PoseSearch import Poses, distinctBest, lowDiscrepancy, refinePoses, rotationsFromVectors, startsAround
from FusionRegistrationLib.SignedDistanceTable import buildSignedDistanceTable

vectors = st.lists(st.floats(-2.0, 2.0), min_size=3, max_size=3)


@given(vectors)
def test_rotationsAreScipys(vector):
    expected = Rotation.from_rotvec(vector).as_matrix()
    assert np.allclose(rotationsFromVectors([vector])[0], expected, atol=1e-9)
    if np.linalg.norm(vector) < 3.0:
        assert np.allclose(rotationVectorOf(expected), vector, atol=1e-6)


def test_lowDiscrepancyFillsEvenly():
    points = lowDiscrepancy(512, 6)
    assert np.allclose(points[0], 0.0)
    assert abs(points).max() <= 1.0
    # Pairs of axes too: random points leave about 12 of 8 x 8 cells with fewer than four of their eight points.
    thin = [(np.histogram2d(points[:, a], points[:, b], bins=8, range=((-1, 1), (-1, 1)))[0] < 4).sum() for a in range(6) for b in range(a)]
    assert np.mean(thin) < 3.0
    for axis in range(6):
        counts = np.histogram(points[:, axis], bins=8, range=(-1, 1))[0]
        assert counts.min() > 40 and counts.max() < 80  # 64 each if perfect


def test_startsStayWithinTheirBalls():
    starts = startsAround(np.eye(3), np.array([1.0, 2.0, 3.0]), 300, 20.0, 15.0)
    shift = np.linalg.norm(starts.translationsMm - [1, 2, 3], axis=1)
    turn = np.degrees([np.linalg.norm(rotationVectorOf(rotation)) for rotation in starts.rotations])
    assert shift.max() <= 20.0 + 1e-9 and turn.max() <= 15.0 + 1e-6
    assert shift.max() > 18.0 and turn.max() > 13.5


def _bumpyPatch():
    """A surface without symmetry: y = f(x, z), seen from low y."""
    x, z = np.meshgrid(np.arange(-40.0, 40.0, 0.8), np.arange(-50.0, 50.0, 0.8))

    def height(x, z):
        return 6.0 * np.sin(x / 9.0) * np.cos(z / 13.0) + 4.0 * np.sin((x + 2.0 * z) / 17.0)

    y = height(x, z)
    normal = np.stack([(height(x + 1e-3, z) - y) / 1e-3, -np.ones_like(y), (height(x, z + 1e-3) - y) / 1e-3], axis=-1).reshape(-1, 3)
    return np.stack([x, y, z], axis=-1).reshape(-1, 3), normal / np.linalg.norm(normal, axis=1, keepdims=True)


def test_refinePosesFindsTheTransform():
    points, normals = _bumpyPatch()
    table = buildSignedDistanceTable(points, normals)
    random = np.random.default_rng(4)
    inner = points[(abs(points[:, 0]) < 25) & (abs(points[:, 2]) < 30)]
    chosen = inner[random.permutation(len(inner))[:800]] + random.normal(0.0, 0.3, (800, 3))
    chosen[:200] += random.uniform(-15, 15, (200, 3))  # outliers
    centre = chosen.mean(axis=0)
    turned = rotationsFromVectors(random.normal(0.0, 0.05, (5, 3)))
    starts = Poses(turned, centre + random.normal(0.0, 2.0, (5, 3)), np.ones(5))
    found = refinePoses(table, np.ascontiguousarray((chosen - centre).T, np.float32), None, starts, np.geomspace(6.0, 1.0, 14))
    best = found.cost.argmin()
    assert np.linalg.norm(found.translationsMm[best] - centre) < 0.2
    assert np.degrees(np.linalg.norm(rotationVectorOf(found.rotations[best]))) < 0.3
    assert found.cost[best] < 0.4  # 25 % outliers and a little noise


def test_weightsTakeOutliersOut():
    points, normals = _bumpyPatch()
    table = buildSignedDistanceTable(points, normals)
    chosen = points[::40].copy()
    chosen[::2] += [0.0, -6.0, 0.0]  # half of them 6 mm in front
    weights = np.ones(len(chosen), np.float32)
    weights[::2] = 1e-3
    centre = chosen.mean(axis=0)
    start = Poses(np.eye(3)[None], centre[None] + [[0.0, 1.5, 0.0]], np.ones(1))
    found = refinePoses(table, np.ascontiguousarray((chosen - centre).T, np.float32), weights / weights.mean(), start, [8.0] * 10)
    assert abs(found.translationsMm[0, 1] - centre[1]) < 0.1


def test_distinctBestKeepsTheCheapestOfEachPlace():
    rotations = np.tile(np.eye(3), (4, 1, 1))
    poses = Poses(rotations, np.array([[0, 0, 0], [0.1, 0, 0], [9, 0, 0], [9.1, 0, 0.0]]), np.array([0.4, 0.3, 0.2, 0.5]))
    kept = distinctBest(poses, 5, 1.0, 40.0)
    assert kept.cost.tolist() == [0.2, 0.3]
