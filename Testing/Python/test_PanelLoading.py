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


@pytest.mark.parametrize("name", MODULES)
def test_panelFitsInto350Pixels(panels, name):
    """With every section open: what doesn't fit is cut off in Slicer's narrow module panel."""
    import ctk

    widget = panels.openPanel(name)
    for section in vars(widget.ui).values():
        if isinstance(section, ctk.ctkCollapsibleButton):
            section.collapsed = False
    panels.application.processEvents()
    assert widget.parent.minimumSizeHint().width() <= 350
