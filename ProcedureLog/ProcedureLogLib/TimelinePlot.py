"""Timeline of one procedure: lanes of events over minutes."""

from __future__ import annotations

from dataclasses import dataclass

from .Clock import ClockTable, ClockTime
from .ProcedureEvent import EventKind
from .ProcedureRecord import LONGEST_SEC, ProcedureRecord, clockTableOf
from .SvgDrawing import FAINT, INK, PALETTE, SvgDrawing, niceTicks, numberText

LANES: tuple[tuple[str, tuple[EventKind, ...]], ...] = (
    ("Room", (EventKind.PATIENT_IN, EventKind.PATIENT_OUT)),
    ("CT", (EventKind.CT_PASS,)),
    ("Registration, plan", (EventKind.REGISTRATION, EventKind.PLAN)),
    ("Needle", (EventKind.NEEDLE_ACTIVE, EventKind.GUIDANCE)),
    ("Injection", (EventKind.INJECTION,)),
    ("Notes", (EventKind.COMPLICATION, EventKind.REMARK, EventKind.WARNING)),
)


@dataclass(frozen=True)
class TimelineEntry:
    """minutes since the first event; None where its clock isn't aligned with the first event's, or its date is another."""

    minutes: float | None
    lane: int
    label: str
    faint: bool = False


def timelineEntries(record: ProcedureRecord) -> tuple[TimelineEntry, ...]:
    """What the timeline shows, on one axis: the clock of the first event noted, others through their offsets."""
    clocks = clockTableOf(record.events)
    laneOf = {kind: lane for lane, (_, kinds) in enumerate(LANES) for kind in kinds}
    shown = [event for event in record.events if event.kind in laneOf and event.values.get("timeKnown", True)]
    if not shown:
        return ()
    start = next((event.time for event in shown if event.kind is EventKind.PATIENT_IN), shown[0].time)
    entries = []
    for event in shown:
        label = event.text or event.kind.value
        if event.kind is EventKind.INJECTION and event.values.get("volumeMl") is not None:
            label = f"{event.values['volumeMl']:g} mL {event.values.get('site', '')}".strip()
        if event.kind is EventKind.PATIENT_IN:
            label = "in"
        if event.kind is EventKind.PATIENT_OUT:
            label = "out"
        faint = event.kind is EventKind.CT_PASS and not event.values.get("counted", True)
        entries.append(TimelineEntry(_minutes(start, event.time, clocks), laneOf[event.kind], label, faint))
    earliest = min((entry.minutes for entry in entries if entry.minutes is not None), default=0.0)
    return tuple(
        TimelineEntry(None if entry.minutes is None else entry.minutes - earliest, entry.lane, entry.label, entry.faint)
        for entry in entries
    )


def _minutes(start: ClockTime, end: ClockTime, clocks: ClockTable) -> float | None:
    """Minutes from start to end; None across unaligned clocks, and for a date that can't belong to the same procedure."""
    forward = clocks.duration(start, end)
    seconds = forward.seconds
    if seconds is None:
        backward = clocks.duration(end, start)
        seconds = None if backward.seconds is None else -backward.seconds
    return None if seconds is None or abs(seconds) > LONGEST_SEC else seconds / 60


def timelineDrawing(record: ProcedureRecord, width: float = 860) -> SvgDrawing:
    """The timeline; events on clocks that aren't aligned are listed under it."""
    entries = timelineEntries(record)
    placed = [entry for entry in entries if entry.minutes is not None]
    loose = [entry for entry in entries if entry.minutes is None]
    laneHeight, left, right, top = 46.0, 130.0, 24.0, 14.0
    height = top + laneHeight * len(LANES) + 40 + (18 if loose else 0)
    drawing = SvgDrawing(width, height, f"Timeline of procedure {record.pseudonym}")
    longest = max((entry.minutes or 0.0 for entry in placed), default=0.0)
    ticks = niceTicks(0.0, max(longest, 1.0), 8)
    scale = (width - left - right) / ticks[-1]
    bottom = top + laneHeight * len(LANES)
    for lane, (name, _) in enumerate(LANES):
        y = top + laneHeight * (lane + 0.5)
        if lane % 2 == 0:
            drawing.rect(left, y - laneHeight / 2, width - left - right, laneHeight, "#f5f7fa")
        drawing.line(left, y, width - right, y, FAINT)
        drawing.write(left - 10, y + 4, name, 12, "end")
    for tick in ticks:
        x = left + tick * scale
        drawing.line(x, top, x, bottom, FAINT, 0.6)
        drawing.write(x, bottom + 16, numberText(tick), 11, "middle")
    drawing.write(left + (width - left - right) / 2, bottom + 32, "minutes since the first event", 11, "middle")
    for lane in range(len(LANES)):
        _drawLane(drawing, [entry for entry in placed if entry.lane == lane], left, scale, top + laneHeight * (lane + 0.5), width - right)
    if loose:
        names = ", ".join(entry.label for entry in loose[:6]) + (" ..." if len(loose) > 6 else "")
        drawing.write(left, height - 6, f"Not placed, clock not aligned or another date: {names}", 11, "start", "#b33a3a")
    return drawing


def _drawLane(drawing: SvgDrawing, entries: list[TimelineEntry], left: float, scale: float, y: float, end: float) -> None:
    """Points of a lane, labels above and below in turn where they would run into each other."""
    color = PALETTE[(entries[0].lane if entries else 0) % len(PALETTE)]
    free = {-8.0: -1e9, 17.0: -1e9}
    for entry in sorted(entries, key=lambda each: each.minutes or 0.0):
        x = left + (entry.minutes or 0.0) * scale
        drawing.circle(x, y, 5, FAINT if entry.faint else color, f"{entry.label}: {entry.minutes:.1f} min")
        text = entry.label if len(entry.label) <= 22 else entry.label[:21] + "…"
        need = len(text) * 5.6
        start = min(max(x - need / 2, left), end - need)
        for offset in (-8.0, 17.0):
            if start > free[offset] + 4:
                drawing.write(start, y + offset, text, 10.5, "start", INK)
                free[offset] = start + need
                break
