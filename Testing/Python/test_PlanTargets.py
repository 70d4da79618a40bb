"""What is planned in the panel: the level and its confirmation, a whole session and its needles, endplates, and what isn't legal."""

import numpy as np
from PlanInPanel import cells, endsOf, lines, step


def test_levelIsCountedAndConfirmedForThisLevelAlone(planPanel):
    ui = planPanel.ui
    assert not ui.confirmLevelCheck.enabled and "Count" in ui.confirmLevelCheck.toolTip
    ui.countLevelButton.click()
    assert "1 disc above the lumbosacral disc" in ui.levelLabel.text
    ui.planButton.click()
    assert step(planPanel).state.value == "△" and "isn't confirmed" in step(planPanel).why
    ui.confirmLevelCheck.click()
    assert ui.confirmLevelCheck.checked and step(planPanel).state.value == "✓"
    ui.levelCombo.currentText = "L3-L4"
    assert not ui.confirmLevelCheck.checked and "2 discs above" in ui.levelLabel.text
    ui.levelCombo.currentText = "L4-L5"
    assert ui.confirmLevelCheck.checked
    ui.confirmLevelCheck.click()
    assert not ui.confirmLevelCheck.checked and step(planPanel).state.value == "△"


def test_unsuitableCtIsWarnedOf(planPanel):
    assert "The CT has voxels of 4.0 mm" in planPanel.ui.planWarningLabel.text, "what the grid tells is told at once"
    planPanel.ui.countLevelButton.click()
    assert "voxels of 4.0 mm" in planPanel.ui.planWarningLabel.text


def test_patientPositionComesFromTheDicomDatabase(planPanel, monkeypatch):
    import slicer
    from IntradiscalNavPanel.AnatomyInput import patientPositionOf

    class Database:
        def instanceValue(self, instance, tag):
            return {("1.2.3", "0018,5100"): "HFS "}[instance, tag]

    ct = planPanel._parameterNode.ctVolume
    assert patientPositionOf(ct) == ""
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    ct.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    assert patientPositionOf(ct) == "HFS"


def test_sessionOfSevenNeedlesInOneTable(planPanel):
    ui, paths, node = planPanel.ui, planPanel.logic.paths, planPanel._parameterNode
    ui.planSessionButton.click()
    steps = paths.sessionSteps
    assert [needle.order for needle in steps] == list(range(1, 8)) and steps[0].targetName == "disc L4-L5 left"
    assert sorted(needle.targetName for needle in steps[1:]) == [
        f"facet {level} {side}" for level in ("L3-L4", "L4-L5", "L5-S1") for side in ("left", "right")
    ]
    for needle, row in zip(steps, cells(planPanel)):
        assert row[2] == f"{np.linalg.norm(needle.entryRas - needle.targetRas):.0f}/{needle.needleLengthMm:.0f}"
        np.testing.assert_allclose(endsOf(lines()[needle.needleName]), [needle.entryRas, needle.targetRas], atol=1e-3)
    assert "keep apart" in ui.sessionLabel.text and not paths.sessionConflicts
    ui.pathsTable.cellClicked.emit(3, 0)
    assert node.path is lines()[steps[3].needleName]
    # onto its neighbor: the conflict is told as soon as the line is let go
    import slicer

    slicer.util.updateMarkupsControlPointsFromArray(
        node.path, np.array([steps[4].entryRas, steps[4].targetRas]) + np.array([[2, 0, 0], [0, 0, 0]]), world=True
    )
    assert steps[3].targetName in ui.sessionLabel.text and steps[4].targetName in ui.sessionLabel.text
    ui.undoPathButton.click()
    assert "keep apart" in ui.sessionLabel.text
    ui.removePathButton.click()
    assert len(paths.sessionSteps) == 6
    ui.undoPathButton.click()
    ui.undoPathButton.click()
    assert paths.sessionSteps == () and not ui.sessionLabel.visible


def test_guidanceGetsOneNeedleForEachTarget(planPanel):
    """The needles are the active path and those of the session; other ways to the same target are no needles."""
    node, logic, paths = planPanel._parameterNode, planPanel.logic, planPanel.logic.paths

    def needles():
        return {needle.name: needle for needle in logic.needles.planned(node)}

    planPanel.ui.planButton.click()
    assert list(needles()) == ["L4-L5 left"] and needles()["L4-L5 left"].targetName == "disc L4-L5"
    planPanel.ui.otherPathButton.click()
    assert list(needles()) == ["L4-L5 left"]
    assert needles()["L4-L5 left"].nodeId == node.path.GetID()
    alternative = paths.selectedNumber(node)
    planPanel.ui.planSessionButton.click()
    steps = paths.sessionSteps
    assert len(needles()) == 7 and needles()["L4-L5 left"].nodeId == node.path.GetID() == lines()[steps[0].needleName].GetID()
    facet = steps[1]
    assert needles()[facet.targetName].lengthMm == facet.needleLengthMm
    np.testing.assert_allclose(needles()[facet.targetName].entryRas, facet.entryRas, atol=1e-3)
    assert "calibrate" in needles()[facet.targetName].whyNot, "a needle of another length"
    paths.select(node, alternative)
    assert len(needles()) == 7 and needles()["L4-L5 left"].nodeId == node.path.GetID()
    paths.select(node, facet.number)
    assert len(needles()) == 7 and needles()["L4-L5 left"].nodeId == paths.nodes.nodeOf(alternative).GetID(), "the choice stays"


def test_linesAreOutOfTheWayWhileGuidanceRuns(planPanel, monkeypatch):
    planPanel.ui.planButton.click()
    paths, node = planPanel.logic.paths, planPanel._parameterNode
    other = paths.nodes.nodeOf(paths.book.entries[1].number)
    monkeypatch.setattr(planPanel.logic, "session", object())
    assert planPanel.logic.isGuiding
    paths.follow(node)
    assert node.path.GetDisplayNode().GetVisibility() and node.path.GetLocked()
    assert not other.GetDisplayNode().GetVisibility()
    monkeypatch.undo()
    planPanel.logic.session = None
    paths.follow(node)
    assert other.GetDisplayNode().GetVisibility() and not node.path.GetLocked()
    assert not any(entry.locked for entry in paths.book.entries), "the paths themselves were never locked"


def test_nothingLegalOffersTheNearestAndSaysWhatFails(planPanel):
    planPanel.ui.needleLengthSpin.value = 100.0
    planPanel.ui.planButton.click()
    paths = planPanel.logic.paths
    assert [entry.name for entry in paths.book.entries] == ["nearest to legal L4-L5 left"]
    nearest = paths.book.entries[0].trajectory
    assert not nearest.legal and cells(planPanel)[0][0].startswith("✗")
    assert "No legal path to L4-L5 from the left" in planPanel.ui.planLabel.text and "fails by" in planPanel.ui.planLabel.text
    assert nearest.failing[0].name in step(planPanel).why and step(planPanel).state.value == "△"


def test_endplatesStandInForASegmentation(planPanel, coarsePhantom):
    import slicer

    planPanel._parameterNode.segmentation = None
    assert not planPanel.ui.planButton.enabled and "endplate" in planPanel.ui.planButton.toolTip
    disc = coarsePhantom.truth.discs["L4-L5"]
    points = planPanel.ui.endplatesSelector.addNode()
    assert planPanel.ui.endplatesPlaceWidget.currentNode() is points
    half = 0.5 * disc.heightMm * np.array([0.0, 0.0, 1.0])
    for point in (disc.centerRas - half, disc.centerRas + half):  # in either order
        points.AddControlPointWorld(*point)
    planPanel.update()
    assert planPanel.ui.planButton.enabled
    planPanel.ui.planButton.click()
    best = planPanel.logic.paths.book.entries[0].trajectory
    assert np.linalg.norm(best.targetRas - disc.centerRas) < 12.0
    assert "Hounsfield" in planPanel.ui.planWarningLabel.text
    slicer.util.updateMarkupsControlPointsFromArray(points, endsOf(points) + np.array([0, 0, 1.0]))
    planPanel.update()
    assert "Check" in step(planPanel).why, "another disc may be meant now"


def test_generalColorsOfALabelMapAreNoNames(panels):
    """Slicer's general colors call 7 "artery", 8 "vein" whatever the label map holds: TotalSegmentator's numbers are taken then."""
    import slicer

    panels.load("IntradiscalNav")
    from IntradiscalNavPanel.AnatomyInput import labelsOf

    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 1, 1], labels[2, 2, 2] = 1, 2
    labelMap = slicer.util.addVolumeFromArray(labels, nodeClassName="vtkMRMLLabelMapVolumeNode")
    colors = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "Colors")
    colors.SetTypeToUser()
    colors.SetNumberOfColors(3)
    labelMap.CreateDefaultDisplayNodes()
    labelMap.GetDisplayNode().SetAndObserveColorNodeID(colors.GetID())
    for names, expected in ((("artery", "bone"), None), (("artery", "vertebrae_L4"), {1: "artery", 2: "vertebrae_L4"})):
        for value, name in enumerate(names, start=1):
            colors.SetColor(value, name, 1, 1, 1, 1)
        assert labelsOf(labelMap, None)[2] == expected
