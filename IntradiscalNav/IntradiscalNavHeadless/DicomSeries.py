"""Reading a CT from DICOM files: slices sorted by position, Hounsfield units, exact geometry, and every doubt named.

File names and instance numbers are never used for the order. LPS is turned into RAS here and nowhere else.
"""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavHeadless.DicomSlices import (
    DicomSeriesError,
    acquisitionTime,
    contentTime,
    groupBySeries,
    instanceUid,
    isLocalizer,
    readPixels,
    scanFiles,
)

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

FloatArray = npt.NDArray[np.float64]

__all__ = ["DicomSeries", "DicomSeriesEntry", "DicomSeriesError", "addDicomVolume", "listDicomSeries", "loadDicomVolume", "readDicomSeries"]

POSITION_TOLERANCE_MM = 0.02
SPACING_TOLERANCE = 0.02
"""Relative deviation of a slice distance that passes without a remark (decimal strings are rounded)."""


@dataclass(frozen=True)
class DicomSeries:
    """A CT volume read from DICOM."""

    voxels: npt.NDArray[Any]
    """Hounsfield units (k, j, i): int16 where the rescaling leaves whole numbers, else float32."""
    ijkToRas: FloatArray
    patientPosition: str
    """HFP, HFS, FFP, FFS, ...; empty when the files do not say."""
    studyInstanceUid: str
    seriesInstanceUid: str
    frameOfReferenceUid: str
    description: str
    modality: str
    files: tuple[pathlib.Path, ...]
    """In the order of the slices (k)."""
    instanceUids: tuple[str, ...]
    acquisitionStart: datetime.datetime | None
    acquisitionEnd: datetime.datetime | None
    sliceThicknessMm: float
    gantryTiltDeg: float
    transferSyntax: str
    warnings: tuple[str, ...]

    @property
    def spacingMm(self) -> tuple[float, float, float]:
        """Voxel spacing along i, j, k."""
        lengths = np.linalg.norm(self.ijkToRas[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])


@dataclass(frozen=True)
class DicomSeriesEntry:
    """A series found in a folder."""

    seriesInstanceUid: str
    description: str
    modality: str
    imageCount: int
    isLocalizer: bool


def listDicomSeries(folderOrFiles: str | pathlib.Path | Iterable[str | pathlib.Path]) -> tuple[DicomSeriesEntry, ...]:
    """Series with images among the files, those with most images first.

    :raises DicomSeriesError: when the folder doesn't exist or holds no DICOM image.
    """
    groups = groupBySeries(scanFiles(folderOrFiles))
    entries = [
        DicomSeriesEntry(uid, str(h[0][1].get("SeriesDescription", "")), str(h[0][1].get("Modality", "")), len(h), isLocalizer(h[0][1]))
        for uid, h in groups.items()
    ]
    return tuple(sorted(entries, key=lambda entry: -entry.imageCount))


def readDicomSeries(
    folderOrFiles: str | pathlib.Path | Iterable[str | pathlib.Path],
    seriesInstanceUid: str | None = None,
    *,
    rectifyTilt: bool = False,
) -> DicomSeries:
    """Read one CT series as a volume.

    :param folderOrFiles: a folder (searched with its sub-folders) or the files themselves, in any order.
    :param seriesInstanceUid: the series, needed when there are several volumes.
    :param rectifyTilt: shift the slices of a scan with tilted gantry into an upright volume (linear interpolation) instead of refusing it.
    :raises DicomSeriesError: no images, several series, missing or doubled slices, uneven spacing, tilted gantry, an unreadable
        compression. The message names the files or the decoder.
    """
    scan = scanFiles(folderOrFiles)
    warnings = [f"{path.name} was skipped: {reason}" for path, reason in scan.broken]
    if scan.foreign:
        warnings.append(f"{len(scan.foreign)} files are not DICOM images and were ignored, among them {scan.foreign[0].name}")
    headers = _chooseSeries(groupBySeries(scan), seriesInstanceUid, warnings)
    headers = _withoutRepeats(headers, warnings)
    row, column = _orientation(headers)
    normal = np.cross(row, column)
    headers.sort(key=lambda item: float(normal @ _position(item)))
    first = headers[0][1]
    positions = np.array([_position(item) for item in headers])
    along = (positions - positions[0]) @ normal
    spacingK = _sliceSpacing(along, headers, warnings)
    pixelSpacing = np.array([float(value) for value in first.PixelSpacing])
    voxels = _voxels(headers)
    shift = (positions - positions[0]) - along[:, None] * normal
    tiltDeg = 0.0
    if len(headers) > 1 and np.abs(shift).max() > POSITION_TOLERANCE_MM * len(headers) ** 0.5 + 0.002 * along[-1]:
        perSlice = shift[-1] / max(along[-1], 1e-9)
        tiltDeg = float(np.degrees(np.arctan(np.linalg.norm(perSlice))))
        if not rectifyTilt:
            raise DicomSeriesError(
                f"The gantry was tilted by {tiltDeg:.1f} deg: the slices are shifted against each other, a straight volume of them "
                "would be sheared. Scan without tilt, or read with the tilt rectified (rectifyTilt=True)."
            )
        voxels = _rectified(voxels, shift @ np.stack([row, column], 1) / pixelSpacing[::-1])
        warnings.append(f"The gantry was tilted by {tiltDeg:.1f} deg; the slices were shifted into an upright volume")
    lpsToRas = np.diag([-1.0, -1.0, 1.0])
    ijkToRas = np.eye(4)
    ijkToRas[:3, 0] = lpsToRas @ row * pixelSpacing[1]
    ijkToRas[:3, 1] = lpsToRas @ column * pixelSpacing[0]
    ijkToRas[:3, 2] = lpsToRas @ normal * spacingK
    ijkToRas[:3, 3] = lpsToRas @ positions[0]
    position = str(first.get("PatientPosition", ""))
    if not position:
        warnings.append("The files do not say how the patient lay (Patient Position)")
    times = [time for _, header in headers for time in (acquisitionTime(header), contentTime(header)) if time is not None]
    return DicomSeries(
        voxels,
        ijkToRas,
        position,
        str(first.get("StudyInstanceUID", "")),
        str(first.SeriesInstanceUID),
        str(first.get("FrameOfReferenceUID", "")),
        str(first.get("SeriesDescription", "")),
        str(first.get("Modality", "")),
        tuple(path for path, _ in headers),
        tuple(instanceUid(header) for _, header in headers),
        min(times, default=None),
        max(times, default=None),
        float(first.get("SliceThickness") or 0.0),
        tiltDeg,
        str(first.file_meta.TransferSyntaxUID.name),
        tuple(warnings),
    )


def _chooseSeries(
    groups: dict[str, list[tuple[pathlib.Path, FileDataset]]], uid: str | None, warnings: list[str]
) -> list[tuple[pathlib.Path, FileDataset]]:
    volumes = {key: headers for key, headers in groups.items() if not key.endswith("|localizer")}
    if len(volumes) < len(groups):
        warnings.append("Localizer images were left out")
    listing = "; ".join(
        f"{key} ({headers[0][1].get('SeriesDescription', 'no description')}, {len(headers)} images)" for key, headers in volumes.items()
    )
    if uid is not None:
        if uid not in volumes:
            raise DicomSeriesError(f"Series {uid} is not among the files. They hold: {listing or 'localizers only'}.")
        return volumes[uid]
    if not volumes:
        raise DicomSeriesError("The files are localizer radiographs only; choose the folder of the CT slices.")
    if len(volumes) > 1:
        raise DicomSeriesError(f"The files belong to {len(volumes)} series; name one of them (seriesInstanceUid): {listing}.")
    return next(iter(volumes.values()))


def _position(item: tuple[pathlib.Path, FileDataset]) -> FloatArray:
    return np.array([float(value) for value in item[1].ImagePositionPatient])


def _orientation(headers: list[tuple[pathlib.Path, FileDataset]]) -> tuple[FloatArray, FloatArray]:
    reference = np.array([float(value) for value in headers[0][1].ImageOrientationPatient])
    first = headers[0][1]
    for path, header in headers:
        if np.abs(np.array([float(value) for value in header.ImageOrientationPatient]) - reference).max() > 1e-3:
            raise DicomSeriesError(f"The slices do not lie parallel: {path.name} is turned against {headers[0][0].name}.")
        if (header.Rows, header.Columns) != (first.Rows, first.Columns) or list(header.PixelSpacing) != list(first.PixelSpacing):
            raise DicomSeriesError(f"{path.name} has another size or pixel spacing than {headers[0][0].name}.")
    row, column = reference[:3], reference[3:]
    if abs(float(row @ column)) > 1e-3 or abs(np.linalg.norm(row) - 1) > 1e-3 or abs(np.linalg.norm(column) - 1) > 1e-3:
        raise DicomSeriesError(f"The image orientation {reference.tolist()} is not a pair of perpendicular unit vectors.")
    return row / np.linalg.norm(row), column / np.linalg.norm(column)


def _withoutRepeats(headers: list[tuple[pathlib.Path, FileDataset]], warnings: list[str]) -> list[tuple[pathlib.Path, FileDataset]]:
    seen: dict[str, pathlib.Path] = {}
    kept = []
    for path, header in headers:
        uid = instanceUid(header)
        if uid and uid in seen:
            warnings.append(f"{path.name} repeats {seen[uid].name} and was left out")
            continue
        seen[uid] = path
        kept.append((path, header))
    return kept


def _sliceSpacing(along: FloatArray, headers: list[tuple[pathlib.Path, FileDataset]], warnings: list[str]) -> float:
    if len(headers) == 1:
        thickness = float(headers[0][1].get("SliceThickness") or 1.0)
        warnings.append(f"The series has one slice only; its thickness of {thickness:g} mm is taken as spacing")
        return thickness
    steps = np.diff(along)
    doubled = np.nonzero(steps < POSITION_TOLERANCE_MM)[0]
    if doubled.size:
        pair = headers[doubled[0]][0].name, headers[doubled[0] + 1][0].name
        raise DicomSeriesError(
            f"{doubled.size} slice positions occur more than once, first in {pair[0]} and {pair[1]}: several acquisitions or "
            "reconstructions share this series. Give the files of one of them."
        )
    spacing = float(np.median(steps))
    deviation = np.abs(steps - spacing) / spacing
    gaps = np.nonzero(deviation > 0.10)[0]
    if gaps.size:
        ratio = steps[gaps] / spacing
        first = gaps[0]
        where = f"between {headers[first][0].name} and {headers[first + 1][0].name} ({steps[first]:.2f} mm apart instead of {spacing:.2f})"
        if np.abs(ratio - np.rint(ratio)).max() < 0.1 and len(gaps) < 0.3 * len(steps):
            missing = int((np.rint(ratio) - 1).sum())
            raise DicomSeriesError(f"{missing} slices are missing, first {where}. Copy the series again.")
        raise DicomSeriesError(f"The slices are not evenly spaced, first {where}. Reconstruct the scan with even spacing.")
    if deviation.max() > SPACING_TOLERANCE:
        warnings.append(f"Slice distances vary by up to {100 * deviation.max():.1f} %; their mean is used")
    return float((along[-1] - along[0]) / (len(along) - 1))


def _voxels(headers: list[tuple[pathlib.Path, FileDataset]]) -> npt.NDArray[Any]:
    rows, columns = int(headers[0][1].Rows), int(headers[0][1].Columns)
    slopes = {float(h.get("RescaleSlope") or 1.0) for _, h in headers}
    intercepts = [float(h.get("RescaleIntercept") or 0.0) for _, h in headers]
    whole = slopes == {1.0} and all(value.is_integer() for value in intercepts)
    voxels = np.empty((len(headers), rows, columns), np.int32 if whole else np.float32)
    for k, (path, header) in enumerate(headers):
        pixels = readPixels(path, header)
        if pixels.shape != (rows, columns):
            raise DicomSeriesError(f"{path.name} holds pixels of shape {pixels.shape}; a single slice of {rows} x {columns} is needed.")
        voxels[k] = pixels
        if whole:
            voxels[k] += int(intercepts[k])
        else:
            voxels[k] = voxels[k] * np.float32(header.get("RescaleSlope") or 1.0) + np.float32(intercepts[k])
    if whole and voxels.min() >= -32768 and voxels.max() <= 32767:
        return voxels.astype(np.int16)
    return voxels.astype(np.float32)


def _rectified(voxels: npt.NDArray[Any], shiftPixels: FloatArray) -> npt.NDArray[Any]:
    """Every slice shifted in its plane (columns, rows) by its position, linear interpolation, air outside."""
    from scipy.ndimage import shift as shiftImage

    outside = float(voxels.min())
    slices = [
        shiftImage(plane.astype(np.float32), (shiftPixels[k, 1], shiftPixels[k, 0]), order=1, cval=outside)
        for k, plane in enumerate(voxels)
    ]
    return np.rint(np.stack(slices)).astype(voxels.dtype)


def loadDicomVolume(
    scene: Any,
    folderOrFiles: str | pathlib.Path | Iterable[str | pathlib.Path],
    seriesInstanceUid: str | None = None,
    *,
    name: str | None = None,
) -> Any:
    """Read a CT series and add it to the scene as ``vtkMRMLScalarVolumeNode`` with its exact IJK-to-RAS matrix.

    The node carries what Slicer's own DICOM import leaves: ``DICOM.instanceUIDs`` and Hounsfield units, and beyond it
    ``DICOM.PatientPosition``, ``DICOM.SeriesInstanceUID`` and ``DICOM.FrameOfReferenceUID``.

    :returns: the node; what the reader remarked is in its attribute ``DICOM.Warnings``, one remark a line.
    :raises DicomSeriesError: see :func:`readDicomSeries`.
    """
    return addDicomVolume(scene, readDicomSeries(folderOrFiles, seriesInstanceUid), name=name)


def addDicomVolume(scene: Any, series: DicomSeries, *, name: str | None = None) -> Any:
    """Add a series that was read already to the scene; returns the volume node."""
    import slicer
    import vtk

    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name or series.description or "CT")
    slicer.util.updateVolumeFromArray(node, series.voxels)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(series.ijkToRas.ravel().tolist())
    node.SetIJKToRASMatrix(matrix)
    node.SetAttribute("DICOM.instanceUIDs", " ".join(series.instanceUids))
    node.SetAttribute("DICOM.PatientPosition", series.patientPosition)
    node.SetAttribute("DICOM.SeriesInstanceUID", series.seriesInstanceUid)
    node.SetAttribute("DICOM.FrameOfReferenceUID", series.frameOfReferenceUid)
    if series.warnings:
        node.SetAttribute("DICOM.Warnings", "\n".join(series.warnings))
    quantity, units = slicer.vtkCodedEntry(), slicer.vtkCodedEntry()
    quantity.SetValueSchemeMeaning("112031", "DCM", "Attenuation Coefficient")
    units.SetValueSchemeMeaning("[hnsf'U]", "UCUM", "Hounsfield unit")
    node.SetVoxelValueQuantity(quantity)
    node.SetVoxelValueUnits(units)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevelMinMax(-150.0, 500.0)
    return node
