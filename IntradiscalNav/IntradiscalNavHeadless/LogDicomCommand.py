"""``intradiscalnav log count-ct`` and ``log listen``: CT passes and dose from DICOM, out of files or live from the scanner."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from IntradiscalNavHeadless.CaseOpening import openCase
from ProcedureLogLib.CtAcquisition import DEFAULT_SHOT_GAP_SEC
from ProcedureLogLib.CtPasses import CountingRule, CtPassCount, classifyAgain, countCtPasses
from ProcedureLogLib.CtPassLog import lastInjectionIn, logCtPasses
from ProcedureLogLib.DicomListener import DicomListener
from ProcedureLogLib.DoseReport import AcquisitionKind
from ProcedureLogLib.DoseUnits import DEFAULT_DOSE_FACTOR, DoseFactor
from ProcedureLogLib.LivePasses import LivePasses, LiveState
from ProcedureLogLib.ProcedureRecord import clockTableOf

console = Console()

Counted = Annotated[str, typer.Option("--count", help="Kinds that count as passes, separated by commas.")]
Separate = Annotated[str, typer.Option("--separate", help="Kinds counted separately, separated by commas.")]
ShotGap = Annotated[float, typer.Option("--shot-gap-sec", min=0.0, help="Without event UIDs, a pause longer than this is a new actuation.")]
COUNTED_DEFAULT = ",".join(kind.value for kind in CountingRule().countedKinds)
SEPARATE_DEFAULT = ",".join(kind.value for kind in CountingRule().separateKinds)


def _kinds(text: str) -> tuple[AcquisitionKind, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [kind.value for kind in AcquisitionKind]
    for name in names:
        if name not in known:
            raise ValueError(f"'{name}' is no kind of acquisition; known are {', '.join(known)}")
    return tuple(AcquisitionKind(name) for name in names)


def _zone(name: str) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError(f"'{name}' is no time zone; write it like Europe/Rome") from error


def _showCount(count: CtPassCount, asJson: bool) -> None:
    if asJson:
        rows = [
            {
                "counted": entry.counted,
                "number": entry.number,
                "class": entry.passClass.value,
                "kind": entry.acquisition.kind.value,
                "start": None if entry.acquisition.first is None else entry.acquisition.first.isoText(),
                "ctdiVolMGy": entry.acquisition.ctdiVolMGy,
                "dlpMGyCm": entry.acquisition.dlpMGyCm,
                "why": entry.why,
            }
            for entry in count.acquisitions
        ]
        content = {
            "ctPasses": count.passCount,
            "countedSeparately": count.separateCount,
            "localizers": count.localizerCount,
            "rule": count.rule.text(),
            "dlpTotalMGyCm": count.dlpTotalMGyCm,
            "dlpSource": count.dlpSource,
            "warnings": list(count.warnings),
            "skipped": [{"path": entry.path, "reason": entry.reason} for entry in count.skipped],
            "acquisitions": rows,
        }
        typer.echo(json.dumps(content, ensure_ascii=False, indent=1))
        return
    table = Table("Pass", "Start", "Acquisition", "Class", "DLP mGy·cm", "Why counted or not")
    for entry in count.acquisitions:
        start = "" if entry.acquisition.first is None else f"{entry.acquisition.first.face:%H:%M:%S}"
        dlp = "" if entry.acquisition.dlpMGyCm is None else f"{entry.acquisition.dlpMGyCm:.2f}"
        table.add_row(str(entry.number or "-"), start, entry.acquisition.kind.value, entry.passClass.value, dlp, entry.why)
    console.print(table)
    total = "not known" if count.dlpTotalMGyCm is None else f"{count.dlpTotalMGyCm:.2f} mGy·cm"
    console.print(f"[bold]{count.passCount} CT passes[/bold], {count.separateCount} counted separately, {count.localizerCount} localizers")
    console.print(f"DLP {total} ({count.dlpSource})\n[dim]{count.rule.text()}[/dim]")
    for file in count.skipped:
        console.print(f"[yellow]skipped[/yellow] {file.path}: {file.reason}")
    for warning in count.warnings:
        console.print(f"[yellow]check:[/yellow] {warning}")


def countCt(
    places: Annotated[list[Path], typer.Argument(help="Folders or files: CT images and dose reports of one patient.")],
    case: Annotated[Path | None, typer.Option(help="Write the count into this case's log.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the header scan.")] = 1,
    kFactor: Annotated[float | None, typer.Option("--k", help="mSv per mGy·cm; needs --k-source.")] = None,
    kSource: Annotated[str, typer.Option("--k-source", help="Where k comes from.")] = "",
    counted: Counted = COUNTED_DEFAULT,
    separate: Separate = SEPARATE_DEFAULT,
    shotGapSec: ShotGap = DEFAULT_SHOT_GAP_SEC,
    zone: Annotated[str, typer.Option("--scanner-zone", help="Time zone of the scanner's clock, e.g. Europe/Rome.")] = "",
    asJson: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Count CT passes and dose from DICOM, and say why each acquisition was counted or not."""
    rule = CountingRule(_kinds(counted), _kinds(separate), shotGapSec)
    factor = DEFAULT_DOSE_FACTOR if kFactor is None else DoseFactor(kFactor, kSource)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Reading headers", total=None)
        count = countCtPasses(places, rule, workers=workers, progress=lambda done, all_: progress.update(task, completed=done, total=all_))
    if case is not None:
        with openCase(case, create=True) as store:
            count = classifyAgain(count, lastInjectionIn(store), clockTableOf(store.events()))
            logCtPasses(store, count, factor, _zone(zone))
    _showCount(count, asJson)


def listen(
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 11112,
    address: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all.")] = "127.0.0.1",
    aeTitle: Annotated[str, typer.Option("--ae-title", help="Application entity title.")] = "INTRADISCAL",
    case: Annotated[Path | None, typer.Option(help="Write the count into this case's log as it grows.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Keep the received files here.")] = None,
    counted: Counted = COUNTED_DEFAULT,
    separate: Separate = SEPARATE_DEFAULT,
    shotGapSec: ShotGap = DEFAULT_SHOT_GAP_SEC,
    seconds: Annotated[float | None, typer.Option(help="Stop after this long; else with Ctrl+C.")] = None,
) -> None:
    """Receive DICOM from the scanner and count passes live."""

    def onState(state: LiveState) -> None:
        if state.count is None:
            console.print(f"{state.imageCount} images, {state.reportCount} dose reports: {state.problem or 'no pass yet'}")
            return
        if case is not None:
            with openCase(case, create=True) as store:
                logCtPasses(store, classifyAgain(state.count, lastInjectionIn(store), clockTableOf(store.events())))
        total = "?" if state.count.dlpTotalMGyCm is None else f"{state.count.dlpTotalMGyCm:.2f}"
        console.print(f"[bold]{state.count.passCount} CT passes[/bold], DLP {total} mGy·cm ({state.imageCount} images)")

    passes = LivePasses(CountingRule(_kinds(counted), _kinds(separate), shotGapSec))
    with DicomListener(passes, port=port, address=address, aeTitle=aeTitle, folder=folder, onState=onState) as listener:
        console.print(f"Listening on {address}:{listener.port} as {aeTitle}. Ctrl+C ends.")
        end = None if seconds is None else time.monotonic() + seconds
        try:
            while end is None or time.monotonic() < end:
                time.sleep(0.2 if end is None else max(0.0, min(0.2, end - time.monotonic())))
        except KeyboardInterrupt:
            pass
