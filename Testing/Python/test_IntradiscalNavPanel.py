"""The panel of IntradiscalNav on the Qt stand-ins: rules, device set, plan by hand, scene close; and a whole rehearsal."""

import pathlib
import time
import types

import numpy as np
import pytest

from IntradiscalNavHeadless.CaseReview import reviewCase
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

STEPS = ["connect", "calibrate", "register", "plan", "navigate", "log", "review"]


@pytest.fixture
def panel(panels):
    return panels.openPanel("IntradiscalNav")


@pytest.fixture
def Rehearsal(panels):
    """The class, imported once the module is loaded."""
    panels.load("IntradiscalNav")
    from IntradiscalNavPanel.Rehearsal import Rehearsal as rehearsalClass

    return rehearsalClass


def stepStates(panel):
    return {step.name.value: step for step in panel.logic.workflow(panel._parameterNode)}


def runUntil(panels, done, timeoutSec=200.0, what=""):
    deadline = time.monotonic() + timeoutSec
    while not done():
        assert time.monotonic() < deadline, f"waited {timeoutSec:.0f} s in vain for {what}"
        panels.application.processEvents()
        time.sleep(0.01)


def test_workflowIsShownInOrderWithReasons(panel):
    table = panel.ui.workflowTable
    assert table.rowCount == 7
    assert [step.name.value for step in panel.logic.workflow(panel._parameterNode)] == STEPS
    for row in range(7):
        assert table.item(row, 0).text().startswith("○")
        assert table.item(row, 1).text(), "a step that isn't done says why"


def test_buttonsSayWhyTheyCannotWork(panel):
    expected = {
        "loadDeviceSet": "device-set",
        "plan": "CT",
        "otherPath": "Plan a path",
        "guide": "Plan a path",
        "freeze": "guidance",
        "confirm": "doubt",
        "record": "folder",
        "save": "folder",
        "rehearseNext": "simulated procedure",
    }
    for name, word in expected.items():
        button = getattr(panel.ui, f"{name}Button")
        assert not button.enabled and word in button.toolTip, f"{name}: {button.toolTip}"
    assert panel.ui.connectButton.enabled and panel.ui.rehearseButton.enabled
    panel.ui.hostEdit.text = " "
    assert not panel.ui.connectButton.enabled and "address" in panel.ui.connectButton.toolTip


def test_clickOnAStepOpensItsSection(panel):
    panel.onStepClicked(3, 0)
    open_ = [section.objectName() for section in panel._foldings if not section.collapsed]
    assert open_ == ["planSection"]


def test_otherModulesAreOpened(panels, panel):
    panel.ui.openRegistrationButton.click()
    panel.ui.openLogButton.click()
    assert panels.selectedModules[-2:] == ["FusionRegistration", "ProcedureLog"]


def test_noServerIsSaidAndTriedAgainUntilSwitchedOff(panels, panel):
    panel.ui.portSpin.value = unusedPort()
    panel.ui.connectButton.click()
    assert panel.ui.connectButton.checked
    runUntil(panels, lambda: "127.0.0.1" in stepStates(panel)["connect"].why, 60, "the refused connection to be told")
    assert stepStates(panel)["connect"].state.value == "○"
    panel.ui.connectButton.click()
    assert not panel.ui.connectButton.checked and stepStates(panel)["connect"].why == "Not connected."


def unusedPort() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_deviceSetGivesCalibrations(panel, tmp_path):
    path = tmp_path / "deviceSet.xml"
    path.write_text(
        """<PlusConfiguration version="2.1"><DataCollection><DeviceSet Name="x" Description="x"/></DataCollection>
        <CoordinateDefinitions>
        <Transform From="Image" To="Probe" Matrix="0.2 0 0 -50  0 0.2 0 3  0 0 0.2 0  0 0 0 1" />
        <Transform From="NeedleTip" To="Needle" Matrix="1 0 0 0  0 1 0 0  0 0 1 150  0 0 0 1" />
        </CoordinateDefinitions></PlusConfiguration>"""
    )
    panel.ui.deviceSetEdit.currentPath = str(path)
    panel.ui.loadDeviceSetButton.click()
    tree = panel.logic.connection.stream.tree
    np.testing.assert_allclose(tree.matrix("NeedleTipToNeedle")[:3, 3], [0, 0, 150])
    assert "missing" not in stepStates(panel)["calibrate"].why
    assert "NeedleTip" in panel.ui.treeLabel.text


def test_pathDrawnByHandIsDoubtful(panel):
    import slicer

    line = panel.ui.pathSelector.addNode()
    slicer.util.updateMarkupsControlPointsFromArray(line, np.array([[60, -80, 0], [0, 0, 0.0]]))
    step = stepStates(panel)["plan"]
    assert step.state.value == "△" and "by hand" in step.why
    assert panel.ui.workflowTable.item(3, 0).text().startswith("△")


def test_parametersOfThePanelReachThePlanner(panel):
    panel.ui.levelCombo.currentText = "L3-L4"
    panel.ui.sideCombo.currentText = "right"
    panel.ui.duraMarginSpin.value = 6.5
    panel.ui.maxInclinationSpin.value = 70
    parameters = panel.logic.planningParameters(panel._parameterNode)
    assert (parameters.duraMarginMm, parameters.maxInclinationDeg) == (6.5, 70)
    assert panel._parameterNode.plan.level.value == "L3-L4" and panel._parameterNode.plan.side.value == "right"


def test_segmentationNodeBecomesLabels(panels):
    """Names and place of a segmentation node's segments, against the array that went in."""
    import slicer
    from IntradiscalNavPanel.AnatomyInput import labelsOf

    voxels = np.zeros((12, 14, 16), np.int16)
    ct = slicer.util.addVolumeFromArray(voxels, ijkToRAS=np.diag([-1.5, -1.5, 2.0, 1.0]), name="CT")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Seg")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    masks = {"vertebrae_L4": (slice(2, 5), slice(3, 9), slice(4, 8)), "holiday photo": (slice(6, 8), slice(1, 4), slice(1, 4))}
    for name, place in masks.items():
        segmentId = segmentation.GetSegmentation().AddEmptySegment(name, name)
        mask = np.zeros(voxels.shape, np.uint8)
        mask[place] = 1
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segmentId, ct)
    labels, ijkToRas, names = labelsOf(segmentation, ct)
    assert list(names.values()) == ["vertebrae_L4"], "an unknown name is left out"
    expected = np.zeros(voxels.shape, bool)
    expected[masks["vertebrae_L4"]] = True
    np.testing.assert_array_equal(labels == 1, expected)
    np.testing.assert_allclose(ijkToRas, np.diag([-1.5, -1.5, 2.0, 1.0]))


def test_sampleDataIsRegisteredAndMade(panels, monkeypatch):
    import slicer

    from IntradiscalNavLib.Simulation import LumbarPhantom, PhantomParameters

    registered = []
    fake = types.ModuleType("SampleData")
    fake.SampleDataLogic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **entry: registered.append(entry))
    monkeypatch.setitem(__import__("sys").modules, "SampleData", fake)
    panels.load("IntradiscalNav")
    slicer.app.emit("startupCompleted()")
    assert len(registered) == 1
    assert pathlib.Path(registered[0]["thumbnailFileName"]).is_file()
    coarse = LumbarPhantom.buildLumbarPhantom(PhantomParameters.PhantomParameters(spacingMm=(3.0, 3.0, 4.0), noiseHu=0.0))
    monkeypatch.setattr(LumbarPhantom, "buildLumbarPhantom", lambda *_: coarse)
    ct, labels = registered[0]["customDownloader"](None)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(ct), coarse.voxels)
    assert labels.IsA("vtkMRMLLabelMapVolumeNode") and slicer.util.arrayFromVolume(labels).max() > 0


@pytest.fixture
def views():
    """Off-screen views of the navigation layout, taken away afterwards."""
    from IntradiscalNavHeadless.OffscreenViews import SliceView, ThreeDView
    from IntradiscalNavLib.Views.NavigationLayout import SLICE_VIEWS, THREE_D

    host = startHost()
    made = {view: SliceView(host, view.tag, "Axial", (320, 240)) for view in SLICE_VIEWS}
    made[THREE_D] = ThreeDView(host, THREE_D.tag, (320, 240))
    return made


@pytest.mark.slow
@pytest.mark.rendering
@pytest.mark.timeout(900)
def test_wholeRehearsal(panels, Rehearsal, views, tmp_path, monkeypatch):
    """From the button to the needle in the disc, against the phantom's truth; recorded, logged, saved, stopped."""
    import slicer

    from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
    from IntradiscalNavLib.Views.NavigationLayout import FUSION, ULTRASOUND

    smaller = PhantomParameters(spacingMm=(1.6, 1.6, 2.0))
    monkeypatch.setattr(Rehearsal, "INSERTION_SEC", 3.0)
    log = panels.openPanel("ProcedureLog")
    log.ui.caseFolderEdit.currentPath = str(tmp_path / "log")
    log.ui.openCaseButton.click()
    panel = panels.openPanel("IntradiscalNav")
    logic, ui = panel.logic, panel.ui
    logic.rehearsalParameters = smaller
    ui.caseFolderEdit.currentPath = str(tmp_path / "case")

    ui.rehearseButton.click()
    assert ui.rehearseButton.checked and ui.connectButton.checked
    process = logic.rehearsal.process
    runUntil(panels, lambda: logic.connection.stream.node("Image_Reference") is not None, what="the first image")
    runUntil(panels, lambda: stepStates(panel)["calibrate"].state.value == "✓", what="the tools to be calibrated")

    ui.rehearseNextButton.click()
    truth = logic.rehearsal.phantom.truth
    center = truth.discs["L4-L5"].centerRas
    inReference = np.linalg.inv(truth.referenceToRas) @ [*center, 1]
    registered = slicer.util.arrayFromTransformMatrix(slicer.util.getNode("ReferenceToRas")) @ inReference
    assert np.linalg.norm(registered[:3] - center) < 2.0, "TRE at the disc"
    logic.registration.extractBone(logic.registration.getParameterNode())

    ui.rehearseNextButton.click()
    assert stepStates(panel)["plan"].state.value == "✓" and "mm" in ui.planLabel.text
    before = slicer.util.arrayFromMarkupsControlPoints(panel._parameterNode.path).copy()
    assert np.linalg.norm(before[1] - center) < 10
    if ui.otherPathButton.enabled:
        ui.otherPathButton.click()
        assert np.abs(slicer.util.arrayFromMarkupsControlPoints(panel._parameterNode.path) - before).max() > 1
        logic.paths.select(panel._parameterNode, logic.paths.book.entries[0].number)

    ui.rehearseNextButton.click()
    assert ui.guideButton.checked and ui.recordButton.checked, "recording starts with the guidance"
    runUntil(panels, lambda: logic.state is not None and logic.state.displayed.guidance is not None, what="live numbers")
    runUntil(panels, lambda: ui.freezeButton.enabled and logic.state.frameLive, what="a live picture")
    runUntil(panels, lambda: logic.checks.archCheck is not None, what="the superimposition of the arch")
    ui.freezeButton.click()
    assert ui.freezeButton.checked
    ui.compareButton.click()
    assert ui.compareButton.checked and not ui.freezeButton.checked and logic.views.freezeMode.value == "compare"
    heldPlane = logic.views.slicePose(FUSION)
    livePlane = logic.views.slicePose(ULTRASOUND)
    runUntil(panels, lambda: np.abs(logic.views.slicePose(ULTRASOUND) - livePlane).max() > 1e-6, what="the live plane beside the held one")
    np.testing.assert_array_equal(logic.views.slicePose(FUSION), heldPlane)
    ui.compareButton.click()
    assert not ui.compareButton.checked and logic.views.freezeMode.value == "live"
    ui.opacitySlider.value = 0.25
    runUntil(panels, lambda: logic.reachedTarget, what="the needle to reach the target")
    assert logic.views.opacity == pytest.approx(0.25)
    assert ui.tipToTargetNumber.text.endswith("mm") and ui.phaseLabel.text == "at target"
    assert np.linalg.norm(logic.state.needleTipToRas[:3, 3] - before[1]) < 4.0
    panel.update()
    assert stepStates(panel)["navigate"].state.value == "✓"
    assert stepStates(panel)["log"].state.value == "✓"
    kinds = {line.event.kind.value for line in log.logic.logLines(log._parameterNode)}
    assert {"registration", "plan", "needleActive", "guidance"} <= kinds
    tools = {ui.toolsTable.item(row, 0).text(): ui.toolsTable.item(row, 1).text() for row in range(ui.toolsTable.rowCount)}
    assert {"Reference", "Probe", "Needle", "Image"} <= set(tools) and tools["Needle"] in ("OK", "SUSPECT")
    assert ui.clearancesTable.rowCount == len(logic.session.structures.structures) > 0
    assert "Bone check" in ui.archLabel.text and ui.needleLabel.text == "L4-L5 left → disc L4-L5"

    ui.recordButton.click()
    assert len(CaseFolder(tmp_path / "case").recordingFolders()) == 1
    ui.saveButton.click()
    saved = CaseFolder(tmp_path / "case").scenePath
    assert saved.is_file() and stepStates(panel)["review"].state.value == "✓"

    ui.rehearseButton.click()
    assert process.poll() is not None and not ui.rehearseButton.checked and not ui.connectButton.checked
    assert ui.tipToTargetNumber.text == "–", "no number stays when the stream is gone"

    panels.scene.Clear(0)
    assert stepStates(panel)["register"].state.value == "○"
    slicer.util.loadScene(str(saved))
    panel.enter()
    assert panel._parameterNode.path.GetName() == "best L4-L5 left"
    assert stepStates(panel)["register"].state.value == "✓", "the registration came back with its quality"
    review = logic.review
    assert review.isOn and "NOT LIVE" in ui.replayLabel.text and review.problem == ""
    assert review.timeline and review.seek(panel._parameterNode, review.durationSec).displayed.isReplay
    shown = review.procedure.toDict()
    assert shown["navigation"]["finalTipToTargetMm"] < 4.0 and shown["imageCount"] > 10
    review.stop()
    assert reviewCase(saved).toDict() == shown, "the command line measures the same"


def test_closingTheSceneEndsTheRehearsal(panels, panel):
    """No process and no timer outlives the scene."""
    panel.logic.rehearsalParameters = PhantomParameters(spacingMm=(3.0, 3.0, 4.0))
    panel.ui.rehearseButton.click()
    process = panel.logic.rehearsal.process
    assert process.poll() is None
    panels.scene.Clear(0)
    assert process.poll() is not None and panel.logic.rehearsal is None
    assert not panel._timer.active and not panel.ui.connectButton.checked


def test_simulatorThatFailsIsTold(panel, monkeypatch):
    import PythonQtStyle

    panel.logic.rehearsalParameters = PhantomParameters(spacingMm=(3.0, 3.0, 4.0))
    monkeypatch.setattr("IntradiscalNavPanel.Rehearsal.pythonExecutable", lambda: "/bin/false")
    panel.ui.rehearseButton.click()
    assert [type(error) for error in PythonQtStyle.slotErrors] == [RuntimeError]
    assert "did not start" in str(PythonQtStyle.slotErrors[0])
    PythonQtStyle.slotErrors.clear()
    assert not panel.ui.rehearseButton.checked and panel.logic.rehearsal is None
