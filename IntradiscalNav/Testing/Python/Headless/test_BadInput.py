"""What a user does wrong, or what breaks: each a clear message; never a hang, a busy loop or a lost scene."""

import io
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
import slicer
from rich.console import Console
from typer.testing import CliRunner

from IntradiscalNavHeadless import RenderingProbe
from IntradiscalNavHeadless.CaseReview import reviewCase
from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavHeadless.Demo import LiveStream as LiveStreamModule
from IntradiscalNavHeadless.Demo.DemoProcedure import keepUnfinished
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun, DemoSettings
from IntradiscalNavHeadless.Demo.LiveStream import LiveStream
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument
from IntradiscalNavLib.Recording.SequenceExport import exportToSequences
from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import encodeMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import TransformMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer


@pytest.fixture
def live(host, tmp_path):
    """Function (port): the live loop of a procedure on a server of the test's choice."""
    started = []

    def start(port):
        run = DemoRun(DemoSettings(tmp_path / "run"), Console(file=io.StringIO()), host, phantom=None)
        writer = RecordingWriter(tmp_path / "recording")
        recorder = StreamRecorder(writer)
        client = OpenIGTLinkClient("127.0.0.1", port, onMessage=lambda message: recorder.recordMessages([message])).start()
        started.append((client, writer))
        return run, LiveStream(run, client, recorder), writer

    yield start
    for client, writer in started:
        client.stop()
        writer.stop()


def needle(x):
    pose = np.eye(4)
    pose[0, 3] = x
    return TransformMessage("NeedleToReference", pose, timestampSec=time.time())


def test_noServerIsNamedAfterTheAgreedTimeWithoutBurningTheProcessor(live):
    with OpenIGTLinkServer(port=0) as closed:
        port = closed.port
    _, stream, _ = live(port)
    start, used = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with pytest.raises(RuntimeError, match=r"in vain for live poses.*connecting.*0 messages"):
        stream.runUntil(lambda _messages, _update: False, 1.5, "live poses")
    elapsed, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF).ru_utime - used
    assert used < 0.6 * elapsed, "waiting must not be a busy loop"


def test_portOfAnotherServiceIsNamed(live):
    """Something listens there, but it doesn't speak OpenIGTLink."""
    import socket
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def talk():
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 4)
            time.sleep(1.0)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    _, stream, _ = live(listener.getsockname()[1])
    with pytest.raises(RuntimeError, match=r"in vain for live poses.*can't be read as OpenIGTLink.*port"):
        stream.runUntil(lambda _messages, _update: False, 2.0, "live poses")
    thread.join(5)
    listener.close()


def test_serverThatDiesEndsTheStepAndKeepsSceneAndRecording(live, host, tmp_path, monkeypatch):
    monkeypatch.setattr(LiveStreamModule, "LOST_SEC", 0.5)
    server = OpenIGTLinkServer(port=0).start()
    run, stream, writer = live(server.port)
    storeDocument(host.scene, DocumentRole.PLAN, {"entryRas": [60, -80, 0], "targetRas": [0, 0, 0]})
    seen = []

    def look(messages, _update):
        seen.extend(message for message in messages if isinstance(message, TransformMessage))
        if len(seen) < 20:
            server.send(needle(float(len(seen))))
        elif server is not None:
            server.stop()
        return False

    assert server.waitForClient(5.0)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"server is gone.*the needle to rest.*Start PlusServer again"):
        stream.runUntil(look, 30.0, "the needle to rest")
    assert time.monotonic() - start < 15.0, "not only after the whole time-out"
    case = CaseFolder(tmp_path / "case")
    told = keepUnfinished(run, case)
    (kept,) = case.autosaves()
    assert str(kept) in told
    host.loadScene(kept)
    assert slicer.util.getNode("NeedleToReference") is not None
    stream.client.stop()
    assert writer.stop().poses >= 20
    assert sum(isinstance(record, PoseRecord) for record in RecordingReader(tmp_path / "recording")) >= 20


def test_wrongChecksumIsNeverShown(live):
    with OpenIGTLinkServer(port=0) as server:
        _, stream, _ = live(server.port)
        assert server.waitForClient(5.0)
        damaged = bytearray(b"".join([encodeMessage(needle(1000.0))]))
        damaged[-3] ^= 0x55
        server.sendBytes(bytes(damaged))
        server.send(needle(7.0))
        stream.runUntil(lambda messages, _update: any(isinstance(each, TransformMessage) for each in messages), 10.0, "the good pose")
    assert slicer.util.arrayFromTransformMatrix(slicer.util.getNode("NeedleToReference"))[0, 3] == 7.0
    assert any("CRC" in str(problem) or "checksum" in str(problem).lower() for problem in stream.client.problems)


def test_machineWithoutOpenGlIsToldThePackage(monkeypatch):
    """VTK ends the process at its first render there; the probe's child dies, this process doesn't."""
    monkeypatch.delenv("INTRADISCALNAV_NO_RENDERING", raising=False)
    monkeypatch.setattr(RenderingProbe, "_PROBE", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    RenderingProbe.whyNoRendering.cache_clear()
    try:
        reason = RenderingProbe.whyNoRendering()
    finally:
        RenderingProbe.whyNoRendering.cache_clear()
    assert "libegl1" in reason and "apt-get install" in reason and "-11" in reason


def sceneWithoutCt(host, path, plan=True):
    records = []
    for index in range(30):
        pose = np.eye(4)
        pose[:3, 3] = 60 - 2 * index, -80 + 2.5 * index, 0
        records.append(PoseRecord("NeedleToReference", index * 40_000_000, 0.0, pose, PoseValidity.VALID))
        image = np.full((1, 8, 8), index, np.uint8)
        records.append(ImageRecord("Image_Reference", index * 40_000_000, 0.0, image, np.eye(4), PoseValidity.VALID))
    exportToSequences(host.scene, records)
    if plan:
        storeDocument(host.scene, DocumentRole.PLAN, {"entryRas": [60, -80, 0], "targetRas": [0, 0, 0]})
    host.saveScene(path)
    host.clear()
    return path


def test_sceneWithoutCtAndRegistrationIsReviewedAsFarAsItGoes(host, tmp_path):
    review = reviewCase(sceneWithoutCt(host, tmp_path / "bare.mrb"))
    assert review.imageCount == 30 and review.streams["NeedleToReference"] == 30
    assert "the scene holds no CT" in review.missing
    assert any("no registration" in text for text in review.missing)
    assert review.navigation is None


@pytest.mark.rendering
def test_sceneWithoutCtIsStillReplayedInPictures(host, tmp_path):
    if RenderingProbe.whyNoRendering():
        pytest.skip(RenderingProbe.whyNoRendering())
    scene = sceneWithoutCt(host, tmp_path / "bare.mrb")
    result = CliRunner().invoke(app, ["review", str(scene), "--pictures", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert list((tmp_path / "out").glob("*end*.png"))


def test_sceneWithoutPlanSaysWhyThereAreNoPictures(host, tmp_path):
    scene = sceneWithoutCt(host, tmp_path / "bare.mrb", plan=False)
    result = CliRunner().invoke(app, ["review", str(scene), "--pictures", "--output", str(tmp_path / "out")])
    assert isinstance(result.exception, ValueError) and "no plan" in str(result.exception)


def command(*arguments):
    return [sys.executable, "-m", "IntradiscalNavHeadless.CommandLine", *arguments]


@pytest.mark.parametrize("name", ["truncated.mrb", "noise.igs.mha", "noise.seq.nrrd", "empty.mrml", "noise.igs.nrrd"])
def test_unreadableFileIsNamedWithoutATraceback(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"" if name.startswith("empty") else b"PK\x03\x04" + bytes(range(256)) * 40)
    result = CliRunner().invoke(app, ["review", str(path)])
    assert isinstance(result.exception, ValueError), result.exception
    assert name in str(result.exception)


def test_commandLineTurnsErrorsIntoOneLineAndACode(tmp_path):
    path = tmp_path / "truncated.mrb"
    path.write_bytes(b"PK\x03\x04 cut")
    environment = {name: value for name, value in os.environ.items() if name != "INTRADISCALNAV_DEBUG"}
    result = subprocess.run(command("review", str(path)), capture_output=True, text=True, timeout=60, check=False, env=environment)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr and "truncated" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
