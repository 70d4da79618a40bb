"""Reviews one case: a scene bundle, a case folder with its recording, or a PLUS recording."""

from __future__ import annotations

import pathlib

from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder, isCaseFolder
from IntradiscalNavLib.Recording.DocumentCopies import DocumentCopies
from IntradiscalNavLib.Recording.ForeignRecording import ENDINGS, readForeignRecording
from IntradiscalNavLib.Recording.PerkTutorMetrics import TissueSurface
from IntradiscalNavLib.Recording.ProcedureReview import ProcedureReview, reviewProcedure
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure, takeApart
from IntradiscalNavLib.Recording.RecordFormat import MANIFEST_NAME
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.SceneReview import Documents, documentsOf, reviewNewestRecording, reviewRecording, reviewScene, tissueOf
from IntradiscalNavLib.Recording.SequenceImport import readSequences

SCENE_ENDINGS = (".mrb", ".mrml")


def isReviewable(path: pathlib.Path) -> bool:
    """Whether a file or folder is something to review."""
    if path.is_dir():
        return isCaseFolder(path) or (path / MANIFEST_NAME).is_file()
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
        return reviewScene(host.scene, path.stem)
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
    case = CaseFolder(folder) if isCaseFolder(folder) else None
    recordings = [folder] if (folder / MANIFEST_NAME).is_file() else list(case.recordingFolders() if case else ())
    scene = case.newestScene() if case else None
    documents: Documents = {}
    tissue: TissueSurface | None = None
    if scene is not None:
        host = startHost()
        host.loadScene(scene)
        documents = documentsOf(host.scene)
        tissue = tissueOf(host.scene)
        if not recordings:
            return reviewScene(host.scene, folder.name)
    if not recordings:
        raise ValueError(f"The case folder {folder} holds neither a recording nor a scene.")
    if case is not None and case.recordingFolders() and case.folder not in recordings:
        # After a crash the copies are newer than the scene.
        return reviewNewestRecording(case, {**documents, **DocumentCopies(case).newest(after=scene)}, tissue)
    reader = RecordingReader(recordings[-1], withPixels=False)
    recorded = takeApart(reader)
    return reviewRecording(folder.name, recorded, documents, tissue, reader.problems), recorded
