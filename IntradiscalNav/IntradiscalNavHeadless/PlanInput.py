"""CT and segmentation from files, for planning without a scene: NIfTI, NRRD, MetaImage or a DICOM folder; segment names where the file
has them."""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.HuAnatomy import anatomyFromHu
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy, anatomyFromLabels

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CtVolume:
    """Hounsfield units (k, j, i) with ``ijkToRas``, the DICOM patient position where known, and what reading it had to say."""

    voxels: npt.NDArray
    ijkToRas: FloatArray
    patientPosition: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SegmentationVolume:
    """Labels (k, j, i) with ``ijkToRas``; names and terminology per label value, names None where the file has none."""

    labels: npt.NDArray
    ijkToRas: FloatArray
    names: Mapping[int, str] | None
    terminology: Mapping[int, str]


@dataclass(frozen=True)
class PlanCase:
    """One patient to plan: files, target, and clicks where there is no segmentation."""

    name: str
    ct: pathlib.Path
    segmentation: pathlib.Path | None = None
    level: str = "L4-L5"
    side: str = "left"
    names: pathlib.Path | None = None
    upperEndplateRas: tuple[float, float, float] | None = None
    lowerEndplateRas: tuple[float, float, float] | None = None


def _readImage(path: pathlib.Path, what: str) -> tuple[npt.NDArray, FloatArray, dict[str, str]]:
    import SimpleITK

    if not path.exists():
        raise ValueError(f"The {what} {path} does not exist.")
    try:
        image = SimpleITK.ReadImage(str(path))
    except RuntimeError as error:
        raise ValueError(
            f"The {what} {path.name} cannot be read as an image: NIfTI, NRRD, MetaImage or a DICOM folder is needed."
        ) from error
    if image.GetDimension() != 3:
        raise ValueError(f"The {what} {path.name} has {image.GetDimension()} dimensions instead of 3.")
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    metadata = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    return SimpleITK.GetArrayFromImage(image), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, metadata


def readCt(path: pathlib.Path) -> CtVolume:
    """A CT from an image file or a DICOM folder (a tilted gantry is rectified).

    :raises ValueError: naming the file and what is wrong with it.
    """
    if path.is_dir():
        from IntradiscalNavHeadless.DicomSeries import readDicomSeries

        series = readDicomSeries(path, rectifyTilt=True)
        return CtVolume(series.voxels, series.ijkToRas, series.patientPosition, tuple(series.warnings))
    voxels, ijkToRas, _ = _readImage(path, "CT")
    if voxels.ndim != 3:
        raise ValueError(f"The CT {path.name} is not a grey-value volume.")
    if voxels.max() <= 300 and voxels.min() >= -50:
        raise ValueError(
            f"The CT {path.name} ranges from {voxels.min()} to {voxels.max()}: these are no Hounsfield units (a segmentation or a window?)."
        )
    return CtVolume(voxels, ijkToRas)


def readSegmentation(path: pathlib.Path, names: pathlib.Path | None = None) -> SegmentationVolume:
    """A label map, or a Slicer segmentation (.seg.nrrd, layers included).

    :param names: JSON file of an object {label value: name}; wins over names in the file.
    :raises ValueError: naming the file and what is wrong with it.
    """
    voxels, ijkToRas, metadata = _readImage(path, "segmentation")
    found: dict[int, str] = {}
    terminology: dict[int, str] = {}
    segments = sorted({int(m.group(1)) for key in metadata if (m := re.match(r"Segment(\d+)_", key))})
    layered = voxels.ndim == 4
    labels = np.zeros(voxels.shape[:3], np.uint16) if layered else voxels
    for n in segments:
        value = int(metadata.get(f"Segment{n}_LabelValue", n + 1))
        if layered:
            layer = int(metadata.get(f"Segment{n}_Layer", 0))
            labels[voxels[..., layer] == value] = n + 1
            value = n + 1
        found[value] = metadata.get(f"Segment{n}_Name", "")
        tags = metadata.get(f"Segment{n}_Tags", "")
        entry = re.search(r"TerminologyEntry:([^|]*)", tags)
        if entry:
            terminology[value] = entry.group(1)
    if not np.issubdtype(labels.dtype, np.integer):
        rounded = np.rint(labels)
        if not np.array_equal(rounded, labels):
            raise ValueError(f"The segmentation {path.name} holds fractions, not labels.")
        labels = rounded.astype(np.int32)
    if names is not None:
        try:
            given = json.loads(names.read_text(encoding="utf-8"))
            return SegmentationVolume(labels, ijkToRas, {int(k): str(v) for k, v in given.items()}, terminology)
        except (OSError, ValueError, AttributeError) as error:
            raise ValueError(f'The names file {names} must be JSON as {{"27": "vertebrae_L5"}} ({error}).') from error
    return SegmentationVolume(labels, ijkToRas, found or None, terminology)


def loadAnatomy(case: PlanCase) -> tuple[SpineAnatomy, CtVolume]:
    """Anatomy of a case from its files.

    :raises ValueError: naming what is missing or wrong.
    """
    ct = readCt(case.ct)
    if case.segmentation is not None:
        segmentation = readSegmentation(case.segmentation, case.names)
        sameGrid = segmentation.labels.shape == ct.voxels.shape and np.allclose(segmentation.ijkToRas, ct.ijkToRas, atol=1e-3)
        anatomy = anatomyFromLabels(
            segmentation.labels,
            segmentation.ijkToRas,
            segmentation.names,
            terminology=segmentation.terminology,
            ctHu=ct.voxels,
            ctIjkToRas=None if sameGrid else ct.ijkToRas,
            patientPosition=ct.patientPosition,
        )
        return anatomy, ct
    if case.upperEndplateRas is None or case.lowerEndplateRas is None:
        raise ValueError(
            "Without a segmentation the disc must be shown: give --upper-endplate R,A,S and --lower-endplate R,A,S (mm), or --segmentation."
        )
    anatomy = anatomyFromHu(
        ct.voxels, ct.ijkToRas, case.upperEndplateRas, case.lowerEndplateRas, case.level, patientPosition=ct.patientPosition
    )
    return anatomy, ct


def parsePoint(text: str, what: str) -> tuple[float, float, float]:
    """ "R,A,S" as three numbers.

    :raises ValueError: for anything else.
    """
    try:
        r, a, s = (float(part) for part in text.replace(";", ",").split(","))
    except ValueError as error:
        raise ValueError(f"The {what} must be three numbers as R,A,S (mm), not '{text}'.") from error
    return r, a, s
