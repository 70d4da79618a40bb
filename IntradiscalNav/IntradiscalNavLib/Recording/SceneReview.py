"""Measures a loaded scene, or a raw recording with the documents of its scene. The scene is handed in; nothing is loaded here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.DocumentCopies import DocumentCopies
from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath
from IntradiscalNavLib.Recording.PerkTutorMetrics import TissueSurface
from IntradiscalNavLib.Recording.ProcedureReview import ProcedureReview, reviewProcedure
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure, takeApart
from IntradiscalNavLib.Recording.RecordFormat import JsonRecord, Record, RecordKind
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument
from IntradiscalNavLib.Recording.SequenceImport import readSequences, sequenceBrowsers
from IntradiscalNavLib.Recording.TissueModel import findTissueModel, surfaceInWorld
from TranslatedText.Translation import tr as _

Documents = Mapping[DocumentRole, dict[str, Any] | None]


def reviewScene(scene: Any, name: str) -> tuple[ProcedureReview, RecordedProcedure]:
    """Review the loaded scene: ours, or one that plain Slicer or SlicerIGT recorded."""
    documents = documentsOf(scene)
    browsers = sequenceBrowsers(scene)
    records: list[Record] = [*_fixedTransforms(documents), *_displayedGuidance(documents)]
    for browser in browsers[:1]:
        records += list(readSequences(browser))
    recorded = takeApart(records)
    remarks = [] if browsers else [_("the scene holds no recording")]
    if len(browsers) > 1:
        remarks.append(_("{count} further recordings of the scene were left out").format(count=len(browsers) - 1))
    if findCtNode(scene) is None:
        remarks.append(_("the scene holds no CT"))
    return _reviewed(name, recorded, documents, tissueOf(scene), remarks), recorded


def reviewRecording(
    name: str,
    recorded: RecordedProcedure,
    documents: Documents,
    tissue: TissueSurface | None = None,
    remarks: Sequence[str] = (),
) -> ProcedureReview:
    """Review a raw recording (full time stamps); what it lacks comes from the documents of its scene.

    :param remarks: what is doubtful about the recording, e.g. ``RecordingReader.problems``; named in the review.
    """
    return _reviewed(name, recorded, documents, tissue, remarks)


def reviewNewestRecording(
    case: CaseFolder, documents: Documents | None = None, tissue: TissueSurface | None = None
) -> tuple[ProcedureReview, RecordedProcedure]:
    """Review the newest raw recording of a case folder, without its scene.

    :param documents: those of its scene; None: those of the newest automatic copy.
    :raises ValueError: when the case holds no recording.
    """
    folders = case.recordingFolders()
    if not folders:
        raise ValueError(_("The case {folder} holds no recording.").format(folder=case.folder))
    reader = RecordingReader(folders[-1], withPixels=False)
    recorded = takeApart(reader)
    earlier = [_("{count} earlier recordings were left out").format(count=len(folders) - 1)] if len(folders) > 1 else []
    known = DocumentCopies(case).newest() if documents is None else documents
    return reviewRecording(case.folder.name, recorded, known, tissue, [*reader.problems, *earlier]), recorded


def documentsOf(scene: Any) -> dict[DocumentRole, dict[str, Any] | None]:
    """JSON documents of a scene by role, None where it has none.

    :raises ValueError: when one is damaged, or was written by a newer version.
    """
    roles = [role for role in DocumentRole if role not in (DocumentRole.REPORT, DocumentRole.LOG)]
    return {role: readDocument(scene, role) for role in roles}


def registrationMatrix(document: Mapping[str, Any] | None) -> FloatArray | None:
    """ReferenceToRas of a stored fit, by markers or by bone surface; None where there is none."""
    for name in ("fromToTo", "referenceToRas"):
        if document and document.get(name) is not None:
            return np.array(document[name], float)
    return None


def tissueOf(scene: Any) -> TissueSurface | None:
    """The skin model of the scene, for the tissue metrics; None where it has none."""
    node = findTissueModel(scene)
    return None if node is None else TissueSurface(surfaceInWorld(node))


def findCtNode(scene: Any) -> Any:
    """The planning CT: by its name, else the first volume of more than one slice; None where the scene has none."""
    named = scene.GetFirstNode("PlanningCt", "vtkMRMLScalarVolumeNode")
    if named is not None:
        return named
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        node = scene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode")
        if node.GetImageData() is not None and node.GetImageData().GetDimensions()[2] > 1:
            return node
    return None


def _reviewed(
    name: str, recorded: RecordedProcedure, documents: Documents, tissue: TissueSurface | None, remarks: Sequence[str]
) -> ProcedureReview:
    review = reviewProcedure(
        name,
        recorded,
        plan=_plan(documents.get(DocumentRole.PLAN)),
        registration=_registration(documents.get(DocumentRole.REGISTRATION)),
        lastCt=(documents.get(DocumentRole.METRICS) or {}).get("lastCt"),
        tissue=tissue,
    )
    return dataclasses.replace(review, missing=(*review.missing, *remarks))


def _displayedGuidance(documents: Documents) -> list[Record]:
    """Phases, clearances and out-of-plane distances as they were displayed, stored with the scene."""
    entries = (documents.get(DocumentRole.TIMELINE) or {}).get("guidance", ())
    return [JsonRecord(RecordKind.GUIDANCE, "Guidance", round(float(entry["timeSec"]) * 1e9), dict(entry)) for entry in entries]


def _fixedTransforms(documents: Documents) -> list[Record]:
    transforms: dict[str, Any] = dict(documents.get(DocumentRole.CALIBRATION) or {})
    registration = registrationMatrix(documents.get(DocumentRole.REGISTRATION))
    if registration is not None:
        transforms["ReferenceToRas"] = registration
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
