"""The headless host: scene, files and their failures."""

import zipfile

import numpy as np
import pytest
import slicer


def addSampleNodes():
    array = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    volume = slicer.util.addVolumeFromArray(array, name="Ct")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ReferenceToRas")
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 2, 3
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    volume.SetAndObserveTransformNodeID(transform.GetID())
    markups = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "Plan")
    slicer.util.updateMarkupsControlPointsFromArray(markups, np.array([[0.0, 0, 0], [1, 2, 3]]))
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    return array, matrix, browser


def test_sceneSurvivesBundle(host, tmp_path):
    array, matrix, _ = addSampleNodes()
    path = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    assert slicer.mrmlScene.GetFirstNodeByName("Ct") is None
    host.loadScene(path)
    volume = slicer.util.getNode("Ct")
    assert np.array_equal(slicer.util.arrayFromVolume(volume), array)
    assert np.allclose(slicer.util.arrayFromTransformMatrix(volume.GetParentTransformNode()), matrix)
    assert np.allclose(slicer.util.arrayFromMarkupsControlPoints(slicer.util.getNode("Plan"))[1], [1, 2, 3])
    assert slicer.util.getNode("Browser").GetClassName() == "vtkMRMLSequenceBrowserNode"


@pytest.mark.parametrize("damage", ["truncated", "text", "noScene"])
def test_damagedSceneIsRefusedAndPresentSceneKept(host, tmp_path, damage):
    addSampleNodes()
    path = host.saveScene(tmp_path / "scene.mrb")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "text":
        path.write_text("no zip archive")
    else:
        with zipfile.ZipFile(path, "w") as bundle:
            bundle.writestr("readme.txt", "nothing")
    with pytest.raises(ValueError, match=r"scene\.mrb"):
        host.loadScene(path)
    assert slicer.util.getNode("Ct") is not None


def test_missingSceneIsNamed(host, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.mrb"):
        host.loadScene(tmp_path / "nowhere.mrb")


def test_olderSceneIsKeptWhenSavingFails(host, tmp_path, monkeypatch):
    addSampleNodes()
    path = host.saveScene(tmp_path / "scene.mrb")
    before = path.read_bytes()
    monkeypatch.setattr(host.files, "saveNodes", lambda *_: False)
    with pytest.raises(OSError, match="free space"):
        host.saveScene(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["scene.mrb"]


def test_savingIntoMissingFolderIsNamed(host, tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        host.saveScene(tmp_path / "none" / "scene.mrb")
