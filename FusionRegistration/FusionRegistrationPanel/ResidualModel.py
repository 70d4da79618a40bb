"""Residuals of a paired-point fit as magnified arrows in 3D."""

import numpy as np
import slicer
import vtk
from vtk.util import numpy_support

AGREES_COLOR, CONTRADICTS_COLOR = (0, 114, 178), (213, 94, 0)
"""Blue and vermilion of the palette that is safe for the colour-blind (Okabe and Ito 2008); contradicting points are drawn thicker too."""
RESIDUAL_ARRAY, COLOR_ARRAY, MAGNIFICATION_ARRAY = "ResidualMm", "ResidualColor", "Magnification"
SHAFT_MM = 1.0
_SHORTEST_MM = 1e-6


def contradicts(fit, row):
    """Whether a point of a RigidFit is an outlier, or was left out as one."""
    return not fit.used[row] or fit.pointNames[row] in fit.outliers


def residualArrows(fit, magnification):
    """vtkPolyData (RAS, mm) of one arrow a point: from its place in the CT towards where the fit puts the point on the patient.

    The arrows are `magnification` times as long as the residuals; the point array `ResidualMm` holds the true lengths, `ResidualColor`
    the colours, and the field array `Magnification` the factor. Points without residual have no arrow.

    :raises ValueError: magnification not positive
    """
    if not magnification > 0:
        raise ValueError(f"Residuals can't be magnified by {magnification}: choose a factor above zero.")
    append = vtk.vtkAppendPolyData()
    for row in np.flatnonzero(fit.residualsMm > _SHORTEST_MM):
        append.AddInputData(_arrow(fit, row, magnification))
    if append.GetNumberOfInputConnections(0):
        append.Update()
    result = vtk.vtkPolyData()
    result.ShallowCopy(append.GetOutput())
    factor = numpy_support.numpy_to_vtk(np.array([float(magnification)]), deep=True)
    factor.SetName(MAGNIFICATION_ARRAY)
    result.GetFieldData().AddArray(factor)
    return result


def _arrow(fit, row, magnification):
    start = vtk.vtkPolyData()
    points = vtk.vtkPoints()
    points.SetDataTypeToDouble()
    points.InsertNextPoint(*fit.toPoints[row])
    start.SetPoints(points)
    # a residual is measured minus mapped: the arrow goes the other way, from the point in the CT
    vector = numpy_support.numpy_to_vtk(-magnification * fit.residualVectorsMm[row][None], deep=True)
    vector.SetName("Magnified")
    start.GetPointData().SetVectors(vector)
    lengthMm = magnification * fit.residualsMm[row]
    color, widthMm = (CONTRADICTS_COLOR, 2 * SHAFT_MM) if contradicts(fit, row) else (AGREES_COLOR, SHAFT_MM)
    arrow = vtk.vtkArrowSource()  # its length of one is stretched in all directions
    arrow.SetTipLength(min(0.5, 4 * widthMm / lengthMm))
    arrow.SetTipRadius(1.5 * widthMm / lengthMm)
    arrow.SetShaftRadius(0.5 * widthMm / lengthMm)
    arrow.SetTipResolution(16)
    arrow.SetShaftResolution(12)
    glyph = vtk.vtkGlyph3D()
    glyph.SetInputData(start)
    glyph.SetSourceConnection(arrow.GetOutputPort())
    glyph.SetVectorModeToUseVector()
    glyph.SetScaleModeToScaleByVector()
    glyph.SetOutputPointsPrecision(vtk.vtkAlgorithm.DOUBLE_PRECISION)
    glyph.Update()
    polyData = vtk.vtkPolyData()
    polyData.CopyStructure(glyph.GetOutput())
    count = polyData.GetNumberOfPoints()
    values = {COLOR_ARRAY: np.tile(np.array(color, np.uint8), (count, 1)), RESIDUAL_ARRAY: np.full(count, fit.residualsMm[row])}
    for name, value in values.items():
        array = numpy_support.numpy_to_vtk(value, deep=True)
        array.SetName(name)
        polyData.GetPointData().AddArray(array)
    return polyData


class ResidualModel:
    """Keeps the model node of the residuals in step with the accepted fit; `follow` it after every change."""

    def __init__(self):
        self._stamp = None

    def follow(self, parameterNode, fit):
        """Show the residuals of `fit` as the parameter node's `residuals` say; without a paired-point fit the model is removed."""
        chosen = parameterNode.residuals
        if not hasattr(fit, "residualVectorsMm"):
            if chosen.model is not None:
                slicer.mrmlScene.RemoveNode(chosen.model)
            self._stamp = None
            return
        model = chosen.model
        if model is None:
            if not chosen.show:
                return
            model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "ResidualVectors")
            parameterNode.residuals.model = model
        stamp = (model.GetID(), parameterNode.fit.GetMTime(), chosen.magnification)
        if stamp != self._stamp:
            self._stamp = stamp
            model.SetAndObservePolyData(residualArrows(fit, chosen.magnification))
            model.SetName(f"ResidualVectors x{chosen.magnification:g}")
            model.SetSelectable(False)
            self._display(model)
        model.GetDisplayNode().SetVisibility(chosen.show)

    @staticmethod
    def _display(model):
        model.CreateDefaultDisplayNodes()
        display = model.GetDisplayNode()
        display.SetActiveScalar(COLOR_ARRAY, vtk.vtkAssignAttribute.POINT_DATA)
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseDirectMapping)
        display.SetScalarVisibility(True)
