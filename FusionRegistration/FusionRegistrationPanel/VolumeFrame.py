"""Where the voxels of a volume node are."""

import slicer
import vtk


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
