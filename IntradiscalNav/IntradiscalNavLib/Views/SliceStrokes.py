"""What is drawn over one slice view: needle, push-on line with end point, planned path, target."""

from __future__ import annotations

from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.Guidance import Guidance
from IntradiscalNavLib.Guidance.PathFrame import PathFrame
from IntradiscalNavLib.Views.DisplayNodes import END_POINT_COLOR, NEEDLE_COLOR, NOT_LIVE_COLOR, PATH_COLOR, TARGET_COLOR, LineModel
from IntradiscalNavLib.Views.NeedleStrokes import EMPTY, circle, cross, dashes, strokesOnPlane
from IntradiscalNavLib.Views.SlicePose import SlicePose

TARGET_RADIUS_MM = 3.0
IN_PLANE_MM = 1.5
"""Half the slice thickness of a lumbar curved probe at disc depth is 1.5-3 mm; the needle is solid only where it is surely within it."""


class SliceStrokes:
    """Strokes of one view. ``rings`` (mm) are drawn round the target in the needle's-eye view."""

    def __init__(self, scene: Any, name: str, sliceNode: Any, rings: tuple[float, ...] = ()) -> None:
        views = (sliceNode,)
        self._rings = rings
        self._path = LineModel(scene, f"{name}Path", views, PATH_COLOR, 2)
        self._target = LineModel(scene, f"{name}Target", views, TARGET_COLOR, 3)
        self._push = LineModel(scene, f"{name}PushOn", views, END_POINT_COLOR, 2)
        self._needle = LineModel(scene, f"{name}Needle", views, NEEDLE_COLOR, 4)

    def show(
        self, pose: SlicePose, path: PathFrame | None, tipRas: FloatArray | None, hubRas: FloatArray | None, guidance: Guidance | None
    ) -> None:
        """Draw for this slice pose. Without guidance (not live) the needle is grey and nothing says where it would go."""
        right, up, normal = pose.sliceToRas[:3, :3].T
        origin = pose.originRas
        if path is None:
            self._path.show(EMPTY)
            self._target.show(EMPTY)
        else:
            solid, dashed = strokesOnPlane(path.targetRas, path.entryRas, origin, normal, IN_PLANE_MM, 2.0, 3.0)
            self._path.show(np.concatenate([solid, dashed]))
            self._target.show(self._targetStrokes(pose, path, right, up))
        if tipRas is None or hubRas is None:
            self._needle.show(EMPTY)
            self._push.show(EMPTY)
            return
        solid, dashed = strokesOnPlane(tipRas, hubRas, origin, normal, IN_PLANE_MM)
        parts = [solid, dashed]
        if self._rings:
            parts.append(circle(tipRas, right, up, 1.2, 24))
        self._needle.show(np.concatenate(parts))
        self._needle.setColor(NEEDLE_COLOR if guidance is not None else NOT_LIVE_COLOR)
        if guidance is None:
            self._push.show(EMPTY)
            return
        end = guidance.endPointRas
        self._push.show(np.concatenate([dashes(tipRas, end, 1.0, 1.5), cross(end, right, up, 3.0, 0.8)]))

    def _targetStrokes(self, pose: SlicePose, path: PathFrame, right: FloatArray, up: FloatArray) -> FloatArray:
        ring = circle(path.targetRas, right, up, TARGET_RADIUS_MM)
        if abs(pose.distanceMm(path.targetRas)) > TARGET_RADIUS_MM:
            ring = ring[::3]
        parts = [ring]
        for radius in self._rings:
            parts.append(circle(path.targetRas, right, up, radius, 72))
        if self._rings:
            parts.append(cross(path.targetRas, right, up, max(self._rings) + 4.0, TARGET_RADIUS_MM))
        return np.concatenate(parts)
