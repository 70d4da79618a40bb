"""The panel of FusionRegistration on the Qt stand-ins: every button, every rule, markers and plate, scene close and reload."""

import json

import numpy as np
import pytest
from RegistrationScene import BALLS, addCt, fill, toRas


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


def test_nothingWorksAtFirstAndSaysWhy(panel):
    assert "Not registered" in panel.ui.verdictLabel.text
    for name in ("findMarkers", "registerPlate", "takePoint", "undoPoint", "registerPoints", "extractBone", "registerSurface", "collect"):
        button = getattr(panel.ui, f"{name}Button")
        assert not button.enabled, name
        assert "first" in button.toolTip or "yet" in button.toolTip, f"{name}: {button.toolTip}"


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


def test_damagedFitIsNamed(panel):
    import slicer
    from FusionRegistrationPanel.RegistrationVerdict import readFit

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationQuality")
    node.SetText(json.dumps({"kind": "RigidFit"}))
    with pytest.raises(ValueError, match="RegistrationQuality"):
        readFit(node)
