"""The exhaustive search: every reachable entry with every target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.RayMarching import DEAD, UNSURE_MM, chooseProbes, marchMany, refineClearance
from IntradiscalNavLib.Planning.TrajectoryAngles import pathAngles
from IntradiscalNavLib.Planning.TrajectoryScore import scoreGeometry, weightedMean

FloatArray = npt.NDArray[np.float64]

CELL_INCLINATION_DEG = 4.0
CELL_TILT_DEG = 6.0
FULL_CHECKS = 20000
_BATCH = 32768


@dataclass(frozen=True)
class SearchResult:
    """All legal candidates: index of entry and target, room beyond the margins (mm), upper bound of the score, angles (deg).

    ``legalTargets`` and ``bestScore`` are per entry (n entries): what the feasibility map shows.
    """

    entries: FloatArray
    entryIndex: npt.NDArray[np.int32]
    targetIndex: npt.NDArray[np.int16]
    slackMm: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    inclinationDeg: npt.NDArray[np.float32]
    tiltDeg: npt.NDArray[np.float32]
    candidateCount: int
    legalTargets: npt.NDArray[np.int16]
    bestScore: npt.NDArray[np.float32]

    @property
    def legalCount(self) -> int:
        """Number of legal candidates."""
        return len(self.entryIndex)

    def shortlist(self, count: int) -> npt.NDArray[np.intp]:
        """Indices of the best ``count`` candidates by score bound, with the best of every cell of directions among them, so that steeper,
        flatter and tilted alternatives survive."""
        return spreadSelection(self.score, self.inclinationDeg, self.tiltDeg, count)


def spreadSelection(
    score: npt.NDArray, inclinationDeg: npt.NDArray, tiltDeg: npt.NDArray, count: int, perCell: int = 4
) -> npt.NDArray[np.intp]:
    """Indices of ``count`` paths, best first: half of them at most the best few of every cell of directions, the rest the best of all."""
    if len(score) <= count:
        return np.argsort(-score, kind="stable")
    cell = np.floor(inclinationDeg / CELL_INCLINATION_DEG).astype(np.int32) * 1000 + np.floor(tiltDeg / CELL_TILT_DEG).astype(np.int32)
    order = np.lexsort((-score, cell))
    position = np.arange(len(order)) - np.searchsorted(cell[order], cell[order], side="left")
    spread = order[position < perCell]
    spread = spread[np.argsort(-score[spread], kind="stable")][: count // 2]
    top = np.argpartition(-score, count)[:count]
    both = np.unique(np.concatenate([spread, top[np.argsort(-score[top], kind="stable")][: count - len(spread)]]))
    result: npt.NDArray[np.intp] = both[np.argsort(-score[both], kind="stable")]
    return result


def _withinWindows(context: PlanContext, entries: npt.NDArray[np.float32], target: FloatArray) -> npt.NDArray[np.bool_]:
    """Which entries (3, n; anatomical coordinates) make a path within the windows of length, inclination and tilt. No trigonometry per
    path."""
    p = context.parameters
    low, high = (float(np.tan(np.radians(limit))) for limit in context.inclinationWindowDeg)
    right, anterior, superior = (np.float32(target[n]) - entries[n] for n in range(3))
    medial = right if context.side == "left" else -right
    across = right * right + anterior * anterior
    up = superior * superior
    allowed = (across + up <= np.float32(p.maxLengthMm**2)) & (up <= np.float32(np.tan(np.radians(p.maxTiltDeg)) ** 2) * across)
    allowed &= (anterior > 0) & (medial >= np.float32(low) * anterior) & (medial <= np.float32(high) * anterior)
    return allowed


def _trulyClear(
    context: PlanContext, entries: FloatArray, entryIndex: npt.NDArray, targetIndex: npt.NDArray, slackMm: npt.NDArray, score: npt.NDArray
) -> npt.NDArray[np.bool_]:
    """Paths with little room are looked at again in the segmentation itself: the best ``FULL_CHECKS`` of them."""
    clear = np.ones(len(entryIndex), bool)
    unsure = np.flatnonzero(slackMm < UNSURE_MM)
    if len(unsure) > FULL_CHECKS:
        unsure = unsure[np.argpartition(-score[unsure], FULL_CHECKS)[:FULL_CHECKS]]
    if len(unsure):
        step = context.parameters.recheckStepMm
        clear[unsure] = ~crossesBone(context, entries[entryIndex[unsure]], context.targets[targetIndex[unsure]], step)
    return clear


def searchTrajectories(context: PlanContext) -> SearchResult:
    """March and score every reachable entry with every target."""
    entries = context.patch.entries
    parts: list[tuple[npt.NDArray, ...]] = []
    field = context.field
    probes = chooseProbes(field.combined, field.grid, entries, context.tipCenterRas)
    for start in range(0, len(entries), _BATCH):
        block = entries[start : start + _BATCH]
        local = np.ascontiguousarray(context.axes.coordinates(block).T.astype(np.float32))
        pairs = [np.flatnonzero(_withinWindows(context, local, context.axes.coordinates(target))) for target in context.targets]
        marched = marchMany(
            field.combined,
            field.grid,
            block,
            context.targets,
            pairs,
            floorMm=-UNSURE_MM,
            lipschitz=field.lipschitz,
            minStepMm=1.0,
            probesMm=probes,
        )
        for number, (target, near, clearance) in enumerate(zip(context.targets, pairs, marched)):
            alive = np.flatnonzero(clearance != DEAD)
            index, slack = start + near[alive], clearance[alive] / UNITS_PER_MM
            unsure = slack < UNSURE_MM
            slack[unsure] = refineClearance(field.combined, field.grid, entries[index[unsure]], target)
            index, slack = index[slack >= 0], slack[slack >= 0]
            if len(index) == 0:
                continue
            angles = pathAngles(context.axes, entries[index], target, context.side)
            tipNorm = np.full(len(index), np.linalg.norm(context.tipMatrix @ (target - context.tipCenterRas)))
            terms = scoreGeometry(context, angles.lengthMm, angles.medialInclinationDeg, angles.caudalTiltDeg, tipNorm, target[None], slack)
            score = weightedMean(context, terms).astype(np.float32)
            parts.append((index, np.full(len(index), number), slack, score, angles.medialInclinationDeg, angles.caudalTiltDeg))
    kinds = (np.int32, np.int16, np.float32, np.float32, np.float32, np.float32)
    merged = [
        np.concatenate([part[n] for part in parts]).astype(kind, copy=False) if parts else np.zeros(0, kind) for n, kind in enumerate(kinds)
    ]
    keep = _trulyClear(context, entries, merged[0], merged[1], merged[2], merged[3])
    merged = [column[keep] for column in merged]
    legalTargets = np.bincount(merged[0], minlength=len(entries)).astype(np.int16)
    bestScore = np.zeros(len(entries), np.float32)
    np.maximum.at(bestScore, merged[0], merged[3])
    return SearchResult(
        entries=entries,
        entryIndex=merged[0],
        targetIndex=merged[1],
        slackMm=merged[2],
        score=merged[3],
        inclinationDeg=merged[4],
        tiltDeg=merged[5],
        candidateCount=len(entries) * len(context.targets),
        legalTargets=legalTargets,
        bestScore=bestScore,
    )
