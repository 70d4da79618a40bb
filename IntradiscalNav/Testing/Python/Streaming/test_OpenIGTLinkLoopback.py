"""Client and server on loopback."""

import time

import numpy as np
import pytest

from IntradiscalNavLib.Streaming.MessageQueue import MessageQueue
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionState, OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    StartTrackingDataMessage,
    StatusMessage,
    TrackedTool,
    TrackingDataMessage,
    TransformMessage,
)
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer


def collect(client, enough, timeoutSec=10.0):
    """Messages taken until ``enough(messages)``; fails when the time is over."""
    messages = []
    deadline = time.monotonic() + timeoutSec
    while not enough(messages):
        assert time.monotonic() < deadline, f"got only {[m.key for m in messages[-20:]]}; {client.status}"
        messages += client.takeMessages(0.2)
    return messages


@pytest.fixture
def pair():
    with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port) as client:
        assert server.waitForClient(5.0)
        collect(client, lambda got: any(isinstance(m, StatusMessage) for m in got))
        yield server, client


def testTransformsArriveWithMetadataBecauseTheClientAskedForVersion2(pair):
    server, client = pair
    matrix = np.eye(4)
    matrix[:3, 3] = [1.5, -2.25, 3.0]
    before = time.monotonic()
    server.send(TransformMessage("ProbeToReference", matrix, timestampSec=1234.5, metadata={"TransformStatus": "OUT_OF_VIEW"}))
    (message,) = collect(client, len)
    assert np.array_equal(message.matrix, matrix)
    assert message.timestampSec == 1234.5
    assert message.transformStatus == "OUT_OF_VIEW"
    assert message.headerVersion == 2
    assert before <= message.arrivalSec <= time.monotonic()


def testVersion1UntilTheClientShowsVersion2():
    with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port, requestMetadata=False) as client:
        assert server.waitForClient(5.0)
        server.send(TransformMessage("ProbeToReference", np.eye(4), metadata={"TransformStatus": "MISSING"}))
        (message,) = collect(client, len)
        assert message.headerVersion == 1
        assert message.transformStatus == ""


def testThousandTransformsAndImagesToThreeClients():
    rng = np.random.default_rng(1)
    voxels = rng.integers(0, 255, (1, 480, 640), np.uint8)
    with OpenIGTLinkServer() as server:
        clients = [OpenIGTLinkClient(port=server.port).start() for _ in range(3)]
        assert server.waitForClient(5.0, 3)
        for number in range(1000):
            matrix = np.eye(4)
            matrix[0, 3] = number
            server.send(TransformMessage("NeedleToReference", matrix))
            if number % 100 == 0:
                server.send(ImageMessage("Image_Reference", voxels, np.eye(4)))
        for client in clients:
            messages = collect(client, lambda got: sum(isinstance(m, TransformMessage) for m in got) == 1000)
            assert [m.matrix[0, 3] for m in messages if isinstance(m, TransformMessage)] == list(range(1000))
            images = [m for m in messages if isinstance(m, ImageMessage)]
            assert images and all(np.array_equal(m.voxels, voxels) for m in images)
            assert not client.droppedCounts.get(("TRANSFORM", "NeedleToReference"))
            client.stop()
            assert client.state is ConnectionState.DISCONNECTED


def testTrackingDataOnlyAfterAsking(pair):
    server, client = pair
    data = TrackingDataMessage("TDATA_1Elem", (TrackedTool("ProbeToTracker", np.eye(4)),))
    server.send(data)
    client.send(StartTrackingDataMessage("", 0))
    collect(client, lambda got: any(m.messageType == "RTS_TDATA" for m in got))
    server.send(data)
    messages = collect(client, len)
    assert [m.messageType for m in messages] == ["TDATA"]


def testServerDiesAndReturns():
    server = OpenIGTLinkServer().start()
    port = server.port
    states = []
    client = OpenIGTLinkClient(port=port, firstRetrySec=0.05, onStateChanged=lambda status: states.append(status.state)).start()
    assert server.waitForClient(5.0)
    server.send(TransformMessage("A", np.eye(4)))
    collect(client, lambda got: any(m.deviceName == "A" for m in got))
    server.stop()
    deadline = time.monotonic() + 5.0
    while client.state is not ConnectionState.LOST and time.monotonic() < deadline:
        time.sleep(0.01)
    assert client.state is ConnectionState.LOST
    assert str(port) in client.status.reason
    with OpenIGTLinkServer(port) as server:
        assert server.waitForClient(10.0)
        server.send(TransformMessage("B", np.eye(4)))
        collect(client, lambda got: any(m.deviceName == "B" for m in got))
        assert client.state is ConnectionState.CONNECTED
        assert client.status.connectCount == 2
    client.stop()
    assert states[0] is ConnectionState.CONNECTING and ConnectionState.LOST in states


def testTheQueueThatIsHandedInIsUsed():
    queue = MessageQueue(imageCapacity=20)
    assert len(queue) == 0, "an empty queue is false in a condition; it must be taken all the same"
    with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port, queue=queue) as client:
        assert server.waitForClient(5.0)
        for _ in range(20):
            server.send(ImageMessage("Image_Reference", np.zeros((1, 4, 4), np.uint8), np.eye(4)))
        deadline = time.monotonic() + 5.0
        while client.status.messageCount < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert sum(isinstance(message, ImageMessage) for message in client.takeMessages()) == 20
