"""Groups of dense voxels beside SciPy's labels; the outer surface beside a plain search; backgrounds of many beside each alone."""

import numpy as np
import pytest
from scipy import ndimage

from FusionRegistrationLib.MarkerBackground import estimateBackgrounds
from FusionRegistrationLib.MarkerCandidates import groupVoxels
from FusionRegistrationLib.SimulatedMarkerCt import MarkerCtScene, SimulatedMarker, backSurfaceY, simulateMarkerCt
from FusionRegistrationLib.SkinBand import SURFACE_HU, findSkinBand, orientVolume


@pytest.mark.parametrize("seed", range(8))
def test_groupsAreThoseOfSciPy(seed):
    random = np.random.default_rng(seed)
    for _ in range(20):
        dense = random.random(random.integers(1, 24, 3)) < random.uniform(0.01, 0.4)
        indices = np.argwhere(dense)
        if not len(indices):
            continue
        random.shuffle(indices)
        expected = ndimage.label(dense, np.ones((3, 3, 3)))[0][tuple(indices.T)]
        pairs = set(zip(expected.tolist(), groupVoxels(indices, dense.shape).tolist()))
        assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def test_outerSurfaceIsTheFirstSolidVoxelOfEachColumn():
    """Steep sides, columns of air alone, and things only one voxel thin."""
    random = np.random.default_rng(3)
    for _ in range(20):
        voxels = np.where(random.random((40, 260, 48)) < random.uniform(0.0005, 0.02), 40, -1000).astype(np.int16)
        voxels[:, :, :12] = -1000
        volume = orientVolume(voxels, np.diag([-0.8, -0.8, 1.0, 1.0]), np.array([0.0, -1.0, 0.0]))
        band = findSkinBand(volume, aboveMm=12.0, belowMm=8.0)
        along, deep, across = band.strides
        solid = volume.view[::along, ::deep, ::across] > SURFACE_HU
        assert np.array_equal(band.hit, solid.any(axis=1))
        assert not band.hit.all()
        assert np.array_equal(band.first[band.hit], deep * np.argmax(solid, axis=1)[band.hit])


def test_tilesCoverTheBandOnce():
    voxels, ijkToRas = simulateMarkerCt(MarkerCtScene(extentMm=(130.0, 66.0, 64.0), centerRas=(0.0, -95.0, 0.0)))
    volume = orientVolume(voxels, ijkToRas, np.array([0.0, -1.0, 0.0]))
    band = findSkinBand(volume, aboveMm=12.0, belowMm=8.0)
    seen = np.zeros(volume.view.shape, np.uint8)
    for a0, a1, low, high, b0, b1 in band.tiles(volume.view.shape):
        seen[a0:a1, low:high, b0:b1] += 1
    assert seen.max() == 1
    along, _, across = band.strides
    for (row, column), top in np.ndenumerate(band.top):
        cell = seen[row * along : (row + 1) * along, top : band.bottom[row, column], column * across : (column + 1) * across]
        assert cell.all()


def test_backgroundsTogetherAreThoseOfEachAlone():
    """Among them one in mid-air and one at the border, where little or no skin is in sight."""
    voxels, ijkToRas = simulateMarkerCt(MarkerCtScene(extentMm=(130.0, 66.0, 64.0), centerRas=(0.0, -95.0, 0.0), noiseHu=15.0))
    volume = orientVolume(voxels, ijkToRas, np.array([0.0, -1.0, 0.0]))
    surface = np.argmax(volume.view > SURFACE_HU, axis=1)
    places = [(20, surface[20, 60], 60), (40, surface[40, 120] + 3, 120), (30, 9, 90), (32, surface[32, 90] - 8, 90)]
    blocks = np.stack([volume.view[a - 8 : a + 9, d - 9 : d + 10, b - 9 : b + 10] for a, d, b in places]).astype(np.float32)
    centers = np.tile([8.2, 9.1, 8.9], (4, 1))
    radii = np.array([2.5, 3.0, 2.5, 1.5])
    together = estimateBackgrounds(blocks, centers, volume.spacingMm, radii)
    assert [background.known for background in together] == [True, True, False, True]
    for n, background in enumerate(together):
        (alone,) = estimateBackgrounds(blocks[n : n + 1], centers[n : n + 1], volume.spacingMm, radii[n : n + 1])
        assert np.allclose(alone.hu, background.hu, atol=0.01)
        assert np.allclose(alone.coefficients, background.coefficients, atol=1e-6)
        assert background.noiseHu == pytest.approx(alone.noiseHu) and background.blurSdMm == pytest.approx(alone.blurSdMm)
    # The skin is where the simulation put it.
    a, d, b = places[0]
    inView = np.array([a, d - 9 + together[0].surfaceDepth(0.0, 0.0), b - 9 + 8.9, 1.0])
    x, y, z, _ = volume.viewToRas @ inView
    assert y == pytest.approx(float(backSurfaceY(x, z)), abs=0.3)
    assert 10.0 < together[0].noiseHu < 25.0


def test_thingsInOnePlaceAreNotTwiceAsDense():
    """Two overlapping spots of skin-like matter stay skin-like; the later one is seen where they overlap."""
    y = float(backSurfaceY(0.0, 0.0))
    spots = (SimulatedMarker((0.0, y, 0.0), 8.0, 60.0), SimulatedMarker((0.5, y - 0.5, 1.0), 6.0, 20.0))
    for order, seen in ((spots, 20.0), (spots[::-1], 60.0)):
        scene = MarkerCtScene(
            calcifications=order, extentMm=(30, 20, 20), centerRas=(0, y, 0), noiseHu=0.01, blurSdMm=0.35, spinousDepthMm=40.0
        )
        voxels, ijkToRas = simulateMarkerCt(scene)
        assert voxels.max() < 100
        k, j, i = np.rint(np.linalg.inv(ijkToRas) @ [0.5, y - 2.0, 1.0, 1.0]).astype(int)[2::-1]
        assert voxels[k, j, i] == pytest.approx(seen, abs=8)
