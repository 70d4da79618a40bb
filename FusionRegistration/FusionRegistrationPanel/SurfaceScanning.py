"""The part of the logic that registers by the bone surface: extracting it, scanning bone, and the fit."""

import numpy as np
import slicer
import vtk
from slicer.i18n import tr as _

from .BonePointModel import bonePointsOfPolyData
from .BoneScan import BoneScan
from .RegistrationRules import RegistrationAction
from .RegistrationVerdict import readFit
from .VolumeFrame import ijkToRasOf


class SurfaceScanning:
    """Mixed into the logic, which accepts the fit."""

    def _resetSurface(self):
        self._boneSurface = self._boneSurfaceKey = None
        self.scan = None

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
        normals = numpy_support.numpy_to_vtk(np.ascontiguousarray(surface.normalsRas, np.float32), deep=True)
        normals.SetName("Normals")
        polyData.GetPointData().SetNormals(normals)
        vertices = vtk.vtkVertexGlyphFilter()
        vertices.SetInputData(polyData)
        vertices.Update()
        model = parameterNode.surface.boneSurface
        if model is None:
            model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "BoneSurface")
            parameterNode.surface.boneSurface = model
        model.SetAndObservePolyData(vertices.GetOutput())
        model.CreateDefaultDisplayNodes()
        self.updateDisplay(parameterNode)
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

    def registerJointly(self, parameterNode):
        """Fit the scanned bone and the markers of the present registration together, each by its uncertainty; returns the JointFit.

        The fit is kept also where the two contradict each other, and shown as doubtful with how far they are apart.

        :raises ValueError: too little bone, or no registration by points or plate
        """
        from FusionRegistrationLib.JointRegistration import markerPrior, registerJointly

        self._require(parameterNode, RegistrationAction.RegisterJointly)
        points = bonePointsOfPolyData(parameterNode.surface.bonePoints.GetPolyData())
        prior = markerPrior(readFit(parameterNode.fit))
        joint = registerJointly(points, self._boneSurfaceOf(parameterNode), prior, targetsRas=self.targetsOf(parameterNode))
        self._accept(parameterNode, joint.fit)
        return joint

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
