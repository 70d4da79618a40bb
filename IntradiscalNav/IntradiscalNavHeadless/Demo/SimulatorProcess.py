"""The simulated PLUS in a process of its own, as a real PlusServer would be."""

from __future__ import annotations

import contextlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any


class SimulatorProcess:
    """Started simulator: ``port`` it listens on and ``announcement``, the JSON line it printed."""

    def __init__(self, process: subprocess.Popen[str], announcement: dict[str, Any]) -> None:
        self.process = process
        self.announcement = announcement
        self.port = int(announcement["port"])


@contextlib.contextmanager
def simulatorProcess(arguments: Sequence[str], logFile: pathlib.Path) -> Iterator[SimulatorProcess]:
    """Run the simulator until the block ends; it never outlives it.

    :raises RuntimeError: when it ends before it listens, with what it said.
    """
    with logFile.open("w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "IntradiscalNavLib.Simulation.SimulatedPlus", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            try:
                announcement = json.loads(line)
            except ValueError:
                process.wait(timeout=10)
                told = logFile.read_text(encoding="utf-8").strip().splitlines()
                reason = told[-1] if told else line.strip() or "no message"
                raise RuntimeError(
                    f"The simulated PLUS did not start (exit code {process.returncode}): {reason}. Its messages are in {logFile}."
                ) from None
            yield SimulatorProcess(process, announcement)
        finally:
            process.terminate()
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
