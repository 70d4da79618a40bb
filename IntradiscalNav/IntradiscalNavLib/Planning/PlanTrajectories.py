"""Plan a level: search every entry and target, score, re-check, and offer the best paths that really differ."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.Infeasibility import Infeasibility, explainInfeasibility
from IntradiscalNavLib.Planning.PathEvaluation import trajectoryFrom
from IntradiscalNavLib.Planning.PathMeasures import legalPaths, measurePaths
from IntradiscalNavLib.Planning.PlanContext import PlanContext, preparePlan
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Planning.TrajectoryChoice import chooseDiverse
from IntradiscalNavLib.Planning.TrajectoryScore import rankValue, scorePaths
from IntradiscalNavLib.Planning.TrajectorySearch import SearchResult, searchTrajectories, spreadSelection
from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrajectoryPlan:
    """Answer to "how do I get there".

    ``best`` are the offered paths, best first, each differing from the others; empty when nothing is legal, and then ``infeasible`` says
    what fails. ``searches`` hold the whole search per side (for the feasibility map), ``contexts`` what dragging needs. ``timesMs`` are
    the parts' durations.
    """

    kind: str
    level: str
    side: str
    best: tuple[Trajectory, ...]
    infeasible: Mapping[str, Infeasibility]
    candidateCount: int
    legalCount: int
    searches: Mapping[str, SearchResult]
    contexts: Mapping[str, PlanContext]
    warnings: tuple[str, ...]
    timesMs: Mapping[str, float]

    @property
    def feasible(self) -> bool:
        """Whether any legal path was found."""
        return bool(self.best)


def planTrajectories(
    anatomy: SpineAnatomy,
    level: str = "L4-L5",
    side: str = "left",
    parameters: PlanningParameters | None = None,
    *,
    kind: str = "disc",
    keepOuts: Sequence[KeepOutBox] = (),
    registration: RegistrationUncertainty | None = None,
) -> TrajectoryPlan:
    """Best paths to a disc or a facet joint.

    :param side: "left", "right" or "both".
    :param kind: "disc" (path crosses no bone and ends in the nucleus) or "facet" (ends at the joint's capsule).
    :param keepOuts: marker plate and other solids on the skin.
    :param registration: predicted error of the CT-to-patient registration; until there is one, ``registrationTreMm`` stands in.
    :raises ValueError: unknown level, side or kind; no skin; target out of the needle's reach.
    """
    if side not in ("left", "right", "both"):
        raise ValueError(_("Side must be 'left', 'right' or 'both', not '{side}'.").format(side=side))
    p = parameters or PlanningParameters()
    times: dict[str, float] = {}
    offered: list[Trajectory] = []
    infeasible: dict[str, Infeasibility] = {}
    searches: dict[str, SearchResult] = {}
    contexts: dict[str, PlanContext] = {}
    candidates = legal = 0
    for oneSide in ("left", "right") if side == "both" else (side,):
        start = time.perf_counter()
        context = preparePlan(anatomy, level, oneSide, p, kind=kind, keepOuts=keepOuts, registration=registration)
        start = _note(times, "fields", start)
        search = searchTrajectories(context)
        start = _note(times, "search", start)
        contexts[oneSide], searches[oneSide] = context, search
        candidates += search.candidateCount
        paths, found = rankCandidates(context, search)
        start = _note(times, "rank", start)
        legal += search.legalCount
        offered += paths
        if not found:
            reason = explainInfeasibility(context)
            if reason.legalAfterAll is not None:
                offered.append(reason.legalAfterAll)
            else:
                infeasible[oneSide] = reason
            _note(times, "explain", start)
    offered.sort(key=lambda path: -float(rankValue(path.score, path.violationProbability, p.maxViolation)))
    if side == "both":
        offered = _bothSides(offered, p.offeredCount)
    return TrajectoryPlan(kind, level, side, tuple(offered), infeasible, candidates, legal, searches, contexts, anatomy.warnings, times)


def rankCandidates(context: PlanContext, search: SearchResult) -> tuple[list[Trajectory], bool]:
    """Offered paths of one side from its search; the flag tells whether any path stayed legal after the re-check."""
    if len(search.entryIndex) == 0:
        return [], False
    p = context.parameters
    chosen = search.shortlist(p.recheckCount)
    entries = search.entries[search.entryIndex[chosen]]
    targets = context.targets[search.targetIndex[chosen]]
    clear = ~crossesBone(context, entries, targets, p.recheckStepMm)
    entries, targets = entries[clear], targets[clear]
    if len(entries) == 0:
        return [], False
    coarse = measurePaths(context, entries, targets, withViolation=False)
    keep = np.flatnonzero(legalPaths(context, coarse))
    if len(keep) == 0:
        return [], False
    # Robustness costs most: only for the paths whose score could still win, and a spread of others.
    bound = scorePaths(context, coarse).total[keep]
    spread = spreadSelection(
        bound, coarse.angles.medialInclinationDeg[keep], coarse.angles.caudalTiltDeg[keep], max(160, 20 * p.offeredCount), 3
    )
    keep = keep[spread]
    measures = measurePaths(context, entries[keep], targets[keep])
    scores = scorePaths(context, measures)
    picks = chooseDiverse(context, measures, scores)
    return [trajectoryFrom(context, measures, scores, n, name=name, rechecked=True) for n, name in picks], True


def _note(times: dict[str, float], part: str, start: float) -> float:
    now = time.perf_counter()
    times[part] = times.get(part, 0.0) + 1000.0 * (now - start)
    return now


def _bothSides(paths: list[Trajectory], count: int) -> list[Trajectory]:
    """Best first, but each side that has any path is among the offered."""
    chosen = paths[:count]
    for side in ("left", "right"):
        first = next((path for path in paths if path.side == side), None)
        if first is not None and not any(path.side == side for path in chosen):
            chosen = [*chosen[:-1], first]
    return chosen
