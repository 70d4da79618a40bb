"""Step 4 of the panel: plan paths and choose one."""

from IntradiscalNavPanel.NavigationRules import NavigationAction
from ScriptedPanel.ActionButtons import ActionButtons
from slicer import vtkMRMLMarkupsNode


class PlanSection:
    UI = "PlanSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        self._observedPath = None
        buttons = {NavigationAction.Plan: self.ui.planButton, NavigationAction.OtherPath: self.ui.otherPathButton}
        self._buttons = ActionButtons(panel, self._logic, buttons)

    def onTick(self, parameterNode):
        """Nothing here follows the stream."""

    def update(self, parameterNode):
        self._observePath(parameterNode.path if parameterNode is not None else None)
        self._buttons.update(parameterNode)
        if parameterNode is not None:
            self.ui.planLabel.text = self._logic.trajectoryText(self._logic.shownTrajectory(parameterNode))

    def _observePath(self, path):
        """A path moved by hand is no longer the planned one."""
        if path is self._observedPath:
            return
        if self._observedPath is not None:
            self._panel.removeObserver(self._observedPath, vtkMRMLMarkupsNode.PointModifiedEvent, self._panel.update)
        if path is not None:
            self._panel.addObserver(path, vtkMRMLMarkupsNode.PointModifiedEvent, self._panel.update)
        self._observedPath = path
