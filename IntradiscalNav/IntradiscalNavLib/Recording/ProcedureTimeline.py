"""Phases and events of a procedure in the order they came: from a recording, or as a saved scene keeps them."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from IntradiscalNavLib.Recording.RecordedProcedure import RecordedEvent, RecordedProcedure

GUIDANCE_STEP_SEC = 0.1
"""So often a saved scene keeps phase, clearances and out-of-plane distance; the recording itself keeps every tick."""
ROUNDING_SEC = 0.001
"""Scenes keep times in whole milliseconds."""
UNLISTED = ("FixedTransform", "Plan", "phase")
"""Events that the list leaves out: calibrations are no moment of the procedure, and phases are listed as such."""


@dataclass(frozen=True)
class TimelineEntry:
    """A phase or event (seconds since the start of the replay)."""

    timeSec: float
    name: str
    text: str = ""


@dataclass(frozen=True)
class DisplayedNumbers:
    """What was displayed from ``timeSec`` on: the phase, and the clearances to the structures at risk (mm)."""

    timeSec: float
    phase: str
    clearancesMm: Mapping[str, float]


@dataclass(frozen=True)
class ProcedureTimeline:
    """``entries`` and ``displayed`` in order of time."""

    entries: tuple[TimelineEntry, ...] = ()
    displayed: tuple[DisplayedNumbers, ...] = ()

    def displayedAt(self, timeSec: float, maximumAgeSec: float = 0.5) -> DisplayedNumbers | None:
        """What was on the screen at a time; None where nothing was, or it is longer ago than ``maximumAgeSec``."""
        index = bisect.bisect_right(self.displayed, timeSec + ROUNDING_SEC, key=lambda entry: entry.timeSec) - 1
        if index < 0 or timeSec - self.displayed[index].timeSec > maximumAgeSec:
            return None
        # A phase may have begun between two entries: those are thinned out, phases are not.
        begun = [entry for entry in self.entries if entry.name == "phase" and entry.timeSec <= timeSec + ROUNDING_SEC]
        shown = self.displayed[index]
        return replace(shown, phase=begun[-1].text) if begun and begun[-1].timeSec >= shown.timeSec else shown


def timelineOfRecording(recorded: RecordedProcedure) -> ProcedureTimeline:
    """Time line of a raw recording, seconds since its start."""
    entries = [TimelineEntry(time, "phase", name) for time, name in recorded.phases]
    entries += [TimelineEntry(event.timeSec, event.name, _textOf(event)) for event in _listed(recorded.events)]
    return ProcedureTimeline(_ordered(entries), tuple(_displayed(entry.timeSec, entry.values) for entry in recorded.guidance))


def timelineDocument(recorded: RecordedProcedure, startSec: float, endSec: float = math.inf) -> dict[str, object]:
    """Phases and events as a scene keeps them: seconds since the first sample of its sequences.

    :param startSec: first moment of the recording that the scene carries. :param endSec: its last.
    """
    events = [
        {"timeSec": round(event.timeSec - startSec, 3), "name": event.name, "text": _textOf(event)}
        for event in _listed(recorded.events)
        if startSec <= event.timeSec <= endSec
    ]
    guidance: list[dict[str, object]] = []
    for entry in recorded.guidance:
        timeSec = entry.timeSec - startSec
        if 0 <= timeSec <= endSec - startSec and (not guidance or timeSec - float(str(guidance[-1]["timeSec"])) >= GUIDANCE_STEP_SEC):
            kept = {name: entry.values[name] for name in ("phase", "outOfPlaneMm", "clearancesMm") if entry.values.get(name) is not None}
            guidance.append({"timeSec": round(timeSec, 3), **kept})
    phases = [[round(time - startSec, 3), name] for time, name in recorded.phases if time <= endSec]
    return {"phases": phases, "events": events, "guidance": guidance}


def timelineOfDocument(document: Mapping[str, Any] | None, durationSec: float) -> ProcedureTimeline:
    """Time line of a saved scene; what lies outside of its recording is left out."""
    stored = document or {}
    entries = [TimelineEntry(float(time), "phase", str(name)) for time, name in stored.get("phases", ())]
    entries += [TimelineEntry(float(each["timeSec"]), each["name"], each.get("text", "")) for each in stored.get("events", ())]
    inside = [entry for entry in entries if 0 <= entry.timeSec <= durationSec]
    return ProcedureTimeline(_ordered(inside), tuple(_displayed(float(each["timeSec"]), each) for each in stored.get("guidance", ())))


def _listed(events: Iterable[RecordedEvent]) -> list[RecordedEvent]:
    return [event for event in events if event.name not in UNLISTED]


def _textOf(event: RecordedEvent) -> str:
    if "text" not in event.values and "to" in event.values:  # a tool's status
        return f"{event.values.get('from', '')} -> {event.values['to']}"
    return str(event.values.get("text", ""))


def _displayed(timeSec: float, values: Mapping[str, Any]) -> DisplayedNumbers:
    known = {name: float(value) for name, value in (values.get("clearancesMm") or {}).items() if isinstance(value, int | float)}
    return DisplayedNumbers(timeSec, str(values.get("phase", "")), known)


def _ordered(entries: Sequence[TimelineEntry]) -> tuple[TimelineEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.timeSec))
