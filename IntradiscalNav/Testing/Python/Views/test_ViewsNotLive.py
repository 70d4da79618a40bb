"""What the views show when something isn't live, is frozen or has ended; judged by pixels and texts."""

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import transformPoints
from IntradiscalNavLib.Guidance.DisplayedGuidance import BLANK, NEEDLE, PROBE, GuidanceNumber, ToolLiveness
from IntradiscalNavLib.Views import NavigationLayout as Layout
from IntradiscalNavLib.Views.DisplayNodes import END_POINT_COLOR, NEEDLE_COLOR
from IntradiscalNavLib.Views.FrozenPicture import FreezeMode
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel, NavigationViews

pytestmark = pytest.mark.rendering

COLUMNS, ROWS = 320, 240
BALL_COLOR = (0.2, 0.4, 1.0)


def isColor(pixels, color, tolerance=40):
    return (np.abs(pixels.astype(int) - (np.asarray(color) * 255).round().astype(int)) <= tolerance).all(axis=-1)


def seenAt(mask, columnRow, radius=2):
    column, row = columnRow
    return bool(mask[max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius + 1].any())


def test_needleThatIsNotLiveIsGreyAndItsFutureIsNotDrawn(rendered):
    tip, unit = np.array([2.0, -2.0, 6.0]), np.array([-0.4, 0.9165, 0.0])
    rendered.moveNeedle(tip, unit)
    rendered.tick()
    assert isColor(rendered.pixels(Layout.ULTRASOUND), NEEDLE_COLOR).sum() > 50
    rendered.statuses[NEEDLE] = ToolLiveness(False, "STALE", "no pose for 1.2 s")
    state = rendered.tick()
    assert state.displayed.guidance is None
    for view in Layout.SLICE_VIEWS:
        pixels = rendered.pixels(view)
        assert not isColor(pixels, NEEDLE_COLOR, 25).any(), view
        assert not isColor(pixels, END_POINT_COLOR, 5).any() or view is not Layout.ULTRASOUND, "no end point is promised"
    grey = isColor(rendered.pixels(Layout.ULTRASOUND), (0.5, 0.5, 0.5), 6)
    assert all(seenAt(grey, rendered.screenOf(Layout.ULTRASOUND, tip - a * unit)) for a in range(2, 20, 3)), "its last place is shown grey"


def test_probeThatIsNotLiveIsDimmed(rendered):
    rendered.showImage(np.full((ROWS, COLUMNS), 200, np.uint8))
    rendered.tick()
    column, row = rendered.screenOf(Layout.ULTRASOUND, transformPoints(rendered.imageToRas, [60.0, 200.0, 0]))
    assert rendered.pixels(Layout.ULTRASOUND)[row, column, 0] > 180
    rendered.statuses[PROBE] = ToolLiveness(False, "MISSING", "out of view")
    state = rendered.tick()
    assert rendered.pixels(Layout.ULTRASOUND)[row, column, 0] < 110
    assert state.displayed.text(GuidanceNumber.OUT_OF_PLANE) == BLANK


def test_freezeAndCompare(rendered):
    rendered.showImage(np.full((ROWS, COLUMNS), 200, np.uint8))
    rendered.views.opacity = 1.0
    rendered.tick()
    heldPose = rendered.views.slicePose(Layout.FUSION)
    place = transformPoints(rendered.imageToRas, [60.0, 200.0, 0])
    column, row = rendered.screenOf(Layout.FUSION, place)
    rendered.views.freeze(rendered.timeSec, compare=True)
    rendered.showImage(np.full((ROWS, COLUMNS), 40, np.uint8))
    rendered.moveProbe(np.eye(3), [-60.0, -55.0, 16.0])
    rendered.tick()
    assert rendered.views.freezeMode is FreezeMode.COMPARE
    np.testing.assert_array_equal(rendered.views.slicePose(Layout.FUSION), heldPose)
    assert rendered.pixels(Layout.FUSION)[row, column, 0] > 180, "the fusion view holds the old frame"
    assert rendered.pixels(Layout.ULTRASOUND)[row, column, 0] < 60, "the ultrasound view goes on live"
    assert rendered.views.slicePose(Layout.ULTRASOUND)[2, 3] == pytest.approx(16.0)
    rendered.views.freeze(rendered.timeSec)
    rendered.tick()
    np.testing.assert_array_equal(rendered.views.slicePose(Layout.ULTRASOUND), heldPose)
    rendered.views.release()
    rendered.tick()
    assert rendered.views.slicePose(Layout.FUSION)[2, 3] == pytest.approx(16.0)
    assert rendered.pixels(Layout.FUSION)[row, column, 0] < 60
    rendered.statuses[PROBE] = ToolLiveness(False, "MISSING", "out of view")
    rendered.tick()
    with pytest.raises(RuntimeError, match="no live ultrasound"):
        rendered.views.freeze(rendered.timeSec)


def test_tickMakesNoNodesAndTheSceneIsNotSavedWithOurs(rendered):
    rendered.tick()
    rendered.pixels(Layout.ULTRASOUND)
    count = rendered.scene.GetNumberOfNodes()
    for step in range(20):
        rendered.moveNeedle([10, -40 + step, 8])
        rendered.moveProbe(np.eye(3), [-60, -55, step])
        rendered.tick()
    assert rendered.scene.GetNumberOfNodes() == count
    for index in range(count):
        node = rendered.scene.GetNthNode(index)
        if str(node.GetName()).startswith("Nav") and node.IsA("vtkMRMLModelNode"):
            assert not node.GetSaveWithScene(), node.GetName()
            assert node.GetHideFromEditors(), node.GetName()


def test_numbersStandInTheViewAndVanishWhenNotLive(rendered):
    for view in Layout.SLICE_VIEWS:
        rendered.views.attachOverlay(view, rendered.slices[view].renderer)
    try:
        rendered.tick()
        withNumbers = rendered.pixels(Layout.TARGET)
        height = withNumbers.shape[0]
        digits = withNumbers[int(height * 0.78) : int(height * 0.94), : int(height * 0.6)].min(axis=-1) > 230
        rows = np.flatnonzero(digits.any(axis=1))
        assert rows.size and rows.max() - rows.min() > 0.07 * height, "digits must be large enough for two metres"
        rendered.statuses[NEEDLE] = ToolLiveness(False, "STALE", "no pose for 2.0 s")
        rendered.tick()
        blanked = rendered.pixels(Layout.TARGET)
        assert (blanked[int(height * 0.78) : int(height * 0.94), : int(height * 0.6)].min(axis=-1) > 230).sum() < 0.1 * digits.sum()
        overlay = rendered.views.overlays[Layout.TARGET]
        shown = {name: actor.GetInput() for name, actor in overlay._texts.items() if actor.GetVisibility()}
        assert shown["big"] == BLANK
        assert shown["name"] == "Disc\nL4-L5", "which needle is meant stays readable"
        assert "advancing" not in shown["title"]
        assert "NEEDLE STALE" in shown["banner"]
        assert "2.0 s" in shown["banner"]
    finally:
        for view in list(rendered.views.overlays):
            rendered.views.overlays.pop(view).remove()


def test_closedViewsLeaveNothingOnTheScreen(rendered):
    """New views take the old ones' place; after closing neither nodes nor strokes nor numbers are left."""
    rendered.tick()
    nodes = rendered.scene.GetNumberOfNodes()
    again = NavigationViews(rendered.scene, ct=rendered.ct, anatomy=[AnatomyModel(rendered.ball, BALL_COLOR, 0.5)])
    try:
        again.update(rendered.session.update(rendered.timeSec))
        assert rendered.scene.GetNumberOfNodes() <= nodes, "making views anew must not pile up nodes"
        again.attachOverlay(Layout.TARGET, rendered.slices[Layout.TARGET].renderer)
        again.update(rendered.session.update(rendered.timeSec))
        assert isColor(rendered.pixels(Layout.ULTRASOUND), NEEDLE_COLOR).any()
        again.close()
        assert rendered.scene.GetNumberOfNodes() < nodes
        assert rendered.pixels(Layout.ULTRASOUND).max() == 0, "nothing is left that could look live"
        assert not isColor(rendered.pixels(Layout.TARGET), NEEDLE_COLOR).any()
        assert rendered.ball.GetNumberOfDisplayNodes() == 0
    finally:
        rendered.views = NavigationViews(rendered.scene, ct=rendered.ct, anatomy=[AnatomyModel(rendered.ball, BALL_COLOR, 0.5)])


def test_besideAFrozenPictureNoLiveDistanceFromThePlaneIsShown(rendered):
    rendered.views.attachOverlay(Layout.ULTRASOUND, rendered.slices[Layout.ULTRASOUND].renderer)
    try:
        rendered.tick()
        texts = rendered.views.overlays[Layout.ULTRASOUND]._texts
        assert texts["big"].GetInput().endswith(" mm")
        rendered.views.freeze(rendered.timeSec)
        rendered.timeSec += 3.0
        state = rendered.tick()
        assert texts["big"].GetInput() == BLANK, "the number is of the live plane, the picture is not"
        assert texts["banner"].GetInput() == "FROZEN 3 s"
        assert state.displayed.text(GuidanceNumber.OUT_OF_PLANE) != BLANK
    finally:
        rendered.views.overlays.pop(Layout.ULTRASOUND).remove()


def test_headIsToTheRightInTheViewAlongTheBody(rendered):
    rendered.tick()
    assert rendered.views.slicePose(Layout.PATH_ALONG)[2, 0] > 0.8
    assert rendered.views.slicePose(Layout.PATH_ACROSS)[0, 0] > 0.8


def test_withoutViewsTheRemedyIsNamed():
    import slicer

    with pytest.raises(RuntimeError, match="navigation layout"):
        NavigationViews(slicer.vtkMRMLScene())
