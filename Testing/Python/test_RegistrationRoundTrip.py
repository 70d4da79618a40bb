"""Everything that the panel of FusionRegistration shows is in the scene: saved, closed and reopened, nothing is lost."""

import numpy as np
from RegistrationScene import BALLS, addStylus, fill, moveTip, toRas

POINTS = np.vstack([BALLS, [[75, 20, 5], [20, 30, 4]]])
KNOWN = np.array([[33.0, 20, 0], [12, 70, 0]])


def shown(panel):
    """What a person sees of the registration."""
    ui = panel.ui
    tables = (ui.residualsTable, ui.verificationTable)
    labels = (ui.verdictLabel, ui.verifyLabel, ui.calibrationLabel, ui.problemsLabel, ui.errorMapLabel)
    return {
        "tables": [[[t.item(row, column).text() for column in range(3)] for row in range(t.rowCount)] for t in tables],
        "labels": [label.text for label in labels],
        "direction": (ui.fleDirectionCombo.currentText, ui.fleRatioSpin.value),
        "arrows": (ui.residualsCheck.checked, ui.magnificationSpin.value, panel._parameterNode.residuals.model.GetName()),
        "canConfirm": ui.confirmRegistrationButton.enabled,
        "passLine": ui.passLimitSpin.value,
    }


def test_registrationIsReopenedAsItWasLeft(panels, tmp_path):
    import slicer

    panel = panels.openPanel("FusionRegistration")
    random = np.random.default_rng(5)
    touched = POINTS + random.normal(0, 0.2, POINTS.shape)
    touched[3] += [4, -4, 2]
    panel.ui.anyOrderCheck.checked = False
    panel.ui.robustCheck.checked = True
    panel.ui.patientTrackedCheck.checked = False
    panel.ui.passLimitSpin.value = 2.5
    panel.ui.magnificationSpin.value = 15
    panel.ui.fleDirectionCombo.setCurrentText("head to feet")
    fill(panel.ui.ctPointsSelector, toRas(POINTS), [f"M{index + 1}" for index in range(len(POINTS))])
    fill(panel.ui.referencePointsSelector, touched)
    fill(panel.ui.targetsSelector, toRas(np.array([[30.0, 40, -80]])), ("L4-L5",))
    stylus = addStylus(panel)
    panel.ui.registerPointsButton.click()
    fill(panel.ui.knownSelector, toRas(KNOWN), ("A", "B"))
    for index, errorMm in enumerate((0.7, 3.1)):
        moveTip(stylus, KNOWN[index] + [0, 0, errorMm])
        panel.ui.stylusTipSelector.currentNode().Modified()
        panel.ui.verifyButton.click()
    panel.logic.setDoubt(panel._parameterNode, ["The patient's reference jumped by 12.0 mm."])
    panel.ui.toolSelector.setCurrentNode(stylus)
    panel.ui.tipSelector.setCurrentNode(panel.ui.stylusTipSelector.currentNode())
    panel.ui.needleLengthSpin.value = 100
    panel.ui.needleDataButton.click()
    before, fit = shown(panel), panel.logic.fitOf(panel._parameterNode)
    verdict = before["labels"][0]
    for text in ("△ The patient's reference jumped", "Expected error at L4-L5", "not tracked", "M4", " mm at B; above the limit of 2.5 mm"):
        assert text in verdict, text
    assert any(row[0] == "△ M4 ✗" for row in before["tables"][0]) and len(before["tables"][1]) == 2

    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panels.closePanel(panel)
    panels.scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel = panels.openPanel("FusionRegistration")
    assert shown(panel) == before
    back = panel.logic.fitOf(panel._parameterNode)
    np.testing.assert_array_equal(back.fromToTo, fit.fromToTo)
    np.testing.assert_array_equal(back.covariance, fit.covariance)
    # and it goes on: a point can be measured again, and the verification continued
    panel.ui.residualsTable.selectRow(3)
    assert panel.ui.measureAgainButton.enabled
    stylus = slicer.util.getNode("StylusToReference")
    moveTip(stylus, KNOWN[1] + [0, 0, 0.4])
    panel.ui.stylusTipSelector.currentNode().Modified()
    panel.ui.verifyButton.click()
    assert panel.logic.verificationOf(panel._parameterNode).passed
