"""``intradiscalnav log``: keep, count, report and check the log of a procedure."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from IntradiscalNavHeadless import LogDicomCommand
from IntradiscalNavHeadless.CaseOpening import openCase
from ProcedureLogLib.CaseIdentity import createIdentity
from ProcedureLogLib.Clock import WORKSTATION, ClockOffset, ClockTime, clockTime
from ProcedureLogLib.DicomIdentifiers import collectIdentifiers, personIdentifiers
from ProcedureLogLib.HeaderScan import filesUnder
from ProcedureLogLib.LeakCheck import checkLeaks
from ProcedureLogLib.LogExport import recordToJson, writeCaseCsv, writeCaseJson
from ProcedureLogLib.ProcedureDetails import FIELD_BY_NAME, checkDetail
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureRecord import logClockOffset, recordOf
from ProcedureLogLib.ProcedureReport import eventRows, keyFigures, timeRows, writeProcedureReport
from ProcedureLogLib.ProcedureStore import DATABASE_FILE, ProcedureStore
from ProcedureLogLib.ProcedureSummary import summaryOf
from ProcedureLogLib.RedcapExport import writeRedcapDictionary, writeRedcapImport

logApp = typer.Typer(no_args_is_help=True, help="Log of a procedure: events, CT passes, dose, report, export, leak check.")
console = Console()

CaseFolder = Annotated[Path, typer.Argument(help="Case folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


def _when(text: str, clock: str) -> ClockTime | None:
    if text:
        return clockTime(text, clock)
    if clock != WORKSTATION:
        raise ValueError(f"A time on the clock '{clock}' must be given with --time")
    return None


def _values(pairs: list[str]) -> dict[str, Any]:
    """name=value options; a value is read as JSON where it is JSON, else as text."""
    found: dict[str, Any] = {}
    for pair in pairs:
        name, mark, text = pair.partition("=")
        if not mark or not name:
            raise ValueError(f"'{pair}' is not of the form name=value")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


@logApp.command("add")
def add(
    case: CaseFolder,
    kind: Annotated[EventKind, typer.Argument(help="What happened.")],
    text: Annotated[str, typer.Option(help="Words to it.")] = "",
    value: Annotated[list[str] | None, typer.Option(help="name=value, several times; e.g. volumeMl=20")] = None,
    when: Annotated[str, typer.Option("--time", help="ISO date and time; now where not given.")] = "",
    clock: Annotated[str, typer.Option(help="Clock that showed the time: workstation, scanner, hospital.")] = WORKSTATION,
    author: Annotated[str, typer.Option(help="Who notes it (code).")] = "",
) -> None:
    """Add an event; the case folder is made where it doesn't exist. It is on the disk when this returns."""
    moment, values = _when(when, clock), _values(value or [])
    with openCase(case, create=True) as store:
        event = store.addEvent(kind, time=moment, text=text, values=values, author=author)
        typer.echo(f"{event.eventId}")


@logApp.command("identity")
def identity(
    case: CaseFolder,
    patientId: Annotated[str, typer.Option("--patient-id", help="Patient's ID.")],
    patientName: Annotated[str, typer.Option("--patient-name", help="Family^Given.")] = "",
    birthDate: Annotated[str, typer.Option("--birth-date", help="YYYYMMDD.")] = "",
    pseudonym: Annotated[str, typer.Option(help="Pseudonym; made up where not given.")] = "",
    studySecret: Annotated[str, typer.Option("--study-secret", help="Same for all cases of a study: who comes twice keeps the name.")] = "",
) -> None:
    """Make a case for a patient. The identity goes into its own file, nowhere else."""
    if (case / DATABASE_FILE).exists():
        raise ValueError(f"{case} is a case already; its identity isn't changed")
    person = {"patientId": patientId, "patientName": patientName, "birthDate": birthDate}
    with ProcedureStore(case, createIdentity({name: value for name, value in person.items() if value}, pseudonym, studySecret)) as store:
        typer.echo(store.pseudonym)


@logApp.command("correct")
def correct(
    case: CaseFolder,
    eventId: Annotated[str, typer.Argument(help="Entry to correct (printed by add and show).")],
    text: Annotated[str | None, typer.Option(help="New words.")] = None,
    value: Annotated[list[str] | None, typer.Option(help="name=value, several times.")] = None,
    when: Annotated[str, typer.Option("--time", help="New ISO date and time.")] = "",
    clock: Annotated[str, typer.Option(help="Clock of the new time.")] = WORKSTATION,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the entry out of the numbers.")] = False,
    reason: Annotated[str, typer.Option(help="Why.")] = "",
    author: Annotated[str, typer.Option(help="Who (code).")] = "",
) -> None:
    """Correct or withdraw an entry; the old value stays in its history."""
    with openCase(case) as store:
        try:
            event = store.correctEvent(
                eventId,
                time=_when(when, clock) if when else None,
                text=text,
                values=_values(value or []),
                reason=reason,
                author=author,
                withdrawn=True if withdraw else None,
            )
        except KeyError as error:
            raise ValueError(str(error.args[0])) from error
        typer.echo(f"revision {event.revision}")


@logApp.command("set")
def setFact(
    case: CaseFolder,
    name: Annotated[str, typer.Argument(help=f"Fact: {', '.join(list(FIELD_BY_NAME)[:13])}, pain:before, ...")],
    value: Annotated[str, typer.Argument(help="Its value.")],
    author: Annotated[str, typer.Option(help="Who (code).")] = "",
) -> None:
    """Set a fact about the procedure, the outcome included."""
    field = FIELD_BY_NAME.get(name)
    typed: Any = value
    if field is not None and field.kind == "number":
        try:
            typed = float(value)
        except ValueError as error:
            raise ValueError(f"{field.label} must be a number, not '{value}'") from error
    doubt = checkDetail(name, typed)
    with openCase(case, create=True) as store:
        store.setDetail(name, typed, author=author)
    if doubt:
        typer.echo(f"Check: {doubt}", err=True)


@logApp.command("clock")
def clockOffset(
    case: CaseFolder,
    clock: Annotated[str, typer.Argument(help="Clock, e.g. scanner.")],
    reference: Annotated[str, typer.Argument(help="Clock it is compared with, e.g. workstation.")],
    offsetSec: Annotated[float, typer.Option("--offset-sec", help="Seconds that `clock` shows more than `reference`.")],
    uncertaintySec: Annotated[float, typer.Option("--uncertainty-sec", min=0.0, help="How sure, ± seconds.")],
) -> None:
    """Enter the offset between two clocks."""
    with openCase(case, create=True) as store:
        logClockOffset(store, ClockOffset(clock, reference, offsetSec, uncertaintySec))


@logApp.command("show")
def show(
    case: CaseFolder, asJson: AsJson = False, trail: Annotated[bool, typer.Option("--trail", help="Show every revision.")] = False
) -> None:
    """Show the record: key figures, times, entries."""
    with openCase(case) as store:
        record = recordOf(store)
        if asJson:
            typer.echo(json.dumps(recordToJson(record), ensure_ascii=False, indent=1))
            return
        console.print(f"[bold]Procedure {record.pseudonym}[/bold]")
        for figure, name in keyFigures(record):
            console.print(f"  {figure}  [dim]{name}[/dim]")
        for name, minutes, note in timeRows(record):
            console.print(f"  {name}: {minutes} {'' if minutes == 'not given' else 'min '}[dim]{note}[/dim]")
        for warning in record.warnings:
            console.print(f"  [yellow]check:[/yellow] {warning}")
        table = Table("Time", "Event", "Entry", "Noted by")
        for row in eventRows(record):
            table.add_row(*row)
        console.print(table)
        if trail:
            history = Table("Entry", "Revision", "Author", "Reason", "Values", title="Audit trail")
            for event in store.auditTrail():
                values = json.dumps(dict(event.values), ensure_ascii=False)
                history.add_row(event.eventId[:20], str(event.revision), event.author, event.reason, values)
            console.print(history)


logApp.command("count-ct")(LogDicomCommand.countCt)
logApp.command("listen")(LogDicomCommand.listen)


@logApp.command("report")
def report(
    case: CaseFolder,
    html: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("procedure.html"),
    pdf: Annotated[Path | None, typer.Option(help="PDF file to write too.")] = None,
    picture: Annotated[list[Path] | None, typer.Option(help="PNG or JPEG to embed, several times.")] = None,
    archive: Annotated[Path | None, typer.Option(help="DICOM encapsulated PDF for the archive; carries the patient's identity.")] = None,
) -> None:
    """Write the report of a procedure."""
    pictures: dict[str, str | Path | bytes] = {path.stem: path for path in picture or []}
    with openCase(case) as store:
        record = recordOf(store)
        person = {} if store.identity is None else dict(store.identity.person)
    typer.echo(writeProcedureReport(record, pictures, html))
    if pdf is None and archive is None:
        return
    from ProcedureLogLib.EncapsulatedPdf import ArchivePatient, writeEncapsulatedPdf
    from ProcedureLogLib.PdfReport import procedureReportPdf, writePdf

    data = procedureReportPdf(record, pictures)
    if pdf is not None:
        typer.echo(writePdf(data, pdf))
    if archive is not None:
        known = {
            name: str(person.get(name, "")) for name in ("patientName", "patientId", "birthDate", "sex", "studyUid", "accessionNumber")
        }
        typer.echo(writeEncapsulatedPdf(data, ArchivePatient(**known), f"Procedure {record.pseudonym}", datetime.now(), archive))


@logApp.command("export")
def export(
    case: CaseFolder,
    folder: Annotated[Path, typer.Argument(help="Folder for JSON, CSV, REDCap files and the report.")],
    source: Annotated[list[Path] | None, typer.Option(help="The source DICOM: the export is checked against it.")] = None,
) -> None:
    """Export under the pseudonym, then look for every known identifier in what was written; exit code 1 when one is found."""
    folder.mkdir(parents=True, exist_ok=True)
    with openCase(case) as store:
        record = recordOf(store)
        person = store.identity.person if store.identity is not None else {}
        writeCaseJson(store, folder / "case.json")
        writeCaseCsv(store, folder / "events.csv")
        writeRedcapDictionary(folder / "redcap-dictionary.csv")
        writeRedcapImport([summaryOf(record, store.caseId)], folder / "redcap-import.csv")
        writeProcedureReport(record, {}, folder / "procedure.html")
    identifiers = personIdentifiers(person.items()) | collectIdentifiers(filesUnder(source or []))
    found = checkLeaks([folder], identifiers)
    typer.echo(found.text())
    if not found.isClean:
        raise typer.Exit(1)


@logApp.command("check")
def check(
    places: Annotated[list[Path], typer.Argument(help="Files or folders that leave the house (.mrb, .html, .csv, ...).")],
    source: Annotated[list[Path], typer.Option(help="The source DICOM whose identifiers must not be in them.")],
) -> None:
    """Prove that no identifier of the source DICOM is in the files; exit code 1 when one is, or when a file can't be searched."""
    found = checkLeaks(places, collectIdentifiers(filesUnder(source)))
    typer.echo(found.text())
    if not found.isClean:
        raise typer.Exit(1)


@logApp.command("forget-identity")
def forgetIdentity(case: CaseFolder, yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False) -> None:
    """Delete the identity file: the case can't be traced back any more and takes no new times."""
    if not yes:
        typer.confirm("Delete the identity file for good?", abort=True)
    with openCase(case) as store:
        typer.echo("Deleted." if store.removeIdentity() else "There was none.")
