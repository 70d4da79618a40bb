"""Result of a surface registration: the transform and all that tells how far to believe it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.LevelCheck import LevelCheck
from FusionRegistrationLib.RigidTransform import transformPoints
from FusionRegistrationLib.TargetRegistrationError import TargetError
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class CaptureCheck:
    """Whether the search had room and agreed with itself.

    shiftMm, turnDeg: how far the fit lies from the nearest pose the search was centred on.
    searchMm, searchDeg: how far around it was searched.
    agreement: share of the search's finalists that ended at the fit, (0, 1].
    withinSearch: the fit lies inside the searched range, not at or beyond its edge.
    """

    shiftMm: float
    turnDeg: float
    searchMm: float
    searchDeg: float
    agreement: float
    withinSearch: bool


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceFit:
    """Registration of ultrasound bone points to the bone surface of a CT.

    referenceToRas: 4x4 rigid transform.
    residualsMm: (n,) signed distance of every point from the surface, in front of the bone positive.
    pointsRas: (n, 3) the points where the fit puts them (with residualsMm the residual map).
    inlierShare: share of points within 2 mm of the surface, weighted by their confidence.
    holdOutDistanceMm: median distance from the surface of points that were kept out of the fit.
    holdOutInlierShare: share of those within 2 mm.
    depthScale: factor the depths were stretched by (speed of sound); 1 when it wasn't fitted. depthScaleSigma: its standard deviation.
    covariance: 6x6 of a small twist (rotation vector rad, translation mm) about centreRas in RAS.
    cost: robust cost in [0, 1] that alternatives are compared by.
    converged: the last iterations hardly moved the pose.
    trusted: no reason for doubt was found. doubts: the reasons otherwise, in plain English.
    """

    referenceToRas: FloatArray
    residualsMm: FloatArray
    pointsRas: FloatArray
    inlierShare: float
    holdOutDistanceMm: float
    holdOutInlierShare: float
    depthScale: float
    depthScaleSigma: float
    covariance: FloatArray
    centreRas: FloatArray
    noiseMm: float
    cost: float
    converged: bool
    captureCheck: CaptureCheck
    levelCheck: LevelCheck | None
    predictedTre: Mapping[str, TargetError]
    doubts: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        """Nothing speaks against the fit."""
        return not self.doubts

    @property
    def fromToTo(self) -> FloatArray:
        """The transform under the name paired-point fits give it."""
        return self.referenceToRas

    @property
    def centerTo(self) -> FloatArray:
        """The place that the covariance refers to, under the name paired-point fits give it."""
        return self.centreRas

    def targetError(self, targetRas: npt.ArrayLike) -> TargetError:
        """Predicted error at a point in RAS (mm)."""
        return targetError(self.covariance, self.centreRas, targetRas)

    def treMap(self, pointsRas: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """RMS and 95 % bound of the predicted error (mm) at points (n, 3) of RAS, e.g. over the spine's surface."""
        rmsMm, _meanMm, p95Mm = targetErrorLengths(self.covariance, self.centreRas, pointsRas)
        return rmsMm, p95Mm

    def mapPoints(self, pointsReference: npt.ArrayLike) -> FloatArray:
        """Points (n, 3) of the Reference frame in RAS (without the depth scale, which belongs to ultrasound depths alone)."""
        return transformPoints(self.referenceToRas, pointsReference)

    def toDict(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""
        result: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = value.tolist()
            elif field.name == "captureCheck":
                value = dataclasses.asdict(value)
            elif field.name == "levelCheck":
                value = None if value is None else value.toDict()
            elif field.name == "predictedTre":
                value = {name: dataclasses.asdict(error) for name, error in value.items()}
            elif isinstance(value, tuple):
                value = list(value)
            result[field.name] = value
        return result

    @classmethod
    def fromDict(cls, values: Mapping[str, Any]) -> SurfaceFit:
        """Inverse of toDict.

        :raises ValueError: naming the fields that are missing.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(
                _("The stored surface fit lacks {names}: it was written by another version or damaged.").format(names=", ".join(missing))
            )
        read: dict[str, Any] = {name: values[name] for name in names}
        for name in ("referenceToRas", "residualsMm", "pointsRas", "covariance", "centreRas"):
            read[name] = np.asarray(read[name], float)
        read["pointsRas"] = read["pointsRas"].reshape(-1, 3)
        read["captureCheck"] = CaptureCheck(**read["captureCheck"])
        read["levelCheck"] = None if read["levelCheck"] is None else LevelCheck.fromDict(read["levelCheck"])
        read["predictedTre"] = {
            name: TargetError(**{**error, "pointTo": tuple(error["pointTo"])}) for name, error in read["predictedTre"].items()
        }
        read["doubts"], read["warnings"] = tuple(read["doubts"]), tuple(read["warnings"])
        return cls(**read)


def twistJacobian(centreRas: npt.ArrayLike, targetRas: npt.ArrayLike) -> FloatArray:
    """3x6 derivative of a target's position by a small twist (rotation vector rad, translation mm) about a centre."""
    x, y, z = np.asarray(targetRas, float) - np.asarray(centreRas, float)
    return np.hstack([np.array([[0.0, z, -y], [-z, 0.0, x], [y, -x, 0.0]]), np.eye(3)])


def targetErrorLengths(
    covariance: npt.ArrayLike, centreRas: npt.ArrayLike, targetsRas: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """RMS, mean and 95th percentile (mm) of the error that a twist covariance predicts at points (n, 3) RAS.

    Mean and percentile take the squared length of the Gaussian error as a gamma variable of the same mean and variance
    (Satterthwaite 1946).
    """
    from scipy.special import gammaincinv, gammaln

    points = np.asarray(targetsRas, float).reshape(-1, 3)
    jacobians = np.array([twistJacobian(centreRas, point) for point in points]).reshape(-1, 3, 6)
    covariances = jacobians @ np.asarray(covariance, float) @ np.swapaxes(jacobians, 1, 2)
    mean = np.trace(covariances, axis1=1, axis2=2)
    spread = 2.0 * np.trace(covariances @ covariances, axis1=1, axis2=2)
    known = (mean > 0.0) & (spread > 0.0)
    mean, spread = np.where(known, mean, 1.0), np.where(known, spread, 1.0)
    shape, scale = mean**2 / spread, spread / mean
    meanLength = np.sqrt(scale) * np.exp(gammaln(shape + 0.5) - gammaln(shape))
    p95 = np.sqrt(gammaincinv(shape, 0.95) * scale)
    return np.where(known, np.sqrt(mean), 0.0), np.where(known, meanLength, 0.0), np.where(known, p95, 0.0)


def targetError(covariance: npt.ArrayLike, centreRas: npt.ArrayLike, targetRas: npt.ArrayLike) -> TargetError:
    """Error at a target that a twist covariance predicts, see `targetErrorLengths`."""
    rms, mean, p95 = (float(lengths[0]) for lengths in targetErrorLengths(covariance, centreRas, targetRas))
    x, y, z = (float(value) for value in np.asarray(targetRas, float))
    return TargetError((x, y, z), rms, mean, p95)
