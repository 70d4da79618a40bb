"""A small scene for the views: a CT with one bright box, an ultrasound stream, one needle, off-screen views of the navigation layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import rigidFrom
from IntradiscalNavHeadless.RenderingProbe import whyNoRendering
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, REFERENCE, ToolLiveness
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame, uprightAxes
from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure
from IntradiscalNavLib.Guidance.StructureDistance import distanceFromFunction
from IntradiscalNavLib.Guidance.TipUncertainty import RegistrationCovariance, TipErrorModel
from IntradiscalNavLib.Views import NavigationLayout as Layout
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel, NavigationViews
from IntradiscalNavLib.Views.SceneModels import spherePolyData

TARGET = np.array([4.0, 10.0, 6.0])
ENTRY = np.array([34.0, -50.0, 12.0])
BOX_RAS = np.array([[-20.0, -6.0], [-30.0, -12.0], [-8.0, 20.0]])
"""Bright box in the CT (RAS, lower and upper corners per axis)."""
BALL_CENTER, BALL_RADIUS_MM = np.array([24.0, 6.0, 0.0]), 9.0
BALL_COLOR = (0.2, 0.4, 1.0)
SIZE = (400, 300)
COLUMNS, ROWS, PIXEL_MM = 320, 240, 0.4


def matrixNode(scene: Any, name: str, parent: Any = None) -> Any:
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
    if parent is not None:
        node.SetAndObserveTransformNodeID(parent.GetID())
    return node


def vtkMatrixOf(matrix: Any) -> Any:
    import vtk

    result = vtk.vtkMatrix4x4()
    result.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    return result


class StreamedScene:
    """The scene with everything that a procedure would have, and handles to move it."""

    def __init__(self) -> None:
        import slicer

        self.host = startHost()
        self.scene = self.host.scene
        self.host.clear()
        self.registration = matrixNode(self.scene, "ReferenceToRas")
        self.needleNode = matrixNode(self.scene, "NeedleToReference", self.registration)
        self.probeNode = matrixNode(self.scene, "ProbeToReference", self.registration)
        self.calibration = matrixNode(self.scene, "ImageToProbe", self.probeNode)
        self.volume = self.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Image_Image")
        self.volume.SetAndObserveTransformNodeID(self.calibration.GetID())
        self.statuses = {role: ToolLiveness(True) for role in (NEEDLE, PROBE, REFERENCE)}
        self.path = pathFrame(ENTRY, TARGET)
        self.plan = NeedlePlan("Disc", "L4-L5", self.path, NeedleShape(120.0), np.eye(4))
        ball = distanceFromFunction(
            "ball",
            lambda p: np.linalg.norm(p - BALL_CENTER, axis=1) - BALL_RADIUS_MM,
            np.stack([BALL_CENTER - 40, BALL_CENTER + 40], 1),
            2.0,
        )
        self.session = GuidanceSession(
            self.scene,
            [self.plan],
            needleTransform=self.needleNode,
            toolStatuses=lambda: self.statuses,
            ultrasoundVolume=self.volume,
            structures=[RiskStructure(ball, 2.0)],
            errorModel=TipErrorModel(RegistrationCovariance(np.diag([1e-5] * 3 + [0.04] * 3), TARGET)),
        )
        self._util = slicer.util
        self.showImage(np.zeros((ROWS, COLUMNS), np.uint8))
        self.setMatrix(self.calibration, np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0]))
        self.moveProbe(np.eye(3), [-60.0, -55.0, 6.0])
        self.moveNeedle(TARGET - 30 * self.path.directionRas)

    def addCt(self) -> Any:
        spacing, counts = 1.0, np.array([120, 130, 80])
        ijkToRas = np.diag([-spacing, -spacing, spacing, 1.0])
        ijkToRas[:3, 3] = [60.0, 65.0, -40.0]
        i, j, k = np.meshgrid(*[np.arange(n) for n in counts], indexing="ij")
        ras = np.stack([60.0 - i, 65.0 - j, k - 40.0], -1)
        box = ((ras >= BOX_RAS[:, 0]) & (ras <= BOX_RAS[:, 1])).all(-1)
        voxels = np.where(box, 1000, 0).astype(np.int16).transpose(2, 1, 0)
        node = self._util.addVolumeFromArray(np.ascontiguousarray(voxels), name="CT")
        node.SetIJKToRASMatrix(vtkMatrixOf(ijkToRas))
        display = node.GetScalarVolumeDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(0, 1000)
        return node

    def addBall(self) -> Any:
        node = self.scene.AddNewNodeByClass("vtkMRMLModelNode", "ball")
        node.SetAndObservePolyData(spherePolyData(BALL_CENTER, BALL_RADIUS_MM))
        return node

    def setMatrix(self, node: Any, matrix: Any) -> None:
        node.SetMatrixTransformToParent(vtkMatrixOf(matrix))

    def showImage(self, pixels: Any) -> None:
        self._util.updateVolumeFromArray(self.volume, np.ascontiguousarray(pixels)[None])

    def moveProbe(self, rotation: Any, originRas: Any) -> None:
        self.setMatrix(self.probeNode, rigidFrom(rotation, originRas))

    def moveNeedle(self, tipRas: Any, directionRas: Any = None, rollDeg: float = 0.0) -> None:
        axes = uprightAxes(self.path.directionRas if directionRas is None else directionRas)
        turn = np.radians(rollDeg)
        roll = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        self.setMatrix(self.needleNode, rigidFrom(axes @ roll, tipRas))

    @property
    def imageToRas(self) -> Any:
        import vtk

        matrix = vtk.vtkMatrix4x4()
        self.calibration.GetMatrixTransformToWorld(matrix)
        return self._util.arrayFromVTKMatrix(matrix)


class RenderedScene(StreamedScene):
    """The same with off-screen views and the navigation views on them."""

    def __init__(self) -> None:
        super().__init__()
        from IntradiscalNavHeadless.OffscreenViews import SliceView, ThreeDView

        self.slices = {view: SliceView(self.host, view.tag, "Axial", SIZE) for view in Layout.SLICE_VIEWS}
        self.threeD = ThreeDView(self.host, Layout.THREE_D.tag, SIZE)
        self.ct = self.addCt()
        self.ball = self.addBall()
        self.views = NavigationViews(self.scene, ct=self.ct, anatomy=[AnatomyModel(self.ball, BALL_COLOR, 0.5)])
        self.timeSec = 1.0

    def tick(self) -> Any:
        self.timeSec += 0.05
        state = self.session.update(self.timeSec)
        self.views.update(state)
        return state

    def pixels(self, view: Any) -> Any:
        return (self.threeD if view is Layout.THREE_D else self.slices[view]).pixels()

    def screenOf(self, view: Any, pointRas: Any) -> tuple[int, int]:
        """(column, row from the top) where a point lies in a slice view, by the slice node's own matrix."""
        rasToXy = np.linalg.inv(self._util.arrayFromVTKMatrix(self.slices[view].node.GetXYToRAS()))
        x, y = (rasToXy @ [*np.asarray(pointRas, float), 1.0])[:2]
        return round(float(x)), round(SIZE[1] - 1 - float(y))


@pytest.fixture
def streamed() -> StreamedScene:
    return StreamedScene()


@pytest.fixture(scope="module")
def sharedViews() -> RenderedScene:
    reason = whyNoRendering()
    if reason:
        pytest.skip(reason)
    return RenderedScene()


@pytest.fixture
def rendered(sharedViews: RenderedScene) -> RenderedScene:
    """The shared scene, put back to its start (making views takes longer than using them)."""
    scene = sharedViews
    scene.statuses.update({role: ToolLiveness(True) for role in (NEEDLE, PROBE, REFERENCE)})
    scene.setMatrix(scene.calibration, np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0]))
    scene.moveProbe(np.eye(3), [-60.0, -55.0, 6.0])
    scene.moveNeedle(TARGET - 30 * scene.path.directionRas)
    scene.views.curtain, scene.views.opacity, scene.views.followNeedle = 0.0, 0.6, False
    scene.views.release()
    scene.session.warnings = ()
    for picture in (scene.views.fusionPicture, scene.views.ultrasoundPicture):
        picture.fan.setTo(np.ones((ROWS, COLUMNS), bool))
    scene.showImage(np.full((ROWS, COLUMNS), 60, np.uint8))
    return scene
