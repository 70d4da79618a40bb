"""How many procedures the next trial needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from TranslatedText.Translation import tr as _

WILCOXON_WORST_EFFICIENCY = 0.864
"""Least asymptotic relative efficiency of the Mann-Whitney against the t test for any shift alternative (Hodges and Lehmann 1956)."""


@dataclass(frozen=True)
class SampleSize:
    """Numbers per group, before and after adding the expected drop-outs, and the formula."""

    first: int
    second: int
    firstWithDropouts: int
    secondWithDropouts: int
    method: str

    @property
    def total(self) -> int:
        return self.first + self.second


def _check(power: float, alpha: float, ratio: float, dropout: float) -> float:
    """z of alpha/2 + z of the power. Raises ValueError for settings outside their range."""
    if not (0 < alpha < 1 and 0 < power < 1 and ratio > 0 and 0 <= dropout < 1):
        raise ValueError(_("alpha and power lie between 0 and 1, ratio above 0, dropout from 0 to below 1"))
    if power <= alpha:
        raise ValueError(_("The power must be larger than alpha"))
    return NormalDist().inv_cdf(1 - alpha / 2) + NormalDist().inv_cdf(power)


def _sizes(first: float, ratio: float, dropout: float, method: str) -> SampleSize:
    n = max(2, math.ceil(first - 1e-9))
    m = max(2, math.ceil(n * ratio - 1e-9))
    return SampleSize(n, m, math.ceil(n / (1 - dropout) - 1e-9), math.ceil(m / (1 - dropout) - 1e-9), method)


def sampleSizeSuperiority(
    probability: float, power: float = 0.8, alpha: float = 0.05, ratio: float = 1.0, dropout: float = 0.0
) -> SampleSize:
    """Mann-Whitney test, Noether (1987). probability: P(a procedure of group 1 takes less than one of group 2), ties half.

    ratio: second group over first. Raises ValueError for a probability of 0.5 (nothing to find).
    """
    z = _check(power, alpha, ratio, dropout)
    if not 0 <= probability <= 1 or abs(probability - 0.5) < 1e-6:
        raise ValueError(_("The probability of superiority must lie in 0..1 and differ from 0.5"))
    share = 1 / (1 + ratio)
    total = z**2 / (12 * share * (1 - share) * (probability - 0.5) ** 2)
    return _sizes(total * share, ratio, dropout, f"Mann-Whitney, Noether 1987, P(superiority) = {probability:.2f}")


def sampleSizeMeans(
    difference: float, sdFirst: float, sdSecond: float, power: float = 0.8, alpha: float = 0.05, ratio: float = 1.0, dropout: float = 0.0
) -> SampleSize:
    """Difference of means by the Mann-Whitney test: t test formula with Guenther's correction, over the worst efficiency."""
    z = _check(power, alpha, ratio, dropout)
    if not difference or sdFirst <= 0 or sdSecond <= 0:
        raise ValueError(_("The difference must not be 0 and both SDs must be above 0"))
    n = z**2 * (sdFirst**2 + sdSecond**2 / ratio) / difference**2 + NormalDist().inv_cdf(1 - alpha / 2) ** 2 / 4
    method = (
        f"difference {difference:g} with SD {sdFirst:g} and {sdSecond:g}, t test with Guenther's correction / {WILCOXON_WORST_EFFICIENCY}"
    )
    return _sizes(n / WILCOXON_WORST_EFFICIENCY, ratio, dropout, method)


def sampleSizeProportions(
    first: float, second: float, power: float = 0.8, alpha: float = 0.05, ratio: float = 1.0, dropout: float = 0.0
) -> SampleSize:
    """Two proportions by Fisher's exact test: normal formula with the continuity correction of Fleiss (1980)."""
    z = _check(power, alpha, ratio, dropout)
    if not (0 <= first <= 1 and 0 <= second <= 1) or first == second:
        raise ValueError(_("Both proportions lie in 0..1 and must differ"))
    zAlpha = NormalDist().inv_cdf(1 - alpha / 2)
    zBeta = z - zAlpha
    pooled = (first + ratio * second) / (1 + ratio)
    spread = math.sqrt((1 + 1 / ratio) * pooled * (1 - pooled))
    apart = math.sqrt(first * (1 - first) + second * (1 - second) / ratio)
    n = ((zAlpha * spread + zBeta * apart) / (first - second)) ** 2
    corrected = n / 4 * (1 + math.sqrt(1 + 2 * (1 + ratio) / (n * ratio * abs(first - second)))) ** 2
    return _sizes(corrected, ratio, dropout, f"proportions {first:.2f} and {second:.2f}, Fleiss with continuity correction")
