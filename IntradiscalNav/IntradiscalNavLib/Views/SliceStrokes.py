"""What is drawn over one slice view: contours, planned path, target, needle, push-on line with end point, and how well the tip is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.Guidance import Guidance
from IntradiscalNavLib.Guidance.PathFrame import PathFrame
from IntradiscalNavLib.Guidance.TipUncertainty import RAYLEIGH_95
from IntradiscalNavLib.Views.DisplayNodes import (
    END_POINT_COLOR,
    NEEDLE_COLOR,
    NOT_LIVE_COLOR,
    PATH_COLOR,
    TARGET_COLOR,
    Color,
    Indices,
    StrokeModel,
    StrokePalette,
)
from IntradiscalNavLib.Views.NeedleStrokes import circle, cross, dashes, strokesOnPlane
from IntradiscalNavLib.Views.SlicePose import SlicePose
from IntradiscalNavLib.Views.SurfaceContour import SurfaceContour

TARGET_RADIUS_MM = 3.0
IN_PLANE_MM = 1.5
"""Half the slice thickness of a lumbar curved probe at disc depth is 1.5-3 mm; the needle is solid only where it is surely within it."""

Part = tuple[FloatArray, Color | Indices]


class SliceStrokes:
    """Strokes of one view. ``rings`` (mm) are drawn round the target in the needle's-eye view."""

    def __init__(
        self, scene: Any, name: str, sliceNode: Any, contour: SurfaceContour, palette: StrokePalette, rings: tuple[float, ...] = ()
    ) -> None:
        self._rings = rings
        self._contour = contour
        self.thin = StrokeModel(scene, f"{name}Thin", (sliceNode,), 3, palette)
        self.thick = StrokeModel(scene, f"{name}Thick", (sliceNode,), 6, palette)
        self._cutAt: FloatArray | None = None
        self._cut: list[Part] = []

    def show(
        self, pose: SlicePose, path: PathFrame | None, tipRas: FloatArray | None, hubRas: FloatArray | None, guidance: Guidance | None
    ) -> None:
        """Draw for this slice pose. Without guidance (not live) the needle is grey and nothing says where it would go."""
        right, up, normal = pose.sliceToRas[:3, :3].T
        origin = pose.originRas
        if self._cutAt is None or not np.array_equal(self._cutAt, pose.sliceToRas):
            self._cutAt = pose.sliceToRas
            self._cut = [self._contour.cut(origin, normal)]
        thin: list[Part] = list(self._cut)
        thick: list[Part] = []
        if path is not None:
            thin += [(part, PATH_COLOR) for part in strokesOnPlane(path.targetRas, path.entryRas, origin, normal, IN_PLANE_MM, 2.0, 3.0)]
            thin += [(part, TARGET_COLOR) for part in self._targetStrokes(pose, path, right, up)]
        if tipRas is not None and hubRas is not None:
            color = NEEDLE_COLOR if guidance is not None else NOT_LIVE_COLOR
            thick += [(part, color) for part in strokesOnPlane(tipRas, hubRas, origin, normal, IN_PLANE_MM)]
            if self._rings:
                thin.append((circle(tipRas, right, up, 1.2, 24), color))
        if guidance is not None and tipRas is not None:
            end = guidance.endPointRas
            thin.append((np.concatenate([dashes(tipRas, end, 1.0, 1.5), cross(end, right, up, 3.0, 0.8)]), END_POINT_COLOR))
            if guidance.uncertainty is not None:
                ellipse = _ellipse(tipRas, guidance.uncertainty.covariance, right, up)
                thin.append((ellipse[::2], NEEDLE_COLOR))
        self.thin.show(thin)
        self.thick.show(thick)

    def _targetStrokes(self, pose: SlicePose, path: PathFrame, right: FloatArray, up: FloatArray) -> list[FloatArray]:
        ring = circle(path.targetRas, right, up, TARGET_RADIUS_MM)
        # Dashed, as the needle, when the target isn't in this plane.
        parts = [ring if abs(pose.distanceMm(path.targetRas)) <= TARGET_RADIUS_MM else ring[::2]]
        parts += [circle(path.targetRas, right, up, radius, 72) for radius in self._rings]
        if self._rings:
            parts.append(cross(path.targetRas, right, up, max(self._rings) + 4.0, TARGET_RADIUS_MM))
        return parts


def _ellipse(centerRas: FloatArray, covariance: FloatArray, right: FloatArray, up: FloatArray, count: int = 48) -> FloatArray:
    """95 % ellipse of the tip as seen across the plane, as segments (count, 2, 3)."""
    basis = np.column_stack([right, up])
    values, axes = np.linalg.eigh(basis.T @ covariance @ basis)
    semi = RAYLEIGH_95 * np.sqrt(np.maximum(values, 0.0))
    angles = np.linspace(0.0, 2 * np.pi, count + 1)
    points = centerRas + (np.column_stack([semi[0] * np.cos(angles), semi[1] * np.sin(angles)]) @ axes.T) @ basis.T
    result: FloatArray = np.stack([points[:-1], points[1:]], axis=1)
    return result
