"""The wrong-level trap: does the sweep fit the neighbouring vertebrae nearly as well?

Neighbouring vertebrae look alike. Whatever the fit, the poses one and two levels up and down are fitted too and their cost is
compared. How many lumbar vertebrae the patient has plays no part: transitional vertebrae exist.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

AMBIGUOUS_MARGIN = 0.06
"""An alternative whose cost is less than this above the fit's counts as fitting nearly as well. Tuned on the meshes of one spine."""


@dataclasses.dataclass(frozen=True)
class LevelAlternative:
    """The best pose about a number of levels away from the fit.

    levels: +1 one vertebra towards the head, -1 towards the feet.
    shiftMm: how far the fitted alternative lies from the fit along the spine.
    cost: its robust cost, to compare with the fit's. inlierShare: share of points within 2 mm of the surface.
    """

    levels: int
    shiftMm: float
    cost: float
    inlierShare: float
    referenceToRas: tuple[tuple[float, ...], ...]

    @property
    def matrix(self) -> FloatArray:
        """The 4x4 transform as an array."""
        return np.array(self.referenceToRas)


@dataclasses.dataclass(frozen=True)
class LevelCheck:
    """Outcome: the fit's cost, the alternatives, and what to tell the operator."""

    cost: float
    alternatives: tuple[LevelAlternative, ...]
    margin: float
    ambiguous: bool
    message: str

    @property
    def closest(self) -> LevelAlternative | None:
        """The alternative that fits best."""
        return min(self.alternatives, key=lambda alternative: alternative.cost, default=None)

    def toDict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return dataclasses.asdict(self)

    @classmethod
    def fromDict(cls, values: Mapping[str, Any]) -> LevelCheck:
        """Inverse of toDict."""
        alternatives = tuple(
            LevelAlternative(**{**item, "referenceToRas": tuple(tuple(row) for row in item["referenceToRas"])})
            for item in values["alternatives"]
        )
        return cls(float(values["cost"]), alternatives, float(values["margin"]), bool(values["ambiguous"]), str(values["message"]))


def judgeLevels(cost: float, alternatives: tuple[LevelAlternative, ...], threshold: float = AMBIGUOUS_MARGIN) -> LevelCheck:
    """Compare a fit's cost with those of the poses at other levels."""
    if not alternatives:
        return LevelCheck(cost, (), 1.0, False, _("No neighbouring level lies within the CT: the level could not be cross-checked."))
    closest = min(alternatives, key=lambda alternative: alternative.cost)
    margin = closest.cost - cost
    where = f"{abs(closest.levels)} level{'s' if abs(closest.levels) > 1 else ''} {'higher' if closest.levels > 0 else 'lower'}"
    costs = f"cost {closest.cost:.2f} against {cost:.2f}"
    if margin < 0:
        message = _(
            "The sweep fits better {where} (cost {cost:.2f} against {cost2:.2f}): confirm the level by counting from the sacrum."
        ).format(where=where, cost=closest.cost, cost2=cost)
    elif margin < threshold:
        message = _("The sweep fits nearly as well {where} ({costs}): confirm the level by counting from the sacrum.").format(
            where=where, costs=costs
        )
    else:
        message = _("No other level fits: the closest, {where}, has cost {cost:.2f} against {cost2:.2f}.").format(
            where=where, cost=closest.cost, cost2=cost
        )
    return LevelCheck(cost, alternatives, margin, margin < threshold, message)
