"""Writing simulated CT scans as DICOM, as a scanner would store them of a prone patient.

DICOM positions are LPS; this is the only file of the simulator that knows LPS. File names say nothing about the order of the
slices, on purpose: a reader has to sort by position.
"""

from __future__ import annotations

import datetime
import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .LumbarPhantom import LumbarPhantom

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

RESCALE_INTERCEPT = -1024
LOCALIZER_CTDI_MGY = 0.14
ROW_AND_COLUMN_LPS: dict[str, tuple[int, int]] = {"HFS": (1, 1), "HFP": (-1, -1), "FFS": (-1, 1), "FFP": (1, -1)}
"""Sign of the row direction along L and of the column direction along P, for each patient position (DICOM PS3.3 C.7.3.1.1.2)."""

IMPLEMENTATION_UID = "1.2.826.0.1.3680043.8.498.1"


@dataclass(frozen=True)
class CtScan:
    """How a simulated scan was made. Dose values are written to the headers so that a dose log can use them."""

    description: str = "Planning CT prone"
    start: datetime.datetime = datetime.datetime(2026, 3, 4, 9, 12, 30)
    durationSec: float = 4.2
    seriesNumber: int = 2
    acquisitionNumber: int = 1
    ctdiVolMgy: float = 7.4
    kvp: float = 120.0
    tubeCurrentMa: int = 110
    pitch: float = 0.95
    patientPosition: str = "HFP"
    patientId: str = "SIM-0001"
    patientName: str = "Simulated^Patient"
    study: str = "study"
    """Scans with equal ``study`` and ``patientId`` share the study and the frame of reference."""


@dataclass(frozen=True)
class WrittenSeries:
    """A series as written."""

    folder: pathlib.Path
    files: tuple[pathlib.Path, ...]
    """In slice order, feet to head for a volume."""
    studyInstanceUid: str
    seriesInstanceUid: str
    frameOfReferenceUid: str
    irradiationEventUid: str
    dlpMgyCm: float
    start: datetime.datetime
    end: datetime.datetime
    ctdiVolMgy: float = 0.0
    lengthMm: float = 0.0
    isLocalizer: bool = False


def writeDicomSeries(
    phantom: LumbarPhantom,
    folder: str | pathlib.Path,
    *,
    scan: CtScan | None = None,
    voxels: npt.NDArray[np.int16] | None = None,
    shuffleSeed: int = 7,
) -> WrittenSeries:
    """Write a CT as a series of CT Image Storage files, one per slice, explicit VR little endian.

    :param voxels: Hounsfield units on the phantom's grid to write instead of the phantom's own (a check scan).
    :param shuffleSeed: seed of the file names, which are not in the order of the slices.
    :raises ValueError: unknown patient position, or voxels of another shape.
    """
    chosen = scan or CtScan()
    if chosen.patientPosition not in ROW_AND_COLUMN_LPS:
        raise ValueError(f"Patient position {chosen.patientPosition!r} isn't one of {', '.join(ROW_AND_COLUMN_LPS)}.")
    array = phantom.voxels if voxels is None else voxels
    if array.shape != phantom.voxels.shape:
        raise ValueError(f"The voxels have shape {array.shape}; the phantom's grid has {phantom.voxels.shape}.")
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    stored = np.clip(array.astype(np.int32) - RESCALE_INTERCEPT, 0, 4095).astype("<u2")
    depth, height, width = stored.shape
    dx, dy, dz = (float(phantom.ijkToRas[axis, axis]) for axis in range(3))
    rowSign, columnSign = ROW_AND_COLUMN_LPS[chosen.patientPosition]
    # array index i runs to R and j to A; L is -R and P is -A: a row direction along +L runs against i
    if rowSign > 0:
        stored = stored[:, :, ::-1]
    if columnSign > 0:
        stored = stored[:, ::-1, :]
    firstI = width - 1 if rowSign > 0 else 0
    firstJ = height - 1 if columnSign > 0 else 0
    uids = _Uids(phantom, chosen)
    order = np.random.default_rng(shuffleSeed).permutation(depth)
    files = []
    for k in range(depth):
        firstPixelRas = phantom.ijkToRas @ np.array([firstI, firstJ, k, 1.0])
        dataset = _newImage(chosen, uids, f"axial {k}", stored[k])
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.ImageOrientationPatient = [float(rowSign), 0.0, 0.0, 0.0, float(columnSign), 0.0]
        dataset.ImagePositionPatient = [_decimal(-firstPixelRas[0]), _decimal(-firstPixelRas[1]), _decimal(firstPixelRas[2])]
        dataset.PixelSpacing = [_decimal(dy), _decimal(dx)]
        dataset.SliceThickness = _decimal(dz)
        dataset.SliceLocation = _decimal(firstPixelRas[2])
        dataset.InstanceNumber = int(depth - k)  # numbered head to feet, as many scanners do
        dataset.CTDIvol = chosen.ctdiVolMgy
        dataset.SpiralPitchFactor = chosen.pitch
        dataset.AcquisitionType = "SPIRAL"
        moment = chosen.start + datetime.timedelta(seconds=chosen.durationSec * (depth - 1 - k) / max(depth - 1, 1))
        _setTimes(dataset, chosen.start, moment)
        path = target / f"CT{order[k]:05d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
    end = chosen.start + datetime.timedelta(seconds=chosen.durationSec)
    dlp = chosen.ctdiVolMgy * depth * dz / 10.0
    return WrittenSeries(
        target,
        tuple(files),
        uids.study,
        uids.series,
        uids.frameOfReference,
        uids.irradiationEvent,
        round(dlp, 2),
        chosen.start,
        end,
        chosen.ctdiVolMgy,
        depth * dz,
    )


def writeLocalizer(phantom: LumbarPhantom, folder: str | pathlib.Path, *, scan: CtScan | None = None) -> WrittenSeries:
    """Write a localizer radiograph (one coronal projection): it is no CT pass and must not be counted or stacked as one."""
    base = scan or CtScan()
    chosen = CtScan(
        **{
            **base.__dict__,
            "description": "Topogram",
            "seriesNumber": 1,
            "acquisitionNumber": 0,
            "start": base.start - datetime.timedelta(seconds=70),
            "durationSec": 3.0,
        }
    )
    target = pathlib.Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    uids = _Uids(phantom, chosen)
    projection = np.clip(phantom.voxels.astype(np.float32).mean(1)[::-1] + 1000.0, 0, 1500)
    dataset = _newImage(chosen, uids, "localizer", (projection + 24).astype("<u2"))
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    center = phantom.voxels.shape[1] / 2.0
    corner = phantom.ijkToRas @ np.array([0.0, center, phantom.voxels.shape[0] - 1.0, 1.0])
    dataset.ImageOrientationPatient = [-1.0, 0.0, 0.0, 0.0, 0.0, -1.0]
    dataset.ImagePositionPatient = [_decimal(-corner[0]), _decimal(-corner[1]), _decimal(corner[2])]
    dataset.PixelSpacing = [_decimal(phantom.ijkToRas[2, 2]), _decimal(phantom.ijkToRas[0, 0])]
    dataset.SliceThickness = 0.6
    dataset.InstanceNumber = 1
    dataset.CTDIvol = LOCALIZER_CTDI_MGY
    dataset.AcquisitionType = "CONSTANT_ANGLE"
    _setTimes(dataset, chosen.start, chosen.start)
    path = target / "LOC00001.dcm"
    dataset.save_as(path, enforce_file_format=True)
    lengthMm = phantom.voxels.shape[0] * float(phantom.ijkToRas[2, 2])
    return WrittenSeries(
        target,
        (path,),
        uids.study,
        uids.series,
        uids.frameOfReference,
        uids.irradiationEvent,
        round(LOCALIZER_CTDI_MGY * lengthMm / 10.0, 2),
        chosen.start,
        chosen.start + datetime.timedelta(seconds=chosen.durationSec),
        LOCALIZER_CTDI_MGY,
        lengthMm,
        True,
    )


class _Uids:
    """UIDs that depend on the patient, the study and the scan alone, so that runs can be repeated."""

    def __init__(self, phantom: LumbarPhantom, scan: CtScan) -> None:
        patient = [scan.patientId, scan.study, str(phantom.parameters)]
        series = [*patient, scan.description, str(scan.seriesNumber), scan.start.isoformat(), scan.patientPosition]
        self.study = _uid(patient, "study")
        self.frameOfReference = _uid(patient, "frame of reference")
        self.series = _uid(series, "series")
        self.irradiationEvent = _uid([*patient, str(scan.acquisitionNumber), scan.start.isoformat()], "irradiation event")
        self._source = series

    def instance(self, name: str) -> str:
        return _uid(self._source, "instance " + name)


def _uid(source: list[str], kind: str) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[kind, *source]))


def _decimal(value: float) -> str:
    """A DICOM decimal string: at most 16 characters, exact to 1e-9 for millimetres."""
    text = f"{float(value):.9f}".rstrip("0").rstrip(".")
    if len(text) > 16:
        text = f"{float(value):.16g}"[:16]
    return text if text not in ("-0", "") else "0"


def _setTimes(dataset: FileDataset, start: datetime.datetime, moment: datetime.datetime) -> None:
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = start.strftime("%Y%m%d")
    dataset.ContentDate = moment.strftime("%Y%m%d")
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = start.strftime("%H%M%S.%f")
    dataset.AcquisitionDateTime = start.strftime("%Y%m%d%H%M%S.%f")
    dataset.ContentTime = moment.strftime("%H%M%S.%f")


def _newImage(scan: CtScan, uids: _Uids, name: str, pixels: npt.NDArray[np.uint16]) -> FileDataset:
    """A CT image with everything but its place, type and times. ``pixels`` are stored values (rows, columns)."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(uids.instance(name))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CT"
    dataset.Manufacturer = "IntradiscalNav simulator"
    dataset.ManufacturerModelName = "Simulated CT"
    dataset.InstitutionName = "Simulated Hospital"
    dataset.PatientName, dataset.PatientID = scan.patientName, scan.patientId
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = uids.study, uids.series
    dataset.FrameOfReferenceUID, dataset.PositionReferenceIndicator = uids.frameOfReference, ""
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "1", "", ""
    dataset.StudyDescription, dataset.SeriesDescription = "CT lumbar spine intervention (simulated)", scan.description
    dataset.ProtocolName, dataset.BodyPartExamined = "Spine_Intervention", "LSPINE"
    dataset.SeriesNumber, dataset.AcquisitionNumber = scan.seriesNumber, scan.acquisitionNumber
    dataset.IrradiationEventUID = uids.irradiationEvent
    dataset.PatientPosition = scan.patientPosition
    dataset.KVP, dataset.XRayTubeCurrent = scan.kvp, scan.tubeCurrentMa
    dataset.ExposureTime, dataset.Exposure = 500, round(scan.tubeCurrentMa * 0.5 / scan.pitch)
    dataset.GantryDetectorTilt, dataset.ConvolutionKernel = 0.0, "SIM30"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = RESCALE_INTERCEPT, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 50, 400
    dataset.PixelData = np.ascontiguousarray(pixels).tobytes()
    return dataset
