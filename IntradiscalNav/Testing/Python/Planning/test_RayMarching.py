"""The march against dense sampling at 0.1 mm of analytic distances on small random anatomies."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.GridResampling import RasGrid
from IntradiscalNavLib.Planning.RayMarching import DEAD, marchClearance

GRID = RasGrid.around([-20, -20, -20], [20, 20, 20], 1.0)
TOLERANCE_MM = 0.87 + 1 / 16 + 0.375
"""Stated tolerance: nearest voxel of a 1 mm grid (half its diagonal), rounding to 1/8 mm, half of the shortest step."""


def boxDistance(points, center, half):
    q = np.abs(points - center) - half
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)


def sphereDistance(points, center, radius):
    return np.linalg.norm(points - center, axis=-1) - radius


def capsuleDistance(points, a, b, radius):
    axis = b - a
    share = np.clip((points - a) @ axis / max(axis @ axis, 1e-9), 0, 1)
    return np.linalg.norm(points - a - share[..., None] * axis, axis=-1) - radius


@st.composite
def anatomies(draw):
    seed = draw(st.integers(0, 2**31))
    count = draw(st.integers(1, 6))
    generator = np.random.default_rng(seed)
    shapes = []
    for _ in range(count):
        kind = generator.integers(3)
        center = generator.uniform(-14, 14, 3)
        margin = generator.uniform(0, 3)
        if kind == 0:
            half = generator.uniform(1.5, 6, 3)
            shapes.append((lambda p, c=center, h=half: boxDistance(p, c, h), margin))
        elif kind == 1:
            radius = generator.uniform(1.5, 7)
            shapes.append((lambda p, c=center, r=radius: sphereDistance(p, c, r), margin))
        else:
            end = center + generator.uniform(-12, 12, 3)
            shapes.append((lambda p, a=center, b=end: capsuleDistance(p, a, b, 2.0), margin))
    return shapes, generator.uniform(-18, 18, (24, 3)), generator.uniform(-6, 6, 3)


def clearance(shapes, points):
    return np.min([distance(points) - margin for distance, margin in shapes], axis=0)


def int8Field(shapes):
    return np.clip(np.rint(clearance(shapes, GRID.points()) * UNITS_PER_MM), -127, 127).astype(np.int8)


def denseMinimum(shapes, entries, target):
    result = []
    for entry in entries:
        count = max(2, int(np.ceil(np.linalg.norm(entry - target) / 0.1)) + 1)
        points = target + np.linspace(0, 1, count)[:, None] * (entry - target)
        result.append(clearance(shapes, points).min())
    return np.clip(result, -127 / UNITS_PER_MM, 127 / UNITS_PER_MM)


@settings(max_examples=60, deadline=None)
@given(anatomies())
def test_minimumAgreesWithDenseSampling(anatomy):
    shapes, entries, target = anatomy
    field = int8Field(shapes)
    found = marchClearance(field, GRID, entries, target, floorMm=None).astype(float) / UNITS_PER_MM
    truth = denseMinimum(shapes, entries, target)
    assert np.abs(found - truth).max() <= TOLERANCE_MM


@settings(max_examples=40, deadline=None)
@given(anatomies())
def test_earlyRejectionNeverChangesALegalPath(anatomy):
    shapes, entries, target = anatomy
    field = int8Field(shapes)
    full = marchClearance(field, GRID, entries, target, floorMm=None)
    early = marchClearance(field, GRID, entries, target)
    alive = early != DEAD
    assert np.array_equal(alive, full >= 0)
    assert np.array_equal(early[alive], full[alive])


@settings(max_examples=30, deadline=None)
@given(anatomies())
def test_jumpsMissAlmostNothingOfTheSampledField(anatomy):
    shapes, entries, target = anatomy
    field = int8Field(shapes)
    jumping = marchClearance(field, GRID, entries, target, floorMm=None, minStepMm=0.25)
    crawling = marchClearance(field, GRID, entries, target, floorMm=None, minStepMm=0.25, lipschitz=1e6)
    # Both sample the same field, at other places: nearest-voxel look-ups break the Lipschitz bound by at most a voxel's diagonal each.
    assert np.abs(jumping.astype(int) - crawling).max() <= np.ceil(0.87 * 2 * UNITS_PER_MM)
    # Jumping rarely loses anything.
    assert (jumping.astype(int) - crawling > UNITS_PER_MM / 2).mean() <= 0.1


def test_entriesOutsideTheFieldAreRefused():
    field = np.zeros(GRID.shape, np.int8)
    with pytest.raises(ValueError, match="entries lie outside"):
        marchClearance(field, GRID, [[100.0, 0, 0]], [0, 0, 0])
    with pytest.raises(ValueError, match="target lies outside"):
        marchClearance(field, GRID, [[0.0, 0, 0]], [0, 50, 0])


def test_noEntriesGiveNoAnswer():
    assert marchClearance(np.zeros(GRID.shape, np.int8), GRID, np.zeros((0, 3)), [0, 0, 0]).shape == (0,)
