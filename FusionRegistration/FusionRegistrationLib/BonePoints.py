"""Bone points of a tracked ultrasound sweep, in the frame of the patient reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

MINIMUM_POINTS = 60
"""Fewer points can't hold a pose against speckle."""
MINIMUM_FRAMES = 5
"""Fewer frames are no sweep: their points lie (nearly) in one plane and leave a translation and rotations open."""
MINIMUM_EXTENT_MM = 8.0
"""A sweep shorter than this across its planes leaves the pose open."""


class NoBoneError(ValueError):
    """The frames show too little bone to register."""


class SweepTooSmallError(ValueError):
    """The sweep is a single frame or too short to hold a pose."""


@dataclasses.dataclass(frozen=True, eq=False)
class BonePoints:
    """Points on bone seen by ultrasound.

    pointsReference: (n, 3) mm in the Reference frame.
    beamOffsetsMm: (n, 3), vector from where the point's beam leaves the probe to the point, in the Reference frame; None when unknown.
        It is the direction and depth along which a wrong speed of sound displaces the point.
    frames: (n,) number of the ultrasound frame, ascending in time; None counts every point as its own frame.
    confidence: (n,) in (0, 1]; None counts all alike.
    elevations: (n, 3), unit normal of the image plane the point was seen in, in the Reference frame; None when unknown. The slice has a
        thickness, and on bone that slopes along this direction the nearest part of it echoes first.
    """

    pointsReference: FloatArray
    beamOffsetsMm: FloatArray | None = None
    frames: npt.NDArray[np.int64] | None = None
    confidence: FloatArray | None = None
    elevations: FloatArray | None = None

    def __post_init__(self) -> None:
        count = len(self.pointsReference)
        if self.pointsReference.shape != (count, 3):
            raise ValueError(_("Bone points must have shape (n, 3), not {shape}.").format(shape=self.pointsReference.shape))
        if not np.isfinite(self.pointsReference).all():
            raise ValueError(_("Bone points hold NaN or infinite coordinates: a frame without a valid pose was not left out."))
        if self.beamOffsetsMm is not None and self.beamOffsetsMm.shape != (count, 3):
            raise ValueError(_("Every bone point needs its beam offset (n, 3)."))
        if self.elevations is not None and self.elevations.shape != (count, 3):
            raise ValueError(_("Every bone point needs the normal of its image plane (n, 3)."))
        for name, values in (("frame number", self.frames), ("confidence", self.confidence)):
            if values is not None and len(values) != count:
                raise ValueError(
                    _("Every bone point needs its {name}: {count} given for {total} points.").format(
                        name=name, count=len(values), total=count
                    )
                )
        if self.confidence is not None and not (np.isfinite(self.confidence).all() and (self.confidence > 0).all()):
            raise ValueError(_("The confidence of a bone point must be a positive number."))

    def __len__(self) -> int:
        return len(self.pointsReference)

    @property
    def frameCount(self) -> int:
        """Number of different frames."""
        return len(self) if self.frames is None else len(np.unique(self.frames))

    def take(self, index: npt.ArrayLike) -> BonePoints:
        """The points at the given places (indices or a mask)."""
        chosen = np.asarray(index)
        return BonePoints(
            self.pointsReference[chosen],
            None if self.beamOffsetsMm is None else self.beamOffsetsMm[chosen],
            None if self.frames is None else self.frames[chosen],
            None if self.confidence is None else self.confidence[chosen],
            None if self.elevations is None else self.elevations[chosen],
        )

    def beamDirection(self) -> FloatArray | None:
        """Mean unit direction away from the probe, or None when the beams aren't known."""
        if self.beamOffsetsMm is None or len(self) == 0:
            return None
        length = np.linalg.norm(self.beamOffsetsMm, axis=1)
        if not (length > 0).any():
            return None
        mean = (self.beamOffsetsMm[length > 0] / length[length > 0, None]).mean(axis=0)
        norm = float(np.linalg.norm(mean))
        return None if norm < 0.3 else mean / norm


def joinBonePoints(parts: Sequence[BonePoints]) -> BonePoints:
    """One cloud of several; beams, frames and confidence are kept when every part has them."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return BonePoints(np.zeros((0, 3)))

    def joined(name: str) -> npt.NDArray | None:
        values = [getattr(part, name) for part in parts]
        return None if any(value is None for value in values) else np.concatenate(values)

    names = ("beamOffsetsMm", "frames", "confidence", "elevations")
    return BonePoints(np.concatenate([part.pointsReference for part in parts]), **{name: joined(name) for name in names})


def checkSweep(points: BonePoints) -> None:
    """Refuse what can't hold a pose.

    :raises NoBoneError: fewer than MINIMUM_POINTS points.
    :raises SweepTooSmallError: too few frames, or all points (nearly) in one plane or on one line.
    """
    if len(points) < MINIMUM_POINTS:
        raise NoBoneError(
            _(
                "Only {count} bone points in the sweep, at least {minimumPoints} are needed: scan over the laminae and spinous "
                "processes, check depth, gain and probe contact."
            ).format(count=len(points), minimumPoints=MINIMUM_POINTS)
        )
    if points.frames is not None and points.frameCount < MINIMUM_FRAMES:
        raise SweepTooSmallError(
            _(
                "The sweep has bone in {frameCount} frame(s), at least {minimumFrames} are needed: "
                "sweep along the spine over two levels or more."
            ).format(frameCount=points.frameCount, minimumFrames=MINIMUM_FRAMES)
        )
    centred = points.pointsReference - points.pointsReference.mean(axis=0)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(centred.T @ centred / len(points))[::-1], 0.0))
    if spread[0] * np.sqrt(12.0) < MINIMUM_EXTENT_MM or spread[1] * np.sqrt(12.0) < MINIMUM_EXTENT_MM:
        raise SweepTooSmallError(
            _("The bone points span only {spread:.0f} x {spread2:.0f} mm: sweep along the spine over two levels or more.").format(
                spread=spread[0] * np.sqrt(12.0), spread2=spread[1] * np.sqrt(12.0)
            )
        )
    if points.frames is not None and points.beamOffsetsMm is not None and spread[2] < 0.3:
        raise SweepTooSmallError(_("All bone points lie in one plane, as from a probe held still: sweep along the spine."))
