"""From the raw recording into Slicer Sequences: saved, reloaded and replayed frames equal the source."""

import json

import numpy as np
import pytest
import slicer

from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord, PoseValidity
from IntradiscalNavLib.Recording.SequenceExport import VALIDITY_NAME, SequenceSpan, exportToSequences


def pose(seed):
    matrix = np.eye(4)
    matrix[:3, 3] = np.random.default_rng(seed).normal(size=3)
    return matrix


def imageMatrix():
    matrix = np.diag([0.2, 0.3, 0.25, 1.0])
    matrix[:3, 3] = 1, 2, 3
    return matrix


def makeRecords(count=12, stepNs=20_000_000):
    records = []
    for index in range(count):
        validity = PoseValidity.INVALID if index == 5 else PoseValidity.VALID
        records.append(PoseRecord("ProbeToReference", index * stepNs, 0.0, pose(index), validity))
        if index % 2 == 0:
            pixels = np.random.default_rng(index).integers(0, 255, (1, 20, 30), dtype=np.uint8)
            records.append(ImageRecord("Image_Probe", index * stepNs, 0.0, pixels, imageMatrix(), PoseValidity.VALID))
    return records


def test_replayEqualsTheRecordingAfterSaveAndReload(host, tmp_path):
    records = makeRecords()
    export = exportToSequences(host.scene, records, parentOf={"Image_Probe": "ProbeToReference"})
    assert export.samples == {"ProbeToReference": 12, "Image_Probe": 6}
    path = host.saveScene(tmp_path / "recording.mrb")
    host.clear()
    host.loadScene(path)
    browser = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]
    logic = slicer.modules.sequences.logic()
    transform = slicer.util.getNode("ProbeToReference")
    image = slicer.util.getNode("Image_Probe")
    assert image.GetParentTransformNode() is transform
    images = [record for record in records if isinstance(record, ImageRecord)]
    for index in range(12):
        browser.SetSelectedItemNumber(index)
        logic.UpdateProxyNodesFromSequences(browser)
        assert np.allclose(slicer.util.arrayFromTransformMatrix(transform), pose(index), atol=1e-12)
        validity = json.loads(slicer.util.getNode(VALIDITY_NAME).GetText())
        assert validity["ProbeToReference"] == ("INVALID" if index == 5 else "VALID")
        assert np.array_equal(slicer.util.arrayFromVolume(image), images[index // 2].pixels)
        ijkToRas = slicer.util.vtkMatrixFromArray(np.eye(4))
        image.GetIJKToRASMatrix(ijkToRas)
        assert np.allclose(slicer.util.arrayFromVTKMatrix(ijkToRas), imageMatrix())
    master = browser.GetMasterSequenceNode()
    times = [float(master.GetNthIndexValue(index)) for index in range(master.GetNumberOfDataNodes())]
    assert np.allclose(times, np.arange(12) * 0.02, atol=5e-4)


def test_samplesWithinAMillisecondAreNotLost(host):
    export = exportToSequences(host.scene, makeRecords(12, stepNs=250_000))
    assert export.samples["ProbeToReference"] == 12
    assert export.movedToNextMillisecond > 0
    assert export.browserNode.GetNumberOfItems() == 12


def test_spanAndRate(host):
    export = exportToSequences(host.scene, makeRecords(50), SequenceSpan(0.2, 0.6, maximumRateHz=10))
    assert export.samples["ProbeToReference"] == 5
    assert export.thinnedOut > 0
    with pytest.raises(ValueError, match="no pose"):
        exportToSequences(host.scene, makeRecords(5), SequenceSpan(100, 200))


def test_existingNodesOfTheSameNameAreUsedNotDoubled(host):
    live = host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ProbeToReference")
    exportToSequences(host.scene, makeRecords())
    assert len([node for node in slicer.util.getNodesByClass("vtkMRMLLinearTransformNode") if node.GetName() == "ProbeToReference"]) == 1
    browser = slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")[0]
    browser.SetSelectedItemNumber(3)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    assert np.allclose(slicer.util.arrayFromTransformMatrix(live), pose(3))
