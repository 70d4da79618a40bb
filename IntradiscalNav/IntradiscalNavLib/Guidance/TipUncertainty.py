"""How well the position of the displayed needle tip is known: registration, tracker, calibration and bending together.

Every part is a covariance of the tip in RAS (mm^2); independent parts add. The sum is shown as an ellipsoid and as one number: the
radius of the sphere about the displayed tip that holds the true tip with 95 % probability.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

RAYLEIGH_95 = float(np.sqrt(-2.0 * np.log(0.05)))
"""95 % radius of a round two-dimensional normal distribution, in standard deviations (2.4477)."""

ELLIPSOID_95 = 2.7954834829151074
"""Square root of the 95 % quantile of chi-square with 3 degrees of freedom."""


@dataclass(frozen=True)
class BendingLaw:
    """Lateral tip deflection that a sensor at the hub can't see; it grows with the square of the depth in tissue.

    Ninety-five per cent of needles bend less than ``deflectionMm`` at ``depthMm``. The default is the 22 G Quincke needle in ballistic
    gel (Rand 2016, doi 10.5812/aapm.36607: 8.89 mm at 80 mm), gel being stiffer than most of a back, in any direction
    since the bevel's direction isn't tracked.
    """

    deflectionMm: float = 8.89
    depthMm: float = 80.0

    def deflection95Mm(self, insertedMm: float) -> float:
        """95 % lateral deflection of the tip at a depth in tissue (mm); 0 outside the body."""
        return self.deflectionMm * (max(insertedMm, 0.0) / self.depthMm) ** 2

    def lateralSigmaMm(self, insertedMm: float) -> float:
        """Standard deviation along each of the two directions across the shaft."""
        return self.deflection95Mm(insertedMm) / RAYLEIGH_95


NO_BENDING = BendingLaw(0.0, 80.0)


@dataclass(frozen=True)
class SensorNoise:
    """Noise of one tracked sensor, standard deviation per axis: position in mm, orientation as rotation vector in degrees."""

    positionMm: float = 0.3
    orientationDeg: float = 0.1


@dataclass(frozen=True, eq=False)
class RegistrationCovariance:
    """Covariance of a small rigid error of ReferenceToRas: rotation vector (rad) first, then translation (mm), about a centre in RAS."""

    covariance: FloatArray
    centerRas: FloatArray

    def __post_init__(self) -> None:
        covariance, center = np.asarray(self.covariance, float), np.asarray(self.centerRas, float)
        if covariance.shape != (6, 6) or center.shape != (3,) or not np.isfinite(covariance).all() or not np.isfinite(center).all():
            raise ValueError("A registration covariance is 6x6 (rotation vector rad, translation mm) with a centre of 3 numbers in RAS mm.")
        if np.linalg.eigvalsh((covariance + covariance.T) / 2).min() < -1e-9 * max(1.0, float(np.trace(covariance))):
            raise ValueError("The registration covariance has a negative eigenvalue. Register again.")


@dataclass(frozen=True, eq=False)
class TipErrorModel:
    """What is known about the errors of the chain sensor - needle - reference - CT.

    ``tipCalibrationMm``: standard deviation per axis of the tip position in the needle sensor's frame. ``referenceNoise`` is None where
    poses arrive in the tracker's own frame and no patient reference takes part. Registration is None when unknown, which is
    said (``includesRegistration``), not taken for zero.
    """

    registration: RegistrationCovariance | None = None
    needleNoise: SensorNoise = field(default_factory=SensorNoise)
    referenceNoise: SensorNoise | None = None
    referenceOriginRas: FloatArray | None = None
    tipCalibrationMm: float = 0.3
    bending: BendingLaw = field(default_factory=BendingLaw)


@dataclass(frozen=True, eq=False)
class TipUncertainty:
    """Covariance (RAS, mm^2), the 95 % ellipsoid (semi-axes along the columns of ``axesRas``), and the numbers to show."""

    covariance: FloatArray
    axesRas: FloatArray
    semiAxes95Mm: FloatArray
    radius95Mm: float
    lateral95Mm: float
    registrationRmsMm: float
    trackerRmsMm: float
    bending95Mm: float
    includesRegistration: bool


def crossMatrix(vector: npt.ArrayLike) -> FloatArray:
    """Matrix of the cross product: ``crossMatrix(a) @ b == cross(a, b)``."""
    x, y, z = np.asarray(vector, float)
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def rigidErrorAt(pointRas: npt.ArrayLike, registration: RegistrationCovariance) -> FloatArray:
    """Covariance (3x3, mm^2) at a point that a rigid error w x (p - c) + t puts there."""
    jacobian = np.hstack([-crossMatrix(np.asarray(pointRas, float) - registration.centerRas), np.eye(3)])
    result: FloatArray = jacobian @ registration.covariance @ jacobian.T
    return result


def sensorErrorAt(pointRas: npt.ArrayLike, sensorRas: npt.ArrayLike, noise: SensorNoise) -> FloatArray:
    """Covariance at a point carried by a sensor at another: the orientation noise acts through the lever between them."""
    lever = crossMatrix(np.asarray(pointRas, float) - np.asarray(sensorRas, float))
    result: FloatArray = noise.positionMm**2 * np.eye(3) + np.radians(noise.orientationDeg) ** 2 * (lever @ lever.T)
    return result


def tipUncertainty(
    tipRas: npt.ArrayLike, shaftDirectionRas: npt.ArrayLike, sensorRas: npt.ArrayLike, insertedMm: float, model: TipErrorModel
) -> TipUncertainty:
    """Uncertainty of a needle tip.

    :param tipRas: displayed tip (mm).
    :param shaftDirectionRas: unit vector hub to tip.
    :param sensorRas: origin of the needle's sensor (at the hub), the far end of the lever.
    :param insertedMm: depth of the tip in tissue.
    """
    tip, direction = np.asarray(tipRas, float), np.asarray(shaftDirectionRas, float)
    across = np.eye(3) - np.outer(direction, direction)
    registration = rigidErrorAt(tip, model.registration) if model.registration is not None else np.zeros((3, 3))
    tracker = sensorErrorAt(tip, sensorRas, model.needleNoise) + model.tipCalibrationMm**2 * np.eye(3)
    if model.referenceNoise is not None and model.referenceOriginRas is not None:
        tracker = tracker + sensorErrorAt(tip, model.referenceOriginRas, model.referenceNoise)
    covariance = registration + tracker + model.bending.lateralSigmaMm(insertedMm) ** 2 * across
    values, axes = np.linalg.eigh((covariance + covariance.T) / 2)
    sigmas = np.sqrt(np.maximum(values, 0.0))
    lateral = across @ covariance @ across
    lateralSigmas = np.sqrt(np.maximum(np.linalg.eigvalsh((lateral + lateral.T) / 2)[1:], 0.0))
    return TipUncertainty(
        covariance=covariance,
        axesRas=axes,
        semiAxes95Mm=ELLIPSOID_95 * sigmas,
        radius95Mm=normalRadius(sigmas),
        lateral95Mm=normalRadius(lateralSigmas),
        registrationRmsMm=float(np.sqrt(max(np.trace(registration), 0.0))),
        trackerRmsMm=float(np.sqrt(np.trace(tracker))),
        bending95Mm=model.bending.deflection95Mm(insertedMm),
        includesRegistration=model.registration is not None,
    )


def _octantDirections(count: int = 12) -> FloatArray:
    """Squared direction cosines and weights (rows x2, y2, z2, w) of a product rule on one octant; the integrand is even in each axis."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    cosines, angles = (nodes + 1) / 2, (nodes + 1) * np.pi / 4
    cosine, angle = np.meshgrid(cosines, angles, indexing="ij")
    sine2 = 1 - cosine**2
    return np.stack([sine2 * np.cos(angle) ** 2, sine2 * np.sin(angle) ** 2, cosine**2, np.outer(weights, weights) / 4]).reshape(4, -1)


_SPHERE = _octantDirections()
_CIRCLE = (np.cos((np.arange(64) + 0.5) * np.pi / 128) ** 2, np.sin((np.arange(64) + 0.5) * np.pi / 128) ** 2)


def normalRadius(sigmasMm: npt.ArrayLike, probability: float = 0.95) -> float:
    """Radius of the circle (2 sigmas) or sphere (3 sigmas) about the mean that holds this share of a normal distribution.

    Exact to about 1e-4 of the radius for any shape: along each direction the length is chi-distributed, and the directions are
    averaged by quadrature (the radius itself has no closed form when the sigmas differ).

    :raises ValueError: for a number of sigmas other than 2 or 3, or a probability outside (0, 1).
    """
    from scipy.special import erf

    sigmas = np.sort(np.asarray(sigmasMm, float))
    if sigmas.shape not in ((2,), (3,)) or not 0 < probability < 1:
        raise ValueError("Give 2 or 3 standard deviations and a probability between 0 and 1.")
    largest = float(sigmas[-1])
    if largest <= 0.0:
        return 0.0
    squares = (sigmas / largest) ** 2
    if len(squares) == 2:
        spread = np.sqrt(np.maximum(squares[0] * _CIRCLE[0] + squares[1] * _CIRCLE[1], 1e-12))
    else:
        spread = np.sqrt(np.maximum(squares @ _SPHERE[:3], 1e-12))
        weights = _SPHERE[3]
    radius = 1.0 + float(np.sqrt(squares.sum()))
    for _ in range(30):
        ratio = radius / spread
        tail = np.exp(-0.5 * np.minimum(ratio**2, 1400.0))
        if len(squares) == 2:
            share = float(np.mean(1.0 - tail))
            density = float(np.mean(ratio * tail / spread))
        else:
            share = float(weights @ (erf(ratio / np.sqrt(2.0)) - np.sqrt(2 / np.pi) * ratio * tail))
            density = float(weights @ (np.sqrt(2 / np.pi) * ratio**2 * tail / spread))
        step = (share - probability) / max(density, 1e-12)
        radius = max(radius - float(np.clip(step, -0.5, 0.5)), 1e-6)
        if abs(step) < 1e-9:
            break
    return radius * largest
