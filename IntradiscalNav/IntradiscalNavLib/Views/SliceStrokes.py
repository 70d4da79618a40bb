"""What is drawn over one slice view: contours, planned path, target, needle, push-on line with end point, and how well the tip is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.Guidance import Guidance
from IntradiscalNavLib.Guidance.PathFrame import PathFrame, crossProduct, vectorLength
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

CROSSING_RADIUS_MM = 2.0
LEAST_CROSSING_SINE = float(np.sin(np.radians(1.0)))
LONGEST_AHEAD_MM = 150.0
LINE_PIXELS = 3
NEEDLE_LINES = (-0.6, 0.0, 0.6)
"""The needle is drawn as three lines side by side, this many line widths apart: one model of one width costs half of two."""

Part = tuple[FloatArray, Color]


class SliceStrokes:
    """Strokes of one view (or of two that show the same plane).

    ``rings`` (mm) lie round the target in the needle's-eye view. ``marksCrossing``: ring where the needle goes through the plane.
    """

    def __init__(
        self,
        scene: Any,
        name: str,
        sliceNode: Any,
        contour: SurfaceContour,
        palette: StrokePalette,
        *,
        rings: tuple[float, ...] = (),
        marksCrossing: bool = False,
    ) -> None:
        self._rings = rings
        self._marksCrossing = marksCrossing
        self._contour = contour
        self.model = StrokeModel(scene, name, (sliceNode,), LINE_PIXELS, palette)
        self._still: tuple[FloatArray, Indices] | None = None
        self._stillFor: tuple[FloatArray, PathFrame | None] | None = None

    def setViews(self, sliceNodes: Sequence[Any]) -> None:
        """Draw on these views."""
        self.model.setViews(sliceNodes)

    def setVisible(self, visible: bool) -> None:
        self.model.setVisible(visible)

    def show(
        self,
        pose: SlicePose,
        pixelMm: float,
        path: PathFrame | None,
        tipRas: FloatArray | None,
        hubRas: FloatArray | None,
        guidance: Guidance | None,
    ) -> None:
        """Draw for this slice pose. Without guidance (not live) the needle is grey and nothing says where it would go."""
        right, up, normal = pose.sliceToRas[:3, :3].T
        origin = pose.originRas
        before = self._stillFor
        samePlane = before is not None and (before[0] is pose.sliceToRas or np.array_equal(before[0], pose.sliceToRas))
        if self._still is None or before is None or before[1] is not path or not samePlane:
            self._stillFor = (pose.sliceToRas, path)
            self._still = self._stillStrokes(pose, path)
        parts: list[Part] = []
        needle: list[Part] = []
        if tipRas is not None and hubRas is not None:
            color = NEEDLE_COLOR if guidance is not None else NOT_LIVE_COLOR
            shaft = np.concatenate(strokesOnPlane(tipRas, hubRas, origin, normal, IN_PLANE_MM))
            needle = [(_thick(shaft, normal, pixelMm), color)]
            if self._rings:
                parts.append((circle(tipRas, right, up, 1.2), color))
        if guidance is not None and tipRas is not None:
            if self._marksCrossing:
                parts += _crossing(pose, tipRas, guidance)
            end = guidance.endPointRas
            parts.append((dashes(tipRas, end, 1.0, 1.5), END_POINT_COLOR))
            parts.append((cross(end, right, up, 3.0, 0.8), END_POINT_COLOR))
            if guidance.uncertainty is not None:
                parts.append((_ellipse(tipRas, guidance.uncertainty.covariance, right, up), NEEDLE_COLOR))
        self.model.show(self._still, self.model.merge(parts + needle))

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
        segments, indices = self.model.merge(parts)
        return np.concatenate([contour, segments]), np.concatenate([numbers, indices])

    def _targetStrokes(self, pose: SlicePose, path: PathFrame, right: FloatArray, up: FloatArray) -> list[FloatArray]:
        ring = circle(path.targetRas, right, up, TARGET_RADIUS_MM)
        # Dashed, as the needle, when the target isn't in this plane.
        parts = [ring if abs(pose.distanceMm(path.targetRas)) <= TARGET_RADIUS_MM else ring[::2]]
        parts += [circle(path.targetRas, right, up, radius) for radius in self._rings]
        if self._rings:
            parts.append(cross(path.targetRas, right, up, max(self._rings) + 4.0, TARGET_RADIUS_MM))
        return parts


def _crossing(pose: SlicePose, tipRas: FloatArray, guidance: Guidance) -> list[Part]:
    """Ring where needle and plane meet: whole where the shaft goes through, dashed where it would if pushed on."""
    right, up, normal = pose.sliceToRas[:3, :3].T
    offMm = pose.distanceMm(tipRas)
    sine = float(guidance.shaftDirectionRas @ normal)
    if abs(offMm) <= IN_PLANE_MM or abs(sine) < LEAST_CROSSING_SINE:
        return []
    aheadMm = -offMm / sine
    if not -float(np.linalg.norm(guidance.hubRas - tipRas)) <= aheadMm <= LONGEST_AHEAD_MM:
        return []
    ring = circle(tipRas + aheadMm * guidance.shaftDirectionRas, right, up, CROSSING_RADIUS_MM)
    return [(ring, NEEDLE_COLOR)] if aheadMm <= 0.0 else [(ring[::2], END_POINT_COLOR)]


def _thick(segments: FloatArray, normal: FloatArray, pixelMm: float) -> FloatArray:
    """Segments (n, 2, 3) of one straight line, each drawn as lines side by side in the view."""
    if not len(segments):
        return segments
    aside = crossProduct(segments[0, 1] - segments[0, 0], normal)
    length = vectorLength(aside)
    if length < 1e-6:
        return segments
    shifts = np.multiply.outer(NEEDLE_LINES, aside * (LINE_PIXELS * pixelMm / length))
    result: FloatArray = (segments[None] + shifts[:, None, None, :]).reshape(-1, 2, 3)
    return result


def _ellipse(centerRas: FloatArray, covariance: FloatArray, right: FloatArray, up: FloatArray) -> FloatArray:
    """95 % ellipse of the tip as seen across the plane, dashed, as segments (n, 2, 3)."""
    basis = np.column_stack([right, up])
    (a, b), (_, c) = (basis.T @ covariance @ basis).tolist()
    # Any square root of the covariance takes the circle to the ellipse; the triangular one (Cholesky) is the cheapest.
    first = math.sqrt(max(a, 1e-12))
    root = np.array([[first, 0.0], [b / first, math.sqrt(max(c - (b / first) ** 2, 0.0))]])
    semi = basis @ (RAYLEIGH_95 * root)
    return circle(centerRas, semi[:, 0], semi[:, 1], 1.0)[::2]
