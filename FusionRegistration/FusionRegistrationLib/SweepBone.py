"""From tracked ultrasound frames to bone points in the frame of the patient reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import BonePoints, NoBoneError, joinBonePoints
from FusionRegistrationLib.BoneSurfaceUltrasound import BoneDetection, BoneDetectionParameters, detectBoneSurface
from FusionRegistrationLib.ProbeGeometry import ProbeGeometry, checkCalibration
from FusionRegistrationLib.RigidTransform import transformPoints, whyNotRigid
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class SweepFrame:
    """image: (rows, columns) grey values. probeToReference: 4x4 pose of the probe's sensor, or None when it wasn't valid."""

    image: npt.NDArray
    probeToReference: FloatArray | None
    timeSec: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class SweepBone:
    """Bone points of a sweep and how many frames gave them."""

    points: BonePoints
    frameCount: int
    framesWithBone: int
    framesWithoutPose: int
    warnings: tuple[str, ...]


def pointsOfDetection(
    detection: BoneDetection, imageToProbe: npt.ArrayLike, probeToReference: npt.ArrayLike, frameNumber: int
) -> BonePoints:
    """Bone points (Reference mm) of one frame's detection, with their beams and the normal of the image plane."""
    imageToReference = np.asarray(probeToReference, float) @ np.asarray(imageToProbe, float)

    def place(pixels: FloatArray) -> FloatArray:
        return transformPoints(imageToReference, np.column_stack([pixels, np.zeros(len(pixels))]))

    points = place(detection.pixels)
    normal = np.cross(imageToReference[:3, 0], imageToReference[:3, 1])
    normal /= np.linalg.norm(normal)
    return BonePoints(
        points,
        points - place(detection.facePixels),
        np.full(len(points), frameNumber, np.int64),
        detection.confidence,
        np.broadcast_to(normal, points.shape).copy(),
    )


def collectBonePoints(
    frames: Iterable[SweepFrame],
    geometry: ProbeGeometry,
    imageToProbe: npt.ArrayLike,
    parameters: BoneDetectionParameters | None = None,
) -> SweepBone:
    """Detect bone in every frame with a valid pose and gather the points.

    :raises ValueError: the probe isn't calibrated, or no frame has a valid pose.
    :raises NoBoneError: no frame shows bone.
    """
    calibration = checkCalibration(imageToProbe)
    parts, total, withBone, withoutPose = [], 0, 0, 0
    for number, frame in enumerate(frames):
        total += 1
        if frame.probeToReference is None or whyNotRigid(frame.probeToReference):
            withoutPose += 1
            continue
        detection = detectBoneSurface(frame.image, geometry, parameters)
        if len(detection):
            withBone += 1
            parts.append(pointsOfDetection(detection, calibration, frame.probeToReference, number))
    if total == 0:
        raise ValueError(_("The sweep has no frames: record ultrasound while moving the probe along the spine."))
    if withoutPose == total:
        raise ValueError(
            _(
                "None of the {total} frames has a valid probe pose: bring probe and reference into the tracker's field and sweep again."
            ).format(total=total)
        )
    if not parts:
        raise NoBoneError(
            _(
                "None of the {total} tracked frames shows bone: check depth, gain and contact, "
                "and scan over the laminae and spinous processes."
            ).format(total=total - withoutPose)
        )
    warnings = []
    if withoutPose > 0.2 * total:
        warnings.append(
            _("{withoutPose} of {total} frames had no valid probe pose and were left out.").format(withoutPose=withoutPose, total=total)
        )
    if withBone < 0.3 * (total - withoutPose):
        warnings.append(_("Only {withBone} of {total} tracked frames show bone.").format(withBone=withBone, total=total - withoutPose))
    return SweepBone(joinBonePoints(parts), total, withBone, withoutPose, tuple(warnings))
