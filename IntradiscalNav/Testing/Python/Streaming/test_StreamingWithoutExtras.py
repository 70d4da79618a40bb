"""The stream needs numpy and the standard library alone, as inside Slicer without pip."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[4]

SCRIPT = """
import sys, time
for name in ("fastcrc", "scipy", "SimpleITK", "pydicom", "vtk", "vtkmodules", "slicer", "pyigtl", "typer", "rich"):
    sys.modules[name] = None
import numpy as np
from IntradiscalNavLib.Streaming import Crc64, ConnectionDoctor, PlusConfigurationCheck, PoseSmoothing
from IntradiscalNavLib.Streaming import TemporalCalibration, TransformTreeCheck
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer
from IntradiscalNavLib.Simulation import PlusRecording, ReplayServer
assert Crc64.crc64(b"123456789") == 0x6C40DF5F0B497347
picture = np.random.default_rng(1).integers(0, 255, (1, 480, 640), np.uint8)
with OpenIGTLinkServer() as server, OpenIGTLinkClient(port=server.port) as client:
    assert server.waitForClient(10.0)
    server.send(ImageMessage("Image_Reference", picture, np.eye(4)))
    end = time.monotonic() + 10.0
    got = []
    while not any(message.messageType == "IMAGE" for message in got):
        assert time.monotonic() < end
        got += client.takeMessages(0.2)
    assert np.array_equal(got[-1].voxels, picture) and client.problems == ()
print("fine")
"""


def testNumpyAndTheStandardLibraryAreEnough():
    paths = [str(ROOT / "IntradiscalNav"), str(ROOT / "FusionRegistration"), str(ROOT / "ProcedureLog"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, env=environment)
    assert result.stdout.strip() == "fine", result.stderr
