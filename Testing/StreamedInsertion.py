"""A panel that is connected to a server of ours, registered and with a plan: the needle goes along the plan with an error that is known."""

import time

import numpy as np

from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage

ENTRY, TARGET = np.array([60.0, -80.0, 10.0]), np.zeros(3)
LATERAL_MM = 2.0
OK = {"TransformStatus": "OK", "TransformValid": "1"}


class StreamedInsertion:
    """A panel that is connected to a server of ours, registered, with a plan: `insert` streams an insertion."""

    def __init__(self, panels, panel, server, folder):
        self.panels, self.panel, self.server, self.folder = panels, panel, server, folder
        self.sentImages = []

    @property
    def logic(self):
        return self.panel.logic

    @property
    def node(self):
        return self.panel._parameterNode

    def until(self, done, what):
        deadline = time.monotonic() + 30.0
        while not done():
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            self.panels.application.processEvents()
            time.sleep(0.005)

    def needlePose(self, depthMm):
        z = (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY)
        x = np.cross(z, [0, 0, 1.0])
        x /= np.linalg.norm(x)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
        pose[:3, 3] = ENTRY + depthMm * z + LATERAL_MM * x
        return pose

    def sendPose(self, depthMm):
        self.server.send(TransformMessage("NeedleToReference", self.needlePose(depthMm), metadata=OK, timestampSec=time.time()))
        probe = np.eye(4)
        self.server.send(TransformMessage("ProbeToReference", probe, metadata=OK, timestampSec=time.time()))

    def sendImage(self, rows=48, columns=64):
        picture = np.full((1, rows, columns), 40, np.uint8)
        picture[0, : rows // 2, : columns // 2] = len(self.sentImages) % 200 + 20
        place = np.diag([0.5, 0.5, 0.5, 1.0])
        place[:3, 3] = -10, -60, 5
        self.sentImages.append(picture)
        self.server.send(ImageMessage("Image_Reference", picture, place, metadata=OK, timestampSec=time.time()))

    def insert(self, fromMm=-12.0, toMm=None, steps=60):
        """Stream the insertion at some 30 Hz while the panel ticks."""
        toMm = np.linalg.norm(TARGET - ENTRY) - 1.0 if toMm is None else toMm
        for depth in np.linspace(fromMm, toMm, steps):
            self.sendPose(depth)
            self.sendImage()
            deadline = time.monotonic() + 0.033
            while time.monotonic() < deadline:
                self.panels.application.processEvents()
                time.sleep(0.003)
        last = self.needlePose(toMm)[:3, 3]
        self.until(lambda: np.abs(self.logic.state.needleTipToRas[:3, 3] - last).max() < 0.01, "the guidance to follow to the end")


def register(logic):
    import slicer

    node = logic.registration.getParameterNode()
    points = np.array([[0, 0, 0], [60, 0, 0], [0, 70, 0], [50, 60, 30.0]])
    for name in ("ctPoints", "referencePoints"):
        markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        slicer.util.updateMarkupsControlPointsFromArray(markups, points)
        setattr(node, name, markups)
    logic.registration.registerPoints(node)


def recordedProcedure(streamed):
    """Guide, record, insert; what is left is a recording that runs."""
    streamed.panel.update()
    streamed.panel.ui.guideButton.click()
    assert streamed.panel.ui.recordButton.checked, "recording starts with the guidance"
    streamed.insert()
    return streamed


def records(folder, kind):
    return [record for record in RecordingReader(folder) if isinstance(record, kind)]
