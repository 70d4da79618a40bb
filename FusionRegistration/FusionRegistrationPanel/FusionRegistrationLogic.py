"""Maps nodes to FusionRegistrationLib and back; needs no panel."""

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from .ErrorMapModel import ErrorMapModel
from .FusionRegistrationParameterNode import FusionRegistrationParameterNode
from .PointCollecting import PointCollecting
from .PointRegistration import PointRegistration
from .RegistrationRules import RegistrationAction, whyNot, whyNotMeasureAgain
from .RegistrationVerdict import listMarkers, readFit, verdictOf, writeFit
from .ResidualModel import ResidualModel
from .SurfaceScanning import SurfaceScanning
from .ToolCalibrating import ToolCalibrating
from .Verifying import Verifying
from .VolumeFrame import ijkToRasOf


class FusionRegistrationLogic(PointCollecting, PointRegistration, SurfaceScanning, ToolCalibrating, Verifying, ScriptedLoadableModuleLogic):
    """Registration by markers, points, plate or bone surface.

    logic = FusionRegistrationLogic()
    parameterNode = logic.getParameterNode()
    parameterNode.ctVolume = slicer.util.getNode("CT")
    logic.findMarkers(parameterNode)
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._resetPoints()
        self._resetSurface()
        self._resetCalibration()
        self._residualModel, self.errorMap = ResidualModel(), ErrorMapModel()

    def getParameterNode(self):
        return FusionRegistrationParameterNode(super().getParameterNode())

    def nodeOf(self, path):
        """Node of a parameter such as `fit` or `calibration.tip`, without making a parameter node: for work done 30 times a second."""
        return super().getParameterNode().GetNodeReference(path)

    def parameterStamp(self):
        """Grows with every change of a parameter, for the same kind of work."""
        return super().getParameterNode().GetMTime()

    # --- what can be done now

    def whyNot(self, parameterNode, action):
        """Why a RegistrationAction can't be done now; empty if it can."""
        if action is RegistrationAction.AcceptScan and (self.scan is None or self.scan.state.fit is None):
            return _("Scan bone first until a fit is found.")
        if action is RegistrationAction.MeasureAgain:
            return whyNotMeasureAgain(parameterNode, self.chosenPoint)
        return whyNot(parameterNode, action, self._tipInReference(parameterNode) is not None)

    def _require(self, parameterNode, action):
        why = self.whyNot(parameterNode, action)
        if why:
            raise ValueError(why)

    # --- markers and plate

    def findMarkers(self, parameterNode):
        """Find markers in the CT and list their centers as `ctPoints`; returns the MarkerDetection with its warnings."""
        from FusionRegistrationLib.MarkerDetection import MarkerParameters, detectMarkers

        self._require(parameterNode, RegistrationAction.FindMarkers)
        volume = parameterNode.ctVolume
        limits = MarkerParameters(minDiameterMm=parameterNode.markers.minDiameterMm, maxDiameterMm=parameterNode.markers.maxDiameterMm)
        detection = detectMarkers(slicer.util.arrayFromVolume(volume), ijkToRasOf(volume), limits)
        if parameterNode.ctPoints is None:
            parameterNode.ctPoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "CtPoints")
        listMarkers(parameterNode.ctPoints, detection)
        return detection

    def registerPlate(self, parameterNode):
        """Register by the marker plate alone; returns the PlateRegistration.

        :raises ValueError: if the plate isn't found, or fits in more than one way
        """
        from FusionRegistrationLib.MarkerPlate import MarkerPlate, registerPlate

        self._require(parameterNode, RegistrationAction.RegisterPlate)
        plate = MarkerPlate.load(parameterNode.plateFile)
        centers = slicer.util.arrayFromMarkupsControlPoints(parameterNode.ctPoints, world=True)
        outward = (0.0, -1.0, 0.0) if plate.outward is not None else None  # the plate lies on the back
        result = registerPlate(plate, centers, outwardRas=outward, targets=self.targetsOf(parameterNode))
        if result.fit is None:
            raise ValueError(result.message)
        self._accept(parameterNode, result.fit)
        return result

    # --- result

    def targetsOf(self, parameterNode):
        """Targets by name (RAS mm)."""
        node = parameterNode.targets
        if node is None:
            return {}
        points = slicer.util.arrayFromMarkupsControlPoints(node, world=True)
        return {node.GetNthControlPointLabel(index): point for index, point in enumerate(points)}

    def _accept(self, parameterNode, fit):
        """Set the transform and keep the fit with its quality in the scene."""
        if parameterNode.referenceToRas is None:
            # a live stream has made the transform tree already: its registration node is the one to use
            node = slicer.mrmlScene.GetFirstNodeByName("ReferenceToRas")
            if node is None or not node.IsA("vtkMRMLLinearTransformNode"):
                node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "ReferenceToRas")
            parameterNode.referenceToRas = node
        if parameterNode.fit is None:
            parameterNode.fit = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationQuality")
        slicer.util.updateTransformMatrixFromArray(parameterNode.referenceToRas, fit.fromToTo)
        self._forgetVerification(parameterNode)
        writeFit(parameterNode.fit, fit)
        self.updateDisplay(parameterNode)

    def updateDisplay(self, parameterNode):
        """Bring what shows the registration in 3D in step with the fit and with what is to be shown."""
        fit = self.fitOf(parameterNode)
        self._residualModel.follow(parameterNode, fit)
        self.errorMap.follow(parameterNode, fit)

    def fitOf(self, parameterNode):
        """The last accepted fit, also after the scene was loaded again; None without one."""
        return readFit(parameterNode.fit)

    def verdict(self, parameterNode, doubtReasons=()):
        """RegistrationVerdict: missing, doubtful or done, and why. `doubtReasons` come from whoever watches the reference.

        The doubt kept in the scene and a verification that failed count too.
        """
        reasons = [*doubtReasons, *self.doubtReasons(parameterNode)]
        verification = self.verificationOf(parameterNode)
        if verification is not None and not verification.passed:
            reasons.append(verification.message)
        limitMm, patientTracked = parameterNode.passLimitMm, parameterNode.patientTracked
        return verdictOf(self.fitOf(parameterNode), limitMm, patientTracked, tuple(dict.fromkeys(reasons)))
