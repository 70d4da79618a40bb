"""``intradiscalnav demo``: one whole simulated procedure, compared with the truth of the phantom."""

from __future__ import annotations

import datetime
import pathlib
from typing import Annotated

import typer
from rich.console import Console

EXIT_NOT_ACCURATE = 1


def demo(
    output: Annotated[pathlib.Path | None, typer.Option(help="Folder for the outputs; default: a fresh one below ./runs.")] = None,
    level: Annotated[str, typer.Option(help="Disc, such as L4-L5.")] = "L4-L5",
    side: Annotated[str, typer.Option(help="Side from which the needle goes in: left or right.")] = "left",
    seed: Annotated[int, typer.Option(help="Seed of the simulated patient, tracker noise and operator.")] = 1,
    pictures: Annotated[bool, typer.Option(help="Render pictures (needs an OpenGL library).")] = True,
) -> None:
    """Run one simulated procedure from CT to report, and compare it with the truth.

    Ends with code 1 when the registration error at the disc is above 2 mm or the tip error above 3 mm.
    """
    from IntradiscalNavHeadless.Demo.DemoProcedure import runDemo
    from IntradiscalNavHeadless.Demo.DemoRun import DemoSettings

    if side not in ("left", "right"):
        raise ValueError(f"The side is left or right, not {side!r}.")
    folder = output or pathlib.Path("runs") / datetime.datetime.now().strftime("demo-%Y%m%d-%H%M%S")
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"The folder {folder} is not empty: choose another, so that nothing is overwritten.")
    folder.mkdir(parents=True, exist_ok=True)
    outcome = runDemo(DemoSettings(folder.resolve(), level, side, seed, pictures), Console(width=140))
    if not outcome.passed:
        raise typer.Exit(EXIT_NOT_ACCURATE)
