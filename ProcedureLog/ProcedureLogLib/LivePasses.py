"""CT passes counted while the scanner sends them, whoever receives the files (a listener here, Slicer's own listener, a watched folder)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from .Clock import ClockTable, ClockTime
from .CtAcquisition import patientKeyOf, patientOf
from .CtPasses import CountingRule, CtPassCount, countFrom
from .DicomHeader import DicomHeader
from .DoseReport import DoseReport

QUIET_SEC = 0.2


@dataclass(frozen=True)
class LiveState:
    """What came so far. count is None until there is an irradiating acquisition, and when it is refused; problem says why."""

    count: CtPassCount | None
    imageCount: int
    reportCount: int
    otherPatients: int
    problem: str = ""


class LivePasses:
    """Takes headers and dose reports in any order, from any thread; the same instance twice adds nothing.

    patientKey: the case's patient (see patientKeyOf); None takes the patient of the first CT image. Files of other patients are counted as
    `otherPatients` and used for nothing.
    """

    def __init__(self, rule: CountingRule | None = None, patientKey: str | None = None, clocks: ClockTable | None = None) -> None:
        self.rule = rule or CountingRule()
        self.clocks = clocks
        self.lastInjection: ClockTime | None = None
        self._patientKey = patientKey
        self._headers: dict[str, DicomHeader] = {}
        self._reports: dict[str, DoseReport] = {}
        self._others: set[str] = set()
        self._lock = threading.Lock()

    def _isOurs(self, key: str, instance: str) -> bool:
        if self._patientKey is None:
            self._patientKey = key
        if key == self._patientKey:
            return True
        self._others.add(instance)
        return False

    def addHeader(self, header: DicomHeader) -> bool:
        """Take an image. True if it belongs to the case's patient."""
        instance = header.sopInstanceUid or header.path
        with self._lock:
            if not self._isOurs(patientOf(header), instance):
                return False
            self._headers[instance] = header
            return True

    def addReport(self, report: DoseReport) -> bool:
        """Take a dose report. True if it belongs to the case's patient."""
        instance = report.sopInstanceUid or report.path
        with self._lock:
            if not self._isOurs(patientKeyOf(report.patientId, report.patientName, report.birthDate), instance):
                return False
            self._reports[instance] = report
            return True

    def state(self) -> LiveState:
        """Count what came so far."""
        with self._lock:
            headers, reports, others = list(self._headers.values()), list(self._reports.values()), len(self._others)
        count, problem = None, ""
        if headers or reports:
            try:
                count = countFrom(headers, reports, self.rule, lastInjection=self.lastInjection, clocks=self.clocks)
            except ValueError as error:
                problem = str(error)
        return LiveState(count, len(headers), len(reports), others, problem)


class LiveReporter:
    """Calls back with a new state soon after something came: at most once in QUIET_SEC, from a thread of its own, never per image."""

    def __init__(self, passes: LivePasses, onState: Callable[[LiveState], None]) -> None:
        self.passes = passes
        self.onState = onState
        self.lastError = ""
        self._news = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live CT passes", daemon=True)
        self._thread.start()

    def notify(self) -> None:
        self._news.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.wait()
            self._stopped.wait(QUIET_SEC)
            self._news.clear()
            try:
                self.onState(self.passes.state())
            except Exception as error:  # noqa: BLE001 (a fault in the caller's display must not end the count)
                self.lastError = str(error)

    def stop(self) -> None:
        """End the thread after one last state."""
        self._stopped.set()
        self._news.set()
        self._thread.join(5.0)
