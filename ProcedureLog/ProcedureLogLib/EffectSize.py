"""How large a difference is, with its confidence interval: Hodges-Lehmann shift and Cliff's delta."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

from .RankTest import midRanks

PAIR_LIMIT = 4_000_000
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class EffectSize:
    """An estimate with its confidence interval and how both were worked out."""

    estimate: float
    low: float
    high: float
    confidence: float
    method: str


def _clean(values: npt.ArrayLike, what: str) -> FloatArray:
    data = np.sort(np.asarray(values, float).ravel())
    if len(data) == 0 or not np.isfinite(data).all():
        raise ValueError(_("{what} needs at least one finite value in each group").format(what=what))
    return data


def hodgesLehmannShift(first: npt.ArrayLike, second: npt.ArrayLike, confidence: float = 0.95) -> EffectSize:
    """Median of all differences second - first, in the unit of the data.

    The interval runs between order statistics of the differences (Moses; normal approximation of U with tie correction and continuity,
    as R's wilcox.test without exact). For groups whose pairs don't fit into memory the order statistics are found by bisection.
    """
    a, b = _clean(first, "The Hodges-Lehmann shift"), _clean(second, "The Hodges-Lehmann shift")
    pairs = len(a) * len(b)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    total = len(a) + len(b)
    _unused, counts = np.unique(midRanks(np.concatenate((a, b))), return_counts=True)
    ties = float((counts.astype(float) ** 3 - counts).sum())
    deviation = math.sqrt(max(pairs / 12 * (total + 1 - ties / (total * (total - 1))), 0.0)) if total > 1 else 0.0
    lower = max(0, math.floor(pairs / 2 - z * deviation - 0.5))
    upper = pairs - 1 - lower
    middle = ((pairs - 1) // 2, pairs // 2)
    wanted = [lower, *middle, upper]
    if pairs <= PAIR_LIMIT:
        differences = np.partition((b[:, None] - a[None, :]).ravel(), sorted(set(wanted)))
        found = [float(differences[index]) for index in wanted]
    else:
        found = [_differenceAt(a, b, index) for index in wanted]
    method = "Hodges-Lehmann shift, interval from order statistics of the differences (tie-corrected normal approximation)"
    return EffectSize((found[1] + found[2]) / 2, found[0], found[3], confidence, method)


def _differenceAt(a: FloatArray, b: FloatArray, index: int) -> float:
    """The difference second - first at a place (from 0) of their sorted list, found by counting; a and b are sorted."""
    low, high = float(b[0] - a[-1]), float(b[-1] - a[0])
    if _countUpTo(a, b, low) > index:
        return low
    for _unused in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _countUpTo(a, b, middle) > index:
            high = middle
        else:
            low = middle
    # The answer is the largest difference not above `high`: snap to a true difference.
    places = np.searchsorted(b, a + high, side="right") - 1
    inside = places >= 0
    return float((b[places[inside]] - a[inside]).max())


def _countUpTo(a: FloatArray, b: FloatArray, limit: float) -> int:
    return int(np.searchsorted(b, a + limit, side="right").sum())


def cliffsDelta(first: npt.ArrayLike, second: npt.ArrayLike, confidence: float = 0.95) -> EffectSize:
    """P(second > first) - P(second < first), from -1 to 1.

    Interval: Cliff's consistent variance and the asymmetric bounds of Feng and Cliff (2004), which stay inside -1..1.
    """
    a, b = _clean(first, "Cliff's delta"), _clean(second, "Cliff's delta")
    n, m = len(a), len(b)
    below = np.searchsorted(b, a, side="left").astype(float)
    notAbove = np.searchsorted(b, a, side="right").astype(float)
    perFirst = ((m - notAbove) - below) / m
    aBelow = np.searchsorted(a, b, side="left").astype(float)
    aNotAbove = np.searchsorted(a, b, side="right").astype(float)
    perSecond = (aBelow - (n - aNotAbove)) / n
    delta = float(perFirst.mean())
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    method = "Cliff's delta, consistent variance, asymmetric interval (Feng and Cliff 2004)"
    if n < 2 or m < 2:
        return EffectSize(delta, -1.0, 1.0, confidence, method + "; too few values for an interval")
    if abs(delta) == 1.0:
        bound = (min(n, m) - z * z) / (min(n, m) + z * z)
        return EffectSize(delta, *((bound, 1.0) if delta > 0 else (-1.0, -bound)), confidence, method + "; complete separation")
    varFirst = float(((perFirst - delta) ** 2).sum() / (n - 1))
    varSecond = float(((perSecond - delta) ** 2).sum() / (m - 1))
    untied = float((m - (notAbove - below)).sum()) / (n * m)
    varPairs = (untied - delta**2) * n * m / ((n - 1) * (m - 1))
    variance = max(((m - 1) * varFirst + (n - 1) * varSecond + varPairs) / (n * m), (1 - delta**2) / (n * m - 1))
    root = math.sqrt(variance) * math.sqrt((1 - delta**2) ** 2 + z * z * variance)
    base = delta - delta**3
    scale = 1 - delta**2 + z * z * variance
    return EffectSize(delta, max(-1.0, (base - z * root) / scale), min(1.0, (base + z * root) / scale), confidence, method)
