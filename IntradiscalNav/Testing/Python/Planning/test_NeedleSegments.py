"""Distances between needles, nerves and points against brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from IntradiscalNavLib.Planning.NerveModel import NervePath
from IntradiscalNavLib.Planning.SessionPlan import segmentDistanceMm

POINTS = arrays(np.float64, (4, 3), elements=st.floats(-50, 50))


@settings(max_examples=80, deadline=None)
@given(POINTS)
def test_segmentDistanceAgreesWithDenseSampling(points):
    a0, a1, b0, b1 = points
    share = np.linspace(0, 1, 201)
    first = a0 + share[:, None] * (a1 - a0)
    second = b0 + share[:, None] * (b1 - b0)
    brute = np.linalg.norm(first[:, None] - second[None], axis=-1).min()
    found = segmentDistanceMm(a0, a1, b0, b1)
    step = max(np.linalg.norm(a1 - a0), np.linalg.norm(b1 - b0)) / 200
    assert found <= brute + 1e-5  # segments shorter than a micrometre count as points
    assert found >= brute - step


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (5, 3), elements=st.floats(-30, 30)), st.floats(0.5, 4), st.floats(0.5, 4))
def test_nerveDistanceAgreesWithSpheresAlongIt(points, radiusA, radiusB):
    nerve = NervePath("n", "root", "left", points[:2], np.array([radiusA, radiusB]), np.zeros(2), "test")
    share = np.linspace(0, 1, 401)
    centers = points[0] + share[:, None] * (points[1] - points[0])
    radii = radiusA + share * (radiusB - radiusA)
    found = nerve.distanceMm(points[2:])
    brute = (np.linalg.norm(points[2:, None] - centers[None], axis=-1) - radii).min(1)
    length = np.linalg.norm(points[1] - points[0])
    # The foot of the perpendicular is exact for a cylinder; a taper moves it by at most its slope.
    slack = length / 400 + abs(radiusB - radiusA) + 1e-9
    assert (found >= brute - 1e-9 - length / 400).all()
    assert (found <= brute + slack).all()
