"""Replays a recorded procedure through the same guidance and views that ran live. What it shows is marked as a replay."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.TipUncertainty import RegistrationCovariance, TipErrorModel
from IntradiscalNavLib.Recording.ProcedureTimeline import TimelineEntry
from IntradiscalNavLib.Recording.ReplaySource import IMAGE_NAMES, ReplaySource
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument
from IntradiscalNavLib.Recording.SceneReview import findCtNode, registrationMatrix
from IntradiscalNavLib.Recording.TissueModel import isTissueModel
from IntradiscalNavLib.Views.DisplayNodes import setMatrix
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel
from IntradiscalNavLib.Views.ReplayMark import markReplay
from IntradiscalNavLib.Views.SessionState import SessionState
from TranslatedText.Translation import tr as _

BONES = ("vertebra", "sacrum", "hip")
BONE_COLOR = (0.93, 0.87, 0.72)


class SceneReplay:
    """Scrubs through a recording in the scene that belongs to it.

    :param source: where poses and pictures come from.
    :raises ValueError: when there is no plan or no needle, naming what is missing.
    """

    def __init__(self, scene: Any, source: ReplaySource, needleLengthMm: float | None = None) -> None:
        plan = readDocument(scene, DocumentRole.PLAN) or {}
        if "entryRas" not in plan:
            if source.plan is None:
                raise ValueError(_("The scene holds no plan: there is nothing to compare the needle with."))
            plan = {"entryRas": source.plan.entryRas, "targetRas": source.plan.targetRas}
        self.scene = scene
        self.source = source
        self._needle = self._node("NeedleToReference", "vtkMRMLLinearTransformNode")
        self._ultrasound = self._image()
        registration = readDocument(scene, DocumentRole.REGISTRATION) or {}
        stored = registrationMatrix(registration)
        if stored is not None:
            self._applyRegistration(stored)
        elif "ReferenceToRas" in source.fixedTransforms:
            self._applyRegistration(source.fixedTransforms["ReferenceToRas"])
        calibration = readDocument(scene, DocumentRole.CALIBRATION) or {}
        tip = calibration.get("NeedleTipToNeedle", source.fixedTransforms.get("NeedleTipToNeedle", np.eye(4)))
        path = pathFrame(plan["entryRas"], plan["targetRas"])
        name = f"{plan.get('level', '')} {plan.get('side', '')}".strip() or "needle"
        shape = NeedleShape() if needleLengthMm is None else NeedleShape(lengthMm=needleLengthMm)
        self.session = GuidanceSession(
            scene,
            [NeedlePlan(name, plan.get("level", ""), path, shape, np.array(tip, float))],
            needleTransform=self._needle,
            ultrasoundVolume=self._ultrasound,
            toolStatuses=source.toolStatuses,
            errorModel=_errorModel(registration),
        )
        self._timeSec = 0.0

    @property
    def durationSec(self) -> float:
        return self.source.durationSec

    def timeline(self) -> tuple[TimelineEntry, ...]:
        """Phases and events, in order."""
        return self.source.timeline.entries

    def seek(self, timeSec: float) -> SessionState:
        """Show the scene as it was at a time (seconds since the first sample of the replay); what was not live then is not live now.

        The numbers are recomputed; the phase and the clearances are those that were displayed, where the recording holds them.
        """
        shownSec = self.source.show(timeSec)
        if shownSec < self._timeSec:
            # Phases are told from the way the needle went: going back, the way begins anew.
            self.session.phases.reset()
        self._timeSec = shownSec
        state = self.session.update(shownSec)
        self.session.takeEvents()
        displayed = state.displayed
        then = self.source.timeline.displayedAt(timeSec)
        phase = self._phaseOf(then.phase) if then is not None and displayed.live else None
        if phase is not None:
            displayed = dataclasses.replace(displayed, phase=phase)
        return dataclasses.replace(state, displayed=markReplay(displayed, shownSec, None if then is None else then.clearancesMm))

    @staticmethod
    def _phaseOf(name: str) -> Any:
        from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase

        return next((phase for phase in GuidancePhase if phase.value == name), None)

    def anatomy(self) -> list[AnatomyModel]:
        """Models of the scene that the views show as anatomy."""
        models = []
        scene = self.scene
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
        return findCtNode(self.scene)

    def _applyRegistration(self, referenceToRas: FloatArray) -> None:
        node = self._node("ReferenceToRas", "vtkMRMLLinearTransformNode", required=False)
        if node is None:
            node = self.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ReferenceToRas")
        setMatrix(node, referenceToRas)
        for child in (self._needle, self._ultrasound):
            if child is not None and child.GetParentTransformNode() is None:
                child.SetAndObserveTransformNodeID(node.GetID())

    def _node(self, name: str, className: str, required: bool = True) -> Any:
        node = self.scene.GetFirstNode(name, className)
        if node is None and required:
            raise ValueError(_("The scene holds no {name}: its recording can't be replayed as guidance.").format(name=name))
        return node

    def _image(self) -> Any:
        for name in IMAGE_NAMES:
            node = self.scene.GetFirstNode(name, "vtkMRMLScalarVolumeNode")
            if node is not None:
                return node
        return None


def _errorModel(registration: dict[str, Any]) -> TipErrorModel:
    center = registration.get("centerTo", registration.get("centreRas"))
    if registration.get("covariance") is None or center is None:
        return TipErrorModel()
    covariance = RegistrationCovariance(np.array(registration["covariance"], float), np.array(center, float))
    return TipErrorModel(registration=covariance)
