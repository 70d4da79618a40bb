"""Recordings that this program did not make: plain SlicerIGT scenes, PLUS files; clashing names, missing parts, clocks that jump."""

import numpy as np
import pytest
import slicer

from IntradiscalNavHeadless.CaseReview import reviewCase
from IntradiscalNavLib.Recording.ForeignRecording import readForeignRecording
from IntradiscalNavLib.Recording.RecordFormat import PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.SequenceExport import exportToSequences
from IntradiscalNavLib.Recording.SequenceImport import readSequences, sequenceBrowsers

COUNT = 25
START_SEC = 1234.5
"""SlicerIGT counts from the start of the stream, not of the recording."""


def position(index):
    return np.array([60.0 - 2 * index, -80.0 + 2.5 * index, 0.5 * index])


def addSequence(host, browser, name, className, fill, timesSec):
    """A sequence as Slicer's own Sequences module records it: master first, proxies by name, no attributes of ours."""
    scene = host.scene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{name}-Seq")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    node = scene.AddNewNodeByClass(className, name)
    for index, timeSec in enumerate(timesSec):
        fill(node, index)
        sequence.SetDataNodeAtValue(node, f"{timeSec:.4f}")
    if browser.GetMasterSequenceNode() is None:
        browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    else:
        browser.AddSynchronizedSequenceNodeID(sequence.GetID())
    browser.AddProxyNode(node, sequence, False)
    return sequence


def fillTransform(node, index):
    matrix = np.eye(4)
    matrix[:3, 3] = position(index)
    node.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))


def fillImage(node, index):
    slicer.util.updateVolumeFromArray(node, np.full((1, 12, 16), 5 * index, np.uint8))


def plainScene(host, path):
    browser = host.scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Recording 1")
    times = START_SEC + 0.05 * np.arange(COUNT)
    addSequence(host, browser, "Image_Image", "vtkMRMLScalarVolumeNode", fillImage, times[::2])
    needle = addSequence(host, browser, "NeedleToReference", "vtkMRMLLinearTransformNode", fillTransform, times)
    host.saveScene(path)
    return browser, needle


def test_plainSlicerIgtSceneIsReviewedAsFarAsItGoes(host, tmp_path):
    plainScene(host, tmp_path / "plain.mrb")
    review = reviewCase(tmp_path / "plain.mrb")
    assert review.streams == {"NeedleToReference": COUNT}
    assert review.imageCount == (COUNT + 1) // 2
    assert review.durationSec == pytest.approx(0.05 * (COUNT - 1), abs=1e-3)
    assert review.invisibleShare["NeedleToReference"] == 0.0
    for part in ("no plan", "no registration", "no CT"):
        assert any(part in text for text in review.missing), part


def test_posesOfAPlainSceneEqualWhatWasRecorded(host, tmp_path):
    plainScene(host, tmp_path / "plain.mrb")
    host.clear()
    host.loadScene(tmp_path / "plain.mrb")
    (browser,) = sequenceBrowsers(host.scene)
    records = list(readSequences(browser, withPixels=True))
    poses = [record for record in records if isinstance(record, PoseRecord)]
    for index, record in enumerate(poses):
        assert record.matrix[:3, 3] == pytest.approx(position(index), abs=5e-4)
        assert record.validity is PoseValidity.UNKNOWN, "plain recordings don't tell the validity"
    images = [record for record in records if not isinstance(record, PoseRecord)]
    assert [int(record.pixels.max()) for record in images] == [5 * index for index in range(len(images))]


def test_missingSequenceCostsOnlyThatSequence(host, tmp_path):
    _, needle = plainScene(host, tmp_path / "whole.mrb")
    host.scene.RemoveNode(needle)
    host.saveScene(tmp_path / "without.mrb")
    review = reviewCase(tmp_path / "without.mrb")
    assert review.streams == {}
    assert review.imageCount == (COUNT + 1) // 2
    assert any("NeedleToReference" in text for text in review.missing)


def test_clashingNamesOfOtherNodesDoNoHarm(host, tmp_path):
    """Models, markups and sequences of the user may carry the names of our streams."""
    scene = host.scene
    scene.AddNewNodeByClass("vtkMRMLModelNode", "NeedleToReference")
    point = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "NeedleToReference")
    point.AddControlPoint(1.0, 2.0, 3.0)
    scene.AddNewNodeByClass("vtkMRMLSequenceNode", "NeedleToReference-Sequence")
    scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Recording")
    text = scene.AddNewNodeByClass("vtkMRMLTextNode", "PoseValidity")
    text.SetText("a text of the user's own")
    records = []
    for index in range(COUNT):
        matrix = np.eye(4)
        matrix[:3, 3] = position(index)
        records.append(PoseRecord("NeedleToReference", index * 50_000_000, 0.0, matrix, PoseValidity.VALID))
    exportToSequences(scene, records)
    path = host.saveScene(tmp_path / "clash.mrb")
    review = reviewCase(path)
    assert review.streams == {"NeedleToReference": COUNT}
    kept = [node.GetText() for node in slicer.util.getNodesByClass("vtkMRMLTextNode")]
    assert "a text of the user's own" in kept, "a text node that isn't ours is not overwritten"
    (point,) = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert np.allclose(point.GetNthControlPointPosition(0), (1, 2, 3))


def plusFile(path, timesSec):
    """A recording as PLUS writes it: MetaImage with one transform and status per frame."""
    count = len(timesSec)
    pixels = np.arange(count * 6 * 8, dtype=np.uint8).reshape(count, 6, 8)
    lines = ["ObjectType = Image", "NDims = 3", f"DimSize = 8 6 {count}", "ElementSpacing = 1 1 1", "ElementType = MET_UCHAR"]
    lines += ["BinaryData = True", "BinaryDataByteOrderMSB = False", "CompressedData = False", "UltrasoundImageOrientation = MF"]
    lines += ["UltrasoundImageType = BRIGHTNESS"]
    for index, timeSec in enumerate(timesSec):
        x, y, z = position(index)
        lines += [
            f"Seq_Frame{index:04d}_NeedleToTrackerTransform = 1 0 0 {x} 0 1 0 {y} 0 0 1 {z} 0 0 0 1",
            f"Seq_Frame{index:04d}_NeedleToTrackerTransformStatus = OK",
            f"Seq_Frame{index:04d}_Timestamp = {timeSec:.4f}",
            f"Seq_Frame{index:04d}_ImageStatus = OK",
        ]
    path.write_bytes(("\n".join([*lines, "ElementDataFile = LOCAL"]) + "\n").encode() + pixels.tobytes())
    return path


def test_clockThatJumpsBackIsSaidAndTimesStaySensible(tmp_path):
    times = 100.0 + 0.1 * np.arange(10)
    times[6:] -= 3600.0
    recorded = readForeignRecording(plusFile(tmp_path / "jump.igs.mha", times))
    series = recorded.poses["NeedleToTracker"]
    assert np.all(np.diff(series.timesSec) >= 0) and series.timesSec[0] == 0
    assert np.all(np.diff(recorded.imageTimesSec) >= 0)
    assert recorded.durationSec < 2.0, "an hour that only the clock lived through is no recording time"
    # The frames stay in the order in which they were taken.
    assert np.allclose(series.matrices[:, :3, 3], [position(index) for index in range(10)])
    review = reviewCase(tmp_path / "jump.igs.mha")
    assert any("clock" in text and "back" in text for text in review.missing)


def test_steadyClockIsNotDoubted(tmp_path):
    review = reviewCase(plusFile(tmp_path / "steady.igs.mha", 100.0 + 0.1 * np.arange(10)))
    assert review.durationSec == pytest.approx(0.9)
    assert not any("clock" in text for text in review.missing)


def test_slicerSequenceFileIsReviewed(host, tmp_path):
    """Ultrasound that Slicer saved as .seq.nrrd: images and times, no poses."""
    browser = host.scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Recording 1")
    sequence = addSequence(host, browser, "Image_Image", "vtkMRMLScalarVolumeNode", fillImage, 0.1 * np.arange(8))
    storage = slicer.vtkMRMLVolumeSequenceStorageNode()
    host.scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "frames.seq.nrrd"))
    assert storage.WriteData(sequence)
    review = reviewCase(tmp_path / "frames.seq.nrrd")
    assert review.imageCount == 8
    assert review.durationSec == pytest.approx(0.7, abs=1e-3)
