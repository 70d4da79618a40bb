"""Collects poses of a tool and makes the transform of its tip out of them."""

import enum

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

CALIBRATION_ATTRIBUTE = "FusionRegistration.Calibration"
"""Marks a tip transform that was calibrated here, with how; the navigation takes it into its transform tree."""
RESULT_ATTRIBUTE = "FusionRegistration.CalibrationResult"
"""What came of the calibration and its check, in sentences."""
MIN_STEP = 1e-9
FEEDBACK_EVERY = 10
"""Least number of poses between two looks at how far the swing has come: a look costs up to a tenth of a second."""


class CollectionKind(enum.Enum):
    """What the poses are collected for."""

    Pivot = "pivot"
    Spin = "spin"
    Divot = "divot"


def isValidPose(node):
    """What PLUS says of the pose, where it says anything."""
    return (node.GetAttribute("TransformStatus") or "OK") == "OK" and node.GetAttribute("OpenIGTLink.TransformValid") not in ("false", "0")


class ToolCalibration:
    """Poses of one tool; `add` from a timer, then `pivot` or `spin`; `feedback` says meanwhile what is missing."""

    def __init__(self, tool, kind=CollectionKind.Pivot, tipInTool=(0.0, 0.0, 1.0)):
        self.tool, self.kind = tool, kind
        self.poses, self.valid = [], []
        self._tipInTool = np.array(tipInTool)
        self._feedback, self._nextLook = "", FEEDBACK_EVERY

    def add(self):
        """Take the present pose unless nothing new has come; returns the number of poses."""
        matrix = vtk.vtkMatrix4x4()
        self.tool.GetMatrixTransformToParent(matrix)
        pose = slicer.util.arrayFromVTKMatrix(matrix)
        if not self.poses or np.abs(pose - self.poses[-1]).max() > MIN_STEP:
            self.poses.append(pose)
            self.valid.append(isValidPose(self.tool))
        return len(self.poses)

    def feedback(self):
        """Number of poses, and how far the tool was swung or spun so far with what is still missing."""
        count = len(self.poses)
        if count >= self._nextLook and self.kind is not CollectionKind.Divot:
            self._nextLook = count + max(FEEDBACK_EVERY, count // FEEDBACK_EVERY)
            try:
                self._feedback = pivotProgress(self.pivot()) if self.kind is CollectionKind.Pivot else spinText(self.spin(self._tipInTool))
            except ValueError as error:
                self._feedback = str(error)
        told = _("{count} poses").format(count=count)
        return f"{told}. {self._feedback}" if self._feedback else told

    def validPoses(self):
        """Poses (n, 4, 4) that PLUS calls valid."""
        return np.array([pose for pose, valid in zip(self.poses, self.valid) if valid]).reshape(-1, 4, 4)

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


def setTip(tip, tipToTool, how, result):
    """Write a calibrated tip into its transform node, with how it was calibrated and the result in a sentence."""
    slicer.util.updateTransformMatrixFromArray(tip, tipToTool)
    tip.SetAttribute(CALIBRATION_ATTRIBUTE, how)
    tip.SetAttribute(RESULT_ATTRIBUTE, result)


def pivotProgress(pivot):
    """How far the tool was swung, and what is missing."""
    text = _("Swing {first:.0f}° and {second:.0f}°, tip known to {sd:.2f} mm.").format(
        first=pivot.coverageDeg[0], second=pivot.coverageDeg[1], sd=pivot.tipSdMm
    )
    return f"{text} {pivot.hint}".strip()


def pivotText(pivot):
    text = _("Tip known to {sd:.2f} mm, residual {rms:.2f} mm, swing {first:.0f}° and {second:.0f}°.").format(
        sd=pivot.tipSdMm, rms=pivot.rmsMm, first=pivot.coverageDeg[0], second=pivot.coverageDeg[1]
    )
    rejected = pivot.rejectedInvalid + pivot.rejectedOutliers
    if rejected:
        text += " " + _("{rejected} of {count} poses left out.").format(rejected=rejected, count=pivot.usedPoses + rejected)
    return f"{text} {pivot.hint}".strip()


def spinText(spin):
    text = _("Axis known to {sd:.2f}°, turned by {turn:.0f}°.").format(sd=spin.axisSdDeg, turn=spin.spinDeg)
    return f"{text} {spin.hint}".strip()
