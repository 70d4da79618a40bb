"""The part of the logic that keeps the case: recording, automatic copies, and the scene in the case folder."""

import pathlib
import uuid

import slicer
from slicer.i18n import tr as _

from .AutomaticCopies import AutomaticCopies
from .IntradiscalNavParameterNode import SequenceChoice
from .NavigationRules import NavigationAction
from .PathLine import endsOf, isLine
from .SceneStore import procedureDocuments, storeLog


class CaseKeeping:
    """Mixed into the logic, which holds the connection and the plan."""

    def _resetCase(self):
        self._savedStamp = None
        self.procedureId = uuid.uuid4().hex
        """Tells the procedure that is being done from those of loaded scenes."""
        self.copies = AutomaticCopies()
        self._case = None
        self._unfilled = ""

    def _caseFolder(self, parameterNode):
        from IntradiscalNavLib.Recording.CaseFolder import CaseFolder

        # Made anew where the folder was taken away meanwhile.
        if self._case is None or self._case.folder != parameterNode.caseFolder or not self._case.autosaveFolder.is_dir():
            self._case = CaseFolder(parameterNode.caseFolder)
        return self._case

    # --- recording

    def startRecording(self, parameterNode):
        """Record everything that arrives into a new folder of the case; returns the folder."""
        self._require(parameterNode, NavigationAction.Record)
        folder = self._caseFolder(parameterNode).newRecordingFolder()
        self.connection.startRecording(folder)
        self._recordPath(parameterNode)
        return folder

    def _recordPath(self, parameterNode):
        """Note in the recording what will be navigated by; guidance itself notes the path of its active needle."""
        path = parameterNode.path
        if self.isGuiding:
            self._recordPlan(self.session.needles.active)
        elif isLine(path):
            entry, target = endsOf(path).tolist()
            chosen = parameterNode.plan
            name = f"{chosen.level.value} {chosen.side.value}"
            self.connection.recorder.recordPlan(name, f"disc {chosen.level.value}", entry, target)

    def stopRecording(self):
        if self.isRecording:
            self.keepNow()
            self.connection.stopRecording()

    @property
    def isRecording(self):
        return self.connection is not None and self.connection.writer is not None

    def recordingText(self):
        """What the recording holds and what it has lost, in a sentence; empty without one."""
        state = self.connection.recordingState() if self.connection is not None else None
        if state is None:
            return ""
        text = _("Recorded: {poses} poses, {images} pictures, {megabytes:.0f} MB.").format(
            poses=state.poses, images=state.images, megabytes=state.bytesWritten / 1e6
        )
        if state.droppedImages or state.droppedPoses:
            text += " " + _("DROPPED: {images} pictures, {poses} poses.").format(images=state.droppedImages, poses=state.droppedPoses)
        elif state.poses or state.images:
            text += " " + _("Nothing dropped.")
        return " ".join(part for part in (text, state.problem) if part)

    # --- automatic copies

    def keepCopies(self, parameterNode, nowSec):
        """At each tick while guiding or recording: copy what is new, when it is time."""
        if self.isGuiding or self.isRecording:
            self._keep(parameterNode, lambda case: self.copies.tick(self, parameterNode, case, nowSec))

    def keepNow(self):
        """At the end of guidance or recording: copy what is new before it goes."""
        parameterNode = self.getParameterNode()
        self._keep(parameterNode, lambda case: self.copies.finish(self, parameterNode, case))

    def _keep(self, parameterNode, copy):
        if parameterNode.caseFolder == pathlib.Path() or not parameterNode.keeping.autosave:
            return
        try:
            copy(self._caseFolder(parameterNode))
        except OSError as error:
            self.copies.problem = str(error)  # guidance goes on, and ends, without the copy

    # --- the scene

    def sequenceSpan(self, parameterNode, recorded):
        """SequenceSpan by the choice in the parameter node, None for nothing; `recorded` is the RecordedProcedure."""
        from IntradiscalNavLib.Recording.SequenceExport import SequenceSpan
        from IntradiscalNavLib.Recording.SequenceFill import guidedSpan

        keeping = parameterNode.keeping
        return {
            SequenceChoice.Guidance: lambda: guidedSpan(recorded, keeping.sequenceRateHz),
            SequenceChoice.Span: lambda: SequenceSpan(keeping.spanStartSec, keeping.spanEndSec, keeping.sequenceRateHz),
            SequenceChoice.Whole: lambda: SequenceSpan(maximumRateHz=keeping.sequenceRateHz),
            SequenceChoice.Nothing: lambda: None,
        }[keeping.sequences]()

    def fillSequences(self, parameterNode):
        """Put the newest recording, or its chosen span, into the scene's sequences; returns the SequenceExport, None for nothing.

        :raises ValueError: if the span holds nothing
        """
        from IntradiscalNavLib.Recording.SequenceFill import fillSequences

        self._require(parameterNode, NavigationAction.Fill)
        folder = self._caseFolder(parameterNode).recordingFolders()[-1]
        if self.isRecording:
            self.connection.writer.flush()
        return fillSequences(
            slicer.mrmlScene, folder, lambda recorded: self.sequenceSpan(parameterNode, recorded), isStreaming=self.isConnecting
        )

    def saveScene(self, parameterNode):
        """Save the scene with recording, plan, registration, calibrations, log and report; only a whole new one replaces an older."""
        from IntradiscalNavLib.Recording.DocumentCopies import restoreDocuments
        from IntradiscalNavLib.Recording.SequenceFill import replayingWhenSaved

        self._require(parameterNode, NavigationAction.Save)
        restoreDocuments(slicer.mrmlScene, procedureDocuments(self, parameterNode))
        storeLog(slicer.mrmlScene, self.procedureLog)
        self._unfilled = self.whyNot(parameterNode, NavigationAction.Fill)
        if not self._unfilled:
            try:
                self.fillSequences(parameterNode)
            except ValueError as error:
                self._unfilled = str(error)  # the rest is worth saving all the same
        with replayingWhenSaved(slicer.mrmlScene):
            path = self._caseFolder(parameterNode).saveScene(lambda partial: slicer.util.saveScene(str(partial)))
        self._savedStamp = True
        return path

    def keepingText(self):
        """What was kept and what was not, one a line."""
        lines = [self.recordingText()]
        if self._savedStamp and self._unfilled:
            lines.append(_("The saved scene carries no recording: {reason}").format(reason=self._unfilled))
        if self.copies.problem:
            lines.append(_("No automatic copy: {reason}").format(reason=self.copies.problem))
        elif self.copies.lastPath is not None:
            lines.append(_("Last automatic copy: {name}").format(name=self.copies.lastPath.name))
        return "\n".join(line for line in lines if line)
