"""Distance tables against analytic bodies: from a function, a voxel mask and a surface; lower bounds outside the table."""

import numpy as np
import pytest
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st

from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure, StructureSet
from IntradiscalNavLib.Guidance.StructureDistance import (
    distanceFromFunction,
    distanceFromMask,
    distanceFromPolyData,
    distancesFromLabels,
)

CENTER = np.array([12.0, -30.0, 45.0])
RADIUS_MM = 10.0


def ballDistance(points):
    return np.linalg.norm(np.asarray(points) - CENTER, axis=-1) - RADIUS_MM


def ballMask(spacing):
    """Voxel mask of the ball on an LPS-like grid (axes flipped), as CT volumes have."""
    counts = np.array([80, 80, 80])
    ijkToRas = np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
    ijkToRas[:3, 3] = CENTER + np.array([1, 1, -1]) * (counts - 1) / 2 * spacing + 0.17
    k, j, i = np.meshgrid(*[np.arange(n) for n in counts[::-1]], indexing="ij")
    centers = np.stack([i, j, k], -1) @ ijkToRas[:3, :3].T + ijkToRas[:3, 3]
    return ballDistance(centers) <= 0, ijkToRas


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 0.7), (0.8, 0.8, 1.5)])
def test_maskTableIsWithinItsStatedAccuracy(spacing):
    mask, ijkToRas = ballMask(np.array(spacing))
    table = distanceFromMask("ball", mask, ijkToRas, spacingMm=0.9)
    points = CENTER + np.random.default_rng(0).uniform(-20, 20, (3000, 3))
    values, bounds = table.distancesAt(points)
    assert not bounds.any()
    error = values - ballDistance(points)
    assert np.abs(error).max() <= table.accuracyMm + 0.1
    assert abs(np.median(error)) < 0.15, "a table may be coarse but not shifted"


def test_surfaceTable():
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(*CENTER)
    sphere.SetRadius(RADIUS_MM)
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    table = distanceFromPolyData("ball", sphere.GetOutput(), spacingMm=1.5)
    points = CENTER + np.random.default_rng(0).uniform(-18, 18, (2000, 3))
    values, bounds = table.distancesAt(points)
    assert not bounds.any()
    assert np.abs(values - ballDistance(points)).max() < 0.35
    assert (values[ballDistance(points) < -1] < 0).all()


def test_outsideTheTableOnlyALowerBoundIsGiven():
    mask, ijkToRas = ballMask(np.array([1.0, 1.0, 1.0]))
    table = distanceFromMask("ball", mask, ijkToRas, marginMm=10.0)
    points = CENTER + np.random.default_rng(0).normal(size=(500, 3)) * 80
    values, bounds = table.distancesAt(points)
    far = ballDistance(points) > 40
    assert bounds[far].all()
    assert (values[bounds] <= ballDistance(points)[bounds] + table.accuracyMm).all(), "a bound must not promise more than the truth"
    assert values[bounds].min() >= 9.0, "whatever lies outside the table is at least its margin away"


@given(st.tuples(*[st.floats(-70, 70)] * 3), st.tuples(*[st.floats(-70, 70)] * 3))
@settings(max_examples=60, deadline=None)
def test_tableIsNeverSteeperThanADistance(first, second):
    """Trilinear values between nodes that are no steeper than 1 are no steeper than sqrt(3); a broken index or stride would jump."""
    table = distanceFromFunction("ball", ballDistance, np.stack([CENTER - 30, CENTER + 30], 1), 2.0)
    points = CENTER + np.array([first, second]) * 0.4
    values, bounds = table.distancesAt(points)
    if not bounds.any():
        assert abs(values[0] - values[1]) <= np.sqrt(3) * np.linalg.norm(points[0] - points[1]) + 1e-9


def test_stackedStructuresEqualSingleOnes():
    """Looking structures up together changes nothing, though their tables have different sizes and places."""
    rng = np.random.default_rng(5)
    balls = []
    for index in range(6):
        center, radius, half = rng.normal(size=3) * 25, rng.uniform(3, 9), rng.uniform(15, 30)

        def distance(p, center=center, radius=radius):
            return np.linalg.norm(p - center, axis=1) - radius

        table = distanceFromFunction(f"ball {index}", distance, np.stack([center - half, center + half], 1), rng.uniform(0.8, 2.0))
        balls.append(RiskStructure(table, 2.0))
    together = StructureSet(balls).clearances([3, -20, 5], [0.1, 0.99, np.sqrt(1 - 0.01 - 0.9801)], 150, 0.35, [5, 10, 5])
    for ball, clearance in zip(balls, together):
        alone = StructureSet([ball]).clearances([3, -20, 5], [0.1, 0.99, np.sqrt(1 - 0.01 - 0.9801)], 150, 0.35, [5, 10, 5])[0]
        assert clearance.name == alone.name == ball.name
        assert clearance.clearanceMm == pytest.approx(alone.clearanceMm, abs=1e-9)
        assert clearance.aheadMm == pytest.approx(alone.aheadMm, abs=1e-9)
        assert clearance.isLowerBound == alone.isLowerBound


def test_labelsGiveOneTableEach():
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[3:6, 3:6, 3:6], labels[10:14, 10:14, 10:14] = 1, 7
    tables = distancesFromLabels(labels, np.eye(4), {1: "nerve root", 7: "kidney"})
    assert [table.name for table in tables] == ["nerve root", "kidney"]
    assert tables[0].distancesAt(np.array([[4.0, 4, 4]]))[0][0] == pytest.approx(-1.5, abs=0.1)
    # From x = 7 to the face half a voxel before the first centre at 10.
    assert tables[1].distancesAt(np.array([[7.0, 11, 11]]))[0][0] == pytest.approx(2.5, abs=0.1)


def test_errorsNameTheStructure():
    with pytest.raises(ValueError, match="aorta"):
        distanceFromMask("aorta", np.zeros((4, 4, 4)), np.eye(4))
    with pytest.raises(ValueError, match="perpendicular"):
        distanceFromMask("aorta", np.ones((4, 4, 4)), np.array([[1, 0.3, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]))
    with pytest.raises(ValueError, match=r"aorta.*triangles"):
        distanceFromPolyData("aorta", vtk.vtkPolyData())
    with pytest.raises(ValueError, match="nodes"):
        distanceFromFunction("aorta", ballDistance, [[-500, 500]] * 3, 0.1)
    table = distanceFromFunction("aorta", ballDistance, [[-5, 5]] * 3, 1.0)
    with pytest.raises(ValueError, match="share a name"):
        StructureSet([RiskStructure(table, 1), RiskStructure(table, 2)])
