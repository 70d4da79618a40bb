"""Writes what arrives into a scene: transform nodes in the tree of ``TransformTree``, image volumes, and the status of each as attributes.

Messages are taken in by ``receive`` (cheap) and written by ``apply`` from one timer: of many poses that came between two ticks only the
newest is written, all of them count for the status. The scene is an argument; nothing here knows an application.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkImageData
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Streaming.ImageStatus import ImageStatusMonitor
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    OpenIGTLinkMessage,
    TrackingDataMessage,
    TransformMessage,
)
from IntradiscalNavLib.Streaming.ToolStatus import StatusChange, ToolState, ToolStatus, ToolStatusMonitor
from IntradiscalNavLib.Streaming.TransformName import imageFrame, parseTransformName
from IntradiscalNavLib.Streaming.TransformTree import PATIENT_NOT_TRACKED, TransformTree, TreeBranch
from TranslatedText.Translation import tr as _

STATE_ATTRIBUTE = "IntradiscalNav.ToolState"
REASON_ATTRIBUTE = "IntradiscalNav.ToolReasons"
STREAMED_ATTRIBUTE = "IntradiscalNav.Streamed"


@dataclass(frozen=True)
class SceneUpdate:
    """What one call of ``apply`` did: names of nodes written, status changes for the log, and what it cost.

    ``statuses`` are of the transforms as they arrive, ``states`` and ``reasons`` of those made for the scene (``NeedleToReference`` of
    ``NeedleToTracker`` and ``ReferenceToTracker``) and of the images.
    """

    writtenNames: tuple[str, ...]
    statuses: Mapping[str, ToolStatus]
    states: Mapping[str, ToolState]
    changes: tuple[StatusChange, ...]
    durationSec: float
    reasons: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class SceneStream:
    """Keeps the nodes of a stream up to date.

    :param scene: a vtkMRMLScene.
    :param tree: transforms known so far; calibrations are set there or by ``setCalibration``.
    """

    def __init__(self, scene: Any, tree: TransformTree | None = None, monitor: ToolStatusMonitor | None = None) -> None:
        self.scene = scene
        self.tree = tree or TransformTree()
        self.monitor = monitor or ToolStatusMonitor()
        self._nodes: dict[str, Any] = {}
        self._written: dict[str, bytes] = {}
        self._newImages: dict[str, ImageMessage] = {}
        self.images = ImageStatusMonitor(self.monitor.parameters)
        self._metadata: dict[str, Mapping[str, str]] = {}
        self._branches: tuple[TreeBranch, ...] = ()
        self._reasons: dict[str, tuple[str, ...]] = {}
        self._writtenElsewhere: Callable[[], frozenset[str]] = frozenset

    def setWrittenElsewhere(self, names: Callable[[], frozenset[str]]) -> None:
        """Nodes whose value a connector node writes: here only their parents and attributes are set."""
        self._writtenElsewhere = names

    # Input

    def receive(self, messages: Iterable[OpenIGTLinkMessage]) -> None:
        """Take in messages, oldest first. Poses that are not valid count for the status alone, the node keeps its last valid place."""
        for message in messages:
            if isinstance(message, TransformMessage):
                self.monitor.update(message)
                self._metadata[message.deviceName] = message.metadata
                if not self.monitor.lastWasInvalid(message.deviceName):
                    self.tree.update(message.deviceName, message.matrix, message.timestampSec)
            elif isinstance(message, TrackingDataMessage):
                self.monitor.update(message)
                for tool in message.tools:
                    if not self.monitor.lastWasInvalid(tool.name):
                        self.tree.update(tool.name, tool.matrix, message.timestampSec)
            elif isinstance(message, ImageMessage):
                self._newImages[message.deviceName] = message
                self._metadata[message.deviceName] = message.metadata
                self.images.note(message)

    def setCalibration(self, name: str, matrix: FloatArray) -> None:
        """Set a calibration such as ``ImageToProbe`` or ``NeedleTipToNeedle``, or the registration ``ReferenceToRas``."""
        self.tree.setFixed(name, matrix)

    def setRegistration(self, referenceToRas: FloatArray | None) -> None:
        """Set or, with None, remove the registration; its node becomes the identity then."""
        name = self.registrationName
        if referenceToRas is None:
            self.tree.remove(name)
        else:
            self.tree.setFixed(name, referenceToRas)

    @property
    def registrationName(self) -> str:
        return f"{self.tree.frames.reference}To{self.tree.frames.world}"

    # Output

    def node(self, name: str) -> Any:
        """Node of a transform or an image that this stream writes; None when it has none."""
        node = self._nodes.get(name)
        return node if node is not None and self.scene.IsNodePresent(node) else None

    def apply(self, nowSec: float | None = None) -> SceneUpdate:
        """Write what is new into the scene. Call it from one timer, 20 to 30 times a second."""
        begin = time.perf_counter()
        now = time.monotonic() if nowSec is None else nowSec
        statuses = self.monitor.statuses(now)
        written: list[str] = []
        states: dict[str, ToolState] = {}
        self._reasons = {}
        self._forgetReplaced(statuses)
        self._branches = self.tree.branches()
        elsewhere = self._writtenElsewhere()
        for branch in self._branches:
            states[branch.name] = self._applyBranch(branch, statuses, written, elsewhere)
        images, self._newImages = self._newImages, {}
        for name, message in images.items():
            self._applyImage(name, message, name in elsewhere)
            written.append(name)
        for name in self.images.names:
            states[name] = self._applyImageState(name, statuses, now)
        changes = tuple(self.monitor.takeChanges())
        return SceneUpdate(tuple(written), statuses, states, changes, time.perf_counter() - begin, self._reasons)

    def _forgetReplaced(self, statuses: Mapping[str, ToolStatus]) -> None:
        """Drop a stream that has ended where others have taken its place: a server that changed its names from one frame to another."""
        for name in self.tree.streamedNames:
            if name in statuses and statuses[name].state is ToolState.MISSING:
                other = self.tree.resolveWithout(name)
                if other is not None and other.streamedNames and other.state(statuses).isLive:
                    self.tree.remove(name)

    def _applyBranch(
        self, branch: TreeBranch, statuses: Mapping[str, ToolStatus], written: list[str], elsewhere: frozenset[str]
    ) -> ToolState:
        node = self._transformNode(branch)
        resolved = self.tree.resolve(branch.fromFrame, branch.toFrame)
        if resolved is None:
            state = ToolState.OK if not branch.parentName else ToolState.MISSING
            if not branch.parentName:
                self._writeMatrix(node, branch.name, np.eye(4), written)
            elif branch.streamed:
                self._reasons[branch.name] = (_("it cannot be brought to the patient's reference"),)
                self._writeStatus(node, state, self._reasons[branch.name], {})
            return state
        if branch.name not in elsewhere:
            self._writeMatrix(node, branch.name, resolved.matrix, written)
        state = resolved.state(statuses)
        if branch.streamed:
            reasons = tuple(f"{name}: {reason}" for name in resolved.streamedNames if name in statuses for reason in statuses[name].reasons)
            if resolved.patientAssumed:
                reasons = (*reasons, PATIENT_NOT_TRACKED)
            self._reasons[branch.name] = reasons
            self._writeStatus(node, state, reasons, self._metadata.get(resolved.streamedNames[0], {}))
        return state

    def _transformNode(self, branch: TreeBranch) -> Any:
        node = self.node(branch.name)
        if node is None:
            node = self._find(branch.name, "vtkMRMLLinearTransformNode")
            if node is None:
                node = self.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", branch.name)
            self._nodes[branch.name] = node
            self._written.pop(branch.name, None)
            if branch.streamed:
                node.SetAttribute(STREAMED_ATTRIBUTE, "1")
        parent = self._nodes.get(branch.parentName)
        wanted = parent.GetID() if parent is not None else None
        if node.GetTransformNodeID() != wanted:
            node.SetAndObserveTransformNodeID(wanted)
        return node

    def _find(self, name: str, className: str) -> Any:
        """A node of the scene by name: a loaded scene already holds the tree."""
        node = self.scene.GetFirstNodeByName(name)
        return node if node is not None and node.IsA(className) else None

    def _writeMatrix(self, node: Any, name: str, matrix: FloatArray, written: list[str]) -> None:
        content = matrix.tobytes()
        if self._written.get(name) == content:
            return
        self._written[name] = content
        vtkMatrix = vtkMatrix4x4()
        vtkMatrix.DeepCopy(matrix.ravel().tolist())
        node.SetMatrixTransformToParent(vtkMatrix)
        written.append(name)

    @staticmethod
    def _writeStatus(node: Any, state: ToolState, reasons: tuple[str, ...], metadata: Mapping[str, str]) -> None:
        """Attributes as SlicerOpenIGTLink leaves them (every key with its prefix, status keys also bare), and our own judgement."""
        attributes = {STATE_ATTRIBUTE: state.value, REASON_ATTRIBUTE: "; ".join(reasons)}
        for key, value in metadata.items():
            attributes[f"OpenIGTLink.{key}"] = value
            if "Status" in key:
                attributes[key] = value
        if "TransformValid" not in metadata:
            attributes["OpenIGTLink.TransformValid"] = "1" if state.isLive else "0"
        changed = {key: value for key, value in attributes.items() if node.GetAttribute(key) != value}
        if changed:
            wasModifying = node.StartModify()
            for key, value in changed.items():
                node.SetAttribute(key, value)
            node.EndModify(wasModifying)

    def _applyImage(self, name: str, message: ImageMessage, writtenElsewhere: bool) -> None:
        node = self.node(name)
        className = "vtkMRMLScalarVolumeNode" if message.voxels.ndim == 3 else "vtkMRMLVectorVolumeNode"
        if node is None or not node.IsA(className):
            node = self._find(name, className) or self.scene.AddNewNodeByClass(className, name)
            node.SetAttribute(STREAMED_ATTRIBUTE, "1")
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            if display is not None and message.voxels.dtype == np.uint8 and message.voxels.ndim == 3:
                display.SetAutoWindowLevel(False)
                display.SetWindowLevel(255.0, 127.5)
            self._nodes[name] = node
        wasModifying = node.StartModify()
        if not writtenElsewhere:
            writeImage(node, message)
        parts = imageFrame(name)
        parent = self._imageParent(parts[1]) if parts is not None else None
        wanted = parent.GetID() if parent is not None else None
        if node.GetTransformNodeID() != wanted:
            node.SetAndObserveTransformNodeID(wanted)
        node.EndModify(wasModifying)

    def _imageParent(self, frame: str) -> Any:
        """Transform node that carries the image of a frame: the node that maps this frame upwards."""
        base = self.tree.frames.tracker if not self.tree.patientTracked else None
        if frame in (self.tree.frames.reference, base):
            return self.node(self.registrationName)
        for branch in self._branches:
            if branch.fromFrame == frame:
                return self.node(branch.name)
        return None

    def _applyImageState(self, name: str, statuses: Mapping[str, ToolStatus], now: float) -> ToolState:
        """State of an image by itself and by the probe that carries it."""
        probeState, probeReason = self._probeState(name, statuses)
        state, reasons = self.images.judge(name, now, probeState, probeReason)
        self._reasons[name] = reasons
        node = self.node(name)
        if node is not None:
            self._writeStatus(node, state, reasons, self._metadata.get(name, {}))
        return state

    def _probeState(self, imageName: str, statuses: Mapping[str, ToolStatus]) -> tuple[ToolState | None, str]:
        parts = imageFrame(imageName)
        image = parts[0] if parts is not None else imageName
        calibrations = (parseTransformName(name, self.tree.frameNames) for name in self.tree.fixedNames)
        carriers = [parsed.toFrame for parsed in calibrations if parsed is not None and parsed.fromFrame == image]
        resolved = self.tree.resolve(carriers[0] if carriers else "Probe", self.tree.frames.reference)
        if resolved is None or not resolved.streamedNames:
            return None, ""
        state = resolved.state(statuses)
        reasons = [f"{name}: {reason}" for name in resolved.streamedNames if name in statuses for reason in statuses[name].reasons]
        return state, "; ".join(reasons)


def writeImage(node: Any, message: ImageMessage) -> None:
    """Write voxels and geometry of a message into a volume node.

    The node shares the memory of the message's voxels, which belongs to this message alone: an array taken from the node earlier keeps
    its picture and is never written again. A part of an image is written into a copy of the whole.
    """
    voxels = message.voxels if message.isWhole else _patched(node, message)
    scalars = numpy_to_vtk(voxels.reshape(-1, voxels.shape[3]) if voxels.ndim == 4 else voxels.reshape(-1), deep=False)
    scalars.SetName("ImageScalars")
    # The image object stays, its array is exchanged: a new object per picture would have every view connect its pipeline anew.
    image = node.GetImageData()
    if image is None:
        image = vtkImageData()
    image.SetDimensions(voxels.shape[2], voxels.shape[1], voxels.shape[0])
    image.GetPointData().SetScalars(scalars)
    matrix = vtkMatrix4x4()
    matrix.DeepCopy(message.ijkToFrame.ravel().tolist())
    node.SetIJKToRASMatrix(matrix)
    if node.GetImageData() is None:
        node.SetAndObserveImageData(image)
    else:
        image.Modified()
        node.Modified()


def _patched(node: Any, message: ImageMessage) -> np.ndarray[Any, Any]:
    from vtkmodules.util.numpy_support import vtk_to_numpy

    i, j, k = message.sizeIjk
    shape = (k, j, i, *message.voxels.shape[3:])
    whole = np.zeros(shape, message.voxels.dtype)
    image = node.GetImageData()
    if image is not None and image.GetPointData().GetScalars() is not None:
        old = vtk_to_numpy(image.GetPointData().GetScalars())
        if old.size == whole.size and old.dtype == whole.dtype:
            whole[...] = old.reshape(shape)
    oi, oj, ok = message.offsetIjk
    pk, pj, pi = message.voxels.shape[:3]
    whole[ok : ok + pk, oj : oj + pj, oi : oi + pi] = message.voxels
    return whole
