"""The part of the logic that takes points on the patient with the stylus, measures them again, and undoes that."""

import dataclasses

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from .PointTable import pointRows
from .RegistrationRules import RegistrationAction
from .ToolCalibration import isValidPose


@dataclasses.dataclass(frozen=True)
class _Change:
    """One change of the points on the patient: a point taken (`former` None), or its former place and description (`former`)."""

    pointId: str
    former: tuple | None
    wasFitted: bool = False


class PointCollecting:
    """Mixed into the logic, which registers by the points."""

    def _resetPoints(self):
        self._dwellDetector = None
        self._stylusStamp = 0
        self._changes = []
        self._againId = None
        self.chosenPoint = None
        """Number of the point on the patient that `measureAgain` is about; None: none."""
        self.pointMessage = ""
        """What came of the last point, in a sentence."""

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

    # --- taking points

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
        self._changes.append(_Change(points.GetNthControlPointID(index), None))
        self.pointMessage = ""

    def undoPoint(self, parameterNode):
        """Take back the last point: remove it, or put it where it was before it was measured again.

        A registration that was made anew with the point measured again is made of the former one again.

        :raises ValueError: there is no point, or the former points can't be registered
        """
        self._require(parameterNode, RegistrationAction.UndoPoint)
        self.stopMeasuringAgain()
        self.pointMessage = ""
        points = parameterNode.referencePoints
        while self._changes:
            change = self._changes.pop()
            index = points.GetNthControlPointIndexByID(change.pointId)
            if index < 0:  # deleted by hand since
                continue
            if change.former is None:
                points.RemoveNthControlPoint(index)
            else:
                position, description = change.former
                points.SetNthControlPointPosition(index, *position)
                points.SetNthControlPointDescription(index, description)
                if change.wasFitted:
                    self.registerPoints(parameterNode)
                self.pointMessage = _("{name} is where it was before.").format(name=self._nameOf(parameterNode, index))
            return
        points.RemoveNthControlPoint(points.GetNumberOfControlPoints() - 1)

    # --- measuring again

    def pointRows(self, parameterNode):
        """PointRows of the table of points: those of the fit, then the points on the patient that take no part in it."""
        return pointRows(self.fitOf(parameterNode), parameterNode.referencePoints)

    def measureAgain(self, parameterNode):
        """Take the next place where the stylus is held still for the point `chosenPoint`; feed `watchStylus` from a timer.

        The point keeps its name. If the registration was made with it, it is made anew. Its old place stays until then, and `undoPoint`
        restores it.
        """
        self._require(parameterNode, RegistrationAction.MeasureAgain)
        self._againId = parameterNode.referencePoints.GetNthControlPointID(self.chosenPoint)
        self.startDwelling()
        self.pointMessage = _("Hold the stylus still on {name}.").format(name=self._nameOf(parameterNode, self.chosenPoint))

    def _nameOf(self, parameterNode, index):
        """Name of a point on the patient as the table shows it."""
        return next(row.name for row in self.pointRows(parameterNode) if row.index == index)

    def stopMeasuringAgain(self):
        """Leave the point as it is."""
        if self._againId is not None:
            self._againId = None
            self.pointMessage = ""

    @property
    def isMeasuringAgain(self):
        return self._againId is not None

    def _replacePoint(self, parameterNode, position, description):
        pointId, self._againId = self._againId, None
        points = parameterNode.referencePoints
        index = points.GetNthControlPointIndexByID(pointId) if points is not None else -1
        if index < 0:
            raise ValueError(_("The point that was to be measured again is no more: take it anew."))
        former = np.array(points.GetNthControlPointPosition(index))
        row = next(row for row in self.pointRows(parameterNode) if row.index == index)
        wasFitted = row.residualMm is not None
        self._changes.append(_Change(pointId, (tuple(former), points.GetNthControlPointDescription(index)), wasFitted))
        points.SetNthControlPointPosition(index, *position)
        points.SetNthControlPointDescription(index, description)
        self.pointMessage = _("{name} was measured again, {distance:.1f} mm from its former place.").format(
            name=row.name, distance=np.linalg.norm(position - former)
        )
        if wasFitted:
            try:
                self.registerPoints(parameterNode)
            except ValueError as error:
                why = _("{what} It can't be registered so, and the registration stays that of the former points; undo restores the point.")
                raise ValueError(f"{why.format(what=self.pointMessage)} {error}") from error

    # --- dwelling

    def startDwelling(self):
        """Begin to watch the stylus for places where it is held still."""
        from FusionRegistrationLib.DwellDetection import DwellDetector

        self._dwellDetector = DwellDetector()

    def stopDwelling(self):
        self._dwellDetector = None
        self.stopMeasuringAgain()

    def watchStylus(self, parameterNode, timeSec):
        """One sample of the stylus at a monotonic time; takes a point once the tip leaves a place where it was held.

        :returns: how much of the needed time the tip has been still, 0-1
        :raises ValueError: a point was measured again, and the registration can't be made with it
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
            description = f"{dwell.sampleCount} samples, spread {dwell.spreadMm:.2f} mm"
            take = self._replacePoint if self.isMeasuringAgain else self._addReferencePoint
            take(parameterNode, dwell.position, description)
        return self._dwellDetector.progress
