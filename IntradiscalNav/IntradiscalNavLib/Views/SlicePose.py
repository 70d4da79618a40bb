"""Where slice views lie: in the ultrasound plane, across the path at the target, and along the path. Pure geometry, RAS mm.

A slice's ``sliceToRas`` has its origin at the centre of the view, +X to the right and +Y up on the screen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, rigidFrom
from IntradiscalNavLib.Guidance.ImagePlane import ImagePlane
from IntradiscalNavLib.Guidance.PathFrame import PathFrame, crossProduct, uprightAxes, vectorLength


@dataclass(frozen=True, eq=False)
class SlicePose:
    """Pose of a slice and the least width and height (mm) it must show."""

    sliceToRas: FloatArray
    widthMm: float
    heightMm: float

    @property
    def normalRas(self) -> FloatArray:
        return self.sliceToRas[:3, 2]

    @property
    def originRas(self) -> FloatArray:
        return self.sliceToRas[:3, 3]

    def distanceMm(self, pointRas: FloatArray) -> float:
        """Signed distance of a point from the slice plane."""
        return float((np.asarray(pointRas, float) - self.originRas) @ self.normalRas)


def imagePose(plane: ImagePlane) -> SlicePose:
    """Slice in the plane of the ultrasound image, shown as on the scanner: columns to the right, depth downwards.

    Calibrated pixel axes may be a little oblique (92.7 degrees were seen); the slice keeps the plane and the row direction exactly.
    """
    columnStep, rowStep = plane.imageToRas[:3, 0], plane.imageToRas[:3, 1]
    normal = plane.normalRas
    right = columnStep / vectorLength(columnStep)
    # Columns x rows = normal points away from the viewer, because rows go down.
    up = crossProduct(right, normal)
    # The image is a parallelogram about its middle: its extent along an axis is the sum of its two sides' extents.
    columnsRas, rowsRas = plane.columns * columnStep, plane.rows * rowStep
    corner = plane.imageToRas[:3, 3] - (columnStep + rowStep) / 2
    pose = rigidFrom(np.column_stack([right, up, -normal]), corner + (columnsRas + rowsRas) / 2)
    return SlicePose(
        pose,
        float(abs(columnsRas @ right) + abs(rowsRas @ right)),
        float(abs(columnsRas @ up) + abs(rowsRas @ up)),
    )


def targetPose(path: PathFrame, widthMm: float = 60.0) -> SlicePose:
    """Slice through the target across the path, seen along the path: patient right to the right where the path allows."""
    right, down, forward = path.pathToRas[:3, :3].T
    return SlicePose(rigidFrom(np.column_stack([right, -down, -forward]), path.targetRas), widthMm, widthMm)


def pathPoses(path: PathFrame, directionRas: FloatArray | None = None, throughRas: FloatArray | None = None) -> tuple[SlicePose, SlicePose]:
    """Two slices that contain the path and are perpendicular to each other, entry on top, target below.

    :param directionRas, throughRas: to follow the needle instead: its axis and its tip. Only the axis direction enters, so the planes
        can't roll with the needle.
    """
    direction = path.directionRas if directionRas is None else np.asarray(directionRas, float)
    right, down, forward = uprightAxes(direction).T
    center = (path.entryRas + path.targetRas) / 2
    if throughRas is not None:
        through = np.asarray(throughRas, float)
        center = through + float((center - through) @ forward) * forward
    height = path.lengthMm * 1.35 + 20.0
    across = rigidFrom(np.column_stack([right, -forward, crossProduct(right, -forward)]), center)
    along = rigidFrom(np.column_stack([-down, -forward, crossProduct(-down, -forward)]), center)
    return SlicePose(across, height * 0.6, height), SlicePose(along, height * 0.6, height)
