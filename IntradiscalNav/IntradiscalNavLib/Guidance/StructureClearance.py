"""Clearance of the whole needle shaft, and of the stretch it would yet take, to structures at risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.StructureDistance import StructureDistance

SAMPLE_STEP_MM = 1.5
REFINEMENTS = 4
REFINED_OFFSETS = np.linspace(-1.0, 1.0, 15)
"""Each round looks at the 14 steps round the least sample and makes the step 7 times smaller: 1.5 mm / 7^4 = 0.0006 mm in place; the
value, at a minimum, is far closer than that."""


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


@dataclass(frozen=True, eq=False)
class SegmentDistance:
    """Least distance of a segment's axis from a structure (mm), where it is (share of the way, 0 start, 1 end), whether it is a bound."""

    distanceMm: float
    share: float
    isLowerBound: bool


def segmentDistances(distance: StructureDistance, startsRas: npt.ArrayLike, endsRas: npt.ArrayLike) -> tuple[SegmentDistance, ...]:
    """Least distance of each segment (starts (n, 3) to ends (n, 3)) from a structure.

    All segments are sampled in one look-up, then the neighbourhood of each least sample is sampled ever finer, again all together:
    the cost is that of a few look-ups, not of the number of segments.
    """
    starts, ends = np.asarray(startsRas, float), np.asarray(endsRas, float)
    ways = ends - starts
    counts = np.maximum(np.ceil(np.linalg.norm(ways, axis=1) / SAMPLE_STEP_MM).astype(int), 1)
    shares = [np.arange(count + 1) / count for count in counts]
    values, bounds = distance.distancesAt(np.concatenate([start + share[:, None] * way for start, share, way in zip(starts, shares, ways)]))
    first = np.concatenate([[0], np.cumsum(counts + 1)[:-1]])
    places = [int(np.argmin(values[begin : begin + count + 1])) for begin, count in zip(first, counts)]
    bestShares = np.array([share[place] for share, place in zip(shares, places)])
    best = np.array([values[begin + place] for begin, place in zip(first, places)])
    isBound = np.array([bounds[begin + place] for begin, place in zip(first, places)])
    steps = 1.0 / counts
    for _ in range(0 if isBound.all() else REFINEMENTS):
        near = np.clip(bestShares[:, None] + steps[:, None] * REFINED_OFFSETS, 0.0, 1.0)
        points = starts[:, None] + near[:, :, None] * ways[:, None]
        found = distance.distancesAt(points.reshape(-1, 3))[0].reshape(near.shape)
        index = found.argmin(axis=1)
        rows = np.arange(len(index))
        better = found[rows, index] < best
        bestShares = np.where(better & ~isBound, near[rows, index], bestShares)
        best = np.where(better & ~isBound, found[rows, index], best)
        steps = steps / 7.0
    return tuple(SegmentDistance(float(d), float(s), bool(b)) for d, s, b in zip(best, bestShares, isBound))


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
    starts, ends = np.array([tip, tip]), np.array([hub, np.asarray(endPointRas, float)])
    results = []
    for structure in structures:
        shaft, ahead = segmentDistances(structure.distance, starts, ends)
        results.append(
            StructureClearance(
                name=structure.name,
                limitMm=structure.limitMm,
                clearanceMm=shaft.distanceMm - shaftRadiusMm,
                nearestRas=tip + shaft.share * (hub - tip),
                behindTipMm=shaft.share * shaftLengthMm,
                isLowerBound=shaft.isLowerBound,
                aheadMm=ahead.distanceMm - shaftRadiusMm,
                aheadIsLowerBound=ahead.isLowerBound,
                accuracyMm=structure.distance.accuracyMm,
            )
        )
    return tuple(results)
