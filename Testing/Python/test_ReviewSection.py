"""Step 7 of the panel: a saved procedure comes up in review, with its numbers, its replay and what is done with them."""

import json
import pathlib

import numpy as np
import pytest
from StreamedInsertion import ENTRY, LATERAL_MM, TARGET, recordedProcedure, records
from typer.testing import CliRunner

from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavHeadless.OffscreenViews import SliceView, ThreeDView
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.RecordFormat import PoseRecord
from IntradiscalNavLib.Recording.ReviewText import reviewRows
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument, readTable, readText


def shownRows(panel):
    table = panel.ui.numbersTable
    return [(table.item(row, 1).text(), table.item(row, 0).text()) for row in range(table.rowCount)]


def reload(panels, panel, scene):
    import slicer

    panels.scene.Clear(0)
    slicer.util.loadScene(str(scene))
    panel.enter()


def test_savedWhileStreamingItComesUpInReviewWithTheNumbersOfTheCommandLine(panels, streamed):
    import slicer

    panel = recordedProcedure(streamed).panel
    needle = slicer.util.getNode("NeedleToReference")
    before = slicer.util.arrayFromTransformMatrix(needle).copy()
    panel.ui.saveButton.click()
    np.testing.assert_array_equal(slicer.util.arrayFromTransformMatrix(needle), before)
    saved = CaseFolder(streamed.folder).scenePath
    panel.ui.connectButton.click()
    reload(panels, panel, saved)
    review = panel.logic.review
    assert review.isOn and panel.ui.reviewButton.checked
    assert "NOT LIVE" in panel.ui.replayLabel.text
    assert review.source.folder is None and review.problem == ""
    assert review.procedure.navigation.finalLateralMm == pytest.approx(LATERAL_MM, abs=0.02)
    rows = shownRows(panel)
    review.stop()
    printed = CliRunner().invoke(app, ["review", str(saved), "--json"])
    assert printed.exit_code == 0, printed.output
    assert rows == reviewRows(json.loads(printed.output))
    assert dict(rows)["lateral error at the end"] == "2.00 mm"


@pytest.fixture
def reviewed(panels, streamed):
    """A panel that has come up in review."""
    panel = recordedProcedure(streamed).panel
    panel.ui.saveButton.click()
    panel.ui.connectButton.click()
    reload(panels, panel, CaseFolder(streamed.folder).scenePath)
    assert panel.logic.review.isOn
    return panel


def test_replayIsMarkedEverywhereAndNothingLiveCanBegin(reviewed):
    review, ui = reviewed.logic.review, reviewed.ui
    ui.timeSlider.value = ui.timeSlider.maximum
    state = review.state
    assert state.displayed.isReplay and not [item.label for item in state.displayed.numbers.values() if "REPLAY" not in item.label]
    assert state.displayed.guidance.targetLateralMm == pytest.approx(LATERAL_MM, abs=0.05)
    assert ui.phaseLabel.text.startswith("REPLAY")
    assert ui.tipToTargetNumber.text == f"[{np.hypot(LATERAL_MM, 1):.1f}]"
    assert "NOT LIVE" in ui.warningLabel.text
    steps = {step.name.value: step for step in reviewed.logic.workflow(reviewed._parameterNode)}
    assert "REPLAY, not live" in steps["navigate"].why and "NOT LIVE" in steps["review"].why
    for name in ("connect", "guide", "record", "rehearse", "loadDeviceSet", "fill"):
        button = getattr(ui, f"{name}Button")
        assert not button.enabled and "leave the review" in button.toolTip, name
    ui.reviewButton.click()
    assert not review.isOn and ui.tipToTargetNumber.text == "–" and ui.phaseLabel.text == "" and ui.connectButton.enabled


def test_whileConnectedNoReviewBegins(streamed):
    recordedProcedure(streamed)
    streamed.panel.ui.saveButton.click()
    streamed.panel.update()
    for button in (streamed.panel.ui.reviewButton, streamed.panel.ui.openCaseButton):
        assert not button.enabled and "disconnect first" in button.toolTip
    with pytest.raises(ValueError, match="disconnect first"):
        streamed.logic.review.start(streamed.node)
    assert not streamed.logic.review.startIfSaved(streamed.node)


def test_ownProcedureDoesNotComeUpAsASavedOne(streamed):
    """Back from another module after saving: the procedure goes on, it isn't past."""
    recordedProcedure(streamed)
    streamed.panel.ui.saveButton.click()
    streamed.panel.ui.connectButton.click()
    streamed.panel.exit()
    streamed.panel.enter()
    assert not streamed.logic.review.isOn
    assert streamed.panel.ui.reviewButton.enabled, "but it can be reviewed"


def test_timelineAndScrubbingShowTheRecordedPlace(reviewed):
    import slicer

    review, ui = reviewed.logic.review, reviewed.ui
    table = ui.timelineTable
    assert table.rowCount == len(review.timeline) > 2
    phases = [table.item(row, 2).text() for row in range(table.rowCount) if table.item(row, 1).text() == "phase"]
    assert "advancing" in phases
    row = next(row for row in range(table.rowCount) if table.item(row, 2).text() == "advancing")
    table.cellClicked.emit(row, 0)
    assert review.timeSec == pytest.approx(review.timeline[row].timeSec) and ui.timeSlider.value == pytest.approx(review.timeSec, abs=0.06)
    assert ui.phaseLabel.text == "REPLAY advancing"
    needle = slicer.util.getNode("NeedleToReference")
    depths = []
    for share in (0.0, 0.5, 1.0, 0.5):
        ui.timeSlider.value = round(share * review.durationSec, 2)
        depths.append((slicer.util.arrayFromTransformMatrix(needle)[:3, 3] - ENTRY) @ (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY))
    assert depths[0] < depths[1] < depths[2] and depths[3] == pytest.approx(depths[1], abs=0.01)


def test_playRunsAtTheChosenSpeedAndStopsAtTheEnd(panels, reviewed):
    review, ui, node = reviewed.logic.review, reviewed.ui, reviewed._parameterNode
    ui.speedSpin.value = 2.0
    ui.playButton.click()
    reviewed._timer.stop()
    review.advance(node, 100.0)
    review.advance(node, 100.1)
    assert review.timeSec == pytest.approx(0.2)
    review.advance(node, 150.0)
    assert review.timeSec == pytest.approx(1.2), "after a pause of the program it doesn't leap"
    ui.playButton.click()
    assert not review.isPlaying and review.advance(node, 151.0) is None
    ui.playButton.click()
    now = 200.0
    while review.isPlaying:
        review.advance(node, now)
        now += 0.4
    assert review.timeSec == review.durationSec
    reviewed.update()
    assert not ui.playButton.checked


def test_rawRecordingOfTheCaseIsReviewedToo(reviewed):
    review, ui = reviewed.logic.review, reviewed.ui
    fromScene = review.procedure
    assert ui.sourceCombo.count == 2
    ui.sourceCombo.currentIndex = 1
    assert review.source.folder is not None and review.problem == ""
    assert review.procedure.streams["NeedleToReference"] > fromScene.streams["NeedleToReference"], "full rate, not thinned out"
    assert review.procedure.navigation.finalLateralMm == pytest.approx(LATERAL_MM, abs=0.02)
    ui.timeSlider.value = ui.timeSlider.maximum
    assert review.state.displayed.guidance.targetLateralMm == pytest.approx(LATERAL_MM, abs=0.05)
    assert review.state.frameLive and review.state.frame.pixels.shape == (48, 64)


def test_recordingThatIsTakenAwayEndsTheReplayAndIsTold(reviewed):
    review, node = reviewed.logic.review, reviewed._parameterNode
    reviewed.ui.sourceCombo.currentIndex = 1
    review.play(node)
    for chunk in review.source.folder.glob("chunk-*.rec"):
        chunk.unlink()
    with pytest.raises(OSError):
        for turn in range(10):
            review.advance(node, 100.0 + 0.3 * turn)
    assert not review.isPlaying and review.advance(node, 200.0) is None


def test_openCaseAfterACrashTakesTheNewerDocuments(panels, streamed):
    """The program dies: no scene was saved, the recording and a copy of the documents are on the disk."""
    import slicer

    panel = recordedProcedure(streamed).panel
    streamed.logic.copies.wait()
    panel.ui.guideButton.click()
    panel.logic.close()
    panels.scene.Clear(0)
    panel.enter()
    panel.ui.caseFolderEdit.currentPath = str(streamed.folder)
    panel.ui.openCaseButton.click()
    review = panel.logic.review
    assert review.isOn and review.problem == "", review.problem
    assert review.procedure.navigation.finalLateralMm == pytest.approx(LATERAL_MM, abs=0.02)
    assert readDocument(slicer.mrmlScene, DocumentRole.REGISTRATION)["format"] == "RigidFit"
    assert review.procedure.registration["freMm"] == pytest.approx(0.0, abs=1e-6)


def test_damagedSceneIsLeftOutAndTheOlderOneOpened(panels, streamed):
    panel = recordedProcedure(streamed).panel
    panel.ui.saveButton.click()
    panel.ui.connectButton.click()
    whole = CaseFolder(streamed.folder).scenePath
    half = streamed.folder / "autosave" / "scene-000001-20260101-000000.mrb"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    panel.ui.openCaseButton.click()
    assert panel.logic.review.isOn
    assert half.name in panel.ui.remarksLabel.text


def test_sceneCarriesLogAndReport(panels, streamed, tmp_path):
    import slicer

    log = panels.openPanel("ProcedureLog")
    log.ui.caseFolderEdit.currentPath = str(tmp_path / "log")
    log.ui.openCaseButton.click()
    log.ui.patientInButton.click()
    panel = recordedProcedure(streamed).panel
    panel.ui.saveButton.click()
    panel.ui.connectButton.click()
    reload(panels, panel, CaseFolder(streamed.folder).scenePath)
    columns, rows = readTable(slicer.mrmlScene, DocumentRole.LOG)
    assert rows[0][columns.index("Kind")] == "patientIn"
    assert "<html" in readText(slicer.mrmlScene, DocumentRole.REPORT)


@pytest.mark.parametrize(("choice", "span"), [("Span", (0.5, 1.0)), ("Nothing", None), ("Whole", (0.0, 100.0))])
def test_chosenSpanGoesIntoTheScene(panels, streamed, choice, span):
    import slicer

    from IntradiscalNavLib.Recording.SequenceImport import readSequences, sequenceBrowsers

    panel = recordedProcedure(streamed).panel
    panel.ui.connectButton.click()
    node = panel._parameterNode
    node.keeping.sequences = type(node.keeping.sequences)[choice]
    node.keeping.spanStartSec, node.keeping.spanEndSec, node.keeping.sequenceRateHz = 0.5, 1.0, 100.0
    panel.ui.fillButton.click()
    panel.ui.fillButton.click()
    browsers = sequenceBrowsers(slicer.mrmlScene)
    if span is None:
        assert browsers == []
        return
    assert len(browsers) == 1, "filling again replaces"
    raw = records(CaseFolder(streamed.folder).recordingFolders()[0], PoseRecord)
    inside = [record for record in raw if span[0] <= record.timeNs / 1e9 <= span[1]]
    found = [record for record in readSequences(browsers[0]) if isinstance(record, PoseRecord)]
    # Samples that came in one burst are thinned out, the first and the last never.
    assert 0.5 * len(inside) < len(found) <= len(inside)
    for name in ("NeedleToReference", "ProbeToReference"):
        ends, expected = ([record.matrix for record in each if record.streamName == name] for each in (found, inside))
        np.testing.assert_allclose([ends[0], ends[-1]], [expected[0], expected[-1]], atol=1e-3)


@pytest.mark.rendering
def test_picturesAndClipShowTheReplay(panels, reviewed, tmp_path):
    """Key pictures in the off-screen views, each marked; the film has as many frames as its length says."""
    from IntradiscalNavLib.Recording.ReplayClip import whyNoClip
    from IntradiscalNavLib.Views.NavigationLayout import SLICE_VIEWS, THREE_D
    from IntradiscalNavLib.Views.ViewMosaic import viewMosaic

    ui, review = reviewed.ui, reviewed.logic.review
    assert not ui.picturesButton.enabled and "views" in ui.picturesButton.toolTip
    ui.reviewButton.click()
    views = {view: SliceView(startHost(), view.tag, "Axial", (200, 160)) for view in SLICE_VIEWS}
    views[THREE_D] = ThreeDView(startHost(), THREE_D.tag, (200, 160))

    def attach(made):
        for view, offscreen in views.items():
            made.attachOverlay(view, offscreen.renderer)

    reviewed.attachNumbers = attach
    reviewed.showLayout = lambda: None
    reviewed.capture = lambda state: viewMosaic(lambda view: views[view].pixels())
    ui.reviewButton.click()
    ui.picturesButton.click()
    pictures = sorted((pathlib.Path(reviewed._parameterNode.caseFolder) / "pictures").glob("*.png"))
    assert len(pictures) >= 2 and pictures[-1].stem.split("-")[1] == "end"
    overlay = review.views.overlays[THREE_D]
    assert "REPLAY" in overlay._texts["title"].GetInput() and "NOT LIVE" in overlay._texts["banner"].GetInput()
    if whyNoClip():
        assert not ui.clipButton.enabled and ui.clipButton.toolTip == whyNoClip()
        return
    import imageio.v2 as imageio

    ui.clipButton.click()
    with imageio.get_reader(reviewed._parameterNode.caseFolder / "replay.mp4") as film:
        assert film.count_frames() == int(review.durationSec * 10)


# --- afterwards


@pytest.mark.slow
def test_lastCtIsCheckedFromThePanel(panels):
    """Gas that was put into the disc and the patient's motion, in the label, in the scene and in the review; twice gives the same."""
    import slicer

    from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomCheckScan import makeCheckScan
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

    panel = panels.openPanel("IntradiscalNav")
    from IntradiscalNavPanel.Rehearsal import addSimulatedPatient

    ui, node = panel.ui, panel._parameterNode
    assert not ui.checkLastCtButton.enabled and "planning CT" in ui.checkLastCtButton.toolTip
    phantom = buildLumbarPhantom(PhantomParameters(spacingMm=(1.6, 1.6, 2.0)))
    node.ctVolume, node.segmentation = addSimulatedPatient(phantom)
    node.lastCt = node.ctVolume
    assert "taken at the end" in ui.checkLastCtButton.toolTip
    scan = makeCheckScan(phantom, gasLevel="L4-L5", gasVolumeMl=3.0)
    place = phantom.ijkToRas.copy()
    place[:3, 3] += 3, -2, 5
    last = slicer.util.addVolumeFromArray(scan.voxels, ijkToRAS=place, name="LastCt")
    ui.lastCtSelector.setCurrentNode(last)
    kept = []
    for _ in range(2):
        ui.checkLastCtButton.click()
        kept.append(readDocument(slicer.mrmlScene, DocumentRole.METRICS)["lastCt"])
    assert kept[0] == kept[1]
    assert kept[0]["patientMovedMm"] == pytest.approx(np.sqrt(38), abs=0.6)
    assert kept[0]["gasInDiscMl"] == pytest.approx(scan.gasVolumeMl, rel=0.25)
    assert f"{kept[0]['gasInDiscMl']:.1f} mL in the disc" in ui.lastCtLabel.text
    assert "isn't looked for" in ui.lastCtLabel.text
    shown = slicer.util.arrayFromTransformMatrix(last.GetParentTransformNode())
    np.testing.assert_allclose(shown[:3, 3], [-3, 2, -5], atol=0.6)


def recordOther(folder, lateral):
    from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter

    writer = RecordingWriter(CaseFolder(folder).newRecordingFolder())
    z = (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    writer.addEvent("FixedTransform", {"name": "ReferenceToRas", "matrix": np.eye(4).tolist()})
    writer.addEvent("Plan", {"needle": "n", "target": "t", "entryRas": ENTRY.tolist(), "targetRas": TARGET.tolist()})
    for index, depth in enumerate(np.linspace(-10, 99, 60)):
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
        pose[:3, 3] = ENTRY + depth * z + lateral * x
        writer.addPose("NeedleToReference", pose, 0.0, arrivalMonotonicNs=writer.startMonotonicNs + index * 50_000_000)
    writer.stop()


def test_anotherCaseIsPutBesideThisOne(reviewed, tmp_path):
    ui = reviewed.ui
    assert not ui.compareCasesButton.enabled and "another case" in ui.compareCasesButton.toolTip
    recordOther(tmp_path / "other", 5.0)
    ui.otherCaseEdit.currentPath = str(tmp_path / "other")
    ui.compareCasesButton.click()
    table = ui.comparisonTable
    rows = {table.item(row, 0).text(): [table.item(row, column).text() for column in range(1, 4)] for row in range(table.rowCount)}
    assert rows["finalLateralMm"] == ["2.00", "5.00", "3.00"]
    page = (reviewed._parameterNode.caseFolder / "comparison.html").read_text()
    assert "<svg" in page and "other" in page
