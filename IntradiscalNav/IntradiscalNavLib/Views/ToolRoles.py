"""From the states of streamed transforms and images to the liveness of the three roles guidance knows: needle, probe, reference."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, REFERENCE, ToolLiveness
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, worstState
from TranslatedText.Translation import tr as _


class ToolRoles:
    """Which names of the stream stand for which role. ``take`` every update of the scene; ``liveness`` is what the session asks for.

    A role is as good as its worst name, and not live when none of its names is in the stream. When no update was taken for
    ``staleAfterSec`` nothing is live: whoever stops processing the stream must not leave the last states standing.

    :param roles: for instance ``{NEEDLE: ["NeedleToReference"], PROBE: ["ProbeToReference", "Image_Image"]}``; leave REFERENCE out when
        no patient sensor takes part.
    """

    def __init__(self, roles: Mapping[str, Sequence[str]], staleAfterSec: float = 0.5, clock: Callable[[], float] = time.monotonic) -> None:
        unknown = set(roles) - {NEEDLE, PROBE, REFERENCE}
        if unknown:
            raise ValueError(
                _("Unknown tool roles {unknown}; the roles are {needle}, {probe} and {reference}.").format(
                    unknown=sorted(unknown), needle=NEEDLE, probe=PROBE, reference=REFERENCE
                )
            )
        self.roles = {role: tuple(names) for role, names in roles.items()}
        self._staleAfterSec = staleAfterSec
        self._clock = clock
        self._takenSec: float | None = None
        self._update: SceneUpdate | None = None

    def take(self, update: SceneUpdate, nowSec: float | None = None) -> None:
        """Remember the states of this update."""
        self._update = update
        self._takenSec = self._clock() if nowSec is None else nowSec

    def liveness(self) -> dict[str, ToolLiveness]:
        """Liveness of every role at this moment."""
        update, takenSec = self._update, self._takenSec
        if update is None or takenSec is None:
            return {role: ToolLiveness(False, ToolState.MISSING.value, _("nothing has arrived yet")) for role in self.roles}
        silentSec = self._clock() - takenSec
        if silentSec > self._staleAfterSec:
            reason = _("the stream was not processed for {silentSec:.1f} s").format(silentSec=silentSec)
            return {role: ToolLiveness(False, ToolState.STALE.value, reason) for role in self.roles}
        return {role: self._livenessOf(update, names) for role, names in self.roles.items()}

    @staticmethod
    def _livenessOf(update: SceneUpdate, names: Sequence[str]) -> ToolLiveness:
        missing = [name for name in names if name not in update.states]
        if missing or not names:
            return ToolLiveness(
                False, ToolState.MISSING.value, _("{names} is not in the stream").format(names=", ".join(missing) or "nothing")
            )
        state = worstState(update.states[name] for name in names)
        reasons: list[str] = []
        for name in names:
            status = update.statuses.get(name)
            told = status.reasons if status is not None else update.reasons.get(name, ())
            if update.states[name] is not ToolState.OK:
                reasons += [reason for reason in told if reason not in reasons]
        return ToolLiveness(state.isLive, state.value, "; ".join(reasons[:2]))
