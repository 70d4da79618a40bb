"""CT Radiation Dose Structured Reports: TID 10011 with accumulated dose (10012) and irradiation events (10013).

DICOM PS3.16. Re-sent cumulative reports of one study are merged by irradiation event UID, so nothing counts twice. All codes are compared
with the old SRT and the new SCT spelling.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .DicomTime import parseDateTime
from .DoseUnits import dlpInMGyCm, doseInMGy

DOSE_SR_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.67", "1.2.840.10008.5.1.4.1.1.88.76")
SR_CLASS_PREFIX = "1.2.840.10008.5.1.4.1.1.88."
SUM_TOLERANCE = 0.005


class AcquisitionKind(str, Enum):
    """How the tube and table moved during one irradiation event."""

    SPIRAL = "spiral"
    SEQUENCED = "sequenced"
    STATIONARY = "stationary"
    FREE = "free"
    LOCALIZER = "localizer"
    UNKNOWN = "unknown"


KIND_OF_CODE = {
    "113804": AcquisitionKind.SEQUENCED,
    "P5-08001": AcquisitionKind.SPIRAL,
    "116152004": AcquisitionKind.SPIRAL,
    "113805": AcquisitionKind.LOCALIZER,
    "113806": AcquisitionKind.STATIONARY,
    "113807": AcquisitionKind.FREE,
}


class NotADoseReport(ValueError):
    """The file is readable DICOM but no CT dose report."""


@dataclass(frozen=True)
class IrradiationEvent:
    """One TID 10013 container. Quantities are None where the report doesn't give them."""

    eventUid: str
    kind: AcquisitionKind
    protocol: str
    startText: str
    ctdiVolMGy: float | None
    dlpMGyCm: float | None
    scanLengthMm: float | None
    phantom: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class DoseReport:
    """One dose report. dlpTotalMGyCm and eventTotal are as printed in it (113813, 113812); both include localizers."""

    path: str
    patientId: str
    patientName: str
    birthDate: str
    studyUid: str
    sopInstanceUid: str
    contentText: str
    startText: str
    endText: str
    eventTotal: int | None
    dlpTotalMGyCm: float | None
    events: tuple[IrradiationEvent, ...]
    warnings: tuple[str, ...] = ()


def _code(item: Any, name: str = "ConceptNameCodeSequence") -> str:
    sequence = item.get(name)
    return str(sequence[0].get("CodeValue") or sequence[0].get("LongCodeValue") or "") if sequence else ""


def _children(item: Any, code: str) -> Iterator[Any]:
    for child in item.get("ContentSequence") or ():
        if _code(child) == code:
            yield child


def _number(item: Any) -> tuple[float, str] | None:
    """Value and unit of a NUM item, None where it is empty."""
    values = item.get("MeasuredValueSequence")
    if not values or values[0].get("NumericValue") in (None, ""):
        return None
    unit = values[0].get("MeasurementUnitsCodeSequence")
    spelled = "" if not unit else str(unit[0].get("CodeValue") or unit[0].get("CodeMeaning") or "")
    number = values[0].NumericValue
    return float(number[0] if isinstance(number, list) or hasattr(number, "append") else number), spelled


def _quantity(container: Any, code: str, convert: Any, warnings: list[str]) -> float | None:
    for item in _children(container, code):
        found = _number(item)
        if found is None:
            continue
        try:
            return float(convert(*found))
        except ValueError as error:
            warnings.append(str(error))
    return None


def _length(value: float, unit: str) -> float:
    scale = {"mm": 1.0, "cm": 10.0, "m": 1000.0}.get(unit.strip().lower())
    if scale is None or not 0 <= value * scale <= 5000:
        raise ValueError(_("Scanning length of {value} {unit} is impossible").format(value=value, unit=unit))
    return value * scale


def _text(container: Any, code: str, keyword: str) -> str:
    for item in _children(container, code):
        value = item.get(keyword)
        if value:
            return str(value).strip()
    return ""


def readDoseReport(path: str | Path) -> DoseReport:
    """Read a CT dose report. Raises NotADoseReport for any other DICOM file, ValueError when it can't be read at all."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    except Exception as error:
        raise ValueError(_("{path}: can't be read as DICOM: {error}").format(path=path, error=error)) from error
    return doseReportFrom(dataset, str(path))


def doseReportFrom(dataset: Any, path: str = "") -> DoseReport:
    """Dose report of a pydicom data set (read from a file or received over the network)."""
    sopClass = str(dataset.get("SOPClassUID") or "")
    try:
        isReport = _code(dataset) == "113701" and any(_children(dataset, "113811"))
    except Exception as error:
        raise ValueError(_("{path}: the content of the report is damaged: {error}").format(path=path, error=error)) from error
    if not isReport:
        name = path or _("the data set")
        if sopClass.startswith(SR_CLASS_PREFIX):
            raise NotADoseReport(
                _("{name} is a structured report, but no CT radiation dose report; it is not used for dose").format(name=name)
            )
        raise NotADoseReport(_("{name} is no structured report; it is not used for dose").format(name=name))
    warnings: list[str] = []
    total: float | None = None
    eventTotal: int | None = None
    for accumulated in _children(dataset, "113811"):
        total = _quantity(accumulated, "113813", dlpInMGyCm, warnings)
        count = _quantity(accumulated, "113812", lambda value, unit: value, warnings)
        eventTotal = None if count is None else int(count)
    events = tuple(_event(item, number) for number, item in enumerate(_children(dataset, "113819"), 1))
    dlpSum = sum(event.dlpMGyCm or 0.0 for event in events)
    if total is not None and abs(dlpSum - total) > max(SUM_TOLERANCE * total, 0.005 * (len(events) + 1)):
        warnings.append(f"the DLP of the events adds up to {dlpSum:.2f}, the report prints {total:.2f} mGy·cm")
    if eventTotal is not None and eventTotal != len(events):
        warnings.append(f"the report prints {eventTotal} irradiation events and lists {len(events)}")
    return DoseReport(
        path=path,
        patientId=str(dataset.get("PatientID") or "").strip(),
        patientName=str(dataset.get("PatientName") or "").strip(),
        birthDate=str(dataset.get("PatientBirthDate") or "").strip(),
        studyUid=str(dataset.get("StudyInstanceUID") or "").strip(),
        sopInstanceUid=str(dataset.get("SOPInstanceUID") or "").strip(),
        contentText=f"{dataset.get('ContentDate') or ''}{dataset.get('ContentTime') or ''}",
        startText=_text(dataset, "113809", "DateTime"),
        endText=_text(dataset, "113810", "DateTime"),
        eventTotal=eventTotal,
        dlpTotalMGyCm=total,
        events=events,
        warnings=tuple(warnings),
    )


def _event(item: Any, number: int) -> IrradiationEvent:
    warnings: list[str] = []
    kind = AcquisitionKind.UNKNOWN
    for entry in _children(item, "113820"):
        kind = KIND_OF_CODE.get(_code(entry, "ConceptCodeSequence"), AcquisitionKind.UNKNOWN)
    ctdi = dlp = length = None
    phantom = ""
    for dose in _children(item, "113829"):
        ctdi = _quantity(dose, "113830", doseInMGy, warnings)
        dlp = _quantity(dose, "113838", dlpInMGyCm, warnings)
        for entry in _children(dose, "113835"):
            phantom = {"113690": "head", "113691": "body"}.get(_code(entry, "ConceptCodeSequence"), "")
    for parameters in _children(item, "113822"):
        length = _quantity(parameters, "113825", _length, warnings)
    start = _text(item, "111526", "DateTime")
    if start and parseDateTime(start) is None:
        warnings.append(f"the start time '{start}' can't be read")
    return IrradiationEvent(
        eventUid=_text(item, "113769", "UID") or f"event-{number}",
        kind=kind,
        protocol=_text(item, "125203", "TextValue"),
        startText=start,
        ctdiVolMGy=ctdi,
        dlpMGyCm=dlp,
        scanLengthMm=length,
        phantom=phantom,
        warnings=tuple(warnings),
    )


@dataclass(frozen=True)
class StudyDose:
    """All reports of one study merged: each irradiation event once; the total as printed in the report that lists most of them."""

    studyUid: str
    events: tuple[IrradiationEvent, ...]
    dlpTotalMGyCm: float | None
    reportCount: int
    latest: DoseReport
    warnings: tuple[str, ...] = ()


def mergeDoseReports(reports: Iterable[DoseReport]) -> tuple[StudyDose, ...]:
    """One StudyDose per study. Cumulative reports sent again, and the same file twice, add nothing."""
    byStudy: dict[tuple[str, str], list[DoseReport]] = {}
    for report in reports:
        byStudy.setdefault((report.patientId, report.studyUid or report.sopInstanceUid), []).append(report)
    merged: list[StudyDose] = []
    for (_unused, studyUid), group in byStudy.items():
        group.sort(key=lambda report: (len(report.events), report.contentText))
        latest = group[-1]
        events: dict[str, IrradiationEvent] = {}
        for report in group:
            events.update({event.eventUid: event for event in report.events})
        warnings = list(latest.warnings)
        warnings += [f"event {number}: {warning}" for number, event in enumerate(events.values(), 1) for warning in event.warnings]
        total = latest.dlpTotalMGyCm
        if len(events) > len({event.eventUid for event in latest.events}):
            total = sum(event.dlpMGyCm or 0.0 for event in events.values())
            warnings.append(
                f"{len(group)} reports of the study list different events and are not cumulative: DLP {total:.2f} is their sum by event"
            )
        elif total is None:
            total = sum(event.dlpMGyCm or 0.0 for event in events.values())
            warnings.append(f"the report prints no DLP total; {total:.2f} mGy·cm is the sum of its events")
        merged.append(StudyDose(studyUid, tuple(events.values()), total, len(group), latest, tuple(warnings)))
    return tuple(merged)
