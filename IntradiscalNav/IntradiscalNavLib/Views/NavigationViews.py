"""The navigation views on the view nodes of a scene: the same in Slicer and headless.

In Slicer, set the layout of ``NavigationLayout`` first: the layout manager makes the view nodes. Headless, make off-screen views of the
same names. Then ``update(state)`` at each tick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from FusionRegistrationLib.ProbeGeometry import ProbeGeometry
from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.DisplayedGuidance import GuidanceNumber
from IntradiscalNavLib.Guidance.PathFrame import PathFrame
from IntradiscalNavLib.Views.DisplayNodes import StrokePalette, addDisplay, removeOurNodes
from IntradiscalNavLib.Views.FanMask import fanOfGeometry
from IntradiscalNavLib.Views.FrozenPicture import FreezeMode, FrozenPicture
from IntradiscalNavLib.Views.NavigationLayout import (
    FUSION,
    PATH_ACROSS,
    PATH_ALONG,
    SLICE_VIEWS,
    TARGET,
    THREE_D,
    ULTRASOUND,
    ViewName,
)
from IntradiscalNavLib.Views.NavigationScene import NavigationScene
from IntradiscalNavLib.Views.NumberOverlay import NumberOverlay
from IntradiscalNavLib.Views.SessionState import SessionState
from IntradiscalNavLib.Views.SliceDriver import SliceDriver
from IntradiscalNavLib.Views.SlicePose import SlicePose, imagePose, pathPoses, targetPose
from IntradiscalNavLib.Views.SliceStrokes import SliceStrokes
from IntradiscalNavLib.Views.SurfaceContour import SurfaceContour
from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundDisplay, UltrasoundFrame
from TranslatedText.Translation import tr as _

NUMBERS: Mapping[ViewName, tuple[str, GuidanceNumber, GuidanceNumber | None]] = {
    FUSION: ("CT + ultrasound", GuidanceNumber.TIP_TO_TARGET, GuidanceNumber.UNCERTAINTY),
    ULTRASOUND: ("Ultrasound", GuidanceNumber.OUT_OF_PLANE, None),
    TARGET: ("Needle's eye", GuidanceNumber.TIP_TO_PATH, GuidanceNumber.SHAFT_ANGLE),
    PATH_ACROSS: (_("Path, across the body"), GuidanceNumber.DEPTH_LEFT, GuidanceNumber.LATERAL),
    PATH_ALONG: (_("Path, along the body (head to the right)"), GuidanceNumber.END_POINT_ERROR, None),
    THREE_D: ("3D", GuidanceNumber.CLEARANCE, GuidanceNumber.UNCERTAINTY),
}

TARGET_WIDTHS_MM = (60.0, 120.0, 240.0)


@dataclass(frozen=True)
class AnatomyModel:
    """A surface of the CT (model node in RAS): its contour is drawn on the slices, its surface in 3D."""

    node: Any
    color: tuple[float, float, float]
    opacity: float = 1.0


def sliceNodeOf(scene: Any, view: ViewName) -> Any:
    """Slice node of a layout view.

    :raises RuntimeError: when the view hasn't been made.
    """
    node = scene.GetSingletonNode(view.tag, "vtkMRMLSliceNode")
    if node is None:
        raise RuntimeError(
            _("There is no slice view {tag!r}. Switch to the navigation layout, or make an off-screen slice view of that name.").format(
                tag=view.tag
            )
        )
    return node


def compositeNodeOf(scene: Any, view: ViewName) -> Any:
    """Slice composite node (which volumes are blended) of a layout view."""
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode")
        if node.GetLayoutName() == view.tag:
            return node
    raise RuntimeError(_("The slice view {tag!r} has no composite node. Switch to the navigation layout first.").format(tag=view.tag))


class NavigationViews:
    """All display nodes of the navigation views.

    :param ct: CT volume node, or None.
    :param anatomy: bones and structures at risk, as surfaces.
    """

    def __init__(self, scene: Any, *, ct: Any = None, anatomy: Sequence[AnatomyModel] = ()) -> None:
        self.scene = scene
        self.sliceNodes = {view: sliceNodeOf(scene, view) for view in SLICE_VIEWS}
        # Views made earlier and not closed would draw their last state for ever.
        removeOurNodes(scene)
        self.drivers = {view: SliceDriver(node) for view, node in self.sliceNodes.items()}
        self.composites = {view: compositeNodeOf(scene, view) for view in SLICE_VIEWS}
        self.fusionPicture = UltrasoundDisplay(scene, "NavFusionPicture")
        self.ultrasoundPicture = UltrasoundDisplay(scene, "NavUltrasoundPicture")
        self.freezer = FrozenPicture()
        self.overlays: dict[ViewName, NumberOverlay] = {}
        self.followNeedle = False
        """Path planes along the needle's axis instead of the planned path."""
        palette = StrokePalette(scene)
        contour = SurfaceContour([(model.node.GetPolyData(), palette.index(model.color)) for model in anatomy])
        self.strokes = {
            view: SliceStrokes(
                scene,
                f"{view.tag}Strokes",
                node,
                contour,
                palette,
                rings=(10.0, 20.0) if view is TARGET else (),
                marksCrossing=view in (FUSION, ULTRASOUND),
            )
            for view, node in self.sliceNodes.items()
        }
        self.scene3d = NavigationScene(scene, self.ultrasoundPicture)
        self._live: SessionState | None = None
        self._shared: bool | None = None
        self._targetWidthMm = TARGET_WIDTHS_MM[0]
        self._posedPath: PathFrame | None = None
        self._pathPoses: tuple[SlicePose, SlicePose, SlicePose]
        self._probeShownLive = True
        for model in anatomy:
            self._showAnatomy(model)
        self.setCt(ct)
        self.opacity = 0.6

    def setCt(self, ct: Any) -> None:
        """CT behind the fusion, target and path views."""
        ctId = None if ct is None else ct.GetID()
        for view, composite in self.composites.items():
            composite.SetLinkedControl(0)
            composite.SetBackgroundVolumeID(self.ultrasoundPicture.volumeNode.GetID() if view is ULTRASOUND else ctId)
            composite.SetLabelVolumeID(None)
            composite.SetForegroundVolumeID(None)
        self._shared = None
        self._sharePicture(True)

    @property
    def opacity(self) -> float:
        """Share of ultrasound in the fusion view, 0 (CT only) to 1."""
        return float(self.composites[FUSION].GetForegroundOpacity())

    @opacity.setter
    def opacity(self, share: float) -> None:
        self.composites[FUSION].SetForegroundOpacity(min(max(share, 0.0), 1.0))

    @property
    def curtain(self) -> float:
        """Share of the ultrasound's width, from the left, that is drawn aside in the fusion view."""
        return self.fusionPicture.curtain

    @curtain.setter
    def curtain(self, share: float) -> None:
        self.fusionPicture.curtain = min(max(share, 0.0), 1.0)

    def freeze(self, nowSec: float, compare: bool = False) -> None:
        """Hold the live picture; with ``compare`` only the fusion view holds it.

        :raises RuntimeError: when there is no live picture.
        """
        state = self._live
        self.freezer.freeze(state.frame if state is not None and state.frameLive else None, nowSec, compare)

    def release(self) -> None:
        """Go on live."""
        self.freezer.release()

    def setProbeGeometry(self, geometry: ProbeGeometry) -> None:
        """Cut the picture to the fan of a known probe instead of learning it from the frames."""
        mask = fanOfGeometry(geometry)
        for picture in (self.fusionPicture, self.ultrasoundPicture):
            picture.fan.setTo(mask)

    def attachOverlay(self, view: ViewName, renderer: Any) -> None:
        """Draw the large numbers of a view on its renderer."""
        if view in self.overlays:
            self.overlays.pop(view).remove()
        title, main, second = NUMBERS[view]
        self.overlays[view] = NumberOverlay(renderer, title, main, second, namesNeedle=view in (FUSION, TARGET, THREE_D))

    def update(self, state: SessionState) -> None:
        """Show a state. Rendering is left to the host."""
        self._live = state
        shown = self.freezer.shown(state.frame, state.timeSec)
        comparing = self.freezer.mode is FreezeMode.COMPARE
        self._sharePicture(not comparing and self.curtain == 0.0)
        if shown.ultrasound is not None:
            self.ultrasoundPicture.show(shown.ultrasound)
        if shown.fusion is not None and not self._shared:
            self.fusionPicture.show(shown.fusion)
        # Both views lie in the same plane unless one of them is held: then one set of strokes serves both.
        fusionNode, ultrasoundNode = self.sliceNodes[FUSION], self.sliceNodes[ULTRASOUND]
        self.strokes[FUSION].setViews((fusionNode,) if comparing else (fusionNode, ultrasoundNode))
        self.strokes[ULTRASOUND].setVisible(comparing)
        probeLive = state.frameLive
        if probeLive != self._probeShownLive:
            self._probeShownLive = probeLive
            for picture in (self.fusionPicture, self.ultrasoundPicture):
                # Not live: half as bright. The banner says why.
                picture.displayNode.SetWindowLevelMinMax(0, 255 if probeLive else 560)
        path = None if state.plan is None else state.plan.path
        tip = hub = None
        if state.needleTipToRas is not None and state.plan is not None:
            tip = state.needleTipToRas[:3, 3]
            hub = tip - state.plan.needle.lengthMm * state.needleTipToRas[:3, 2]
        guidance = state.displayed.guidance
        for view, pose in self._poses(state, shown.fusion, shown.ultrasound).items():
            if not self.sliceNodes[view].IsMappedInLayout():
                continue
            self.drivers[view].show(pose)
            if view is not ULTRASOUND or comparing:
                self.strokes[view].show(pose, self.drivers[view].pixelMm, path, tip, hub, guidance)
        self.scene3d.show(state, tip)
        for view, overlay in self.overlays.items():
            held = {FUSION: shown.fusionHeldSec, ULTRASOUND: shown.ultrasoundHeldSec, THREE_D: shown.ultrasoundHeldSec}.get(view)
            overlay.show(state.displayed, held)

    def _poses(self, state: SessionState, fusion: UltrasoundFrame | None, ultrasound: UltrasoundFrame | None) -> dict[ViewName, SlicePose]:
        poses: dict[ViewName, SlicePose] = {}
        if fusion is not None:
            poses[FUSION] = imagePose(fusion.plane)
        if ultrasound is not None:
            poses[ULTRASOUND] = poses[FUSION] if ultrasound is fusion else imagePose(ultrasound.plane)
        if state.plan is None:
            return poses
        path = state.plan.path
        if path is not self._posedPath:
            self._posedPath = path
            self._pathPoses = (targetPose(path), *pathPoses(path))
        poses[TARGET], poses[PATH_ACROSS], poses[PATH_ALONG] = self._pathPoses
        self._widenTarget(state)
        poses[TARGET] = replace(poses[TARGET], widthMm=self._targetWidthMm, heightMm=self._targetWidthMm)
        if self.followNeedle and state.needleLive and state.needleTipToRas is not None:
            poses[PATH_ACROSS], poses[PATH_ALONG] = pathPoses(path, state.needleTipToRas[:3, 2], state.needleTipToRas[:3, 3])
        return poses

    def _widenTarget(self, state: SessionState) -> None:
        """Widen the needle's-eye view in steps so that the tip is in it; narrow it again only well inside, so that it stays calm."""
        guidance = state.displayed.guidance
        if guidance is None:
            return
        offMm = max(guidance.targetLateralMm, min(guidance.endPointErrorMm, TARGET_WIDTHS_MM[-1]))
        fitting = next((width for width in TARGET_WIDTHS_MM if offMm <= 0.43 * width), TARGET_WIDTHS_MM[-1])
        calm = next((width for width in TARGET_WIDTHS_MM if offMm <= 0.36 * width), TARGET_WIDTHS_MM[-1])
        if fitting > self._targetWidthMm:
            self._targetWidthMm = fitting
        elif calm < self._targetWidthMm:
            self._targetWidthMm = calm

    def _sharePicture(self, shared: bool) -> None:
        """One display picture for both ultrasound views, or one each where they differ (curtain, compare)."""
        if shared != self._shared:
            self._shared = shared
            picture = self.ultrasoundPicture if shared else self.fusionPicture
            self.composites[FUSION].SetForegroundVolumeID(picture.volumeNode.GetID())

    def _showAnatomy(self, model: AnatomyModel) -> None:
        solid = addDisplay(self.scene, model.node, (self.scene3d.viewNode,), model.color, model.opacity)
        solid.SetVisibility2D(False)

    def close(self) -> None:
        """Take everything off the screen: numbers, strokes, picture, models. The views themselves stay.

        Call it when guidance ends: whatever is left on the screen would look live.
        """
        for overlay in self.overlays.values():
            overlay.remove()
        self.overlays.clear()
        for composite in self.composites.values():
            composite.SetForegroundVolumeID(None)
        self.composites[ULTRASOUND].SetBackgroundVolumeID(None)
        removeOurNodes(self.scene)

    def slicePose(self, view: ViewName) -> FloatArray:
        """SliceToRAS of a view as it stands."""
        matrix = self.sliceNodes[view].GetSliceToRAS()
        return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])

    @property
    def freezeMode(self) -> FreezeMode:
        return self.freezer.mode
