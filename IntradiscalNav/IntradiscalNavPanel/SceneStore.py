"""What a procedure is kept by beside its nodes, so that it can be reviewed and replayed months later."""

import slicer

from .PathLine import areSamePlaces, endsOf, isLine


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
    elif isLine(parameterNode.path):
        # Drawn or moved by hand: an older plan would be the wrong one to measure against.
        entry, target = endsOf(parameterNode.path).tolist()
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
    return areSamePlaces(*([plan["entryRas"], plan["targetRas"]] for plan in (stored, drawn)))


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
