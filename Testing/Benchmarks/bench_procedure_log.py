"""Procedure log: header scan beside pydicom, durable events beside plain SQLite, cohort table and registry at three sizes.

The peer of the header scan is a pydicom loop that stops before pixels and reads only the needed tags, with the same number of workers (as
processes, its best); both must give the same answer. Ours shares few files among threads and many
among processes. Figures are medians of interleaved runs on warm files.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from ProcedureLogLib.CaseRegistry import CaseRegistry
from ProcedureLogLib.Cohort import buildCohortTable
from ProcedureLogLib.CtPasses import countFrom
from ProcedureLogLib.DicomHeader import DOUBLE_TAGS, TEXT_TAGS, headerValuesFrom
from ProcedureLogLib.HeaderScan import CHUNK, scanHeaders
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureStore import ProcedureStore
from ProcedureLogLib.ProcedureSummary import ALL_COLUMNS

WANTED = sorted([*TEXT_TAGS, *DOUBLE_TAGS])


def writeFiles(folder: Path, count: int) -> list[str]:
    """CT slices with a header as long as scanners write them (private blocks, sequences), 100 acquisitions, 64 x 64 pixels."""
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"]
    dataset.Modality = "CT"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Bench^Mark", "B-1", "19600101"
    dataset.StudyInstanceUID, dataset.StudyDate, dataset.StudyTime = generate_uid(), "20260504", "080000"
    dataset.AcquisitionDate = dataset.ContentDate = "20260504"
    dataset.Manufacturer, dataset.InstitutionName, dataset.StationName = "MAKER", "Hospital", "CT1"
    dataset.ProtocolName, dataset.SeriesDescription, dataset.ScanOptions = "LSPINE", "LSPINE 2.0", "HELIX"
    dataset.KVP, dataset.SliceThickness, dataset.CTDIvol, dataset.SpiralPitchFactor = 120, 2, 9.5, 0.9
    dataset.ConvolutionKernel, dataset.PatientPosition, dataset.BodyPartExamined = "Br40", "FFP", "LSPINE"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113691", "DCM", "IEC Body Dosimetry Phantom"
    dataset.CTDIPhantomTypeCodeSequence = [code]
    dataset.RequestAttributesSequence = [code, code]
    block = dataset.private_block(0x0019, "MAKER HEADER", create=True)
    for element in range(1, 25):
        block.add_new(element, "LO", f"private value {element}")
    dataset.Rows = dataset.Columns = 64
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 1, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelSpacing, dataset.ImageOrientationPatient = [0.7, 0.7], [1, 0, 0, 0, 1, 0]
    dataset.PixelData = bytes(64 * 64 * 2)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    perScan = max(1, count // 100)
    paths = []
    for index in range(count):
        scan, place = divmod(index, perScan)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.999.5.{index + 1}"
        dataset.SeriesInstanceUID = f"1.2.999.6.{scan + 1}"
        dataset.AcquisitionNumber, dataset.InstanceNumber = scan + 1, place + 1
        dataset.AcquisitionTime = dataset.ContentTime = f"{8 + scan // 60:02d}{scan % 60:02d}{place % 10:02d}.{place:06d}"[:13]
        dataset.ImagePositionPatient = [-120.5, -300.25, -2.0 * place]
        path = folder / f"{index:06d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(str(path))
    return paths


def peerMany(paths: list[str]) -> list[dict[str, str | float]]:
    """The pydicom loop: stop before pixels, needed tags only."""
    found = []
    for path in paths:
        found.append(headerValuesFrom(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=WANTED)))
    return found


def peerScan(paths: list[str], workers: int) -> list[dict[str, str | float]]:
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    if workers == 1:
        return [values for chunk in chunks for values in peerMany(chunk)]
    with ProcessPoolExecutor(workers, mp_context=get_context("forkserver")) as executor:
        return [values for part in executor.map(peerMany, chunks) for values in part]


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def benchHeaders(count: int, workers: int, repeats: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        paths = writeFiles(Path(name), count)
        scanHeaders(paths)  # files into the page cache
        figures: dict[str, float] = {"files": count}
        for used in sorted({1, workers}):
            ours, peer = [], []
            for _ in range(repeats):
                seconds, scan = timed(partial(scanHeaders, name, used))
                ours.append(seconds)
                seconds, values = timed(partial(peerScan, paths, used))
                peer.append(seconds)
            assert [header.values for header in scan.headers] == values, "the two readers disagree"
            mine, other = statistics.median(ours), statistics.median(peer)
            print(f"header scan, {count} files, {used} worker(s): {mine:.2f} s, pydicom {other:.2f} s, {other / mine:.1f} times its speed")
            figures |= {f"scanSec{used}": mine, f"pydicomSec{used}": other, f"ratio{used}": other / mine}
        seconds, passes = timed(lambda: countFrom(scan.headers))
        assert passes.passCount == 100, passes.passCount
        print(f"passes counted from {count} headers: {seconds:.2f} s ({passes.passCount} passes)")
    return figures | {"countSec": seconds}


def benchEvents(count: int, repeats: int) -> dict[str, float]:
    """Durable events per second beside a plain SQLite table with the same settings (WAL, full sync, one transaction per row)."""

    def addAll(store: ProcedureStore) -> None:
        for number in range(count):
            store.addEvent(EventKind.REMARK, text="needle at 40 mm", values={"n": number})

    def insertAll(connection: sqlite3.Connection) -> None:
        for _ in range(count):
            connection.execute("INSERT INTO events (entry) VALUES (?)", ("x" * 350,))

    ours, peer = [], []
    with tempfile.TemporaryDirectory() as name:
        for repeat in range(repeats):
            with ProcedureStore(Path(name) / f"case{repeat}") as store:
                ours.append(count / timed(partial(addAll, store))[0])
            connection = sqlite3.connect(Path(name) / f"plain{repeat}.sqlite", isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, entry TEXT)")
            peer.append(count / timed(partial(insertAll, connection))[0])
            connection.close()
    mine, other = statistics.median(ours), statistics.median(peer)
    print(f"durable events: {mine:.0f}/s with history, checksums and second copy; plain SQLite {other:.0f}/s ({mine / other:.2f} of it)")
    return {"eventsPerSec": mine, "plainSqlitePerSec": other}


def cohortRows(count: int) -> list[dict[str, Any]]:
    generator = np.random.default_rng(7)
    rows = []
    for index in range(count):
        control = index % 2
        rows.append(
            {
                "caseId": f"{index:07d}",
                "pseudonym": f"P{index:07d}",
                "day": f"20{10 + index * 14 // count:02d}-{1 + index % 12:02d}-{1 + index % 28:02d}",
                "group": "control" if control else "fusion",
                "operator": f"operator {index % 7}",
                "level": ("L3-L4", "L4-L5", "L5-S1")[int(generator.integers(3))],
                "sex": ("female", "male")[int(generator.integers(2))],
                "ageYears": float(generator.integers(25, 90)),
                "ctPasses": float(2 + generator.poisson(control)),
                "roomMin": round(float(generator.normal(30 + 16 * control, 7)), 1),
                "operativeInjectionMin": round(float(generator.normal(14 + 10 * control, 4)), 1),
                "dlpMGyCm": round(float(generator.gamma(4, 90)), 1),
                "technicalSuccess": "yes" if generator.random() < 0.97 else "no",
                "technicalEfficacy": "yes" if generator.random() < 0.95 else "no",
                "complication": "yes" if generator.random() < 0.02 else "no",
            }
        )
    return rows


def benchCohort(sizes: list[int]) -> dict[str, float]:
    figures: dict[str, float] = {}
    for size in sizes:
        rows = cohortRows(size)
        with tempfile.TemporaryDirectory() as name, CaseRegistry(Path(name) / "registry.sqlite") as registry:
            fill, _ = timed(partial(registry.addSummaries, rows))
            filters = {"group": "fusion", "level": ["L4-L5", "L5-S1"], "roomMin": (20, 40)}
            page, _ = timed(partial(registry.rows, filters, orderBy="roomMin", limit=50))
            read, columns = timed(partial(registry.columns, ALL_COLUMNS))
            made, table = timed(partial(buildCohortTable, columns))
        shown = f"fill {fill:.2f} s, filtered page {page * 1000:.1f} ms, read {read:.2f} s, Table 1 {made:.2f} s"
        print(f"cohort of {size}: {shown} ({len(table.rows)} rows)")
        figures |= {f"fillSec{size}": fill, f"pageSec{size}": page, f"readSec{size}": read, f"tableSec{size}": made}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--events", type=int, default=500)
    parser.add_argument("--cohorts", type=int, nargs="+", default=[10, 1000, 100000])
    options = parser.parse_args()
    figures = benchHeaders(options.files, options.workers, options.repeats)
    figures |= benchEvents(options.events, options.repeats)
    figures |= benchCohort(options.cohorts)
    print(json.dumps({"benchmark": "procedure_log", **{name: round(value, 4) for name, value in figures.items()}}))


if __name__ == "__main__":
    main()
