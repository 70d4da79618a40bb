"""Real PLUS recordings streamed, recorded, saved, reloaded and replayed: poses and pixels equal the source."""

import time

import numpy as np
import pytest
import slicer

from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingSettings, RecordingWriter
from IntradiscalNavLib.Recording.SequenceExport import exportToSequences
from IntradiscalNavLib.Recording.SequenceImport import readSequences, sequenceBrowsers
from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder
from IntradiscalNavLib.Simulation.PlusRecording import readPlusRecording
from IntradiscalNavLib.Simulation.ReplayServer import ReplayOptions, ReplayServer
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage
from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration

pytestmark = pytest.mark.realdata


def streamAndRecord(path, folder, speed, calibrations=None, sendInvalid=False, compress=False):
    """Play a PLUS file once over OpenIGTLink and record what arrives, in the receiving thread as the program does."""
    recording = readPlusRecording(path)
    options = ReplayOptions(speed=speed, loop=False, imageFrame="Reference" if calibrations else "Image", sendInvalid=sendInvalid)
    writer = RecordingWriter(folder, RecordingSettings(compressImages=compress))
    recorder = StreamRecorder(writer)
    received = [0]

    def record(message):
        received[0] += isinstance(message, ImageMessage | TransformMessage)
        recorder.recordMessages([message])

    with ReplayServer(recording, 0, calibrations=calibrations, options=options) as server:
        client = OpenIGTLinkClient("127.0.0.1", server.port, onMessage=record, keepMessages=False)
        with client:
            assert client.waitForConnection(5.0), client.status.reason
            assert server.waitUntilFinished(60.0)
            # The last messages are still on their way; keep-alives go on coming, poses don't.
            before = -1
            while (now := received[0]) != before:
                before = now
                time.sleep(0.4)
    state = writer.stop()
    assert state.problem == "" and state.droppedImages == 0 and state.droppedPoses == 0
    return recording, list(RecordingReader(folder))


@pytest.mark.parametrize("compress", [False, True])
def test_spinePhantomFreehandComesBackWhole(realData, host, tmp_path, compress):
    folder = realData / "tracked/plus"
    configuration = readPlusConfiguration(folder / "PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml")
    calibrations = {"ImageToProbe": configuration.coordinateDefinitions["ImageToProbe"]}
    source, records = streamAndRecord(folder / "SpinePhantomFreehand.igs.mha", tmp_path / "r", 4.0, calibrations, compress=compress)
    images = [record for record in records if isinstance(record, ImageRecord)]
    assert len(images) == source.frameCount == 21
    for frame, image in zip(source.imageFrames, images, strict=True):
        assert np.array_equal(image.pixels[0], frame)
    probe = [record for record in records if isinstance(record, PoseRecord) and record.streamName == "ProbeToTracker"]
    recorded = source.transforms["ProbeToTracker"]
    assert len(probe) == 21
    for matrix, record in zip(recorded, probe, strict=True):
        assert np.allclose(record.matrix, matrix, atol=2e-4)  # 32-bit floats on the wire
    spacing = np.diff([record.timeNs / 1e9 for record in probe])
    assert np.median(spacing) == pytest.approx(np.median(np.diff(source.timestampsSec)) / 4.0, abs=0.02)

    export = exportToSequences(host.scene, records)
    scene = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(scene)
    (browser,) = sequenceBrowsers(slicer.mrmlScene)
    again = list(readSequences(browser, withPixels=True))
    imagesAgain = [record for record in again if isinstance(record, ImageRecord)]
    assert [np.array_equal(first.pixels, second.pixels) for first, second in zip(images, imagesAgain, strict=True)] == [True] * 21
    probeAgain = [record for record in again if isinstance(record, PoseRecord) and record.streamName == "ProbeToTracker"]
    for first, second in zip(probe, probeAgain, strict=True):
        assert np.allclose(first.matrix, second.matrix, atol=1e-3)  # six significant digits in Slicer's transform sequences
    offsets = [second.timeNs - first.timeNs for first, second in zip(probe, probeAgain, strict=True)]
    # A millisecond is the resolution of Slicer's sequences; poses that came in one burst are a millisecond apart there.
    assert np.ptp(offsets) <= 1_100_000 * (1 + export.movedToNextMillisecond)


def test_eightLandmarkPosesAndValidityComeBack(realData, tmp_path):
    source, records = streamAndRecord(
        realData / "tracked/plus/EightLandmarkPointsTrackedForPhantomRegistration.igs.mha", tmp_path / "r", 40.0, sendInvalid=True
    )
    stylus = [record for record in records if isinstance(record, PoseRecord) and record.streamName == "StylusToTracker"]
    assert len(stylus) == source.frameCount == 1000
    statuses = source.statuses["StylusToTracker"]
    # Until the client's request has arrived, a server sends header version 1, which has no status: told as not known.
    told = next(index for index, record in enumerate(stylus) if record.validity is not PoseValidity.UNKNOWN)
    assert told < 200
    for index, record in enumerate(stylus[told:], start=told):
        if statuses[index] == "OK":
            assert record.validity is PoseValidity.VALID
            assert np.allclose(record.matrix, source.transforms["StylusToTracker"][index], atol=5e-4)
        else:
            assert record.validity is PoseValidity.INVALID
