"""Every value of a DICOM file that could lead back to a person, a place or a device: what the leak check looks for.

The choice follows DICOM PS3.15 Table E.1-1 by kind of value, not by a list of what this program reads: all person names, all UIDs that
aren't of the standard, all dates, and the texts and numbers of the attributes named there, at any depth, private ones included.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

STANDARD_UID_ROOT = "1.2.840.10008."
SHORTEST = 4
"""Shorter values (a sex, a series number) can't be told from chance and identify nobody."""

_TEXT_KEYWORDS = """AccessionNumber AdmissionID AdmittingDiagnosesDescription AETitle CassetteID CountryOfResidence CurrentPatientLocation
    DetectorID DeviceSerialNumber DeviceUID FillerOrderNumberImagingServiceRequest GantryID GeneratorID ImageComments
    ImagingServiceRequestComments InstitutionAddress InstitutionalDepartmentName InstitutionName IssuerOfAdmissionID IssuerOfPatientID
    MedicalRecordLocator MilitaryRank OperatorIdentificationSequence OrderCallbackPhoneNumber OrderEntererLocation OtherPatientIDs
    PatientAddress PatientComments PatientID PatientInstitutionResidence PatientTelephoneNumbers PerformedLocation
    PerformedProcedureStepID PerformedStationAETitle PerformedStationName PerformingPhysicianIdentificationSequence PhysicianOfRecord
    PlacerOrderNumberImagingServiceRequest PlateID ReasonForStudy ReferringPhysicianAddress ReferringPhysicianTelephoneNumbers
    RegionOfResidence RequestedProcedureID RequestedProcedureLocation RequestingService ResponsibleOrganization
    ScheduledProcedureStepID ScheduledProcedureStepLocation ScheduledStationAETitle ScheduledStationName ServiceEpisodeID
    SourceApplicationEntityTitle SpecialNeeds StationName StudyComments StudyID TextComments VisitComments UniqueDeviceIdentifier
    EthnicGroup Occupation AdditionalPatientHistory PatientBirthName PatientMotherBirthName InsurancePlanIdentification"""
TEXT_KEYWORDS = frozenset(_TEXT_KEYWORDS.split())
PLACEHOLDERS = frozenset(("patient", "name", "anonymous", "anonymized", "phantom", "test", "unknown"))
"""Parts of made-up names that are also words of every report."""
SR_TEXT_CODES = frozenset(("121013", "121016", "121017", "121012", "121008", "121010"))
"""Device observer name, serial number, location and UID, person observer name and organisation in structured reports."""


class IdentifierKind(str, Enum):
    NAME = "person name"
    UID = "UID"
    DATE = "date"
    TEXT = "text"


@dataclass(frozen=True)
class Identifier:
    """A value to look for, what it is, and the attribute it came from (never the value itself in messages: see `hint`)."""

    value: str
    kind: IdentifierKind
    attribute: str

    @property
    def hint(self) -> str:
        """Tells which identifier without giving it away."""
        return f"{self.kind.value} of {self.attribute} ({len(self.value)} characters)"


def identifiersOf(dataset: Any) -> set[Identifier]:
    """All identifiers of a pydicom data set with its file meta information."""
    found: set[Identifier] = set()
    meta = getattr(dataset, "file_meta", None)
    for part in (meta, dataset):
        if part is not None:
            found.update(_walk(part))
    return found


def collectIdentifiers(paths: Iterable[str | Path]) -> set[Identifier]:
    """All identifiers of DICOM files; files that aren't DICOM are passed over."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    found: set[Identifier] = set()
    for path in paths:
        try:
            found |= identifiersOf(pydicom.dcmread(path, stop_before_pixels=True))
        except (InvalidDicomError, EOFError):
            continue
    return found


def personIdentifiers(person: Iterable[tuple[str, Any]]) -> set[Identifier]:
    """Identifiers out of a case's identity file."""
    found: set[Identifier] = set()
    for name, value in person:
        values = value if isinstance(value, (list, tuple)) else [value]
        for text in (str(each) for each in values):
            kind = IdentifierKind.NAME if "name" in name.lower() else IdentifierKind.TEXT
            if re.fullmatch(r"(19|20)\d{6}", text) or re.fullmatch(r"(19|20)\d\d-\d\d-\d\d", text):
                kind, text = IdentifierKind.DATE, text.replace("-", "")
            found.update(_named(text, name) if kind is IdentifierKind.NAME else _kept(text, kind, name))
    return found


def _walk(dataset: Any) -> Iterator[Identifier]:
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # noqa: BLE001 (a private element with a broken value is no reason to miss the others)
            continue
        if element.VR == "SQ":
            for item in element.value:
                yield from _walk(item)
        elif element.value not in (None, ""):
            yield from _valuesOf(dataset, element)


def _valuesOf(dataset: Any, element: Any) -> Iterator[Identifier]:
    keyword = element.keyword or f"({element.tag.group:04X},{element.tag.element:04X})"
    many = hasattr(element.value, "append") and not isinstance(element.value, (str, bytes))
    for value in element.value if many else [element.value]:
        text = str(value).strip("\0 ") if not isinstance(value, bytes) else ""
        if element.VR == "PN":
            yield from _named(text, keyword)
        elif element.VR == "UI":
            yield from _kept(text, IdentifierKind.UID, keyword) if _isIdentifyingUid(text, keyword) else ()
        elif element.VR in ("DA", "DT"):
            digits = re.sub(r"\D", "", text)[:8]
            if _isDate(digits):
                yield Identifier(digits, IdentifierKind.DATE, keyword)
        elif keyword in TEXT_KEYWORDS or (keyword == "TextValue" and _observerCode(dataset) in SR_TEXT_CODES):
            for line in re.split(r"[\r\n]+", text):
                yield from _kept(line, IdentifierKind.TEXT, keyword)


def _isIdentifyingUid(uid: str, keyword: str) -> bool:
    """UIDs of instances; those of the standard, of SOP classes and of implementations are the same all over the world."""
    return not uid.startswith(STANDARD_UID_ROOT) and not keyword.endswith(("ClassUID", "SyntaxUID"))


def _observerCode(item: Any) -> str:
    sequence = item.get("ConceptNameCodeSequence")
    return str(sequence[0].get("CodeValue") or "") if sequence else ""


def _named(text: str, attribute: str) -> Iterator[Identifier]:
    """The whole name and each of its parts."""
    for part in {text, *re.split(r"[\^=\s,]+", text)}:
        if len(part.strip("^ ")) >= SHORTEST and part.strip("^ ").lower() not in PLACEHOLDERS:
            yield Identifier(part.strip("^ "), IdentifierKind.NAME, attribute)


def _kept(text: str, kind: IdentifierKind, attribute: str) -> Iterator[Identifier]:
    plain = text.strip()
    if len(plain) >= SHORTEST and plain.strip("0") and plain.upper() not in ("ANONYMIZED", "UNKNOWN", "NONE"):
        yield Identifier(plain, kind, attribute)


def _isDate(digits: str) -> bool:
    try:
        found = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return False
    return found.year > 1900
