"""A report as DICOM Encapsulated PDF for the archive (PS3.3 A.45.1).

The archive files it by patient and study, so this file carries identity: it is written from the local identity file and never counts as
an export under the pseudonym.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from TranslatedText.Translation import tr as _

from .WholeFile import writeWhole

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


@dataclass(frozen=True)
class ArchivePatient:
    """Who and which study the report belongs to. studyUid: of the CT study, so that the report is filed with it; a new one where empty."""

    patientName: str
    patientId: str
    birthDate: str = ""
    sex: str = ""
    studyUid: str = ""
    accessionNumber: str = ""
    referringPhysician: str = ""


def encapsulatePdf(pdf: bytes, patient: ArchivePatient, title: str, created: datetime) -> bytes:
    """DICOM file of a PDF. Raises ValueError when the data is no PDF or the patient has no ID."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    if not pdf.startswith(b"%PDF"):
        raise ValueError(_("Only a PDF can be encapsulated; write the PDF report first"))
    if not patient.patientId.strip():
        raise ValueError(_("The archive needs the patient's ID; it isn't in the identity file of this case"))
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = ENCAPSULATED_PDF
    dataset.SOPInstanceUID = generate_uid(None)
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = created.strftime("%Y%m%d")
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = created.strftime("%H%M%S")
    dataset.AcquisitionDateTime = created.strftime("%Y%m%d%H%M%S")
    dataset.AccessionNumber = patient.accessionNumber
    dataset.Modality = "DOC"
    dataset.ConversionType = "WSD"
    dataset.Manufacturer = "IntradiscalNav"
    dataset.ReferringPhysicianName = patient.referringPhysician
    dataset.SeriesDescription = title
    dataset.PatientName = patient.patientName
    dataset.PatientID = patient.patientId
    dataset.PatientBirthDate = patient.birthDate
    dataset.PatientSex = {"male": "M", "female": "F", "other": "O"}.get(patient.sex, patient.sex)
    dataset.StudyInstanceUID = patient.studyUid or generate_uid(None)
    dataset.SeriesInstanceUID = generate_uid(None)
    dataset.StudyID = ""
    dataset.SeriesNumber = 9001
    dataset.InstanceNumber = 1
    dataset.BurnedInAnnotation = "YES"
    dataset.DocumentTitle = title
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    dataset.EncapsulatedDocumentLength = len(pdf)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(ENCAPSULATED_PDF)
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(EXPLICIT_LITTLE)
    dataset.file_meta = meta
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def writeEncapsulatedPdf(pdf: bytes, patient: ArchivePatient, title: str, created: datetime, path: str | Path) -> Path:
    """Write the DICOM file; it is there whole or not at all."""
    return writeWhole(path, encapsulatePdf(pdf, patient, title, created))
