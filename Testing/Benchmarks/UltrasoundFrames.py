"""Hard, seeded B-mode frames with a known bone surface: speckle, fascia lines, reverberation, shadow gaps, oblique and absent bone.

The image is formed in beam space (scan lines x depth): complex Gaussian scatterers weighted by an echogenicity map and blurred by
the pulse give Rayleigh speckle; fascia and bone add coherent echoes; everything behind bone is dimmed; the envelope is attenuated,
log-compressed and, for a curved array, scan-converted.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from FusionRegistrationLib.ProbeGeometry import ProbeGeometry, curvilinearGeometry, linearGeometry

FloatArray = npt.NDArray[np.float64]

COLUMNS, ROWS = 640, 480
LINES, DEPTHS = 320, 480


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """image: (480, 640) uint8. geometry: of the probe. truthMm: bone depth per fine scan line (NaN: none or not heard), over the same
    opening as the geometry's lines."""

    image: npt.NDArray[np.uint8]
    geometry: ProbeGeometry
    truthMm: FloatArray

    def truthAt(self, lines: npt.ArrayLike) -> FloatArray:
        """True bone depth (mm) at the geometry's scan lines; NaN where there is none."""
        at = (np.asarray(lines, float) + 0.5) / self.geometry.lineCount * len(self.truthMm) - 0.5
        return self.truthMm[np.clip(np.rint(at).astype(int), 0, len(self.truthMm) - 1)]


def makeFrame(seed: int, *, curved: bool, bone: bool = True) -> Frame:
    """One frame; the seed decides everything in it."""
    random = np.random.default_rng([seed, int(curved), int(bone)])
    depthMm = random.uniform(70.0, 100.0) if curved else random.uniform(50.0, 62.0)
    widthMm = 64.0 if not curved else 0.0
    halfAngle = np.radians(30.0)
    faceRadius = 50.0
    depthStep = depthMm / DEPTHS
    depth = (np.arange(DEPTHS) + 0.5) * depthStep
    lateralMm = widthMm if not curved else 2.0 * halfAngle * (faceRadius + 0.5 * depthMm)
    lineStep = lateralMm / LINES
    x = (np.arange(LINES) + 0.5) * lineStep - lateralMm / 2.0

    surface, visible = _bone(x, depthMm, random) if bone else (np.full(LINES, np.nan), np.zeros(LINES, bool))
    echo = _tissue(x, depth, depthMm, lineStep, depthStep, random)
    dim = np.ones((DEPTHS, LINES))
    boneEcho = np.zeros((DEPTHS, LINES))
    if bone:
        slope = np.gradient(np.where(np.isfinite(surface), surface, 0.0), lineStep)
        loud = random.uniform(1.5, 6.0) / (1.0 + slope**2) ** random.uniform(0.5, 1.2)
        loud *= np.exp(0.6 * gaussian_filter1d(random.normal(0, 4.0, LINES), 6))
        behind = depth[:, None] - np.where(np.isfinite(surface), surface, 1e3)[None, :]
        pulse = random.uniform(0.35, 0.5)
        tail = random.uniform(0.2, 1.6)
        shape = np.where(behind < 0, np.exp(-0.5 * (behind / pulse) ** 2), np.exp(-0.5 * (behind / (pulse + 0.5 * tail)) ** 2))
        boneEcho = np.where(visible, loud, 0.0)[None, :] * shape
        dark = random.uniform(0.03, 0.15)
        shadow = gaussian_filter1d((behind > 0.5).astype(float), random.uniform(0.4, 1.0) / lineStep, axis=1)
        dim = 1.0 - (1.0 - dark) * shadow
        # Reverberation: weaker copies of the bone between probe and bone.
        for times in (2, 3):
            copy = depth[:, None] - times * np.where(np.isfinite(surface), surface, 1e3)[None, :]
            boneEcho += np.where(visible, loud, 0.0)[None, :] * random.uniform(0.01, 0.06) / times * np.exp(-0.5 * (copy / 0.9) ** 2)
    # Clutter: soft haze of side lobes and multiple scattering, also within the shadow.
    haze = random.uniform(0.0, 0.05) * np.exp(0.8 * gaussian_filter(random.normal(0, 30.0, (DEPTHS, LINES)), (15, 15)))
    contact = np.ones(LINES)
    for _ in range(random.integers(0, 3)):  # lost contact: dark from the skin down
        at, width = random.uniform(x[0], x[-1]), random.uniform(1.5, 6.0)
        contact *= 1.0 - 0.97 / (1.0 + np.exp((np.abs(x - at) - width / 2.0) / 0.3))
    lost = contact < 0.5
    coherent = boneEcho * (0.8 + 0.7 * _speckle(boneEcho.shape, 0.3 / depthStep, 0.8 / lineStep, random).real)
    envelope = (
        np.abs(echo * dim + coherent * np.exp(0.3j) + haze * _speckle(haze.shape, 0.3 / depthStep, 1.0 / lineStep, random))
        * contact[None, :]
    )
    envelope *= np.exp(-random.uniform(0.0, 0.045) * depth)[:, None]
    envelope = np.abs(envelope + random.uniform(0.004, 0.03) * np.abs(_speckle(envelope.shape, 1.0, 1.0, random)))
    dynamic = random.uniform(45.0, 60.0)
    level = 20.0 * np.log10(envelope / np.quantile(envelope, 0.985) + 1e-6)
    grey = np.clip((level + dynamic) / dynamic, 0.0, 1.0) ** random.uniform(0.9, 1.4) * 255.0
    truth = np.where(visible & ~lost, surface, np.nan)
    return _toImage(grey, truth, curved, depthMm, widthMm, halfAngle, faceRadius)


def _speckle(shape: tuple[int, ...], axial: float, lateral: float, random: np.random.Generator) -> npt.NDArray[np.complex128]:
    """Complex Gaussian field of unit variance, correlated over the given samples."""
    field = random.normal(size=shape) + 1j * random.normal(size=shape)
    smooth = gaussian_filter(field.real, (axial, lateral)) + 1j * gaussian_filter(field.imag, (axial, lateral))
    return smooth / np.sqrt((np.abs(smooth) ** 2).mean())


def _tissue(x: FloatArray, depth: FloatArray, depthMm: float, lineStep: float, depthStep: float, random: np.random.Generator) -> FloatArray:
    """Complex echoes of skin, fat, muscle with striations, and fascia lines."""
    shape = (len(depth), len(x))
    fat = random.uniform(4.0, 12.0) + 1.5 * np.sin(x / random.uniform(15.0, 40.0) + random.uniform(0, 6))
    echogenicity = np.where(depth[:, None] < fat[None, :], random.uniform(0.6, 1.2), random.uniform(0.25, 0.6))
    striation = gaussian_filter(random.normal(size=shape), (0.5 / depthStep, 6.0 / lineStep))
    echogenicity = echogenicity * np.exp(0.5 * striation / max(float(striation.std()), 1e-9))
    echogenicity *= 1.0 + 2.0 * np.exp(-depth / 2.5)[:, None]
    lateral = 0.5 / lineStep
    echoes = echogenicity * _speckle(shape, 0.25 / depthStep, lateral, random)
    for _ in range(random.integers(2, 6)):
        level = random.uniform(4.0, 0.75 * depthMm)
        line = level + random.normal(0, 0.06) * x + 1.2 * np.sin(x / random.uniform(8.0, 30.0) + random.uniform(0, 6))
        left, right = np.sort(random.uniform(x[0] - 15.0, x[-1] + 15.0, 2))
        present = 1.0 / (1.0 + np.exp(-(x - left) / 0.8)) / (1.0 + np.exp((x - right) / 0.8))
        strength = random.uniform(1.0, 5.0) * present * np.exp(0.3 * gaussian_filter1d(random.normal(0, 4.0, len(x)), 6))
        echoes = echoes + strength[None, :] * np.exp(-0.5 * ((depth[:, None] - line[None, :]) / random.uniform(0.25, 0.5)) ** 2)
    return echoes


def _bone(x: FloatArray, depthMm: float, random: np.random.Generator) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """Depth of the bone over the scan lines (NaN: no bone, no shadow) and whether its echo is heard."""
    kind = random.integers(0, 4)
    deep = random.uniform(0.35, 0.55) * depthMm
    middle = random.uniform(-8.0, 8.0)
    lateral = x - middle
    surface = np.full(len(x), np.nan)
    if kind == 0:  # spinous process between laminae
        surface = deep + 0.25 * np.abs(lateral) + 1.0 * np.sin(lateral / 4.0)
        process = np.abs(lateral) < random.uniform(3.0, 5.0)
        surface[process] = deep - random.uniform(8.0, 14.0) + 0.12 * lateral[process] ** 2
        surface[np.abs(lateral) > random.uniform(16.0, 24.0)] = np.nan
    elif kind == 1:  # laminae and facets in steps
        edges = np.sort(random.uniform(-26.0, 26.0, 5))
        for left, right in itertools.pairwise(edges):
            part = (lateral >= left) & (lateral < right)
            surface[part] = (
                deep + random.normal(0, 3.0) + np.tan(np.radians(random.uniform(-50, 50))) * (lateral[part] - (left + right) / 2)
            )
    elif kind == 2:  # one oblique sheet
        angle = np.radians(random.uniform(20.0, 55.0)) * random.choice([-1, 1])
        width = random.uniform(8.0, 16.0)
        part = np.abs(lateral) < width
        surface[part] = deep + np.tan(angle) * lateral[part] * 0.7 + 0.6 * np.sin(lateral[part] / 2.5)
    else:  # a row of humps, as in a parasagittal plane over the articular processes
        pitch = random.uniform(18.0, 26.0)
        phase = np.mod(lateral + pitch / 2, pitch) - pitch / 2
        part = np.abs(phase) < random.uniform(6.0, 9.0)
        surface[part] = deep + 0.07 * phase[part] ** 2
    surface[(surface < 8.0) | (surface > 0.8 * depthMm)] = np.nan
    visible = np.isfinite(surface)
    for _ in range(random.integers(0, 3)):  # echo missing, shadow still there
        at, width = random.uniform(x[0], x[-1]), random.uniform(1.0, 4.0)
        visible &= np.abs(x - at) > width / 2
    return surface, visible


def _toImage(
    grey: FloatArray, truth: FloatArray, curved: bool, depthMm: float, widthMm: float, halfAngle: float, faceRadius: float
) -> Frame:
    """Scan conversion into 640 x 480 pixels."""
    columns, rows = np.meshgrid(np.arange(COLUMNS, dtype=float), np.arange(ROWS, dtype=float))
    if not curved:
        pixelMm = (widthMm / COLUMNS, depthMm / ROWS)
        line = (columns + 0.5) * LINES / COLUMNS - 0.5
        sample = (rows + 0.5) * DEPTHS / ROWS - 0.5
        image = map_coordinates(grey, [sample, line], order=1, mode="nearest")
        # The grid's sample 0 is the centre of the first pixel row, half a pixel below the face.
        geometry = linearGeometry(COLUMNS, ROWS, pixelMm, (-0.5, -0.5, COLUMNS - 0.5, ROWS - 0.5))
        return Frame(image.astype(np.uint8), geometry, truth)
    height = faceRadius + depthMm - faceRadius * np.cos(halfAngle)
    pixel = max(height / ROWS, 2.0 * (faceRadius + depthMm) * np.sin(halfAngle) / COLUMNS)
    apex = (COLUMNS / 2.0 - 0.5, -faceRadius * np.cos(halfAngle) / pixel)
    dx, dy = (columns - apex[0]) * pixel, (rows - apex[1]) * pixel
    radius, angle = np.hypot(dx, dy), np.arctan2(dx, dy)
    line = (angle + halfAngle) / (2 * halfAngle) * LINES - 0.5
    sample = (radius - faceRadius) / depthMm * DEPTHS - 0.5
    image = map_coordinates(grey, [sample, line], order=1, mode="constant")
    geometry = curvilinearGeometry(
        COLUMNS, ROWS, (pixel, pixel), apexPixel=apex, faceRadiusMm=faceRadius, depthMm=depthMm, halfAngleDeg=float(np.degrees(halfAngle))
    )
    return Frame(image.astype(np.uint8), geometry, truth)


@dataclasses.dataclass(frozen=True)
class DetectionScore:
    """Sums over frames: errorsMm of found points (within 3 mm of bone on their line), and counts for precision and recall."""

    errorsMm: FloatArray
    detected: int
    present: int
    within: dict[float, int]
    hits: dict[float, int]

    def precision(self, toleranceMm: float) -> float:
        """Share of detected points that lie on bone."""
        return self.within[toleranceMm] / max(self.detected, 1)

    def recall(self, toleranceMm: float) -> float:
        """Share of scan lines with audible bone on which it was found."""
        return self.hits[toleranceMm] / max(self.present, 1)


def scoreDetections(frames: list[Frame], linesAndDepths: list[tuple[npt.NDArray, FloatArray]]) -> DetectionScore:
    """Compare detections (line numbers, depths in mm) with the truth of their frames, along the scan line."""
    errors, detected, present = [], 0, 0
    within, hits = {0.5: 0, 1.0: 0}, {0.5: 0, 1.0: 0}
    for frame, (lines, depths) in zip(frames, linesAndDepths):
        truth = frame.truthAt(np.arange(frame.geometry.lineCount))
        present += int(np.isfinite(truth).sum())
        detected += len(lines)
        if len(lines) == 0:
            continue
        error = np.abs(depths - truth[lines])
        errors.append(error[error < 3.0])
        for tolerance in within:
            within[tolerance] += int((error < tolerance).sum())
            hits[tolerance] += len(np.unique(lines[error < tolerance]))
    return DetectionScore(np.concatenate(errors) if errors else np.zeros(0), detected, present, within, hits)
