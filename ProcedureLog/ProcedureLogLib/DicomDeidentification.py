"""DICOM files under the pseudonym: the Basic Application Level Confidentiality Profile of PS3.15 with modified dates.

The profile's table comes from the library dicom-anonymizer (headless only); UIDs become keyed hashes and dates are shifted by the case's
identity, so files, log and report of one case stay consistent with each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .CaseIdentity import CaseIdentity
from .DicomIdentifiers import STANDARD_UID_ROOT
from .HeaderScan import SkippedFile

PROFILE_TABLE = "dicomfields_2024b"
CONTENT_SEQUENCE = (0x0040, 0xA730)
CONTENT_TAG = 0x0040A730
BIRTH_TAGS = (0x00100030, 0x00100032)
PYDICOM_IMPLEMENTATION_UID = "1.2.826.0.1.3680043.8.498.1"
SAFE_TEXT_CODES = frozenset(("113832", "113842"))
"""Texts of dose reports that name the tube and the modulation type; protocol names and comments may hold anything and go."""


@dataclass(frozen=True)
class DeidentifiedFiles:
    written: tuple[Path, ...]
    skipped: tuple[SkippedFile, ...]


def pseudonymUid(identity: CaseIdentity, uid: str) -> str:
    """UID that stands for another in this case: 2.25 with a 126-bit keyed hash, always the same for the same UID."""
    import hashlib
    import hmac

    digest = hmac.new(identity.secret.encode(), f"uid:{uid.strip()}".encode(), hashlib.sha256).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') >> 2}"


def shiftedDate(identity: CaseIdentity, text: str) -> str:
    """A DA or DT value with its date shifted; '' when it starts with no date."""
    match = re.match(r"\s*(\d{8})(.*)$", text)
    if match is None:
        return ""
    try:
        moved = datetime.strptime(match.group(1), "%Y%m%d") + identity.shift
    except (ValueError, OverflowError):
        return ""
    return moved.strftime("%Y%m%d") + match.group(2)


def deidentifyDataset(dataset: Any, identity: CaseIdentity) -> None:
    """Change a pydicom data set in place, nested items included. Raises RuntimeError when dicom-anonymizer isn't installed."""
    try:
        from dicomanonymizer.simpledicomanonymizer import anonymize_dataset, initialize_actions
    except ImportError as error:
        raise RuntimeError(_("Writing de-identified DICOM needs 'pip install dicom-anonymizer'")) from error

    def applyProfile(part: Any) -> None:
        anonymize_dataset(part, {CONTENT_SEQUENCE: _leave}, True, lambda: initialize_actions(PROFILE_TABLE))

    meta = getattr(dataset, "file_meta", None)
    mediaUid = "" if meta is None else str(meta.get("MediaStorageSOPInstanceUID") or "")
    _deidentifyLevel(dataset, identity, applyProfile)
    _cleanContent(dataset, identity)
    dataset.PatientName = identity.pseudonym
    dataset.PatientID = identity.pseudonym
    dataset.PatientBirthDate = ""
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.DeidentificationMethod = ["Basic Profile (PS3.15 E.1)", "Clean structured content", "Modified dates"]
    if meta is not None:
        meta.MediaStorageSOPInstanceUID = pseudonymUid(identity, mediaUid) if mediaUid else ""
        meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
        for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle", "ReceivingApplicationEntityTitle"):
            if keyword in meta:
                delattr(meta, keyword)


def _leave(dataset: Any, tag: Any) -> None:
    """Rule for the content of structured reports, which `_cleanContent` cleans: the basic profile would blank the doses."""


def _deidentifyLevel(part: Any, identity: CaseIdentity, applyProfile: Callable[[Any], None]) -> None:
    """Apply the profile to one data set or item and, first, to all items inside: the library does the level it is given only."""
    for tag in list(part):
        if tag.VR == "SQ" and tag.tag != CONTENT_TAG:
            for item in tag.value:
                _deidentifyLevel(item, identity, applyProfile)
    times = {int(each.tag): (each.VR, each.value) for each in part if each.VR in ("DA", "DT", "TM") and each.value and each.VM == 1}
    uids = {int(each.tag): each.value for each in part if each.VR == "UI" and each.value}
    applyProfile(part)
    for tag, (vr, value) in times.items():
        if tag in part and tag not in BIRTH_TAGS:
            part[tag].value = str(value) if vr == "TM" else shiftedDate(identity, str(value))
    for tag, value in uids.items():
        if tag in part:
            part[tag].value = _mapped(value, identity)


def _mapped(value: Any, identity: CaseIdentity) -> Any:
    """One or several UIDs under the pseudonym; those of the standard stay."""
    many = [str(each) for each in value] if hasattr(value, "append") else [str(value)]
    found = [each if each.startswith(STANDARD_UID_ROOT) else pseudonymUid(identity, each) for each in many]
    return found if len(found) > 1 else found[0]


def _cleanContent(item: Any, identity: CaseIdentity) -> None:
    """Structured report content: numbers and codes stay, UIDs are mapped, dates shifted, names and free text blanked."""
    for child in item.get("ContentSequence") or ():
        kind = child.get("ValueType")
        if kind == "UIDREF" and child.get("UID"):
            child.UID = _mapped(child.UID, identity)
        elif kind == "DATETIME" and child.get("DateTime"):
            child.DateTime = shiftedDate(identity, str(child.DateTime))
        elif kind == "DATE" and child.get("Date"):
            child.Date = shiftedDate(identity, str(child.Date))
        elif kind == "PNAME":
            child.PersonName = identity.pseudonym
        elif kind == "TEXT":
            code = child.get("ConceptNameCodeSequence")
            if not code or str(code[0].get("CodeValue")) not in SAFE_TEXT_CODES:
                child.TextValue = ""
        for keyword in ("ReferencedSOPSequence",):
            for reference in child.get(keyword) or ():
                if reference.get("ReferencedSOPInstanceUID"):
                    reference.ReferencedSOPInstanceUID = _mapped(reference.ReferencedSOPInstanceUID, identity)
        if child.get("ObservationDateTime"):
            child.ObservationDateTime = shiftedDate(identity, str(child.ObservationDateTime))
        _cleanContent(child, identity)


def deidentifyFiles(paths: Iterable[str | Path], folder: str | Path, identity: CaseIdentity) -> DeidentifiedFiles:
    """Write de-identified copies under plain numbers. A file that can't be read is named and skipped."""
    import pydicom

    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    skipped: list[SkippedFile] = []
    for path in paths:
        try:
            dataset = pydicom.dcmread(path)
            deidentifyDataset(dataset, identity)
            place = target / f"{len(written) + 1:06d}.dcm"
            dataset.save_as(place, enforce_file_format=False)
        except RuntimeError:
            raise
        except Exception as error:  # noqa: BLE001 (whatever pydicom meets in a damaged file)
            skipped.append(SkippedFile(str(path), str(error)))
            continue
        written.append(place)
    return DeidentifiedFiles(tuple(written), tuple(skipped))
