"""Anatomy for the planner out of a CT node and a segmentation or label map node."""

import numpy as np
import slicer
from FusionRegistrationPanel.FusionRegistrationLogic import ijkToRasOf


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
    """Names of the color table, or None for TotalSegmentator's numbers."""
    display = labelMap.GetDisplayNode()
    colors = display.GetColorNode() if display is not None else None
    if colors is None:
        return None
    names = {
        int(value): colors.GetColorName(int(value)) for value in np.unique(labels) if value and int(value) < colors.GetNumberOfColors()
    }
    from IntradiscalNavLib.Planning.StructureNames import structureFromName

    known = {value: name for value, name in names.items() if name and structureFromName(name) is not None}
    return known or None


def anatomyOf(ctVolume, segmentation):
    """SpineAnatomy of the nodes.

    :raises ValueError: no vertebra, no skin, or grids that don't fit, naming the remedy
    """
    from IntradiscalNavLib.Planning.SpineAnatomy import anatomyFromLabels

    labels, ijkToRas, names = labelsOf(segmentation, ctVolume)
    voxels, ctIjkToRas = slicer.util.arrayFromVolume(ctVolume), ijkToRasOf(ctVolume)
    sameGrid = voxels.shape == labels.shape and np.allclose(ctIjkToRas, ijkToRas, atol=1e-4)
    return anatomyFromLabels(labels, ijkToRas, names, ctHu=voxels, ctIjkToRas=None if sameGrid else ctIjkToRas)
