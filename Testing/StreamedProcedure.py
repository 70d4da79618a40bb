"""A procedure in the panels, registered and calibrated, whose stream is fed by hand: what the numbers must be is known."""

import time
import types

import numpy as np

BLANK = "– –"
TRACKER_TO_ROOM = np.array([[0, -1, 0, 5.0], [1, 0, 0, -7.0], [0, 0, 1, 11.0], [0, 0, 0, 1]])
"""Pose of the reference in the tracker's frame: any, so that nothing works by the two frames being the same."""
ENTRY, TARGET = np.array([60.0, -80.0, 0.0]), np.array([0.0, 0.0, 0.0])
FACET_ENTRY, FACET_TARGET = np.array([40.0, -85.0, 30.0]), np.array([18.0, -20.0, 22.0])


class Nerve:
    """A straight vertical nerve of 2 mm radius: its distance is known."""

    kind = "root"

    def __init__(self, name, x, y):
        self.name, self.x, self.y = name, x, y
        self.pointsRas = np.array([[x, y, z] for z in np.linspace(-40, 40, 17)])

    def distanceMm(self, points):
        return np.hypot(points[:, 0] - self.x, points[:, 1] - self.y) - 2.0


def clearanceTip(clearanceMm):
    """Tip of a horizontal needle (from behind) that passes the near nerve at this clearance."""
    return np.array([30.0 + 2.0 + 0.36 + clearanceMm, -15.0, 0.0]), np.array([0.0, 1.0, 0.0])


def shownMm(text):
    assert text.endswith(" mm"), text
    return float(text.removesuffix(" mm").replace("−", "-"))


class StreamedProcedure:
    """The panel with a registration (identity), a calibrated needle of 150 mm and a stream that is fed here."""

    TIP_MM = 150.0

    def __init__(self, panels, folder):
        import slicer

        self.slicer, self.panels = slicer, panels
        self.log = panels.openPanel("ProcedureLog")
        self.log.ui.caseFolderEdit.currentPath = str(folder / "log")
        self.log.ui.openCaseButton.click()
        self.panel = panels.openPanel("IntradiscalNav")
        self.logic, self.ui, self.node = self.panel.logic, self.panel.ui, self.panel._parameterNode
        self.ui.caseFolderEdit.currentPath = str(folder / "case")
        self.registration = self.logic.registration.getParameterNode()
        corners = np.array([[0, 0, 0], [60, 0, 0], [0, 70, 0], [50, 60, 30.0]])
        for name in ("ctPoints", "referencePoints"):
            setattr(self.registration, name, self.points(name, corners))
        self.logic.registration.registerPoints(self.registration)
        tip = np.eye(4)
        tip[2, 3] = self.TIP_MM
        self.logic.setCalibrations({"NeedleTipToNeedle": tip, "ImageToProbe": np.diag([0.2, 0.2, 0.2, 1.0])})
        self.now = time.monotonic()
        self.referenceIsSeen = True
        self.arrivals = []

    def points(self, name, positions):
        node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        self.slicer.util.updateMarkupsControlPointsFromArray(node, np.asarray(positions, float))
        return node

    def line(self, name, entry, target, marked=None):
        node = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", name)
        self.slicer.util.updateMarkupsControlPointsFromArray(node, np.array([entry, target]))
        if marked is not None:
            self.logic.needles.add(node, marked)
        return node

    def send(self, tipRas=None, directionRas=None):
        """Poses of reference and needle as a tracker without composition sends them; None leaves the needle out."""
        from IntradiscalNavLib.Guidance.PathFrame import uprightAxes
        from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import TransformMessage

        arrival = time.monotonic()
        noise = np.random.default_rng(int(arrival * 1e6)).normal(0, 1e-7)  # a tracker's poses are never the same twice
        sent = {}
        if self.referenceIsSeen:
            sent["ReferenceToTracker"] = TRACKER_TO_ROOM
        if tipRas is not None:
            direction = (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY) if directionRas is None else np.asarray(directionRas)
            needle = np.eye(4)
            needle[:3, :3] = uprightAxes(direction)
            needle[:3, 3] = np.asarray(tipRas) - self.TIP_MM * direction
            sent["NeedleToTracker"] = TRACKER_TO_ROOM @ needle
        messages = []
        for name, matrix in sent.items():
            moved = matrix.copy()
            moved[0, 3] += noise
            messages.append(TransformMessage(deviceName=name, matrix=moved, arrivalSec=arrival, timestampSec=time.time()))
        if tipRas is not None:
            self.arrivals.append(arrival)
        self.logic.connection.stream.receive(messages)

    def turn(self, tipRas=None, directionRas=None, stepSec=0.05):
        """One turn of the timer with new poses."""
        self.now = max(self.now + stepSec, time.monotonic())
        self.send(tipRas, directionRas)
        self.logic.tick(self.node, self.now)
        for section in self.panel.sections:
            section.onTick(self.node)
        return self.logic.state

    def start(self, tipRas=ENTRY):
        for _ in range(3):
            self.send(tipRas)
            self.logic.connection.tick()
        self.panel.update()
        self.ui.guideButton.click()
        return self.turn(tipRas)

    def logged(self, kind):
        return [line.event for line in self.log.logic.logLines(self.log._parameterNode) if line.event.kind.value == kind]

    def rows(self, table):
        return [[table.item(row, column).text() for column in range(table.columnCount)] for row in range(table.rowCount)]

    def addNerves(self, monkeypatch):
        """An anatomy of two straight nerves, one of them far from the path."""
        anatomy = types.SimpleNamespace(
            nerves=[Nerve("root L4 left", 30.0, -20.0), Nerve("root L5 far", 200.0, 0.0)],
            labels=np.zeros((2, 2, 2), np.uint8),
            labelValues=lambda kind: (),
            ijkToRas=np.eye(4),
        )
        monkeypatch.setattr("IntradiscalNavPanel.Guiding.addAnatomyModels", lambda scene, anatomy: ())
        monkeypatch.setattr(type(self.logic), "anatomy", lambda logic, node: anatomy)
        self.node.ctVolume = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
        self.node.segmentation = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
        self.node.plan.rootMarginMm = 3.0
