"""Bone detection on seeded frames with a known surface, and the geometry of the probes."""

import dataclasses
import itertools

import numpy as np
import pytest
from UltrasoundFrames import makeFrame, scoreDetections

from FusionRegistrationLib.BoneSurfaceUltrasound import BoneDetectionParameters, detectBoneSurface
from FusionRegistrationLib.ProbeGeometry import checkCalibration, curvilinearGeometry, geometryFromCalibration, linearGeometry


def _depths(detection, geometry):
    return np.linalg.norm((detection.pixels - detection.facePixels) * geometry.pixelMm, axis=1)


@pytest.fixture(scope="module")
def frames():
    return {curved: [makeFrame(9000 + n, curved=curved) for n in range(7)] for curved in (False, True)}


@pytest.mark.parametrize("curved", [False, True])
def test_hardFrames(frames, curved):
    """Seeds the detector was not tuned on; half of what it reaches on many frames is asked of these few."""
    results = []
    for frame in frames[curved]:
        detection = detectBoneSurface(frame.image, frame.geometry)
        results.append((detection.lines, _depths(detection, frame.geometry)))
    score = scoreDetections(frames[curved], results)
    assert score.errorsMm.mean() < 0.45
    assert score.precision(1.0) > 0.75
    assert score.recall(1.0) > 0.5


@pytest.mark.parametrize("curved", [False, True])
def test_bonefreeFrames(curved):
    """Fascia, speckle and lost contact make no bone in most frames, and what they make is unsure."""
    shares = []
    for seed in range(5):
        frame = makeFrame(9505 + seed, curved=curved, bone=False)
        detection = detectBoneSurface(frame.image, frame.geometry)
        shares.append(len(detection) / frame.geometry.lineCount)
        assert len(detection) == 0 or detection.confidence.mean() < 0.6
    assert np.count_nonzero(shares) <= 2
    assert np.mean(shares) < 0.2


def test_confidenceMeansSomething(frames):
    """Points of high confidence are more often right than points of low confidence."""
    confidence, right = [], []
    for group in frames.values():
        for frame in group:
            detection = detectBoneSurface(frame.image, frame.geometry)
            confidence.append(detection.confidence)
            right.append(np.abs(_depths(detection, frame.geometry) - frame.truthAt(detection.lines)) < 0.5)
    confidence, right = np.concatenate(confidence), np.concatenate(right)
    assert confidence.min() > 0.0 and confidence.max() <= 1.0
    low, high = np.quantile(confidence, [0.25, 0.75])
    assert right[confidence >= high].mean() > right[confidence <= low].mean() + 0.1


def test_cleanStepIsFoundToAFractionOfAPixel():
    """A noiseless bright band at a known depth with darkness behind, on grey tissue."""
    geometry = linearGeometry(400, 400, (0.1, 0.125))
    depth = (np.arange(400) + 0.0) * 0.125
    image = np.full((400, 400), 90.0)
    columns = np.arange(400) * 0.1
    surface = 22.0 + 0.15 * (columns - 20.0)
    inside = (columns > 10.0) & (columns < 30.0)
    distance = depth[:, None] - surface[None, :]
    band = 250.0 * np.exp(-0.5 * (distance / 0.4) ** 2)
    image = np.where(inside[None, :] & (distance > 0.0), 8.0, image)
    image = np.where(inside[None, :], np.maximum(image, band), image)
    image += np.random.default_rng(0).normal(0, 3.0, image.shape)
    detection = detectBoneSurface(np.clip(image, 0, 255).astype(np.uint8), geometry)
    found = detection.pixels * geometry.pixelMm
    core = (found[:, 0] > 11.5) & (found[:, 0] < 28.5)
    assert core.sum() > 0.9 * 17.0 / geometry.linePitchMm()
    error = found[core, 1] - (22.0 + 0.15 * (found[core, 0] - 20.0))
    assert error.std() < 0.12
    assert abs(error.mean()) < 0.4  # the measured place is the echo's centre less a constant for real pulses
    assert np.all((found[:, 0] > 9.0) & (found[:, 0] < 31.0))


def test_blackAndWhiteImagesHoldNoBone():
    geometry = linearGeometry(320, 240, (0.2, 0.2))
    for value in (0, 128, 255):
        assert len(detectBoneSurface(np.full((240, 320), value, np.uint8), geometry)) == 0


def test_brightnessScaleDoesNotMatter(frames):
    frame = frames[False][0]
    bright = detectBoneSurface(frame.image, frame.geometry)
    dim = detectBoneSurface(frame.image.astype(float) * 0.5, frame.geometry)
    assert np.array_equal(bright.lines, dim.lines)
    assert np.allclose(bright.pixels, dim.pixels, atol=1e-3)


def test_mirroredImageGivesMirroredBone(frames):
    frame = frames[False][1]
    straight = detectBoneSurface(frame.image, frame.geometry)
    mirrored = detectBoneSurface(frame.image[:, ::-1], frame.geometry)
    count = frame.geometry.lineCount
    depthOf = dict(zip(straight.lines.tolist(), _depths(straight, frame.geometry)))
    common = [
        (depthOf[count - 1 - line], depth)
        for line, depth in zip(mirrored.lines.tolist(), _depths(mirrored, frame.geometry))
        if count - 1 - line in depthOf
    ]
    assert len(common) > 0.8 * len(straight)
    assert np.median([abs(a - b) for a, b in common]) < 0.15


@pytest.mark.parametrize("seed", range(6))
def test_pathIsTheBestOfAll(seed):
    """Dynamic programming against trying every path of a small image."""
    from FusionRegistrationLib.BoneSurfaceUltrasound import _bestPath

    chosen = dataclasses.replace(BoneDetectionParameters(), boneScore=0.3, jumpCost=0.1, largestJump=2, switchCost=0.25)
    score = np.random.default_rng(seed).random((4, 6)).astype(np.float32) ** 2

    def value(path):
        total = 0.0
        for line, sample in enumerate(path):
            before = path[line - 1] if line else -1
            if sample >= 0:
                total += score[sample, line] - 0.3
            if sample >= 0 and before < 0:
                total -= 0.25
            if line and sample < 0 <= before:
                total -= 0.25
            if sample >= 0 and before >= 0:
                if abs(sample - before) > 2:
                    return -np.inf
                total -= 0.1 * abs(sample - before)
        return total

    best = max(itertools.product(range(-1, 4), repeat=6), key=value)
    found = tuple(int(sample) for sample in _bestPath(score, chosen))
    assert value(found) == pytest.approx(value(best), abs=1e-5)


def test_wrongImageSizeIsNamed():
    with pytest.raises(ValueError, match="probe geometry"):
        detectBoneSurface(np.zeros((100, 100)), linearGeometry(200, 100, (0.3, 0.3)))


def test_higherThresholdFindsLess(frames):
    frame = frames[True][2]
    normal = detectBoneSurface(frame.image, frame.geometry)
    strict = detectBoneSurface(frame.image, frame.geometry, dataclasses.replace(BoneDetectionParameters(), boneScore=0.6))
    assert len(strict) < len(normal)


def test_linearLinesRunDown():
    geometry = linearGeometry(500, 400, (0.1, 0.12), (50, 20, 449, 380))
    top, bottom = geometry.pixelsAt(0, 0.0), geometry.pixelsAt(0, geometry.sampleCount - 1)
    assert top[0] == bottom[0] and top[1] == pytest.approx(20.0)
    assert bottom[1] <= 380.5
    last = geometry.pixelsAt(geometry.lineCount - 1, 0.0)
    assert 50 < top[0] < 54 and 445 < last[0] < 449


def test_curvedLinesMeetAtTheApex():
    geometry = curvilinearGeometry(640, 480, (0.25, 0.25), apexPixel=(319.5, -100.0), faceRadiusMm=50.0, depthMm=80.0, halfAngleDeg=30.0)
    for line in (0, geometry.lineCount // 2, geometry.lineCount - 1):
        a, b = geometry.pixelsAt(line, 0.0), geometry.pixelsAt(line, 100.0)
        apex = np.array([319.5, -100.0])
        assert np.linalg.norm((a - apex) * 0.25) == pytest.approx(50.0)
        direction, toA = (b - a) / np.linalg.norm(b - a), (a - apex) / np.linalg.norm(a - apex)
        assert direction @ toA == pytest.approx(1.0)
    angle = np.degrees(np.arctan2(*(geometry.pixelsAt(geometry.lineCount - 0.5, 0.0) - apex)))
    assert angle == pytest.approx(30.0, abs=0.01)


def test_calibrationGivesThePixelSize():
    calibration = np.eye(4)
    calibration[:3, :3] = np.diag([0.08, 0.09, 0.08])
    assert geometryFromCalibration(800, 600, calibration).pixelMm == pytest.approx((0.08, 0.09))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(4), "not calibrated"),
        (np.zeros((3, 3)), "no 4x4"),
        (np.diag([5.0, 5.0, 5.0, 1.0]), "no ultrasound image"),
        (np.array([[0.1, 0.08, 0, 0], [0, 0.06, 0, 0], [0, 0, 0.1, 0], [0, 0, 0, 1.0]]), "instead of 90"),
    ],
)
def test_uncalibratedProbeIsNamed(matrix, message):
    with pytest.raises(ValueError, match=message):
        checkCalibration(matrix)


def test_badGeometryIsNamed():
    with pytest.raises(ValueError, match="too small"):
        linearGeometry(4, 4, (0.1, 0.1))
    with pytest.raises(ValueError, match="implausible"):
        linearGeometry(400, 400, (0.0, 0.1))
    with pytest.raises(ValueError, match="region"):
        linearGeometry(400, 400, (0.1, 0.1), (0, 0, 20, 20))
    with pytest.raises(ValueError, match="curved array"):
        curvilinearGeometry(400, 400, (0.1, 0.1), apexPixel=(200, 0), faceRadiusMm=0.0, depthMm=50.0, halfAngleDeg=30.0)
