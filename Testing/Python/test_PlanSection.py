"""Paths in the panel: in a table and as lines, dragged, locked, compared, kept in the scene."""

import numpy as np
import pytest
from PlanInPanel import cells, drag, endsOf, lines, step

from IntradiscalNavLib.Planning.PathEvaluation import evaluateTrajectory, recheckTrajectory

# --- the table


def test_offeredPathsAreRowsAndLines(plannedPanel):
    book = plannedPanel.logic.paths.book
    assert len(book.entries) >= 3
    assert [row[0].split(" ", 1)[1] for row in cells(plannedPanel)] == [entry.name for entry in book.entries]
    assert set(lines()) == {entry.name for entry in book.entries}
    for entry, row in zip(book.entries, cells(plannedPanel)):
        path, node = entry.trajectory, lines()[entry.name]
        np.testing.assert_allclose(endsOf(node), [path.entryRas, path.targetRas], atol=1e-3)
        assert row[1] == f"L {round(path.medialInclinationDeg)}/{round(path.caudalTiltDeg)}°" and row[2] == f"{path.lengthMm:.0f}"
        name, value = row[3].rsplit(" ", 1)
        assert float(value) == pytest.approx(path.clearancesMm[name], abs=0.051)
        assert row[4] == f"{100 * path.violationProbability:.0f} %"
        np.testing.assert_allclose(node.GetDisplayNode().GetSelectedColor(), {"✓": (0, 0.62, 0.45), "△": (0.9, 0.62, 0)}[row[0][0]])
    assert plannedPanel._parameterNode.path is lines()[book.entries[0].name]


def test_clickOnARowMakesItThePath(plannedPanel):
    plannedPanel.ui.pathsTable.cellClicked.emit(2, 0)
    entry = plannedPanel.logic.paths.book.entries[2]
    assert plannedPanel._parameterNode.path.GetName() == entry.name == plannedPanel.ui.pathNameEdit.text
    assert f"{entry.trajectory.lengthMm:.0f} mm" in plannedPanel.ui.planLabel.text
    shown, other = lines()[entry.name].GetDisplayNode(), lines()[plannedPanel.logic.paths.book.entries[0].name].GetDisplayNode()
    assert shown.GetOpacity() == 1.0 > other.GetOpacity() and other.GetVisibility()
    plannedPanel.ui.allPathsCheck.checked = False
    assert not other.GetVisibility() and shown.GetVisibility()
    plannedPanel.ui.otherPathButton.click()
    assert plannedPanel._parameterNode.path.GetName() == plannedPanel.logic.paths.book.entries[3].name


def test_lockCopyRenameRemoveUndoRedo(plannedPanel):
    ui, paths = plannedPanel.ui, plannedPanel.logic.paths
    first = paths.book.entries[0].name
    ui.lockPathButton.click()
    assert ui.lockPathButton.checked and lines()[first].GetLocked() and "▣" in cells(plannedPanel)[0][0]
    assert not ui.removePathButton.enabled and "locked" in ui.removePathButton.toolTip
    ui.duplicatePathButton.click()
    copy = plannedPanel._parameterNode.path
    assert copy.GetName() == f"{first} copy" and not copy.GetLocked() and not ui.lockPathButton.checked
    np.testing.assert_allclose(endsOf(copy), endsOf(lines()[first]))
    ui.pathNameEdit.text = "mine"
    ui.pathNameEdit.editingFinished.emit()
    assert copy.GetName() == "mine" and paths.selectedEntry(plannedPanel._parameterNode).name == "mine"
    ui.removePathButton.click()
    assert "mine" not in lines() and plannedPanel._parameterNode.path is not None
    ui.undoPathButton.click()
    assert "mine" in lines()
    for _step in ("rename", "copy", "lock", "plan"):
        ui.undoPathButton.click()
    assert not lines() and not ui.undoPathButton.enabled and "taken back" in ui.undoPathButton.toolTip
    while ui.redoPathButton.enabled:
        ui.redoPathButton.click()
    assert "mine" not in lines() and lines()[first].GetLocked(), "the last step was the removal"


def test_buttonsWithoutAPathSayWhy(planPanel):
    for name in ("lockPath", "duplicatePath", "removePath", "undoPath", "redoPath", "otherPath", "check"):
        button = getattr(planPanel.ui, f"{name}Button")
        assert not button.enabled and button.toolTip, name
    assert "table" in planPanel.ui.duplicatePathButton.toolTip and "draw" in planPanel.ui.checkButton.toolTip
    assert not planPanel.ui.pathNameEdit.enabled


def test_twoSelectedRowsAreCompared(plannedPanel):
    table = plannedPanel.ui.pathsTable
    assert not plannedPanel.ui.compareTable.visible
    table.clearSelection()
    for row in (0, 1):
        table.item(row, 0).setSelected(True)
    a, b = (entry.trajectory for entry in plannedPanel.logic.paths.book.entries[:2])
    shown = {
        plannedPanel.ui.compareTable.item(row, 0).text(): [plannedPanel.ui.compareTable.item(row, column).text() for column in (1, 2, 3)]
        for row in range(plannedPanel.ui.compareTable.rowCount)
    }
    assert plannedPanel.ui.compareTable.visible
    assert shown["Length"] == [f"{a.lengthMm:.0f} mm", f"{b.lengthMm:.0f} mm", f"{b.lengthMm - a.lengthMm:+.0f} mm"]
    assert shown["root"][0] == f"{a.clearancesMm['root']:.1f} mm"


def test_anotherPlanReplacesTheOfferedAndKeepsTheRest(plannedPanel):
    paths, node = plannedPanel.logic.paths, plannedPanel._parameterNode
    locked = paths.book.entries[1]
    paths.select(node, locked.number)
    paths.lock(node)
    mine = paths.duplicate(node)
    plannedPanel.ui.sideCombo.currentText = "right"
    plannedPanel.ui.planButton.click()
    kept = {entry.number for entry in paths.book.entries}
    assert {locked.number, mine} <= kept and not any(entry.name.startswith("best L4-L5 left") for entry in paths.book.entries)
    assert paths.selectedEntry(node).trajectory.side == "right"


# --- dragging


def test_draggedPathIsEvaluatedWhileItMovesAndOnceUndone(plannedPanel):
    paths, node = plannedPanel.logic.paths, plannedPanel._parameterNode
    before = paths.selectedEntry(node).trajectory
    seen = []
    shownNumbers = plannedPanel.sections[1].showNumbers

    def watch(parameterNode):
        shownNumbers(parameterNode)
        seen.append((paths.selectedEntry(node).trajectory, plannedPanel.ui.planLabel.text, cells(plannedPanel)[0][2]))

    plannedPanel.sections[1].showNumbers = watch
    drag(node.path, [np.array([shift, 0.0, 0.0]) for shift in np.arange(2.0, 42.0, 4.0)])
    plannedPanel.sections[1].showNumbers = shownNumbers
    context = paths.contexts.known("disc", "L4-L5", "left")
    entries = [before.entryRas + np.array([shift, 0, 0]) for shift in np.arange(2.0, 42.0, 4.0)]
    for entry, (path, text, length) in zip(entries, seen):
        expected = evaluateTrajectory(context, entry, before.targetRas)
        assert path.lengthMm == pytest.approx(expected.lengthMm, abs=0.01) and length == f"{expected.lengthMm:.0f}"
        assert path.clearancesMm["bone"] == pytest.approx(expected.clearancesMm["bone"], abs=0.05)
        assert all(limit.name in text for limit in path.failing)
    last = paths.selectedEntry(node).trajectory
    assert last.failing and last.rechecked, "the path now runs steeply through bone"
    assert cells(plannedPanel)[0][0].startswith("✗")
    np.testing.assert_allclose(node.path.GetDisplayNode().GetSelectedColor(), (0.84, 0.15, 0.1))
    assert step(plannedPanel).state.value == "△" and all(limit.name in step(plannedPanel).why for limit in last.failing)
    plannedPanel.ui.undoPathButton.click()
    np.testing.assert_allclose(endsOf(node.path)[0], before.entryRas, atol=1e-3)
    assert cells(plannedPanel)[0][0][0] == "△" and "✗" not in plannedPanel.ui.planLabel.text
    plannedPanel.ui.undoPathButton.click()
    assert not paths.book.entries, "the whole drag was one step; the one before was the plan"


def test_aScriptThatMovesALineMakesOneStepEach(plannedPanel):
    import slicer

    paths, node = plannedPanel.logic.paths, plannedPanel._parameterNode
    start = endsOf(node.path).copy()
    for shift in (1.0, 2.0):
        slicer.util.updateMarkupsControlPointsFromArray(node.path, start + np.array([shift, 0, 0]), world=True)
    paths.undo(node)
    np.testing.assert_allclose(endsOf(node.path), start + np.array([1.0, 0, 0]), atol=1e-3)


def test_lockedPathDoesNotMoveTheBook(plannedPanel):
    import slicer

    paths, node = plannedPanel.logic.paths, plannedPanel._parameterNode
    paths.lock(node)
    before = paths.selectedEntry(node).trajectory
    slicer.util.updateMarkupsControlPointsFromArray(node.path, endsOf(node.path) + np.array([5.0, 0, 0]), world=True)
    assert paths.selectedEntry(node).trajectory is before
    assert "locked" in plannedPanel.ui.planLabel.text and step(plannedPanel).state.value == "△"
    paths.check(node)
    np.testing.assert_allclose(endsOf(node.path)[0], before.entryRas, atol=1e-3)


def test_drawnLineIsCheckedAndJoinsTheBook(planPanel):
    import slicer

    line = planPanel.ui.pathSelector.addNode()
    slicer.util.updateMarkupsControlPointsFromArray(line, np.array([[70.0, -80, 0], [0, 0, 0.0]]))
    assert "by hand" in step(planPanel).why and planPanel.ui.checkButton.enabled
    center = planPanel.logic.anatomy(planPanel._parameterNode).disc("L4-L5").centerRas
    slicer.util.updateMarkupsControlPointsFromArray(line, center + np.array([[75.0, -90, 0], [0, 0, 0.0]]))
    planPanel.ui.checkButton.click()
    entry = planPanel.logic.paths.selectedEntry(planPanel._parameterNode)
    assert entry.name == line.GetName() and entry.trajectory.side == "right" and entry.trajectory.hardLimits
    assert planPanel._parameterNode.path is line and cells(planPanel)[0][0].endswith(line.GetName())
    assert "by hand" not in step(planPanel).why


def test_changedLimitsMakeThePlanDoubtfulUntilChecked(plannedPanel):
    plannedPanel.ui.confirmLevelCheck.click()
    assert step(plannedPanel).state.value == "✓"
    plannedPanel.ui.rootMarginSpin.value = 14.0
    assert step(plannedPanel).state.value == "△" and "Check" in step(plannedPanel).why
    plannedPanel.ui.checkButton.click()
    assert "root" in step(plannedPanel).why, "no path keeps 14 mm from the root"
    assert all(row[0].startswith("✗") for row in cells(plannedPanel))


def test_recheckFindsBoneThatTheFieldLetSlip(plannedPanel, monkeypatch):
    from IntradiscalNavLib.Planning import PathEvaluation

    path = plannedPanel.logic.paths.book.entries[0].trajectory
    context = plannedPanel.logic.paths.contexts.known("disc", "L4-L5", "left")
    assert recheckTrajectory(context, path).legal
    monkeypatch.setattr(PathEvaluation, "crossesBone", lambda *_: np.array([True]))
    grazing = recheckTrajectory(context, path)
    assert [limit.name for limit in grazing.failing] == ["bone"] and "resolution" in grazing.limitedBy


# --- the scene


def test_reopenedSceneShowsTheSamePaths(panels, plannedPanel, tmp_path):
    import slicer

    paths, node = plannedPanel.logic.paths, plannedPanel._parameterNode
    plannedPanel.ui.confirmLevelCheck.click()
    paths.select(node, paths.book.entries[2].number)
    paths.lock(node)
    drag(lines()[paths.book.entries[1].name], [np.array([1.0, 0, 0])])
    expected, texts = paths.book.toDict(), cells(plannedPanel)
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    panels.scene.Clear(0)
    assert cells(plannedPanel) == [] and not lines()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    plannedPanel.enter()
    node = plannedPanel._parameterNode
    assert paths.book.toDict() == expected and cells(plannedPanel) == texts
    assert len(lines()) == len(expected["entries"]), "each line was found again, none was made twice"
    assert node.path is lines()[paths.book.entries[2].name] and node.path.GetLocked()
    assert step(plannedPanel).state.value == "✓" and plannedPanel.ui.confirmLevelCheck.checked
    moved = lines()[paths.book.entries[0].name]
    paths.select(node, paths.book.entries[0].number)
    drag(moved, [np.array([2.0, 0, 0])])
    assert "Check" in plannedPanel.ui.planLabel.text, "without the anatomy worked out nothing is claimed"
    plannedPanel.ui.checkButton.click()
    np.testing.assert_allclose(paths.book.entries[0].trajectory.entryRas, endsOf(moved)[0], atol=1e-3)


def test_damagedPathsOfASceneAreTold(panels, plannedPanel):
    from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, findDocumentNode

    findDocumentNode(panels.scene, DocumentRole.PATHS).SetText("{not json")
    plannedPanel.update()
    assert "can't be read" in plannedPanel.ui.planLabel.text


def test_whatIsDoneToTheNodesIsFollowed(panels, plannedPanel):
    paths = plannedPanel.logic.paths
    first, second, third = (entry.name for entry in paths.book.entries[:3])
    panels.scene.RemoveNode(lines()[second])
    lines()[third].SetName("renamed elsewhere")
    lines()[first].SetLocked(True)
    plannedPanel.update()
    assert [entry.name for entry in paths.book.entries[:2]] == [first, "renamed elsewhere"]
    assert paths.book.entries[0].locked
    panels.scene.RemoveNode(lines()[first])
    plannedPanel.update()
    assert first in lines(), "the line of a locked path comes back"
    plannedPanel.ui.lockPathButton.click()
    panels.scene.RemoveNode(lines()[first])
    plannedPanel.update()
    assert first not in lines() and len(paths.book.entries) == len(lines())
