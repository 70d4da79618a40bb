"""The last CT of a simulated patient who has moved: motion, needle and gas against what was put there."""

import dataclasses

import numpy as np
import pytest

from IntradiscalNavLib.Recording.LastCtCheck import CtImage, checkLastCt
from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomCheckScan import makeCheckScan

LEVEL = "L4-L5"
MOVED_MM = np.array([3.0, -2.0, 5.0])


@pytest.fixture(scope="module")
def phantom():
    return cachedLumbarPhantom()


@pytest.fixture(scope="module")
def scan(phantom):
    """Needle from behind, its tip 4 mm to the left of the disc's centre; 3 mL of gas; the patient moved."""
    center = phantom.truth.discs[LEVEL].centerRas
    tip = center + np.array([-4.0, 0.0, 0.0])
    direction = np.array([-0.55, 0.83, 0.0]) / np.linalg.norm([-0.55, 0.83, 0.0])
    needle = tip - np.linspace(110, 0, 60)[:, None] * direction
    made = makeCheckScan(phantom, needleRas=needle, gasLevel=LEVEL, gasVolumeMl=3.0, seed=5)
    place = phantom.ijkToRas.copy()
    place[:3, 3] += MOVED_MM
    virtual = np.eye(4)
    virtual[:3, 2] = direction
    virtual[:3, 3] = tip + np.cross(direction, [0, 0, 1.0]) * 2.5
    return made, CtImage(made.voxels, place), virtual


def check(phantom, last, virtual, **changes):
    values = {name: value for value, name in phantom.labelNames.items()}
    arguments = {
        "labels": phantom.labels,
        "vertebrae": {name: values[name] for name in ("vertebrae_L4", "vertebrae_L5")},
        "bowel": [value for name, value in values.items() if name.startswith(("colon", "small_bowel"))],
        **changes,
    }
    planning = CtImage(phantom.voxels, phantom.ijkToRas)
    center = phantom.truth.discs[LEVEL].centerRas
    return checkLastCt(planning, last=last, discCenterRas=center, needleTipToRas=virtual, **arguments)


def test_motionNeedleAndGasAreFound(phantom, scan):
    made, last, virtual = scan
    found = check(phantom, last, virtual)
    assert found.registration.trusted and found.remarks == ()
    np.testing.assert_allclose(found.registration.lastToPlanning[:3, 3], -MOVED_MM, atol=0.5)
    assert found.patientMovedMm == pytest.approx(np.linalg.norm(MOVED_MM), abs=0.5)
    assert found.needle.tipErrorMm == pytest.approx(2.5, abs=1.0)
    assert found.gas.inDiscMl == pytest.approx(made.gasVolumeMl, rel=0.2)
    metrics = found.metrics()
    assert metrics["gasInDiscMl"] == pytest.approx(found.gas.inDiscMl, abs=1e-3) and metrics["registrationTrusted"] is True


def test_whatIsNotKnownIsSaid(phantom, scan):
    _made, last, _virtual = scan
    found = check(phantom, last, None)
    assert found.needle is None and "isn't known" in found.remarks[0]
    assert "tipErrorMm" not in found.metrics()


def test_badInputIsNamed(phantom, scan):
    _made, last, virtual = scan
    with pytest.raises(ValueError, match="two vertebrae"):
        check(phantom, last, virtual, vertebrae={"vertebrae_L4": 1})
    with pytest.raises(ValueError, match="different grids"):
        check(phantom, last, virtual, labels=phantom.labels[1:])
    away = dataclasses.replace(last, ijkToRas=last.ijkToRas + np.array([[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 900.0], [0, 0, 0, 0]]))
    with pytest.raises(ValueError):
        check(phantom, away, virtual)
