"""A real sweep over a spine phantom through codec, scene stream, session and views: every frame at its place, pixels equal."""

import time

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import invertRigid, transformPoints
from IntradiscalNavHeadless.RenderingProbe import whyNoRendering
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Simulation.PlusRecording import readPlusRecording
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import MessageReader, encodeMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage
from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration
from IntradiscalNavLib.Streaming.SceneStream import SceneStream
from IntradiscalNavLib.Views import NavigationLayout as Layout
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.NavigationViews import NavigationViews
from IntradiscalNavLib.Views.ToolRoles import ToolRoles

pytestmark = [pytest.mark.realdata, pytest.mark.rendering]

SIZE = (820, 616)


@pytest.fixture(scope="module")
def recorded(realData):
    folder = realData / "tracked/plus"
    recording = readPlusRecording(folder / "SpinePhantomFreehand.igs.mha")
    configuration = readPlusConfiguration(folder / "PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml")
    return recording, configuration.coordinateDefinitions["ImageToProbe"]


class Replay:
    """Recording, scene and views, one frame at a time."""

    def __init__(self, recording, imageToProbe):
        from IntradiscalNavHeadless.OffscreenViews import SliceView, ThreeDView

        self.recording, self.imageToProbe = recording, imageToProbe
        host = startHost()
        host.clear()
        self.scene = host.scene
        self.slices = {view: SliceView(host, view.tag, "Axial", SIZE) for view in Layout.SLICE_VIEWS}
        self.threeD = ThreeDView(host, Layout.THREE_D.tag, SIZE)
        self.stream = SceneStream(self.scene)
        self.stream.setCalibration("ImageToProbe", imageToProbe)
        self.stream.setRegistration(np.eye(4))
        self.reader = MessageReader()
        self.roles = ToolRoles({NEEDLE: ["NeedleToReference"], PROBE: ["ProbeToReference", "Image_Image"]}, staleAfterSec=30.0)
        self.session = None
        self.views = NavigationViews(self.scene)

    def imageToRas(self, frame):
        """The truth, from the recording alone."""
        transforms = self.recording.transforms
        probeToReference = invertRigid(transforms["ReferenceToTracker"][frame]) @ transforms["ProbeToTracker"][frame]
        return probeToReference @ self.imageToProbe

    def show(self, frame):
        transforms = self.recording.transforms
        now = time.time()
        for name in ("ReferenceToTracker", "ProbeToTracker"):
            self.stream.receive(self.reader.feed(encodeMessage(TransformMessage(name, transforms[name][frame], timestampSec=now))))
        pixels = self.recording.imageFrames[frame]
        self.stream.receive(self.reader.feed(encodeMessage(ImageMessage("Image_Image", pixels[None], np.eye(4), timestampSec=now))))
        self.roles.take(self.stream.apply())
        if self.session is None:
            target = transformPoints(self.imageToRas(frame), [400.0, 300.0, 0.0])
            plan = NeedlePlan("Disc", "phantom", pathFrame(target - [0, 0, 60.0], target), NeedleShape(), np.eye(4))
            self.session = GuidanceSession(
                self.scene,
                [plan],
                needleTransform=self.stream.node("ProbeToReference"),
                toolStatuses=self.roles.liveness,
                ultrasoundVolume=self.stream.node("Image_Image"),
            )
        state = self.session.update(time.monotonic())
        self.views.update(state)
        return state


@pytest.fixture(scope="module")
def replay(recorded):
    reason = whyNoRendering()
    if reason:
        pytest.skip(reason)
    return Replay(*recorded)


@pytest.mark.parametrize("frame", [0, 7, 14, 20])
def test_frameStandsInThreeDAtItsPlace(replay, frame):
    """Looked at square on, one screen pixel per image pixel: the picture in the 3D view is the recorded one."""
    state = replay.show(frame)
    assert state.frameLive, state.displayed.notLive
    pixels = replay.recording.imageFrames[frame]
    np.testing.assert_array_equal(state.frame.pixels, pixels)
    truth = replay.imageToRas(frame)
    np.testing.assert_allclose(state.frame.imageToRas[:3, [0, 1, 3]], truth[:3, [0, 1, 3]], atol=1e-3)

    rows, columns = pixels.shape
    center = transformPoints(truth, [(columns - 1) / 2, (rows - 1) / 2, 0.0])
    right, down = truth[:3, 0], truth[:3, 1]
    normal = np.cross(right, down)
    normal /= np.linalg.norm(normal)
    camera = replay.threeD.cameraNode()
    replay.threeD.lookFrom(center - 300.0 * normal, center, -down / np.linalg.norm(down))
    camera.GetCamera().ParallelProjectionOn()
    camera.GetCamera().SetParallelScale(0.5 * SIZE[1] * float(np.linalg.norm(down)))
    replay.threeD.renderer.ResetCameraClippingRange()
    shown = replay.threeD.pixels()
    renderer = replay.threeD.renderer
    grid = np.stack(np.meshgrid(np.arange(60, columns - 60, 23), np.arange(40, rows - 40, 19)), -1).reshape(-1, 2)
    expected, seen = [], []
    for column, row in grid:
        renderer.SetWorldPoint(*transformPoints(truth, [column, row, 0.0]), 1.0)
        renderer.WorldToDisplay()
        x, y, _ = renderer.GetDisplayPoint()
        u, v = round(x), round(SIZE[1] - 1 - y)
        if 1 <= u < SIZE[0] - 1 and 1 <= v < SIZE[1] - 1:
            # Average of 3x3 on both sides: the screen's grid isn't the image's.
            expected.append(pixels[row - 1 : row + 2, column - 1 : column + 2].mean())
            seen.append(shown[v - 1 : v + 2, u - 1 : u + 2, 0].mean())
    expected, seen = np.array(expected), np.array(seen)
    bright = expected > 8
    assert bright.sum() > 40
    assert np.corrcoef(expected, seen)[0, 1] > 0.97
    assert np.median(np.abs(expected - seen)[bright]) < 4.0


def test_ultrasoundViewShowsTheRecordedPixels(replay):
    """In the slice view the picture is resampled by MRML; at the centres of screen pixels it equals the recording there."""
    replay.show(10)
    pixels = replay.recording.imageFrames[10].astype(float)
    view = replay.slices[Layout.ULTRASOUND]
    shown = view.pixels()[..., 0].astype(float)
    matrix = view.node.GetXYToRAS()
    xyToRas = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
    truth = replay.imageToRas(10)
    normal = np.append(np.cross(truth[:3, 0], truth[:3, 1]), 0.0)
    rasToImage = np.linalg.inv(np.column_stack([truth[:, 0], truth[:, 1], normal, truth[:, 3]]))
    y, x = np.mgrid[40 : SIZE[1] - 40 : 3, 40 : SIZE[0] - 40 : 3]
    ras = np.stack([x, SIZE[1] - 1 - y, np.zeros_like(x), np.ones_like(x)], -1).reshape(-1, 4) @ xyToRas.T
    column, row, depth, _ = rasToImage @ ras.T
    assert np.abs(depth * np.linalg.norm(normal)).max() < 1e-3, "the slice lies in the picture's plane"
    inside = (column > 2) & (column < pixels.shape[1] - 3) & (row > 2) & (row < pixels.shape[0] - 3)
    i, j = np.floor(column[inside]).astype(int), np.floor(row[inside]).astype(int)
    u, v = column[inside] - i, row[inside] - j
    expected = (pixels[j, i] * (1 - u) + pixels[j, i + 1] * u) * (1 - v) + (pixels[j + 1, i] * (1 - u) + pixels[j + 1, i + 1] * u) * v
    seen = shown[y.ravel()[inside], x.ravel()[inside]]
    difference = np.abs(np.maximum(expected, 1.0) - seen)
    # Strokes of needle and plan lie over a few pixels; all others are equal but for rounding of the interpolation.
    assert np.mean(difference <= 3.0) > 0.97
    assert np.median(difference) <= 1.0


def test_noFalseAlarmOverTheWholeSweep(replay):
    """Every frame of the sweep is live and the plane follows the probe."""
    places = []
    for frame in range(replay.recording.frameCount):
        state = replay.show(frame)
        assert state.frameLive, (frame, state.displayed.notLive)
        places.append(replay.views.slicePose(Layout.ULTRASOUND)[:3, 3])
        truth = replay.imageToRas(frame)
        corner = np.linalg.inv(replay.views.slicePose(Layout.FUSION)) @ np.append(transformPoints(truth, [0.0, 0.0, 0.0]), 1.0)
        assert abs(corner[2]) < 1e-3
    travelled = np.linalg.norm(np.diff(places, axis=0), axis=1).sum()
    assert 28.0 < travelled < 45.0, "the recorded sweep is 33 mm long"
