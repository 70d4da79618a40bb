"""Step Navigate: several needles, and the clearances of the active one; the stream is fed by hand, the numbers are known."""

import pathlib
import time
import types

import numpy as np
import pytest
from StreamedProcedure import BLANK, ENTRY, FACET_ENTRY, FACET_TARGET, TARGET, clearanceTip, shownMm


def test_needleAndTargetAreSwitchedInOneAction(twoNeedles):
    p = twoNeedles
    p.panel.update()
    assert [p.ui.needleCombo.itemText(i) for i in range(p.ui.needleCombo.count)] == [
        "Disc path → disc L4-L5, 100 mm",
        f"Facet path → facet L4-L5 left, {np.linalg.norm(FACET_ENTRY - FACET_TARGET):.0f} mm",
    ]
    tip = np.array([30.0, -50.0, 4.0])
    state = p.start(tip)
    assert p.ui.needleLabel.text == "Disc path → disc L4-L5"
    assert state.displayed.guidance.tipToTargetMm == pytest.approx(np.linalg.norm(tip - TARGET), abs=1e-5)
    p.ui.nextNeedleButton.click()
    state = p.turn(tip)
    assert p.node.path.GetName() == "Facet path" and p.ui.needleCombo.currentIndex == 1
    assert p.ui.needleLabel.text == "Facet path → facet L4-L5 left"
    assert state.displayed.guidance.tipToTargetMm == pytest.approx(np.linalg.norm(tip - FACET_TARGET), abs=1e-5)
    assert shownMm(p.ui.tipToTargetNumber.text) == pytest.approx(np.linalg.norm(tip - FACET_TARGET), abs=0.06)
    p.ui.needleCombo.currentIndex = 0
    assert p.turn(tip).displayed.targetName == "disc L4-L5"
    switched = p.logged("needleActive")
    assert [event.text for event in switched] == ["none -> Disc path", "Disc path -> Facet path", "Facet path -> Disc path"]
    assert switched[1].values["targetName"] == "facet L4-L5 left"


def test_pathChosenElsewhereIsFollowed(twoNeedles):
    """The planner sets `path`: guidance must not go on to the old target."""
    p = twoNeedles
    p.start()
    p.node.path = p.slicer.util.getNode("Facet path")
    assert p.turn(ENTRY).displayed.targetName == "facet L4-L5 left"


def test_needleAddedDuringGuidanceLeavesTheRecordingAlone(twoNeedles):
    p = twoNeedles
    p.logic.connection.live = types.SimpleNamespace(  # recording needs a connection that was started
        stop=lambda: None, lastMessages=(), stream=None, tick=lambda: p.logic.connection.stream.apply()
    )
    p.logic.connection.diagnosis = lambda: None
    p.logic.workflow = lambda node: ()
    p.panel.showWorkflow = lambda: None
    p.start()
    writer = p.logic.connection.writer
    assert writer is not None, "recording starts with the guidance"
    p.line("Second facet", FACET_ENTRY + 5, FACET_TARGET + 5, "facet L5-S1 left")
    for _ in range(14):
        p.turn(ENTRY)
    assert p.logic.connection.writer is writer and p.logic.session.needles.names == ("Disc path", "Facet path", "Second facet")
    p.logic.needles.activate(p.node, "Second facet")
    assert p.turn(ENTRY).displayed.targetName == "facet L5-S1 left" and p.logic.connection.writer is writer
    assert [event.text for event in p.logged("plan")] == ["Second facet: path added"]
    p.logic.stopRecording()
    from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
    from IntradiscalNavLib.Recording.RecordingReader import RecordingReader

    folders = CaseFolder(pathlib.Path(p.ui.caseFolderEdit.currentPath)).recordingFolders()
    assert len(folders) == 1
    plans = [record.values for record in RecordingReader(folders[0]) if getattr(record, "streamName", "") == "Plan"]
    assert [plan["target"] for plan in plans] == ["disc L4-L5", "facet L5-S1 left"]
    np.testing.assert_allclose(plans[1]["targetRas"], FACET_TARGET + 5)


def test_needleOfAnotherLengthNeedsItsOwnCalibration(twoNeedles):
    import PythonQtStyle

    p = twoNeedles
    short = p.slicer.util.getNode("Facet path")
    p.logic.needles.add(short, "facet L4-L5 left", lengthMm=90)
    p.start()
    p.panel.update()
    p.ui.needleCombo.currentIndex = 1
    assert "calibrate its tip" in str(PythonQtStyle.slotErrors.pop()) and p.node.path.GetName() == "Disc path"
    assert p.ui.needleCombo.currentIndex == 0, "the box shows what is active"
    assert not p.ui.nextNeedleButton.enabled
    p.node.path = short
    state = p.turn(ENTRY)
    assert state.displayed.guidance is None and "calibrate its tip" in p.ui.warningLabel.text, "no number for a needle that is not there"
    assert p.ui.tipToTargetNumber.text == BLANK
    tip = p.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ShortTipToNeedle")
    matrix = np.eye(4)
    matrix[2, 3] = 90.0
    p.slicer.util.updateTransformMatrixFromArray(tip, matrix)
    p.logic.needles.add(short, "facet L4-L5 left", lengthMm=90, tip=tip)
    for _ in range(12):
        state = p.turn(ENTRY)
    shaft = (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY)
    assert state.displayed.guidance.tipToTargetMm == pytest.approx(np.linalg.norm(ENTRY - 60 * shaft - FACET_TARGET), abs=1e-5)
    assert state.plan.needle.lengthMm == 90


def test_pathThatIsDraggedIsTakenWhenItStandsStill(twoNeedles):
    p = twoNeedles
    p.start()
    moved = TARGET + np.array([0, 0, 9.0])
    p.slicer.util.updateMarkupsControlPointsFromArray(p.node.path, np.array([ENTRY, moved]))
    assert p.turn(ENTRY).plan.path.targetRas == pytest.approx(TARGET)
    p.turn(ENTRY, stepSec=0.6)
    state = p.turn(ENTRY, stepSec=0.6)
    assert state.plan.path.targetRas == pytest.approx(moved)
    assert p.logged("plan")[-1].text == "Disc path: path or calibration changed"


def test_withoutAPathNoNumberIsShown(twoNeedles):
    p = twoNeedles
    p.start()
    p.slicer.mrmlScene.RemoveNode(p.node.path)
    state = p.turn(ENTRY)
    assert state.displayed.guidance is None and "NO PATH" in p.ui.warningLabel.text
    p.logic.needles.activate(p.node, "Facet path")
    assert p.turn(ENTRY).displayed.guidance is not None


def test_calibrationThatIsNoneStopsThisNeedleOnly(twoNeedles):
    p = twoNeedles
    p.start()
    mirrored = np.diag([1.0, 1.0, -1.0, 1.0])
    mirrored[2, 3] = 150.0
    node = p.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "MirroredTip")
    p.slicer.util.updateTransformMatrixFromArray(node, mirrored)
    p.logic.needles.add(p.slicer.util.getNode("Facet path"), "facet L4-L5 left", tip=node)
    p.logic.needles.activate(p.node, "Facet path")
    state = p.turn(ENTRY)
    assert state.displayed.guidance is None and "NeedleTipToNeedle of needle 'Facet path'" in p.ui.warningLabel.text
    p.logic.needles.activate(p.node, "Disc path")
    assert p.turn(ENTRY).displayed.guidance is not None
    p.ui.guideButton.click()
    assert p.start().displayed.guidance is not None, "nor does it keep the others from being guided"


def test_errorInATurnLeavesNoNumber(twoNeedles, monkeypatch):
    """Whatever goes wrong: the numbers of the turn before must not stay as if they were live."""
    p = twoNeedles
    p.start()
    assert p.ui.tipToTargetNumber.text.endswith("mm")

    def fail(*_):
        raise RuntimeError("something unforeseen")

    monkeypatch.setattr(p.logic.session, "update", fail)
    p.now = time.monotonic() + 1
    monkeypatch.setattr("IntradiscalNavPanel.IntradiscalNavLogic.time", types.SimpleNamespace(monotonic=lambda: p.now))
    with pytest.raises(RuntimeError, match="unforeseen"):
        p.panel.onTimer()
    assert not p.logic.isGuiding and not p.ui.guideButton.checked
    assert p.ui.tipToTargetNumber.text == "–" and p.ui.needleLabel.text == ""
    assert "something unforeseen" in p.logged("warning")[-1].text


def test_logThatCannotBeWrittenIsToldAndGuidanceGoesOn(twoNeedles, monkeypatch):
    p = twoNeedles
    p.start()

    def fail(*_, **__):
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(type(p.logic), "log", fail)
        p.logic.needles.activate(p.node, "Facet path")
        p.turn(ENTRY)
        state = p.turn(ENTRY)
    assert state.displayed.targetName == "facet L4-L5 left" and state.displayed.guidance is not None
    assert "no space left on device" in p.ui.warningLabel.text
    p.logic.needles.activate(p.node, "Disc path")
    p.turn(ENTRY)
    p.turn(ENTRY)
    assert "no space left" not in p.ui.warningLabel.text


def test_linesThatAreNoPathsAreNoNeedles(procedure):
    p = procedure
    p.line("ruler", ENTRY, TARGET)
    half = p.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "half")
    p.logic.needles.add(half, "disc L3-L4")
    assert p.logic.needles.planned(p.node) == ()
    p.node.path = p.slicer.util.getNode("ruler")
    assert [(needle.name, needle.targetName) for needle in p.logic.needles.planned(p.node)] == [("L4-L5 left", "disc L4-L5")]
    for target in ("disc L4-L5", "disc L5-S1"):
        p.line("twin", ENTRY, TARGET, target)
    assert [needle.name for needle in p.logic.needles.planned(p.node)][1:] == ["twin", "twin (2)"]
    with pytest.raises(ValueError, match="no needle nobody"):
        p.logic.needles.activate(p.node, "nobody")


def test_clearancesAreShownWithTheirLimitsAndBlankWhenNotLive(nearNerves):
    p = nearNerves
    p.start()
    for clearance, mark in ((12.0, "✓ clear"), (4.5, "△ near"), (2.0, "✕ too near")):
        p.turn(*clearanceTip(clearance))
        p.panel.update()
        rows = p.rows(p.ui.clearancesTable)
        assert [row[0] for row in rows] == ["root L4 left"], "a nerve far from the path is left out"
        assert shownMm(rows[0][1]) == pytest.approx(clearance, abs=0.25) and rows[0][2:] == ["3 mm", mark]
    time.sleep(0.6)
    p.turn(None)
    assert p.rows(p.ui.clearancesTable) == [["root L4 left", BLANK, "3 mm", "–"]]
    assert p.ui.tipToTargetNumber.text == BLANK and "STALE" in p.ui.warningLabel.text
