"""Skin of the back as a height field, and what of it can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

SKIN_HU = -300.0
"""Threshold between air and skin: half way between air and soft tissue at partial volume."""
OUTSIDE_FIELD_OF_VIEW_HU = -1500.0
"""Scanners fill what they did not reconstruct with values below any tissue or air."""
SKIN_GRID_MM = 2.0


@dataclass(frozen=True)
class SkinSurface:
    """Posterior skin: ``anteriorMm[s, r]`` is the RAS A coordinate of the back over (R, S) grid nodes, NaN where the CT shows no skin.

    ``cut`` marks nodes where the body runs out of the field of view, so that the true skin is unknown.
    """

    rightMm: FloatArray
    superiorMm: FloatArray
    anteriorMm: FloatArray
    cut: npt.NDArray[np.bool_]

    def heightAt(self, right: npt.ArrayLike, superior: npt.ArrayLike) -> FloatArray:
        """A coordinate of the skin at (R, S) positions, bilinear; NaN outside or where a neighbour is unknown."""
        r, s = np.broadcast_arrays(np.asarray(right, float), np.asarray(superior, float))
        x = (r - self.rightMm[0]) / (self.rightMm[1] - self.rightMm[0])
        z = (s - self.superiorMm[0]) / (self.superiorMm[1] - self.superiorMm[0])
        i = np.clip(np.floor(x).astype(int), 0, len(self.rightMm) - 2)
        k = np.clip(np.floor(z).astype(int), 0, len(self.superiorMm) - 2)
        fx, fz = x - i, z - k
        h = self.anteriorMm
        value = (h[k, i] * (1 - fx) + h[k, i + 1] * fx) * (1 - fz) + (h[k + 1, i] * (1 - fx) + h[k + 1, i + 1] * fx) * fz
        outside = (fx < 0) | (fx > 1) | (fz < 0) | (fz > 1)
        return np.where(outside, np.nan, value)

    def pointsAt(self, right: npt.ArrayLike, superior: npt.ArrayLike) -> FloatArray:
        """Skin points (..., 3) at (R, S)."""
        r, s = np.broadcast_arrays(np.asarray(right, float), np.asarray(superior, float))
        return np.stack([r, self.heightAt(r, s), s], axis=-1)

    def normalsAt(self, right: npt.ArrayLike, superior: npt.ArrayLike, spanMm: float = 6.0) -> FloatArray:
        """Outward unit normals (..., 3), from central differences over ``spanMm`` (skin is smooth; CT voxels are not)."""
        r, s = np.broadcast_arrays(np.asarray(right, float), np.asarray(superior, float))
        slopeR = (self.heightAt(r + spanMm, s) - self.heightAt(r - spanMm, s)) / (2 * spanMm)
        slopeS = (self.heightAt(r, s + spanMm) - self.heightAt(r, s - spanMm)) / (2 * spanMm)
        normal = np.stack([slopeR, -np.ones_like(slopeR), slopeS], axis=-1)
        return normal / np.linalg.norm(normal, axis=-1, keepdims=True)

    def isCutAt(self, right: npt.ArrayLike, superior: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether the nearest node lies where the CT was cut at the skin."""
        i = np.clip(
            np.rint((np.asarray(right) - self.rightMm[0]) / (self.rightMm[1] - self.rightMm[0])).astype(int), 0, len(self.rightMm) - 1
        )
        step = self.superiorMm[1] - self.superiorMm[0]
        k = np.clip(np.rint((np.asarray(superior) - self.superiorMm[0]) / step).astype(int), 0, len(self.superiorMm) - 1)
        result: npt.NDArray[np.bool_] = self.cut[k, i]
        return result


def skinFromCt(
    ctHu: npt.NDArray, ijkToRas: npt.ArrayLike, lowRas: npt.ArrayLike | None = None, highRas: npt.ArrayLike | None = None
) -> SkinSurface:
    """Posterior skin of the largest body in the CT. The table and blankets are separate components and fall away.

    :param lowRas, highRas: box (RAS mm) to look at; the whole volume by default.
    :raises ValueError: when no body is found.
    """
    corners = np.array(
        [[i, j, k, 1] for k in (0, ctHu.shape[0] - 1) for j in (0, ctHu.shape[1] - 1) for i in (0, ctHu.shape[2] - 1)], float
    )
    cornersRas = (corners @ np.asarray(ijkToRas, float).T)[:, :3]
    low, high = cornersRas.min(0), cornersRas.max(0)
    if lowRas is not None:
        low = np.maximum(low, np.asarray(lowRas, float))
    if highRas is not None:
        high = np.minimum(high, np.asarray(highRas, float))
    grid = RasGrid.around(low, high, SKIN_GRID_MM)
    hu = resampleToGrid(ctHu, ijkToRas, grid, linear=False, outside=-3000)
    body = _bodyMask(hu)
    first = np.argmax(body, axis=1)
    has = body.any(axis=1)
    k, i = np.indices(first.shape)
    behind = hu[k, np.maximum(first - 1, 0), i]
    cut = has & ((first == 0) | (behind <= OUTSIDE_FIELD_OF_VIEW_HU))
    # Sub-voxel: linear interpolation of HU along the posterior direction on a fine column, only around the coarse answer.
    height = _refineHeight(ctHu, np.asarray(ijkToRas, float), grid, first, has & ~cut)
    return SkinSurface(grid.axis(0), grid.axis(2), np.where(has & ~cut, height, np.nan), cut)


def _bodyMask(hu: npt.NDArray) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import binary_opening, label

    body = hu > SKIN_HU
    coarse = binary_opening(body[::2, ::2, ::2], iterations=1)
    regions, count = label(coarse)
    if count == 0:
        raise ValueError(_("No body was found in the CT (nothing above -300 HU); check that the voxels are in Hounsfield units."))
    largest = 1 + int(np.argmax(np.bincount(regions.ravel())[1:]))
    keep = np.repeat(np.repeat(np.repeat(regions == largest, 2, 0), 2, 1), 2, 2)[: hu.shape[0], : hu.shape[1], : hu.shape[2]]
    return body & _dilate(keep)


def _dilate(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    out = mask.copy()
    for axis in range(3):
        for step in (1, -1):
            shifted = np.roll(out, step, axis)
            edge = [slice(None)] * 3
            edge[axis] = slice(0, 1) if step == 1 else slice(-1, None)
            shifted[tuple(edge)] = False
            out = out | shifted
    return out


def _refineHeight(
    ctHu: npt.NDArray, ijkToRas: FloatArray, grid: RasGrid, first: npt.NDArray[np.intp], valid: npt.NDArray[np.bool_]
) -> FloatArray:
    from scipy.ndimage import map_coordinates

    coarse = grid.originRas[1] + grid.spacingMm[1] * first
    k, i = np.nonzero(valid)
    height = coarse.astype(float)
    if len(k) == 0:
        return height
    offset = np.arange(-4.0, 2.01, 0.5)
    a = coarse[k, i][:, None] + offset
    r = np.broadcast_to(grid.axis(0)[i][:, None], a.shape)
    s = np.broadcast_to(grid.axis(2)[k][:, None], a.shape)
    rasToIjk = np.linalg.inv(ijkToRas)
    ijk = np.stack([r, a, s], axis=-1) @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    values = map_coordinates(
        ctHu, [ijk[..., 2].ravel(), ijk[..., 1].ravel(), ijk[..., 0].ravel()], order=1, mode="nearest", output=np.float32
    )
    values = values.reshape(a.shape)
    inside = values > SKIN_HU
    # The last air-to-skin crossing before the coarse hit.
    crossing = inside[:, 1:] & ~inside[:, :-1]
    has = crossing.any(1)
    at = crossing.shape[1] - 1 - np.argmax(crossing[:, ::-1], axis=1)
    row = np.arange(len(at))
    below, above = values[row, at], values[row, at + 1]
    share = (SKIN_HU - below) / np.where(above != below, above - below, 1.0)
    exact = a[row, at] + 0.5 * share
    height[k, i] = np.where(has, exact, coarse[k, i])
    return height
