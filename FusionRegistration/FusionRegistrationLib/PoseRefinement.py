"""Last step of the registration: one pose, all points, double precision, with the speed of sound as a seventh unknown.

The covariance is clustered by frame: the errors of one frame's points go together (tracking, calibration, the frame's own
artefacts), so points can't be counted as independent (Liang & Zeger, Biometrika 1986, the "sandwich" estimator).
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

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
    distancesMm: (n,) signed distances after the fit. weights: (n,) robust weights in [0, 1].
    """

    rotation: FloatArray
    translationMm: FloatArray
    depthScale: float
    depthScaleSigma: float
    covariance: FloatArray
    distancesMm: FloatArray
    weights: FloatArray
    noiseMm: float
    converged: bool


@dataclasses.dataclass(frozen=True)
class RefinementParameters:
    """kernelMm: Geman-McClure scale. depthScaleSigma: prior standard deviation of the relative depth error; 0 keeps depths as they are.

    pointsPerFrame: how many points of a frame count as independent when the data are weighed against priors.
    """

    kernelMm: float = 1.2
    iterations: int = 12
    depthScaleSigma: float = 0.015
    pointsPerFrame: float = 4.0


def refinePose(
    table: SignedDistanceTable,
    centred: FloatArray,
    offsets: FloatArray | None,
    confidence: FloatArray | None,
    clusters: npt.NDArray[np.int64],
    rotation: FloatArray,
    translationMm: FloatArray,
    parameters: RefinementParameters,
    prior: PosePrior | None = None,
    priorCentreReference: FloatArray | None = None,
) -> RefinedPose:
    """Robust Gauss-Newton from a pose near the answer.

    centred: (n, 3) points minus the centre. offsets: (n, 3) beam offsets or None. clusters: (n,) frame of every point.
    prior: of the whole transform; priorCentreReference is then the centre the points were reduced by.
    """
    rotation, translation, scale = rotation.copy(), np.asarray(translationMm, float).copy(), 0.0
    count = len(centred)
    relative = np.ones(count) if confidence is None else confidence / confidence.mean()
    withScale = offsets is not None and parameters.depthScaleSigma > 0
    size = 7 if withScale else 6
    squaredKernel = parameters.kernelMm**2
    clusterIds, clusterOf = np.unique(clusters, return_inverse=True)
    independent = min(count, parameters.pointsPerFrame * len(clusterIds)) / count
    noise = parameters.kernelMm
    moved = np.inf
    jacobian = np.empty((count, size))
    for _ in range(parameters.iterations):
        bent = centred if not withScale or offsets is None else centred + scale * offsets
        turned = bent @ rotation.T
        distance, normal = table.distancesAndGradients(turned + translation)
        jacobian[:, :3] = np.cross(turned, normal)
        jacobian[:, 3:6] = normal
        if withScale and offsets is not None:
            jacobian[:, 6] = ((offsets @ rotation.T) * normal).sum(axis=1)
        robust = relative * (squaredKernel / (squaredKernel + distance * distance)) ** 2
        noise = max(0.2, float(np.sqrt((robust * distance * distance).sum() / robust.sum())))
        information = (jacobian * robust[:, None]).T @ jacobian * (independent / noise**2)
        gradient = jacobian.T @ (robust * distance) * (independent / noise**2)
        if withScale:
            information[6, 6] += 1.0 / parameters.depthScaleSigma**2
            gradient[6] += scale / parameters.depthScaleSigma**2
        if prior is not None and priorCentreReference is not None:
            precision, error = _priorTwist(prior, rotation, translation, priorCentreReference)
            information[:6, :6] += precision
            gradient[:6] += precision @ error
        information[np.arange(3), np.arange(3)] += 1e-3 * independent * count
        information[np.arange(3, 6), np.arange(3, 6)] += 1e-6 * independent * count
        step = -np.linalg.solve(information, gradient)
        step /= max(1.0, float(np.linalg.norm(step[3:6])) / 3.0, float(np.linalg.norm(step[:3])) / 0.1)
        rotation = rotationsFromVectors(step[None, :3])[0] @ rotation
        translation = translation + step[3:6]
        if withScale:
            scale = float(np.clip(scale + step[6], -0.1, 0.1))
        moved = float(np.linalg.norm(step[3:6]) + 40.0 * np.linalg.norm(step[:3]))
        if moved < 2e-3:
            break
    left, _, right = np.linalg.svd(rotation)
    rotation = left @ right
    scores = jacobian * (robust * distance)[:, None] * (independent / noise**2)
    perCluster = np.zeros((len(clusterIds), size))
    np.add.at(perCluster, clusterOf, scores)
    inverse = np.linalg.inv(information)
    correction = len(clusterIds) / max(len(clusterIds) - 1, 1)
    sandwich = correction * inverse @ (perCluster.T @ perCluster) @ inverse
    # The larger of the two opinions in every direction keeps few frames from looking sure by accident.
    covariance = _upperBound(sandwich, inverse)
    covariance[:3, :3] += FLOOR_ROTATION_RAD**2 * np.eye(3)
    covariance[3:6, 3:6] += FLOOR_TRANSLATION_MM**2 * np.eye(3)
    finalDistance = table.distances((centred if not withScale or offsets is None else centred + scale * offsets) @ rotation.T + translation)
    return RefinedPose(
        rotation,
        translation,
        1.0 + scale,
        float(np.sqrt(covariance[6, 6])) if withScale else 0.0,
        covariance[:6, :6],
        finalDistance,
        robust / relative,
        noise,
        bool(moved < 0.05),
    )


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
    precision = np.linalg.inv(carry @ prior.covariance @ carry.T)
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
