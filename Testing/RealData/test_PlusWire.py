"""Bytes captured from a real PlusServer, played to the client and decoded message by message."""

import collections
import gzip
import socket
import struct
import threading

import numpy as np
import pytest

from IntradiscalNavLib.Simulation.PlusRecording import readPlusRecording
from IntradiscalNavLib.Simulation.ReplayServer import ReplayOptions, ReplayServer
from IntradiscalNavLib.Streaming.MessageQueue import MessageQueue
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import encodeMessage, readAll
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    OpaqueMessage,
    PositionMessage,
    StatusMessage,
    StringMessage,
    TrackingDataMessage,
    TransformMessage,
)
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatusMonitor

pytestmark = pytest.mark.realdata

PIECES = (1, 7, 57, 58, 59, 104, 4093, 65537)
"""Odd sizes: below, at and above a header, across bodies."""


def capturedStream(realData, name):
    return gzip.decompress((realData / "plus_wire" / f"{name}.tcp.gz").read_bytes())


def playToClient(stream, enough):
    """Messages that the client receives from a server which sends these bytes in odd-sized pieces."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10.0)
    done = threading.Event()

    def serve():
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sendall(stream[:1])
            position, turn = 1, 0
            while position < len(stream):
                # Small pieces for the first part, then large ones, so that the test does not take a minute.
                size = PIECES[turn % len(PIECES)] if position < 200_000 else 65521
                connection.sendall(stream[position : position + size])
                position += size
                turn += 1
            done.wait(10.0)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    # The player sends far faster than real time: room for every image.
    client = OpenIGTLinkClient(port=listener.getsockname()[1], queue=MessageQueue(imageCapacity=1000))
    messages = []
    try:
        client.start()
        for _ in range(100):
            messages += client.takeMessages(0.2)
            if enough(messages):
                break
        assert client.problems == ()
    finally:
        done.set()
        client.stop()
        listener.close()
        thread.join(10.0)
    return messages


def testSpineStreamArrivesWhole(realData):
    messages = playToClient(capturedStream(realData, "spine_v2"), lambda got: len(got) >= 233)
    counts = collections.Counter(message.messageType for message in messages)
    assert counts == {"IMAGE": 34, "TRANSFORM": 198, "STATUS": 1}
    recording = readPlusRecording(realData / "tracked/plus/SpinePhantomFreehand.igs.mha")
    probe = recording.transforms["ProbeToTracker"]
    for message in messages:
        if isinstance(message, ImageMessage):
            sent = np.array([float(word) for word in message.metadata["ProbeToTrackerTransform"].split()]).reshape(4, 4)
            frame = int(np.abs(probe - sent).max((1, 2)).argmin())
            assert np.allclose(probe[frame], sent, atol=1e-5)
            assert np.array_equal(message.voxels[0], recording.imageFrames[frame])
        elif isinstance(message, TransformMessage):
            # The configuration of the capture knew no stylus tip: PlusServer says so and sends the identity.
            expected = "OK" if message.deviceName != "StylusTipToReference" else message.transformStatus
            assert message.transformStatus == expected
            assert message.transformValid is (message.transformStatus == "OK")
            assert message.headerVersion == 2


def testOurReplayComposesAsPlusServerDid(realData):
    """The derived transforms of a real PlusServer are the independent truth for the directions in our replay."""
    recording = readPlusRecording(realData / "tracked/plus/SpinePhantomFreehand.igs.mha")
    frames = collections.defaultdict(dict)
    for message in readAll(capturedStream(realData, "spine_v2")):
        if message.timestampSec:
            frames[message.timestampSec][message.key] = message
    whole = [frame for frame in frames.values() if len(frame) == 7]
    assert len(whole) == 33
    first = whole[0]
    # The calibration that the captured server used, from one frame; it must then explain all the others.
    imageToProbe = np.linalg.inv(first["TRANSFORM", "ProbeToReference"].matrix) @ first["TRANSFORM", "ImageToReference"].matrix
    names = ("ProbeToTracker", "ReferenceToTracker", "StylusToTracker", "ProbeToReference", "ImageToReference")
    replay = ReplayServer(recording, calibrations={"ImageToProbe": imageToProbe}, options=ReplayOptions(transformNames=names))
    probe = recording.transforms["ProbeToTracker"]
    for frame in whole:
        index = int(np.abs(probe - frame["TRANSFORM", "ProbeToTracker"].matrix).max((1, 2)).argmin())
        for ours in replay.frameMessages(index, 0.0):
            theirs = frame[ours.key]
            if isinstance(ours, TransformMessage):
                assert np.allclose(ours.matrix, theirs.matrix, atol=2e-4), ours.deviceName
            else:
                assert np.allclose(ours.ijkToFrame, theirs.ijkToFrame, atol=2e-4)
                assert np.allclose(theirs.ijkToFrame, frame["TRANSFORM", "ImageToReference"].matrix, atol=1e-5)
                assert np.array_equal(ours.voxels, theirs.voxels)


@pytest.mark.parametrize(("name", "version", "expected"), [("mix_v2", 2, 1067), ("mix_v1", 1, 663)])
def testMixedStreamInOddPieces(realData, name, version, expected):
    messages = playToClient(capturedStream(realData, name), lambda got: len(got) >= expected)
    assert len(messages) == expected
    transforms = [message for message in messages if isinstance(message, TransformMessage)]
    statuses = {message.transformStatus for message in transforms}
    identities = [message for message in transforms if np.array_equal(message.matrix, np.eye(4))]
    assert identities, "the capture holds invalid poses, sent as the identity"
    if version == 2:
        assert {"OK", "MISSING", "OUT_OF_VIEW", "OUT_OF_VOLUME", "REQ_TIMEOUT", "INVALID"} <= statuses
        assert all(message.transformStatus != "OK" and message.transformValid is False for message in identities)
    else:
        assert statuses == {""}
    # Under both versions no identity may ever pass as a live pose.
    monitor = ToolStatusMonitor()
    for message in transforms:
        monitor.update(message)
        state = monitor.status(message.deviceName, message.arrivalSec).state
        if np.array_equal(message.matrix, np.eye(4)):
            assert state is ToolState.INVALID
        else:
            assert state is not ToolState.MISSING


def testEachCapturedMessageDecodesAndEncodesAgain(realData):
    files = sorted((realData / "plus_wire" / "messages").glob("*.bin"))
    assert len(files) >= 25
    for file in files:
        data = file.read_bytes()
        (message,) = readAll(data)
        assert message.headerVersion == (2 if "_v2" in file.name else 1)
        again = encodeMessage(message)
        if "garbage" in file.name:
            assert isinstance(message, StatusMessage) and message.code == 1
            continue
        # A double holds Unix time to a quarter of a microsecond, the header to a quarter of a nanosecond.
        sent, ours = struct.unpack(">II", data[34:42]), struct.unpack(">II", again[34:42])
        assert abs((sent[0] - ours[0]) + (sent[1] - ours[1]) / 2**32) < 1e-6
        assert again[:34] + again[42:] == data[:34] + data[42:], file.name


def testStatusAndNamesOfCapturedMessages(realData):
    folder = realData / "plus_wire" / "messages"

    def read(name):
        (message,) = readAll((folder / f"{name}.bin").read_bytes())
        return message

    for status in ("INVALID", "MISSING", "OUT_OF_VIEW", "OUT_OF_VOLUME", "REQ_TIMEOUT", "PATH_NOT_FOUND", "SWITCH1_IS_ON"):
        message = read(f"TRANSFORM_v2_{status}")
        assert message.transformStatus == status and message.transformValid is False
        assert np.array_equal(message.matrix, np.eye(4))
    assert read("TRANSFORM_v2_OK").transformValid is True
    assert read("TRANSFORM_v1_INVALID_is_identity").transformStatus == ""
    assert read("TRANSFORM_v2_longname").deviceName == "PedicleGuideTipToReference"
    position = read("POSITION_v2_OK")
    assert isinstance(position, PositionMessage) and position.transformStatus == "OK"
    # The same pose travels as TRANSFORM: the quaternion must be its rotation.
    transform = read("TRANSFORM_v2_OK")
    x, y, z, w = position.quaternionXyzw
    assert np.allclose(transform.matrix[0, :3], [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], atol=1e-5)
    assert np.allclose(position.positionMm, transform.matrix[:3, 3])
    data = read("TDATA_v2_6elem_2invalid")
    assert isinstance(data, TrackingDataMessage) and len(data.tools) == 6
    assert [data.toolStatus(tool.name) for tool in data.tools].count("INVALID") == 2
    assert data.toolStatus("StylusTipToReferenc") == "" and data.toolStatus(data.tools[4].name) == "INVALID"
    assert isinstance(read("STRING_v2"), StringMessage) and read("STRING_v2").text == "OK"
    assert isinstance(read("TRACKEDFRAME_v2"), OpaqueMessage)
    image = read("IMAGE_v2")
    assert image.voxels.shape == (1, 48, 64) and image.voxels.dtype == np.uint8
    assert image.metadata["ProbeToTrackerTransformStatus"]
