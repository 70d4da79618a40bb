"""Predicted target registration error (TRE) of a paired-point fit, with a 95 % bound that stays honest for few points.

The fiducial localisation error (FLE) is not known beforehand: it has to be estimated from the residuals of the 3 to 8 points at hand,
which leaves 3 N - 6 degrees of freedom and says little about its *shape* (for points on the skin the direction across the plane, which
matters most at the depth of a disc, has only N - 3). Taking the estimate for the truth would make a "95 %" bound hold in 75-90 % of the
cases. Here the FLE is therefore integrated out: for a fixed set of FLE shapes (isotropic and elongated, in every direction) the residuals
give each shape its likelihood and each shape gives the twist error a multivariate t distribution; the bound is the 95 % quantile of the
mixture. In the isotropic case with known shape this is the classical result <TRE^2> = <FLE^2>/N (1 + 1/3 sum d^2/f^2) (Fitzpatrick, West
and Maurer, IEEE TMI 1998) with Student's correction.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PairedPointSolver import twistDesign
from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

SHAPE_COUNT = 320
SAMPLES_PER_SHAPE = 24
ISOTROPIC_SHARE = 0.36
"""Prior probability that the FLE is isotropic; the rest is spread over elongated shapes of any direction."""
ELONGATION = (2.5, 5.0)
"""Range of the ratio of the long to the short standard deviations of elongated shapes: optical trackers see depth 2-4 times less well than
the lateral directions, thick slices blur one axis, skin slides along but not across."""
ACROSS_WEIGHT = 2.8
"""How much more weight elongation *across* a flat layout of points gets in the bound: the residuals say least about it (N - 3 degrees of
freedom) and it is what tilts the registration at depth. Chosen so that the bound covers 93-97 % for isotropic FLE and for FLE of 1 : 2 and
1 : 3 in a random direction (bench_fiducials.py); with the worst case, 1 : 3 exactly across a flat layout and not given, it covers less."""

AXIS_ELONGATION = (1.0, 10.0)
"""Range of that ratio when the direction of the larger error is known but its size isn't: from none to far above the 2-4 of optical
trackers, evenly in the logarithm. With it the bound covers 93-97 % for 1 : 3 across a flat layout too; for 1 : 2, and where the error is
even after all, it is wider than it need be (bench_fiducials.py)."""
AXIS_SIGMA_DEG = 6.0
"""How well such a direction is known, standard deviation about each axis across it: it is named by the patient's axes, not measured."""

_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class TargetError:
    """Predicted error at one target (mm): expected RMS and mean length of the error, and the length not exceeded in 95 % of cases."""

    pointTo: tuple[float, float, float]
    rmsMm: float
    meanMm: float
    p95Mm: float


@dataclasses.dataclass(frozen=True)
class TwistUncertainty:
    """Uncertainty of a fitted ``fromToTo`` as a small twist (rotation vector rad, translation mm) about ``centerTo`` in the to-frame.

    ``twists`` (S, 6) with ``weights`` (S,) are draws from the predictive distribution; ``plugInCovariance`` is the textbook covariance
    with the estimated FLE put in as if it were known.
    """

    centerTo: FloatArray
    twists: FloatArray
    weights: FloatArray
    plugInCovariance: FloatArray

    def at(self, pointTo: npt.ArrayLike) -> TargetError:
        """Predicted error at one target given in the to-frame (mm)."""
        point = np.asarray(pointTo, float).reshape(1, 3)
        rmsMm, p95Mm = self.mapAt(point)
        design = twistDesign(point, self.centerTo)[0]
        meanMm = float(_normalLengths((design @ self.plugInCovariance @ design.T)[None]).mean())
        return TargetError((float(point[0, 0]), float(point[0, 1]), float(point[0, 2])), float(rmsMm[0]), meanMm, float(p95Mm[0]))

    def mapAt(self, pointsTo: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """RMS error and 95 % bound (mm) at many targets (N, 3) of the to-frame, e.g. the vertices of the spine's surface."""
        points = np.asarray(pointsTo, float).reshape(-1, 3)
        design = twistDesign(points, self.centerTo)
        rmsMm = np.sqrt(np.maximum(np.einsum("nij,jk,nik->n", design, self.plugInCovariance, design), 0.0))
        p95Mm = np.empty(len(points))
        rotation, translation = self.twists[:, :3], self.twists[:, 3:]
        for start in range(0, len(points), _CHUNK):
            lever = points[start : start + _CHUNK] - self.centerTo
            errors = np.cross(rotation[None], lever[:, None]) + translation[None]
            p95Mm[start : start + _CHUNK] = _weightedQuantile(np.linalg.norm(errors, axis=2), self.weights, 0.95)
        return rmsMm, p95Mm

    def honestCovariance(self) -> FloatArray:
        """The covariance scaled so that its normal 95 % bound equals the honest bound (mean over 6 points 80 mm around the centre)."""
        points = self.centerTo + 80.0 * np.vstack([np.eye(3), -np.eye(3)])
        _unused, honest = self.mapAt(points)
        design = twistDesign(points, self.centerTo)
        normal = np.quantile(_normalLengths(design @ self.plugInCovariance @ np.swapaxes(design, 1, 2)), 0.95, axis=1)
        if not (normal > 0).all():
            return self.plugInCovariance
        return self.plugInCovariance * float(np.mean(honest / normal)) ** 2


def predictTwistUncertainty(
    mappedPoints: FloatArray,
    residuals: FloatArray,
    information: FloatArray,
    *,
    shapeKnown: bool,
    knownFleMm: float | None = None,
    longAxisTo: npt.ArrayLike | None = None,
) -> TwistUncertainty:
    """Predictive distribution of the twist error of a weighted least-squares fit.

    :param mappedPoints: fitted points in the to-frame (N, 3), mm.
    :param residuals: measured minus mapped (N, 3), mm.
    :param information: inverse of each point's *relative* error covariance (N, 3, 3); the scale is estimated.
    :param shapeKnown: True when ``information`` is known to describe the shape of the FLE; False integrates over shapes.
    :param longAxisTo: direction (3,) of the to-frame along which the FLE is larger, by how much isn't known: integrates over elongations
        along it alone. Without effect where the shape is known.
    :param knownFleMm: RMS length of the FLE of a point of unit information, if known from elsewhere; else estimated from the residuals.
    """
    count = len(mappedPoints)
    degrees = 3 * count - 6
    whitening = np.swapaxes(np.linalg.cholesky(information), 1, 2)
    center = _weightedCenter(mappedPoints, information)
    design = (whitening @ twistDesign(mappedPoints, center)).reshape(3 * count, 6)
    q, r = np.linalg.qr(design, mode="complete")
    estimator = np.linalg.solve(r[:6], q[:, :6].T)
    space = q[:, 6:]
    rho = space.T @ (whitening @ residuals[..., None]).reshape(-1)
    if shapeKnown:
        shapes, axes = _isotropicShape()
    else:
        shapes, axes = _fleShapes() if longAxisTo is None else _shapesAlong(unitAxis(longAxisTo))
    spaceBlocks, estimatorBlocks = space.reshape(count, 3, degrees), estimator.reshape(6, count, 3)
    residualCov = np.einsum("nai,sab,nbj->sij", spaceBlocks, shapes, spaceBlocks, optimize=True)
    crossCov = np.einsum("pna,sab,nbj->spj", estimatorBlocks, shapes, spaceBlocks, optimize=True)
    twistCov = np.einsum("pna,sab,qnb->spq", estimatorBlocks, shapes, estimatorBlocks, optimize=True)
    solved = np.linalg.solve(
        residualCov, np.concatenate([np.swapaxes(crossCov, 1, 2), np.broadcast_to(rho[:, None], (len(shapes), degrees, 1))], axis=2)
    )
    squares = np.einsum("i,si->s", rho, solved[:, :, 6])
    _unused, logDet = np.linalg.slogdet(residualCov)
    if knownFleMm is None:
        scale = squares / degrees
        with np.errstate(divide="ignore"):
            logWeight = -0.5 * logDet - 0.5 * degrees * np.log(np.maximum(squares, 1e-300))
    else:
        scale = np.full(len(shapes), knownFleMm**2 / 3.0)
        logWeight = -0.5 * logDet - 0.5 * squares / max(knownFleMm**2 / 3.0, 1e-300)
    shapeWeights = _normalised(logWeight)
    # A known direction needs no caution about it.
    across = np.zeros(len(shapes)) if longAxisTo is not None else np.log(_acrossLayout(mappedPoints, axes))
    cautiousWeights = _normalised(logWeight + across)
    means = crossCov @ solved[:, :, 6:]
    conditional = twistCov - crossCov @ solved[:, :, :6]
    values, vectors = np.linalg.eigh(conditional)
    # The symmetric root: it changes smoothly with its matrix, so that like fits get like bounds from the same draws.
    roots = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    samples = SAMPLES_PER_SHAPE * (SHAPE_COUNT if shapeKnown else 1)
    normal, stretch = _standardDraws(len(shapes), samples, 0 if knownFleMm is not None else degrees)
    twists = np.swapaxes(means, 1, 2) + np.sqrt(scale)[:, None, None] * stretch[..., None] * (normal @ np.swapaxes(roots, 1, 2))
    plugIn = np.einsum("s,spq->pq", shapeWeights * scale, twistCov)
    return TwistUncertainty(center, twists.reshape(-1, 6), np.repeat(cautiousWeights / samples, samples), plugIn)


def predictTargetErrors(uncertainty: TwistUncertainty, targets: Mapping[str, npt.ArrayLike]) -> dict[str, TargetError]:
    """Predicted error at each named target (to-frame, mm)."""
    return {name: uncertainty.at(point) for name, point in targets.items()}


def fitzpatrickTreMm(points: FloatArray, target: npt.ArrayLike, fleMm: float) -> float:
    """RMS TRE (mm) of the classical formula for isotropic FLE of RMS length ``fleMm``; points (N, 3) and target in one frame."""
    centered = points - points.mean(axis=0)
    _unused, _unused, axes = np.linalg.svd(centered, full_matrices=False)
    local, aim = centered @ axes.T, axes @ (np.asarray(target, float) - points.mean(axis=0))
    ratio = 0.0
    for k in range(3):
        others = [i for i in range(3) if i != k]
        ratio += float((aim[others] ** 2).sum() / (local[:, others] ** 2).sum(axis=1).mean())
    return float(fleMm * np.sqrt((1.0 + ratio / 3.0) / len(points)))


def _weightedCenter(points: FloatArray, information: FloatArray) -> FloatArray:
    weights = np.einsum("nii->n", information)
    result: FloatArray = (weights / weights.sum()) @ points
    return result


def _normalised(logWeight: FloatArray) -> FloatArray:
    weights = np.exp(logWeight - logWeight.max())
    result: FloatArray = weights / weights.sum()
    return result


def _acrossLayout(points: FloatArray, axes: FloatArray) -> FloatArray:
    """Prior weight of each shape: more for elongation across a flat layout; isotropic shapes (axis zero) keep their share."""
    _unused, spreads, directions = np.linalg.svd(points - points.mean(axis=0), full_matrices=True)
    flatness = 1.0 - float(spreads[2] / spreads[1]) if len(spreads) > 2 else 1.0
    weights = 1.0 + ACROSS_WEIGHT * max(flatness, 0.0) * (axes @ directions[2]) ** 4
    elongated = np.abs(axes).sum(axis=1) > 0
    if elongated.any():
        weights[elongated] /= weights[elongated].mean()
    return weights


def _isotropicShape() -> tuple[FloatArray, FloatArray]:
    return np.eye(3)[None], np.zeros((1, 3))


def unitAxis(direction: npt.ArrayLike) -> FloatArray:
    """A direction (3,) as unit vector.

    :raises ValueError: not three finite numbers, or of no length.
    """
    axis = np.asarray(direction, float).reshape(-1)
    length = float(np.linalg.norm(axis))
    if axis.shape != (3,) or not np.isfinite(length) or length < 1e-9:
        raise ValueError(_("The direction of the larger localisation error must be a vector of three numbers and non-zero length."))
    result: FloatArray = axis / length
    return result


def _shapesAlong(axis: FloatArray) -> tuple[FloatArray, FloatArray]:
    """FLE covariances of trace 3 elongated near one axis, and the axis of each; the ratios cover their range evenly."""
    random = np.random.default_rng(20232)
    steps = (random.permutation(SHAPE_COUNT) + 0.5) / SHAPE_COUNT
    ratios = AXIS_ELONGATION[0] * (AXIS_ELONGATION[1] / AXIS_ELONGATION[0]) ** steps
    axes = axis + np.tan(np.radians(AXIS_SIGMA_DEG)) * random.normal(size=(SHAPE_COUNT, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return _elongated(axes, ratios), axes


@functools.lru_cache(maxsize=1)
def _fleShapes() -> tuple[FloatArray, FloatArray]:
    """Fixed set of FLE covariances of trace 3 and their long axes (zero for isotropic ones, which stand there several times)."""
    random = np.random.default_rng(20231)
    axes = random.normal(size=(SHAPE_COUNT, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    ratios = np.exp(random.uniform(np.log(ELONGATION[0]), np.log(ELONGATION[1]), SHAPE_COUNT))
    isotropic = int(ISOTROPIC_SHARE * SHAPE_COUNT)
    axes[:isotropic] = 0.0
    return _elongated(axes, ratios), axes


def _elongated(axes: FloatArray, ratios: FloatArray) -> FloatArray:
    """Covariances (n, 3, 3) of trace 3 with standard deviations ``ratios`` times as large along ``axes`` (n, 3); no axis: isotropic."""
    shapes = np.eye(3) + (ratios**2 - 1.0)[:, None, None] * axes[:, :, None] * axes[:, None, :]
    result: FloatArray = shapes * (3.0 / np.trace(shapes, axis1=1, axis2=2))[:, None, None]
    return result


@functools.lru_cache(maxsize=16)
def _standardDraws(shapes: int, samples: int, degrees: int) -> tuple[FloatArray, FloatArray]:
    """Fixed standard normal draws (shapes, samples, 6) and the stretch sqrt(nu / chi2_nu) of Student's distribution, stratified."""
    random = np.random.default_rng(7919)
    normal = random.normal(size=(shapes, samples, 6))
    if degrees == 0:
        return normal, np.ones((shapes, samples))
    from scipy.special import chdtri

    total = shapes * samples
    levels = (random.permutation(total) + 0.5) / total
    return normal, np.sqrt(degrees / chdtri(degrees, levels)).reshape(shapes, samples)


def _weightedQuantile(values: FloatArray, weights: FloatArray, level: float) -> FloatArray:
    """Quantile of each row of ``values`` (N, S) under common ``weights`` (S,)."""
    order = np.argsort(values, axis=1)
    cumulated = np.cumsum(weights[order], axis=1)
    pick = np.minimum((cumulated < level * cumulated[:, -1:]).sum(axis=1), values.shape[1] - 1)
    rows = np.arange(len(values))
    return values[rows, order[rows, pick]]


def _normalLengths(covariances: FloatArray) -> FloatArray:
    """Lengths (n, draws) of fixed draws of zero-mean normal 3-vectors with covariances (n, 3, 3)."""
    values, vectors = np.linalg.eigh(covariances)
    roots = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ np.swapaxes(vectors, 1, 2)
    result: FloatArray = np.linalg.norm(_normalDraws() @ roots, axis=2)
    return result


@functools.lru_cache(maxsize=1)
def _normalDraws() -> FloatArray:
    """3000 standard normal 3-vectors whose second moments are exactly those of the distribution."""
    draws = np.random.default_rng(104729).normal(size=(1500, 3))
    draws = np.vstack([draws, -draws])
    whitening = np.linalg.inv(np.linalg.cholesky(draws.T @ draws / len(draws)))
    result: FloatArray = draws @ whitening.T
    return result
