"""The session on streamed nodes: right numbers through the whole chain, and never a number from what can't be used."""

import numpy as np
import pytest

from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import BLANK, NEEDLE, PROBE, REFERENCE, GuidanceNumber, ToolLiveness
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.ProximityAlert import AlertLevel
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.ViewUpdater import QUIET_TICK_SEC, ViewUpdater


def test_numbersThroughTheWholeChain(streamed):
    """NeedleTipToNeedle, NeedleToReference and a turned ReferenceToRas: distance to the target equals the product of the matrices."""
    reference = rigidFrom(rotationFromVector(np.array([0.4, -0.8, 2.0])), [30, -70, 15])
    needle = rigidFrom(rotationFromVector(np.array([-1.1, 0.3, 0.2])), [-20, 45, -30])
    tip = rigidFrom(rotationFromVector(np.array([0.0, 0.02, 0.0])), [0.4, -0.7, 148.0])
    streamed.setMatrix(streamed.registration, reference)
    streamed.setMatrix(streamed.needleNode, needle)
    streamed.session.needles.add(NeedlePlan("Disc", "L4-L5", streamed.path, NeedleShape(150.0), tip))
    state = streamed.session.update(1.0)
    expected = reference @ needle @ tip
    np.testing.assert_allclose(state.needleTipToRas, expected, atol=1e-9)
    guidance = state.displayed.guidance
    assert guidance.tipToTargetMm == pytest.approx(np.linalg.norm(expected[:3, 3] - streamed.path.targetRas), abs=1e-6)
    offPlane = (np.linalg.inv(reference @ rigidFrom(np.eye(3), [-60, -55, 6])) @ expected)[2, 3]
    assert guidance.outOfPlaneMm == pytest.approx(offPlane, abs=1e-6)
    assert state.frame.pixels.shape == (240, 320)


@pytest.mark.parametrize("bad", ["nan", "mirrored", "scaled"])
def test_badNeedlePoseIsNeverANumber(streamed, bad):
    good = streamed.session.update(1.0)
    assert good.needleLive
    matrix = rigidFrom(np.eye(3), [1, 2, 3])
    if bad == "nan":
        matrix[0, 3] = np.nan
    elif bad == "mirrored":
        matrix[1, 1] = -1
    else:
        matrix[:3, :3] *= 1.02
    streamed.setMatrix(streamed.needleNode, matrix)
    state = streamed.session.update(1.05)
    assert not state.needleLive
    assert state.displayed.guidance is None
    assert state.displayed.notLive[NEEDLE].state == "INVALID"
    assert all(item.text == BLANK for number, item in state.displayed.numbers.items())
    np.testing.assert_array_equal(state.needleTipToRas, good.needleTipToRas, "what is drawn grey is the last good place")


def test_lostToolsAndTheirWayBack(streamed):
    streamed.moveNeedle([20, 6, 0])
    streamed.session.update(1.0)
    streamed.session.takeEvents()
    streamed.statuses[NEEDLE] = ToolLiveness(False, "STALE", "no pose for 0.8 s")
    lost = streamed.session.update(1.1)
    assert lost.displayed.phase is GuidancePhase.UNKNOWN
    assert lost.displayed.alert.sound is None
    texts = [event.text for event in streamed.session.takeEvents()]
    assert "needle: OK -> STALE" in texts
    assert any(text.endswith("-> unknown") for text in texts)
    assert any("BREACH -> UNKNOWN" in text for text in texts)
    for step in range(40):
        streamed.session.update(1.2 + 0.05 * step)
    assert streamed.session.takeEvents() == (), "staying lost is not news at every tick"
    streamed.statuses[NEEDLE] = ToolLiveness(True)
    back = streamed.session.update(4.0)
    assert back.displayed.live
    assert back.displayed.alert.level is AlertLevel.BREACH
    assert any(event.text == "needle: STALE -> OK" for event in streamed.session.takeEvents())


def test_lostProbeTakesOnlyItsOwnNumber(streamed):
    streamed.statuses[PROBE] = ToolLiveness(False, "MISSING", "out of view")
    state = streamed.session.update(1.0)
    assert state.displayed.text(GuidanceNumber.OUT_OF_PLANE) == BLANK
    assert state.displayed.text(GuidanceNumber.TIP_TO_TARGET) == "30.0 mm"
    assert not state.frameLive


def test_lostReferenceTakesEverything(streamed):
    streamed.statuses[REFERENCE] = ToolLiveness(False, "STALE", "")
    state = streamed.session.update(1.0)
    assert state.displayed.guidance is None
    assert not state.needleLive
    assert not state.frameLive


@pytest.mark.parametrize("kind", ["color", "empty", "flat calibration", "no calibration", "16 bit"])
def test_imageThatCantBeUsed(streamed, kind):
    import slicer
    import vtk

    if kind == "color":
        image = vtk.vtkImageData()
        image.SetDimensions(32, 24, 1)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
        streamed.volume.SetAndObserveImageData(image)
    elif kind == "empty":
        streamed.volume.SetAndObserveImageData(None)
    elif kind == "16 bit":
        slicer.util.updateVolumeFromArray(streamed.volume, np.zeros((1, 24, 32), np.int16))
    elif kind == "no calibration":
        streamed.setMatrix(streamed.calibration, np.eye(4))
    else:
        streamed.setMatrix(streamed.calibration, np.diag([0.0, 0.1, 0.1, 1.0]))
    state = streamed.session.update(1.0)
    assert not state.frameLive
    assert state.displayed.text(GuidanceNumber.OUT_OF_PLANE) == BLANK
    assert state.displayed.live, "the needle's own numbers stand"
    if kind != "empty":
        assert state.displayed.notLive[PROBE].reason


def test_withoutARegistrationNoNumberIsShown(streamed):
    streamed.session.registered = False
    state = streamed.session.update(1.0)
    assert state.displayed.guidance is None
    assert all(item.text == BLANK for item in state.displayed.numbers.values())
    assert state.displayed.notLive[REFERENCE].state == "NOT REGISTERED"
    streamed.session.registered = True
    assert streamed.session.update(1.1).displayed.live


def test_withoutAPlanTheReasonIsShown(streamed):
    session = GuidanceSession(streamed.scene, [], needleTransform=streamed.needleNode, toolStatuses=lambda: streamed.statuses)
    state = session.update(1.0)
    assert state.displayed.guidance is None
    assert state.displayed.notLive[NEEDLE].state == "NO PLAN"
    assert state.plan is None
    session.needles.add(streamed.plan)
    session.selectNeedle("Disc", 1.1)
    assert session.update(1.1).displayed.live


def test_imageSizeChangesInMidStream(streamed):
    streamed.session.update(1.0)
    streamed.showImage(np.zeros((100, 50), np.uint8))
    state = streamed.session.update(1.1)
    assert state.frame.pixels.shape == (100, 50)
    assert state.frameLive


def test_switchingTheNeedleChangesTargetAndTipInOneAction(streamed):
    other = NeedlePlan(
        "Facet L4-L5 left", "facet", pathFrame([-40, -60, 0], [-20, -5, 2]), NeedleShape(90.0), rigidFrom(np.eye(3), [0, 0, -60.0])
    )
    streamed.session.needles.add(other)
    before = streamed.session.update(1.0)
    streamed.session.takeEvents()
    streamed.session.selectNeedle("Facet L4-L5 left", 1.05)
    after = streamed.session.update(1.05)
    assert after.displayed.needleName == "Facet L4-L5 left"
    assert after.displayed.targetName == "facet"
    expected = before.needleTipToRas @ other.needleTipToNeedle
    np.testing.assert_allclose(after.needleTipToRas, expected, atol=1e-9)
    assert after.displayed.guidance.tipToTargetMm == pytest.approx(np.linalg.norm(expected[:3, 3] - [-20, -5, 2]), abs=1e-9)
    assert streamed.session.takeEvents()[0].kind == "needle"


def test_warningsOfChecksStandBesideTheNumbers(streamed):
    streamed.session.warnings = ("The patient's reference jumped by 6.0 mm.",)
    assert streamed.session.update(1.0).displayed.warnings == streamed.session.warnings


def test_updaterCoalesces(streamed):
    """A thousand events between two ticks cost one computation, and silence is still noticed."""
    updater = ViewUpdater(streamed.session, maximumRateHz=30.0)
    updater.observe(streamed.needleNode, streamed.needleNode.TransformModifiedEvent)
    assert updater.tick(1.0) is not None
    for index in range(1000):
        streamed.moveNeedle([index * 0.01, 0, 0])
    assert updater.tick(1.005) is None, "too early"
    assert updater.tick(1.034) is not None
    assert updater.tick(1.068) is None, "nothing new"
    assert updater.ticks == 2
    assert updater.tick(1.035 + QUIET_TICK_SEC) is not None, "a lost tool must be noticed without any event"
    updater.close()
    streamed.moveNeedle([5, 0, 0])
    assert updater.tick(1.3) is None
    updater.markChanged()
    assert updater.tick(1.3) is not None
    assert 0 < max(updater.costSec) < 10.0
    with pytest.raises(ValueError, match="Hz"):
        ViewUpdater(streamed.session, maximumRateHz=0)
