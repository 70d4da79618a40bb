"""The part of the logic that registers by points: taking them on the patient, and the fit."""

import numpy as np
import slicer
import vtk

from .RegistrationRules import RegistrationAction
from .ToolCalibration import isValidPose


class PointRegistration:
    """Mixed into the logic, which accepts the fit."""

    def _resetPoints(self):
        self._dwellDetector = None
        self._stylusStamp = 0

    def _tipInReference(self, parameterNode):
        """Stylus tip in the Reference frame (mm), or None without a live stylus."""
        tip = parameterNode.stylusTip
        if tip is None or tip.GetParentTransformNode() is None:
            return None
        # the pose comes with the parent, StylusToReference; its status is what PLUS says of it
        streamed = tip.GetParentTransformNode()
        if not isValidPose(streamed):
            return None
        matrix = vtk.vtkMatrix4x4()
        slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(tip, parameterNode.referenceToRas, matrix)
        return np.array([matrix.GetElement(row, 3) for row in range(3)])

    def takePoint(self, parameterNode):
        """Take the present place of the stylus tip as the next point on the patient."""
        self._require(parameterNode, RegistrationAction.TakePoint)
        self._addReferencePoint(parameterNode, self._tipInReference(parameterNode))

    def _addReferencePoint(self, parameterNode, position, description=""):
        points = parameterNode.referencePoints
        if points is None:
            points = parameterNode.referencePoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "ReferencePoints")
        index = points.AddControlPoint(vtk.vtkVector3d(*position))
        points.SetNthControlPointDescription(index, description)

    def undoPoint(self, parameterNode):
        """Remove the point on the patient that was taken last."""
        self._require(parameterNode, RegistrationAction.UndoPoint)
        parameterNode.referencePoints.RemoveNthControlPoint(parameterNode.referencePoints.GetNumberOfControlPoints() - 1)

    def startDwelling(self):
        """Begin to watch the stylus for places where it is held still."""
        from FusionRegistrationLib.DwellDetection import DwellDetector

        self._dwellDetector = DwellDetector()

    def stopDwelling(self):
        self._dwellDetector = None

    def watchStylus(self, parameterNode, timeSec):
        """One sample of the stylus at a monotonic time; takes a point once the tip leaves a place where it was held.

        :returns: how much of the needed time the tip has been still, 0-1
        """
        streamed = parameterNode.stylusTip.GetParentTransformNode() if parameterNode.stylusTip is not None else None
        # a new pose modifies the transform inside the node, not the node
        stamp = streamed.GetTransformToParent().GetMTime() if streamed is not None else 0
        if self._dwellDetector is None or stamp == self._stylusStamp:
            return self._dwellDetector.progress if self._dwellDetector is not None else 0.0
        self._stylusStamp = stamp
        position = self._tipInReference(parameterNode)
        dwell = self._dwellDetector.addSample(timeSec, np.zeros(3) if position is None else position, valid=position is not None)
        if dwell is not None:
            self._addReferencePoint(parameterNode, dwell.position, f"{dwell.sampleCount} samples, spread {dwell.spreadMm:.2f} mm")
        return self._dwellDetector.progress

    def registerPoints(self, parameterNode):
        """Fit the points on the patient to those in the CT and set `referenceToRas`; returns the RigidFit.

        :raises ValueError: if something is missing, the points don't match or fix no pose
        """
        from FusionRegistrationLib.PointMatching import matchPoints
        from FusionRegistrationLib.RigidFit import fitRigid

        self._require(parameterNode, RegistrationAction.RegisterPoints)
        ctPoints = slicer.util.arrayFromMarkupsControlPoints(parameterNode.ctPoints, world=True)
        reference = slicer.util.arrayFromMarkupsControlPoints(parameterNode.referencePoints)
        names = [parameterNode.ctPoints.GetNthControlPointLabel(index) for index in range(len(ctPoints))]
        if parameterNode.matching.anyOrder:
            match = matchPoints(reference, ctPoints, toleranceMm=parameterNode.matching.toleranceMm)
            if not match.found:
                raise ValueError(match.message)
            pairs = np.array(match.pairs)
            reference, ctPoints, names = reference[pairs[:, 0]], ctPoints[pairs[:, 1]], [names[index] for index in pairs[:, 1]]
        fit = fitRigid(reference, ctPoints, targets=self.targetsOf(parameterNode), names=names, robust=parameterNode.matching.robust)
        self._accept(parameterNode, fit)
        return fit
