"""Reading and writing nodes and scenes: what ``slicer.app.coreIOManager()`` does in Slicer, on the module logics."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import slicer

if TYPE_CHECKING:
    from IntradiscalNavHeadless.SceneHost import SceneHost

_FILE_TYPES = (
    (("mrb", "mrml"), "SceneFile"),
    (("seq.nrrd", "seq.nhdr", "seq.mha", "seq.mhd"), "SequenceFile"),
    (("seg.nrrd", "seg.vtm"), "SegmentationFile"),
    (("mrk.json", "fcsv"), "MarkupsFile"),
    (("stl", "obj", "ply", "vtk", "vtp"), "ModelFile"),
    (("h5", "tfm", "txt"), "TransformFile"),
    (("csv", "tsv"), "TableFile"),
)


def _baseName(path: str) -> str:
    return os.path.basename(path).split(".")[0]


def _loadVolume(logic: Any, path: str, properties: dict[str, Any]) -> Any:
    options = (
        (1 if properties.get("labelmap") else 0) | (2 if properties.get("center") else 0) | (4 if properties.get("singleFile", True) else 0)
    )
    return logic.AddArchetypeVolume(path, properties.get("name") or _baseName(path), options)


def _loadModel(logic: Any, path: str, properties: dict[str, Any]) -> Any:
    system = properties.get("coordinateSystem")
    return logic.AddModel(path, slicer.vtkMRMLStorageNode.CoordinateSystemLPS if system is None else system)


def _loadMarkups(logic: Any, path: str, properties: dict[str, Any]) -> Any:
    identifiers = logic.LoadMarkups(path, properties.get("name") or _baseName(path)) or ""
    return slicer.mrmlScene.GetNodeByID(identifiers.split(",")[0])


def _loadSegmentation(logic: Any, path: str, properties: dict[str, Any]) -> Any:
    return logic.LoadSegmentationFromFile(path, properties.get("autoOpacities", True), properties.get("name") or "")


_READERS: dict[str, tuple[str, Callable[[Any, str, dict[str, Any]], Any]]] = {
    "VolumeFile": ("volumes", _loadVolume),
    "ModelFile": ("models", _loadModel),
    "MarkupsFile": ("markups", _loadMarkups),
    "TransformFile": ("transforms", lambda logic, path, _properties: logic.AddTransform(path, slicer.mrmlScene)),
    "SequenceFile": ("sequences", lambda logic, path, _properties: logic.AddSequence(path)),
    "TableFile": ("tables", lambda logic, path, _properties: logic.AddTable(path)),
    "SegmentationFile": (
        "segmentations",
        lambda logic, path, properties: logic.LoadSegmentationFromFile(
            path, properties.get("autoOpacities", True), properties.get("name") or ""
        ),
    ),
}


class SceneFiles:
    """Loads and saves nodes and scenes of the host's scene; method names are those of Slicer's coreIOManager."""

    def __init__(self, host: SceneHost) -> None:
        self._host = host

    def fileType(self, fileName: str) -> str:
        name = str(fileName).lower()
        for endings, fileType in _FILE_TYPES:
            if name.endswith(tuple("." + ending for ending in endings)):
                return fileType
        return "VolumeFile"

    def loadNodes(self, fileType: str, properties: dict[str, Any], loaded: Any = None, messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if fileType == "SceneFile":
            return self.loadScene(path, bool(properties.get("clear", False)))
        if not os.path.exists(path):
            return False
        logicName, read = _READERS[fileType]
        node = read(self._host.moduleLogics[logicName], path, properties)
        if node is None:
            return False
        if loaded is not None:
            loaded.AddItem(node)
        return True

    def loadScene(self, path: str, clear: bool = False) -> bool:
        scene = self._host.scene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, bool(clear)))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def saveNodes(self, fileType: str, properties: dict[str, Any], messages: Any = None) -> bool:
        path = str(properties["fileName"])
        scene = self._host.scene
        if fileType == "SceneFile":
            if path.endswith(".mrb"):
                scene.SetURL(path)
                return bool(scene.WriteToMRB(path, None))
            if path.endswith(".mrml"):
                scene.SetURL(path)
                return bool(scene.Commit(path))
            os.makedirs(path, exist_ok=True)
            return bool(scene.SaveSceneToSlicerDataBundleDirectory(path, None))
        node = scene.GetNodeByID(properties["nodeID"])
        storage = node.GetStorageNode()
        if storage is None or not storage.IsA(node.GetDefaultStorageNodeClassName(path) or "vtkObject"):
            node.AddDefaultStorageNode(path)
            storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(bool(properties["useCompression"]))
        return bool(storage.WriteData(node))

    def fileWriterFileType(self, node: Any) -> str:
        return str(node.GetClassName())

    def registeredFileReaderCount(self, fileType: str) -> int:
        return int(fileType in _READERS or fileType == "SceneFile")
