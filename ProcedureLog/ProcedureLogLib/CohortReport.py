"""Report of a cohort as a self-contained HTML page: Table 1, plots, methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .Cohort import CohortRow, CohortTable, pText
from .CurvePlot import dosePlot, learningCurvePlot
from .GroupPlot import groupPlot
from .HtmlPage import htmlPage, htmlTable, writeWhole
from .LearningCurve import learningCurves
from .ProcedureSummary import NUMBER
from .SampleSize import SampleSize

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
    sizes = htmlTable(
        ("Method", table.settings.groups[0], table.settings.groups[1], "with drop-outs"),
        ((size.method, size.first, size.second, f"{size.firstWithDropouts} + {size.secondWithDropouts}") for size in sampleSizes),
        (1, 2, 3),
    )
    sections = [
        ("Table 1", htmlTable(header, tableRows(table), numeric) + left),
        ("Groups", _groupPlots(table, columns)),
        ("Learning curves", _curves(columns)),
        ("Dose", _dose(columns)),
        ("Sample size of the next trial", sizes if sampleSizes else ""),
        ("Methods", f"<ul class=small>{methods}</ul>"),
    ]
    subtitle = f"{sum(table.sizes)} procedures: {table.settings.groups[0]} against {table.settings.groups[1]}"
    return htmlPage(title, subtitle, sections)


def _groupPlots(table: CohortTable, columns: Columns) -> str:
    group = np.asarray(columns["group"])
    parts = []
    for row in table.rows:
        if row.column.kind == NUMBER:
            samples = {name: np.asarray(columns[row.column.name], float)[group == name] for name in table.settings.groups}
            parts.append(groupPlot(samples, row.column.label, row.column.unit or "number", table.settings.quantileRule))
    return f"<div class=figures>{''.join(parts)}</div>" if parts else ""


def _curves(columns: Columns) -> str:
    if "operator" not in columns or "operativeInjectionMin" not in columns:
        return ""
    curves = learningCurves(dict(columns))
    if not curves:
        return ""
    note = f"<p class=small>{escape(curves[0].method.split('(')[0])}: falling means faster than the operator's own mean.</p>"
    return learningCurvePlot(curves, "Operative time (first CT to last injection), CUSUM per operator", "min") + note


def _dose(columns: Columns) -> str:
    if "dlpMGyCm" not in columns or not np.isfinite(np.asarray(columns["dlpMGyCm"], float)).any():
        return ""
    groups = [str(name) for name in columns["group"]]
    return dosePlot(np.asarray(columns["dlpMGyCm"], float), groups, "Dose length product per procedure", "mGy·cm")


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
