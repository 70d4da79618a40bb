"""Registration of tracked ultrasound bone points to the posterior bone surface of a CT.

Method: signed distance table of the surface that can be seen from behind, robust Gauss-Newton from several hundred starts thinned
out in stages, then one refinement with the speed of sound as a seventh unknown. The levels above and below are always tried too.
Starts: the marker registration, the sweep's direction, or nothing but the beams.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import BonePoints, checkSweep
from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.LevelCheck import LevelAlternative, LevelCheck, judgeLevels
from FusionRegistrationLib.PoseRefinement import PosePrior, RefinedPose, RefinementParameters, refinePose
from FusionRegistrationLib.PoseSearch import Poses, refinePoses
from FusionRegistrationLib.RigidTransform import checkRigid, invertRigid, rigidFrom, rotationAngleDeg, transformPoints
from FusionRegistrationLib.SurfaceFit import CaptureCheck, SurfaceFit, targetError
from FusionRegistrationLib.SurfaceSearch import (
    PreparedPoints,
    SearchParameters,
    SearchStage,
    preparePoints,
    searchPoses,
    shiftAlongSpine,
    startsFromSweep,
)
from FusionRegistrationLib.TargetRegistrationError import TargetError
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

INLIER_MM = 2.0
COMPARISON_KERNEL_MM = 1.5
COMPARISON_POINTS = 1000


@dataclasses.dataclass(frozen=True)
class SurfaceRegistrationParameters:
    """Everything that can be set; the defaults are the frozen configuration the benchmark judges.

    maximumPoints: points beyond this number are left to the hold-out. holdOutShare: share of the frames kept out of the fit.
    minimumInlierShare, maximumHoldOutMm, maximumCost: beyond these the fit is doubted.
    """

    search: SearchParameters = dataclasses.field(default_factory=SearchParameters)
    levelSearch: SearchParameters = SearchParameters(  # noqa: RUF009 - frozen
        radiusMm=14.0,
        radiusDeg=14.0,
        starts=128,
        stages=(
            SearchStage(points=128, scalesMm=(7.0, 4.0, 4), keep=32, apartMm=1.0, coarse=True),
            SearchStage(points=320, scalesMm=(4.0, 2.0, 5), keep=6, apartMm=1.0, coarse=True),
            SearchStage(points=1000, scalesMm=(2.0, 1.5, 5), keep=6, apartMm=0.5, coarse=False),
        ),
    )
    refinement: RefinementParameters = dataclasses.field(default_factory=RefinementParameters)
    maximumPoints: int = 3000
    holdOutShare: float = 0.15
    minimumInlierShare: float = 0.5
    maximumHoldOutMm: float = 2.0
    maximumCost: float = 0.5
    checkLevels: bool = True


def registerSurface(
    points: BonePoints,
    surface: BoneSurface,
    *,
    initialReferenceToRas: npt.ArrayLike | None = None,
    sweepDirection: str = "unknown",
    prior: PosePrior | None = None,
    targetsRas: Mapping[str, npt.ArrayLike] | None = None,
    parameters: SurfaceRegistrationParameters | None = None,
) -> SurfaceFit:
    """Find the Reference-to-RAS transform that lays the bone points on the bone surface.

    initialReferenceToRas: a start, as from the markers; without it the whole spine is searched from the sweep's beams, with
    sweepDirection "caudocranial", "craniocaudal" or "unknown". prior: knowledge of the pose that takes part in the fit.
    targetsRas: points (RAS mm) whose error shall be predicted.

    :raises NoBoneError, SweepTooSmallError: the points can't hold a pose.
    :raises ValueError: a start that isn't rigid, or neither start nor beams.
    """
    chosen = parameters or SurfaceRegistrationParameters()
    checkSweep(points)
    warnings = list(surface.warnings)
    fitted, held = _splitHoldOut(points, chosen)
    prepared = preparePoints(fitted)
    if initialReferenceToRas is not None:
        centres = [checkRigid(initialReferenceToRas, _("ReferenceToRas (the start of the surface registration)"))]
        search = chosen.search
    else:
        centres = startsFromSweep(points, surface, sweepDirection)
        # The beams and the sweep give the heading; only its error and the step between places is left to search.
        search = dataclasses.replace(chosen.search, starts=max(128, chosen.search.starts // 4), radiusMm=20.0, radiusDeg=25.0)
    poses = searchPoses(prepared, surface, centres, search)
    refined = refinePose(
        surface.table, fitted, prepared.centreReference, poses.rotations[0], poses.translationsMm[0], chosen.refinement, prior
    )
    transform = rigidFrom(refined.rotation, refined.translationMm - refined.rotation @ prepared.centreReference)
    capture = _checkCapture(transform, centres, prepared, poses, search)
    cost = _comparisonCosts(prepared, surface, [transform])[0][0]
    levels = _checkLevels(transform, cost, prepared, surface, chosen) if chosen.checkLevels else None

    if levels is not None and not levels.alternatives:
        warnings.append(levels.message)
    mapped = _mapped(points, transform, refined.depthScale)
    residuals = surface.table.distances(mapped)
    if not capture.withinSearch:
        warnings.append(
            _(
                "The fit lies {shiftMm:.0f} mm and {turnDeg:.0f} deg from its start, at the edge of what was searched: "
                "the start was poor, or markers and bone contradict each other."
            ).format(shiftMm=capture.shiftMm, turnDeg=capture.turnDeg)
        )
    confidence = np.ones(len(points)) if points.confidence is None else points.confidence
    inlierShare = float((confidence * (np.abs(residuals) < INLIER_MM)).sum() / confidence.sum())
    heldResiduals = np.abs(surface.table.distances(_mapped(held, transform, refined.depthScale)))
    if len(heldResiduals) == 0:
        warnings.append(_("Too few points to keep some out of the fit: the hold-out distance is that of the fitted points."))
        heldResiduals = np.abs(residuals)
    fit = SurfaceFit(
        referenceToRas=transform,
        residualsMm=residuals,
        pointsRas=mapped,
        inlierShare=inlierShare,
        holdOutDistanceMm=float(np.median(heldResiduals)),
        holdOutInlierShare=float((heldResiduals < INLIER_MM).mean()),
        depthScale=refined.depthScale,
        depthScaleSigma=refined.depthScaleSigma,
        covariance=refined.covariance,
        centreRas=refined.translationMm,
        noiseMm=refined.noiseMm,
        cost=cost,
        converged=refined.converged,
        captureCheck=capture,
        levelCheck=levels,
        predictedTre=_predict(refined, targetsRas),
        doubts=(),
        warnings=tuple(warnings),
    )
    return dataclasses.replace(fit, doubts=_doubts(fit, chosen))


def _splitHoldOut(points: BonePoints, chosen: SurfaceRegistrationParameters) -> tuple[BonePoints, BonePoints]:
    """Points to fit and points to check with; whole frames are kept out when there are enough of them."""
    count = len(points)
    random = np.random.default_rng(417)
    if points.frames is not None and points.frameCount >= 12:
        ids = np.unique(points.frames)
        out = random.permutation(ids)[: max(1, round(chosen.holdOutShare * len(ids)))]
        held = np.isin(points.frames, out)
    else:
        held = np.zeros(count, bool)
        if count >= 200:
            held[random.permutation(count)[: round(chosen.holdOutShare * count)]] = True
    kept = np.flatnonzero(~held)
    if len(kept) > chosen.maximumPoints:
        kept = np.sort(random.permutation(kept)[: chosen.maximumPoints])
    return points.take(kept), points.take(np.flatnonzero(held))


def _mapped(points: BonePoints, transform: FloatArray, depthScale: float) -> FloatArray:
    """Points in RAS with their depths stretched."""
    stretched = points.pointsReference
    if points.beamOffsetsMm is not None:
        stretched = stretched + (depthScale - 1.0) * points.beamOffsetsMm
    return transformPoints(transform, stretched)


def _comparisonCosts(prepared: PreparedPoints, surface: BoneSurface, transforms: list[FloatArray]) -> tuple[list[float], Poses]:
    """Robust cost of transforms after a few rigid steps on the same points, so that fits and alternatives are judged alike."""
    pairs = [prepared.posesFrom(matrix) for matrix in transforms]
    poses = Poses(np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs]), np.ones(len(pairs)))
    points, weights = prepared.subset(COMPARISON_POINTS)
    refined = refinePoses(surface.table, points, weights, poses, [COMPARISON_KERNEL_MM] * 4)
    return [float(cost) for cost in refined.cost], refined


def _checkLevels(
    transform: FloatArray, cost: float, prepared: PreparedPoints, surface: BoneSurface, chosen: SurfaceRegistrationParameters
) -> LevelCheck:
    """Fit the poses one and two levels up and down."""
    place = transformPoints(transform, prepared.centreReference[None])[0]
    axis = surface.axisRas
    pitch = surface.pitchMm
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
    here = float(steps[np.argmin(np.linalg.norm(axis - place, axis=1))])
    points, _unused = prepared.subset(COMPARISON_POINTS)
    alternatives = []
    for levels in (-2, -1, 1, 2):
        if not -0.3 * pitch <= here + levels * pitch <= steps[-1] + 0.3 * pitch:
            continue
        start = shiftAlongSpine(transform, place, surface, levels * pitch)
        expected = transformPoints(start, prepared.centreReference[None])[0]
        direction = (expected - place) / np.linalg.norm(expected - place)
        poses = searchPoses(prepared, surface, [start], chosen.levelSearch)
        shifts = (poses.translationsMm - place) @ direction
        away = np.flatnonzero(np.abs(shifts - np.linalg.norm(expected - place)) < 0.6 * pitch)
        if len(away) == 0:
            continue
        best = poses.take(away[:1])
        found = prepared.transformOf(best, 0)
        finalCost = _comparisonCosts(prepared, surface, [found])[0][0]
        distances = surface.table.distances(transformPoints(found, points.T + prepared.centreReference))
        alternatives.append(
            LevelAlternative(
                levels,
                float(np.sign(levels) * shifts[away[0]]),
                finalCost,
                float((np.abs(distances) < INLIER_MM).mean()),
                tuple(tuple(float(value) for value in row) for row in found),
            )
        )
    return judgeLevels(cost, tuple(alternatives))


def _checkCapture(
    transform: FloatArray, centres: list[FloatArray], prepared: PreparedPoints, poses: Poses, search: SearchParameters
) -> CaptureCheck:
    """How far the fit lies from the nearest start centre, and how many finalists agree with it."""
    place = transformPoints(transform, prepared.centreReference[None])[0]
    shifts = [float(np.linalg.norm(transformPoints(centre, prepared.centreReference[None])[0] - place)) for centre in centres]
    nearest = int(np.argmin(shifts))
    turn = rotationAngleDeg(transform @ invertRigid(centres[nearest]))
    close = np.linalg.norm(poses.translationsMm - place, axis=1) < 4.0
    return CaptureCheck(
        shifts[nearest],
        turn,
        search.radiusMm,
        search.radiusDeg,
        float(close.mean()),
        bool(shifts[nearest] < 1.15 * search.radiusMm and turn < 1.15 * search.radiusDeg),
    )


def _predict(refined: RefinedPose, targetsRas: Mapping[str, npt.ArrayLike] | None) -> dict[str, TargetError]:
    return {name: targetError(refined.covariance, refined.translationMm, target) for name, target in (targetsRas or {}).items()}


def _doubts(fit: SurfaceFit, chosen: SurfaceRegistrationParameters) -> tuple[str, ...]:
    """Reasons not to believe a fit."""
    doubts = []
    if fit.inlierShare < chosen.minimumInlierShare or fit.cost > chosen.maximumCost:
        doubts.append(
            _(
                "Only {inlierShare:.0f} % of the bone points lie within {inlierMm:.0f} mm of the CT surface (cost {cost:.2f}): "
                "the fit is wrong, or the CT doesn't show the scanned levels."
            ).format(inlierShare=100 * fit.inlierShare, inlierMm=INLIER_MM, cost=fit.cost)
        )
    if fit.holdOutDistanceMm > chosen.maximumHoldOutMm:
        doubts.append(
            _("Points kept out of the fit lie {holdOutDistanceMm:.1f} mm from the surface (median).").format(
                holdOutDistanceMm=fit.holdOutDistanceMm
            )
        )
    if not fit.converged:
        doubts.append(_("The fit did not settle: scan more bone from more directions."))
    if fit.levelCheck is not None and fit.levelCheck.ambiguous:
        doubts.append(fit.levelCheck.message)
    return tuple(doubts)
