"""Pivot calibration of a stylus or rigid needle: the tip is held in a divot while the tool is swung around it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from FusionRegistrationLib.ToolPoses import usablePoses
from TranslatedText.Translation import tr as _

MIN_POSES = 20
MIN_COVERAGE_DEG = 20.0
"""Least full angle of the swing in the direction swung least. Below it the tip moves by more than the residuals tell."""
GOOD_RMS_MM = 1.0


@dataclasses.dataclass(frozen=True, eq=False)
class PivotCalibration:
    """Result of `calibratePivot`.

    :ivar tipInTool: (3,) mm, the tip in the frame of the tool's sensor.
    :ivar pivotInReference: (3,) mm, the place of the divot.
    :ivar rmsMm: RMS distance of the used poses' tips from the divot.
    :ivar tipSdMm: standard deviation of the tip's position (mm, length over three axes), from residuals and geometry.
    :ivar coverageDeg: swing angles (full) in the two directions across the tool's mean axis, larger first.
    :ivar usedPoses: poses used; ``rejectedInvalid`` were not rigid or marked invalid, ``rejectedOutliers`` contradicted the rest.
    :ivar hint: what to do better, empty when nothing.
    """

    tipInTool: FloatArray
    pivotInReference: FloatArray
    rmsMm: float
    tipSdMm: float
    coverageDeg: tuple[float, float]
    usedPoses: int
    rejectedInvalid: int
    rejectedOutliers: int
    hint: str

    @property
    def acceptable(self) -> bool:
        """True when there is no hint."""
        return not self.hint


def swingCoverageDeg(toolToReference: npt.ArrayLike, directionInTool: npt.ArrayLike) -> tuple[float, float]:
    """Full angles (deg) over which a direction fixed to the tool has swung, in the two principal directions; for live feedback."""
    poses = np.asarray(toolToReference, float).reshape(-1, 4, 4)
    direction = np.asarray(directionInTool, float)
    axes = poses[:, :3, :3] @ (direction / np.linalg.norm(direction))
    mean = axes.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if len(poses) < 3 or length < 1e-6:
        return (0.0, 0.0)
    mean = mean / length
    _unused, _unused, basis = np.linalg.svd(axes - np.outer(axes @ mean, mean), full_matrices=False)
    angles = np.degrees(np.arctan2(axes @ basis[:2].T, (axes @ mean)[:, None]))
    low, high = np.quantile(angles, [0.02, 0.98], axis=0)
    first, second = sorted((float(v) for v in high - low), reverse=True)
    return (first, second)


def calibratePivot(toolToReference: Sequence[npt.ArrayLike] | npt.ArrayLike, valid: Sequence[bool] | None = None) -> PivotCalibration:
    """Find the tip from poses of a tool swung about it.

    Solves R_i tip + t_i = pivot for all i by least squares (the algebraic one-step method; Yaniv, SPIE 2015), with poses that contradict
    the rest weighed down and then left out.

    :param toolToReference: (N, 4, 4) poses; poses that are not rigid or not ``valid`` are left out and counted.
    :raises ValueError: too few usable poses, or no rotation between them; the message tells what to do.
    """
    poses, invalid = usablePoses(toolToReference, valid)
    if len(poses) < MIN_POSES:
        raise ValueError(
            _("Only {count} usable poses were collected ({invalid} invalid); swing the tool for longer, at least {minPoses} poses.").format(
                count=len(poses), invalid=invalid, minPoses=MIN_POSES
            )
        )
    rotations, translations = poses[:, :3, :3], poses[:, :3, 3]
    spread = np.linalg.svd((rotations - rotations.mean(axis=0)).reshape(len(poses), -1), compute_uv=False) / np.sqrt(len(poses))
    if spread[0] < np.radians(2.0):
        raise ValueError(_("The tool was not turned while collecting: keep the tip in the divot and swing the tool around it."))
    weights = np.ones(len(poses))
    for _unused in range(12):
        tip, pivot, residuals = _solve(rotations, translations, weights)
        lengths = np.linalg.norm(residuals, axis=1)
        scale = max(1.4826 * float(np.median(lengths)) / 1.538, 1e-6)
        weights = 1.0 / (1.0 + (lengths / (3.0 * scale)) ** 2) ** 2
    kept = lengths <= max(4.0 * scale, 1e-3)
    tip, pivot, residuals = _solve(rotations[kept], translations[kept], np.ones(int(kept.sum())))
    rmsMm = float(np.sqrt((residuals**2).sum(axis=1).mean()))
    degrees = max(3 * int(kept.sum()) - 6, 1)
    normal = _normalMatrix(rotations[kept], np.ones(int(kept.sum())))
    values = np.linalg.eigvalsh(normal)
    tipSdMm = float("inf")
    if values[0] > 1e-9 * values[-1]:
        covariance = np.linalg.inv(normal)[:3, :3] * float((residuals**2).sum()) / degrees
        # Neighbouring poses of a hand movement share their error (bending, slipping): count one independent sample per six poses.
        tipSdMm = float(np.sqrt(6.0 * np.trace(covariance)))
    coverage = swingCoverageDeg(poses[kept], tip if np.linalg.norm(tip) > 1e-6 else np.array([0.0, 0.0, 1.0]))
    rejected = int((~kept).sum())
    return PivotCalibration(
        tip, pivot, rmsMm, tipSdMm, coverage, int(kept.sum()), invalid, rejected, _hint(rmsMm, coverage, rejected, len(poses))
    )


def _solve(rotations: FloatArray, translations: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    count = len(rotations)
    system = np.zeros((count, 3, 6))
    system[:, :, :3] = rotations
    system[:, :, 3:] = -np.eye(3)
    root = np.sqrt(weights)[:, None, None]
    solution, *_unused = np.linalg.lstsq((system * root).reshape(-1, 6), (-translations[..., None] * root).reshape(-1), rcond=1e-10)
    tip, pivot = np.asarray(solution[:3], np.float64), np.asarray(solution[3:], np.float64)
    return tip, pivot, np.einsum("nij,j->ni", rotations, tip) + translations - pivot


def _normalMatrix(rotations: FloatArray, weights: FloatArray) -> FloatArray:
    normal = np.zeros((6, 6))
    total = float(weights.sum())
    normal[:3, :3] = normal[3:, 3:] = total * np.eye(3)
    mean = np.einsum("n,nij->ij", weights, rotations)
    normal[3:, :3], normal[:3, 3:] = -mean, -mean.T
    return normal


def _hint(rmsMm: float, coverage: tuple[float, float], rejected: int, count: int) -> str:
    if coverage[1] < MIN_COVERAGE_DEG:
        return _(
            "The tool was swung over {coverage:.0f} by {coverage2:.0f} deg only: swing it at least {minCoverageDeg:.0f} "
            "deg in all directions, "
            "like stirring a cup."
        ).format(coverage=coverage[0], coverage2=coverage[1], minCoverageDeg=MIN_COVERAGE_DEG)
    if rmsMm > GOOD_RMS_MM:
        return _(
            "The tip moved by {rmsMm:.1f} mm (RMS): keep it firmly in the divot, or the shaft bends; a thin needle needs "
            "the needle calibration."
        ).format(rmsMm=rmsMm)
    if rejected > 0.2 * count:
        return _("{rejected} of {count} poses had to be left out: check for metal nearby and for a loose sensor.").format(
            rejected=rejected, count=count
        )
    return ""
