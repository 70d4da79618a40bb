"""Where a procedure stands: seven steps, each done, doubtful or missing, and why."""

import dataclasses
import enum

from slicer.i18n import tr as _

from .PathLine import isLine


class StepState(enum.Enum):
    Missing = "○"
    Doubtful = "△"
    Done = "✓"


class StepName(enum.Enum):
    Connect = "connect"
    Calibrate = "calibrate"
    Register = "register"
    Plan = "plan"
    Navigate = "navigate"
    Log = "log"
    Review = "review"

    def label(self):
        return {
            "connect": _("Connect"),
            "calibrate": _("Calibrate"),
            "register": _("Register"),
            "plan": _("Plan"),
            "navigate": _("Navigate"),
            "log": _("Log"),
            "review": _("Review"),
        }[self.value]


PASSING_FINDINGS = ("ways-disagree", "tool-not-live", "patient-not-tracked")


@dataclasses.dataclass(frozen=True)
class WorkflowStep:
    name: StepName
    state: StepState
    why: str


def connectStep(connection):
    """State of the connection; `connection` is a StreamConnection or None."""
    from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionState

    if connection is None or not connection.isConnecting:
        return WorkflowStep(StepName.Connect, StepState.Missing, _("Not connected."))
    status = connection.client.status
    if status.state in (ConnectionState.CONNECTING, ConnectionState.DISCONNECTED):
        return WorkflowStep(StepName.Connect, StepState.Missing, status.reason or _("Connecting."))
    if status.state is not ConnectionState.CONNECTED:
        return WorkflowStep(StepName.Connect, StepState.Doubtful, status.reason)
    diagnosis = connection.diagnosis()
    state = StepState.Done if diagnosis.isHealthy else StepState.Doubtful
    return WorkflowStep(StepName.Connect, state, " ".join([diagnosis.summary, *diagnosis.advice[:1]]))


def calibrateStep(connection):
    """Whether the calibrations that the tools need are known and the tree holds together."""
    from IntradiscalNavLib.Streaming.TransformTreeCheck import Severity, checkTree

    tree = connection.stream.tree if connection is not None else None
    missing = [name for name in ("ImageToProbe", "NeedleTipToNeedle") if tree is None or tree.matrix(name) is None]
    if missing:
        return WorkflowStep(
            StepName.Calibrate, StepState.Missing, _("{names} missing: choose the device set of PLUS.").format(names=", ".join(missing))
        )
    findings = [finding for finding in checkTree(tree) if finding.severity is not Severity.NOTE]
    # what comes and goes with the poses belongs to the step Connect
    ours = [finding for finding in findings if finding.code not in PASSING_FINDINGS and "registration" not in finding.code]
    if ours:
        return WorkflowStep(StepName.Calibrate, StepState.Doubtful, f"{ours[0].text} {ours[0].remedy}")
    return WorkflowStep(StepName.Calibrate, StepState.Done, _("Probe and needle are calibrated."))


def registerStep(verdict):
    """From the RegistrationVerdict of FusionRegistration."""
    state = {"missing": StepState.Missing, "doubtful": StepState.Doubtful, "done": StepState.Done}[verdict.state]
    return WorkflowStep(StepName.Register, state, verdict.text.splitlines()[0])


def planStep(path, trajectory, doubt=""):
    """`path` is the line node, `trajectory` its evaluated Trajectory, or None for one drawn by hand; `doubt` is what else speaks against
    the plan."""
    if not isLine(path):
        return WorkflowStep(StepName.Plan, StepState.Missing, _("No path is planned."))
    if trajectory is None:
        return WorkflowStep(
            StepName.Plan, StepState.Doubtful, _("The path was drawn or moved by hand: its limits weren't checked. Press Check.")
        )
    text = _("{level} {side}, {length:.0f} mm, {angle:.0f}° medial").format(
        level=trajectory.level, side=trajectory.side, length=trajectory.lengthMm, angle=trajectory.medialInclinationDeg
    )
    failing = trajectory.failing
    if failing:
        return WorkflowStep(StepName.Plan, StepState.Doubtful, f"{text}: " + "; ".join(limit.sentence() for limit in failing))
    if doubt:
        return WorkflowStep(StepName.Plan, StepState.Doubtful, f"{text}: {doubt}")
    return WorkflowStep(StepName.Plan, StepState.Done, text)


def navigateStep(state, reached):
    """`state` is the last SessionState or None; `reached` whether the needle has been at the target."""
    if state is None:
        return WorkflowStep(StepName.Navigate, StepState.Missing, _("Guidance isn't running."))
    displayed = state.displayed
    if not displayed.live:
        reasons = "; ".join(f"{role}: {tool.state} {tool.reason}".strip() for role, tool in displayed.notLive.items())
        return WorkflowStep(StepName.Navigate, StepState.Doubtful, reasons or _("The needle isn't live."))
    text = _("{phase}, needle {needle}").format(phase=displayed.phase.value, needle=displayed.needleName)
    return WorkflowStep(StepName.Navigate, StepState.Done if reached else StepState.Doubtful, text)


def logStep(eventCount):
    """`eventCount` is None when no case is open."""
    if eventCount is None:
        return WorkflowStep(StepName.Log, StepState.Missing, _("No case is open in Procedure Log."))
    if eventCount == 0:
        return WorkflowStep(StepName.Log, StepState.Doubtful, _("The case is open, nothing is logged yet."))
    return WorkflowStep(StepName.Log, StepState.Done, _("{count} entries.").format(count=eventCount))


def reviewStep(isRecording, recordingCount, isSaved):
    if isRecording:
        return WorkflowStep(StepName.Review, StepState.Doubtful, _("Recording; not saved yet."))
    if not recordingCount and not isSaved:
        return WorkflowStep(StepName.Review, StepState.Missing, _("Nothing was recorded or saved."))
    if not isSaved:
        return WorkflowStep(
            StepName.Review, StepState.Doubtful, _("{count} recordings; the scene isn't saved.").format(count=recordingCount)
        )
    return WorkflowStep(StepName.Review, StepState.Done, _("{count} recordings, scene saved.").format(count=recordingCount))


def replayStep(timeSec):
    """The step Navigate while a saved procedure is replayed."""
    return WorkflowStep(StepName.Navigate, StepState.Missing, _("REPLAY, not live: {time:.1f} s").format(time=timeSec))


def savedStep(text):
    """The step Review while a saved procedure is reviewed; `text` says which."""
    return WorkflowStep(StepName.Review, StepState.Done, text.splitlines()[0])
