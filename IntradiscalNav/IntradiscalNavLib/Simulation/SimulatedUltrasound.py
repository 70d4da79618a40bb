"""B-mode images of the phantom along any probe plane, fast enough to stream.

Scan lines are sampled through the label volume and the bone fraction; the first bone on a line gives a bright ridge with the
thickness of the beam and a shadow behind. Tissue has speckle fixed in space (a hash of the position), so that it moves with the
anatomy when the probe moves. The picture is credible, the physics is not: no refraction, no phase aberration, no real beam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .Echogenicity import GAS_LIKE, brightnessTable, interfaceTable, stripedTable
from .LumbarPhantom import LumbarPhantom
from .SimulatedPose import inversePose, mapPoints
from .UltrasoundGeometry import UltrasoundGeometry

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
Image = npt.NDArray[np.uint8]

SPECKLE_CELL_MM = 0.42
GEL_MM = 8.0
"""Gap between face and skin that gel and the pressed skin fill; lines with a wider gap see nothing."""
ELEVATION_OFFSETS_MM = (-1.1, 0.0, 1.1)
"""Planes that together stand for the thickness of the beam."""
ELEVATION_WEIGHTS = (0.25, 0.5, 0.25)


@dataclass(frozen=True)
class BoneSurfaceTruth:
    """Where the bone surface lies in an image, for judging a detector: one entry per scan line that meets bone."""

    line: npt.NDArray[np.int64]
    pixels: FloatArray
    """Column and row (n, 2) as displayed, with the depth scale error if there is one."""
    pointsRas: FloatArray
    """Where that bone truly is (n, 3)."""


class SimulatedUltrasound:
    """Makes images of a phantom.

    :param depthScale: displayed depth divided by true depth; 1.02 when the machine assumes a speed of sound 2 % too high.
    :param noiseLevel: electronic noise (standard deviation as a share of full brightness).
    """

    def __init__(
        self,
        phantom: LumbarPhantom,
        geometry: UltrasoundGeometry | None = None,
        *,
        seed: int = 0,
        depthScale: float = 1.0,
        noiseLevel: float = 0.02,
    ) -> None:
        if not 0.8 < depthScale < 1.25:
            raise ValueError(f"A depth scale of {depthScale} is no speed-of-sound error; it must lie between 0.8 and 1.25.")
        self.geometry = geometry or UltrasoundGeometry()
        self.depthScale = depthScale
        self.noiseLevel = noiseLevel
        self._rasToIjk = inversePose(phantom.ijkToRas)
        self._patientFromRas = inversePose(phantom.truth.patientToRas)
        self._shape = np.array(phantom.labels.shape[::-1])
        self._strides = np.array([1, phantom.labels.shape[2], phantom.labels.shape[1] * phantom.labels.shape[2]])
        self._labels = np.ascontiguousarray(phantom.labels).reshape(-1)
        self._bone = np.ascontiguousarray(phantom.boneFraction).reshape(-1)
        self._nearBone = _dilated(phantom.boneFraction).reshape(-1)
        self._level, self._group, self._striped = brightnessTable(), interfaceTable(), stripedTable()
        self._isGas = np.isin(np.arange(256), GAS_LIKE)
        generator = np.random.default_rng(seed)
        self._rayleigh = np.sqrt(-2.0 * np.log(generator.uniform(1e-6, 1.0, 1 << 16))).astype(np.float32)
        self._generator = generator
        self._prepareLines(generator)
        self._prepareScanConversion()

    def _prepareLines(self, generator: np.random.Generator) -> None:
        geometry = self.geometry
        depth = np.arange(geometry.sampleCount)[None, :] * geometry.sampleMm
        line = np.arange(geometry.lineCount)[:, None]
        x, y = geometry.linePoints(line, depth / self.depthScale)
        self._x, self._y = x.astype(np.float32), y.astype(np.float32)
        self._depth = (depth[0]).astype(np.float32)
        self._dither = [generator.uniform(-0.45, 0.45, x.shape).astype(np.float32) for _ in range(3)]
        self._noise = generator.standard_normal((geometry.lineCount, geometry.sampleCount * 2)).astype(np.float32)
        self._attenuation = np.exp(-self._depth / 260.0).astype(np.float32)
        near = np.exp(-self._depth / 1.2).astype(np.float32)
        self._mainBang = (0.75 * near * (1.0 + 0.25 * np.sin(self._depth * 5.0))).astype(np.float32)

    def _prepareScanConversion(self) -> None:
        from scipy.sparse import csr_matrix  # imported here: it costs start-up time in Slicer

        geometry = self.geometry
        columns, rows = np.meshgrid(np.arange(geometry.columns), np.arange(geometry.rows))
        matrix = geometry.imageToUltrasound
        line, depth = geometry.lineAndDepth(matrix[0, 0] * columns + matrix[0, 3], matrix[1, 1] * rows + matrix[1, 3])
        sample = depth / geometry.sampleMm
        inside = (line >= 0) & (line <= geometry.lineCount - 1) & (sample >= 0) & (sample <= geometry.sampleCount - 1)
        self._inside = np.flatnonzero(inside)
        line, sample = line[inside], sample[inside]
        l0 = np.minimum(line.astype(int), geometry.lineCount - 2)
        s0 = np.minimum(sample.astype(int), geometry.sampleCount - 2)
        fl, fs = line - l0, sample - s0
        base = l0 * geometry.sampleCount + s0
        indices = np.stack([base, base + 1, base + geometry.sampleCount, base + geometry.sampleCount + 1], 1)
        weights = np.stack([(1 - fl) * (1 - fs), (1 - fl) * fs, fl * (1 - fs), fl * fs], 1).astype(np.float32)
        starts = np.arange(0, 4 * len(base) + 1, 4, dtype=np.int32)
        size = geometry.lineCount * geometry.sampleCount
        self._scanConversion = csr_matrix((weights.ravel(), indices.ravel().astype(np.int32), starts), shape=(len(base), size))

    def render(self, probeToRas: npt.ArrayLike, needleRas: npt.ArrayLike | None = None) -> Image:
        """Image (rows, columns), 8 bit, seen by the probe at a pose.

        :param probeToRas: pose of the probe's sensor.
        :param needleRas: centreline (n, 3) of the needle from hub to tip; its part within the beam is drawn.
        """
        ultrasoundToRas = np.asarray(probeToRas, float) @ self.geometry.ultrasoundToProbe
        ultrasoundToIjk = self._rasToIjk @ ultrasoundToRas
        labels, inVolume = self._gatherLabels(ultrasoundToIjk)
        hits = self._boneDepths(ultrasoundToIjk)
        beam = self._tissue(labels, ultrasoundToRas)
        transmission = self._gasShadow(labels, inVolume)
        self._addBone(beam, transmission, hits)
        beam *= self._attenuation
        beam += self._mainBang
        if needleRas is not None:
            self._addNeedle(beam, transmission, ultrasoundToRas, np.asarray(needleRas, float))
        shift = int(self._generator.integers(0, self.geometry.sampleCount))
        beam += self.noiseLevel * self._noise[:, shift : shift + self.geometry.sampleCount]
        np.clip(beam, 0.0, 1.0, out=beam)
        image = np.zeros(self.geometry.rows * self.geometry.columns, np.uint8)
        image[self._inside] = (self._scanConversion @ (beam.ravel() * np.float32(255.0))).astype(np.uint8)
        return image.reshape(self.geometry.rows, self.geometry.columns)

    def boneSurface(self, probeToRas: npt.ArrayLike) -> BoneSurfaceTruth:
        """The bone surface a perfect detector would find in the image at this pose (middle plane of the beam)."""
        ultrasoundToRas = np.asarray(probeToRas, float) @ self.geometry.ultrasoundToProbe
        ultrasoundToIjk = self._rasToIjk @ ultrasoundToRas
        labels, inVolume = self._gatherLabels(ultrasoundToIjk)
        seen = self._gasShadow(labels, inVolume)
        depth = self._firstHit(ultrasoundToIjk, 0.0)
        sample = np.clip(np.rint(np.nan_to_num(depth) / self.geometry.sampleMm).astype(int), 0, self.geometry.sampleCount - 1)
        line = np.flatnonzero(np.isfinite(depth) & (seen[np.arange(len(depth)), sample] > 0.5))
        shown = self.geometry.linePoints(line, depth[line])
        true = self.geometry.linePoints(line, depth[line] / self.depthScale)
        flat = np.zeros(len(line))
        pixels = mapPoints(inversePose(self.geometry.imageToUltrasound), np.stack([*shown, flat], 1).reshape(-1, 3))[:, :2]
        return BoneSurfaceTruth(line, pixels, mapPoints(ultrasoundToRas, np.stack([*true, flat], 1).reshape(-1, 3)))

    def _planeToIjk(self, matrix: FloatArray, elevationMm: float) -> tuple[Float32Array, Float32Array, Float32Array]:
        m = matrix.astype(np.float32)
        i, j, k = (m[row, 0] * self._x + m[row, 1] * self._y + (m[row, 3] + m[row, 2] * np.float32(elevationMm)) for row in range(3))
        return i, j, k

    def _gatherLabels(self, ultrasoundToIjk: FloatArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Labels on the scan lines. The positions are dithered by about half a voxel, else voxel edges would show."""
        ijk = self._planeToIjk(ultrasoundToIjk, 0.0)
        index = np.zeros(self._x.shape, np.int32)
        inVolume = np.ones(self._x.shape, bool)
        for axis in range(3):
            value = (ijk[axis] + (self._dither[axis] + np.float32(0.5))).astype(np.int32)
            inVolume &= (value >= 0) & (value < self._shape[axis])
            np.clip(value, 0, self._shape[axis] - 1, out=value)
            index += value * np.int32(self._strides[axis])
        return self._labels.take(index), inVolume

    def _firstHit(self, ultrasoundToIjk: FloatArray, elevationMm: float) -> FloatArray:
        """Displayed depth (mm) of the first bone on every line, NaN where there is none: where the bone fraction passes one half."""
        i, j, k = self._planeToIjk(ultrasoundToIjk, elevationMm)
        index = np.zeros(self._x.shape, np.int32)
        inVolume = np.ones(self._x.shape, bool)
        for axis, value in enumerate((i, j, k)):
            nearest = (value + np.float32(0.5)).astype(np.int32)
            inVolume &= (value > 1) & (value < self._shape[axis] - 2)
            np.clip(nearest, 0, self._shape[axis] - 1, out=nearest)
            index += nearest * np.int32(self._strides[axis])
        near = np.flatnonzero((self._nearBone.take(index) & inVolume).ravel())
        flat = np.zeros(self._x.size, np.float32)
        flat[near] = self._trilinear(i.ravel()[near], j.ravel()[near], k.ravel()[near])
        fraction = flat.reshape(self._x.shape)
        inside = fraction >= 127.5
        first = inside.argmax(1)
        lines = np.arange(len(first))
        previous = np.maximum(first - 1, 0)
        low, high = fraction[lines, previous], fraction[lines, first]
        part = np.where(high > low, (127.5 - low) / np.maximum(high - low, 1e-3), 0.0)
        depth = (previous + part) * self.geometry.sampleMm
        return np.where(inside[lines, first] & (first > 0), depth, np.nan)

    def _trilinear(self, i: Float32Array, j: Float32Array, k: Float32Array) -> Float32Array:
        i0, j0, k0 = i.astype(np.int32), j.astype(np.int32), k.astype(np.int32)
        fi, fj, fk = i - i0, j - j0, k - k0
        sj, sk = int(self._strides[1]), int(self._strides[2])
        base = i0 + j0 * np.int32(sj) + k0 * np.int32(sk)

        def along(offset: int) -> Float32Array:
            first = self._bone.take(base + np.int32(offset)).astype(np.float32)
            second = self._bone.take(base + np.int32(offset + 1)).astype(np.float32)
            result: Float32Array = first + fi * (second - first)
            return result

        low = along(0)
        low += fj * (along(sj) - low)
        high = along(sk)
        high += fj * (along(sk + sj) - high)
        result: Float32Array = low + fk * (high - low)
        return result

    def _boneDepths(self, ultrasoundToIjk: FloatArray) -> list[FloatArray]:
        return [self._firstHit(ultrasoundToIjk, offset) for offset in ELEVATION_OFFSETS_MM]

    def _tissue(self, labels: npt.NDArray[np.uint8], ultrasoundToRas: FloatArray) -> Float32Array:
        """Speckled brightness without shadows, with echoes where the tissue changes."""
        m = (self._patientFromRas @ ultrasoundToRas).astype(np.float32)
        px, py, pz = (m[row, 0] * self._x + m[row, 1] * self._y + m[row, 3] for row in range(3))
        scale = np.float32(1.0 / SPECKLE_CELL_MM)
        hashed = (px * scale).astype(np.int32) * np.int32(73856093)
        hashed ^= (py * scale).astype(np.int32) * np.int32(19349663)
        hashed ^= (pz * (scale * np.float32(0.5))).astype(np.int32) * np.int32(83492791)
        hashed ^= hashed >> np.int32(13)
        hashed *= np.int32(1274126177)
        speckle = self._rayleigh.take((hashed >> np.int32(8)) & np.int32(0xFFFF))
        # the point spread: wider across the beam than along it
        speckle[1:-1] = 0.5 * speckle[1:-1] + 0.25 * (speckle[:-2] + speckle[2:])
        speckle[:, 1:] = 0.6 * speckle[:, 1:] + 0.4 * speckle[:, :-1]
        stripes = self._striped.take(labels)
        bent = py + np.float32(1.3) * np.sin(px * np.float32(0.13) + pz * np.float32(0.07)) + np.float32(0.22) * pz
        stripes *= np.sin(np.float32(1.55) * bent) * np.sin(np.float32(0.47) * bent + np.float32(0.09) * px + np.float32(1.0))
        beam: Float32Array = self._level.take(labels)
        beam += stripes
        # log compression of Rayleigh speckle: about +-25 % around the mean level
        beam *= np.float32(0.35) + np.float32(0.52) * speckle
        groups = self._group.take(labels)
        echoes = (groups[:, 1:] != groups[:, :-1]).astype(np.float32)
        echoes *= np.float32(0.22)
        beam[:, 1:] += echoes
        return beam

    def _gasShadow(self, labels: npt.NDArray[np.uint8], inVolume: npt.NDArray[np.bool_]) -> Float32Array:
        """Transmission 1 down to the first air or gas on a line, 0 behind. Lines without skin contact transmit nothing."""
        gas = self._isGas.take(labels) | ~inVolume
        contact = min(int(GEL_MM / self.geometry.sampleMm), gas.shape[1] - 1)
        lacking = gas[:, :contact].mean(1) > 0.95
        gas[:, :contact] = False
        blocked = np.maximum.accumulate(gas, axis=1)
        transmission = (~blocked).astype(np.float32)
        transmission[lacking] = 0.0
        return transmission

    def _addBone(self, beam: Float32Array, transmission: Float32Array, hits: list[FloatArray]) -> None:
        """Ridge at the bone, shadow and faint reverberation behind it; works in place. ``transmission`` becomes the total one."""
        ridge = np.zeros_like(beam)
        shadow = np.zeros_like(beam)
        lineMm = self._x[1:, 0] - self._x[:-1, 0]
        for weight, depth in zip(ELEVATION_WEIGHTS, hits):
            found = np.flatnonzero(np.isfinite(depth))
            if not found.size:
                continue
            filled = np.where(np.isfinite(depth), depth, 0.0)
            # bone that stands oblique to the beam throws less back
            slope = np.zeros(len(depth))
            slope[:-1] = np.diff(filled) / np.maximum(lineMm * (1.0 + filled[:-1] / 90.0), 1e-3)
            strength = 0.25 + 0.75 / (1.0 + (slope[found] / 1.1) ** 2)
            distance = self._depth[None, :] - depth[found, None].astype(np.float32)
            profile = np.exp(-((distance / np.where(distance < 0, np.float32(0.75), np.float32(1.15))) ** 2))
            ridge[found] += (weight * strength[:, None]).astype(np.float32) * profile
            shadow[found] += np.float32(weight) * np.clip(distance / np.float32(1.6), 0.0, 1.0)
            echo = self._depth[None, :] - (2.0 * depth[found, None]).astype(np.float32)
            ridge[found] += np.float32(0.07 * weight) * np.exp(-((echo / np.float32(1.8)) ** 2))
        beam *= transmission
        beam *= 1.0 - np.float32(0.96) * shadow
        beam += np.float32(1.15) * ridge * transmission
        transmission *= 1.0 - shadow

    def _addNeedle(self, beam: Float32Array, transmission: Float32Array, ultrasoundToRas: FloatArray, needleRas: FloatArray) -> None:
        """Bright line where the needle lies within the beam's thickness; weaker when it runs along the beam."""
        points = mapPoints(inversePose(ultrasoundToRas), needleRas)
        lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
        if lengths.sum() <= 0:
            return
        along = np.concatenate([[0.0], np.cumsum(lengths)])
        steps = np.arange(0.0, along[-1], 0.25)
        dense = np.stack([np.interp(steps, along, points[:, axis]) for axis in range(3)], 1)
        direction = np.gradient(dense, axis=0)
        direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
        line, depth = self.geometry.lineAndDepth(dense[:, 0], dense[:, 1])
        sample = depth * self.depthScale / self.geometry.sampleMm
        near = np.abs(dense[:, 2]) < 3.0
        near &= (line > 1) & (line < self.geometry.lineCount - 2) & (sample > 1) & (sample < self.geometry.sampleCount - 8)
        if not near.any():
            return
        across = np.abs(direction[near, 0])
        strength = (np.exp(-((dense[near, 2] / 1.2) ** 2)) * (0.35 + 0.75 * across)).astype(np.float32)
        l0, s0 = np.rint(line[near]).astype(int), np.rint(sample[near]).astype(int)
        strength *= 0.1 + 0.9 * transmission[l0, s0]
        for dl, ds, weight in ((0, 0, 1.0), (0, 1, 0.9), (0, -1, 0.6), (1, 0, 0.6), (-1, 0, 0.6), (0, 2, 0.5), (0, 6, 0.15)):
            np.maximum.at(beam, (l0 + dl, s0 + ds), np.float32(weight) * strength)


def _dilated(fraction: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Voxels whose neighbourhood holds bone: only there the bone fraction must be interpolated."""
    near = fraction > 0
    for axis in range(3):
        grown = near.copy()
        first = [slice(None)] * 3
        second = [slice(None)] * 3
        first[axis], second[axis] = slice(1, None), slice(None, -1)
        grown[tuple(first)] |= near[tuple(second)]
        grown[tuple(second)] |= near[tuple(first)]
        near = grown
    return near
