"""Nodes that exist only to be seen: made once, updated in place, never saved with the scene, hidden from the data tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

Color = tuple[float, float, float]

NEEDLE_COLOR: Color = (0.94, 0.89, 0.26)
PATH_COLOR: Color = (0.10, 0.85, 0.62)
TARGET_COLOR: Color = (0.93, 0.55, 0.78)
BONE_COLOR: Color = (0.34, 0.71, 0.91)
END_POINT_COLOR: Color = (1.0, 1.0, 1.0)
NOT_LIVE_COLOR: Color = (0.5, 0.5, 0.5)
"""Okabe and Ito's palette (2008), lightened for a dark room; grey means *not live* and nothing else."""


def makeNode(scene: Any, className: str, name: str) -> Any:
    """A node of ours, hidden from editors and never saved."""
    node = scene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetName(name)
    node.SetHideFromEditors(1)
    node.SetSaveWithScene(0)
    return scene.AddNode(node)


def setMatrix(transformNode: Any, matrix: npt.ArrayLike) -> None:
    """Write a 4x4 array into a linear transform node (one modification event)."""
    import vtk

    target = vtk.vtkMatrix4x4()
    target.DeepCopy(np.asarray(matrix, float).ravel().tolist())
    transformNode.SetMatrixTransformToParent(target)


def addDisplay(scene: Any, modelNode: Any, viewNodes: Iterable[Any], color: Color, opacity: float = 1.0) -> Any:
    """One more display of a model, seen only in the given views."""
    display = makeNode(scene, "vtkMRMLModelDisplayNode", f"{modelNode.GetName()}Display")
    wasModifying = display.StartModify()
    display.SetColor(*color)
    display.SetOpacity(opacity)
    for view in viewNodes:
        display.AddViewNodeID(view.GetID())
    display.EndModify(wasModifying)
    modelNode.AddAndObserveDisplayNodeID(display.GetID())
    return display


def showContour(display: Any, widthPixels: int) -> None:
    """Show the cut of the model with the slice, as a line."""
    display.SetVisibility2D(True)
    display.SetVisibility3D(False)
    display.SetSliceDisplayModeToIntersection()
    display.SetSliceIntersectionThickness(widthPixels)


class LineModel:
    """Line strokes in RAS, drawn on slices as seen across them. The strokes carry their own depth; the view flattens them."""

    def __init__(self, scene: Any, name: str, viewNodes: Sequence[Any], color: Color, widthPixels: int) -> None:
        import vtk

        self._vtk = vtk
        self._polyData = vtk.vtkPolyData()
        self._polyData.SetPoints(vtk.vtkPoints())
        self.node = makeNode(scene, "vtkMRMLModelNode", name)
        self.node.SetAndObservePolyData(self._polyData)
        self.display = addDisplay(scene, self.node, viewNodes, color)
        self.display.SetVisibility2D(True)
        self.display.SetVisibility3D(False)
        self.display.SetSliceDisplayModeToProjection()
        self.display.SetSliceIntersectionThickness(widthPixels)
        self._segments: FloatArray = np.zeros((0, 2, 3))
        self._color = color

    def show(self, segments: FloatArray) -> None:
        """Draw these segments (n, 2, 3) and no others."""
        if segments.shape == self._segments.shape and np.array_equal(segments, self._segments):
            return
        from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

        self._segments = segments.copy()
        count = len(segments)
        points = self._vtk.vtkPoints()
        points.SetData(numpy_to_vtk(np.ascontiguousarray(segments.reshape(-1, 3)), deep=1))
        lines = self._vtk.vtkCellArray()
        lines.SetData(
            numpy_to_vtkIdTypeArray(np.arange(0, 2 * count + 1, 2, dtype=np.int64), deep=1),
            numpy_to_vtkIdTypeArray(np.arange(2 * count, dtype=np.int64), deep=1),
        )
        self._polyData.SetPoints(points)
        self._polyData.SetLines(lines)
        self._polyData.Modified()

    def setColor(self, color: Color) -> None:
        if color != self._color:
            self._color = color
            self.display.SetColor(*color)
