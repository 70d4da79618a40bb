"""Hard, seeded sweeps over vertebra meshes, with everything that goes wrong with real ones.

Each effect can be switched off alone, so that what it costs can be printed.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from SpineMeshes import SpineMeshes

from FusionRegistrationLib.BonePoints import BonePoints
from FusionRegistrationLib.PoseSearch import rotationsFromVectors
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, transformPoints

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Hardness:
    """What goes wrong. All lengths mm (standard deviations), shares of 1."""

    noiseMm: float = 0.7
    outlierShare: float = 0.2
    jitterMm: float = 0.3
    depthScale: float = 0.02
    beamHalfWidthMm: float = 1.5
    gapShare: float = 0.25
    frameCount: int = 80
    levelCount: float = 3.0
    pointCount: int = 5000


@dataclasses.dataclass(frozen=True, eq=False)
class Sweep:
    """Simulated sweep: what the product gets, the truth, and the discs (names) within it."""

    points: BonePoints
    referenceToRas: FloatArray
    depthScale: float
    discs: tuple[str, ...]
    centreRas: FloatArray


class DenseSpine:
    """Points spread densely over the meshes (sorted by z), for cutting scan planes out of them quickly."""

    def __init__(self, spine: SpineMeshes, perMm2: float = 2.0, seed: int = 5) -> None:
        random = np.random.default_rng(seed)
        points, normals, owner = [], [], []
        for number, (vertices, faces) in enumerate(zip(spine.points, spine.triangles)):
            a, b, c = (vertices[faces[:, k]] for k in range(3))
            cross = np.cross(b - a, c - a)
            area = np.linalg.norm(cross, axis=1) / 2.0
            counts = random.poisson(area * perMm2)
            face = np.repeat(np.arange(len(faces)), counts)
            u, v = random.random(len(face)), random.random(len(face))
            flip = u + v > 1
            u[flip], v[flip] = 1 - u[flip], 1 - v[flip]
            points.append(a[face] + u[:, None] * (b - a)[face] + v[:, None] * (c - a)[face])
            normals.append(cross[face] / np.maximum(2 * area[face], 1e-12)[:, None])
            owner.append(np.full(len(face), number))
        self.points, self.normals, self.owner = np.vstack(points), np.vstack(normals), np.concatenate(owner)
        order = np.argsort(self.points[:, 2])
        self.points, self.normals, self.owner = self.points[order], self.normals[order], self.owner[order]

    def moved(self, motions: list[FloatArray]) -> DenseSpine:
        """A copy in which every vertebra has been moved by its own transform."""
        result = object.__new__(DenseSpine)
        result.points, result.normals, result.owner = self.points.copy(), self.normals.copy(), self.owner.copy()
        for number, motion in enumerate(motions):
            mine = self.owner == number
            result.points[mine] = transformPoints(motion, self.points[mine])
            result.normals[mine] = self.normals[mine] @ motion[:3, :3].T
        order = np.argsort(result.points[:, 2])
        result.points, result.normals, result.owner = result.points[order], result.normals[order], result.owner[order]
        return result


def randomTwist(random: np.random.Generator, largestMm: float, largestDeg: float) -> tuple[FloatArray, FloatArray]:
    """Rotation matrix and shift drawn evenly from balls of the given radii."""
    axes = random.normal(size=(2, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    sizes = random.random(2) ** (1.0 / 3.0)
    return rotationsFromVectors(axes[:1] * np.radians(largestDeg) * sizes[0])[0], axes[1] * largestMm * sizes[1]


def startNear(sweep: Sweep, random: np.random.Generator, largestMm: float, largestDeg: float) -> FloatArray:
    """A wrong start: the truth turned and shifted about the centre of the cloud."""
    rotation, shift = randomTwist(random, largestMm, largestDeg)
    centre = transformPoints(sweep.referenceToRas, sweep.points.pointsReference.mean(axis=0)[None])[0]
    error = rigidFrom(rotation, centre - rotation @ centre + shift)
    result: FloatArray = error @ sweep.referenceToRas
    return result


def makeSweep(
    spine: SpineMeshes, dense: DenseSpine, random: np.random.Generator, hardness: Hardness, middleLevel: float | None = None
) -> Sweep:
    """One free-hand transverse sweep with a curved-array probe, caudal to cranial, over about levelCount vertebrae."""
    centres = spine.centres
    half = hardness.levelCount / 2.0
    lastLevel = len(centres) - 1
    middle = random.uniform(half - 0.5, lastLevel - half + 0.5) if middleLevel is None else middleLevel
    axis = np.array(
        [[np.interp(level, np.arange(len(centres)), centres[:, k]) for k in range(3)] for level in (middle + half, middle, middle - half)]
    )
    bottom, centre, top = axis
    skinY = np.quantile(dense.points[:, 1], 0.001) - random.uniform(12.0, 25.0)
    tilt = np.radians(random.normal(0.0, [4.0, 6.0, 4.0]))
    lateral = random.normal(0.0, 4.0)
    trueScale = 1.0 + random.uniform(-hardness.depthScale, hardness.depthScale)
    points, offsets, frames, elevations = [], [], [], []
    waviness = random.normal(0.0, 1.0, (4, 3))
    for number in range(hardness.frameCount):
        s = number / (hardness.frameCount - 1)
        wave = sum(waviness[k] * np.sin((k + 1) * np.pi * s) for k in range(4))
        turn = tilt + np.radians(2.5) * wave
        probe = rotationsFromVectors(turn[None])[0] @ np.eye(3)  # columns: lateral x, depth y, elevation z
        origin = bottom + s * (top - bottom)
        origin = np.array([origin[0] + lateral + 2.0 * wave[0], skinY, origin[2]])
        # Aim at the spine: the plane crosses the arch where the sweep is, whatever the tilt.
        origin[2] -= probe[2, 1] / max(probe[1, 1], 0.5) * (centre[1] - 25.0 - skinY)
        origin[0] -= probe[0, 1] / max(probe[1, 1], 0.5) * (centre[1] - 25.0 - skinY) * 0.5
        cut = _cutFrame(dense, origin, probe, hardness, random)
        if cut is None:
            continue
        ray, rangeMm = cut  # unit directions in the plane (n, 2), range from the probe's face (n,)
        local = np.column_stack([ray[:, 2] + ray[:, 0] * rangeMm, ray[:, 3] + ray[:, 1] * rangeMm, np.zeros(len(ray))])
        base = np.column_stack([ray[:, 2], ray[:, 3], np.zeros(len(ray))])
        jitter = rigidFrom(
            rotationsFromVectors(random.normal(0.0, np.radians(0.2) * hardness.jitterMm / 0.3, (1, 3)))[0],
            random.normal(0.0, hardness.jitterMm, 3),
        )
        pose = rigidFrom(probe, origin) @ jitter
        measured = base + (local - base) / trueScale  # the machine believes another speed of sound
        measured = measured + random.normal(0.0, hardness.noiseMm, measured.shape) * [1.0, 1.0, 0.5]
        points.append(transformPoints(pose, measured))
        offsets.append((measured - base) @ pose[:3, :3].T)
        frames.append(np.full(len(measured), number))
        elevations.append(np.broadcast_to(pose[:3, 2], measured.shape))
    allPoints, allOffsets, allFrames, normals = np.vstack(points), np.vstack(offsets), np.concatenate(frames), np.vstack(elevations)
    normalOfFrame = np.zeros((hardness.frameCount, 3))
    normalOfFrame[allFrames] = normals
    wanted = min(len(allPoints), round(hardness.pointCount * (1.0 - hardness.outlierShare)))
    chosen = np.sort(random.permutation(len(allPoints))[:wanted])
    allPoints, allOffsets, allFrames = allPoints[chosen], allOffsets[chosen], allFrames[chosen]
    allPoints, allOffsets, allFrames = _withOutliers(allPoints, allOffsets, allFrames, hardness, random)
    rotation, shift = randomTwist(random, 300.0, 180.0)
    rasToReference = rigidFrom(rotation, shift)
    level = np.arange(len(centres) - 1) + 0.5
    names = tuple(name for name, at in zip(spine.discs, level) if abs(at - middle) <= half)
    return Sweep(
        BonePoints(
            transformPoints(rasToReference, allPoints), allOffsets @ rotation.T, allFrames, None, normalOfFrame[allFrames] @ rotation.T
        ),
        invertRigid(rasToReference),
        trueScale,
        names,
        centre,
    )


def _cutFrame(
    dense: DenseSpine, origin: FloatArray, probe: FloatArray, hardness: Hardness, random: np.random.Generator
) -> tuple[FloatArray, FloatArray] | None:
    """First echoes of one frame: per beam the nearest surface within the beam's thickness."""
    # The slab of points the tilted plane can meet within 110 mm depth.
    reach = 6.0 + 110.0 * float(np.linalg.norm(probe[2, :2]))
    middle = origin[2] + 55.0 * probe[2, 1]
    low, high = np.searchsorted(dense.points[:, 2], [middle - reach, middle + reach])
    local = (dense.points[low:high] - origin) @ probe
    # Noise-free frames still need some thickness to meet points of the cloud.
    half = max(hardness.beamHalfWidthMm, 0.4)
    inside = np.abs(local[:, 2]) < half
    local = local[inside]
    normals = (dense.normals[low:high][inside]) @ probe
    if len(local) < 20:
        return None
    radius, beams, opening = 50.0, 120, np.radians(32.0)
    away = local[:, :2] + [0.0, radius]
    angle = np.arctan2(away[:, 0], away[:, 1])
    distance = np.hypot(away[:, 0], away[:, 1]) - radius
    usable = (np.abs(angle) < opening) & (distance > 3.0) & (distance < 110.0)
    angle, distance, normals = angle[usable], distance[usable], normals[usable]
    if len(angle) < 10:
        return None
    beam = np.floor((angle + opening) / (2 * opening) * beams).astype(int)
    order = np.lexsort((distance, beam))
    first = order[np.concatenate([[True], np.diff(beam[order]) != 0])]
    direction = np.stack([np.sin(angle[first]), np.cos(angle[first])], axis=1)
    facing = -(direction * normals[first][:, :2]).sum(axis=1)
    # Bone at grazing incidence echoes away from the probe.
    heard = facing > random.uniform(0.05, 0.6, len(first))
    # Shadow gaps: stretches of neighbouring beams that hear nothing.
    drop = np.zeros(beams, bool)
    while drop.mean() < hardness.gapShare * random.uniform(0.5, 1.5) and hardness.gapShare > 0:
        at = random.integers(0, beams)
        drop[at : at + random.integers(4, 20)] = True
    heard &= ~drop[beam[first]]
    if not heard.any():
        return None
    direction, distance = direction[heard], distance[first][heard]
    return np.hstack([direction, radius * direction - [0.0, radius]]), distance


def _withOutliers(
    points: FloatArray, offsets: FloatArray, frames: npt.NDArray[np.int64], hardness: Hardness, random: np.random.Generator
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Fascia-like sheets in front of the bone (half of the outliers), reverberation behind it (30 %), speckle anywhere (20 %)."""
    count = round(len(points) * hardness.outlierShare / max(1.0 - hardness.outlierShare, 1e-6))
    if count == 0:
        return points, offsets, frames
    source = random.integers(0, len(points), count)
    kind = random.random(count)
    length = np.linalg.norm(offsets[source], axis=1)
    unit = offsets[source] / length[:, None]
    sheets = random.uniform(5.0, 16.0, 3)
    slope = random.normal(0.0, 0.08, (3, 2))
    which = random.integers(0, 3, count)
    middle = points.mean(axis=0)
    lateral = points[source, 0] - middle[0]
    along = points[source, 2] - middle[2]
    depth = sheets[which] + slope[which, 0] * lateral + slope[which, 1] * along
    shift = np.where(
        kind < 0.5,
        -np.abs(depth) + random.normal(0.0, 0.5, count),
        np.where(kind < 0.8, random.uniform(4.0, 14.0, count), random.uniform(-20.0, 20.0, count)),
    )
    shift = np.maximum(shift, 3.0 - length)
    extra = points[source] + shift[:, None] * unit
    allPoints = np.vstack([points, extra])
    allOffsets = np.vstack([offsets, offsets[source] + shift[:, None] * unit])
    allFrames = np.concatenate([frames, frames[source]])
    order = np.argsort(allFrames, kind="stable")
    return allPoints[order], allOffsets[order], allFrames[order]


def targetErrors(sweep: Sweep, spine: SpineMeshes, referenceToRas: FloatArray) -> FloatArray:
    """Distance (mm) between where the transform and where the truth puts each disc centre of the sweep."""
    rasToRas = referenceToRas @ invertRigid(sweep.referenceToRas)
    discs = np.array([spine.discs[name] for name in sweep.discs])
    return np.linalg.norm(transformPoints(rasToRas, discs) - discs, axis=1)
