"""One procedure's guidance on a scene: reads the streamed nodes, computes, decides what may be shown, and notes what belongs in the log.

Few calls: make it, ``selectNeedle``, then ``update(nowSec)`` 20-30 times a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, whyNotRigid
from IntradiscalNavLib.Guidance.ActiveNeedle import ActiveNeedle, NeedlePlan, NeedleSwitch
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, REFERENCE, ToolLiveness, displayGuidance
from IntradiscalNavLib.Guidance.Guidance import Guidance, computeGuidance
from IntradiscalNavLib.Guidance.GuidancePhase import PhaseTracker
from IntradiscalNavLib.Guidance.ImagePlane import ImagePlane
from IntradiscalNavLib.Guidance.PathFrame import vectorLength
from IntradiscalNavLib.Guidance.ProximityAlert import ProximityAlert
from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure, StructureSet
from IntradiscalNavLib.Guidance.TipUncertainty import TipErrorModel
from IntradiscalNavLib.Streaming.PoseSmoothing import PoseSmoother
from IntradiscalNavLib.Views.SessionState import SessionEvent, SessionState
from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundFrame
from TranslatedText.Translation import tr as _

UNCALIBRATED_TOLERANCE_MM = 1e-6

ToolStatuses = Callable[[], Mapping[str, ToolLiveness]]


def worldMatrix(transformNode: Any) -> FloatArray:
    """4x4 of a transform node to RAS, through all its parents.

    :raises RuntimeError: when a parent isn't linear.
    """
    import vtk

    matrix = vtk.vtkMatrix4x4()
    if not transformNode.GetMatrixTransformToWorld(matrix):
        raise RuntimeError(
            _("Transform {name!r} has a parent that isn't linear. Remove the warp from the tool's chain.").format(
                name=transformNode.GetName()
            )
        )
    return _array(matrix)


def _array(matrix: Any) -> FloatArray:
    values = np.empty(16)
    matrix.DeepCopy(values, matrix)
    return values.reshape(4, 4)


class GuidanceSession:
    """Guidance of the active needle.

    :param plans: every needle of the procedure; the first is active.
    :param needleTransform: transform node NeedleToReference, under ReferenceToRas (the tree that the transform tree builds).
    :param ultrasoundVolume: streamed image node with its calibration as parent transforms, or None.
    :param structures: structures at risk with their limits.
    :param toolStatuses: gives liveness by role (needle, probe, reference) at the moment of the call.
    """

    def __init__(
        self,
        scene: Any,
        plans: Sequence[NeedlePlan],
        *,
        needleTransform: Any,
        toolStatuses: ToolStatuses,
        ultrasoundVolume: Any = None,
        structures: Sequence[RiskStructure] = (),
        errorModel: TipErrorModel | None = None,
    ) -> None:
        self.scene = scene
        self.needleTransform = needleTransform
        self.ultrasoundVolume = ultrasoundVolume
        self.structures = StructureSet(structures)
        self.errorModel = errorModel
        self.toolStatuses = toolStatuses
        self.needles = ActiveNeedle(plans)
        self.phases = PhaseTracker()
        self.alerts = ProximityAlert()
        self.smoother = PoseSmoother()
        """Of the needle's pose; off unless another is set. Its ``delaySec`` belongs beside the numbers."""
        self.warnings: tuple[str, ...] = ()
        """Standing doubts about the registration, shown with the numbers (set by the checks)."""
        self.registered = True
        """Set it to False while there is no registration: without one no number means anything, so none is shown."""
        self._events: list[SessionEvent] = []
        self._states: dict[str, ToolLiveness] = {}
        self._needlePose: FloatArray | None = None
        self._frame: UltrasoundFrame | None = None
        self.needles.onSwitch(self._onSwitch)
        if plans:
            self.needles.select(plans[0].name, 0.0)

    def selectNeedle(self, name: str, nowSec: float) -> NeedleSwitch | None:
        """Make another needle and its target active, in one action."""
        return self.needles.select(name, nowSec)

    def takeEvents(self) -> tuple[SessionEvent, ...]:
        """What has happened since the last call, oldest first."""
        events, self._events = tuple(self._events), []
        return events

    def update(self, nowSec: float) -> SessionState:
        """Guidance at this moment. Never raises for bad data: what can't be used is not live, with the reason."""
        tools = dict(self.toolStatuses())
        if not self.registered:
            tools[REFERENCE] = ToolLiveness(False, "NOT REGISTERED", _("register before any number is shown"))
        plan = self.needles.active
        if plan is None:
            tools[NEEDLE] = ToolLiveness(False, "NO PLAN", "plan a path first")
        needleTipToRas = self._readNeedle(tools, plan, nowSec)
        plane = self._readImage(tools)
        reference = tools.get(REFERENCE, ToolLiveness(True))
        needleLive = NEEDLE in tools and tools[NEEDLE].live and reference.live and needleTipToRas is not None and plan is not None
        frameLive = PROBE in tools and tools[PROBE].live and reference.live and plane is not None

        guidance: Guidance | None = None
        if needleLive and plan is not None and needleTipToRas is not None:
            guidance = computeGuidance(
                needleTipToRas,
                plan.path,
                needle=plan.needle,
                plane=plane if frameLive else None,
                structures=self.structures,
                errorModel=self.errorModel,
            )
        change = self.phases.update(guidance, nowSec)
        alert = self.alerts.update(None if guidance is None else guidance.clearances)
        displayed = displayGuidance(
            guidance,
            tools,
            timeSec=nowSec,
            needleName="" if plan is None else plan.name,
            targetName="" if plan is None else plan.targetName,
            phase=self.phases.phase,
            alert=alert,
            warnings=self.warnings,
        )
        if change is not None:
            self.note(
                nowSec,
                "phase",
                f"{change.fromPhase.value} -> {change.toPhase.value}",
                tipToTargetMm=change.tipToTargetMm,
                tipToPathMm=change.tipToPathMm,
                shaftAngleDeg=change.shaftAngleDeg,
            )
        for name, before, after in alert.changes:
            clearance = None if guidance is None else guidance.clearancesMm.get(name)
            self.note(nowSec, "clearance", f"{name}: {before.name} -> {after.name}", clearanceMm=clearance)
        self._noteTools(tools, nowSec)
        return SessionState(nowSec, displayed, plan, self._needlePose, needleLive, self._frame, frameLive)

    def _readNeedle(self, tools: dict[str, ToolLiveness], plan: NeedlePlan | None, nowSec: float) -> FloatArray | None:
        if plan is None or NEEDLE not in tools or not tools[NEEDLE].live:
            self.smoother.reset()
            return None
        pose = worldMatrix(self.needleTransform) @ plan.needleTipToNeedle
        reason = whyNotRigid(pose)
        if reason:
            tools[NEEDLE] = ToolLiveness(False, "INVALID", _("pose can't be used: {reason}").format(reason=reason))
            self.smoother.reset()
            return None
        self._needlePose = pose = self.smoother.smooth(pose, nowSec)
        return pose

    def _readImage(self, tools: dict[str, ToolLiveness]) -> ImagePlane | None:
        volume = self.ultrasoundVolume
        image = None if volume is None else volume.GetImageData()
        if image is None or PROBE not in tools or not tools[PROBE].live:
            return None
        import vtk

        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        imageToRas = _array(matrix)
        parent = volume.GetParentTransformNode()
        pixels = _pixelsOf(image)
        if pixels is None:
            tools[PROBE] = ToolLiveness(False, "INVALID", _("the image isn't 8-bit grey; send a B-mode image of one component"))
            return None
        try:
            if parent is not None:
                imageToRas = worldMatrix(parent) @ imageToRas
            frame = UltrasoundFrame(pixels, imageToRas, int(image.GetMTime()))
            plane = frame.plane
            if all(abs(vectorLength(step) - 1.0) < UNCALIBRATED_TOLERANCE_MM for step in imageToRas[:3, :2].T):
                raise ValueError(_("the image has pixels of exactly 1 mm: it isn't calibrated. Load ImageToProbe"))
        except (ValueError, RuntimeError) as error:
            tools[PROBE] = ToolLiveness(False, "INVALID", str(error))
            return None
        self._frame = frame
        return plane

    def _onSwitch(self, switch: NeedleSwitch) -> None:
        self.phases.reset()
        self.smoother.reset()
        self._needlePose = None
        self.note(switch.timeSec, "needle", f"{switch.fromNeedle or 'none'} -> {switch.toNeedle}", targetName=switch.targetName)

    def _noteTools(self, tools: Mapping[str, ToolLiveness], nowSec: float) -> None:
        for role, tool in tools.items():
            before = self._states.get(role)
            if before is None or before.live != tool.live or before.state != tool.state:
                self.note(nowSec, "tool", f"{role}: {before.state if before else 'unknown'} -> {tool.state}", reason=tool.reason)
        self._states = dict(tools)

    def note(self, timeSec: float, kind: str, text: str, **detail: float | str | None) -> None:
        """Add an event for the log."""
        self._events.append(SessionEvent(timeSec, kind, text, detail))


def _pixelsOf(image: Any) -> Any:
    """(rows, columns) uint8 view of a one-slice 8-bit image, or None for any other."""
    from vtkmodules.util.numpy_support import vtk_to_numpy

    scalars = image.GetPointData().GetScalars()
    columns, rows, slices = image.GetDimensions()
    if scalars is None or slices != 1 or scalars.GetNumberOfComponents() != 1:
        return None
    array = vtk_to_numpy(scalars)
    return array.reshape(rows, columns) if array.dtype == np.uint8 else None
