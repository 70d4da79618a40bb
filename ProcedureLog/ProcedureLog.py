"""Module ProcedureLog: the data sheet of an injection procedure, kept by the program."""

import pathlib

import slicer
from ProcedureLogPanel.ProcedureLogLogic import LogAction, ProcedureLogLogic
from ScriptedPanel.ActionButtons import ActionButtons
from ScriptedPanel.ModulePanel import ModulePanel
from ScriptedPanel.PanelTables import fillTable, prepareTable
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
)


class ProcedureLog(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Procedure Log")
        parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        parent.dependencies = []
        parent.contributors = ["IntradiscalNav contributors"]
        parent.helpText = _(
            "Times, CT passes, dose and outcome of spine injections, in a case folder. Research software, not a medical device."
        )
        parent.acknowledgementText = _("Part of the extension IntradiscalNav.")


class ProcedureLogWidget(ModulePanel):
    """Thin panel: shows the parameter node and the log, and calls the logic."""

    def __init__(self, parent=None):
        ModulePanel.__init__(self, parent)
        self._shownEvents = []

    def setup(self):
        ModulePanel.setup(self)
        self.openPanel("ProcedureLog.ui", ProcedureLogLogic())
        buttons = {
            LogAction.OpenCase: self.ui.openCaseButton,
            LogAction.PatientIn: self.ui.patientInButton,
            LogAction.PatientOut: self.ui.patientOutButton,
            LogAction.Injection: self.ui.injectionButton,
            LogAction.Remark: self.ui.remarkButton,
            LogAction.Complication: self.ui.complicationButton,
            LogAction.UndoLast: self.ui.undoButton,
            LogAction.CountPasses: self.ui.countPassesButton,
            LogAction.StoreDetails: self.ui.storeDetailsButton,
            LogAction.WriteReport: self.ui.reportButton,
            LogAction.WriteTable: self.ui.tableButton,
            LogAction.CompareGroups: self.ui.cohortButton,
        }
        self._buttons = ActionButtons(self, self.logic, buttons, shown=self.showResult)
        self.ui.withdrawButton.connect("clicked()", self.onWithdraw)
        self.ui.eventsTable.connect("itemSelectionChanged()", self.updateWithdrawButton)
        prepareTable(self.ui.eventsTable, [_("Time"), _("Event"), _("Entry")])
        self.follow()

    def failureText(self):
        return _("That was not logged.")

    def update(self, caller=None, event=None):
        self._buttons.update(self._parameterNode)
        self.updateWithdrawButton()

    def updateWithdrawButton(self):
        row = self.ui.eventsTable.currentRow()
        selected = 0 <= row < len(self._shownEvents)
        self.ui.withdrawButton.enabled = selected
        self.ui.withdrawButton.toolTip = (
            _("Take the selected entry out of the numbers; it stays in the file with the reason")
            if selected
            else _("Select an entry in the table first.")
        )

    def setParameterNode(self, parameterNode):
        ModulePanel.setParameterNode(self, parameterNode)
        self.showLog()

    def showResult(self, action, result):
        if action is LogAction.CountPasses:
            self.ui.passesLabel.text = result
        elif action is LogAction.CompareGroups:
            self.ui.cohortLabel.text = result
        elif action is LogAction.WriteReport:
            slicer.util.showStatusMessage(_("Report written: {path}").format(path=result), 5000)
        self.showLog()

    def onWithdraw(self):
        self.run(self.withdrawSelected)

    def withdrawSelected(self):
        self.logic.withdraw(self._parameterNode, self._shownEvents[self.ui.eventsTable.currentRow()].eventId)
        self.showLog()

    def showLog(self):
        """Fill the table and the figures from the case folder."""
        lines = self.logic.logLines(self._parameterNode) if self._parameterNode else []
        self._shownEvents = [line.event for line in lines]
        self.ui.eventsTable.clearSelection()
        fillTable(self.ui.eventsTable, [(line.time, line.name, line.entry) for line in lines])
        self.ui.eventsTable.resizeColumnToContents(0)
        self.ui.eventsTable.scrollToBottom()
        self.ui.caseLabel.text = self.logic.caseText(self._parameterNode) if self._parameterNode else ""
        self.ui.figuresLabel.text = self.logic.figuresText(self._parameterNode) if self._parameterNode else ""
        self.update()


class ProcedureLogTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_eventsAreLoggedAndReported()

    def test_eventsAreLoggedAndReported(self):
        import tempfile

        logic = ProcedureLogLogic()
        parameterNode = logic.getParameterNode()
        with tempfile.TemporaryDirectory() as folder:
            parameterNode.caseFolder = pathlib.Path(folder)
            parameterNode.pseudonym = "SelfTest"
            logic.openCase(parameterNode)
            logic.logPatientIn(parameterNode)
            logic.logInjection(parameterNode)
            self.assertEqual(len(logic.logLines(parameterNode)), 2)
            logic.undoLast(parameterNode)
            self.assertEqual(len(logic.logLines(parameterNode)), 1)
            self.assertIn("SelfTest", logic.writeReport(parameterNode).read_text(encoding="utf-8"))
            self.assertEqual(logic.writeTable(parameterNode).GetNumberOfRows(), 1)
        slicer.mrmlScene.Clear()
        self.assertEqual(logic.getParameterNode().pseudonym, "")
