"""The usual mistakes in lists of points, made in the panel of FusionRegistration: each is named there, and none becomes a registration."""

import numpy as np
import pytest
from RegistrationScene import REFERENCE_TO_RAS, fill

# six markers on the back of a patient in a CT that lies beside the origin, as CTs do
IN_CT = np.array([[-60, -120, -400], [-15, -125, -402], [-50, -122, -350], [0, -128, -340], [-30, -126, -310], [15, -124, -365.0]])
TARGET = np.array([[-20, -60, -360.0]])
ON_PATIENT = (IN_CT - REFERENCE_TO_RAS[:3, 3] - [0, 0, -400]) @ REFERENCE_TO_RAS[:3, :3]


@pytest.fixture
def panel(panels):
    import slicer

    panel = panels.openPanel("FusionRegistration")
    volume = slicer.util.addVolumeFromArray(np.zeros((40, 50, 50), np.int16), name="CT")
    volume.SetSpacing(4, 4, 4)
    volume.SetOrigin(-120, -180, -440)  # to R 80, A 20, S -280
    panel.ui.ctVolumeSelector.setCurrentNode(volume)
    fill(panel.ui.targetsSelector, TARGET, ("L4-L5",))
    return panel


def isRefused(panel, text):
    """Told in the panel before anything is pressed; pressed anyway, nothing is registered and the same is said."""
    import PythonQtStyle

    assert text in panel.ui.problemsLabel.text, panel.ui.problemsLabel.text
    panel.ui.registerPointsButton.click()
    assert [text in str(error) for error in PythonQtStyle.slotErrors] == [True]
    PythonQtStyle.slotErrors.clear()
    return panel._parameterNode.fit is None and "Not registered" in panel.ui.verdictLabel.text


def test_goodListsHaveNoProblems(panel):
    fill(panel.ui.ctPointsSelector, IN_CT)
    fill(panel.ui.referencePointsSelector, ON_PATIENT)
    assert panel.ui.problemsLabel.text == "" and not panel.ui.problemsLabel.visible
    panel.ui.registerPointsButton.click()
    assert panel.logic.fitOf(panel._parameterNode).freMm < 1e-6


def withDuplicate(points):
    changed = points.copy()
    changed[4] = changed[1] + [0.1, 0, 0]
    return changed


def withNan(points):
    changed = points.copy()
    changed[2, 1] = np.nan
    return changed


def outside(points):
    changed = points.copy()
    changed[5] = [300, -124, -365]
    return changed


MISTAKES = {
    "duplicate": (IN_CT, withDuplicate(ON_PATIENT), "at the same place"),
    "not a number": (IN_CT, withNan(ON_PATIENT), "no valid position"),
    "metres": (IN_CT, ON_PATIENT / 1000, "look like metres"),
    "LPS for RAS": (IN_CT * [-1, -1, 1], ON_PATIENT, "are in LPS"),
    "swapped": (ON_PATIENT, IN_CT, "the two lists are swapped"),
    "outside the CT": (outside(IN_CT), ON_PATIENT, "outside the CT"),
    "on a line": (IN_CT, ON_PATIENT * [1, 0.001, 0.001], "on a line"),
}


@pytest.mark.parametrize("anyOrder", [False, True])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakeIsNamedAndRefused(panel, mistake, anyOrder):
    ctPoints, onPatient, text = MISTAKES[mistake]
    panel.ui.anyOrderCheck.checked = anyOrder
    fill(panel.ui.ctPointsSelector, ctPoints)
    fill(panel.ui.referencePointsSelector, onPatient)
    assert isRefused(panel, text)


def test_fewerThanThreeAreRefused(panel):
    fill(panel.ui.ctPointsSelector, IN_CT)
    fill(panel.ui.referencePointsSelector, ON_PATIENT[:2])
    assert "only 2 measured points" in panel.ui.problemsLabel.text
    assert not panel.ui.registerPointsButton.enabled and "3 points" in panel.ui.registerPointsButton.toolTip


def test_lpsIsNoticedByTheTargetAloneWhenTheCtHidesIt(panel):
    """A CT centred in R and A holds the points with either sign: only the side of the target tells."""
    shifted = IN_CT - [-20, -60, 0]
    panel.ui.ctVolumeSelector.currentNode().SetOrigin(-100, -100, -440)
    fill(panel.ui.targetsSelector, TARGET - [-20, -60, 0], ("L4-L5",))
    fill(panel.ui.ctPointsSelector, shifted * [-1, -1, 1])
    fill(panel.ui.referencePointsSelector, ON_PATIENT)
    assert isRefused(panel, "are in LPS")


def test_orderAndMirrorAreNamedWithAFixedOrder(panel):
    panel.ui.anyOrderCheck.checked = False
    fill(panel.ui.ctPointsSelector, IN_CT[[2, 0, 1, 5, 3, 4]])
    fill(panel.ui.referencePointsSelector, ON_PATIENT)
    assert isRefused(panel, "different orders")
    # a layout with depth, so that its mirror image is none of its own
    deep = IN_CT + np.outer([0, 30, 0, 10, 45, 0], [0, 1, 0])
    fill(panel.ui.ctPointsSelector, deep)
    fill(panel.ui.referencePointsSelector, (deep - [0, 0, -400]) * [-1, 1, 1])
    assert isRefused(panel, "mirrored")


def test_problemGoesWhenThePointIsMoved(panel):
    fill(panel.ui.ctPointsSelector, outside(IN_CT))
    node = fill(panel.ui.referencePointsSelector, ON_PATIENT)
    assert "outside the CT" in panel.ui.problemsLabel.text
    panel._parameterNode.ctPoints.SetNthControlPointPosition(5, *IN_CT[5])
    assert panel.ui.problemsLabel.text == ""
    node.SetNthControlPointPosition(0, *ON_PATIENT[1])
    assert "same place" in panel.ui.problemsLabel.text
