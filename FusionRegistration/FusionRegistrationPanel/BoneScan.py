"""Scanning bone live: frames of the streamed ultrasound become bone points, and a fit is kept up to date in the background."""

import numpy as np
import slicer
import vtk

from .BonePointModel import polyDataOfBonePoints


def probeGeometryOf(probe, columns, rows, pixelMm):
    """ProbeGeometry of the panel's description of the probe.

    :raises ValueError: impossible sizes
    """
    from FusionRegistrationLib.ProbeGeometry import curvilinearGeometry, linearGeometry

    if not probe.curved:
        return linearGeometry(columns, rows, pixelMm)
    return curvilinearGeometry(
        columns,
        rows,
        pixelMm,
        apexPixel=(probe.apexColumn, probe.apexRow),
        faceRadiusMm=probe.faceRadiusMm,
        depthMm=probe.depthMm,
        halfAngleDeg=probe.halfAngleDeg,
    )


class BoneScan:
    """Feed `takeFrame` from a timer; `state` says what is known. Call `stop` before dropping it."""

    def __init__(self, boneSurface, initialReferenceToRas, targetsRas):
        from FusionRegistrationLib.LiveSurfaceRegistration import LiveSurfaceRegistration

        self.live = LiveSurfaceRegistration(boneSurface, initialReferenceToRas=initialReferenceToRas, targetsRas=targetsRas)
        self.live.start()
        self._geometry = self._geometryKey = None
        self._stamp = 0
        self._frame = 0
        self._points = []

    def takeFrame(self, imageNode, referenceToRasNode, probe):
        """Detect bone in the present frame, unless it was taken already or its pose isn't live; returns the number of new points."""
        from FusionRegistrationLib.BoneSurfaceUltrasound import detectBoneSurface
        from FusionRegistrationLib.ProbeGeometry import checkCalibration
        from FusionRegistrationLib.SweepBone import pointsOfDetection

        image = imageNode.GetImageData()
        isLive = imageNode.GetAttribute("IntradiscalNav.ToolState") in (None, "OK", "SUSPECT")
        if image is None or image.GetMTime() == self._stamp or not isLive:
            return 0
        self._stamp = image.GetMTime()
        pixels = slicer.util.arrayFromVolume(imageNode)[0]
        imageToReference = checkCalibration(self._imageToReference(imageNode, referenceToRasNode))
        pixelMm = tuple(float(np.linalg.norm(imageToReference[:3, axis])) for axis in (0, 1))
        key = (pixels.shape, probe)
        if key != self._geometryKey:
            self._geometry, self._geometryKey = probeGeometryOf(probe, pixels.shape[1], pixels.shape[0], pixelMm), key
        detection = detectBoneSurface(pixels, self._geometry)
        self._frame += 1
        points = pointsOfDetection(detection, imageToReference, np.eye(4), self._frame)
        if not len(points):
            return 0
        self._points.append(points)
        return self.live.addPoints(points)

    @staticmethod
    def _imageToReference(imageNode, referenceToRasNode):
        """Pixel (column, row, 0, 1) to Reference, through whatever transforms carry the image."""
        matrix = vtk.vtkMatrix4x4()
        imageNode.GetIJKToRASMatrix(matrix)
        ijkToParent = slicer.util.arrayFromVTKMatrix(matrix)
        slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(imageNode.GetParentTransformNode(), referenceToRasNode, matrix)
        return slicer.util.arrayFromVTKMatrix(matrix) @ ijkToParent

    @property
    def state(self):
        return self.live.state()

    def polyData(self):
        """All points taken, for a model node; None without any."""
        from FusionRegistrationLib.BonePoints import BonePoints

        if not self._points:
            return None
        names = ("pointsReference", "beamOffsetsMm", "frames", "confidence", "elevations")
        columns = {name: [getattr(points, name) for points in self._points] for name in names}
        joined = {name: None if values[0] is None else np.concatenate(values) for name, values in columns.items()}
        return polyDataOfBonePoints(BonePoints(**joined))

    def stop(self):
        self.live.stop()
