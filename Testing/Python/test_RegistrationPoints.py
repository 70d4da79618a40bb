"""Points in the panel of FusionRegistration: taken with the stylus, by hand and by dwelling, matched and registered."""

import numpy as np
import pytest
from RegistrationScene import BALLS, REFERENCE_TO_RAS, addStylus, fill, moveTip, toRas


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


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


def test_pointsThatDoNotMatchAreRefused(panel):
    import PythonQtStyle

    fill(panel.ui.ctPointsSelector, np.random.default_rng(2).uniform(-80, 80, (5, 3)))
    fill(panel.ui.referencePointsSelector, BALLS)
    panel.ui.registerPointsButton.click()
    assert len(PythonQtStyle.slotErrors) == 1 and isinstance(PythonQtStyle.slotErrors[0], ValueError)
    PythonQtStyle.slotErrors.clear()
    assert panel._parameterNode.referenceToRas is None and "Not registered" in panel.ui.verdictLabel.text


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
