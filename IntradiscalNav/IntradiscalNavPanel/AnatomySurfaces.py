"""Surfaces of vertebrae and nerves as model nodes, for the contours in the slices and the 3D view."""

import numpy as np
import vtk
from vtk.util import numpy_support

BONE_COLOR = (0.93, 0.87, 0.72)
ROOT_COLOR = (0.94, 0.89, 0.26)
DURA_COLOR = (0.35, 0.70, 0.90)


def maskSurface(mask, ijkToRas):
    """vtkPolyData in RAS of a mask (k, j, i): smoothed and decimated, so that slices can cut it 30 times a second."""
    index = np.argwhere(mask)
    low, high = np.maximum(index.min(axis=0) - 1, 0), index.max(axis=0) + 2
    crop = np.pad(mask[tuple(slice(int(a), int(b)) for a, b in zip(low, high))], 1)
    image = vtk.vtkImageData()
    image.SetDimensions(crop.shape[::-1])
    image.GetPointData().SetScalars(numpy_support.numpy_to_vtk(crop.astype(np.uint8).ravel() * 100, deep=True))
    toRas = np.array(ijkToRas, float)
    toRas[:3, 3] += toRas[:3, :3] @ (low[::-1] - 1.0)
    transform = vtk.vtkTransform()
    transform.SetMatrix(toRas.ravel().tolist())
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 50)
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(contour.GetOutputPort())
    smooth.SetPassBand(0.08)
    smooth.NormalizeCoordinatesOn()
    reduce = vtk.vtkQuadricDecimation()
    reduce.SetInputConnection(smooth.GetOutputPort())
    reduce.SetTargetReduction(0.7)
    move = vtk.vtkTransformPolyDataFilter()
    move.SetInputConnection(reduce.GetOutputPort())
    move.SetTransform(transform)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(move.GetOutputPort())
    normals.SplittingOff()
    normals.Update()
    return normals.GetOutput()


def nerveSurface(nerve):
    """Tube along a nerve's polyline."""
    line = vtk.vtkPolyLineSource()
    line.SetNumberOfPoints(len(nerve.pointsRas))
    for number, point in enumerate(nerve.pointsRas):
        line.SetPoint(number, *point)
    tube = vtk.vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(float(np.mean(nerve.radiusMm)))
    tube.SetNumberOfSides(12)
    tube.CappingOn()
    tube.Update()
    return tube.GetOutput()


def addAnatomyModels(scene, anatomy):
    """AnatomyModel per vertebra and nerve; a model of the same name that is in the scene already is used again."""
    from IntradiscalNavLib.Planning.StructureNames import StructureKind
    from IntradiscalNavLib.Views.NavigationViews import AnatomyModel

    surfaces = []
    for value in anatomy.labelValues(StructureKind.VERTEBRA):
        mask = anatomy.labels == value
        if mask.any():
            surfaces.append(
                (
                    anatomy.structures[value].name or f"vertebra {value}",
                    lambda mask=mask: maskSurface(mask, anatomy.ijkToRas),
                    BONE_COLOR,
                    1.0,
                )
            )
    for nerve in anatomy.nerves:
        color, opacity = (DURA_COLOR, 0.45) if nerve.kind == "dura" else (ROOT_COLOR, 0.9)
        surfaces.append((nerve.name, lambda nerve=nerve: nerveSurface(nerve), color, opacity))
    models = []
    for name, surface, color, opacity in surfaces:
        node = scene.GetFirstNodeByName(name)
        if node is None or not node.IsA("vtkMRMLModelNode"):
            node = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
            node.SetAndObservePolyData(surface())
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetColor(*color)
            node.GetDisplayNode().SetOpacity(opacity)
        models.append(AnatomyModel(node, color, opacity))
    return tuple(models)
