"""Reviews one case: a scene bundle, a case folder with its recording, or a PLUS recording."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from IntradiscalNavHeadless.SceneHost import SceneHost, startHost
from IntradiscalNavHeadless.SceneReplay import findCtNode
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.ForeignRecording import ENDINGS, readForeignRecording
from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath
from IntradiscalNavLib.Recording.PerkTutorMetrics import TissueSurface
from IntradiscalNavLib.Recording.ProcedureReview import ProcedureReview, reviewProcedure
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure, takeApart
from IntradiscalNavLib.Recording.RecordFormat import JsonRecord, Record, RecordKind
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument
from IntradiscalNavLib.Recording.SequenceImport import readSequences, sequenceBrowsers
from IntradiscalNavLib.Recording.TissueModel import findTissueModel, surfaceInWorld

SCENE_ENDINGS = (".mrb", ".mrml")


def isReviewable(path: pathlib.Path) -> bool:
    """Whether a file or folder is something to review."""
    if path.is_dir():
        return (path / "case.json").is_file() or (path / "recording.json").is_file()
    return path.name.lower().endswith((*SCENE_ENDINGS, *ENDINGS))


def findCases(folder: pathlib.Path) -> list[pathlib.Path]:
    """Cases below a folder; what lies inside a case folder belongs to it and is not listed again."""
    if isReviewable(folder):
        return [folder]
    found: list[pathlib.Path] = []
    for child in sorted(folder.iterdir()):
        if isReviewable(child):
            found.append(child)
        elif child.is_dir() and not child.name.startswith("."):
            found += findCases(child)
    return found


def reviewCase(path: pathlib.Path) -> ProcedureReview:
    """Review one case; see `reviewWithRecording` for the errors."""
    return reviewWithRecording(path)[0]


def reviewWithRecording(path: pathlib.Path) -> tuple[ProcedureReview, RecordedProcedure]:
    """Review one case, and hand over the recording it was measured on.

    :raises ValueError: when it is nothing that can be reviewed, or is damaged, with the reason.
    """
    if not path.exists():
        raise ValueError(f"There is nothing at {path}.")
    if path.is_dir():
        return _reviewFolder(path)
    if path.name.lower().endswith(SCENE_ENDINGS):
        host = startHost()
        host.loadScene(path)
        return reviewScene(host, path.stem)
    if path.name.lower().endswith(ENDINGS):
        try:
            recorded = readForeignRecording(path)
        except ValueError as error:
            recorded = _slicerSequence(path, error)
        return reviewProcedure(path.name, recorded), recorded
    raise ValueError(f"{path} can't be reviewed: give a scene (.mrb, .mrml), a case folder, or a PLUS recording ({', '.join(ENDINGS)}).")


def _slicerSequence(path: pathlib.Path, notPlus: ValueError) -> RecordedProcedure:
    """A sequence file that Slicer saved (one stream, no fields of PLUS).

    :raises ValueError: ``notPlus``, when it is none either.
    """
    if ".seq." not in path.name.lower():
        raise notPlus
    host = startHost()
    host.clear()
    sequence = host.moduleLogics["sequences"].AddSequence(str(path))
    if sequence is None or not sequence.GetNumberOfDataNodes():
        raise notPlus
    browser = host.scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", path.name)
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    return takeApart(readSequences(browser))


def _reviewFolder(folder: pathlib.Path) -> tuple[ProcedureReview, RecordedProcedure]:
    """A case folder: the raw recording leads (full time stamps); what it lacks comes from the newest whole scene."""
    case = CaseFolder(folder) if (folder / "case.json").is_file() else None
    recordings = [folder] if (folder / "recording.json").is_file() else list(case.recordingFolders() if case else ())
    scene = case.newestScene() if case else None
    documents: dict[DocumentRole, dict[str, Any] | None] = {}
    tissue: TissueSurface | None = None
    if scene is not None:
        host = startHost()
        host.loadScene(scene)
        documents = _documents(host)
        tissue = _tissue(host)
        if not recordings:
            return reviewScene(host, folder.name)
    if not recordings:
        raise ValueError(f"The case folder {folder} holds neither a recording nor a scene.")
    reader = RecordingReader(recordings[-1], withPixels=False)
    recorded = takeApart(reader)
    review = reviewProcedure(
        folder.name,
        recorded,
        plan=_plan(documents.get(DocumentRole.PLAN)),
        registration=_registration(documents.get(DocumentRole.REGISTRATION)),
        lastCt=(documents.get(DocumentRole.METRICS) or {}).get("lastCt"),
        tissue=tissue,
    )
    earlier = len(recordings) - 1
    return _withRemarks(review, [*reader.problems, *([f"{earlier} earlier recordings were left out"] if earlier else [])]), recorded


def reviewScene(host: SceneHost, name: str) -> tuple[ProcedureReview, RecordedProcedure]:
    """Review the loaded scene: ours, or one that plain Slicer or SlicerIGT recorded."""
    documents = _documents(host)
    browsers = sequenceBrowsers(host.scene)
    records: list[Record] = [*_fixedTransforms(documents), *_displayedGuidance(documents)]
    for browser in browsers[:1]:
        records += list(readSequences(browser))
    recorded = takeApart(records)
    review = reviewProcedure(
        name,
        recorded,
        plan=_plan(documents[DocumentRole.PLAN]),
        registration=_registration(documents[DocumentRole.REGISTRATION]),
        lastCt=(documents[DocumentRole.METRICS] or {}).get("lastCt"),
        tissue=_tissue(host),
    )
    remarks = [] if browsers else ["the scene holds no recording"]
    if len(browsers) > 1:
        remarks.append(f"{len(browsers) - 1} further recordings of the scene were left out")
    if findCtNode(host.scene) is None:
        remarks.append("the scene holds no CT")
    return _withRemarks(review, remarks), recorded


def _tissue(host: SceneHost) -> TissueSurface | None:
    """The skin model of the loaded scene, for the tissue metrics."""
    node = findTissueModel(host.scene)
    return None if node is None else TissueSurface(surfaceInWorld(node))


def _documents(host: SceneHost) -> dict[DocumentRole, dict[str, Any] | None]:
    roles = [role for role in DocumentRole if role not in (DocumentRole.REPORT, DocumentRole.LOG)]
    return {role: readDocument(host.scene, role) for role in roles}


def _displayedGuidance(documents: Mapping[DocumentRole, dict[str, Any] | None]) -> list[Record]:
    """Phases, clearances and out-of-plane distances as they were displayed, stored with the scene."""
    entries = (documents[DocumentRole.TIMELINE] or {}).get("guidance", ())
    return [JsonRecord(RecordKind.GUIDANCE, "Guidance", round(float(entry["timeSec"]) * 1e9), dict(entry)) for entry in entries]


def _fixedTransforms(documents: Mapping[DocumentRole, dict[str, Any] | None]) -> list[Record]:
    transforms: dict[str, Any] = dict(documents[DocumentRole.CALIBRATION] or {})
    registration = documents[DocumentRole.REGISTRATION]
    if registration and "fromToTo" in registration:
        transforms["ReferenceToRas"] = registration["fromToTo"]
    values = [{"name": name, "matrix": np.asarray(matrix, float).tolist()} for name, matrix in transforms.items()]
    return [JsonRecord(RecordKind.EVENT, "FixedTransform", 0, each) for each in values]


def _plan(document: Mapping[str, Any] | None) -> PlannedPath | None:
    if not document or "entryRas" not in document:
        return None
    return PlannedPath(tuple(document["entryRas"]), tuple(document["targetRas"]))


def _registration(document: Mapping[str, Any] | None) -> dict[str, Any]:
    if not document:
        return {}
    quality: dict[str, Any] = {name: document[name] for name in ("freMm", "fleMm") if name in document}
    for target, error in (document.get("predictedTre") or {}).items():
        quality |= {"target": target, "predictedTreRmsMm": error["rmsMm"], "predictedTre95Mm": error["p95Mm"]}
        break
    return quality


def _withRemarks(review: ProcedureReview, remarks: list[str]) -> ProcedureReview:
    return dataclasses.replace(review, missing=(*review.missing, *remarks))
