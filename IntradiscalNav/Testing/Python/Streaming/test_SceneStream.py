"""Messages become nodes: the tree, the geometry of images, and the status as attributes."""

import dataclasses
import time

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationFromVector
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneStream
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatusMonitor, ToolStatusParameters

OK_METADATA = {"TransformStatus": "OK", "TransformValid": "1"}


def randomRigid(rng):
    return rigidFrom(rotationFromVector(rng.normal(size=3)), rng.normal(size=3) * 100)


def transform(name, matrix, deviceSec=0.0, **metadata):
    return TransformMessage(
        name, matrix, timestampSec=deviceSec, arrivalSec=time.monotonic(), metadata=metadata or OK_METADATA, headerVersion=2
    )


def worldMatrix(node):
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    matrix = vtkMatrix4x4()
    node.GetMatrixTransformToWorld(matrix)
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])


@pytest.fixture
def stream(scene):
    return SceneStream(scene, monitor=ToolStatusMonitor(ToolStatusParameters(recoverSec=0.0, minRateHz=0.0)))


@pytest.mark.parametrize("naming", ["Tracker", "Reference"])
def testTreeIsTheSameWhateverTheNaming(stream, naming):
    rng = np.random.default_rng(4)
    probeToTracker, needleToTracker, referenceToTracker, referenceToRas, imageToProbe, tipToNeedle = (randomRigid(rng) for _ in range(6))
    imageToProbe[:3, :3] *= 0.1
    stream.setCalibration("ImageToProbe", imageToProbe)
    stream.setCalibration("NeedleTipToNeedle", tipToNeedle)
    stream.setRegistration(referenceToRas)
    if naming == "Tracker":
        stream.receive(
            [
                transform("ReferenceToTracker", referenceToTracker, 7.0),
                transform("ProbeToTracker", probeToTracker, 7.0),
                transform("NeedleToTracker", needleToTracker, 7.0),
            ]
        )
    else:
        trackerToReference = invertRigid(referenceToTracker)
        stream.receive(
            [
                transform("ProbeToReference", trackerToReference @ probeToTracker),
                transform("NeedleToReference", trackerToReference @ needleToTracker),
            ]
        )
    stream.apply()
    chain = [stream.node("ImageToProbe")]
    while chain[-1].GetParentTransformNode() is not None:
        chain.append(chain[-1].GetParentTransformNode())
    assert [node.GetName() for node in chain] == ["ImageToProbe", "ProbeToReference", "ReferenceToRas"]
    expectedImage = referenceToRas @ np.linalg.inv(referenceToTracker) @ probeToTracker @ imageToProbe
    assert np.allclose(worldMatrix(stream.node("ImageToProbe")), expectedImage, atol=1e-9)
    expectedTip = referenceToRas @ np.linalg.inv(referenceToTracker) @ needleToTracker @ tipToNeedle
    assert np.allclose(worldMatrix(stream.node("NeedleTipToNeedle")), expectedTip, atol=1e-9)
    assert stream.node("ProbeToReference").GetAttribute("TransformStatus") == "OK"
    assert stream.node("ProbeToReference").GetAttribute("OpenIGTLink.TransformValid") == "1"


def testInvalidPoseKeepsThePlaceAndSaysSo(stream):
    matrix = randomRigid(np.random.default_rng(5))
    stream.receive([transform("NeedleToReference", matrix)])
    assert stream.apply().states["NeedleToReference"] is ToolState.OK
    stream.receive([transform("NeedleToReference", np.eye(4), TransformStatus="OUT_OF_VIEW", TransformValid="0")])
    update = stream.apply()
    node = stream.node("NeedleToReference")
    assert update.states["NeedleToReference"] is ToolState.INVALID
    assert np.allclose(worldMatrix(node), matrix)
    assert node.GetAttribute("TransformStatus") == "OUT_OF_VIEW"
    assert node.GetAttribute("OpenIGTLink.TransformValid") == "0"
    assert "view" in node.GetAttribute("IntradiscalNav.ToolReasons")
    assert [(c.fromState, c.toState) for c in update.changes] == [(ToolState.OK, ToolState.INVALID)]


def testLostReferenceMakesEveryToolInvalid(stream):
    rng = np.random.default_rng(6)
    stream.receive([transform("ReferenceToTracker", randomRigid(rng)), transform("NeedleToTracker", randomRigid(rng))])
    assert stream.apply().states["NeedleToReference"] is ToolState.OK
    stream.receive([transform("ReferenceToTracker", np.eye(4), TransformStatus="MISSING", TransformValid="0")])
    assert stream.apply().states["NeedleToReference"] is ToolState.INVALID


def testImageGeometryAndOwnershipOfItsVoxels(stream):
    import slicer

    rng = np.random.default_rng(7)
    geometry = randomRigid(rng)
    geometry[:3, :3] *= [0.085, 0.079, 0.08]
    first = rng.integers(0, 255, (1, 48, 64), np.uint8)
    referenceToRas = randomRigid(rng)
    stream.setRegistration(referenceToRas)
    stream.receive([transform("ProbeToReference", randomRigid(rng)), ImageMessage("Image_Reference", first, geometry)])
    stream.apply()
    node = stream.node("Image_Reference")
    assert node.GetParentTransformNode().GetName() == "ReferenceToRas"
    kept = slicer.util.arrayFromVolume(node)
    assert np.array_equal(kept, first)
    ras = np.zeros(4)
    from vtkmodules.vtkCommonMath import vtkMatrix4x4

    ijkToRas = vtkMatrix4x4()
    node.GetIJKToRASMatrix(ijkToRas)
    ras[:] = ijkToRas.MultiplyPoint((10.0, 20.0, 0.0, 1.0))
    assert np.allclose(ras, geometry @ [10, 20, 0, 1], atol=1e-9)
    # The next picture is of another size; an array taken before still shows its own picture.
    second = rng.integers(0, 255, (1, 30, 20), np.uint8)
    stream.receive([ImageMessage("Image_Reference", second, geometry)])
    stream.apply()
    assert np.array_equal(slicer.util.arrayFromVolume(node), second)
    assert np.array_equal(kept, first)


def testImageOfALostProbeIsInvalid(stream):
    image = ImageMessage("Image_Reference", np.zeros((1, 4, 4), np.uint8), np.eye(4), metadata={"ProbeToTrackerTransformStatus": "MISSING"})
    stream.receive([image])
    assert stream.apply().states["Image_Reference"] is ToolState.INVALID
    stylus = ImageMessage(
        "Image_Reference",
        image.voxels,
        np.eye(4),
        metadata={"ProbeToTrackerTransformStatus": "OK", "StylusToTrackerTransformStatus": "OUT_OF_VIEW"},
    )
    stream.receive([stylus])
    assert stream.apply().states["Image_Reference"] is ToolState.OK


def testNodesAreReusedAndNothingGrows(stream, scene):
    rng = np.random.default_rng(8)
    image = ImageMessage("Image_Reference", np.zeros((1, 4, 4), np.uint8), np.eye(4))
    stream.receive([transform("ProbeToReference", randomRigid(rng)), image])
    stream.apply()
    count = scene.GetNumberOfNodes()
    for _ in range(200):
        stream.receive([transform("ProbeToReference", randomRigid(rng)), image])
        stream.apply()
    assert scene.GetNumberOfNodes() == count
    second = SceneStream(scene)
    second.receive([transform("ProbeToReference", randomRigid(rng)), image])
    second.apply()
    assert scene.GetNumberOfNodes() == count


def testServerThatChangesItsNamesIsFollowed(stream):
    """First ProbeToReference, then ProbeToTracker and ReferenceToTracker: the first one must not stay stale for ever."""
    rng = np.random.default_rng(9)
    first, probe, reference = (randomRigid(rng) for _ in range(3))
    stream.receive([transform("ProbeToReference", first)])
    stream.apply()
    later = time.monotonic() + 60.0
    for index in range(5):
        messages = [transform("ProbeToTracker", probe, 7.0 + index), transform("ReferenceToTracker", reference, 7.0 + index)]
        stream.receive([dataclasses.replace(message, arrivalSec=later + 0.02 * index) for message in messages])
    update = stream.apply(later + 0.1)
    assert update.states["ProbeToReference"] is ToolState.OK
    assert np.allclose(worldMatrix(stream.node("ProbeToReference")), invertRigid(reference) @ probe, atol=1e-9)


def testImageOfALostProbeUnderVersion1IsToldByTheProbe(stream):
    """Header version 1: the image goes on with the recorded pose and no sign; only the probe's identity tells."""
    rng = np.random.default_rng(10)
    image = ImageMessage("Image_Reference", np.zeros((1, 4, 4), np.uint8), np.eye(4))
    stream.setCalibration("ImageToProbe", np.diag([0.1, 0.1, 0.1, 1.0]))
    stream.receive([TransformMessage("ProbeToReference", randomRigid(rng)), image])
    assert stream.apply().states["Image_Reference"] is ToolState.OK
    stream.receive([TransformMessage("ProbeToReference", np.eye(4)), image])
    assert stream.apply().states["Image_Reference"] is ToolState.INVALID
    assert "identity" in stream.node("Image_Reference").GetAttribute("IntradiscalNav.ToolReasons")


def testOldImagesAreStale(stream):
    now = time.monotonic()
    for index in range(10):
        image = ImageMessage("Image_Reference", np.zeros((1, 4, 4), np.uint8), np.eye(4), arrivalSec=now, timestampSec=1.79e9 + 0.1 * index)
        stream.receive([dataclasses.replace(image, arrivalSec=now + 0.1 * index)])
    assert stream.apply(now + 0.91).states["Image_Reference"] is ToolState.OK
    # It arrives just now, but was taken two seconds ago.
    stream.receive([dataclasses.replace(image, arrivalSec=now + 3.0, timestampSec=1.79e9 + 1.0)])
    assert stream.apply(now + 3.01).states["Image_Reference"] is ToolState.STALE
    assert "old" in stream.node("Image_Reference").GetAttribute("IntradiscalNav.ToolReasons")
    assert stream.apply(now + 20.0).states["Image_Reference"] is ToolState.MISSING
