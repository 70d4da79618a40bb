"""The ``intradiscalnav`` command: one file per command group, registered here."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version

import typer

from IntradiscalNavHeadless import (
    CohortCommand,
    CompareCommand,
    DemoCommand,
    LogCommand,
    PlanCommand,
    RegisterCommand,
    ReplayCommand,
    ReviewCommand,
    SimulateCommand,
)

EXIT_BAD_INPUT = 2
"""Exit code of every error that the user can mend: missing file, wrong option, no server."""

app = typer.Typer(
    name="intradiscalnav",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="CT/ultrasound-fusion-guided lumbar intradiscal injection: plan, register, replay, review, log. "
    "[bold]Research software, not a medical device.[/bold]",
)


def _showVersion(show: bool) -> None:
    if show:
        try:
            typer.echo(f"intradiscalnav {version('intradiscalnav')}")
        except PackageNotFoundError:
            typer.echo("intradiscalnav (run from the source tree)")
        raise typer.Exit


@app.callback()
def _options(
    showVersion: bool = typer.Option(False, "--version", help="Show the version and exit.", callback=_showVersion, is_eager=True),
    debug: bool = typer.Option(False, "--debug", help="Show the whole traceback of an error."),
) -> None:
    if debug:
        os.environ["INTRADISCALNAV_DEBUG"] = "1"


app.command("demo")(DemoCommand.demo)
app.command("simulate")(SimulateCommand.simulate)
app.command("replay")(ReplayCommand.replay)
app.command("register")(RegisterCommand.register)
app.command("plan")(PlanCommand.plan)
app.command("review")(ReviewCommand.review)
app.command("compare")(CompareCommand.compare)
app.add_typer(LogCommand.logApp, name="log")
app.add_typer(CohortCommand.cohortApp, name="cohort")


def main() -> None:
    """Run the command; errors that name their remedy are shown as one message, not as a traceback."""
    try:
        app()
    except (ValueError, RuntimeError, OSError) as error:
        if os.environ.get("INTRADISCALNAV_DEBUG"):
            raise
        from rich.console import Console

        Console(stderr=True).print(f"[bold red]Error:[/bold red] {error}", highlight=False, soft_wrap=True)
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
