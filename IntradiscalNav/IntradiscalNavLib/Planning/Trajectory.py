"""A planned needle path and everything known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def shortfallText(value: float) -> str:
    """A shortfall in words: never "0.0" when something fails."""
    return f"{value:.1f}" if value >= 0.1 else f"{max(value, 0.01):.2f}"


@dataclass(frozen=True)
class HardLimit:
    """One hard limit of a path: its value, the limit, whether a value must be at least ("min") or at most ("max") that, and by how much
    it fails (``shortfall`` 0 when met). ``unit`` belongs to value, limit and shortfall."""

    name: str
    value: float
    limit: float
    sense: str
    unit: str

    @property
    def met(self) -> bool:
        """Whether the limit holds."""
        return self.shortfall <= 0.0

    @property
    def slack(self) -> float:
        """Room left before the limit fails, negative when it fails."""
        return self.value - self.limit if self.sense == "min" else self.limit - self.value

    @property
    def shortfall(self) -> float:
        """How much is missing, 0 when met."""
        return max(0.0, -self.slack)

    def sentence(self) -> str:
        """What the limit says, in words."""
        relation = "at least" if self.sense == "min" else "at most"
        verdict = "met" if self.met else f"fails by {shortfallText(self.shortfall)} {self.unit}"
        return f"{self.name}: {self.value:.1f} {self.unit}, {relation} {self.limit:.1f}: {verdict}"


@dataclass(frozen=True)
class UltrasoundPlane:
    """Whether some probe plane holds the whole path with free skin beside the entry; the best such plane.

    ``planeNormalRas`` is the plane's unit normal, ``probeCenterRas`` the middle of the probe face on the skin, ``probeSide`` where it
    sits as seen from the entry, ``tiltDeg`` the plane's tilt against the skin normal, ``gapMm`` the largest distance between skin and a
    straight probe face.
    """

    feasible: bool
    probeSide: str
    tiltDeg: float
    gapMm: float
    planeNormalRas: FloatArray
    probeCenterRas: FloatArray


@dataclass(frozen=True)
class Trajectory:
    """A path from skin entry to target (RAS mm).

    ``clearancesMm`` is the smallest distance to each structure's surface (not lessened by margins; 15 mm stands for 15 or more; negative
    is inside). ``scoreTerms`` are in 0..1, ``score`` is their weighted mean. ``violationProbability`` is the probability that
    registration error, needle bending and the modelled nerves' uncertainty make the path violate a hard limit; ``violationByCause``
    splits it (causes may overlap). ``limitedBy`` says in words what limits the path, ``nearestBone`` which
    bone it comes nearest to. ``entryDistanceAlongSkinMm`` is NaN where the skin
    between is unknown.
    """

    name: str
    kind: str
    level: str
    side: str
    entryRas: FloatArray
    targetRas: FloatArray
    medialInclinationDeg: float
    caudalTiltDeg: float
    entryDistanceStraightMm: float
    entryDistanceAlongSkinMm: float
    lengthMm: float
    clearancesMm: Mapping[str, float]
    hardLimits: tuple[HardLimit, ...]
    score: float
    scoreTerms: Mapping[str, float]
    violationProbability: float
    violationByCause: Mapping[str, float] = field(default_factory=dict)
    ultrasound: UltrasoundPlane | None = None
    limitedBy: str = ""
    nearestBone: str = ""
    rechecked: bool = False

    @property
    def legal(self) -> bool:
        """Whether every hard limit is met."""
        return all(limit.met for limit in self.hardLimits)

    @property
    def failing(self) -> tuple[HardLimit, ...]:
        """The hard limits that fail."""
        return tuple(limit for limit in self.hardLimits if not limit.met)

    @property
    def directionRas(self) -> FloatArray:
        """Unit vector from entry to target."""
        vector = self.targetRas - self.entryRas
        result: FloatArray = vector / np.linalg.norm(vector)
        return result

    def hubRas(self, needleLengthMm: float) -> FloatArray:
        """Where the hub of a needle of this length ends up when its tip is at the target."""
        result: FloatArray = self.targetRas - needleLengthMm * self.directionRas
        return result
