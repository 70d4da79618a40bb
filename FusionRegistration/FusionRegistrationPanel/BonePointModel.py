"""Bone points of an ultrasound sweep as a model node's polydata, and back."""

import numpy as np
import vtk
from vtk.util import numpy_support

_VECTOR_ARRAYS = ("beamOffsetsMm", "elevations")
_SCALAR_ARRAYS = ("frames", "confidence")


def polyDataOfBonePoints(points):
    """vtkPolyData of a BonePoints: vertices in the Reference frame (mm), everything else as point arrays of the same names."""
    polyData = vtk.vtkPolyData()
    vtkPoints = vtk.vtkPoints()
    vtkPoints.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(points.pointsReference), deep=True))
    polyData.SetPoints(vtkPoints)
    vertices = vtk.vtkCellArray()
    for index in range(len(points)):
        vertices.InsertNextCell(1)
        vertices.InsertCellPoint(index)
    polyData.SetVerts(vertices)
    for name in (*_VECTOR_ARRAYS, *_SCALAR_ARRAYS):
        values = getattr(points, name)
        if values is not None:
            array = numpy_support.numpy_to_vtk(np.ascontiguousarray(values, float), deep=True)
            array.SetName(name)
            polyData.GetPointData().AddArray(array)
    return polyData


def bonePointsOfPolyData(polyData):
    """BonePoints of a polydata; arrays that it doesn't carry are unknown.

    :raises ValueError: no points, or coordinates that aren't numbers
    """
    from FusionRegistrationLib.BonePoints import BonePoints

    if polyData is None or polyData.GetNumberOfPoints() == 0:
        raise ValueError("The model of scanned bone holds no points: scan the back first.")
    values = {}
    for name in (*_VECTOR_ARRAYS, *_SCALAR_ARRAYS):
        array = polyData.GetPointData().GetArray(name)
        if array is not None:
            values[name] = numpy_support.vtk_to_numpy(array).astype(np.int64 if name == "frames" else float)
    return BonePoints(numpy_support.vtk_to_numpy(polyData.GetPoints().GetData()).astype(float), **values)
