"""When no path is legal: which limit stands in the way, by how much, and the nearest path to a legal one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.PathEvaluation import trajectoryFrom
from IntradiscalNavLib.Planning.PathMeasures import PathMeasures, hardLimits, measurePaths
from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.RayMarching import marchClearance
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Planning.TrajectoryAngles import pathAngles
from IntradiscalNavLib.Planning.TrajectoryScore import scorePaths

FloatArray = npt.NDArray[np.float64]

MM_PER_UNIT = {"mm": 1.0, "deg": 3.0, "of its half size": 0.25, "yes": 0.1}
"""How much of each unit weighs like one millimetre of missing clearance. A length that is too long by 5 mm weighs like 1 mm (``LENGTH_MM``)."""
LENGTH_MM = 5.0
_CANDIDATES = 300


@dataclass(frozen=True)
class Infeasibility:
    """Why nothing is legal on one side.

    ``nearest`` is the path that misses least; ``failing`` names its failing limits with their shortfalls in words. ``singleLimit`` gives, per limit,
    the smallest shortfall among the paths that fail nothing else (empty: more than one limit fails everywhere). ``sentence`` sums it up.
    """

    side: str
    nearest: Trajectory | None
    failing: tuple[str, ...]
    singleLimit: Mapping[str, float]
    sentence: str


def explainInfeasibility(context: PlanContext) -> Infeasibility:
    """Look for the paths nearest to legal: every candidate's true clearance, no early rejection."""
    entries = context.patch.entries
    if len(entries) == 0:
        lost = context.patch.unreachableShare()
        reason = max(lost, key=lambda key: lost[key]) if lost else "no skin in the CT here"
        return Infeasibility(context.side, None, (reason,), {}, f"No entry on the {context.side} is reachable: {reason}.")
    p = context.parameters
    low, high = context.inclinationWindowDeg
    kept: list[tuple[FloatArray, npt.NDArray[np.intp], int]] = []
    for number, target in enumerate(context.targets):
        angles = pathAngles(context.axes, entries, target, context.side)
        badness = np.maximum(angles.lengthMm - p.maxLengthMm, 0.0) / LENGTH_MM
        badness += np.maximum(np.maximum(low - angles.medialInclinationDeg, angles.medialInclinationDeg - high), 0.0) / MM_PER_UNIT["deg"]
        badness += np.maximum(np.abs(angles.caudalTiltDeg) - p.maxTiltDeg, 0.0) / MM_PER_UNIT["deg"]
        clearance = marchClearance(
            context.field.combined, context.field.grid, entries, target, floorMm=None, lipschitz=context.field.lipschitz
        )
        badness += np.maximum(-clearance.astype(float) / UNITS_PER_MM, 0.0)
        part = np.argsort(badness, kind="stable")[: _CANDIDATES // len(context.targets) + 8]
        kept.append((badness[part], part, number))
    badness = np.concatenate([k[0] for k in kept])
    index = np.concatenate([k[1] for k in kept])
    number = np.concatenate([np.full(len(k[1]), k[2]) for k in kept])
    order = np.argsort(badness, kind="stable")[:_CANDIDATES]
    measures = measurePaths(context, entries[index[order]], context.targets[number[order]])
    return _summarise(context, measures)


def _summarise(context: PlanContext, measures: PathMeasures) -> Infeasibility:
    crossing = crossesBone(context, measures.entries, measures.targets, context.parameters.recheckStepMm)
    missing = []
    single: dict[str, float] = {}
    for n in range(len(measures.entries)):
        failing = [limit for limit in hardLimits(context, measures, n) if not limit.met]
        weight = sum(limit.shortfall / (LENGTH_MM if limit.name == "length" else MM_PER_UNIT[limit.unit]) for limit in failing)
        missing.append(weight + (0.25 if crossing[n] else 0.0))
        if len(failing) == 1:
            name = failing[0].name
            single[name] = min(single.get(name, np.inf), failing[0].shortfall)
    best = int(np.argmin(missing))
    nearest = trajectoryFrom(context, measures, scorePaths(context, measures), best, name="nearest to legal", rechecked=True)
    sentences = [limit.sentence() for limit in nearest.failing]
    if not sentences and crossing[best]:
        sentences = ["bone: the path grazes bone at the segmentation's own resolution"]
    total = f"No legal path to {context.level} from the {context.side}. Nearest: {'; '.join(sentences)}."
    return Infeasibility(context.side, nearest, tuple(sentences), single, total)
