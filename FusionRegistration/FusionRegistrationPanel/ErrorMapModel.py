"""The bone surface of the CT, coloured by the error that the registration predicts there."""

import dataclasses

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

ERROR_ARRAY = "PredictedError95Mm"
COLORS_NAME = "PredictedErrorColors"
COLORS = ((0, 34, 78), (67, 78, 108), (125, 124, 120), (187, 174, 108), (254, 232, 56))
"""Dark blue to yellow, even in brightness and the same to colour-blind eyes (Cividis, Nuñez, Anderton and Renslow 2018)."""
POINT_SIZE = 4.0


@dataclasses.dataclass(frozen=True)
class ErrorMapSummary:
    """Smallest and largest 95 % bound over the surface (mm), and the share of the surface where it is within `limitMm`."""

    smallestMm: float
    largestMm: float
    shareWithin: float
    limitMm: float

    @property
    def text(self) -> str:
        text = _("{low:.1f} mm (dark blue) to {high:.1f} mm (yellow) in 95 % of cases; {share:.0f} % of the bone within {limit:g} mm.")
        return text.format(low=self.smallestMm, high=self.largestMm, share=100 * self.shareWithin, limit=self.limitMm)


def colorTable():
    """The colour table of the map; made once a scene."""
    table = slicer.mrmlScene.GetFirstNodeByName(COLORS_NAME)
    if table is not None and table.IsA("vtkMRMLColorTableNode"):
        return table
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", COLORS_NAME)
    table.SetTypeToUser()
    count = 64
    table.SetNumberOfColors(count)
    table.SetNamesFromColors()
    places = np.linspace(0, len(COLORS) - 1, count)
    for index, place in enumerate(places):
        rgb = [float(np.interp(place, np.arange(len(COLORS)), np.array(COLORS)[:, channel])) / 255 for channel in range(3)]
        table.SetColor(index, f"{index}", *rgb, 1.0)
    table.SetHideFromEditors(True)
    return table


class ErrorMapModel:
    """Keeps the colours of `surface.boneSurface` in step with the accepted fit; `follow` it after every change."""

    def __init__(self):
        self._stamp = None

    def follow(self, parameterNode, fit):
        """Colour the surface, or take the colours away where none are wanted or there is no fit."""
        model = parameterNode.surface.boneSurface
        polyData = model.GetPolyData() if model is not None else None
        if polyData is None or not polyData.GetNumberOfPoints():
            self._stamp = None
            return
        if fit is None or not parameterNode.showErrorMap:
            self._stamp = None
            self._hide(model)
            return
        stamp = (model.GetID(), polyData.GetPoints().GetMTime(), parameterNode.fit.GetID(), parameterNode.fit.GetMTime())
        if stamp == self._stamp and model.GetDisplayNode().GetScalarVisibility():
            return
        self._stamp = stamp
        self._color(model, polyData, fit)

    def summary(self, parameterNode):
        """ErrorMapSummary of the map that is shown; None without one."""
        model = parameterNode.surface.boneSurface
        display = model.GetDisplayNode() if model is not None else None
        if display is None or not display.GetScalarVisibility() or display.GetActiveScalarName() != ERROR_ARRAY:
            return None
        errors = numpy_support.vtk_to_numpy(model.GetPolyData().GetPointData().GetArray(ERROR_ARRAY))
        within = float((errors <= parameterNode.passLimitMm).mean())
        return ErrorMapSummary(float(errors.min()), float(errors.max()), within, parameterNode.passLimitMm)

    @staticmethod
    def _hide(model):
        display = model.GetDisplayNode()
        if display is not None and display.GetActiveScalarName() == ERROR_ARRAY:
            display.SetScalarVisibility(False)
            legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(model)
            if legend is not None:
                legend.SetVisibility(False)

    @staticmethod
    def _color(model, polyData, fit):
        from FusionRegistrationLib.ErrorMap import errorMap

        errors = errorMap(fit, numpy_support.vtk_to_numpy(polyData.GetPoints().GetData()))
        array = numpy_support.numpy_to_vtk(errors, deep=True)
        array.SetName(ERROR_ARRAY)
        polyData.GetPointData().AddArray(array)
        model.CreateDefaultDisplayNodes()
        display = model.GetDisplayNode()
        display.SetActiveScalar(ERROR_ARRAY, vtk.vtkAssignAttribute.POINT_DATA)
        display.SetAndObserveColorNodeID(colorTable().GetID())
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
        display.SetScalarRange(float(errors.min()), float(errors.max()))
        display.SetPointSize(POINT_SIZE)
        display.SetScalarVisibility(True)
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(model)
        if legend is None:
            legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(model)
        legend.SetTitleText(_("Error, mm (95 %)"))
        legend.SetLabelFormat("%.1f")
        legend.SetVisibility(True)
