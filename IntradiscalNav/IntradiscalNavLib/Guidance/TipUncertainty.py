"""How well the position of the displayed needle tip is known: registration, tracker, calibration and bending together.

Every part is a covariance of the tip in RAS (mm^2); independent parts add. The sum is shown as an ellipsoid and as one number: the
radius of the sphere about the displayed tip that holds the true tip with 95 % probability.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

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
            raise ValueError(
                _("A registration covariance is 6x6 (rotation vector rad, translation mm) with a centre of 3 numbers in RAS mm.")
            )
        if np.linalg.eigvalsh((covariance + covariance.T) / 2).min() < -1e-9 * max(1.0, float(np.trace(covariance))):
            raise ValueError(_("The registration covariance has a negative eigenvalue. Register again."))


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
    x, y, z = np.asarray(vector, float).tolist()
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def rigidErrorAt(pointRas: npt.ArrayLike, registration: RegistrationCovariance) -> FloatArray:
    """Covariance (3x3, mm^2) at a point that a rigid error w x (p - c) + t puts there."""
    jacobian = np.eye(3, 6, 3)
    jacobian[:, :3] = crossMatrix(registration.centerRas - np.asarray(pointRas, float))
    result: FloatArray = jacobian @ registration.covariance @ jacobian.T
    return result


def sensorErrorAt(pointRas: npt.ArrayLike, sensorRas: npt.ArrayLike, noise: SensorNoise) -> FloatArray:
    """Covariance at a point carried by a sensor at another: the orientation noise acts through the lever between them."""
    lever = crossMatrix(np.asarray(pointRas, float) - np.asarray(sensorRas, float))
    result: FloatArray = noise.positionMm**2 * np.eye(3) + math.radians(noise.orientationDeg) ** 2 * (lever @ lever.T)
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
    across = np.eye(3) - direction[:, None] * direction
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
        registrationRmsMm=math.sqrt(max(registration.trace(), 0.0)),
        trackerRmsMm=math.sqrt(tracker.trace()),
        bending95Mm=model.bending.deflection95Mm(insertedMm),
        includesRegistration=model.registration is not None,
    )


def _octantDirections(count: int = 12) -> tuple[FloatArray, FloatArray]:
    """Squared direction cosines (3, n) and weights (n,) of a product rule on one octant; the integrand is even in each axis."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    cosines, angles = (nodes + 1) / 2, (nodes + 1) * np.pi / 4
    cosine, angle = np.meshgrid(cosines, angles, indexing="ij")
    sine2 = 1 - cosine**2
    squares = np.stack([sine2 * np.cos(angle) ** 2, sine2 * np.sin(angle) ** 2, cosine**2]).reshape(3, -1)
    return squares, (np.outer(weights, weights) / 4).ravel()


def _quadrantDirections(count: int = 64) -> tuple[FloatArray, FloatArray]:
    """The same on one quarter of the circle: (2, n) and (n,)."""
    angles = (np.arange(count) + 0.5) * np.pi / (2 * count)
    return np.stack([np.cos(angles) ** 2, np.sin(angles) ** 2]), np.full(count, 1.0 / count)


_SPHERE, _CIRCLE = _octantDirections(), _quadrantDirections()
_TWO_BY_ROOT_PI = 2.0 / math.sqrt(math.pi)


def normalRadius(sigmasMm: npt.ArrayLike, probability: float = 0.95) -> float:
    """Radius of the circle (2 sigmas) or sphere (3 sigmas) about the mean that holds this share of a normal distribution.

    Exact to about 1e-4 of the radius for any shape: along each direction the length is chi-distributed, and the directions are
    averaged by quadrature (the radius itself has no closed form when the sigmas differ).

    :raises ValueError: for a number of sigmas other than 2 or 3, or a probability outside (0, 1).
    """
    from scipy.special import erf

    sigmas = np.sort(np.asarray(sigmasMm, float))
    if sigmas.shape not in ((2,), (3,)) or not 0 < probability < 1:
        raise ValueError(_("Give 2 or 3 standard deviations and a probability between 0 and 1."))
    largest = float(sigmas[-1])
    if largest <= 0.0:
        return 0.0
    squares = (sigmas / largest) ** 2
    flat = len(squares) == 2
    directions, weights = _CIRCLE if flat else _SPHERE
    # With h = radius * slope, the share within the radius along one direction is 1 - exp(-h^2) on the circle,
    # erf(h) - 2/sqrt(pi) h exp(-h^2) on the sphere.
    slope = 1.0 / np.sqrt(2.0 * np.maximum(squares @ directions, 1e-12))
    weightedSlope = weights * slope
    radius = 1.0 + math.sqrt(squares.sum())
    for _unused in range(30):
        height = radius * slope
        tail = np.exp(-height * height)
        product = height * tail
        if flat:
            share = 1.0 - float(weights @ tail)
            density = 2.0 * float(weightedSlope @ product)
        else:
            share = float(weights @ (erf(height) - _TWO_BY_ROOT_PI * product))
            density = 2.0 * _TWO_BY_ROOT_PI * float(weightedSlope @ (height * product))
        step = (share - probability) / max(density, 1e-12)
        radius = max(radius - min(max(step, -0.5), 0.5), 1e-6)
        # Newton's error after a step is of the order of the step's square.
        if abs(step) < 1e-5:
            break
    return radius * largest
