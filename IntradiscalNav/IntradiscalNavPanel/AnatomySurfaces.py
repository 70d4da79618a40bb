"""Surfaces of vertebrae and nerves as model nodes, for the contours in the slices and the 3D view."""

import numpy as np
import vtk

from IntradiscalNavLib.Views.LabelSurface import addSurfaceModel, maskSurface

BONE_COLOR = (0.93, 0.87, 0.72)
ROOT_COLOR = (0.94, 0.89, 0.26)
DURA_COLOR = (0.35, 0.70, 0.90)


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
                    lambda mask=mask: maskSurface(mask, anatomy.ijkToRas, targetReduction=0.7),
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
            node = addSurfaceModel(scene, name, surface(), color, opacity)
        models.append(AnatomyModel(node, color, opacity))
    return tuple(models)
