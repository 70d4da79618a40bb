"""What a plan is good for in the panel: the map on the skin, the views of the path, the plan in files."""

import csv
import json
import sys

import numpy as np
import pytest
from PlanInPanel import endsOf


def mapArray(panel, name):
    from vtk.util.numpy_support import vtk_to_numpy

    return vtk_to_numpy(panel.logic.skinMap.node.GetPolyData().GetPointData().GetArray(name))


def test_skinMapTellsWhereALegalPathStarts(plannedPanel):
    import slicer
    import vtk

    ui, logic = plannedPanel.ui, plannedPanel.logic
    ui.skinMapCheck.click()
    node = logic.skinMap.node
    assert ui.skinMapCheck.checked and node.GetDisplayNode().GetVisibility() and node.GetDisplayNode().GetScalarVisibility()
    index, share, reason, score = (mapArray(plannedPanel, name) for name in ("Color", "LegalTargetShare", "Reason", "BestScore"))
    np.testing.assert_array_equal(index == 0, reason != 0)
    np.testing.assert_array_equal(index == 1, (reason == 0) & (share == 0))
    legal = index >= 2
    assert legal.any() and np.corrcoef(index[legal], score[legal])[0, 1] > 0.999
    assert index[legal].min() == pytest.approx(2) and index.max() == pytest.approx(255)
    locator = vtk.vtkPointLocator()
    locator.SetDataSet(node.GetPolyData())
    locator.BuildLocator()
    for entry in logic.paths.book.entries:
        assert legal[locator.FindClosestPoint(entry.trajectory.entryRas)], "the offered paths start where the map says so"
    ui.skinMapCombo.currentIndex = 1
    assert np.corrcoef(mapArray(plannedPanel, "Color")[legal], share[legal])[0, 1] > 0.999
    assert len([model for model in slicer.util.getNodesByClass("vtkMRMLModelNode") if model is node]) == 1
    ui.skinMapCheck.click()
    assert not ui.skinMapCheck.checked and not node.GetDisplayNode().GetVisibility()


def test_skinMapColorsAreToldApartWithoutColor(plannedPanel):
    """Lightness alone orders the legal scores, and sets them off from the two other kinds of skin."""
    plannedPanel.ui.skinMapCheck.click()
    colors = plannedPanel.logic.skinMap.node.GetDisplayNode().GetColorNode()
    rgb = np.zeros((256, 4))
    for index in range(256):
        color = [0.0] * 4
        colors.GetColor(index, color)
        rgb[index] = color
    luminance = rgb[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[2:]) > -1e-3).all() and luminance[255] - luminance[2] > 0.7
    assert colors.GetColorName(1) == "no legal path" and colors.GetColorName(0) == "out of reach"


def test_skinMapFollowsThePlanAndHidesWhenItNoLongerHolds(planPanel):
    ui, logic = planPanel.ui, planPanel.logic
    assert not ui.skinMapCheck.enabled and "Plan first" in ui.skinMapCheck.toolTip
    ui.planButton.click()
    ui.skinMapCheck.click()
    first = logic.skinMap.node.GetPolyData()
    ui.sideCombo.currentText = "right"
    assert not logic.skinMap.isShown, "the map is that of the left side"
    ui.planButton.click()
    ui.skinMapCheck.click()
    assert "right" in logic.skinMap.node.GetName()
    ui.planButton.click()
    assert logic.skinMap.isShown and logic.skinMap.node.GetPolyData() is not first
    ui.rootMarginSpin.value = 5.0
    assert not logic.skinMap.isShown and "plan again" in ui.skinMapCheck.toolTip


def addSliceViews(scene):
    """Slice and composite node of the views that show a path, as a layout makes them."""
    from IntradiscalNavLib.Views.NavigationLayout import PATH_ACROSS, PATH_ALONG, TARGET

    nodes = {}
    for view in (PATH_ALONG, PATH_ACROSS, TARGET):
        nodes[view] = scene.AddNewNodeByClass("vtkMRMLSliceNode", view.tag)
        scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode", view.tag).SetLayoutName(view.tag)
        nodes[view].SetLayoutName(view.tag)
        nodes[view].SetDimensions(400, 300, 1)
    return nodes


def test_viewsAreTurnedAlongAndAcrossThePathAndFollowIt(panels, plannedPanel):
    import slicer

    from IntradiscalNavLib.Views.NavigationLayout import PATH_ACROSS, PATH_ALONG, TARGET

    button = plannedPanel.ui.pathViewsButton
    assert not button.enabled and "no slice views" in button.toolTip
    views = addSliceViews(panels.scene)
    plannedPanel.update()
    button.click()
    assert button.checked

    def local(view, point):
        sliceToRas = slicer.util.arrayFromVTKMatrix(views[view].GetSliceToRAS())
        return np.linalg.inv(sliceToRas) @ [*point, 1]

    def assertShown():
        entry, target = endsOf(plannedPanel._parameterNode.path)
        for view in (PATH_ALONG, PATH_ACROSS):
            for point in (entry, target):
                x, y, z, _one = local(view, point)
                assert abs(z) < 1e-3, "both ends lie in the plane"
                width, height = views[view].GetFieldOfView()[:2]
                assert abs(x) < width / 2 and abs(y) < height / 2, "and in the picture"
        np.testing.assert_allclose(local(TARGET, entry)[:2], local(TARGET, target)[:2], atol=1e-3)

    assertShown()
    composite = next(node for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode") if node.GetLayoutName() == PATH_ALONG.tag)
    assert composite.GetBackgroundVolumeID() == plannedPanel._parameterNode.ctVolume.GetID()
    plannedPanel.ui.otherPathButton.click()
    assertShown()
    slicer.util.updateMarkupsControlPointsFromArray(
        plannedPanel._parameterNode.path, endsOf(plannedPanel._parameterNode.path) + np.array([[2.0, 0, 3.0], [0, 0, 0]])
    )
    assertShown()
    button.click()
    before = slicer.util.arrayFromVTKMatrix(views[PATH_ALONG].GetSliceToRAS())
    plannedPanel.ui.otherPathButton.click()
    np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(views[PATH_ALONG].GetSliceToRAS()), before)


def test_planIsWrittenActivePathFirst(plannedPanel, tmp_path):
    from IntradiscalNavLib.Planning.PlanSerialization import trajectoriesFromJson

    ui, paths = plannedPanel.ui, plannedPanel.logic.paths
    assert not ui.writePlanButton.enabled and "folder" in ui.writePlanButton.toolTip
    ui.planFolderEdit.currentPath = str(tmp_path / "plan")
    ui.confirmLevelCheck.click()
    ui.planSessionButton.click()
    paths.select(plannedPanel._parameterNode, paths.book.entries[8].number)
    ui.writePlanButton.click()
    assert "plan.html" in ui.planOutputLabel.text
    active = paths.selectedEntry(plannedPanel._parameterNode)
    document = json.loads((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))
    read = trajectoriesFromJson((tmp_path / "plan" / "plan.json").read_text(encoding="utf-8"))
    assert read[0].name == active.name and len(read) == len(paths.book.entries)
    np.testing.assert_allclose(read[0].entryRas, active.trajectory.entryRas, atol=1e-5)
    assert document["levelConfirmed"] and [step["order"] for step in document["session"]["steps"]] == list(range(1, 8))
    with (tmp_path / "plan" / "plan.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["name"] for row in rows] == [path.name for path in read]
    assert float(rows[0]["lengthMm"]) == pytest.approx(active.trajectory.lengthMm, abs=0.01)
    page = (tmp_path / "plan" / "plan.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 4 and "Level, confirmed" in page and "Order of the session" in page
    assert all(entry.name in page for entry in paths.book.entries)
    ui.duraMarginSpin.value = 5.0
    assert not ui.writePlanButton.enabled and "Check" in ui.writePlanButton.toolTip


def test_pageSaysWhyItHasNoPictures(plannedPanel, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    plannedPanel._parameterNode.planFolder = tmp_path
    plannedPanel.ui.writePlanButton.click()
    page = (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert "<img" not in page and "Pillow" in page
