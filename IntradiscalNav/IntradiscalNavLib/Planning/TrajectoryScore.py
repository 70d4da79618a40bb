"""The score of a path: soft terms in 0..1 and their weighted mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PathMeasures import PathMeasures
from IntradiscalNavLib.Planning.PlanContext import PlanContext

FloatArray = npt.NDArray[np.float64]

WEIGHT_OF_TERM = {
    "center": "weightCenter",
    "clearance": "weightClearance",
    "inclination": "weightInclination",
    "length": "weightLength",
    "herniaSide": "weightHerniaSide",
    "ilium": "weightIlium",
    "tilt": "weightTilt",
    "ultrasound": "weightUltrasound",
    "robustness": "weightRobustness",
}


@dataclass(frozen=True)
class Scores:
    """Terms (each (n,), 0..1, 1 is best) and the weighted mean of n paths. Terms not measured yet count as 1: the score is then an upper
    bound."""

    terms: dict[str, FloatArray]
    total: FloatArray


def scoreGeometry(
    context: PlanContext,
    lengthMm: FloatArray,
    inclinationDeg: FloatArray,
    tiltDeg: FloatArray,
    tipNorm: FloatArray,
    targetsRas: FloatArray,
    slackMm: FloatArray,
) -> dict[str, FloatArray]:
    """The terms that follow from geometry and the combined clearance alone: cheap enough for every legal path. Arrays broadcast."""
    p = context.parameters
    terms = {
        "center": np.clip(1.0 - tipNorm, 0.0, 1.0),
        "clearance": np.clip(slackMm / p.clearanceWishMm, 0.0, 1.0),
        "inclination": np.exp(-0.5 * ((inclinationDeg - context.priorInclinationDeg) / p.inclinationSigmaDeg) ** 2),
        "length": np.clip((p.maxLengthMm - lengthMm) / max(p.maxLengthMm - 60.0, 1.0), 0.0, 1.0),
        "tilt": np.exp(-0.5 * (tiltDeg / p.tiltSigmaDeg) ** 2),
    }
    if p.herniaSide and context.kind == "disc":
        toHernia = (targetsRas - context.disc.centerRas) @ context.axes.right * (1.0 if p.herniaSide == "right" else -1.0)
        approach = 1.0 if context.side == p.herniaSide else 0.0
        offset = np.clip(0.5 + 0.5 * toHernia / float(context.disc.nucleusSemiAxesMm[0]), 0.0, 1.0)
        terms["herniaSide"] = 0.6 * approach + 0.4 * offset
    return terms


def scorePaths(context: PlanContext, measures: PathMeasures) -> Scores:
    """All terms of measured paths."""
    terms = scoreGeometry(
        context,
        measures.angles.lengthMm,
        measures.angles.medialInclinationDeg,
        measures.angles.caudalTiltDeg,
        measures.tipNorm,
        measures.targets,
        measures.smallestSlackMm(),
    )
    if "ilium" in measures.clearanceMm:
        terms["ilium"] = np.clip(measures.clearanceMm["ilium"] / context.parameters.iliumWishMm, 0.0, 1.0)
    if measures.ultrasound is not None:
        terms["ultrasound"] = measures.ultrasound.quality
    if measures.violation is not None:
        terms["robustness"] = 1.0 - measures.violation.total
    return Scores(terms, weightedMean(context, terms))


def weightedMean(context: PlanContext, terms: dict[str, FloatArray]) -> FloatArray:
    """Weighted mean over all terms of this kind of plan; terms that are missing count as fully satisfied."""
    p = context.parameters
    total: FloatArray | float = 0.0
    weightSum = 0.0
    for name, parameter in WEIGHT_OF_TERM.items():
        if name == "herniaSide" and (not p.herniaSide or context.kind != "disc"):
            continue
        weight = float(getattr(p, parameter))
        total = total + weight * (terms.get(name, 1.0))
        weightSum += weight
    result: FloatArray = np.asarray(total, float) / max(weightSum, 1e-9)
    return result


def rankValue(score: npt.ArrayLike, violation: npt.ArrayLike, maxViolation: float) -> FloatArray:
    """What paths are ordered by: the score, less what the probability of violation exceeds ``maxViolation`` by."""
    result: FloatArray = np.asarray(score, float) - np.maximum(np.asarray(violation, float) - maxViolation, 0.0)
    return result
