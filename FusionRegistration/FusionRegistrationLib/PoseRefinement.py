"""Last step of the registration: one pose, all points, double precision, with the speed of sound as a seventh unknown.

The covariance is clustered by frame: the errors of one frame's points go together (tracking, calibration, the frame's own
artefacts), so points can't be counted as independent (Liang & Zeger, Biometrika 1986, the "sandwich" estimator).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import BonePoints
from FusionRegistrationLib.PoseSearch import rotationsFromVectors
from FusionRegistrationLib.SignedDistanceTable import SignedDistanceTable

FloatArray = npt.NDArray[np.float64]

FLOOR_ROTATION_RAD = 0.001
FLOOR_TRANSLATION_MM = 0.15
"""What no number of points removes: the accuracy of the CT surface and of its table (measured on meshes: 0.1-0.2 mm)."""


@dataclasses.dataclass(frozen=True, eq=False)
class PosePrior:
    """What is already known of a pose: a transform and the covariance (6x6, rad and mm) of a small twist about a centre (RAS mm)."""

    referenceToRas: FloatArray
    covariance: FloatArray
    centreRas: FloatArray


@dataclasses.dataclass(frozen=True, eq=False)
class RefinedPose:
    """rotation, translationMm map points centred at the reference centre to RAS; depthScale multiplies beam offsets.

    covariance: 6x6 twist (rad, mm) about translationMm, the place of the cloud's centre in RAS.
    sliceHalfWidthMm: fitted half thickness of the scan plane. residualsMm: (n,) distances from the surface less what slice thickness
    and noise explain. weights: (n,) robust weights in [0, 1]. noiseMm: robust standard deviation of the residuals.
    """

    rotation: FloatArray
    translationMm: FloatArray
    depthScale: float
    depthScaleSigma: float
    sliceHalfWidthMm: float
    covariance: FloatArray
    residualsMm: FloatArray
    weights: FloatArray
    noiseMm: float
    converged: bool


@dataclasses.dataclass(frozen=True)
class RefinementParameters:
    """What is known beforehand of ultrasound's errors.

    kernelMm: Geman-McClure scale. depthScaleSigma: standard deviation of the relative depth error (speed of sound); 0: depths are exact.
    sliceHalfWidthMm, sliceHalfWidthSigmaMm: how far from its plane the probe still hears bone, and how sure that is; the nearest part of
    sloping bone within it echoes first. pointNoiseMm: localisation noise of a point; on convex bone noise moves points outwards on
    average, by half its variance times the curvature. pointsPerFrame: how many points of a frame count as independent.
    """

    kernelMm: float = 1.2
    iterations: int = 15
    depthScaleSigma: float = 0.015
    sliceHalfWidthMm: float = 0.8
    sliceHalfWidthSigmaMm: float = 0.5
    pointNoiseMm: float = 0.6
    pointsPerFrame: float = 4.0


PINNED = 1e9
"""Precision that keeps an unknown where it is."""


def refinePose(
    table: SignedDistanceTable,
    points: BonePoints,
    centreReference: FloatArray,
    rotation: FloatArray,
    translationMm: FloatArray,
    parameters: RefinementParameters,
    prior: PosePrior | None = None,
) -> RefinedPose:
    """Robust Gauss-Newton from a pose near the answer: six unknowns of the pose, the depth scale, the thickness of the scan plane.

    rotation, translationMm: map points minus centreReference to RAS. prior: knowledge of the whole transform that takes part in the fit.
    """
    rotation, translation = rotation.copy(), np.asarray(translationMm, float).copy()
    centred = points.pointsReference - centreReference
    count = len(centred)
    offsets = np.zeros_like(centred) if points.beamOffsetsMm is None else points.beamOffsetsMm
    elevations = np.zeros_like(centred) if points.elevations is None else points.elevations
    relative = np.ones(count) if points.confidence is None else points.confidence / points.confidence.mean()
    clusterIds, clusterOf = np.unique(points.frames if points.frames is not None else np.arange(count), return_inverse=True)
    independent = min(count, parameters.pointsPerFrame * len(clusterIds)) / count
    nuisance = np.array([0.0, parameters.sliceHalfWidthMm if points.elevations is not None else 0.0])
    expected = nuisance.copy()
    precision = np.full(2, PINNED)
    if points.beamOffsetsMm is not None and parameters.depthScaleSigma > 0:
        precision[0] = parameters.depthScaleSigma**-2
    if points.elevations is not None and parameters.sliceHalfWidthSigmaMm > 0:
        precision[1] = parameters.sliceHalfWidthSigmaMm**-2
    squaredKernel = np.float32(parameters.kernelMm**2)
    # Single precision, coordinates x points: the sums are over a few thousand points, their rounding is far below the noise.
    columns, offsetColumns, elevationColumns = (np.ascontiguousarray(a.T, np.float32) for a in (centred, offsets, elevations))
    relative32 = relative.astype(np.float32)
    convexity = np.float32(0.5 * parameters.pointNoiseMm**2)
    jacobian = np.zeros((8, count), np.float32)
    moved = np.inf
    for _ in range(parameters.iterations):
        rotation32 = rotation.astype(np.float32)
        turned = rotation32 @ (columns + np.float32(nuisance[0]) * offsetColumns if nuisance[0] else columns)
        distance, normal, curvature = table.lookup(turned + translation.astype(np.float32)[:, None])
        jacobian[0] = turned[1] * normal[2] - turned[2] * normal[1]
        jacobian[1] = turned[2] * normal[0] - turned[0] * normal[2]
        jacobian[2] = turned[0] * normal[1] - turned[1] * normal[0]
        jacobian[3:6] = normal
        # The normals as the sweep's frame sees them, for its beams and scan planes.
        seen = rotation32.T @ normal
        jacobian[6] = (offsetColumns * seen).sum(axis=0)
        jacobian[7] = -np.abs((elevationColumns * seen).sum(axis=0))
        residual = distance + np.float32(nuisance[1]) * jacobian[7] - convexity * curvature
        robust = relative32 * (squaredKernel / (squaredKernel + residual * residual)) ** 2
        noise = max(0.2, float(np.sqrt((robust * residual * residual).sum() / robust.sum())))
        worth = independent / noise**2
        weighted = jacobian * robust
        information = (weighted @ jacobian.T).astype(float) * worth
        gradient = (weighted @ residual).astype(float) * worth
        information[[6, 7], [6, 7]] += precision
        gradient[6:] += precision * (nuisance - expected)
        if prior is not None:
            priorPrecision, error = _priorTwist(prior, rotation, translation, centreReference)
            information[:6, :6] += priorPrecision
            gradient[:6] += priorPrecision @ error
        information[np.arange(3), np.arange(3)] += 1e-3 * independent * count
        information[np.arange(3, 6), np.arange(3, 6)] += 1e-6 * independent * count
        step = -np.linalg.solve(information, gradient)
        step /= max(1.0, float(np.linalg.norm(step[3:6])) / 3.0, float(np.linalg.norm(step[:3])) / 0.1)
        rotation = rotationsFromVectors(step[None, :3])[0] @ rotation
        translation = translation + step[3:6]
        nuisance = np.clip(nuisance + step[6:] * (precision < PINNED), [-0.1, 0.0], [0.1, 4.0])
        moved = float(np.linalg.norm(step[3:6]) + 40.0 * np.linalg.norm(step[:3]))
        if moved < 5e-3:
            break
    left, _, right = np.linalg.svd(rotation)
    covariance = _clusteredCovariance(weighted * (residual * np.float32(worth)), clusterOf, len(clusterIds), information)
    return RefinedPose(
        left @ right,
        translation,
        1.0 + float(nuisance[0]),
        float(np.sqrt(covariance[6, 6])) if precision[0] < PINNED else 0.0,
        float(nuisance[1]),
        covariance[:6, :6],
        residual.astype(float),
        (robust / relative32).astype(float),
        noise,
        bool(moved < 0.05),
    )


def _clusteredCovariance(
    scores: npt.NDArray[np.float32], clusterOf: npt.NDArray[np.intp], clusters: int, information: FloatArray
) -> FloatArray:
    """Sandwich covariance with frames as clusters, at least the model's own in every direction, and at least the floor."""
    perCluster = np.stack([np.bincount(clusterOf, row, minlength=clusters) for row in scores], axis=1)
    inverse: FloatArray = np.asarray(np.linalg.inv(information), float)
    sandwich = clusters / max(clusters - 1, 1) * inverse @ (perCluster.T @ perCluster) @ inverse
    # The larger of the two opinions in every direction keeps few frames from looking sure by accident.
    covariance = _upperBound(sandwich, inverse)
    covariance[:3, :3] += FLOOR_ROTATION_RAD**2 * np.eye(3)
    covariance[3:6, 3:6] += FLOOR_TRANSLATION_MM**2 * np.eye(3)
    return covariance


def _priorTwist(
    prior: PosePrior, rotation: FloatArray, translation: FloatArray, centreReference: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Precision (6x6) of the prior about the current cloud centre, and the twist from the prior's pose to the current one."""
    priorRotation = prior.referenceToRas[:3, :3]
    priorPlace = priorRotation @ centreReference + prior.referenceToRas[:3, 3]
    lever = priorPlace - prior.centreRas
    x, y, z = lever
    carry = np.eye(6)
    carry[3:, :3] = np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]])
    precision: FloatArray = np.asarray(np.linalg.inv(carry @ prior.covariance @ carry.T), float)
    error = np.concatenate([rotationVectorOf(rotation @ priorRotation.T), translation - priorPlace])
    return precision, error


def rotationVectorOf(rotation: FloatArray) -> FloatArray:
    """Rotation vector (rad) of a 3x3 rotation; accurate near zero, defined up to (not at) half a turn."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    sine = float(np.linalg.norm(skew)) / 2.0
    angle = float(np.arctan2(sine, (np.trace(rotation) - 1.0) / 2.0))
    return skew / 2.0 if sine < 1e-9 else skew * (angle / (2.0 * sine))


def _upperBound(first: FloatArray, second: FloatArray) -> FloatArray:
    """A covariance that is at least each of two in every direction (joint diagonalisation)."""
    factor = np.linalg.cholesky(second + 1e-15 * np.trace(second) * np.eye(len(second)))
    inverse = np.linalg.inv(factor)
    values, vectors = np.linalg.eigh(inverse @ first @ inverse.T)
    half = factor @ vectors
    result: FloatArray = half @ np.diag(np.maximum(values, 1.0)) @ half.T
    return result
