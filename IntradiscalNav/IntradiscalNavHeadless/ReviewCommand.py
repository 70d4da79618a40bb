"""``intradiscalnav review``: measure recorded procedures, one or hundreds."""

from __future__ import annotations

import csv
import json
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from IntradiscalNavHeadless.CaseReview import findCases, isReviewable
from IntradiscalNavHeadless.ReviewBatch import CaseResult, reviewMany, reviewOne
from IntradiscalNavLib.Recording.ReviewText import reviewRows
from ProcedureLogLib.CaseRegistry import writeSummaryCsv


def review(
    path: Annotated[pathlib.Path, typer.Argument(help="Scene (.mrb), case folder, PLUS recording, or a folder of such.")],
    output: Annotated[pathlib.Path | None, typer.Option(help="Folder for review.json, reviews.csv and cohort.csv.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes on this machine.")] = 2,
    scheduler: Annotated[str, typer.Option(help="Address of a Dask scheduler, to use several machines.")] = "",
    pictures: Annotated[bool, typer.Option("--pictures", help="One scene: key pictures of the replay into the output folder.")] = False,
    clip: Annotated[pathlib.Path | None, typer.Option(help="One scene: write a film (.mp4) of the replay.")] = None,
    asJson: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a recorded procedure, or all procedures of a folder."""
    console = Console()
    if not path.exists():
        raise ValueError(f"There is nothing at {path}.")
    if isReviewable(path):
        result = reviewOne(str(path))
        if result.problem:
            raise ValueError(f"{path} can't be reviewed. {result.problem}")
        _writeFiles([result], output)
        if pictures or clip is not None:
            _showReplay(path, output if pictures else None, clip, Console(stderr=True))
        if asJson:
            print(json.dumps(result.review, ensure_ascii=False))
        else:
            _printOne(console, result)
        return
    if not path.is_dir():
        raise ValueError(f"{path} can't be reviewed: give a scene (.mrb), a case folder, or a PLUS recording.")
    cases = findCases(path)
    if not cases:
        raise ValueError(f"{path} holds no scene, no case folder and no PLUS recording.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=asJson) as progress:
        task = progress.add_task("Reviewing", total=len(cases))
        results = reviewMany(cases, workers, scheduler, onDone=lambda _: progress.advance(task))
    _writeFiles(results, output)
    if asJson:
        print(json.dumps([{"path": result.path, "problem": result.problem, **result.review} for result in results], ensure_ascii=False))
    else:
        _printMany(console, results)
    if all(result.problem for result in results):
        raise typer.Exit(1)


def _showReplay(path: pathlib.Path, folder: pathlib.Path | None, clip: pathlib.Path | None, console: Console) -> None:
    """Key pictures and film of a scene.

    :raises ValueError: where there is no scene to replay. :raises RuntimeError: without off-screen rendering or ffmpeg.
    """
    from IntradiscalNavHeadless.NavigationPictures import NavigationPictures
    from IntradiscalNavHeadless.SceneHost import startHost
    from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
    from IntradiscalNavLib.Recording.ReplayClip import Picture, writeClip, writeKeyPictures
    from IntradiscalNavLib.Recording.ReplaySource import SequenceSource
    from IntradiscalNavLib.Recording.SceneReplay import SceneReplay
    from IntradiscalNavLib.Views.PlanGhost import PlanGhost

    scene = CaseFolder(path).newestScene() if path.is_dir() else path
    if scene is None or scene.suffix not in (".mrb", ".mrml"):
        raise ValueError(f"{path} holds no scene: pictures and clips are made from a saved scene.")
    host = startHost()
    host.loadScene(scene)
    replay = SceneReplay(host.scene, SequenceSource(host.scene, host.moduleLogics["sequences"]))
    views = NavigationPictures(host, replay.ctNode(), replay.anatomy(), (480, 400))
    ghost = PlanGhost(host.scene)

    def pictureAt(timeSec: float) -> Picture:
        state = replay.seek(timeSec)
        ghost.show(state)
        return views.mosaic(state)

    if folder is not None:
        for picture in writeKeyPictures(pictureAt, replay.timeline(), replay.durationSec, folder):
            console.print(f"written {picture}", highlight=False, soft_wrap=True)
    if clip is not None:
        with Progress(TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=console) as progress:
            task = progress.add_task("Writing the clip", total=1.0)
            count = writeClip(pictureAt, replay.durationSec, clip, onProgress=lambda share: progress.update(task, completed=share))
        console.print(f"written {clip}: {count} frames", highlight=False, soft_wrap=True)
    views.close()


def _printOne(console: Console, result: CaseResult) -> None:
    table = Table(title=f"Review of {result.review['name']}", show_header=False)
    for name, value in reviewRows(result.review):
        table.add_row(name, value)
    console.print(table)
    for remark in result.review["missing"]:
        console.print(f"[yellow]{remark}[/yellow]", highlight=False)


def _printMany(console: Console, results: Sequence[CaseResult]) -> None:
    table = Table(title=f"{len(results)} cases")
    for heading in ("case", "tip to target mm", "lateral mm", "time in tissue s", "passes", "remark"):
        table.add_column(heading)
    for result in results:
        values = [result.row.get(name) for name in ("finalTipToTargetMm", "finalLateralMm", "timeInTissueSec", "needlePasses")]
        texts = ["" if value is None else f"{value:.1f}" if isinstance(value, float) else str(value) for value in values]
        table.add_row(pathlib.Path(result.path).name, *texts, result.problem or result.row.get("missing", ""))
    console.print(table)
    broken = sum(bool(result.problem) for result in results)
    if broken:
        console.print(f"[yellow]{broken} of {len(results)} could not be reviewed; they are named above and not in the numbers.[/yellow]")


def _writeFiles(results: Sequence[CaseResult], output: pathlib.Path | None) -> None:
    if output is None:
        return
    output.mkdir(parents=True, exist_ok=True)
    reviews = [{"path": result.path, "problem": result.problem, **result.review} for result in results]
    (output / "review.json").write_text(json.dumps(reviews, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    names: dict[str, None] = {"path": None, "problem": None}
    rows: list[dict[str, Any]] = [{"path": result.path, "problem": result.problem, **result.row} for result in results]
    for row in rows:
        names |= dict.fromkeys(row)
    with (output / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(names), restval="")
        writer.writeheader()
        writer.writerows(rows)
    # What 'intradiscalnav cohort' takes: the cases that have a procedure log. A case reviewed twice (folder and scene) counts once.
    summaries = {result.summary["caseId"]: result.summary for result in results if result.summary.get("caseId")}
    if summaries:
        writeSummaryCsv(summaries.values(), output / "cohort.csv")
