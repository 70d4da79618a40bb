"""The demo: one simulated procedure from the CT to the report, step by step."""

from __future__ import annotations

import dataclasses
import datetime
import json
import pathlib
import time
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from FusionRegistrationLib.RigidFit import RigidFit
from FusionRegistrationLib.RigidTransform import transformPoints
from IntradiscalNavHeadless.Demo.CaseLog import CaseLog
from IntradiscalNavHeadless.Demo.DemoRun import TIP_LIMIT_MM, TRE_LIMIT_MM, DemoRun, DemoSettings
from IntradiscalNavHeadless.Demo.FinalScanStep import scanAfterInjection
from IntradiscalNavHeadless.Demo.GuidanceStep import GuidedNeedle, anatomyModels, guide, makeSession, riskStructures
from IntradiscalNavHeadless.Demo.LiveStream import LiveStream
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt, scanAndImport
from IntradiscalNavHeadless.Demo.PlanStep import discTarget, planPath, readAnatomy
from IntradiscalNavHeadless.Demo.RegistrationStep import findMarkers, registerMarkers, touchMarkers
from IntradiscalNavHeadless.Demo.SimulatorControl import commandSimulator
from IntradiscalNavHeadless.Demo.SimulatorProcess import SimulatorProcess, simulatorProcess
from IntradiscalNavHeadless.Demo.SweepStep import checkByBoneSurface
from IntradiscalNavHeadless.Demo.TruthCheck import TruthCheck, checkAgainstTruth
from IntradiscalNavHeadless.NavigationPictures import NavigationPictures
from IntradiscalNavHeadless.RenderingProbe import whyNoRendering
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.ProcedureTimeline import timelineDocument
from IntradiscalNavLib.Recording.RecordedProcedure import takeApart
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingSettings, RecordingWriter
from IntradiscalNavLib.Recording.SceneDocuments import CASE_ATTRIBUTE, PSEUDONYM_ATTRIBUTE, DocumentRole, storeDocument, storeTable
from IntradiscalNavLib.Recording.SequenceExport import SequenceSpan, exportToSequences
from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder
from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate
from ProcedureLogLib.LogTable import TABLE_COLUMNS
from ProcedureLogLib.LogTable import rows as logRows
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureReport import writeProcedureReport

INJECTED_GAS_ML = 20.0
"""Oxygen-ozone injected into the disc (Albano 2023). Most of it leaves the disc at once; the simulated CT keeps 3 mL."""
STREAMS = ("ProbeToReference", "NeedleToReference", "StylusToReference", "Image_Reference")


@dataclass(frozen=True)
class DemoOutcome:
    """What the demo found, and where it lies."""

    check: TruthCheck
    files: tuple[pathlib.Path, ...]

    @property
    def passed(self) -> bool:
        return self.check.passed


def runDemo(settings: DemoSettings, console: Console) -> DemoOutcome:
    """Run every step.

    :raises RuntimeError: when a step can't be done (no connection, no legal path, ...), naming it and the remedy.
    """
    started = time.monotonic()
    console.print("[bold]IntradiscalNav demo[/bold]: a simulated procedure. Research software, not a medical device.\n")
    host = startHost()
    host.clear()
    arguments = ["--port", "0", "--seed", str(settings.seed), "--lifetime", "600"]
    with simulatorProcess(arguments, settings.folder / "simulator.log") as simulator:
        phantom = buildLumbarPhantom(PhantomParameters(seed=settings.seed))
        run = DemoRun(settings, console, host, phantom)
        outcome = _procedure(run, simulator)
    console.print(f"\n[bold]Done in {time.monotonic() - started:.0f} s.[/bold]")
    _printOutcome(run, outcome)
    return outcome


def _procedure(run: DemoRun, simulator: SimulatorProcess) -> DemoOutcome:
    settings = run.settings
    case = CaseFolder(run.folder / "case")
    log = CaseLog(run, case.folder / "log")
    log.note(EventKind.PATIENT_IN)
    with run.step("Planning CT: scanned prone, written as DICOM, imported"):
        ct = scanAndImport(run)
        log.countPasses(ct.dicomFolder)
    with run.step("Anatomy and markers from the CT"):
        centers = findMarkers(run, ct)
        anatomy = readAnatomy(run, ct)
        target = f"disc {settings.level}"
        discCenter = discTarget(anatomy, settings.level)
    writer = RecordingWriter(case.newRecordingFolder(), RecordingSettings(compressImages=True))
    recorder = StreamRecorder(writer)
    # Recorded in the receiving thread: nothing is missed while a step computes.
    client = OpenIGTLinkClient("127.0.0.1", simulator.port, onMessage=lambda message: recorder.recordMessages([message])).start()
    try:
        stream = LiveStream(run, client, recorder)
        with run.step("Connect to the simulated PLUS, build the transform tree"):
            _connect(run, stream, simulator)
        with run.step("Touch the markers with the stylus, register"):
            commandSimulator(stream, "touchBalls", dwellSec=1.2, travelSec=0.5)
            fit = registerMarkers(run, stream, touchMarkers(run, stream, len(centers)), centers, {target: discCenter})
            stream.recorder.recordFixedTransforms({"ReferenceToRas": fit.fromToTo})
            log.noteRegistration(fit, target)
            _autosave(run, case)
        with run.step("Sweep the probe over the spine: does the bone in the ultrasound agree?"):
            run.remarks += checkByBoneSurface(run, stream, ct, fit, discCenter)
        with run.step(f"Plan the path to {settings.level} from the {settings.side}"):
            path = planPath(run, anatomy, fit)
            stream.recorder.recordPlan(f"{path.level} {path.side}", target, path.entryRas.tolist(), path.targetRas.tolist())
            log.notePlan(path)
            _autosave(run, case)
        with run.step("Guide the needle"):
            guided, truth = _guide(run, stream, simulator, ct, anatomy, path, fit, log)
        check = checkAgainstTruth(
            run.phantom.truth,
            settings.level,
            fit.fromToTo,
            guided.state.needleTipToRas[:3, 3] if guided.state.needleTipToRas is not None else np.full(3, np.nan),
            np.array(truth["trueTipRas"]),
            path.targetRas,
        )
        with run.step("Inject, take the last CT, count passes, measure the gas"):
            log.note(EventKind.INJECTION, "O2/O3", substance="oxygen-ozone", volumeMl=INJECTED_GAS_ML, target=target)
            metrics = scanAfterInjection(run, ct, log, np.array(truth["needleCenterlineRas"]), guided, discCenter)
    except RuntimeError as error:
        raise RuntimeError(f"{error} {keepUnfinished(run, case)}") from error
    finally:
        client.stop()
        recorded = writer.stop()
    with run.step("Save the scene with the recording, write the report"):
        files = _save(run, case, log, path, metrics, check)
        if recorded.problem or recorded.droppedImages or recorded.droppedPoses:
            run.remarks.append(f"Recording: {recorded.problem} {recorded.droppedImages} images and {recorded.droppedPoses} poses dropped")
        run.say(f"recorded {recorded.poses} poses and {recorded.images} images, {recorded.bytesWritten / 1e6:.0f} MB")
    return DemoOutcome(check, files)


def _connect(run: DemoRun, stream: LiveStream, simulator: SimulatorProcess) -> None:
    calibrations = {name: np.array(matrix) for name, matrix in simulator.announcement["calibrations"].items()}
    for name, matrix in calibrations.items():
        stream.sceneStream.setCalibration(name, matrix)
    stream.recorder.recordFixedTransforms(calibrations)
    storeDocument(run.scene, DocumentRole.CALIBRATION, {name: matrix.tolist() for name, matrix in calibrations.items()})

    def ready(_messages: list[OpenIGTLinkMessage], update: SceneUpdate) -> bool:
        return all(name in update.states and update.states[name].isLive for name in STREAMS)

    stream.runUntil(ready, 15.0, f"live {', '.join(STREAMS)}")
    names = ", ".join(branch.name for branch in stream.sceneStream.tree.branches())
    run.say(f"127.0.0.1:{simulator.port}; tree: {names}")
    if not stream.sceneStream.tree.patientTracked:
        run.remarks.append("patient not tracked: no reference sensor is streamed")


def _guide(
    run: DemoRun,
    stream: LiveStream,
    simulator: SimulatorProcess,
    ct: ImportedCt,
    anatomy: SpineAnatomy,
    path: Trajectory,
    fit: RigidFit,
    log: CaseLog,
) -> tuple[GuidedNeedle, dict[str, list[float]]]:
    structures = riskStructures(anatomy, ct, path)
    session = makeSession(run, stream, path, structures, fit, np.array(simulator.announcement["calibrations"]["NeedleTipToNeedle"]))
    # The operator sees the plan in the tracker's world only: through the registration, errors included.
    rasToReference = np.linalg.inv(fit.fromToTo)
    entry, target = (transformPoints(rasToReference, point).tolist() for point in (path.entryRas, path.targetRas))
    commandSimulator(stream, "followPath", frame="Reference", entryMm=entry, targetMm=target, insertionSec=9.0)
    guided = guide(run, stream, session)
    truth = commandSimulator(stream, "truth")
    log.noteGuidance(guided.events)
    cost = np.array(stream.tickMs)
    run.say(f"{guided.ticks} updates, {np.median(cost):.1f} ms median for stream and scene; {guided.blankTicks} with blank numbers")
    if run.settings.pictures:
        reason = whyNoRendering()
        if reason:
            run.remarks.append(reason)
        else:
            views = NavigationPictures(run.host, ct.node, anatomyModels(run, anatomy, ct))
            run.pictures |= views.write(run.folder / "pictures", guided.state)
            views.close()
    return guided, truth


def _save(
    run: DemoRun, case: CaseFolder, log: CaseLog, path: Trajectory, metrics: dict[str, object], check: TruthCheck
) -> tuple[pathlib.Path, ...]:
    log.note(EventKind.PATIENT_OUT)
    settings = run.settings
    log.store.setDetail("technicalSuccess", "yes" if check.passed else "no", author="demo")
    record = log.record()
    report = writeProcedureReport(record, run.pictures, run.folder / "report.html")
    table = storeTable(run.scene, DocumentRole.LOG, TABLE_COLUMNS, logRows(log.store.auditTrail()))
    table.SetAttribute(PSEUDONYM_ATTRIBUTE, log.store.pseudonym)
    table.SetAttribute(CASE_ATTRIBUTE, log.store.caseId)
    log.close()
    recording = RecordingReader(case.recordingFolders()[-1])
    recorded = takeApart(recording)
    guidanceStart = next((event.timeSec for event in recorded.guidance), 0.0)
    # The scene carries the insertion; the whole recording stays in the case folder.
    exportToSequences(run.scene, recording, SequenceSpan(startSec=guidanceStart, maximumRateHz=15.0))
    storeDocument(run.scene, DocumentRole.TIMELINE, timelineDocument(recorded, guidanceStart))
    storeDocument(run.scene, DocumentRole.METRICS, {"lastCt": metrics, "truth": dataclasses.asdict(check)})
    storeDocument(run.scene, DocumentRole.CASE, {"level": settings.level, "side": settings.side, "seed": settings.seed})
    storeDocument(run.scene, DocumentRole.REPORT, report.read_text(encoding="utf-8"))
    scene = case.saveScene(lambda target: _saved(run, target))
    summary = run.folder / "summary.json"
    content = {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "level": path.level,
        "side": path.side,
        "truth": dataclasses.asdict(check),
        "passed": check.passed,
        "lastCt": metrics,
        "stepSec": {name: round(seconds, 2) for name, seconds in run.stepSec.items()},
        "remarks": run.remarks,
    }
    summary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return (report, scene, summary, *run.pictures.values())


def _saved(run: DemoRun, target: pathlib.Path) -> None:
    run.host.saveScene(target)


def keepUnfinished(run: DemoRun, case: CaseFolder) -> str:
    """Save the scene of a procedure that can't go on; says where it lies, or why it couldn't be saved."""
    result = case.autosave(lambda target: _saved(run, target), run.scene.GetMTime(), force=True)
    if result is None or result.path is None:
        return result.problem if result is not None else ""
    return f"The scene so far is saved as {result.path}."


def _autosave(run: DemoRun, case: CaseFolder) -> None:
    """Between steps, when a minute has passed: writing the CT takes seconds, and the needle must never wait for it.

    What streams in meanwhile is on disk anyway, within a second.
    """
    result = case.autosave(lambda target: _saved(run, target), run.scene.GetMTime())
    if result is not None and result.problem:
        run.remarks.append(result.problem)


def _printOutcome(run: DemoRun, outcome: DemoOutcome) -> None:
    check = outcome.check
    rows = (
        ("Registration error (TRE) at the disc", check.treMm, TRE_LIMIT_MM),
        ("Needle tip: shown against true (bent) tip", check.shownTipErrorMm, TIP_LIMIT_MM),
        ("Needle tip: true tip to planned target", check.tipToTargetMm, TIP_LIMIT_MM),
    )
    for name, value, limit in rows:
        mark = "[green]ok[/green]" if value <= limit else "[bold red]above the limit[/bold red]"
        run.console.print(f"  {name:<44} {value:5.2f} mm   (limit {limit:g} mm)  {mark}")
    for remark in dict.fromkeys(run.remarks):
        run.console.print(f"  [yellow]note:[/yellow] {remark}", highlight=False)
    run.console.print("\nOutputs:")
    for path in outcome.files:
        run.console.print(f"  {path}", highlight=False, soft_wrap=True)
