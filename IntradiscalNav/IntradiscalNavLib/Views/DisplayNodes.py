"""Nodes that exist only to be seen: made once, updated in place, never saved with the scene, hidden from the data tree."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

Color = tuple[float, float, float]
Indices = npt.NDArray[np.uint8]

NEEDLE_COLOR: Color = (0.94, 0.89, 0.26)
PATH_COLOR: Color = (0.10, 0.85, 0.62)
TARGET_COLOR: Color = (0.93, 0.55, 0.78)
BONE_COLOR: Color = (0.34, 0.71, 0.91)
END_POINT_COLOR: Color = (1.0, 1.0, 1.0)
NOT_LIVE_COLOR: Color = (0.5, 0.5, 0.5)
"""Okabe and Ito's palette (2008), lightened for a dark room; grey means *not live* and nothing else."""


OURS_ATTRIBUTE = "IntradiscalNav.DisplayOnly"
COLOR_ARRAY = "Color"
PALETTE_SIZE = 256


def makeNode(scene: Any, className: str, name: str) -> Any:
    """A node of ours, hidden from editors and never saved."""
    node = scene.CreateNodeByClass(className)
    node.UnRegister(None)
    node.SetName(name)
    node.SetHideFromEditors(1)
    node.SetSaveWithScene(0)
    node.SetAttribute(OURS_ATTRIBUTE, "1")
    return scene.AddNode(node)


def removeOurNodes(scene: Any) -> int:
    """Remove every node made by ``makeNode``; their number."""
    ours = [
        node
        for node in (scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes()))
        if node.GetAttribute(OURS_ATTRIBUTE) is not None
    ]
    for node in ours:
        scene.RemoveNode(node)
    return len(ours)


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


class StrokePalette:
    """Colour table of the strokes. (Colours of their own per line make MRML's slice views log an error at each rendering.)"""

    def __init__(self, scene: Any) -> None:
        self.node = makeNode(scene, "vtkMRMLColorTableNode", "NavStrokeColors")
        self.node.SetTypeToUser()
        self.node.SetNumberOfColors(PALETTE_SIZE)
        self._indices: dict[Color, int] = {}

    def index(self, color: Color) -> int:
        """Place of a colour in the table.

        :raises ValueError: when more than 256 different colours are asked for.
        """
        index = self._indices.get(color)
        if index is None:
            index = len(self._indices)
            if index >= PALETTE_SIZE:
                raise ValueError(
                    _("More than {paletteSize} different line colours. Give structures of one kind the same colour.").format(
                        paletteSize=PALETTE_SIZE
                    )
                )
            self._indices[color] = index
            self.node.SetColor(index, *color, 1.0)
        return index


class StrokeModel:
    """Line strokes in RAS, each in its own colour, drawn on one slice view. They carry their true depth; the view flattens them."""

    def __init__(self, scene: Any, name: str, viewNodes: Sequence[Any], widthPixels: int, palette: StrokePalette) -> None:
        import vtk

        self._palette = palette
        self._points, self._scalars = vtk.vtkPoints(), vtk.vtkUnsignedCharArray()
        self._points.SetDataTypeToDouble()
        self._coordinates = self._points.GetData()
        self._scalars.SetName(COLOR_ARRAY)
        self._prepared, self._polyData = vtk.vtkPolyData(), vtk.vtkPolyData()
        self._prepared.SetPoints(self._points)
        self._prepared.GetCellData().SetScalars(self._scalars)
        self._draw(np.zeros((1, 2, 3)), np.zeros(1, np.uint8))
        self.node = makeNode(scene, "vtkMRMLModelNode", name)
        self.node.SetAndObservePolyData(self._polyData)
        self.display = addDisplay(scene, self.node, viewNodes, (1.0, 1.0, 1.0))
        wasModifying = self.display.StartModify()
        self.display.SetVisibility(False)
        self.display.SetVisibility2D(True)
        self.display.SetVisibility3D(False)
        self.display.SetSliceDisplayModeToProjection()
        self.display.SetSliceIntersectionThickness(widthPixels)
        self.display.SetActiveScalar(COLOR_ARRAY, vtk.vtkAssignAttribute.CELL_DATA)
        self.display.SetScalarRangeFlag(self.display.UseManualScalarRange)
        self.display.SetScalarRange(0.0, PALETTE_SIZE - 1.0)
        self.display.SetAndObserveColorNodeID(palette.node.GetID())
        self.display.SetScalarVisibility(True)
        self.display.EndModify(wasModifying)
        self._visible = True
        self._viewIds = [view.GetID() for view in viewNodes]
        self.segments: FloatArray = np.zeros((0, 2, 3))
        self.colors: Indices = np.zeros(0, np.uint8)

    def setViews(self, viewNodes: Sequence[Any]) -> None:
        """Draw on these views."""
        ids = [view.GetID() for view in viewNodes]
        if ids != self._viewIds:
            self._viewIds = ids
            wasModifying = self.display.StartModify()
            self.display.RemoveAllViewNodeIDs()
            for viewId in ids:
                self.display.AddViewNodeID(viewId)
            self.display.EndModify(wasModifying)

    def merge(self, parts: Sequence[tuple[FloatArray, Color]]) -> tuple[FloatArray, Indices]:
        """Parts of one colour each as one part with a palette index per segment."""
        filled = [(segments, color) for segments, color in parts if len(segments)]
        if not filled:
            return np.zeros((0, 2, 3)), np.zeros(0, np.uint8)
        indices = np.array([self._palette.index(color) for _unused, color in filled], np.uint8)
        return np.concatenate([part for part, _unused in filled]), np.repeat(indices, [len(part) for part, _unused in filled])

    def show(self, *parts: tuple[FloatArray, Indices]) -> None:
        """Draw these and nothing else: segments (n, 2, 3) with a palette index each. Later parts lie on top."""
        segments = np.concatenate([part for part, _unused in parts])
        colors = np.concatenate([color for _unused, color in parts])
        if np.array_equal(segments, self.segments) and np.array_equal(colors, self.colors):
            return
        self.segments, self.colors = segments, colors
        if len(segments):
            # The copy is two modifications when the number of strokes changes, and every one of them is heard by all the views.
            wasModifying = self.node.StartModify()
            self._draw(segments, colors)
            self.node.EndModify(wasModifying)
        self.setVisible(self._visible)

    def _draw(self, segments: FloatArray, colors: Indices) -> None:
        """Put the strokes into the poly data that the scene holds.

        ``numpy_to_vtk`` and new VTK objects at every tick would take ten times the time.
        """
        _shareMemory(self._coordinates, segments)
        self._points.Modified()
        _shareMemory(self._scalars, colors)
        self._scalars.Modified()
        self._prepared.SetLines(_cellsOf(len(colors)))
        self._polyData.ShallowCopy(self._prepared)

    def setVisible(self, visible: bool) -> None:
        """Draw at all. Nothing to draw is hidden too."""
        self._visible = visible
        shown = visible and len(self.segments) > 0
        if bool(self.display.GetVisibility()) != shown:
            self.display.SetVisibility(shown)


def _shareMemory(vtkArray: Any, values: npt.NDArray[Any]) -> None:
    """Let a VTK array read the memory of a numpy array, which it keeps alive."""
    flat = np.ascontiguousarray(values).reshape(-1)
    vtkArray.SetVoidArray(flat, flat.size, 1)
    vtkArray._numpyReference = flat


_lineCells: dict[int, Any] = {}
"""Cells of n separate lines are always the same; a few hundred counts occur."""


def _cellsOf(count: int) -> Any:
    import vtk
    from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray

    cells = _lineCells.get(count)
    if cells is None:
        cells = vtk.vtkCellArray()
        cells.SetData(2, numpy_to_vtkIdTypeArray(np.arange(2 * count, dtype=np.int64), deep=1))
        if len(_lineCells) > 2000:
            _lineCells.clear()
        _lineCells[count] = cells
    return cells
