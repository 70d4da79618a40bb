"""A whole session on the analytic spine: seven needles, apart and in order."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SessionPlan import HUB_GAP_MM, SHAFT_GAP_MM, needleFor, needleGaps, planSession

FAST = PlanningParameters(minEntries=2500)


@pytest.fixture(scope="module")
def session(makeAnatomy):
    return planSession(makeAnatomy(), "L4-L5", "left", FAST)


def test_sevenNeedlesDiscFirst(session):
    assert not session.unplanned
    assert len(session.steps) == 7
    assert session.steps[0].target.kind == "disc"
    assert {step.target.name for step in session.steps[1:]} == {
        f"facet {level} {side}" for level in ("L3-L4", "L4-L5", "L5-S1") for side in ("left", "right")
    }
    assert all(step.reason for step in session.steps)
    assert all(step.trajectory.legal for step in session.steps)


def test_needlesAndHubsKeepApart(session):
    assert not session.conflicts
    assert session.closestShaftsMm >= SHAFT_GAP_MM
    assert session.closestHubsMm >= HUB_GAP_MM
    share = np.linspace(0, 1, 120)[:, None]
    smallest = np.inf
    for a, b in itertools.combinations(session.steps, 2):
        shafts = [s.trajectory.targetRas + share * (s.hubRas - s.trajectory.targetRas) for s in (a, b)]
        smallest = min(smallest, float(np.linalg.norm(shafts[0][:, None] - shafts[1][None], axis=-1).min()))
    assert smallest == pytest.approx(session.closestShaftsMm, abs=1.0)


def test_everyNeedleLeavesItsReserveOutside(session):
    for step in session.steps:
        assert step.needleLengthMm - step.trajectory.lengthMm >= FAST.hubReserveMm - 1e-9
        assert step.needleLengthMm == needleFor(step.trajectory, FAST)
        assert np.linalg.norm(step.hubRas - step.trajectory.targetRas) == pytest.approx(step.needleLengthMm)


def test_aTargetThatCannotBePlannedIsLeftOutWithItsReason(makeAnatomy):
    partial = planSession(makeAnatomy(), "L4-L5", "left", FAST, facetLevels=("L2-L3", "L4-L5"))
    assert {"facet L2-L3 left", "facet L2-L3 right"} == set(partial.unplanned)
    assert all("cannot be planned" in text for text in partial.unplanned.values())
    assert len(partial.steps) == 3


def test_needlesThatComeTooNearAreNamed(session):
    a, b = session.steps[1], session.steps[2]
    across = np.cross(a.trajectory.directionRas, [1.0, 0, 0])
    offset = 4.0 * across / np.linalg.norm(across)
    shifted = replace(b.trajectory, entryRas=a.trajectory.entryRas + offset, targetRas=a.trajectory.targetRas + offset)
    apart = needleGaps([(step.target.name, step.trajectory, step.needleLengthMm) for step in session.steps])
    assert (apart.closestShaftsMm, apart.closestHubsMm, apart.conflicts) == (session.closestShaftsMm, session.closestHubsMm, ())
    near = needleGaps([("a", a.trajectory, 90.0), ("b", shifted, 90.0)])
    assert near.closestShaftsMm == pytest.approx(4.0)
    assert near.closestHubsMm == pytest.approx(4.0)
    assert near.conflicts == ("a and b: needles 4 mm, hubs 4 mm apart",)
    assert needleGaps([("alone", a.trajectory, 90.0)]).closestShaftsMm == np.inf
