"""The needle in the last CT, found in volumes where its place is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from IntradiscalNavLib.Recording.NeedleInCt import findNeedleInCt
from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomCheckScan import makeCheckScan
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

SPACING = np.array([0.8, 0.8, 1.25])
IJK_TO_RAS = np.array([[-0.8, 0, 0, 60.0], [0, -0.8, 0, 60.0], [0, 0, 1.25, -60.0], [0, 0, 0, 1]])


def ctWithNeedle(tip, direction, bendMm=0.0, lengthInside=70.0, seed=0, needle=True, streaks=False):
    """Soft tissue with a bone block beside the path; the needle is painted as a 0.72 mm steel line by its partial volume."""
    rng = np.random.default_rng(seed)
    shape = np.array([97, 150, 150])
    fine = np.full(shape, 40.0)
    direction = direction / np.linalg.norm(direction)
    side = np.cross(direction, [0, 0, 1.0])
    side /= np.linalg.norm(side)
    if needle:
        s = np.arange(0.0, lengthInside, 0.05)
        points = tip - s[:, None] * direction + (bendMm * (s / lengthInside) ** 2)[:, None] * side
        ijk = (points - IJK_TO_RAS[:3, 3]) @ np.linalg.inv(IJK_TO_RAS[:3, :3]).T
        volumeShare = np.zeros(shape)
        base = np.floor(ijk).astype(int)
        part = ijk - base
        for corner in np.ndindex(2, 2, 2):
            weight = np.prod(np.where(np.array(corner), part, 1 - part), axis=1)
            index = base + np.array(corner)
            np.add.at(volumeShare, (index[:, 2], index[:, 1], index[:, 0]), weight * 0.05 * np.pi * 0.36**2 / SPACING.prod())
        fine += gaussian_filter(volumeShare, 0.45) * 12000.0
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    bone = (abs(i - 55) < 14) & (abs(j - 75) < 10) & (abs(k - 48) < 12)
    fine[bone] = 500.0 + rng.normal(0, 120, bone.sum())
    if streaks:
        fine += 60 * np.sin(0.3 * (i + 2 * j) + 0 * k)
    return np.clip(fine + rng.normal(0, 20, shape), -1024, 3071).astype(np.int16)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bendMm", [0.0, 4.0])
def test_needleIsFoundWhereItWasPut(seed, bendMm):
    rng = np.random.default_rng(seed)
    direction = np.array([0.65, 0.72, 0.1 * rng.normal()])
    direction /= np.linalg.norm(direction)
    tip = np.array([12.0, 18.0, 3.0]) + rng.uniform(-2, 2, 3)
    voxels = ctWithNeedle(tip, direction, bendMm, seed=seed, streaks=True)
    offset = rng.normal(0, 2.0, 3)
    found = findNeedleInCt(voxels, IJK_TO_RAS, tip + offset, direction)
    assert np.linalg.norm(found.tipRas - tip) < 0.8
    assert found.tipErrorMm == pytest.approx(np.linalg.norm(offset), abs=0.8)
    assert found.bendMm == pytest.approx(bendMm / 4, abs=0.4)  # a parabola's sagitta is a quarter of its end deflection
    assert found.angleDeg == pytest.approx(np.degrees(np.arctan(bendMm / 70)), abs=0.7)


def test_noNeedleIsSaidNotGuessed():
    voxels = ctWithNeedle(np.array([12.0, 18, 3]), np.array([0.65, 0.72, 0]), needle=False)
    with pytest.raises(LookupError, match="needle"):
        findNeedleInCt(voxels, IJK_TO_RAS, [12.0, 18, 3], [0.65, 0.72, 0])


def test_brightBoneAloneIsNoNeedle():
    voxels = ctWithNeedle(np.array([12.0, 18, 3]), np.array([0.65, 0.72, 0]), needle=False).astype(float)
    voxels[40:55, 60:90, 40:70] = 1100 + np.random.default_rng(1).normal(0, 150, voxels[40:55, 60:90, 40:70].shape)
    with pytest.raises(LookupError):
        findNeedleInCt(voxels.astype(np.int16), IJK_TO_RAS, [16.0, 0, 0], [0.65, 0.72, 0])


@pytest.mark.parametrize("gasRadiusMm", [5.0, 9.0])
def test_tipInsideInjectedGasIsFound(gasRadiusMm):
    """After the injection the tip stands in a bubble whose wall is brighter than its inside."""
    tip, direction = np.array([12.0, 18.0, 3.0]), np.array([0.65, 0.72, 0.05])
    direction /= np.linalg.norm(direction)
    withNeedle = ctWithNeedle(tip, direction, seed=4).astype(float)
    without = ctWithNeedle(tip, direction, needle=False, seed=4).astype(float)
    k, j, i = np.indices(withNeedle.shape)
    ras = np.stack([i, j, k], -1) @ IJK_TO_RAS[:3, :3].T + IJK_TO_RAS[:3, 3]
    bubble = np.linalg.norm(ras - (tip - 1.0 * direction), axis=-1) < gasRadiusMm
    voxels = withNeedle.copy()
    voxels[bubble] = -980.0 + 1.1 * (withNeedle - without)[bubble]
    found = findNeedleInCt(voxels.astype(np.int16), IJK_TO_RAS, tip + np.array([1.0, -0.5, 0.5]), direction)
    assert np.linalg.norm(found.tipRas - tip) < 1.5


@pytest.fixture(scope="module")
def phantom():
    return buildLumbarPhantom(PhantomParameters(seed=0))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("lateralDeg", "fromCenterRas"), [(54.0, (-4.0, 2.0, 0.0)), (52.0, (-2.0, 1.0, 0.0))])
def test_tipInTheGasOfAnInjectedDiscIsFound(phantom, lateralDeg, fromCenterRas, seed):
    """At the wall of the bubble tissue on one side hides the needle for several slices, while it goes on for 10 mm and more in the gas."""
    lateral, tilt = np.radians([lateralDeg, 5.0])
    direction = np.array([-np.sin(lateral) * np.cos(tilt), np.cos(lateral) * np.cos(tilt), -np.sin(tilt)])
    tip = phantom.truth.discs["L4-L5"].centerRas + fromCenterRas
    line = np.array([tip - 110.0 * direction, tip])
    gasOnly = makeCheckScan(phantom, gasLevel="L4-L5", gasVolumeMl=3.0, seed=seed)
    i, j, k = np.round(np.linalg.solve(phantom.ijkToRas, [*tip, 1.0])[:3]).astype(int)
    assert gasOnly.voxels[k, j, i] < -800, "the tip must stand in the gas"
    scan = makeCheckScan(phantom, needleRas=line, gasLevel="L4-L5", gasVolumeMl=3.0, seed=seed)
    found = findNeedleInCt(scan.voxels, phantom.ijkToRas, np.add(tip, [1.0, -0.5, 0.5]), direction)
    assert np.linalg.norm(found.tipRas - tip) < 2.0
