"""Skin entries that can be reached for a target, as a fine grid, and the distances along the skin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SkinSurface import SkinSurface
from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KeepOutBox:
    """A solid on the skin no needle may pass: the marker plate, a probe holder, a drape clamp. ``boxToRas`` is a rigid 4x4 from the
    box's centred axes; ``sizeMm`` its full size along them."""

    name: str
    boxToRas: FloatArray
    sizeMm: FloatArray

    def distanceMm(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Distance (...) of points from the box, 0 inside."""
        matrix = np.asarray(self.boxToRas, float)
        local = (np.asarray(pointsRas, float) - matrix[:3, 3]) @ matrix[:3, :3]
        outside = np.maximum(np.abs(local) - 0.5 * np.asarray(self.sizeMm, float), 0.0)
        result: FloatArray = np.linalg.norm(outside, axis=-1)
        return result


REACHABLE, NO_SKIN, TOO_STEEP, KEPT_OUT, TOO_NEAR_MIDLINE = range(5)
REASON_TEXT = {
    REACHABLE: "reachable",
    NO_SKIN: _("no skin in the CT here"),
    TOO_STEEP: _("skin faces the table side"),
    KEPT_OUT: _("marker plate or another solid is in the way"),
    TOO_NEAR_MIDLINE: _("too near the midline"),
}


@dataclass(frozen=True)
class SkinPatch:
    """Grid of entries over the skin beside one side of the midline: points (rows, columns, 3) RAS, and why each node is (not) reachable.

    Rows run cranially, columns away from the midline.
    """

    side: str
    spacingMm: float
    points: FloatArray
    reason: npt.NDArray[np.int8]

    @property
    def entries(self) -> FloatArray:
        """Reachable entries (n, 3) RAS."""
        result: FloatArray = self.points[self.reason == REACHABLE]
        return result

    def unreachableShare(self) -> dict[str, float]:
        """Share of the nodes lost to each reason."""
        return {text: float((self.reason == code).mean()) for code, text in REASON_TEXT.items() if code != REACHABLE}


def classifyEntries(
    skin: SkinSurface,
    axes: AnatomicalAxes,
    pointsRas: FloatArray,
    parameters: PlanningParameters,
    keepOuts: Sequence[KeepOutBox] = (),
    minDistanceMm: float = 0.0,
) -> npt.NDArray[np.int8]:
    """Why each skin point (..., 3) is or is not reachable."""
    reason = np.zeros(pointsRas.shape[:-1], np.int8)
    with np.errstate(invalid="ignore"):
        lateral = np.abs(axes.coordinates(pointsRas)[..., 0])
        reason[lateral < minDistanceMm] = TOO_NEAR_MIDLINE
        slope = -skin.normalsAt(pointsRas[..., 0], pointsRas[..., 2])[..., 1]
        reason[slope < np.cos(np.radians(parameters.maxSkinSlopeDeg))] = TOO_STEEP
        for box in keepOuts:
            reason[box.distanceMm(pointsRas) < parameters.keepOutMarginMm] = KEPT_OUT
    reason[np.isnan(pointsRas).any(-1) | np.isnan(slope)] = NO_SKIN
    return reason


def buildSkinPatch(
    skin: SkinSurface,
    axes: AnatomicalAxes,
    targetRas: FloatArray,
    side: str,
    parameters: PlanningParameters,
    *,
    minDistanceMm: float,
    keepOuts: Sequence[KeepOutBox] = (),
) -> SkinPatch:
    """Entries on one side within the needle's reach of the target, at least ``minEntries`` of them.

    :raises ValueError: when the skin over the target is not in the CT at all, or the target is farther from the skin than the needle is
        long.
    """
    sign = -1.0 if side == "left" else 1.0
    coarse = _grid(skin, axes, targetRas, sign, 4.0, parameters.maxLengthMm, parameters.maxLengthMm, minDistanceMm)
    known = ~np.isnan(coarse).any(-1)
    if not known.any():
        raise ValueError(
            _(
                "No skin was found over the target on the {side}: the CT does not show the back there. Scan or load a larger field of view."
            ).format(side=side)
        )
    gap = np.linalg.norm(coarse - targetRas, axis=-1)
    reach = known & (gap <= parameters.maxLengthMm + 6.0)
    if not reach.any():
        raise ValueError(
            _(
                "The target lies {nanmin:.0f} mm from the nearest skin on the {side}; "
                "a {needleLengthMm:.0f} mm needle with a reserve of "
                "{hubReserveMm:.0f} mm reaches {maxLengthMm:.0f} mm. Use a longer needle."
            ).format(
                nanmin=np.nanmin(gap),
                side=side,
                needleLengthMm=parameters.needleLengthMm,
                hubReserveMm=parameters.hubReserveMm,
                maxLengthMm=parameters.maxLengthMm,
            )
        )
    local = np.abs(axes.coordinates(coarse[reach]))
    superior = coarse[reach][:, 2] - targetRas[2]
    reason = classifyEntries(skin, axes, coarse, parameters, keepOuts, minDistanceMm)
    usable = int(((reason == REACHABLE) & reach).sum()) * 16.0
    spacing = float(np.clip(np.sqrt(0.97 * max(usable, 400.0) / parameters.minEntries), 0.25, 1.5))
    lateralMax = float(local[:, 0].max()) + 2.0
    for _unused in range(6):
        points = _grid(skin, axes, targetRas, sign, spacing, lateralMax, float(np.abs(superior).max()) + 2.0, minDistanceMm)
        reason = classifyEntries(skin, axes, points, parameters, keepOuts, minDistanceMm)
        with np.errstate(invalid="ignore"):
            reason[np.linalg.norm(points - targetRas, axis=-1) > parameters.maxLengthMm + 6.0] = NO_SKIN
        count = int((reason == REACHABLE).sum())
        if count >= parameters.minEntries or count == 0 or spacing <= 0.25:
            break
        spacing *= 0.98 * np.sqrt(count / parameters.minEntries)
    return SkinPatch(side, spacing, points, reason)


def _grid(
    skin: SkinSurface,
    axes: AnatomicalAxes,
    targetRas: FloatArray,
    sign: float,
    spacing: float,
    lateralMax: float,
    superiorMax: float,
    minDistance: float,
) -> FloatArray:
    lateral = np.arange(max(minDistance - 2.0, -20.0), lateralMax + spacing, spacing)
    superior = np.arange(-superiorMax, superiorMax + spacing, spacing)
    # The midline's R coordinate drifts along S (and a little along A): take it from the sagittal plane at the skin's typical depth.
    s = targetRas[2] + superior
    depth = np.nanmedian(skin.anteriorMm) if np.isfinite(skin.anteriorMm).any() else targetRas[1]
    normal = axes.right
    middle = axes.originRas[0] - (normal[1] * (depth - axes.originRas[1]) + normal[2] * (s - axes.originRas[2])) / normal[0]
    r = middle[:, None] + sign * lateral[None, :] / normal[0]
    result: FloatArray = skin.pointsAt(r, np.broadcast_to(s[:, None], r.shape))
    return result


def distanceAlongSkin(skin: SkinSurface, axes: AnatomicalAxes, entriesRas: npt.ArrayLike, samples: int = 96) -> FloatArray:
    """Length (mm, (n,)) of the skin line from the midline to each entry (n, 3) in the entry's axial plane; NaN where skin between is
    unknown."""
    entries = np.atleast_2d(np.asarray(entriesRas, float))
    lateral = axes.coordinates(entries)[:, 0]
    foot = entries - lateral[:, None] * axes.right
    share = np.linspace(0.0, 1.0, samples)
    line = foot[:, None, :] + share[None, :, None] * (entries - foot)[:, None, :]
    height = skin.heightAt(line[..., 0], line[..., 2])
    line[..., 1] = height
    result: FloatArray = np.linalg.norm(np.diff(line, axis=1), axis=-1).sum(1)
    return result


def entryOnSkin(skin: SkinSurface, targetRas: npt.ArrayLike, throughRas: npt.ArrayLike, maxLengthMm: float = 250.0) -> FloatArray | None:
    """Where the line from the target through another point leaves the skin of the back; None when it does not within ``maxLengthMm``."""
    target, through = np.asarray(targetRas, float), np.asarray(throughRas, float)
    direction = through - target
    length = float(np.linalg.norm(direction))
    if length < 1e-6:
        return None
    direction = direction / length
    travel = np.arange(0.0, maxLengthMm, 0.5)
    points = target + travel[:, None] * direction
    depth = points[:, 1] - skin.heightAt(points[:, 0], points[:, 2])
    outside = np.flatnonzero((depth <= 0) & ~np.isnan(depth))
    if len(outside) == 0 or outside[0] == 0:
        return None
    n = int(outside[0])
    before, after = float(depth[n - 1]), float(depth[n])
    if np.isnan(before):
        return None
    result: FloatArray = target + (travel[n - 1] + 0.5 * before / max(before - after, 1e-9)) * direction
    return result
