"""Geometry of a simulated ultrasound image: scan lines, pixels and the probe's sensor.

Frames. *Image*: pixel (column, row, 0), row 0 at the skin. *Ultrasound*: millimetres, origin in the middle of the transducer's
face, x along the columns, y into the depth, z = x cross y out of the plane. *Probe*: the sensor clipped to the probe.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.ProbeGeometry import ProbeGeometry, curvilinearGeometry, linearGeometry

from .SimulatedPose import poseFromTurns

FloatArray = npt.NDArray[np.float64]

ULTRASOUND_TO_PROBE: FloatArray = poseFromTurns(
    (((0.0, 0.0, 1.0), 92.0), ((0.0, 1.0, 0.0), -7.0), ((1.0, 0.0, 0.0), 4.0)), (14.0, -23.0, 71.0)
)
"""Where the transducer is, seen from the sensor on the probe's grip: turned and away from it, as a real clip-on sensor."""


@dataclass(frozen=True)
class UltrasoundGeometry:
    """A linear or curvilinear image. Lengths are millimetres; the face of a curvilinear probe is an arc of ``radiusMm``."""

    kind: str = "curvilinear"
    columns: int = 640
    rows: int = 480
    depthMm: float = 110.0
    radiusMm: float = 60.0
    fieldOfViewDeg: float = 58.0
    """Opening angle of a curvilinear image."""
    widthMm: float = 50.0
    """Width of a linear image."""
    lineCount: int = 176
    sampleMm: float = 0.25
    """Distance of the samples along a scan line."""
    ultrasoundToProbe: FloatArray = field(default_factory=lambda: ULTRASOUND_TO_PROBE.copy(), compare=False)

    def __post_init__(self) -> None:
        if self.kind not in ("linear", "curvilinear"):
            raise ValueError(f"Ultrasound geometry {self.kind!r} is neither 'linear' nor 'curvilinear'.")
        if min(self.columns, self.rows) < 16 or self.depthMm <= 0 or self.lineCount < 8 or self.sampleMm <= 0:
            raise ValueError("An ultrasound image needs at least 16 x 16 pixels, 8 scan lines and positive lengths.")

    @property
    def pixelSpacingMm(self) -> float:
        """Size of the square pixels: the whole image fits into columns x rows."""
        height = self.depthMm + self._sagMm
        width = self.widthMm if self.kind == "linear" else 2.0 * (self.radiusMm + self.depthMm) * np.sin(0.5 * self._fovRad)
        return float(max(height / (self.rows - 4), width / (self.columns - 4)))

    @property
    def faceCenterPixel(self) -> tuple[float, float]:
        """Column and row of the middle of the transducer's face."""
        return 0.5 * (self.columns - 1), 2.0 + self._sagMm / self.pixelSpacingMm

    @property
    def imageToUltrasound(self) -> FloatArray:
        """Pixel (column, row, 0) to millimetres in the ultrasound frame."""
        spacing, (column, row) = self.pixelSpacingMm, self.faceCenterPixel
        return np.array([[spacing, 0, 0, -spacing * column], [0, spacing, 0, -spacing * row], [0, 0, spacing, 0], [0, 0, 0, 1.0]])

    @property
    def imageToProbe(self) -> FloatArray:
        """Pixel (column, row, 0) to millimetres in the frame of the probe's sensor: the spatial calibration."""
        return self.ultrasoundToProbe @ self.imageToUltrasound

    @property
    def sampleCount(self) -> int:
        """Samples along a scan line."""
        return int(np.floor(self.depthMm / self.sampleMm)) + 1

    def probeGeometry(self) -> ProbeGeometry:
        """The same image as the bone detection of FusionRegistrationLib describes it."""
        spacing, (column, row) = self.pixelSpacingMm, self.faceCenterPixel
        if self.kind == "linear":
            half = 0.5 * self.widthMm / spacing
            region = (column - half, row, column + half, row + self.depthMm / spacing)
            return linearGeometry(self.columns, self.rows, (spacing, spacing), region)
        return curvilinearGeometry(
            self.columns,
            self.rows,
            (spacing, spacing),
            apexPixel=(column, row - self.radiusMm / spacing),
            faceRadiusMm=self.radiusMm,
            depthMm=self.depthMm,
            halfAngleDeg=0.5 * self.fieldOfViewDeg,
        )

    @property
    def _fovRad(self) -> float:
        return float(np.radians(self.fieldOfViewDeg))

    @property
    def _sagMm(self) -> float:
        return 0.0 if self.kind == "linear" else self.radiusMm * (1.0 - float(np.cos(0.5 * self._fovRad)))

    def linePoints(self, line: npt.ArrayLike, depthMm: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """x and y (ultrasound frame) of places given by scan line number (may be fractional) and depth below the face."""
        share = np.asarray(line, float) / (self.lineCount - 1) - 0.5
        depth = np.asarray(depthMm, float)
        if self.kind == "linear":
            x, y = np.broadcast_arrays(share * self.widthMm, depth)
            return np.array(x), np.array(y)
        angle = share * self._fovRad
        return (self.radiusMm + depth) * np.sin(angle), (self.radiusMm + depth) * np.cos(angle) - self.radiusMm

    def lineAndDepth(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Inverse of :meth:`linePoints`."""
        px, py = np.asarray(x, float), np.asarray(y, float)
        if self.kind == "linear":
            return (px / self.widthMm + 0.5) * (self.lineCount - 1), py
        angle = np.arctan2(px, py + self.radiusMm)
        return (angle / self._fovRad + 0.5) * (self.lineCount - 1), np.hypot(px, py + self.radiusMm) - self.radiusMm
