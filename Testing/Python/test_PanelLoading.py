"""The three modules load as Slicer loads them, and their panels follow the scene."""

import pytest

MODULES = ("FusionRegistration", "ProcedureLog", "IntradiscalNav")


@pytest.mark.parametrize("name", MODULES)
def test_moduleDescribesItself(panels, name):
    import slicer

    panels.load(name)
    description = getattr(slicer.modules, name.lower())
    # what qSlicerModuleGenericTest of Slicer insists on
    assert description.title and description.helpText and description.acknowledgementText
    assert description.categories == ["IGT"] and description.contributors
    assert description.dependencies == [], "a missing dependency would make Slicer drop the module without a word"


@pytest.mark.parametrize("name", MODULES)
def test_panelOpensAndCloses(panels, name):
    observersBefore = panels.scene.HasObserver("ModifiedEvent")
    widget = panels.openPanel(name)
    assert widget.logic is not None
    panels.closePanel(widget)
    assert panels.scene.HasObserver("ModifiedEvent") == observersBefore


@pytest.mark.parametrize("name", MODULES)
def test_panelSurvivesSceneClose(panels, name):
    widget = panels.openPanel(name)
    node = widget._parameterNode.parameterNode
    panels.scene.Clear(0)
    assert widget._parameterNode is not None, "the panel is open: it needs its parameter node again"
    assert widget._parameterNode.parameterNode.GetScene() is panels.scene
    assert widget._parameterNode.parameterNode.GetSingletonTag() == name == node.GetSingletonTag()


@pytest.mark.parametrize("name", MODULES)
def test_selfTestPasses(panels, name):
    module = panels.load(name)
    getattr(module, f"{name}Test")().runTest()


def test_pointsAreRegistered(panels):
    import numpy as np
    import slicer

    widget = panels.openPanel("FusionRegistration")
    button = widget.ui.registerPointsButton
    assert not button.enabled and "CT" in button.toolTip
    rng = np.random.default_rng(4)
    patient = rng.uniform(-60, 60, (5, 3))
    # quarter turn about S, then a shift, written down by hand
    ct = np.column_stack([10 - patient[:, 1], patient[:, 0] - 20, patient[:, 2] + 30])
    for selector, points in ((widget.ui.ctPointsSelector, ct), (widget.ui.referencePointsSelector, patient)):
        slicer.util.updateMarkupsControlPointsFromArray(selector.addNode(), points)
    assert not button.enabled and "result" in button.toolTip
    result = widget.ui.referenceToRasSelector.addNode()
    assert button.enabled
    button.click()
    expected = [[0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(result), expected, atol=1e-9)
