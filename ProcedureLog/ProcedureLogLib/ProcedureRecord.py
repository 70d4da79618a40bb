"""One procedure in numbers, worked out of its log alone.

Operative time is given by both definitions of the study: first CT to last injection (the definition in the paper's methods), and first to
last CT image (how it was measured there). Room utilisation time runs from patient in to patient out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from TranslatedText.Translation import tr as _

from .Clock import ClockOffset, ClockStep, ClockTable, ClockTime, Duration, findClockSteps
from .DoseUnits import DEFAULT_DOSE_FACTOR, DoseFactor
from .ProcedureDetails import checkDetail, checkGrade, checkInjection
from .ProcedureEvent import EventKind, ProcedureEvent
from .ProcedureStore import ProcedureStore

OPERATIVE_TO_INJECTION = "operative time, first CT to last injection"
OPERATIVE_TO_LAST_IMAGE = "operative time, first to last CT image"
ROOM_TIME = "room utilisation time, patient in to patient out"
CLOCK_PREFIX = "clock:"
LONGEST_SEC = 24 * 3600.0
"""Nothing in one procedure lasts longer; a longer span comes from a wrong date."""


@dataclass(frozen=True)
class PassRecord:
    """One CT acquisition of the log."""

    eventId: str
    time: ClockTime | None
    passClass: str
    kind: str
    counted: bool
    number: int
    why: str
    ctdiVolMGy: float | None
    dlpMGyCm: float | None
    dlpSource: str


@dataclass(frozen=True)
class ProcedureRecord:
    """The result of a procedure. details maps fact names (see ProcedureDetails) to values. Dates are shifted, the name is a pseudonym."""

    pseudonym: str
    details: Mapping[str, Any]
    events: tuple[ProcedureEvent, ...]
    ctAcquisitions: tuple[PassRecord, ...]
    countingRule: str
    roomTime: Duration
    operativeTimeToInjection: Duration
    operativeTimeToLastImage: Duration
    dlpTotalMGyCm: float | None
    dlpSource: str
    doseFactor: DoseFactor
    injectedMl: float
    clockSteps: tuple[ClockStep, ...]
    correctedCount: int
    warnings: tuple[str, ...]

    @property
    def passCount(self) -> int | None:
        """CT passes by the counting rule; None where no CT was logged."""
        return sum(1 for entry in self.ctAcquisitions if entry.counted) if self.ctAcquisitions else None

    @property
    def effectiveDoseMSv(self) -> float | None:
        return None if self.dlpTotalMGyCm is None else self.doseFactor.effectiveDoseMSv(self.dlpTotalMGyCm)

    @property
    def hasComplication(self) -> bool | None:
        """None where nothing was said about complications."""
        if any(event.kind is EventKind.COMPLICATION for event in self.events):
            return True
        grade = self.details.get("complicationGrade")
        return None if grade is None else grade != "none"


def clockTableOf(events: Iterable[ProcedureEvent], onUnaligned: str = "refuse") -> ClockTable:
    """Offsets between clocks that were entered into the log."""
    offsets = []
    for event in events:
        name = str(event.values.get("name", ""))
        if event.kind is EventKind.DETAIL and name.startswith(CLOCK_PREFIX) and event.values.get("value"):
            value = event.values["value"]
            offsets.append(
                ClockOffset(
                    value["clock"], value["reference"], float(value["offsetSec"]), float(value["uncertaintySec"]), str(value["source"])
                )
            )
    return ClockTable(tuple(offsets), onUnaligned)


def logClockOffset(store: ProcedureStore, offset: ClockOffset, author: str = "") -> ProcedureEvent:
    """Enter an offset between two clocks into the log; a later one for the same pair replaces it, the old value stays."""
    first, second = sorted((offset.clock, offset.reference))
    value = {
        "clock": offset.clock,
        "reference": offset.reference,
        "offsetSec": offset.offsetSec,
        "uncertaintySec": offset.uncertaintySec,
        "source": offset.source,
    }
    return store.setDetail(f"{CLOCK_PREFIX}{first}:{second}", value, author=author)


def recordOf(store: ProcedureStore, onUnaligned: str = "refuse") -> ProcedureRecord:
    """The record of an open case."""
    return buildRecord(store.pseudonym, store.events(), onUnaligned)


def buildRecord(pseudonym: str, events: Iterable[ProcedureEvent], onUnaligned: str = "refuse") -> ProcedureRecord:
    """Work out the record from the latest revisions of a log's entries (withdrawn ones left out)."""
    current = tuple(event for event in events if not event.withdrawn)
    details = {str(event.values["name"]): event.values.get("value") for event in current if event.kind is EventKind.DETAIL}
    clocks = clockTableOf(current, onUnaligned)
    warnings = [str(text) for text in details.pop("ctWarnings", None) or ()]
    for name, value in details.items():
        try:
            doubt = checkDetail(name, value)
        except ValueError as error:
            doubt = str(error)
        if doubt:
            warnings.append(doubt)
    warnings += _gradeDoubts(details)
    passes = _passes(current)
    timed = [event for event in current if event.kind not in (EventKind.DETAIL, EventKind.CT_PASS)]
    steps = findClockSteps([event.time for event in timed])
    warnings += [
        _("the {clock} clock was set by {stepSec:+.0f} s during the procedure").format(clock=step.clock, stepSec=step.stepSec)
        for step in steps
    ]
    injections = _ordered(event for event in timed if event.kind is EventKind.INJECTION)
    for event in injections:
        try:
            doubt = checkInjection(event.values)
        except ValueError as error:
            doubt = str(error)
        if doubt:
            warnings.append(doubt)
    counted = [entry for entry in passes if entry.counted and entry.time is not None]
    firstCt = counted[0].time if counted else None
    lastCt = _lastImage(current)
    factor = details.pop("doseFactor", None)
    dlp = details.pop("dlpTotalMGyCm", None)
    return ProcedureRecord(
        pseudonym=pseudonym,
        details={name: value for name, value in details.items() if not name.startswith(CLOCK_PREFIX)},
        events=current,
        ctAcquisitions=passes,
        countingRule=str(details.get("countingRule") or ""),
        roomTime=_roomTime(timed, clocks, warnings),
        operativeTimeToInjection=_between(firstCt, injections[-1].time if injections else None, clocks, "first CT", "injection"),
        operativeTimeToLastImage=_between(firstCt, lastCt, clocks, "first CT", "last CT image"),
        dlpTotalMGyCm=None if dlp is None else float(dlp),
        dlpSource=str(details.get("dlpSource") or ""),
        doseFactor=DEFAULT_DOSE_FACTOR if not factor else DoseFactor(float(factor["kMSvPerMGyCm"]), str(factor["source"])),
        injectedMl=sum(float(event.values.get("volumeMl") or 0.0) for event in injections),
        clockSteps=steps,
        correctedCount=sum(1 for event in current if event.revision > 0),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _gradeDoubts(details: Mapping[str, Any]) -> list[str]:
    """A grade without its grading, or one that the grading doesn't know."""
    grade, grading = details.get("complicationGrade"), details.get("complicationGrading")
    if grade in (None, "none"):
        return []
    if not grading:
        return [_("the grade of complication '{grade}' has no named grading").format(grade=grade)]
    try:
        checkGrade(str(grading), str(grade))
    except ValueError as error:
        return [str(error)]
    return []


def _ordered(events: Iterable[ProcedureEvent]) -> list[ProcedureEvent]:
    """In the order of time where one counter or UTC tells it, else as noted."""
    found = list(events)
    sessions = {event.time.session for event in found}
    if len(sessions) == 1 and None not in sessions:
        return sorted(found, key=lambda event: (event.time.monotonicSec or 0.0, event.sequence))
    if len({event.time.clock for event in found}) == 1:
        return sorted(found, key=lambda event: (event.time.utc() or event.time.face, event.sequence))
    return found


def _passes(events: Iterable[ProcedureEvent]) -> tuple[PassRecord, ...]:
    found = []
    for event in sorted(
        (each for each in events if each.kind is EventKind.CT_PASS), key=lambda each: each.values.get("order", each.sequence)
    ):
        values = event.values
        found.append(
            PassRecord(
                eventId=event.eventId,
                time=event.time if values.get("timeKnown", True) else None,
                passClass=str(values.get("passClass", event.text)),
                kind=str(values.get("kind", "unknown")),
                counted=bool(values.get("counted", True)),
                number=int(values.get("passNumber", 0)),
                why=str(values.get("why", "entered by hand")),
                ctdiVolMGy=values.get("ctdiVolMGy"),
                dlpMGyCm=values.get("dlpMGyCm"),
                dlpSource=str(values.get("dlpSource", "")),
            )
        )
    return tuple(found)


def _lastImage(events: Iterable[ProcedureEvent]) -> ClockTime | None:
    """Time of the last image of the last counted pass."""
    ends = []
    for event in events:
        if event.kind is EventKind.CT_PASS and event.values.get("counted", True) and event.values.get("timeKnown", True):
            ends.append(event.time.shifted(timedelta(seconds=float(event.values.get("lastImageAfterSec") or 0.0))))
    return max(ends, key=lambda time: time.face) if ends else None


def _between(start: ClockTime | None, end: ClockTime | None, clocks: ClockTable, startName: str, endName: str) -> Duration:
    if start is None:
        return Duration(None, 0.0, _("no time of the {startName}").format(startName=startName))
    if end is None:
        return Duration(None, 0.0, _("no time of the {endName}").format(endName=endName))
    found = clocks.duration(start, end)
    if found.seconds is not None and found.seconds > LONGEST_SEC:
        days = found.seconds / 86400
        return Duration(
            None,
            found.uncertaintySec,
            _("{days:.1f} days from {startName} to {endName}: not one procedure, or a wrong date").format(
                days=days, startName=startName, endName=endName
            ),
        )
    return found


def _roomTime(events: Iterable[ProcedureEvent], clocks: ClockTable, warnings: list[str]) -> Duration:
    entries = [event for event in events if event.kind is EventKind.PATIENT_IN]
    exits = [event for event in events if event.kind is EventKind.PATIENT_OUT]
    if len(entries) > 1 or len(exits) > 1:
        warnings.append(
            _("{count} admissions and {exitCount} discharges were noted: a case holds one procedure; withdraw the others").format(
                count=len(entries), exitCount=len(exits)
            )
        )
        return Duration(None, 0.0, _("two admissions in one log"))
    return _between(
        entries[0].time if entries else None, exits[0].time if exits else None, clocks, "patient's arrival", "patient's leaving"
    )
