"""Tracker, needle and scripted operator: laws and invariants."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from IntradiscalNavLib.Simulation.KeyframeMotion import KeyframeMotion, between
from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, cachedLumbarPhantom
from IntradiscalNavLib.Simulation.MarkerPlateShape import plateDefinition
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
from IntradiscalNavLib.Simulation.SimulatedPose import inversePose, poseFromTurns
from IntradiscalNavLib.Simulation.SimulatedProcedure import OperatorSkill, SimulatedProcedure
from IntradiscalNavLib.Simulation.SimulatedTools import NeedleBending, SimulatedTools
from IntradiscalNavLib.Simulation.SimulatedTracking import Breathing, FieldDistortion, SimulatedTracker, TrackingNoise

COARSE = PhantomParameters(spacingMm=(2.5, 2.5, 3.0))
QUIET = TrackingNoise(0.0, 0.0)

angles = st.floats(-180.0, 180.0, allow_nan=False)
lengths = st.floats(-300.0, 300.0, allow_nan=False)


@st.composite
def poses(draw: st.DrawFn) -> np.ndarray:
    turns = [((1, 0, 0), draw(angles)), ((0, 1, 0), draw(angles)), ((0, 0, 1), draw(angles))]
    return poseFromTurns(turns, (draw(lengths), draw(lengths), draw(lengths)))


@pytest.fixture(scope="module")
def phantom() -> LumbarPhantom:
    return cachedLumbarPhantom(COARSE)


@given(angles, angles, angles)
def test_posesAgreeWithScipy(a: float, b: float, c: float) -> None:
    mine = poseFromTurns((((1, 0, 0), a), ((0, 1, 0), b), ((0, 0, 1), c)), (1, 2, 3))
    np.testing.assert_allclose(mine[:3, :3], Rotation.from_euler("xyz", [a, b, c], degrees=True).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(inversePose(mine) @ mine, np.eye(4), atol=1e-12)


@given(poses(), poses(), st.floats(0.0, 1.0))
@settings(max_examples=60, deadline=None)
def test_keyframesStayRigidAndMeetTheirKeys(first: np.ndarray, second: np.ndarray, share: float) -> None:
    middle = between(first, second, share)
    np.testing.assert_allclose(middle[:3, :3] @ middle[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(middle[:3, :3]) > 0
    np.testing.assert_allclose(between(first, second, 0.0), first, atol=1e-9)
    np.testing.assert_allclose(between(first, second, 1.0), second, atol=1e-6)
    motion = KeyframeMotion([1.0], [first])
    motion.add(2.0, second)
    np.testing.assert_allclose(motion.poseAt(0.0), first)
    np.testing.assert_allclose(motion.poseAt(9.0), second)
    with pytest.raises(ValueError, match="after the last"):
        motion.add(2.0, first)


@given(poses(), st.floats(0.0, 140.0), st.floats(0.0, 9.0), angles)
@settings(max_examples=80, deadline=None)
def test_needleBendsByTheSquareOfItsDepth(tip: np.ndarray, depth: float, at80: float, bevel: float) -> None:
    bending = NeedleBending(at80, bevel)
    line = bending.centerline(tip, depth)
    local = (np.linalg.inv(tip) @ np.concatenate([line, np.ones((len(line), 1))], 1).T)[:3].T
    sideways = np.hypot(local[:, 0], local[:, 1])
    assert sideways[-1] == pytest.approx(at80 * (depth / 80.0) ** 2, abs=1e-9)
    np.testing.assert_allclose(local[:, 2], np.linspace(-150.0, 0.0, len(line)), atol=1e-9)
    assert np.all(sideways[local[:, 2] <= -depth] < 1e-9)  # straight outside
    assert np.all(np.diff(sideways) >= -1e-9)
    if depth > 1 and at80 > 0.01:
        direction = np.degrees(np.arctan2(local[-1, 1], local[-1, 0]))
        assert (direction - bevel + 180.0) % 360.0 - 180.0 == pytest.approx(0.0, abs=1e-3)


def test_trackerReportsTheTruthWhenQuiet(phantom: LumbarPhantom) -> None:
    tracker = SimulatedTracker(phantom.truth.patientToRas, QUIET)
    pose = poseFromTurns((((1, 2, 3), 40.0),), (10.0, -80.0, -420.0))
    np.testing.assert_allclose(inversePose(tracker.rasToTracker) @ tracker.toolToTracker(pose), pose, atol=1e-9)


def test_noiseHasTheStatedSize(phantom: LumbarPhantom) -> None:
    tracker = SimulatedTracker(phantom.truth.patientToRas, TrackingNoise(0.2, 0.1), seed=5)
    pose = np.eye(4)
    samples = np.array([tracker.toolToTracker(pose) for _ in range(1500)])
    assert samples[:, :3, 3].std(0) == pytest.approx(0.2, rel=0.08)
    truth = tracker.rasToTracker[:3, :3]
    vectors = np.array([Rotation.from_matrix(sample[:3, :3] @ truth.T).as_rotvec(degrees=True) for sample in samples])
    assert vectors.std(0) == pytest.approx(0.1, rel=0.08)


def test_distortionIsSmoothGrowsToTheTableAndIsNoRigidShift(phantom: LumbarPhantom) -> None:
    distortion = FieldDistortion(strengthMm=2.0)
    near, far = np.array([[30.0, 60.0, 150.0]]), np.array([[30.0, -90.0, -120.0]])
    assert np.linalg.norm(distortion.displacement(near)) > 2.0 * np.linalg.norm(distortion.displacement(far))
    points = np.random.default_rng(0).uniform(-80, 80, (40, 3))
    moved = points + distortion.displacement(points)
    a, b = points - points.mean(0), moved - moved.mean(0)
    rotation, _ = Rotation.align_vectors(b, a)
    assert np.linalg.norm(b - rotation.apply(a), axis=1).max() > 0.4  # no rigid transform explains it
    step = distortion.displacement(points + 0.1) - distortion.displacement(points)
    assert np.abs(step).max() < 0.05
    pose = poseFromTurns((((0, 1, 0), 30.0),), (20.0, -60.0, 40.0))
    disturbed = distortion.apply(pose)
    np.testing.assert_allclose(disturbed[:3, :3] @ disturbed[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.array_equal(FieldDistortion(0.0).apply(pose), pose)


def test_breathingMovesThePlateMoreThanTheSpine(phantom: LumbarPhantom) -> None:
    tracker = SimulatedTracker(phantom.truth.patientToRas, QUIET, breathing=Breathing(amplitudeMm=5.0, periodSec=4.0))
    pose = phantom.truth.referenceToRas
    assert pose is not None
    rest, spine, skin = (
        inversePose(tracker.rasToTracker) @ tracker.toolToTracker(pose, time, onSkin=onSkin)
        for time, onSkin in ((0.0, True), (2.0, False), (2.0, True))
    )
    posterior = -phantom.truth.patientToRas[:3, 1]
    assert (spine - rest)[:3, 3] @ posterior == pytest.approx(5.0, abs=1e-6)
    assert (skin - rest)[:3, 3] @ posterior == pytest.approx(6.0, abs=1e-6)


def test_operatorTouchesEveryBallAndGoesAway(phantom: LumbarPhantom) -> None:
    procedure = SimulatedProcedure(phantom, seed=4)
    end = procedure.touchBalls(1.0, dwellSec=1.0)
    times = np.arange(1.0, end, 1 / 30)
    tips = np.array([(procedure.state(t).stylusToRas @ procedure.tools.stylusTipToStylus)[:3, 3] for t in times])
    distance = np.linalg.norm(tips[:, None] - phantom.truth.ballsRas[None], axis=2)
    assert np.all((distance < 0.5).sum(0) >= 28)
    assert np.linalg.norm(tips[-1] - phantom.truth.ballsRas, axis=1).min() > 50
    again = SimulatedProcedure(phantom, seed=4)
    again.touchBalls(1.0, dwellSec=1.0)
    np.testing.assert_array_equal(again.state(3.3).stylusToRas, procedure.state(3.3).stylusToRas)


def test_sweepKeepsTheProbeOnTheSkinBelowThePlate(phantom: LumbarPhantom) -> None:
    procedure = SimulatedProcedure(phantom, seed=1)
    end = procedure.sweep(0.0, durationSec=6.0)
    low, high = np.inf, -np.inf
    for time in np.arange(1.2, end, 0.2):
        face = procedure.state(time).probeToRas @ procedure.tools.geometry.ultrasoundToProbe
        inPatient = np.linalg.inv(phantom.truth.patientToRas) @ face
        skin = phantom.trunk.skinHeight(float(inPatient[0, 3]), float(inPatient[2, 3]))
        assert -1.0 < inPatient[1, 3] - skin < 5.0
        assert inPatient[1, 1] > 0.9  # looks forwards
        low, high = min(low, inPatient[2, 3]), max(high, inPatient[2, 3])
    levels = [np.linalg.inv(phantom.truth.patientToRas) @ np.append(phantom.truth.discs[n].centerRas, 1) for n in ("L5-S1", "L3-L4")]
    assert low < levels[0][2] + 3
    assert high > levels[1][2] + 10
    assert high < phantom.parameters.plateHeightMm - 30


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_needleFollowsThePathWithItsPlaneInView(phantom: LumbarPhantom, side: float) -> None:
    skill = OperatorSkill(needleErrorMm=0.0, needleAngleErrorDeg=0.0, needleDriftMm=0.0, probeDriftMm=0.0)
    tools = SimulatedTools(bending=NeedleBending(1.0))
    procedure = SimulatedProcedure(phantom, tools, skill=skill)
    target = phantom.truth.discs["L3-L4"].centerRas
    place = np.array([side * 65.0, 0.0, 4.0])
    place[1] = phantom.trunk.skinHeight(place[0], place[2])
    entry = (phantom.truth.patientToRas @ np.append(place, 1.0))[:3]
    arrival = procedure.followPath(0.5, entry, target)
    state = procedure.state(arrival + 0.5)
    assert state.phase == "atTarget"
    np.testing.assert_allclose(state.straightTipRas, target, atol=0.15)
    length = np.linalg.norm(target - entry)
    assert state.depthInTissueMm == pytest.approx(length, abs=2.5)
    assert np.linalg.norm(state.trueTipRas - state.straightTipRas) == pytest.approx((state.depthInTissueMm / 80.0) ** 2, abs=0.02)
    # the sensor's pose leads back to the tip by the stated calibration; +Z runs from hub to tip
    tip = state.needleToRas @ tools.needleTipToNeedle
    np.testing.assert_allclose(tip[:3, 3], state.straightTipRas, atol=1e-9)
    assert tip[:3, 2] @ (target - entry) / length > 0.999
    np.testing.assert_allclose(tip[:3, 3] - 150.0 * tip[:3, 2], state.needleCenterlineRas[0], atol=1e-6)
    image = np.linalg.inv(state.probeToRas @ tools.imageToProbe)
    for point in (entry, target):
        assert abs((image @ np.append(point, 1.0))[2] * tools.geometry.pixelSpacingMm) < 1.5
    columnRow = image @ np.append(target, 1.0)
    assert 0 < columnRow[0] < 640
    assert 0 < columnRow[1] < 480
    assert procedure.state(1.0).depthInTissueMm + 1.0 > 0.0  # defined also in the air


@pytest.mark.parametrize("tool", ["Stylus", "Needle"])
def test_pivotKeepsTheTipInItsDivotAndSpinTheAxis(phantom: LumbarPhantom, tool: str) -> None:
    procedure = SimulatedProcedure(phantom, skill=OperatorSkill(stylusTremorMm=0.0, needleDriftMm=0.0))
    tools = procedure.tools
    tipTo = tools.stylusTipToStylus if tool == "Stylus" else tools.needleTipToNeedle

    def tips(start: float, end: float) -> np.ndarray:
        states = [procedure.state(t) for t in np.arange(start + 1.05, end, 0.1)]
        return np.array([(s.stylusToRas if tool == "Stylus" else s.needleToRas) @ tipTo for s in states])

    end = procedure.pivot(0.0, tool=tool, durationSec=8.0, coneDeg=30.0)
    poses = tips(0.0, end)
    assert np.linalg.norm(poses[:, :3, 3] - phantom.truth.ballsRas[0], axis=1).max() < 0.4
    axes = poses[:, :3, 2]
    spread = np.degrees(np.arccos(np.clip(axes @ axes.mean(0) / np.linalg.norm(axes.mean(0)), -1, 1)))
    assert 20 < spread.max() < 50
    # algebraic pivot solution from the sensor's poses alone: R t + p = c
    sensors = poses @ np.linalg.inv(tipTo)
    system = np.concatenate([np.concatenate([s[:3, :3], -np.eye(3)], 1) for s in sensors])
    solution = np.linalg.lstsq(system, -sensors[:, :3, 3].ravel(), rcond=None)[0]
    np.testing.assert_allclose(solution[:3], tipTo[:3, 3], atol=0.5)
    bent = procedure.pivot(end, tool=tool, durationSec=8.0, bendMm=4.0)
    assert 2.0 < np.linalg.norm(tips(end, bent)[:, :3, 3] - phantom.truth.ballsRas[0], axis=1).max() < 5.0
    spun = tips(bent, procedure.spin(bent, tool=tool))
    assert np.degrees(np.arccos(np.clip(spun[:, :3, 2] @ spun[0, :3, 2], -1, 1))).max() < 2.0
    with pytest.raises(ValueError, match="pivoted"):
        procedure.pivot(60.0, tool="Probe")


def test_imageLagsBehindThePosesByTheStatedDelay(phantom: LumbarPhantom) -> None:
    from IntradiscalNavLib.Simulation.SimulatedFrames import FrameOptions, SimulatedFrames
    from IntradiscalNavLib.Simulation.SimulatedUltrasound import SimulatedUltrasound
    from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage

    procedure = SimulatedProcedure(phantom)
    end = procedure.probeInOut(0.0, durationSec=5.0, periodSec=1.5)
    tools = procedure.tools

    def boneRow(delaySec: float) -> np.ndarray:
        frames = SimulatedFrames(
            tools,
            SimulatedTracker(phantom.truth.patientToRas, QUIET),
            SimulatedUltrasound(phantom, tools.geometry),
            FrameOptions(imageDelaySec=delaySec),
        )
        rows = []
        for time in np.arange(1.5, end, 1 / 20):
            image = next(m for m in frames.messages(procedure.state(time), time, time) if isinstance(m, ImageMessage))
            strip = image.voxels[0, 60:, 318:322].mean(1)
            rows.append(float((strip > 200).argmax()))
        return np.array(rows)

    now, late = boneRow(0.0), boneRow(0.2)
    assert np.ptp(now) > 15
    shifts = range(8)
    match = [np.abs(late[8:] - now[8 - shift : len(now) - shift]).mean() for shift in shifts]
    assert abs(int(np.argmin(match)) - 4) <= 1  # 0.2 s at 20 frames a second


def test_badPathsAreRefused(phantom: LumbarPhantom) -> None:
    procedure = SimulatedProcedure(phantom)
    with pytest.raises(ValueError, match="mm long"):
        procedure.followPath(0.0, (0, 0, 0), (0, 300, 0))
    with pytest.raises(ValueError, match="no level"):
        procedure.sweep(0.0, fromLevel="L9")
    from dataclasses import replace

    bare = LumbarPhantom(**{**phantom.__dict__, "truth": replace(phantom.truth, referenceToRas=None)})
    with pytest.raises(ValueError, match="no marker plate"):
        SimulatedProcedure(bare)


def test_calibrationFilesAreReadByTheRegistrationCode(tmp_path: object, phantom: LumbarPhantom) -> None:
    """The plate and the probe calibration as files of their makers, read by the other module."""
    import pathlib

    from FusionRegistrationLib.MarkerPlate import MarkerPlate
    from FusionRegistrationLib.ProbeCalibration import checkProbeCalibration, loadProbeCalibration

    tools = SimulatedTools()
    plate = MarkerPlate.fromDict(plateDefinition())
    np.testing.assert_allclose(plate.ballPositions, phantom.truth.ballsReference, atol=1e-9)
    assert plate.symmetryWarning() == ""
    assert phantom.truth.referenceToRas is not None and plate.outward is not None
    outward = phantom.truth.referenceToRas[:3, :3] @ plate.outward
    assert outward @ -phantom.truth.patientToRas[:3, 1] > 0.95  # away from the back
    file = tools.writePlusConfiguration(pathlib.Path(str(tmp_path)) / "device.xml")
    np.testing.assert_allclose(loadProbeCalibration(file).imageToProbe, tools.imageToProbe, atol=1e-6)
    assert checkProbeCalibration(tools.imageToProbe).usable
