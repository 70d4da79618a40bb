"""The paired-point fit against VTK's, against analytic cases, and its refusals."""

import json

import numpy as np
import pytest
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from FusionRegistrationLib.PairedPointSolver import solveRigid, solveRigidAnisotropic, solveRigidBatch
from FusionRegistrationLib.PointSetGeometry import PointSetError
from FusionRegistrationLib.RigidFit import RigidFit, fitRigid
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationAngleDeg, rotationFromVector, transformPoints

POSE = rigidFrom(rotationFromVector([0.4, -0.9, 1.7]), [12.0, -340.0, 95.0])
LAYOUT = np.array([[-60, -50, 0], [62, -41, 5], [55, 47, -6], [-48, 58, 3], [4, 9, 8], [20, -55, -4.0]])


def vtkMatrix(source, target):
    transform = vtk.vtkLandmarkTransform()
    transform.SetModeToRigidBody()
    for points, setter in ((source, transform.SetSourceLandmarks), (target, transform.SetTargetLandmarks)):
        container = vtk.vtkPoints()
        container.SetDataTypeToDouble()
        for p in points:
            container.InsertNextPoint(*p)
        setter(container)
    transform.Update()
    return np.array([[transform.GetMatrix().GetElement(i, j) for j in range(4)] for i in range(4)])


@pytest.mark.parametrize("count", [3, 4, 5, 6, 20])
def test_equalsVtkLandmarkTransform(count):
    random = np.random.default_rng(count)
    for noise in (0.0, 1.0):
        source = random.uniform(-80, 80, (count, 3))
        target = transformPoints(POSE, source) + random.normal(size=source.shape) * noise
        ours = fitRigid(source, target).fromToTo
        assert np.abs(transformPoints(ours, source) - transformPoints(vtkMatrix(source, target), source)).max() < 1e-9


@settings(max_examples=40, deadline=None)
@given(
    arrays(float, (3,), elements=st.floats(-3.1, 3.1)),
    arrays(float, (3,), elements=st.floats(-500, 500)),
    st.integers(0, 2**32 - 1),
    st.integers(3, 12),
)
def test_cleanPointsGiveTheTransformBack(turn, shift, seed, count):
    pose = rigidFrom(rotationFromVector(turn), shift)
    points = np.random.default_rng(seed).uniform(-100, 100, (count, 3)) + LAYOUT[:3].repeat(count // 3 + 1, axis=0)[:count]
    try:
        fit = fitRigid(points, transformPoints(pose, points))
    except PointSetError:
        return
    assert np.allclose(fit.fromToTo, pose, atol=1e-8)
    assert fit.freMm < 1e-8
    assert any("zero" in w for w in fit.warnings)


def test_planarPointsAreNeverMirrored():
    flat = LAYOUT * [1, 1, 0]
    fitted = solveRigid(flat, transformPoints(POSE, flat))
    assert np.linalg.det(fitted[:3, :3]) == pytest.approx(1.0)
    assert np.allclose(fitted, POSE, atol=1e-9)


def test_batchSolverEqualsSingle():
    random = np.random.default_rng(3)
    source, target = random.normal(size=(2, 50, 4, 3)) * 30
    rotations, translations = solveRigidBatch(source, target)
    for h in range(50):
        assert np.allclose(rigidFrom(rotations[h], translations[h]), solveRigid(source[h], target[h]), atol=1e-9)


def test_weightsActAsRepetition():
    random = np.random.default_rng(5)
    target = transformPoints(POSE, LAYOUT) + random.normal(size=LAYOUT.shape)
    weights = np.array([1, 3, 2, 1, 1, 4.0])
    repeated = np.repeat(np.arange(6), weights.astype(int))
    assert np.allclose(
        fitRigid(LAYOUT, target, weights=weights).fromToTo, fitRigid(LAYOUT[repeated], target[repeated]).fromToTo, atol=1e-10
    )


def test_anisotropicSolverEqualsClosedFormWhenIsotropic():
    target = transformPoints(POSE, LAYOUT) + np.random.default_rng(6).normal(size=LAYOUT.shape)
    eye = np.tile(np.eye(3), (6, 1, 1))
    assert np.allclose(solveRigidAnisotropic(LAYOUT, target, 0.3 * eye, 0.7 * eye), solveRigid(LAYOUT, target), atol=1e-8)


def test_anisotropicWeightingIsBetterWhenTheErrorIs():
    """Against the known truth, over 200 cases: knowing that depth is 5 times worse must help."""
    random = np.random.default_rng(7)
    covariances = np.tile(np.diag([0.2, 0.2, 1.0]) ** 2, (8, 1, 1))
    target = np.array([0.0, 0.0, -90.0])
    plain, weighted = [], []
    for _ in range(200):
        points = random.uniform(-70, 70, (8, 3))
        measured = transformPoints(POSE, points + random.normal(size=points.shape) * [0.2, 0.2, 1.0])
        truth = transformPoints(POSE, target)
        plain.append(np.linalg.norm(transformPoints(solveRigid(points, measured), target) - truth))
        found = solveRigidAnisotropic(points, measured, covariances, 0 * covariances)
        weighted.append(np.linalg.norm(transformPoints(found, target) - truth))
    assert np.mean(weighted) < 0.8 * np.mean(plain)


def test_freAndFleByDefinition():
    random = np.random.default_rng(8)
    target = transformPoints(POSE, LAYOUT) + 0.5 * random.normal(size=LAYOUT.shape)
    fit = fitRigid(LAYOUT, target)
    residuals = target - transformPoints(vtkMatrix(LAYOUT, target), LAYOUT)
    assert fit.freMm == pytest.approx(np.sqrt((residuals**2).sum(axis=1).mean()))
    assert np.allclose(fit.residualVectorsMm, residuals, atol=1e-9)
    assert fit.fleMm == pytest.approx(fit.freMm / np.sqrt(1 - 2 / 6))
    assert fit.degreesOfFreedom == 12


def test_fleEstimateIsUnbiased():
    """<FLE^2> over many fits equals the simulated 3 * 0.4^2 (Sibson's relation)."""
    random = np.random.default_rng(9)
    squares = [
        fitRigid(LAYOUT[:4], transformPoints(POSE, LAYOUT[:4]) + 0.4 * random.normal(size=(4, 3)), isotropicFle=True).fleMm ** 2
        for _ in range(400)
    ]
    assert np.mean(squares) == pytest.approx(3 * 0.16, rel=0.1)


def test_leaveOneOutEqualsDoingIt():
    target = transformPoints(POSE, LAYOUT) + np.random.default_rng(10).normal(size=LAYOUT.shape)
    fit = fitRigid(LAYOUT, target)
    for i in range(6):
        rest = np.arange(6) != i
        matrix = vtkMatrix(LAYOUT[rest], target[rest])
        assert fit.leaveOneOutMm[i] == pytest.approx(np.linalg.norm(target[i] - transformPoints(matrix, LAYOUT[i])), abs=1e-8)
    assert np.isnan(fitRigid(LAYOUT[:3], target[:3]).leaveOneOutMm).all()


def test_theOutlierIsNamed():
    random = np.random.default_rng(11)
    names = ["A", "B", "C", "D", "E", "F"]
    for bad in range(6):
        target = transformPoints(POSE, LAYOUT) + 0.3 * random.normal(size=LAYOUT.shape)
        target[bad] += [0.0, 12.0, 0.0]
        fit = fitRigid(LAYOUT, target, names=names)
        assert fit.outliers[0] == names[bad]
        assert any(names[bad] in w for w in fit.warnings)
        robust = fitRigid(LAYOUT, target, names=names, robust=True)
        assert list(np.flatnonzero(~robust.used)) == [bad]
        assert rotationAngleDeg(invertRigid(POSE) @ robust.fromToTo) < 1.0


def test_goodPointsAreRarelyCalledOutliers():
    random = np.random.default_rng(12)
    named = sum(bool(fitRigid(LAYOUT, transformPoints(POSE, LAYOUT) + random.normal(size=LAYOUT.shape)).outliers) for _ in range(300))
    assert named <= 6  # 1 % expected: 1.5


def test_robustFitSurvivesSeveralOutliers():
    random = np.random.default_rng(13)
    points = random.uniform([-70, -60, -8], [70, 60, 8], (12, 3))
    target = transformPoints(POSE, points) + 0.3 * random.normal(size=points.shape)
    wrong = [1, 4, 7, 10]
    target[wrong] += random.uniform(10, 30, (4, 3))
    fit = fitRigid(points, target, robust=True)
    assert list(np.flatnonzero(~fit.used)) == wrong
    plain = fitRigid(points, target)
    aim = np.array([0, 0, -80.0])
    truth = transformPoints(POSE, aim)
    assert np.linalg.norm(transformPoints(fit.fromToTo, aim) - truth) < 0.1 * np.linalg.norm(transformPoints(plain.fromToTo, aim) - truth)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (LAYOUT[:2], "at least 3"),
        (np.outer([0, 1, 2, 3.0], [10, 20, -5.0]), "on a line"),
        (np.outer([0, 1, 2, 3.0], [10, 20, -5.0]) + np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1.0]]), "nearly on a line"),
        (np.zeros((4, 3)) + 0.1 * np.eye(4, 3), "nearly one place"),
        (np.where(np.eye(6, 3), np.nan, LAYOUT), "NaN"),
    ],
)
def test_degenerateSetsAreRefusedWithReason(points, reason):
    with pytest.raises(PointSetError, match=reason) as caught:
        fitRigid(points, points)
    if "line" in reason:
        assert len(caught.value.singularValuesMm) == 3
        assert f"{caught.value.singularValuesMm[0]:.2f}" in str(caught.value)


def test_unequalNumbersAreRefused():
    with pytest.raises(PointSetError, match="6 and 5"):
        fitRigid(LAYOUT, LAYOUT[:5])


@pytest.mark.parametrize("options", [{"weights": [1, 1, 1, 1, 1, 0]}, {"weights": [1, 2]}, {"fromCovariances": -np.eye(3)}])
def test_badWeightsAreRefused(options):
    with pytest.raises(ValueError):
        fitRigid(LAYOUT, LAYOUT, **options)


def test_narrowStripWarns():
    strip = LAYOUT * [1.0, 0.1, 0.1]
    assert any("narrow strip" in w for w in fitRigid(strip, transformPoints(POSE, strip)).warnings)


@pytest.mark.parametrize("options", [{}, {"weights": [1, 2, 3, 1, 1, 1.5]}, {"fromCovariances": np.diag([1.0, 2, 3])}, {"robust": True}])
def test_storedFitComesBackWhole(options):
    target = transformPoints(POSE, LAYOUT) + np.random.default_rng(14).normal(size=LAYOUT.shape)
    target[2] += 15.0
    fit = fitRigid(LAYOUT, target, targets={"L4-L5": [10, -330, 20]}, names=list("abcdef"), **options)
    back = RigidFit.fromDict(json.loads(json.dumps(fit.toDict(), allow_nan=False)))
    for field in fit.__dataclass_fields__:
        a, b = getattr(fit, field), getattr(back, field)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b, field
    assert back.targetErrorAt([10, -330, 20]) == fit.predictedTre["L4-L5"]


def test_foreignContentIsRefused():
    with pytest.raises(ValueError, match="no stored registration"):
        RigidFit.fromDict({"format": "something"})
    content = fitRigid(LAYOUT, transformPoints(POSE, LAYOUT)).toDict()
    del content["covariance"]
    with pytest.raises(ValueError, match="covariance"):
        RigidFit.fromDict(content)
