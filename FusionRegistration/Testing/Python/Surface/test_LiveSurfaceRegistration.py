"""Points come in frame by frame; the fit follows in the background."""

import threading
import time

import numpy as np
import pytest
from SurfaceCases import Hardness, makeSweep, targetErrors

from FusionRegistrationLib.BonePoints import BonePoints
from FusionRegistrationLib.LiveSurfaceRegistration import LiveSurfaceRegistration
from FusionRegistrationLib.RigidTransform import transformPoints
from FusionRegistrationLib.SweepCoverage import sweepCoverage


@pytest.fixture(scope="module")
def sweep(spineCases):
    spine, dense, _ = spineCases
    return makeSweep(spine, dense, np.random.default_rng(31), Hardness(outlierShare=0.15), middleLevel=2.0)


def _frames(points):
    return [points.take(points.frames == number) for number in np.unique(points.frames)]


@pytest.fixture
def live(spineCases, sweep):
    registration = LiveSurfaceRegistration(spineCases[2], initialReferenceToRas=sweep.referenceToRas, refreshPoints=150)
    registration.start()
    yield registration
    registration.stop()


def test_fitComesWhileScanning(spineCases, sweep, live):
    for frame in _frames(sweep.points):
        live.addPoints(frame)
    state = live.waitForFit(0, 30.0)
    while state.busy or live.state().revision != state.revision:
        state = live.waitForFit(state.revision, 5.0)
    live.refresh()
    state = live.waitForFit(state.revision, 30.0)
    assert state.fit is not None, state.problem
    assert targetErrors(sweep, spineCases[0], state.fit.referenceToRas).max() < 1.2
    assert state.frameCount == len(_frames(sweep.points))
    assert 0 < state.pointCount <= len(sweep.points)
    assert state.coverage is not None and 0.2 < state.coverage.share <= 1.0


def test_addingNeverWaitsForAFit(spineCases, sweep):
    """With a fit that hangs, frames still go in."""
    release = threading.Event()
    entered = threading.Event()

    def onChange(_):
        entered.set()
        release.wait(20.0)

    registration = LiveSurfaceRegistration(spineCases[2], initialReferenceToRas=sweep.referenceToRas, refreshPoints=50, onChange=onChange)
    registration.start()
    try:
        frames = _frames(sweep.points)
        for frame in frames[:20]:
            registration.addPoints(frame)
        assert entered.wait(30.0)
        before = registration.state().pointCount
        done = threading.Event()

        def addTheRest():
            for frame in frames[20:]:
                registration.addPoints(frame)
            done.set()

        threading.Thread(target=addTheRest, daemon=True).start()
        assert done.wait(10.0)  # though the worker is held up
        assert registration.state().pointCount > before
    finally:
        release.set()
        registration.stop()


def test_acceptAndReject(sweep, live):
    with pytest.raises(RuntimeError, match="no surface registration to accept"):
        live.accept()
    for frame in _frames(sweep.points):
        live.addPoints(frame)
    state = live.waitForFit(0, 30.0)
    accepted = live.accept()
    assert live.state().accepted is accepted and accepted is not None
    live.clear()
    state = live.state()
    assert state.accepted is accepted and state.fit is None and state.pointCount == 0
    live.reject()
    assert live.state().accepted is None


def test_lingeringDoesNotOutweighScanning(spineCases, sweep):
    registration = LiveSurfaceRegistration(spineCases[2], perVoxel=2)
    frame = _frames(sweep.points)[10]
    first = registration.addPoints(frame)
    added = [registration.addPoints(frame) for _ in range(5)]
    assert 0 < first <= len(frame)
    assert sum(added) <= len(frame)
    assert added[-1] == 0
    assert registration.addPoints(BonePoints(np.zeros((0, 3)))) == 0


def test_problemIsSaidInWords(spineCases, sweep):
    registration = LiveSurfaceRegistration(spineCases[2], initialReferenceToRas=sweep.referenceToRas, refreshPoints=10)
    assert "sweep along the spine" in registration.state().problem
    registration.start()
    try:
        one = _frames(sweep.points)[12]
        registration.addPoints(one)
        registration.refresh()
        state = registration.waitForFit(0, 20.0)
        assert state.fit is None
        assert "needed" in state.problem
    finally:
        registration.stop()


def test_stopEndsTheThread(spineCases):
    before = threading.active_count()
    registration = LiveSurfaceRegistration(spineCases[2])
    registration.start()
    registration.start()
    assert threading.active_count() == before + 1
    registration.stop()
    deadline = time.monotonic() + 10.0
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_coverageNamesWhatIsMissing(spineCases, sweep):
    """Points of the right side and middle only: the hint asks for the left."""
    spine, _, surface = spineCases
    points = surface.pointsRas[(surface.pointLabels == 3) | (surface.pointLabels == 4)]
    assert sweepCoverage(surface, np.zeros((0, 3))).share == 0.0
    assert "No bone" in sweepCoverage(surface, np.zeros((0, 3))).hint
    right = points[points[:, 0] > np.median(spine.points[2][:, 0]) - 6.0]
    coverage = sweepCoverage(surface, right)
    assert coverage.hint.startswith("Scan the left of L")
    both = sweepCoverage(surface, points)
    assert both.share > coverage.share
    assert "L2" in both.hint or "L5" in both.hint
    everything = sweepCoverage(surface, surface.pointsRas)
    assert everything.share == 1.0 and everything.hint == ""


def test_coverageOfASweepWithoutLabels(phantomSurface):
    coverage = sweepCoverage(phantomSurface, phantomSurface.pointsRas)
    assert coverage.share > 0.8
    assert all(cell.name.startswith("height") for cell in coverage.cells)
    assert len(transformPoints(np.eye(4), [cell.centreRas for cell in coverage.cells])) == len(coverage.cells)
