"""Opening the case of a command."""

from __future__ import annotations

from pathlib import Path

import typer

from ProcedureLogLib.ProcedureStore import DATABASE_FILE, JOURNAL_FILE, ProcedureStore


def openCase(case: Path, create: bool = False) -> ProcedureStore:
    """The case's store; says what was recovered on opening. Raises ValueError where there is no case."""
    if not create and not (case / DATABASE_FILE).exists() and not (case / JOURNAL_FILE).exists():
        raise ValueError(f"{case} is no case folder; 'intradiscalnav log add' makes one")
    store = ProcedureStore(case)
    for message in store.recovery.messages:
        typer.echo(f"Recovered: {message}", err=True)
    return store
