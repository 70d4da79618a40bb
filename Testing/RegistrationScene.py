"""What the suites of the panel of FusionRegistration put into the scene, and the truth they judge by."""

import numpy as np

# quarter turn about S, then a shift: written down by hand, independent of the program
REFERENCE_TO_RAS = np.array([[0, -1, 0, 10], [1, 0, 0, -20], [0, 0, 1, 30], [0, 0, 0, 1.0]])
BALLS = np.array([[0, 0, 0], [45, 5, 0], [10, 50, 0], [60, 62, 0], [30, 85, 0.0]])


def toRas(points):
    return points @ REFERENCE_TO_RAS[:3, :3].T + REFERENCE_TO_RAS[:3, 3]


def fill(selector, points, names=()):
    import slicer

    node = selector.addNode()
    slicer.util.updateMarkupsControlPointsFromArray(node, points)
    for index, name in enumerate(names):
        node.SetNthControlPointLabel(index, name)
    return node


def addCt(ballsRas, spacingMm=1.0):
    """CT of air above soft tissue (posterior is -A), with steel-like balls lying on the skin; returns the node."""
    import slicer

    origin = np.array([-70.0, -70.0, -20.0])
    shape = (150, 140, 140)  # k, j, i
    k, j, i = np.indices(shape, dtype=np.float32)
    r, a, s = origin[0] + spacingMm * i, origin[1] + spacingMm * j, origin[2] + spacingMm * k
    voxels = np.where(a > -30, 40, -1000).astype(np.float32)
    for ball in ballsRas:
        distance = np.sqrt((r - ball[0]) ** 2 + (a - ball[1]) ** 2 + (s - ball[2]) ** 2)
        voxels += (2500 - voxels) * np.clip(2.5 + 0.5 - distance, 0, 1)
    volume = slicer.util.addVolumeFromArray(voxels.astype(np.int16), name="CT")
    volume.SetOrigin(*origin)
    volume.SetSpacing(spacingMm, spacingMm, spacingMm)
    return volume


def addStylus(panel):
    """ReferenceToRas with StylusToReference and StylusTipToStylus below it, as the transform tree of the scene."""
    import slicer

    nodes = [
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", name)
        for name in ("ReferenceToRas", "StylusToReference", "StylusTipToStylus")
    ]
    for child, parent in zip(nodes[1:], nodes):
        child.SetAndObserveTransformNodeID(parent.GetID())
    slicer.util.updateTransformMatrixFromArray(nodes[0], REFERENCE_TO_RAS)
    tip = np.eye(4)
    tip[:3, 3] = [0, 0, 100]
    slicer.util.updateTransformMatrixFromArray(nodes[2], tip)
    panel.ui.referenceToRasSelector.setCurrentNode(nodes[0])
    panel.ui.stylusTipSelector.setCurrentNode(nodes[2])
    return nodes[1]


def moveTip(stylus, tipInReference):
    import slicer

    pose = np.eye(4)
    pose[:3, 3] = np.asarray(tipInReference) - [0, 0, 100]
    slicer.util.updateTransformMatrixFromArray(stylus, pose)


def addTool(panel, selector):
    import slicer

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "StylusToReference")
    selector.setCurrentNode(node)
    return node


def rotation(axis, angleDeg):
    """Rodrigues' formula, written here so that the test shares nothing with the program."""
    axis, angle = np.asarray(axis) / np.linalg.norm(axis), np.radians(angleDeg)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
