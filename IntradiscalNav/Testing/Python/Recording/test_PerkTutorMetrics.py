"""Perk Tutor's definitions against closed forms."""

import numpy as np
import pytest
import vtk
from hypothesis import given
from hypothesis import strategies as st

from IntradiscalNavLib.Recording.PerkTutorMetrics import TissueSurface, computePerkTutorMetrics


def posesAt(positions, rotations=None):
    poses = np.tile(np.eye(4), (len(positions), 1, 1))
    poses[:, :3, 3] = positions
    if rotations is not None:
        poses[:, :3, :3] = rotations
    return poses


def aboutX(anglesRad):
    rotations = np.tile(np.eye(3), (len(anglesRad), 1, 1))
    rotations[:, 1, 1] = rotations[:, 2, 2] = np.cos(anglesRad)
    rotations[:, 2, 1] = np.sin(anglesRad)
    rotations[:, 1, 2] = -np.sin(anglesRad)
    return rotations


@pytest.fixture(scope="module")
def tissue():
    """The half space z > 0 within 400 mm, so that a needle along +Z enters at z = 0."""
    cube = vtk.vtkCubeSource()
    cube.SetBounds(-200, 200, -200, 200, 0, 400)
    triangles = vtk.vtkTriangleFilter()
    triangles.SetInputConnection(cube.GetOutputPort())
    triangles.Update()
    return TissueSurface(triangles.GetOutput())


def test_straightInsertion(tissue):
    times = np.linspace(0, 10, 101)
    metrics = computePerkTutorMetrics(times, posesAt(np.outer(times, [0, 0, 10.0]) - [0, 0, 20.05]), tissue)
    assert metrics.elapsedTimeSec == pytest.approx(10)
    assert metrics.pathLengthMm == pytest.approx(100)
    assert metrics.pathInefficiencyPercent == pytest.approx(0, abs=1e-9)
    assert metrics.averageVelocityMmPerSec == pytest.approx(10)
    assert metrics.depthPerceptionMm == pytest.approx(100)
    assert metrics.rotationTotalDeg == pytest.approx(0, abs=1e-9)
    assert metrics.motionSmoothness == pytest.approx(0, abs=1e-6)
    assert metrics.pathInTissueMm == pytest.approx(80, abs=1.0)  # to one sample: the current tip decides
    assert metrics.timeInTissueSec == pytest.approx(8, abs=0.1)
    assert metrics.tissueDamageMm2 == pytest.approx(0, abs=1e-6)
    assert metrics.tissuePunctures == 1


def test_tissueDamageIsTheSweptArea(tissue):
    """Needle of 60 mm in tissue, entry fixed at the origin, fanned by 0.2 rad: a circular sector."""
    angles = np.linspace(-0.1, 0.1, 201)
    axes = np.stack([np.zeros_like(angles), -np.sin(angles), np.cos(angles)], axis=1)
    metrics = computePerkTutorMetrics(np.arange(201) * 0.05, posesAt(60 * axes, aboutX(angles)), tissue)
    assert metrics.tissueDamageMm2 == pytest.approx(0.5 * 60**2 * 0.2, rel=1e-4)
    assert metrics.rotationTotalDeg == pytest.approx(np.degrees(0.2))
    assert metrics.pathInTissueMm == pytest.approx(60 * 0.2, rel=1e-4)


def test_jerkOfCubicIsConstant():
    times = np.linspace(0, 4, 81)
    positions = np.stack([2.0 * times**3, np.zeros_like(times), np.zeros_like(times)], axis=1)
    metrics = computePerkTutorMetrics(times, posesAt(positions))
    durationOfJerk = times[-1] - times[2]
    assert metrics.motionSmoothness == pytest.approx(np.sqrt(12.0**2 * durationOfJerk), rel=1e-6)
    assert metrics.tissuePunctures is None


def test_actionsCountFastStretchesSeparatedByRest():
    step = 0.05
    rest, fast = np.full(20, 5.0), np.full(10, 120.0)
    speeds = np.concatenate([rest, fast, rest, fast, rest, [120.0], np.zeros(9)])
    positions = np.zeros((len(speeds) + 1, 3))
    positions[1:, 0] = np.cumsum(speeds * step)
    times = np.arange(len(positions)) * step
    assert computePerkTutorMetrics(times, posesAt(positions)).translationalActions == 2  # the last is shorter than 0.2 s


def test_puncturesCountReentry(tissue):
    depth = np.concatenate([np.linspace(-10, 30, 41), np.linspace(30, -10, 41), np.linspace(-10, 30, 41)]) + 0.05
    positions = np.zeros((len(depth), 3))
    positions[:, 2] = depth
    assert computePerkTutorMetrics(np.arange(len(depth)) * 0.1, posesAt(positions), tissue).tissuePunctures == 2


@given(
    seed=st.integers(0, 10_000),
    shift=st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_metricsOfTheTipDontDependOnWhereTheWorldIs(seed, shift):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.uniform(0.02, 0.1, 30))
    poses = posesAt(np.cumsum(rng.normal(size=(30, 3)), axis=0), aboutX(rng.normal(0, 0.1, 30)))
    moved = poses.copy()
    moved[:, :3, 3] += shift
    first, second = (computePerkTutorMetrics(times, each) for each in (poses, moved))
    for name in ("pathLengthMm", "pathInefficiencyPercent", "rotationTotalDeg", "depthPerceptionMm", "motionSmoothness"):
        assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-6, abs=1e-6)


def test_badInputIsNamed():
    with pytest.raises(ValueError, match="at least two"):
        computePerkTutorMetrics([0.0], np.eye(4)[None])
    with pytest.raises(ValueError, match="backwards"):
        computePerkTutorMetrics([0.0, 2.0, 1.0], posesAt(np.zeros((3, 3))))
    with pytest.raises(ValueError, match="empty"):
        TissueSurface(vtk.vtkPolyData())
