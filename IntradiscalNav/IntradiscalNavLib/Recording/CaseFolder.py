"""A case on disk: the recording, the scene and its automatic copies. Nothing is ever replaced by something half written."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass

from IntradiscalNavLib.Recording.RecordFormat import MANIFEST_NAME
from TranslatedText.Translation import tr as _

AUTOSAVE_INTERVAL_SEC = 60.0
KEPT_AUTOSAVES = 2
MARKER_NAME = "case.json"
"""Says what the folder is."""
LEFTOVER_SEC = 24 * 3600.0

SaveScene = Callable[[pathlib.Path], None]
"""Writes the scene to a path and raises OSError where it can't."""


@dataclass(frozen=True)
class AutosaveResult:
    """``path`` of the copy just written, or None with the reason why there is none."""

    path: pathlib.Path | None
    problem: str = ""


class CaseFolder:
    """Folder of one procedure.

    ``recording/`` raw recording(s), ``scene.mrb`` the saved scene, ``autosave/`` the newest copies, ``case.json`` what the folder is.

    :raises OSError: when the folder can't be made or written.
    """

    def __init__(self, folder: pathlib.Path | str) -> None:
        self.folder = pathlib.Path(folder)
        self.autosaveFolder = self.folder / "autosave"
        self.autosaveFolder.mkdir(parents=True, exist_ok=True)
        self._removeLeftovers()
        self._lastAutosaveSec = float("-inf")
        self._lastSceneTime = -1
        marker = self.folder / MARKER_NAME
        if not marker.exists():
            marker.write_text(json.dumps({"format": "IntradiscalNav case", "version": 1}) + "\n", encoding="utf-8")

    def _removeLeftovers(self) -> None:
        """What a program that was killed left half written; a day old, so that nobody writes it any more."""
        for folder in (self.folder, self.autosaveFolder):
            for path in folder.glob(".saving-*"):
                if time.time() - path.stat().st_mtime > LEFTOVER_SEC:
                    shutil.rmtree(path, ignore_errors=True)

    @property
    def scenePath(self) -> pathlib.Path:
        return self.folder / "scene.mrb"

    def newRecordingFolder(self) -> pathlib.Path:
        """A folder for a recording that does not exist yet; earlier recordings of the case are kept."""
        number = 1
        while (self.folder / f"recording-{number:02d}").exists():
            number += 1
        return self.folder / f"recording-{number:02d}"

    def recordingFolders(self) -> tuple[pathlib.Path, ...]:
        return tuple(sorted(path for path in self.folder.glob("recording-*") if path.is_dir()))

    def saveScene(self, save: SaveScene) -> pathlib.Path:
        """Save the scene whole beside the older one, then put it in its place."""
        replaceWhole(self.scenePath, save)
        return self.scenePath

    def autosave(self, save: SaveScene, sceneTime: int, nowSec: float | None = None, force: bool = False) -> AutosaveResult | None:
        """Write a copy when a minute has passed and the scene has changed (``scene.GetMTime()`` or the like); None when nothing was due.

        A failure never raises: guidance goes on, and the reason is shown.
        """
        now = time.monotonic() if nowSec is None else nowSec
        if not force and (now - self._lastAutosaveSec < AUTOSAVE_INTERVAL_SEC or sceneTime == self._lastSceneTime):
            return None
        self._lastAutosaveSec = now
        # Numbered, not only dated: the clock of the workstation may be set back.
        number = 1 + max((int(path.stem.split("-")[1]) for path in self.autosaves()), default=0)
        path = self.autosaveFolder / f"scene-{number:06d}-{time.strftime('%Y%m%d-%H%M%S')}.mrb"
        try:
            replaceWhole(path, save)
        except OSError as error:
            return AutosaveResult(
                None,
                _("The scene could not be saved automatically: {error} The last copy is {newestName}.").format(
                    error=error, newestName=self._newestName()
                ),
            )
        self._lastSceneTime = sceneTime
        for old in self.autosaves()[:-KEPT_AUTOSAVES]:
            old.unlink(missing_ok=True)
        return AutosaveResult(path)

    def autosaves(self) -> tuple[pathlib.Path, ...]:
        """Automatic copies, oldest first."""
        return tuple(sorted(self.autosaveFolder.glob("scene-*.mrb")))

    def scenes(self) -> tuple[pathlib.Path, ...]:
        """The saved scene and the automatic copies, newest first."""
        candidates = [*self.autosaves(), *([self.scenePath] if self.scenePath.exists() else [])]
        return tuple(sorted(candidates, key=lambda path: path.stat().st_mtime_ns, reverse=True))

    def newestScene(self) -> pathlib.Path | None:
        """The saved scene or a newer automatic copy: what to reopen after a crash."""
        return next(iter(self.scenes()), None)

    def _newestName(self) -> str:
        newest = self.newestScene()
        return "none" if newest is None else newest.name


def isCaseFolder(folder: pathlib.Path) -> bool:
    """Whether a folder is that of a case; nothing is made."""
    return (folder / MARKER_NAME).is_file()


def begunRecordings(folder: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """Folders of the recordings of a case that can be read (their manifest is written), oldest first; nothing is made."""
    return tuple(sorted(manifest.parent for manifest in folder.glob(f"recording-*/{MANIFEST_NAME}")))


def replaceWhole(path: pathlib.Path, save: SaveScene) -> None:
    """Write a file beside its place, whole and on the disk, then put it there; the older one stays until then.

    :raises OSError: when it could not be written.
    """
    beside = path.parent / f".saving-{os.getpid()}-{time.monotonic_ns()}"
    beside.mkdir()
    try:
        partial = beside / path.name
        save(partial)
        if not partial.is_file() or partial.stat().st_size == 0:
            raise OSError(_("{pathName} was not written: check the free space in {parent}.").format(pathName=path.name, parent=path.parent))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
