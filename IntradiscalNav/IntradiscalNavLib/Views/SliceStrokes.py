"""What is drawn over one slice view: contours, planned path, target, needle, push-on line with end point, and how well the tip is known."""

from __future__ import annotations

from collections.abc import Sequence
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

Part = tuple[FloatArray, Color]


class SliceStrokes:
    """Strokes of one view (or of two that show the same plane). ``rings`` (mm) lie round the target in the needle's-eye view."""

    def __init__(
        self, scene: Any, name: str, sliceNode: Any, contour: SurfaceContour, palette: StrokePalette, rings: tuple[float, ...] = ()
    ) -> None:
        self._rings = rings
        self._contour = contour
        self.thin = StrokeModel(scene, f"{name}Thin", (sliceNode,), 3, palette)
        self.thick = StrokeModel(scene, f"{name}Thick", (sliceNode,), 6, palette)
        self._still: tuple[FloatArray, Indices] | None = None
        self._stillFor: tuple[FloatArray, PathFrame | None] | None = None

    def setViews(self, sliceNodes: Sequence[Any]) -> None:
        """Draw on these views."""
        self.thin.setViews(sliceNodes)
        self.thick.setViews(sliceNodes)

    def setVisible(self, visible: bool) -> None:
        self.thin.setVisible(visible)
        self.thick.setVisible(visible)

    def show(
        self, pose: SlicePose, path: PathFrame | None, tipRas: FloatArray | None, hubRas: FloatArray | None, guidance: Guidance | None
    ) -> None:
        """Draw for this slice pose. Without guidance (not live) the needle is grey and nothing says where it would go."""
        right, up, normal = pose.sliceToRas[:3, :3].T
        origin = pose.originRas
        before = self._stillFor
        if self._still is None or before is None or before[1] is not path or not np.array_equal(before[0], pose.sliceToRas):
            self._stillFor = (pose.sliceToRas, path)
            self._still = self._stillStrokes(pose, path)
        thin: list[Part] = []
        thick: list[Part] = []
        if tipRas is not None and hubRas is not None:
            color = NEEDLE_COLOR if guidance is not None else NOT_LIVE_COLOR
            thick += [(part, color) for part in strokesOnPlane(tipRas, hubRas, origin, normal, IN_PLANE_MM)]
            if self._rings:
                thin.append((circle(tipRas, right, up, 1.2), color))
        if guidance is not None and tipRas is not None:
            end = guidance.endPointRas
            thin.append((dashes(tipRas, end, 1.0, 1.5), END_POINT_COLOR))
            thin.append((cross(end, right, up, 3.0, 0.8), END_POINT_COLOR))
            if guidance.uncertainty is not None:
                thin.append((_ellipse(tipRas, guidance.uncertainty.covariance, right, up), NEEDLE_COLOR))
        self.thin.show(self._still, self.thin.merge(thin))
        self.thick.show(self.thick.merge(thick))

    def _stillStrokes(self, pose: SlicePose, path: PathFrame | None) -> tuple[FloatArray, Indices]:
        """Contours, path and target: what changes only with the plane."""
        contour, numbers = self._contour.cut(pose.originRas, pose.normalRas)
        if path is None:
            return contour, numbers
        right, up, normal = pose.sliceToRas[:3, :3].T
        parts: list[Part] = [
            (part, PATH_COLOR) for part in strokesOnPlane(path.targetRas, path.entryRas, pose.originRas, normal, IN_PLANE_MM, 2.0, 3.0)
        ]
        parts += [(part, TARGET_COLOR) for part in self._targetStrokes(pose, path, right, up)]
        segments, indices = self.thin.merge(parts)
        return np.concatenate([contour, segments]), np.concatenate([numbers, indices])

    def _targetStrokes(self, pose: SlicePose, path: PathFrame, right: FloatArray, up: FloatArray) -> list[FloatArray]:
        ring = circle(path.targetRas, right, up, TARGET_RADIUS_MM)
        # Dashed, as the needle, when the target isn't in this plane.
        parts = [ring if abs(pose.distanceMm(path.targetRas)) <= TARGET_RADIUS_MM else ring[::2]]
        parts += [circle(path.targetRas, right, up, radius) for radius in self._rings]
        if self._rings:
            parts.append(cross(path.targetRas, right, up, max(self._rings) + 4.0, TARGET_RADIUS_MM))
        return parts


def _ellipse(centerRas: FloatArray, covariance: FloatArray, right: FloatArray, up: FloatArray) -> FloatArray:
    """95 % ellipse of the tip as seen across the plane, dashed, as segments (n, 2, 3)."""
    basis = np.column_stack([right, up])
    values, axes = np.linalg.eigh(basis.T @ covariance @ basis)
    semi = basis @ (axes * (RAYLEIGH_95 * np.sqrt(np.maximum(values, 0.0))))
    return circle(centerRas, semi[:, 0], semi[:, 1], 1.0)[::2]
