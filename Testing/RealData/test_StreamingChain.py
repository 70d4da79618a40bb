"""Real recordings replayed, received and carried through the whole chain to places that are known."""

import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy import ndimage

from FusionRegistrationLib.DwellDetection import DwellDetector, DwellParameters
from FusionRegistrationLib.RigidFit import fitRigid
from FusionRegistrationLib.RigidTransform import invertRigid, rotationAngleDeg, transformPoints
from IntradiscalNavLib.Simulation.PlusRecording import readPlusRecording
from IntradiscalNavLib.Simulation.ReplayServer import ReplayOptions, ReplayServer
from IntradiscalNavLib.Streaming.MessageQueue import MessageQueue
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage
from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatusMonitor
from IntradiscalNavLib.Streaming.TransformTree import TransformTree

pytestmark = pytest.mark.realdata


def replayed(recording, calibrations, speed, lastCount):
    """All messages of one round of a replay, as received over TCP; ``lastCount`` frames are expected."""
    options = ReplayOptions(speed=speed, loop=False)
    messages = []
    queue = MessageQueue(imageCapacity=400)
    with (
        ReplayServer(recording, calibrations=calibrations, options=options) as server,
        OpenIGTLinkClient(port=server.port, queue=queue) as client,
    ):
        deadline = time.monotonic() + 60.0
        while len({m.timestampSec for m in messages if m.timestampSec}) < lastCount:
            assert time.monotonic() < deadline, f"{len(messages)} messages so far, {client.status}"
            messages += client.takeMessages(0.5)
        assert server.waitUntilFinished(10.0)
        messages += client.takeMessages(0.3)
        assert client.problems == () and not client.droppedCounts
    return messages


# Eight landmarks touched with a tracked stylus


@pytest.fixture(scope="module")
def landmarks(realData):
    folder = realData / "tracked/plus"
    recording = readPlusRecording(folder / "EightLandmarkPointsTrackedForPhantomRegistration.igs.mha")
    configuration = readPlusConfiguration(folder / "PlusDeviceSet_fCal_Sim_RecordPhantomLandmarks.xml")
    root = ElementTree.parse(configuration.path).getroot()
    positions = np.array([[float(word) for word in mark.get("Position").split()] for mark in root.iter("Landmark")])
    truth = readPlusConfiguration(folder / "PhantomRegistrationLandmarkDetection.results.xml").coordinateDefinitions["PhantomToReference"]
    return recording, configuration.coordinateDefinitions["StylusTipToStylus"], positions, truth


def testStylusDwellsRegisterThePhantomAsPlusDid(landmarks):
    recording, stylusTipToStylus, positions, truth = landmarks
    speed = 20.0
    messages = replayed(recording, {}, speed, recording.frameCount)
    tree = TransformTree()
    tree.setFixed("StylusTipToStylus", stylusTipToStylus)
    # The stylus is rocked in each divot for 4 to 6 s; its tip calibration is good to half a millimetre, so the tip seems to wander.
    # It also rests before the first and after the last landmark, for three seconds each.
    detector = DwellDetector(DwellParameters(minDurationSec=3.5, radiusMm=2.5))
    dwells = []
    begin = messages[0].timestampSec or messages[1].timestampSec
    for message in messages:
        if not isinstance(message, TransformMessage) or not message.deviceName.endswith("ToTracker"):
            continue
        tree.update(message.deviceName, message.matrix, message.timestampSec)
        tip = tree.resolve("StylusTip", "Reference")
        if tip is not None and tip.timestampSec == message.timestampSec:
            dwell = detector.addSample((message.timestampSec - begin) * speed, tip.matrix[:3, 3])
            if dwell is not None:
                dwells.append(dwell)
    last = detector.flush()
    dwells += [last] if last is not None else []
    assert len(dwells) == 8
    fit = fitRigid(positions, [dwell.position for dwell in dwells])
    assert fit.freMm == pytest.approx(0.27, abs=0.02)
    assert rotationAngleDeg(invertRigid(truth) @ fit.fromToTo) < 0.1
    # At the phantom's own origin and at its landmarks.
    assert np.linalg.norm(fit.fromToTo[:3, 3] - truth[:3, 3]) < 0.3
    assert np.linalg.norm(transformPoints(fit.fromToTo, positions) - transformPoints(truth, positions), axis=1).max() < 0.3


# Nine wires of a calibration phantom


def segmentedWirePoints(image):
    """Nine points (column, row) in a picture of three parallel rows of three wires, or None where they are not all plain to see.

    Knows the look of the picture alone: bright small spots, three to a row. No calibration, no tracking.
    """
    labels, _count = ndimage.label(image > 40)
    spots = []
    for label, box in enumerate(ndimage.find_objects(labels), 1):
        height, width = (side.stop - side.start for side in box)
        if width <= 45 and height <= 35 and (labels[box] == label).sum() >= 15:
            spots.append(label)
    if len(spots) < 9:
        return None
    points = np.array(ndimage.center_of_mass(image.astype(float), labels, spots))[:, ::-1]
    best = None
    for slope in np.linspace(-0.15, 0.15, 31):
        heights = points[:, 1] - slope * points[:, 0]
        order = np.argsort(heights)
        groups = np.split(order, np.flatnonzero(np.diff(heights[order]) > 40) + 1)
        rows = [group for group in groups if len(group) == 3 and np.ptp(heights[group]) < 14]
        if len(rows) == 3:
            scatter = sum(np.var(heights[row]) for row in rows)
            if best is None or scatter < best[0]:
                best = (scatter, np.concatenate([points[row] for row in rows]))
    return None if best is None else best[1]


def distancesToWires(points, wires):
    """Distance of each point (n, 3) to the nearest of the lines (front, back)."""
    result = []
    for point in points:
        result.append(min(np.linalg.norm(np.cross(point - front, back - front)) / np.linalg.norm(back - front) for front, back in wires))
    return np.array(result)


@pytest.fixture(scope="module")
def wirePhantom(realData):
    folder = realData / "tracked/plus"
    recording = readPlusRecording(folder / "fCal_Test_Calibration_3NWires_fCal2.0.igs.mha")
    imageToProbe = readPlusConfiguration(folder / "FreehandCalibration3NWires_fCal2.0.results.xml").coordinateDefinitions["ImageToProbe"]
    configuration = readPlusConfiguration(folder / "PlusDeviceSet_fCal_Sim_SpatialCalibration_2.0.xml")
    root = ElementTree.parse(folder / "PhantomDefinition_fCal_2.0_Wiring_2.0.xml").getroot()
    wires = [
        tuple(np.array([float(word) for word in wire.get(end).split()]) for end in ("EndPointFront", "EndPointBack"))
        for wire in root.iter("Wire")
    ]
    messages = replayed(recording, {"ImageToProbe": imageToProbe}, 8.0, recording.frameCount)
    # Every second picture: enough, and half the time.
    segmented = [(m, segmentedWirePoints(m.voxels[0])) for m in messages if isinstance(m, ImageMessage)][::2]
    segmented = [(message, points) for message, points in segmented if points is not None]
    return recording, messages, segmented, imageToProbe, configuration.coordinateDefinitions["PhantomToReference"], wires


def wireDistances(wirePhantom, mirrored=False, inverted=False):
    """Distances of the segmented points to the wires, by the geometry of the image messages and by the transforms received."""
    _, messages, segmented, imageToProbe, phantomToReference, wires = wirePhantom
    byGeometry, byTransforms = [], []
    referenceToPhantom = np.linalg.inv(phantomToReference)
    probes = {m.timestampSec: m.matrix for m in messages if isinstance(m, TransformMessage) and m.deviceName == "ProbeToReference"}
    for message, pixels in segmented:
        if mirrored:
            pixels = pixels * [-1, 1] + [message.voxels.shape[2] - 1, 0]
        points = np.column_stack([pixels, np.zeros(len(pixels))])
        probeToReference = probes[message.timestampSec]
        imageToReference = message.ijkToFrame
        if inverted:
            probeToReference = np.linalg.inv(probeToReference)
            imageToReference = probeToReference @ imageToProbe
        byGeometry.append(distancesToWires(transformPoints(referenceToPhantom @ imageToReference, points), wires))
        chain = referenceToPhantom @ probeToReference @ imageToProbe
        byTransforms.append(distancesToWires(transformPoints(chain, points), wires))
    return np.array(byGeometry), np.array(byTransforms)


def testWirePointsOfTheReceivedPicturesLieOnTheWires(wirePhantom):
    byGeometry, byTransforms = wireDistances(wirePhantom)
    assert len(byGeometry) >= 40, "the wires must be plain to see in a good part of the pictures"
    assert byGeometry.mean() <= 0.5
    assert byTransforms.mean() <= 0.5
    assert np.percentile(byGeometry, 99) < 2.0


@pytest.mark.parametrize("fault", ["mirrored", "inverted"])
def testAMirroredPictureOrAnInvertedTransformIsFound(wirePhantom, fault):
    byGeometry, byTransforms = wireDistances(wirePhantom, **{fault: True})
    assert byGeometry.mean() > 2.0 and byTransforms.mean() > 2.0


def testReplayedPicturesEqualTheRecording(wirePhantom):
    recording, messages, *_ = wirePhantom
    images = [message for message in messages if isinstance(message, ImageMessage)]
    assert len(images) == recording.frameCount
    assert all(np.array_equal(image.voxels[0], frame) for image, frame in zip(images, recording.imageFrames))


def testNoFalseAlarmAtTheirOwnRate(realData):
    """Played at their own rate, no real recording raises a status other than OK once it runs."""
    folder = realData / "tracked/plus"
    for name in ("SpinePhantomFreehand.igs.mha", "fCal_Test_Calibration_3NWires_fCal2.0.igs.mha"):
        recording = readPlusRecording(folder / name)
        monitor = ToolStatusMonitor()
        # The real spacing of the recording on a clock of our own: hours of waiting would tell nothing more.
        for index in range(recording.frameCount):
            now = 1000.0 + recording.timestampsSec[index] - recording.timestampsSec[0]
            for tool, matrices in recording.transforms.items():
                monitor.updatePose(tool, matrices[index], now, 1.7e9 + now, recording.statuses[tool][index], True)
            states = {tool: monitor.status(tool, now + 0.02) for tool in recording.transforms}
            if index >= 5:
                assert all(status.state is ToolState.OK for status in states.values()), (name, index, states)


def testRealStylusBeingSwungBetweenLandmarksRaisesNoAlarm(landmarks):
    recording, *_ = landmarks
    monitor = ToolStatusMonitor()
    notOk = []
    for index in range(recording.frameCount):
        now = 1000.0 + recording.timestampsSec[index] - recording.timestampsSec[0]
        for tool, matrices in recording.transforms.items():
            monitor.updatePose(tool, matrices[index], now, 1.7e9 + now, recording.statuses[tool][index], True)
            status = monitor.status(tool, now + 0.02)
            if index >= 5 and status.state is not ToolState.OK:
                notOk.append((index, tool, status.state, status.reasons))
    assert notOk == []
