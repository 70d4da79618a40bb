"""Bone surface in a B-mode image: bright ridge with a shadow behind it, at most one per scan line.

1. The image is averaged onto a grid of scan lines and depth samples (0.3 x 0.45 mm), in which every probe looks alike.
2. Ridge: phase symmetry of the monogenic signal, bright side only, two scales (Kovesi 1997; Felsberg & Sommer 2001;
   Hacihaliloglu et al. 2009). Shadow: how dark it is behind compared with what lies in front.
3. One surface per line by dynamic programming from line to line with a state for "no bone here" (after Foroughi et al. 2007).
4. Sub-pixel depth from the full-resolution image along the line; a confidence per point.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.ProbeGeometry import ProbeGeometry
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class BoneDetectionParameters:
    """wavelengthsMm: of the two ridge scales. boneScore: score below which "no bone" is the better explanation.

    jumpCost: per sample the surface moves between neighbouring lines; largestJump: samples. switchCost: of beginning or ending a piece.
    shadowMm: length over which darkness behind is judged; shadowNone, shadowFull: ratio to what tissue would be there at which the shadow
    counts as absent and as complete; tissueQuantile: rank among the lines that stands for tissue; deepWeight: weight of what lies deeper.
    litNone: ratio of the grey in front to what other lines show there, up to which the line counts as unlit.
    echoCentreMm: how far behind the surface the echo's place lies that is measured (pulse length and rise).
    nearFieldMm: depth in which the probe's own echoes hide bone. shortestMm: pieces shorter than this across are dropped.
    minimumConfidence: points below it are dropped.
    """

    wavelengthsMm: tuple[float, float] = (1.75, 7.5)
    boneScore: float = 0.145
    jumpCost: float = 0.012
    largestJump: int = 3
    switchCost: float = 0.42
    nearFieldMm: float = 4.0
    shadowMm: float = 14.0
    shadowNone: float = 0.69
    shadowFull: float = 0.43
    tissueQuantile: float = 0.95
    deepWeight: float = 0.67
    litNone: float = 0.54
    echoCentreMm: float = -0.15
    shortestMm: float = 2.0
    minimumConfidence: float = 0.25


@dataclasses.dataclass(frozen=True, eq=False)
class BoneDetection:
    """Bone found in one frame.

    pixels: (n, 2) sub-pixel (column, row). facePixels: (n, 2) where the point's scan line leaves the probe.
    lines: (n,) scan line number. confidence: (n,) in (0, 1].
    """

    pixels: FloatArray
    facePixels: FloatArray
    lines: npt.NDArray[np.int64]
    confidence: FloatArray

    def __len__(self) -> int:
        return len(self.pixels)


def detectBoneSurface(image: npt.NDArray, geometry: ProbeGeometry, parameters: BoneDetectionParameters | None = None) -> BoneDetection:
    """Find the bone surface in a B-mode image (rows, columns) of 8-bit or float grey values.

    :raises ValueError: when the image's size isn't the geometry's.
    """
    chosen = parameters or BoneDetectionParameters()
    frame = np.asarray(image)
    if frame.shape != (geometry.rows, geometry.columns):
        raise ValueError(
            _("The image has {frameShape} (rows, columns), the probe geometry {value}: build the geometry for this image size.").format(
                frameShape=frame.shape, value=(geometry.rows, geometry.columns)
            )
        )
    grid = _scanGrid(frame, geometry)
    score = _boneScore(grid, geometry, chosen)
    path = _bestPath(score, chosen)
    lines = np.flatnonzero(path >= 0)
    if len(lines) == 0:
        return BoneDetection(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    lines, samples = _longPieces(lines, path[lines], geometry, chosen)
    if len(lines) == 0:
        return BoneDetection(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    confidence = np.clip(score[samples, lines] / (5.0 * chosen.boneScore), 0.0, 1.0).astype(float)
    sure = confidence >= chosen.minimumConfidence
    lines, samples, confidence = lines[sure], samples[sure], confidence[sure]
    if len(lines) == 0:
        return BoneDetection(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0))
    depth = _subPixel(frame, geometry, lines, samples, chosen)
    return BoneDetection(geometry.pixelsAt(lines, depth), geometry.pixelsAt(lines, 0.0), lines, confidence)


def _scanGrid(frame: npt.NDArray, geometry: ProbeGeometry) -> Float32Array:
    """Mean grey value per grid cell, scaled so that the brightest percentile is 1."""
    flat = np.ascontiguousarray(frame).ravel()
    index = geometry.sampleIndex
    total = np.zeros(index.shape[1:], np.float32)
    for plane in index:
        total += flat.take(plane)
    total[~geometry.insideImage] = 0.0
    top = float(np.partition(total.ravel(), -(total.size // 100) - 1)[-(total.size // 100) - 1])
    return total / np.float32(max(top, 1e-3 * len(index)))


@functools.lru_cache(maxsize=8)
def _filters(
    rows: int, columns: int, rowMm: float, columnMm: float, wavelengthsMm: tuple[float, float]
) -> tuple[Float32Array, npt.NDArray[np.complex64]]:
    """Log-Gabor filters (scales, rows, columns // 2 + 1) and the Riesz multiplier of both directions packed in one complex number."""
    v = np.fft.fftfreq(rows, rowMm)[:, None]
    u = np.fft.rfftfreq(columns, columnMm)[None, :]
    radius = np.hypot(u, v)
    radius[0, 0] = 1.0
    gabor = np.stack([np.exp(-(np.log(radius * wavelength) ** 2) / (2.0 * np.log(0.55) ** 2)) for wavelength in wavelengthsMm])
    gabor[:, 0, 0] = 0.0
    riesz = np.stack([1j * v / radius, 1j * u / radius])
    return gabor.astype(np.float32), riesz.astype(np.complex64)


def _boneScore(grid: Float32Array, geometry: ProbeGeometry, chosen: BoneDetectionParameters) -> Float32Array:
    """Bone-likeness of every grid sample, about 0 for tissue and up to 1."""
    from scipy import fft

    rows, columns = grid.shape
    height, width = fft.next_fast_len(rows + 16, real=False), fft.next_fast_len(columns + 16, real=True)
    spectrum = fft.rfft2(grid - grid.mean(), s=(height, width))
    gabor, riesz = _filters(height, width, geometry.sampleMm, geometry.linePitchMm(), chosen.wavelengthsMm)
    symmetry = np.zeros_like(grid)
    amplitude = np.full_like(grid, 0.02)
    for scale in gabor:
        band = spectrum * scale
        even = fft.irfft2(band, s=(height, width))[:rows, :columns]
        oddDown = fft.irfft2(band * riesz[0], s=(height, width))[:rows, :columns]
        oddAcross = fft.irfft2(band * riesz[1], s=(height, width))[:rows, :columns]
        odd = np.sqrt(oddDown * oddDown + oddAcross * oddAcross)
        symmetry += np.maximum(even - odd, 0.0)
        amplitude += np.sqrt(even * even + odd * odd)
    symmetry /= amplitude
    symmetry *= _shadow(grid, geometry, chosen)
    symmetry *= np.sqrt(np.clip(grid, 0.0, 1.0))
    near = int(chosen.nearFieldMm / geometry.sampleMm)
    symmetry[:near] = 0.0
    symmetry[~geometry.insideImage] = 0.0
    return symmetry


def _shadow(grid: Float32Array, geometry: ProbeGeometry, chosen: BoneDetectionParameters) -> Float32Array:
    """1 where it is much darker behind than tissue would be there, 0 where it is as bright.

    What tissue would be: what other lines show at that depth, or what lies in front dimmed as tissue dims it in this very frame.
    Both are needed: gain and noise floor lift the shadow's grey in one frame, a wide lamina shadows most lines in another.
    """
    from scipy.ndimage import uniform_filter1d

    rows = len(grid)
    window = round(chosen.shadowMm / geometry.sampleMm)
    skip = round(2.0 / geometry.sampleMm)
    front = round(6.0 / geometry.sampleMm)
    wide = uniform_filter1d(grid, max(3, round(1.5 / geometry.linePitchMm())), axis=1, mode="nearest")
    total = np.zeros((rows + 1, grid.shape[1]), np.float32)
    np.cumsum(wide, axis=0, out=total[1:])
    at = np.arange(rows)

    def mean(first: npt.NDArray[np.intp], last: npt.NDArray[np.intp]) -> Float32Array:
        first, last = np.clip(first, 0, rows), np.clip(last, 0, rows)
        result: Float32Array = (total[last] - total[first]) / np.maximum(last - first, 1)[:, None].astype(np.float32)
        return result

    behind = mean(at + skip, at + skip + window)
    # Not fooled by a dark layer with bright tissue after it.
    behind = np.maximum(behind, np.float32(chosen.deepWeight) * mean(at + skip, at + skip + 3 * window))
    before = mean(at - front, at + 1)
    inner = before[front : rows - skip - window // 2]
    if len(inner) == 0:
        return np.zeros_like(grid)
    dimming = min(1.0, float(np.median(behind[front : rows - skip - window // 2] / (inner + 0.02))))
    others = np.quantile(behind[:, ::4], chosen.tissueQuantile, axis=1).astype(np.float32)[:, None]
    expected = np.maximum(others, dimming * before) + np.float32(0.02)
    result = np.clip((chosen.shadowNone - behind / expected) / (chosen.shadowNone - chosen.shadowFull), 0.0, 1.0).astype(np.float32)
    # In front of bone tissue is lit. Lines that lost contact, and echoes within a shadow, lie in the dark already.
    lead = mean(at - front, at - round(1.5 / geometry.sampleMm))
    litByOthers = np.quantile(lead[:, ::4], 0.6, axis=1).astype(np.float32)[:, None] + np.float32(0.02)
    result *= np.clip((lead / litByOthers - np.float32(chosen.litNone)) / np.float32(0.25), 0.0, 1.0)
    # Too little image behind to tell.
    result[rows - at - skip < window // 2] = 0.0
    return result


def _bestPath(score: Float32Array, chosen: BoneDetectionParameters) -> npt.NDArray[np.int64]:
    """Sample per line, -1 where there is no bone (Viterbi, maximum of score minus costs).

    Forward only the best values are kept; where they came from is worked out on the way back, for the one path alone.
    """
    samples, lines = score.shape
    gain = np.ascontiguousarray(score.T) - np.float32(chosen.boneScore)
    jump = chosen.largestJump
    price = (chosen.jumpCost * np.abs(np.arange(-jump, jump + 1))).astype(np.float32)
    switch = float(chosen.switchCost)
    # Values of the state "bone at this sample" before and at each line, with margins that no path enters.
    value = np.full((lines, samples + 2 * jump), -1e6, np.float32)
    inner = value[:, jump : jump + samples]
    none = np.zeros(lines)
    inner[0] = gain[0] - np.float32(switch)
    view = np.lib.stride_tricks.sliding_window_view(value, samples, axis=1)
    options = np.empty((2 * jump + 1, samples), np.float32)
    best = np.empty(samples, np.float32)
    for line in range(1, lines):
        np.subtract(view[line - 1], price[:, None], out=options)
        options.max(axis=0, out=best)
        np.maximum(best, np.float32(none[line - 1] - switch), out=best)
        np.add(best, gain[line], out=inner[line])
        none[line] = max(none[line - 1], float(inner[line - 1].max()) - switch)
    path = np.full(lines, -1, np.int64)
    top = int(inner[-1].argmax())
    state = -1 if none[-1] >= inner[-1, top] else top
    for line in range(lines - 1, -1, -1):
        path[line] = state
        if not line:
            break
        before = inner[line - 1]
        if state < 0:
            top = int(before.argmax())
            state = -1 if none[line - 1] >= before[top] - switch else top
        else:
            near = value[line - 1, state : state + 2 * jump + 1] - price
            choice = int(near.argmax())
            state = -1 if near[choice] < np.float32(none[line - 1] - switch) else state + choice - jump
    return path


def _longPieces(
    lines: npt.NDArray[np.intp], samples: npt.NDArray[np.int64], geometry: ProbeGeometry, chosen: BoneDetectionParameters
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Drop pieces of surface that are too short to be bone."""
    piece = np.cumsum(np.concatenate([[True], (np.diff(lines) > 1) | (np.abs(np.diff(samples)) > chosen.largestJump)]))
    long = np.bincount(piece)[piece] * geometry.linePitchMm() >= chosen.shortestMm
    return lines[long].astype(np.int64), samples[long]


def _subPixel(
    frame: npt.NDArray,
    geometry: ProbeGeometry,
    lines: npt.NDArray[np.int64],
    samples: npt.NDArray[np.int64],
    chosen: BoneDetectionParameters,
) -> FloatArray:
    """Depth in samples of the echo's brightest part, from the full-resolution image along the line.

    Bone echoes begin sharply and trail off, so what comes after the brightest part counts little.
    """
    from scipy.ndimage import gaussian_filter1d

    perSample = 4
    reach = perSample * max(3, round(1.8 / geometry.sampleMm))
    offsets = np.arange(-reach, reach + 1) / perSample
    depth = samples[:, None] + offsets
    profile = np.zeros(depth.shape)
    for sideways in (-0.35, 0.0, 0.35):
        pixels = geometry.pixelsAt(lines[:, None] + sideways, depth)
        column = np.clip(np.rint(pixels[..., 0]).astype(int), 0, geometry.columns - 1)
        row = np.clip(pixels[..., 1], 0, geometry.rows - 1.001)
        low = row.astype(int)
        share = row - low
        profile += (1.0 - share) * frame[low, column] + share * frame[low + 1, column]
    # Speckle makes single profiles ragged: those of neighbouring lines, each about its own sample of the path, are averaged in.
    step = geometry.sampleMm / perSample
    smooth = gaussian_filter1d(profile, 0.25 / step, axis=1, mode="nearest")
    if len(lines) > 2:
        together = (np.diff(lines) == 1)[:, None]
        shared = smooth.copy()
        shared[1:] += np.where(together, smooth[:-1], smooth[1:])
        shared[:-1] += np.where(together, smooth[1:], smooth[:-1])
        smooth = shared
    window = np.exp(-0.5 * (offsets * geometry.sampleMm / 0.9) ** 2)
    floor = np.quantile(smooth, 0.4, axis=1, keepdims=True)
    bright = np.maximum(smooth - floor, 0.0) * window
    top = bright.argmax(axis=1)
    behind = offsets[None, :] - offsets[top][:, None]
    weight = bright**2 * np.exp(-0.5 * (behind * geometry.sampleMm / np.where(behind > 0, 0.3, 0.5)) ** 2)
    total = weight.sum(axis=1)
    shift = np.where(total > 0, (weight * offsets).sum(axis=1) / np.maximum(total, 1e-9), 0.0)
    # The thicker the echo's front, the farther behind the bone its brightest part lies.
    shoulder = (bright >= 0.6 * bright.max(axis=1, keepdims=True)).argmax(axis=1)
    shift -= 0.6 * (offsets[top] - offsets[shoulder])
    result: FloatArray = np.asarray(samples + shift - chosen.echoCentreMm / geometry.sampleMm, float)
    return _smoothPieces(lines, result)


def _smoothPieces(lines: npt.NDArray[np.int64], depth: FloatArray) -> FloatArray:
    """Depths averaged with those of their neighbours on the same piece (1-2-1, four times): the beam is wider than a line."""
    result: FloatArray = depth.copy()
    for _unused in range(4):
        total, weight = 2.0 * result, np.full(len(result), 2.0)
        joined = (np.diff(lines) == 1) & (np.abs(np.diff(result)) < 4.0)
        total[1:] += np.where(joined, result[:-1], 0.0)
        weight[1:] += joined
        total[:-1] += np.where(joined, result[1:], 0.0)
        weight[:-1] += joined
        result = np.asarray(total / weight, float)
    return result
