"""``intradiscalnav plan CT``: plan one patient or a list of patients; a case that fails never stops the others."""

from __future__ import annotations

import csv
import json
import pathlib
import sys
import time
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from IntradiscalNavHeadless.PlanInput import PlanCase, loadAnatomy, parsePoint
from IntradiscalNavLib.Planning.LevelEvidence import levelEvidence
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Planning.SessionPlan import planSession

EXIT_CASE_FAILED = 1
LIST_COLUMNS = ("name", "ct", "segmentation", "level", "side", "names", "upperEndplate", "lowerEndplate")


@dataclass(frozen=True)
class CaseOutcome:
    """What became of a case: the plan's summary, or the error in words; ``files`` were written."""

    name: str
    feasible: bool
    summary: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    files: tuple[str, ...] = ()
    seconds: float = 0.0


def plan(
    ct: Annotated[pathlib.Path | None, typer.Argument(help="CT: NIfTI, NRRD, MetaImage or a DICOM folder.")] = None,
    segmentation: Annotated[
        pathlib.Path | None, typer.Option(help="Label map or .seg.nrrd; without names TotalSegmentator numbers are taken.")
    ] = None,
    level: Annotated[str, typer.Option(help="Disc, such as L4-L5.")] = "L4-L5",
    side: Annotated[str, typer.Option(help="left, right or both.")] = "left",
    names: Annotated[pathlib.Path | None, typer.Option(help="JSON file of segment names by label value.")] = None,
    upperEndplate: Annotated[
        str, typer.Option("--upper-endplate", help="Without segmentation: click on the disc's upper endplate, R,A,S in mm.")
    ] = "",
    lowerEndplate: Annotated[
        str, typer.Option("--lower-endplate", help="Without segmentation: click on the disc's lower endplate, R,A,S in mm.")
    ] = "",
    patients: Annotated[
        pathlib.Path | None,
        typer.Option("--list", help=f"CSV of patients with the columns {', '.join(LIST_COLUMNS)}; name and ct are needed."),
    ] = None,
    session: Annotated[bool, typer.Option("--session", help="Plan the six facet joints L3-S1 along with the disc.")] = False,
    parameters: Annotated[pathlib.Path | None, typer.Option(help="JSON file of planning parameters that differ from the defaults.")] = None,
    output: Annotated[
        pathlib.Path | None, typer.Option(help="Folder for plan.json, plan.csv and plan.html (one folder per patient).")
    ] = None,
    pictures: Annotated[bool, typer.Option(help="Put pictures into the page.")] = True,
    asJson: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Plan the best needle paths to a disc.

    Ends with code 1 when a patient of the list could not be planned because of an error, and with 0 when no path is legal: that is an
    answer.
    """
    chosen = _readParameters(parameters)
    if (ct is None) == (patients is None):
        raise ValueError("Give one CT, or a list of patients with --list.")
    console = Console(stderr=asJson)
    if ct is not None:
        case = PlanCase(
            _stem(ct),
            ct,
            segmentation,
            level,
            side,
            names,
            parsePoint(upperEndplate, "upper endplate") if upperEndplate else None,
            parsePoint(lowerEndplate, "lower endplate") if lowerEndplate else None,
        )
        outcomes = [planCase(case, chosen, output, session=session, pictures=pictures)]
        _show(console, outcomes[0])
    else:
        assert patients is not None
        cases, outcomes = readPatientList(patients, level, side)
        outcomes = [*outcomes, *planMany(cases, chosen, output, session=session, pictures=pictures, console=console)]
        _showMany(console, outcomes)
    if asJson:
        sys.stdout.write(json.dumps([_asDict(outcome) for outcome in outcomes] if patients else _asDict(outcomes[0]), indent=2) + "\n")
    if patients is not None and any(outcome.error for outcome in outcomes):
        raise typer.Exit(EXIT_CASE_FAILED)


def planCase(
    case: PlanCase, parameters: PlanningParameters, output: pathlib.Path | None, *, session: bool = False, pictures: bool = True
) -> CaseOutcome:
    """Plan one case and write its files.

    :raises ValueError, OSError: naming what is wrong with the case.
    """
    from IntradiscalNavLib.Planning.PlanSerialization import planToDict, sessionToDict, trajectoriesToCsv

    start = time.perf_counter()
    anatomy, ct = loadAnatomy(case)
    found = planTrajectories(anatomy, case.level, case.side, parameters)
    together = None
    if session:
        discSide = found.best[0].side if found.best else ("left" if case.side == "both" else case.side)
        together = planSession(anatomy, case.level, discSide, parameters)
    summary = planToDict(found, parameters)
    summary["levelEvidence"] = list(levelEvidence(anatomy, case.level))
    if together is not None:
        summary["session"] = sessionToDict(together)
    files = []
    if output is not None:
        from IntradiscalNavLib.Planning.PlanReport import planPictures, planReport, writeReport

        output.mkdir(parents=True, exist_ok=True)
        shown = list(found.best) or [reason.nearest for reason in found.infeasible.values() if reason.nearest is not None]
        drawn = planPictures(anatomy, ct.voxels, ct.ijkToRas, found, shown) if pictures else []
        title = f"Plan {case.name}: {found.kind} {case.level}, {case.side}"
        writeReport(output / "plan.html", planReport(title, anatomy, found, parameters, drawn, together, ct.warnings))
        (output / "plan.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
        rows = [*shown, *(step.trajectory for step in together.steps if step.target.kind == "facet")] if together is not None else shown
        (output / "plan.csv").write_text(trajectoriesToCsv(rows), encoding="utf-8")
        files = [str(output / name) for name in ("plan.html", "plan.json", "plan.csv")]
    return CaseOutcome(case.name, found.feasible, summary, "", tuple(files), time.perf_counter() - start)


def planMany(
    cases: list[PlanCase],
    parameters: PlanningParameters,
    output: pathlib.Path | None,
    *,
    session: bool = False,
    pictures: bool = True,
    console: Console | None = None,
) -> list[CaseOutcome]:
    """Plan the cases one after the other with progress; an error becomes that case's outcome."""
    outcomes = []
    shown = console or Console(quiet=True)
    columns = (TextColumn("[progress.description]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown) as progress:
        task = progress.add_task("planning", total=len(cases))
        for case in cases:
            progress.update(task, description=case.name)
            try:
                outcomes.append(
                    planCase(case, parameters, None if output is None else output / _safe(case.name), session=session, pictures=pictures)
                )
            except Exception as error:  # noqa: BLE001  one failing case must never stop the rest, whatever it fails with
                outcomes.append(CaseOutcome(case.name, False, error=f"{type(error).__name__}: {error}"))
            progress.advance(task)
    return outcomes


def readPatientList(path: pathlib.Path, level: str, side: str) -> tuple[list[PlanCase], list[CaseOutcome]]:
    """Cases of a CSV list, and an outcome for each line that says too little. Relative paths count from the list's folder.

    :raises ValueError: when the file is missing or has no columns ``name`` and ``ct``.
    """
    if not path.exists():
        raise ValueError(f"The list of patients {path} does not exist.")
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        if not reader.fieldnames or "ct" not in reader.fieldnames or "name" not in reader.fieldnames:
            raise ValueError(
                f"The list {path.name} needs a first line with the columns name and ct; also possible: {', '.join(LIST_COLUMNS[2:])}."
            )
        rows = list(reader)
    cases: list[PlanCase] = []
    bad: list[CaseOutcome] = []
    for number, row in enumerate(rows, start=2):
        name = (row.get("name") or f"line {number}").strip()
        values = {column: (row.get(column) or "").strip() for column in LIST_COLUMNS}
        try:
            if not values["ct"]:
                raise ValueError(f"line {number} names no CT")
            cases.append(
                PlanCase(
                    name,
                    path.parent / values["ct"],
                    path.parent / values["segmentation"] if values["segmentation"] else None,
                    values["level"] or level,
                    values["side"] or side,
                    path.parent / values["names"] if values["names"] else None,
                    parsePoint(values["upperEndplate"], "upper endplate") if values["upperEndplate"] else None,
                    parsePoint(values["lowerEndplate"], "lower endplate") if values["lowerEndplate"] else None,
                )
            )
        except ValueError as error:
            bad.append(CaseOutcome(name, False, error=str(error)))
    return cases, bad


def _readParameters(path: pathlib.Path | None) -> PlanningParameters:
    if path is None:
        return PlanningParameters()
    try:
        return PlanningParameters.fromDict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(f"The parameters {path} cannot be read ({error}).") from error


def _stem(path: pathlib.Path) -> str:
    return path.name.split(".")[0] or path.resolve().name


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name).strip(".") or "case"


def _asDict(outcome: CaseOutcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "error": outcome.error or None,
        "seconds": round(outcome.seconds, 3),
        "files": list(outcome.files),
        **outcome.summary,
    }


def _show(console: Console, outcome: CaseOutcome) -> None:
    console.print(f"[bold]Level to be confirmed:[/bold] {'; '.join(outcome.summary['levelEvidence'])}.", highlight=False)
    for warning in outcome.summary["warnings"]:
        console.print(f"[yellow]{warning}[/yellow]", highlight=False)
    for reason in outcome.summary["infeasible"].values():
        console.print(f"[bold red]{reason['sentence']}[/bold red]", highlight=False)
    paths = outcome.summary["best"] or [r["nearest"] for r in outcome.summary["infeasible"].values() if r["nearest"]]
    table = Table("path", "side", "inclination", "tilt", "entry mm", "depth mm", "P(violation)", "score", "limited by")
    for path in paths:
        table.add_row(
            path["name"],
            path["side"],
            f"{path['medialInclinationDeg']:.0f}°",
            f"{path['caudalTiltDeg']:.0f}°",
            f"{path['entryDistanceStraightMm']:.0f}",
            f"{path['lengthMm']:.0f}",
            f"{100 * path['violationProbability']:.0f} %",
            f"{path['score']:.2f}",
            path["limitedBy"],
        )
    console.print(table)
    session = outcome.summary.get("session")
    if session:
        for step in session["steps"]:
            console.print(f"{step['order']}. {step['target']}, needle {step['needleLengthMm']:.0f} mm: {step['reason']}", highlight=False)
        for name, why in session["unplanned"].items():
            console.print(f"[yellow]not planned: {name}: {why}[/yellow]", highlight=False)
    for file in outcome.files:
        console.print(f"written: {file}", highlight=False)
    console.print(f"{outcome.summary['candidateCount']:,} candidates in {outcome.seconds:.1f} s with reading and writing")


def _showMany(console: Console, outcomes: list[CaseOutcome]) -> None:
    table = Table("patient", "result", "best path")
    for outcome in outcomes:
        if outcome.error:
            table.add_row(outcome.name, "[red]failed[/red]", outcome.error)
        elif outcome.feasible:
            best = outcome.summary["best"][0]
            table.add_row(
                outcome.name,
                "planned",
                f"{best['side']} {best['medialInclinationDeg']:.0f}°, {best['lengthMm']:.0f} mm, score {best['score']:.2f}",
            )
        else:
            table.add_row(outcome.name, "[yellow]no legal path[/yellow]", next(iter(outcome.summary["infeasible"].values()))["sentence"])
    console.print(table)
