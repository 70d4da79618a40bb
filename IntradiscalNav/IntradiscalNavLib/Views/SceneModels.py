"""What stands in the 3D view: needle, path, target, ultrasound fan with the live picture, and the ellipsoid of what is known of the tip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.TipUncertainty import TipUncertainty
from IntradiscalNavLib.Views.DisplayNodes import Color, addDisplay, makeNode, setMatrix
from IntradiscalNavLib.Views.LabelSurface import maskSurface
from TranslatedText.Translation import tr as _


def needlePolyData(shape: NeedleShape, hubLengthMm: float = 18.0, hubDiameterMm: float = 6.0) -> Any:
    """Needle with a bevelled-looking cone tip at the origin, shaft along -Z, and a hub behind it."""
    import vtk

    append = vtk.vtkAppendPolyData()
    # Drawn no thinner than 1.2 mm: a 22 G needle in its true width vanishes on a screen at two metres.
    radius = max(shape.diameterMm, 1.2) / 2
    tipMm = 4.0 * radius
    for profile in (
        [(0.0, 0.0), (radius, -tipMm), (radius, -shape.lengthMm), (0.0, -shape.lengthMm)],
        [
            (0.0, -shape.lengthMm + 1),
            (hubDiameterMm / 2, -shape.lengthMm),
            (hubDiameterMm / 2, -shape.lengthMm - hubLengthMm),
            (0.0, -shape.lengthMm - hubLengthMm),
        ],
    ):
        append.AddInputData(_revolved(profile))
    append.Update()
    return append.GetOutput()


def _revolved(profile: Sequence[tuple[float, float]], sides: int = 20) -> Any:
    """Solid of revolution about Z of (radius, z) points."""
    import vtk

    points = vtk.vtkPoints()
    line = vtk.vtkCellArray()
    line.InsertNextCell(len(profile))
    for radius, z in profile:
        line.InsertCellPoint(points.InsertNextPoint(radius, 0.0, z))
    outline = vtk.vtkPolyData()
    outline.SetPoints(points)
    outline.SetLines(line)
    revolve = vtk.vtkRotationalExtrusionFilter()
    revolve.SetInputData(outline)
    revolve.SetResolution(sides)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(revolve.GetOutputPort())
    normals.SetFeatureAngle(40)
    normals.Update()
    return normals.GetOutput()


def tubePolyData(startRas: npt.ArrayLike, endRas: npt.ArrayLike, radiusMm: float) -> Any:
    import vtk

    line = vtk.vtkLineSource()
    line.SetPoint1(*np.asarray(startRas, float))
    line.SetPoint2(*np.asarray(endRas, float))
    tube = vtk.vtkTubeFilter()
    tube.SetInputConnection(line.GetOutputPort())
    tube.SetRadius(radiusMm)
    tube.SetNumberOfSides(16)
    tube.CappingOn()
    tube.Update()
    return tube.GetOutput()


def spherePolyData(centerRas: npt.ArrayLike, radiusMm: float) -> Any:
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*np.asarray(centerRas, float))
    sphere.SetRadius(radiusMm)
    sphere.SetThetaResolution(24)
    sphere.SetPhiResolution(24)
    sphere.Update()
    return sphere.GetOutput()


def fanPolyData(mask: npt.NDArray[np.bool_], cells: int = 64) -> Any:
    """Picture surface in pixel coordinates (z = 0) with texture coordinates, cut to the cells that carry ultrasound."""
    import vtk
    from vtkmodules.util.numpy_support import numpy_to_vtk

    rows, columns = mask.shape
    columnEdges = np.linspace(0, columns, cells + 1).round().astype(int)
    rowEdges = np.linspace(0, rows, cells + 1).round().astype(int)
    summed = np.add.reduceat(np.add.reduceat(mask.astype(np.int64), rowEdges[:-1], axis=0), columnEdges[:-1], axis=1)
    filled = summed * 2 > np.outer(np.diff(rowEdges), np.diff(columnEdges))
    x, y = np.meshgrid(columnEdges - 0.5, rowEdges - 0.5)
    points = vtk.vtkPoints()
    points.SetData(numpy_to_vtk(np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)]), deep=1))
    quads = vtk.vtkCellArray()
    stride = cells + 1
    for row, column in zip(*np.nonzero(filled)):
        first = int(row) * stride + int(column)
        quads.InsertNextCell(4)
        for corner in (first, first + 1, first + stride + 1, first + stride):
            quads.InsertCellPoint(corner)
    coordinates = numpy_to_vtk(np.column_stack([(x.ravel() + 0.5) / columns, (y.ravel() + 0.5) / rows]), deep=1)
    coordinates.SetName("TextureCoordinates")
    surface = vtk.vtkPolyData()
    surface.SetPoints(points)
    surface.SetPolys(quads)
    surface.GetPointData().SetTCoords(coordinates)
    return surface


class PlacedModel:
    """Model under a transform of its own, moved as a whole."""

    def __init__(self, scene: Any, name: str, polyData: Any, viewNodes: Sequence[Any], color: Color, opacity: float = 1.0) -> None:
        self.transformNode = makeNode(scene, "vtkMRMLLinearTransformNode", f"{name}ToRAS")
        self.node = makeNode(scene, "vtkMRMLModelNode", name)
        self.node.SetAndObservePolyData(polyData)
        self.node.SetAndObserveTransformNodeID(self.transformNode.GetID())
        self.display = addDisplay(scene, self.node, viewNodes, color, opacity)
        self._color = color
        self._matrix: FloatArray | None = None

    def place(self, modelToRas: FloatArray) -> None:
        if self._matrix is None or not np.array_equal(self._matrix, modelToRas):
            self._matrix = modelToRas.copy()
            setMatrix(self.transformNode, modelToRas)

    def setColor(self, color: Color) -> None:
        if color != self._color:
            self._color = color
            self.display.SetColor(*color)

    def setVisible(self, visible: bool) -> None:
        if bool(self.display.GetVisibility()) != visible:
            self.display.SetVisibility(visible)


def ellipsoidToRas(uncertainty: TipUncertainty, centerRas: FloatArray) -> FloatArray:
    """Matrix that takes the unit sphere to the 95 % ellipsoid of the tip."""
    matrix = np.eye(4)
    matrix[:3, :3] = uncertainty.axesRas * np.maximum(uncertainty.semiAxes95Mm, 0.05)
    if np.linalg.det(matrix[:3, :3]) < 0:
        matrix[:3, 0] *= -1
    matrix[:3, 3] = centerRas
    return matrix


def labelModels(
    scene: Any, labels: npt.ArrayLike, ijkToRas: npt.ArrayLike, names: Mapping[int, str], triangles: int = 8000
) -> dict[int, Any]:
    """Smooth closed surfaces of label values (k, j, i), as model nodes in RAS without a display (the views give them theirs).

    :raises ValueError: when a value has no voxels.
    """
    array = np.asarray(labels)
    nodes: dict[int, Any] = {}
    for value, name in names.items():
        surface = maskSurface(array == value, ijkToRas, mostTriangles=triangles)
        if not surface.GetNumberOfPolys():
            raise ValueError(_("Label {value} ({name}) has no voxels. Segment it again or leave it out.").format(value=value, name=name))
        nodes[value] = scene.AddNewNodeByClass("vtkMRMLModelNode", name)
        nodes[value].SetAndObservePolyData(surface)
    return nodes
