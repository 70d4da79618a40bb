"""A real CT with its segmentation, loaded into the scene, a path to a real disc planned, and all of it rendered by the real views."""

import time

import numpy as np
import pytest
import slicer
from scipy.ndimage import map_coordinates

from FusionRegistrationLib.RigidTransform import transformPoints
from IntradiscalNavHeadless.PlanInput import PlanCase, loadAnatomy, readSegmentation
from IntradiscalNavHeadless.RenderingProbe import whyNoRendering
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, ToolLiveness
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Views import NavigationLayout as Layout
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.LabelSurface import addSurfaceModel, maskSurface
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel

pytestmark = [pytest.mark.realdata, pytest.mark.rendering]

BONE = (0.93, 0.87, 0.72)
SIZE = (480, 400)
SHORT_OF_TARGET_MM = 20.0


class RenderedCase:
    """The scene with CT, bones, plan and a needle on its way; its pictures."""

    def __init__(self, folder):
        from IntradiscalNavHeadless.NavigationPictures import NavigationPictures

        host = startHost()
        host.clear()
        # Slicer's own reader for the scene, the project's reader for planning: they must agree on where each voxel lies.
        self.ct = slicer.util.loadVolume(str(folder / "example_ct.nii.gz"))
        self.ct.SetName("PlanningCt")
        segmentation = folder / "example_seg_fast_force_split.nii.gz"
        self.anatomy, self.volume = loadAnatomy(PlanCase("example", folder / "example_ct.nii.gz", segmentation))
        parameters = PlanningParameters(minEntries=5000)
        for level, side in (("L3-L4", "left"), ("L2-L3", "left"), ("L3-L4", "right"), ("L2-L3", "right"), ("L4-L5", "left")):
            plan = planTrajectories(self.anatomy, level, side, parameters)
            if plan.best:
                break
        self.level, self.path = level, plan.best[0]
        bare = readSegmentation(folder / "vertebrae_L1-S1_totalseg.nii.gz")
        models = []
        for value in np.unique(bare.labels)[1:]:
            surface = maskSurface(bare.labels == value, bare.ijkToRas)
            models.append(AnatomyModel(addSurfaceModel(host.scene, f"vertebra {value}", surface, BONE), BONE))
        frame = pathFrame(self.path.entryRas, self.path.targetRas)
        needle = host.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "NeedleToReference")
        z = np.subtract(self.path.targetRas, self.path.entryRas)
        z /= np.linalg.norm(z)
        x = np.cross(z, [0.0, 0.0, 1.0])
        x /= np.linalg.norm(x)
        pose = np.eye(4)
        pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
        pose[:3, 3] = np.asarray(self.path.targetRas) - SHORT_OF_TARGET_MM * z
        needle.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(pose))
        session = GuidanceSession(
            host.scene,
            [NeedlePlan("needle", level, frame, NeedleShape(), np.eye(4))],
            needleTransform=needle,
            toolStatuses=lambda: {NEEDLE: ToolLiveness(True)},
        )
        self.state = session.update(time.monotonic())
        self.pictures = NavigationPictures(host, self.ct, models, SIZE)


@pytest.fixture(scope="module")
def case(realData):
    reason = whyNoRendering()
    if reason:
        pytest.skip(reason)
    return RenderedCase(realData / "ct" / "totalsegmentator_example")


def test_bothReadersPutTheVoxelsAtTheSamePlace(case):
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(case.ct), case.volume.voxels)
    matrix = slicer.util.vtkMatrixFromArray(np.eye(4))
    case.ct.GetIJKToRASMatrix(matrix)
    np.testing.assert_allclose(slicer.util.arrayFromVTKMatrix(matrix), case.volume.ijkToRas, atol=1e-4)


def test_numbersOfTheNeedleOnItsWay(case):
    guidance = case.state.displayed.guidance
    assert guidance is not None
    assert guidance.tipToTargetMm == pytest.approx(SHORT_OF_TARGET_MM, abs=1e-3)
    assert guidance.targetLateralMm == pytest.approx(0.0, abs=1e-3)


@pytest.mark.parametrize("view", [Layout.PATH_ACROSS, Layout.PATH_ALONG])
def test_sliceViewsShowTheRealCtAlongThePath(case, view):
    case.ct.GetDisplayNode().SetWindowLevel(400, 40)
    case.pictures.show(case.state)
    offscreen = case.pictures.views[view]
    shown = offscreen.pixels().astype(float)
    matrix = offscreen.node.GetXYToRAS()
    xyToRas = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    rows, columns = shown.shape[:2]
    y, x = np.mgrid[30 : rows - 30 : 3, 30 : columns - 30 : 3]
    ras = (np.stack([x, rows - 1 - y, np.zeros_like(x), np.ones_like(x)], -1).reshape(-1, 4) @ xyToRas.T)[:, :3]
    # The view lies in the path: entry and target are in its plane.
    plane = offscreen.node.GetSliceToRAS()
    normal = np.array([plane.GetElement(row, 2) for row in range(3)])
    origin = np.array([plane.GetElement(row, 3) for row in range(3)])
    for point in (case.path.entryRas, case.path.targetRas):
        assert abs((np.asarray(point) - origin) @ normal) < 0.05
    kji = transformPoints(np.linalg.inv(case.volume.ijkToRas), ras)[:, ::-1]
    inside = ((kji > 1) & (kji < np.array(case.volume.voxels.shape) - 2)).all(axis=1)
    assert inside.mean() > 0.3
    seen = shown[y.ravel()[inside], x.ravel()[inside]].mean(axis=1)
    display = case.ct.GetDisplayNode()

    def shareEqual(voxels):
        hu = map_coordinates(voxels.astype(np.float32), kji[inside].T, order=1)
        expected = np.clip((hu - (display.GetLevel() - display.GetWindow() / 2)) / display.GetWindow(), 0, 1) * 255
        # What is black or white in the window tells nothing about the place.
        telling = (expected > 5) & (expected < 250)
        assert telling.sum() > 1000
        return np.mean(np.abs(seen - expected)[telling] < 8.0)

    # Lines of path and needle and tinted bone lie over some pixels; the others are the CT. A CT that is mirrored is not.
    assert shareEqual(case.volume.voxels) > 0.8
    for axis in range(3):
        assert shareEqual(np.flip(case.volume.voxels, axis)) < 0.4


def test_threeDViewShowsBonesAndPath(case):
    case.pictures.show(case.state)
    view = case.pictures.views[Layout.THREE_D]
    shown = view.pixels().astype(float)
    spread = shown.max(axis=2) - shown.min(axis=2)
    bone = (shown[..., 0] > 90) & (shown[..., 0] >= shown[..., 2]) & (spread < 120)
    assert bone.mean() > 0.02, "the vertebrae fill a part of the picture"
    renderer = view.renderer
    renderer.SetWorldPoint(*np.asarray(case.path.entryRas, float), 1.0)
    renderer.WorldToDisplay()
    x, y, _ = renderer.GetDisplayPoint()
    assert 0 < x < SIZE[0] and 0 < y < SIZE[1], "the planned entry is in the picture"
