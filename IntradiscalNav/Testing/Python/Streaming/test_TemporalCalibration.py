"""Temporal calibration and smoothing against motions whose lag is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationAngleDeg, rotationFromVector, whyNotRigid
from IntradiscalNavLib.Streaming.PoseSmoothing import PoseSmoother
from IntradiscalNavLib.Streaming.TemporalCalibration import TemporalCalibrationError, calibrateTime, echoDepths

DIRECTION = np.array([0.36, -0.48, 0.8])


def inOut(times, amplitudeMm=12.0):
    """A hand's up and down: no pure sine."""
    return amplitudeMm * np.sin(2 * np.pi * 0.6 * times + 0.4 * np.sin(0.5 * times))


def recording(lagSec, noiseMm=0.2, noisePixels=0.5, seconds=12.0, seed=0, amplitudeMm=12.0):
    rng = np.random.default_rng(seed)
    trackerTimes = np.cumsum(rng.normal(1 / 50, 0.001, int(50 * seconds)).clip(0.005))
    imageTimes = np.cumsum(rng.normal(1 / 25, 0.002, int(25 * seconds)).clip(0.01))
    positions = np.outer(inOut(trackerTimes, amplitudeMm), DIRECTION) + rng.normal(size=(len(trackerTimes), 3)) * noiseMm + [100, 200, -300]
    # The picture stamped t shows the motion of t - lag.
    signal = -8.0 * inOut(imageTimes - lagSec, amplitudeMm) + 300 + rng.normal(size=len(imageTimes)) * noisePixels
    return imageTimes, signal, trackerTimes, positions


@given(st.floats(-0.3, 0.3), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def testTheLagIsFound(lagSec, seed):
    result = calibrateTime(*recording(lagSec, seed=seed))
    assert result.imageLagSec == pytest.approx(lagSec, abs=0.003)
    assert result.correlation > 0.99 and result.cycles > 5 and not result.warnings
    assert result.amplitudeMm == pytest.approx(12.0, abs=1.0)


def testTheStandardErrorIsHonest():
    lags = [calibrateTime(*recording(0.08, noisePixels=10.0, seed=seed)) for seed in range(60)]
    errors = np.array([(result.imageLagSec - 0.08) / result.standardErrorSec for result in lags])
    assert 0.6 < errors.std() < 1.6
    assert abs(errors.mean()) < 0.6


def testEchoDepthsOfPictures():
    rng = np.random.default_rng(3)
    times = np.arange(60) / 20.0
    truth = 40.0 + 15.0 * np.sin(2 * np.pi * 0.7 * times)
    rows = np.arange(120.0)[:, None]
    frames = np.array([200.0 * np.exp(-(((rows - depth) / 2.5) ** 2)) + 10.0 * rng.random((120, 50)) for depth in truth])
    depths = echoDepths(frames.astype(np.uint8))
    assert np.abs(depths - (truth - truth[0])).max() < 0.5


def testFromPicturesToLag():
    trackerTimes = np.arange(0, 10, 0.02)
    imageTimes = np.arange(0.6, 9.4, 0.04)
    rows = np.arange(160.0)[:, None]
    depths = 80.0 + 4.0 * inOut(imageTimes - 0.12)
    frames = np.array([np.broadcast_to(220.0 * np.exp(-(((rows - depth) / 2.0) ** 2)), (160, 20)) for depth in depths])
    result = calibrateTime(imageTimes, echoDepths(frames), trackerTimes, np.outer(inOut(trackerTimes), DIRECTION))
    assert result.imageLagSec == pytest.approx(0.12, abs=0.003)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it, s, tt, p: (it[:25], s[:25], tt, p), "ten seconds"),
        (lambda it, s, tt, p: (it, s, tt, p * 0.05), "moved only"),
        (lambda it, s, tt, p: (it, np.random.default_rng(1).normal(size=len(s)), tt, p), "does not follow|No lag"),
        (lambda it, s, tt, p: (it, s, np.round(tt, 0), p), "do not grow"),
        (lambda it, s, tt, p: (it, s, tt + 100.0, p), "well within"),
    ],
)
def testWhatCannotBeMeasuredIsRefused(change, words):
    with pytest.raises(TemporalCalibrationError, match=words):
        calibrateTime(*change(*recording(0.05)))


def testBadArrays():
    imageTimes, signal, trackerTimes, positions = recording(0.05)
    with pytest.raises(ValueError, match="NaN"):
        calibrateTime(imageTimes, np.where(signal > 300, np.nan, signal), trackerTimes, positions)
    with pytest.raises(ValueError, match="as many"):
        calibrateTime(imageTimes, signal[:-1], trackerTimes, positions)


def testFewCyclesAreWarnedOf():
    imageTimes, signal, trackerTimes, positions = recording(0.05, seconds=4.0)
    assert "cycles" in calibrateTime(imageTimes, signal, trackerTimes, positions).warnings[0]


# Smoothing


def testOffByDefault():
    smoother = PoseSmoother()
    pose = rigidFrom(np.eye(3), [1, 2, 3])
    smoother.smooth(np.eye(4), 0.0)
    assert np.array_equal(smoother.smooth(pose, 0.02), pose) and smoother.delaySec == 0.0


@pytest.mark.parametrize("rateHz", [10.0, 30.0, 100.0])
@pytest.mark.parametrize("timeConstantSec", [0.05, 0.2])
def testTheStatedDelayIsTheRealOne(rateHz, timeConstantSec):
    smoother = PoseSmoother(timeConstantSec)
    speedMmPerSec, turnRadPerSec = 40.0, 0.5

    def pose(time):
        return rigidFrom(rotationFromVector(np.array([0, 0, turnRadPerSec * time])), [speedMmPerSec * time, 0, 0])

    for index in range(int(4 * rateHz)):
        time = index / rateHz
        shown = smoother.smooth(pose(time), time)
    behindSec = (speedMmPerSec * time - shown[0, 3]) / speedMmPerSec
    assert behindSec == pytest.approx(smoother.delaySec, rel=0.01)
    assert 0.0 < smoother.delaySec < timeConstantSec
    assert np.radians(rotationAngleDeg(shown.T @ pose(time - behindSec))) < 1e-3
    assert whyNotRigid(shown, 1e-9) == ""


def testNoiseBecomesLess():
    rng = np.random.default_rng(4)
    smoother = PoseSmoother(0.2)
    raw, smooth = [], []
    for index in range(3000):
        pose = rigidFrom(rotationFromVector(rng.normal(size=3) * 0.01), rng.normal(size=3) * 0.5)
        raw.append(pose[0, 3])
        smooth.append(smoother.smooth(pose, index / 30.0)[0, 3])
    # Variance of a first-order low-pass of white noise: a / (2 - a).
    weight = 1 - np.exp(-(1 / 30.0) / 0.2)
    assert np.var(smooth) / np.var(raw) == pytest.approx(weight / (2 - weight), rel=0.15)


@pytest.mark.parametrize("gap", [(0.6, 0.0), (0.02, 31.0), (-1.0, 0.0)])
def testGapsLeapsAndClocksThatRunBackStartAnew(gap):
    smoother = PoseSmoother(0.2)
    smoother.smooth(np.eye(4), 10.0)
    smoother.smooth(rigidFrom(np.eye(3), [1, 0, 0]), 10.02)
    pose = rigidFrom(np.eye(3), [2 + gap[1], 0, 0])
    assert np.array_equal(smoother.smooth(pose, 10.02 + gap[0]), pose)
    smoother.reset()
    assert np.array_equal(smoother.smooth(np.eye(4), 20.0), np.eye(4))


def testUnusableTimeConstant():
    with pytest.raises(ValueError, match="time constant"):
        PoseSmoother(5.0)
