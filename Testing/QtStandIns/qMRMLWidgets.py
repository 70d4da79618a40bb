"""Stand-ins of the qMRML* and qSlicer* widgets that the panels use, bound to the real MRML scene."""

from __future__ import annotations

from typing import Any

import qt
import vtk
from PySide6 import QtWidgets
from PySide6.QtCore import Property, Signal
from StoredProperty import storedProperty


class _SceneHolder:
    """mrmlScene / setMRMLScene of every MRML widget."""

    looseSignals = True
    _scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene = scene
        self._sceneSet(scene)
        self.mrmlSceneChanged.emit(scene)  # type: ignore[attr-defined]

    def _sceneSet(self, scene: Any) -> None:
        pass


class qMRMLWidget(qt.QWidget, _SceneHolder):
    mrmlSceneChanged = Signal(object)
    isEntered = False
    setMRMLScene = _SceneHolder.setMRMLScene


class qSlicerWidget(qMRMLWidget):
    pass


class qMRMLNodeComboBox(qt.QWidget, _SceneHolder):
    """Chooses a node of the scene; follows nodes that come and go."""

    mrmlSceneChanged = Signal(object)
    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    setMRMLScene = _SceneHolder.setMRMLScene
    noneEnabled, setNoneEnabled = storedProperty(bool, "noneEnabled", False)
    addEnabled, setAddEnabled = storedProperty(bool, "addEnabled", True)
    removeEnabled, setRemoveEnabled = storedProperty(bool, "removeEnabled", True)
    editEnabled, setEditEnabled = storedProperty(bool, "editEnabled", False)
    renameEnabled, setRenameEnabled = storedProperty(bool, "renameEnabled", False)
    showHidden, setShowHidden = storedProperty(bool, "showHidden", False)
    showChildNodeTypes, setShowChildNodeTypes = storedProperty(bool, "showChildNodeTypes", True)
    selectNodeUponCreation, setSelectNodeUponCreation = storedProperty(bool, "selectNodeUponCreation", True)
    noneDisplay, setNoneDisplay = storedProperty(str, "noneDisplay", "None")
    baseName, setBaseName = storedProperty(str, "baseName", "")
    nodeTypes, _storeNodeTypes = storedProperty("QStringList", "nodeTypes", [])
    sizeAdjustPolicy, setSizeAdjustPolicy = storedProperty(int, "sizeAdjustPolicy", 0)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._combo)
        self._ids: list[str | None] = []
        self._current: str | None = None
        self._observers: list[tuple[Any, int]] = []
        self._filling = False
        self._combo.currentIndexChanged.connect(self._picked)

    def setNodeTypes(self, nodeTypes: Any) -> None:
        self._storeNodeTypes(list(nodeTypes))

    def _on_nodeTypes(self, value: Any) -> None:
        self._fill()

    _on_noneEnabled = _on_noneDisplay = _on_nodeTypes

    def _sceneSet(self, scene: Any) -> None:
        for observed, tag in self._observers:
            observed.RemoveObserver(tag)
        self._observers = []
        if scene is not None:
            for event in (scene.EndBatchProcessEvent, scene.EndCloseEvent, scene.EndImportEvent):
                self._observers.append((scene, scene.AddObserver(event, self._onScene)))
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
                self._observers.append((scene, scene.AddObserver(event, self._onNode)))
        self._fill()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNode(self, caller: Any, event: str, node: Any) -> None:
        """Most nodes that come and go are of other classes: scanning the scene for each would cost minutes in a rehearsal."""
        if any(node.IsA(name) for name in self.nodeTypes):
            self._onScene()

    def _onScene(self, *_: Any) -> None:
        if self._scene is not None and not self._scene.IsBatchProcessing():
            self._fill()

    def _fits(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        return any(node.IsA(name) if self.showChildNodeTypes else node.GetClassName() == name for name in self.nodeTypes)

    def _fill(self) -> None:
        nodes: list[Any] = []
        if self._scene is not None:
            collection = self._scene.GetNodes()
            every = (collection.GetItemAsObject(index) for index in range(collection.GetNumberOfItems()))
            nodes = [node for node in every if self._fits(node)]
        self._filling = True
        self._combo.clear()
        self._ids = []
        if self.noneEnabled or not nodes:
            self._combo.addItem(self.noneDisplay)
            self._ids.append(None)
        for node in nodes:
            self._combo.addItem(node.GetName() or "")
            self._ids.append(node.GetID())
        wanted = self._current if self._current in self._ids else (None if None in self._ids else self._ids[0])
        self._combo.setCurrentIndex(self._ids.index(wanted))
        self._filling = False
        self._choose(wanted)

    def _picked(self, index: int) -> None:
        if not self._filling and index >= 0:
            self._choose(self._ids[index])
            self.nodeActivated.emit(self.currentNode())

    def _choose(self, nodeId: str | None) -> None:
        if nodeId != self._current:
            self._current = nodeId
            self.currentNodeChanged.emit(self.currentNode())
            self.currentNodeIDChanged.emit(nodeId or "")

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def nodeCount(self) -> int:
        return sum(nodeId is not None for nodeId in self._ids)

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, nodeId: str) -> None:
        wanted = nodeId or None
        if wanted not in self._ids:
            self._fill()
        if wanted not in self._ids:
            return
        self._filling = True
        self._combo.setCurrentIndex(self._ids.index(wanted))
        self._filling = False
        self._choose(wanted)

    currentNodeID = Property(str, lambda self: self._current or "", setCurrentNodeID)

    def addNode(self, nodeType: str | None = None) -> Any:
        nodeType = nodeType or self.nodeTypes[0]
        name = self.baseName or nodeType.replace("vtkMRML", "").replace("Node", "")
        node = self._scene.AddNewNodeByClass(nodeType, self._scene.GenerateUniqueName(name))
        self.nodeAddedByUser.emit(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        return node


class qSlicerMarkupsPlaceWidget(qSlicerWidget):
    """Button that starts and ends placing points; here it only keeps its state."""

    activeMarkupsPlaceModeChanged = Signal(bool)
    setMRMLScene = _SceneHolder.setMRMLScene
    buttonsVisible, setButtonsVisible = storedProperty(bool, "buttonsVisible", True)
    deleteAllControlPointsOptionVisible, setDeleteAllVisible = storedProperty(bool, "deleteAllControlPointsOptionVisible", True)
    placeModeEnabled, setPlaceModeEnabled = storedProperty(bool, "placeModeEnabled", False, notify="activeMarkupsPlaceModeChanged")
    placeMultipleMarkups, setPlaceMultipleMarkups = storedProperty(int, "placeMultipleMarkups", 0)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._node: Any = None
        button = QtWidgets.QToolButton(self)
        button.setText("⌖")
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(button)

    def setCurrentNode(self, node: Any) -> None:
        self._node = node

    def currentNode(self) -> Any:
        return self._node


WIDGETS = {name: value for name, value in list(globals().items()) if name.startswith(("qMRML", "qSlicer")) and isinstance(value, type)}
