"""Small CT of a back with radiopaque markers and things that look like them, for self tests, benchmarks and training.

The truth (marker centres) is stated in RAS by the caller. Objects are rendered on a grid finer than the voxels, blurred by the
scanner's point spread and averaged over the slice, so that sub-voxel positions are what they claim to be.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

METAL_HU = 3071.0
"""Where a 12-bit scanner saturates."""

_HALF_AXES_MM = (170.0, 110.0)


@dataclasses.dataclass(frozen=True)
class SimulatedMarker:
    """A ball or a ring (a torus lying on the skin) of outer diameter ``diameterMm`` at ``centerRas``."""

    centerRas: tuple[float, float, float]
    diameterMm: float
    hu: float
    kind: str = "ball"
    axisRas: tuple[float, float, float] = (0.0, -1.0, 0.0)


@dataclasses.dataclass(frozen=True)
class SimulatedRod:
    """A cylinder between two points: wire, tube, bone edge."""

    startRas: tuple[float, float, float]
    endRas: tuple[float, float, float]
    radiusMm: float
    hu: float


@dataclasses.dataclass(frozen=True)
class MarkerCtScene:
    """What is in the picture. The CT covers ``extentMm`` (R-L, A-P, I-S) around ``centerRas``.

    :ivar blurSdMm: standard deviation of the in-plane point spread.
    :ivar spinousDepthMm: depth of the tips of the spinous processes under the skin.
    """

    markers: tuple[SimulatedMarker, ...] = ()
    rods: tuple[SimulatedRod, ...] = ()
    calcifications: tuple[SimulatedMarker, ...] = ()
    spacingMm: float = 0.7
    sliceMm: float = 1.0
    extentMm: tuple[float, float, float] = (200.0, 80.0, 90.0)
    centerRas: tuple[float, float, float] = (0.0, -85.0, 0.0)
    blurSdMm: float = 0.5
    noiseHu: float = 20.0
    spinousDepthMm: float = 8.0
    streaks: bool = True
    seed: int = 0


def backSurfaceY(x: npt.ArrayLike, z: npt.ArrayLike) -> FloatArray:
    """A-P coordinate (mm, RAS) of the simulated skin of the back over lateral position x and height z."""
    a, b = _HALF_AXES_MM
    result: FloatArray = -b * np.sqrt(np.maximum(1.0 - (np.asarray(x, float) / a) ** 2, 0.0)) + 6.0 * np.sin(np.asarray(z, float) / 60.0)
    return result


def simulateMarkerCt(scene: MarkerCtScene) -> tuple[npt.NDArray[np.int16], FloatArray]:
    """Voxels (k, j, i) int16 HU in LPS order as scanners write them, and ``ijkToRas``."""
    size = np.array([scene.extentMm[0] / scene.spacingMm, scene.extentMm[1] / scene.spacingMm, scene.extentMm[2] / scene.sliceMm]).astype(
        int
    )
    ijkToRas = np.diag([-scene.spacingMm, -scene.spacingMm, scene.sliceMm, 1.0])
    ijkToRas[:3, 3] = np.asarray(scene.centerRas) - ijkToRas[:3, :3] @ (size - 1) / 2.0
    x = (ijkToRas[0, 0] * np.arange(size[0]) + ijkToRas[0, 3]).astype(np.float32)
    y = (ijkToRas[1, 1] * np.arange(size[1]) + ijkToRas[1, 3]).astype(np.float32)
    z = (ijkToRas[2, 2] * np.arange(size[2]) + ijkToRas[2, 3]).astype(np.float32)
    widthMm = float(np.hypot(scene.blurSdMm, 0.3 * scene.spacingMm))
    volume = _body(x[None, None, :], y[None, :, None], z[:, None, None], widthMm, scene)
    random = np.random.default_rng(scene.seed)
    things = scene.calcifications + scene.markers
    for number, marker in enumerate(things):
        _paintMarker(volume, (x, y, z), marker, things[:number], scene)
    if scene.streaks:
        for marker in scene.markers:
            if marker.hu >= 2500.0:
                _paintStreaks(volume, (x, y, z), marker, random)
    # Reconstruction noise is correlated over about two voxels in the plane.
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(random.normal(size=volume.shape).astype(np.float32), (0.0, 0.7, 0.7))
    volume += noise * np.float32(scene.noiseHu / max(float(noise.std()), 1e-6))
    return np.clip(np.rint(volume), -1024, METAL_HU).astype(np.int16), ijkToRas


def _step(signedDistance: FloatArray, widthMm: float) -> FloatArray:
    """Share of material at a signed distance (negative inside) from a face blurred by ``widthMm``."""
    from scipy.special import ndtr

    result: FloatArray = ndtr(-signedDistance / np.float32(widthMm))
    return result


def _body(x: FloatArray, y: FloatArray, z: FloatArray, widthMm: float, scene: MarkerCtScene) -> FloatArray:
    """HU of the back: air, 2 mm of skin, fat, muscle, vertebrae, pelvis; rods as given."""
    surface = backSurfaceY(x, z).astype(np.float32)
    depth = y - surface
    hu = -1000.0 + 1040.0 * _step(-depth, widthMm) - 130.0 * _step(2.0 - depth, 0.8) + 145.0 * _step(12.0 + 0.05 * np.abs(x) - depth, 1.0)
    period = 34.0
    local = (z + 1000.0) % period - period / 2.0
    process = np.maximum(np.maximum(np.abs(x) - 3.0, np.abs(local) - 9.0), scene.spinousDepthMm - depth)
    lamina = np.maximum(np.maximum(np.abs(x) - 22.0, np.abs(local) - 11.0), np.abs(depth - scene.spinousDepthMm - 30.0) - 6.0)
    bone = _step(np.minimum(process, lamina), widthMm)
    hu = hu * (1.0 - bone) + 700.0 * bone
    # Vertebral bodies (spongy inside, dense rim) and the wings of the pelvis below.
    radius = np.sqrt((x / 24.0) ** 2 + ((depth - scene.spinousDepthMm - 62.0) / 17.0) ** 2)
    vertebra = np.maximum((radius - 1.0) * 17.0, np.abs(local) - 13.0)
    for inset, density in ((0.0, 600.0), (2.0, 230.0)):
        share = _step(vertebra + inset, widthMm)
        hu = hu * (1.0 - share) + density * share
    wing = np.maximum(np.maximum(np.abs(depth - 20.0 - 0.3 * np.abs(x)) - 5.0, np.abs(np.abs(x) - 85.0) - 35.0), z + 45.0)
    for inset, density in ((0.0, 800.0), (2.5, 250.0)):
        share = _step(wing + inset, widthMm)
        hu = hu * (1.0 - share) + density * share
    for rod in scene.rods:
        start, end = np.asarray(rod.startRas), np.asarray(rod.endRas)
        along = end - start
        px, py, pz = x - start[0], y - start[1], z - start[2]
        t = np.clip((px * along[0] + py * along[1] + pz * along[2]) / float(along @ along), 0.0, 1.0)
        distance = np.sqrt((px - t * along[0]) ** 2 + (py - t * along[1]) ** 2 + (pz - t * along[2]) ** 2)
        share = _step(distance - rod.radiusMm, widthMm)
        hu = hu * (1.0 - share) + rod.hu * share
    result: FloatArray = np.asarray(hu, np.float32)
    return result


def _paintMarker(
    volume: FloatArray,
    axes: tuple[FloatArray, FloatArray, FloatArray],
    marker: SimulatedMarker,
    earlier: tuple[SimulatedMarker, ...],
    scene: MarkerCtScene,
) -> None:
    """Add the blurred, slice-averaged difference that the marker makes to the picture; it takes the place of earlier ones it overlaps."""
    from scipy.ndimage import gaussian_filter

    fine = min(0.2, scene.spacingMm / 3.0)
    reach = 0.5 * marker.diameterMm + 4.0 * scene.blurSdMm + 1.0
    center = np.asarray(marker.centerRas, float)
    offsets = np.arange(-np.ceil(reach / fine), np.ceil(reach / fine) + 1) * fine
    ox, oy, oz = offsets[None, None, :], offsets[None, :, None], offsets[:, None, None]
    distance = _markerDistance(ox, oy, oz, marker)
    share = np.clip(0.5 - distance / fine, 0.0, 1.0)
    background = _body(ox + center[0], oy + center[1], oz + center[2], 0.1, scene)
    for other in earlier:
        gap = center - np.asarray(other.centerRas, float)
        if np.linalg.norm(gap) < 0.5 * (marker.diameterMm + other.diameterMm) + fine:
            # Two things in one place are not twice as dense as one.
            there = np.clip(0.5 - _markerDistance(ox + gap[0], oy + gap[1], oz + gap[2], other) / fine, 0.0, 1.0)
            background = background * (1.0 - there) + other.hu * there
    change = share * (marker.hu - background)
    change = gaussian_filter(change, scene.blurSdMm / fine, truncate=4.0)
    weights = [_sampling(a, center[i], offsets, scene.spacingMm if i < 2 else scene.sliceMm, fine, i < 2) for i, a in enumerate(axes)]
    (ix, wx), (iy, wy), (iz, wz) = weights
    if min(len(ix), len(iy), len(iz)) == 0:
        return
    added = np.einsum("zyx,az,by,cx->abc", change, wz, wy, wx, optimize=True)
    volume[np.ix_(iz, iy, ix)] += added.astype(np.float32)


def _sampling(
    axis: FloatArray, center: float, offsets: FloatArray, widthMm: float, fine: float, inPlane: bool
) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Voxels near the object and the weights with which each averages the fine samples: a box over the slice, or the pixel's point."""
    position = axis.astype(float) - center
    near = np.flatnonzero(np.abs(position) <= offsets[-1] + 0.5 * widthMm)
    gap = np.abs(position[near][:, None] - offsets[None, :])
    if inPlane:
        weights = np.clip(1.0 - gap / fine, 0.0, None)
        return near, weights
    weights = np.clip((0.5 * widthMm + 0.5 * fine - gap) / fine, 0.0, 1.0) * fine / widthMm
    return near, weights


def _markerDistance(x: FloatArray, y: FloatArray, z: FloatArray, marker: SimulatedMarker) -> FloatArray:
    squared = x * x + y * y + z * z
    if marker.kind == "ball":
        result: FloatArray = np.sqrt(squared) - 0.5 * marker.diameterMm
        return result
    axis = np.asarray(marker.axisRas, float)
    axis = axis / np.linalg.norm(axis)
    tube = 0.2 * marker.diameterMm
    height = x * axis[0] + y * axis[1] + z * axis[2]
    inPlane = np.sqrt(np.maximum(squared - height * height, 0.0))
    ring: FloatArray = np.sqrt((inPlane - (0.5 * marker.diameterMm - tube)) ** 2 + height * height) - tube
    return ring


def _paintStreaks(
    volume: FloatArray, axes: tuple[FloatArray, FloatArray, FloatArray], marker: SimulatedMarker, random: np.random.Generator
) -> None:
    """Star of bright and dark rays in the slices through a metal marker, fading with distance."""
    x, y, z = axes
    center = marker.centerRas
    rays, phase = int(random.integers(5, 9)), float(random.uniform(0, 2 * np.pi))
    for k in np.flatnonzero(np.abs(z - center[2]) < 0.5 * marker.diameterMm):
        dx, dy = x[None, :] - center[0], y[:, None] - center[1]
        radius = np.sqrt(dx * dx + dy * dy)
        star = np.cos(rays * np.arctan2(dy, dx) + phase)
        fade = np.where(radius > 0.5 * marker.diameterMm, 350.0 * (0.5 * marker.diameterMm / np.maximum(radius, 0.5)), 0.0)
        volume[k] += (fade * star).astype(np.float32)
