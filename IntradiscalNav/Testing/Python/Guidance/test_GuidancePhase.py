"""Phases of an insertion, their hysteresis, and the events they leave."""

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import rigidFrom
from IntradiscalNavLib.Guidance.Guidance import computeGuidance
from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase, PhaseLimits, PhaseTracker
from IntradiscalNavLib.Guidance.PathFrame import pathFrame

PATH = pathFrame([0, -80, 0], [0, 0, 0])


def guidanceAt(depthMm, lateralMm=0.0):
    return computeGuidance(rigidFrom(PATH.pathToRas[:3, :3], [lateralMm, -80 + depthMm, 0]), PATH)


def run(tracker, samples, startSec=0.0, stepSec=0.05):
    changes = []
    for index, sample in enumerate(samples):
        change = tracker.update(sample, startSec + index * stepSec)
        if change is not None:
            changes.append(change)
    return changes


def test_wholeInsertion():
    tracker = PhaseTracker()
    depths = np.concatenate([np.linspace(-60, 0, 60), np.zeros(20), np.linspace(0, 80, 80), np.full(20, 80.0)])
    changes = run(tracker, [guidanceAt(depth) for depth in depths])
    assert [change.toPhase for change in changes] == [
        GuidancePhase.ALIGNING,
        GuidancePhase.AT_SKIN,
        GuidancePhase.ADVANCING,
        GuidancePhase.AT_TARGET,
    ]
    assert changes[0].fromPhase is GuidancePhase.UNKNOWN
    assert changes[-1].tipToTargetMm <= PhaseLimits().targetReachMm
    assert [change.timeSec for change in changes] == sorted(change.timeSec for change in changes)


@pytest.mark.parametrize("borderMm", [-5.0, 5.0, 77.0])
def test_tremorAtABorderGivesAtMostOneChange(borderMm):
    """1 mm of tremor about each border: without hysteresis and dwell this would be dozens of changes."""
    tracker = PhaseTracker()
    tracker.update(guidanceAt(borderMm - 4), 0.0)
    tremor = borderMm + np.sin(np.arange(400) * 0.9) * 0.7
    changes = run(tracker, [guidanceAt(depth) for depth in tremor], 1.0)
    assert len(changes) <= 1


def test_farFromThePathTheSkinIsOnlyAligning():
    tracker = PhaseTracker()
    run(tracker, [guidanceAt(0, lateralMm=40)] * 20)
    assert tracker.phase is GuidancePhase.ALIGNING


def test_parkedBesideThePatientIsNotAdvancing():
    """Deeper than the entry, but far from the path: the needle lies in the air."""
    tracker = PhaseTracker()
    tracker.update(guidanceAt(30.0, 120.0), 0.0)
    assert tracker.phase is GuidancePhase.ALIGNING


def test_losingTheNeedleIsAtOnceUnknownAndBack():
    tracker = PhaseTracker()
    run(tracker, [guidanceAt(40)] * 10)
    assert tracker.phase is GuidancePhase.ADVANCING
    lost = tracker.update(None, 1.0)
    assert lost is not None
    assert (lost.fromPhase, lost.toPhase) == (GuidancePhase.ADVANCING, GuidancePhase.UNKNOWN)
    assert lost.tipToTargetMm is None
    assert tracker.update(None, 1.05) is None
    back = tracker.update(guidanceAt(40), 1.1)
    assert back is not None
    assert back.toPhase is GuidancePhase.ADVANCING


def test_aSingleOutlierDoesNotChangeThePhase():
    tracker = PhaseTracker()
    run(tracker, [guidanceAt(40)] * 10)
    assert tracker.update(guidanceAt(80), 0.6) is None
    assert run(tracker, [guidanceAt(40)] * 20, 0.65) == []


def test_resetForgets():
    tracker = PhaseTracker()
    run(tracker, [guidanceAt(40)] * 10)
    tracker.reset()
    assert tracker.phase is GuidancePhase.UNKNOWN


def test_badLimitsAreRefused():
    with pytest.raises(ValueError, match="positive"):
        PhaseLimits(targetReachMm=0)
