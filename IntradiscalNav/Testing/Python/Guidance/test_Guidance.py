"""Guidance numbers against analytic truth (independent scalar formulas, hand-made scenes) and invariants under rigid motion."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector, transformPoints
from IntradiscalNavLib.Guidance.Guidance import NeedleShape, computeGuidance
from IntradiscalNavLib.Guidance.ImagePlane import imagePlane
from IntradiscalNavLib.Guidance.PathFrame import pathFrame, uprightAxes
from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure, StructureSet
from IntradiscalNavLib.Guidance.StructureDistance import distanceFromFunction

EXACT_MM = 1e-6


def poseOf(tip, direction, rollRad=0.0):
    """NeedleTipToRas by Gram-Schmidt from an arbitrary helper axis; independent of the code under test."""
    z = np.asarray(direction, float) / np.linalg.norm(direction)
    helper = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = np.cross(helper, z)
    x /= np.linalg.norm(x)
    y = np.cross(z, x)
    turned = math.cos(rollRad) * x + math.sin(rollRad) * y
    return rigidFrom(np.column_stack([turned, np.cross(z, turned), z]), tip)


def test_handMadeScene():
    """Path straight down +Y; tip 30 mm before the target, 3 right and 4 up of the path; shaft tilted by atan(3/4) to the right."""
    path = pathFrame([0, -100, 0], [0, 0, 0])
    guidance = computeGuidance(poseOf([3, -30, 4], [3, 4, 0]), path)
    assert guidance.tipToTargetMm == pytest.approx(math.sqrt(9 + 900 + 16), abs=EXACT_MM)
    assert guidance.targetDepthMm == pytest.approx(30, abs=EXACT_MM)
    assert guidance.targetLateralMm == pytest.approx(5, abs=EXACT_MM)
    assert guidance.tipToPathMm == pytest.approx(5, abs=EXACT_MM)
    assert guidance.offsetRightMm == pytest.approx(3, abs=EXACT_MM)
    assert guidance.offsetUpMm == pytest.approx(4, abs=EXACT_MM)
    assert guidance.shaftAngleDeg == pytest.approx(math.degrees(math.atan2(3, 4)), abs=EXACT_MM)
    assert guidance.depthFromEntryMm == pytest.approx(70, abs=EXACT_MM)
    # Along (0.6, 0.8, 0): (-3, 30, -4) . (0.6, 0.8, 0) = 22.2
    assert guidance.depthLeftMm == pytest.approx(22.2, abs=EXACT_MM)
    np.testing.assert_allclose(guidance.endPointRas, [3 + 0.6 * 22.2, -30 + 0.8 * 22.2, 4], atol=EXACT_MM)
    assert guidance.endPointErrorMm == pytest.approx(math.sqrt(925 - 22.2**2), abs=EXACT_MM)
    np.testing.assert_allclose(guidance.hubRas, [3 - 90, -30 - 120, 4], atol=EXACT_MM)


def test_needleOnThePathReadsZero():
    path = pathFrame([55, -80, 12], [4, -3, 7])
    direction = path.directionRas
    guidance = computeGuidance(poseOf(path.targetRas - 42 * direction, direction), path)
    assert guidance.tipToPathMm == pytest.approx(0, abs=EXACT_MM)
    assert guidance.shaftAngleDeg == pytest.approx(0, abs=EXACT_MM)
    assert guidance.depthLeftMm == pytest.approx(42, abs=EXACT_MM)
    assert guidance.endPointErrorMm == pytest.approx(0, abs=EXACT_MM)


def test_pastTheTargetSaysPullBack():
    path = pathFrame([0, -100, 0], [0, 0, 0])
    guidance = computeGuidance(poseOf([0, 6, 0], [0, 1, 0]), path)
    assert guidance.depthLeftMm == pytest.approx(-6, abs=EXACT_MM)
    assert guidance.targetDepthMm == pytest.approx(-6, abs=EXACT_MM)
    assert guidance.tipToPathMm == pytest.approx(6, abs=EXACT_MM), "past the target the path is no more: the distance is to its end"


def test_aboveTheSkinThePathGoesOn():
    path = pathFrame([0, -100, 0], [0, 0, 0])
    guidance = computeGuidance(poseOf([0, -160, 2], [0, 1, 0]), path)
    assert guidance.tipToPathMm == pytest.approx(2, abs=EXACT_MM)
    assert guidance.insertedMm == 0.0
    assert guidance.depthFromEntryMm == pytest.approx(-60, abs=EXACT_MM)


finite = st.floats(-150, 150, allow_nan=False)
point = st.tuples(finite, finite, finite).map(np.array)
direction = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1)).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.1)


@settings(max_examples=80, deadline=None)
@given(entry=point, target=point, tip=point, shaft=direction, roll=st.floats(-3, 3))
def test_numbersEqualScalarFormulas(entry, target, tip, shaft, roll):
    """Other formulas than the code's (cross products and law of cosines instead of frames), and no influence of the needle's roll."""
    if np.linalg.norm(target - entry) < 5:
        return
    path = pathFrame(entry, target)
    guidance = computeGuidance(poseOf(tip, shaft, roll), path)
    unit = (target - entry) / np.linalg.norm(target - entry)
    assert guidance.tipToTargetMm == pytest.approx(math.dist(tip, target), abs=EXACT_MM)
    line = np.linalg.norm(np.cross(tip - entry, target - entry)) / np.linalg.norm(target - entry)
    assert guidance.targetLateralMm == pytest.approx(line, abs=EXACT_MM)
    assert math.hypot(guidance.targetDepthMm, guidance.targetLateralMm) == pytest.approx(guidance.tipToTargetMm, abs=EXACT_MM)
    assert math.hypot(guidance.offsetRightMm, guidance.offsetUpMm) == pytest.approx(line, abs=EXACT_MM)
    unitShaft = shaft / np.linalg.norm(shaft)
    assert math.cos(math.radians(guidance.shaftAngleDeg)) == pytest.approx(float(unitShaft @ unit), abs=1e-9)
    assert guidance.endPointErrorMm == pytest.approx(float(np.linalg.norm(np.cross(target - tip, unitShaft))), abs=EXACT_MM)
    assert guidance.endPointErrorMm <= guidance.tipToTargetMm + EXACT_MM


@settings(max_examples=40, deadline=None)
@given(tip=point, shaft=direction, turn=st.tuples(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3)), shift=point)
def test_rigidMotionOfTheWholeSceneChangesNoNumber(tip, shaft, turn, shift):
    motion = rigidFrom(rotationFromVector(np.array(turn)), shift)
    entry, target = np.array([50.0, -90.0, 20.0]), np.array([2.0, -5.0, 15.0])
    imageToRas = np.array([[0.2, 0, 0.0, -60], [0, 0.2, 0.1, -80], [0, 0, 0.2, 12], [0, 0, 0, 1]])
    before = computeGuidance(poseOf(tip, shaft), pathFrame(entry, target), plane=imagePlane(imageToRas, 640, 480))
    after = computeGuidance(
        motion @ poseOf(tip, shaft),
        pathFrame(transformPoints(motion, entry), transformPoints(motion, target)),
        plane=imagePlane(motion @ imageToRas, 640, 480),
    )
    for name in ("tipToTargetMm", "targetDepthMm", "targetLateralMm", "tipToPathMm", "depthLeftMm", "endPointErrorMm", "shaftAngleDeg"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-6), name
    assert after.outOfPlaneMm == pytest.approx(before.outOfPlaneMm, abs=1e-6)


def test_imagePlaneAndNeedle():
    """Image in the axial plane z = 5, needle coming down at 45 degrees through it."""
    imageToRas = np.array([[0.1, 0, 0, -32.0], [0, 0.1, 0, -50.0], [0, 0, 0.1, 5.0], [0, 0, 0, 1]])
    plane = imagePlane(imageToRas, 640, 480)
    inPlane = computeGuidance(poseOf([0, 0, 15], [0, 1, -1]), pathFrame([0, -50, 5], [0, 10, 5]), plane=plane).inPlane
    assert inPlane.outOfPlaneMm == pytest.approx(10, abs=EXACT_MM)
    assert inPlane.shaftToPlaneDeg == pytest.approx(45, abs=EXACT_MM)
    np.testing.assert_allclose(inPlane.crossingRas, [0, 10, 5], atol=EXACT_MM)
    assert inPlane.crossingAheadMm == pytest.approx(10 * math.sqrt(2), abs=EXACT_MM)
    assert not inPlane.crossingOnShaft
    np.testing.assert_allclose(inPlane.crossingPixel, [320, 600], atol=EXACT_MM)
    assert not inPlane.crossingOnImage
    np.testing.assert_allclose(inPlane.tipPixel, [320, 500], atol=EXACT_MM)
    passed = computeGuidance(poseOf([0, -10, -5], [0, 1, -1]), pathFrame([0, -50, 5], [0, 10, 5]), plane=plane).inPlane
    assert passed.outOfPlaneMm == pytest.approx(-10, abs=EXACT_MM)
    assert passed.crossingOnShaft
    np.testing.assert_allclose(passed.crossingRas, [0, -20, 5], atol=EXACT_MM)
    assert passed.crossingOnImage


def test_needleInThePlaneHasNoCrossing():
    plane = imagePlane(np.diag([0.1, 0.1, 0.1, 1.0]), 640, 480)
    inPlane = computeGuidance(poseOf([10, 10, 0], [1, 1, 0]), pathFrame([0, 0, 0], [30, 30, 0]), plane=plane).inPlane
    assert inPlane.outOfPlaneMm == pytest.approx(0, abs=EXACT_MM)
    assert inPlane.crossingRas is None
    assert math.isnan(inPlane.crossingAheadMm)


def test_obliquePixelAxesKeepThePlane():
    """Calibrated axes at 92.7 degrees, as in a real PLUS configuration: pixel of a point is still found exactly."""
    angle = math.radians(92.7)
    matrix = np.eye(4)
    matrix[:3, 0] = [0.085, 0, 0]
    matrix[:3, 1] = [0.079 * math.cos(angle), 0.079 * math.sin(angle), 0]
    plane = imagePlane(matrix, 820, 616)
    aboveImage = (matrix @ [411.5, 207.25, 0, 1])[:3] + np.array([0, 0, 3.5])
    np.testing.assert_allclose(plane.pixelOf(aboveImage), [411.5, 207.25], atol=1e-9)
    assert plane.distanceMm(aboveImage) == pytest.approx(3.5, abs=EXACT_MM)


def test_clearanceToAFlatFaceIsExact():
    """Distance to a half space is linear, so the table gives it exactly: shaft parallel, tip nearest, and hub nearest."""
    halfSpace = distanceFromFunction("wall", lambda p: p[:, 0] - 20.0, [[-60, 60], [-260, 60], [-60, 60]], spacingMm=3.0)
    structures = StructureSet([RiskStructure(halfSpace, 2.0)])
    needle = NeedleShape(lengthMm=100.0, diameterMm=0.8)
    path = pathFrame([30, -100, 0], [30, 0, 0])
    parallel = computeGuidance(poseOf([27, -50, 0], [0, 1, 0]), path, needle=needle, structures=structures).clearances[0]
    assert parallel.clearanceMm == pytest.approx(6.6, abs=EXACT_MM)
    assert parallel.marginMm == pytest.approx(4.6, abs=EXACT_MM)
    tipNearest = computeGuidance(poseOf([27, -50, 0], [-0.6, 0.8, 0]), path, needle=needle, structures=structures).clearances[0]
    assert tipNearest.clearanceMm == pytest.approx(6.6, abs=EXACT_MM)
    assert tipNearest.behindTipMm == pytest.approx(0, abs=EXACT_MM)
    # Pushed on by ((3, 50) . (-0.6, 0.8)) = 38.2 mm the tip is 22.92 mm farther left: 27 - 22.92 - 20 - 0.4
    assert tipNearest.aheadMm == pytest.approx(27 - 0.6 * 38.2 - 20 - 0.4, abs=EXACT_MM)
    hubNearest = computeGuidance(poseOf([27, -50, 0], [0.1, math.sqrt(0.99), 0]), path, needle=needle, structures=structures).clearances[0]
    assert hubNearest.clearanceMm == pytest.approx(27 - 10 - 20 - 0.4, abs=EXACT_MM)
    assert hubNearest.behindTipMm == pytest.approx(100, abs=1e-3)


def test_clearanceToABallIsWithinTheStatedAccuracy():
    center = np.array([10.0, -40.0, 5.0])
    ball = distanceFromFunction("ball", lambda p: np.linalg.norm(p - center, axis=1) - 8.0, np.stack([center - 30, center + 30], 1), 1.0)
    structures = StructureSet([RiskStructure(ball, 3.0)])
    path = pathFrame([0, -100, 0], [0, 0, 0])
    rng = np.random.default_rng(3)
    for _ in range(50):
        tip, shaft = rng.uniform([-15, -60, -15], [20, 0, 20]), rng.normal(size=3) * [0.4, 0.2, 0.4] + [0, 1, 0]
        guidance = computeGuidance(poseOf(tip, shaft), path, structures=structures)
        unit = shaft / np.linalg.norm(shaft)
        along = np.clip((tip - center) @ unit, 0.0, 150.0)
        truth = np.linalg.norm(tip - along * unit - center) - 8.0 - 0.36
        clearance = guidance.clearances[0]
        if clearance.isLowerBound:
            assert clearance.clearanceMm <= truth + 0.1
        else:
            # Convex distance, linear interpolation: never too small but for rounding, too large by at most h^2 / (8 r) per axis.
            assert truth - 1e-3 <= clearance.clearanceMm <= truth + 0.15


@pytest.mark.parametrize("why", ["nan", "mirrored", "scaled", "shape"])
def test_badPoseGivesNoNumber(why):
    pose = np.eye(4)
    if why == "nan":
        pose[0, 3] = np.nan
    elif why == "mirrored":
        pose[0, 0] = -1
    elif why == "scaled":
        pose[:3, :3] *= 1.1
    else:
        pose = np.eye(3)
    with pytest.raises(ValueError, match="NeedleTipToRas"):
        computeGuidance(pose, pathFrame([0, -100, 0], [0, 0, 0]))


@pytest.mark.parametrize(("entry", "target"), [([0, 0, 0], [0, 0, 0.5]), ([0, 0, np.nan], [0, 0, 50]), ([0, 0], [0, 0, 50])])
def test_badPathIsRefused(entry, target):
    with pytest.raises(ValueError, match="path"):
        pathFrame(entry, target)


def test_badImageIsRefused():
    with pytest.raises(ValueError, match="plane"):
        imagePlane(np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), 10, 10)
    with pytest.raises(ValueError, match="finite"):
        imagePlane(np.full((4, 4), np.nan), 10, 10)
    with pytest.raises(ValueError, match="empty"):
        imagePlane(np.eye(4), 0, 10)


@given(direction)
def test_uprightAxesAreRigidAndKeepTheDirection(towards):
    axes = uprightAxes(towards)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1.0)
    np.testing.assert_allclose(axes[:, 2], towards / np.linalg.norm(towards), atol=1e-12)


def test_operatorSeesPatientRightAndHeadUp():
    """Prone patient, needle from behind: right stays right, the head is up (so +Y of the path frame, down, is towards the feet)."""
    axes = uprightAxes([0, 1, 0])
    np.testing.assert_allclose(axes, np.column_stack([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), atol=1e-12)
