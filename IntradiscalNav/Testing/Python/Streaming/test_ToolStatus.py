"""Tool status on a clock of the test's own: every way in which a pose is not live."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from IntradiscalNavLib.Streaming.StreamClock import DeviceTime, StreamClock
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatusMonitor, ToolStatusParameters, worstState

DEVICE_EPOCH = 1.79e9


class Stream:
    """A tool streamed at a rate with noise, into a monitor."""

    def __init__(self, rateHz=30.0, parameters=None, seed=0):
        self.monitor = ToolStatusMonitor(parameters)
        self.rng = np.random.default_rng(seed)
        self.now = 1000.0
        self.stepSec = 1.0 / rateHz
        self.deviceOffset = DEVICE_EPOCH
        self.position = np.zeros(3)

    def pose(self):
        return rigidFrom(rotationFromVector(self.rng.normal(size=3) * 1e-3), self.position + self.rng.normal(size=3) * 0.1)

    def send(self, matrix=None, deviceSec=None, status="OK", valid=True):
        self.now += self.stepSec
        device = self.now + self.deviceOffset if deviceSec is None else deviceSec
        self.monitor.updatePose("T", self.pose() if matrix is None else matrix, self.now, device, status, valid)
        return self.status()

    def run(self, seconds, **more):
        status = None
        for _ in range(round(seconds / self.stepSec)):
            status = self.send(**more)
        return status

    def status(self, afterSec=0.005):
        return self.monitor.status("T", self.now + afterSec)


def testSteadyStreamIsOk():
    stream = Stream()
    stream.run(1.0)
    assert all(stream.send().state is ToolState.OK for _ in range(100))
    assert stream.status().timing.rateHz == pytest.approx(30.0, rel=0.01)
    assert stream.status().timing.jitterSec == pytest.approx(0.0, abs=1e-9)


def testNeverHeardOfIsMissing():
    monitor = ToolStatusMonitor(expected=["NeedleToReference"])
    assert monitor.status("NeedleToReference").state is ToolState.MISSING
    assert monitor.status("Other").state is ToolState.MISSING
    assert math.isinf(monitor.status("NeedleToReference").ageSec)
    assert list(monitor.statuses()) == ["NeedleToReference"]


@pytest.mark.parametrize("gapSec", [0.1, 0.4, 0.6, 2.0, 4.9, 6.0, 60.0])
def testOutOfViewAsSilence(gapSec):
    """PlusServer's default: nothing is sent for a lost tool."""
    stream = Stream()
    stream.run(2.0)
    state = stream.status(gapSec).state
    assert state is (ToolState.OK if gapSec < 0.5 else ToolState.STALE if gapSec < 5.0 else ToolState.MISSING)
    stream.now += gapSec
    first = stream.send()
    if gapSec > 0.5:
        assert first.state is ToolState.SUSPECT and "come back" in " ".join(first.reasons)
        assert stream.run(2.5).state is ToolState.OK
    else:
        assert first.state is ToolState.OK
    history = [change.toState for change in stream.monitor.history("T")]
    assert history[0] is not ToolState.MISSING and history[-1] is ToolState.OK


@pytest.mark.parametrize(
    "word", ["MISSING", "OUT_OF_VIEW", "OUT_OF_VOLUME", "REQ_TIMEOUT", "INVALID", "PATH_NOT_FOUND", "SWITCH1_IS_ON", "X"]
)
def testEveryStatusOfPlusButOkIsInvalid(word):
    stream = Stream()
    stream.run(1.0)
    status = stream.send(np.eye(4), status=word, valid=False)
    assert status.state is ToolState.INVALID and status.reasons
    assert not status.isLive
    assert stream.run(1.0).state is ToolState.OK


def testUnknownIsSuspect():
    stream = Stream()
    stream.run(1.0)
    assert stream.send(status="UNKNOWN", valid=None).state is ToolState.SUSPECT


def testIdentityWithoutAStatusIsInvalidAndWithOneNot():
    stream = Stream()
    stream.run(1.0, status="", valid=None)
    assert stream.send(np.eye(4), status="", valid=None).state is ToolState.INVALID
    other = Stream()
    other.run(1.0)
    assert other.send(np.eye(4), status="OK", valid=True).state is not ToolState.INVALID


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        (np.full((4, 4), np.nan), "NaN"),
        (np.where(np.eye(4) == 1, np.inf, 0), "NaN or infinite"),
        (np.diag([1, 1, -1.0, 1]), "mirrored"),
        (np.diag([1.1, 1, 1, 1.0]), "orthonormal"),
        (np.diag([1, 1, 1, 2.0]), "last row"),
        (np.zeros((4, 4)), "last row"),
    ],
)
def testMatricesThatAreNoPose(matrix, word):
    stream = Stream()
    stream.run(1.0)
    status = stream.send(matrix)
    assert status.state is ToolState.INVALID
    assert word in " ".join(status.reasons)


def testImageTransformsMayCarryAScale():
    monitor = ToolStatusMonitor()
    monitor.updatePose("ImageToReference", np.diag([0.1, 0.08, 0.09, 1.0]), 1.0, 0.0, "OK", True)
    assert monitor.status("ImageToReference", 1.01).state is not ToolState.INVALID
    monitor.updatePose("ImageToReference", np.zeros((4, 4)), 1.1, 0.0, "OK", True)
    assert monitor.status("ImageToReference", 1.11).state is ToolState.INVALID


def testTrackerThatRepeatsTheLastPose():
    stream = Stream()
    stream.run(1.0)
    last = stream.pose()
    assert stream.run(1.0, matrix=last).state is ToolState.OK
    status = stream.run(1.0, matrix=last)
    assert status.state is ToolState.SUSPECT and "repeat" in " ".join(status.reasons)
    assert stream.run(1.0).state is ToolState.OK


def testJump():
    stream = Stream()
    stream.run(1.0)
    stream.position = np.array([80.0, 0, 0])
    status = stream.send()
    assert status.state is ToolState.SUSPECT and "leapt" in " ".join(status.reasons)
    assert stream.run(1.0).state is ToolState.SUSPECT
    assert stream.run(1.5).state is ToolState.OK


def testTurnThatNoHandMakes():
    stream = Stream()
    stream.run(1.0)
    status = stream.send(rigidFrom(rotationFromVector(np.array([0, 0, 2.5])), [0, 0, 0.1]))
    assert status.state is ToolState.SUSPECT and "turned" in " ".join(status.reasons)


def testFastHandIsNoJump():
    stream = Stream(rateHz=10.0)
    stream.run(1.0)
    for step in range(20):
        # 0.8 m/s, faster than anybody should move a needle
        stream.position = np.array([80.0 * step, 0, 0])
        status = stream.send()
        assert step == 0 or status.state is ToolState.OK, status


def testSlowStreamIsSuspect():
    stream = Stream(rateHz=3.0)
    assert "poses per second" in " ".join(stream.run(6.0).reasons)
    expected = Stream(rateHz=10.0, parameters=ToolStatusParameters(expectedRateHz=30.0))
    assert "instead of 30" in " ".join(expected.run(3.0).reasons)


def testUnevenStreamIsSuspect():
    stream = Stream(rateHz=50.0)
    stream.run(1.0)
    for _ in range(8):
        stream.now += 0.42
        stream.run(0.06)
    status = stream.status()
    assert status.state is ToolState.SUSPECT and "unevenly" in " ".join(status.reasons)


# Device time


def testNoDeviceTimeIsFine():
    stream = Stream()
    assert stream.run(2.0, deviceSec=0.0).state is ToolState.OK
    assert stream.status().timing.deviceTime is DeviceTime.NONE
    assert stream.status().timing.delaySec == 0.0


def testDeviceTimeThatStandsStill():
    stream = Stream()
    stream.run(1.0)
    status = stream.run(3.0, deviceSec=stream.now + DEVICE_EPOCH)
    assert status.state is ToolState.SUSPECT and "stand still" in " ".join(status.reasons)


@pytest.mark.parametrize("leap", [-86400.0, -3.0, 100.0, 86400.0])
def testDeviceTimeThatLeaps(leap):
    stream = Stream()
    stream.run(2.0)
    stream.deviceOffset += leap
    status = stream.send()
    assert status.state is ToolState.SUSPECT and "leapt" in " ".join(status.reasons)
    assert stream.run(4.0).state is ToolState.OK


def testOldBurstAfterConnectingIsNotLive():
    """Ten frames of one to two seconds ago come at once; then the stream goes on live."""
    stream = Stream(rateHz=10.0)
    begin = stream.now
    for index in range(10):
        stream.monitor.updatePose("T", stream.pose(), begin + 0.001 * index, DEVICE_EPOCH + begin - 2.0 + 0.1 * index, "OK", True)
    stream.now = begin + 0.05
    stream.run(1.5)
    assert stream.status().state is ToolState.OK
    # A second burst, of a queue that had jammed: the content is old though it has just arrived.
    for index in range(10):
        stream.monitor.updatePose(
            "T", stream.pose(), stream.now + 2.0 + 0.001 * index, DEVICE_EPOCH + stream.now + 0.05 * index, "OK", True
        )
    status = stream.monitor.status("T", stream.now + 2.02)
    assert status.state is ToolState.STALE and "old" in status.reasons[0]
    assert status.ageSec == pytest.approx(1.56, abs=0.1)


def testGrowingDelayIsSeen():
    stream = Stream()
    stream.run(3.0)
    states = []
    for _ in range(600):
        stream.deviceOffset -= 0.002
        states.append(stream.send().state)
    assert states[0] is ToolState.OK and states[-1] is ToolState.STALE
    assert stream.status().timing.delaySec == pytest.approx(1.2, abs=0.01)


def testClocksThatDriftApartRaiseNoAlarm():
    """100 ppm, worse than any computer's clock, for half an hour at 20 Hz."""
    clock = StreamClock()
    worst = 0.0
    for index in range(36000):
        now = 1000.0 + 0.05 * index
        clock.note(now, DEVICE_EPOCH + now * (1 - 1e-4))
        if index % 100 == 0:
            worst = max(worst, clock.timing(now).delaySec)
    assert worst < 0.02


def testLatencyWhereTheClocksAgree():
    import time

    clock = StreamClock()
    monotonic, wall = time.monotonic(), time.time()
    for index in range(10):
        clock.note(monotonic + 0.01 * index, wall + 0.01 * index - 0.015)
    assert clock.timing(monotonic + 0.1).latencySec == pytest.approx(0.015, abs=0.002)


# Bookkeeping


def testChangesAreReportedOnceAndBounded():
    stream = Stream(parameters=ToolStatusParameters(historyLength=10, recoverSec=0.0))
    stream.run(1.0)
    for _ in range(50):
        stream.send(np.eye(4), status="OUT_OF_VIEW", valid=False)
        stream.send()
    changes = stream.monitor.takeChanges()
    assert len(changes) > 50 and changes[-1].toState is ToolState.OK
    assert stream.monitor.takeChanges() == []
    assert len(stream.monitor.history("T")) == 10


def testEndlessNewNamesDoNotGrowTheMonitor():
    monitor = ToolStatusMonitor(maxTools=20)
    for index in range(1000):
        monitor.updatePose(f"T{index}", np.eye(4), 1.0)
    assert len(monitor.names) == 20
    assert monitor.status("T999", 1.0).state is ToolState.MISSING


def testWorst():
    assert worstState([ToolState.OK, ToolState.STALE, ToolState.SUSPECT]) is ToolState.STALE
    assert worstState([ToolState.INVALID, ToolState.STALE]) is ToolState.INVALID
    assert worstState([]) is ToolState.MISSING
    assert [state.isLive for state in ToolState] == [True, True, False, False, False]


@given(st.lists(st.tuples(st.floats(allow_nan=True, allow_infinity=True), st.floats(0, 10), st.floats(0, 1e10)), max_size=30))
@settings(max_examples=100, deadline=None)
def testNothingThatArrivesRaises(steps):
    monitor = ToolStatusMonitor()
    now = 0.0
    for value, step, device in steps:
        now += step
        matrix = np.eye(4)
        matrix[0, 3] = value
        monitor.updatePose("T", matrix, now, device, "", None)
        status = monitor.status("T", now)
        assert not math.isnan(status.ageSec)
        if not math.isfinite(value):
            assert status.state is ToolState.INVALID
