"""Recordings of PLUS, written here by hand in all their variants, and their replay."""

import gzip
import time
import zlib

import numpy as np
import pytest
from typer.testing import CliRunner

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from IntradiscalNavHeadless import ReplayCommand
from IntradiscalNavLib.Simulation.PlusRecording import UnreadableRecordingError, readPlusRecording
from IntradiscalNavLib.Simulation.ReplayServer import ReplayOptions, ReplayServer
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    StartTrackingDataMessage,
    StatusMessage,
    TrackingDataMessage,
    TransformMessage,
)

COUNT, ROWS, COLUMNS = 5, 6, 8
RNG = np.random.default_rng(9)
PICTURES = RNG.integers(0, 255, (COUNT, ROWS, COLUMNS), np.uint8)
PROBES = [rigidFrom(rotationFromVector(RNG.normal(size=3)), RNG.normal(size=3) * 100) for _ in range(COUNT)]
REFERENCES = [rigidFrom(rotationFromVector(RNG.normal(size=3)), RNG.normal(size=3) * 100) for _ in range(COUNT)]
STATUSES = ["OK", "OK", "OUT_OF_VIEW", "OK", "OK"]


def fields(separator):
    lines = []
    for index in range(COUNT):
        for tool, matrices in (("Probe", PROBES), ("Reference", REFERENCES)):
            text = " ".join(repr(float(value)) for value in matrices[index].ravel())
            lines.append(f"Seq_Frame{index:04d}_{tool}ToTrackerTransform{separator}{text}")
            status = STATUSES[index] if tool == "Probe" else "OK"
            lines.append(f"Seq_Frame{index:04d}_{tool}ToTrackerTransformStatus{separator}{status}")
        lines.append(f"Seq_Frame{index:04d}_Timestamp{separator}{100.0 + 0.02 * index}")
        lines.append(f"Seq_Frame{index:04d}_ImageStatus{separator}OK")
    return "\n".join(lines)


def writeMetaImage(path, pictures, orientation="MFA", compressed=True, size=None, dataFile="LOCAL"):
    data = pictures.tobytes() if pictures is not None else b""
    data = zlib.compress(data) if compressed and data else data
    shape = size or f"{pictures.shape[2]} {pictures.shape[1]} {COUNT}"
    header = f"""ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = {compressed}
CompressedDataSize = {len(data)}
DimSize = {shape}
ElementType = {"MET_UCHAR" if pictures is not None else "MET_OTHER"}
UltrasoundImageOrientation = {orientation}
{fields(" = ")}
ElementDataFile = {dataFile}
"""
    path.write_bytes(header.encode() + (data if dataFile == "LOCAL" else b""))
    return data


def writeNrrd(path, pictures, encoding="gzip"):
    data = gzip.compress(pictures.tobytes()) if encoding == "gzip" else pictures.tobytes()
    header = f"""NRRD0005
# comment
type: uint8
dimension: 3
sizes: {pictures.shape[2]} {pictures.shape[1]} {COUNT}
kinds: domain domain list
endian: little
encoding: {encoding}
UltrasoundImageOrientation:=MF
{fields(":=")}

"""
    path.write_bytes(header.encode() + data)


def checkContent(recording):
    assert np.array_equal(recording.imageFrames, PICTURES)
    assert np.allclose(recording.transforms["ProbeToTracker"], PROBES)
    assert np.allclose(recording.transforms["ReferenceToTracker"], REFERENCES)
    assert recording.statuses["ProbeToTracker"] == tuple(STATUSES)
    assert np.allclose(recording.timestampsSec, 100.0 + 0.02 * np.arange(COUNT))
    assert recording.frameCount == COUNT and recording.durationSec == pytest.approx(0.08)


@pytest.mark.parametrize("compressed", [True, False])
def testMetaImage(tmp_path, compressed):
    path = tmp_path / "a.igs.mha"
    writeMetaImage(path, PICTURES, compressed=compressed)
    checkContent(readPlusRecording(path))


def testMetaImageWithPixelsBeside(tmp_path):
    data = writeMetaImage(tmp_path / "a.mhd", PICTURES, dataFile="a.zraw")
    with pytest.raises(UnreadableRecordingError, match=r"a\.zraw"):
        readPlusRecording(tmp_path / "a.mhd")
    (tmp_path / "a.zraw").write_bytes(data)
    checkContent(readPlusRecording(tmp_path / "a.mhd"))


@pytest.mark.parametrize("encoding", ["gzip", "raw"])
def testNrrd(tmp_path, encoding):
    path = tmp_path / "a.seq.nrrd"
    writeNrrd(path, PICTURES, encoding)
    checkContent(readPlusRecording(path))


@pytest.mark.parametrize(
    ("orientation", "inFile"),
    [
        ("MF", PICTURES),
        ("UFA", PICTURES[:, :, ::-1]),
        ("MN", PICTURES[:, ::-1]),
        ("UN", PICTURES[:, ::-1, ::-1]),
        ("FM", PICTURES.swapaxes(1, 2)),
        ("NU", PICTURES[:, ::-1, ::-1].swapaxes(1, 2)),
    ],
)
def testOrientationsBecomeMarkedFar(tmp_path, orientation, inFile):
    path = tmp_path / "a.mha"
    writeMetaImage(path, np.ascontiguousarray(inFile), orientation)
    recording = readPlusRecording(path)
    assert np.array_equal(recording.imageFrames, PICTURES) and recording.recordedOrientation == orientation


def testTrackingAlone(tmp_path):
    path = tmp_path / "a.igs.mha"
    writeMetaImage(path, None, "XX", False, f"0 0 {COUNT}")
    recording = readPlusRecording(path)
    assert recording.imageFrames is None and len(recording.transforms["ProbeToTracker"]) == COUNT


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[:-20], "unpacked|cut"),
        (lambda data: data[:300], "cut"),
        (lambda data: data.replace(b"DimSize = 8 6 5", b"DimSize = 8 6"), "columns, rows and frames"),
        (lambda data: data.replace(b"DimSize = 8 6 5", b"DimSize = 8 6 3"), "only 3 frames"),
        (lambda data: data.replace(b"MET_UCHAR", b"MET_STRING"), "not read"),
        (lambda data: data.replace(b"DimSize = 8 6 5", b"DimSize = 900000 900000 5"), "GB"),
        (lambda data: data.replace(b"= MFA", b"= QQ"), "orientation"),
        (lambda data: data.replace(b"ProbeToTrackerTransform = ", b"ProbeToTrackerTransform = x "), "16 numbers"),
        (lambda data: data.replace(b"Seq_Frame", b"Other"), "no fields per frame"),
        (lambda data: b"GIF89a" + data, "neither"),
        (lambda data: b"", "neither"),
        (lambda data: data[:-30] + b"\xff" * 30, "unpacked|cut"),
    ],
)
def testDamagedFilesAreRefusedWithAReason(tmp_path, damage, words):
    path = tmp_path / "a.mha"
    writeMetaImage(path, PICTURES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableRecordingError, match=words):
        readPlusRecording(path)


def testMissingFile(tmp_path):
    with pytest.raises(UnreadableRecordingError, match="cannot be read"):
        readPlusRecording(tmp_path / "none.mha")


# Replay


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "a.igs.mha"
    writeMetaImage(path, PICTURES)
    return readPlusRecording(path)


CALIBRATION = {"ImageToProbe": np.array([[0.1, 0, 0, 1], [0, 0.2, 0, 2], [0, 0, 0.1, 3], [0, 0, 0, 1.0]])}


def collect(server, enough, prepare=None):
    messages = []
    with server, OpenIGTLinkClient(port=server.port) as client:
        if prepare is not None:
            assert client.waitForConnection(5.0)
            prepare(client)
        deadline = time.monotonic() + 10.0
        while not enough(messages):
            assert time.monotonic() < deadline, [message.key for message in messages]
            messages += client.takeMessages(0.1)
    return messages


def testFrameMessagesAreWhatPlusSends(recording):
    server = ReplayServer(recording, calibrations=CALIBRATION)
    names = [message.deviceName for message in server.frameMessages(0, 5.0)]
    assert names == ["Image_Reference", "ProbeToTracker", "ReferenceToTracker", "ProbeToReference"]
    image, *_, derived = server.frameMessages(1, 5.0)
    expected = np.linalg.inv(REFERENCES[1]) @ PROBES[1]
    assert np.allclose(derived.matrix, expected)
    assert np.allclose(image.ijkToFrame, expected @ CALIBRATION["ImageToProbe"])
    assert {message.timestampSec for message in server.frameMessages(1, 5.0)} == {5.0}
    assert image.metadata["ProbeToTrackerTransformStatus"] == "OK" and image.metadata["Timestamp"]


def testLostProbeIsSilentByDefaultAndAnIdentityOnDemand(recording):
    silent = ReplayServer(recording, calibrations=CALIBRATION).frameMessages(2, 5.0)
    # The image goes out with the recorded pose all the same; its metadata is the only sign.
    assert [message.deviceName for message in silent] == ["Image_Reference", "ReferenceToTracker"]
    assert silent[0].metadata["ProbeToTrackerTransformStatus"] == "OUT_OF_VIEW"
    assert np.allclose(silent[0].ijkToFrame, np.linalg.inv(REFERENCES[2]) @ PROBES[2] @ CALIBRATION["ImageToProbe"])
    options = ReplayOptions(sendInvalid=True)
    spoken = {m.deviceName: m for m in ReplayServer(recording, calibrations=CALIBRATION, options=options).frameMessages(2, 5.0)}
    for name in ("ProbeToTracker", "ProbeToReference"):
        assert np.array_equal(spoken[name].matrix, np.eye(4))
        assert spoken[name].metadata == {"TransformStatus": "OUT_OF_VIEW", "TransformValid": "0"}


def testWithoutCalibrationNoImageIsSent(recording):
    assert not any(isinstance(m, ImageMessage) for m in ReplayServer(recording).frameMessages(0, 5.0))
    options = ReplayOptions(imageFrame="Image")
    (image, *_) = ReplayServer(recording, options=options).frameMessages(0, 5.0)
    assert image.deviceName == "Image_Image" and np.array_equal(image.ijkToFrame, np.eye(4))


def testUnknownTransformIsPathNotFound(recording):
    options = ReplayOptions(transformNames=("NoSuchToTracker",), sendInvalid=True)
    (message,) = ReplayServer(recording, options=options).frameMessages(0, 5.0)
    assert message.metadata["TransformStatus"] == "PATH_NOT_FOUND"


def testOneRoundThenKeepAlives(recording):
    server = ReplayServer(recording, calibrations=CALIBRATION, options=ReplayOptions(loop=False))
    messages = collect(server, lambda got: sum(isinstance(m, StatusMessage) and m.headerVersion == 1 for m in got) >= 2)
    poses = [m for m in messages if isinstance(m, TransformMessage) and m.deviceName == "ReferenceToTracker"]
    assert len(poses) == COUNT and server.sentFrameCount == COUNT
    assert np.allclose(np.diff([m.timestampSec for m in poses]), 0.02, atol=1e-5)
    assert abs(poses[0].timestampSec - time.time()) < 30.0


def testOldFramesForTheFirstClient(recording):
    options = ReplayOptions(loop=False, oldFrames=3)
    messages = collect(
        ReplayServer(recording, options=options), lambda got: sum(m.deviceName == "ReferenceToTracker" for m in got) >= COUNT
    )
    poses = [m for m in messages if m.deviceName == "ReferenceToTracker"]
    assert len(poses) == COUNT
    ages = np.array([m.timestampSec for m in poses]) - poses[-1].timestampSec
    assert (ages[:3] < -0.9).all() and (np.diff(ages) > 0).all() and ages[3] == pytest.approx(-0.02, abs=1e-4)


def testLoopGoesOn(recording):
    options = ReplayOptions(speed=4.0)
    messages = collect(
        ReplayServer(recording, options=options), lambda got: sum(m.deviceName == "ReferenceToTracker" for m in got) >= 3 * COUNT
    )
    stamps = [m.timestampSec for m in messages if m.deviceName == "ReferenceToTracker"]
    assert np.allclose(np.diff(stamps), 0.005, atol=1e-5), "the rounds follow each other at the usual spacing"


def testTrackingDataForThoseWhoAsk(recording):
    options = ReplayOptions(sendTrackingData=True, sendInvalid=True)
    server = ReplayServer(recording, options=options)
    messages = collect(
        server,
        lambda got: sum(isinstance(m, TrackingDataMessage) for m in got) >= 6,
        prepare=lambda client: client.send(StartTrackingDataMessage("", 0), 2),
    )
    data = next(m for m in messages if isinstance(m, TrackingDataMessage))
    assert data.deviceName == "TDATA_3Elem" and data.toolStatus("ReferenceToTracker") == "OK"


def testNegativeSpeedIsRefused():
    with pytest.raises(ValueError, match="negative"):
        ReplayOptions(speed=-1.0)


def testReplayCommand(tmp_path, recording):
    import typer

    app = typer.Typer()
    app.command()(ReplayCommand.replay)
    result = CliRunner().invoke(app, [str(recording.path), "--port", "0", "--once", "--for", "0.3"])
    assert result.exit_code == 0, result.output
    assert "5 frames" in result.output and "Listening on 127.0.0.1:" in result.output and "Image_Image" in result.output
    missing = CliRunner().invoke(app, [str(tmp_path / "none.mha")])
    assert isinstance(missing.exception, UnreadableRecordingError)
