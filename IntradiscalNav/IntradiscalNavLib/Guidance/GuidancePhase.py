"""Phase of the insertion: aligning, at the skin, advancing, at the target; changes are events for the log."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from IntradiscalNavLib.Guidance.Guidance import Guidance
from TranslatedText.Translation import tr as _


class GuidancePhase(enum.Enum):
    """UNKNOWN while the needle isn't live."""

    UNKNOWN = "unknown"
    ALIGNING = "aligning"
    AT_SKIN = "at skin"
    ADVANCING = "advancing"
    AT_TARGET = "at target"


@dataclass(frozen=True)
class PhaseLimits:
    """Where phases begin (mm). A tip deeper than the entry but farther than ``advancingLateralMm`` from the path is in the air beside the
    patient, not advancing. Leaving a phase takes ``hysteresisMm`` more than entering it, and a change must hold ``dwellSec``."""

    skinReachMm: float = 5.0
    skinLateralMm: float = 15.0
    insertedMm: float = 5.0
    advancingLateralMm: float = 40.0
    targetReachMm: float = 3.0
    hysteresisMm: float = 1.5
    dwellSec: float = 0.3

    def __post_init__(self) -> None:
        if (
            min(self.skinReachMm, self.skinLateralMm, self.insertedMm, self.advancingLateralMm, self.targetReachMm) <= 0
            or min(self.hysteresisMm, self.dwellSec) < 0
        ):
            raise ValueError(_("Phase limits must be positive lengths; hysteresis and dwell must not be negative."))


@dataclass(frozen=True)
class PhaseChange:
    """One change of phase, with the numbers that belong in the log."""

    timeSec: float
    fromPhase: GuidancePhase
    toPhase: GuidancePhase
    tipToTargetMm: float | None
    tipToPathMm: float | None
    shaftAngleDeg: float | None


class PhaseTracker:
    """Follows the phase of the active needle. ``update`` returns a change when there is one."""

    def __init__(self, limits: PhaseLimits | None = None) -> None:
        self.limits = limits or PhaseLimits()
        self.phase = GuidancePhase.UNKNOWN
        self._candidate = GuidancePhase.UNKNOWN
        self._candidateSinceSec = 0.0

    def update(self, guidance: Guidance | None, nowSec: float) -> PhaseChange | None:
        """Take one pose, or None when the needle isn't live.

        Losing the needle changes the phase at once, and so does the first pose after it; every other change waits for its dwell time.
        """
        wanted = GuidancePhase.UNKNOWN if guidance is None else self._phaseOf(guidance)
        if wanted is self.phase:
            self._candidate = wanted
            return None
        if wanted is not self._candidate:
            self._candidate, self._candidateSinceSec = wanted, nowSec
        immediate = GuidancePhase.UNKNOWN in (wanted, self.phase)
        if not immediate and nowSec - self._candidateSinceSec < self.limits.dwellSec:
            return None
        change = PhaseChange(
            nowSec,
            self.phase,
            wanted,
            None if guidance is None else guidance.tipToTargetMm,
            None if guidance is None else guidance.tipToPathMm,
            None if guidance is None else guidance.shaftAngleDeg,
        )
        self.phase = wanted
        return change

    def reset(self) -> None:
        """Start over, as when another needle is made active."""
        self.phase = self._candidate = GuidancePhase.UNKNOWN

    def _phaseOf(self, guidance: Guidance) -> GuidancePhase:
        limits = self.limits

        def stay(phase: GuidancePhase) -> float:
            return limits.hysteresisMm if self.phase is phase else 0.0

        if guidance.tipToTargetMm <= limits.targetReachMm + stay(GuidancePhase.AT_TARGET):
            return GuidancePhase.AT_TARGET
        deepEnough = guidance.depthFromEntryMm >= limits.insertedMm - stay(GuidancePhase.ADVANCING) - stay(GuidancePhase.AT_TARGET)
        if deepEnough and guidance.targetLateralMm <= limits.advancingLateralMm + stay(GuidancePhase.ADVANCING):
            return GuidancePhase.ADVANCING
        nearSkin = abs(guidance.depthFromEntryMm) <= limits.skinReachMm + stay(GuidancePhase.AT_SKIN)
        if nearSkin and guidance.tipToPathMm <= limits.skinLateralMm + stay(GuidancePhase.AT_SKIN):
            return GuidancePhase.AT_SKIN
        return GuidancePhase.ALIGNING
