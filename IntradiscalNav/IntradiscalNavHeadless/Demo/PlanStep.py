"""Step 4: anatomy from the segmentation, and the best posterolateral path to the disc."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from FusionRegistrationLib.MarkerPlate import MarkerPlate
from FusionRegistrationLib.RigidFit import RigidFit
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan, planTrajectories
from IntradiscalNavLib.Planning.PlateKeepOut import plateKeepOut
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy, anatomyFromLabels
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument
from IntradiscalNavLib.Simulation.MarkerPlateShape import plateDefinition


def readAnatomy(run: DemoRun, ct: ImportedCt) -> SpineAnatomy:
    anatomy = anatomyFromLabels(
        ct.labels, ct.series.ijkToRas, ct.labelNames, ctHu=ct.series.voxels, patientPosition=ct.series.patientPosition
    )
    run.say(f"levels found: {', '.join(anatomy.levels)}; roots and dural sac modelled from pedicles and canal")
    run.remarks += list(anatomy.warnings)
    return anatomy


def planPath(run: DemoRun, anatomy: SpineAnatomy, fit: RigidFit) -> Trajectory:
    """The best path on the chosen side.

    :raises RuntimeError: when no path is legal, saying which limit fails and by how much.
    """
    settings = run.settings
    uncertainty = RegistrationUncertainty(centerRas=fit.centerTo, covariance=fit.covariance)
    plate = plateKeepOut(MarkerPlate.fromDict(plateDefinition()), fit.fromToTo)
    plan = planTrajectories(anatomy, settings.level, settings.side, keepOuts=[plate], registration=uncertainty)
    if not plan.feasible:
        raise RuntimeError(f"No path to {settings.level} from the {settings.side} is legal: {_whyNone(plan)}")
    path = plan.best[0]
    run.say(
        f"{settings.level} from the {path.side}: {path.lengthMm:.0f} mm, {path.medialInclinationDeg:.0f}° medial, "
        f"{path.caudalTiltDeg:.0f}° caudal, entry {path.entryDistanceStraightMm:.0f} mm from the midline; "
        + ", ".join(f"{name} {value:.1f} mm" for name, value in sorted(path.clearancesMm.items(), key=lambda item: item[1])[:3])
    )
    line = run.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "PlannedPath")
    line.AddControlPoint(*path.entryRas, "Entry")
    line.AddControlPoint(*path.targetRas, "Target")
    # The navigation views draw the path themselves.
    line.GetDisplayNode().SetPropertiesLabelVisibility(False)
    line.GetDisplayNode().SetPointLabelsVisibility(False)
    storeDocument(run.scene, DocumentRole.PLAN, planDocument(path))
    return path


def planDocument(path: Trajectory) -> dict[str, Any]:
    """What a scene keeps of a path."""
    return {
        "level": path.level,
        "side": path.side,
        "entryRas": [float(value) for value in path.entryRas],
        "targetRas": [float(value) for value in path.targetRas],
        "medialInclinationDeg": path.medialInclinationDeg,
        "caudalTiltDeg": path.caudalTiltDeg,
        "entryDistanceStraightMm": path.entryDistanceStraightMm,
        "lengthMm": path.lengthMm,
        "clearancesMm": {name: float(value) for name, value in path.clearancesMm.items()},
        "violationProbability": path.violationProbability,
        "score": path.score,
        "hardLimits": [dataclasses.asdict(limit) | {"met": limit.met} for limit in path.hardLimits],
    }


def _whyNone(plan: TrajectoryPlan) -> str:
    if plan.best:
        return "; ".join(limit.sentence() for limit in plan.best[0].failing)
    return "no candidate reaches the disc"


def discTarget(anatomy: SpineAnatomy, level: str) -> np.ndarray:
    """Centre of the disc as the planner sees it."""
    return np.asarray(anatomy.disc(level).centerRas, float)
