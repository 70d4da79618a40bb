"""When no path is legal: which limit stands in the way, by how much, and the nearest path to a legal one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.PathEvaluation import trajectoryFrom
from IntradiscalNavLib.Planning.PathMeasures import PathMeasures, hardLimits, measurePaths
from IntradiscalNavLib.Planning.PlanContext import PlanContext, preparePlan
from IntradiscalNavLib.Planning.RayMarching import marchClearance
from IntradiscalNavLib.Planning.Trajectory import HardLimit, Trajectory
from IntradiscalNavLib.Planning.TrajectoryAngles import pathAngles
from IntradiscalNavLib.Planning.TrajectoryScore import scorePaths
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

MM_PER_UNIT = {"mm": 1.0, "deg": 3.0, "of its half size": 0.25, "yes": 0.1}
"""How much of each unit weighs like one millimetre of missing clearance."""
LENGTH_MM = 10.0
"""A needle too short by this much weighs like one millimetre of missing clearance: a longer needle exists."""
BONE_WEIGHT = 4.0
"""A millimetre of bone in the way weighs like four of a nerve's margin: a margin can be weighed, bone cannot be passed."""
LONGER_MM = 40.0
"""Paths up to this much too long are looked at, so that "a longer needle would do" can be said."""
MIN_ENTRIES = 6000
_PER_GROUP = 40
_OVERALL = 160


@dataclass(frozen=True)
class Infeasibility:
    """Why nothing is legal on one side.

    ``nearest`` is the path that misses least; ``failing`` names its failing limits with their shortfalls in words. ``variants`` holds,
    per limit that can be the only one to fail, the path that fails it least: what giving way on that limit would buy, and
    ``singleLimit`` its shortfall. ``sentence`` sums it up.
    """

    side: str
    nearest: Trajectory | None
    failing: tuple[str, ...]
    variants: Mapping[str, Trajectory]
    sentence: str
    legalAfterAll: Trajectory | None = None
    """A legal path that only this closer look found; the plan then offers it."""

    @property
    def singleLimit(self) -> dict[str, float]:
        """Smallest shortfall per limit among the paths that fail nothing else."""
        return {name: path.failing[0].shortfall for name, path in self.variants.items() if path.failing}


def explainInfeasibility(context: PlanContext) -> Infeasibility:
    """Look for the paths nearest to legal: every candidate's true clearance, longer needles included, no early rejection."""
    p = context.parameters
    longer = replace(p, needleLengthMm=p.needleLengthMm + LONGER_MM, minEntries=min(MIN_ENTRIES, p.minEntries))
    wide = preparePlan(
        context.anatomy,
        context.level,
        context.side,
        longer,
        kind=context.kind,
        keepOuts=context.keepOuts,
        registration=context.registration,
    )
    entries = wide.patch.entries
    if len(entries) == 0:
        lost = wide.patch.unreachableShare()
        reason = max(lost, key=lambda key: lost[key])
        return Infeasibility(
            context.side, None, (reason,), {}, _("No entry on the {side} is reachable: {reason}.").format(side=context.side, reason=reason)
        )
    wide = replace(wide, parameters=p)
    index, number = _nearCandidates(wide, entries)
    return _summarise(wide, measurePaths(wide, entries[index], wide.targets[number], withUltrasound=False, withViolation=False))


def _nearCandidates(context: PlanContext, entries: FloatArray) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The candidates that miss least overall, and those that miss only one limit, least first."""
    p = context.parameters
    low, high = context.inclinationWindowDeg
    rows = []
    for target in context.targets:
        angles = pathAngles(context.axes, entries, target, context.side)
        clearance = marchClearance(
            context.field.combined, context.field.grid, entries, target, floorMm=None, lipschitz=context.field.lipschitz
        )
        rows.append(
            np.stack(
                [
                    2.0 * np.maximum(-clearance.astype(float) / UNITS_PER_MM, 0.0),
                    np.maximum(angles.lengthMm - p.maxLengthMm, 0.0) / LENGTH_MM,
                    np.maximum(np.maximum(low - angles.medialInclinationDeg, angles.medialInclinationDeg - high), 0.0) / MM_PER_UNIT["deg"],
                    np.maximum(np.abs(angles.caudalTiltDeg) - p.maxTiltDeg, 0.0) / MM_PER_UNIT["deg"],
                ],
                axis=1,
            )
        )
    missing = np.concatenate(rows)
    total = missing.sum(1)
    chosen = [np.argsort(total, kind="stable")[:_OVERALL]]
    for column in range(missing.shape[1]):
        only = np.flatnonzero((missing[:, column] > 0) & (np.delete(missing, column, axis=1).max(1) <= 0))
        chosen.append(only[np.argsort(missing[only, column], kind="stable")[:_PER_GROUP]])
    flat = np.unique(np.concatenate(chosen))
    return flat % len(entries), flat // len(entries)


def _weight(limit: HardLimit) -> float:
    """Shortfall of a limit in millimetres of missing clearance."""
    if limit.name == "bone":
        return BONE_WEIGHT * limit.shortfall
    return limit.shortfall / (LENGTH_MM if limit.name == "length" else MM_PER_UNIT[limit.unit])


def _summarise(context: PlanContext, measures: PathMeasures) -> Infeasibility:
    crossing = crossesBone(context, measures.entries, measures.targets, context.parameters.recheckStepMm)
    missing = np.zeros(len(measures.entries))
    single: dict[str, tuple[float, int]] = {}
    for n in range(len(measures.entries)):
        failing = [limit for limit in hardLimits(context, measures, n) if not limit.met]
        missing[n] = sum(_weight(limit) for limit in failing) + 0.5 * crossing[n]
        if len(failing) == 1 and (not crossing[n] or failing[0].name == "bone"):
            name = failing[0].name
            if name not in single or failing[0].shortfall < single[name][0]:
                single[name] = (failing[0].shortfall, n)
    best = int(np.argmin(missing))
    shown = [best, *(n for _unused, n in single.values())]
    full = measurePaths(context, measures.entries[shown], measures.targets[shown])
    scores = scorePaths(context, full)
    nearest = trajectoryFrom(context, full, scores, 0, name="nearest to legal", rechecked=True)
    variants = {
        name: trajectoryFrom(context, full, scores, n, name=f"legal but for {name}", rechecked=True)
        for n, name in enumerate(single, start=1)
    }
    sentences = [limit.sentence() for limit in nearest.failing]
    if not sentences and not crossing[best]:
        found = replace(nearest, name="only one found")
        return Infeasibility(
            context.side,
            nearest,
            (),
            variants,
            _("One path to {level} was found only by a closer look.").format(level=context.level),
            found,
        )
    if not sentences and crossing[best]:
        sentences = [_("bone: the path grazes bone at the segmentation's own resolution")]
    total = _("No legal path to {level} from the {side}. Nearest: {names}.").format(
        level=context.level, side=context.side, names="; ".join(sentences)
    )
    if "length" in variants:
        needed = variants["length"].lengthMm + context.parameters.hubReserveMm
        total += _(" A needle of {needed:.0f} mm would reach with every other limit met.").format(needed=needed)
    return Infeasibility(context.side, nearest, tuple(sentences), variants, total)
