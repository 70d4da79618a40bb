"""The 3D view: needle, path, target, fan with the live picture, uncertainty of the tip, and a camera that shows them."""

from __future__ import annotations

from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, rigidFrom
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.PathFrame import PathFrame
from IntradiscalNavLib.Guidance.ProximityAlert import AlertLevel
from IntradiscalNavLib.Views.DisplayNodes import (
    END_POINT_COLOR,
    NEEDLE_COLOR,
    NOT_LIVE_COLOR,
    PATH_COLOR,
    TARGET_COLOR,
    addDisplay,
    makeNode,
)
from IntradiscalNavLib.Views.NavigationLayout import THREE_D
from IntradiscalNavLib.Views.SceneModels import (
    PlacedModel,
    ellipsoidToRas,
    fanPolyData,
    needlePolyData,
    spherePolyData,
    tubePolyData,
)
from IntradiscalNavLib.Views.SessionState import SessionState
from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundDisplay
from TranslatedText.Translation import tr as _

BACKGROUND = (0.04, 0.05, 0.07)
LARGEST_ELLIPSOID_MM = 30.0


class NavigationScene:
    """Models of the 3D view. Made when the first plan or picture comes, moved by their transforms afterwards."""

    def __init__(self, scene: Any, picture: UltrasoundDisplay) -> None:
        self.scene = scene
        self._picture = picture
        self.viewNode = scene.GetSingletonNode(THREE_D.tag, "vtkMRMLViewNode")
        if self.viewNode is None:
            raise RuntimeError(
                _("There is no 3D view {tag!r}. Switch to the navigation layout, or make an off-screen 3D view of that name.").format(
                    tag=THREE_D.tag
                )
            )
        self.viewNode.SetBackgroundColor(*BACKGROUND)
        self.viewNode.SetBackgroundColor2(*BACKGROUND)
        self.viewNode.SetBoxVisible(False)
        self.viewNode.SetAxisLabelsVisible(False)
        self._views = (self.viewNode,)
        self._plan: NeedlePlan | None = None
        self._path: PathFrame | None = None
        self._needle: PlacedModel | None = None
        self._planNodes: list[Any] = []
        self._ellipsoid = PlacedModel(scene, "NavTipUncertainty", spherePolyData((0, 0, 0), 1.0), self._views, NEEDLE_COLOR, 0.25)
        self._ellipsoid.setVisible(False)
        self._push = PlacedModel(scene, "NavPushOn", tubePolyData((0, 0, 0), (0, 0, 1), 0.35), self._views, END_POINT_COLOR, 0.6)
        self._push.setVisible(False)
        self._fanNode = makeNode(scene, "vtkMRMLModelNode", "NavFan")
        self._fanDisplay = addDisplay(scene, self._fanNode, self._views, (1.0, 1.0, 1.0))
        self._fanDisplay.SetVisibility2D(False)
        self._fanDisplay.SetLighting(False)
        self._fanDisplay.SetInterpolation(self._fanDisplay.FlatInterpolation)
        self._fanDisplay.SetBackfaceCulling(False)
        self._fanNode.SetAndObserveTransformNodeID(picture.transformNode.GetID())
        self._fanMask: Any = None
        self._fanImage: Any = None

    def show(self, state: SessionState, tipRas: FloatArray | None) -> None:
        """Move everything to this state."""
        if state.plan is not self._plan and state.plan is not None:
            self._showPlan(state.plan)
        self._showFan(state)
        guidance = state.displayed.guidance
        if self._needle is not None:
            self._needle.setVisible(state.needleTipToRas is not None)
            if state.needleTipToRas is not None:
                self._needle.place(state.needleTipToRas)
            color = NEEDLE_COLOR if guidance is not None else NOT_LIVE_COLOR
            if guidance is not None and state.displayed.alert.level >= AlertLevel.NEAR:
                color = state.displayed.alert.color
            self._needle.setColor(color)
        uncertainty = None if guidance is None else guidance.uncertainty
        showEllipsoid = uncertainty is not None and uncertainty.radius95Mm < LARGEST_ELLIPSOID_MM
        self._ellipsoid.setVisible(showEllipsoid)
        if uncertainty is not None and tipRas is not None and showEllipsoid:
            self._ellipsoid.place(ellipsoidToRas(uncertainty, tipRas))
        pushed = guidance is not None and guidance.depthLeftMm > 0.5 and state.needleTipToRas is not None
        self._push.setVisible(pushed)
        if guidance is not None and state.needleTipToRas is not None and pushed:
            stretched = state.needleTipToRas.copy()
            stretched[:3, 2] *= guidance.depthLeftMm
            self._push.place(stretched)

    def _showPlan(self, plan: NeedlePlan) -> None:
        for node in self._planNodes:
            self.scene.RemoveNode(node)
        self._planNodes = []
        first = self._plan is None or self._plan.path is not plan.path
        self._plan, self._path = plan, plan.path
        identity = np.eye(4)
        path = PlacedModel(self.scene, "NavPath", tubePolyData(plan.path.entryRas, plan.path.targetRas, 0.7), self._views, PATH_COLOR, 0.8)
        target = PlacedModel(self.scene, "NavTarget", spherePolyData(plan.path.targetRas, 2.5), self._views, TARGET_COLOR)
        self._needle = PlacedModel(self.scene, "NavNeedle", needlePolyData(plan.needle), self._views, NEEDLE_COLOR)
        for model in (path, target, self._needle):
            model.place(identity)
            model.display.SetVisibility2D(False)
            self._planNodes += [model.display, model.node, model.transformNode]
        if first:
            self.placeCamera()

    def _showFan(self, state: SessionState) -> None:
        picture = self._picture
        if picture.image is None or picture.fan.mask is None:
            return
        if picture.fan.mask is not self._fanMask:
            self._fanMask = picture.fan.mask
            self._fanNode.SetAndObservePolyData(fanPolyData(picture.fan.mask))
        if picture.image is not self._fanImage:
            import vtk

            self._fanImage = picture.image
            producer = vtk.vtkTrivialProducer()
            producer.SetOutput(picture.image)
            self._producer = producer
            self._fanDisplay.SetTextureImageDataConnection(producer.GetOutputPort())
        opacity = 1.0 if state.frameLive else 0.35
        if self._fanDisplay.GetOpacity() != opacity:
            self._fanDisplay.SetOpacity(opacity)

    def placeCamera(self, distanceMm: float = 400.0) -> bool:
        """Look at the path from behind, above and from the side it comes from; False when the view has no camera yet."""
        camera = self._camera()
        if camera is None or self._path is None:
            return False
        position, focal, up = self.cameraFor(self._path, distanceMm)
        camera.SetPosition(*position)
        camera.SetFocalPoint(*focal)
        camera.SetViewUp(*up)
        camera.ResetClippingRange()
        return True

    @staticmethod
    def cameraFor(path: PathFrame, distanceMm: float = 400.0) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Camera position, focal point and up vector (RAS)."""
        focal = path.targetRas + 0.35 * (path.entryRas - path.targetRas)
        outward = -path.directionRas
        side = 1.0 if outward[0] >= 0 else -1.0
        direction = np.array([side * 0.55, -1.0, 0.75])
        direction /= np.linalg.norm(direction)
        return focal + distanceMm * direction, focal, np.array([0.0, 0.0, 1.0])

    def _camera(self) -> Any:
        for index in range(self.scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
            camera = self.scene.GetNthNodeByClass(index, "vtkMRMLCameraNode")
            if camera.GetLayoutName() == THREE_D.tag or camera.GetActiveTag() == self.viewNode.GetID():
                return camera
        return None


def needlePoseAt(tipRas: FloatArray, directionRas: FloatArray) -> FloatArray:
    """NeedleTipToRas of a needle with its tip there, pointing that way; the roll is arbitrary."""
    from IntradiscalNavLib.Guidance.PathFrame import uprightAxes

    return rigidFrom(uprightAxes(directionRas), tipRas)
