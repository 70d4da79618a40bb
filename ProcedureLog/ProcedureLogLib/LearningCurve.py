"""Learning curves: cumulative sums over one operator's procedures in the order they were done."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _


@dataclass(frozen=True)
class LearningCurve:
    """cusum[i] after procedure i + 1. For times: sum of (value - target), falling while faster than the target. For failures: the
    sequential probability ratio score, falling with successes; limits are (lower, upper) in its unit, None for times."""

    operator: str
    cusum: tuple[float, ...]
    target: float
    limits: tuple[float, float] | None
    method: str
    missing: int

    @property
    def reached(self) -> int | None:
        """Number of the procedure from which the curve stays at or below the lower limit's first crossing; None where it never crosses."""
        if self.limits is None:
            return None
        return next((index + 1 for index, value in enumerate(self.cusum) if value <= self.limits[0]), None)


def timeCusum(values: npt.ArrayLike, target: float | None = None, operator: str = "") -> LearningCurve:
    """CUSUM of times (or passes, dose) against a target; the mean of the values where none is given. nan is left out."""
    data = np.asarray(values, float).ravel()
    present = data[np.isfinite(data)]
    if len(present) == 0:
        raise ValueError(_("Operator '{operator}' has no value for a learning curve").format(operator=operator))
    goal = float(present.mean()) if target is None else float(target)
    how = "mean of the operator" if target is None else "target set"
    curve = tuple(float(value) for value in np.cumsum(present - goal))
    return LearningCurve(operator, curve, goal, None, f"CUSUM of value - {goal:.4g} ({how})", len(data) - len(present))


def failureCusum(
    failures: npt.ArrayLike, acceptable: float = 0.05, unacceptable: float = 0.15, alpha: float = 0.1, beta: float = 0.1, operator: str = ""
) -> LearningCurve:
    """Cumulative sum of failures by the sequential probability ratio test (Rogers 2004): each failure adds 1 - s, each success takes s.

    acceptable, unacceptable: failure rates. Below the lower limit the rate is acceptable (error beta), above the upper one it isn't (error
    alpha). failures: 1 or 0 (nan left out). Raises ValueError for rates out of order or other values.
    """
    data = np.asarray(failures, float).ravel()
    present = data[np.isfinite(data)]
    if not 0 < acceptable < unacceptable < 1 or not 0 < alpha < 1 or not 0 < beta < 1:
        raise ValueError(_("Failure rates must be 0 < acceptable < unacceptable < 1, errors between 0 and 1"))
    if len(present) == 0 or not np.isin(present, (0.0, 1.0)).all():
        raise ValueError(_("Operator '{operator}' needs outcomes of 1 (failure) or 0 (success)").format(operator=operator))
    p = math.log(unacceptable / acceptable)
    q = math.log((1 - acceptable) / (1 - unacceptable))
    s = q / (p + q)
    limits = (-math.log((1 - alpha) / beta) / (p + q), math.log((1 - beta) / alpha) / (p + q))
    curve = tuple(float(value) for value in np.cumsum(present - s))
    method = f"failure CUSUM, acceptable {acceptable:g}, unacceptable {unacceptable:g}, errors {alpha:g} and {beta:g}"
    return LearningCurve(operator, curve, s, limits, method, len(data) - len(present))


def learningCurves(
    columns: dict[str, npt.NDArray[Any]], name: str = "operativeInjectionMin", target: float | None = None
) -> list[LearningCurve]:
    """Time CUSUM of every operator; the columns must be in the order of time (CaseRegistry.columns gives them so)."""
    operators = np.asarray(columns["operator"]).astype(str)
    values = np.asarray(columns[name], float)
    curves = []
    for operator in sorted(set(operators.tolist()) - {""}):
        own = values[operators == operator]
        if np.isfinite(own).any():
            curves.append(timeCusum(own, target, operator))
    return curves


def failureCurves(columns: dict[str, npt.NDArray[Any]], name: str = "technicalEfficacy", fewest: int = 10) -> list[LearningCurve]:
    """Failure CUSUM of every operator with at least `fewest` procedures that say yes or no; 'no' is a failure."""
    operators = np.asarray(columns["operator"]).astype(str)
    said = np.asarray(columns[name]).astype(str)
    curves = []
    for operator in sorted(set(operators.tolist()) - {""}):
        own = said[(operators == operator) & np.isin(said, ("yes", "no"))]
        if len(own) >= fewest:
            curves.append(failureCusum((own == "no").astype(float), operator=operator))
    return curves
