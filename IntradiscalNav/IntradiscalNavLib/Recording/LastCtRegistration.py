"""Registers the last CT to the planning CT on bone, vertebra by vertebra: patients move between scans, and the spine bends.

Intensities are compared inside a band around each vertebra with SimpleITK (mean squares of clipped HU, rigid, three resolutions).
All geometry is handed to SimpleITK in RAS; it never sees LPS, so nothing has to be flipped back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationAngleDeg, transformPoints
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

BONE_WINDOW_HU = (0.0, 1200.0)
"""Soft tissue and air, which move on their own, are clipped away below; metal above."""
BONE_HU = 250.0
MINIMUM_OVERLAP = 0.75
SEARCH_MM = 40.0
"""How far a vertebra may have moved between the scans."""


@dataclass(frozen=True, eq=False)
class VertebraMotion:
    """How one vertebra lies in the last CT. ``lastToPlanning``: 4x4, both RAS mm. ``boneOverlap``: Dice of bone within the band, 0..1."""

    name: str
    lastToPlanning: FloatArray
    boneOverlap: float
    shiftMm: float
    """How far the vertebra's centre moved between the scans."""
    turnDeg: float
    converged: bool


@dataclass(frozen=True, eq=False)
class LastCtRegistration:
    """The last CT in the planning CT's frame at one disc.

    ``lastToPlanning`` carries the disc: the mean of its two vertebrae. ``disagreementMm``: how far apart they carry the disc's
    centre; what the spine bent between the scans. ``trusted`` with ``doubts`` in words.
    """

    lastToPlanning: FloatArray
    vertebrae: tuple[VertebraMotion, ...]
    disagreementMm: float
    doubts: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        return not self.doubts


def registerLastCt(
    planningVoxels: npt.NDArray[Any],
    planningIjkToRas: npt.ArrayLike,
    lastVoxels: npt.NDArray[Any],
    lastIjkToRas: npt.ArrayLike,
    vertebraMasks: Mapping[str, npt.NDArray[np.bool_]],
    discCenterRas: npt.ArrayLike,
    bandMm: float = 6.0,
) -> LastCtRegistration:
    """Register on the vertebrae above and below a disc.

    :param vertebraMasks: one or two masks on the planning grid (k, j, i), by name.
    :param discCenterRas: in the planning CT.
    :raises ValueError: when a mask is empty, or the last CT doesn't cover the vertebrae.
    """
    if not vertebraMasks:
        raise ValueError(_("No vertebra was given to register the last CT on: segment the vertebrae next to the disc."))
    planningToRas, lastToRas = np.asarray(planningIjkToRas, float), np.asarray(lastIjkToRas, float)
    motions = tuple(
        _registerVertebra(name, planningVoxels, planningToRas, lastVoxels, lastToRas, mask, bandMm) for name, mask in vertebraMasks.items()
    )
    center = np.asarray(discCenterRas, float)
    # Where each vertebra says the disc's centre lies in the last CT.
    carried = [transformPoints(invertRigid(motion.lastToPlanning), center) for motion in motions]
    disagreement = float(np.linalg.norm(carried[0] - carried[-1]))
    doubts = [
        _("{motionName}: bone of the two scans overlaps by only {boneOverlap:.0f} %; the registration there is doubtful.").format(
            motionName=motion.name, boneOverlap=100 * motion.boneOverlap
        )
        for motion in motions
        if motion.boneOverlap < MINIMUM_OVERLAP or not motion.converged
    ]
    if disagreement > 5.0:
        doubts.append(
            _(
                "The two vertebrae carry the disc to places {disagreement:.1f} mm apart: the spine bent, or one of the fits is wrong."
            ).format(disagreement=disagreement)
        )
    return LastCtRegistration(_meanTransform([motion.lastToPlanning for motion in motions], center), motions, disagreement, tuple(doubts))


def _registerVertebra(
    name: str,
    planning: npt.NDArray[Any],
    planningToRas: FloatArray,
    last: npt.NDArray[Any],
    lastToRas: FloatArray,
    mask: npt.NDArray[np.bool_],
    bandMm: float,
) -> VertebraMotion:
    import SimpleITK as sitk

    if mask.shape != planning.shape or not mask.any():
        raise ValueError(_("The mask of {name} is empty or not on the grid of the planning CT.").format(name=name))
    spacing = np.linalg.norm(planningToRas[:3, :3], axis=0)
    margin = np.ceil((bandMm + 20.0) / spacing).astype(int)[::-1]
    index = np.argwhere(mask)
    low = np.maximum(index.min(axis=0) - margin, 0)
    high = np.minimum(index.max(axis=0) + margin + 1, mask.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high))
    offset = planningToRas.copy()
    offset[:3, 3] = transformPoints(planningToRas, low[::-1].astype(float))
    fixed = _image(np.clip(planning[box], *BONE_WINDOW_HU), offset)
    band = _band(mask[box], spacing[::-1], bandMm)
    fixedMask = _image(band.astype(np.uint8), offset)
    center = transformPoints(planningToRas, index.mean(axis=0)[::-1])
    corners = transformPoints(planningToRas, np.array([index.min(axis=0)[::-1], index.max(axis=0)[::-1]], float))
    inLast = transformPoints(np.linalg.inv(lastToRas), corners)
    if np.any(inLast.max(axis=0) < 0) or np.any(inLast.min(axis=0) > np.array(last.shape[::-1]) - 1):
        raise ValueError(_("The last CT can't be registered on {name}: it does not cover this vertebra.").format(name=name))

    reach = np.ceil((bandMm + SEARCH_MM) / np.linalg.norm(lastToRas[:3, :3], axis=0))
    first = np.clip(np.floor(inLast.min(axis=0) - reach), 0, None).astype(int)
    end = np.clip(np.ceil(inLast.max(axis=0) + reach) + 1, 0, last.shape[::-1]).astype(int)
    cropToRas = lastToRas.copy()
    cropToRas[:3, 3] = transformPoints(lastToRas, first.astype(float))
    crop = last[first[2] : end[2], first[1] : end[1], first[0] : end[0]]
    moving = _image(np.clip(crop, *BONE_WINDOW_HU), cropToRas)

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMeanSquares()
    method.SetMetricFixedMask(fixedMask)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.2, 4711)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.005, 120, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-5)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([3, 2, 1])
    method.SetSmoothingSigmasPerLevel([3.0, 1.5, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    initial = sitk.Euler3DTransform()
    initial.SetCenter(center.tolist())
    method.SetInitialTransform(initial, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError as error:
        raise ValueError(_("The last CT can't be registered on {name}: it does not cover this vertebra.").format(name=name)) from error
    rotation = np.reshape(initial.GetMatrix(), (3, 3))
    planningToLast = rigidFrom(rotation, np.array(initial.GetTranslation()) + center - rotation @ center)
    resampled = sitk.Resample(moving, fixed, initial, sitk.sitkLinear, 0.0)
    boneFixed = (sitk.GetArrayViewFromImage(fixed) > BONE_HU) & band
    boneMoving = (sitk.GetArrayViewFromImage(resampled) > BONE_HU) & band
    total = int(boneFixed.sum() + boneMoving.sum())
    return VertebraMotion(
        name=name,
        lastToPlanning=invertRigid(planningToLast),
        boneOverlap=2.0 * float((boneFixed & boneMoving).sum()) / total if total else 0.0,
        shiftMm=float(np.linalg.norm(transformPoints(planningToLast, center) - center)),
        turnDeg=rotationAngleDeg(planningToLast),
        converged=method.GetOptimizerIteration() < 120,
    )


def _image(array: npt.NDArray[Any], ijkToRas: FloatArray) -> Any:
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(np.ascontiguousarray(array if array.dtype == np.uint8 else array.astype(np.float32)))
    spacing = np.linalg.norm(ijkToRas[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((ijkToRas[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(ijkToRas[:3, 3].tolist())
    return image


def _band(mask: npt.NDArray[np.bool_], spacingKji: FloatArray, bandMm: float) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import distance_transform_edt

    result: npt.NDArray[np.bool_] = distance_transform_edt(~mask, sampling=spacingKji) <= bandMm
    return result


def _meanTransform(transforms: list[FloatArray], centerPlanning: FloatArray) -> FloatArray:
    """Mean rotation (nearest rotation to the mean matrix) and mean place of the disc's centre."""
    u, _unused, vt = np.linalg.svd(np.mean([transform[:3, :3] for transform in transforms], axis=0))
    rotation = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    inLast = np.mean([transformPoints(invertRigid(transform), centerPlanning) for transform in transforms], axis=0)
    return rigidFrom(rotation, centerPlanning - rotation @ inLast)
