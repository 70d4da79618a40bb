"""Off-screen views: pixels lie where the matrices say, and a machine without OpenGL is told so."""

import numpy as np
import pytest
import slicer
import vtk

from IntradiscalNavHeadless import RenderingProbe
from IntradiscalNavHeadless.OffscreenViews import SliceView, ThreeDView


@pytest.fixture
def rendering():
    reason = RenderingProbe.whyNoRendering()
    if reason:
        pytest.skip(reason)


@pytest.mark.rendering
def test_sliceShowsVoxelAtItsPlace(host, rendering):
    voxels = np.zeros((8, 60, 60), np.int16)
    voxels[4, 40, 15] = 1000
    volume = slicer.util.addVolumeFromArray(voxels, name="Ct")
    matrix = vtk.vtkMatrix4x4()
    for index, value in enumerate((-1, -1, 2)):
        matrix.SetElement(index, index, value)
    volume.SetIJKToRASMatrix(matrix)
    view = SliceView(host, "Red", "Axial", (300, 300))
    view.show(volume)
    view.fitToBackground()
    view.node.SetSliceOffset(8.0)
    pixels = view.pixels()[..., 0].astype(float)
    rows, columns = np.nonzero(pixels > 0.5 * pixels.max())
    xy = vtk.vtkMatrix4x4.Invert
    rasToXy = vtk.vtkMatrix4x4()
    xy(view.node.GetXYToRAS(), rasToXy)
    expected = rasToXy.MultiplyPoint((-15.0, -40.0, 8.0, 1.0))
    assert columns.mean() == pytest.approx(expected[0], abs=2.0)
    assert (299 - rows).mean() == pytest.approx(expected[1], abs=2.0)


@pytest.mark.rendering
def test_threeDViewShowsModel(host, rendering):
    source = vtk.vtkSphereSource()
    source.SetRadius(10)
    source.Update()
    model = host.scene.AddNewNodeByClass("vtkMRMLModelNode", "Ball")
    model.SetAndObservePolyData(source.GetOutput())
    model.CreateDefaultDisplayNodes()
    model.GetDisplayNode().SetColor(1, 0, 0)
    view = ThreeDView(host, "1", (200, 200))
    view.lookFrom((0, 100, 0), (0, 0, 0))
    pixels = view.pixels()
    assert pixels[100, 100, 0] > 100 > pixels[100, 100, 1] + 20
    assert pixels[5, 5].max() < 60


def test_missingOpenGlIsNamed(monkeypatch):
    monkeypatch.setattr(RenderingProbe, "_PROBE", "import os; os.abort()")
    RenderingProbe.whyNoRendering.cache_clear()
    try:
        reason = RenderingProbe.whyNoRendering()
        assert "libegl1" in reason
        assert "apt-get install" in reason
    finally:
        RenderingProbe.whyNoRendering.cache_clear()
