"""Slice and 3D views of a scene without a window: the real MRML displayable managers, rendered off-screen.

The view nodes are the ones Slicer's layout manager would make (``vtkMRMLSliceNodeRed``, ``vtkMRMLViewNode1``, ...), so
what moves them (our Views room) runs unchanged in Slicer.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from IntradiscalNavHeadless.RenderingProbe import whyNoRendering
from IntradiscalNavHeadless.SceneHost import SceneHost
from IntradiscalNavLib.Views.ViewMosaic import windowPicture

SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLScalarBarDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)
THREE_D_MANAGERS = (
    "vtkMRMLVolumeRenderingDisplayableManager",
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLThreeDReformatDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager3D",
    "vtkMRMLLinearTransformsDisplayableManager",
    "vtkMRMLColorLegendDisplayableManager",
)


class OffscreenView:
    """Render window, renderer and displayable managers of one view node."""

    def __init__(self, host: SceneHost, sizePixels: tuple[int, int]) -> None:
        reason = whyNoRendering()
        if reason:
            raise RuntimeError(reason)
        self.scene = host.scene
        self._applicationLogic = host.applicationLogic
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)
        self.window.SetSize(*sizePixels)
        self.window.AddRenderer(self.renderer)
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.Initialize()
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.SetRenderer(self.renderer)
        self.node: Any = None
        self._host = host
        # The host keeps a view until it is closed: left to the garbage collector, it would be called by the scene half dismantled.
        host.openViews.append(self)

    def _registerManagers(self, factoryClass: Any, names: Sequence[str]) -> None:
        factory = factoryClass.GetInstance()
        factory.SetMRMLApplicationLogic(self._applicationLogic)
        for name in names:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        self.managers.Initialize(factory, self.renderer)

    def manager(self, className: str) -> Any:
        return self.managers.GetDisplayableManagerByClassName(className)

    def render(self) -> None:
        self.window.Render()

    def close(self) -> None:
        """Take the view's nodes out of the scene; the view can't be rendered any more. Closing twice does no harm."""
        if self not in self._host.openViews:
            return
        self._host.openViews.remove(self)
        self._detach()
        self.managers.SetMRMLDisplayableNode(None)
        self.scene.RemoveNode(self.node)
        self.window.Finalize()

    def _detach(self) -> None:
        """What a kind of view takes off before its node goes."""

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Rendered picture, (rows, columns, 3) uint8, first row on top."""
        self.render()
        return windowPicture(self.window)

    def writePng(self, path: pathlib.Path | str) -> pathlib.Path:
        from PIL import Image

        path = pathlib.Path(path)
        Image.fromarray(self.pixels()).save(path)
        return path


def removeViewNodes(scene: Any, name: str, classNames: Sequence[str]) -> None:
    """Remove view nodes that a loaded scene brought for a view of this name: no window shows them, and a new view wouldn't own them."""
    for className in classNames:
        stale = [scene.GetNthNodeByClass(index, className) for index in range(scene.GetNumberOfNodesByClass(className))]
        for node in stale:
            if name in (node.GetSingletonTag(), getattr(node, "GetLayoutName", lambda: None)()):
                scene.RemoveNode(node)


class SliceView(OffscreenView):
    """A slice view; ``name`` is the layout name (Red, Yellow, ... or one of the navigation layout)."""

    def __init__(self, host: SceneHost, name: str = "Red", orientation: str = "Axial", sizePixels: tuple[int, int] = (512, 512)) -> None:
        super().__init__(host, sizePixels)
        removeViewNodes(self.scene, name, ("vtkMRMLSliceCompositeNode", "vtkMRMLSliceNode", "vtkMRMLSliceDisplayNode"))
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        self._overlay = vtk.vtkRenderer()
        self._overlay.GetActiveCamera().ParallelProjectionOn()
        self._overlay.SetLayer(1)
        self.window.SetNumberOfLayers(2)
        self.window.AddRenderer(self._overlay)
        self.window.SetAlphaBitPlanes(1)
        mapper = vtk.vtkImageMapper()
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        self._imageActor = vtk.vtkActor2D()
        self._imageActor.SetMapper(mapper)
        self._imageActor.GetProperty().SetDisplayLocationToBackground()
        self._registerManagers(slicer.vtkMRMLSliceViewDisplayableManagerFactory, SLICE_MANAGERS)
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(self._applicationLogic)
        self._applicationLogic.GetSliceLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(self.scene)
        self.node = self.logic.AddSliceNode(name)
        self.node.SetOrientation(orientation)
        self.node.SetMappedInLayout(1)
        self.compositeNode = self.logic.GetSliceCompositeNode()
        self.managers.SetMRMLDisplayableNode(self.node)
        self.logic.ResizeSliceNode(*sizePixels)
        self._connection: Any = None
        self._observation = self.logic.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onSliceModified)
        self._onSliceModified()

    def _detach(self) -> None:
        self.logic.RemoveObserver(self._observation)
        self._applicationLogic.GetSliceLogics().RemoveItem(self.logic)
        self.scene.RemoveNode(self.compositeNode)

    def _onSliceModified(self, *_arguments: object) -> None:
        connection = self.logic.GetImageDataConnection()
        if connection is self._connection:
            return
        self._connection = connection
        self._imageActor.GetMapper().SetInputConnection(connection)
        if connection is not None and not self.renderer.HasViewProp(self._imageActor):
            self.renderer.AddViewProp(self._imageActor)
        self._imageActor.SetVisibility(connection is not None)

    def show(self, background: Any = None, foreground: Any = None, opacity: float = 0.5, label: Any = None) -> None:
        """Volumes to blend: background, foreground at ``opacity`` 0..1, and a label map."""
        if background is not None:
            self.compositeNode.SetBackgroundVolumeID(background.GetID())
        if foreground is not None:
            self.compositeNode.SetForegroundVolumeID(foreground.GetID())
            self.compositeNode.SetForegroundOpacity(opacity)
        if label is not None:
            self.compositeNode.SetLabelVolumeID(label.GetID())

    def fitToBackground(self) -> None:
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()


class ThreeDView(OffscreenView):
    """A 3D view with camera node."""

    def __init__(
        self,
        host: SceneHost,
        name: str = "1",
        sizePixels: tuple[int, int] = (640, 512),
        backgroundColor: tuple[float, float, float] = (0.05, 0.06, 0.09),
    ) -> None:
        super().__init__(host, sizePixels)
        removeViewNodes(self.scene, name, ("vtkMRMLViewNode", "vtkMRMLCameraNode"))
        self.renderer.SetUseDepthPeeling(True)
        self._registerManagers(slicer.vtkMRMLThreeDViewDisplayableManagerFactory, THREE_D_MANAGERS)
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(self._applicationLogic)
        self._applicationLogic.GetViewLogics().AddItem(self.logic)
        self.logic.SetMRMLScene(self.scene)
        self.node = self.logic.AddViewNode(name)
        self.node.SetMappedInLayout(1)
        self.managers.SetMRMLDisplayableNode(self.node)
        self.node.SetBackgroundColor(*backgroundColor)
        self.node.SetBackgroundColor2(*backgroundColor)
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)

    def cameraNode(self) -> Any:
        """Camera node of the view; None where a loaded scene brought the view node but its camera belongs to no manager yet."""
        return self.manager("vtkMRMLCameraDisplayableManager").GetCameraNode()

    def lookFrom(self, positionRas: Sequence[float], focalPointRas: Sequence[float], viewUpRas: Sequence[float] = (0.0, 0.0, 1.0)) -> None:
        """Place the camera (RAS mm)."""
        camera = self.cameraNode() or self.renderer.GetActiveCamera()
        camera.SetPosition(*positionRas)
        camera.SetFocalPoint(*focalPointRas)
        camera.SetViewUp(*viewUpRas)
        self.renderer.ResetCameraClippingRange()

    def fitToScene(self) -> None:
        self.renderer.ResetCamera()
        self.renderer.ResetCameraClippingRange()
