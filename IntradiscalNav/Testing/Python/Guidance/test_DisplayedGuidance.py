"""What may be shown: numbers of live tools only, blank and explained otherwise."""

import itertools

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import rigidFrom
from IntradiscalNavLib.Guidance.DisplayedGuidance import (
    BLANK,
    NEEDLE,
    PROBE,
    REFERENCE,
    GuidanceNumber,
    ToolLiveness,
    displayGuidance,
    millimetres,
)
from IntradiscalNavLib.Guidance.Guidance import computeGuidance
from IntradiscalNavLib.Guidance.ImagePlane import imagePlane
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.ProximityAlert import AlertLevel, ProximityAlert
from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure, StructureSet
from IntradiscalNavLib.Guidance.StructureDistance import distanceFromFunction
from IntradiscalNavLib.Guidance.TipUncertainty import RegistrationCovariance, TipErrorModel

PATH = pathFrame([0, -80, 0], [0, 0, 0])
WALL = distanceFromFunction("aorta", lambda p: p[:, 0] - 3.0, [[-60, 60], [-260, 60], [-60, 60]], 2.0)
MODEL = TipErrorModel(registration=RegistrationCovariance(np.diag([1e-6] * 3 + [0.04] * 3), np.zeros(3)))


def guidance(model=MODEL):
    pose = rigidFrom(PATH.pathToRas[:3, :3], [6.36, -30, 0])
    plane = imagePlane(np.array([[0.1, 0, 0, -30], [0, 0.1, 0, -60], [0, 0, 0.1, 2.5], [0, 0, 0, 1]]), 640, 480)
    return computeGuidance(pose, PATH, plane=plane, structures=StructureSet([RiskStructure(WALL, 2.0)]), errorModel=model)


def shown(needle=True, probe=True, reference=True, model=MODEL, **more):
    result = guidance(model)
    tools = {
        role: ToolLiveness(live, "OK" if live else "STALE", "" if live else "no pose for 2.0 s")
        for role, live in ((NEEDLE, needle), (PROBE, probe), (REFERENCE, reference))
    }
    return displayGuidance(
        result, tools, timeSec=5.0, needleName="Disc", targetName="L4-L5", alert=ProximityAlert().update(result.clearances), **more
    )


def test_texts():
    displayed = shown()
    assert displayed.live
    assert displayed.text(GuidanceNumber.DEPTH_LEFT) == "30.0 mm"
    assert displayed.text(GuidanceNumber.LATERAL) == "6.4 mm"
    assert displayed.text(GuidanceNumber.SHAFT_ANGLE) == "0.0°"
    assert displayed.text(GuidanceNumber.OUT_OF_PLANE) == "−2.5 mm"
    assert displayed.text(GuidanceNumber.CLEARANCE) == "3.0 mm"
    assert displayed.numbers[GuidanceNumber.CLEARANCE].label == "aorta"
    assert displayed.numbers[GuidanceNumber.CLEARANCE].level is AlertLevel.NEAR
    assert displayed.notLive == {}


@pytest.mark.parametrize(("needle", "probe", "reference"), list(itertools.product([True, False], repeat=3)))
def test_aNumberIsShownOnlyWhileEveryToolItNeedsIsLive(needle, probe, reference):
    displayed = shown(needle, probe, reference)
    needleLive = needle and reference
    for number, item in displayed.numbers.items():
        expected = needleLive and probe if number is GuidanceNumber.OUT_OF_PLANE else needleLive
        assert item.live == expected, number
        assert (item.text == BLANK) == (not expected), number
        assert not any(character.isdigit() for character in item.text) or expected, (
            f"{number}: a digit is on the screen for a tool that isn't live"
        )
    assert displayed.live == needleLive
    assert (displayed.guidance is None) == (not needleLive), "nobody may reach past the blanking"
    assert set(displayed.notLive) == {role for role, live in ((NEEDLE, needle), (PROBE, probe), (REFERENCE, reference)) if not live}
    if not needleLive:
        assert displayed.alert.sound is None
        assert displayed.alert.level is AlertLevel.UNKNOWN


def test_withoutAPatientSensorTheNeedleStillCounts():
    result = guidance()
    displayed = displayGuidance(result, {NEEDLE: ToolLiveness(True)}, timeSec=0.0)
    assert displayed.live
    assert PROBE in displayed.notLive
    assert displayed.text(GuidanceNumber.OUT_OF_PLANE) == BLANK


def test_aSuspectToolKeepsItsNumbersAndShowsTheDoubt():
    result = guidance()
    tools = {NEEDLE: ToolLiveness(True, "SUSPECT", "the pose has not changed by a digit for 2.0 s"), PROBE: ToolLiveness(True)}
    displayed = displayGuidance(result, tools, timeSec=0.0, warnings=("x",))
    assert displayed.live
    assert displayed.text(GuidanceNumber.DEPTH_LEFT) == "30.0 mm"
    assert displayed.warnings == ("NEEDLE SUSPECT: the pose has not changed by a digit for 2.0 s", "x")


def test_noNeedleStatusAtAllIsNotLive():
    assert not displayGuidance(guidance(), {}, timeSec=0.0).live


def test_uncertaintyIsNeverSilentlyComplete():
    complete = shown().numbers[GuidanceNumber.UNCERTAINTY]
    assert complete.text.startswith("± ")
    withoutRegistration = shown(model=TipErrorModel()).numbers[GuidanceNumber.UNCERTAINTY]
    assert withoutRegistration.text.startswith("> "), "without the registration's share it is only a lower bound"
    assert withoutRegistration.level is AlertLevel.NEAR
    assert shown(model=None).text(GuidanceNumber.UNCERTAINTY) == "unknown"
    assert shown(uncertaintyWarningMm=0.1).numbers[GuidanceNumber.UNCERTAINTY].level is AlertLevel.NEAR


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (3.14, False, "3.1 mm"),
        (-0.04, False, "0.0 mm"),
        (-2.55, True, "−2.5 mm"),
        (2.0, True, "+2.0 mm"),
        (99.97, False, "100 mm"),
        (0.0, True, "0.0 mm"),
    ],
)
def test_millimetres(value, signed, text):
    assert millimetres(value, signed) == text
