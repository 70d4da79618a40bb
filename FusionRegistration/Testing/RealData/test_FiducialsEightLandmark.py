"""The whole fiducial path on a real recording: stylus dwells, unordered matching, fit; PLUS's own answer is the reference."""

import pathlib
import re

import numpy as np
import pytest

from FusionRegistrationLib.LandmarkCollection import LandmarkCollection
from FusionRegistrationLib.PointInputChecks import checkPointLists
from FusionRegistrationLib.PointMatching import matchPoints
from FusionRegistrationLib.ProbeCalibration import readPlusTransform, readPlusXml
from FusionRegistrationLib.RegistrationVerification import verifyRegistration
from FusionRegistrationLib.RigidFit import fitRigid
from FusionRegistrationLib.RigidTransform import invertRigid, rotationAngleDeg

pytestmark = pytest.mark.realdata


def readFrames(path: pathlib.Path):
    """(time, reference pose, its status, stylus pose, its status) of each frame, read from the text header alone."""
    fields: dict[tuple[int, str], str] = {}
    for line in path.read_bytes().split(b"ElementDataFile")[0].decode("latin-1").splitlines():
        found = re.match(r"Seq_Frame(\d+)_(\w+) = (.*)", line)
        if found:
            fields[int(found[1]), found[2]] = found[3]
    for index in range(max(i for i, _ in fields) + 1):
        yield (
            float(fields[index, "Timestamp"]),
            np.array(fields[index, "ReferenceToTrackerTransform"].split(), float).reshape(4, 4),
            fields[index, "ReferenceToTrackerTransformStatus"] == "OK",
            np.array(fields[index, "StylusToTrackerTransform"].split(), float).reshape(4, 4),
            fields[index, "StylusToTrackerTransformStatus"] == "OK",
        )


@pytest.fixture(scope="module")
def recording(realData):
    folder = realData / "tracked" / "plus"
    config = folder / "PlusDeviceSet_fCal_Sim_RecordPhantomLandmarks.xml"
    landmarks = {e.get("Name"): np.array(e.get("Position").split(), float) for e in readPlusXml(config).iter("Landmark")}
    stylusTipToStylus, _ = readPlusTransform(config, "StylusTip", "Stylus")
    reference, _ = readPlusTransform(folder / "PhantomRegistrationLandmarkDetection.results.xml", "Phantom", "Reference")
    collection = LandmarkCollection([f"dwell {i + 1}" for i in range(12)])
    for time, referenceToTracker, referenceOk, stylusToTracker, stylusOk in readFrames(
        folder / "EightLandmarkPointsTrackedForPhantomRegistration.igs.mha"
    ):
        collection.addPose(time, stylusToTracker, referenceToTracker, stylusTipToStylus, stylusValid=stylusOk, referenceValid=referenceOk)
    collection.finish()
    return landmarks, collection, reference


def dwellsOnLandmarks(collection):
    """The recording starts and ends with the stylus resting in its holder: dwells 1 and 10 are no landmarks."""
    _, touched = collection.positions()
    assert len(touched) == 10
    return touched[1:9]


def test_theDwellsAreFound(recording):
    _, collection, _ = recording
    assert len(collection.measured) == 10
    for measurement in collection.measured.values():
        assert measurement.spreadMm < 1.2
        assert measurement.sampleCount > 30


def test_shuffledLandmarksRegisterAsPlusDid(recording):
    landmarks, collection, reference = recording
    _, touched = collection.positions()  # with the two dwells that are no landmarks
    phantom = np.array(list(landmarks.values()))
    random = np.random.default_rng(4)
    order = random.permutation(8)
    match = matchPoints(phantom[order], touched)
    assert match.found and len(match.pairs) == 8
    # the recording visits the landmarks in the order of the definition
    assert [order[a] for a, _ in match.pairs] == [b - 1 for _, b in match.pairs]
    assert match.spurious == (0, 9)
    pairs = np.array(match.pairs)
    fit = fitRigid(phantom[order][pairs[:, 0]], touched[pairs[:, 1]], targets={"phantom centre": reference[:3, 3]})
    assert fit.freMm == pytest.approx(0.27, abs=0.02)
    assert rotationAngleDeg(invertRigid(reference) @ fit.fromToTo) < 0.1
    center = np.append(phantom.mean(axis=0), 1.0)
    assert np.linalg.norm((fit.fromToTo @ center - reference @ center)[:3]) < 0.3
    assert not fit.outliers
    assert fit.predictedTre["phantom centre"].p95Mm < 0.6


def test_missingAndForeignPointsAreSortedOut(recording):
    landmarks, collection, _ = recording
    touched = dwellsOnLandmarks(collection)
    phantom = np.array(list(landmarks.values()))
    foreign = touched[:1] + np.array([[17.0, -23.0, 31.0]])
    match = matchPoints(phantom[[6, 1, 2, 0, 4, 7]], np.vstack([foreign, touched[[7, 0, 2, 3, 6, 1]]]))
    assert match.found
    truth = [6, 1, 2, 0, 4, 7]
    back = [None, 7, 0, 2, 3, 6, 1]
    assert [(truth[a], back[b]) for a, b in match.pairs] == [(6, 6), (1, 1), (2, 2), (0, 0), (7, 7)]
    assert 0 in match.spurious


def test_mirroredRecordingIsRefused(recording):
    landmarks, collection, _ = recording
    touched = dwellsOnLandmarks(collection)
    phantom = np.array(list(landmarks.values()))
    assert matchPoints(phantom * [1, -1, 1], touched).mirrored
    assert [p.code for p in checkPointLists(phantom * [1, -1, 1], touched)] == ["mirrored"]
    assert [p.code for p in checkPointLists(phantom / 1000.0, touched)] == ["metres"]
    assert [p.code for p in checkPointLists(phantom[[1, 0, 2, 3, 4, 5, 7, 6]], touched)] == ["order"]
    assert checkPointLists(phantom, touched) == ()


def test_verificationAtLandmarksLeftOut(recording):
    landmarks, collection, _ = recording
    touched = dwellsOnLandmarks(collection)
    phantom = np.array(list(landmarks.values()))
    fit = fitRigid(touched[:5], phantom[:5])
    check = verifyRegistration(fit.fromToTo, touched[5:], phantom[5:], registrationPointsRas=phantom[:5])
    assert check.independent
    assert check.passed and check.maxMm < 1.5
    bounds = [fit.targetErrorAt(p).p95Mm for p in phantom[5:]]
    assert (check.errorsMm < np.array(bounds) + 0.6).all()
