"""Marks numbers that are replayed, so that nobody takes them for live ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from IntradiscalNavLib.Guidance.DisplayedGuidance import DisplayedGuidance, DisplayedNumber, GuidanceNumber, millimetres
from IntradiscalNavLib.Guidance.ProximityAlert import AlertLevel

REPLAY = "REPLAY"


def markReplay(displayed: DisplayedGuidance, timeSec: float, clearancesMm: Mapping[str, float] | None = None) -> DisplayedGuidance:
    """The same numbers as a replay: each label begins with REPLAY, and a warning says that nothing is live.

    :param timeSec: time of the replay (s). :param clearancesMm: clearances as they were displayed then; the nearest is shown where the
        replay itself computes none. Its level isn't known: the limits of that day aren't in the recording.
    """
    numbers = dict(displayed.numbers)
    clearance = numbers[GuidanceNumber.CLEARANCE]
    if not clearance.live and clearancesMm and displayed.live:
        name, value = min(clearancesMm.items(), key=lambda item: item[1])
        numbers[GuidanceNumber.CLEARANCE] = DisplayedNumber(GuidanceNumber.CLEARANCE, name, millimetres(value), True, AlertLevel.CLEAR)
    marked = {number: replace(item, label=f"{REPLAY} {item.label}") for number, item in numbers.items()}
    warning = f"{REPLAY}, NOT LIVE: {timeSec:.1f} s"
    return replace(displayed, numbers=marked, warnings=(warning, *displayed.warnings), isReplay=True)
