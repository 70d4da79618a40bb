"""Which parts of the posterior surface the sweep has seen, and where to scan next."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BoneSurface import BoneSurface
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

SIDE_FROM_MM = 8.0
ENOUGH_POINTS = 25
SEEN_WITHIN_MM = 3.0


@dataclasses.dataclass(frozen=True)
class CoverageCell:
    """One side of one vertebra (or of a 30 mm piece of the spine when vertebrae aren't known)."""

    name: str
    side: str
    centreRas: tuple[float, float, float]
    pointCount: int

    @property
    def seen(self) -> bool:
        """Enough points lie on it."""
        return self.pointCount >= ENOUGH_POINTS


@dataclasses.dataclass(frozen=True)
class SweepCoverage:
    """All cells from head to foot; share of them that were seen; a hint in words, empty when nothing is missing."""

    cells: tuple[CoverageCell, ...]
    share: float
    hint: str


def sweepCoverage(surface: BoneSurface, pointsRas: npt.ArrayLike) -> SweepCoverage:
    """Count the points (n, 3) of a registered sweep over the surface's cells.

    The hint asks first for the other side of a level already scanned, then for the levels next to those, as neighbouring bone helps the
    fit most.
    """
    points = np.asarray(pointsRas, float).reshape(-1, 3)
    if len(points):
        points = points[np.abs(surface.table.distances(points)) < SEEN_WITHIN_MM]
    pieces = _pieces(surface)
    cells: list[CoverageCell] = []
    for name, centre, lower, upper in pieces:
        mine = points[(points[:, 2] >= lower) & (points[:, 2] < upper)]
        across = mine[:, 0] - centre[0]
        for side, count in (
            ("left", int((across < -SIDE_FROM_MM).sum())),
            ("middle", int((np.abs(across) <= SIDE_FROM_MM).sum())),
            ("right", int((across > SIDE_FROM_MM).sum())),
        ):
            shift = {"left": -20.0, "middle": 0.0, "right": 20.0}[side]
            cells.append(CoverageCell(name, side, (float(centre[0] + shift), float(centre[1]), float(centre[2])), count))
    share = float(np.mean([cell.seen for cell in cells])) if cells else 0.0
    return SweepCoverage(tuple(cells), share, _hint(cells))


def _pieces(surface: BoneSurface) -> list[tuple[str, FloatArray, float, float]]:
    """Name, centre, lower and upper height of the pieces, head first."""
    if surface.vertebrae:
        centres = [np.asarray(vertebra.centreRas) for vertebra in surface.vertebrae]
        heights = [float(centre[2]) for centre in centres]
        pieces = []
        for number, vertebra in enumerate(surface.vertebrae):
            mine = surface.pointsRas[surface.pointLabels == vertebra.label]
            if len(mine) < 30:
                continue
            half = surface.pitchMm / 2.0
            upper = (heights[number - 1] + heights[number]) / 2.0 if number else heights[number] + half
            lower = (heights[number + 1] + heights[number]) / 2.0 if number + 1 < len(heights) else heights[number] - half
            # Posterior arches lie lower than their bodies: shift the window by where this vertebra's own surface is.
            sag = float(np.median(mine[:, 2])) - heights[number]
            pieces.append((vertebra.name, centres[number], lower + sag, upper + sag))
        return pieces
    low, high = float(surface.pointsRas[:, 2].min()), float(surface.pointsRas[:, 2].max())
    count = max(1, round((high - low) / 30.0))
    edges = np.linspace(low, high, count + 1)
    result = []
    for lower, upper in zip(edges[:-1][::-1], edges[1:][::-1]):
        middle = (lower + upper) / 2.0
        order = np.argsort(surface.axisRas[:, 2])
        centre = np.array([np.interp(middle, surface.axisRas[order, 2], surface.axisRas[order, k]) for k in range(3)])
        result.append((f"height {middle:.0f} mm", centre, float(lower), float(upper)))
    return result


def _hint(cells: list[CoverageCell]) -> str:
    levels = [cells[at : at + 3] for at in range(0, len(cells), 3)]
    touched = [any(cell.seen for cell in level) for level in levels]
    if not any(touched):
        return _("No bone of the CT has been recognised yet: sweep slowly along the spine.")
    for level, any_ in zip(levels, touched):
        missing = [cell for cell in level if not cell.seen]
        if any_ and missing:
            return _("Scan the {side} of {name}.").format(side=missing[0].side, name=missing[0].name)
    for number, level in enumerate(levels):
        near = (number > 0 and touched[number - 1]) or (number + 1 < len(levels) and touched[number + 1])
        if near and not touched[number]:
            return f"Scan {level[0].name} too."
    return ""
