"""Matching without order: permutations, missing and spurious points, symmetry reported, mirrors refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.PointMatching import MAX_POINTS, matchPoints
from FusionRegistrationLib.PointSetGeometry import PointSetError
from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector, transformPoints

POSE = rigidFrom(rotationFromVector([1.4, -0.9, 0.7]), [-12.0, 240.0, 95.0])


def scattered(random, count):
    return random.uniform([-80, -70, -15], [80, 70, 15], (count, 3))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 14), st.integers(0, 3), st.integers(0, 3))
def test_neverWrongAndUsuallyFound(seed, count, missing, spurious):
    random = np.random.default_rng(seed)
    missing = min(missing, count - 5)
    points = scattered(random, count)
    target = transformPoints(POSE, points) + 0.2 * random.normal(size=points.shape)
    seen = random.permutation(count)[missing:]
    listed = np.vstack([target[seen], transformPoints(POSE, scattered(random, spurious))])
    order = random.permutation(len(listed))
    match = matchPoints(points, listed[order])
    if match.found:
        truth = {(int(seen[o]), i) for i, o in enumerate(order) if o < len(seen)}
        assert len(truth & set(match.pairs)) >= len(truth) - 1
        assert np.linalg.norm(transformPoints(match.fromToTo, points) - transformPoints(POSE, points), axis=1).max() < 4.0
    else:
        assert match.pairs == ()
        assert match.message


def test_thirtyPointsInAnyOrder():
    random = np.random.default_rng(1)
    points = scattered(random, MAX_POINTS)
    order = random.permutation(MAX_POINTS)
    match = matchPoints(points, (transformPoints(POSE, points) + 0.3 * random.normal(size=points.shape))[order])
    assert [order[b] for _, b in match.pairs] == list(range(MAX_POINTS))
    assert match.missing == () and match.spurious == ()


def test_moreThanThirtyAreRefused():
    points = scattered(np.random.default_rng(2), 31)
    with pytest.raises(PointSetError, match="31"):
        matchPoints(points, points)


@pytest.mark.parametrize(
    ("layout", "orders"),
    [
        ([[-40, -30, 0], [40, -30, 0], [40, 30, 0], [-40, 30, 0]], 4),  # rectangle: 2 turns in the plane, 2 flips
        ([[-30, -30, 0], [30, -30, 0], [30, 30, 0], [-30, 30, 0]], 8),  # square
        ([[0, 40, 0], [34.64, -20, 0], [-34.64, -20, 0]], 6),  # equilateral triangle
    ],
)
def test_symmetricLayoutsAreReportedNotGuessed(layout, orders):
    points = np.array(layout, float)
    match = matchPoints(points, transformPoints(POSE, points))
    assert match.ambiguous and not match.found
    assert match.pairs == ()
    assert len(match.alternatives) == orders


def test_outwardDirectionDecidesTheFlip():
    points = np.array([[-40, -30, 0], [40, -30, 0], [28, 45, 0], [-20, 12, 0.0]])
    flippable = np.array([[-40, -30, 0], [40, -30, 0], [0, 45, 0], [0, 5, 0.0]])  # mirror symmetric in its plane
    assert matchPoints(points, transformPoints(POSE, points)).found
    assert matchPoints(flippable, transformPoints(POSE, flippable)).ambiguous
    up = np.array([0, 0, 1.0])
    decided = matchPoints(flippable, transformPoints(POSE, flippable), outwardFrom=up, outwardTo=POSE[:3, :3] @ up)
    assert decided.found
    assert np.allclose(decided.fromToTo, POSE, atol=1e-6)
    wrong = matchPoints(points, transformPoints(POSE, points), outwardFrom=up, outwardTo=-POSE[:3, :3] @ up)
    assert not wrong.found


def test_mirroredPointsAreRefused():
    points = scattered(np.random.default_rng(3), 8)
    for axis in range(3):
        flip = np.ones(3)
        flip[axis] = -1
        match = matchPoints(points * flip, transformPoints(POSE, points))
        assert match.mirrored and not match.found
        assert "mirrored" in match.message


def test_nearlySymmetricIsDecidedByTheNoise():
    """A rectangle with one corner off by 1.5 mm: clear at 0.05 mm noise, not decidable at 1 mm."""
    points = np.array([[-40, -30, 0], [40, -30, 0], [40, 30, 0], [-40, 31.5, 0], [0, 0, 15.0]])
    random = np.random.default_rng(4)
    assert matchPoints(points, transformPoints(POSE, points) + 0.05 * random.normal(size=points.shape)).found
    undecided = sum(
        matchPoints(points, transformPoints(POSE, points) + 1.0 * random.normal(size=points.shape)).ambiguous for _ in range(10)
    )
    assert undecided >= 7


def test_foreignPointsDontMatch():
    random = np.random.default_rng(5)
    match = matchPoints(scattered(random, 6), scattered(random, 6) * 2.0)
    assert not match.found
    assert "agree" in match.message or "fit about" in match.message


def test_listsOfUselessPointsAreRefused():
    with pytest.raises(PointSetError, match="on a line"):
        matchPoints(np.outer(np.arange(4.0), [10, 0, 0]), scattered(np.random.default_rng(6), 4))
    with pytest.raises(PointSetError, match="at least 3"):
        matchPoints(np.zeros((2, 3)), np.zeros((5, 3)))
    with pytest.raises(ValueError, match="both"):
        matchPoints(scattered(np.random.default_rng(6), 4), scattered(np.random.default_rng(6), 4), outwardFrom=[0, 0, 1])
