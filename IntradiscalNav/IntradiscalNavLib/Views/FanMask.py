"""Which part of the picture carries ultrasound: the fan of a curved probe, the rectangle of a linear one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.ProbeGeometry import ProbeGeometry

Pixels = npt.NDArray[np.uint8]


def fanOfGeometry(geometry: ProbeGeometry) -> npt.NDArray[np.bool_]:
    """Mask (rows, columns) of the pixels between the first and the last scan line and sample of a probe."""
    row, column = np.mgrid[: geometry.rows, : geometry.columns].astype(float)
    depthMm = geometry.sampleCount * geometry.sampleMm
    if geometry.apexPixel is None:
        across, down = column * geometry.pixelMm[0], row * geometry.pixelMm[1] - geometry.faceRowMm
    else:
        x = (column - geometry.apexPixel[0]) * geometry.pixelMm[0]
        y = (row - geometry.apexPixel[1]) * geometry.pixelMm[1]
        across, down = np.arctan2(x, y), np.hypot(x, y) - geometry.faceRadiusMm
    first = geometry.lineStart - geometry.lineStep / 2.0
    last = first + geometry.lineCount * geometry.lineStep
    inside: npt.NDArray[np.bool_] = (across >= first) & (across <= last) & (down >= 0.0) & (down <= depthMm)
    return inside


class FanMask:
    """Where the picture carries ultrasound, learned from the first frames: all that was ever lit, with straight sides.

    Where the probe's geometry is known it is better ``setTo`` that: what a scanner writes beside the fan then stays out.
    """

    def __init__(self, threshold: int = 4, frames: int = 30) -> None:
        self._threshold, self._left = threshold, frames
        self._frames = frames
        self._lit: npt.NDArray[np.bool_] | None = None
        self.mask: npt.NDArray[np.bool_] | None = None

    def setTo(self, mask: npt.NDArray[np.bool_]) -> None:
        """Use this mask and learn no more, unless pictures of another size arrive."""
        self.mask, self._lit, self._left = mask, None, 0

    def learn(self, pixels: Pixels) -> bool:
        """Take a frame; True when the mask changed. Starts again when the size changes."""
        if (self.mask is not None and self.mask.shape != pixels.shape) or (self._lit is not None and self._lit.shape != pixels.shape):
            self._lit, self._left, self.mask = None, self._frames, None
        if self._left == 0:
            return False
        self._left -= 1
        lit = pixels >= self._threshold
        if self.mask is not None and np.count_nonzero(lit & ~self.mask) * 1000 <= np.count_nonzero(lit):
            return False
        self._lit = lit if self._lit is None else self._lit | lit
        self.mask = _fanOf(self._lit)
        return True


def _fanOf(lit: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Convex hull of the lit pixels below the probe's face: the sides and the bottom of a fan are convex, its top is not."""
    from scipy.ndimage import median_filter
    from scipy.spatial import ConvexHull, QhullError

    rows, columns = lit.shape
    any_ = lit.any(axis=0)
    if not any_.any():
        return np.ones_like(lit)
    first = np.where(any_, lit.argmax(axis=0), rows)
    last = np.where(any_, rows - 1 - lit[::-1].argmax(axis=0), -1)
    filled = np.flatnonzero(any_)
    outline = np.concatenate([np.column_stack([filled, first[filled]]), np.column_stack([filled, last[filled]])])
    try:
        hull = ConvexHull(outline)
    except QhullError:
        return np.ones_like(lit)
    y, x = np.mgrid[:rows, :columns].astype(np.float32)
    inside = np.ones_like(lit)
    for a, b, c in hull.equations:
        inside &= np.float32(a) * x + np.float32(b) * y + np.float32(c) <= 0.5
    top = median_filter(first, size=9, mode="nearest")
    return inside & (y >= top)
