"""Navigation watches the registration: knocks and distortions put it in doubt in every module, and the log notes what was verified."""

import json
import re
import time

import numpy as np
import pytest

POINTS = np.array([[0, 0, 0], [60, 0, 0], [0, 70, 0], [50, 60, 30.0]])
BESIDE = np.array([90.0, 10, 0])
"""Of a second sensor on the marker plate, from the reference."""


@pytest.fixture
def panel(panels):
    return panels.openPanel("IntradiscalNav")


class Stream:
    """Poses of the reference, and of a sensor beside it, as they arrive: 30 a second on a clock of the test's own."""

    def __init__(self, logic, withPlate=False):
        self.logic, self.withPlate = logic, withPlate
        self.random = np.random.default_rng(8)
        self.now = time.monotonic() - 30

    def run(self, seconds, shiftMm=0.0, plateShiftMm=0.0):
        from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import TransformMessage

        places = {"ReferenceToTracker": np.array([100.0 + shiftMm, 0, 0])}
        if self.withPlate:
            places["PlateToTracker"] = places["ReferenceToTracker"] + BESIDE + [plateShiftMm, 0, 0]
        connection = self.logic.connection
        for _ in range(int(30 * seconds)):
            self.now += 1 / 30
            for name, place in places.items():
                pose = np.eye(4)
                pose[:3, 3] = place + self.random.normal(0, 0.05, 3)
                message = TransformMessage(deviceName=name, matrix=pose, arrivalSec=self.now, timestampSec=self.now)
                connection.stream.receive([message])
            connection.lastUpdate = connection.stream.apply(self.now)
            self.logic._followRegistration()
            self.logic._watchReference(self.now)


def register(logic):
    import slicer

    registration, node = logic.registration, logic.registration.getParameterNode()
    for name in ("ctPoints", "referencePoints"):
        markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
        slicer.util.updateMarkupsControlPointsFromArray(markups, POINTS)
        setattr(node, name, markups)
    registration.registerPoints(node)
    logic.setCalibrations({"ImageToProbe": np.eye(4)})
    return node


def registerStep(panel):
    return next(step for step in panel.logic.workflow(panel._parameterNode) if step.name.value == "register")


def test_knockedReferenceMakesTheRegistrationDoubtfulUntilConfirmed(panel):
    """A knock of 12 mm within a tenth of a second."""
    register(panel.logic)
    stream = Stream(panel.logic)
    stream.run(5)
    assert panel.logic.doubtReasons() == ()
    stream.run(1, shiftMm=12)
    reasons = panel.logic.doubtReasons()
    assert reasons
    panel.update()
    step = registerStep(panel)
    assert step.state.value == "△" and step.why == reasons[0]
    assert panel.logic._standingWarnings() == reasons[:1], "the numbers carry the doubt"
    assert panel.ui.confirmButton.enabled
    panel.ui.confirmButton.click()
    assert panel.logic.doubtReasons() == () and not panel.ui.confirmButton.enabled


def test_doubtIsSharedWithFusionRegistrationAndItsScene(panels, panel, tmp_path):
    import slicer

    registrationPanel = panels.openPanel("FusionRegistration")
    register(panel.logic)
    stream = Stream(panel.logic)
    stream.run(5)
    stream.run(1, shiftMm=12)
    assert "jumped" in registrationPanel.ui.verdictLabel.text.splitlines()[0]
    reasons = panel.logic.doubtReasons()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    # confirmed there, the watch goes on from the new place and finds nothing more to say
    registrationPanel.ui.confirmRegistrationButton.click()
    stream.run(5, shiftMm=12)
    assert panel.logic.doubtReasons() == () and not panel.logic.doubt.doubtful
    panels.scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    registrationPanel.enter()
    assert panel.logic.doubtReasons() == reasons
    assert reasons[0] in registrationPanel.ui.verdictLabel.text


def test_changedDistanceToThePlateIsADistortedField(panel):
    register(panel.logic)
    stream = Stream(panel.logic, withPlate=True)
    stream.run(5)
    assert panel.logic.doubtReasons() == ()
    stream.run(2, plateShiftMm=2.5)
    assert len(panel.logic.doubtReasons()) == 1
    told = re.search(r"reference and Plate changed by ([0-9.]+) mm", panel.logic.doubtReasons()[0])
    assert told and float(told.group(1)) == pytest.approx(2.5, abs=0.3)


def test_logNotesVerificationAndUntrackedPatient(panels, panel, tmp_path):
    import slicer

    log = panels.openPanel("ProcedureLog")
    log.ui.caseFolderEdit.currentPath = str(tmp_path)
    log.ui.pseudonymEdit.text = "P01"
    log.ui.openCaseButton.click()
    panel.logic.registration.getParameterNode().patientTracked = False
    node = register(panel.logic)
    panel.logic._followRegistration()
    tip = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "StylusTipToStylus")
    stylus = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "StylusToReference")
    tip.SetAndObserveTransformNodeID(stylus.GetID())
    stylus.SetAndObserveTransformNodeID(node.referenceToRas.GetID())
    pose = np.eye(4)
    pose[:3, 3] = [20, 30, 3.2]
    slicer.util.updateTransformMatrixFromArray(stylus, pose)
    node.stylusTip = tip
    node.knownPoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Known")
    slicer.util.updateMarkupsControlPointsFromArray(node.knownPoints, np.array([[20.0, 30, 0]]))
    node.knownPoints.SetNthControlPointLabel(0, "L3 spinous process")
    panel.logic.registration.verify(node)
    panel.logic._followVerification()
    panel.logic._followVerification()  # nothing new: noted once
    events = [line.event for line in log.logic.logLines(log._parameterNode) if line.event.kind.value == "registration"]
    assert len(events) == 2
    assert "not tracked" in events[0].text and events[0].values["patientTracked"] is False
    assert events[1].values["maxMm"] == 3.2 and events[1].values["passed"] is False and "L3 spinous process" in events[1].text
    assert json.loads(node.verification.GetText())["limitMm"] == events[1].values["limitMm"]
