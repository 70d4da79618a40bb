"""Anatomy for the planner out of a CT node and a segmentation or label map node."""

import numpy as np
import slicer
from FusionRegistrationPanel.VolumeFrame import ijkToRasOf


def labelsOf(segmentation, ctVolume):
    """(labels (k, j, i), ijkToRas, names by value) of a segmentation node, on the CT's grid, or of a label map node, on its own.

    Segments whose name says nothing known to the planner are left out.

    :raises ValueError: if nothing in the segmentation is known
    """
    from IntradiscalNavLib.Planning.StructureNames import structureFromName

    if segmentation.IsA("vtkMRMLLabelMapVolumeNode"):
        labels = np.ascontiguousarray(slicer.util.arrayFromVolume(segmentation))
        return labels, ijkToRasOf(segmentation), _colorNames(segmentation, labels)
    contents = segmentation.GetSegmentation()
    shape = slicer.util.arrayFromVolume(ctVolume).shape
    labels = np.zeros(shape, np.uint8)
    names = {}
    for index in range(contents.GetNumberOfSegments()):
        segmentId = contents.GetNthSegmentID(index)
        name = contents.GetSegment(segmentId).GetName()
        if structureFromName(name) is None or len(names) >= 255:
            continue
        mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segmentId, ctVolume)
        if mask is not None and mask.shape == shape and mask.any():
            names[len(names) + 1] = name
            labels[mask != 0] = len(names)
    if not names:
        raise ValueError(
            f"No segment of {segmentation.GetName()} has a known name: call them vertebrae_L4, L4 vertebra, aorta and the like."
        )
    return labels, ijkToRasOf(ctVolume), names


def _colorNames(labelMap, labels):
    """Names of the color table, or None for TotalSegmentator's numbers.

    Slicer gives every label map a general color table, whose names have nothing to do with it: names count only if they name a vertebra.
    """
    display = labelMap.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    if colors is None:
        return None
    names = {
        int(value): colors.GetColorName(int(value)) for value in np.unique(labels) if value and int(value) < colors.GetNumberOfColors()
    }
    from IntradiscalNavLib.Planning.StructureNames import StructureKind, structureFromName

    known = {value: (name, structureFromName(name)) for value, name in names.items() if name and structureFromName(name) is not None}
    if not any(structure.kind is StructureKind.VERTEBRA and structure.level for _name, structure in known.values()):
        return None
    return {value: name for value, (name, _structure) in known.items()}


def anatomyOf(ctVolume, segmentation, endplates=None, level=""):
    """SpineAnatomy of the nodes.

    :param segmentation: segmentation or label map; None takes bone and skin from the CT and the disc from `endplates`
    :param endplates: point list whose first two points lie on the upper and the lower endplate of the disc `level`, in either order
    :raises ValueError: no vertebra, no skin, points that can't be a disc, or grids that don't fit, naming the remedy
    """
    from IntradiscalNavLib.Planning.HuAnatomy import anatomyFromHu
    from IntradiscalNavLib.Planning.SpineAnatomy import anatomyFromLabels

    voxels, ctIjkToRas = slicer.util.arrayFromVolume(ctVolume), ijkToRasOf(ctVolume)
    position = patientPositionOf(ctVolume)
    if segmentation is None:
        points = slicer.util.arrayFromMarkupsControlPoints(endplates, world=True)[:2]
        upper, lower = sorted(points, key=lambda point: -point[2])
        return anatomyFromHu(voxels, ctIjkToRas, upper, lower, level, patientPosition=position)
    labels, ijkToRas, names = labelsOf(segmentation, ctVolume)
    sameGrid = voxels.shape == labels.shape and np.allclose(ctIjkToRas, ijkToRas, atol=1e-4)
    return anatomyFromLabels(labels, ijkToRas, names, ctHu=voxels, ctIjkToRas=None if sameGrid else ctIjkToRas, patientPosition=position)


def patientPositionOf(ctVolume):
    """DICOM Patient Position (HFP, HFS, …) of a volume that came from Slicer's DICOM database; empty where it isn't known."""
    instances = (ctVolume.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not instances or database is None:
        return ""
    return (database.instanceValue(instances[0], "0018,5100") or "").strip()


def anatomyKey(ctVolume, segmentation, endplates=None, level=""):
    """Changes when the anatomy has to be worked out anew: with the voxels and their place, not with names, colors or storage."""
    return (_contentKey(ctVolume), _contentKey(segmentation) if segmentation is not None else (_pointsKey(endplates), level))


def _contentKey(node):
    if node.IsA("vtkMRMLSegmentationNode"):
        return node.GetID(), node.GetSegmentation().GetMTime()
    return node.GetID(), node.GetImageData().GetMTime() if node.GetImageData() is not None else 0, ijkToRasOf(node).tobytes()


def _pointsKey(points):
    return points.GetID(), slicer.util.arrayFromMarkupsControlPoints(points, world=True)[:2].tobytes()
