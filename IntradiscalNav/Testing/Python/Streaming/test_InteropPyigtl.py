"""Both directions against pyigtl, header versions 1 and 2."""

import contextlib
import subprocess
import sys
import time

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, Point, PointMessage, StringMessage, TransformMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer

pyigtl = pytest.importorskip("pyigtl")

POSE = rigidFrom(rotationFromVector(np.array([0.1, -0.2, 0.3])), [12.5, -34.25, 56.75])
GEOMETRY = POSE @ np.diag([0.2, 0.3, 0.5, 1.0])
VOXELS = np.arange(40 * 60, dtype=np.uint8).reshape(1, 40, 60)

SENDER = """
import sys, time, numpy as np, pyigtl
version = int(sys.argv[1])
pose, geometry, voxels = (np.load(name) for name in sys.argv[2:5])
server = pyigtl.OpenIGTLinkServer(port=int(sys.argv[5]), local_server=True)
print("ready", flush=True)
end = time.time() + 30
while time.time() < end:
    for message in (pyigtl.TransformMessage(pose, device_name="ProbeToTracker", timestamp=1700000000.25),
                    pyigtl.ImageMessage(voxels, ijk_to_world_matrix=geometry, device_name="Image_Reference"),
                    pyigtl.StringMessage("hello", device_name="Note"),
                    pyigtl.PointMessage([[1.5, 2.5, 3.5]], names=["L4"], device_name="Points")):
        message.header_version = version
        if version == 2:
            message.metadata = {"TransformStatus": "OUT_OF_VIEW"}
        server.send_message(message, wait=False)
    time.sleep(0.05)
"""


@contextlib.contextmanager
def pyigtlServer(tmp_path, version):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    files = []
    for name, array in (("pose", POSE), ("geometry", GEOMETRY), ("voxels", VOXELS)):
        files.append(str(tmp_path / f"{name}.npy"))
        np.save(files[-1], array)
    # A process of its own: pyigtl's server takes over the signals and leaves threads behind.
    command = [sys.executable, "-c", SENDER, str(version), *files, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout.readline().strip() == "ready"
        yield port
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.mark.parametrize("version", [1, 2])
def testFromPyigtlToOurClient(tmp_path, version):
    with pyigtlServer(tmp_path, version) as port, OpenIGTLinkClient(port=port, firstRetrySec=0.05) as client:
        messages = {}
        deadline = time.monotonic() + 15.0
        while len(messages) < 4:
            assert time.monotonic() < deadline, (messages.keys(), client.status, client.problems)
            messages.update({message.messageType: message for message in client.takeMessages(0.2)})
        assert client.problems == ()
    transform = messages["TRANSFORM"]
    assert np.allclose(transform.matrix, POSE, atol=1e-5) and transform.deviceName == "ProbeToTracker"
    assert transform.timestampSec == 1700000000.25
    assert transform.transformStatus == ("OUT_OF_VIEW" if version == 2 else "")
    assert np.array_equal(messages["IMAGE"].voxels, VOXELS)
    # pyigtl states LPS by default and converts; compare in the axes it says it uses.
    flip = np.diag([-1.0, -1, 1, 1]) if messages["IMAGE"].coordinateSystem == 2 else np.eye(4)
    assert np.allclose(flip @ messages["IMAGE"].ijkToFrame, GEOMETRY, atol=1e-4) or np.allclose(
        messages["IMAGE"].ijkToFrame, GEOMETRY, atol=1e-4
    )
    assert messages["STRING"].text == "hello"
    assert messages["POINT"].points[0].name == "L4" and messages["POINT"].points[0].positionMm == (1.5, 2.5, 3.5)


@pytest.mark.parametrize("version", [1, 2])
def testFromOurServerToPyigtl(version):
    with OpenIGTLinkServer() as server:
        client = pyigtl.OpenIGTLinkClient("127.0.0.1", server.port)
        try:
            assert server.waitForClient(5.0)
            sent = {
                "ProbeToTracker": TransformMessage("ProbeToTracker", POSE, timestampSec=1700000000.25, metadata={"TransformStatus": "OK"}),
                "Image_Reference": ImageMessage("Image_Reference", VOXELS, GEOMETRY),
                "Note": StringMessage("Note", "hello"),
                "Points": PointMessage("Points", (Point("L4", (1.5, 2.5, 3.5)),)),
            }
            received = {}
            deadline = time.monotonic() + 10.0
            while len(received) < len(sent):
                assert time.monotonic() < deadline, received.keys()
                for message in sent.values():
                    server.send(message, headerVersion=version)
                time.sleep(0.05)
                received.update({message.device_name: message for message in client.get_latest_messages()})
            assert np.allclose(received["ProbeToTracker"].matrix, POSE, atol=1e-5)
            assert received["ProbeToTracker"].timestamp == pytest.approx(1700000000.25, abs=1e-5)
            assert np.array_equal(received["Image_Reference"].image, VOXELS)
            assert received["Note"].string == "hello"
            assert np.allclose(received["Points"].positions, [[1.5, 2.5, 3.5]])
            if version == 2:
                assert dict(received["ProbeToTracker"].metadata)["TransformStatus"] == "OK"
        finally:
            client.communication_thread_stop_requested = True


def testPyigtlClientThatSpeaksVersion2GetsVersion2():
    with OpenIGTLinkServer() as server:
        client = pyigtl.OpenIGTLinkClient("127.0.0.1", server.port)
        try:
            assert server.waitForClient(5.0)
            assert server.clients[0].headerVersion == 1
            message = pyigtl.TransformMessage(POSE, device_name="X")
            message.header_version = 2
            deadline = time.monotonic() + 5.0
            while server.clients[0].headerVersion == 1:
                assert time.monotonic() < deadline
                client.send_message(message, wait=False)
                time.sleep(0.02)
        finally:
            client.communication_thread_stop_requested = True
