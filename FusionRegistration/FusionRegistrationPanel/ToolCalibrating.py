"""The part of the logic that calibrates tools: stylus, needle, and the check of the probe."""

import slicer
import vtk
from slicer.i18n import tr as _

from .FusionRegistrationParameterNode import AXES
from .RegistrationRules import RegistrationAction, whyNotCheckInDivot
from .ToolCalibration import CALIBRATION_ATTRIBUTE, RESULT_ATTRIBUTE, CollectionKind, ToolCalibration, pivotText, setTip, spinText


class ToolCalibrating:
    """Mixed into the logic."""

    def _resetCalibration(self):
        self.toolCalibration = None

    def _tipNode(self, parameterNode):
        calibration = parameterNode.calibration
        if calibration.tip is None:
            toolName = calibration.tool.GetName().split("To")[0]
            calibration.tip = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", f"{toolName}TipTo{toolName}")
            calibration.tip.SetAndObserveTransformNodeID(calibration.tool.GetID())
        return parameterNode.calibration.tip

    def startCalibration(self, parameterNode, kind=CollectionKind.Pivot):
        """Begin to collect poses of the tool; feed `toolCalibration.add()` from a timer."""
        calibration = parameterNode.calibration
        if calibration.tool is None:
            raise ValueError(_("Choose the transform of the tool first."))
        tipInTool = (0.0, 0.0, 1.0) if calibration.tip is None else slicer.util.arrayFromTransformMatrix(calibration.tip)[:3, 3]
        self.toolCalibration = ToolCalibration(calibration.tool, kind, tipInTool)

    def finishCalibration(self, parameterNode):
        """Use the poses collected for what they were collected for; returns the result in sentences.

        :raises ValueError: too few poses, or not moved as needed; says what to do
        """
        collected, self.toolCalibration = self.toolCalibration, None
        finish = {CollectionKind.Pivot: self._pivot, CollectionKind.Spin: self._spin, CollectionKind.Divot: self._checkInDivot}
        return finish[collected.kind](parameterNode, collected)

    def calibrationText(self, parameterNode):
        """What came of the last calibration of the tip that is chosen, also after the scene was loaded again."""
        tip = parameterNode.calibration.tip
        return "" if tip is None else tip.GetAttribute(RESULT_ATTRIBUTE) or ""

    def _pivot(self, parameterNode, collected):
        """Sets the tip's place (its axis stays as it was), and remembers the divot for the needle."""
        pivot = collected.pivot()
        tip = self._tipNode(parameterNode)
        tipToTool = slicer.util.arrayFromTransformMatrix(tip)
        tipToTool[:3, 3] = pivot.tipInTool
        setTip(tip, tipToTool, "pivot", pivotText(pivot))
        self._rememberDivot(parameterNode, pivot.pivotInReference)
        return pivotText(pivot)

    def _rememberDivot(self, parameterNode, place):
        calibration = parameterNode.calibration
        divot = calibration.divot
        if divot is None:
            divot = parameterNode.calibration.divot = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Divot")
        divot.SetAndObserveTransformNodeID(calibration.tool.GetTransformNodeID())
        divot.RemoveAllControlPoints()
        divot.AddControlPoint(vtk.vtkVector3d(*place), "Divot")

    def _spin(self, parameterNode, collected):
        """Sets the tip's axis; needs a pivot calibration before."""
        from FusionRegistrationLib.SpinCalibration import toolTipFrame

        tip = self._tipNode(parameterNode)
        tipInTool = slicer.util.arrayFromTransformMatrix(tip)[:3, 3].copy()
        spin = collected.spin(tipInTool)
        setTip(tip, toolTipFrame(tipInTool, spin.axisInTool), "spin", spinText(spin))
        return spinText(spin)

    def calibrateNeedleFromData(self, parameterNode):
        """Tip of a thin needle from where its sensor sits on the hub, the direction of the shaft and its length; tells what to verify."""
        from FusionRegistrationLib.NeedleCalibration import calibrateNeedleFromData

        self._require(parameterNode, RegistrationAction.NeedleData)
        calibration, tip = parameterNode.calibration, self._tipNode(parameterNode)
        axis = AXES.get(calibration.axis)
        if axis is None:  # as spun
            axis = slicer.util.arrayFromTransformMatrix(tip)[:3, 2]
        hub = (calibration.hubXMm, calibration.hubYMm, calibration.hubZMm)
        result = calibrateNeedleFromData(hub, axis, calibration.lengthMm)
        text = _("Tip {length:.0f} mm from the hub (shaft {axis}). Hold it in a divot of known place to verify.").format(
            length=result.lengthMm, axis=calibration.axis.label()
        )
        setTip(tip, result.needleTipToNeedle, "data", text)
        return text

    def _checkInDivot(self, parameterNode, collected):
        """Compares the tip with the divot that the stylus was pivoted in, or a point chosen as such."""
        from FusionRegistrationLib.NeedleCalibration import NeedleCalibration, checkNeedleInDivot

        calibration = parameterNode.calibration
        why = whyNotCheckInDivot(parameterNode)
        if why:
            raise ValueError(why)
        between = vtk.vtkMatrix4x4()
        slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
            calibration.divot.GetParentTransformNode(), calibration.tool.GetParentTransformNode(), between
        )
        divot = slicer.util.arrayFromVTKMatrix(between) @ [*calibration.divot.GetNthControlPointPosition(0), 1.0]
        tip = calibration.tip
        needle = NeedleCalibration(
            slicer.util.arrayFromTransformMatrix(tip), calibration.lengthMm, tip.GetAttribute(CALIBRATION_ATTRIBUTE) or ""
        )
        check = checkNeedleInDivot(needle, collected.validPoses(), divot[:3])
        tip.SetAttribute(RESULT_ATTRIBUTE, check.message)
        return check.message

    def checkProbe(self, parameterNode):
        """Is ImageToProbe of the PLUS file plausible? The result in sentences.

        :raises ValueError: if the file holds no such transform, or it must not be used
        """
        from FusionRegistrationLib.ProbeCalibration import checkProbeCalibration, loadProbeCalibration

        self._require(parameterNode, RegistrationAction.CheckProbe)
        calibration = loadProbeCalibration(parameterNode.calibration.probeFile)
        check = checkProbeCalibration(calibration.imageToProbe, errorMm=calibration.errorMm)
        if not check.usable:
            raise ValueError(" ".join(check.problems))
        text = _("Pixel {width:.3f} x {height:.3f} mm, axes at {angle:.1f}°: usable.").format(
            width=check.pixelSizeMm[0], height=check.pixelSizeMm[1], angle=check.axisAngleDeg
        )
        return " ".join([text, *check.remarks])
