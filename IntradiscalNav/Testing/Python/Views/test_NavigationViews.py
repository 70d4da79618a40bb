"""The rendered views, judged by their pixels: what must be where, and what must not be seen."""

import itertools

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import rotationFromVector, transformPoints
from IntradiscalNavLib.Views import NavigationLayout as Layout
from IntradiscalNavLib.Views.DisplayNodes import END_POINT_COLOR, NEEDLE_COLOR, PATH_COLOR, TARGET_COLOR
from IntradiscalNavLib.Views.SliceDriver import RESLICE_DRIVER_ATTRIBUTE

pytestmark = pytest.mark.rendering

COLUMNS, ROWS, PIXEL_MM = 320, 240, 0.4
BOX_RAS = np.array([[-20.0, -6.0], [-30.0, -12.0], [-8.0, 20.0]])
BALL_CENTER, BALL_RADIUS_MM, BALL_COLOR = np.array([24.0, 6.0, 0.0]), 9.0, (0.2, 0.4, 1.0)


def isColor(pixels, color, tolerance=40):
    return (np.abs(pixels.astype(int) - (np.asarray(color) * 255).round().astype(int)) <= tolerance).all(axis=-1)


def seenAt(mask, columnRow, radius=2):
    column, row = columnRow
    return bool(mask[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1].any())


def imageCornersRas(imageToRas):
    return transformPoints(imageToRas, [[c, r, 0.0] for c, r in itertools.product((-0.5, COLUMNS - 0.5), (-0.5, ROWS - 0.5))])


@pytest.mark.parametrize("seed", range(4))
def test_slicesLieInTheUltrasoundPlane(rendered, seed):
    """All corners of the image lie in the slice plane to 1e-9 mm and inside the view, also with oblique calibrated axes."""
    rng = np.random.default_rng(seed)
    calibration = np.diag([0.1, 0.12, 0.1, 1.0])
    calibration[:3, 1] = 0.12 * np.array([np.cos(np.radians(92.7)), np.sin(np.radians(92.7)), 0.0])
    rendered.setMatrix(rendered.calibration, calibration)
    rendered.moveProbe(rotationFromVector(rng.normal(size=3)), rng.normal(size=3) * 30)
    rendered.tick()
    corners = imageCornersRas(rendered.imageToRas)
    for view in (Layout.FUSION, Layout.ULTRASOUND):
        rasToSlice = np.linalg.inv(rendered.views.slicePose(view))
        inSlice = transformPoints(rasToSlice, corners)
        assert np.abs(inSlice[:, 2]).max() < 1e-9
        width, height, _ = rendered.slices[view].node.GetFieldOfView()
        assert np.abs(inSlice[:, 0]).max() <= width / 2
        assert np.abs(inSlice[:, 1]).max() <= height / 2
        rotation = rendered.views.slicePose(view)[:3, :3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        # On the screen columns go right and depth goes down, as on the scanner.
        assert rotation[:, 0] @ rendered.imageToRas[:3, 0] > 0
        assert rotation[:, 1] @ rendered.imageToRas[:3, 1] < 0


def test_ultrasoundPixelIsSeenAtItsPlace(rendered):
    image = np.full((ROWS, COLUMNS), 20, np.uint8)
    rendered.showImage(image)
    rendered.moveProbe(rotationFromVector(np.array([0.2, -0.3, 0.1])), [-55, -50, 4])
    rendered.tick()
    without = rendered.pixels(Layout.ULTRASOUND)
    image[60:66, 200:206] = 255
    rendered.showImage(image)
    rendered.tick()
    place = transformPoints(rendered.imageToRas, [202.5, 62.5, 0.0])
    column, row = rendered.screenOf(Layout.ULTRASOUND, place)
    pixels = rendered.pixels(Layout.ULTRASOUND)
    assert pixels[row, column].min() > 200
    changed = np.argwhere((pixels != without).any(axis=-1))
    assert np.abs(changed.mean(axis=0) - [row, column]).max() < 2, "the block is where the matrices say, and nowhere else"
    assert pixels[row + 25, column].max() < 60


def test_fusionShowsTheCtInTheUltrasoundPlane(rendered):
    """With the ultrasound faded out the box of the CT is seen exactly where the plane cuts it."""
    rendered.views.opacity = 0.0
    rendered.moveProbe(rotationFromVector(np.array([0.0, 0.3, 0.0])), [-60, -55, 20])
    rendered.tick()
    pixels = rendered.pixels(Layout.FUSION)
    sliceToRas = rendered.views.slicePose(Layout.FUSION)
    xyToRas = rendered._util.arrayFromVTKMatrix(rendered.slices[Layout.FUSION].node.GetXYToRAS())
    rows, columns = np.mgrid[70:220:5, 40:360:5]
    height = pixels.shape[0]
    ras = np.stack([columns, height - 1 - rows, np.zeros_like(rows), np.ones_like(rows)], -1).reshape(-1, 4) @ xyToRas[:3].T
    depth = np.minimum(ras - BOX_RAS[:, 0], BOX_RAS[:, 1] - ras).min(axis=1)
    shown = pixels[rows.ravel(), columns.ravel()].astype(int)
    certain = np.abs(depth) > 1.5
    isBox = (shown.min(axis=1) > 200)[certain]
    assert (depth > 1.5).sum() > 15
    assert sliceToRas[2, 0] != 0.0
    agreement = np.mean(isBox == (depth > 0)[certain])
    assert agreement > 0.97, f"only {agreement:.1%} of the CT pixels agree with the analytic cut"


def test_blendAndCurtain(rendered):
    rendered.showImage(np.full((ROWS, COLUMNS), 200, np.uint8))
    rendered.views.opacity = 0.5
    rendered.tick()
    bare = transformPoints(rendered.imageToRas, [[40.0, 220.0, 0], [280.0, 220.0, 0]])
    left, right = (rendered.screenOf(Layout.FUSION, point) for point in bare)
    blended = rendered.pixels(Layout.FUSION)
    assert blended[left[1], left[0], 0] == pytest.approx(100, abs=8), "half of 200 over an empty CT"
    rendered.views.curtain = 0.5
    rendered.tick()
    drawn = rendered.pixels(Layout.FUSION)
    assert drawn[left[1], left[0]].max() < 10, "behind the curtain only the CT is left"
    assert drawn[right[1], right[0], 0] == pytest.approx(100, abs=8)
    column, row = rendered.screenOf(Layout.ULTRASOUND, bare[0])
    assert rendered.pixels(Layout.ULTRASOUND)[row, column, 0] > 180, "the curtain belongs to the fusion view alone"


@pytest.mark.parametrize("view", [Layout.ULTRASOUND, Layout.FUSION, Layout.PATH_ACROSS, Layout.PATH_ALONG])
def test_needleIsDrawnWhereItIs(rendered, view):
    direction = np.array([-0.5, 1.0, 0.05]) if view in (Layout.ULTRASOUND, Layout.FUSION) else rendered.path.directionRas
    tip = np.array([2.0, -2.0, 6.3]) if view in (Layout.ULTRASOUND, Layout.FUSION) else rendered.path.targetRas - 20 * direction
    rendered.moveNeedle(tip, direction)
    state = rendered.tick()
    needle = isColor(rendered.pixels(view), NEEDLE_COLOR)
    unit = state.displayed.guidance.shaftDirectionRas
    hits = [seenAt(needle, rendered.screenOf(view, tip - along * unit)) for along in range(1, 20, 2)]
    assert all(hits), "the shaft behind the tip is in the plane and must be drawn without a gap"
    ahead = [seenAt(needle, rendered.screenOf(view, tip + along * unit), 0) for along in range(6, 14, 2)]
    assert not any(ahead), "nothing of the needle lies ahead of its tip"


def test_needleIsSolidInThePlaneAndDashedBeyond(rendered):
    """The needle crosses the plane at a right angle to its normal's tilt: inside +-1.5 mm every sample is drawn, outside about 60 %."""
    tip, direction = np.array([0.0, 5.0, 6.0]), np.array([0.0, 1.0, 0.25])
    rendered.moveNeedle(tip, direction)
    unit = direction / np.linalg.norm(direction)
    rendered.tick()
    needle = isColor(rendered.pixels(Layout.ULTRASOUND), NEEDLE_COLOR)
    along = np.arange(0.5, 55.0, 0.25)
    drawn = np.array([seenAt(needle, rendered.screenOf(Layout.ULTRASOUND, tip - a * unit), 0) for a in along])
    inPlane = along * unit[2] <= 1.4
    beyond = along * unit[2] >= 1.7
    assert drawn[inPlane].mean() > 0.95
    assert 0.45 < drawn[beyond].mean() < 0.85
    changes = np.count_nonzero(np.diff(drawn[beyond].astype(int)))
    assert changes >= 8, "dashes alternate"


def test_contourOfASurfaceIsItsCutWithThePlane(rendered):
    """The ball is cut by the plane z = 6 (6 mm above its centre) in a circle of sqrt(81 - 36) mm."""
    rendered.tick()
    mask = isColor(rendered.pixels(Layout.ULTRASOUND), BALL_COLOR)
    radius = np.sqrt(BALL_RADIUS_MM**2 - 36)
    angles = np.radians(np.arange(0, 360, 15))
    onCircle = [BALL_CENTER + np.array([radius * np.cos(a), radius * np.sin(a), 6]) for a in angles]
    assert np.mean([seenAt(mask, rendered.screenOf(Layout.ULTRASOUND, point)) for point in onCircle]) > 0.9
    inside = [BALL_CENTER + 0.6 * radius * np.array([np.cos(a), np.sin(a), 0]) + np.array([0, 0, 6]) for a in angles]
    assert not any(seenAt(mask, rendered.screenOf(Layout.ULTRASOUND, point), 1) for point in inside)


def test_crossingOfNeedleAndPlaneIsMarked(rendered):
    """Tip 6 mm above the plane z = 6, going down at atan(1/2): it will meet the plane at y = 12; pushed through, the shaft does."""
    for tip, color, share in (([0.0, 0.0, 12.0], END_POINT_COLOR, (0.3, 0.75)), ([0.0, 24.0, 0.0], NEEDLE_COLOR, (0.8, 1.0))):
        rendered.moveNeedle(tip, [0.0, 1.0, -0.5])
        rendered.tick()
        mask = isColor(rendered.pixels(Layout.ULTRASOUND), color, 30)
        angles = np.radians(np.arange(20, 161, 4))
        ring = [np.array([0.0, 12.0, 6.0]) + 2.0 * np.array([sign * np.sin(a), np.cos(a), 0]) for a in angles for sign in (-1, 1)]
        seen = np.mean([seenAt(mask, rendered.screenOf(Layout.ULTRASOUND, point), 0) for point in ring])
        assert share[0] <= seen <= share[1], (tip, seen)


def test_needlesEyeWidensInCalmSteps(rendered):
    """Far from the path the view widens so that the tip stays in it, and doesn't flicker between two widths at a border."""
    right = rendered.path.pathToRas[:3, 0]

    def widthAt(offMm):
        rendered.moveNeedle(rendered.path.targetRas - 30 * rendered.path.directionRas + offMm * right)
        rendered.tick()
        column, row = rendered.screenOf(Layout.TARGET, rendered.path.targetRas + offMm * right)
        assert 0 <= column < 400
        assert 0 <= row < 300
        return round(rendered.slices[Layout.TARGET].node.GetFieldOfView()[1])

    near = widthAt(0.0)
    assert widthAt(40.0) == pytest.approx(2 * near, rel=0.02)
    assert widthAt(90.0) == pytest.approx(4 * near, rel=0.02)
    assert widthAt(2.0) == near
    border = [widthAt(26.0 + 1.0 * np.sin(step)) for step in range(30)]
    assert len(set(border)) <= 2
    assert np.count_nonzero(np.diff(border)) <= 1


def test_planAndTargetAreDrawn(rendered):
    rendered.moveNeedle([60.0, -60.0, 40.0])
    rendered.tick()
    for view in (Layout.PATH_ACROSS, Layout.PATH_ALONG):
        pixels = rendered.pixels(view)
        path = isColor(pixels, PATH_COLOR)
        points = [
            rendered.path.entryRas + share * (rendered.path.targetRas - rendered.path.entryRas) for share in np.linspace(0.05, 0.85, 9)
        ]
        assert all(seenAt(path, rendered.screenOf(view, point)) for point in points)
        assert isColor(pixels, TARGET_COLOR).any()
    across = rendered.views.slicePose(Layout.PATH_ACROSS)
    for point in (rendered.path.entryRas, rendered.path.targetRas):
        assert abs(transformPoints(np.linalg.inv(across), point)[2]) < 1e-9, "the plane contains the path"
    along = rendered.views.slicePose(Layout.PATH_ALONG)
    assert abs(across[:3, 2] @ along[:3, 2]) < 1e-12, "the two planes are perpendicular"


def test_needlesEyeShowsTipAndEndPoint(rendered):
    """Tip 5 mm to the patient's right of the path and parallel to it: tip ring and end cross lie 5 mm to the right of the target."""
    right = rendered.path.pathToRas[:3, 0]
    assert right[0] > 0.8
    rendered.moveNeedle(rendered.path.targetRas - 30 * rendered.path.directionRas + 5 * right)
    rendered.tick()
    target = rendered.screenOf(Layout.TARGET, rendered.path.targetRas)
    expected = rendered.screenOf(Layout.TARGET, rendered.path.targetRas + 5 * right)
    assert expected[0] > target[0]
    assert expected[1] == target[1]
    crossPixels = np.argwhere(isColor(rendered.pixels(Layout.TARGET), END_POINT_COLOR, 10))
    center = (crossPixels.max(axis=0) + crossPixels.min(axis=0)) / 2
    np.testing.assert_allclose(center[::-1], expected, atol=2)


@pytest.mark.parametrize("follow", [False, True])
def test_pathViewsNeverRollWithTheNeedle(rendered, follow):
    """Turned about its own axis the needle looks the same: pose of every path view and its pixels stay equal."""
    rendered.views.followNeedle = follow
    views = (Layout.TARGET, Layout.PATH_ACROSS, Layout.PATH_ALONG)
    rendered.moveNeedle([10, -20, 8], [-0.4, 1, 0.1], rollDeg=0)
    rendered.tick()
    poses = {view: rendered.views.slicePose(view) for view in views}
    pictures = {view: rendered.pixels(view) for view in views}
    for roll in (35.0, 120.0, 250.0):
        rendered.moveNeedle([10, -20, 8], [-0.4, 1, 0.1], rollDeg=roll)
        rendered.tick()
        for view in views:
            np.testing.assert_allclose(rendered.views.slicePose(view), poses[view], atol=1e-9)
            assert np.mean(np.any(rendered.pixels(view) != pictures[view], axis=-1)) < 1e-3


def test_pathViewsStandStillWhileTheNeedleMoves(rendered):
    rendered.tick()
    before = {view: rendered.views.slicePose(view) for view in (Layout.TARGET, Layout.PATH_ACROSS, Layout.PATH_ALONG)}
    for step in range(5):
        rendered.moveNeedle([10 + step, -20 - step, 8], [-0.4, 1, 0.1 * step])
        rendered.tick()
    for view, pose in before.items():
        np.testing.assert_array_equal(rendered.views.slicePose(view), pose)


def test_eitherTheResliceDriverMovesASliceOrWe(rendered):
    rendered.tick()
    node = rendered.slices[Layout.FUSION].node
    before = rendered.views.slicePose(Layout.FUSION)
    node.SetAttribute(RESLICE_DRIVER_ATTRIBUTE, rendered.probeNode.GetID())
    try:
        rendered.moveProbe(np.eye(3), [-60.0, -55.0, 12.0])
        rendered.tick()
        np.testing.assert_array_equal(rendered.views.slicePose(Layout.FUSION), before)
        assert rendered.views.slicePose(Layout.ULTRASOUND)[2, 3] == pytest.approx(12.0), "the other slice is still ours"
        assert not rendered.views.drivers[Layout.FUSION].isOurs
    finally:
        rendered.views.drivers[Layout.FUSION].takeOver()
    rendered.tick()
    assert rendered.views.slicePose(Layout.FUSION)[2, 3] == pytest.approx(12.0)


def test_pictureStandsInThreeDAtItsPlace(rendered):
    """A bright block of the image appears in the 3D view where the camera projects it."""
    image = np.full((ROWS, COLUMNS), 30, np.uint8)
    image[100:130, 40:80] = 250
    rendered.showImage(image)
    rendered.moveNeedle([60.0, -60.0, 60.0])
    rendered.tick()
    rendered.threeD.lookFrom([0, -60, 400], [0, -10, 6], [0, -1, 0])
    pixels = rendered.pixels(Layout.THREE_D)
    renderer = rendered.threeD.renderer

    def screen(columnRow):
        renderer.SetWorldPoint(*transformPoints(rendered.imageToRas, [*columnRow, 0.0]), 1.0)
        renderer.WorldToDisplay()
        x, y, _ = renderer.GetDisplayPoint()
        return round(x), round(pixels.shape[0] - 1 - y)

    column, row = screen((60, 115))
    assert pixels[row, column, 0] > 200
    assert (pixels[row, column] == pixels[row, column, 0]).all(), "grey stays grey: no light falls on the picture"
    column, row = screen((60, 180))
    assert 15 < pixels[row, column, 0] < 60
    column, row = screen((200, 115))
    assert 15 < pixels[row, column, 0] < 60
