"""The numbers as text, and what must not be shown.

A number appears only while every tool it depends on is live. What isn't live is blank with the reason beside it; a number once
shown is never kept on the screen as if it were still true.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from IntradiscalNavLib.Guidance.Guidance import Guidance
from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase
from IntradiscalNavLib.Guidance.ProximityAlert import AlertLevel, AlertState
from TranslatedText.Translation import tr as _

BLANK = "– –"
OK_STATE = "OK"
NEEDLE, PROBE, REFERENCE = "needle", "probe", "reference"


class GuidanceNumber(enum.Enum):
    """What can be displayed."""

    TIP_TO_TARGET = "tip to target"
    DEPTH_LEFT = "depth left"
    LATERAL = "lateral"
    TIP_TO_PATH = "tip to path"
    SHAFT_ANGLE = "shaft angle"
    END_POINT_ERROR = "if pushed on"
    OUT_OF_PLANE = "out of plane"
    CLEARANCE = "clearance"
    UNCERTAINTY = "tip known to"


@dataclass(frozen=True)
class ToolLiveness:
    """Whether a tool's pose may be used now, and why not. ``state`` is the word to show (OK, STALE, MISSING, ...)."""

    live: bool
    state: str = "OK"
    reason: str = ""


@dataclass(frozen=True)
class DisplayedNumber:
    """One number as shown: text with unit, or BLANK. ``level`` colours it."""

    number: GuidanceNumber
    label: str
    text: str
    live: bool
    level: AlertLevel


@dataclass(frozen=True, eq=False)
class DisplayedGuidance:
    """All that goes on the screen. ``guidance`` is None whenever the needle isn't live, so nobody can take a number past the blanking."""

    timeSec: float
    needleName: str
    targetName: str
    live: bool
    numbers: Mapping[GuidanceNumber, DisplayedNumber]
    phase: GuidancePhase
    alert: AlertState
    notLive: Mapping[str, ToolLiveness]
    warnings: tuple[str, ...]
    guidance: Guidance | None
    isReplay: bool = False
    """Whether this comes from a recording (see ``Views.ReplayMark``): whoever shows it has to say so."""

    def text(self, number: GuidanceNumber) -> str:
        return self.numbers[number].text

    def panelText(self, number: GuidanceNumber) -> str:
        """Text where there is no room for a word: a replayed number stands in brackets, without its mm."""
        return f"[{self.text(number).removesuffix(' mm')}]" if self.isReplay else self.text(number)

    @property
    def phaseText(self) -> str:
        """Phase as it is shown: that of a replay is never to be taken for a live one."""
        return f"REPLAY {self.phase.value}" if self.isReplay else self.phase.value


def millimetres(value: float, signed: bool = False) -> str:
    """Text of a length; a typographic minus, one decimal below 100 mm, no negative zero."""
    digits = 1 if abs(value) < 99.95 else 0
    rounded = round(value, digits) + 0.0
    sign = "−" if rounded < 0 else ("+" if signed and rounded > 0 else "")
    return f"{sign}{abs(rounded):.{digits}f} mm"


def displayGuidance(
    guidance: Guidance | None,
    tools: Mapping[str, ToolLiveness],
    *,
    timeSec: float,
    needleName: str = "",
    targetName: str = "",
    phase: GuidancePhase = GuidancePhase.UNKNOWN,
    alert: AlertState | None = None,
    warnings: tuple[str, ...] = (),
    uncertaintyWarningMm: float = 4.0,
) -> DisplayedGuidance:
    """What to show for a pose.

    :param tools: liveness by role (``needle``, ``probe``, ``reference``). A role that is missing is not live, except the reference:
        without that key no patient sensor takes part.
    :param uncertaintyWarningMm: above this 95 % radius the uncertainty is shown as a warning.
    """
    needle = tools.get(NEEDLE, ToolLiveness(False, "MISSING", _("no needle is streamed")))
    reference = tools.get(REFERENCE, ToolLiveness(True))
    probe = tools.get(PROBE, ToolLiveness(False, "MISSING", _("no probe is streamed")))
    needleLive = needle.live and reference.live and guidance is not None
    shown = guidance if needleLive else None
    planeLive = shown is not None and probe.live and shown.inPlane is not None
    alertState = alert if alert is not None and needleLive else AlertState(AlertLevel.UNKNOWN, None, (), None, False, ())
    numbers: dict[GuidanceNumber, DisplayedNumber] = {}

    def put(number: GuidanceNumber, text: str | None, level: AlertLevel = AlertLevel.CLEAR, label: str = "") -> None:
        live = text is not None
        numbers[number] = DisplayedNumber(number, label or number.value, text or BLANK, live, level if live else AlertLevel.UNKNOWN)

    g = shown
    put(GuidanceNumber.TIP_TO_TARGET, None if g is None else millimetres(g.tipToTargetMm))
    put(GuidanceNumber.DEPTH_LEFT, None if g is None else millimetres(g.depthLeftMm))
    put(GuidanceNumber.LATERAL, None if g is None else millimetres(g.targetLateralMm))
    put(GuidanceNumber.TIP_TO_PATH, None if g is None else millimetres(g.tipToPathMm))
    put(GuidanceNumber.SHAFT_ANGLE, None if g is None else f"{g.shaftAngleDeg:.1f}°")
    put(GuidanceNumber.END_POINT_ERROR, None if g is None else f"{millimetres(g.endPointErrorMm)} off")
    put(GuidanceNumber.OUT_OF_PLANE, millimetres(g.outOfPlaneMm or 0.0, signed=True) if g is not None and planeLive else None)
    nearest = alertState.nearest
    if nearest is None or nearest.clearanceMm is None:
        put(GuidanceNumber.CLEARANCE, None)
    else:
        put(GuidanceNumber.CLEARANCE, millimetres(nearest.clearanceMm), nearest.level, nearest.name)
    if g is None or g.uncertainty is None:
        put(GuidanceNumber.UNCERTAINTY, None if g is None else "unknown", AlertLevel.NEAR)
    else:
        radius = g.uncertainty.radius95Mm
        complete = g.uncertainty.includesRegistration
        text = f"± {millimetres(radius)}" if complete else f"> {millimetres(radius)}"
        put(GuidanceNumber.UNCERTAINTY, text, AlertLevel.NEAR if radius > uncertaintyWarningMm or not complete else AlertLevel.CLEAR)

    roles = ((NEEDLE, needle), (PROBE, probe), (REFERENCE, reference))
    notLive = {role: tool for role, tool in roles if not tool.live}
    # Live but odd (SUSPECT): the numbers stand, the oddity stands beside them.
    odd = tuple(f"{role.upper()} {tool.state}: {tool.reason}" for role, tool in roles if tool.live and tool.state != OK_STATE)
    return DisplayedGuidance(
        timeSec=timeSec,
        needleName=needleName,
        targetName=targetName,
        live=needleLive,
        numbers=numbers,
        phase=phase if needleLive else GuidancePhase.UNKNOWN,
        alert=alertState,
        notLive=notLive,
        warnings=odd + warnings,
        guidance=shown,
    )
