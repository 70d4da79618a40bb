"""Follows a needle, once found, through the voxels themselves to its tip, and says how sure the tip is.

Where the shaft runs between two slices each has little of it, for 10 mm and more when it is nearly parallel to them: brightness
alone says "ended" there. So the expected brightness of each voxel is computed from its distance to the shaft, and at each depth the
share of it that is really there is fitted, over a background that may slope. The tip is the step from 1 to 0 that explains all
shares best; ends that explain them nearly as well make it doubtful.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

STEP_MM = 0.5
WINDOW_MM = 1.0
"""Standard deviation, along the shaft, of the voxels' weights in the fit at one depth."""
AROUND_MM = 3.2
AROUND_VOXELS = 1.6
"""Voxels within the larger of these distances of the shaft are taken, its own and the background's: with more of them a wall of gas
beside the shaft misleads, with fewer nothing is left of the background."""
LOOK_AHEAD_MM = 12.0
MODEL_ERROR = 0.25
"""Of the share: what neither noise nor a sloping background explains."""
IMPLAUSIBLE = 1.0
"""Error of a share per unit by which it is below 0 or above 1: there the background is such as the fit can't follow, a thin wall of gas."""
LIKELY_SCORE = 6.0
"""Ends whose score is within this of the best one's may be the tip as well."""
CERTAIN_MM = 2.0
"""Other likely ends nearer than this to the tip are no doubt."""
BEND_PER_MM = 1e-3
"""Usual second-order coefficient of a bent shaft: 5 mm at 70 mm."""


@dataclass(frozen=True)
class NeedleFrame:
    """Axis of the expected needle: ``tipRas`` at depth 0, ``directionRas`` advancing, ``acrossRas`` and ``upRas`` beside it: units."""

    tipRas: FloatArray
    directionRas: FloatArray
    acrossRas: FloatArray
    upRas: FloatArray

    def matrix(self) -> FloatArray:
        """(3, 3): RAS offset from the tip to (across, up, depth)."""
        return np.array([self.acrossRas, self.upRas, self.directionRas])


@dataclass(frozen=True, eq=False)
class NeedleShaft:
    """``line``: (3, 2) coefficients of depth**0..2 for (across, up), mm. ``tipDepthMm`` along the frame's axis.

    ``doubtMm``: how far from ``tipDepthMm`` the tip may be as well; 0 when no other end is likely.
    """

    line: FloatArray
    tipDepthMm: float
    doubtMm: float

    def sidewaysMm(self, depthsMm: FloatArray) -> FloatArray:
        """(n, 2) across and up, of the shaft at these depths."""
        return _at(self.line, depthsMm)


class _Voxels:
    """Voxels around the expected needle in its frame, sorted by depth."""

    def __init__(
        self, voxels: npt.NDArray[np.generic], ijkToRas: FloatArray, frame: NeedleFrame, depths: tuple[float, float], radiusMm: float
    ):
        aroundMm = max(AROUND_MM, AROUND_VOXELS * float(np.linalg.norm(ijkToRas[:3, :3], axis=0).max()))
        radiusMm += aroundMm
        ends = frame.tipRas + np.array(depths)[:, None] * frame.directionRas
        rasToIjk = np.linalg.inv(ijkToRas)
        ijk = ends @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
        reach = radiusMm * np.linalg.norm(rasToIjk[:3, :3], axis=1)
        size = np.array(voxels.shape[::-1])
        low = np.clip(np.floor(ijk.min(axis=0) - reach), 0, size).astype(int)
        high = np.clip(np.ceil(ijk.max(axis=0) + reach) + 1, 0, size).astype(int)
        i, j, k = np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high)), indexing="ij")
        place = np.stack([i.ravel(), j.ravel(), k.ravel()], axis=-1)
        inFrame = (place @ ijkToRas[:3, :3].T + ijkToRas[:3, 3] - frame.tipRas) @ frame.matrix().T
        near = (inFrame[:, 0] ** 2 + inFrame[:, 1] ** 2 <= radiusMm**2) & (inFrame[:, 2] >= depths[0]) & (inFrame[:, 2] <= depths[1])
        self.aroundMm = aroundMm
        order = np.argsort(inFrame[near, 2])
        place = place[near][order]
        self.depth = inFrame[near, 2][order]
        self.side = inFrame[near, :2][order]
        self.hu = voxels[place[:, 2], place[:, 1], place[:, 0]].astype(float)


def followShaft(
    voxels: npt.NDArray[np.generic],
    ijkToRas: FloatArray,
    frame: NeedleFrame,
    depths: FloatArray,
    centers: FloatArray,
    endDepthMm: float,
    radiusMm: float,
) -> NeedleShaft:
    """Refine the line through ``centers`` (n, 2) at ``depths`` (n,), mm in the frame, and find where the needle on it ends.

    :param endDepthMm: the needle is followed to there at most. :param radiusMm: how far from the axis it may lie.
    """
    around = _Voxels(voxels, ijkToRas, frame, (float(depths[0]) - 3.0, endDepthMm + 3.0), radiusMm)
    grid = np.arange(depths[0], endDepthMm + STEP_MM / 2, STEP_MM)
    line = _robustLine(depths, centers, np.full(len(depths), 0.3))
    blur = _blurOf(around, grid[grid <= depths[-1]][::4], line, ijkToRas, frame)
    reached = float(depths[-1])
    for _round in range(6):
        amount, error, offset, _residual = _fit(around, grid, line, blur)
        usual = _usualAmount(amount, error, grid, depths)
        reached = max(reached, _tip(grid, amount / usual, error / usual)[0])
        share = amount / usual
        sure = (grid <= reached + LOOK_AHEAD_MM) & (share > 0.4) & (share < 1.8) & (amount > 3 * error) & (np.hypot(*offset.T) < 1.0)
        if sure.sum() < 12:
            break
        places = _at(line, grid[sure]) + offset[sure]
        line = _robustLine(grid[sure], places, 0.15 + 0.5 * error[sure] / amount[sure])
    amount, error, _offset, _residual = _fit(around, grid, line, blur)
    usual = _usualAmount(amount, error, grid, depths)
    tip, doubt = _tip(grid, amount / usual, error / usual)
    return NeedleShaft(line, tip, doubt)


def _blurOf(around: _Voxels, depths: FloatArray, line: FloatArray, ijkToRas: FloatArray, frame: NeedleFrame) -> FloatArray:
    """Covariance (2, 2) across the shaft, mm², of the blur that explains its voxels best: as wide in mm or in voxels."""
    spacing = np.linalg.norm(ijkToRas[:3, :3], axis=0)
    axes = frame.matrix()[:2] @ (ijkToRas[:3, :3] / spacing)
    deviations = [share * width for share in (0.45, 0.6) for width in (np.full(3, spacing.mean()), spacing)]
    blurs: list[FloatArray] = [axes @ np.diag(deviation**2) @ axes.T for deviation in deviations]
    return min(blurs, key=lambda blur: float(np.median(_fit(around, depths, line, blur)[3])))


def _usualAmount(amount: FloatArray, error: FloatArray, grid: FloatArray, depths: FloatArray) -> float:
    shaft = (grid <= depths[-1]) & (amount > 3 * error)
    return float(np.median(amount[shaft])) if shaft.any() else float(max(amount.max(), 1.0))


def _at(line: FloatArray, depth: FloatArray) -> FloatArray:
    return np.stack([np.ones_like(depth), depth, depth**2], axis=-1) @ line


def _robustLine(depth: FloatArray, places: FloatArray, errorMm: FloatArray) -> FloatArray:
    """Parabola (3, 2) through places (n, 2), with less weight for those far from it; bent only as far as they demand."""
    middle = float(depth.mean())
    moved = depth - middle
    terms = np.stack([np.ones_like(moved), moved, moved**2], axis=-1)
    weight = 1.0 / errorMm**2
    step = max(1.0, len(depth) * 3.0 / max(float(np.ptp(depth)), 3.0))  # neighbours nearer than 3 mm say the same
    fit: npt.NDArray[Any] = np.zeros((3, 2))
    robust: npt.NDArray[Any] = np.ones_like(weight)
    for _round in range(12):
        normal = (terms * (weight * robust / step)[:, None]).T @ terms
        normal[2, 2] += 1.0 / BEND_PER_MM**2
        fit = np.linalg.solve(normal, (terms * (weight * robust / step)[:, None]).T @ places)
        off = np.linalg.norm(terms @ fit - places, axis=1) / errorMm
        robust = 1.0 / (1.0 + (off / 2.0) ** 2)
    a, b, c = fit
    return np.array([a - b * middle + c * middle**2, b - 2.0 * c * middle, c])


def _fit(around: _Voxels, grid: FloatArray, line: FloatArray, blur: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """At each depth: amount of needle (HU), its error, offset (2,) of the centre from the line in mm, RMS residual (HU)."""
    off = around.side - _at(line, around.depth)
    near = (off**2).sum(axis=1) <= around.aroundMm**2
    depth, off, hu = around.depth[near], off[near], around.hu[near]
    sharp = np.linalg.inv(blur)
    expected = np.exp(-0.5 * np.einsum("ni,ij,nj->n", off, sharp, off))
    moved = expected[:, None] * (off @ sharp)
    terms = np.column_stack([expected, np.ones_like(hu), off, moved])
    amount, error, residual = np.zeros(len(grid)), np.full(len(grid), 1e6), np.full(len(grid), 1e6)
    offset = np.full((len(grid), 2), 9.0)
    for row, at in enumerate(grid):
        part = slice(int(np.searchsorted(depth, at - 2.5 * WINDOW_MM)), int(np.searchsorted(depth, at + 2.5 * WINDOW_MM)))
        weight = np.exp(-0.5 * ((depth[part] - at) / WINDOW_MM) ** 2)
        if weight.sum() < 8.0:
            continue
        x, y = terms[part], hu[part]
        straight = x[:, :4]
        normal = (straight * weight[:, None]).T @ straight + 1e-6 * np.eye(4)
        inverse = np.linalg.inv(normal)
        fit = inverse @ (straight * weight[:, None]).T @ y
        left = y - straight @ fit
        variance = float((weight * left**2).sum() / max(weight.sum() - 2.0, 1.0))
        spread = inverse @ ((straight * (weight**2)[:, None]).T @ straight) @ inverse
        amount[row], error[row] = fit[0], np.sqrt(max(variance * spread[0, 0], 1.0))
        residual[row] = np.sqrt(variance)
        if fit[0] > 0:
            # one step of Gauss-Newton; the ridge keeps the offset small in a direction the voxels say nothing about
            both = (x * weight[:, None]).T @ x
            both[4:, 4:] += np.eye(2) * variance / (0.7 * fit[0]) ** 2
            both += 1e-6 * np.eye(6)
            offset[row] = np.linalg.solve(both, (x * weight[:, None]).T @ y)[4:] / fit[0]
    return amount, error, offset, residual


def _tip(grid: FloatArray, share: FloatArray, error: FloatArray) -> tuple[float, float]:
    """Depth of the step from 1 to 0 that explains the shares best, and how far the farthest likely other one is (0: none)."""
    error = np.hypot(error, IMPLAUSIBLE * (share - np.clip(share, 0.0, 1.0)))
    # twice the logarithm of likelihood "still needle" against "no more", per window of independent voxels
    gain = (np.clip(share, 0.0, 1.0) - 0.5) / (error**2 + MODEL_ERROR**2) * 2.0 * STEP_MM / (2.5 * WINDOW_MM)
    score = np.concatenate([[0.0], np.cumsum(gain)])
    edges = np.append(grid - STEP_MM / 2, grid[-1] + STEP_MM / 2)
    best = int(score.argmax())
    tip = float(edges[best])
    if 0 < best < len(grid) and share[best - 1] > 0.5 > share[best]:
        tip = float(grid[best - 1] + STEP_MM * (share[best - 1] - 0.5) / (share[best - 1] - share[best]))
    likely = edges[score >= score[best] - LIKELY_SCORE]
    doubt = float(np.abs(likely - tip).max())
    return tip, doubt if doubt > CERTAIN_MM else 0.0
