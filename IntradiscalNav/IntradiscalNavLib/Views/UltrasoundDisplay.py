"""The ultrasound picture as the views show it: live or frozen, behind a curtain, with the outside of the fan cut away.

The streamed volume node is left as it is. What is shown is a copy, which costs a fraction of a millisecond and gives the split curtain
and the freeze without any change to what is recorded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.ImagePlane import ImagePlane, imagePlane
from IntradiscalNavLib.Guidance.PathFrame import crossProduct, vectorLength
from IntradiscalNavLib.Views.DisplayNodes import makeNode, setMatrix
from IntradiscalNavLib.Views.FanMask import FanMask, Pixels


@dataclass(frozen=True, eq=False)
class UltrasoundFrame:
    """One picture (rows, columns) uint8 with its place: ``imageToRas`` maps (column, row, 0, 1) to RAS mm.

    ``stamp`` changes whenever the pixels do (the buffer itself is reused by the stream).
    """

    pixels: Pixels
    imageToRas: FloatArray
    stamp: int = 0

    @cached_property
    def plane(self) -> ImagePlane:
        rows, columns = self.pixels.shape
        return imagePlane(self.imageToRas, columns, rows)


class UltrasoundDisplay:
    """Display volume and its transform in the scene.

    ``curtain``: share of the image's width, from the left, where the ultrasound is drawn aside so that the CT alone is seen
    (0 none, 1 all).
    """

    def __init__(self, scene: Any, name: str = "NavUltrasoundShown") -> None:
        self._scene = scene
        self.transformNode = makeNode(scene, "vtkMRMLLinearTransformNode", f"{name}ToRAS")
        self.volumeNode = makeNode(scene, "vtkMRMLScalarVolumeNode", name)
        self.displayNode = makeNode(scene, "vtkMRMLScalarVolumeDisplayNode", f"{name}Display")
        self.displayNode.AutoWindowLevelOff()
        self.displayNode.SetWindowLevelMinMax(0, 255)
        self.displayNode.SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        # Pixels of value 0 are see-through: outside the fan and behind the curtain. Inside, black is shown as 1.
        self.displayNode.SetThreshold(1, 255)
        self.displayNode.ApplyThresholdOn()
        self.volumeNode.SetAndObserveDisplayNodeID(self.displayNode.GetID())
        self.volumeNode.SetAndObserveTransformNodeID(self.transformNode.GetID())
        self.curtain = 0.0
        self.fan = FanMask()
        self._image: Any = None
        self._view: Pixels | None = None
        self._key: tuple[object, ...] = ()
        self._matrix: FloatArray | None = None
        self._limits: tuple[Pixels, Pixels] | None = None
        self._limitsOf: npt.NDArray[np.bool_] | None = None
        # A slice view that shows a volume without an image logs errors at each rendering.
        self._allocate(1, 1)

    def show(self, frame: UltrasoundFrame) -> None:
        """Show a frame at its place. Nothing is done for pixels or a place that are shown already."""
        if self._matrix is None or not np.array_equal(self._matrix, frame.imageToRas):
            self._matrix = frame.imageToRas.copy()
            matrix = frame.imageToRas.copy()
            # The scanner gives no thickness; one unit of the third axis is a pixel's mean size along the plane's normal.
            normal = crossProduct(matrix[:3, 0], matrix[:3, 1])
            matrix[:3, 2] = normal / math.sqrt(vectorLength(normal))
            setMatrix(self.transformNode, matrix)
        key = (frame.stamp, id(frame.pixels) if frame.stamp == 0 else 0, self.curtain)
        if key != self._key:
            self._key = key
            self._copy(frame)

    def _copy(self, frame: UltrasoundFrame) -> None:
        rows, columns = frame.pixels.shape
        if self._view is None or self._view.shape != (rows, columns):
            self._allocate(rows, columns)
        assert self._view is not None
        self.fan.learn(frame.pixels)
        # Two arrays as limits take a tenth of the time of a number and a mask of truth values.
        least, most = self._limitsFor(frame.pixels.shape)
        np.maximum(frame.pixels, least, out=self._view)
        np.minimum(self._view, most, out=self._view)
        cut = round(np.clip(self.curtain, 0.0, 1.0) * columns)
        if cut:
            self._view[:, :cut] = 0
        self._image.GetPointData().GetScalars().Modified()
        self._image.Modified()

    def _limitsFor(self, shape: tuple[int, ...]) -> tuple[Pixels, Pixels]:
        """Least and largest value shown of each pixel: 1 and 255 inside the fan, 0 outside."""
        mask = self.fan.mask
        if self._limits is None or self._limitsOf is not mask or self._limits[0].shape != shape:
            least = np.ones(shape, np.uint8) if mask is None else mask.astype(np.uint8)
            self._limitsOf, self._limits = mask, (least, least * np.uint8(255))
        return self._limits

    def _allocate(self, rows: int, columns: int) -> None:
        import vtk
        from vtkmodules.util.numpy_support import vtk_to_numpy

        self._image = vtk.vtkImageData()
        self._image.SetDimensions(columns, rows, 1)
        self._image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        self._view = vtk_to_numpy(self._image.GetPointData().GetScalars()).reshape(rows, columns)
        self.volumeNode.SetAndObserveImageData(self._image)

    @property
    def image(self) -> Any:
        """vtkImageData that is shown; a single pixel before the first frame."""
        return self._image
