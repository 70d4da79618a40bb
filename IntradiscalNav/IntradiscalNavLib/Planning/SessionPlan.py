"""A whole session: one disc and the facet joints, planned together, needles and hubs kept apart, with an order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan, planTrajectories
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

FACET_LEVELS = ("L3-L4", "L4-L5", "L5-S1")
"""Albano 2023: one disc, then the facet joints of these levels on both sides: six."""
NEEDLE_LENGTHS_MM = (90.0, 120.0, 150.0)
"""Spinal needles in the drawer; a facet joint takes the shortest that leaves the hub reserve outside."""
SHAFT_GAP_MM = 3.0
"""Needles keep this distance from each other in the patient (two 22 G shafts and their bending)."""
HUB_GAP_MM = 12.0
"""Hubs (8 mm wide) and what holds them keep this distance from other hubs …"""
HUB_SHAFT_GAP_MM = 8.0
"""… and from other shafts."""
PROBE_GAP_MM = 10.0
"""A needle in place nearer than this to the probe's face is in its way."""
_OPTIONS = 8
_MAX_NODES = 60000


@dataclass(frozen=True)
class SessionTarget:
    """A target of the session: "disc" or "facet", level and side."""

    kind: str
    level: str
    side: str

    @property
    def name(self) -> str:
        """For lists: "disc L4-L5 left", "facet L4-L5 left"."""
        return f"{self.kind} {self.level} {self.side}"


@dataclass(frozen=True)
class SessionStep:
    """One needle of the session in its order: the path, the needle to take, and why it comes here."""

    target: SessionTarget
    trajectory: Trajectory
    needleLengthMm: float
    hubRas: FloatArray
    reason: str


@dataclass(frozen=True)
class SessionPlan:
    """All needles in order. ``unplanned`` gives the reason per target that got none. ``closestShaftsMm`` and ``closestHubsMm`` are the
    smallest distances between needles (inf for one needle); ``conflicts`` names pairs that could not be kept apart."""

    steps: tuple[SessionStep, ...]
    unplanned: dict[str, str]
    closestShaftsMm: float
    closestHubsMm: float
    conflicts: tuple[str, ...]
    plans: dict[str, TrajectoryPlan]


@dataclass(frozen=True)
class NeedleGaps:
    """Smallest distances (mm) between the shafts and between the hubs of needles in place (inf for one needle), and the pairs that come
    too near, in words."""

    closestShaftsMm: float
    closestHubsMm: float
    conflicts: tuple[str, ...]


def segmentDistanceMm(a0: FloatArray, a1: FloatArray, b0: FloatArray, b1: FloatArray) -> float:
    """Smallest distance between two segments (closest points by clamping, Ericson 2005)."""
    d1, d2, r = a1 - a0, b1 - b0, a0 - b0
    a, e, f = float(d1 @ d1), float(d2 @ d2), float(d2 @ r)
    c, b = float(d1 @ r), float(d1 @ d2)
    if e < 1e-12:  # the second is a point
        s, t = (float(np.clip(-c / a, 0.0, 1.0)) if a > 1e-12 else 0.0), 0.0
    else:
        denominator = a * e - b * b
        s = float(np.clip((b * f - c * e) / denominator, 0.0, 1.0)) if denominator > 1e-12 * a * e else 0.0
        t = (b * s + f) / e
        if t < 0.0 or t > 1.0:
            t = float(np.clip(t, 0.0, 1.0))
            s = float(np.clip((b * t - c) / a, 0.0, 1.0)) if a > 1e-12 else 0.0
    return float(np.linalg.norm(a0 + s * d1 - b0 - t * d2))


def needleFor(trajectory: Trajectory, parameters: PlanningParameters) -> float:
    """Length (mm) of the needle for a path: the disc's for a disc, the shortest stocked one that leaves the reserve for a facet."""
    if trajectory.kind == "disc":
        return parameters.needleLengthMm
    fitting = [length for length in NEEDLE_LENGTHS_MM if length - parameters.hubReserveMm >= trajectory.lengthMm]
    return fitting[0] if fitting else parameters.needleLengthMm


@dataclass(frozen=True)
class _Option:
    trajectory: Trajectory
    needleMm: float
    hub: FloatArray

    def gapsTo(self, other: _Option) -> tuple[float, float, float]:
        """Distances shaft-shaft, hub-hub and hub-shaft (the nearer of both ways)."""
        shaft = segmentDistanceMm(self.trajectory.targetRas, self.hub, other.trajectory.targetRas, other.hub)
        hubs = float(np.linalg.norm(self.hub - other.hub))
        across = min(
            segmentDistanceMm(self.hub, self.hub, other.trajectory.targetRas, other.hub),
            segmentDistanceMm(other.hub, other.hub, self.trajectory.targetRas, self.hub),
        )
        return shaft, hubs, across

    def conflictsWith(self, other: _Option) -> bool:
        shaft, hubs, across = self.gapsTo(other)
        return shaft < SHAFT_GAP_MM or hubs < HUB_GAP_MM or across < HUB_SHAFT_GAP_MM

    def blocksProbeOf(self, other: _Option, probeLengthMm: float) -> bool:
        """Whether this needle, in place, stands where the other's probe would lie."""
        plane = other.trajectory.ultrasound
        if plane is None or not plane.feasible:
            return False
        along = plane.probeCenterRas - other.trajectory.entryRas
        along = along / max(float(np.linalg.norm(along)), 1e-9)
        half = 0.5 * probeLengthMm * along
        outside = self.trajectory.entryRas
        return segmentDistanceMm(outside, self.hub, plane.probeCenterRas - half, plane.probeCenterRas + half) < PROBE_GAP_MM


def planSession(
    anatomy: SpineAnatomy,
    discLevel: str,
    discSide: str,
    parameters: PlanningParameters | None = None,
    *,
    facetLevels: Sequence[str] = FACET_LEVELS,
    keepOuts: Sequence[KeepOutBox] = (),
    registration: RegistrationUncertainty | None = None,
) -> SessionPlan:
    """Plan the disc and the facet joints of ``facetLevels`` on both sides as one session.

    A target that cannot be planned is left out with its reason; the others are planned nevertheless.
    """
    p = parameters or PlanningParameters()
    wanted = [SessionTarget("disc", discLevel, discSide)]
    wanted += [SessionTarget("facet", level, side) for level in facetLevels for side in ("left", "right")]
    unplanned: dict[str, str] = {}
    plans: dict[str, TrajectoryPlan] = {}
    targets: list[SessionTarget] = []
    options: list[list[_Option]] = []
    for target in wanted:
        # Facet joints are near and wide: a coarser search finds the same paths.
        chosen = replace(p, offeredCount=_OPTIONS, minEntries=p.minEntries if target.kind == "disc" else min(p.minEntries, 8000))
        try:
            plan = planTrajectories(
                anatomy, target.level, target.side, chosen, kind=target.kind, keepOuts=keepOuts, registration=registration
            )
        except ValueError as error:
            unplanned[target.name] = str(error)
            continue
        plans[target.name] = plan
        if not plan.best:
            unplanned[target.name] = next(iter(plan.infeasible.values())).sentence
            continue
        targets.append(target)
        built = []
        for path in plan.best:
            needle = needleFor(path, p)
            built.append(_Option(path, needle, path.hubRas(needle)))
        options.append(built)
    picks = _chooseTogether(options)
    chosenOptions = [built[pick] for built, pick in zip(options, picks)]
    order, reasons = _order(targets, chosenOptions, p)
    steps = tuple(
        SessionStep(targets[n], chosenOptions[n].trajectory, chosenOptions[n].needleMm, chosenOptions[n].hub, reason)
        for n, reason in zip(order, reasons)
    )
    gaps = needleGaps([(target.name, option.trajectory, option.needleMm) for target, option in zip(targets, chosenOptions)])
    return SessionPlan(steps, unplanned, gaps.closestShaftsMm, gaps.closestHubsMm, gaps.conflicts, plans)


def needleGaps(needles: Sequence[tuple[str, Trajectory, float]]) -> NeedleGaps:
    """Distances between needles in place.

    :param needles: name, path and needle length (mm) of each.
    """
    options = [(name, _Option(path, lengthMm, path.hubRas(lengthMm))) for name, path, lengthMm in needles]
    shafts, hubs, conflicts = np.inf, np.inf, []
    for (name, a), (other, b) in itertools.combinations(options, 2):
        shaft, hub, _unused = a.gapsTo(b)
        shafts, hubs = min(shafts, shaft), min(hubs, hub)
        if a.conflictsWith(b):
            conflicts.append(
                _("{name} and {other}: needles {shaft:.0f} mm, hubs {hub:.0f} mm apart").format(
                    name=name, other=other, shaft=shaft, hub=hub
                )
            )
    return NeedleGaps(float(shafts), float(hubs), tuple(conflicts))


def _chooseTogether(options: list[list[_Option]]) -> list[int]:
    """One option per target with the fewest conflicts and then the highest sum of scores: depth first with a bound."""
    count = len(options)
    clash = {
        (a, i, b, j): options[a][i].conflictsWith(options[b][j])
        for a, b in itertools.combinations(range(count), 2)
        for i in range(len(options[a]))
        for j in range(len(options[b]))
    }
    restBest = [0.0] * (count + 1)
    for n in range(count - 1, -1, -1):
        restBest[n] = restBest[n + 1] + max(option.trajectory.score for option in options[n])
    best: tuple[float, list[int]] = (-np.inf, [0] * count)
    nodes = 0

    def descend(level: int, value: float, picks: list[int]) -> None:
        nonlocal best, nodes
        nodes += 1
        if value + restBest[level] <= best[0] or nodes > _MAX_NODES:
            return
        if level == count:
            best = (value, list(picks))
            return
        for i, option in enumerate(options[level]):
            clashes = sum(clash[(earlier, pick, level, i)] for earlier, pick in enumerate(picks))
            # A conflict costs more than any score can win, so that it stays only where nothing else is there.
            descend(level + 1, value + option.trajectory.score - 10.0 * clashes, [*picks, i])

    descend(0, 0.0, [])
    return best[1]


def _order(targets: list[SessionTarget], options: list[_Option], parameters: PlanningParameters) -> tuple[list[int], list[str]]:
    """Disc first, then the facet order in which needles in place least block the probe of those that follow."""
    count = len(targets)
    blocks = np.zeros((count, count), bool)
    for a, b in itertools.permutations(range(count), 2):
        blocks[a, b] = options[a].blocksProbeOf(options[b], parameters.probeFootprintMm)
    discs = [n for n in range(count) if targets[n].kind == "disc"]
    facets = [n for n in range(count) if targets[n].kind == "facet"]
    bestOrder, bestCost = discs + facets, np.inf
    for tail in itertools.permutations(facets) if len(facets) <= 6 else (tuple(facets),):
        order = [*discs, *tail]
        cost = 10.0 * sum(blocks[a, b] for n, b in enumerate(order) for a in order[:n])
        # Change sides as rarely as possible and work from caudal to cranial: the operator stays where he is.
        cost += sum(targets[a].side != targets[b].side for a, b in itertools.pairwise(order))
        cost += 0.1 * sum(targets[a].side == targets[b].side and targets[a].level < targets[b].level for a, b in itertools.pairwise(tail))
        if cost < bestCost:
            bestOrder, bestCost = order, cost
    reasons = []
    for n, target in enumerate(bestOrder):
        if targets[target].kind == "disc":
            reasons.append(_("first: the deepest path needs the clearest ultrasound, and gas in the facet joints would shadow it"))
            continue
        blocking = [targets[a].name for a in bestOrder[:n] if blocks[a, target]]
        if blocking:
            reasons.append(
                _("the needle of {names} stands where the probe would lie: withdraw it before, or go by CT").format(
                    names=", ".join(blocking)
                )
            )
        else:
            reasons.append(_("no needle in place is in the way of its probe"))
    return bestOrder, reasons
