"""Maps nodes to FusionRegistrationLib and back; needs no panel."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from .BonePointModel import bonePointsOfPolyData
from .BoneScan import BoneScan
from .FusionRegistrationParameterNode import FusionRegistrationParameterNode
from .RegistrationRules import RegistrationAction, whyNot
from .RegistrationVerdict import listMarkers, readFit, verdictOf, writeFit
from .ToolCalibration import ToolCalibration, isValidPose, pivotText, setTip


def ijkToRasOf(volume):
    """4x4 of a volume node, its parent transform included.

    :raises ValueError: for a parent transform that isn't linear
    """
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    ijkToLocal = slicer.util.arrayFromVTKMatrix(matrix)
    parent = volume.GetParentTransformNode()
    if parent is None:
        return ijkToLocal
    toWorld = vtk.vtkMatrix4x4()
    if not parent.GetMatrixTransformToWorld(toWorld):
        raise ValueError(f"The volume {volume.GetName()} lies below a warping transform: harden it first.")
    return slicer.util.arrayFromVTKMatrix(toWorld) @ ijkToLocal


class FusionRegistrationLogic(ScriptedLoadableModuleLogic):
    """Registration by markers, points, plate or bone surface.

    logic = FusionRegistrationLogic()
    parameterNode = logic.getParameterNode()
    parameterNode.ctVolume = slicer.util.getNode("CT")
    logic.findMarkers(parameterNode)
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self._dwellDetector = None
        self._stylusStamp = 0
        self._boneSurface = None
        self._boneSurfaceKey = None
        self.toolCalibration = None
        self.scan = None

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

    # --- points

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

    # --- bone surface

    def _boneSurfaceOf(self, parameterNode):
        from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurface

        volume = parameterNode.ctVolume
        key = (volume.GetID(), volume.GetImageData().GetMTime(), volume.GetMTime(), parameterNode.surface.thresholdHu)
        if key != self._boneSurfaceKey:
            voxels = slicer.util.arrayFromVolume(volume)
            self._boneSurface = extractPosteriorBoneSurface(voxels, ijkToRasOf(volume), thresholdHu=parameterNode.surface.thresholdHu)
            self._boneSurfaceKey = key
        return self._boneSurface

    def extractBone(self, parameterNode):
        """Show the bone of the CT that ultrasound can see from behind as a model; returns the BoneSurface."""
        from vtk.util import numpy_support

        self._require(parameterNode, RegistrationAction.ExtractBone)
        surface = self._boneSurfaceOf(parameterNode)
        points = vtk.vtkPoints()
        points.SetData(numpy_support.numpy_to_vtk(np.ascontiguousarray(surface.pointsRas), deep=True))
        polyData = vtk.vtkPolyData()
        polyData.SetPoints(points)
        vertices = vtk.vtkVertexGlyphFilter()
        vertices.SetInputData(polyData)
        vertices.Update()
        model = parameterNode.surface.boneSurface
        if model is None:
            model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "BoneSurface")
            parameterNode.surface.boneSurface = model
        model.SetAndObservePolyData(vertices.GetOutput())
        model.CreateDefaultDisplayNodes()
        return surface

    def registerSurface(self, parameterNode):
        """Lay the scanned bone onto the CT's; starts from the present registration where there is one. Returns the SurfaceFit.

        A fit with doubts is kept too and shown as doubtful.

        :raises ValueError: too little bone, or no start and no beams to search with
        """
        from FusionRegistrationLib.SurfaceRegistration import registerSurface

        self._require(parameterNode, RegistrationAction.RegisterSurface)
        points = bonePointsOfPolyData(parameterNode.surface.bonePoints.GetPolyData())
        start = readFit(parameterNode.fit)
        fit = registerSurface(
            points,
            self._boneSurfaceOf(parameterNode),
            initialReferenceToRas=None if start is None else start.fromToTo,
            targetsRas=self.targetsOf(parameterNode),
        )
        self._accept(parameterNode, fit)
        return fit

    def startScanning(self, parameterNode):
        """Begin to collect bone from the streamed ultrasound; feed `scanFrame` from a timer."""
        self._require(parameterNode, RegistrationAction.ScanBone)
        self.stopScanning()
        start = readFit(parameterNode.fit)
        self.scan = BoneScan(self._boneSurfaceOf(parameterNode), None if start is None else start.fromToTo, self.targetsOf(parameterNode))

    def scanFrame(self, parameterNode):
        """Take the present frame; tells what is known, in a sentence."""
        surface = parameterNode.surface
        self.scan.takeFrame(surface.ultrasound, parameterNode.referenceToRas, parameterNode.probe)
        return self.scanText()

    def scanText(self):
        if self.scan is None:
            return ""
        state = self.scan.state
        text = _("{points} bone points of {frames} frames.").format(points=state.pointCount, frames=state.frameCount)
        if state.fit is not None:
            text += " " + _("{share:.0f} % lie on the CT surface.").format(share=100 * state.fit.inlierShare)
        hint = state.coverage.hint if state.coverage is not None else state.problem
        return f"{text} {hint}".strip()

    def acceptScan(self, parameterNode):
        """Take the newest fit of the scan, and keep its points as `bonePoints`; returns the SurfaceFit."""
        self._require(parameterNode, RegistrationAction.AcceptScan)
        fit = self.scan.live.accept()
        if parameterNode.surface.bonePoints is None:
            parameterNode.surface.bonePoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "BonePoints")
        parameterNode.surface.bonePoints.SetAndObservePolyData(self.scan.polyData())
        self._accept(parameterNode, fit)
        return fit

    def stopScanning(self):
        """End the scan; points and fit can still be accepted until the next scan begins."""
        if self.scan is not None:
            self.scan.stop()

    # --- calibration

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

    # --- verification

    def verify(self, parameterNode):
        """Compare the stylus tip with the nearest known point; keeps and returns the RegistrationVerification."""
        import json

        from FusionRegistrationLib.RegistrationVerification import verifyRegistration

        self._require(parameterNode, RegistrationAction.Verify)
        fit, tip = self.fitOf(parameterNode), self._tipInReference(parameterNode)
        known = slicer.util.arrayFromMarkupsControlPoints(parameterNode.knownPoints, world=True)
        inRas = fit.fromToTo[:3, :3] @ tip + fit.fromToTo[:3, 3]
        nearest = int(np.argmin(np.linalg.norm(known - inRas, axis=1)))
        name = parameterNode.knownPoints.GetNthControlPointLabel(nearest)
        registered = getattr(fit, "toPoints", None)
        result = verifyRegistration(
            fit.fromToTo, [tip], known[[nearest]], names=[name], limitMm=parameterNode.passLimitMm, registrationPointsRas=registered
        )
        if parameterNode.verification is None:
            parameterNode.verification = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "RegistrationVerification")
        parameterNode.verification.SetText(json.dumps(result.toDict()))
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
        writeFit(parameterNode.fit, fit)

    def fitOf(self, parameterNode):
        """The last accepted fit, also after the scene was loaded again; None without one."""
        return readFit(parameterNode.fit)

    def verdict(self, parameterNode, doubtReasons=()):
        """RegistrationVerdict: missing, doubtful or done, and why. `doubtReasons` come from whoever watches the reference."""
        return verdictOf(self.fitOf(parameterNode), parameterNode.passLimitMm, parameterNode.patientTracked, doubtReasons)
