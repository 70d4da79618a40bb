"""Choose the few paths to offer: non-dominated, and really different from each other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PathMeasures import PathMeasures
from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.TrajectoryScore import Scores, rankValue
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


def paretoFront(objectives: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows of (n, m) objectives (larger is better) no other row dominates: at least as good in all and better in one."""
    count = len(objectives)
    front = np.ones(count, bool)
    for n in range(count):
        better = (objectives >= objectives[n]).all(1) & (objectives > objectives[n]).any(1)
        front[n] = not better.any()
    return front


def chooseDiverse(context: PlanContext, measures: PathMeasures, scores: Scores) -> list[tuple[int, str]]:
    """Indices and names of the offered paths, best first.

    Among the Pareto front of all score terms: the best by score, then the best steeper one, the best flatter one, the one with least
    violation, the one most in the axial plane, then by score; each at least ``minEntrySeparationMm`` or ``minAngleSeparationDeg`` from
    those before.
    """
    p = context.parameters
    objectives = np.stack([np.round(scores.terms[name], 3) for name in sorted(scores.terms)], axis=1)
    front = paretoFront(objectives)
    violation = measures.violation.total if measures.violation is not None else np.zeros(len(scores.total))
    order = np.flatnonzero(front)
    rank = rankValue(scores.total, violation, p.maxViolation)
    order = order[np.argsort(-rank[order], kind="stable")]
    direction = measures.targets - measures.entries
    direction = direction / np.linalg.norm(direction, axis=1, keepdims=True)
    inclination = measures.angles.medialInclinationDeg
    tilt = np.abs(measures.angles.caudalTiltDeg)
    chosen: list[int] = []

    def differs(n: int) -> bool:
        return all(
            np.linalg.norm(measures.entries[n] - measures.entries[c]) >= p.minEntrySeparationMm
            or np.degrees(np.arccos(np.clip(direction[n] @ direction[c], -1, 1))) >= p.minAngleSeparationDeg
            for c in chosen
        )

    best = int(order[0])
    chosen.append(best)
    names = ["best"]
    step = p.minAngleSeparationDeg
    wishes = (
        ("steeper", lambda n: inclination[n] <= inclination[best] - step, lambda n: rank[n]),
        ("flatter", lambda n: inclination[n] >= inclination[best] + step, lambda n: rank[n]),
        ("safest", lambda n: violation[n] <= violation[best] - 0.02, lambda n: -violation[n]),
        (_("in the axial plane"), lambda n: tilt[n] <= tilt[best] - 3.0, lambda n: -tilt[n]),
    )
    for name, wanted, value in wishes:
        fitting = [int(n) for n in order if wanted(n) and differs(int(n))]
        fitting = [n for n in fitting if violation[n] <= p.maxViolation] or fitting
        if fitting and len(chosen) < p.offeredCount:
            chosen.append(max(fitting, key=value))
            names.append(name)
    for n in order:
        if len(chosen) >= p.offeredCount:
            break
        if differs(int(n)):
            chosen.append(int(n))
            names.append("alternative")
    return list(zip(chosen, names))
