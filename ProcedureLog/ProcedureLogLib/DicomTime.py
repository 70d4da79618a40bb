"""DICOM dates and times (DA, TM, DT of PS3.5) as times of a clock."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta

from .Clock import SCANNER, ClockTime
from .DicomHeader import DicomHeader

_DATE_TIME = re.compile(r"^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})?(\d{2})?(?:\.(\d{1,6})\d*)?\s*([+-]\d{4})?$")
_ZONE = re.compile(r"^([+-])(\d{2})(\d{2})$")


def parseDateTime(text: str, clock: str = SCANNER, zoneText: str = "") -> ClockTime | None:
    """Time of a DT value (or DA + TM joined); None where it is empty or impossible. zoneText: (0008,0201), used where the value has none.

    The old spellings 2022.12.08 and 14:03:52 are read. A leap second counts as the second before it.
    """
    plain = text.strip().replace(":", "")
    if plain[4:5] == "." and plain[7:8] == ".":
        plain = plain[:4] + plain[5:7] + plain[8:]
    match = _DATE_TIME.match(plain)
    if match is None:
        return None
    year, month, day, hour = (int(part) for part in match.groups()[:4])
    minute, second = (int(part or 0) for part in match.groups()[4:6])
    fraction = int((match.group(7) or "0").ljust(6, "0"))
    try:
        face = datetime(year, month, day, hour, minute, min(second, 59), fraction)
    except ValueError:
        return None
    zone = match.group(8) or zoneText.strip()
    return ClockTime(clock, face, _zoneSec(zone))


def _zoneSec(text: str) -> int | None:
    match = _ZONE.match(text)
    if match is None:
        return None
    seconds = int(match.group(2)) * 3600 + int(match.group(3)) * 60
    return -seconds if match.group(1) == "-" else seconds


def acquisitionTimeOf(header: DicomHeader, clock: str = SCANNER) -> ClockTime | None:
    """When the image was acquired: Acquisition DateTime, else Acquisition Date + Time, else Content Date + Time; None where none is given.

    A date missing beside its time is taken from the other dates of the header, and moved to the next day when the time lies more than
    twelve hours before the study's (midnight in between).
    """
    zone = header.text("timezoneOffset")
    moment = parseDateTime(header.text("acquisitionDateTime"), clock, zone)
    if moment is not None:
        return moment
    for dateName, timeName in (("acquisitionDate", "acquisitionTime"), ("contentDate", "contentTime")):
        time = header.text(timeName)
        if not time:
            continue
        date = header.text(dateName)
        if date:
            moment = parseDateTime(date + time, clock, zone)
        else:
            moment = _withBorrowedDate(header, time, clock, zone)
        if moment is not None:
            return moment
    return None


def patientAgeAndSex(headers: Iterable[DicomHeader]) -> tuple[float | None, str]:
    """Age in whole years (Patient's Age, else birth date and study date) and sex as the log writes it; None and '' where not given."""
    age, sex = None, ""
    for header in headers:
        sex = sex or {"M": "male", "F": "female", "O": "other"}.get(header.text("sex").upper(), "")
        if age is None:
            age = _ageOf(header)
        if age is not None and sex:
            break
    return age, sex


def _ageOf(header: DicomHeader) -> float | None:
    match = re.fullmatch(r"(\d{1,3})\s*([DWMY])", header.text("age").upper())
    if match:
        return float(int(int(match.group(1)) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match.group(2)]))
    birth, study = parseDateTime(header.text("birthDate") + "00"), parseDateTime(header.text("studyDate") + "00")
    if birth is None or study is None or study.face < birth.face:
        return None
    before = (study.face.month, study.face.day) < (birth.face.month, birth.face.day)
    return float(study.face.year - birth.face.year - before)


def _withBorrowedDate(header: DicomHeader, time: str, clock: str, zone: str) -> ClockTime | None:
    date = next((header.text(name) for name in ("contentDate", "seriesDate", "studyDate") if header.text(name)), "")
    moment = parseDateTime(date + time, clock, zone)
    study = parseDateTime(header.text("studyDate") + (header.text("studyTime") or "00"), clock, zone)
    if moment is not None and study is not None and study.face - moment.face > timedelta(hours=12):
        return moment.shifted(timedelta(days=1))
    return moment
