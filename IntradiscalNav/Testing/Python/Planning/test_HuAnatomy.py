"""Anatomy from Hounsfield units and two clicks."""

import numpy as np
import pytest

from IntradiscalNavLib.Planning.HuAnatomy import anatomyFromHu
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Planning.StructureNames import StructureKind


@pytest.fixture(scope="module")
def painted(tinySpine):
    return tinySpine.paint((2.0, 2.0, 2.0))


@pytest.fixture(scope="module")
def anatomy(painted):
    _, hu, affine = painted
    return anatomyFromHu(hu, affine, [2.0, 1.0, 24.0], [-1.0, -2.0, 14.0], "L4-L5", patientPosition="HFP")


def test_discAndMidlineAreFound(anatomy, tinySpine):
    disc = anatomy.disc("L4-L5")
    assert np.linalg.norm(disc.centerRas - tinySpine.discCenter("L4-L5")) < 2.5
    assert disc.heightMm == pytest.approx(10.0, abs=2.5)
    assert np.degrees(np.arccos(disc.axes.right[0])) < 2.0
    assert abs((np.array([0.0, 0.0, 19.0]) - disc.axes.originRas) @ disc.axes.right) < 1.5
    assert np.degrees(np.arccos(disc.discSuperior[2])) < 5.0


def test_rootsAreModelledAndTheUnseenIsSaid(anatomy):
    assert {n.side for n in anatomy.nerves if n.kind == "root"} == {"left", "right"}
    assert {StructureKind.VESSEL, StructureKind.KIDNEY, StructureKind.BOWEL} <= set(anatomy.unseen)
    assert any("Hounsfield units alone" in w for w in anatomy.warnings)
    with pytest.raises(ValueError, match="left facet joint of L4-L5 was not found"):
        anatomy.facet("L4-L5", "left")


def test_pathsAvoidTheBoneThatWasDrawn(anatomy, tinySpine):
    plan = planTrajectories(anatomy, "L4-L5", "left", PlanningParameters(minEntries=3000))
    assert plan.best
    for path in plan.best:
        points = path.entryRas + np.linspace(0, 1, 1200)[:, None] * (path.targetRas - path.entryRas)
        assert not np.isin(tinySpine.labelsAt(points), (1, 2, 3, 4, 5, 6)).any()


def test_bowelGasIsSeen(painted):
    _, hu, affine = painted
    k, j, i = np.meshgrid(*(np.arange(n) for n in hu.shape), indexing="ij")
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    hu = hu.copy()
    hu[np.linalg.norm(points - np.array([-70.0, -10.0, 20.0]), axis=-1) < 14] = -900
    found = anatomyFromHu(hu, affine, [0.0, 0.0, 24.0], [0.0, 0.0, 14.0], "L4-L5", patientPosition="HFP")
    gas = found.labelValues(StructureKind.BOWEL)[0]
    assert (found.labels == gas).sum() * 1.25**3 == pytest.approx(4 / 3 * np.pi * 14**3, rel=0.15)


def test_wrongClicksAreNamed(painted):
    _, hu, affine = painted
    with pytest.raises(ValueError, match="outside the CT"):
        anatomyFromHu(hu, affine, [0, 0, 500], [0, 0, 490], "L4-L5")
    with pytest.raises(ValueError, match="wrong way round"):
        anatomyFromHu(hu, affine, [0, 0, 14], [0, 0, 24], "L4-L5")
    with pytest.raises(ValueError, match="apart"):
        anatomyFromHu(hu, affine, [0, 0, 60], [0, 0, 14], "L4-L5")
    with pytest.raises(ValueError, match="both vertebrae"):
        anatomyFromHu(hu, affine, [0, 0, 24], [0, 0, 14], "L4")
    with pytest.raises(ValueError, match="No body"):
        anatomyFromHu(np.full_like(hu, -1000), affine, [0, 0, 24], [0, 0, 14], "L4-L5")
