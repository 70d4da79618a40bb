"""Step 5 of the panel: the live guidance and its numbers."""

from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.NumberLabels import NUMBER_LABELS
from ScriptedPanel.ActionButtons import ActionButtons


class NavigateSection:
    UI = "NavigateSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        logic = self._logic
        buttons = {NavigationAction.Guide: self.ui.guideButton, NavigationAction.Freeze: self.ui.freezeButton}
        switches = {
            NavigationAction.Guide: (lambda: logic.isGuiding, logic.stopGuidance),
            NavigationAction.Freeze: (lambda: logic.isFrozen, logic.release),
        }
        self._buttons = ActionButtons(panel, logic, buttons, switches)

    def onTick(self, parameterNode):
        self._showNumbers()

    def update(self, parameterNode):
        self._buttons.update(parameterNode)
        self._showNumbers()  # also when guidance has just ended: no number may stay

    def _showNumbers(self):
        state = self._logic.state
        displayed = state.displayed if state is not None else None
        for number, name in NUMBER_LABELS.items():
            label = getattr(self.ui, f"{name}Number")
            label.text = displayed.text(number) if displayed is not None else "–"
        self.ui.phaseLabel.text = displayed.phase.value if displayed is not None else ""
        self.ui.warningLabel.text = "\n".join(displayed.warnings) if displayed is not None else ""
