"""The part of the logic that keeps the case: recording, and the scene in the case folder."""

import slicer

from .NavigationRules import NavigationAction
from .SceneStore import storeProcedure


class CaseKeeping:
    """Mixed into the logic, which holds the connection and the plan."""

    def _resetCase(self):
        self._savedStamp = None

    def _caseFolder(self, parameterNode):
        from IntradiscalNavLib.Recording.CaseFolder import CaseFolder

        return CaseFolder(parameterNode.caseFolder)

    def startRecording(self, parameterNode):
        """Record everything that arrives into a new folder of the case; returns the folder."""
        self._require(parameterNode, NavigationAction.Record)
        folder = self._caseFolder(parameterNode).newRecordingFolder()
        self.connection.startRecording(folder)
        return folder

    def stopRecording(self):
        if self.connection is not None:
            self.connection.stopRecording()

    @property
    def isRecording(self):
        return self.connection is not None and self.connection.writer is not None

    def saveScene(self, parameterNode):
        """Save the scene, with plan, registration and calibrations, into the case folder; only a whole new one replaces an older."""
        self._require(parameterNode, NavigationAction.Save)
        storeProcedure(slicer.mrmlScene, self.registrationFit(), self.shownTrajectory(parameterNode), self.connection)
        path = self._caseFolder(parameterNode).saveScene(lambda partial: slicer.util.saveScene(str(partial)))
        self._savedStamp = True
        return path
