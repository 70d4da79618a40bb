"""The bone surface coloured by the predicted error, in the panel of FusionRegistration."""

import numpy as np
import pytest
from RegistrationScene import BALLS, fill, toRas
from vtk.util.numpy_support import vtk_to_numpy


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


def addBone(panel, count=300):
    """A model of loose points, as the extraction makes them: a slab 20-90 mm below the balls."""
    import vtk

    random = np.random.default_rng(8)
    place = toRas(np.c_[random.uniform(0, 60, count), random.uniform(0, 80, count), -random.uniform(20, 90, count)])
    points = vtk.vtkPoints()
    for point in place:
        points.InsertNextPoint(*point)
    polyData = vtk.vtkPolyData()
    polyData.SetPoints(points)
    model = panel.ui.boneSurfaceSelector.addNode()
    model.SetAndObservePolyData(polyData)
    panel.update()
    return model, place


def register(panel, seed=1, noiseMm=0.6):
    random = np.random.default_rng(seed)
    panel.ui.anyOrderCheck.checked = False
    fill(panel.ui.ctPointsSelector, toRas(BALLS) + random.normal(0, noiseMm, BALLS.shape))
    fill(panel.ui.referencePointsSelector, BALLS)
    panel.ui.registerPointsButton.click()
    return panel.logic.fitOf(panel._parameterNode)


def errorsOf(model):
    return vtk_to_numpy(model.GetPolyData().GetPointData().GetArray("PredictedError95Mm"))


def test_mapSaysWhatItNeeds(panel):
    assert not panel.ui.errorMapCheck.enabled and "Register" in panel.ui.errorMapCheck.toolTip
    register(panel)
    assert not panel.ui.errorMapCheck.enabled and "bone surface" in panel.ui.errorMapCheck.toolTip
    addBone(panel)
    assert panel.ui.errorMapCheck.enabled and "95 %" in panel.ui.errorMapCheck.toolTip


def test_surfaceIsColouredByThePredictedError(panel):
    import slicer

    fit = register(panel)
    model, place = addBone(panel)
    panel.ui.errorMapCheck.checked = True
    errors = errorsOf(model)
    for row in range(0, len(place), 30):
        assert errors[row] == pytest.approx(fit.targetErrorAt(place[row]).p95Mm, rel=0.025)
    display = model.GetDisplayNode()
    assert display.GetScalarVisibility() and display.GetActiveScalarName() == "PredictedError95Mm"
    np.testing.assert_allclose(display.GetScalarRange(), (errors.min(), errors.max()))
    table = display.GetColorNode().GetLookupTable()
    brightness = [np.dot(table.GetTableValue(index)[:3], (0.2126, 0.7152, 0.0722)) for index in range(table.GetNumberOfTableValues())]
    assert (np.diff(brightness) > 0).all()  # the scale is read by brightness, with any eyes
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(model)
    assert legend.GetVisibility() and "95 %" in legend.GetTitleText()
    text = panel.ui.errorMapLabel.text
    assert f"{errors.min():.1f} mm" in text and f"{errors.max():.1f} mm" in text
    limitMm = float(np.round(np.median(errors), 1))
    panel.ui.passLimitSpin.value = limitMm
    share = (errors <= limitMm).mean()
    assert 0.1 < share < 0.9
    assert f"{100 * share:.0f} % of the bone" in panel.ui.errorMapLabel.text


def test_mapFollowsTheRegistrationAndGoes(panel):
    import slicer

    register(panel)
    model, _place = addBone(panel)
    panel.ui.errorMapCheck.checked = True
    before = errorsOf(model).copy()
    register(panel, seed=1, noiseMm=1.2)
    assert errorsOf(model).mean() == pytest.approx(2 * before.mean(), rel=0.05)  # the same noise, twice as large
    panel.ui.errorMapCheck.checked = False
    assert not model.GetDisplayNode().GetScalarVisibility() and panel.ui.errorMapLabel.text == ""
    assert not slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(model).GetVisibility()


def test_mapComesBackWithTheScene(panels, panel, tmp_path):
    import slicer

    register(panel)
    model, _place = addBone(panel)
    panel.ui.errorMapCheck.checked = True
    before, text = errorsOf(model).copy(), panel.ui.errorMapLabel.text
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panels.scene.Clear(0)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    panel.enter()
    model = panel._parameterNode.surface.boneSurface
    np.testing.assert_allclose(errorsOf(model), before, rtol=2e-3)
    assert panel.ui.errorMapLabel.text == text and model.GetDisplayNode().GetScalarVisibility()
    assert len(slicer.util.getNodes("PredictedErrorColors*")) == 1
