"""Alert levels, hysteresis, mute and silence."""

import numpy as np
import pytest

from IntradiscalNavLib.Guidance.ProximityAlert import LEVEL_COLORS, AlertLevel, ProximityAlert
from IntradiscalNavLib.Guidance.StructureClearance import StructureClearance


def clearance(mm, limitMm=2.0, name="nerve root", bound=False):
    return StructureClearance(name, limitMm, mm, np.zeros(3), 0.0, bound, mm, bound, 0.5)


def levels(alert, values):
    return [alert.update([clearance(value)]).level for value in values]


def test_levelsFollowTheStructuresOwnLimit():
    alert = ProximityAlert(warningMm=3.0, hysteresisMm=0.5)
    assert levels(alert, [10, 4.9, 1.9]) == [AlertLevel.CLEAR, AlertLevel.NEAR, AlertLevel.BREACH]
    assert ProximityAlert().update([clearance(6.0, limitMm=8.0)]).level is AlertLevel.BREACH


def test_hysteresis():
    alert = ProximityAlert(warningMm=3.0, hysteresisMm=0.5)
    assert levels(alert, [1.9, 2.3, 2.6, 5.3, 5.6]) == [
        AlertLevel.BREACH,
        AlertLevel.BREACH,
        AlertLevel.NEAR,
        AlertLevel.NEAR,
        AlertLevel.CLEAR,
    ]
    noisy = ProximityAlert(hysteresisMm=0.5)
    changes = sum(len(noisy.update([clearance(2.0 + 0.2 * np.sin(i))]).changes) for i in range(200))
    assert changes <= 2


def test_worstStructureLeadsAndIsNamed():
    state = ProximityAlert().update([clearance(4.0, 2.0, "aorta"), clearance(3.9, 3.5, "kidney"), clearance(30, 2, "bowel")])
    assert state.level is AlertLevel.NEAR
    assert state.nearest.name == "kidney", "0.4 mm above its own limit is nearer than 2 mm above"
    assert state.color == LEVEL_COLORS[AlertLevel.NEAR]


def test_soundAndMute():
    alert = ProximityAlert()
    assert alert.update([clearance(20)]).sound is None
    near = alert.update([clearance(4)]).sound
    alert.mute()
    muted = alert.update([clearance(4)])
    assert muted.sound is None
    assert muted.muted
    breach = alert.update([clearance(1)])
    assert breach.sound is not None, "a mute must not hide what got worse"
    assert breach.sound.frequencyHz > near.frequencyHz
    assert not alert.isMuted
    alert.mute()
    assert alert.update([clearance(1)]).sound is None
    alert.unmute()
    assert alert.update([clearance(1)]).sound is not None


def test_notLiveIsSilentAndUnknown():
    alert = ProximityAlert()
    alert.update([clearance(1)])
    state = alert.update(None)
    assert state.level is AlertLevel.UNKNOWN
    assert state.sound is None
    assert state.structures == ()
    assert state.changes == (("nerve root", AlertLevel.BREACH, AlertLevel.UNKNOWN),)
    assert alert.update(None).changes == ()
    assert alert.update([clearance(1)]).level is AlertLevel.BREACH


def test_aLowerBoundCountsAsTheClearance():
    assert ProximityAlert().update([clearance(2.5, bound=True)]).level is AlertLevel.NEAR, "not known to be far is not clear"
    assert ProximityAlert().update([clearance(25.0, bound=True)]).level is AlertLevel.CLEAR


def test_colorsDifferInLightness():
    """Colour-blind-safe also means told apart without any hue (Rec. 709 luma)."""
    luma = [np.dot(LEVEL_COLORS[level], [0.2126, 0.7152, 0.0722]) for level in (AlertLevel.CLEAR, AlertLevel.NEAR, AlertLevel.BREACH)]
    assert min(abs(a - b) for i, a in enumerate(luma) for b in luma[i + 1 :]) > 0.15


def test_badDistancesAreRefused():
    with pytest.raises(ValueError, match="mm"):
        ProximityAlert(warningMm=-1)
