"""Step 5: the needle is led along its path, with live distances, on CT and ultrasound."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidFit import RigidFit
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.LiveStream import LiveStream
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure
from IntradiscalNavLib.Guidance.StructureDistance import distanceFromFunction, distanceFromMask
from IntradiscalNavLib.Guidance.TipUncertainty import BendingLaw, RegistrationCovariance, SensorNoise, TipErrorModel
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.LabelSurface import addSurfaceModel, maskSurface
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel
from IntradiscalNavLib.Views.SessionState import SessionEvent, SessionState

BONE_COLOR = (0.93, 0.87, 0.72)
RISK_COLORS = {"root": (0.94, 0.89, 0.26), "dura": (0.35, 0.70, 0.90)}
LIMITS_MM = {"root": 3.0, "dura": 4.0, "vessel": 5.0, "bowel": 5.0, "kidney": 5.0}
STEERED_BENDING = BendingLaw(deflectionMm=2.0, depthMm=80.0)
"""Ninety-five per cent of steered needles bend less than this. The default law is that of a needle nobody steers (8.9 mm at 80 mm);
the simulated operator turns and corrects, and 0.9 mm at 80 mm remain."""
VESSELS = ("aorta", "inferior_vena_cava", "iliac_artery", "iliac_vena")


@dataclass(frozen=True, eq=False)
class GuidedNeedle:
    """What the guidance saw last, and what it noted for the log."""

    session: GuidanceSession
    state: SessionState
    events: tuple[SessionEvent, ...]
    ticks: int
    blankTicks: int
    """Ticks at which no number was shown because a tool wasn't live."""


def riskStructures(anatomy: SpineAnatomy, ct: ImportedCt, path: Trajectory) -> tuple[RiskStructure, ...]:
    """Modelled nerves near the path, and what the segmentation holds of vessels, bowel and kidneys."""
    structures = []
    ends = np.array([path.entryRas, path.targetRas])
    for nerve in anatomy.nerves:
        points = np.asarray(nerve.pointsRas, float)
        gap = np.linalg.norm(points[:, None] - (path.targetRas + np.linspace(0, 1, 30)[:, None] * (ends[0] - ends[1]))[None], axis=2).min()
        if gap > 30.0:
            continue
        kind = "dura" if nerve.kind == "dura" else "root"
        bounds = np.stack([points.min(axis=0) - 25.0, points.max(axis=0) + 25.0], axis=1)
        structures.append(RiskStructure(distanceFromFunction(nerve.name, nerve.distanceMm, bounds, 1.5), LIMITS_MM[kind]))
    for kind, prefixes in (("vessel", VESSELS), ("bowel", ("colon", "small_bowel")), ("kidney", ("kidney",))):
        values = [value for value, name in ct.labelNames.items() if name.startswith(prefixes)]
        mask = np.isin(ct.labels, values)
        if mask.any():
            structures.append(RiskStructure(distanceFromMask(kind, mask, ct.series.ijkToRas, spacingMm=2.0), LIMITS_MM[kind]))
    return tuple(structures)


def anatomyModels(run: DemoRun, anatomy: SpineAnatomy, ct: ImportedCt) -> tuple[AnatomyModel, ...]:
    """Bones and nerves as surfaces in the scene."""
    models = []
    for value, name in ct.labelNames.items():
        if name.startswith(("vertebrae", "sacrum", "hip")):
            surface = maskSurface(ct.labels == value, ct.series.ijkToRas)
            models.append(AnatomyModel(addSurfaceModel(run.scene, name, surface, BONE_COLOR), BONE_COLOR))
    for nerve in anatomy.nerves:
        kind = "dura" if nerve.kind == "dura" else "root"
        node = addSurfaceModel(run.scene, nerve.name, _tube(nerve), RISK_COLORS[kind])
        models.append(AnatomyModel(node, RISK_COLORS[kind], 0.9 if kind == "root" else 0.45))
    return tuple(models)


def _tube(nerve: Any) -> Any:
    import vtk

    points = vtk.vtkPoints()
    for point in nerve.pointsRas:
        points.InsertNextPoint(*point)
    line = vtk.vtkPolyLineSource()
    line.SetNumberOfPoints(points.GetNumberOfPoints())
    line.SetPoints(points)
    tube = vtk.vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(float(np.mean(nerve.radiusMm)))
    tube.SetNumberOfSides(16)
    tube.CappingOn()
    tube.Update()
    return tube.GetOutput()


def makeSession(
    run: DemoRun, stream: LiveStream, path: Trajectory, structures: tuple[RiskStructure, ...], fit: RigidFit, tipToNeedle: np.ndarray
) -> GuidanceSession:
    """Guidance session on the streamed nodes; the uncertainty starts from the registration's covariance."""
    plan = NeedlePlan(
        f"{path.level} {path.side}", f"disc {path.level}", pathFrame(path.entryRas, path.targetRas), NeedleShape(), tipToNeedle
    )
    errorModel = TipErrorModel(
        registration=RegistrationCovariance(fit.covariance, fit.centerTo),
        referenceNoise=SensorNoise(),
        referenceOriginRas=fit.fromToTo[:3, 3],
        bending=STEERED_BENDING,
    )
    return GuidanceSession(
        run.scene,
        [plan],
        needleTransform=stream.sceneStream.node("NeedleToReference"),
        ultrasoundVolume=stream.sceneStream.node("Image_Reference"),
        toolStatuses=stream.toolLiveness,
        structures=structures,
        errorModel=errorModel,
    )


def guide(run: DemoRun, stream: LiveStream, session: GuidanceSession, timeoutSec: float = 60.0) -> GuidedNeedle:
    """Follow the needle until it rests at the target."""
    events: list[SessionEvent] = []
    state: SessionState | None = None
    ticks = blank = 0
    lastShown = time.monotonic()
    atTargetSince: float | None = None

    def look(_messages: list[OpenIGTLinkMessage], _update: SceneUpdate) -> bool:
        nonlocal state, ticks, blank, lastShown, atTargetSince
        now = time.monotonic()
        state = session.update(now)
        stream.recorder.recordGuidance(state)
        noted = session.takeEvents()
        stream.recorder.recordEvents(noted)
        events.extend(noted)
        ticks += 1
        guidance = state.displayed.guidance
        blank += guidance is None
        if now - lastShown > 1.0:
            lastShown = now
            if guidance is None:
                run.say("needle not live: " + "; ".join(f"{role} {tool.state}" for role, tool in state.displayed.notLive.items()))
            else:
                known = f" ± {guidance.uncertainty.radius95Mm:.1f}" if guidance.uncertainty is not None else ""
                run.say(
                    f"{state.displayed.phase.value:<10} tip to target {guidance.tipToTargetMm:5.1f}{known} mm, lateral "
                    f"{guidance.targetLateralMm:4.1f} mm, angle {guidance.shaftAngleDeg:4.1f}°, depth left {guidance.depthLeftMm:5.1f} mm"
                )
        if state.displayed.phase is GuidancePhase.AT_TARGET:
            atTargetSince = atTargetSince or now
        else:
            atTargetSince = None
        return atTargetSince is not None and now - atTargetSince > 1.0

    stream.runUntil(look, timeoutSec, "the needle to rest at the target")
    assert state is not None
    return GuidedNeedle(session, state, tuple(events), ticks, blank)
