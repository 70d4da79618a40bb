"""Angles of paths against hand-made geometry and the published table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from IntradiscalNavLib.Planning.TrajectoryAngles import axesFromSagittalPlane, directionFromAngles, pathAngles

STRAIGHT = axesFromSagittalPlane([0, 0, 0], [1, 0, 0])


@pytest.mark.parametrize(
    ("level", "entryMm", "inclinationDeg", "depthMm"), [("L3-L4", 64, 40, 76.3), ("L4-L5", 77, 47, 71.8), ("L5-S1", 85, 52, 66.4)]
)
def test_publishedEntryAndInclinationAgreeAtTheirDepth(level, entryMm, inclinationDeg, depthMm):
    for sign in (-1, 1):
        found = pathAngles(STRAIGHT, [sign * entryMm, -depthMm, 0.0], [0.0, 0.0, 0.0])
        assert found.medialInclinationDeg == pytest.approx(inclinationDeg, abs=0.1)
        assert found.entryDistanceStraightMm == pytest.approx(entryMm)
        assert found.lengthMm == pytest.approx(entryMm / np.sin(np.radians(inclinationDeg)), abs=0.2)


def test_tiltIsPositiveWhenTheNeedleRunsCaudally():
    assert pathAngles(STRAIGHT, [-50, -60, 30], [0, 0, 0]).caudalTiltDeg > 0
    assert pathAngles(STRAIGHT, [-50, -60, -30], [0, 0, 0]).caudalTiltDeg < 0
    assert pathAngles(STRAIGHT, [0, -50, 50], [0, 0, 0]).caudalTiltDeg == pytest.approx(45.0)


def test_sideDecidesForEntriesBeyondTheMidline():
    # An entry just right of the midline to a target far left runs laterally for a left approach.
    assert pathAngles(STRAIGHT, [2, -60, 0], [-20, 0, 0], "left").medialInclinationDeg < 0
    assert pathAngles(STRAIGHT, [2, -60, 0], [-20, 0, 0], "right").medialInclinationDeg > 0


@given(
    st.sampled_from(["left", "right"]),
    st.floats(5, 80),
    st.floats(-60, 60),
    st.floats(-15, 15),
    st.floats(-20, 20),
    st.floats(40, 180),
)
def test_directionFromAnglesIsTheInverse(side, inclination, tilt, turnDeg, leanDeg, length):
    normal = np.array([np.cos(np.radians(turnDeg)), np.sin(np.radians(turnDeg)), np.sin(np.radians(leanDeg))])
    axes = axesFromSagittalPlane([3.0, -20.0, 100.0], normal)
    assert np.allclose(axes.matrix() @ axes.matrix().T, np.eye(3), atol=1e-12)
    assert np.linalg.det(axes.matrix()) == pytest.approx(1.0)
    target = np.array([5.0, 10.0, 90.0])
    entry = target - length * directionFromAngles(axes, side, inclination, tilt)
    found = pathAngles(axes, entry, target, side)
    assert found.medialInclinationDeg == pytest.approx(inclination, abs=1e-6)
    assert found.caudalTiltDeg == pytest.approx(tilt, abs=1e-6)
    assert found.lengthMm == pytest.approx(length)


@given(st.floats(-10, 10), st.floats(-10, 10), st.floats(-100, 100))
def test_coordinatesAndPointsAreInverse(r, a, s):
    axes = axesFromSagittalPlane([1, 2, 3], [1, 0.2, -0.1])
    assert np.allclose(axes.points(axes.coordinates([r, a, s])), [r, a, s], atol=1e-9)


def test_sagittalPlaneAcrossTheBodyIsRefused():
    with pytest.raises(ValueError, match="perpendicular"):
        axesFromSagittalPlane([0, 0, 0], [0, 0, 1])
