"""Step 4 of the panel: what to plan, how the level was counted, and planning."""

from IntradiscalNavPanel.LevelCheck import LevelAction
from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.PathRules import PathAction
from ScriptedPanel.ActionButtons import ActionButtons
from slicer.i18n import tr as _


class PlanSection:
    UI = "PlanSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        logic, ui = self._logic, self.ui
        level = logic.level
        confirmed = (lambda: level.isConfirmed(panel.parameterNode), lambda: level.revoke(panel.parameterNode))
        self._buttons = (
            ActionButtons(panel, logic, {NavigationAction.Plan: ui.planButton}),
            ActionButtons(panel, logic.paths, {PathAction.Session: ui.planSessionButton, PathAction.Check: ui.checkButton}),
            ActionButtons(
                panel,
                level,
                {LevelAction.Show: ui.countLevelButton, LevelAction.Confirm: ui.confirmLevelCheck},
                {LevelAction.Confirm: confirmed},
            ),
        )

    def onTick(self, parameterNode):
        """Nothing here follows the stream."""

    def update(self, parameterNode):
        for buttons in self._buttons:
            buttons.update(parameterNode)
        if parameterNode is None:
            return
        ui, level = self.ui, self._logic.level
        withoutSegments = parameterNode.segmentation is None
        for widget in (ui.endplatesSelectorLabel, ui.endplatesSelector, ui.endplatesPlaceWidget):
            widget.visible = withoutSegments
        if withoutSegments and ui.endplatesPlaceWidget.currentNode() is not parameterNode.endplates:
            ui.endplatesPlaceWidget.setCurrentNode(parameterNode.endplates)
        _showText(ui.levelLabel, level.text(parameterNode))
        _showText(ui.planWarningLabel, "\n".join(_("⚠ {warning}").format(warning=text) for text in level.warnings(parameterNode)))


def _showText(label, text):
    """A label without text takes no room."""
    label.text = text
    label.visible = bool(text)
