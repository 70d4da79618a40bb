"""The line of the cohort registry that belongs to a reviewed case: from its procedure log, beside it or inside its scene."""

from __future__ import annotations

import pathlib
import sqlite3
from typing import Any

from IntradiscalNavLib.Recording.SceneDocuments import CASE_ATTRIBUTE, PSEUDONYM_ATTRIBUTE, DocumentRole, findTableNode, readTable
from ProcedureLogLib.LogTable import eventsFromRows, latestRevisions
from ProcedureLogLib.ProcedureRecord import buildRecord, recordOf
from ProcedureLogLib.ProcedureStore import DATABASE_FILE, ProcedureStore
from ProcedureLogLib.ProcedureSummary import summaryOf

SHOWN = ("pseudonym", "day", "group", "operator", "level", "side", "ctPasses", "operativeInjectionMin", "technicalSuccess")
"""Columns that the table of reviews carries beside the metrics."""


def summaryOfFolder(folder: pathlib.Path) -> dict[str, Any]:
    """Of a case folder; empty where it holds no log.

    :raises ValueError: when the log can't be read, with the reason.
    """
    database = next(iter(sorted(folder.rglob(DATABASE_FILE))), None)
    if database is None:
        return {}
    try:
        with ProcedureStore(database.parent) as store:
            return summaryOf(recordOf(store), store.caseId)
    except (RuntimeError, OSError, sqlite3.Error) as error:
        raise ValueError(f"The procedure log can't be read: {error}") from error


def summaryOfScene(scene: Any) -> dict[str, Any]:
    """Of the log table in a loaded scene; empty where it holds none.

    :raises ValueError: when the table is damaged.
    """
    found = readTable(scene, DocumentRole.LOG)
    if found is None:
        return {}
    columns, rows = found
    node = findTableNode(scene, DocumentRole.LOG)
    record = buildRecord(node.GetAttribute(PSEUDONYM_ATTRIBUTE) or "unknown", latestRevisions(eventsFromRows(rows, columns)))
    return summaryOf(record, node.GetAttribute(CASE_ATTRIBUTE) or "")
