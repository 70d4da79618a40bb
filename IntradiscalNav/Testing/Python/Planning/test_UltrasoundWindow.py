"""In-plane probe planes on skins whose shape is known."""

import numpy as np
import pytest

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox, distanceAlongSkin, entryOnSkin
from IntradiscalNavLib.Planning.SkinSurface import SkinSurface
from IntradiscalNavLib.Planning.TrajectoryAngles import axesFromSagittalPlane
from IntradiscalNavLib.Planning.UltrasoundWindow import findUltrasoundWindows

P = PlanningParameters()
AXES = axesFromSagittalPlane([0, 0, 0], [1, 0, 0])


def skin(height):
    r, s = np.arange(-160, 161, 2.0), np.arange(-150, 151, 2.0)
    a = height(r[None, :] + 0 * s[:, None], s[:, None] + 0 * r[None, :])
    return SkinSurface(r, s, a, np.zeros(a.shape, bool))


FLAT = skin(lambda r, s: -70.0 + 0 * r)
ENTRY, TARGET = np.array([[-75.0, -70.0, 10.0]]), np.array([[0.0, 0.0, 0.0]])


def test_flatSkinOffersAPlaneThatHoldsThePath():
    found = findUltrasoundWindows(FLAT, ENTRY, TARGET, P)
    assert found.feasible[0]
    normal = found.planeNormal[0]
    assert abs(normal @ (TARGET - ENTRY)[0]) < 1e-9
    assert abs(normal @ (found.probeCenter[0] - ENTRY[0])) < 1e-6
    assert found.gapMm[0] == pytest.approx(0.0, abs=1e-6)
    plane = found.plane(0, AXES, "left")
    assert plane.probeSide == "medial", "the hub leans laterally, the probe sits medially"
    assert found.probeCenter[0][1] == pytest.approx(-70.0, abs=1e-6)


def test_aSolidBesideTheEntryTakesThePlane():
    box = np.eye(4)
    box[:3, 3] = [-35.0, -70.0, 10.0]
    blocked = findUltrasoundWindows(FLAT, ENTRY, TARGET, P, [KeepOutBox("plate", box, np.array([60.0, 20.0, 120.0]))])
    assert not blocked.feasible[0]
    assert blocked.plane(0, AXES, "left").probeSide == ""
    far = np.eye(4)
    far[:3, 3] = [90.0, -70.0, 10.0]
    assert findUltrasoundWindows(FLAT, ENTRY, TARGET, P, [KeepOutBox("plate", far, np.array([30.0, 20.0, 30.0]))]).feasible[0]


def test_skinThatEndsOrBucklesGivesNoContact():
    ended = skin(lambda r, s: np.where(r > -85, np.nan, -70.0))
    assert not findUltrasoundWindows(ended, ENTRY, TARGET, P).feasible[0]
    buckled = skin(lambda r, s: -70.0 + 14.0 * np.sin(2 * np.pi * np.hypot(r + 75, s - 10) / 45))
    flatter = skin(lambda r, s: -70.0 + 1.0 * np.sin(2 * np.pi * r / 45))
    assert not findUltrasoundWindows(buckled, ENTRY, TARGET, P).feasible[0]
    assert findUltrasoundWindows(flatter, ENTRY, TARGET, P).feasible[0]


def test_distanceAlongARoundBackIsTheArc():
    radius = 120.0
    round_ = skin(lambda r, s: -np.sqrt(np.maximum(radius**2 - r**2, 1.0)))
    for angle in (20.0, 40.0, 55.0):
        entry = radius * np.array([[-np.sin(np.radians(angle)), -np.cos(np.radians(angle)), 0.0]])
        assert distanceAlongSkin(round_, AXES, entry)[0] == pytest.approx(radius * np.radians(angle), rel=0.01)
    assert distanceAlongSkin(FLAT, AXES, [[64.0, -70.0, 5.0]])[0] == pytest.approx(64.0, abs=1e-6)


def test_entryOnSkinIsWhereTheLineLeavesTheBack():
    found = entryOnSkin(FLAT, [0, 0, 0], [-30.0, -28.0, 4.0])
    assert found is not None
    assert np.allclose(found, [-75.0, -70.0, 10.0], atol=0.01)
    assert entryOnSkin(FLAT, [0, 0, 0], [0.0, 30.0, 0.0]) is None
    assert entryOnSkin(FLAT, [0, 0, 0], [0, 0, 0]) is None
