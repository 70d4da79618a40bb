"""Replay from sequences and from the raw recording: the recorded places, the recorded liveness, marked as a replay."""

import numpy as np
import pytest
import slicer

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, GuidanceNumber
from IntradiscalNavLib.Recording.RecordFormat import PoseValidity
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingSettings, RecordingWriter
from IntradiscalNavLib.Recording.ReplaySource import RecordingSource, SequenceSource
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument
from IntradiscalNavLib.Recording.SceneReplay import SceneReplay
from IntradiscalNavLib.Recording.SequenceExport import exportToSequences
from IntradiscalNavLib.Recording.SequenceFill import fillSequences, replayingWhenSaved
from IntradiscalNavLib.Recording.SequenceImport import sequenceBrowsers
from IntradiscalNavLib.Views.PlanGhost import ghostPose
from IntradiscalNavLib.Views.ReplayMark import markReplay

ENTRY, TARGET = np.array([60.0, -80.0, 10.0]), np.zeros(3)
REFERENCE_TO_RAS = rigidFrom(rotationFromVector([0.2, -0.1, 0.3]), [10, 20, 30])
TIP = rigidFrom(np.eye(3), [0, 0, 150])
STEP_SEC = 0.05
COUNT = 60
LATERAL_MM = 2.0


def tipToRas(index):
    z = (TARGET - ENTRY) / np.linalg.norm(TARGET - ENTRY)
    x = np.cross(z, [0, 0, 1.0])
    x /= np.linalg.norm(x)
    along = -10 + index * 1.5
    return rigidFrom(np.stack([x, np.cross(z, x), z], axis=1), ENTRY + along * z + LATERAL_MM * x)


def image(index):
    picture = np.full((1, 16, 20), 30, np.uint8)
    picture[0, 4:12, 5:15] = index + 50
    return picture


IMAGE_TO_REFERENCE = np.diag([0.4, 0.4, 0.4, 1.0])


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def recording(request, tmp_path):
    """A raw recording whose needle is invalid from sample 20 to 29, and silent from 40 to 52."""
    folder = tmp_path / "recording-01"
    writer = RecordingWriter(folder, RecordingSettings(compressImages=request.param, chunkBytes=3000))
    writer.addEvent("FixedTransform", {"name": "ReferenceToRas", "matrix": REFERENCE_TO_RAS.tolist()})
    writer.addEvent("FixedTransform", {"name": "NeedleTipToNeedle", "matrix": TIP.tolist()})
    writer.addEvent("Plan", {"needle": "disc", "target": "L4-L5", "entryRas": ENTRY.tolist(), "targetRas": TARGET.tolist()})
    start = writer.startMonotonicNs
    for index in range(COUNT):
        arrival = start + round(index * STEP_SEC * 1e9)
        needle = np.linalg.inv(REFERENCE_TO_RAS) @ tipToRas(index) @ np.linalg.inv(TIP)
        validity = PoseValidity.INVALID if 20 <= index < 30 else PoseValidity.VALID
        if not 40 <= index < 53:
            writer.addPose("NeedleToReference", needle, 0.0, validity, arrival)
        writer.addPose("ProbeToReference", np.eye(4), 0.0, PoseValidity.VALID, arrival)
        writer.addImage("Image_Reference", image(index), IMAGE_TO_REFERENCE, 0.0, PoseValidity.VALID, arrival)
    writer.stop()
    return folder


@pytest.fixture(params=["raw", "sequences"])
def replay(request, recording, scene):
    if request.param == "raw":
        return SceneReplay(scene, RecordingSource(scene, recording))
    exportToSequences(scene, RecordingReader(recording))
    storeDocument(scene, DocumentRole.PLAN, {"entryRas": ENTRY.tolist(), "targetRas": TARGET.tolist()})
    storeDocument(scene, DocumentRole.REGISTRATION, {"fromToTo": REFERENCE_TO_RAS.tolist()})
    storeDocument(scene, DocumentRole.CALIBRATION, {"NeedleTipToNeedle": TIP.tolist()})
    return SceneReplay(scene, SequenceSource(scene, slicer.modules.sequences.logic()))


def test_everyMomentShowsWhatWasRecorded(replay):
    """Forward and back: needle in RAS, pixels and place of the picture, and the distances that follow from them."""
    for index in (5, 59, 12, 35, 12):
        state = replay.seek(index * STEP_SEC + 0.001)
        np.testing.assert_allclose(state.needleTipToRas, tipToRas(index), atol=2e-3)
        np.testing.assert_array_equal(state.frame.pixels, image(index)[0])
        np.testing.assert_allclose(state.frame.imageToRas, REFERENCE_TO_RAS @ IMAGE_TO_REFERENCE, atol=1e-4)
        assert state.displayed.guidance.tipToPathMm == pytest.approx(LATERAL_MM, abs=2e-3)
        tip = tipToRas(index)[:3, 3]
        assert state.displayed.guidance.tipToTargetMm == pytest.approx(np.linalg.norm(tip - TARGET), abs=2e-3)


def test_whatWasNotValidThenIsNotLiveNow(replay):
    assert replay.seek(19 * STEP_SEC).displayed.live
    invalid = replay.seek(25 * STEP_SEC)
    assert not invalid.displayed.live and invalid.displayed.notLive[NEEDLE].state == "INVALID"
    assert all(item.text == "– –" for item in invalid.displayed.numbers.values())
    assert replay.seek(31 * STEP_SEC).displayed.live


def test_whatWasSilentThenIsNotLiveNow(recording, scene):
    replay = SceneReplay(scene, RecordingSource(scene, recording))
    assert replay.seek(41 * STEP_SEC).displayed.live
    assert replay.seek(51 * STEP_SEC).displayed.notLive[NEEDLE].state == "STALE"


def test_everythingIsMarked(replay):
    displayed = replay.seek(1.5).displayed
    assert displayed.isReplay and displayed.phaseText.startswith("REPLAY")
    assert displayed.warnings[0] == "REPLAY, NOT LIVE: 1.5 s"
    assert all(item.label.startswith("REPLAY ") for item in displayed.numbers.values())
    assert displayed.panelText(GuidanceNumber.LATERAL) == "[2.0]"


def test_recordedClearanceIsShownWhereNoneIsComputed(replay):
    displayed = markReplay(replay.session.update(0.0).displayed, 3.0, {"root L4": 7.25, "dura": 12.0})
    number = displayed.numbers[GuidanceNumber.CLEARANCE]
    assert (number.label, number.text) == ("REPLAY root L4", "7.2 mm")


def test_ghostIsThePlannedNeedleAtTheSameDepth(replay):
    state = replay.seek(40 * STEP_SEC)
    ghost = ghostPose(state.plan, state.needleTipToRas)
    assert np.linalg.norm(ghost[:3, 3] - state.needleTipToRas[:3, 3]) == pytest.approx(LATERAL_MM, abs=2e-3)
    np.testing.assert_allclose(np.cross(ghost[:3, 3] - ENTRY, TARGET - ENTRY), 0, atol=1e-6)
    beyond = state.needleTipToRas.copy()
    beyond[:3, 3] = TARGET + 30 * state.plan.path.directionRas
    np.testing.assert_allclose(ghostPose(state.plan, beyond)[:3, 3], TARGET, atol=1e-9)


def test_fillingWhileAStreamRunsNeverMovesItsNodes(recording, scene, tmp_path):
    """The stream's needle stays where it is while the sequences are filled and the scene is saved; the saved scene replays."""
    live = np.eye(4)
    live[:3, 3] = 7, 7, 7
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "NeedleToReference")
    slicer.util.updateTransformMatrixFromArray(node, live)
    moved = []
    tag = node.AddObserver(slicer.vtkMRMLTransformNode.TransformModifiedEvent, lambda *_: moved.append(1))
    fillSequences(scene, recording, isStreaming=True)
    with replayingWhenSaved(scene):
        path = startHost().saveScene(tmp_path / "scene.mrb")
    (browser,) = sequenceBrowsers(scene)
    browser.SetSelectedItemNumber(30)
    assert moved == []
    np.testing.assert_array_equal(slicer.util.arrayFromTransformMatrix(node), live)
    node.RemoveObserver(tag)
    startHost().loadScene(path)
    (browser,) = sequenceBrowsers(scene)
    browser.SetSelectedItemNumber(12)
    expected = np.linalg.inv(REFERENCE_TO_RAS) @ tipToRas(12) @ np.linalg.inv(TIP)
    np.testing.assert_allclose(slicer.util.arrayFromTransformMatrix(slicer.util.getNode("NeedleToReference")), expected, atol=2e-3)


def test_emptyRecordingSaysSo(tmp_path, scene):
    writer = RecordingWriter(tmp_path / "r")
    writer.addEvent("nothing")
    writer.stop()
    with pytest.raises(ValueError, match="holds no pose"):
        RecordingSource(scene, tmp_path / "r")
