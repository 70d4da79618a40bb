"""Step Navigate: tools, smoothing, the patient's sensor, and the checks that go on during the procedure."""

import re
import time
import types

import numpy as np
import pytest
from StreamedProcedure import ENTRY


def test_toolsTableTellsStateRateReasonAndHistory(twoNeedles):
    p = twoNeedles
    p.start()
    for _ in range(25):
        p.turn(ENTRY)
        time.sleep(0.02)
    p.panel.update()
    rows = {row[0]: row for row in p.rows(p.ui.toolsTable)}
    assert set(rows) == {"Needle", "Reference"}
    recent = [arrival for arrival in p.arrivals if arrival > p.arrivals[-1] - 1.9]
    expectedHz = (len(recent) - 1) / (recent[-1] - recent[0])
    assert rows["Needle"][1] in ("OK", "SUSPECT")
    assert float(rows["Needle"][2].removesuffix(" Hz")) == pytest.approx(expectedHz, rel=0.15)
    time.sleep(0.6)
    p.turn(None)
    p.panel.update()
    rows = {row[0]: row for row in p.rows(p.ui.toolsTable)}
    assert rows["Needle"][1] == "STALE" and "nothing has arrived" in rows["Needle"][4]
    assert rows["Reference"][1] != "STALE"
    assert "→ STALE (nothing has arrived" in p.ui.toolsTable.item(0, 0).toolTip()


def test_smoothingStatesItsDelay(twoNeedles):
    """A needle that moves steadily is shown where it was that long ago, and the panel says how long."""
    p = twoNeedles
    p.start()
    assert p.logic.smoothingText() == ""
    p.ui.smoothingSpin.value = 0.2
    speed, tip = 20.0, ENTRY.copy()
    for _ in range(40):
        tip = tip + speed * 0.05 * np.array([0, 0, 1.0])
        state = p.turn(tip, stepSec=0.05)
    behind = tip[2] - state.needleTipToRas[2, 3]
    delaySec = p.logic.session.smoother.delaySec
    assert behind == pytest.approx(speed * delaySec, rel=0.02) and 0.15 < delaySec < 0.2
    stated = float(re.search(r"some (\d+) ms late", p.ui.warningLabel.text).group(1))
    assert stated == pytest.approx(1000 * delaySec, abs=6)
    p.ui.smoothingSpin.value = 0
    assert p.turn(tip).needleTipToRas[:3, 3] == pytest.approx(tip, abs=1e-5)
    assert "late" not in p.ui.warningLabel.text


def test_patientThatIsNotTrackedIsSaid(twoNeedles):
    """Registered to a sensor on the patient that isn't seen: the tracker must not stand in for it."""
    p = twoNeedles
    p.referenceIsSeen = False
    for _ in range(12):
        p.turn(ENTRY)
    p.panel.update()
    assert p.rows(p.ui.toolsTable)[0][:2] == ["Patient", "not tracked"]
    p.panel.update()
    state = p.start()
    assert state.displayed.guidance is None
    assert "Patient not tracked" in p.ui.warningLabel.text
    p.registration.patientTracked = False
    p.logic.workflow(p.node)
    p.turn(ENTRY)
    state = p.turn(ENTRY)
    assert state.displayed.guidance is not None, "the operator has said that there is no sensor"
    assert "any motion of the patient goes unnoticed" in p.ui.warningLabel.text


# --- checks


def test_checkAtAKnownPoint(twoNeedles):
    p = twoNeedles
    p.start()
    p.panel.update()
    assert not p.ui.checkPointButton.enabled and "known points" in p.ui.checkPointButton.toolTip
    p.registration.knownPoints = p.points("Known", [[25.0, -60.0, 10.0], [90.0, -60.0, 10.0]])
    p.registration.knownPoints.SetNthControlPointLabel(0, "marker 3")
    touched = np.array([25.0, -60.0, 11.2])
    p.turn(touched)
    p.logic.registration.setDoubt(p.registration, ["the reference was knocked"])
    assert p.logic.doubtReasons() == ("the reference was knocked",)
    p.panel.update()
    p.ui.checkPointButton.click()
    assert "1.2 mm" in p.ui.checkPointLabel.text and "marker 3" in p.ui.checkPointLabel.text
    assert p.logic.doubtReasons() == (), "a check that passes ends the doubt"
    event = p.logged("registration")[-1]
    assert event.values["errorMm"] == pytest.approx(1.2, abs=0.01) and event.values["tool"] == "Needle"
    p.turn(touched + np.array([0, 0, 5.0]))
    p.ui.checkPointButton.click()
    assert "above the limit" in p.ui.checkPointLabel.text
    assert p.logged("warning")[-1].values["errorMm"] == pytest.approx(6.2, abs=0.01)


def test_newRegistrationDuringGuidanceCountsFromNow(twoNeedles):
    """Its transform, its errors at the tip, and no word of what was checked on the old one."""
    p = twoNeedles
    tip = np.array([30.0, -50.0, 4.0])
    state = p.start(tip)
    before = state.displayed.guidance
    p.registration.knownPoints = p.points("Known", [tip])
    p.logic.pointCheck.checkPoint(p.node)
    assert "within the limit" in p.logic.pointCheck.text
    shift, noise = np.array([0, 0, 7.0]), np.array([[0.4, 0, 0], [0, -0.4, 0], [-0.4, 0, 0.4], [0, 0.4, -0.4]])
    reference = p.slicer.util.arrayFromMarkupsControlPoints(p.registration.referencePoints)
    p.slicer.util.updateMarkupsControlPointsFromArray(p.registration.ctPoints, reference + shift + noise)
    p.registration.matching.anyOrder = False
    p.logic.registration.registerPoints(p.registration)
    p.turn(tip)
    after = p.turn(tip).displayed.guidance
    assert np.linalg.norm(after.tipRas - before.tipRas - shift) < 1.0
    assert after.uncertainty.radius95Mm > before.uncertainty.radius95Mm, "the errors of the new fit"
    assert p.logic.pointCheck.text == ""


def test_checkFarFromEveryKnownPointIsNoCheck(twoNeedles):
    p = twoNeedles
    p.registration.knownPoints = p.points("Known", [[25.0, -60.0, 10.0]])
    p.start()
    p.turn([25.0, -60.0, 60.0])
    with pytest.raises(ValueError, match="50 mm from the tip"):
        p.logic.pointCheck.checkPoint(p.node)
    assert p.logic.pointCheck.text == ""


def test_boneCheckSaysWhatItNeedsAndWhatItSees(twoNeedles):
    from IntradiscalNavPanel.NavigateRows import archText

    from IntradiscalNavLib.Guidance.ArchSuperimposition import ArchSuperimposition

    p = twoNeedles
    assert archText(None, None) == ""
    p.start()
    assert "show the bone of the CT" in p.ui.archLabel.text or "show the bone of the CT" in archText(None, p.logic.state)
    arch = ArchSuperimposition(lambda points: points[:, 1] + 70.0)
    seen = np.column_stack([np.linspace(-20, 20, 100), np.full(100, -68.8), np.zeros(100)])
    checks = types.SimpleNamespace(arch=arch, archCheck=arch.add(seen, 10.0))
    state = types.SimpleNamespace(timeSec=10.4, frameLive=True)
    assert "coincide within 1.2 mm" in archText(checks, state)
    state.timeSec = 14.0
    assert "rest the probe" in archText(checks, state), "an old value is not shown as the present one"
    state.frameLive = False
    assert "isn't live" in archText(checks, state)


def test_imageLagIsMeasuredFromAMotion(procedure):
    """Pictures of a flat echo that are stamped 80 ms late."""
    from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, TransformMessage

    p = procedure
    lagSec, rows = 0.080, np.arange(200)
    lag = p.logic.imageLag
    assert "Connect" in p.ui.imageLagButton.toolTip and not p.ui.imageLagButton.enabled
    lag.isMeasuring = True
    rng = np.random.default_rng(5)

    def depth(t):
        return 15.0 * np.sin(2 * np.pi * 0.6 * t)

    for tick in range(300):
        t = 1000.0 + tick / 30
        pose = np.eye(4)
        pose[:3, 3] = np.array([0, depth(t), 0]) + rng.normal(0, 0.05, 3)
        echo = 200 * np.exp(-(((rows - 100 - 2 * depth(t - lagSec)) / 4.0) ** 2))
        picture = np.clip(echo[:, None] + rng.normal(10, 5, (200, 16)), 0, 255).astype(np.uint8)[None]
        lag.add(
            [
                TransformMessage("ProbeToTracker", pose, timestampSec=t),
                ImageMessage("Image_Reference", picture, np.eye(4), timestampSec=t),
            ]
        )
    result = lag.finish()
    assert result.imageLagSec == pytest.approx(lagSec, abs=0.004)
    assert "LocalTimeOffsetSec" in lag.text and "-0.0" in lag.text
    with pytest.raises(ValueError, match="No pictures"):
        lag.finish()
