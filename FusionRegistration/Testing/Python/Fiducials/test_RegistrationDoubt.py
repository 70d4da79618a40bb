"""Doubt: quiet breathing raises none; knocks, drift, deep breathing, distortion and loss do, and it stays until confirmed."""

import json

import numpy as np
import pytest

from FusionRegistrationLib.RegistrationDoubt import DoubtCause, RegistrationDoubt
from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector

RATE = 20.0


def breathing(time, peakToPeakMm=6.0, periodSec=4.0):
    phase = 2 * np.pi * time / periodSec
    return np.array([0.0, 0.5 * peakToPeakMm * np.sin(phase), 0.1 * peakToPeakMm * np.sin(phase)])


def pose(time, random, offset=(0, 0, 0), turnDeg=0.0, peakToPeakMm=6.0):
    place = np.array([100.0, -40.0, 250.0]) + breathing(time, peakToPeakMm) + np.asarray(offset, float) + 0.15 * random.normal(size=3)
    return rigidFrom(rotationFromVector(np.radians(turnDeg) * np.array([0, 0, 1.0]) + 0.001 * random.normal(size=3)), place)


def run(doubt, duration, start=0.0, seed=0, rate=RATE, **options):
    random = np.random.default_rng(seed)
    found = []
    for time in np.arange(start, start + duration, 1 / rate):
        found += doubt.addReference(time, pose(time, random, **options))
    return found, start + duration


@pytest.mark.parametrize("peakToPeakMm", [0.0, 6.0, 10.0])
@pytest.mark.parametrize("rate", [10.0, 20.0, 40.0])
def test_quietBreathingIsNoDoubt(peakToPeakMm, rate):
    doubt = RegistrationDoubt()
    doubt.start()
    run(doubt, 60.0, peakToPeakMm=peakToPeakMm, rate=rate)
    assert not doubt.doubtful, doubt.messages


@pytest.mark.parametrize(("offset", "turn"), [((7, 0, 0), 0), ((0, 0, -9), 0), ((0.5, 0, 0), 4.0)])
def test_aKnockIsNoticedWithinHalfASecond(offset, turn):
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 20.0)
    found, _ = run(doubt, 2.0, start=now, offset=offset, turnDeg=turn)
    assert found[0].cause is DoubtCause.JUMP
    assert found[0].timeSec - now < 0.5
    assert "knocked" in doubt.messages[0]


def test_singleStrayPosesAreNoKnock():
    doubt = RegistrationDoubt()
    doubt.start()
    random = np.random.default_rng(1)
    for n, time in enumerate(np.arange(0, 30, 1 / RATE)):
        doubt.addReference(time, pose(time, random, offset=(25, 0, 0) if n % 40 == 39 else (0, 0, 0)))
    assert not doubt.doubtful, doubt.messages


def test_slowDriftIsNoticed():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 15.0)
    random = np.random.default_rng(2)
    for time in np.arange(now, now + 60, 1 / RATE):
        doubt.addReference(time, pose(time, random, offset=(0.2 * (time - now), 0, 0)))
    assert [r.cause for r in doubt.reasons] == [DoubtCause.DRIFT]


def test_deepBreathingIsNoticed():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 10.0, peakToPeakMm=5.0)
    random = np.random.default_rng(3)
    for time in np.arange(now, now + 20, 1 / RATE):
        place = pose(time, random, peakToPeakMm=0.0)
        place[:3, 3] += breathing(time, 25.0, periodSec=12.0)
        doubt.addReference(time, place)
    assert DoubtCause.BREATHING in {r.cause for r in doubt.reasons}


def companion(reference, random, stretchMm=0.0):
    relative = rigidFrom(np.eye(3), [60.0 + stretchMm, 10.0, 0.0])
    relative[:3, 3] += 0.15 * random.normal(size=3)
    return reference @ relative


def test_distortionIsNoticedByTheSecondSensor():
    doubt = RegistrationDoubt()
    doubt.start()
    random = np.random.default_rng(4)
    for time in np.arange(0, 20, 1 / RATE):
        reference = pose(time, random)
        doubt.addReference(time, reference)
        doubt.addCompanion(time, "plate", companion(reference, random))
    assert not doubt.doubtful
    for time in np.arange(20, 30, 1 / RATE):
        reference = pose(time, random)
        doubt.addReference(time, reference)
        doubt.addCompanion(time, "plate", companion(reference, random, 2.0))
    assert [r.cause for r in doubt.reasons] == [DoubtCause.DISTORTION]
    assert "plate" in doubt.messages[0] and doubt.reasons[0].amount > 1.0


def test_itStaysUntilConfirmed():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 15.0)
    _, now = run(doubt, 30.0, start=now, offset=(12, 0, 0))
    assert doubt.doubtful
    doubt.confirm(now, "touched the spinous process of L4: 1.1 mm")
    assert not doubt.doubtful
    assert doubt.confirmations == [(now, "touched the spinous process of L4: 1.1 mm")]
    _, now = run(doubt, 30.0, start=now, offset=(12, 0, 0))
    assert not doubt.doubtful  # the new place is the baseline
    run(doubt, 2.0, start=now)
    assert doubt.doubtful


def test_lossAndReturnElsewhere():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 15.0)
    for time in np.arange(now, now + 5, 1 / RATE):
        doubt.addReference(time, np.eye(4), valid=False)
    _, later = run(doubt, 10.0, start=now + 5)
    assert not doubt.doubtful  # a short loss, back at the same place
    for time in np.arange(later, later + 5, 1 / RATE):
        doubt.addReference(time, np.eye(4), valid=False)
    run(doubt, 1.0, start=later + 5, offset=(20, 0, 0))
    assert doubt.reasons[0].cause is DoubtCause.JUMP


def test_longLossIsTold():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 15.0)
    for time in np.arange(now, now + 15, 1 / RATE):
        doubt.addReference(time, np.eye(4), valid=False)
    assert [r.cause for r in doubt.reasons] == [DoubtCause.NOT_TRACKED]


def test_invalidPosesNeverCount():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 15.0)
    broken = rigidFrom(np.eye(3), [900, 900, 900])
    for time in np.arange(now, now + 3, 1 / RATE):
        doubt.addReference(time, broken, valid=False)
        doubt.addReference(time, broken * np.nan)
    assert not doubt.doubtful and doubt.rejectedPoses == 120


def test_stateIsStoredAndReopened():
    doubt = RegistrationDoubt()
    doubt.start()
    _, now = run(doubt, 15.0)
    run(doubt, 2.0, start=now, offset=(9, 0, 0))
    back = RegistrationDoubt.fromDict(json.loads(json.dumps(doubt.toDict())))
    assert back.reasons == doubt.reasons and back.doubtful and back.limits == doubt.limits
    with pytest.raises(ValueError):
        RegistrationDoubt.fromDict({})
