"""A CT dose report (DICOM structured report, TID 10011) of the simulated scans, as the scanner sends it after the last one.

Codes are those of DICOM PS3.16, TID 10011, 10012 and 10013. Every irradiation event is listed, the localizer too.
"""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .PhantomDicom import IMPLEMENTATION_UID, CtScan, WrittenSeries

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def writeDoseReport(folder: str | pathlib.Path, series: Sequence[WrittenSeries], *, scan: CtScan | None = None) -> pathlib.Path:
    """Write the dose report of a study's scans, in their order; returns the file.

    :param scan: gives patient name and ID; those of the series' scans must be the same.
    :raises ValueError: no series, or series of different studies.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

    if not series:
        raise ValueError("A dose report needs at least one series.")
    if len({entry.studyInstanceUid for entry in series}) > 1:
        raise ValueError("The series belong to different studies; each study has its own dose report.")
    patient = scan or CtScan()
    end = max(entry.end for entry in series)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.88.67")
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["dose report", *(entry.seriesInstanceUid for entry in series)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    report = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    report.SOPClassUID, report.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    report.Modality, report.Manufacturer = "SR", "IntradiscalNav simulator"
    report.PatientName, report.PatientID = patient.patientName, patient.patientId
    report.PatientBirthDate, report.PatientSex = "19600101", "O"
    report.StudyInstanceUID = series[0].studyInstanceUid
    report.SeriesInstanceUID = generate_uid(entropy_srcs=["dose report series", series[0].studyInstanceUid])
    report.StudyID, report.AccessionNumber, report.ReferringPhysicianName = "1", "", ""
    report.SeriesNumber, report.InstanceNumber = 990, 1
    report.StudyDate = report.ContentDate = end.strftime("%Y%m%d")
    report.StudyTime = series[0].start.strftime("%H%M%S")
    report.ContentTime = end.strftime("%H%M%S")
    report.CompletionFlag, report.VerificationFlag = "COMPLETE", "UNVERIFIED"
    report.ValueType = "CONTAINER"
    report.ConceptNameCodeSequence = [_code("113701", "X-Ray Radiation Dose Report")]
    report.ContinuityOfContent = "SEPARATE"
    total = sum(entry.dlpMgyCm for entry in series)
    accumulated = _container(
        "113811",
        "CT Accumulated Dose Data",
        [
            _number("113812", "Total Number of Irradiation Events", len(series), "{events}"),
            _number("113813", "CT Dose Length Product Total", round(total, 2), "mGy.cm"),
        ],
    )
    report.ContentSequence = [
        _item("CODE", "121058", "Procedure reported", ConceptCodeSequence=[_code("77477000", "Computed Tomography X-Ray", "SCT")]),
        _item("DATETIME", "113809", "Start of X-Ray Irradiation", DateTime=min(e.start for e in series).strftime("%Y%m%d%H%M%S")),
        _item("DATETIME", "113810", "End of X-Ray Irradiation", DateTime=end.strftime("%Y%m%d%H%M%S")),
        _item("CODE", "113705", "Scope of Accumulation", ConceptCodeSequence=[_code("113014", "Study")]),
        accumulated,
        *(_event(entry) for entry in series),
    ]
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    path = target / "DOSE0001.dcm"
    report.save_as(path, enforce_file_format=True)
    return path


def _event(series: WrittenSeries) -> Dataset:
    localizer = series.isLocalizer
    kind = ("113805", "Constant Angle Acquisition", "DCM") if localizer else ("116152004", "Spiral Acquisition", "SCT")
    dose = _container(
        "113829",
        "CT Dose",
        [
            _number("113830", "Mean CTDIvol", series.ctdiVolMgy, "mGy"),
            _item("CODE", "113835", "CTDIw Phantom Type", ConceptCodeSequence=[_code("113691", "IEC Body Dosimetry Phantom")]),
            _number("113838", "DLP", series.dlpMgyCm, "mGy.cm"),
        ],
    )
    parameters = _container("113822", "CT Acquisition Parameters", [_number("113825", "Scanning Length", round(series.lengthMm, 1), "mm")])
    return _container(
        "113819",
        "CT Acquisition",
        [
            _item("TEXT", "125203", "Acquisition Protocol", TextValue="Topogram" if localizer else "Spine_Intervention"),
            _item("CODE", "123014", "Target Region", ConceptCodeSequence=[_code("122496007", "Lumbar spine", "SCT")]),
            _item("CODE", "113820", "CT Acquisition Type", ConceptCodeSequence=[_code(*kind)]),
            _item("UIDREF", "113769", "Irradiation Event UID", UID=series.irradiationEventUid),
            _item("DATETIME", "111526", "DateTime Started", DateTime=series.start.strftime("%Y%m%d%H%M%S.%f")),
            parameters,
            dose,
        ],
    )


def _code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    from pydicom.dataset import Dataset

    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def _item(valueType: str, code: str, meaning: str, **content: Any) -> Dataset:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", valueType
    item.ConceptNameCodeSequence = [_code(code, meaning)]
    for keyword, value in content.items():
        setattr(item, keyword, value)
    return item


def _container(code: str, meaning: str, content: Sequence[Dataset]) -> Dataset:
    return _item("CONTAINER", code, meaning, ContinuityOfContent="SEPARATE", ContentSequence=list(content))


def _number(code: str, meaning: str, value: float, unit: str) -> Dataset:
    from pydicom.dataset import Dataset

    measured = Dataset()
    measured.NumericValue = f"{value:g}"
    measured.MeasurementUnitsCodeSequence = [_code(unit, unit, "UCUM")]
    return _item("NUM", code, meaning, MeasuredValueSequence=[measured])
