"""Colour and sound of the nearest structure, without flicker, mutable, silent when the needle isn't live."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from IntradiscalNavLib.Guidance.StructureClearance import StructureClearance
from TranslatedText.Translation import tr as _


class AlertLevel(enum.IntEnum):
    """Ordered by urgency."""

    UNKNOWN = 0
    CLEAR = 1
    NEAR = 2
    BREACH = 3


LEVEL_COLORS: dict[AlertLevel, tuple[float, float, float]] = {
    AlertLevel.UNKNOWN: (0.55, 0.55, 0.58),
    AlertLevel.CLEAR: (0.34, 0.71, 0.91),
    AlertLevel.NEAR: (0.94, 0.89, 0.26),
    AlertLevel.BREACH: (0.84, 0.37, 0.0),
}
"""Grey, sky blue, yellow and vermilion of Okabe and Ito's palette (2008): told apart with every common colour-vision defect."""


@dataclass(frozen=True)
class AlertSound:
    """Tone to play: pitch and the pause between beeps; 0 pause is a steady tone."""

    frequencyHz: float
    intervalSec: float


LEVEL_SOUNDS: dict[AlertLevel, AlertSound | None] = {
    AlertLevel.UNKNOWN: None,
    AlertLevel.CLEAR: None,
    AlertLevel.NEAR: AlertSound(440.0, 0.8),
    AlertLevel.BREACH: AlertSound(880.0, 0.2),
}


@dataclass(frozen=True)
class StructureAlert:
    """Level of one structure and its clearance (None when not live)."""

    name: str
    level: AlertLevel
    clearanceMm: float | None
    limitMm: float


@dataclass(frozen=True)
class AlertState:
    """What to show and play now; ``changes`` are (structure, from, to) since the last update, for the log."""

    level: AlertLevel
    nearest: StructureAlert | None
    structures: tuple[StructureAlert, ...]
    sound: AlertSound | None
    muted: bool
    changes: tuple[tuple[str, AlertLevel, AlertLevel], ...]

    @property
    def color(self) -> tuple[float, float, float]:
        return LEVEL_COLORS[self.level]


class ProximityAlert:
    """Level per structure: BREACH below its limit, NEAR within ``warningMm`` above it; leaving a level takes ``hysteresisMm`` more.

    ``mute()`` lasts until ``unmute()`` or until the level rises again, so that a muted warning can't hide a later breach.
    """

    def __init__(self, warningMm: float = 3.0, hysteresisMm: float = 0.5) -> None:
        if warningMm < 0 or hysteresisMm < 0:
            raise ValueError(_("Warning distance and hysteresis are lengths in mm and must not be negative."))
        self.warningMm, self.hysteresisMm = warningMm, hysteresisMm
        self._levels: dict[str, AlertLevel] = {}
        self._mutedAt: AlertLevel | None = None

    def mute(self) -> None:
        """Silence the present level and lower ones."""
        self._mutedAt = max(self._levels.values(), default=AlertLevel.UNKNOWN)

    def unmute(self) -> None:
        self._mutedAt = None

    @property
    def isMuted(self) -> bool:
        return self._mutedAt is not None

    def update(self, clearances: Sequence[StructureClearance] | None) -> AlertState:
        """Take the clearances of a live needle, or None when it isn't live: then every level is UNKNOWN and nothing sounds."""
        alerts: list[StructureAlert] = []
        changes: list[tuple[str, AlertLevel, AlertLevel]] = []
        if clearances is None:
            for name in self._levels:
                if self._levels[name] is not AlertLevel.UNKNOWN:
                    changes.append((name, self._levels[name], AlertLevel.UNKNOWN))
                self._levels[name] = AlertLevel.UNKNOWN
            return AlertState(AlertLevel.UNKNOWN, None, (), None, self.isMuted, tuple(changes))
        present: dict[str, AlertLevel] = {}
        for clearance in clearances:
            before = self._levels.get(clearance.name, AlertLevel.UNKNOWN)
            level = self._levelOf(clearance, before)
            if level is not before:
                changes.append((clearance.name, before, level))
            present[clearance.name] = level
            alerts.append(StructureAlert(clearance.name, level, clearance.clearanceMm, clearance.limitMm))
        self._levels = present
        level = max(present.values(), default=AlertLevel.CLEAR)
        if self._mutedAt is not None and level > max(self._mutedAt, AlertLevel.CLEAR):
            self._mutedAt = None
        nearest = min(alerts, key=lambda alert: (-alert.level, (alert.clearanceMm or 0.0) - alert.limitMm), default=None)
        sound = None if self.isMuted else LEVEL_SOUNDS[level]
        return AlertState(level, nearest, tuple(alerts), sound, self.isMuted, tuple(changes))

    def _levelOf(self, clearance: StructureClearance, before: AlertLevel) -> AlertLevel:
        margin = clearance.marginMm
        # A lower bound counts as if it were the clearance: what isn't known to be far is treated as near.
        if margin < (self.hysteresisMm if before is AlertLevel.BREACH else 0.0):
            return AlertLevel.BREACH
        if margin < self.warningMm + (self.hysteresisMm if before >= AlertLevel.NEAR else 0.0):
            return AlertLevel.NEAR
        return AlertLevel.CLEAR
