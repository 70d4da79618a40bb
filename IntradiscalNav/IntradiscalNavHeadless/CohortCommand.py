"""``intradiscalnav cohort``: many procedures to Table 1, plots, sample size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from ProcedureLogLib.CaseRegistry import CaseRegistry, Columns, readSummaryCsv, writeSummaryCsv
from ProcedureLogLib.Cohort import PUBLISHED_NOTE, CohortSettings, CohortTable, buildCohortTable
from ProcedureLogLib.CohortReport import tableHeader, tableRows, writeCohortReport
from ProcedureLogLib.NextTrial import nextTrialSizes
from ProcedureLogLib.ProcedureSummary import ALL_COLUMNS
from ProcedureLogLib.PublishedCohort import publishedRows
from ProcedureLogLib.RankTest import RankVariant
from ProcedureLogLib.RedcapExport import writeRedcapDictionary, writeRedcapImport
from ProcedureLogLib.SampleSize import SampleSize, sampleSizeMeans, sampleSizeProportions, sampleSizeSuperiority

cohortApp = typer.Typer(no_args_is_help=True, help="Statistics over many procedures: Table 1, plots, sample size.")
console = Console()

VARIANTS = {"asymptotic": RankVariant.ASYMPTOTIC, "continuity": RankVariant.ASYMPTOTIC_CONTINUITY, "exact": RankVariant.EXACT}
Source = Annotated[Path, typer.Argument(help="Folder of case folders, registry file (.sqlite), or CSV with a column 'group'.")]


def openRegistry(source: Path) -> CaseRegistry:
    """Registry of a source; a folder or CSV file is read into memory. Raises ValueError where nothing is found."""
    if source.is_dir():
        registry = CaseRegistry()
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Reading cases", total=None)
            found = registry.addCaseFolders(source, lambda done, all_: progress.update(task, completed=done, total=all_))
        for folder, reason in found.failed:
            typer.echo(f"skipped {folder}: {reason}", err=True)
        if not found.added:
            raise ValueError(f"No case folder was found below {source}")
        return registry
    if source.suffix.lower() == ".csv":
        registry = CaseRegistry()
        registry.addSummaries(readSummaryCsv(source))
        return registry
    if not source.exists():
        raise ValueError(f"{source} does not exist")
    return CaseRegistry(source)


def _filters(pairs: Sequence[str]) -> dict[str, Any]:
    """column=value, or column=low..high for a range."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, mark, text = pair.partition("=")
        if not mark:
            raise ValueError(f"'{pair}' is not of the form column=value or column=low..high")
        low, dots, high = text.partition("..")
        if dots:
            found[name] = tuple(None if not each else (each if name == "day" else float(each)) for each in (low, high))
        else:
            found[name] = text
    return found


def _print(table: CohortTable) -> None:
    shown = Table(*tableHeader(table))
    for row in tableRows(table):
        shown.add_row(*row)
    console.print(shown)
    if table.leftOut:
        console.print(f"{table.leftOut} procedures of other or no group are left out.")
    for note in table.notes:
        console.print(f"[dim]{note}[/dim]")


def _toJson(table: CohortTable) -> str:
    rows = []
    for row in table.rows:
        first, second = row.texts()
        entry: dict[str, Any] = {"variable": row.column.name, "first": first, "second": second, "p": row.pValue, "pHolm": row.holmP}
        if row.rank is not None:
            entry |= {"test": row.rank.name(), "u": row.rank.uFirst, "pMatlab": None if row.matlab is None else row.matlab.pValue}
        if row.fisher is not None:
            entry["test"] = row.fisher.name()
        if row.effect is not None:
            entry |= {"effect": row.effect.estimate, "effectLow": row.effect.low, "effectHigh": row.effect.high}
        rows.append(entry)
    content = {"groups": dict(zip(table.settings.groups, table.sizes)), "rows": rows, "notes": list(table.notes), "leftOut": table.leftOut}
    return json.dumps(content, ensure_ascii=False, indent=1)


def _write(table: CohortTable, columns: Columns, html: Path | None, pdf: Path | None, notes: Sequence[str] = ()) -> None:
    sizes = nextTrialSizes(table, columns)
    if html is not None:
        typer.echo(writeCohortReport(table, columns, html, sizes, notes=notes), err=True)
    if pdf is not None:
        from ProcedureLogLib.PdfReport import cohortReportPdf, writePdf

        typer.echo(writePdf(cohortReportPdf(table, columns, sizes, notes=notes), pdf), err=True)


@cohortApp.command("table")
def table(
    source: Source,
    groups: Annotated[str, typer.Option(help="The two groups, separated by a comma.")] = "fusion,control",
    variant: Annotated[str, typer.Option(help="Mann-Whitney variant: asymptotic, continuity, exact.")] = "asymptotic",
    quantiles: Annotated[str, typer.Option(help="Quantile rule: hazen, linear, weibull.")] = "hazen",
    effect: Annotated[str, typer.Option(help="Effect size: shift (Hodges-Lehmann) or delta (Cliff).")] = "shift",
    where: Annotated[list[str] | None, typer.Option(help="Filter column=value or column=low..high, several times.")] = None,
    html: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="PDF report to write.")] = None,
    csvFile: Annotated[Path | None, typer.Option("--csv", help="CSV of the procedures to write.")] = None,
    redcap: Annotated[Path | None, typer.Option(help="Folder for a REDCap data dictionary and import file.")] = None,
    asJson: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Table 1 with named tests and effect sizes; HTML, PDF, CSV and REDCap files on request."""
    if variant not in VARIANTS:
        raise ValueError(f"Unknown variant '{variant}'; known are {', '.join(VARIANTS)}")
    names = [name.strip() for name in groups.split(",")]
    if len(names) != 2:
        raise ValueError(f"--groups needs two names separated by a comma, not '{groups}'")
    settings = CohortSettings((names[0], names[1]), VARIANTS[variant], quantiles, effect=effect)
    with openRegistry(source) as registry:
        filters = _filters(where or [])
        columns = registry.columns(ALL_COLUMNS, filters)
        made = buildCohortTable(columns, settings)
        rows = registry.rows(filters, limit=-1) if csvFile is not None or redcap is not None else []
    typer.echo(_toJson(made)) if asJson else _print(made)
    _write(made, columns, html, pdf)
    if csvFile is not None:
        typer.echo(writeSummaryCsv(rows, csvFile), err=True)
    if redcap is not None:
        typer.echo(writeRedcapDictionary(redcap / "redcap-dictionary.csv"), err=True)
        typer.echo(writeRedcapImport(rows, redcap / "redcap-import.csv"), err=True)


@cohortApp.command("published")
def published(
    html: Annotated[Path | None, typer.Option(help="HTML report to write.")] = None,
    pdf: Annotated[Path | None, typer.Option(help="PDF report to write.")] = None,
    asJson: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """The published Table 1 out of a data set consistent with it (not the authors' data)."""
    with CaseRegistry() as registry:
        registry.addSummaries(publishedRows())
        columns = registry.columns(ALL_COLUMNS)
    made = buildCohortTable(columns)
    typer.echo(_toJson(made)) if asJson else _print(made)
    if not asJson:
        console.print(f"[dim]{PUBLISHED_NOTE}[/dim]")
    _write(made, columns, html, pdf, (PUBLISHED_NOTE,))


@cohortApp.command("list")
def listCases(
    source: Source,
    where: Annotated[list[str] | None, typer.Option(help="Filter column=value or column=low..high, several times.")] = None,
    order: Annotated[str, typer.Option(help="Column to sort by.")] = "day",
    limit: Annotated[int, typer.Option(min=1, help="Lines to show.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Lines to pass over.")] = 0,
) -> None:
    """List procedures of a registry, filtered and sorted."""
    filters = _filters(where or [])
    names = (
        "pseudonym",
        "day",
        "group",
        "level",
        "operator",
        "ctPasses",
        "operativeInjectionMin",
        "roomMin",
        "dlpMGyCm",
        "technicalSuccess",
    )
    with openRegistry(source) as registry:
        shown = Table(*names)
        for row in registry.rows(filters, orderBy=order, limit=limit, offset=offset):
            shown.add_row(
                *("" if row[name] is None else f"{row[name]:g}" if isinstance(row[name], float) else str(row[name]) for name in names)
            )
        console.print(shown)
        console.print(f"{registry.count(filters)} procedures")


@cohortApp.command("registry")
def buildRegistry(
    source: Annotated[Path, typer.Argument(help="Folder of case folders, or CSV.")],
    target: Annotated[Path, typer.Argument(help="Registry file (.sqlite) to make or bring up to date.")],
) -> None:
    """Read case folders or a CSV file into a registry file."""
    with CaseRegistry(target) as registry:
        if source.is_dir():
            found = registry.addCaseFolders(source)
            for folder, reason in found.failed:
                typer.echo(f"skipped {folder}: {reason}", err=True)
        else:
            registry.addSummaries(readSummaryCsv(source))
        typer.echo(f"{registry.count()} procedures in {target}")


@cohortApp.command("sample-size")
def sampleSize(
    superiority: Annotated[float | None, typer.Option(help="P(a fusion procedure takes less than a control one).")] = None,
    difference: Annotated[float | None, typer.Option(help="Difference of means; needs --sd, twice.")] = None,
    sd: Annotated[list[float] | None, typer.Option(help="SD of each group, twice.")] = None,
    proportions: Annotated[tuple[float, float] | None, typer.Option(help="Proportions of both groups.")] = None,
    power: Annotated[float, typer.Option(help="Power.")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Two-sided alpha.")] = 0.05,
    dropout: Annotated[float, typer.Option(help="Expected share of drop-outs.")] = 0.0,
) -> None:
    """Number of procedures the next trial needs."""
    found: list[SampleSize] = []
    if superiority is not None:
        found.append(sampleSizeSuperiority(superiority, power, alpha, dropout=dropout))
    if difference is not None:
        if not sd or len(sd) != 2:
            raise ValueError("--difference needs --sd for each of the two groups")
        found.append(sampleSizeMeans(difference, sd[0], sd[1], power, alpha, dropout=dropout))
    if proportions is not None:
        found.append(sampleSizeProportions(*proportions, power, alpha, dropout=dropout))
    if not found:
        raise ValueError("Give --superiority, --difference with --sd, or --proportions")
    for size in found:
        typer.echo(f"{size.first} + {size.second} ({size.firstWithDropouts} + {size.secondWithDropouts} with drop-outs): {size.method}")
