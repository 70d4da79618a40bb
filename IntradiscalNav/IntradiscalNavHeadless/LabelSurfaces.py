"""Surface models of labelled structures, in RAS, for the views."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def surfaceOfMask(mask: npt.NDArray[np.bool_], ijkToRas: npt.ArrayLike, smoothingIterations: int = 20, targetReduction: float = 0.6) -> Any:
    """vtkPolyData of a mask (k, j, i): contour, windowed-sinc smoothing, decimation; normals outward. Empty mask gives an empty surface."""
    import vtk
    from vtkmodules.util.numpy_support import numpy_to_vtk

    index = np.argwhere(mask)
    result = vtk.vtkPolyData()
    if not len(index):
        return result
    low = np.maximum(index.min(axis=0) - 2, 0)
    high = np.minimum(index.max(axis=0) + 3, mask.shape)
    crop = np.pad(mask[tuple(slice(int(a), int(b)) for a, b in zip(low, high))], 1)
    image = vtk.vtkImageData()
    image.SetDimensions(crop.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(crop.astype(np.uint8).ravel() * 100, deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 50)
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(contour.GetOutputPort())
    smooth.SetNumberOfIterations(smoothingIterations)
    smooth.SetPassBand(0.08)
    smooth.NonManifoldSmoothingOn()
    smooth.NormalizeCoordinatesOn()
    reduce = vtk.vtkQuadricDecimation()
    reduce.SetInputConnection(smooth.GetOutputPort())
    reduce.SetTargetReduction(targetReduction)
    toRas = np.asarray(ijkToRas, float).copy()
    toRas[:3, 3] = toRas[:3, :3] @ (low[::-1] - 1.0) + toRas[:3, 3]
    transform = vtk.vtkTransform()
    transform.SetMatrix(toRas.ravel().tolist())
    move = vtk.vtkTransformPolyDataFilter()
    move.SetInputConnection(reduce.GetOutputPort())
    move.SetTransform(transform)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(move.GetOutputPort())
    normals.SplittingOff()
    normals.Update()
    result.DeepCopy(normals.GetOutput())
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
