"""Rigid registration of paired points, with everything needed to judge it: residuals, leave-one-out, FLE, predicted TRE, covariance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.OutlierTest import leaveOneOut, robustInliers
from FusionRegistrationLib.PairedPointSolver import solveRigid, solveRigidAnisotropic
from FusionRegistrationLib.PointSetGeometry import PointSetError, asPoints, describePointSet, nameList
from FusionRegistrationLib.RigidTransform import FloatArray, transformPoints
from FusionRegistrationLib.TargetRegistrationError import (
    TargetError,
    TwistUncertainty,
    predictTargetErrors,
    predictTwistUncertainty,
    unitAxis,
)
from TranslatedText.Translation import tr as _

FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class RigidFit:
    """Result of `fitRigid`. Lengths in mm; vectors in the to-frame.

    :ivar fromToTo: 4x4, ``pTo = fromToTo @ pFrom``.
    :ivar pointNames: name of each point, in the order of the input.
    :ivar longAxisTo: unit vector of the to-frame along which the FLE was said to be larger; None where nothing was said.
    :ivar used: which points carry the transform; the others were left out by the robust option.
    :ivar residualVectorsMm: measured minus mapped (N, 3).
    :ivar residualsMm: their lengths (N,).
    :ivar freMm: RMS residual of the used points. It says how well the points agree, **not** how accurate the registration is.
    :ivar fleMm: RMS localisation error of one point (of unit weight) estimated from the residuals, FRE / sqrt(1 - 2/N) when isotropic.
    :ivar leaveOneOutMm: error at each point when it doesn't take part in the fit; NaN where the rest can't carry a fit.
    :ivar outliers: names of points that don't agree with the rest (p < 0.01 after correction for their number), worst first.
    :ivar covariance: 6x6 of a twist (rotation vector rad, translation mm) about ``centerTo`` in the to-frame, widened for the few points
        the FLE was estimated from: its normal 95 % bound at a target equals the honest bound. Use this for guidance.
    :ivar plugInCovariance: the same with the estimated FLE taken for the true one (textbook).
    :ivar predictedTre: predicted error at each named target.
    :ivar singularValuesMm: RMS spreads of the used to-points along their principal axes.
    :ivar warnings: plain sentences for the user.
    """

    fromToTo: FloatArray
    pointNames: tuple[str, ...]
    fromPoints: FloatArray
    toPoints: FloatArray
    used: npt.NDArray[np.bool_]
    weights: FloatArray | None
    fromCovariances: FloatArray | None
    toCovariances: FloatArray | None
    knownFleMm: float | None
    isotropicFle: bool
    longAxisTo: FloatArray | None
    residualVectorsMm: FloatArray
    residualsMm: FloatArray
    freMm: float
    fleMm: float
    degreesOfFreedom: int
    leaveOneOutMm: FloatArray
    outliers: tuple[str, ...]
    centerTo: FloatArray
    covariance: FloatArray
    plugInCovariance: FloatArray
    predictedTre: dict[str, TargetError]
    singularValuesMm: tuple[float, float, float]
    warnings: tuple[str, ...]

    def uncertainty(self) -> TwistUncertainty:
        """Predictive distribution of the error; recomputed from the stored points, always the same."""
        mapped = transformPoints(self.fromToTo, self.fromPoints)[self.used]
        information = _information(self.fromToTo, self.used, self.weights, self.fromCovariances, self.toCovariances)
        return predictTwistUncertainty(
            mapped,
            self.residualVectorsMm[self.used],
            information,
            shapeKnown=self.isotropicFle or self.fromCovariances is not None or self.toCovariances is not None,
            knownFleMm=self.knownFleMm,
            longAxisTo=self.longAxisTo,
        )

    def targetErrorAt(self, pointTo: npt.ArrayLike) -> TargetError:
        """Predicted error at any point of the to-frame (mm)."""
        return self.uncertainty().at(pointTo)

    def treMap(self, pointsTo: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """RMS and 95 % bound of the predicted error (mm) at points (N, 3) of the to-frame, e.g. over the spine's surface."""
        return self.uncertainty().mapAt(pointsTo)

    def toDict(self) -> dict[str, Any]:
        """Everything as JSON-ready values; `fromDict` gives an equal fit back."""
        content: dict[str, Any] = {"format": "RigidFit", "version": FORMAT_VERSION}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                value = _plain(value)
            elif field.name == "predictedTre":
                value = {name: dataclasses.asdict(error) for name, error in value.items()}
            elif isinstance(value, tuple):
                value = list(value)
            content[field.name] = value
        return content

    @staticmethod
    def fromDict(content: Mapping[str, Any]) -> RigidFit:
        """Rebuild a fit from `toDict`.

        :raises ValueError: when the content is of another kind or version, or a field is missing.
        """
        if content.get("format") != "RigidFit":
            raise ValueError(_("This is no stored registration fit (format {format!r}).").format(format=content.get("format")))
        if content.get("version") != FORMAT_VERSION:
            raise ValueError(
                _("The stored fit has version {version!r}; this program reads version {formatVersion}.").format(
                    version=content.get("version"), formatVersion=FORMAT_VERSION
                )
            )
        values: dict[str, Any] = {}
        for field in dataclasses.fields(RigidFit):
            if field.name not in content and field.name not in _LATER_FIELDS:
                raise ValueError(_("The stored fit lacks its field '{fieldName}'.").format(fieldName=field.name))
            value: Any = content.get(field.name)
            if field.name == "predictedTre":
                value = {name: TargetError(tuple(e["pointTo"]), e["rmsMm"], e["meanMm"], e["p95Mm"]) for name, e in value.items()}
            elif field.name == "used":
                value = np.array(value, dtype=bool)
            elif field.name in _ARRAY_FIELDS and value is not None:
                value = np.array(_unplain(value), float)
            elif isinstance(value, list):
                value = tuple(value)
            values[field.name] = value
        for name in ("fromPoints", "toPoints", "residualVectorsMm"):
            values[name] = values[name].reshape(-1, 3)
        return RigidFit(**values)


_LATER_FIELDS = frozenset(["longAxisTo"])
"""Fields that fits stored before they existed lack; None then."""
_ARRAY_FIELDS = frozenset(
    [
        "longAxisTo",
        "fromToTo",
        "fromPoints",
        "toPoints",
        "weights",
        "fromCovariances",
        "toCovariances",
        "residualVectorsMm",
        "residualsMm",
        "leaveOneOutMm",
        "centerTo",
        "covariance",
        "plugInCovariance",
    ]
)


def fitRigid(
    fromPoints: npt.ArrayLike,
    toPoints: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    targets: Mapping[str, npt.ArrayLike] | None = None,
    names: Sequence[str] | None = None,
    fromCovariances: npt.ArrayLike | None = None,
    toCovariances: npt.ArrayLike | None = None,
    isotropicFle: bool = False,
    longAxisTo: npt.ArrayLike | None = None,
    knownFleMm: float | None = None,
    robust: bool = False,
) -> RigidFit:
    """Fit ``fromToTo`` to paired points by least squares.

    :param fromPoints: (N, 3) mm in the from-frame, N >= 3 and not on a line.
    :param toPoints: (N, 3) mm in the to-frame, in the same order.
    :param weights: (N,) relative weights, inversely proportional to each point's squared FLE.
    :param targets: named points of the *to-frame* (mm) at which the TRE is predicted, e.g. the disc.
    :param fromCovariances: anisotropic FLE in the from-frame, (3, 3) for all points or (N, 3, 3), up to a common factor shared with
        ``toCovariances``; the transform is then the most likely one under it.
    :param isotropicFle: take the FLE as equal in all directions when predicting the TRE. Only if that is known: by default
        elongated shapes are considered too, which is what keeps the 95 % bound at 95 %.
    :param longAxisTo: direction of the to-frame along which the FLE is larger, e.g. the depth of a tracker that looks at the back from
        above; by how much needn't be known. The fit is the same, the predicted TRE is honest also where points on a flat layout can't tell.
    :param knownFleMm: RMS FLE (mm) of a point of unit weight if known from elsewhere; by default it is estimated from the residuals.
    :param robust: leave points out that contradict the rest (at most half of them); which ones is told in ``outliers``.
    :raises PointSetError: fewer than 3 pairs, NaN, unequal numbers, collinear or nearly collinear points; with singular values.
    """
    source, target = asPoints(fromPoints, _("points of the from-frame")), asPoints(toPoints, _("points of the to-frame"))
    count = len(source)
    if count != len(target):
        raise PointSetError(
            _("The lists have {count} and {total} points: pair them first (point matching does it without order).").format(
                count=count, total=len(target)
            )
        )
    labels = tuple(str(n) for n in names) if names is not None else tuple(f"{i + 1}" for i in range(count))
    if len(labels) != count:
        raise PointSetError(_("{count} names were given for {total} points.").format(count=len(labels), total=count))
    if longAxisTo is not None and (isotropicFle or fromCovariances is not None or toCovariances is not None):
        raise ValueError(_("Say how the localisation error is shaped in one way only: even, by covariances, or by its long axis."))
    longAxis = None if longAxisTo is None else unitAxis(longAxisTo)
    w = _checkedWeights(weights, count)
    fromCov, toCov = _checkedCovariances(fromCovariances, count, "from"), _checkedCovariances(toCovariances, count, "to")
    if w is not None and (fromCov is not None or toCov is not None):
        raise ValueError(_("Give either weights or covariances of the points, not both."))
    describePointSet(source, _("points of the from-frame"))
    describePointSet(target, _("points of the to-frame"))

    def solve(mask: npt.NDArray[np.bool_]) -> FloatArray:
        if fromCov is None and toCov is None:
            return solveRigid(source[mask], target[mask], None if w is None else w[mask])
        return solveRigidAnisotropic(source[mask], target[mask], _orZero(fromCov, count)[mask], _orZero(toCov, count)[mask])

    def informationOf(fromToTo: FloatArray, mask: npt.NDArray[np.bool_]) -> FloatArray:
        return _information(fromToTo, mask, w, fromCov, toCov)

    used = robustInliers(source, target, solve, informationOf) if robust else np.ones(count, bool)
    fromToTo = solve(used)
    geometry = describePointSet(target[used], _("used points of the to-frame"))
    residuals = target - transformPoints(fromToTo, source)
    lengths = np.linalg.norm(residuals, axis=1)
    usedCount = int(used.sum())
    information = informationOf(fromToTo, used)
    squares = float(np.einsum("ni,nij,nj->", residuals[used], information, residuals[used]))
    degrees = 3 * usedCount - 6
    looMm, suspects = leaveOneOut(source, target, used, solve, informationOf)
    outliers = tuple(labels[i] for i in suspects)
    uncertainty = predictTwistUncertainty(
        transformPoints(fromToTo, source)[used],
        residuals[used],
        information,
        shapeKnown=isotropicFle or fromCov is not None or toCov is not None,
        knownFleMm=knownFleMm,
        longAxisTo=longAxis,
    )
    return RigidFit(
        fromToTo=fromToTo,
        pointNames=labels,
        fromPoints=source,
        toPoints=target,
        used=used,
        weights=w,
        fromCovariances=fromCov,
        toCovariances=toCov,
        knownFleMm=None if knownFleMm is None else float(knownFleMm),
        isotropicFle=isotropicFle,
        longAxisTo=longAxis,
        residualVectorsMm=residuals,
        residualsMm=lengths,
        freMm=float(np.sqrt((lengths[used] ** 2).mean())),
        fleMm=float(np.sqrt(3.0 * squares / degrees)),
        degreesOfFreedom=degrees,
        leaveOneOutMm=looMm,
        outliers=outliers,
        centerTo=uncertainty.centerTo,
        covariance=uncertainty.honestCovariance(),
        plugInCovariance=uncertainty.plugInCovariance,
        predictedTre=predictTargetErrors(uncertainty, targets or {}),
        singularValuesMm=geometry.singularValuesMm,
        warnings=_warnings(geometry.warning, usedCount, used, labels, outliers, squares),
    )


def _warnings(
    geometryWarning: str, usedCount: int, used: npt.NDArray[np.bool_], labels: Sequence[str], outliers: Sequence[str], squares: float
) -> tuple[str, ...]:
    told = [geometryWarning] if geometryWarning else []
    if usedCount == 3:
        told.append(_("Only 3 points: an error in one of them can't be noticed. Use at least 4, better 6."))
    left = [label for label, isUsed in zip(labels, used) if not isUsed]
    if left:
        told.append(
            _("Left out because {value} the others: {nameList}. Measure again.").format(
                value="it contradicts" if len(left) == 1 else "they contradict", nameList=nameList(left)
            )
        )
    kept = [n for n in outliers if n not in left]
    if kept:
        told.append(_("Point {nameList} doesn't agree with the others: measure it again or leave it out.").format(nameList=nameList(kept)))
    if squares < 1e-16 * usedCount:
        told.append(_("All residuals are zero: these look like copied points, not measured ones. The predicted error means nothing."))
    return tuple(told)


def _information(
    fromToTo: FloatArray,
    mask: npt.NDArray[np.bool_],
    weights: FloatArray | None,
    fromCovariances: FloatArray | None,
    toCovariances: FloatArray | None,
) -> FloatArray:
    """Inverse relative covariance of each used point in the to-frame (n, 3, 3)."""
    count = len(mask)
    if fromCovariances is None and toCovariances is None:
        scale = np.ones(count) if weights is None else weights
        return scale[mask, None, None] * np.eye(3)
    rotation = fromToTo[:3, :3]
    covariance = rotation @ _orZero(fromCovariances, count)[mask] @ rotation.T + _orZero(toCovariances, count)[mask]
    return np.asarray(np.linalg.inv(covariance), dtype=np.float64)


def _orZero(covariances: FloatArray | None, count: int) -> FloatArray:
    return np.zeros((count, 3, 3)) if covariances is None else covariances


def _checkedWeights(weights: npt.ArrayLike | None, count: int) -> FloatArray | None:
    if weights is None:
        return None
    array = np.array(weights, float).reshape(-1)
    if len(array) != count:
        raise ValueError(_("{count} weights were given for {total} points.").format(count=len(array), total=count))
    if not np.isfinite(array).all() or (array <= 0).any():
        raise ValueError(_("Weights must be positive numbers; leave a point out instead of giving it weight zero."))
    return array


def _checkedCovariances(covariances: npt.ArrayLike | None, count: int, frame: str) -> FloatArray | None:
    if covariances is None:
        return None
    array: FloatArray = np.array(covariances, dtype=np.float64)
    if array.shape not in {(3, 3), (count, 3, 3)}:
        raise ValueError(
            _("The FLE covariance of the {frame}-frame must be (3, 3) or ({count}, 3, 3), not {arrayShape}.").format(
                frame=frame, count=count, arrayShape=array.shape
            )
        )
    array = np.array(np.broadcast_to(array, (count, 3, 3)), dtype=np.float64)
    if not np.isfinite(array).all() or not np.allclose(array, np.swapaxes(array, 1, 2)) or np.linalg.eigvalsh(array).min() <= 0:
        raise ValueError(
            _("The FLE covariance of the {frame}-frame must be symmetric with positive eigenvalues (mm^2).").format(frame=frame)
        )
    return array


def _plain(array: npt.NDArray[Any]) -> Any:
    """Nested lists; NaN, which JSON doesn't know, becomes None."""
    if array.dtype == bool:
        return array.tolist()
    return [_plain(row) for row in array] if array.ndim > 1 else [None if np.isnan(v) else float(v) for v in array]


def _unplain(value: Any) -> Any:
    return [_unplain(v) for v in value] if isinstance(value, list) else np.nan if value is None else value
