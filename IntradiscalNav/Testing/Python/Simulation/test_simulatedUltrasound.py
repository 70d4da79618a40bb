"""The simulated image against the phantom's labels, through the stated matrices only."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from IntradiscalNavLib.Simulation import PhantomLabels as Labels
from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, cachedLumbarPhantom
from IntradiscalNavLib.Simulation.SimulatedUltrasound import SimulatedUltrasound
from IntradiscalNavLib.Simulation.UltrasoundGeometry import UltrasoundGeometry


@pytest.fixture(scope="module")
def phantom() -> LumbarPhantom:
    return cachedLumbarPhantom()


@pytest.fixture(scope="module")
def boneDistance(phantom: LumbarPhantom) -> np.ndarray:
    """Signed distance (mm, about) from the surface of the bone labels, negative inside."""
    bone = np.isin(phantom.labels, list(Labels.BONE_LABELS))
    sampling = phantom.parameters.spacingMm[::-1]
    half = 0.5 * float(np.mean(sampling))
    return np.where(bone, half - distance_transform_edt(bone, sampling), distance_transform_edt(~bone, sampling) - half)


GEOMETRIES = [UltrasoundGeometry(), UltrasoundGeometry(kind="linear", depthMm=75.0, widthMm=50.0, columns=512, rows=400)]


def probeOver(phantom: LumbarPhantom, geometry: UltrasoundGeometry, xMm: float, zMm: float, *, sagittal: bool = False) -> np.ndarray:
    """Probe on the back, looking forwards; written here by hand, not with the simulator's own scripted poses."""
    skin = phantom.trunk.skinHeight(xMm, zMm) + 1.0
    lateral = np.array([0.0, 0.0, 1.0]) if sagittal else np.array([1.0, 0.0, 0.0])
    depth = np.array([0.0, 1.0, 0.0])
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = lateral, depth, np.cross(lateral, depth), (xMm, skin, zMm)
    return phantom.truth.patientToRas @ pose @ np.linalg.inv(geometry.ultrasoundToProbe)


def sampleAt(phantom: LumbarPhantom, values: np.ndarray, ras: np.ndarray) -> np.ndarray:
    from scipy.ndimage import map_coordinates

    ijk = (ras - phantom.ijkToRas[:3, 3]) / np.diag(phantom.ijkToRas)[:3]
    return map_coordinates(values, ijk[:, ::-1].T, order=1, mode="nearest")


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["curvilinear", "linear"])
@pytest.mark.parametrize(("x", "z", "sagittal"), [(0.0, -25.0, False), (12.0, 3.0, False), (14.0, -10.0, True), (-15.0, 0.0, True)])
def test_brightBoneInTheImageLiesOnThePhantomsBone(
    phantom: LumbarPhantom, boneDistance: np.ndarray, geometry: UltrasoundGeometry, x: float, z: float, sagittal: bool
) -> None:
    probeToRas = probeOver(phantom, geometry, x, z, sagittal=sagittal)
    image = SimulatedUltrasound(phantom, geometry).render(probeToRas)
    assert image.shape == (geometry.rows, geometry.columns)
    # the brightest saturated pixel run of each column, below the skin
    spacing = geometry.pixelSpacingMm
    skinRows = int(geometry.faceCenterPixel[1] + 9.0 / spacing)
    columns, rows = [], []
    for column in range(0, geometry.columns, 3):
        run = np.flatnonzero(image[skinRows:, column] >= 235) + skinRows
        if len(run) * spacing > 0.9:
            columns.append(column)
            rows.append(run.mean())
    assert len(columns) >= 12
    pixels = np.stack([columns, rows, np.zeros(len(rows)), np.ones(len(rows))])
    ras = (probeToRas @ geometry.imageToProbe @ pixels)[:3].T
    distance = sampleAt(phantom, boneDistance, ras)
    assert np.median(np.abs(distance)) < 1.0
    if x != 0.0:  # away from the midline a mirrored image does not fit: the test can tell
        pixels[0] = geometry.columns - 1 - pixels[0]
        mirrored = sampleAt(phantom, boneDistance, (probeToRas @ geometry.imageToProbe @ pixels)[:3].T)
        assert np.median(np.abs(mirrored)) > max(1.2, 2.0 * np.median(np.abs(distance)))


def test_statedBoneSurfaceLiesOnBoneAndIsDeeperWithWrongSpeedOfSound(phantom: LumbarPhantom, boneDistance: np.ndarray) -> None:
    geometry = UltrasoundGeometry()
    probeToRas = probeOver(phantom, geometry, 3.0, -8.0)
    right = SimulatedUltrasound(phantom, geometry).boneSurface(probeToRas)
    assert len(right.line) > 40
    assert np.percentile(np.abs(sampleAt(phantom, boneDistance, right.pointsRas)), 90) < 1.0
    homogeneous = np.concatenate([right.pixels, np.zeros((len(right.line), 1)), np.ones((len(right.line), 1))], 1)
    np.testing.assert_allclose((probeToRas @ geometry.imageToProbe @ homogeneous.T)[:3].T, right.pointsRas, atol=1e-6)
    wrong = SimulatedUltrasound(phantom, geometry, depthScale=1.03).boneSurface(probeToRas)
    both = np.intersect1d(right.line, wrong.line)
    middle = both[np.abs(both - geometry.lineCount / 2) < 8]
    face = geometry.faceCenterPixel[1]
    ratio = [(wrong.pixels[wrong.line == line][0, 1] - face) / (right.pixels[right.line == line][0, 1] - face) for line in middle]
    assert np.median(ratio) == pytest.approx(1.03, abs=0.004)


def test_shadowBehindBoneAndWithoutContact(phantom: LumbarPhantom) -> None:
    geometry = UltrasoundGeometry()
    simulator = SimulatedUltrasound(phantom, geometry)
    pose = probeOver(phantom, geometry, 0.0, -25.0)
    image = simulator.render(pose)
    column = geometry.columns // 2
    spinous = simulator.boneSurface(pose)
    nearest = np.abs(spinous.pixels[:, 0] - column).argmin()
    row = int(spinous.pixels[nearest, 1])
    assert image[row - 2 : row + 6, column].max() > 200
    assert image[row + 40 : row + 200, column].mean() < 25
    lifted = pose.copy()
    lifted[:3, 3] -= phantom.truth.patientToRas[:3, 1] * 25.0
    assert simulator.render(lifted)[int(geometry.faceCenterPixel[1]) + 40 :].mean() < 12


def test_needleIsSeenInThePlaneOnly(phantom: LumbarPhantom) -> None:
    geometry = UltrasoundGeometry()
    pose = probeOver(phantom, geometry, 40.0, -18.0)
    pixels = np.array([[420.0, 120.0, 0.0, 1.0], [330.0, 300.0, 0.0, 1.0]]).T
    needle = (pose @ geometry.imageToProbe @ pixels)[:3].T
    without = SimulatedUltrasound(phantom, geometry, seed=3).render(pose).astype(int)
    inPlane = SimulatedUltrasound(phantom, geometry, seed=3).render(pose, needle).astype(int)
    middle = inPlane[205:216, 370:381] - without[205:216, 370:381]
    assert middle.max() > 80
    difference = np.argwhere(inPlane - without > 60)
    towards = np.array([180.0, -90.0]) / np.hypot(180.0, 90.0)
    offAxis = (difference - np.array([120.0, 420.0])) @ np.array([-towards[1], towards[0]])
    assert np.abs(offAxis).max() < 9
    normal = (pose @ geometry.imageToProbe)[:3, 2]
    away = needle + 8.0 * normal / np.linalg.norm(normal)
    assert np.array_equal(SimulatedUltrasound(phantom, geometry, seed=3).render(pose, away), without)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["curvilinear", "linear"])
def test_linesAndPixelsAreInverse(geometry: UltrasoundGeometry) -> None:
    line, depth = np.meshgrid(np.linspace(0, geometry.lineCount - 1, 9), np.linspace(0, geometry.depthMm, 7))
    back = geometry.lineAndDepth(*geometry.linePoints(line, depth))
    np.testing.assert_allclose(back[0], line, atol=1e-9)
    np.testing.assert_allclose(back[1], depth, atol=1e-9)
    x, y = geometry.linePoints(line, depth)
    pixels = np.linalg.inv(geometry.imageToUltrasound) @ np.stack([x.ravel(), y.ravel(), 0 * x.ravel(), 1 + 0 * x.ravel()])
    assert pixels[0].min() >= 0
    assert pixels[0].max() <= geometry.columns - 1
    assert pixels[1].min() >= 0
    assert pixels[1].max() <= geometry.rows - 1


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=["curvilinear", "linear"])
def test_anIndependentDetectorFindsTheStatedSurface(phantom: LumbarPhantom, geometry: UltrasoundGeometry) -> None:
    """The bone detection of the registration, which shares no code with the simulator, judges the frames."""
    from FusionRegistrationLib.BoneSurfaceUltrasound import detectBoneSurface

    simulator = SimulatedUltrasound(phantom, geometry)
    errors, found, total = [], 0, 0
    for x, z, sagittal in ((0.0, -25.0, False), (10.0, 3.0, False), (-8.0, -40.0, False), (14.0, -10.0, True), (-16.0, -30.0, True)):
        pose = probeOver(phantom, geometry, x, z, sagittal=sagittal)
        detected = detectBoneSurface(simulator.render(pose), geometry.probeGeometry()).pixels
        stated = simulator.boneSurface(pose).pixels
        distance = np.linalg.norm(detected[:, None] - stated[None], axis=2) * geometry.pixelSpacingMm
        errors += distance.min(1).tolist()
        found += int((distance.min(0) < 1.0).sum())
        total += len(stated)
    assert np.mean(np.array(errors) < 1.0) > 0.85
    assert found / total > 0.75


def test_badGeometryIsRefused(phantom: LumbarPhantom) -> None:
    with pytest.raises(ValueError, match="neither 'linear' nor"):
        UltrasoundGeometry(kind="phased")
    with pytest.raises(ValueError, match="speed-of-sound"):
        SimulatedUltrasound(phantom, depthScale=1.5)
