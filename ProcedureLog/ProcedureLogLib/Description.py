"""Describing a sample: mean ± SD (range), median [Q1-Q3] by a named rule, counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

QUANTILE_RULES: Mapping[str, str] = {
    "hazen": "Hazen: value i of n at (i - 0.5)/n, as MATLAB prctile",
    "linear": "value i of n at (i - 1)/(n - 1), as numpy, R type 7 and Excel",
    "weibull": "value i of n at i/(n + 1), as SPSS and Minitab",
}


@dataclass(frozen=True)
class Description:
    """Numbers of one sample; SD with n - 1. Every figure is None for an empty sample, SD also for a single value."""

    count: int
    missing: int
    mean: float | None
    sd: float | None
    minimum: float | None
    maximum: float | None
    median: float | None
    q1: float | None
    q3: float | None
    quantileRule: str

    def meanText(self, digits: int = 0) -> str:
        """mean ± SD (min-max)."""
        if self.mean is None or self.minimum is None or self.maximum is None:
            return "no values"
        spread = "" if self.sd is None else f" ± {self.sd:.{digits}f}"
        return f"{self.mean:.{digits}f}{spread} ({self.minimum:.{digits}f}-{self.maximum:.{digits}f})"

    def medianText(self, digits: int = 0) -> str:
        """median [Q1-Q3]; a half is not rounded away."""
        if self.median is None or self.q1 is None or self.q3 is None:
            return "no values"
        return f"{_trimmed(self.median, digits)} [{_trimmed(self.q1, digits)}-{_trimmed(self.q3, digits)}]"


def _trimmed(value: float, digits: int) -> str:
    shown = f"{value:.{max(digits, 2)}f}".rstrip("0").rstrip(".")
    return shown if digits == 0 or "." in shown else f"{value:.{digits}f}"


def describe(values: npt.ArrayLike, quantileRule: str = "hazen") -> Description:
    """Describe a sample; nan counts as missing. Raises ValueError for an unknown quantile rule or infinite values."""
    if quantileRule not in QUANTILE_RULES:
        raise ValueError(
            _("Unknown quantile rule '{quantileRule}'; known are {names}").format(
                quantileRule=quantileRule, names=", ".join(QUANTILE_RULES)
            )
        )
    data = np.asarray(values, float).ravel()
    present = data[~np.isnan(data)]
    missing = len(data) - len(present)
    if not np.isfinite(present).all():
        raise ValueError(_("Infinite values can't be described; correct the entries"))
    if len(present) == 0:
        return Description(0, missing, None, None, None, None, None, None, None, quantileRule)
    q1, median, q3 = (float(value) for value in np.quantile(present, [0.25, 0.5, 0.75], method=quantileRule))  # type: ignore[call-overload]
    sd = float(present.std(ddof=1)) if len(present) > 1 else None
    return Description(
        len(present), missing, float(present.mean()), sd, float(present.min()), float(present.max()), median, q1, q3, quantileRule
    )
