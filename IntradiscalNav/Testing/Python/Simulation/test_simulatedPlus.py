"""The simulator as a process of its own, seen by a client, and its faults."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, cachedLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
from IntradiscalNavLib.Simulation.SimulatedFrames import FrameOptions
from IntradiscalNavLib.Simulation.SimulatedPlus import SimulatedPlus, main
from IntradiscalNavLib.Simulation.SimulatedTracking import SimulatedTracker, TrackingNoise
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    GetStatusMessage,
    ImageMessage,
    OpenIGTLinkMessage,
    StartTrackingDataMessage,
    StatusMessage,
    StringMessage,
    TrackingDataMessage,
    TransformMessage,
)

COARSE = PhantomParameters(spacingMm=(2.5, 2.5, 3.0))


@pytest.fixture(scope="module")
def phantom() -> LumbarPhantom:
    return cachedLumbarPhantom(COARSE)


class Pair:
    """Server and client in one process; frames are sent one by one, so nothing depends on the machine's speed."""

    def __init__(self, phantom: LumbarPhantom, **options: object) -> None:
        self.now = 0.0
        tracker = SimulatedTracker(phantom.truth.patientToRas, TrackingNoise(0.0, 0.0))
        self.plus = SimulatedPlus(phantom, tracker=tracker, monotonic=lambda: self.now, **options)  # type: ignore[arg-type]
        self.plus.start()
        self.client = OpenIGTLinkClient("127.0.0.1", self.plus.port).start()
        assert self.client.waitForConnection(5.0)
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline and not (self.plus._server.clients and self.plus._server.clients[0].headerVersion == 2):
            time.sleep(0.005)
        self.client.takeMessages()

    def step(self, seconds: float = 1 / 30, wanted: int = 1) -> list[OpenIGTLinkMessage]:
        self.now += seconds
        self.plus.step()
        received: list[OpenIGTLinkMessage] = []
        deadline = time.monotonic() + 3.0
        while len(received) < wanted and time.monotonic() < deadline:
            received += self.client.takeMessages(timeoutSec=0.05)
        received += self.client.takeMessages(timeoutSec=0.02)
        return received

    def command(self, **request: object) -> dict[str, object]:
        self.client.send(StringMessage("SimulatorCommand", json.dumps(request)))
        deadline = time.monotonic() + 5.0
        while time.monotonic() < deadline:
            time.sleep(0.01)
            self.now += 0.01
            self.plus.step()
            for message in self.client.takeMessages(timeoutSec=0.02):
                if isinstance(message, StringMessage) and message.deviceName == "SimulatorReply":
                    return dict(json.loads(message.text))
        raise AssertionError("no reply")

    def close(self) -> None:
        self.client.stop()
        self.plus.stop()


@pytest.fixture
def pair(phantom: LumbarPhantom) -> Iterator[Pair]:
    made = Pair(phantom)
    yield made
    made.close()


def transforms(messages: list[OpenIGTLinkMessage]) -> dict[str, TransformMessage]:
    return {message.deviceName: message for message in messages if isinstance(message, TransformMessage)}


def test_aFrameIsAsPlusSendsIt(pair: Pair) -> None:
    messages = pair.step(wanted=5)
    kinds = [type(message) for message in messages if not isinstance(message, (StringMessage, StatusMessage))]
    assert kinds == [ImageMessage] + 4 * [TransformMessage]
    found = transforms(messages)
    assert set(found) == {"ProbeToTracker", "NeedleToTracker", "StylusToTracker", "ReferenceToTracker"}
    assert all(m.metadata["TransformStatus"] == "OK" and m.metadata["TransformValid"] == "1" for m in found.values())
    assert all(m.headerVersion == 2 for m in found.values())
    image = next(m for m in messages if isinstance(m, ImageMessage))
    assert image.deviceName == "Image_Reference"
    assert image.voxels.shape == (1, 480, 640)
    assert image.voxels.dtype == np.uint8
    assert image.metadata["ProbeToTrackerTransformStatus"] == "OK"
    assert len({m.timestampSec for m in [image, *found.values()]}) == 1
    # the image's place follows from the transforms sent with it and the stated calibration
    toReference = np.linalg.inv(found["ReferenceToTracker"].matrix) @ found["ProbeToTracker"].matrix @ pair.plus.tools.imageToProbe
    np.testing.assert_allclose(image.ijkToFrame[:, [0, 1, 3]], toReference[:, [0, 1, 3]], atol=2e-3)


def test_referenceToRasTakesStreamedPosesIntoTheCt(pair: Pair, phantom: LumbarPhantom) -> None:
    """The chain that registration closes: what the tracker sends, taken through the stated truth, lies on the balls."""
    end = pair.plus.procedure.touchBalls(pair.now + 0.1, order=[3], dwellSec=1.0)
    pair.now = end - 0.8 - 0.25 - 0.3
    found = transforms(pair.step(wanted=5))
    stylusTip = (np.linalg.inv(found["ReferenceToTracker"].matrix) @ found["StylusToTracker"].matrix @ pair.plus.tools.stylusTipToStylus)[
        :, 3
    ]
    assert phantom.truth.referenceToRas is not None
    assert np.linalg.norm((phantom.truth.referenceToRas @ stylusTip)[:3] - phantom.truth.ballsRas[3]) < 0.5
    assert np.linalg.norm(stylusTip[:3] - phantom.truth.ballsReference[3]) < 0.5


def test_headerVersion1CarriesNoMetadata(pair: Pair) -> None:
    import socket

    from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import readAll

    with socket.create_connection(("127.0.0.1", pair.plus.port)) as plain:
        assert pair.plus._server.waitForClient(3.0, 2)
        pair.step(wanted=5)
        plain.settimeout(3.0)
        data = b""
        while len(data) < 640 * 480 + 4 * 106:
            data += plain.recv(1 << 20)
        messages = readAll(data)
        assert all(m.headerVersion == 1 and not m.metadata for m in messages)


def test_referenceNaming(phantom: LumbarPhantom) -> None:
    pair = Pair(phantom, options=FrameOptions(naming="Reference", sendImage=False))
    try:
        found = transforms(pair.step(wanted=3))
        assert set(found) == {"ProbeToReference", "NeedleToReference", "StylusToReference"}
        state = pair.plus.procedure.state(pair.now)
        expected = np.linalg.inv(state.referenceToRas) @ state.needleToRas
        np.testing.assert_allclose(found["NeedleToReference"].matrix, expected, atol=2e-3)
    finally:
        pair.close()


def test_commandsAreObeyedAndMistakesAnswered(pair: Pair, phantom: LumbarPhantom) -> None:
    disc = phantom.truth.discs["L4-L5"].centerRas
    entry = disc + phantom.truth.patientToRas[:3, :3] @ np.array([-75.0, -68.0, 10.0])
    inReference = [(np.linalg.inv(phantom.truth.referenceToRas) @ np.append(p, 1.0))[:3].tolist() for p in (entry, disc)]
    reply = pair.command(command="followPath", frame="Reference", entryMm=inReference[0], targetMm=inReference[1])
    assert reply["ok"]
    pair.now += float(reply["durationSec"]) + 0.5  # type: ignore[arg-type]
    truth = pair.command(command="truth")
    assert truth["phase"] == "atTarget"
    np.testing.assert_allclose(truth["targetRas"], disc, atol=1e-6)
    assert np.linalg.norm(np.array(truth["straightTipRas"]) - disc) < 2.0
    assert 0.2 < np.linalg.norm(np.array(truth["straightTipRas"]) - np.array(truth["trueTipRas"])) < 3.0
    for mistake in (
        {"command": "fly"},
        {"command": "followPath"},
        {"command": "touchBalls", "order": [99]},
        {"command": "fault", "kind": "x"},
    ):
        reply = pair.command(**mistake)
        assert not reply["ok"]
        assert reply["error"]


def test_toolLostIsTheIdentityWithStatus(pair: Pair) -> None:
    pair.plus.faults.start("toolLost", pair.now, tool="Needle", status="OUT_OF_VIEW", durationSec=1.0)
    messages = pair.step(wanted=5)
    needle = transforms(messages)["NeedleToTracker"]
    assert np.array_equal(needle.matrix, np.eye(4))
    assert needle.metadata == {"TransformStatus": "OUT_OF_VIEW", "TransformValid": "0"}
    image = next(m for m in messages if isinstance(m, ImageMessage))
    assert image.metadata["NeedleToTrackerTransformStatus"] == "OUT_OF_VIEW"
    assert transforms(messages)["ProbeToTracker"].metadata["TransformStatus"] == "OK"
    assert transforms(pair.step(2.0, wanted=5))["NeedleToTracker"].metadata["TransformStatus"] == "OK"


def test_trackingDataComesOnRequestOnly(pair: Pair) -> None:
    assert not [m for m in pair.step(wanted=5) if isinstance(m, TrackingDataMessage)]
    pair.client.send(StartTrackingDataMessage("", resolution=0), headerVersion=2)
    deadline = time.monotonic() + 3.0
    while pair.plus._server.clients[0].trackingResolutionSec is None and time.monotonic() < deadline:
        time.sleep(0.005)
    pair.plus.faults.start("toolLost", pair.now, tool="Stylus", status="MISSING")
    data = next(m for m in pair.step(wanted=7) if isinstance(m, TrackingDataMessage))
    assert data.deviceName == "TDATA_4Elem"
    assert [tool.name for tool in data.tools] == ["ProbeToTracker", "NeedleToTracker", "StylusToTracker", "ReferenceToTracker"]
    assert data.toolStatus("StylusToTracker") == "MISSING"
    assert data.toolStatus("ProbeToTracker") == "OK"


def test_firstClientGetsOldFramesAsFromPlus(phantom: LumbarPhantom) -> None:
    pair = Pair(phantom, options=FrameOptions(sendImage=False), oldFrames=10)
    try:
        pair.now = 5.0
        messages = [m for m in pair.step(wanted=45) if isinstance(m, TransformMessage) and m.deviceName == "ProbeToTracker"]
        assert len(messages) == 11
        ages = messages[-1].timestampSec - np.array([m.timestampSec for m in messages])
        assert 1.3 < ages[0] < 2.0
        assert ages[9] > 0.4
        assert len(transforms(pair.step(wanted=4))) == 4
    finally:
        pair.close()


@pytest.mark.parametrize("kind", ["frozen", "nan", "mirrored", "nonRigid", "jump", "toolSilent", "wrongName"])
def test_faultsOfOneTool(pair: Pair, kind: str) -> None:
    before = transforms(pair.step(wanted=5))
    pair.plus.faults.start(kind, pair.now, tool="Probe")
    first, second = transforms(pair.step(wanted=4)), transforms(pair.step(wanted=4))
    probe = second.get("ProbeToTracker")
    if kind == "toolSilent":
        assert probe is None
        assert len(second) == 3
        return
    if kind == "wrongName":
        assert "WrongProbeToTracker" in second
        return
    assert probe is not None
    rotation = probe.matrix[:3, :3]
    if kind == "frozen":
        assert np.array_equal(first["ProbeToTracker"].matrix, probe.matrix)
        assert not np.array_equal(before["ProbeToTracker"].matrix, probe.matrix)
    elif kind == "nan":
        assert np.isnan(probe.matrix[:3]).all()
    elif kind == "mirrored":
        assert np.linalg.det(rotation) == pytest.approx(-1.0, abs=1e-4)
    elif kind == "nonRigid":
        assert np.linalg.det(rotation) == pytest.approx(1.2**3, abs=1e-3)
    elif kind == "jump":
        assert np.linalg.norm(probe.matrix[:3, 3] - before["ProbeToTracker"].matrix[:3, 3]) > 55
    assert np.linalg.det(second["NeedleToTracker"].matrix[:3, :3]) == pytest.approx(1.0, abs=1e-4)


def test_timesImagesAndPause(pair: Pair) -> None:
    faults = pair.plus.faults
    faults.start("timestampsZero", pair.now)
    assert all(m.timestampSec == 0.0 for m in transforms(pair.step(wanted=5)).values())
    faults.clear()
    faults.start("timestampsStuck", pair.now)
    stamps = {m.timestampSec for _ in range(3) for m in transforms(pair.step(wanted=5)).values()}
    assert len(stamps) == 1
    faults.clear()
    faults.start("imageSize", pair.now)
    image = next(m for m in pair.step(wanted=5) if isinstance(m, ImageMessage))
    assert image.voxels.shape == (1, 240, 320)
    faults.clear()
    faults.start("pause", pair.now)
    received = pair.step(0.3)
    assert [type(m) for m in received] == [StatusMessage]
    assert received[0].headerVersion == 1


def test_serverDiesAndReturns(pair: Pair) -> None:
    pair.step(wanted=5)
    port = pair.plus.port
    pair.plus.faults.start("die", pair.now, durationSec=1.0)
    pair.now += 0.1
    pair.plus.step()
    deadline = time.monotonic() + 5.0
    while pair.client.state.name == "CONNECTED" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert pair.client.state.name != "CONNECTED"
    pair.now += 2.0
    pair.plus.step()
    assert pair.plus.port == port
    assert pair.client.waitForConnection(10.0)
    assert transforms(pair.step(wanted=5))


def test_damagedBytesDoNotStopTheStream(pair: Pair) -> None:
    for kind in ("corruptCrc", "garbage"):
        pair.plus.faults.start(kind, pair.now, durationSec=0.2)
        for _ in range(12):
            messages = pair.step(wanted=4)
        assert transforms(messages)
    assert pair.client.problems


def test_asProcess() -> None:
    """Announces itself, streams at its rate, answers, and ends when told."""
    command = [sys.executable, "-m", "IntradiscalNavLib.Simulation.SimulatedPlus", "--seed", "3", "--lifetime", "60"]
    command += ["--phantom", json.dumps({"spacingMm": [2.5, 2.5, 3.0]})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        announcement = json.loads(process.stdout.readline())
        assert set(announcement["calibrations"]) == {"ImageToProbe", "NeedleTipToNeedle", "StylusTipToStylus"}
        with OpenIGTLinkClient("127.0.0.1", announcement["port"]) as client:
            assert client.waitForConnection(5.0)
            client.send(GetStatusMessage("", headerVersion=2), headerVersion=2)
            stamps: list[float] = []
            deadline = time.monotonic() + 15.0
            while len(stamps) < 60 and time.monotonic() < deadline:
                stamps += [m.timestampSec for m in client.takeMessages(0.1) if isinstance(m, ImageMessage)]
            assert len(stamps) >= 60
            assert np.all(np.diff(stamps) > 0)
            client.send(StringMessage("SimulatorCommand", json.dumps({"command": "quit"})))
            assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()


def test_badCommandLineIsExplained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--phantom", '{"colour": 1}']) == 2
    assert "colour" in capsys.readouterr().err
