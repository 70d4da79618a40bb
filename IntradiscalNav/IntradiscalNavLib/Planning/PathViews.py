"""Planes to look at a path: along it, across it and down the needle. Also what slice nodes take (``sliceToRas``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PathView:
    """A plane: ``sliceToRas`` (x to the picture's right, y up, z towards the viewer, origin in the picture's middle), size in mm, and
    what lies at the left, right, top and bottom edge."""

    name: str
    sliceToRas: FloatArray
    sizeMm: tuple[float, float]
    edgeTexts: tuple[str, str, str, str]

    def points(self, width: int, height: int) -> FloatArray:
        """RAS points (height, width, 3) of the picture's pixels, first row on top."""
        x = (np.arange(width) - 0.5 * (width - 1)) * self.sizeMm[0] / width
        y = (0.5 * (height - 1) - np.arange(height)) * self.sizeMm[1] / height
        result: FloatArray = x[None, :, None] * self.sliceToRas[:3, 0] + y[:, None, None] * self.sliceToRas[:3, 1] + self.sliceToRas[:3, 3]
        return result

    def pixel(self, pointRas: FloatArray, width: int, height: int) -> tuple[float, float]:
        """Pixel (column, row) a point is projected to."""
        local = (np.asarray(pointRas) - self.sliceToRas[:3, 3]) @ self.sliceToRas[:3, :3]
        return (
            float(local[0] * width / self.sizeMm[0] + 0.5 * (width - 1)),
            float(0.5 * (height - 1) - local[1] * height / self.sizeMm[1]),
        )


def _view(
    name: str, x: FloatArray, y: FloatArray, origin: FloatArray, size: tuple[float, float], edges: tuple[str, str, str, str]
) -> PathView:
    x = x / np.linalg.norm(x)
    y = y - (y @ x) * x
    y = y / np.linalg.norm(y)
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = x, y, np.cross(x, y), origin
    return PathView(name, matrix, size, edges)


def pathViews(trajectory: Trajectory, axes: AnatomicalAxes, depthMm: float | None = None) -> tuple[PathView, PathView, PathView]:
    """Three planes of a path.

    - *along*: holds the path and the left-right direction: the oblique axial slice that shows the whole needle, anterior on top,
    patient's right
      on the picture's left as in radiology.
    - *across*: holds the path and the cranio-caudal direction: cranial on top, the entry on the left.
    - *down the needle*: perpendicular to the path, looking along it from the hub, at ``depthMm`` (25 mm before the target by default: the
      foramen).
    """
    direction = trajectory.directionRas
    middle = 0.5 * (trajectory.entryRas + trajectory.targetRas)
    size = max(160.0, 1.25 * trajectory.lengthMm)
    # Plane through the path and, as nearly as it allows, the axial plane: its normal is the superior axis freed of the path.
    normal = axes.superior - (axes.superior @ direction) * direction
    normal /= np.linalg.norm(normal)
    lateral = (axes.right @ normal) * normal - axes.right
    along = _view("along", lateral, np.cross(lateral, normal), middle, (size, size), ("R", "L", "A", "P"))
    across = _view("across", direction, axes.superior, middle, (size, 0.75 * size), ("entry", "", "S", "I"))
    depth = max(trajectory.lengthMm - 25.0, 0.0) if depthMm is None else depthMm
    at = trajectory.entryRas + depth * direction
    # Seen from the hub: x to the viewer's right with superior up and the view direction away from the viewer.
    right = np.cross(direction, axes.superior)
    edge = ("", "", "S", "I")
    down = _view("down the needle", right, axes.superior - (axes.superior @ direction) * direction, at, (90.0, 90.0), edge)
    return along, across, down
