"""What a saved scene carries beside its nodes: registration with its quality, plan, calibrations, log, report, as text nodes.

Each document is one vtkMRMLTextNode with a role attribute. Plain Slicer shows the text; this program finds it again by the role,
never by the name. The content is versioned, so that a scene of an older version is read by later ones (``SceneMigration``).
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from IntradiscalNavLib.Recording.SceneMigration import CURRENT_VERSION, migrateDocument
from TranslatedText.Translation import tr as _

ROLE_ATTRIBUTE = "IntradiscalNav.Document"
VERSION_ATTRIBUTE = "IntradiscalNav.Version"
PSEUDONYM_ATTRIBUTE = "IntradiscalNav.Pseudonym"
CASE_ATTRIBUTE = "IntradiscalNav.CaseId"
"""Of the log's table: whose log it is."""


class DocumentRole(enum.Enum):
    """Kinds of documents. The values are stored in scenes: never change one."""

    REGISTRATION = "registration"
    PLAN = "plan"
    PATHS = "paths"
    CALIBRATION = "calibration"
    CASE = "case"
    LOG = "log"
    REPORT = "report"
    METRICS = "metrics"
    TIMELINE = "timeline"


def storeDocument(scene: Any, role: DocumentRole, content: Mapping[str, Any] | str) -> Any:
    """Write or replace the scene's document of a role: a mapping as JSON, or a text such as an HTML report.

    :raises ValueError: if the mapping holds what JSON can't carry; the older document is kept then.
    """
    if isinstance(content, str):
        text = content
    else:
        try:
            text = json.dumps({"version": CURRENT_VERSION, "content": content}, ensure_ascii=False, allow_nan=True)
        except (TypeError, ValueError) as error:
            raise ValueError(
                _("The {role} can't be stored in the scene: {error}. Only numbers, texts, lists and tables can.").format(
                    role=role.value, error=error
                )
            ) from error
    node = findDocumentNode(scene, role)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", scene.GenerateUniqueName(f"IntradiscalNav {role.value}"))
        node.SetAttribute(ROLE_ATTRIBUTE, role.value)
        # Stored in a file of its own inside the bundle: a long text in the scene's XML makes it slow to load.
        node.SetForceCreateStorageNode(1)
    node.SetAttribute(VERSION_ATTRIBUTE, str(CURRENT_VERSION))
    node.SetText(text)
    return node


def findDocumentNode(scene: Any, role: DocumentRole) -> Any:
    """The text node of a role, or None."""
    return _findByRole(scene, role, "vtkMRMLTextNode")


def readDocument(scene: Any, role: DocumentRole) -> dict[str, Any] | None:
    """Content of a JSON document, brought to the current version; None where the scene has none.

    :raises ValueError: when it is damaged, or was written by a newer version.
    """
    node = findDocumentNode(scene, role)
    if node is None:
        return None
    try:
        document = json.loads(node.GetText() or "")
        version, content = int(document["version"]), document["content"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            _("The {role} of this scene can't be read: node {name!r} is damaged ({error}).").format(
                role=role.value, name=node.GetName(), error=error
            )
        ) from error
    return migrateDocument(role.value, version, content)


def readText(scene: Any, role: DocumentRole) -> str | None:
    """A document stored as plain text, such as the report."""
    node = findDocumentNode(scene, role)
    return None if node is None else str(node.GetText() or "")


def storeTable(scene: Any, role: DocumentRole, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """Write or replace the scene's table of a role, such as the procedure log; plain Slicer shows it as a table."""
    import vtk

    node = findTableNode(scene, role)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(f"IntradiscalNav {role.value} table"))
        node.SetAttribute(ROLE_ATTRIBUTE, role.value)
    node.SetAttribute(VERSION_ATTRIBUTE, str(CURRENT_VERSION))
    cells = [tuple(row) for row in rows]
    table = vtk.vtkTable()
    for index, name in enumerate(columns):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in cells:
            column.InsertNextValue(_escaped(row[index]))
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    return node


def readTable(scene: Any, role: DocumentRole) -> tuple[tuple[str, ...], list[tuple[str, ...]]] | None:
    """Column names and rows of a table written by `storeTable`; None where the scene has none."""
    node = findTableNode(scene, role)
    if node is None:
        return None
    table = node.GetTable()
    columns = tuple(table.GetColumnName(index) for index in range(table.GetNumberOfColumns()))
    rows = [
        tuple(_unescaped(table.GetValue(row, index).ToString()) for index in range(len(columns))) for row in range(table.GetNumberOfRows())
    ]
    return columns, rows


def findTableNode(scene: Any, role: DocumentRole) -> Any:
    """The table node of a role, or None."""
    return _findByRole(scene, role, "vtkMRMLTableNode")


def _findByRole(scene: Any, role: DocumentRole, className: str) -> Any:
    for index in range(scene.GetNumberOfNodesByClass(className)):
        node = scene.GetNthNodeByClass(index, className)
        if node.GetAttribute(ROLE_ATTRIBUTE) == role.value:
            return node
    return None


def _escaped(text: str) -> str:
    """Tables are stored as tab-separated text with one line per row; VTK's reader drops quotation marks."""
    return text.replace("\\", "\\\\").replace('"', "\\q").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _unescaped(text: str) -> str:
    plain = {"\\": "\\", "q": '"', "t": "\t", "n": "\n", "r": "\r"}
    parts = iter(text)
    return "".join(plain.get(next(parts, ""), "") if each == "\\" else each for each in parts)
