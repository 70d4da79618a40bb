"""Moves one slice view. Either SlicerIGT's Volume Reslice Driver moves a slice or we do, never both."""

from __future__ import annotations

from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Views.SlicePose import SlicePose

RESLICE_DRIVER_ATTRIBUTE = "VolumeResliceDriver.Driver"
"""Attribute of a slice node by which SlicerIGT's driver takes hold of it (value: ID of the driving node)."""


def drivenByResliceDriver(sliceNode: Any) -> bool:
    """Whether SlicerIGT's Volume Reslice Driver moves this slice."""
    return bool(sliceNode.GetAttribute(RESLICE_DRIVER_ATTRIBUTE))


class SliceDriver:
    """Sets pose and field of view of a slice node, only when they change.

    A slice that SlicerIGT's driver holds isn't touched (``isOurs`` is False); ``takeOver`` releases it first.
    """

    def __init__(self, sliceNode: Any) -> None:
        import vtk

        self.node = sliceNode
        self.marginShare = 0.04
        self.pixelMm = 0.25
        """Size of a screen pixel as last set."""
        self._matrix = vtk.vtkMatrix4x4()
        self._shown: tuple[FloatArray, float, float, int, int] | None = None

    @property
    def isOurs(self) -> bool:
        return not drivenByResliceDriver(self.node)

    def takeOver(self) -> None:
        """Release the slice from SlicerIGT's driver, so that we move it."""
        self.node.RemoveAttribute(RESLICE_DRIVER_ATTRIBUTE)
        self._shown = None

    def show(self, pose: SlicePose) -> bool:
        """Move the slice there; False when it was there already or isn't ours to move."""
        if not self.isOurs:
            self._shown = None
            return False
        columns, rows, _ = self.node.GetDimensions()
        key = (pose.sliceToRas, pose.widthMm, pose.heightMm, columns, rows)
        before = self._shown
        if before is not None and before[1:] == key[1:] and (before[0] is pose.sliceToRas or np.array_equal(before[0], pose.sliceToRas)):
            return False
        pixelMm = (1.0 + self.marginShare) * max(pose.widthMm / max(columns, 1), pose.heightMm / max(rows, 1))
        self.pixelMm = pixelMm
        self._matrix.DeepCopy(pose.sliceToRas.ravel().tolist())
        wasModifying = self.node.StartModify()
        self.node.GetSliceToRAS().DeepCopy(self._matrix)
        self.node.SetFieldOfView(pixelMm * columns, pixelMm * rows, max(pixelMm, 1e-3))
        self.node.UpdateMatrices()
        self.node.EndModify(wasModifying)
        self._shown = key
        return True
