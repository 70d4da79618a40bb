"""Dwells in a simulated stylus stream: found once each, averaged right, bad poses kept out; live collection with undo."""

import json

import numpy as np
import pytest

from FusionRegistrationLib.DwellDetection import DwellDetector, DwellParameters
from FusionRegistrationLib.LandmarkCollection import LandmarkCollection
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationFromVector

PLACES = np.array([[0, 0, 0], [80, 5, -3], [60, 70, 10], [-20, 55, 4.0]])


def stream(places, holdSec=2.0, travelSec=1.0, rate=40.0, noise=0.15, seed=0):
    """(time, position, index of the held place or None): the tip is held, then carried along an arc to the next place."""
    random = np.random.default_rng(seed)
    time = 0.0
    for index, place in enumerate(places):
        if index:
            for step in np.linspace(0, 1, int(travelSec * rate)):
                lift = np.array([0, 0, 30.0 * np.sin(np.pi * step)])
                yield time, places[index - 1] * (1 - step) + place * step + lift + noise * random.normal(size=3), None
                time += 1 / rate
        for _ in range(int(holdSec * rate)):
            yield time, place + noise * random.normal(size=3), index
            time += 1 / rate


def collect(samples, parameters=None, **options):
    detector = DwellDetector(parameters)
    dwells = [d for time, position, _ in samples if (d := detector.addSample(time, position, **options)) is not None]
    last = detector.flush()
    return [*dwells, last] if last is not None else dwells, detector


@pytest.mark.parametrize("rate", [10.0, 15.0, 40.0, 100.0])
def test_eachPlaceOnce(rate):
    dwells, _ = collect(stream(PLACES, rate=rate))
    assert len(dwells) == len(PLACES)
    for dwell, place in zip(dwells, PLACES):
        assert np.linalg.norm(dwell.position - place) < 0.25
        assert 0.15 < dwell.spreadMm < 0.45
        assert dwell.durationSec == pytest.approx(2.0, abs=0.4)


def test_meanErrorIsOfTheStatedSize():
    errors, stated = [], []
    for seed in range(60):
        dwells, _ = collect(stream(PLACES[:2], seed=seed, noise=0.5))
        errors += [np.linalg.norm(d.position - p) for d, p in zip(dwells, PLACES)]
        stated += [d.standardErrorMm for d in dwells]
    assert 0.5 < np.sqrt(np.mean(np.square(errors))) / np.sqrt(np.mean(np.square(stated))) < 2.0


def test_movingTipIsNoDwell():
    path = [(t, np.array([15.0 * t, 0, 0])) for t in np.arange(0, 8, 0.025)]
    detector = DwellDetector()
    assert all(detector.addSample(t, p) is None for t, p in path)
    assert detector.flush() is None


def test_shortTouchIsNoDwell():
    assert len(collect(stream(PLACES, holdSec=0.6))[0]) == 0


def test_trackerGlitchesDontEndOrBiasADwell():
    random = np.random.default_rng(1)
    samples = [(t, p + (random.normal(size=3) * 40 if random.random() < 0.04 else 0), i) for t, p, i in stream(PLACES, holdSec=3.0)]
    dwells, _ = collect(samples)
    assert len(dwells) == len(PLACES)
    for dwell, place in zip(dwells, PLACES):
        assert np.linalg.norm(dwell.position - place) < 0.25
    assert sum(d.excluded for d in dwells) > 0


def test_invalidPosesAreExcluded():
    """Invalid poses carry an old or absurd position: they must neither count nor move the mean."""
    detector = DwellDetector()
    dwells = []
    for n, (time, position, _) in enumerate(stream(PLACES)):
        valid = n % 3 != 0
        dwell = detector.addSample(time, position if valid else [999.0, 999, 999], valid=valid)
        dwells += [dwell] if dwell else []
    dwells.append(detector.flush())
    assert len(dwells) == len(PLACES)
    assert detector.rejectedCount > 100
    assert max(np.linalg.norm(d.position - p) for d, p in zip(dwells, PLACES)) < 0.25


def test_stalePosesNeverMakeADwell():
    """A tool out of view whose last pose is repeated under invalid status, or with the clock standing still."""
    detector = DwellDetector()
    for n in range(200):
        assert detector.addSample(n / 40, [1, 2, 3], valid=False) is None
    for _ in range(200):
        assert detector.addSample(10.0, [1, 2, 3]) is None
    assert detector.addSample(11.0, [np.nan, 0, 0]) is None
    assert detector.flush() is None


def test_aGapEndsTheDwell():
    detector = DwellDetector()
    for t in np.arange(0, 2, 0.025):
        detector.addSample(t, PLACES[0])
    assert detector.currentDwell is not None and detector.progress == 1.0
    ended = detector.addSample(5.0, PLACES[0])
    assert ended is not None and ended.endSec < 2.0


def test_oneTouchGivesOnePoint():
    """Small lifts and returns at the same place aren't new landmarks."""
    places = np.array([[0, 0, 0], [0, 0, 0.0], [90, 0, 0]])
    samples = [(t, p * [1, 1, 0.1], i) for t, p, i in stream(places)]
    assert len(collect(samples, DwellParameters(leaveMm=10.0))[0]) == 2


TIP = rigidFrom(rotationFromVector([0.1, 0.2, 0.3]), [150.0, 3.0, -5.0])


def drive(collection, places, referencePath=None, seed=0, start=0.0):
    """Hold the tip at places given in Reference while the reference itself moves in the tracker."""
    random = np.random.default_rng(seed)
    done = []
    time = start
    for time, position, _ in stream(np.asarray(places, float), seed=seed):
        reference = np.eye(4) if referencePath is None else referencePath(time)
        turn = rotationFromVector(0.4 * np.sin(3.0 * time) * np.array([1.0, 0.5, 0]) + 0.01 * random.normal(size=3))
        tipToReference = rigidFrom(turn, position)
        stylus = reference @ tipToReference @ invertRigid(TIP)
        name = collection.addPose(start + time, stylus, None if referencePath is None else reference, TIP)
        done += [name] if name else []
    name = collection.finish()
    return [*done, name] if name else done, start + time + 5.0


def test_collectionFollowsTheMovingPatient():
    collection = LandmarkCollection(["L1", "L2", "L3", "L4"])
    done, _ = drive(collection, PLACES, lambda t: rigidFrom(rotationFromVector([0, 0, 0.02 * t]), [10 * np.sin(t), 100, 5 * t]))
    assert done == ["L1", "L2", "L3", "L4"] and collection.complete
    names, positions = collection.positions()
    assert names == ("L1", "L2", "L3", "L4")
    assert np.linalg.norm(positions - PLACES, axis=1).max() < 0.3


def test_undoAndMeasureAgain():
    collection = LandmarkCollection(["L1", "L2", "L3", "L4"])
    _, end = drive(collection, PLACES)
    before = collection.measured
    collection.measureAgain("L2")
    assert collection.current == "L2"
    drive(collection, [PLACES[1] + [0, 5, 0]], seed=9, start=end)
    assert np.linalg.norm(np.array(collection.measured["L2"].position) - PLACES[1] - [0, 5, 0]) < 0.3
    assert collection.measured["L1"] == before["L1"]
    assert collection.undo() and collection.measured == before
    assert collection.undo() and collection.current is None
    for _ in range(4):
        assert collection.undo()
    assert collection.measured == {} and collection.current == "L1"
    assert not collection.undo()
    with pytest.raises(ValueError, match="L9"):
        collection.measureAgain("L9")


def test_invalidStylusOrReferenceIsExcluded():
    collection = LandmarkCollection(["L1"])
    for n in range(200):
        collection.addPose(n / 40, np.eye(4), np.eye(4), TIP, stylusValid=n % 2 == 0, referenceValid=n % 2 == 1)
    broken = np.eye(4)
    broken[0, 0] = -1
    for n in range(200, 400):
        collection.addPose(n / 40, broken, np.eye(4), TIP)
    assert collection.finish() is None and collection.measured == {}
    assert collection.rejectedPoses == 400


def test_collectionIsStoredAndReopened():
    collection = LandmarkCollection(["L1", "L2", "L3", "L4", "L5"])
    drive(collection, PLACES)
    back = LandmarkCollection.fromDict(json.loads(json.dumps(collection.toDict())))
    assert back.measured == collection.measured and back.current == "L5" and back.names == collection.names
    with pytest.raises(ValueError):
        LandmarkCollection.fromDict({"format": "x"})
    with pytest.raises(ValueError, match="different"):
        LandmarkCollection(["a", "a"])
