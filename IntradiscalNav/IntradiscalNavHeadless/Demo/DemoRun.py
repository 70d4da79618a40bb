"""What the steps of the demo share, and where it puts its files."""

from __future__ import annotations

import contextlib
import pathlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.console import Console

if TYPE_CHECKING:
    from IntradiscalNavHeadless.SceneHost import SceneHost
    from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom

TRE_LIMIT_MM = 2.0
"""Spine navigation expert report, quoted by Gueziri 2019 and Yan 2012: 2 mm at the target."""
TIP_LIMIT_MM = 3.0


@dataclass(frozen=True)
class DemoSettings:
    """Choices of the user. ``side``: from which the needle goes in."""

    folder: pathlib.Path
    level: str = "L4-L5"
    side: str = "left"
    seed: int = 1
    pictures: bool = True


@dataclass
class DemoRun:
    """One run: grows from step to step."""

    settings: DemoSettings
    console: Console
    host: SceneHost
    phantom: LumbarPhantom
    stepSec: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, pathlib.Path] = field(default_factory=dict)
    """Caption to PNG file."""
    remarks: list[str] = field(default_factory=list)

    @property
    def scene(self) -> Any:
        return self.host.scene

    @property
    def folder(self) -> pathlib.Path:
        return self.settings.folder

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and time it."""
        number = len(self.stepSec) + 1
        self.console.print(f"[bold cyan]{number:2d}  {title}[/bold cyan]")
        start = time.monotonic()
        yield
        self.stepSec[title] = time.monotonic() - start

    def say(self, text: str) -> None:
        self.console.print(f"    {text}", highlight=False)
