"""Collects poses of a tool and makes the transform of its tip out of them."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

CALIBRATION_ATTRIBUTE = "FusionRegistration.Calibration"
"""Marks a tip transform that was calibrated here, with how; the navigation takes it into its transform tree."""
MIN_STEP = 1e-9


def isValidPose(node):
    """What PLUS says of the pose, where it says anything."""
    return (node.GetAttribute("TransformStatus") or "OK") == "OK" and node.GetAttribute("OpenIGTLink.TransformValid") not in ("false", "0")


class ToolCalibration:
    """Poses of one tool; `add` from a timer, then `pivot` or `spin`."""

    def __init__(self, tool):
        self.tool = tool
        self.poses, self.valid = [], []

    def add(self):
        """Take the present pose unless nothing new has come; returns the number of poses."""
        matrix = vtk.vtkMatrix4x4()
        self.tool.GetMatrixTransformToParent(matrix)
        pose = slicer.util.arrayFromVTKMatrix(matrix)
        if not self.poses or np.abs(pose - self.poses[-1]).max() > MIN_STEP:
            self.poses.append(pose)
            self.valid.append(isValidPose(self.tool))
        return len(self.poses)

    def pivot(self):
        """PivotCalibration.

        :raises ValueError: too few poses, or too little swing
        """
        from FusionRegistrationLib.PivotCalibration import calibratePivot

        return calibratePivot(self.poses, self.valid)

    def spin(self, tipInTool):
        """SpinCalibration; `tipInTool` gives the direction of the tip."""
        from FusionRegistrationLib.SpinCalibration import calibrateSpin

        return calibrateSpin(self.poses, tipInTool, self.valid)


def setTip(tip, tipToTool, how):
    """Write a calibrated tip into its transform node."""
    slicer.util.updateTransformMatrixFromArray(tip, tipToTool)
    tip.SetAttribute(CALIBRATION_ATTRIBUTE, how)


def pivotText(pivot):
    text = _("Tip known to {sd:.2f} mm, residual {rms:.2f} mm, swing {first:.0f}° and {second:.0f}°.").format(
        sd=pivot.tipSdMm, rms=pivot.rmsMm, first=pivot.coverageDeg[0], second=pivot.coverageDeg[1]
    )
    return f"{text} {pivot.hint}".strip()
