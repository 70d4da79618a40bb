"""Module ProcedureLog: the data sheet of an injection procedure, kept by the program."""

import pathlib

import slicer
import vtk
from ProcedureLogPanel.ProcedureLogLogic import LogAction, ProcedureLogLogic
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


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


class ProcedureLogWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Thin panel: shows the parameter node and the log, and calls the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._shownEvents = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/ProcedureLog.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ProcedureLogLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self._buttons = {
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
        self._toolTips = {action: button.toolTip for action, button in self._buttons.items()}
        for action, button in self._buttons.items():
            button.connect("clicked()", lambda action=action: self.onAction(action))
        self.ui.withdrawButton.connect("clicked()", self.onWithdraw)
        self.ui.eventsTable.connect("itemSelectionChanged()", self.updateWithdrawButton)
        self._setUpEventsTable()
        self.setParameterNode(self.logic.getParameterNode())

    def _setUpEventsTable(self):
        table = self.ui.eventsTable
        table.setColumnCount(3)
        table.setHorizontalHeaderLabels([_("Time"), _("Event"), _("Entry")])
        table.setWordWrap(False)
        table.verticalHeader().hide()
        table.horizontalHeader().setStretchLastSection(True)

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.setParameterNode(self.logic.getParameterNode())

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self._parameterNode, self._guiTag = parameterNode, None
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self.showLog()

    def updateButtons(self, caller=None, event=None):
        for action, button in self._buttons.items():
            missing = self.logic.whyNot(self._parameterNode, action) if self._parameterNode else _("The scene is being closed.")
            button.enabled = not missing
            button.toolTip = missing or self._toolTips[action]
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

    def onAction(self, action):
        with slicer.util.tryWithErrorDisplay(_("That was not logged."), waitCursor=True):
            answer = getattr(self.logic, action.value)(self._parameterNode)
            if action is LogAction.CountPasses:
                self.ui.passesLabel.text = answer
            elif action is LogAction.CompareGroups:
                self.ui.cohortLabel.text = answer
            elif action is LogAction.WriteReport:
                slicer.util.showStatusMessage(_("Report written: {path}").format(path=answer), 5000)
            self.showLog()

    def onWithdraw(self):
        with slicer.util.tryWithErrorDisplay(_("The entry was not withdrawn."), waitCursor=True):
            self.logic.withdraw(self._parameterNode, self._shownEvents[self.ui.eventsTable.currentRow()].eventId)
            self.showLog()

    def showLog(self):
        """Fill the table and the figures from the case folder."""
        import qt

        lines = self.logic.logLines(self._parameterNode) if self._parameterNode else []
        self._shownEvents = [line.event for line in lines]
        table = self.ui.eventsTable
        table.clearSelection()
        table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            for column, text in enumerate((line.time, line.name, line.entry)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(text)
                table.setItem(row, column, item)
        table.resizeColumnToContents(0)
        table.resizeRowsToContents()
        table.scrollToBottom()
        self.ui.caseLabel.text = self.logic.caseText(self._parameterNode) if self._parameterNode else ""
        self.ui.figuresLabel.text = self.logic.figuresText(self._parameterNode) if self._parameterNode else ""
        self.updateButtons()


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
