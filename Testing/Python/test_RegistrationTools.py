"""Tools in the panel of FusionRegistration: stylus and needle are calibrated, the probe is checked, the registration is verified."""

import numpy as np
import pytest
from RegistrationScene import addTool, rotation

TIP_IN_TOOL = np.array([4.0, -7.0, 130.0])


PLUS_FILE = (
    '<PlusConfiguration version="2.1"><CoordinateDefinitions>'
    '<Transform From="Image" To="Probe" Matrix="{}"/></CoordinateDefinitions></PlusConfiguration>'
)
GOOD_PROBE, HUGE_PIXELS = "0.1 0 0 -30 0 0.1 0 0 0 0 0.1 0 0 0 0 1", "9 0 0 0 0 9 0 0 0 0 9 0 0 0 0 1"


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


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
    told = panel.ui.calibrationLabel.text
    assert told.startswith("150 poses. Swing ") and "tip known to 0." in told
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


def swing(panel, tool, halfAnglesDeg, count, seed=3, divot=(20.0, 30, -10), tipInTool=TIP_IN_TOOL):
    """Poses of a tool swung in a divot by up to the given angles about x and y of Reference."""
    import slicer

    random = np.random.default_rng(seed)
    for _ in range(count):
        turn = rotation([1, 0, 0], random.uniform(-1, 1) * halfAnglesDeg[0]) @ rotation([0, 1, 0], random.uniform(-1, 1) * halfAnglesDeg[1])
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn, divot - turn @ tipInTool + random.normal(0, 0.1, 3)
        slicer.util.updateTransformMatrixFromArray(tool, pose)
        panel.onStylusTimer()


def test_swingSaysWhatIsMissingWhileCollecting(panel):
    tool = addTool(panel, panel.ui.toolSelector)
    panel.ui.pivotButton.click()
    swing(panel, tool, (0, 0), 9)
    assert panel.ui.calibrationLabel.text == "9 poses"
    swing(panel, tool, (0, 0), 31)
    assert "not turned" in panel.ui.calibrationLabel.text
    swing(panel, tool, (30, 3), 160)  # to and fro only
    assert "in all directions" in panel.ui.calibrationLabel.text
    swing(panel, tool, (30, 30), 400)
    assert "in all directions" not in panel.ui.calibrationLabel.text and "tip known to 0." in panel.ui.calibrationLabel.text


def addNeedle(panel, lengthMm=120.0):
    """A needle whose sensor sits 5 mm beside the hub, its shaft along -Y of the sensor; returns its node and its true tip."""
    import slicer

    needle = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "NeedleToReference")
    panel.ui.toolSelector.setCurrentNode(needle)
    panel.ui.tipSelector.setCurrentNode(None)
    panel.ui.needleLengthSpin.value = lengthMm
    panel.ui.axisCombo.setCurrentText("-Y")
    panel.ui.hubXSpin.value, panel.ui.hubYSpin.value, panel.ui.hubZSpin.value = 5, -8, 0
    return needle, np.array([5.0, -8 - 120, 0])


def test_needleFromHubAndAxisIsVerifiedInTheStylusDivot(panel):
    import slicer

    assert not panel.ui.divotButton.enabled and "Calibrate the tip first" in panel.ui.divotButton.toolTip
    stylus = addTool(panel, panel.ui.toolSelector)
    panel.ui.pivotButton.click()
    swing(panel, stylus, (30, 30), 200)
    panel.ui.pivotButton.click()
    divot = panel._parameterNode.calibration.divot
    np.testing.assert_allclose(divot.GetNthControlPointPosition(0), [20, 30, -10], atol=0.1)

    needle, trueTip = addNeedle(panel)
    panel.ui.needleDataButton.click()
    tip = panel._parameterNode.calibration.tip
    matrix = slicer.util.arrayFromTransformMatrix(tip)
    np.testing.assert_allclose(matrix[:3, 3], trueTip, atol=1e-9)
    np.testing.assert_allclose(matrix[:3, 2], [0, -1, 0], atol=1e-9)
    panel.ui.divotButton.click()
    swing(panel, needle, (1, 1), 40, tipInTool=trueTip)
    panel.ui.divotButton.click()
    assert "0.1 mm from the divot" in panel.ui.calibrationLabel.text or "0.2 mm from the divot" in panel.ui.calibrationLabel.text

    # the needle is 4 mm shorter than its pack says: found, with the cause
    panel.ui.divotButton.click()
    swing(panel, needle, (1, 1), 40, tipInTool=trueTip + np.array([0, 4, 0]))
    panel.ui.divotButton.click()
    assert "4.0 mm longer than it is" in panel.ui.calibrationLabel.text
    assert panel.logic.calibrationText(panel._parameterNode) == panel.ui.calibrationLabel.text


def test_needleAlongTheSpunAxis(panel):
    import slicer

    tool = addTool(panel, panel.ui.toolSelector)
    tip = panel.ui.tipSelector.addNode()
    spun = np.eye(4)
    spun[:3, 0], spun[:3, 1], spun[:3, 2] = [0, 0.6, 0.8], [1, 0, 0], [0, 0.8, -0.6]
    slicer.util.updateTransformMatrixFromArray(tip, spun)
    tip.SetAndObserveTransformNodeID(tool.GetID())
    panel.ui.axisCombo.setCurrentText("as spun")
    panel.ui.needleLengthSpin.value = 100
    panel.ui.needleDataButton.click()
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(tip)[:3, 3], [0, 80, -60], atol=1e-9)
