"""One sensor serves many needles (one for the disc, six for the facets): needle and target change together, in one action."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, checkRigid
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import PathFrame
from TranslatedText.Translation import tr as _


@dataclass(frozen=True, eq=False)
class NeedlePlan:
    """A needle, its target and its path. ``needleTipToNeedle`` is its own tip calibration (needles differ in length)."""

    name: str
    targetName: str
    path: PathFrame
    needle: NeedleShape
    needleTipToNeedle: FloatArray


@dataclass(frozen=True)
class NeedleSwitch:
    """One switch, for the log and the large display."""

    timeSec: float
    fromNeedle: str | None
    toNeedle: str
    targetName: str


class ActiveNeedle:
    """The plans of a procedure and the one that is active."""

    def __init__(self, plans: Iterable[NeedlePlan] = ()) -> None:
        self._plans: dict[str, NeedlePlan] = {}
        self._active: str | None = None
        self._listeners: list[Callable[[NeedleSwitch], None]] = []
        for plan in plans:
            self.add(plan)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._plans)

    @property
    def active(self) -> NeedlePlan | None:
        return None if self._active is None else self._plans[self._active]

    def add(self, plan: NeedlePlan) -> None:
        """Add a needle, or put a new plan in place of the one of that name.

        :raises ValueError: for an empty name or a tip calibration that is not rigid.
        """
        if not plan.name:
            raise ValueError(_("A needle needs a name, so that it can be told from the others on the screen and in the log."))
        checkRigid(plan.needleTipToNeedle, f"NeedleTipToNeedle of needle {plan.name!r}")
        self._plans[plan.name] = plan

    def onSwitch(self, listener: Callable[[NeedleSwitch], None]) -> None:
        """Call the listener with every later switch."""
        self._listeners.append(listener)

    def select(self, name: str, nowSec: float) -> NeedleSwitch | None:
        """Make a needle and its target active; None when it was active already.

        :raises ValueError: when there is no such needle.
        """
        if name not in self._plans:
            raise ValueError(
                _("There is no needle {name!r}; planned are {names}. Plan it first.").format(
                    name=name, names=", ".join(self._plans) or "none"
                )
            )
        if name == self._active:
            return None
        switch = NeedleSwitch(nowSec, self._active, name, self._plans[name].targetName)
        self._active = name
        for listener in self._listeners:
            listener(switch)
        return switch

    def selectNext(self, nowSec: float) -> NeedleSwitch | None:
        """The next needle in the order they were planned, round to the first (for a foot switch)."""
        if not self._plans:
            raise ValueError(_("No needle is planned. Plan a trajectory first."))
        names = self.names
        return self.select(names[(names.index(self._active) + 1) % len(names)] if self._active else names[0], nowSec)


def identityTip() -> FloatArray:
    """Tip calibration of a sensor that reports the tip itself."""
    return np.eye(4)
