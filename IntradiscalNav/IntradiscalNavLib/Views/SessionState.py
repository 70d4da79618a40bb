"""What one tick hands from the session to the views."""

from __future__ import annotations

from dataclasses import dataclass

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import DisplayedGuidance
from IntradiscalNavLib.Views.UltrasoundDisplay import UltrasoundFrame


@dataclass(frozen=True, eq=False)
class SessionState:
    """State of one moment.

    ``needleTipToRas`` is the last valid pose, also when the needle is no longer live (it is drawn grey then); None before the first.
    ``frame`` likewise is the last picture that had a valid place.
    """

    timeSec: float
    displayed: DisplayedGuidance
    plan: NeedlePlan | None
    needleTipToRas: FloatArray | None
    needleLive: bool
    frame: UltrasoundFrame | None
    frameLive: bool


@dataclass(frozen=True)
class SessionEvent:
    """Something for the procedure log. ``kind``: phase, needle, tool, clearance, check; ``detail`` holds plain values."""

    timeSec: float
    kind: str
    text: str
    detail: dict[str, float | str | None]
