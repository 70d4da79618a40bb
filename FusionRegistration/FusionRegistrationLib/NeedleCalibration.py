"""Calibration of a thin needle from its data: length and axis instead of a pivot, because a 22G needle bends when pivoted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PointSetGeometry import PointSetError, asPoints
from FusionRegistrationLib.RigidTransform import FloatArray, checkRigid, invertRigid, transformPoints, whyNotRigid
from FusionRegistrationLib.SpinCalibration import toolTipFrame
from TranslatedText.Translation import tr as _

DIVOT_LIMIT_MM = 1.5
THIN_GAUGE = 20
"""Needles of this gauge and thinner bend in a pivot by more than the calibration's error."""


@dataclasses.dataclass(frozen=True, eq=False)
class NeedleCalibration:
    """Where the tip is relative to the needle's sensor.

    :ivar needleTipToNeedle: 4x4; origin at the tip, +Z the advancing direction; the hub is at z = -lengthMm.
    :ivar method: "data" (hub, axis and length), "shaft points" or "pivot".
    """

    needleTipToNeedle: FloatArray
    lengthMm: float
    method: str


@dataclasses.dataclass(frozen=True, eq=False)
class NeedleCheck:
    """The needle's tip held in a divot of known place.

    :ivar errorMm: distance of the mean tip from the divot; ``alongMm`` its part along the needle (positive: the needle is taken for too
        long), ``acrossMm`` across it.
    :ivar spreadMm: RMS scatter of the tip over the poses.
    :ivar passed: error within the limit.
    """

    errorMm: float
    alongMm: float
    acrossMm: float
    spreadMm: float
    poseCount: int
    limitMm: float
    passed: bool
    message: str


def pivotAdvice(gauge: int) -> str:
    """Whether a needle of this gauge may be pivoted; empty when it may."""
    if gauge >= THIN_GAUGE:
        return _(
            "A {gauge}G needle bends when it is pivoted: calibrate it from its hub, axis and length, then check it in a divot."
        ).format(gauge=gauge)
    return ""


def calibrateNeedleFromData(hubInNeedle: npt.ArrayLike, axisInNeedle: npt.ArrayLike, lengthMm: float) -> NeedleCalibration:
    """Tip = hub + length along the axis.

    :param hubInNeedle: (3,) mm, where the cannula leaves the hub, in the frame of the sensor (from the bracket's drawing, or touched).
    :param axisInNeedle: direction hub to tip, e.g. of a spin calibration.
    :param lengthMm: cannula length from hub to tip as printed on the pack (a 15 cm needle: 150).
    :raises ValueError: impossible length or direction.
    """
    hub = np.asarray(hubInNeedle, float).reshape(3)
    if not np.isfinite(hub).all():
        raise ValueError(_("The hub's position must be three finite numbers (mm)."))
    if not np.isfinite(lengthMm) or not 20.0 <= lengthMm <= 400.0:
        raise ValueError(_("A needle length of {lengthMm:g} mm is outside 20-400 mm; is it in millimetres?").format(lengthMm=lengthMm))
    axis = np.asarray(axisInNeedle, float).reshape(3)
    frame = toolTipFrame(hub, axis)
    frame[:3, 3] = hub + lengthMm * frame[:3, 2]
    return NeedleCalibration(frame, float(lengthMm), "data")


def calibrateNeedleFromShaft(
    shaftPointsInReference: npt.ArrayLike,
    needleToReference: npt.ArrayLike,
    lengthMm: float,
    *,
    maxBendMm: float = 1.0,
) -> NeedleCalibration:
    """Axis and hub from points touched along the straight needle with a calibrated stylus, the first one at the hub.

    :param shaftPointsInReference: (N >= 2, 3) mm from the hub towards the tip.
    :param needleToReference: 4x4 pose of the needle's sensor, unmoved while touching.
    :param maxBendMm: largest distance of a point from the straight line.
    :raises ValueError: too few or too close points, or a bent shaft.
    """
    points = asPoints(shaftPointsInReference, _("points touched on the shaft"))
    if len(points) < 2:
        raise PointSetError(_("Touch at least two points of the shaft, the first one at the hub."))
    local = transformPoints(invertRigid(checkRigid(needleToReference, "NeedleToReference")), points)
    center = local.mean(axis=0)
    _unused, _unused, axes = np.linalg.svd(local - center)
    axis = axes[0] if axes[0] @ (local[-1] - local[0]) > 0 else -axes[0]
    along = (local - center) @ axis
    if along[-1] - along[0] < 0.3 * lengthMm:
        raise PointSetError(
            _(
                "The touched points span {along:.0f} mm of a {lengthMm:.0f} mm needle: touch the hub first and a point near the tip last."
            ).format(along=along[-1] - along[0], lengthMm=lengthMm)
        )
    bends = np.linalg.norm(local - center - np.outer(along, axis), axis=1)
    if bends.max() > maxBendMm:
        raise PointSetError(
            _("The touched points are up to {max:.1f} mm off a straight line: the needle is bent, or it was pushed while touching.").format(
                max=bends.max()
            )
        )
    found = calibrateNeedleFromData(center + along[0] * axis, axis, lengthMm)
    return dataclasses.replace(found, method="shaft points")


def checkNeedleInDivot(
    calibration: NeedleCalibration,
    needleToReference: Sequence[npt.ArrayLike] | npt.ArrayLike,
    divotInReference: npt.ArrayLike,
    *,
    limitMm: float = DIVOT_LIMIT_MM,
) -> NeedleCheck:
    """Hold the tip in a divot of known place (touched with the stylus, or part of the plate) without bending the needle.

    :param needleToReference: poses while holding; poses that are not rigid are left out.
    :raises ValueError: no usable pose.
    """
    poses = np.asarray(needleToReference, float).reshape(-1, 4, 4)
    poses = np.array([p for p in poses if not whyNotRigid(p)]).reshape(-1, 4, 4)
    if not len(poses):
        raise ValueError(_("No valid pose of the needle was received while it was held in the divot."))
    divot = np.asarray(divotInReference, float).reshape(3)
    tips = poses @ calibration.needleTipToNeedle[:, 3]
    axes = poses[:, :3, :3] @ calibration.needleTipToNeedle[:3, 2]
    errors = tips[:, :3] - divot
    mean = np.median(errors, axis=0)
    alongMm = float(np.median((errors * axes).sum(axis=1)))
    acrossMm = float(np.median(np.linalg.norm(errors - (errors * axes).sum(axis=1)[:, None] * axes, axis=1)))
    errorMm = float(np.median(np.linalg.norm(errors, axis=1)))
    spreadMm = float(np.sqrt(((errors - mean) ** 2).sum(axis=1).mean()))
    passed = errorMm <= limitMm
    message = _("The tip is {errorMm:.1f} mm from the divot (limit {limitMm:g} mm).").format(errorMm=errorMm, limitMm=limitMm)
    if not passed:
        if abs(alongMm) > acrossMm:
            longer = "longer" if alongMm > 0 else "shorter"
            message += _(
                " The needle is taken for {alongMm:.1f} mm {longer} than it is: check the length on the pack and the seat of the sensor."
            ).format(alongMm=abs(alongMm), longer=longer)
        else:
            message += _(" The tip is {acrossMm:.1f} mm to the side: the needle is bent or the axis is wrong.").format(acrossMm=acrossMm)
    return NeedleCheck(errorMm, alongMm, acrossMm, spreadMm, len(poses), limitMm, passed, message)
