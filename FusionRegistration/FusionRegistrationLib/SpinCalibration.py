"""Spin calibration: the direction of a tool's shaft from poses of the tool turned about its own length."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, rigidFrom
from FusionRegistrationLib.ToolPoses import usablePoses
from TranslatedText.Translation import tr as _

MIN_POSES = 20
MIN_SPIN_DEG = 60.0


@dataclasses.dataclass(frozen=True, eq=False)
class SpinCalibration:
    """Result of `calibrateSpin`.

    :ivar axisInTool: unit vector of the shaft from hub to tip, in the frame of the tool's sensor.
    :ivar rmsDeg: RMS deviation of the shaft's direction from its mean while it was spun.
    :ivar axisSdDeg: standard deviation of the direction found.
    :ivar spinDeg: how far the tool was turned about its axis.
    :ivar hint: what to do better, empty when nothing.
    """

    axisInTool: FloatArray
    rmsDeg: float
    axisSdDeg: float
    spinDeg: float
    usedPoses: int
    rejectedInvalid: int
    rejectedOutliers: int
    hint: str

    @property
    def acceptable(self) -> bool:
        """True when there is no hint."""
        return not self.hint


def calibrateSpin(
    toolToReference: Sequence[npt.ArrayLike] | npt.ArrayLike, towardsTipInTool: npt.ArrayLike, valid: Sequence[bool] | None = None
) -> SpinCalibration:
    """Find the shaft's direction: the vector d of the tool's frame that R_i d keeps still while the tool is spun.

    :param towardsTipInTool: rough direction from hub to tip in the tool's frame, e.g. the tip of the pivot calibration; gives the sign.
    :raises ValueError: too few usable poses or too little rotation; the message tells what to do.
    """
    poses, invalid = usablePoses(toolToReference, valid)
    rotations = poses[:, :3, :3]
    if len(rotations) < MIN_POSES:
        raise ValueError(
            _("Only {count} usable poses were collected ({invalid} invalid); spin the tool for longer, at least {minPoses}.").format(
                count=len(rotations), invalid=invalid, minPoses=MIN_POSES
            )
        )
    weights = np.ones(len(rotations))
    for _unused in range(10):
        axis, place, deviations = _solve(rotations, weights)
        scale = max(1.4826 * float(np.median(deviations)), 1e-9)
        weights = 1.0 / (1.0 + (deviations / (3.0 * scale)) ** 2) ** 2
    kept = deviations <= max(4.0 * scale, 1e-6)
    axis, place, deviations = _solve(rotations[kept], np.ones(int(kept.sum())))
    spinDeg = _spinRangeDeg(rotations[kept], axis, place)
    if spinDeg < 10.0:
        raise ValueError(
            _("The tool was turned by {spinDeg:.0f} deg only: spin it about its own axis, at least {minSpinDeg:.0f} deg.").format(
                spinDeg=spinDeg, minSpinDeg=MIN_SPIN_DEG
            )
        )
    rough = np.asarray(towardsTipInTool, float)
    if abs(float(axis @ rough)) < 0.2 * float(np.linalg.norm(rough)):
        raise ValueError(
            _(
                "The axis found lies across the direction from hub to tip: the tool was swung, not spun about its own length, "
                "or the tip calibration is wrong."
            )
        )
    if axis @ rough < 0:
        axis = -axis
    rmsDeg = float(np.degrees(np.sqrt((deviations**2).mean())))
    # The direction's error shrinks with the independent poses (one in six) and with how much of a turn was made.
    lever = max(1.0 - np.cos(np.radians(min(spinDeg, 180.0) / 2.0)), 0.05)
    axisSdDeg = rmsDeg / float(np.sqrt(max(int(kept.sum()) / 6.0, 1.0)) * np.sqrt(lever))
    hint = ""
    if spinDeg < MIN_SPIN_DEG:
        hint = _("The tool was turned by {spinDeg:.0f} deg only: spin it further, at least {minSpinDeg:.0f} deg.").format(
            spinDeg=spinDeg, minSpinDeg=MIN_SPIN_DEG
        )
    elif rmsDeg > 1.5:
        hint = _("The shaft wobbled by {rmsDeg:.1f} deg while spinning: guide it in a straight hole.").format(rmsDeg=rmsDeg)
    return SpinCalibration(axis, rmsDeg, axisSdDeg, spinDeg, int(kept.sum()), invalid, int((~kept).sum()), hint)


def toolTipFrame(tipInTool: npt.ArrayLike, axisInTool: npt.ArrayLike) -> FloatArray:
    """``tipToTool`` 4x4: origin at the tip, +Z along the advancing direction, X as near to the tool's own X as can be."""
    z = np.asarray(axisInTool, float)
    length = float(np.linalg.norm(z))
    if not np.isfinite(length) or length < 1e-9:
        raise ValueError(_("The shaft's direction must be a vector of non-zero length."))
    z = z / length
    helper = np.array([1.0, 0.0, 0.0]) if abs(z[0]) < 0.9 else np.array([0.0, 1.0, 0.0])
    x = helper - (helper @ z) * z
    x = x / np.linalg.norm(x)
    return rigidFrom(np.column_stack([x, np.cross(z, x), z]), tipInTool)


def _solve(rotations: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Axis in the tool, its direction in Reference, and the angle (rad) between the two for each pose."""
    mean = np.einsum("n,nij->ij", weights / weights.sum(), rotations)
    u, _unused, vt = np.linalg.svd(mean)
    axis, place = vt[0], u[:, 0]
    deviations = np.linalg.norm(rotations @ axis - place, axis=1)
    return axis, place, deviations


def _spinRangeDeg(rotations: FloatArray, axis: FloatArray, place: FloatArray) -> float:
    """Range of the turn about the axis, by the largest empty gap around the circle."""
    across = np.linalg.svd(axis[None])[2][1]
    turned = rotations @ across
    first = turned[0] - (turned[0] @ place) * place
    first = first / np.linalg.norm(first)
    second = np.cross(place, first)
    angles = np.sort(np.degrees(np.arctan2(turned @ second, turned @ first)) % 360.0)
    gaps = np.diff(np.append(angles, angles[0] + 360.0))
    return float(360.0 - gaps.max())
