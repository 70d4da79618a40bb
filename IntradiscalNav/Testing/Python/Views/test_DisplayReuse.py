"""What the display keeps between ticks to save work must never outlive its inputs."""

import dataclasses
import gc

import numpy as np
import vtk
from vtkmodules.util.numpy_support import vtk_to_numpy

from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, ToolLiveness, displayGuidance
from IntradiscalNavLib.Views.DisplayNodes import NEEDLE_COLOR, PATH_COLOR, StrokeModel, StrokePalette
from IntradiscalNavLib.Views.NumberOverlay import NumberOverlay
from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundDisplay, UltrasoundFrame


def drawnIn(node):
    polyData = node.GetPolyData()
    return (
        vtk_to_numpy(polyData.GetPoints().GetData()).reshape(-1, 2, 3).copy(),
        vtk_to_numpy(polyData.GetCellData().GetScalars()).copy(),
        polyData.GetNumberOfLines(),
    )


def test_everyDrawingOfStrokesIsOneEventWithWhatWasGiven(scene):
    model = StrokeModel(scene, "Strokes", (), 1, StrokePalette(scene))
    events = []
    model.node.AddObserver(model.node.PolyDataModifiedEvent, lambda *_: events.append(1))
    rng = np.random.default_rng(0)
    for count in (5, 40, 40, 3):
        segments = rng.normal(size=(count, 2, 3))
        before = len(events)
        model.show(model.merge([(segments[:2], NEEDLE_COLOR), (segments[2:], PATH_COLOR)]))
        points, colors, lines = drawnIn(model.node)
        assert lines == count and np.array_equal(points, segments)
        assert list(colors) == [0, 0] + [1] * (count - 2)
        assert len(events) == before + 1
    model.show(model.merge([(segments[:2], NEEDLE_COLOR), (segments[2:], PATH_COLOR)]))
    assert len(events) == before + 1, "the same strokes again are no change"


def test_strokesStayReadableWhenTheirMakerIsGone(scene):
    """The scene may keep the model longer than the views live; its points must not lie in memory that was given back."""
    model = StrokeModel(scene, "Strokes", (), 1, StrokePalette(scene))
    segments = np.random.default_rng(1).normal(size=(500, 2, 3))
    model.show(model.merge([(segments.copy(), NEEDLE_COLOR)]))
    node = model.node
    del model
    gc.collect()
    rubbish = [np.full(segments.shape, float(value)) for value in range(50)]
    points, colors, _ = drawnIn(node)
    assert np.array_equal(points, segments) and not colors.any() and len(rubbish) == 50


def test_pictureFollowsEveryChangeOfTheFan(scene):
    display = UltrasoundDisplay(scene)
    rng = np.random.default_rng(2)
    masks = [rng.random((30, 40)) < 0.5, rng.random((30, 40)) < 0.5, rng.random((24, 50)) < 0.5]
    for stamp, mask in enumerate(masks, start=1):
        pixels = rng.integers(0, 256, mask.shape).astype(np.uint8)
        display.fan.setTo(mask)
        display.show(UltrasoundFrame(pixels, np.diag([0.3, 0.3, 0.3, 1.0]), stamp))
        shown = vtk_to_numpy(display.image.GetPointData().GetScalars()).reshape(mask.shape)
        assert np.array_equal(shown, np.where(mask, np.maximum(pixels, 1), 0))


def test_wordsFollowWhateverTheySayIsChanged():
    """Reason, warning, needle and time held each bring new words, also when nothing else changed."""
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(640, 480)
    renderer = vtk.vtkRenderer()
    window.AddRenderer(renderer)
    overlay = NumberOverlay(renderer, "View", None)

    def words(displayed, heldSec=None):
        overlay.show(displayed, heldSec)
        return " ".join(actor.GetInput() for actor in overlay._texts.values() if actor.GetVisibility())

    silent = displayGuidance(None, {NEEDLE: ToolLiveness(False, "STALE", "no pose for 2.0 s")}, timeSec=0.0, needleName="Disc")
    assert "no pose for 2.0 s" in words(silent)
    later = displayGuidance(None, {NEEDLE: ToolLiveness(False, "STALE", "no pose for 3.0 s")}, timeSec=1.0, needleName="Disc")
    assert "no pose for 3.0 s" in words(later) and "2.0 s" not in words(later)
    assert "drift" in words(dataclasses.replace(later, warnings=("drift of the reference",)))
    assert "drift" not in words(later)
    assert "Facet" in words(dataclasses.replace(later, needleName="Facet"))
    assert "FROZEN 4 s" in words(later, 4.0) and "FROZEN 5 s" in words(later, 5.0)
    assert "FROZEN" not in words(later)
