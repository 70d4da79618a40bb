"""Step 7 of the panel: record, keep and save."""

from IntradiscalNavPanel.IntradiscalNavParameterNode import SequenceChoice
from IntradiscalNavPanel.NavigationRules import NavigationAction
from ScriptedPanel.ActionButtons import ActionButtons


class ReviewSection:
    UI = "ReviewSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        buttons = {
            NavigationAction.Record: self.ui.recordButton,
            NavigationAction.Fill: self.ui.fillButton,
            NavigationAction.Save: self.ui.saveButton,
        }
        switches = {NavigationAction.Record: (lambda: self._logic.isRecording, self._logic.stopRecording)}
        self._buttons = ActionButtons(panel, self._logic, buttons, switches)

    def onTick(self, parameterNode):
        """What the recording holds is shown twice a second, with the rest."""

    def update(self, parameterNode):
        self._buttons.update(parameterNode)
        self.ui.keepingLabel.text = self._logic.keepingText()
        if parameterNode is not None:
            keeping = parameterNode.keeping
            isSpan = keeping.sequences is SequenceChoice.Span
            self.ui.spanStartSpin.enabled = self.ui.spanEndSpin.enabled = isSpan
            self.ui.sequenceRateSpin.enabled = keeping.sequences is not SequenceChoice.Nothing
            self.ui.autosaveSpin.enabled = keeping.autosave
