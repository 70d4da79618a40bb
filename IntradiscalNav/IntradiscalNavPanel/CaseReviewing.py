"""Review of a saved procedure: its numbers, its time line, and its replay in the views. Nothing of it is live, and all of it says so."""

import pathlib
from dataclasses import dataclass

import slicer
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner
from .ReviewRules import ReviewAction, whyNot
from .SceneStore import isSavedProcedure

LONGEST_STEP_SEC = 0.5
"""After a pause of the program the replay goes on from where it was, it doesn't leap."""


@dataclass(frozen=True)
class ReviewSource:
    """A recording that can be reviewed: in the scene (`folder` is None) or raw in the case folder."""

    name: str
    folder: pathlib.Path | None


class CaseReviewing(ActionOwner):
    """Held by the logic as `review`.

    review.start(parameterNode)
    review.rows, review.remarks, review.timeline
    review.seek(parameterNode, 12.5)
    review.stop()
    """

    def __init__(self, logic):
        self._logic = logic
        self._reset()

    def _reset(self):
        self.isOn = self.isPlaying = False
        self.source = self.procedure = self.recorded = self._played = self.replay = self.views = self.state = self._ghost = None
        self.rows, self.remarks, self.timeline = (), (), ()
        self.problem = ""
        """Why there are numbers but no replay, or no review at all."""
        self.timeSec = 0.0
        self._playedSec = None

    def whyNot(self, parameterNode, action):
        """Why a ReviewAction can't be done now; empty if it can."""
        return whyNot(self, self._logic, parameterNode, action)

    # --- what there is to review

    def caseFolder(self, parameterNode):
        """Folder of the case: the one in the parameter node, else, where that is gone, the one the scene was loaded from; or None."""
        from IntradiscalNavLib.Recording.CaseFolder import isCaseFolder

        # The address stays when a scene is closed: only that of a scene that was loaded says where its case is.
        url = slicer.mrmlScene.GetURL() if self._isSaved() else ""
        candidates = [parameterNode.caseFolder, *([pathlib.Path(url).parent] if url else [])]
        return next((folder for folder in candidates if folder != pathlib.Path() and isCaseFolder(folder)), None)

    def _isSaved(self):
        try:
            return isSavedProcedure(slicer.mrmlScene, self._logic.procedureId)
        except ValueError:
            return False  # documents that can't be read; starting the review says so

    def sources(self, parameterNode):
        """ReviewSources: the sequences of the scene first, then the raw recordings of the case, newest first."""
        from IntradiscalNavLib.Recording.CaseFolder import begunRecordings
        from IntradiscalNavLib.Recording.SequenceImport import sequenceBrowsers

        found = [ReviewSource(_("recording in the scene"), None)] if sequenceBrowsers(slicer.mrmlScene) else []
        case = self.caseFolder(parameterNode)
        folders = begunRecordings(case) if case is not None else ()
        return (*found, *(ReviewSource(folder.name, folder) for folder in reversed(folders)))

    # --- begin and end

    def openCase(self, parameterNode):
        """Load the newest whole scene of the case folder and review it; without a scene, review its raw recording.

        :raises ValueError: if the case holds neither scene nor recording that can be read
        """
        from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
        from IntradiscalNavLib.Recording.DocumentCopies import DocumentCopies, restoreDocuments
        from IntradiscalNavLib.Recording.SceneBundle import newestReadable

        self._require(parameterNode, ReviewAction.OpenCase)
        self.stop()
        case = CaseFolder(parameterNode.caseFolder)
        scene, damaged = newestReadable(case.scenes())
        if scene is not None:
            slicer.util.loadScene(str(scene), properties={"clear": True})
        else:
            slicer.mrmlScene.Clear(0)
        self.stop()  # the panel may have begun with what the scene holds; the newer documents come first
        parameterNode = self._logic.getParameterNode()
        parameterNode.caseFolder = case.folder
        restoreDocuments(slicer.mrmlScene, DocumentCopies(case).newest(after=scene))
        self.start(parameterNode)
        self.remarks = (*(_("{name} is damaged and was left out.").format(name=path.name) for path in damaged), *self.remarks)

    def startIfSaved(self, parameterNode):
        """Begin the review where the scene is that of a procedure of the past with a recording; True if it did."""
        try:
            saved = not self.isOn and isSavedProcedure(slicer.mrmlScene, self._logic.procedureId)
            if not saved or self.whyNot(parameterNode, ReviewAction.Review):
                return False
            self.start(parameterNode)
        except (ValueError, OSError) as error:
            self.problem = str(error)
            return False
        return True

    def start(self, parameterNode, source=None):
        """Review a recording (default: the first of `sources`); numbers first, and the replay as far as it goes.

        :raises ValueError: if there is nothing to review, or a document of the scene is damaged
        """
        self._require(parameterNode, ReviewAction.Review)
        chosen = source or self.sources(parameterNode)[0]
        self.stop()
        self.rows, self.remarks = self._measure(chosen)
        self.isOn, self.source = True, chosen
        try:
            self._startReplay(parameterNode)
        except (ValueError, RuntimeError) as error:
            self.replay, self.problem = None, str(error)
        if self.replay is not None:
            self.seek(parameterNode, 0.0)

    def _measure(self, source):
        """Numbers as the command line prints them; returns rows and remarks."""
        from IntradiscalNavLib.Recording.ReplaySource import RecordingSource, SequenceSource
        from IntradiscalNavLib.Recording.ReviewText import reviewRows
        from IntradiscalNavLib.Recording.SceneReview import documentsOf, reviewRecording, reviewScene, tissueOf

        scene = slicer.mrmlScene
        if source.folder is None:
            name = pathlib.Path(scene.GetURL()).stem or _("scene")
            self.procedure, self.recorded = reviewScene(scene, name)
            self._played = SequenceSource(scene, slicer.modules.sequences.logic())
        else:
            self._played = RecordingSource(scene, source.folder)
            self.recorded, remarks = self._played.recorded, self._played.problems
            self.procedure = reviewRecording(source.folder.parent.name, self.recorded, documentsOf(scene), tissueOf(scene), remarks)
        return tuple(reviewRows(self.procedure.toDict())), self.procedure.missing

    def _startReplay(self, parameterNode):
        from IntradiscalNavLib.Recording.SceneReplay import SceneReplay
        from IntradiscalNavLib.Views.PlanGhost import PlanGhost

        self.timeline = self._played.timeline.entries
        self.replay = SceneReplay(slicer.mrmlScene, self._played, parameterNode.plan.needleLengthMm)
        self.views = self._logic._makeViews(parameterNode, self.replay.anatomy())
        if self.views is not None and parameterNode.ctVolume is None:
            self.views.setCt(self.replay.ctNode())
        self._ghost = PlanGhost(slicer.mrmlScene) if self.views is not None else None

    def stop(self):
        """Leave the review: numbers and needle of the past leave the views."""
        if self.views is not None:
            self.views.close()
        self._reset()

    # --- replay

    @property
    def durationSec(self):
        return self.replay.durationSec if self.replay is not None else 0.0

    def seek(self, parameterNode, timeSec):
        """Show a moment (seconds since the start of the recording); returns the SessionState, which is marked as a replay."""
        self._require(parameterNode, ReviewAction.Play)
        self.timeSec = min(max(timeSec, 0.0), self.durationSec)
        self.state = self.replay.seek(self.timeSec)
        if self.views is not None:
            self.views.opacity = parameterNode.navigation.opacity
            self.views.curtain = parameterNode.navigation.curtain
            self.views.update(self.state)
            self._ghost.show(self.state)
        return self.state

    def play(self, parameterNode):
        """Let the replay run from where it stands, from the start when it stands at the end; `advance` moves it."""
        self._require(parameterNode, ReviewAction.Play)
        if self.timeSec >= self.durationSec:
            self.seek(parameterNode, 0.0)
        self.isPlaying, self._playedSec = True, None

    def pause(self):
        self.isPlaying = False

    def advance(self, parameterNode, nowSec):
        """At each tick of a replay that runs; returns the SessionState, None when it doesn't run."""
        if not self.isPlaying:
            return None
        step = 0.0 if self._playedSec is None else min(nowSec - self._playedSec, LONGEST_STEP_SEC)
        self._playedSec = nowSec
        try:
            state = self.seek(parameterNode, self.timeSec + step * parameterNode.replay.speed)
        except Exception:
            self.pause()  # a recording that was taken away is told once, not at each tick
            raise
        if self.timeSec >= self.durationSec:
            self.pause()
        return state

    # --- pictures

    def _pictureAt(self, parameterNode):
        return lambda timeSec: self._logic.layoutHost.capture(self.seek(parameterNode, timeSec))

    def writePictures(self, parameterNode):
        """One picture of all views for each phase, and one at the end, into the case folder; returns the files."""
        from IntradiscalNavLib.Recording.ReplayClip import writeKeyPictures

        self._require(parameterNode, ReviewAction.Pictures)
        shown = self.timeSec
        written = writeKeyPictures(self._pictureAt(parameterNode), self.timeline, self.durationSec, parameterNode.caseFolder / "pictures")
        self.seek(parameterNode, shown)
        return written

    def writeClip(self, parameterNode):
        """A film of all views at the chosen speed into the case folder; returns the file.

        :raises RuntimeError: if it can't be written
        """
        from IntradiscalNavLib.Recording.ReplayClip import writeClip

        self._require(parameterNode, ReviewAction.Clip)
        shown = self.timeSec
        path = parameterNode.caseFolder / "replay.mp4"
        writeClip(self._pictureAt(parameterNode), self.durationSec, path, speed=parameterNode.replay.speed)
        self.seek(parameterNode, shown)
        return path

    # --- what is shown

    def text(self):
        """What is reviewed, in a sentence that can't be taken for a live one; empty when nothing is."""
        if not self.isOn:
            return self.problem
        lines = [_("SAVED PROCEDURE, NOT LIVE: {name}").format(name=f"{self.procedure.name}, {self.source.name}")]
        return "\n".join([*lines, *([self.problem] if self.problem else [])])
