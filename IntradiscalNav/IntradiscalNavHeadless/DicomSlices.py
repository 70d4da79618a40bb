"""Single DICOM slices: finding them among files, their pixels and their times."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


class DicomSeriesError(ValueError):
    """The files can't be read as one CT volume; the message says why and what to do."""


@dataclass
class DicomScan:
    """What a look at some files found: image headers, files that are no DICOM images, damaged ones with the reason."""

    headers: list[tuple[pathlib.Path, FileDataset]] = field(default_factory=list)
    foreign: list[pathlib.Path] = field(default_factory=list)
    broken: list[tuple[pathlib.Path, str]] = field(default_factory=list)


def scanFiles(folderOrFiles: str | pathlib.Path | Iterable[str | pathlib.Path]) -> DicomScan:
    """Headers of all images among the files or in a folder with its sub-folders.

    :raises DicomSeriesError: when there is no folder or no image.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    if isinstance(folderOrFiles, (str, pathlib.Path)):
        root = pathlib.Path(folderOrFiles)
        if not root.exists():
            raise DicomSeriesError(f"There is no folder or file {root}.")
        files = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    else:
        files = [pathlib.Path(path) for path in folderOrFiles]
    result = DicomScan()
    for path in files:
        if path.name.upper() == "DICOMDIR":
            continue
        try:
            with open(path, "rb") as stream:
                header = pydicom.dcmread(stream, stop_before_pixels=True)
                pixelBytes = path.stat().st_size - stream.tell()
        except InvalidDicomError:
            result.foreign.append(path)
            continue
        except Exception as error:  # noqa: BLE001 - pydicom raises anything on a damaged file, and one file must not stop the rest
            result.broken.append((path, f"it can't be read ({error})"))
            continue
        if "Rows" not in header or "SeriesInstanceUID" not in header:
            result.foreign.append(path)
        elif missing := [name for name in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing") if not header.get(name)]:
            result.broken.append((path, f"it has no {missing[0]}"))
        elif reason := _whyTruncated(pixelBytes, header):
            result.broken.append((path, reason))
        else:
            result.headers.append((path, header))
    if not result.headers:
        reasons = "; ".join(f"{path.name}: {reason}" for path, reason in result.broken[:3])
        raise DicomSeriesError(
            f"No DICOM image was found among {len(files)} files" + (f" ({reasons})." if reasons else ". Choose the folder of the CT.")
        )
    return result


def _whyTruncated(pixelBytes: int, header: FileDataset) -> str:
    """Uncompressed pixels have a known size: a shorter file was cut."""
    if header.file_meta.TransferSyntaxUID.is_compressed:
        return ""
    frames = int(header.get("NumberOfFrames") or 1)
    wanted = int(header.Rows) * int(header.Columns) * int(header.get("SamplesPerPixel", 1)) * int(header.BitsAllocated) // 8 * frames
    return f"it is truncated (its pixels need {wanted} bytes, {pixelBytes} are left)" if pixelBytes < wanted + 8 else ""


def groupBySeries(scan: DicomScan) -> dict[str, list[tuple[pathlib.Path, FileDataset]]]:
    """Headers by series; localizers apart, with ``|localizer`` at the end of the key."""
    groups: dict[str, list[tuple[pathlib.Path, FileDataset]]] = {}
    for path, header in scan.headers:
        # localizers are often stored within the series they belong to
        key = str(header.SeriesInstanceUID) + ("|localizer" if isLocalizer(header) else "")
        groups.setdefault(key, []).append((path, header))
    return groups


def instanceUid(header: FileDataset) -> str:
    """SOP instance UID of an image; from the file's meta header where de-identification has blanked it in the data set."""
    return str(header.get("SOPInstanceUID") or header.file_meta.get("MediaStorageSOPInstanceUID") or "")


def isLocalizer(header: FileDataset) -> bool:
    """Whether an image is a localizer radiograph (Image Type, value 3)."""
    return "LOCALIZER" in [str(value).upper() for value in header.get("ImageType") or []]


def readPixels(path: pathlib.Path, header: FileDataset) -> npt.NDArray[Any]:
    """Stored values of one slice: by pydicom and its decoders, else by the GDCM inside SimpleITK (which rescales: undone here)."""
    import pydicom

    try:
        return np.asarray(pydicom.dcmread(path).pixel_array)
    except Exception as error:
        if not header.file_meta.TransferSyntaxUID.is_compressed:
            raise DicomSeriesError(f"The pixels of {path.name} can't be read: {error}") from error
        reason = str(error).splitlines()[0]
    try:
        import SimpleITK

        image = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))[0]
    except Exception as error:
        raise DicomSeriesError(
            f"{path.name} is compressed as {header.file_meta.TransferSyntaxUID.name}, which no installed decoder reads ({reason}). Install "
            "pylibjpeg with pylibjpeg-openjpeg and pylibjpeg-libjpeg (pip), or python3-gdcm (apt), or store the series uncompressed."
        ) from error
    slope, intercept = float(header.get("RescaleSlope") or 1.0), float(header.get("RescaleIntercept") or 0.0)
    return np.rint((image - intercept) / slope).astype(np.int32)


def _parseTime(date: Any, time: Any) -> datetime.datetime | None:
    text = f"{date or ''}{time or ''}".split("+")[0].split("&")[0]
    for pattern in ("%Y%m%d%H%M%S.%f", "%Y%m%d%H%M%S", "%Y%m%d%H%M"):
        try:
            return datetime.datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None


def acquisitionTime(header: FileDataset) -> datetime.datetime | None:
    """Acquisition date and time of an image, ``None`` where it has none."""
    return _parseTime(header.get("AcquisitionDateTime"), "") or _parseTime(header.get("AcquisitionDate"), header.get("AcquisitionTime"))


def contentTime(header: FileDataset) -> datetime.datetime | None:
    """Content date and time of an image, ``None`` where it has none."""
    return _parseTime(header.get("ContentDate"), header.get("ContentTime"))
