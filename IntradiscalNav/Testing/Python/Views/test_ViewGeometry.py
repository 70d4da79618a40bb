"""Geometry of the views without any scene: slice poses, strokes, contours, fan, layout."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.RigidTransform import rotationFromVector
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.TipUncertainty import ELLIPSOID_95, TipErrorModel, tipUncertainty
from IntradiscalNavLib.Views import NavigationLayout as Layout
from IntradiscalNavLib.Views.FanMask import FanMask, fanOfGeometry
from IntradiscalNavLib.Views.NeedleStrokes import circle, cross, dashes, strokesOnPlane
from IntradiscalNavLib.Views.SceneModels import ellipsoidToRas, fanPolyData, labelModels, needlePolyData
from IntradiscalNavLib.Views.SlicePose import pathPoses, targetPose
from IntradiscalNavLib.Views.SurfaceContour import SurfaceContour

coordinate = st.floats(-80, 80)
point = st.tuples(coordinate, coordinate, coordinate).map(np.array)
unit = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.2).map(lambda v: v / np.linalg.norm(v))


def lengthOf(segments):
    return float(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum())


@settings(max_examples=100, deadline=None)
@given(start=point, end=point, origin=point, normal=unit)
def test_strokesSplitTheShaftAtTheSlab(start, end, origin, normal):
    """Solid strokes lie in the slab and have its analytic length; dashes lie outside and never overlap the solid part."""
    solid, dashed = strokesOnPlane(start, end, origin, normal, 1.5)
    first, last = (start - origin) @ normal, (end - origin) @ normal
    length = np.linalg.norm(end - start)
    if abs(last - first) > 1e-6:
        shares = np.clip(np.sort([(-1.5 - first) / (last - first), (1.5 - first) / (last - first)]), 0, 1)
        assert lengthOf(solid) == pytest.approx((shares[1] - shares[0]) * length, abs=1e-6)
    for segments, inside in ((solid, True), (dashed, False)):
        if len(segments):
            heights = np.abs((segments.mean(axis=1) - origin) @ normal)
            assert (heights <= 1.5 + 1e-6).all() if inside else (heights >= 1.5 - 1e-6).all()
            line = np.linalg.norm(np.cross(segments.reshape(-1, 3) - start, end - start), axis=1) / max(length, 1e-9)
            assert line.max() < 1e-5, "every stroke lies on the shaft"
    assert lengthOf(solid) + lengthOf(dashed) <= length + 1e-6


def test_dashesHaveTheirLength():
    segments = dashes([0, 0, 0], [0, 0, 23], 3.0, 2.0)
    np.testing.assert_allclose(segments[:, 1, 2] - segments[:, 0, 2], [3, 3, 3, 3, 3])
    assert len(dashes([1, 1, 1], [1, 1, 1])) == 0


def test_circleAndCross():
    segments = circle([1, 2, 3], [1, 0, 0], [0, 0, 1], 5.0)
    np.testing.assert_allclose(np.linalg.norm(segments - [1, 2, 3], axis=-1), 5.0)
    np.testing.assert_array_equal(segments[:-1, 1], segments[1:, 0])
    arms = cross([0, 0, 0], [1, 0, 0], [0, 1, 0], 4.0, 1.0)
    np.testing.assert_allclose(np.linalg.norm(arms, axis=-1), [[1, 4]] * 4)


@settings(max_examples=50, deadline=None)
@given(entry=point, target=point)
def test_pathSlicesContainThePathAndAreRigid(entry, target):
    if np.linalg.norm(target - entry) < 5:
        return
    path = pathFrame(entry, target)
    for pose in (*pathPoses(path), targetPose(path)):
        rotation = pose.sliceToRas[:3, :3]
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1)
    across, along = pathPoses(path)
    for pose in (across, along):
        assert abs(pose.distanceMm(entry)) < 1e-9
        assert abs(pose.distanceMm(target)) < 1e-9
        assert pose.sliceToRas[:3, 1] @ (entry - target) > 0, "entry above, target below"
        assert pose.heightMm > path.lengthMm
    assert abs(across.normalRas @ along.normalRas) < 1e-9
    np.testing.assert_allclose(targetPose(path).normalRas, -path.directionRas, atol=1e-9)


def sphere(center, radius, resolution=80):
    source = vtk.vtkSphereSource()
    source.SetCenter(*center)
    source.SetRadius(radius)
    source.SetThetaResolution(resolution)
    source.SetPhiResolution(resolution)
    source.Update()
    return source.GetOutput()


@pytest.mark.parametrize("seed", range(5))
def test_contourAgainstVtkAndAnalyticCircle(seed):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(3, 3)) * 25
    surfaces = [sphere(center, 10 + index) for index, center in enumerate(centers)]
    contour = SurfaceContour([(surface, index + 5) for index, surface in enumerate(surfaces)])
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    origin = centers[0] + 4 * normal
    segments, numbers = contour.cut(origin, normal)
    np.testing.assert_allclose((segments - origin) @ normal, 0, atol=1e-5)
    for index, surface in enumerate(surfaces):
        plane = vtk.vtkPlane()
        plane.SetOrigin(*origin)
        plane.SetNormal(*normal)
        cutter = vtk.vtkCutter()
        cutter.SetCutFunction(plane)
        cutter.SetInputData(surface)
        cutter.Update()
        polyData = cutter.GetOutput()
        expected = sum(
            np.linalg.norm(
                np.subtract(polyData.GetPoint(polyData.GetCell(i).GetPointId(0)), polyData.GetPoint(polyData.GetCell(i).GetPointId(1)))
            )
            for i in range(polyData.GetNumberOfCells())
        )
        mine = segments[numbers == index + 5]
        assert lengthOf(mine) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    own = segments[numbers == 5]
    assert lengthOf(own) == pytest.approx(2 * np.pi * np.sqrt(100 - 16), rel=0.01)


def test_contourOfNothing():
    assert len(SurfaceContour([]).cut([0, 0, 0], [0, 0, 1])[0]) == 0
    assert len(SurfaceContour([(sphere([0, 0, 0], 5), 0)]).cut([0, 0, 50], [0, 0, 1])[0]) == 0


def fanImage():
    row, column = np.mgrid[:240, :320]
    angle, radius = np.arctan2(column - 160, row + 40.0), np.hypot(column - 160, row + 40.0)
    fan = (np.abs(angle) < 0.5) & (radius > 60) & (radius < 260)
    return fan, np.random.default_rng(0)


def test_fanIsLearnedFromSpeckle():
    """Speckled frames with dark spots: the learned mask is the fan within a pixel or two."""
    fan, rng = fanImage()
    mask = FanMask()
    for _ in range(5):
        mask.learn((fan * rng.integers(0, 120, fan.shape)).astype(np.uint8))
    assert np.mean(mask.mask[fan]) > 0.985
    assert np.mean(mask.mask[~fan]) < 0.01
    mask.learn(np.full((100, 80), 50, np.uint8))
    assert mask.mask.shape == (100, 80)
    assert mask.mask.all()


def test_fanOfAKnownProbeIsExact():
    from FusionRegistrationLib.ProbeGeometry import curvilinearGeometry, linearGeometry

    fan, _ = fanImage()
    curved = curvilinearGeometry(320, 240, (0.5, 0.5), apexPixel=(160, -40), faceRadiusMm=30.0, depthMm=100.0, halfAngleDeg=np.degrees(0.5))
    assert np.mean(fanOfGeometry(curved) != fan) < 0.01
    linear = fanOfGeometry(linearGeometry(320, 240, (0.2, 0.2), (40.0, 20.0, 279.0, 219.0)))
    rows, columns = np.nonzero(linear)
    assert (columns.min(), columns.max(), rows.min()) == (40, 279, 20)
    assert rows.max() == pytest.approx(219, abs=2)
    mask = FanMask()
    mask.setTo(fan)
    burnedIn = np.zeros(fan.shape, np.uint8)
    burnedIn[2:10, 2:60] = 255
    assert not mask.learn(burnedIn)
    assert mask.mask is fan, "what a scanner writes beside the fan stays out"


def test_fanSurfaceCoversTheMask():
    fan, _ = fanImage()
    surface = fanPolyData(fan)
    mass = vtk.vtkMassProperties()
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputData(surface)
    mass.SetInputConnection(triangles.GetOutputPort())
    assert mass.GetSurfaceArea() == pytest.approx(fan.sum(), rel=0.03)
    coordinates = surface.GetPointData().GetTCoords()
    assert coordinates.GetRange(0) == (0.0, 1.0)


def test_needleModelFollowsTheConvention():
    """Tip at the origin, shaft and hub on the -Z side."""
    from IntradiscalNavLib.Guidance.Guidance import NeedleShape

    bounds = needlePolyData(NeedleShape(150.0)).GetBounds()
    assert bounds[5] == pytest.approx(0.0, abs=1e-6)
    assert -175 < bounds[4] < -150


def test_ellipsoidHoldsTheStatedSemiAxes():
    uncertainty = tipUncertainty([1, 2, 3], [0, 0, 1], [1, 2, -147], 40, TipErrorModel())
    matrix = ellipsoidToRas(uncertainty, np.array([1.0, 2, 3]))
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, ELLIPSOID_95**2 * uncertainty.covariance, rtol=1e-9, atol=1e-9)
    assert np.linalg.det(matrix) > 0


def test_drawnEllipseIsTheProjectionOfTheCovariance():
    """Every point of the drawn ellipse lies at the 95 % Mahalanobis distance of the projected covariance."""
    from IntradiscalNavLib.Guidance.TipUncertainty import RAYLEIGH_95
    from IntradiscalNavLib.Views.SliceStrokes import _ellipse

    root = np.random.default_rng(2).normal(size=(3, 3))
    covariance, axes = root @ root.T, rotationFromVector(np.array([0.4, -0.2, 1.0]))
    basis, center = axes[:, :2], np.array([3.0, -4.0, 5.0])
    points = _ellipse(center, covariance, basis[:, 0], basis[:, 1]).reshape(-1, 3) - center
    np.testing.assert_allclose(points @ axes[:, 2], 0, atol=1e-12)
    flat = points @ basis
    distance = np.einsum("ni,ij,nj->n", flat, np.linalg.inv(basis.T @ covariance @ basis), flat)
    np.testing.assert_allclose(distance, RAYLEIGH_95**2, rtol=1e-9)


def test_labelModels(streamed):
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[10:30, 12:28, 14:26] = 3
    rotation = rotationFromVector(np.array([0.3, 0.2, -0.1]))
    ijkToRas = np.eye(4)
    ijkToRas[:3, :3] = rotation * 1.2
    ijkToRas[:3, 3] = [5, -7, 9]
    node = labelModels(streamed.scene, labels, ijkToRas, {3: "block"})[3]
    center = ijkToRas @ [19.5, 19.5, 19.5, 1]
    bounds = np.array(node.GetPolyData().GetBounds()).reshape(3, 2)
    np.testing.assert_allclose(bounds.mean(axis=1), center[:3], atol=0.4)
    mass = vtk.vtkMassProperties()
    mass.SetInputData(node.GetPolyData())
    assert mass.GetVolume() == pytest.approx(20 * 16 * 12 * 1.2**3, rel=0.06)
    with pytest.raises(ValueError, match="missing"):
        labelModels(streamed.scene, labels, ijkToRas, {9: "missing"})


@pytest.mark.parametrize("layout", [Layout.navigationLayoutXml(), Layout.insertionLayoutXml()])
def test_layoutIsWellFormedAndNamesOurViews(layout):
    tags = [view.get("singletontag") for view in ElementTree.fromstring(layout).iter("view")]
    assert len(tags) == len(set(tags))
    assert set(tags) <= {view.tag for view in (*Layout.SLICE_VIEWS, Layout.THREE_D)}


def test_navigationLayoutHoldsAllSixViews():
    views = list(ElementTree.fromstring(Layout.navigationLayoutXml()).iter("view"))
    assert {view.get("singletontag") for view in views} == {view.tag for view in (*Layout.SLICE_VIEWS, Layout.THREE_D)}
    assert [view.get("class") for view in views].count("vtkMRMLViewNode") == 1
