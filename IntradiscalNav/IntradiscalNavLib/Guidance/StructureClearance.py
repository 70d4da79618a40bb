"""Clearance of the whole needle shaft, and of the stretch it would yet take, to structures at risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.StructureDistance import StructureDistance

SAMPLE_STEP_MM = 1.5
REFINEMENTS = 6
"""Rounds of halving round the nearest sample; 1.5 mm / 4^6 leaves the place of the minimum within 0.0004 mm, the value far closer."""


@dataclass(frozen=True, eq=False)
class RiskStructure:
    """A structure with the least clearance it is allowed, surface of shaft to surface of structure (mm)."""

    distance: StructureDistance
    limitMm: float

    @property
    def name(self) -> str:
        return self.distance.name


@dataclass(frozen=True, eq=False)
class StructureClearance:
    """Clearance to one structure.

    ``clearanceMm``: least distance of the shaft's surface now, tip to hub; negative means the shaft is inside. ``aheadMm``: the same
    for the stretch from the tip to the end point if the needle is pushed on. ``isLowerBound``/``aheadIsLowerBound``: the structure is
    farther than its table reaches, the true clearance is at least this. ``nearestRas``: the place on the shaft's axis; ``behindTipMm``
    how far from the tip.
    """

    name: str
    limitMm: float
    clearanceMm: float
    nearestRas: FloatArray
    behindTipMm: float
    isLowerBound: bool
    aheadMm: float
    aheadIsLowerBound: bool
    accuracyMm: float

    @property
    def marginMm(self) -> float:
        """What is left above the structure's own limit."""
        return self.clearanceMm - self.limitMm


def segmentClearance(
    distance: StructureDistance, startRas: npt.ArrayLike, endRas: npt.ArrayLike, radiusMm: float = 0.0
) -> tuple[float, FloatArray, float, bool]:
    """Least distance of a thick segment from a structure.

    :returns: clearance (mm), nearest point of the axis (RAS), its distance from the start (mm), and whether the clearance is a lower bound.
    """
    start, end = np.asarray(startRas, float), np.asarray(endRas, float)
    length = float(np.linalg.norm(end - start))
    count = max(int(np.ceil(length / SAMPLE_STEP_MM)), 1)
    shares = np.linspace(0.0, 1.0, count + 1)
    values, bounds = distance.distancesAt(start + shares[:, None] * (end - start))
    best = int(np.argmin(values))
    share, value, bound = float(shares[best]), float(values[best]), bool(bounds[best])
    if not bound and length > 0.0:
        step = 1.0 / count
        for _ in range(REFINEMENTS):
            near = np.clip(share + step * np.linspace(-1.0, 1.0, 9), 0.0, 1.0)
            values, _bounds = distance.distancesAt(start + near[:, None] * (end - start))
            best = int(np.argmin(values))
            if values[best] <= value:
                share, value = float(near[best]), float(values[best])
            step /= 4.0
            if step * length < 1e-3:
                break
    return value - radiusMm, start + share * (end - start), share * length, bound


def structureClearances(
    structures: Sequence[RiskStructure],
    tipRas: npt.ArrayLike,
    shaftDirectionRas: npt.ArrayLike,
    shaftLengthMm: float,
    shaftRadiusMm: float,
    endPointRas: npt.ArrayLike,
) -> tuple[StructureClearance, ...]:
    """Clearances of a straight needle to every structure, in their order.

    :param shaftDirectionRas: unit vector hub to tip; the shaft runs from the tip back by its length.
    :param endPointRas: where the tip would be if the needle were pushed on; equal to the tip when there is nothing to push.
    """
    tip, direction = np.asarray(tipRas, float), np.asarray(shaftDirectionRas, float)
    hub = tip - shaftLengthMm * direction
    results = []
    for structure in structures:
        clearance, nearest, behind, bound = segmentClearance(structure.distance, tip, hub, shaftRadiusMm)
        ahead, _, _, aheadBound = segmentClearance(structure.distance, tip, endPointRas, shaftRadiusMm)
        results.append(
            StructureClearance(
                structure.name, structure.limitMm, clearance, nearest, behind, bound, ahead, aheadBound, structure.distance.accuracyMm
            )
        )
    return tuple(results)
