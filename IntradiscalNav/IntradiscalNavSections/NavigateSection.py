"""Step 5 of the panel: the live guidance, its numbers, its checks and its tools."""

import time

from IntradiscalNavPanel import NavigateRows
from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.NeedlePaths import NeedleAction
from IntradiscalNavPanel.NumberLabels import NUMBER_LABELS
from IntradiscalNavPanel.PointCheck import CheckAction
from ScriptedPanel.ActionButtons import ActionButtons
from slicer.i18n import tr as _

from .AlertSound import AlertSound
from .LiveTable import LiveTable
from .NeedleChoice import NeedleChoice

TABLE_INTERVAL_SEC = 0.2


class NavigateSection:
    UI = "NavigateSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        logic, ui = self._logic, self.ui
        buttons = {
            NavigationAction.Guide: ui.guideButton,
            NavigationAction.Freeze: ui.freezeButton,
            NavigationAction.Compare: ui.compareButton,
        }
        switches = {
            NavigationAction.Guide: (lambda: logic.isGuiding, logic.stopGuidance),
            NavigationAction.Freeze: (lambda: logic.isFrozen, logic.release),
            NavigationAction.Compare: (lambda: logic.isComparing, logic.release),
        }
        self._buttons = (
            ActionButtons(panel, logic, buttons, switches),
            ActionButtons(panel, logic.needles, {NeedleAction.Next: ui.nextNeedleButton}),
            ActionButtons(panel, logic.pointCheck, {CheckAction.CheckPoint: ui.checkPointButton}),
        )
        self._needleChoice = NeedleChoice(panel, ui.needleCombo)
        self.sound = AlertSound()
        self._clearances = LiveTable(ui.clearancesTable, [_("Structure"), _("Clearance"), _("Limit"), _("State")])
        self._tools = LiveTable(ui.toolsTable, [_("Tool"), _("State"), _("Rate"), _("Delay"), _("Why")])
        self._tablesSec, self._wasLive = float("-inf"), False

    def onTick(self, parameterNode):
        nowSec = time.monotonic()
        self._showNumbers()
        self.sound.follow(self._logic.alerting.tone(self._logic.state, parameterNode, nowSec), nowSec)
        state = self._logic.state
        isLive = state is not None and state.displayed.live
        if isLive != self._wasLive or nowSec - self._tablesSec > TABLE_INTERVAL_SEC:
            self._showTables()
            self._wasLive, self._tablesSec = isLive, nowSec

    def update(self, parameterNode):
        for buttons in self._buttons:
            buttons.update(parameterNode)
        self._needleChoice.update(parameterNode)
        self._showNumbers()  # also when guidance has just ended: no number may stay
        self._showTables()
        if not self._logic.isGuiding:
            self.sound.stop()

    def _showNumbers(self):
        state = self._logic.shownState
        displayed = state.displayed if state is not None else None
        for number, name in NUMBER_LABELS.items():
            label = getattr(self.ui, f"{name}Number")
            label.text = displayed.panelText(number) if displayed is not None else "–"
        self.ui.needleLabel.text = f"{displayed.needleName} → {displayed.targetName}" if displayed is not None else ""
        self.ui.phaseLabel.text = displayed.phaseText if displayed is not None else ""
        lines = []
        if displayed is not None:
            lines = [f"{role}: {tool.state} {tool.reason}".strip() for role, tool in displayed.notLive.items()] + list(displayed.warnings)
        self.ui.warningLabel.text = "\n".join(lines)

    def _showTables(self):
        logic = self._logic
        self._clearances.show(NavigateRows.clearanceRows(logic.session, logic.state))
        self._tools.show(NavigateRows.toolRows(logic.connection))
        self.ui.archLabel.text = NavigateRows.archText(logic.checks, logic.state)
        self.ui.checkPointLabel.text = logic.pointCheck.text
