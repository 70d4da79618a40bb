"""Gas volumes against volumes known by construction."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from IntradiscalNavLib.Recording.DiscGas import measureDiscGas

SPACING = (1.25, 0.8, 0.8)
VOXEL = float(np.prod(SPACING))


def discVolume(gasRadiusMm=0.0, leakRadiusMm=0.0, seed=0):
    k, j, i = np.mgrid[:40, :80, :80]
    z, y, x = (k - 20) * SPACING[0], (j - 40) * SPACING[1], (i - 40) * SPACING[2]
    disc = (abs(z) < 5) & ((x / 22) ** 2 + (y / 16) ** 2 < 1)
    hu = np.where(disc, 80.0, 40.0)

    def ball(cx, cy, cz, r):  # anti-aliased: share of the voxel inside
        fine = np.clip((r - np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)) / 0.9 + 0.5, 0, 1)
        return fine

    for center, radius in (((3, 2, 0), gasRadiusMm), ((0, 24, 0), leakRadiusMm)):
        if radius:
            share = ball(*center, radius)
            hu = hu * (1 - share) - 1000 * share
    hu = gaussian_filter(hu, [0.3, 0.4, 0.4]) + np.random.default_rng(seed).normal(0, 15, hu.shape)
    return hu.astype(np.int16), disc


@pytest.mark.parametrize("radius", [2.5, 4.0])
def test_gasVolumeIsRight(radius):
    voxels, disc = discVolume(radius)
    gas = measureDiscGas(voxels, disc, VOXEL, SPACING)
    assert gas.inDiscMl == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.12)
    assert gas.regionCount == 1
    assert gas.leakMl == 0.0
    assert gas.shareOfDisc == pytest.approx(gas.inDiscMl / gas.discMl)


def test_leakIsOutsideTheDisc():
    voxels, disc = discVolume(3.0, 3.0)
    gas = measureDiscGas(voxels, disc, VOXEL, SPACING)
    assert gas.leakMl == pytest.approx(4 / 3 * np.pi * 27 / 1000, rel=0.15)
    bowel = np.zeros_like(disc)
    bowel[:, 60:, :] = True
    assert measureDiscGas(voxels, disc, VOXEL, SPACING, bowel).leakMl == 0.0


def test_noGasIsZero():
    voxels, disc = discVolume()
    gas = measureDiscGas(voxels, disc, VOXEL, SPACING)
    assert (gas.inDiscMl, gas.leakMl, gas.regionCount) == (0.0, 0.0, 0)


def test_badInputIsNamed():
    voxels, disc = discVolume()
    with pytest.raises(ValueError, match="empty"):
        measureDiscGas(voxels, np.zeros_like(disc), VOXEL, SPACING)
    with pytest.raises(ValueError, match="grids"):
        measureDiscGas(voxels, disc[1:], VOXEL, SPACING)
