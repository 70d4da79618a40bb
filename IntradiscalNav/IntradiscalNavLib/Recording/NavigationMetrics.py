"""Planned against done: how a recorded needle followed its path.

All lengths mm in RAS, all times seconds. The needle's advancing direction is +Z of the tip pose. Only samples whose pose was
valid take part in geometry; the share of time without a valid pose is a metric of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

RETRACTION_MM = 3.0
"""Pulling back by this much and pushing on again counts as one correction."""
REDIRECTION_DEG = 2.0
"""Turning the shaft by this much in tissue, against the direction of the last correction, counts as one correction."""


@dataclass(frozen=True)
class PlannedPath:
    """Entry on the skin and target in the disc (RAS mm)."""

    entryRas: tuple[float, float, float]
    targetRas: tuple[float, float, float]

    @property
    def direction(self) -> FloatArray:
        """Unit vector from entry to target."""
        vector = np.subtract(self.targetRas, self.entryRas)
        length = float(np.linalg.norm(vector))
        if length < 1.0:
            raise ValueError(
                _("The planned path is {length:.2f} mm long: entry and target coincide. Choose another plan.").format(length=length)
            )
        result: FloatArray = vector / length
        return result

    @property
    def lengthMm(self) -> float:
        return float(np.linalg.norm(np.subtract(self.targetRas, self.entryRas)))


@dataclass(frozen=True, eq=False)
class DepthProfile:
    """Errors of the tip against depth below the entry point, one value per millimetre first reached."""

    depthMm: FloatArray
    lateralMm: FloatArray
    angleDeg: FloatArray


@dataclass(frozen=True, eq=False)
class NavigationMetrics:
    """What was planned against what was done. None: not to be had from this recording, never zero instead."""

    entryErrorMm: float | None
    """Distance between the planned entry and where the tip first passed the entry plane."""
    finalTipToTargetMm: float
    finalLateralMm: float
    finalDepthErrorMm: float
    """Positive: stopped short of the target; negative: past it."""
    finalAngleDeg: float
    maximumLateralInTissueMm: float | None
    pathInTissueMm: float
    timeInTissueSec: float
    needlePasses: int
    corrections: int
    invisibleShare: float
    """Share of the time without a valid needle pose."""
    outOfPlaneShare: float | None
    """Share of the time in tissue in which the tip was farther from the ultrasound plane than the limit."""
    timePerPhaseSec: Mapping[str, float] = field(default_factory=dict)
    leastClearanceMm: Mapping[str, float] = field(default_factory=dict)
    profile: DepthProfile | None = None


def computeNavigationMetrics(
    timesSec: npt.ArrayLike,
    needleTipToRas: npt.ArrayLike,
    plan: PlannedPath,
    *,
    valid: npt.ArrayLike | None = None,
    outOfPlaneMm: npt.ArrayLike | None = None,
    outOfPlaneLimitMm: float = 2.0,
    phases: Sequence[tuple[float, str]] = (),
    clearancesMm: Mapping[str, npt.ArrayLike] | None = None,
    maximumGapSec: float = 1.0,
) -> NavigationMetrics:
    """Metrics of one needle insertion.

    :param timesSec: (n,) increasing. :param needleTipToRas: (n, 4, 4).
    :param valid: (n,) bool; None: all valid. :param outOfPlaneMm: (n,) distance of the tip to the image plane, NaN where unknown.
    :param phases: (time, name) at which each phase began. :param clearancesMm: per structure (n,), NaN where unknown.
    :param maximumGapSec: a longer silence between samples counts as invisible, not as time in tissue.
    :raises ValueError: when nothing valid is left, or shapes don't fit.
    """
    times = np.asarray(timesSec, float)
    poses = np.asarray(needleTipToRas, float)
    if poses.shape != (len(times), 4, 4):
        raise ValueError(
            _("There are {count} times but poses of shape {posesShape}; one 4x4 pose per time is needed.").format(
                count=len(times), posesShape=poses.shape
            )
        )
    good = np.ones(len(times), bool) if valid is None else np.asarray(valid, bool)
    good = good & np.isfinite(poses).all(axis=(1, 2))
    if not good.any():
        raise ValueError(_("The recording holds no valid needle pose: nothing can be measured."))
    durations = np.diff(times, append=times[-1])
    if np.any(durations < 0):
        raise ValueError(_("The time stamps go backwards: sort the recording, or cut it where the clock was set back."))
    gap = durations > maximumGapSec
    visibleSec = float(durations[good & ~gap].sum())
    totalSec = float(durations.sum())

    direction = plan.direction
    index = np.flatnonzero(good)
    tips, shafts = poses[index, :3, 3], poses[index, :3, 2]
    fromEntry = tips - plan.entryRas
    depth = fromEntry @ direction
    lateral = np.linalg.norm(fromEntry - depth[:, None] * direction, axis=1)
    angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(shafts, direction), axis=1), shafts @ direction))
    # In tissue: past the plane of the planned entry, seen along the path, and near it; above the skin elsewhere is not a puncture.
    inTissue = (depth > 0.0) & (lateral < max(25.0, 0.5 * plan.lengthMm))
    weights = np.where(gap[index], 0.0, durations[index])
    steps = np.linalg.norm(np.diff(tips, axis=0), axis=1)
    toTarget = np.asarray(plan.targetRas) - tips[-1]
    return NavigationMetrics(
        entryErrorMm=_entryError(fromEntry, depth, direction, inTissue),
        finalTipToTargetMm=float(np.linalg.norm(toTarget)),
        finalLateralMm=float(lateral[-1]),
        finalDepthErrorMm=float(toTarget @ direction),
        finalAngleDeg=float(angle[-1]),
        maximumLateralInTissueMm=float(lateral[inTissue].max()) if inTissue.any() else None,
        pathInTissueMm=float(steps[inTissue[1:]].sum()),
        timeInTissueSec=float(weights[inTissue].sum()),
        needlePasses=_needlePasses(depth, inTissue),
        corrections=_corrections(depth, shafts, inTissue),
        invisibleShare=1.0 - visibleSec / totalSec if totalSec > 0 else 0.0,
        outOfPlaneShare=_outOfPlaneShare(outOfPlaneMm, index, inTissue, weights, outOfPlaneLimitMm),
        timePerPhaseSec=_timePerPhase(phases, float(times[-1])),
        leastClearanceMm=_leastClearances(clearancesMm or {}, index, inTissue),
        profile=_profile(depth, lateral, angle, inTissue),
    )


def _entryError(fromEntry: FloatArray, depth: FloatArray, direction: FloatArray, inTissue: npt.NDArray[np.bool_]) -> float | None:
    """Where the tip crosses the entry plane, interpolated between the two samples around it."""
    entering = np.flatnonzero(inTissue[1:] & ~inTissue[:-1] & (depth[:-1] <= 0.0))
    if not len(entering):
        return None
    before = int(entering[0])
    share = -depth[before] / (depth[before + 1] - depth[before])
    crossing = fromEntry[before] + share * (fromEntry[before + 1] - fromEntry[before])
    return float(np.linalg.norm(crossing - (crossing @ direction) * direction))


def _needlePasses(depth: FloatArray, inTissue: npt.NDArray[np.bool_]) -> int:
    """Entries deeper than 1 mm, armed again only 1 mm outside, so that jitter at the skin is not counted."""
    passes, inside = 0, False
    for value, within in zip(depth, inTissue):
        if not inside and within and value > 1.0:
            passes, inside = passes + 1, True
        elif inside and value < -1.0:
            inside = False
    return passes


def _corrections(depth: FloatArray, shafts: FloatArray, inTissue: npt.NDArray[np.bool_]) -> int:
    """Pull-backs followed by a new advance, and turns of the shaft in tissue."""
    corrections, deepest, retracted = 0, -np.inf, False
    reference: FloatArray | None = None
    for value, shaft, within in zip(depth, shafts, inTissue):
        if not within:
            deepest, retracted, reference = -np.inf, False, None
            continue
        if retracted and value > deepest - RETRACTION_MM / 2:
            corrections, retracted = corrections + 1, False
        if value < deepest - RETRACTION_MM:
            retracted = True
        deepest = max(deepest, value)
        if reference is None:
            reference = shaft
        elif np.degrees(np.arccos(np.clip(shaft @ reference, -1.0, 1.0))) > REDIRECTION_DEG:
            corrections, reference = corrections + 1, shaft
    return corrections


def _outOfPlaneShare(
    outOfPlaneMm: npt.ArrayLike | None, index: npt.NDArray[np.intp], inTissue: npt.NDArray[np.bool_], weights: FloatArray, limitMm: float
) -> float | None:
    if outOfPlaneMm is None:
        return None
    distances = np.abs(np.asarray(outOfPlaneMm, float))[index]
    known = inTissue & np.isfinite(distances)
    total = float(weights[known].sum())
    return float(weights[known & (distances > limitMm)].sum()) / total if total > 0 else None


def _timePerPhase(phases: Sequence[tuple[float, str]], endSec: float) -> dict[str, float]:
    result: dict[str, float] = {}
    for (start, name), (following, _unused) in zip(phases, [*phases[1:], (endSec, "")]):
        result[name] = result.get(name, 0.0) + max(0.0, following - start)
    return result


def _leastClearances(
    clearancesMm: Mapping[str, npt.ArrayLike], index: npt.NDArray[np.intp], inTissue: npt.NDArray[np.bool_]
) -> dict[str, float]:
    result = {}
    for name, values in clearancesMm.items():
        inside = np.asarray(values, float)[index][inTissue]
        inside = inside[np.isfinite(inside)]
        if len(inside):
            result[name] = float(inside.min())
    return result


def _profile(depth: FloatArray, lateral: FloatArray, angle: FloatArray, inTissue: npt.NDArray[np.bool_]) -> DepthProfile | None:
    """First sample that reached each whole millimetre of depth."""
    reached: dict[int, int] = {}
    deepest = -1
    for at in np.flatnonzero(inTissue):
        millimetre = int(depth[at])
        if millimetre > deepest:
            reached[millimetre] = int(at)
            deepest = millimetre
    if not reached:
        return None
    rows = np.array(list(reached.values()))
    return DepthProfile(depthMm=depth[rows], lateralMm=lateral[rows], angleDeg=angle[rows])
