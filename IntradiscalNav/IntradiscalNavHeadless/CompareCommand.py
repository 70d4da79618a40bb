"""``intradiscalnav compare``: two or more runs side by side, as numbers and as a page with overlaid paths and depth-error curves."""

from __future__ import annotations

import json
import pathlib
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from IntradiscalNavHeadless.CaseReview import reviewWithRecording
from IntradiscalNavLib.Recording.ComparisonPage import comparisonPage, comparisonRows
from IntradiscalNavLib.Recording.RunComparison import compareRuns
from ProcedureLogLib.WholeFile import writeWhole


def compare(
    paths: Annotated[list[pathlib.Path], typer.Argument(help="Scenes or case folders, two or more.")],
    output: Annotated[pathlib.Path | None, typer.Option(help="Page with overlaid paths and curves (.html).")] = None,
    asJson: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare recorded runs or operators."""
    comparison = compareRuns([reviewWithRecording(path) for path in paths])
    if output is not None:
        writeWhole(output, comparisonPage(comparison))
    if asJson:
        print(json.dumps({each.name: each.values for each in comparison.differences}))
        return
    table = Table(title="Comparison")
    for heading in ("", *(run.name for run in comparison.runs), "spread"):
        table.add_column(heading)
    for row in comparisonRows(comparison):
        table.add_row(*row)
    Console().print(table)
