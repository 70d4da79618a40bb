"""Step 1: the simulated patient is scanned prone, and the CT comes in by DICOM as any user's would."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.DicomSeries import DicomSeries, addDicomVolume, listDicomSeries, readDicomSeries
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, writeDicomSeries, writeLocalizer

SEGMENTED = ("vertebra", "sacrum", "hip", "kidney", "aorta", "vena", "artery", "colon", "bowel", "autochthon", "iliopsoas", "skin")
"""Structures that a segmentation program finds in a CT. Roots, dura and discs are left out: planning has to model them."""


@dataclass(frozen=True, eq=False)
class ImportedCt:
    """The planning CT in the scene, and the segmentation on its grid."""

    series: DicomSeries
    node: Any
    dicomFolder: pathlib.Path
    labels: npt.NDArray[np.uint8]
    labelNames: dict[int, str]


def scanAndImport(run: DemoRun) -> ImportedCt:
    """Write localizer and planning CT as DICOM, read the CT back and put it into the scene."""
    folder = run.folder / "dicom"
    writeLocalizer(run.phantom, folder / "localizer")
    writeDicomSeries(run.phantom, folder / "planning", scan=CtScan())
    found = listDicomSeries(folder)
    volumes = [entry for entry in found if not entry.isLocalizer]
    series = readDicomSeries(folder, volumes[0].seriesInstanceUid)
    node = addDicomVolume(run.scene, series, name="PlanningCt")
    slices, rows, columns = series.voxels.shape
    run.say(
        f"{len(found)} series; CT of {slices} slices {columns}x{rows}, patient position {series.patientPosition}, "
        f"slices of {series.sliceThicknessMm:g} mm, sorted by position"
    )
    run.remarks += list(series.warnings)
    labels, names = _segmentation(run, series)
    return ImportedCt(series, node, folder, labels, names)


def _segmentation(run: DemoRun, series: DicomSeries) -> tuple[npt.NDArray[np.uint8], dict[int, str]]:
    """The phantom's labels brought to the imported grid by its own matrix: what a segmentation program would deliver."""
    phantom = run.phantom
    names = {value: name for value, name in phantom.labelNames.items() if name.startswith(SEGMENTED)}
    k, j, i = np.indices(series.voxels.shape, dtype=np.float32)
    toPhantom = np.linalg.inv(phantom.ijkToRas) @ series.ijkToRas
    index = [toPhantom[axis, 0] * i + toPhantom[axis, 1] * j + toPhantom[axis, 2] * k + toPhantom[axis, 3] for axis in range(3)]
    rounded = [np.clip(np.rint(values), 0, size - 1).astype(np.intp) for values, size in zip(index, phantom.labels.shape[::-1])]
    labels = phantom.labels[rounded[2], rounded[1], rounded[0]]
    return np.where(np.isin(labels, list(names)), labels, 0).astype(np.uint8), names
