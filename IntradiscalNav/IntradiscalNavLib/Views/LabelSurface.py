"""Surfaces of labelled structures in RAS, and their models in the scene."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def maskSurface(
    mask: npt.NDArray[np.bool_], ijkToRas: npt.ArrayLike, *, targetReduction: float = 0.6, mostTriangles: int | None = None
) -> Any:
    """vtkPolyData in RAS of a mask (k, j, i): contour, windowed-sinc smoothing, decimation; normals outward.

    An empty mask gives an empty surface.

    :param targetReduction: share of the triangles to leave out.
    :param mostTriangles: reduce to this number instead, and not at all where there are fewer.
    """
    import vtk
    from vtkmodules.util.numpy_support import numpy_to_vtk

    index = np.argwhere(mask)
    result = vtk.vtkPolyData()
    if not len(index):
        return result
    low, high = index.min(axis=0), index.max(axis=0) + 1
    crop = np.pad(mask[tuple(slice(int(a), int(b)) for a, b in zip(low, high))], 2)
    image = vtk.vtkImageData()
    image.SetDimensions(crop.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(crop.astype(np.uint8).ravel() * 100, deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 50)
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(contour.GetOutputPort())
    smooth.SetNumberOfIterations(20)
    smooth.SetPassBand(0.08)
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    if mostTriangles is not None:
        smooth.Update()
        targetReduction = 1.0 - min(1.0, mostTriangles / max(smooth.GetOutput().GetNumberOfPolys(), 1))
    reduce = vtk.vtkQuadricDecimation()
    reduce.SetInputConnection(smooth.GetOutputPort())
    reduce.SetTargetReduction(targetReduction)
    toRas = np.array(ijkToRas, float)
    toRas[:3, 3] += toRas[:3, :3] @ (low[::-1] - 2.0)
    transform = vtk.vtkTransform()
    transform.SetMatrix(toRas.ravel().tolist())
    move = vtk.vtkTransformPolyDataFilter()
    move.SetInputConnection((reduce if targetReduction > 0 else smooth).GetOutputPort())
    move.SetTransform(transform)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(move.GetOutputPort())
    normals.SplittingOff()
    normals.Update()
    result.ShallowCopy(normals.GetOutput())
    return result


def addSurfaceModel(scene: Any, name: str, surface: Any, color: tuple[float, float, float], opacity: float = 1.0) -> Any:
    """Model node with display node."""
    node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
    node.SetAndObservePolyData(surface)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetColor(*color)
    display.SetOpacity(opacity)
    return node
