"""Report of one procedure as a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from TranslatedText.Translation import tr as _

from .Clock import Duration
from .HtmlPage import htmlCards, htmlDoubts, htmlFigure, htmlPage, htmlTable
from .ProcedureDetails import FIELDS
from .ProcedureEvent import EventKind, ProcedureEvent
from .ProcedureRecord import OPERATIVE_TO_INJECTION, OPERATIVE_TO_LAST_IMAGE, ROOM_TIME, ProcedureRecord
from .TimelinePlot import timelineDrawing
from .WholeFile import writeWhole

EVENT_NAMES: Mapping[EventKind, str] = {
    EventKind.PATIENT_IN: "Patient in the room",
    EventKind.PATIENT_OUT: "Patient out of the room",
    EventKind.CT_PASS: "CT",
    EventKind.REGISTRATION: "Registration",
    EventKind.PLAN: "Plan",
    EventKind.NEEDLE_ACTIVE: "Needle active",
    EventKind.GUIDANCE: "Guidance",
    EventKind.INJECTION: "Injection",
    EventKind.COMPLICATION: "Complication",
    EventKind.REMARK: "Remark",
    EventKind.WARNING: "Warning",
}
HIDDEN_DETAILS = ("countingRule", "dlpSource", "separateAcquisitions", "patientKey")
FOOT = (
    "Research software, not a medical device. Pseudonymised: dates are shifted by a whole number of weeks; "
    "times of day are as the clock showed them."
)


def figureText(value: float | None, digits: int, unit: str) -> str:
    return _("not known") if value is None else f"{value:.{digits}f} {unit}".strip()


def timeRows(record: ProcedureRecord) -> list[tuple[str, str, str]]:
    """(definition, minutes, note) of the three times."""

    def row(name: str, duration: Duration) -> tuple[str, str, str]:
        if duration.minutes is None:
            return name, "not given", duration.note
        spread = f" ± {duration.uncertaintySec / 60:.1f}" if duration.uncertaintySec else ""
        return name, f"{duration.minutes:.1f}{spread}", duration.note

    return [
        row(OPERATIVE_TO_INJECTION, record.operativeTimeToInjection),
        row(OPERATIVE_TO_LAST_IMAGE, record.operativeTimeToLastImage),
        row(ROOM_TIME, record.roomTime),
    ]


def passRows(record: ProcedureRecord) -> list[tuple[str, ...]]:
    """One row per CT acquisition: number, time, kind, class, CTDIvol, DLP, effective dose, why."""
    rows = []
    for entry in record.ctAcquisitions:
        dose = None if entry.dlpMGyCm is None else record.doseFactor.effectiveDoseMSv(entry.dlpMGyCm)
        rows.append(
            (
                str(entry.number) if entry.counted else "–",
                "?" if entry.time is None else f"{entry.time.face:%H:%M:%S}",
                entry.kind,
                entry.passClass,
                *("?" if value is None else f"{value:.2f}" for value in (entry.ctdiVolMGy, entry.dlpMGyCm, dose)),
                entry.why,
            )
        )
    return rows


PASS_HEADER = ("Pass", "Start", "Acquisition", "Class", "CTDIvol mGy", "DLP mGy·cm", "E mSv", "Why counted or not")


def detailRows(record: ProcedureRecord) -> list[tuple[str, str]]:
    rows = []
    labels = {field.name: (field.label, field.unit) for field in FIELDS}
    known = [field.name for field in FIELDS if field.name in record.details]
    for name in [*known, *(name for name in record.details if name not in labels)]:
        value = record.details[name]
        if name in HIDDEN_DETAILS or value is None:
            continue
        label, unit = labels.get(name, (name, ""))
        rows.append((label, f"{value} {unit}".strip()))
    return rows


def eventText(event: ProcedureEvent) -> str:
    values = {
        name: value for name, value in event.values.items() if name not in ("why", "order", "timeKnown", "dlpSource") and value is not None
    }
    parts = [event.text] if event.text else []
    if event.kind is not EventKind.CT_PASS:
        parts += [f"{name}: {value:.4g}" if isinstance(value, float) else f"{name}: {value}" for name, value in values.items()]
    return "; ".join(parts)


def eventRows(record: ProcedureRecord) -> list[tuple[str, str, str, str]]:
    """(time with clock, what, text, who and corrections) of every timed entry."""
    rows = []
    for event in record.events:
        if event.kind is EventKind.DETAIL:
            continue
        time = f"{event.time.face:%H:%M:%S} {event.time.clock}" if event.values.get("timeKnown", True) else "?"
        noted = event.source.value + (f", corrected ×{event.revision}" if event.revision else "")
        rows.append((time, EVENT_NAMES.get(event.kind, event.kind.value), eventText(event), noted))
    return rows


def keyFigures(record: ProcedureRecord) -> list[tuple[str, str]]:
    first = record.operativeTimeToInjection.minutes
    return [
        (figureText(first, 1, "min"), _("first CT to last injection")),
        (figureText(record.roomTime.minutes, 1, "min"), _("room utilisation")),
        (_("not known") if record.passCount is None else str(record.passCount), _("CT passes")),
        (figureText(record.dlpTotalMGyCm, 1, "mGy·cm"), _("DLP total")),
        (figureText(record.effectiveDoseMSv, 2, "mSv"), _("effective dose")),
        (figureText(record.injectedMl or None, 1, "mL"), _("injected")),
    ]


def doseText(record: ProcedureRecord) -> str:
    return f"DLP: {record.dlpSource or 'not known'}. Effective dose: {record.doseFactor.text()}."


def procedureReportHtml(record: ProcedureRecord, pictures: Mapping[str, str | Path | bytes] | None = None) -> str:
    """The page as text. pictures: caption -> PNG or JPEG file or bytes."""
    shown = "".join(htmlFigure(picture, caption) for caption, picture in (pictures or {}).items())
    details = record.details
    subtitle = " · ".join(str(details[name]) for name in ("group", "level", "side") if details.get(name)) or "Procedure log"
    sections = [
        ("Key figures", htmlCards(keyFigures(record)) + htmlDoubts(record.warnings)),
        ("Timeline", timelineDrawing(record).text()),
        ("Plan and result", f"<div class=figures>{shown}</div>" if shown else ""),
        ("Times", htmlTable(("Definition", "min", "Note"), timeRows(record), (1,))),
        (
            "CT passes and dose",
            htmlTable(PASS_HEADER, passRows(record), (4, 5, 6))
            + f"<p class=small>{escape(record.countingRule or 'Passes entered by hand.')}<br>{escape(doseText(record))}</p>",
        ),
        ("Procedure and outcome", htmlTable(("Fact", "Value"), detailRows(record))),
        ("Log", htmlTable(("Time", "Event", "Entry", "Noted by"), eventRows(record))),
        ("About this report", f"<p class=small>{escape(FOOT)}</p>"),
    ]
    return htmlPage(f"Procedure {record.pseudonym}", subtitle, sections)


def writeProcedureReport(record: ProcedureRecord, pictures: Mapping[str, str | Path | bytes] | None, path: str | Path) -> Path:
    """Write the report; the file is there whole or not at all. Raises ValueError for a picture that is neither PNG nor JPEG."""
    return writeWhole(path, procedureReportHtml(record, pictures))
