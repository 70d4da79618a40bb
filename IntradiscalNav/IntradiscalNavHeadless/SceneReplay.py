"""Replays the recording of a saved scene through the same guidance and views that ran live."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavHeadless.SceneHost import SceneHost
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, ToolLiveness
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.TipUncertainty import RegistrationCovariance, TipErrorModel
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument
from IntradiscalNavLib.Recording.SequenceExport import VALIDITY_NAME, findValidityNode
from IntradiscalNavLib.Recording.SequenceImport import sequenceBrowsers
from IntradiscalNavLib.Recording.TissueModel import isTissueModel
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel
from IntradiscalNavLib.Views.SessionState import SessionState

BONES = ("vertebra", "sacrum", "hip")
BONE_COLOR = (0.93, 0.87, 0.72)


@dataclass(frozen=True)
class TimelineEntry:
    """A phase or event on the time line of the replay (seconds since its first sample)."""

    timeSec: float
    name: str
    text: str = ""


def findCtNode(scene: Any) -> Any:
    """The planning CT: by its name, else the first volume of more than one slice; None where the scene has none."""
    named = scene.GetFirstNode("PlanningCt", "vtkMRMLScalarVolumeNode")
    if named is not None:
        return named
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        if node.GetImageData() is not None and node.GetImageData().GetDimensions()[2] > 1:
            return node
    return None


class SceneReplay:
    """Scrubs through the recording of the loaded scene.

    :raises ValueError: when the scene holds no recording, no plan or no needle, naming what is missing.
    """

    def __init__(self, host: SceneHost) -> None:
        import slicer

        browsers = sequenceBrowsers(host.scene)
        if not browsers:
            raise ValueError("The scene holds no recording to replay.")
        plan = readDocument(host.scene, DocumentRole.PLAN)
        if plan is None or "entryRas" not in plan:
            raise ValueError("The scene holds no plan: there is nothing to compare the needle with.")
        self.host = host
        self.browser = browsers[0]
        self._logic = slicer.modules.sequences.logic()
        self._master = self.browser.GetMasterSequenceNode()
        self._times = np.array([float(self._master.GetNthIndexValue(index)) for index in range(self._master.GetNumberOfDataNodes())])
        self._needle = self._node("NeedleToReference", "vtkMRMLLinearTransformNode")
        self._ultrasound = self._image()
        registration = readDocument(host.scene, DocumentRole.REGISTRATION) or {}
        if "fromToTo" in registration:
            self._applyRegistration(np.array(registration["fromToTo"], float))
        calibration = readDocument(host.scene, DocumentRole.CALIBRATION) or {}
        tip = np.array(calibration.get("NeedleTipToNeedle", np.eye(4)), float)
        path = pathFrame(plan["entryRas"], plan["targetRas"])
        self.session = GuidanceSession(
            host.scene,
            [
                NeedlePlan(
                    f"{plan.get('level', '')} {plan.get('side', '')}".strip() or "needle", plan.get("level", ""), path, NeedleShape(), tip
                )
            ],
            needleTransform=self._needle,
            ultrasoundVolume=self._ultrasound,
            toolStatuses=self._toolStatuses,
            errorModel=_errorModel(registration),
        )

    @property
    def durationSec(self) -> float:
        return float(self._times[-1] - self._times[0]) if len(self._times) else 0.0

    def timeline(self) -> tuple[TimelineEntry, ...]:
        """Phases and events stored with the scene, in order."""
        stored = readDocument(self.host.scene, DocumentRole.TIMELINE) or {}
        entries = [TimelineEntry(float(time), "phase", str(name)) for time, name in stored.get("phases", ())]
        entries += [TimelineEntry(float(each["timeSec"]), each["name"], each.get("text", "")) for each in stored.get("events", ())]
        return tuple(sorted((entry for entry in entries if 0 <= entry.timeSec <= self.durationSec), key=lambda entry: entry.timeSec))

    def seek(self, timeSec: float) -> SessionState:
        """Show the scene as it was at a time (seconds since the first sample of the replay); what was not live then is not live now."""
        index = int(np.clip(np.searchsorted(self._times, self._times[0] + timeSec, side="right") - 1, 0, len(self._times) - 1))
        self.browser.SetSelectedItemNumber(index)
        self._logic.UpdateProxyNodesFromSequences(self.browser)
        return self.session.update(float(self._times[index] - self._times[0]))

    def anatomy(self) -> list[AnatomyModel]:
        """Models of the scene that the views show as anatomy."""
        models = []
        scene = self.host.scene
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLModelNode")):
            node = scene.GetNthNodeByClass(index, "vtkMRMLModelNode")
            if isTissueModel(node) or node.GetHideFromEditors() or node.GetPolyData() is None or "Slice" in node.GetName():
                continue
            bone = node.GetName().startswith(BONES)
            color = BONE_COLOR if bone or node.GetDisplayNode() is None else node.GetDisplayNode().GetColor()
            models.append(AnatomyModel(node, tuple(color)))
        return models

    def ctNode(self) -> Any:
        """The planning CT of the scene, or None."""
        return findCtNode(self.host.scene)

    def _applyRegistration(self, referenceToRas: FloatArray) -> None:
        node = self._node("ReferenceToRas", "vtkMRMLLinearTransformNode", required=False)
        if node is None:
            node = self.host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ReferenceToRas")
        import vtk

        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(referenceToRas.ravel().tolist())
        node.SetMatrixTransformToParent(matrix)
        for child in (self._needle, self._ultrasound):
            if child is not None and child.GetParentTransformNode() is None:
                child.SetAndObserveTransformNodeID(node.GetID())

    def _node(self, name: str, className: str, required: bool = True) -> Any:
        node = self.host.scene.GetFirstNode(name, className)
        if node is None and required:
            raise ValueError(f"The scene holds no {name}: its recording can't be replayed as guidance.")
        return node

    def _image(self) -> Any:
        for name in ("Image_Reference", "Image_Probe", "Image_Image"):
            node = self.host.scene.GetFirstNode(name, "vtkMRMLScalarVolumeNode")
            if node is not None:
                return node
        return None

    def _toolStatuses(self) -> dict[str, ToolLiveness]:
        node = findValidityNode(self.host.scene) or self.host.scene.GetFirstNode(VALIDITY_NAME, "vtkMRMLTextNode")
        states = json.loads(node.GetText() or "{}") if node is not None else {}

        def liveness(*names: str) -> ToolLiveness:
            invalid = [name for name in names if states.get(name) == "INVALID"]
            return ToolLiveness(False, "INVALID", f"{invalid[0]} was recorded as invalid") if invalid else ToolLiveness(True)

        return {NEEDLE: liveness("NeedleToReference", "NeedleToTracker"), PROBE: liveness("ProbeToReference", "Image_Reference")}


def _errorModel(registration: dict[str, Any]) -> TipErrorModel:
    if "covariance" not in registration or "centerTo" not in registration:
        return TipErrorModel()
    covariance = RegistrationCovariance(np.array(registration["covariance"], float), np.array(registration["centerTo"], float))
    return TipErrorModel(registration=covariance)
