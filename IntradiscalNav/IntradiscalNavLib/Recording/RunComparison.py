"""Two or more runs side by side: their errors over depth, and their paths in the frame of the plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath
from IntradiscalNavLib.Recording.ProcedureReview import ProcedureReview
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]
DEPTH_STEP_MM = 1.0


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """One run. ``tipInPlan``: (n, 3) mm right of the plan, up from it (towards the head), and depth below the planned entry."""

    name: str
    review: ProcedureReview
    tipInPlan: FloatArray
    depthMm: FloatArray
    lateralMm: FloatArray
    angleDeg: FloatArray


@dataclass(frozen=True)
class MetricDifference:
    """One number of the runs, in their order; None where a run doesn't have it. ``spread``: largest minus smallest."""

    name: str
    values: tuple[float | None, ...]
    spread: float | None


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Runs on a common depth axis."""

    runs: tuple[ComparedRun, ...]
    differences: tuple[MetricDifference, ...]


def compareRuns(runs: Sequence[tuple[ProcedureReview, RecordedProcedure]]) -> RunComparison:
    """Compare runs; each is measured against its own plan.

    :raises ValueError: with fewer than two runs, or a run that has no plan or no valid needle pose, naming it.
    """
    if len(runs) < 2:
        raise ValueError(_("Two runs at least are needed for a comparison."))
    compared = tuple(_compared(review, recorded) for review, recorded in runs)
    rows = [run.review.row() for run in compared]
    names = [name for name in rows[0] if name not in ("name", "missing")]
    names += [name for row in rows[1:] for name in row if name not in (*names, "name", "missing")]
    differences = []
    for name in dict.fromkeys(names):
        values = tuple(float(row[name]) if isinstance(row.get(name), int | float) else None for row in rows)
        known = [value for value in values if value is not None]
        if known:
            differences.append(MetricDifference(name, values, max(known) - min(known) if len(known) == len(values) else None))
    return RunComparison(compared, tuple(differences))


def _compared(review: ProcedureReview, recorded: RecordedProcedure) -> ComparedRun:
    if review.plan is None or review.navigation is None or review.navigation.profile is None:
        reason = "; ".join(review.missing) or _("the needle never entered along the plan")
        raise ValueError(_("{reviewName} can't be compared: {reason}.").format(reviewName=review.name, reason=reason))
    _unused, poses, valid = recorded.toolTipToRas()
    profile = review.navigation.profile
    return ComparedRun(review.name, review, _inPlan(poses[valid, :3, 3], review.plan), profile.depthMm, profile.lateralMm, profile.angleDeg)


def _inPlan(tipsRas: FloatArray, plan: PlannedPath) -> FloatArray:
    """Right is the patient's right as far as it is across the path; up completes it towards the head."""
    along = plan.direction
    up = np.array([0.0, 0.0, 1.0]) - along[2] * along
    if np.linalg.norm(up) < 1e-6:
        up = np.array([0.0, 1.0, 0.0])
    up /= np.linalg.norm(up)
    right = np.cross(up, along)
    offset = tipsRas - np.asarray(plan.entryRas)
    result: FloatArray = np.stack([offset @ right, offset @ up, offset @ along], axis=1)
    return result
