"""A small analytic spine for the planning tests: blocks and cylinders whose every distance is known, painted on any voxel grid."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest

from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy, anatomyFromLabels

FloatArray = npt.NDArray[np.float64]

PITCH_MM = 38.0
BODY_MM = (46.0, 34.0, 28.0)
NAMES = {1: "vertebrae_L3", 2: "vertebrae_L4", 3: "vertebrae_L5", 4: "vertebrae_S1", 5: "hip_left", 6: "hip_right", 7: "aorta", 8: "colon"}
BODY_CENTER_Z = {"L3": 2 * PITCH_MM, "L4": PITCH_MM, "L5": 0.0, "S1": -PITCH_MM}
LABEL = {"L3": 1, "L4": 2, "L5": 3, "S1": 4}


@dataclass(frozen=True)
class TinySpine:
    """Straight spine along S, symmetric about R = 0, body centres at A = 0; L5's centre is the origin. Flat skin at A = -skinDepthMm."""

    skinDepthMm: float = 76.0
    crestTopMm: float = -45.0
    discHeightMm: float = 10.0
    withTableBehind: bool = False

    def discCenter(self, level: str) -> FloatArray:
        upper, lower = level.split("-")
        return np.array([0.0, 0.0, 0.5 * (BODY_CENTER_Z[upper] + BODY_CENTER_Z[lower])])

    def labelsAt(self, points: FloatArray) -> npt.NDArray[np.uint8]:
        """Label of every point (..., 3) RAS."""
        r, a, s = points[..., 0], points[..., 1], points[..., 2]
        lateral = np.abs(r)
        labels = np.zeros(r.shape, np.uint8)
        half = 0.5 * (PITCH_MM - self.discHeightMm)
        for name, z0 in BODY_CENTER_Z.items():
            z = s - z0
            body = ((r / (0.5 * BODY_MM[0])) ** 2 + (a / (0.5 * BODY_MM[1])) ** 2 <= 1) & (np.abs(z) <= half)
            pedicle = (lateral >= 9) & (lateral <= 17) & (a <= -8) & (a >= -28) & (z >= 0) & (z <= 12)
            superior = (lateral >= 11) & (lateral <= 19) & (a <= -25) & (a >= -31) & (z >= 0) & (z <= 27)
            lamina = (lateral <= 19) & (a <= -31) & (a >= -38) & (z >= -18) & (z <= 8)
            inferior = (lateral >= 8) & (lateral <= 19) & (a <= -33) & (a >= -40) & (z >= -26) & (z <= 0)
            spinous = (lateral <= 3) & (a <= -36) & (a >= -60) & (z >= -12) & (z <= 4)
            parts = body | pedicle | superior | lamina | spinous
            if name != "S1":
                parts |= inferior
            labels[parts & (labels == 0)] = LABEL[name]
        hip = (lateral >= 50) & (lateral <= 70) & (a >= -45) & (a <= 20) & (s <= self.crestTopMm)
        labels[hip & (r < 0)] = 5
        labels[hip & (r > 0)] = 6
        labels[(r + 8) ** 2 + (a - 28) ** 2 <= 100] = 7
        labels[(np.abs(r + 75) <= 15) & (np.abs(a - 20) <= 15)] = 8
        return labels

    def huAt(self, points: FloatArray) -> npt.NDArray[np.int16]:
        """CT values: bone 400, soft tissues: 40, air -1000, table 0."""
        labels = self.labelsAt(points)
        r, a = points[..., 0], points[..., 1]
        hu = np.full(labels.shape, -1000, np.int16)
        hu[(a >= -self.skinDepthMm) & (a <= 70) & (np.abs(r) <= 150)] = 40
        hu[(labels > 0) & (labels <= 6)] = 400
        if self.withTableBehind:
            hu[(a <= -self.skinDepthMm - 10) & (a >= -self.skinDepthMm - 22) & (np.abs(r) <= 190)] = 0
        return hu

    def paint(self, spacingMm: tuple[float, float, float] = (2.0, 2.0, 2.0), tiltDeg: float = 0.0, lowA: float | None = None) -> tuple:
        """Labels, HU (k, j, i) and ijkToRas: i to the left, j posterior (as most scanners store), gantry tilt as a shear of A along S."""
        low = np.array([-160.0, -self.skinDepthMm - 30.0 if lowA is None else lowA, -75.0])
        high = np.array([160.0, 45.0, 100.0])
        count = np.ceil((high - low) / np.asarray(spacingMm)).astype(int) + 1
        affine = np.diag([-spacingMm[0], -spacingMm[1], spacingMm[2], 1.0])
        affine[:3, 3] = [high[0], high[1], low[2]]
        affine[1, 2] = spacingMm[2] * np.tan(np.radians(tiltDeg))
        k, j, i = np.meshgrid(*(np.arange(n) for n in count[::-1]), indexing="ij")
        points = np.stack([i, j, k], axis=-1) @ affine[:3, :3].T + affine[:3, 3]
        return self.labelsAt(points), self.huAt(points), affine


@functools.lru_cache(maxsize=8)
def _anatomy(spine: TinySpine, spacing: tuple[float, float, float], tilt: float) -> SpineAnatomy:
    labels, hu, affine = spine.paint(spacing, tilt)
    return anatomyFromLabels(labels, affine, NAMES, ctHu=hu, patientPosition="HFP")


@pytest.fixture(scope="session")
def tinySpine() -> TinySpine:
    return TinySpine()


@pytest.fixture(scope="session")
def makeAnatomy() -> Callable[..., SpineAnatomy]:
    """Anatomy of a tiny spine: ``makeAnatomy(skinDepthMm=90, spacing=(1, 1, 3), tilt=10)``; cached."""

    def make(spacing: tuple[float, float, float] = (2.0, 2.0, 2.0), tilt: float = 0.0, **changes: object) -> SpineAnatomy:
        return _anatomy(replace(TinySpine(), **changes), spacing, tilt)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def tinySpineNames() -> dict[int, str]:
    return dict(NAMES)
