"""Marker detection on rendered CT whose truth is stated in RAS: balls, rings, metal, orientations, look-alikes, warnings."""

import numpy as np
import pytest

from FusionRegistrationLib.MarkerDetection import MarkerParameters, detectMarkers
from FusionRegistrationLib.SimulatedMarkerCt import (
    METAL_HU,
    MarkerCtScene,
    SimulatedMarker,
    SimulatedRod,
    backSurfaceY,
    simulateMarkerCt,
)


def onSkin(x, z, heightMm):
    slope = float(backSurfaceY(x + 0.5, z) - backSurfaceY(x - 0.5, z))
    normal = np.array([slope, -1.0, 0.0]) / np.hypot(slope, 1.0)
    return np.array([x, float(backSurfaceY(x, z)), z]) + heightMm * normal, normal


def scene(diameter=5.0, hu=1000.0, kind="ball", sliceMm=1.25, seed=0, **options):
    random = np.random.default_rng(seed)
    markers = []
    for x in (-40, 0, 40):
        for z in (-15, 15):
            thickness = diameter if kind == "ball" else 0.4 * diameter
            place, normal = onSkin(x + random.uniform(-5, 5), z + random.uniform(-5, 5), 0.5 * thickness * random.uniform(0.5, 1.0))
            markers.append(SimulatedMarker(tuple(place), diameter, hu, kind, tuple(normal)))
    settings = {"extentMm": (130.0, 66.0, 64.0), "centerRas": (0.0, -95.0, 0.0), **options}
    return MarkerCtScene(markers=tuple(markers), sliceMm=sliceMm, seed=seed, **settings)


def errorsOf(found, truthScene):
    truth = np.array([m.centerRas for m in truthScene.markers])
    distances = np.linalg.norm(truth[:, None] - found.centersRas[None], axis=2)
    return distances.min(axis=1), distances


@pytest.mark.parametrize(
    ("diameter", "hu", "kind", "sliceMm"),
    [
        (3.0, 1000.0, "ball", 1.5),
        (3.0, 300.0, "ball", 0.8),
        (5.0, 300.0, "ball", 1.25),
        (5.0, METAL_HU, "ball", 2.5),
        (8.0, METAL_HU, "ball", 1.0),
        (8.0, 1000.0, "ball", 4.0),
        (5.0, 1000.0, "ring", 1.0),
        (8.0, METAL_HU, "ring", 1.5),
    ],
)
def test_allAreFoundNothingElseAndExactly(diameter, hu, kind, sliceMm):
    made = scene(diameter, hu, kind, sliceMm, seed=int(diameter))
    found = detectMarkers(*simulateMarkerCt(made))
    assert len(found.markers) == 6
    errors, _ = errorsOf(found, made)
    assert errors.mean() < 0.12 and errors.max() < 0.3
    assert {m.kind for m in found.markers} == {kind}
    assert found.sureMarkers == found.markers
    assert all(abs(m.diameterMm - diameter) < 0.15 * diameter + 0.2 for m in found.markers)
    if kind == "ball":
        assert all(m.spansTwoVoxels for m in found.markers)
    heights = [m.centerRas[2] for m in found.markers]
    assert heights == sorted(heights, reverse=True)


def test_blurredFaintMarkersAreFoundByTheirShape():
    """3 mm of 300 HU, blurred until its voxels are hardly denser than skin."""
    made = scene(3.0, 300.0, sliceMm=1.0, blurSdMm=0.65)
    voxels, ijkToRas = simulateMarkerCt(made)
    without = detectMarkers(voxels, ijkToRas, MarkerParameters(faintMarkers=False))
    found = detectMarkers(voxels, ijkToRas)
    assert len(without.markers) < 6
    assert len(found.markers) == 6
    assert errorsOf(found, made)[0].mean() < 0.1


def test_lookAlikesAreLeftOut():
    things = []
    for x, z, depth, diameter, hu in ((-30, 0, 7, 3.0, 900.0), (10, 12, 9, 4.0, 600.0), (25, -18, 0, 6.0, 60.0), (-5, -20, 0.5, 5.0, 40.0)):
        things.append(SimulatedMarker(tuple(onSkin(x, z, -depth)[0]), diameter, hu))
    rods = []
    for z, radius, hu in ((22.0, 0.8, 2500.0), (-28.0, 2.0, 300.0)):
        ends = [tuple(onSkin(x, z + dz, radius)[0]) for x, dz in ((-64, 0), (0, 3), (64, -2))]
        rods += [SimulatedRod(ends[0], ends[1], radius, hu), SimulatedRod(ends[1], ends[2], radius, hu)]
    for seed in range(3):
        made = MarkerCtScene(
            calcifications=tuple(things), rods=tuple(rods), extentMm=(130, 66, 64), centerRas=(0, -95, 0), spinousDepthMm=4.0, seed=seed
        )
        assert detectMarkers(*simulateMarkerCt(made)).markers == ()


def test_whatMayBeACalcificationIsFoundButCalledDoubtful():
    """A ball pressed in until nothing stands out can't be told from a calcification; one that stands out is sure."""
    things = [
        SimulatedMarker(tuple(onSkin(-30.0, -12.0, 1.5)[0]), 5.0, 900.0),
        SimulatedMarker(tuple(onSkin(5.0, 14.0, -2.6)[0]), 5.0, 900.0),
        SimulatedMarker(tuple(onSkin(35.0, -5.0, 1.0)[0]), 4.0, 900.0),
    ]
    made = MarkerCtScene(calcifications=tuple(things), extentMm=(130, 66, 64), centerRas=(0, -95, 0), spinousDepthMm=14.0, seed=1)
    found = detectMarkers(*simulateMarkerCt(made))
    assert [bool(m.doubt) for m in found.markers] == [True, False, False]
    assert "under the surface" in found.markers[0].doubt
    assert np.linalg.norm(found.markers[0].centerRas - things[1].centerRas) < 0.5
    assert len(found.sureMarkers) == 2
    assert any(w.startswith("M1,") and "might be no marker" in w for w in found.warnings)


def test_wartsInNoiseAreNeverSure():
    """Warts of 20-70 HU in so much noise that some voxels are as dense as a faint marker's."""
    listed = 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        warts = [
            SimulatedMarker(tuple(onSkin(x + random.uniform(-6, 6), z, random.uniform(-0.5, 1.0))[0]), random.uniform(4, 8), hu)
            for x, z, hu in ((-36, -14, 70.0), (-12, 15, 65.0), (12, -10, 70.0), (36, 12, 70.0))
        ]
        made = MarkerCtScene(
            calcifications=tuple(warts),
            sliceMm=1.5,
            noiseHu=35.0,
            extentMm=(130, 66, 64),
            centerRas=(0, -95, 0),
            spinousDepthMm=14.0,
            seed=seed,
        )
        found = detectMarkers(*simulateMarkerCt(made))
        assert found.sureMarkers == ()
        listed += len(found.markers)
    assert listed, "noise must have made some of the 48 look like markers, or this tests nothing"


def test_metalStreaksMakeNoMarkers():
    made = scene(6.0, METAL_HU, sliceMm=1.0, seed=4)
    found = detectMarkers(*simulateMarkerCt(made))
    assert len(found.markers) == 6
    assert errorsOf(found, made)[0].max() < 0.15


@pytest.mark.parametrize("axes", ["RAS", "LPS", "feet first", "coronal", "sagittal"])
def test_anyVoxelOrderGivesTheSamePlaces(axes):
    made = scene(seed=2)
    voxels, ijkToRas = simulateMarkerCt(made)
    expected = detectMarkers(voxels, ijkToRas).centersRas
    size = voxels.shape[::-1]

    def flipped(array, matrix, axis):
        flip = np.eye(4)
        flip[axis, axis], flip[axis, 3] = -1, size[axis] - 1
        return np.flip(array, 2 - axis), matrix @ flip

    if axes == "RAS":
        voxels, ijkToRas = flipped(*flipped(voxels, ijkToRas, 0), 1)
    elif axes == "feet first":
        voxels, ijkToRas = flipped(voxels, ijkToRas, 2)
    elif axes == "coronal":
        voxels, ijkToRas = np.transpose(voxels, (1, 0, 2)), ijkToRas[:, [0, 2, 1, 3]]
    elif axes == "sagittal":
        voxels, ijkToRas = np.transpose(voxels, (2, 1, 0)), ijkToRas[:, [2, 1, 0, 3]]
    found = detectMarkers(np.ascontiguousarray(voxels), ijkToRas).centersRas
    assert len(found) == len(expected) == 6
    assert np.linalg.norm(found[:, None] - expected[None], axis=2).min(axis=1).max() < 0.05


def test_tiltedGantryIsMappedRight():
    """Sheared slices (15 deg gantry tilt): positions follow ijkToRas, whatever the shear."""
    made = scene(seed=3, sliceMm=1.0)
    voxels, ijkToRas = simulateMarkerCt(made)
    shear = np.eye(4)
    shear[1, 2] = np.tan(np.radians(15.0))
    rolled = np.stack([np.roll(s, 0, axis=0) for s in voxels])
    expected = detectMarkers(voxels, ijkToRas).centersRas
    found = detectMarkers(rolled, shear @ ijkToRas).centersRas
    moved = expected @ shear[:3, :3].T
    assert len(found) >= 5
    assert np.linalg.norm(found[:, None] - moved[None], axis=2).min(axis=1).max() < 0.5


def test_typesAndContiguityDontMatter():
    voxels, ijkToRas = simulateMarkerCt(scene(seed=5))
    expected = detectMarkers(voxels, ijkToRas).centersRas
    for other in (voxels.astype(np.float32), voxels.astype(np.int32), np.asfortranarray(voxels)):
        assert np.allclose(detectMarkers(other, ijkToRas).centersRas, expected, atol=0.02)


def test_statedUncertaintyFollowsTheError():
    stated, true = [], []
    for seed, (diameter, hu, sliceMm) in enumerate(((3.0, 400.0, 1.5), (8.0, 1500.0, 1.0))):
        made = scene(diameter, hu, sliceMm=sliceMm, seed=seed)
        found = detectMarkers(*simulateMarkerCt(made))
        errors, distances = errorsOf(found, made)
        true.append(np.sqrt((errors**2).mean()))
        stated.append(np.mean([found.markers[i].uncertaintyMm for i in distances.argmin(axis=1)]))
    assert stated[0] > stated[1] and true[0] > true[1]
    assert all(0.3 < s / t < 5 for s, t in zip(stated, true))


def test_thickSlicesWarn():
    voxels, ijkToRas = simulateMarkerCt(scene(4.0, 1000.0, sliceMm=5.0, extentMm=(130, 66, 100)))
    found = detectMarkers(voxels, ijkToRas)
    assert any("thinner than 10.0 mm" in w for w in found.warnings)
    assert not any(m.spansTwoVoxels for m in found.markers)


def test_emptyAirAndSolidBlocksGiveNothing():
    for value in (-1000, 40, 3000):
        assert detectMarkers(np.full((40, 60, 60), value, np.int16), np.eye(4)).markers == ()


@pytest.mark.parametrize(
    ("shape", "matrix", "told"),
    [
        ((10, 10), np.eye(4), "3 slices"),
        ((2, 50, 50), np.eye(4), "3 slices"),
        ((9, 9, 9), np.zeros((4, 4)), "invertible"),
        ((9, 9, 9), np.eye(3), "4x4"),
    ],
)
def test_nonsenseIsRefused(shape, matrix, told):
    with pytest.raises(ValueError, match=told):
        detectMarkers(np.zeros(shape, np.int16), matrix)
