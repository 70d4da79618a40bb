"""What goes wrong with servers and networks: each fault must leave a client that lives, says what is wrong, and recovers."""

import contextlib
import socket
import struct
import threading
import time

import numpy as np
import pytest

from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionState, OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import encodeMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, StatusMessage, StringMessage, TransformMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer

FAST = {"firstRetrySec": 0.02, "longestRetrySec": 0.1, "connectTimeoutSec": 1.0}


def waitFor(condition, client=None, timeoutSec=10.0):
    deadline = time.monotonic() + timeoutSec
    while not condition():
        assert time.monotonic() < deadline, client.status if client is not None else "condition not met"
        time.sleep(0.005)


def receive(client, name, timeoutSec=10.0):
    """Wait for a message of this device name; returns everything taken meanwhile."""
    messages = []
    deadline = time.monotonic() + timeoutSec
    while not any(message.deviceName == name for message in messages):
        assert time.monotonic() < deadline, f"{client.status} {client.problems}"
        messages += client.takeMessages(0.1)
    return messages


@contextlib.contextmanager
def rawServer(*conversations):
    """A server that plays each connection by a function (connection, stop) and then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve():
        for conversation in conversations:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                conversation(connection, stop)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.close()
        thread.join(5.0)


def sending(data):
    """A conversation: send these bytes, then keep the connection open until the client leaves."""

    def conversation(connection, stop):
        connection.sendall(data)
        connection.settimeout(0.05)
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1000):
                    return

    return conversation


GOOD = encodeMessage(TransformMessage("Good", np.eye(4)))


def testNoServerIsSaidClearlyAndCostsNoBusyLoop():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    client = OpenIGTLinkClient(port=port, **FAST).start()
    waitFor(lambda: "nobody listens there" in client.status.reason, client)
    assert str(port) in client.status.reason
    assert client.state is ConnectionState.CONNECTING
    begin = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - begin < 0.25, "an unreachable server must not keep a core busy"
    client.stop()
    assert client.state is ConnectionState.DISCONNECTED


@pytest.mark.parametrize("port", [0, -1, 70000])
def testImpossiblePortIsRefused(port):
    with pytest.raises(ValueError, match="18944"):
        OpenIGTLinkClient(port=port)


def testUnknownHost():
    client = OpenIGTLinkClient("no-such-host.invalid", 18944, **FAST).start()
    waitFor(lambda: "host name is not known" in client.status.reason or "no connection" in client.status.reason, client)
    client.stop()


def testStoppingDoesNotWaitForAHostThatNeverAnswers():
    # 192.0.2.0/24 is reserved for documentation: nobody answers there.
    client = OpenIGTLinkClient("192.0.2.1", 18944, connectTimeoutSec=30.0).start()
    stopped = threading.Event()

    def stop():
        client.stop()
        stopped.set()

    threading.Thread(target=stop, daemon=True).start()
    assert stopped.wait(10.0)
    assert client.state is ConnectionState.DISCONNECTED
    # Started anew elsewhere at once, while the first thread may still hang.
    with OpenIGTLinkServer() as server:
        client.host, client.port = "127.0.0.1", server.port
        client.start()
        assert client.waitForConnection(5.0)
        client.stop()


def testPortInUseIsSaidByTheServer():
    with OpenIGTLinkServer() as server, pytest.raises(RuntimeError, match="Choose another port"):
        OpenIGTLinkServer(server.port).start()


def testHalfAHeaderThenTheEnd():
    with rawServer(lambda c, stop: c.sendall(GOOD[:30]), sending(GOOD)) as port, OpenIGTLinkClient(port=port, **FAST) as client:
        receive(client, "Good")
        assert client.status.connectCount == 2


def testHalfAHeaderThenSilence():
    with (
        rawServer(sending(GOOD[:30]), sending(GOOD)) as port,
        OpenIGTLinkClient(port=port, stalledAfterSec=0.3, silentAfterSec=0.2, **FAST) as client,
    ):
        receive(client, "Good")
        assert client.status.connectCount == 2


def testHeaderInPiecesWithPauses():
    def conversation(connection, stop):
        for piece in (GOOD[:1], GOOD[1:29], GOOD[29:58], GOOD[58:59], GOOD[59:]):
            connection.sendall(piece)
            time.sleep(0.03)
        stop.wait(20.0)

    with rawServer(conversation) as port, OpenIGTLinkClient(port=port, **FAST) as client:
        receive(client, "Good")
        assert client.problems == ()


def testWrongChecksumIsLeftOutAndCounted():
    bad = bytearray(encodeMessage(TransformMessage("Bad", np.eye(4))))
    bad[60] ^= 1
    with rawServer(sending(bytes(bad) + GOOD)) as port, OpenIGTLinkClient(port=port, **FAST) as client:
        assert [message.deviceName for message in receive(client, "Good")] == ["Good"]
        assert client.status.problemCount == 1
        assert "checksum" in client.problems[0].text


def testSizeOfTwoToThe63():
    bad = struct.pack(">H12s20sIIQQ", 1, b"TRANSFORM", b"X", 0, 0, 2**63, 0)
    with rawServer(sending(bad + GOOD)) as port, OpenIGTLinkClient(port=port, **FAST) as client:
        receive(client, "Good")


def testASizeThatIsDamagedButPlausibleDoesNotSwallowTheStreamForEver():
    bad = struct.pack(">H12s20sIIQQ", 1, b"IMAGE", b"X", 0, 0, 50_000_000, 0)

    def conversation(connection, stop):
        connection.sendall(bad)
        while not stop.wait(0.02):
            connection.sendall(GOOD)

    with rawServer(conversation, sending(GOOD)) as port, OpenIGTLinkClient(port=port, stalledAfterSec=0.3, **FAST) as client:
        receive(client, "Good")
        assert client.status.connectCount == 2


def testUnknownTypesPassAsBytes():
    body = b"anything"
    from IntradiscalNavLib.Streaming.Crc64 import crc64

    unknown = struct.pack(">H12s20sIIQQ", 1, b"NEWTYPE", b"N", 0, 0, len(body), crc64(body)) + body
    with rawServer(sending(unknown + GOOD)) as port, OpenIGTLinkClient(port=port, **FAST) as client:
        messages = receive(client, "Good")
        assert messages[0].messageType == "NEWTYPE" and messages[0].content == body


def testServerThatDiesInTheMiddleOfAnImage():
    image = encodeMessage(ImageMessage("Image", np.zeros((1, 480, 640), np.uint8), np.eye(4)))
    with rawServer(lambda c, stop: c.sendall(image[:100_000]), sending(GOOD)) as port, OpenIGTLinkClient(port=port, **FAST) as client:
        assert not any(message.messageType == "IMAGE" for message in receive(client, "Good"))


def testKeepAlivesAloneAreSilenceAndSaySo():
    def conversation(connection, stop):
        while not stop.wait(0.05):
            connection.sendall(encodeMessage(StatusMessage("")))

    with rawServer(conversation) as port, OpenIGTLinkClient(port=port, silentAfterSec=0.3, **FAST) as client:
        waitFor(lambda: client.state is ConnectionState.SILENT, client)
        waitFor(lambda: "alive" in client.status.reason, client)


def testSilentServerIsGivenUpAndTriedAgain():
    with (
        rawServer(sending(b""), sending(GOOD)) as port,
        OpenIGTLinkClient(port=port, silentAfterSec=0.1, deadAfterSec=0.5, **FAST) as client,
    ):
        receive(client, "Good")
        assert client.status.connectCount == 2


def testHandlerThatFailsDoesNotEndTheStream():
    def onMessage(message):
        raise RuntimeError("handler")

    with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port, onMessage=onMessage) as client:
        assert server.waitForClient(5.0)
        for _ in range(3):
            server.send(StringMessage("S", "x"))
        deadline = time.monotonic() + 5.0
        got = []
        while sum(m.deviceName == "S" for m in got) < 3 and time.monotonic() < deadline:
            got += client.takeMessages(0.1)
        assert sum(m.deviceName == "S" for m in got) == 3


def testSlowClientHoldsUpNobodyAndItsBufferIsBounded():
    image = ImageMessage("Image", np.zeros((1, 480, 640), np.uint8), np.eye(4))
    with OpenIGTLinkServer(maxPendingBytes=2_000_000, stuckAfterSec=0.5) as server:
        sleeper = socket.create_connection(("127.0.0.1", server.port))
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert server.waitForClient(5.0)
        (slow,) = server.clients
        with OpenIGTLinkClient(port=server.port) as client:
            assert server.waitForClient(5.0, 2)
            for number in range(40):
                server.send(image)
                server.send(TransformMessage(f"T{number}", np.eye(4)))
            receive(client, "T39")
            assert slow.pendingBytes <= 2_000_000 + 2 * image.voxels.nbytes
            assert slow.droppedCount > 0
            waitFor(lambda: len(server.clients) == 1)
        sleeper.close()


def testClientsComeAndGoWithoutATrace():
    threads = threading.active_count()
    with OpenIGTLinkServer() as server:
        for _ in range(10):
            client = OpenIGTLinkClient(port=server.port).start()
            assert server.waitForClient(5.0)
            client.stop()
            waitFor(lambda: not server.clients)
    assert threading.active_count() <= threads


def testClientThatSendsGarbageDoesNotHarmTheServer():
    with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port) as client:
        with socket.create_connection(("127.0.0.1", server.port)) as rude:
            rude.sendall(np.random.default_rng(1).bytes(100_000))
        assert server.waitForClient(5.0)
        waitFor(lambda: len(server.clients) == 1, client)
        server.send(TransformMessage("Good", np.eye(4)))
        receive(client, "Good")


def testServerSurvivesAMessageOfEveryKindFromItsClient():
    got = []
    with OpenIGTLinkServer(onMessage=lambda client, message: got.append(message)) as server, OpenIGTLinkClient(port=server.port) as client:
        assert client.waitForConnection(5.0)
        client.send(TransformMessage("FromClient", np.eye(4), metadata={"a": "b"}), 2)
        waitFor(lambda: any(message.deviceName == "FromClient" for message in got), client)
        assert next(message for message in got if message.deviceName == "FromClient").metadata == {"a": "b"}


def testSendingWithoutAConnectionIsRefused():
    client = OpenIGTLinkClient(port=18944)
    with pytest.raises(RuntimeError, match="no connection"):
        client.send(StringMessage("S", "x"))


def testTransformsAreNotLostAtAThousandPerSecondWhileTheUserIsBusy():
    """The consumer sleeps for a second: everything is still there, in order."""
    with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port) as client:
        assert server.waitForClient(5.0)
        for number in range(3000):
            matrix = np.eye(4)
            matrix[0, 3] = number
            server.send(TransformMessage("T", matrix))
        waitFor(lambda: client.status.messageCount >= 3001, client)
        values = [m.matrix[0, 3] for m in client.takeMessages() if m.messageType == "TRANSFORM"]
        assert values == list(range(3000))


def testBoundedQueueCountsWhatItDrops():
    from IntradiscalNavLib.Streaming.MessageQueue import MessageQueue

    queue = MessageQueue(transformCapacity=5, imageCapacity=1, maxLines=3)
    for number in range(8):
        queue.put(TransformMessage("T", np.eye(4), timestampSec=float(number)))
    for number in range(3):
        queue.put(ImageMessage("I", np.zeros((1, 2, 2), np.uint8), np.eye(4), timestampSec=float(number)))
    queue.put(StringMessage("S", "x"))
    queue.put(StringMessage("one too many", "x"))
    taken = queue.take()
    assert [m.timestampSec for m in taken if m.messageType == "TRANSFORM"] == [3, 4, 5, 6, 7]
    assert [m.timestampSec for m in taken if m.messageType == "IMAGE"] == [2]
    assert queue.droppedCounts == {("TRANSFORM", "T"): 3, ("IMAGE", "I"): 2, ("", ""): 1}
    assert queue.take() == []


def testASocketThatConnectedToItselfIsNoServer(monkeypatch):
    """TCP connects a socket to itself when the kernel picks the wanted port as the source port and nobody listens there."""
    real = socket.create_connection

    def toItself(address, timeout):
        connection = socket.socket()
        connection.bind(("127.0.0.1", 0))
        connection.connect(connection.getsockname())
        return connection

    monkeypatch.setattr(socket, "create_connection", toItself)
    client = OpenIGTLinkClient(port=18944, **FAST).start()
    waitFor(lambda: "nobody listens there" in client.status.reason, client)
    assert client.status.connectCount == 0
    client.stop()
    monkeypatch.setattr(socket, "create_connection", real)
