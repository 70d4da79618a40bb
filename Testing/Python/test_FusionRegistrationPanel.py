"""The panel of FusionRegistration on the Qt stand-ins: every button, every rule, live stylus, scene close and reload."""

import json

import numpy as np
import pytest

# quarter turn about S, then a shift: written down by hand, independent of the program
REFERENCE_TO_RAS = np.array([[0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1.0]])
BALLS = np.array([[0, 0, 0], [45, 5, 0], [10, 50, 0], [60, 62, 0], [30, 85, 0.0]])


def toRas(points):
    return points @ REFERENCE_TO_RAS[:3, :3].T + REFERENCE_TO_RAS[:3, 3]


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


def fill(selector, points, names=()):
    import slicer

    node = selector.addNode()
    slicer.util.updateMarkupsControlPointsFromArray(node, points)
    for index, name in enumerate(names):
        node.SetNthControlPointLabel(index, name)
    return node


def addCt(ballsRas, spacingMm=1.0):
    """CT of air above soft tissue (posterior is -A), with steel-like balls lying on the skin; returns the node."""
    import slicer

    origin = np.array([-70.0, -70.0, -20.0])
    shape = (150, 140, 140)  # k, j, i
    k, j, i = np.indices(shape, dtype=np.float32)
    r, a, s = origin[0] + spacingMm * i, origin[1] + spacingMm * j, origin[2] + spacingMm * k
    voxels = np.where(a > -30, 40, -1000).astype(np.float32)
    for ball in ballsRas:
        distance = np.sqrt((r - ball[0]) ** 2 + (a - ball[1]) ** 2 + (s - ball[2]) ** 2)
        voxels += (2500 - voxels) * np.clip(2.5 + 0.5 - distance, 0, 1)
    volume = slicer.util.addVolumeFromArray(voxels.astype(np.int16), name="CT")
    volume.SetOrigin(*origin)
    volume.SetSpacing(spacingMm, spacingMm, spacingMm)
    return volume


def test_nothingWorksAtFirstAndSaysWhy(panel):
    assert "Not registered" in panel.ui.verdictLabel.text
    for name in ("findMarkers", "registerPlate", "takePoint", "undoPoint", "registerPoints", "extractBone", "registerSurface", "collect"):
        button = getattr(panel.ui, f"{name}Button")
        assert not button.enabled, name
        assert "first" in button.toolTip or "yet" in button.toolTip, f"{name}: {button.toolTip}"


def test_pointsInAnyOrderAreRegistered(panel):
    import slicer

    shuffled = toRas(BALLS)[[3, 0, 4, 2, 1]]
    fill(panel.ui.ctPointsSelector, shuffled)
    assert "patient" in panel.ui.registerPointsButton.toolTip
    fill(panel.ui.referencePointsSelector, BALLS)
    assert panel.ui.registerPointsButton.enabled
    panel.ui.registerPointsButton.click()
    result = panel._parameterNode.referenceToRas
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(result), REFERENCE_TO_RAS, atol=1e-6)
    assert panel.ui.residualsTable.rowCount == 5


def test_fixedOrderNeedsEqualNumbers(panel):
    fill(panel.ui.ctPointsSelector, toRas(BALLS))
    fill(panel.ui.referencePointsSelector, BALLS[:4])
    assert panel.ui.registerPointsButton.enabled
    panel.ui.anyOrderCheck.checked = False
    assert not panel.ui.registerPointsButton.enabled and "5 and 4" in panel.ui.registerPointsButton.toolTip


def test_verdictSaysTargetErrorFirstAndFreLast(panel):
    rng = np.random.default_rng(5)
    fill(panel.ui.ctPointsSelector, toRas(BALLS) + rng.normal(0, 0.2, BALLS.shape))
    fill(panel.ui.referencePointsSelector, BALLS)
    fill(panel.ui.targetsSelector, np.array([[0, 40.0, 30], [10, 60, 60]]), ("L4-L5", "L5-S1"))
    panel.ui.registerPointsButton.click()
    lines = panel.ui.verdictLabel.text.splitlines()
    assert "Expected error at L" in lines[0] and "95 %" in lines[0]
    freLine = next(index for index, line in enumerate(lines) if "FRE" in line)
    assert freLine > 0 and "not how accurate" in lines[freLine]
    fit = panel.logic.fitOf(panel._parameterNode)
    worst = max(error.p95Mm for error in fit.predictedTre.values())
    panel.ui.passLimitSpin.value = max(worst - 0.3, 0.5)
    assert panel.ui.verdictLabel.text.startswith("△")
    panel.ui.passLimitSpin.value = worst + 0.5
    assert panel.ui.verdictLabel.text.startswith("✓")
    panel.ui.patientTrackedCheck.checked = False
    assert panel.ui.verdictLabel.text.startswith("△") and "tracked" in panel.ui.verdictLabel.text


def test_markersAreFoundAndPlateRegistered(panel, tmp_path):
    import slicer

    from FusionRegistrationLib.MarkerPlate import MarkerPlate

    # plate in the coronal plane, lying on the skin of a prone or supine patient: A = -33
    layout = np.column_stack([BALLS[:, 0], np.zeros(5), BALLS[:, 1]])
    inRas = layout + np.array([-30, -32.5, 5])
    addCt(inRas)
    panel.ui.ctVolumeSelector.setCurrentNode(slicer.util.getNode("CT"))
    assert panel.ui.findMarkersButton.enabled
    panel.ui.minDiameterSpin.value = 3
    panel.ui.findMarkersButton.click()
    found = slicer.util.arrayFromMarkupsControlPoints(panel._parameterNode.ctPoints)
    assert len(found) == 5
    assert max(np.linalg.norm(found - ball, axis=1).min() for ball in inRas) < 0.3
    assert "plate" in panel.ui.registerPlateButton.toolTip
    path = tmp_path / "plate.json"
    MarkerPlate("test plate", tuple("ABCDE"), layout, 5.0, np.array([0.0, -1.0, 0.0])).save(path)
    panel.ui.plateFileEdit.currentPath = str(path)
    assert panel.ui.registerPlateButton.enabled
    panel.ui.registerPlateButton.click()
    matrix = slicer.util.arrayFromTransformMatrix(panel._parameterNode.referenceToRas)
    np.testing.assert_allclose(matrix[:3, 3], [-30, -32.5, 5], atol=0.3)


def test_markerThatMayBeNoneIsNamed(panel):
    """A ball wholly under the skin, as a calcification; once its point is deleted nothing is said any more."""
    import slicer

    addCt(np.array([[-30, -32.5, 5], [15, -32.5, 40], [0, -27.0, 80]]))
    panel.ui.ctVolumeSelector.setCurrentNode(slicer.util.getNode("CT"))
    assert panel.ui.markersLabel.text == ""
    panel.ui.findMarkersButton.click()
    points = panel._parameterNode.ctPoints
    assert [points.GetNthControlPointLabel(index) for index in range(3)] == ["M1?", "M2", "M3"]
    text = panel.ui.markersLabel.text
    assert text.startswith("M1?") and "under the surface" in text and "M2" not in text
    points.RemoveNthControlPoint(0)
    assert panel.ui.markersLabel.text == ""


def addStylus(panel):
    """ReferenceToRas with StylusToReference and StylusTipToStylus below it, as the transform tree of the scene."""
    import slicer

    nodes = [
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        for name in ("ReferenceToRas", "StylusToReference", "StylusTipToStylus")
    ]
    for child, parent in zip(nodes[1:], nodes):
        child.SetAndObserveTransformNodeID(parent.GetID())
    slicer.util.updateTransformMatrixFromArray(nodes[0], REFERENCE_TO_RAS)
    tip = np.eye(4)
    tip[:3, 3] = [0, 0, 100]
    slicer.util.updateTransformMatrixFromArray(nodes[2], tip)
    panel.ui.referenceToRasSelector.setCurrentNode(nodes[0])
    panel.ui.stylusTipSelector.setCurrentNode(nodes[2])
    return nodes[1]


def moveTip(stylus, tipInReference):
    import slicer

    pose = np.eye(4)
    pose[:3, 3] = np.asarray(tipInReference) - [0, 0, 100]
    slicer.util.updateTransformMatrixFromArray(stylus, pose)


def test_pointIsTakenInTheReferenceFrame(panel):
    import slicer

    stylus = addStylus(panel)
    moveTip(stylus, [1, 2, 3])
    panel.ui.takePointButton.click()
    moveTip(stylus, [4, 5, 6])
    panel.ui.takePointButton.click()
    points = panel._parameterNode.referencePoints
    np.testing.assert_allclose(slicer.util.arrayFromMarkupsControlPoints(points), [[1, 2, 3], [4, 5, 6]], atol=1e-9)
    panel.ui.undoPointButton.click()
    assert points.GetNumberOfControlPoints() == 1
    panel.ui.undoPointButton.click()
    assert not panel.ui.undoPointButton.enabled


def test_invalidStylusTakesNoPoint(panel):
    stylus = addStylus(panel)
    assert panel.ui.takePointButton.enabled
    stylus.SetAttribute("TransformStatus", "MISSING")
    panel.ui.stylusTipSelector.currentNode().Modified()
    assert not panel.ui.takePointButton.enabled and "tracked" in panel.ui.takePointButton.toolTip


def test_dwellingTakesPoints(panel):
    """Two places held for 1.5 s each with a move between; the stream is fed by hand, as the timer would."""
    import slicer

    stylus = addStylus(panel)
    panel.ui.collectButton.click()
    assert "still" in panel.ui.collectLabel.text
    rng = np.random.default_rng(1)
    timeSec = 100.0
    for place in ([0, 0, 0], [60, 0, 0], [120, 0, 0]):
        for _ in range(40):
            moveTip(stylus, np.array(place) + rng.normal(0, 0.1, 3))
            panel.logic.watchStylus(panel._parameterNode, timeSec)
            timeSec += 0.05
    panel.ui.collectButton.click()
    taken = slicer.util.arrayFromMarkupsControlPoints(panel._parameterNode.referencePoints)
    np.testing.assert_allclose(taken[:2], [[0, 0, 0], [60, 0, 0]], atol=0.2)
    assert panel.ui.collectLabel.text == ""


def test_frozenStylusIsNoDwell(panel):
    """A tracker that repeats its last pose sends nothing new: the node isn't modified and no point may be taken."""
    stylus = addStylus(panel)
    panel.logic.startDwelling()
    moveTip(stylus, [0, 0, 0])
    for step in range(60):
        progress = panel.logic.watchStylus(panel._parameterNode, 0.05 * step)
    assert progress < 1 and panel._parameterNode.referencePoints is None


def test_registrationSurvivesSavingAndLoading(panels, panel, tmp_path):
    import slicer

    fill(panel.ui.ctPointsSelector, toRas(BALLS))
    fill(panel.ui.referencePointsSelector, BALLS)
    fill(panel.ui.targetsSelector, np.array([[0, 40.0, 30]]), ("L4-L5",))
    panel.ui.registerPointsButton.click()
    before = panel.ui.verdictLabel.text
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panels.scene.Clear(0)
    assert "Not registered" in panel.ui.verdictLabel.text
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.enter()
    assert panel.ui.verdictLabel.text == before
    assert panel.ui.referenceToRasSelector.currentNode().GetName() == "ReferenceToRas"


def test_pointsThatDoNotMatchAreRefused(panel):
    import PythonQtStyle

    fill(panel.ui.ctPointsSelector, np.random.default_rng(2).uniform(-80, 80, (5, 3)))
    fill(panel.ui.referencePointsSelector, BALLS)
    panel.ui.registerPointsButton.click()
    assert len(PythonQtStyle.slotErrors) == 1 and isinstance(PythonQtStyle.slotErrors[0], ValueError)
    PythonQtStyle.slotErrors.clear()
    assert panel._parameterNode.referenceToRas is None and "Not registered" in panel.ui.verdictLabel.text


def test_damagedFitIsNamed(panel):
    import slicer
    from FusionRegistrationPanel.RegistrationVerdict import readFit

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationQuality")
    node.SetText(json.dumps({"kind": "RigidFit"}))
    with pytest.raises(ValueError, match="RegistrationQuality"):
        readFit(node)


def test_bonePointsGoThroughAModelNode():
    from FusionRegistrationPanel.BonePointModel import bonePointsOfPolyData, polyDataOfBonePoints

    from FusionRegistrationLib.BonePoints import BonePoints

    rng = np.random.default_rng(3)
    points = BonePoints(rng.normal(size=(70, 3)), rng.normal(size=(70, 3)), np.arange(70) // 7, rng.uniform(0.1, 1, 70))
    back = bonePointsOfPolyData(polyDataOfBonePoints(points))
    np.testing.assert_array_equal(back.pointsReference, points.pointsReference)
    np.testing.assert_array_equal(back.beamOffsetsMm, points.beamOffsetsMm)
    np.testing.assert_array_equal(back.frames, points.frames)
    np.testing.assert_array_equal(back.confidence, points.confidence)
    assert back.elevations is None


TIP_IN_TOOL = np.array([4.0, -7.0, 130.0])


def addTool(panel, selector):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "StylusToReference")
    selector.setCurrentNode(node)
    return node


def rotation(axis, angleDeg):
    """Rodrigues' formula, written here so that the test shares nothing with the program."""
    axis, angle = np.asarray(axis) / np.linalg.norm(axis), np.radians(angleDeg)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_stylusIsCalibratedByPivotAndSpin(panel):
    import slicer

    tool = addTool(panel, panel.ui.toolSelector)
    panel.ui.pivotButton.click()
    divot = np.array([20.0, 30, -10])
    rng = np.random.default_rng(6)
    for _ in range(150):
        turn = rotation([*rng.normal(size=2), 0], rng.uniform(0, 35)) @ rotation([0, 0, 1], rng.uniform(0, 360))
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, divot - turn @ TIP_IN_TOOL + rng.normal(0, 0.1, 3)
        slicer.util.updateTransformMatrixFromArray(tool, pose)
        panel.onStylusTimer()
    assert panel.ui.calibrationLabel.text == "150 poses"
    panel.ui.pivotButton.click()
    tip = panel._parameterNode.calibration.tip
    assert tip.GetName() == "StylusTipToStylus" and tip.GetParentTransformNode() is tool
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(tip)[:3, 3], TIP_IN_TOOL, atol=0.15)
    assert "Tip known to" in panel.ui.calibrationLabel.text

    axis = TIP_IN_TOOL / np.linalg.norm(TIP_IN_TOOL)
    panel.ui.spinButton.click()
    for angleDeg in np.linspace(0, 340, 80):
        pose = np.eye(4)
        pose[:3, :3] = rotation([1, 2, 3], 40) @ rotation(axis, angleDeg)
        slicer.util.updateTransformMatrixFromArray(tool, pose)
        panel.onStylusTimer()
    panel.ui.spinButton.click()
    found = slicer.util.arrayFromTransformMatrix(tip)
    np.testing.assert_allclose(found[:3, 2], axis, atol=5e-3)
    np.testing.assert_allclose(found[:3, 3], TIP_IN_TOOL, atol=0.15)


def test_pivotWithoutSwingIsRefused(panel):
    import PythonQtStyle
    import slicer

    tool = addTool(panel, panel.ui.toolSelector)
    panel.ui.pivotButton.click()
    for step in range(30):
        pose = np.eye(4)
        pose[0, 3] = step
        slicer.util.updateTransformMatrixFromArray(tool, pose)
        panel.onStylusTimer()
    panel.ui.pivotButton.click()
    assert [type(error) for error in PythonQtStyle.slotErrors] == [ValueError]
    PythonQtStyle.slotErrors.clear()
    assert panel._parameterNode.calibration.tip is None


def test_needleFromItsData(panel):
    import slicer

    addTool(panel, panel.ui.toolSelector).SetName("NeedleToReference")
    panel.ui.needleLengthSpin.value = 120
    panel.ui.needleDataButton.click()
    tip = panel._parameterNode.calibration.tip
    assert tip.GetName() == "NeedleTipToNeedle"
    np.testing.assert_allclose(
        slicer.util.arrayFromTransformMatrix(tip), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 120], [0, 0, 0, 1]], atol=1e-9
    )


PLUS_FILE = (
    '<PlusConfiguration version="2.1"><CoordinateDefinitions>'
    '<Transform From="Image" To="Probe" Matrix="{}"/></CoordinateDefinitions></PlusConfiguration>'
)
GOOD_PROBE, HUGE_PIXELS = "0.1 0 0 -30 0 0.1 0 0 0 0 0.1 0 0 0 0 1", "9 0 0 0 0 9 0 0 0 0 9 0 0 0 0 1"


@pytest.mark.parametrize(("matrix", "usable"), [(GOOD_PROBE, True), (HUGE_PIXELS, False)])
def test_probeCalibrationIsChecked(panel, tmp_path, matrix, usable):
    import PythonQtStyle

    path = tmp_path / "probe.xml"
    path.write_text(PLUS_FILE.format(matrix))
    panel.ui.probeFileEdit.currentPath = str(path)
    panel.ui.checkProbeButton.click()
    if usable:
        assert "0.100 x 0.100 mm" in panel.ui.calibrationLabel.text
    else:
        assert len(PythonQtStyle.slotErrors) == 1
        PythonQtStyle.slotErrors.clear()


def test_registrationIsVerifiedAtAKnownPoint(panel):
    stylus = addStylus(panel)
    fill(panel.ui.ctPointsSelector, toRas(BALLS))
    fill(panel.ui.referencePointsSelector, BALLS)
    panel.ui.registerPointsButton.click()
    known = np.array([[33.0, 20, 0], [12, 70, 0]])
    assert not panel.ui.verifyButton.enabled
    fill(panel.ui.knownSelector, toRas(known), ("spinous process", "iliac spine"))
    moveTip(stylus, known[1] + [0, 0, 1.5])
    panel.ui.stylusTipSelector.currentNode().Modified()
    assert panel.ui.verifyButton.enabled
    panel.ui.verifyButton.click()
    assert "1.5" in panel.ui.verifyLabel.text
    stored = json.loads(panel._parameterNode.verification.GetText())
    assert stored["worstName"] == "iliac spine" and stored["passed"] and stored["independent"]
    moveTip(stylus, known[1] + [0, 0, 4])
    panel.ui.verifyButton.click()
    assert not json.loads(panel._parameterNode.verification.GetText())["passed"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_boneIsScannedAndRegistered(panels, panel):
    """Frames of the simulated probe swept over the simulated spine, from a start that is 6 mm off; judged by the phantom's truth."""
    import slicer

    from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
    from IntradiscalNavLib.Simulation.SimulatedProcedure import SimulatedProcedure
    from IntradiscalNavLib.Simulation.SimulatedUltrasound import SimulatedUltrasound
    from IntradiscalNavLib.Simulation.UltrasoundGeometry import UltrasoundGeometry

    phantom = cachedLumbarPhantom(PhantomParameters(spacingMm=(1.6, 1.6, 2.0)))
    truth, geometry = phantom.truth, UltrasoundGeometry()
    volume = slicer.util.addVolumeFromArray(phantom.voxels, ijkToRAS=phantom.ijkToRas, name="CT")
    panel.ui.ctVolumeSelector.setCurrentNode(volume)
    referenceToRas = panel.ui.referenceToRasSelector.addNode()
    image = slicer.util.addVolumeFromArray(np.zeros((1, geometry.rows, geometry.columns), np.uint8), name="Image_Reference")
    image.SetAndObserveTransformNodeID(referenceToRas.GetID())
    assert "ultrasound" in panel.ui.scanButton.toolTip
    panel.ui.ultrasoundSelector.setCurrentNode(image)
    ours = geometry.probeGeometry()
    panel.ui.apexColumnSpin.value, panel.ui.apexRowSpin.value = ours.apexPixel
    panel.ui.faceRadiusSpin.value, panel.ui.depthSpin.value = ours.faceRadiusMm, geometry.depthMm
    panel.ui.halfAngleSpin.value = geometry.fieldOfViewDeg / 2
    # the start: the true registration moved by 6 mm, as a fit of three points would leave it
    start = truth.referenceToRas.copy()
    start[:3, 3] += [4, -3, 3]
    corners = np.array([[0, 0, 0], [80, 0, 0], [0, 80, 0], [40, 50, 40.0]])
    fill(panel.ui.referencePointsSelector, corners)
    fill(panel.ui.ctPointsSelector, corners @ start[:3, :3].T + start[:3, 3])
    panel.ui.registerPointsButton.click()

    panel.ui.scanButton.click()
    assert panel.ui.scanButton.checked
    ultrasound = SimulatedUltrasound(phantom, geometry, seed=3)
    operator = SimulatedProcedure(phantom, seed=3)
    endSec = operator.sweep(0.0, durationSec=8.0)
    for timeSec in np.arange(1.0, endSec, 0.1):
        probeToRas = operator.state(timeSec).probeToRas
        slicer.util.updateVolumeFromArray(image, ultrasound.render(probeToRas)[None])
        imageToRas = probeToRas @ geometry.imageToProbe
        image.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.linalg.inv(truth.referenceToRas) @ imageToRas))
        panel.onStylusTimer()
    state = panel.logic.scan.live.waitForFit(0, 120)
    assert state.fit is not None, state.problem
    panel.ui.scanButton.click()
    panel.logic.scan.live.refresh()
    assert "bone points" in panel.ui.scanLabel.text
    panel.update()
    panel.ui.acceptScanButton.click()
    assert panel._parameterNode.surface.bonePoints.GetPolyData().GetNumberOfPoints() > 60
    center = np.append(truth.discs["L4-L5"].centerRas, 1)
    found = slicer.util.arrayFromTransformMatrix(referenceToRas) @ np.linalg.inv(truth.referenceToRas) @ center
    assert np.linalg.norm(found[:3] - center[:3]) < 3.0
    assert panel.ui.registerSurfaceButton.enabled
