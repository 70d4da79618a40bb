"""Which model of a scene is the tissue surface of the motion metrics: the skin."""

from __future__ import annotations

from typing import Any

TISSUE_ATTRIBUTE = "IntradiscalNav.Tissue"


def isTissueModel(node: Any) -> bool:
    """Marked as tissue, or named as Perk Tutor's users and segmentation programs name it: tissue, skin, body."""
    if node.GetAttribute(TISSUE_ATTRIBUTE):
        return True
    name = (node.GetName() or "").lower()
    return any(name == word or name.startswith((f"{word} ", f"{word}_", f"{word}.")) for word in ("tissue", "skin", "body"))


def findTissueModel(scene: Any) -> Any:
    """The model node of the tissue surface in world coordinates, or None; a marked one before one found by its name."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLModelNode")
    nodes = [scene.GetNthNodeByClass(index, "vtkMRMLModelNode") for index in range(count)]
    nodes = [node for node in nodes if isTissueModel(node) and node.GetPolyData() is not None and node.GetPolyData().GetNumberOfCells()]
    nodes.sort(key=lambda node: not node.GetAttribute(TISSUE_ATTRIBUTE))
    return nodes[0] if nodes else None


def surfaceInWorld(node: Any) -> Any:
    """vtkPolyData of a model in RAS, its parent transforms applied."""
    import vtk

    parent = node.GetParentTransformNode()
    if parent is None:
        return node.GetPolyData()
    transform = vtk.vtkGeneralTransform()
    parent.GetTransformToWorld(transform)
    move = vtk.vtkTransformPolyDataFilter()
    move.SetInputData(node.GetPolyData())
    move.SetTransform(transform)
    move.Update()
    return move.GetOutput()
