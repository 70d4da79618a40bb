"""Step 1: the simulated patient is scanned prone, and the CT comes in by DICOM as any user's would."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavHeadless.Demo.CaseLog import scannerNow
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.DicomSeries import DicomSeries, addDicomVolume, listDicomSeries, readDicomSeries
from IntradiscalNavLib.Recording.TissueModel import TISSUE_ATTRIBUTE
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, writeDicomSeries, writeLocalizer
from IntradiscalNavLib.Views.LabelSurface import addSurfaceModel, maskSurface

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
    scan = CtScan(start=scannerNow())
    writeLocalizer(run.phantom, folder / "localizer", scan=scan)
    writeDicomSeries(run.phantom, folder / "planning", scan=scan)
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
    addSkinModel(run, series)
    return ImportedCt(series, node, folder, labels, names)


def addSkinModel(run: DemoRun, series: DicomSeries) -> Any:
    """Closed surface of the body, hidden in the views: the tissue of the motion metrics."""
    from scipy.ndimage import binary_fill_holes, binary_opening, label

    coarse = series.voxels[::2, ::3, ::3] > -400
    # The marker plate and the table touch the skin over thin bridges only.
    regions, count = label(binary_opening(coarse, iterations=2))
    body = regions == 1 + int(np.argmax(np.bincount(regions.ravel(), minlength=count + 1)[1:]))
    body = np.stack([binary_fill_holes(plane) for plane in body])
    model = addSurfaceModel(run.scene, "Skin", maskSurface(body, series.ijkToRas @ np.diag([3.0, 3.0, 2.0, 1.0])), (0.9, 0.75, 0.65))
    model.SetAttribute(TISSUE_ATTRIBUTE, "skin")
    model.GetDisplayNode().SetVisibility(False)
    return model


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
