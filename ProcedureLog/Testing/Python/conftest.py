"""DICOM made on the spot: CT images and dose reports as scanners write them, built with pydicom."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
STUDY = "1.2.999.1.1"


def makeCt(**values: Any) -> Dataset:
    """One CT slice; keywords are DICOM keywords, None leaves an element out."""
    dataset = Dataset()
    dataset.SOPClassUID = CT_IMAGE
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"]
    dataset.PatientName = "Muster^Hanna"
    dataset.PatientID = "PAT-0815"
    dataset.PatientBirthDate = "19570203"
    dataset.InstitutionName = "Klinik am See"
    dataset.StudyDate = "20260504"
    dataset.StudyTime = "085900"
    dataset.AcquisitionDate = "20260504"
    dataset.AcquisitionTime = "090000"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = STUDY + ".1"
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = 1
    dataset.ImagePositionPatient = [0, 0, 0]
    dataset.SliceThickness = 2
    dataset.CTDIvol = 10.0
    dataset.Rows = dataset.Columns = 4
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 1
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = np.zeros((4, 4), np.int16).tobytes()
    for name, value in values.items():
        if value is None:
            if name in dataset:
                delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    return dataset


def saveAs(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CT_IMAGE)
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", generate_uid())
    meta.TransferSyntaxUID = syntax
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path


def _code(value: str, meaning: str = "", scheme: str = "DCM") -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning or value
    return code


def _item(kind: str, concept: str, children: list[Dataset] | None = None, **values: Any) -> Dataset:
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = kind
    item.ConceptNameCodeSequence = [_code(concept)]
    for name, value in values.items():
        setattr(item, name, value)
    if children:
        item.ContentSequence = children
    return item


def _num(concept: str, value: float, unit: str) -> Dataset:
    measured = Dataset()
    measured.NumericValue = str(value)
    measured.MeasurementUnitsCodeSequence = [_code(unit, unit, "UCUM")]
    return _item("NUM", concept, MeasuredValueSequence=[measured])


def makeDoseReport(events: list[dict[str, Any]], total: float | None = None, unit: str = "mGy.cm", **values: Any) -> Dataset:
    """A TID 10011 report. An event: uid, kind (code), dlp, ctdi, start, length."""
    containers = []
    for event in events:
        children = [
            _item("CODE", "113820", ConceptCodeSequence=[_code(event.get("kind", "116152004"))]),
            _item("UIDREF", "113769", UID=event["uid"]),
        ]
        if event.get("start"):
            children.append(_item("DATETIME", "111526", DateTime=event["start"]))
        if event.get("length") is not None:
            children.append(_item("CONTAINER", "113822", [_num("113825", event["length"], "mm")]))
        if event.get("dlp") is not None:
            children.append(
                _item("CONTAINER", "113829", [_num("113830", event.get("ctdi", 5.0), "mGy"), _num("113838", event["dlp"], unit)])
            )
        containers.append(_item("CONTAINER", "113819", children))
    dataset = Dataset()
    dataset.SOPClassUID = DOSE_SR
    dataset.SOPInstanceUID = generate_uid()
    dataset.Modality = "SR"
    dataset.PatientName = "Muster^Hanna"
    dataset.PatientID = "PAT-0815"
    dataset.PatientBirthDate = "19570203"
    dataset.StudyInstanceUID = STUDY
    dataset.SeriesInstanceUID = STUDY + ".99"
    dataset.ContentDate, dataset.ContentTime = "20260504", "093000"
    dataset.ValueType = "CONTAINER"
    dataset.ConceptNameCodeSequence = [_code("113701")]
    accumulated = [_num("113812", len(events), "{events}")]
    whole = sum(event.get("dlp") or 0.0 for event in events) if total is None else total
    accumulated.append(_num("113813", round(whole, 4), unit))
    dataset.ContentSequence = [_item("CONTAINER", "113811", accumulated), *containers]
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


class DicomMaker:
    """Writes DICOM files below one folder, numbered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = 0

    def save(self, dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> Path:
        self.number += 1
        return saveAs(dataset, self.folder / f"{self.number:04d}.dcm", syntax)

    def image(self, **values: Any) -> Path:
        return self.save(makeCt(**values))

    def helical(self, number: int, time: str, slices: int = 5, series: str = "1", **values: Any) -> list[Path]:
        """A helical acquisition: slices 2 mm apart, 0.1 s apart."""
        paths = []
        for index in range(slices):
            moment = f"{time}.{index}00000"
            place = [0, 0, -100 - 2 * index]
            given = {"AcquisitionNumber": number, "AcquisitionTime": moment, "ImagePositionPatient": place, "InstanceNumber": index + 1}
            paths.append(self.image(**(given | {"SeriesInstanceUID": f"{STUDY}.{series}", "SpiralPitchFactor": 0.9} | values)))
        return paths

    def doseReport(self, events: list[dict[str, Any]], **values: Any) -> Path:
        return self.save(makeDoseReport(events, **values))


@pytest.fixture
def dicom(tmp_path: Path) -> DicomMaker:
    """A maker of DICOM files in an empty folder `dicom.folder`."""
    folder = tmp_path / "dicom"
    folder.mkdir()
    return DicomMaker(folder)


@pytest.fixture
def ctDataset() -> Callable[..., Dataset]:
    return makeCt


@pytest.fixture
def doseDataset() -> Callable[..., Dataset]:
    return makeDoseReport
