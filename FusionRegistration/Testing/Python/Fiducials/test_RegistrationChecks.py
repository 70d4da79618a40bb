"""Input checks name the mistake, verification measures the error, the verdict puts the error at the disc first."""

import json

import numpy as np
import pytest

from FusionRegistrationLib.PointInputChecks import CtRegion, checkPointLists
from FusionRegistrationLib.PointSetGeometry import PointSetError
from FusionRegistrationLib.RegistrationVerdict import DEFAULT_LIMIT_MM, VerdictLevel, judgeRegistration
from FusionRegistrationLib.RegistrationVerification import RegistrationVerification, verifyRegistration
from FusionRegistrationLib.RigidFit import fitRigid
from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector, transformPoints

POSE = rigidFrom(rotationFromVector([2.0, 0.3, -0.9]), [30.0, -60.0, 400.0])
MEASURED = np.array([[-60, -50, 0], [62, -41, 5], [55, 47, -6], [-48, 58, 3], [4, 9, 28], [20, -55, -14.0]])
RAS = transformPoints(POSE, MEASURED)
IJK_TO_RAS = np.array([[-0.8, 0, 0, 210], [0, -0.8, 0, 160], [0, 0, 1.25, 250], [0, 0, 0, 1.0]])
REGION = CtRegion((512, 512, 240), IJK_TO_RAS)


def codes(*arguments, **options):
    return [p.code for p in checkPointLists(*arguments, **options)]


def test_goodListsHaveNoProblems():
    noise = 0.7 * np.random.default_rng(0).normal(size=RAS.shape)
    assert not REGION.outside(RAS).any()
    assert checkPointLists(MEASURED, RAS + noise, ctRegion=REGION) == ()


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (MEASURED / 1000, RAS, "metres"),
        (MEASURED, RAS / 1000, "metres"),
        (MEASURED / 10, RAS, "centimetres"),
        (MEASURED * 1.3, RAS, "scale"),
        (MEASURED[[1, 0, 3, 2, 5, 4]], RAS, "order"),
        (MEASURED * [1, 1, -1], RAS, "mirrored"),
        (MEASURED[:2], RAS[:2], "tooFew"),
        (MEASURED[:5], RAS, "unequalNumbers"),
        (np.where(np.eye(6, 3) > 0, np.nan, MEASURED), RAS, "nan"),
        (MEASURED[[0, 1, 2, 3, 3]], RAS[[0, 1, 2, 3, 3]], "duplicate"),
        (np.outer(np.arange(6.0), [10, 5, 0]), np.outer(np.arange(6.0), [10, 5, 0]), "collinear"),
        (np.zeros((6, 3)), RAS, "zero"),
        ([["a", 1, 2]], RAS, "notNumbers"),
        ([[1, 2], [3, 4], [5, 6]], RAS[:3], "shape"),
    ],
)
def test_eachMistakeIsNamed(source, target, expected):
    problems = checkPointLists(source, target)
    assert expected in [p.code for p in problems]
    assert all(p.severe and len(p.message) > 20 for p in problems)


def test_lpsForRasIsNamed():
    """By the CT's place where it isn't centred in the scanner, else by the target; neither can be told by the fit."""
    back = RAS - RAS.mean(axis=0) + [20.0, -120.0, 400.0]
    aside = CtRegion((512, 512, 240), IJK_TO_RAS - [[0, 0, 0, 0], [0, 0, 0, 110], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert codes(MEASURED, back, ctRegion=aside, targetRas=[20, -60, 400]) == []
    assert codes(MEASURED, back * [-1, -1, 1], ctRegion=aside) == ["lpsForRas"]
    assert codes(MEASURED, back * [-1, -1, 1], ctRegion=REGION) == []
    assert codes(MEASURED, back * [-1, -1, 1], ctRegion=REGION, targetRas=[20, -60, 400]) == ["lpsForRas"]


def test_swappedListsAreNamed():
    region = CtRegion((512, 512, 240), IJK_TO_RAS)
    farAway = MEASURED + np.array([0, 0, -5000.0])
    assert "swapped" in codes(RAS, farAway, ctRegion=region)


def test_pointsOutsideTheCtAreNamed():
    shifted = RAS.copy()
    shifted[3] += [0, 0, 900.0]
    problems = checkPointLists(MEASURED, shifted, ctRegion=REGION, names=list("abcdef"), paired=False)
    assert problems[0].code == "outsideCt" and " d " in problems[0].message


def test_noisyButRightListsPass():
    """Millimetres of skin shift are no mistake of the list."""
    random = np.random.default_rng(1)
    for _ in range(30):
        assert codes(MEASURED, RAS + 2.0 * random.normal(size=RAS.shape), ctRegion=REGION) == []


def fit(noise, seed=2, **options):
    target = RAS + noise * np.random.default_rng(seed).normal(size=RAS.shape)
    return fitRigid(MEASURED, target, targets={"disc L4-L5": transformPoints(POSE, [0, 0, -80.0])}, **options)


def test_verdictPutsTheDiscFirst():
    good = judgeRegistration(fit(0.2))
    assert good.level is VerdictLevel.GOOD
    assert good.headline.startswith("Expected error at disc L4-L5")
    assert "FRE" in good.details[0] and "FRE" not in good.headline
    assert f"{fit(0.2).predictedTre['disc L4-L5'].p95Mm:.1f} mm in 95 %" in good.headline
    assert judgeRegistration(fit(2.5)).level is VerdictLevel.POOR
    middle = next(v for s in np.linspace(0.3, 2, 18) if (v := judgeRegistration(fit(s))).level is VerdictLevel.CAUTION)
    assert "may be exceeded" in middle.headline


def test_verdictNamesDoubtTrackingAndOutliers():
    doubted = judgeRegistration(fit(0.2), doubtReasons=("The reference was knocked.",))
    assert doubted.level is VerdictLevel.POOR and doubted.headline.startswith("The registration is doubtful")
    untracked = judgeRegistration(fit(0.2), patientTracked=False)
    assert untracked.level is VerdictLevel.CAUTION and "not tracked" in untracked.text
    target = RAS.copy() + 0.2 * np.random.default_rng(3).normal(size=RAS.shape)
    target[1] += 15
    outlier = judgeRegistration(fitRigid(MEASURED, target, names=list("abcdef"), targets={"disc": RAS[0]}))
    assert outlier.level in {VerdictLevel.CAUTION, VerdictLevel.POOR} and "b" in outlier.text
    assert judgeRegistration(fitRigid(MEASURED, RAS + 0.1)).level is VerdictLevel.UNKNOWN


def test_verificationMeasuresTheError():
    touched = MEASURED[:3] + np.array([[0.5, 0, 0], [0, -1.0, 0], [0, 0, 0]])
    check = verifyRegistration(POSE, touched, RAS[:3], names=["a", "b", "c"])
    assert np.allclose(check.errorsMm, [0.5, 1.0, 0.0])
    assert check.passed and check.worstName == "b" and check.limitMm == DEFAULT_LIMIT_MM == 2.0
    assert "Gueziri" in check.limitSource
    assert not verifyRegistration(POSE, touched, RAS[:3], limitMm=0.9, limitSource="own").passed
    assert not verifyRegistration(POSE, touched, RAS[:3], registrationPointsRas=RAS).independent


def test_verificationRefusesNonsense():
    with pytest.raises(PointSetError, match="touch"):
        verifyRegistration(POSE, np.empty((0, 3)), np.empty((0, 3)))
    with pytest.raises(ValueError, match="pass line"):
        verifyRegistration(POSE, MEASURED, RAS, limitMm=-1)
    with pytest.raises(ValueError, match="ReferenceToRas"):
        verifyRegistration(np.diag([2.0, 1, 1, 1]), MEASURED, RAS)


def test_verificationIsStoredAndReopened():
    check = verifyRegistration(POSE, MEASURED, RAS + 0.3)
    back = RegistrationVerification.fromDict(json.loads(json.dumps(check.toDict())))
    assert back.message == check.message and np.array_equal(back.errorVectorsRas, check.errorVectorsRas) and back.passed == check.passed
    with pytest.raises(ValueError):
        RegistrationVerification.fromDict({"format": "?"})
