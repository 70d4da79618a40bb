"""What a procedure is kept by beside its nodes, so that it can be reviewed and replayed months later."""

import threading
import time

import numpy as np
import slicer

SAME_POINT_MM = 0.05
"""Ends of a path that lie nearer than this are the same."""


def procedureDocuments(logic, parameterNode):
    """Registration with its quality, plan, calibrations and case as documents: DocumentRole -> content. What is unknown is left out."""
    from IntradiscalNavLib.Planning.PlanSerialization import trajectoryToDict
    from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument

    chosen = parameterNode.plan
    aim = {"level": chosen.level.value, "side": chosen.side.value}
    documents = {DocumentRole.CASE: {"procedureId": logic.procedureId, **aim, "needleLengthMm": chosen.needleLengthMm}}
    fit = logic.registrationFit()
    if fit is not None:
        documents[DocumentRole.REGISTRATION] = fit.toDict()
    trajectory = logic.shownTrajectory(parameterNode)
    if trajectory is not None:
        documents[DocumentRole.PLAN] = trajectoryToDict(trajectory)
    elif parameterNode.path is not None and parameterNode.path.GetNumberOfDefinedControlPoints() >= 2:
        # Drawn or moved by hand: an older plan would be the wrong one to measure against.
        entry, target = slicer.util.arrayFromMarkupsControlPoints(parameterNode.path, world=True)[:2].tolist()
        drawn = {**aim, "entryRas": entry, "targetRas": target}
        stored = readDocument(slicer.mrmlScene, DocumentRole.PLAN)
        documents[DocumentRole.PLAN] = stored if _isSamePath(stored, drawn) else drawn
    if logic.connection is not None:
        tree = logic.connection.stream.tree
        fixed = {name: tree.matrix(name) for name in tree.fixedNames}
        calibrations = {name: matrix.tolist() for name, matrix in fixed.items() if matrix is not None and not name.endswith("ToRas")}
        if calibrations:
            documents[DocumentRole.CALIBRATION] = calibrations
    return documents


def _isSamePath(stored, drawn):
    """Whether a stored plan, of which more is known, is that of the line."""
    if stored is None or "entryRas" not in stored:
        return False
    return all(np.abs(np.subtract(stored[name], drawn[name])).max() < SAME_POINT_MM for name in ("entryRas", "targetRas"))


def storeProcedure(scene, documents):
    """Put the documents into the scene; what is unknown is left as it was.

    :raises ValueError: if one of them can't be stored
    """
    from IntradiscalNavLib.Recording.DocumentCopies import restoreDocuments

    restoreDocuments(scene, documents)


def storeLog(scene, procedureLog):
    """Put log and report of the open case into the scene; nothing without an open case."""
    from IntradiscalNavLib.Recording.SceneDocuments import CASE_ATTRIBUTE, PSEUDONYM_ATTRIBUTE, DocumentRole, storeDocument, storeTable
    from ProcedureLogLib.LogTable import TABLE_COLUMNS
    from ProcedureLogLib.LogTable import rows as logRows
    from ProcedureLogLib.ProcedureRecord import recordOf
    from ProcedureLogLib.ProcedureReport import procedureReportHtml
    from ProcedureLogLib.ProcedureStore import ProcedureStore

    logNode = procedureLog.getParameterNode()
    if not procedureLog.isCaseOpen(logNode):
        return
    with ProcedureStore(logNode.caseFolder) as store:
        table = storeTable(scene, DocumentRole.LOG, TABLE_COLUMNS, logRows(store.auditTrail()))
        table.SetAttribute(PSEUDONYM_ATTRIBUTE, store.pseudonym)
        table.SetAttribute(CASE_ATTRIBUTE, store.caseId)
        storeDocument(scene, DocumentRole.REPORT, procedureReportHtml(recordOf(store)))


def isSavedProcedure(scene, procedureId):
    """Whether the documents of the scene were stored in an earlier session: a procedure of the past, not the one that is being done."""
    from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument

    case = readDocument(scene, DocumentRole.CASE)
    if case is not None:
        return case.get("procedureId") != procedureId
    return readDocument(scene, DocumentRole.TIMELINE) is not None


class AutomaticCopies:
    """Copies the documents of a running procedure to the case folder, every minute or as chosen.

    The scene itself isn't copied: with a CT it takes seconds, and the needle must not wait. What streams in is on the disk within half
    a second; the CT does not change. The file is written in a thread of its own, so that a slow disk doesn't hold up the tick.
    """

    def __init__(self):
        self.problem = ""
        self.lastPath = None
        self._lastSec = float("-inf")
        self._lastText = None
        self._thread = None

    def tick(self, logic, parameterNode, case, nowSec):
        """Copy when it is time and something is new."""
        if nowSec - self._lastSec >= parameterNode.keeping.autosaveSec and not self.isWriting:
            self._lastSec = nowSec
            self.start(logic, parameterNode, case)

    @property
    def isWriting(self):
        return self._thread is not None and self._thread.is_alive()

    def start(self, logic, parameterNode, case):
        """Begin to copy in the background; nothing where nothing is new."""
        from IntradiscalNavLib.Recording.DocumentCopies import encodeDocuments

        try:
            text = encodeDocuments(procedureDocuments(logic, parameterNode))
        except ValueError as error:
            self.problem = str(error)
            return
        if text != self._lastText:
            self._thread = threading.Thread(target=self._write, args=(case, text), name="AutomaticCopy")
            self._thread.start()

    def finish(self, logic, parameterNode, case):
        """Copy what is new now, and wait until it is on the disk (at the end of a procedure)."""
        self.wait()
        self.start(logic, parameterNode, case)
        self.wait()
        self._lastSec = time.monotonic()

    def wait(self):
        if self._thread is not None:
            self._thread.join()

    def _write(self, case, text):
        from IntradiscalNavLib.Recording.DocumentCopies import DocumentCopies

        try:
            self.lastPath = DocumentCopies(case).write(text)
        except OSError as error:
            self.problem = str(error)
        else:
            self.problem, self._lastText = "", text
