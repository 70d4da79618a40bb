"""Clearance of the whole needle shaft, and of the stretch it would yet take, to structures at risk."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.PathFrame import vectorLength
from IntradiscalNavLib.Guidance.StructureDistance import StackedTables, StructureDistance
from TranslatedText.Translation import tr as _

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


class StructureSet:
    """The structures at risk of a plan, prepared once for look-ups at every pose.

    :raises ValueError: when two structures share a name: their alerts couldn't be told apart.
    """

    def __init__(self, structures: Sequence[RiskStructure]) -> None:
        self.structures = tuple(structures)
        names = [structure.name for structure in self.structures]
        if len(set(names)) != len(names):
            raise ValueError(_("Structures share a name: {names}. Give each its own.").format(names=", ".join(sorted(names))))
        self._tables = StackedTables([structure.distance for structure in self.structures]) if self.structures else None

    def leastDistances(self, startsRas: npt.ArrayLike, endsRas: npt.ArrayLike) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Least distance of each segment's axis from each structure.

        All segments are sampled in one look-up, then the neighbourhood of each least sample is sampled ever finer, again all together.

        :param startsRas, endsRas: segments (m, 3).
        :returns: distances (structures, m) in mm, where on the segment (0 start, 1 end), and whether the distance is a lower bound.
        """
        starts, ends = np.asarray(startsRas, float), np.asarray(endsRas, float)
        ways = ends - starts
        empty = np.zeros((0, len(starts)))
        if self._tables is None:
            return empty, empty, empty.astype(bool)
        counts = [max(math.ceil(vectorLength(way) / SAMPLE_STEP_MM), 1) for way in ways]
        shares = [np.arange(count + 1) / count for count in counts]
        samples = [start[:, None] + share * way[:, None] for start, share, way in zip(starts, shares, ways)]
        values, bounds = self._tables.distancesAt(np.concatenate(samples, axis=1)[None])
        firsts = list(itertools.accumulate((count + 1 for count in counts[:-1]), initial=0))
        places = np.stack([values[:, first : first + count + 1].argmin(axis=1) for first, count in zip(firsts, counts)], axis=1)
        rows, columns = np.arange(len(values))[:, None], np.arange(len(counts))
        flat = places + np.array(firsts)
        best, isBound = values[rows, flat], bounds[rows, flat]
        steps = 1.0 / np.array(counts)
        bestShares = places * steps
        distancesAlong = self._tables.alongSegments(starts, ways)
        for _refinement in range(0 if isBound.all() else REFINEMENTS):
            near = np.minimum(np.maximum(bestShares[:, :, None] + steps[:, None] * REFINED_OFFSETS, 0.0), 1.0)
            found, _isBound = distancesAlong(near)
            index = found.argmin(axis=2)
            least = found[rows, columns, index]
            better = (least < best) & ~isBound
            bestShares = np.where(better, near[rows, columns, index], bestShares)
            best = np.where(better, least, best)
            steps = steps / 7.0
        return best, bestShares, isBound

    def clearances(
        self,
        tipRas: npt.ArrayLike,
        shaftDirectionRas: npt.ArrayLike,
        shaftLengthMm: float,
        shaftRadiusMm: float,
        endPointRas: npt.ArrayLike,
    ) -> tuple[StructureClearance, ...]:
        """Clearances of a straight needle to every structure, in their order.

        :param shaftDirectionRas: unit vector hub to tip; the shaft runs from the tip back by its length.
        :param endPointRas: where the tip would be if the needle were pushed on; the tip itself when there is nothing to push.
        """
        tip, direction = np.asarray(tipRas, float), np.asarray(shaftDirectionRas, float)
        hub = tip - shaftLengthMm * direction
        distances, shares, bounds = self.leastDistances(np.array([tip, tip]), np.array([hub, np.asarray(endPointRas, float)]))
        return tuple(
            StructureClearance(
                name=structure.name,
                limitMm=structure.limitMm,
                clearanceMm=distance[0] - shaftRadiusMm,
                nearestRas=tip + share[0] * (hub - tip),
                behindTipMm=share[0] * shaftLengthMm,
                isLowerBound=bound[0],
                aheadMm=distance[1] - shaftRadiusMm,
                aheadIsLowerBound=bound[1],
                accuracyMm=structure.distance.accuracyMm,
            )
            for structure, distance, share, bound in zip(self.structures, distances.tolist(), shares.tolist(), bounds.tolist())
        )
