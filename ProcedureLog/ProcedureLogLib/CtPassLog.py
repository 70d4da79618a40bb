"""Put counted CT passes and their dose into a case's log, without any DICOM identifier."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any

from TranslatedText.Translation import tr as _

from .Clock import SCANNER, ClockTime, inZone, workstationNow
from .CtPasses import CtPass, CtPassCount, MixedPatients
from .DoseUnits import DEFAULT_DOSE_FACTOR, DoseFactor
from .ProcedureDetails import checkDetail
from .ProcedureEvent import EventKind, EventSource, ProcedureEvent
from .ProcedureStore import Addition, ProcedureStore

PATIENT_KEY = "patientKey"


def passValues(entry: CtPass) -> dict[str, Any]:
    """What the log keeps of an acquisition. Times and UIDs are left out: the event has the (shifted) time, its name the hashed UID."""
    acquisition = entry.acquisition
    seconds = None
    if acquisition.first is not None and acquisition.last is not None:
        seconds = round((acquisition.last.face - acquisition.first.face).total_seconds(), 3)
    return {
        "counted": entry.counted,
        "passClass": entry.passClass.value,
        "passNumber": entry.number,
        "kind": acquisition.kind.value,
        "why": entry.why,
        "lastImageAfterSec": seconds,
        "imageCount": acquisition.imageCount,
        "reconstructionCount": acquisition.seriesCount,
        "ctdiVolMGy": _rounded(acquisition.ctdiVolMGy),
        "dlpMGyCm": _rounded(acquisition.dlpMGyCm),
        "dlpSource": acquisition.dlpSource,
        "scanLengthMm": _rounded(acquisition.scanLengthMm),
        "timeKnown": acquisition.first is not None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def logCtPasses(
    store: ProcedureStore, count: CtPassCount, doseFactor: DoseFactor = DEFAULT_DOSE_FACTOR, scannerZone: tzinfo | None = None
) -> tuple[ProcedureEvent, ...]:
    """Write the count into the log. Sent again with more acquisitions or a later dose report, entries are revised, never doubled.

    scannerZone: time zone of the scanner's clock, so that daylight saving is right before the dates are shifted.
    Raises MixedPatients when the log already holds passes of another patient, ValueError for an impossible dose.
    """
    checkDetail("dlpTotalMGyCm", count.dlpTotalMGyCm)  # an impossible dose is refused before anything is written
    _checkPatient(store, count)
    fallback = count.firstImage()
    additions = []
    keys: set[str] = set()
    for position, entry in enumerate(count.acquisitions):
        eventId = f"ct:{store.keyOf(entry.acquisition.key)}"
        keys.add(eventId)
        time = entry.acquisition.first or fallback or _unknownTime()
        if scannerZone is not None:
            time = inZone(time, scannerZone)
        values = passValues(entry) | {"order": position}
        label = entry.passClass.value if entry.counted else entry.acquisition.kind.value
        additions.append(Addition(EventKind.CT_PASS, time, label, values, EventSource.DICOM, eventId))
    events = store.addEvents(additions)
    for old in store.events():
        if old.kind is EventKind.CT_PASS and old.source is EventSource.DICOM and old.eventId not in keys:
            store.withdrawEvent(old.eventId, reason="not part of the latest count of these files")
    facts: dict[str, Any] = {
        "countingRule": count.rule.text(),
        "dlpTotalMGyCm": _rounded(count.dlpTotalMGyCm),
        "dlpSource": count.dlpSource,
        "doseFactor": {"kMSvPerMGyCm": doseFactor.kMSvPerMGyCm, "source": doseFactor.source},
        "separateAcquisitions": count.separateCount,
        "ctWarnings": list(count.warnings),
    }
    for name, value in facts.items():
        store.setDetail(name, value, reason="CT passes counted")
    known = {event.eventId for event in store.events(withdrawn=True)}
    for name, value in (("ageYears", count.ageYears), ("sex", count.sex or None)):
        if value is not None and f"detail:{name}" not in known:  # what a person entered stands
            store.setDetail(name, value, reason="from the DICOM header")
    return events


def _checkPatient(store: ProcedureStore, count: CtPassCount) -> None:
    """The case keeps a keyed hash of its patient; blank patients (de-identified images) can't be told apart and pass."""
    if not count.patientKey:
        return
    key = store.keyOf(f"patient {count.patientKey}")
    try:
        known = store.event(f"detail:{PATIENT_KEY}").values.get("value")
    except KeyError:
        store.setDetail(PATIENT_KEY, key)
        return
    if known != key:
        raise MixedPatients(
            _("These files are of another patient than case '{pseudonym}'; nothing was logged. Open that patient's case").format(
                pseudonym=store.pseudonym
            )
        )


def lastInjectionIn(store: ProcedureStore) -> ClockTime | None:
    """True time of the last injection in the log, to tell a final CT from a needle check; None where there is none."""
    found = [event for event in store.events() if event.kind is EventKind.INJECTION]
    return store.trueTime(found[-1]) if found and store.identity is not None else None


def _unknownTime() -> ClockTime:
    """A place holder for acquisitions whose report gives no time; `timeKnown` is false, so it never enters a duration."""
    now = workstationNow()
    return ClockTime(SCANNER, now.face.replace(hour=0, minute=0, second=0, microsecond=0))
