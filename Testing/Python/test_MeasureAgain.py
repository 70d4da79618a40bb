"""A single point measured again in the panel of FusionRegistration: the point, the registration made with it, and undo."""

import numpy as np
import pytest
from RegistrationScene import BALLS, addStylus, fill, moveTip, toRas

NAMES = ("M1", "M2", "M3", "M4", "M5", "M6")
POINTS = np.vstack([BALLS, [[75, 20, 5]]])
WRONG = 3
"""Row of the point that was touched 6 mm beside its marker."""


@pytest.fixture
def panel(panels):
    panel = panels.openPanel("FusionRegistration")
    random = np.random.default_rng(4)
    touched = POINTS + random.normal(0, 0.2, POINTS.shape)
    touched[WRONG] += [4, -4, 2]
    panel.ui.anyOrderCheck.checked = False
    fill(panel.ui.ctPointsSelector, toRas(POINTS), NAMES)
    fill(panel.ui.referencePointsSelector, touched)
    panel.stylus = addStylus(panel)
    return panel


def hold(panel, place, seed=1, durationSec=1.6):
    """Hold the tip still, then lift it; the timer of the panel is turned by hand with a clock of the test."""
    random = np.random.default_rng(seed)
    held = np.asarray(place) + random.normal(0, 0.1, (int(durationSec / 0.05), 3))
    lifted = np.asarray(place) + np.outer(20.0 + np.arange(4), [0, 0, 1])
    for position in np.vstack([held, lifted]):
        moveTip(panel.stylus, position)
        panel.clock += 0.05
        panel.onStylusTimer()


@pytest.fixture
def clocked(panel, monkeypatch):
    import FusionRegistration

    panel.clock = 50.0
    monkeypatch.setattr(FusionRegistration.time, "monotonic", lambda: panel.clock)
    return panel


def placeOf(panel, index):
    import slicer

    return slicer.util.arrayFromMarkupsControlPoints(panel._parameterNode.referencePoints)[index]


def test_buttonSaysWhatItNeeds(panel):
    assert not panel.ui.measureAgainButton.enabled and "table" in panel.ui.measureAgainButton.toolTip
    panel.ui.residualsTable.selectRow(1)
    assert panel.ui.measureAgainButton.enabled
    panel.ui.stylusTipSelector.setCurrentNode(None)
    assert not panel.ui.measureAgainButton.enabled and "stylus" in panel.ui.measureAgainButton.toolTip


def test_outlierIsMeasuredAgainAndUndone(clocked):
    panel = clocked
    panel.ui.registerPointsButton.click()
    before = panel.logic.fitOf(panel._parameterNode)
    assert before.outliers == ("M4",) and panel.ui.residualsTable.item(WRONG, 0).text() == "△ M4"
    wrongPlace, label = placeOf(panel, WRONG), panel._parameterNode.referencePoints.GetNthControlPointLabel(WRONG)
    panel.ui.residualsTable.selectRow(WRONG)
    panel.ui.measureAgainButton.click()
    assert panel.ui.measureAgainButton.checked and "M4" in panel.ui.collectLabel.text
    hold(panel, POINTS[WRONG])

    points = panel._parameterNode.referencePoints
    np.testing.assert_allclose(placeOf(panel, WRONG), POINTS[WRONG], atol=0.15)
    assert points.GetNumberOfControlPoints() == len(POINTS) and points.GetNthControlPointLabel(WRONG) == label
    assert "spread 0." in points.GetNthControlPointDescription(WRONG)
    fit = panel.logic.fitOf(panel._parameterNode)
    assert fit.outliers == () and fit.freMm < 0.4 * before.freMm
    movedMm = np.linalg.norm(placeOf(panel, WRONG) - wrongPlace)
    assert not panel.ui.measureAgainButton.checked and f"{movedMm:.1f} mm from its former place" in panel.ui.collectLabel.text
    assert panel.ui.residualsTable.item(WRONG, 0).text() == "M4"
    assert not panel._stylusTimer.isActive()

    panel.ui.undoPointButton.click()
    np.testing.assert_allclose(placeOf(panel, WRONG), wrongPlace, atol=1e-12)
    assert points.GetNthControlPointDescription(WRONG) == ""
    np.testing.assert_allclose(panel.logic.fitOf(panel._parameterNode).fromToTo, before.fromToTo, atol=1e-12)
    assert "M4 is where it was" in panel.ui.collectLabel.text


def test_pointIsMeasuredAgainBeforeAnyRegistration(clocked):
    panel = clocked
    panel.ui.residualsTable.selectRow(WRONG)
    panel.ui.measureAgainButton.click()
    hold(panel, POINTS[WRONG])
    np.testing.assert_allclose(placeOf(panel, WRONG), POINTS[WRONG], atol=0.15)
    assert panel._parameterNode.fit is None


def test_measuringAgainWhileCollectingGoesOnCollecting(clocked):
    panel = clocked
    panel.ui.collectButton.click()
    panel.ui.residualsTable.selectRow(WRONG)
    panel.ui.measureAgainButton.click()
    hold(panel, POINTS[WRONG])
    hold(panel, [100, 100, 0], seed=2)
    np.testing.assert_allclose(placeOf(panel, WRONG), POINTS[WRONG], atol=0.15)
    np.testing.assert_allclose(placeOf(panel, len(POINTS)), [100, 100, 0], atol=0.15)
    panel.ui.collectButton.click()
    panel.ui.undoPointButton.click()  # the new one
    panel.ui.undoPointButton.click()  # the one measured again
    assert panel._parameterNode.referencePoints.GetNumberOfControlPoints() == len(POINTS)
    assert np.linalg.norm(placeOf(panel, WRONG) - POINTS[WRONG]) > 5


def test_measuringAgainCanBeLeft(clocked):
    panel = clocked
    panel.ui.residualsTable.selectRow(WRONG)
    panel.ui.measureAgainButton.click()
    panel.ui.measureAgainButton.click()
    assert not panel.ui.measureAgainButton.checked and not panel._stylusTimer.isActive()
    former = placeOf(panel, WRONG)
    hold(panel, POINTS[WRONG])
    np.testing.assert_array_equal(placeOf(panel, WRONG), former)


def test_newPlaceThatCannotBeRegisteredIsSaid(clocked):
    """The tip is held on another marker: two points in one place. The registration stays, and undo mends the list."""
    panel = clocked
    panel.ui.registerPointsButton.click()
    before, former = panel.logic.fitOf(panel._parameterNode).fromToTo, placeOf(panel, WRONG)
    panel.ui.residualsTable.selectRow(WRONG)
    panel.ui.measureAgainButton.click()
    hold(panel, placeOf(panel, 0))
    assert "same place" in panel.ui.collectLabel.text and "undo" in panel.ui.collectLabel.text
    np.testing.assert_array_equal(panel.logic.fitOf(panel._parameterNode).fromToTo, before)
    panel.ui.undoPointButton.click()
    np.testing.assert_allclose(placeOf(panel, WRONG), former, atol=1e-12)
    np.testing.assert_allclose(panel.logic.fitOf(panel._parameterNode).fromToTo, before, atol=1e-12)


def test_ballsOfAPlateAreNoPointsOfThePatient(panel, tmp_path):
    from FusionRegistrationLib.MarkerPlate import MarkerPlate

    path = tmp_path / "plate.json"
    MarkerPlate("test plate", NAMES, POINTS, 5.0).save(path)
    panel.ui.referencePointsSelector.setCurrentNode(None)
    panel.ui.plateFileEdit.currentPath = str(path)
    panel.ui.registerPlateButton.click()
    assert panel.ui.residualsTable.rowCount == len(POINTS)
    panel.ui.residualsTable.selectRow(0)
    assert not panel.ui.measureAgainButton.enabled and "No point was taken" in panel.ui.measureAgainButton.toolTip
