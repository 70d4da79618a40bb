"""Where an ultrasound image's scan lines run: linear and curved arrays.

Pixels are (column, row), with (0, 0) the centre of the first pixel. A geometry lays a grid of scan lines and depth samples over the
image, in steps of millimetres, so that detection sees every probe alike: lines side by side, depth downwards.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

SAMPLE_MM = 0.3
LINE_MM = 0.45
"""Steps of the grid along and across the beams: a bone echo is 1-3 mm thick and wider than that."""
SUBSAMPLES = (3, 3)
"""Pixels read per grid cell, along and across."""


@dataclasses.dataclass(frozen=True)
class ProbeGeometry:
    """Grid of scan lines in an image. Build it with linearGeometry or curvilinearGeometry.

    columns, rows: size of the image in pixels. pixelMm: size of a pixel (width, height).
    apexPixel: where the lines of a curved array meet (column, row); for a linear array None.
    faceRadiusMm: distance of the probe's face from the apex; 0 for linear. lineStarts: lateral place of the first line, in mm from the
    left edge (linear) or rad from straight down (curved). lineStep, lineCount, sampleMm, sampleCount: the grid.
    topMm: depth of the first sample below the probe's face; faceRowMm: row of a linear array's face.
    """

    columns: int
    rows: int
    pixelMm: tuple[float, float]
    apexPixel: tuple[float, float] | None
    faceRadiusMm: float
    lineStart: float
    lineStep: float
    lineCount: int
    sampleMm: float
    sampleCount: int
    faceRowMm: float = 0.0

    def pixelsAt(self, lines: npt.ArrayLike, samples: npt.ArrayLike) -> FloatArray:
        """Pixels (..., 2) of (fractional) line and sample numbers; sample 0 lies at the probe's face."""
        line, depth = np.broadcast_arrays(np.asarray(lines, float), np.asarray(samples, float) * self.sampleMm)
        across = self.lineStart + self.lineStep * line
        if self.apexPixel is None:
            return np.stack([across / self.pixelMm[0], (self.faceRowMm + depth) / self.pixelMm[1]], axis=-1)
        radius = self.faceRadiusMm + depth
        return np.stack(
            [self.apexPixel[0] + radius * np.sin(across) / self.pixelMm[0], self.apexPixel[1] + radius * np.cos(across) / self.pixelMm[1]],
            axis=-1,
        )

    def linePitchMm(self) -> float:
        """Distance of neighbouring lines, for a curved array halfway down."""
        if self.apexPixel is None:
            return self.lineStep
        return self.lineStep * (self.faceRadiusMm + 0.5 * self.sampleMm * self.sampleCount)

    @functools.cached_property
    def sampleIndex(self) -> npt.NDArray[np.intp]:
        """Flat pixel indices (subsamples, samples, lines) whose mean is the grid's value."""
        down, across = SUBSAMPLES
        lines, samples = np.arange(self.lineCount), np.arange(self.sampleCount)
        planes = []
        for i in range(down):
            for j in range(across):
                shifted = self.pixelsAt((lines + (j + 0.5) / across - 0.5)[None, :], (samples + (i + 0.5) / down - 0.5)[:, None])
                column = np.clip(np.rint(shifted[..., 0]), 0, self.columns - 1).astype(np.intp)
                row = np.clip(np.rint(shifted[..., 1]), 0, self.rows - 1).astype(np.intp)
                planes.append(row * self.columns + column)
        return np.stack(planes)

    @functools.cached_property
    def insideImage(self) -> npt.NDArray[np.bool_]:
        """(samples, lines): the sample lies within the image."""
        pixels = self.pixelsAt(np.arange(self.lineCount)[None, :], np.arange(self.sampleCount)[:, None])
        inside: npt.NDArray[np.bool_] = (
            (pixels[..., 0] >= -0.5)
            & (pixels[..., 0] <= self.columns - 0.5)
            & (pixels[..., 1] >= -0.5)
            & (pixels[..., 1] <= self.rows - 0.5)
        )
        return inside


def linearGeometry(
    columns: int, rows: int, pixelMm: tuple[float, float], region: tuple[float, float, float, float] | None = None
) -> ProbeGeometry:
    """Geometry of a linear array. region: (first column, first row, last column, last row) of the scanned part; None: the whole image.

    :raises ValueError: sizes that aren't positive, or a region smaller than 5 mm.
    """
    _checkImage(columns, rows, pixelMm)
    first, top, last, bottom = region or (0.0, 0.0, columns - 1.0, rows - 1.0)
    width, depth = (last - first) * pixelMm[0], (bottom - top) * pixelMm[1]
    if width < 5.0 or depth < 5.0:
        raise ValueError(
            _("The scanned region of the ultrasound image measures {width:.1f} x {depth:.1f} mm: check region and pixel size.").format(
                width=width, depth=depth
            )
        )
    lines = max(8, round(width / LINE_MM))
    step = width / lines
    sample = max(SAMPLE_MM, pixelMm[1])
    return ProbeGeometry(
        columns, rows, pixelMm, None, 0.0, first * pixelMm[0] + step / 2.0, step, lines, sample, int(depth / sample), top * pixelMm[1]
    )


def curvilinearGeometry(
    columns: int,
    rows: int,
    pixelMm: tuple[float, float],
    *,
    apexPixel: tuple[float, float],
    faceRadiusMm: float,
    depthMm: float,
    halfAngleDeg: float,
) -> ProbeGeometry:
    """Geometry of a curved array. apexPixel: (column, row) where the lines meet, usually above the image.

    faceRadiusMm: from there to the probe's face; depthMm: from the face to the last sample; halfAngleDeg: half of the opening.

    :raises ValueError: sizes that aren't positive.
    """
    _checkImage(columns, rows, pixelMm)
    if not (faceRadiusMm > 0 and depthMm >= 5.0 and 1.0 <= halfAngleDeg <= 90.0):
        raise ValueError(_("A curved array needs a positive face radius, at least 5 mm depth and a half angle of 1-90 degrees."))
    angle = np.radians(halfAngleDeg)
    lines = max(8, round(2.0 * angle * (faceRadiusMm + 0.5 * depthMm) / LINE_MM))
    step = 2.0 * angle / lines
    sample = max(SAMPLE_MM, pixelMm[1])
    return ProbeGeometry(columns, rows, pixelMm, apexPixel, faceRadiusMm, -angle + step / 2.0, step, lines, sample, int(depthMm / sample))


def geometryFromCalibration(
    columns: int, rows: int, imageToProbe: npt.ArrayLike, region: tuple[float, float, float, float] | None = None
) -> ProbeGeometry:
    """Linear geometry with the pixel size that the probe calibration's axes carry.

    :raises ValueError: the probe isn't calibrated (the matrix is missing, an identity, or its pixels have no plausible size).
    """
    matrix = checkCalibration(imageToProbe)
    width, height = (float(np.linalg.norm(matrix[:3, k])) for k in (0, 1))
    return linearGeometry(columns, rows, (width, height), region)


def checkCalibration(imageToProbe: npt.ArrayLike) -> FloatArray:
    """The ImageToProbe matrix as an array, when it can be a calibration.

    :raises ValueError: with the reason and the remedy.
    """
    matrix = np.asarray(imageToProbe, float)
    remedy = _("calibrate the probe (PLUS fCal) and load its ImageToProbe transform.")
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(_("ImageToProbe is no 4x4 matrix of numbers: {remedy}").format(remedy=remedy))
    if np.allclose(matrix, np.eye(4)):
        raise ValueError(_("ImageToProbe is the identity, the probe is not calibrated: {remedy}").format(remedy=remedy))
    width, height = (float(np.linalg.norm(matrix[:3, k])) for k in (0, 1))
    if not (0.01 <= width <= 1.0 and 0.01 <= height <= 1.0):
        raise ValueError(
            _("ImageToProbe says a pixel measures {width:.3g} x {height:.3g} mm, which no ultrasound image does: {remedy}").format(
                width=width, height=height, remedy=remedy
            )
        )
    cosine = abs(float(matrix[:3, 0] @ matrix[:3, 1])) / (width * height)
    if cosine > 0.2:
        raise ValueError(
            _("The axes of ImageToProbe stand at {arccos:.0f} degrees instead of 90: {remedy}").format(
                arccos=np.degrees(np.arccos(cosine)), remedy=remedy
            )
        )
    return matrix


def _checkImage(columns: int, rows: int, pixelMm: tuple[float, float]) -> None:
    if columns < 16 or rows < 16:
        raise ValueError(_("An ultrasound image of {columns} x {rows} pixels is too small.").format(columns=columns, rows=rows))
    if not (0.0 < pixelMm[0] < 5.0 and 0.0 < pixelMm[1] < 5.0):
        raise ValueError(
            _("A pixel of {pixelMm:.3g} x {pixelMm2:.3g} mm is implausible: check the probe's calibration.").format(
                pixelMm=pixelMm[0], pixelMm2=pixelMm[1]
            )
        )
