"""The part of the logic that calibrates tools: stylus, needle, and the check of the probe."""

import slicer
from slicer.i18n import tr as _

from .RegistrationRules import RegistrationAction
from .ToolCalibration import ToolCalibration, pivotText, setTip


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

    def startCalibration(self, parameterNode):
        """Begin to collect poses of the tool; feed `toolCalibration.add()` from a timer."""
        if parameterNode.calibration.tool is None:
            raise ValueError(_("Choose the transform of the tool first."))
        self.toolCalibration = ToolCalibration(parameterNode.calibration.tool)

    def finishPivot(self, parameterNode):
        """Tip out of the poses collected; sets the tip's transform (its axis stays as it was) and tells the result."""
        collected, self.toolCalibration = self.toolCalibration, None
        pivot = collected.pivot()
        tip = self._tipNode(parameterNode)
        tipToTool = slicer.util.arrayFromTransformMatrix(tip)
        tipToTool[:3, 3] = pivot.tipInTool
        setTip(tip, tipToTool, "pivot")
        return pivotText(pivot)

    def finishSpin(self, parameterNode):
        """Axis of the shaft out of the poses collected; needs a pivot calibration before. Tells the result."""
        from FusionRegistrationLib.SpinCalibration import toolTipFrame

        collected, self.toolCalibration = self.toolCalibration, None
        tip = self._tipNode(parameterNode)
        tipInTool = slicer.util.arrayFromTransformMatrix(tip)[:3, 3].copy()
        spin = collected.spin(tipInTool)
        setTip(tip, toolTipFrame(tipInTool, spin.axisInTool), "spin")
        text = _("Axis known to {sd:.2f}°, turned by {turn:.0f}°.").format(sd=spin.axisSdDeg, turn=spin.spinDeg)
        return f"{text} {spin.hint}".strip()

    def calibrateNeedleFromData(self, parameterNode):
        """Tip of a thin needle whose sensor sits on the hub with its +Z along the shaft; tells what to verify."""
        from FusionRegistrationLib.NeedleCalibration import calibrateNeedleFromData

        self._require(parameterNode, RegistrationAction.NeedleData)
        result = calibrateNeedleFromData((0, 0, 0), (0, 0, 1), parameterNode.calibration.lengthMm)
        setTip(self._tipNode(parameterNode), result.needleTipToNeedle, "data")
        return _("Tip {length:.0f} mm along the sensor's Z axis. Hold it in a divot of known place to verify.").format(
            length=result.lengthMm
        )

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
