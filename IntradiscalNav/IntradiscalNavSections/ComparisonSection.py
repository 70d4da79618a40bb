"""Step 7 of the panel, afterwards: the last CT, and another procedure beside this one."""

from IntradiscalNavPanel.AfterProcedure import AfterAction
from ScriptedPanel.ActionButtons import ActionButtons
from ScriptedPanel.PanelTables import fillTable, prepareTable
from slicer.i18n import tr as _


class ComparisonSection:
    UI = "ComparisonSection.ui"

    def __init__(self, panel):
        self.ui, self._after = panel.ui, panel.logic.after
        buttons = {AfterAction.CheckLastCt: self.ui.checkLastCtButton, AfterAction.Compare: self.ui.compareCasesButton}
        self._buttons = ActionButtons(panel, self._after, buttons, shown=self._show)
        self.ui.comparisonTable.setVisible(False)

    def onTick(self, parameterNode):
        """Nothing here follows the stream."""

    def _show(self, action, result):
        if action is AfterAction.CheckLastCt:
            self.ui.lastCtLabel.text = self._after.checkText(result)
        else:
            self._showComparison(result)

    def _showComparison(self, comparison):
        from IntradiscalNavLib.Recording.ComparisonPage import comparisonRows

        table = self.ui.comparisonTable
        headers = ["", *(run.name for run in comparison.runs), _("spread")]
        table.setColumnCount(len(headers))
        prepareTable(table, headers)
        fillTable(table, comparisonRows(comparison))
        table.setVisible(True)

    def update(self, parameterNode):
        self._buttons.update(parameterNode)
        if parameterNode is None:
            self.ui.lastCtLabel.text = ""
            self.ui.comparisonTable.setVisible(False)
