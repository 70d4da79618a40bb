"""Every fault of the simulated PLUS through client, tool status and scene: what is shown as good is true, and it recovers.

The simulator runs in a thread in real time; limits are shortened so that each fault takes a fraction of a second. At every tick of the
scene the invariant is checked: a tool whose state is OK has its node within 3 mm of the simulator's own truth.
"""

import math
import threading
import time

import numpy as np
import pytest

from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
from IntradiscalNavLib.Simulation.SimulatedFrames import FrameOptions
from IntradiscalNavLib.Simulation.SimulatedPlus import SimulatedPlus
from IntradiscalNavLib.Simulation.SimulatedTracking import SimulatedTracker, TrackingNoise
from IntradiscalNavLib.Streaming.ConnectionDoctor import ConnectionDoctor, expectedDevices
from IntradiscalNavLib.Streaming.LiveStream import LiveStream
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.SceneStream import SceneStream
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatusMonitor, ToolStatusParameters

LIMITS = ToolStatusParameters(
    staleAfterSec=0.4, missingAfterSec=1.2, recoverSec=0.1, frozenAfterSec=0.4, holdJumpSec=0.3, minRateHz=2.0, maxJitterSec=0.5
)
NEEDLE = "NeedleToReference"
PATIENCE_SEC = 15.0


@pytest.fixture(scope="module")
def phantom():
    return cachedLumbarPhantom(PhantomParameters(spacingMm=(2.5, 2.5, 3.0)))


class Rehearsal:
    """Simulated PLUS in a thread, and everything that receives it."""

    def __init__(self, phantom, sendImage, rateHz):
        tracker = SimulatedTracker(phantom.truth.patientToRas, TrackingNoise(0.02, 0.005), seed=1)
        self.plus = SimulatedPlus(phantom, rateHz=rateHz, tracker=tracker, options=FrameOptions(sendImage=sendImage))
        self.plus.start()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.plus.run, args=(self.stopping.is_set,), daemon=True)
        self.thread.start()
        scene = startHost().scene
        scene.Clear(0)
        client = OpenIGTLinkClient(port=self.plus.port, firstRetrySec=0.05, longestRetrySec=0.2)
        doctor = ConnectionDoctor(expectedDevices(image="Image_Reference" if sendImage else None))
        self.live = LiveStream(client, SceneStream(scene, monitor=ToolStatusMonitor(LIMITS)), doctor).start()
        self.update = None

    def tick(self):
        """One tick of the product; checks that what is shown as good is true."""
        time.sleep(0.02)
        self.update = self.live.tick()
        if self.update.states.get(NEEDLE) is ToolState.OK:
            import slicer

            shown = slicer.util.arrayFromTransformMatrix(self.live.sceneStream.node(NEEDLE))
            state = self.plus.procedure.state(self.plus.nowSec)
            truth = np.linalg.inv(state.referenceToRas) @ state.needleToRas
            assert np.linalg.norm(shown[:3, 3] - truth[:3, 3]) < 3.0, (self.update.states, shown, truth)
        return self.update

    def until(self, condition):
        deadline = time.monotonic() + PATIENCE_SEC
        while not condition(self.tick()):
            assert time.monotonic() < deadline, (self.update.states, self.live.stream.status, self.reasons())
        return self.update

    def untilState(self, *states, name=NEEDLE):
        return self.until(lambda update: update.states.get(name) in states)

    def reasons(self, name=NEEDLE):
        node = self.live.sceneStream.node(name)
        return node.GetAttribute("IntradiscalNav.ToolReasons") if node is not None else ""

    def fault(self, kind, **more):
        self.plus.faults.start(kind, self.plus.nowSec, **more)

    def clear(self):
        self.plus.faults.clear()

    def close(self):
        self.live.stop()
        self.stopping.set()
        self.thread.join(5.0)
        self.plus.stop()


@pytest.fixture(scope="module")
def rehearsal(phantom):
    made = Rehearsal(phantom, sendImage=False, rateHz=60.0)
    made.untilState(ToolState.OK)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("kind", "tool", "states", "words"),
    [
        ("toolLost", "Needle", {ToolState.INVALID}, "view"),
        ("toolLost", "Reference", {ToolState.INVALID}, "view"),
        ("toolSilent", "Needle", {ToolState.STALE, ToolState.MISSING}, "nothing has arrived"),
        ("toolSilent", "Reference", {ToolState.STALE, ToolState.MISSING}, "nothing has arrived"),
        ("frozen", "Needle", {ToolState.SUSPECT}, "repeat"),
        ("nan", "Needle", {ToolState.INVALID}, "NaN"),
        ("mirrored", "Needle", {ToolState.INVALID}, "mirrored"),
        ("nonRigid", "Reference", {ToolState.INVALID}, "orthonormal"),
        ("timestampsStuck", "", {ToolState.SUSPECT}, "stand still"),
        ("timestampsJump", "", {ToolState.SUSPECT}, "leapt"),
        ("wrongName", "Needle", {ToolState.STALE, ToolState.MISSING}, "nothing has arrived"),
        ("pause", "", {ToolState.STALE, ToolState.MISSING}, "nothing has arrived"),
        ("die", "", {ToolState.STALE, ToolState.MISSING}, "nothing has arrived"),
    ],
)
def testFaultIsSeenAndItsEndToo(rehearsal, kind, tool, states, words):
    rehearsal.untilState(ToolState.OK)
    rehearsal.fault(kind, tool=tool)
    rehearsal.untilState(*states)
    assert words in rehearsal.reasons()
    rehearsal.clear()
    update = rehearsal.untilState(ToolState.OK)
    assert update.states[NEEDLE] is ToolState.OK


def testJumpIsSuspectAndNeverGood(rehearsal):
    rehearsal.untilState(ToolState.OK)
    rehearsal.fault("jump", tool="Needle", durationSec=0.25)
    rehearsal.untilState(ToolState.SUSPECT)
    assert "leapt" in rehearsal.reasons()
    rehearsal.clear()
    rehearsal.untilState(ToolState.OK)


@pytest.mark.parametrize("kind", ["timestampsZero", "corruptCrc", "garbage", "hugeSize"])
def testWhatDoesNotConcernThePosesLeavesThemGood(rehearsal, kind):
    rehearsal.untilState(ToolState.OK)
    before = rehearsal.live.stream.status.problemCount
    rehearsal.fault(kind)
    for _ in range(15):
        rehearsal.tick()
    rehearsal.clear()
    rehearsal.untilState(ToolState.OK)
    if kind in ("corruptCrc", "garbage"):
        assert rehearsal.live.stream.status.problemCount > before


def testShortLossRecovers(rehearsal):
    rehearsal.untilState(ToolState.OK)
    rehearsal.fault("toolLost", tool="Needle", durationSec=0.1)
    rehearsal.untilState(ToolState.INVALID)
    rehearsal.untilState(ToolState.OK)
    words = [change.toState for change in rehearsal.live.sceneStream.monitor.history("NeedleToTracker")][-3:]
    assert words == [ToolState.INVALID, ToolState.SUSPECT, ToolState.OK]


def testWrongNameIsDiagnosed(rehearsal):
    rehearsal.untilState(ToolState.OK)
    rehearsal.fault("wrongName", tool="Needle")
    rehearsal.untilState(ToolState.STALE, ToolState.MISSING)
    deadline = time.monotonic() + PATIENCE_SEC
    while True:
        rehearsal.tick()
        lines = {line.name: line for line in rehearsal.live.doctor.diagnose(rehearsal.live.stream.status).lines}
        if "WrongNeedleToTracker" in lines and lines["NeedleToReference"].advice:
            break
        assert time.monotonic() < deadline, lines
    rehearsal.clear()
    rehearsal.untilState(ToolState.OK)


def testImageFaults(phantom):
    rehearsal = Rehearsal(phantom, sendImage=True, rateHz=20.0)
    try:
        image = "Image_Reference"
        rehearsal.untilState(ToolState.OK, name=image)
        rehearsal.untilState(ToolState.OK)
        node = rehearsal.live.sceneStream.node(image)
        whole = node.GetImageData().GetDimensions()
        corner = np.zeros(4), np.zeros(4)

        def lowerCorner():
            from vtkmodules.vtkCommonMath import vtkMatrix4x4

            matrix = vtkMatrix4x4()
            node.GetIJKToRASMatrix(matrix)
            columns, rows, _ = node.GetImageData().GetDimensions()
            return np.array(matrix.MultiplyPoint((columns - 0.5, rows - 0.5, 0.0, 1.0)))

        corner = lowerCorner()
        # The image halves its size in mid-stream; it must stay in its place, and nothing may be read beyond it.
        rehearsal.fault("imageSize")
        rehearsal.until(lambda update: node.GetImageData().GetDimensions()[0] == whole[0] // 2)
        assert math.dist(lowerCorner()[:3], corner[:3]) < 2.0
        rehearsal.clear()
        rehearsal.until(lambda update: node.GetImageData().GetDimensions() == whole)
        rehearsal.fault("toolLost", tool="Probe")
        rehearsal.untilState(ToolState.INVALID, name=image)
        assert "Probe" in rehearsal.reasons(image)
        rehearsal.clear()
        rehearsal.untilState(ToolState.OK, name=image)
        rehearsal.fault("noImage")
        rehearsal.untilState(ToolState.STALE, name=image)
        rehearsal.clear()
        rehearsal.untilState(ToolState.OK, name=image)
    finally:
        rehearsal.close()
