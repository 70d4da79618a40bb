"""One sensor for many needles: one action changes needle, tip calibration and target together."""

import numpy as np
import pytest

from IntradiscalNavLib.Guidance.ActiveNeedle import ActiveNeedle, NeedlePlan, identityTip
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame

NAMES = ["Disc", *[f"Facet {level} {side}" for level in ("L3-L4", "L4-L5", "L5-S1") for side in ("left", "right")]]


def plans():
    return [
        NeedlePlan(
            name, f"target of {name}", pathFrame([10 * i, -80, 0], [10 * i, 0, 0]), NeedleShape(150.0 if i == 0 else 90.0), identityTip()
        )
        for i, name in enumerate(NAMES)
    ]


def test_switchChangesNeedleAndTargetAndIsReported():
    needles, heard = ActiveNeedle(plans()), []
    needles.onSwitch(heard.append)
    assert needles.active is None
    first = needles.select("Disc", 10.0)
    assert needles.active.needle.lengthMm == 150.0
    second = needles.select("Facet L4-L5 left", 20.0)
    assert needles.active.targetName == "target of Facet L4-L5 left"
    assert needles.active.needle.lengthMm == 90.0
    assert heard == [first, second]
    assert (second.fromNeedle, second.toNeedle, second.timeSec) == ("Disc", "Facet L4-L5 left", 20.0)
    assert needles.select("Facet L4-L5 left", 21.0) is None
    assert len(heard) == 2


def test_nextGoesRoundAllSeven():
    needles = ActiveNeedle(plans())
    visited = [needles.selectNext(float(i)).toNeedle for i in range(8)]
    assert visited == [*NAMES, "Disc"]


def test_newPlanReplacesTheOldOne():
    needles = ActiveNeedle(plans())
    needles.select("Disc", 0.0)
    replanned = NeedlePlan("Disc", "L5-S1", pathFrame([0, -60, 0], [0, 5, 0]), NeedleShape(), identityTip())
    needles.add(replanned)
    assert needles.active is replanned
    assert len(needles.names) == 7


def test_errors():
    needles = ActiveNeedle(plans())
    with pytest.raises(ValueError, match="Facet L1-L2"):
        needles.select("Facet L1-L2", 0.0)
    with pytest.raises(ValueError, match="No needle"):
        ActiveNeedle().selectNext(0.0)
    with pytest.raises(ValueError, match="NeedleTipToNeedle of needle 'Bad'"):
        needles.add(NeedlePlan("Bad", "t", pathFrame([0, -60, 0], [0, 5, 0]), NeedleShape(), np.diag([2.0, 1, 1, 1])))
    with pytest.raises(ValueError, match="name"):
        needles.add(NeedlePlan("", "t", pathFrame([0, -60, 0], [0, 5, 0]), NeedleShape(), np.eye(4)))
