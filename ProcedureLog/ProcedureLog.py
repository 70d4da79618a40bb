"""Module ProcedureLog: the data sheet of an injection procedure, kept by the program."""

import enum
import pathlib
from typing import Annotated

import slicer
import vtk
from slicer import vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper, parameterPack
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
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


# Members of the enums are stored by name in scenes: never rename one. Their values are the words of ProcedureLogLib.
class StudyGroup(enum.Enum):
    Unknown = None
    Fusion = "fusion"
    Control = "control"

    def label(self):
        return {"Unknown": _("not stated"), "Fusion": _("CT/US fusion"), "Control": _("CT guidance alone")}[self.name]


class TreatedLevel(enum.Enum):
    Unknown = None
    L1L2 = "L1-L2"
    L2L3 = "L2-L3"
    L3L4 = "L3-L4"
    L4L5 = "L4-L5"
    L5S1 = "L5-S1"

    def label(self):
        return self.value or _("not stated")


class AccessSide(enum.Enum):
    Unknown = None
    Left = "left"
    Right = "right"
    Bilateral = "bilateral"

    def label(self):
        return {"Unknown": _("not stated"), "Left": _("left"), "Right": _("right"), "Bilateral": _("bilateral")}[self.name]


class Answer(enum.Enum):
    Unknown = None
    Yes = "yes"
    No = "no"

    def label(self):
        return {"Unknown": _("not stated"), "Yes": _("yes"), "No": _("no")}[self.name]


class LogAction(enum.Enum):
    """What the panel's buttons and a script can ask for; the value is the name of the logic's method."""

    OpenCase = "openCase"
    PatientIn = "logPatientIn"
    PatientOut = "logPatientOut"
    Injection = "logInjection"
    Remark = "logRemark"
    Complication = "logComplication"
    UndoLast = "undoLast"
    CountPasses = "countPasses"
    StoreDetails = "storeDetails"
    WriteReport = "writeReport"
    WriteTable = "writeTable"
    CompareGroups = "compareGroups"


@parameterPack
class InjectionParameters:
    volumeMl: Annotated[float, WithinRange(0, 100)] = 5.0
    substance: str = ""


@parameterPack
class PassParameters:
    dicomFolder: pathlib.Path
    doseFactor: Annotated[float, WithinRange(0.001, 0.1)] = 0.015
    doseFactorSource: str = "AAPM Report 96, adult abdomen/pelvis/trunk"


@parameterPack
class DetailParameters:
    group: StudyGroup
    level: TreatedLevel
    side: AccessSide
    operator: str
    technicalSuccess: Answer
    technicalEfficacy: Answer


@parameterNodeWrapper
class ProcedureLogParameterNode:
    """
    caseFolder: folder that holds the case
    pseudonym: name of a new case in everything exported
    injection: volume (mL) and substance of the next injection
    note: text of the next remark or complication
    passes: DICOM folder, dose factor in mSv/(mGy cm) and its source
    details: group, level, side, operator, outcome
    cohortFolder: folder with many case folders
    logTable: the log as a table of the scene
    """

    caseFolder: pathlib.Path
    pseudonym: str
    injection: InjectionParameters
    note: str
    passes: PassParameters
    details: DetailParameters
    cohortFolder: pathlib.Path
    logTable: vtkMRMLTableNode


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
        table.scrollToBottom()
        self.ui.caseLabel.text = self.logic.caseText(self._parameterNode) if self._parameterNode else ""
        self.ui.figuresLabel.text = self.logic.figuresText(self._parameterNode) if self._parameterNode else ""
        self.updateButtons()


class LogLine:
    """One row of the table: the event and what is shown of it."""

    def __init__(self, event, time, name, entry):
        self.event, self.time, self.name, self.entry = event, time, name, entry


class ProcedureLogLogic(ScriptedLoadableModuleLogic):
    """Maps the parameter node to ProcedureLogLib; needs no panel.

    logic = ProcedureLogLogic()
    parameterNode = logic.getParameterNode()
    parameterNode.caseFolder = pathlib.Path("/tmp/case7")
    logic.openCase(parameterNode)
    logic.logPatientIn(parameterNode)
    """

    def getParameterNode(self):
        return ProcedureLogParameterNode(super().getParameterNode())

    # --- what can be done now

    def isCaseOpen(self, parameterNode):
        """Whether the chosen folder holds a case."""
        from ProcedureLogLib.ProcedureStore import DATABASE_FILE

        return parameterNode.caseFolder != pathlib.Path() and (parameterNode.caseFolder / DATABASE_FILE).is_file()

    def whyNot(self, parameterNode, action):
        """Why a LogAction can't be done now; empty if it can."""
        if action is LogAction.OpenCase:
            return "" if parameterNode.caseFolder != pathlib.Path() else _("Choose a folder for the case first.")
        if action is LogAction.CompareGroups:
            chosen = parameterNode.cohortFolder != pathlib.Path() and parameterNode.cohortFolder.is_dir()
            return "" if chosen else _("Choose a folder with case folders first.")
        if not self.isCaseOpen(parameterNode):
            return _("Open a case first.")
        if action in (LogAction.Remark, LogAction.Complication) and not parameterNode.note.strip():
            return _("Write the note first.")
        if action is LogAction.Injection and parameterNode.injection.volumeMl <= 0:
            return _("Enter the injected volume first.")
        if action is LogAction.UndoLast and self._lastManualEvent(parameterNode) is None:
            return _("Nothing was logged by hand yet.")
        folder = parameterNode.passes.dicomFolder
        if action is LogAction.CountPasses and (folder == pathlib.Path() or not folder.is_dir()):
            return _("Choose the folder with the CT images and dose reports first.")
        if action is LogAction.CountPasses and not parameterNode.passes.doseFactorSource.strip():
            return _("State where the k factor comes from first.")
        return ""

    def _require(self, parameterNode, action):
        missing = self.whyNot(parameterNode, action)
        if missing:
            raise ValueError(missing)

    def _store(self, parameterNode):
        from ProcedureLogLib.ProcedureStore import ProcedureStore

        return ProcedureStore(parameterNode.caseFolder)

    # --- actions

    def openCase(self, parameterNode):
        """Open the case in the folder, or begin one; sets the pseudonym to the case's.

        :raises RuntimeError: if the folder holds another pseudonym or can't be written
        """
        from ProcedureLogLib.CaseIdentity import createIdentity
        from ProcedureLogLib.ProcedureStore import ProcedureStore

        self._require(parameterNode, LogAction.OpenCase)
        isNew = not self.isCaseOpen(parameterNode)
        identity = createIdentity(pseudonym=parameterNode.pseudonym) if isNew and parameterNode.pseudonym.strip() else None
        with ProcedureStore(parameterNode.caseFolder, identity) as store:
            parameterNode.pseudonym = store.pseudonym

    def _log(self, parameterNode, action, kindName, text="", values=None):
        from ProcedureLogLib.ProcedureEvent import EventKind

        self._require(parameterNode, action)
        with self._store(parameterNode) as store:
            return store.addEvent(EventKind[kindName], text=text, values=values)

    def logPatientIn(self, parameterNode):
        return self._log(parameterNode, LogAction.PatientIn, "PATIENT_IN")

    def logPatientOut(self, parameterNode):
        return self._log(parameterNode, LogAction.PatientOut, "PATIENT_OUT")

    def logInjection(self, parameterNode):
        injection = parameterNode.injection
        return self._log(parameterNode, LogAction.Injection, "INJECTION", injection.substance.strip(), {"volumeMl": injection.volumeMl})

    def logRemark(self, parameterNode):
        event = self._log(parameterNode, LogAction.Remark, "REMARK", parameterNode.note.strip())
        parameterNode.note = ""
        return event

    def logComplication(self, parameterNode):
        event = self._log(parameterNode, LogAction.Complication, "COMPLICATION", parameterNode.note.strip())
        parameterNode.note = ""
        return event

    def withdraw(self, parameterNode, eventId):
        """Take an entry out of the numbers; it stays in the file."""
        with self._store(parameterNode) as store:
            return store.withdrawEvent(eventId, reason="withdrawn in the panel")

    def _lastManualEvent(self, parameterNode):
        from ProcedureLogLib.ProcedureEvent import EventKind, EventSource

        with self._store(parameterNode) as store:
            events = [event for event in store.events() if event.source is EventSource.MANUAL and event.kind is not EventKind.DETAIL]
        return events[-1] if events else None

    def undoLast(self, parameterNode):
        """Withdraw the newest entry made by hand."""
        self._require(parameterNode, LogAction.UndoLast)
        return self.withdraw(parameterNode, self._lastManualEvent(parameterNode).eventId)

    def countPasses(self, parameterNode):
        """Count CT passes and dose in the DICOM folder, log them, and tell the result in a sentence."""
        from ProcedureLogLib.CtPasses import countCtPasses
        from ProcedureLogLib.CtPassLog import logCtPasses
        from ProcedureLogLib.DoseUnits import DoseFactor

        self._require(parameterNode, LogAction.CountPasses)
        passes = parameterNode.passes
        factor = DoseFactor(passes.doseFactor, passes.doseFactorSource)
        with self._store(parameterNode) as store:
            injections = [store.trueTime(event) for event in store.events() if event.kind.name == "INJECTION"] if store.identity else []
            count = countCtPasses(passes.dicomFolder, lastInjection=injections[-1] if injections else None)
            logCtPasses(store, count, factor)
        dose = _("not known") if count.dlpTotalMGyCm is None else f"{count.dlpTotalMGyCm:.1f} mGy·cm"
        text = _("{passes} CT passes, {localizers} localizers, DLP {dose}. Rule: {rule}").format(
            passes=count.passCount, localizers=count.localizerCount, dose=dose, rule=count.rule.text()
        )
        return "\n".join([text, *count.warnings])

    def storeDetails(self, parameterNode):
        """Write group, level, side, operator and outcome into the log."""
        self._require(parameterNode, LogAction.StoreDetails)
        details = parameterNode.details
        with self._store(parameterNode) as store:
            for name in ("group", "level", "side", "technicalSuccess", "technicalEfficacy"):
                store.setDetail(name, getattr(details, name).value)
            store.setDetail("operator", details.operator.strip() or None)

    def writeReport(self, parameterNode, pictures=None):
        """Write the report of the case as HTML; returns its path. pictures: caption -> PNG file."""
        from ProcedureLogLib.ProcedureRecord import recordOf
        from ProcedureLogLib.ProcedureReport import writeProcedureReport

        self._require(parameterNode, LogAction.WriteReport)
        with self._store(parameterNode) as store:
            record = recordOf(store)
        return writeProcedureReport(record, pictures, parameterNode.caseFolder / f"Report-{record.pseudonym}.html")

    def writeTable(self, parameterNode):
        """Put the log into the table node `logTable`, made where there is none; dates as shifted in the log."""
        from ProcedureLogLib.ProcedureRecord import recordOf
        from ProcedureLogLib.ProcedureReport import eventRows

        self._require(parameterNode, LogAction.WriteTable)
        with self._store(parameterNode) as store:
            rows = eventRows(recordOf(store))
        if parameterNode.logTable is None:
            parameterNode.logTable = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "ProcedureLog")
        node = parameterNode.logTable
        wasModifying = node.StartModify()
        node.RemoveAllColumns()
        for index, name in enumerate(("Time", "Event", "Entry", "NotedBy")):
            column = vtk.vtkStringArray()
            column.SetName(name)
            for row in rows:
                column.InsertNextValue(row[index])
            node.AddColumn(column)
        node.EndModify(wasModifying)
        return node

    def compareGroups(self, parameterNode):
        """Both groups of all cases below `cohortFolder`, described and tested, as text."""
        from ProcedureLogLib.CaseRegistry import CaseRegistry
        from ProcedureLogLib.Cohort import buildCohortTable, pText
        from ProcedureLogLib.ProcedureSummary import ALL_COLUMNS

        self._require(parameterNode, LogAction.CompareGroups)
        with CaseRegistry() as registry:
            refresh = registry.addCaseFolders(parameterNode.cohortFolder)
            table = buildCohortTable(registry.columns(ALL_COLUMNS))
        lines = [_("{first} fusion, {second} control").format(first=table.sizes[0], second=table.sizes[1])]
        for row in table.rows:
            first, second = row.texts()
            lines.append(f"{row.column.label}: {first} | {second}, p = {pText(row.pValue)}")
        lines += [f"{folder}: {reason}" for folder, reason in refresh.failed]
        return "\n".join([*lines, *table.notes])

    # --- what is shown

    def logLines(self, parameterNode):
        """Entries of the open case for the table, with the true time where this workstation may know it."""
        from ProcedureLogLib.ProcedureEvent import EventKind
        from ProcedureLogLib.ProcedureReport import EVENT_NAMES, eventText

        if not self.isCaseOpen(parameterNode):
            return []
        with self._store(parameterNode) as store:
            lines = []
            for event in store.events():
                if event.kind is not EventKind.DETAIL:
                    time = store.trueTime(event) if store.identity else event.time
                    shown = f"{time.face:%H:%M:%S}" if event.values.get("timeKnown", True) else "?"
                    lines.append(LogLine(event, shown, EVENT_NAMES.get(event.kind, event.kind.value), eventText(event)))
        return lines

    def caseText(self, parameterNode):
        """State of the case, in a sentence."""
        if not self.isCaseOpen(parameterNode):
            return _("No case is open.")
        with self._store(parameterNode) as store:
            text = _("Case {pseudonym}.").format(pseudonym=store.pseudonym)
            if store.identity is None:
                text += " " + _("Anonymous: the identity file was deleted; no new times can be logged.")
        return text

    def figuresText(self, parameterNode):
        """Key figures and doubts of the case, one a line."""
        from ProcedureLogLib.ProcedureRecord import recordOf
        from ProcedureLogLib.ProcedureReport import keyFigures

        if not self.isCaseOpen(parameterNode):
            return ""
        with self._store(parameterNode) as store:
            record = recordOf(store)
        return "\n".join([*(f"{name}: {value}" for value, name in keyFigures(record)), *record.warnings])


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
