"""Step 7 of the panel: record and save."""

from IntradiscalNavPanel.NavigationRules import NavigationAction
from ScriptedPanel.ActionButtons import ActionButtons


class ReviewSection:
    UI = "ReviewSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        buttons = {NavigationAction.Record: self.ui.recordButton, NavigationAction.Save: self.ui.saveButton}
        switches = {NavigationAction.Record: (lambda: self._logic.isRecording, self._logic.stopRecording)}
        self._buttons = ActionButtons(panel, self._logic, buttons, switches)

    def onTick(self, parameterNode):
        """Nothing here follows the stream."""

    def update(self, parameterNode):
        self._buttons.update(parameterNode)
