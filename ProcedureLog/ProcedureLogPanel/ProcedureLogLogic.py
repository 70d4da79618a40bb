"""Maps the parameter node to ProcedureLogLib; needs no panel."""

import enum
import pathlib

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from .ProcedureLogParameterNode import ProcedureLogParameterNode


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
