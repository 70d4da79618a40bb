"""Verification in the panel of FusionRegistration: known points are touched; and the doubt about the registration."""

import json

import numpy as np
import pytest
from RegistrationScene import BALLS, addStylus, fill, moveTip, toRas


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


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
