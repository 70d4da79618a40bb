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


def registered(panel):
    stylus = addStylus(panel)
    fill(panel.ui.ctPointsSelector, toRas(BALLS))
    fill(panel.ui.referencePointsSelector, BALLS)
    panel.ui.registerPointsButton.click()
    return stylus


KNOWN = np.array([[33.0, 20, 0], [12, 70, 0], [70, 40, 0]])


def touch(panel, stylus, index, errorMm):
    moveTip(stylus, KNOWN[index] + [0, 0, errorMm])
    panel.ui.stylusTipSelector.currentNode().Modified()
    panel.ui.verifyButton.click()


def test_severalKnownPointsAreVerifiedTogether(panel):
    stylus = registered(panel)
    fill(panel.ui.knownSelector, toRas(KNOWN), ("A", "B", "C"))
    touch(panel, stylus, 0, 0.5)
    touch(panel, stylus, 1, 3.0)
    touch(panel, stylus, 2, 1.0)
    result = panel.logic.verificationOf(panel._parameterNode)
    assert dict(zip(result.names, np.round(result.errorsMm, 6))) == {"A": 0.5, "B": 3.0, "C": 1.0}
    assert result.meanMm == pytest.approx(1.5) and result.worstName == "B" and not result.passed
    assert "expert limit" in result.limitSource
    assert [panel.ui.verificationTable.item(row, 0).text() for row in range(3)] == ["B", "C", "A"]
    assert panel.ui.verificationTable.item(0, 2).text() == "△"
    # the measured error outweighs the predicted one
    assert panel.ui.verdictLabel.text.startswith("△") and "largest 3.0 mm at B" in panel.ui.verdictLabel.text.splitlines()[0]
    touch(panel, stylus, 1, 0.2)  # touched again
    result = panel.logic.verificationOf(panel._parameterNode)
    assert result.passed and result.maxMm == pytest.approx(1.0) and len(result.names) == 3
    panel.ui.passLimitSpin.value = 3.5
    touch(panel, stylus, 0, 0.5)
    assert panel.logic.verificationOf(panel._parameterNode).limitSource == "chosen by the operator"


def test_newRegistrationForgetsTheVerification(panel):
    stylus = registered(panel)
    fill(panel.ui.knownSelector, toRas(KNOWN), ("A", "B", "C"))
    touch(panel, stylus, 1, 3.0)
    panel.ui.registerPointsButton.click()
    assert panel.logic.verificationOf(panel._parameterNode) is None and panel.ui.verifyLabel.text == ""
    assert panel.ui.verificationTable.rowCount == 0 and "largest" not in panel.ui.verdictLabel.text


def test_damagedVerificationIsNamed(panel):
    registered(panel)
    node = panel._parameterNode.verification = addTextNode("RegistrationVerification", '{"format": "RegistrationVerification"}')
    with pytest.raises(ValueError, match="RegistrationVerification"):
        panel.logic.verificationOf(panel._parameterNode)
    assert panel.ui.verdictLabel.text.startswith("△ The verification kept in RegistrationVerification can't be read")
    node.SetText("")
    assert "can't be read" not in panel.ui.verdictLabel.text


def addTextNode(name, text):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", name)
    node.SetText(text)
    return node


def test_doubtIsShownUntilConfirmed(panel):
    registered(panel)
    assert not panel.ui.confirmRegistrationButton.enabled and "doubt" in panel.ui.confirmRegistrationButton.toolTip
    panel.logic.setDoubt(panel._parameterNode, ["The patient's reference jumped by 12.0 mm."])
    assert panel.ui.verdictLabel.text.startswith("△ The patient's reference jumped")
    assert panel.ui.confirmRegistrationButton.enabled
    panel.ui.confirmRegistrationButton.click()
    assert "jumped" not in panel.ui.verdictLabel.text and not panel.ui.confirmRegistrationButton.enabled
    panel.logic.setDoubt(panel._parameterNode, ["The patient's reference jumped by 12.0 mm."])
    panel.ui.registerPointsButton.click()  # a new registration is not in doubt
    assert panel.logic.doubtReasons(panel._parameterNode) == ()
