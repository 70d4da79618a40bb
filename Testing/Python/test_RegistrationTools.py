"""Tools in the panel of FusionRegistration: stylus and needle are calibrated, the probe is checked, the registration is verified."""

import json

import numpy as np
import pytest
from RegistrationScene import BALLS, addStylus, addTool, fill, moveTip, rotation, toRas

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
