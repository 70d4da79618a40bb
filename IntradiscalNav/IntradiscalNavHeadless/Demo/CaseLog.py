"""The procedure log of the demo: noted as it happens, passes counted from the DICOM files."""

from __future__ import annotations

import datetime
import pathlib
from collections.abc import Iterable
from typing import Any

from FusionRegistrationLib.RigidFit import RigidFit
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Views.SessionState import SessionEvent
from ProcedureLogLib.Clock import SCANNER, WORKSTATION, ClockOffset
from ProcedureLogLib.CtPasses import CtPassCount, countCtPasses
from ProcedureLogLib.CtPassLog import logCtPasses
from ProcedureLogLib.ProcedureEvent import EventKind, EventSource
from ProcedureLogLib.ProcedureRecord import ProcedureRecord, logClockOffset, recordOf
from ProcedureLogLib.ProcedureStore import ProcedureStore

KINDS = {"phase": EventKind.GUIDANCE, "needle": EventKind.NEEDLE_ACTIVE, "tool": EventKind.WARNING}
"""Events of the guidance session to kinds of the log."""


class CaseLog:
    """Thin layer over the procedure store: what the steps of a procedure note."""

    def __init__(self, run: DemoRun, folder: pathlib.Path) -> None:
        self.store = ProcedureStore(folder)
        settings = run.settings
        for name, value in {
            "group": "fusion",
            "level": settings.level,
            "side": settings.side,
            "operator": "simulator",
            "supervised": "no",
        }.items():
            self.store.setDetail(name, value, author="demo")
        # Both clocks of the simulation are this computer's.
        logClockOffset(self.store, ClockOffset(SCANNER, WORKSTATION, 0.0, 0.5, "simulated scanner runs on this computer"))

    def note(self, kind: EventKind, text: str = "", **values: Any) -> None:
        self.store.addEvent(kind, text=text, values=values, source=EventSource.MODULE)

    def noteRegistration(self, fit: RigidFit, target: str) -> None:
        error = fit.predictedTre[target]
        self.note(
            EventKind.REGISTRATION,
            f"{len(fit.pointNames)} markers",
            predictedTreRmsMm=round(error.rmsMm, 3),
            predictedTre95Mm=round(error.p95Mm, 3),
            target=target,
            freMm=round(fit.freMm, 3),
        )

    def notePlan(self, path: Trajectory) -> None:
        self.note(
            EventKind.PLAN,
            f"{path.level} {path.side}",
            lengthMm=round(path.lengthMm, 1),
            inclinationDeg=round(path.medialInclinationDeg, 1),
        )

    def noteGuidance(self, events: Iterable[SessionEvent]) -> None:
        for event in events:
            kind = {"phase": EventKind.GUIDANCE, "needle": EventKind.NEEDLE_ACTIVE, "tool": EventKind.WARNING}.get(
                event.kind, EventKind.REMARK
            )
            self.note(kind, event.text, **{name: value for name, value in event.detail.items() if value is not None})

    def countPasses(self, dicomFolder: pathlib.Path) -> CtPassCount:
        """Count the passes of all DICOM files so far and enter them; a second call revises, never doubles."""
        count = countCtPasses(dicomFolder)
        logCtPasses(self.store, count)
        return count

    def record(self) -> ProcedureRecord:
        return recordOf(self.store)

    def close(self) -> None:
        self.store.close()


def scannerNow() -> datetime.datetime:
    """Time of the simulated scanner."""
    return datetime.datetime.now().replace(microsecond=0)
