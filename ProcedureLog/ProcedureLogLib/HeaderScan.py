"""Read the headers of many DICOM files, with progress and workers; a damaged file is named and skipped."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from TranslatedText.Translation import tr as _

from .DicomHeader import DamagedDicom, DicomHeader, readHeader
from .EnhancedCt import isEnhanced, withFunctionalGroups

CHUNK = 250
PROCESS_FILES = 20000
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SkippedFile:
    path: str
    reason: str


@dataclass(frozen=True)
class HeaderScan:
    """headers in the order of the paths; skipped names every file that gave none. foreignCount: files that aren't DICOM at all."""

    headers: tuple[DicomHeader, ...]
    skipped: tuple[SkippedFile, ...]

    @property
    def fileCount(self) -> int:
        return len(self.headers) + len(self.skipped)


def filesUnder(place: str | Path | Iterable[str | Path]) -> list[str]:
    """Files of a folder and its subfolders (sorted), of one file, or of a list of both. DICOMDIR files are left out.

    Raises FileNotFoundError for a place that doesn't exist.
    """
    places = [place] if isinstance(place, (str, Path)) else list(place)
    found: list[str] = []
    for entry in places:
        name = os.fspath(entry)
        if os.path.isdir(name):
            for folder, folders, files in os.walk(name):
                folders.sort()
                found += [os.path.join(folder, file) for file in sorted(files) if file.upper() != "DICOMDIR"]
        elif os.path.exists(name):
            found.append(name)
        else:
            raise FileNotFoundError(_("{name} does not exist").format(name=name))
    return found


def readMany(paths: Sequence[str]) -> list[DicomHeader | SkippedFile]:
    """Headers of some files; what can't be read becomes a SkippedFile."""
    results: list[DicomHeader | SkippedFile] = []
    for path in paths:
        try:
            header = readHeader(path)
            results.append(withFunctionalGroups(header) if isEnhanced(header) else header)
        except (DamagedDicom, OSError) as error:
            results.append(SkippedFile(path, str(error).removeprefix(f"{path}: ")))
    return results


def scanHeaders(place: str | Path | Iterable[str | Path], workers: int = 1, progress: Progress | None = None) -> HeaderScan:
    """Scan a folder, a file or a list of them. workers: processes for many files where this program is Python itself, else threads.

    progress is called with (files done, files in all) after each chunk. The result doesn't depend on the number of workers.
    """
    paths = filesUnder(place)
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    results: list[DicomHeader | SkippedFile] = []

    def take(part: list[DicomHeader | SkippedFile]) -> None:
        results.extend(part)
        if progress is not None:
            progress(len(results), len(paths))

    if workers <= 1 or len(chunks) < 2:
        for chunk in chunks:
            take(readMany(chunk))
    else:
        with _executor(min(workers, len(chunks)), len(paths)) as executor:
            for part in executor.map(readMany, chunks):
                take(part)
    headers = tuple(result for result in results if isinstance(result, DicomHeader))
    return HeaderScan(headers, tuple(result for result in results if isinstance(result, SkippedFile)))


def _executor(workers: int, fileCount: int) -> Executor:
    """Threads wait for slow disks at no cost; processes share the parsing but take as long to start as thousands of files."""
    if fileCount < PROCESS_FILES or "python" not in os.path.basename(sys.executable or "").lower():
        return ThreadPoolExecutor(workers)
    method = "forkserver" if sys.platform.startswith("linux") else "spawn"
    return ProcessPoolExecutor(workers, mp_context=get_context(method))
