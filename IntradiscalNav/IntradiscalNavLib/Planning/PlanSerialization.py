"""Plans as JSON and CSV, and back. Positions are RAS mm and say so."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan
from IntradiscalNavLib.Planning.SessionPlan import SessionPlan
from IntradiscalNavLib.Planning.Trajectory import HardLimit, Trajectory, UltrasoundPlane
from TranslatedText.Translation import tr as _

FORMAT = "IntradiscalNav plan"
VERSION = 1


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity: both become null."""
    return round(float(value), 6) if np.isfinite(value) else None


def _fromNumber(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _point(values: Iterable[float]) -> list[float | None]:
    return [_number(v) for v in values]


def trajectoryToDict(trajectory: Trajectory) -> dict[str, Any]:
    """A path as plain JSON values."""
    plane = trajectory.ultrasound
    return {
        "name": trajectory.name,
        "kind": trajectory.kind,
        "level": trajectory.level,
        "side": trajectory.side,
        "entryRas": _point(trajectory.entryRas),
        "targetRas": _point(trajectory.targetRas),
        "medialInclinationDeg": _number(trajectory.medialInclinationDeg),
        "caudalTiltDeg": _number(trajectory.caudalTiltDeg),
        "entryDistanceStraightMm": _number(trajectory.entryDistanceStraightMm),
        "entryDistanceAlongSkinMm": _number(trajectory.entryDistanceAlongSkinMm),
        "lengthMm": _number(trajectory.lengthMm),
        "clearancesMm": {name: _number(value) for name, value in trajectory.clearancesMm.items()},
        "hardLimits": [
            {"name": h.name, "value": _number(h.value), "limit": _number(h.limit), "sense": h.sense, "unit": h.unit, "met": h.met}
            for h in trajectory.hardLimits
        ],
        "legal": trajectory.legal,
        "score": _number(trajectory.score),
        "scoreTerms": {name: _number(value) for name, value in trajectory.scoreTerms.items()},
        "violationProbability": _number(trajectory.violationProbability),
        "violationByCause": {name: _number(value) for name, value in trajectory.violationByCause.items()},
        "ultrasound": None
        if plane is None
        else {
            "feasible": plane.feasible,
            "probeSide": plane.probeSide,
            "tiltDeg": _number(plane.tiltDeg),
            "gapMm": _number(plane.gapMm),
            "planeNormalRas": _point(plane.planeNormalRas),
            "probeCenterRas": _point(plane.probeCenterRas),
        },
        "limitedBy": trajectory.limitedBy,
        "nearestBone": trajectory.nearestBone,
        "rechecked": trajectory.rechecked,
    }


def trajectoryFromDict(values: Mapping[str, Any]) -> Trajectory:
    """Inverse of ``trajectoryToDict``.

    :raises ValueError: naming the missing or unreadable field.
    """
    try:
        plane = values.get("ultrasound")
        return Trajectory(
            name=str(values["name"]),
            kind=str(values["kind"]),
            level=str(values["level"]),
            side=str(values["side"]),
            entryRas=np.array([_fromNumber(v) for v in values["entryRas"]]),
            targetRas=np.array([_fromNumber(v) for v in values["targetRas"]]),
            medialInclinationDeg=_fromNumber(values["medialInclinationDeg"]),
            caudalTiltDeg=_fromNumber(values["caudalTiltDeg"]),
            entryDistanceStraightMm=_fromNumber(values["entryDistanceStraightMm"]),
            entryDistanceAlongSkinMm=_fromNumber(values["entryDistanceAlongSkinMm"]),
            lengthMm=_fromNumber(values["lengthMm"]),
            clearancesMm={name: _fromNumber(v) for name, v in values["clearancesMm"].items()},
            hardLimits=tuple(
                HardLimit(str(h["name"]), _fromNumber(h["value"]), _fromNumber(h["limit"]), str(h["sense"]), str(h["unit"]))
                for h in values["hardLimits"]
            ),
            score=_fromNumber(values["score"]),
            scoreTerms={name: _fromNumber(v) for name, v in values["scoreTerms"].items()},
            violationProbability=_fromNumber(values["violationProbability"]),
            violationByCause={name: _fromNumber(v) for name, v in values.get("violationByCause", {}).items()},
            ultrasound=None
            if plane is None
            else UltrasoundPlane(
                bool(plane["feasible"]),
                str(plane["probeSide"]),
                _fromNumber(plane["tiltDeg"]),
                _fromNumber(plane["gapMm"]),
                np.array([_fromNumber(v) for v in plane["planeNormalRas"]]),
                np.array([_fromNumber(v) for v in plane["probeCenterRas"]]),
            ),
            limitedBy=str(values.get("limitedBy", "")),
            nearestBone=str(values.get("nearestBone", "")),
            rechecked=bool(values.get("rechecked", False)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            _("Not a planned path: field {error} is missing or unreadable. Save the plan again.").format(error=error)
        ) from error


def planToDict(plan: TrajectoryPlan, parameters: PlanningParameters) -> dict[str, Any]:
    """A plan as plain JSON values: paths, what fails where nothing is legal, parameters, warnings, counts and times."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "frame": "RAS, mm",
        "kind": plan.kind,
        "level": plan.level,
        "side": plan.side,
        "feasible": plan.feasible,
        "best": [trajectoryToDict(path) for path in plan.best],
        "infeasible": {
            side: {
                "sentence": reason.sentence,
                "failing": list(reason.failing),
                "nearest": None if reason.nearest is None else trajectoryToDict(reason.nearest),
                "variants": {name: trajectoryToDict(path) for name, path in reason.variants.items()},
            }
            for side, reason in plan.infeasible.items()
        },
        "candidateCount": plan.candidateCount,
        "legalCount": plan.legalCount,
        "depthMm": {side: _number(context.depthMm) for side, context in plan.contexts.items()},
        "priorInclinationDeg": {side: _number(context.priorInclinationDeg) for side, context in plan.contexts.items()},
        "warnings": list(plan.warnings),
        "timesMs": {part: _number(value) for part, value in plan.timesMs.items()},
        "parameters": parameters.toDict(),
    }


def planToJson(plan: TrajectoryPlan, parameters: PlanningParameters) -> str:
    """A plan as JSON text."""
    return json.dumps(planToDict(plan, parameters), indent=2)


def trajectoriesFromJson(text: str) -> tuple[Trajectory, ...]:
    """The offered paths of a plan saved as JSON.

    :raises ValueError: when the text is no plan of this program or of a later version.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(_("The plan is not readable JSON ({error}).").format(error=error)) from error
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise ValueError(_("The file is not a plan of IntradiscalNav."))
    if int(values.get("version", 0)) > VERSION:
        raise ValueError(
            _("The plan was saved by a later version ({values}); this program reads up to {version}.").format(
                values=values["version"], version=VERSION
            )
        )
    return tuple(trajectoryFromDict(path) for path in values["best"])


def sessionToDict(session: SessionPlan) -> dict[str, Any]:
    """A session as plain JSON values."""
    return {
        "format": "IntradiscalNav session",
        "version": VERSION,
        "frame": "RAS, mm",
        "steps": [
            {
                "order": n,
                "target": step.target.name,
                "needleLengthMm": step.needleLengthMm,
                "hubRas": _point(step.hubRas),
                "reason": step.reason,
                "trajectory": trajectoryToDict(step.trajectory),
            }
            for n, step in enumerate(session.steps, start=1)
        ],
        "unplanned": dict(session.unplanned),
        "closestShaftsMm": _number(session.closestShaftsMm),
        "closestHubsMm": _number(session.closestHubsMm),
        "conflicts": list(session.conflicts),
    }


CSV_COLUMNS = (
    "name",
    "kind",
    "level",
    "side",
    "entryR",
    "entryA",
    "entryS",
    "targetR",
    "targetA",
    "targetS",
    "medialInclinationDeg",
    "caudalTiltDeg",
    "entryDistanceStraightMm",
    "entryDistanceAlongSkinMm",
    "lengthMm",
    "legal",
    "score",
    "violationProbability",
    "ultrasoundInPlane",
    "limitedBy",
    "nearestBone",
)
CLEARANCE_COLUMNS = ("bone", "root", "dura", "vessel", "bowel", "kidney", "organ", "ilium")


def trajectoriesToCsv(trajectories: Iterable[Trajectory]) -> str:
    """Paths as CSV, one per line, clearances in columns of their own (empty where the structure is not in the segmentation)."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"{name}ClearanceMm" for name in CLEARANCE_COLUMNS)])
    for t in trajectories:
        row: list[Any] = [t.name, t.kind, t.level, t.side]
        row += [f"{v:.2f}" for v in (*t.entryRas, *t.targetRas, t.medialInclinationDeg, t.caudalTiltDeg)]
        row += ["" if np.isnan(v) else f"{v:.2f}" for v in (t.entryDistanceStraightMm, t.entryDistanceAlongSkinMm, t.lengthMm)]
        row += [int(t.legal), f"{t.score:.4f}", "" if np.isnan(t.violationProbability) else f"{t.violationProbability:.3f}"]
        row += ["" if t.ultrasound is None else int(t.ultrasound.feasible), t.limitedBy, t.nearestBone]
        row += [f"{t.clearancesMm[name]:.2f}" if name in t.clearancesMm else "" for name in CLEARANCE_COLUMNS]
        writer.writerow(row)
    return buffer.getvalue()
