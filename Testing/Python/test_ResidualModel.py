"""Residuals in 3D: arrows of known residuals, in step with the registration, kept with the scene."""

import numpy as np
import pytest
from RegistrationScene import BALLS, REFERENCE_TO_RAS, fill, toRas
from vtk.util.numpy_support import vtk_to_numpy

BLUE, VERMILION = (0, 114, 178), (213, 94, 0)


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


def register(panel, ctPoints, referencePoints=BALLS):
    """Both lists in the same order, the CT's named A, B, …"""
    panel.ui.anyOrderCheck.checked = False
    fill(panel.ui.ctPointsSelector, ctPoints, "ABCDEFGH"[: len(ctPoints)])
    fill(panel.ui.referencePointsSelector, referencePoints)
    panel.ui.registerPointsButton.click()


def arrowAt(polyData, start, withinMm):
    """(tip minus start, largest distance from the axis, colours) of the one arrow whose points lie around its start."""
    offsets = vtk_to_numpy(polyData.GetPoints().GetData()) - start
    near = np.linalg.norm(offsets, axis=1) < withinMm
    colors = vtk_to_numpy(polyData.GetPointData().GetArray("ResidualColor"))[near]
    offsets = offsets[near]
    tip = offsets[np.argmax(np.linalg.norm(offsets, axis=1))]
    across = offsets - np.outer(offsets @ tip, tip) / (tip @ tip)
    return tip, np.linalg.norm(across, axis=1).max(), {tuple(color) for color in colors}


# Four corners of a square, two of them 2 mm outward along one diagonal, two 2 mm inward along the other: by symmetry the best fit neither
# moves nor turns, so that the residuals are the shifts themselves.
SQUARE = np.array([[50, 0, 0], [0, 50, 0], [-50, 0, 0], [0, -50, 0.0]])
SHIFTS = np.array([[2, 0, 0], [0, -2, 0], [-2, 0, 0], [0, 2, 0.0]])


def test_arrowsAreTheKnownResidualsMagnified(panel):
    register(panel, SQUARE + SHIFTS, SQUARE)
    fit = panel.logic.fitOf(panel._parameterNode)
    np.testing.assert_allclose(fit.residualVectorsMm, SHIFTS, atol=1e-9)
    panel.ui.magnificationSpin.value = 7
    model = panel._parameterNode.residuals.model
    assert model.GetName() == "ResidualVectors x7"
    polyData = model.GetPolyData()
    assert polyData.GetFieldData().GetArray("Magnification").GetValue(0) == 7
    np.testing.assert_allclose(vtk_to_numpy(polyData.GetPointData().GetArray("ResidualMm")), 2, atol=1e-9)
    for corner, shift in zip(SQUARE, SHIFTS):
        tip, radiusMm, colors = arrowAt(polyData, corner + shift, 20)
        np.testing.assert_allclose(tip, -7 * shift, atol=1e-4)  # from the point in the CT to where the fit puts its partner
        assert radiusMm == pytest.approx(1.5, abs=1e-3) and colors == {BLUE}


def test_outlierIsColouredAndThicker(panel):
    points = np.vstack([BALLS, [[80, 10, 4], [20, 20, 6]]])
    moved = toRas(points) + np.random.default_rng(3).normal(0, 0.2, points.shape)
    moved[3] += [0, 0, 7]
    register(panel, moved, points)
    fit = panel.logic.fitOf(panel._parameterNode)
    assert fit.outliers == ("D",)
    polyData = panel._parameterNode.residuals.model.GetPolyData()
    colors = vtk_to_numpy(polyData.GetPointData().GetArray("ResidualColor"))
    lengths = vtk_to_numpy(polyData.GetPointData().GetArray("ResidualMm"))
    marked = (colors == VERMILION).all(axis=1)
    assert set(lengths[marked]) == {fit.residualsMm[3]} and (colors[~marked] == BLUE).all()
    assert len(set(lengths[~marked])) == 6
    only = vtk_to_numpy(polyData.GetPoints().GetData())[marked] - moved[3]
    tip = -10 * fit.residualVectorsMm[3]
    np.testing.assert_allclose(only[np.argmax(only @ tip)], tip, atol=1e-3)
    across = np.linalg.norm(only - np.outer(only @ tip, tip) / (tip @ tip), axis=1)
    assert across.max() == pytest.approx(3.0, abs=1e-2)  # twice as thick as the others: not by colour alone
    display = panel._parameterNode.residuals.model.GetDisplayNode()
    assert display.GetActiveScalarName() == "ResidualColor" and display.GetScalarVisibility()


def test_arrowsFollowANewRegistrationAndGoWithIt(panels, panel):
    register(panel, SQUARE + SHIFTS, SQUARE)
    model = panel._parameterNode.residuals.model
    before = model.GetPolyData().GetBounds()
    fill(panel.ui.ctPointsSelector, SQUARE + 2 * SHIFTS, "ABCD")
    panel.ui.registerPointsButton.click()
    assert panel._parameterNode.residuals.model is model
    assert vtk_to_numpy(model.GetPolyData().GetPointData().GetArray("ResidualMm")).max() == pytest.approx(4)
    assert model.GetPolyData().GetBounds() != before
    panels.scene.RemoveNode(panel._parameterNode.fit)
    assert panel._parameterNode.residuals.model is None
    assert panels.scene.GetFirstNodeByName("ResidualVectors x10") is None


def test_arrowsAreHiddenAndShown(panel):
    panel.ui.residualsCheck.checked = False
    register(panel, SQUARE + SHIFTS, SQUARE)
    assert panel._parameterNode.residuals.model is None
    panel.ui.residualsCheck.checked = True
    model = panel._parameterNode.residuals.model
    assert model.GetDisplayNode().GetVisibility()
    panel.ui.residualsCheck.checked = False
    assert not model.GetDisplayNode().GetVisibility()


def test_exactPointsHaveNoArrows(panel):
    """Residuals of rounding errors are no vectors to show."""
    register(panel, toRas(BALLS))
    np.testing.assert_allclose(panel.logic.fitOf(panel._parameterNode).fromToTo, REFERENCE_TO_RAS, atol=1e-9)
    assert panel._parameterNode.residuals.model.GetPolyData().GetNumberOfPoints() == 0


def test_arrowsComeBackWithTheScene(panels, panel, tmp_path):
    import slicer

    register(panel, SQUARE + SHIFTS, SQUARE)
    bounds = panel._parameterNode.residuals.model.GetPolyData().GetBounds()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panels.scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.enter()
    model = panel._parameterNode.residuals.model
    np.testing.assert_allclose(model.GetPolyData().GetBounds(), bounds, atol=1e-4)
    assert model.GetDisplayNode().GetActiveScalarName() == "ResidualColor"
    assert len(slicer.util.getNodes("ResidualVectors*")) == 1  # the saved one is used again


def test_factorMustBePositive():
    from FusionRegistrationPanel.ResidualModel import residualArrows

    with pytest.raises(ValueError, match="above zero"):
        residualArrows(None, 0)
