"""Report of a cohort as a self-contained HTML page: Table 1, plots, methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .Cohort import CohortRow, CohortTable, pText
from .CurvePlot import doseDrawing, learningCurveDrawing
from .GroupPlot import groupDrawing
from .HtmlPage import htmlPage, htmlTable
from .LearningCurve import failureCurves, learningCurves
from .ProcedureSummary import NUMBER
from .SampleSize import SampleSize
from .SvgDrawing import SvgDrawing
from .WholeFile import writeWhole

Columns = Mapping[str, npt.NDArray[Any]]


def tableHeader(table: CohortTable) -> tuple[str, ...]:
    first, second = table.settings.groups
    header = ("", f"{first} (n = {table.sizes[0]})", f"{second} (n = {table.sizes[1]})", "p")
    return (*header, *(("p (MATLAB)",) if table.settings.matlabBeside else ()), "p (Holm)", "Effect [CI]")


def tableRows(table: CohortTable) -> list[tuple[str, ...]]:
    """Table 1 as text, in the order of `tableHeader`."""
    return [_row(table, row) for row in table.rows]


def _row(table: CohortTable, row: CohortRow) -> tuple[str, ...]:
    label = row.column.label + (f", {row.column.unit}" if row.column.unit else "")
    effect = "–"
    if row.effect is not None:
        effect = f"{row.effect.estimate:.3g} [{row.effect.low:.3g} to {row.effect.high:.3g}]"
    matlab = (pText(row.matlab.pValue if row.matlab else None),) if table.settings.matlabBeside else ()
    return (label, *row.texts(), pText(row.pValue), *matlab, pText(row.holmP), effect)


def cohortReportHtml(
    table: CohortTable, columns: Columns, sampleSizes: Sequence[SampleSize] = (), title: str = "Cohort", notes: Sequence[str] = ()
) -> str:
    """The page as text. columns: those the table was built of, in the order of time."""
    header = tableHeader(table)
    numeric = range(3, len(header))
    left = f"<p class=small>{table.leftOut} procedures of other or no group are left out.</p>" if table.leftOut else ""
    methods = "".join(f"<li>{escape(note)}</li>" for note in (*table.notes, *notes))
    sizes = htmlTable(("Method", *table.settings.groups, "with drop-outs"), sampleSizeRows(sampleSizes), (1, 2, 3))
    groups = "".join(drawing.text() for drawing in groupDrawings(table, columns))
    sections = [
        ("Table 1", htmlTable(header, tableRows(table), numeric, (1, 2)) + left),
        ("Groups", f"<div class=figures>{groups}</div>" if groups else ""),
        ("Learning curves and dose", "".join(drawing.text() for drawing in curveDrawings(table, columns))),
        ("Sample size of the next trial", sizes if sampleSizes else ""),
        ("Methods", f"<ul class=small>{methods}</ul>"),
    ]
    subtitle = f"{sum(table.sizes)} procedures: {table.settings.groups[0]} against {table.settings.groups[1]}"
    return htmlPage(title, subtitle, sections)


def groupDrawings(table: CohortTable, columns: Columns) -> list[SvgDrawing]:
    """Strip and box plot of every number in the table."""
    group = np.asarray(columns["group"])
    found = []
    for row in table.rows:
        if row.column.kind == NUMBER:
            samples = {name: np.asarray(columns[row.column.name], float)[group == name] for name in table.settings.groups}
            found.append(groupDrawing(samples, row.column.label, row.column.unit or "number", table.settings.quantileRule))
    return found


def curveDrawings(table: CohortTable, columns: Columns) -> list[SvgDrawing]:
    """Learning curve per operator and dose per procedure, where the columns allow."""
    found = []
    if "operator" in columns and "operativeInjectionMin" in columns:
        curves = learningCurves(dict(columns))
        if curves:
            title = "CUSUM of operative time (first CT to last injection) against each operator's own mean: falling is faster"
            found.append(learningCurveDrawing(curves, title, "min"))
    if "operator" in columns and "technicalEfficacy" in columns:
        failing = failureCurves(dict(columns))
        if failing:
            found.append(learningCurveDrawing(failing, f"Technical efficacy: {failing[0].method}; each failure steps up", "score"))
    if "dlpMGyCm" in columns and np.isfinite(np.asarray(columns["dlpMGyCm"], float)).any():
        groups = [str(name) for name in columns["group"]]
        doses = np.asarray(columns["dlpMGyCm"], float)
        found.append(doseDrawing(doses, groups, "Dose length product per procedure", "mGy·cm", table.settings.groups))
    return found


def sampleSizeRows(sizes: Sequence[SampleSize]) -> list[tuple[str, ...]]:
    """(method, first group, second group, both with drop-outs)."""
    return [(size.method, str(size.first), str(size.second), f"{size.firstWithDropouts} + {size.secondWithDropouts}") for size in sizes]


def writeCohortReport(
    table: CohortTable,
    columns: Columns,
    path: str | Path,
    sampleSizes: Sequence[SampleSize] = (),
    title: str = "Cohort",
    notes: Sequence[str] = (),
) -> Path:
    """Write the page; it is there whole or not at all."""
    return writeWhole(path, cohortReportHtml(table, columns, sampleSizes, title, notes))
