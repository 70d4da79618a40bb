"""Small copies of what is new in a procedure: registration, plan, calibrations and measures as one file of JSON in the case folder.

The scene with its CT takes seconds to write, and guidance must not wait for it; the recording is on the disk within half a second
anyway. What would be lost in a crash besides is only this, a few kilobytes.
"""

from __future__ import annotations

import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

from IntradiscalNavLib.Recording.CaseFolder import KEPT_AUTOSAVES, CaseFolder, replaceWhole
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument
from IntradiscalNavLib.Recording.SceneMigration import CURRENT_VERSION, migrateDocument
from TranslatedText.Translation import tr as _

FORMAT = "IntradiscalNav documents"
Contents = Mapping[DocumentRole, Mapping[str, Any]]


def encodeDocuments(documents: Contents) -> str:
    """The file's text.

    :raises ValueError: when a document holds what JSON can't carry.
    """
    content = {role.value: content for role, content in documents.items()}
    try:
        return json.dumps({"format": FORMAT, "version": CURRENT_VERSION, "documents": content}, ensure_ascii=False, allow_nan=True)
    except (TypeError, ValueError) as error:
        raise ValueError(_("The documents of the procedure can't be copied: {error}.").format(error=error)) from error


class DocumentCopies:
    """Copies in the ``autosave`` folder of a case; the newest few are kept."""

    def __init__(self, case: CaseFolder) -> None:
        self.case = case

    def paths(self) -> tuple[pathlib.Path, ...]:
        """Copies, oldest first."""
        return tuple(sorted(self.case.autosaveFolder.glob("documents-*.json")))

    def write(self, text: str) -> pathlib.Path:
        """Write the text of `encodeDocuments` as a new copy; older ones go only when it is whole.

        :raises OSError: when it can't be written; the older copies are kept.
        """
        # Numbered, not only dated: the clock of the workstation may be set back.
        number = 1 + max((int(path.stem.split("-")[1]) for path in self.paths()), default=0)
        path = self.case.autosaveFolder / f"documents-{number:06d}-{time.strftime('%Y%m%d-%H%M%S')}.json"
        replaceWhole(path, lambda partial: _write(partial, text))
        for old in self.paths()[:-KEPT_AUTOSAVES]:
            old.unlink(missing_ok=True)
        return path

    def newest(self, after: pathlib.Path | None = None) -> dict[DocumentRole, dict[str, Any]]:
        """Documents of the newest copy that can be read; empty where there is none, or it is older than the file ``after``."""
        for path in reversed(self.paths()):
            if after is not None and path.stat().st_mtime_ns <= after.stat().st_mtime_ns:
                return {}
            try:
                return _read(path)
            except (OSError, ValueError, KeyError, TypeError):
                continue  # damaged by the disk: the one before it is whole
        return {}


def restoreDocuments(scene: Any, documents: Contents) -> tuple[DocumentRole, ...]:
    """Put documents into a scene in place of its older ones; returns which."""
    for role, content in documents.items():
        storeDocument(scene, role, content)
    return tuple(documents)


def _read(path: pathlib.Path) -> dict[DocumentRole, dict[str, Any]]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["format"] != FORMAT:
        raise ValueError(_("{pathName} holds no documents.").format(pathName=path.name))
    version = int(content["version"])
    return {DocumentRole(role): migrateDocument(role, version, each) for role, each in content["documents"].items()}


def _write(path: pathlib.Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")
