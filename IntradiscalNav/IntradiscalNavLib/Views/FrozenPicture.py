"""Freeze and compare: hold a frame at its place while the patient and the probe go on."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundFrame
from TranslatedText.Translation import tr as _


class FreezeMode(enum.Enum):
    """LIVE: nothing is held. FROZEN: every ultrasound view holds. COMPARE: the fusion view holds, the ultrasound view goes on live."""

    LIVE = "live"
    FROZEN = "frozen"
    COMPARE = "compare"


@dataclass(frozen=True, eq=False)
class ShownFrames:
    """What each of the two ultrasound views shows, and how long it has been held (None while live)."""

    fusion: UltrasoundFrame | None
    ultrasound: UltrasoundFrame | None
    fusionHeldSec: float | None
    ultrasoundHeldSec: float | None


class FrozenPicture:
    """Chooses between the live and the held frame."""

    def __init__(self) -> None:
        self.mode = FreezeMode.LIVE
        self._held: UltrasoundFrame | None = None
        self._heldAtSec = 0.0

    def freeze(self, frame: UltrasoundFrame | None, nowSec: float, compare: bool = False) -> None:
        """Hold a frame.

        :raises RuntimeError: when there is no live frame to hold.
        """
        if self.mode is FreezeMode.LIVE or self._held is None:
            if frame is None:
                raise RuntimeError(_("There is no live ultrasound frame to freeze. Wait until the probe is tracked and the image arrives."))
            self._held = UltrasoundFrame(frame.pixels.copy(), frame.imageToRas.copy(), frame.stamp)
            self._heldAtSec = nowSec
        self.mode = FreezeMode.COMPARE if compare else FreezeMode.FROZEN

    def release(self) -> None:
        """Go on live."""
        self.mode, self._held = FreezeMode.LIVE, None

    def shown(self, live: UltrasoundFrame | None, nowSec: float) -> ShownFrames:
        heldSec = nowSec - self._heldAtSec
        if self.mode is FreezeMode.FROZEN:
            return ShownFrames(self._held, self._held, heldSec, heldSec)
        if self.mode is FreezeMode.COMPARE:
            return ShownFrames(self._held, live, heldSec, None)
        return ShownFrames(live, live, None, None)
