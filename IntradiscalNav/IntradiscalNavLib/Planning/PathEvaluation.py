"""One path, wholly evaluated: what a dragged line calls at frame rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.NearestBone import nearestBone
from IntradiscalNavLib.Planning.PathMeasures import PathMeasures, hardLimits, measurePaths
from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.SkinPatch import REACHABLE, REASON_TEXT, distanceAlongSkin
from IntradiscalNavLib.Planning.Trajectory import HardLimit, Trajectory, shortfallText
from IntradiscalNavLib.Planning.TrajectoryScore import Scores, scorePaths
from TranslatedText.Translation import tr as _

GRAZED_MM = 0.5
"""By how much the bone limit fails at least where only the segmentation's own resolution shows the bone."""
DRAG_DRAWS = 48
"""Draws of the violation probability while dragging: +-7 % at worst (one standard deviation), enough for a colour."""


def evaluateTrajectory(
    context: PlanContext, entryRas: npt.ArrayLike, targetRas: npt.ArrayLike, *, name: str = "", draws: int = DRAG_DRAWS
) -> Trajectory:
    """Everything about one path: angles, clearances, limits, score, ultrasound plane, probability of violation. A few milliseconds.

    :raises ValueError: for entry and target at the same place, or values that are not finite.
    """
    entry, target = np.asarray(entryRas, float), np.asarray(targetRas, float)
    if entry.shape != (3,) or target.shape != (3,) or not np.isfinite([entry, target]).all():
        raise ValueError(_("Entry and target must be finite RAS points of three coordinates."))
    if np.linalg.norm(entry - target) < 1.0:
        raise ValueError(_("Entry and target coincide; drag them apart."))
    measures = measurePaths(context, entry[None], target[None], draws=draws)
    return trajectoryFrom(context, measures, scorePaths(context, measures), 0, name=name)


def recheckTrajectory(context: PlanContext, trajectory: Trajectory) -> Trajectory:
    """The path looked up in the segmentation at its own resolution, as offered paths are: a bone that the 1 mm field let slip fails the
    bone limit. For a path that has come to rest; it costs more than dragging may."""
    if not crossesBone(context, trajectory.entryRas[None], trajectory.targetRas[None], context.parameters.recheckStepMm)[0]:
        return replace(trajectory, rechecked=True)
    limits = tuple(
        replace(limit, value=min(limit.value, limit.limit - GRAZED_MM)) if limit.name == "bone" else limit
        for limit in trajectory.hardLimits
    )
    limitedBy = trajectory.limitedBy if limits == trajectory.hardLimits else _("bone is grazed at the segmentation's own resolution")
    return replace(trajectory, hardLimits=limits, limitedBy=limitedBy, rechecked=True)


def trajectoryFrom(
    context: PlanContext, measures: PathMeasures, scores: Scores, n: int, *, name: str = "", rechecked: bool = False
) -> Trajectory:
    """Result object of path ``n`` of measured and scored paths."""
    limits = hardLimits(context, measures, n)
    violation = measures.violation
    bone = ""
    if not np.isnan(measures.nearestBonePoint[n]).any():
        bone = nearestBone(context.anatomy, context.disc, measures.nearestBonePoint[n])
    trajectory = Trajectory(
        name=name,
        kind=context.kind,
        level=context.level,
        side=context.side,
        entryRas=measures.entries[n].copy(),
        targetRas=measures.targets[n].copy(),
        medialInclinationDeg=float(measures.angles.medialInclinationDeg[n]),
        caudalTiltDeg=float(measures.angles.caudalTiltDeg[n]),
        entryDistanceStraightMm=float(measures.angles.entryDistanceStraightMm[n]),
        entryDistanceAlongSkinMm=float(distanceAlongSkin(context.anatomy.skin, context.axes, measures.entries[n])[0]),
        lengthMm=float(measures.angles.lengthMm[n]),
        clearancesMm={name_: float(value[n]) for name_, value in measures.clearanceMm.items()},
        hardLimits=limits,
        score=float(scores.total[n]),
        scoreTerms={term: float(value[n]) for term, value in scores.terms.items()},
        violationProbability=float(violation.total[n]) if violation is not None else float("nan"),
        violationByCause={cause: float(value[n]) for cause, value in violation.byCause.items()} if violation is not None else {},
        ultrasound=measures.ultrasound.plane(n, context.axes, context.side) if measures.ultrasound is not None else None,
        limitedBy=_limitedBy(context, measures, limits, n, bone),
        nearestBone=bone,
        rechecked=rechecked,
    )
    return trajectory


def _limitedBy(context: PlanContext, measures: PathMeasures, limits: tuple[HardLimit, ...], n: int, bone: str) -> str:
    """The hard limit that fails most, or the one with the least room, in words."""
    scale = {"mm": 1.0, "deg": 4.0, "of its half size": 0.15, "yes": 0.2}
    worst = min(limits, key=lambda limit: limit.slack / scale[limit.unit])
    if worst.name == "entry on reachable skin" and not worst.met:
        return REASON_TEXT[int(measures.reason[n])]
    if worst.name == "entry on reachable skin":
        worst = min((limit for limit in limits if limit.name != worst.name), key=lambda limit: limit.slack / scale[limit.unit])
    reachable = measures.reason[n] == REACHABLE
    verb = f"fails by {shortfallText(worst.shortfall)}" if not worst.met else f"has {worst.slack:.1f}"
    tail = "" if worst.met else ("" if reachable else _("; the entry is not reachable"))
    what = f"bone ({bone})" if worst.name == "bone" and bone else worst.name
    return f"{what} {verb} {worst.unit}{' to spare' if worst.met else ''}{tail}"
