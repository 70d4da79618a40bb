"""Mann-Whitney U test, every standard variant under its own name.

For small tied samples the variants differ visibly, so a p-value without the name of its variant can't be checked. U counts pairs in which
the first sample is larger (ties half). Ranks are mid-ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

EXACT_CELL_LIMIT = 60_000_000
"""Largest table (members × rank sums × samples) of the exact distribution that is still worked out, about a second."""


class RankVariant(str, Enum):
    """Which null distribution gives the p-value (two-sided)."""

    ASYMPTOTIC = "asymptotic, tie-corrected, without continuity correction"
    ASYMPTOTIC_CONTINUITY = "asymptotic, tie-corrected, with continuity correction"
    EXACT = "exact: permutation of the observed mid-ranks, ties included"
    MATLAB = "as MATLAB ranksum: exact if min(n) < 10 and n1 + n2 < 20, else asymptotic with continuity correction"


@dataclass(frozen=True)
class RankTest:
    """Result of one test. variant is what was really computed; note says when that differs from what was asked, and why."""

    uFirst: float
    uSecond: float
    firstCount: int
    secondCount: int
    tieSum: int
    """Sum of t³ - t over groups of t equal values."""
    pValue: float
    variant: RankVariant
    note: str = ""

    def name(self) -> str:
        return f"Mann-Whitney U ({self.variant.value})"


def midRanks(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Ranks from 1, equal values share the mean of their ranks."""
    data = np.asarray(values, float)
    order = np.argsort(data, kind="stable")
    ordered = data[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = np.diff(np.append(starts, len(data)))
    ranks = np.empty(len(data))
    ranks[order] = np.repeat(starts + (counts + 1) / 2, counts)
    return ranks


def rankTest(first: npt.ArrayLike, second: npt.ArrayLike, variant: RankVariant = RankVariant.ASYMPTOTIC) -> RankTest:
    """Two-sided Mann-Whitney U test. Raises ValueError for an empty sample or values that aren't finite.

    An exact test that would be too large is done asymptotically, without continuity correction, and says so.
    """
    a = np.asarray(first, float).ravel()
    b = np.asarray(second, float).ravel()
    if len(a) == 0 or len(b) == 0:
        raise ValueError(_("The Mann-Whitney test needs at least one value in each group"))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError(_("The Mann-Whitney test takes finite numbers only; leave missing values out first"))
    ranks = midRanks(np.concatenate((a, b)))
    _unused, counts = np.unique(ranks, return_counts=True)
    tieSum = sum(count**3 - count for count in (int(each) for each in counts if each > 1))
    rankSum = float(ranks[: len(a)].sum())
    u = rankSum - len(a) * (len(a) + 1) / 2
    chosen, note = variant, ""
    if chosen is RankVariant.MATLAB:
        small = min(len(a), len(b)) < 10 and len(a) + len(b) < 20
        chosen = RankVariant.EXACT if small else RankVariant.ASYMPTOTIC_CONTINUITY
        note = "chosen by MATLAB's rule"
    if chosen is RankVariant.EXACT and _exactCells(len(a), len(b)) > EXACT_CELL_LIMIT:
        chosen, note = RankVariant.ASYMPTOTIC, "samples too large for the exact distribution"
    if chosen is RankVariant.EXACT:
        p = exactRankSumP(ranks, len(a), rankSum)
    else:
        p = _asymptoticP(u, len(a), len(b), tieSum, chosen is RankVariant.ASYMPTOTIC_CONTINUITY)
    return RankTest(u, len(a) * len(b) - u, len(a), len(b), tieSum, p, chosen, note)


def _asymptoticP(u: float, n: int, m: int, tieSum: int, continuity: bool) -> float:
    total = n + m
    variance = n * m / 12 * (total + 1 - tieSum / (total * (total - 1))) if total > 1 else 0.0
    if variance <= 0:
        return 1.0
    distance = abs(u - n * m / 2)
    if continuity:
        distance = max(0.0, distance - 0.5)
    return math.erfc(distance / math.sqrt(2 * variance))


def _exactCells(n: int, m: int) -> int:
    total = n + m
    return total * min(n, m) * total * (total + 1)


def exactRankSumP(ranks: npt.ArrayLike, firstCount: int, rankSum: float) -> float:
    """Twice the smaller tail of the rank sum over all ways to choose the first sample out of the observed (tied) ranks.

    The distribution is built member by member on doubled ranks (integers), so ties cost nothing.
    """
    doubled = np.rint(np.asarray(ranks, float) * 2).astype(np.int64)
    target = round(rankSum * 2)
    count = firstCount
    if count > len(doubled) - count:  # the smaller sample carries the same information
        count, target = len(doubled) - count, int(doubled.sum()) - target
    doubled = np.sort(doubled)
    largest = int(doubled[len(doubled) - count :].sum()) if count else 0
    ways = np.zeros((count + 1, largest + 1))
    ways[0, 0] = 1.0
    for value in doubled[::-1]:
        for members in range(count, 0, -1):
            ways[members, value:] += ways[members - 1, : largest + 1 - value]
    final = ways[count]
    total = final.sum()
    return float(min(1.0, 2 * min(final[: target + 1].sum(), final[target:].sum()) / total))
