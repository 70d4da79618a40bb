"""Is the pose of a tool live? Told from what arrives, per streamed transform.

The order of the questions: did anything arrive lately (age on this machine's monotonic clock, plus the delay of the content); does the
sender call it valid (PLUS's TransformStatus and TransformValid); is the matrix rigid; is it plausible (jump, rate, jitter, frozen value).
PlusServer says nothing about a lost tool by default, sends the identity for it if told so, without any flag under header version 1, and
some trackers repeat the last pose for ever: hence the order.
"""

from __future__ import annotations

import collections
import enum
import math
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, whyNotRigid
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    OpenIGTLinkMessage,
    TrackingDataMessage,
    TransformMessage,
    parseValidity,
)
from IntradiscalNavLib.Streaming.StreamClock import DeviceTime, StreamClock, StreamTiming
from TranslatedText.Translation import tr as _


class ToolState(enum.Enum):
    """OK: live and plausible. SUSPECT: live, but something is odd. STALE: too old. MISSING: nothing for long, or never.
    INVALID: the sender or the numbers say that this is no pose."""

    OK = "OK"
    SUSPECT = "SUSPECT"
    STALE = "STALE"
    MISSING = "MISSING"
    INVALID = "INVALID"

    @property
    def isLive(self) -> bool:
        """Whether the pose may be shown as the tool's present place (SUSPECT with its warning)."""
        return self in (ToolState.OK, ToolState.SUSPECT)

    @property
    def severity(self) -> int:
        """0 (OK) to 4 (MISSING): the worst of several states is the one of a composed transform."""
        return (ToolState.OK, ToolState.SUSPECT, ToolState.STALE, ToolState.INVALID, ToolState.MISSING).index(self)


@dataclass(frozen=True)
class ToolStatusParameters:
    """Limits. The defaults suit hand-held tools on a 10-100 Hz tracker.

    ``frozenAfterSec``: a real tracker's noise changes the last digits of every pose; bit-identical for so long is suspicious.
    ``identityIsInvalid``: an exact identity without a status is what PlusServer sends for a lost tool under header version 1.
    ``expectedRateHz``: None accepts any rate of at least ``minRateHz``.
    """

    staleAfterSec: float = 0.5
    missingAfterSec: float = 5.0
    recoverSec: float = 0.3
    frozenAfterSec: float = 1.5
    maxSpeedMmPerSec: float = 2000.0
    jumpMm: float = 30.0
    maxTurnDegPerSec: float = 1500.0
    jumpDeg: float = 45.0
    holdJumpSec: float = 2.0
    expectedRateHz: float | None = None
    minRateHz: float = 4.0
    maxJitterSec: float = 0.15
    identityIsInvalid: bool = True
    historyLength: int = 500


@dataclass(frozen=True, eq=False)
class ToolStatus:
    """Status of one tool. ``ageSec`` is the time since arrival plus the delay of the content; infinite before the first message.

    ``matrix`` is the newest pose whatever the state, None before the first; ``reasons`` is empty only for OK.
    """

    name: str
    state: ToolState
    reasons: tuple[str, ...]
    ageSec: float
    timing: StreamTiming
    matrix: FloatArray | None = None
    transformStatus: str = ""

    @property
    def isLive(self) -> bool:
        return self.state.isLive


@dataclass(frozen=True)
class StatusChange:
    """A line of the history: ``timeSec`` monotonic, ``wallTimeSec`` Unix seconds."""

    timeSec: float
    wallTimeSec: float
    name: str
    fromState: ToolState
    toState: ToolState
    reasons: tuple[str, ...]


STATUS_MEANINGS: Mapping[str, str] = {
    "MISSING": _("the tracker does not see the tool"),
    "OUT_OF_VIEW": _("the tool is out of the tracker's view"),
    "OUT_OF_VOLUME": _("the tool is outside the tracker's measuring volume"),
    "REQ_TIMEOUT": _("the tracker did not answer in time"),
    "INVALID": _("the tracker calls the pose invalid"),
    "PATH_NOT_FOUND": _("PLUS cannot compute this transform: its configuration lacks a link between the two frames"),
    "SWITCH1_IS_ON": _("a button of the tool is pressed, PLUS sends no pose meanwhile"),
    "SWITCH2_IS_ON": _("a button of the tool is pressed, PLUS sends no pose meanwhile"),
    "SWITCH3_IS_ON": _("a button of the tool is pressed, PLUS sends no pose meanwhile"),
}

_IDENTITY = np.eye(4)


@dataclass
class _Tool:
    clock: StreamClock
    rigid: bool = True
    state: ToolState = ToolState.MISSING
    matrix: FloatArray | None = None
    matrixBytes: bytes = b""
    transformStatus: str = ""
    invalidReason: str = ""
    sameSince: float = 0.0
    sameCount: int = 0
    lastGood: FloatArray | None = None
    lastGoodSec: float = 0.0
    lastGoodDeviceSec: float = 0.0
    jumpedAt: float = float("-inf")
    jumpReason: str = ""
    lastBadSec: float = float("-inf")
    unknownStatus: bool = False
    history: collections.deque[StatusChange] = field(default_factory=collections.deque)


class ToolStatusMonitor:
    """Keeps the status of all streamed tools. ``update`` may be called from any thread.

    :param expected: names that are listed (as MISSING) before their first message.
    """

    def __init__(
        self,
        parameters: ToolStatusParameters | None = None,
        expected: Iterable[str] = (),
        perTool: Mapping[str, ToolStatusParameters] | None = None,
        maxTools: int = 256,
    ) -> None:
        self.parameters = parameters or ToolStatusParameters()
        self._perTool = dict(perTool or {})
        self._maxTools = maxTools
        self._tools: dict[str, _Tool] = {}
        self._changes: collections.deque[StatusChange] = collections.deque(maxlen=1000)
        self._lock = threading.Lock()
        for name in expected:
            self._tools[name] = self._newTool(name)

    def _newTool(self, name: str) -> _Tool:
        # Only pixel frames carry a scale: ImageToProbe, ImageToReference.
        return _Tool(
            StreamClock(),
            not (name.startswith("Image") or "Pixel" in name),
            history=collections.deque(maxlen=self.parameters.historyLength),
        )

    def _limits(self, name: str) -> ToolStatusParameters:
        return self._perTool.get(name, self.parameters)

    def setParameters(self, name: str, parameters: ToolStatusParameters) -> None:
        """Limits of one tool."""
        self._perTool[name] = parameters

    @property
    def names(self) -> tuple[str, ...]:
        """All tools seen or expected."""
        return tuple(self._tools)

    def update(self, message: OpenIGTLinkMessage) -> None:
        """Take in a message; types without a pose are ignored."""
        if isinstance(message, TransformMessage):
            status = message.metadata.get("TransformStatus", "")
            valid = parseValidity(message.metadata.get("TransformValid"))
            self.updatePose(message.deviceName, message.matrix, message.arrivalSec or time.monotonic(), message.timestampSec, status, valid)
        elif isinstance(message, TrackingDataMessage):
            for tool in message.tools:
                status = message.toolStatus(tool.name)
                self.updatePose(tool.name, tool.matrix, message.arrivalSec or time.monotonic(), message.timestampSec, status, None)

    def updatePose(
        self, name: str, matrix: FloatArray, arrivalSec: float, deviceSec: float = 0.0, transformStatus: str = "", valid: bool | None = None
    ) -> None:
        """Take in a pose: ``arrivalSec`` monotonic, ``deviceSec`` the sender's time or 0, ``valid`` None when the sender does not say."""
        limits = self._limits(name)
        with self._lock:
            tool = self._tools.get(name)
            if tool is None:
                if len(self._tools) >= self._maxTools:
                    return
                tool = self._tools[name] = self._newTool(name)
            tool.clock.note(arrivalSec, deviceSec)
            matrix = np.asarray(matrix, float)
            content = matrix.tobytes()
            if content == tool.matrixBytes:
                tool.sameCount += 1
            else:
                tool.sameSince, tool.sameCount, tool.matrixBytes = arrivalSec, 1, content
            tool.matrix = matrix
            tool.transformStatus = transformStatus
            tool.unknownStatus = transformStatus == "UNKNOWN"
            tool.invalidReason = self._whyInvalid(matrix, transformStatus, valid, limits, tool.rigid)
            if tool.invalidReason:
                tool.lastBadSec = arrivalSec
                return
            self._noteJump(tool, matrix, arrivalSec, deviceSec, limits)
            tool.lastGood, tool.lastGoodSec, tool.lastGoodDeviceSec = matrix, arrivalSec, deviceSec

    @staticmethod
    def _whyInvalid(matrix: FloatArray, transformStatus: str, valid: bool | None, limits: ToolStatusParameters, rigid: bool) -> str:
        if transformStatus and transformStatus not in ("OK", "UNKNOWN"):
            return STATUS_MEANINGS.get(transformStatus, f"the sender reports {transformStatus}")
        if valid is False:
            return _("the sender marks the pose as not valid")
        if not _looksRigid(matrix):
            reason = whyNotRigid(matrix) if rigid else _whyNotAffine(matrix)
            if reason:
                return _("this is no pose: {reason}").format(reason=reason)
        if limits.identityIsInvalid and not transformStatus and valid is None and np.array_equal(matrix, _IDENTITY):
            return _("the identity came without a status: PlusServer sends it for a lost tool")
        return ""

    @staticmethod
    def _noteJump(tool: _Tool, matrix: FloatArray, arrivalSec: float, deviceSec: float, limits: ToolStatusParameters) -> None:
        if tool.lastGood is None or arrivalSec - tool.lastGoodSec > limits.staleAfterSec:
            return
        elapsed = deviceSec - tool.lastGoodDeviceSec if deviceSec > 0 and tool.lastGoodDeviceSec > 0 else arrivalSec - tool.lastGoodSec
        # Messages of one burst arrive together: a floor keeps ordinary motion from looking like a jump.
        elapsed = max(elapsed, 0.01)
        old, new = tool.lastGood, matrix
        distance = math.dist(old[:3, 3].tolist(), new[:3, 3].tolist())
        if distance > limits.jumpMm and distance / elapsed > limits.maxSpeedMmPerSec:
            tool.jumpedAt, tool.jumpReason = arrivalSec, _("it leapt {distance:.0f} mm between two poses").format(distance=distance)
            return
        cosine = (float(np.vdot(old[:3, :3], new[:3, :3])) - 1.0) / 2.0
        turn = math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
        if turn > limits.jumpDeg and turn / elapsed > limits.maxTurnDegPerSec:
            tool.jumpedAt, tool.jumpReason = arrivalSec, _("it turned {turn:.0f} deg between two poses").format(turn=turn)

    def lastWasInvalid(self, name: str) -> bool:
        """Whether the newest message of a tool carried no valid pose (status, NaN, mirrored ...)."""
        with self._lock:
            tool = self._tools.get(name)
            return tool is None or bool(tool.invalidReason)

    def status(self, name: str, nowSec: float | None = None) -> ToolStatus:
        """Status at a monotonic time (default now). A name never heard of is MISSING."""
        now = time.monotonic() if nowSec is None else nowSec
        with self._lock:
            tool = self._tools.get(name)
            if tool is None:
                return ToolStatus(name, ToolState.MISSING, (_("nothing has arrived under this name"),), math.inf, StreamClock().timing(now))
            return self._evaluate(name, tool, now)

    def statuses(self, nowSec: float | None = None) -> dict[str, ToolStatus]:
        """Status of every tool seen or expected."""
        now = time.monotonic() if nowSec is None else nowSec
        with self._lock:
            return {name: self._evaluate(name, tool, now) for name, tool in self._tools.items()}

    def history(self, name: str) -> tuple[StatusChange, ...]:
        """Changes of one tool, oldest first (bounded)."""
        with self._lock:
            tool = self._tools.get(name)
            return tuple(tool.history) if tool is not None else ()

    def takeChanges(self) -> list[StatusChange]:
        """Changes found since the last call, for the log."""
        with self._lock:
            changes = list(self._changes)
            self._changes.clear()
            return changes

    def _evaluate(self, name: str, tool: _Tool, now: float) -> ToolStatus:
        limits = self._limits(name)
        timing = tool.clock.timing(now)
        age = timing.ageSec + timing.delaySec
        state, reasons = self._judge(tool, timing, age, limits, now)
        if state in (ToolState.STALE, ToolState.MISSING, ToolState.INVALID):
            tool.lastBadSec = now
        elif now - tool.lastBadSec < limits.recoverSec:
            # Hysteresis: a tool at the edge of the view must not flicker between shown and hidden as good.
            state = ToolState.SUSPECT
            reasons.append(_("it has only just come back"))
        if state is not tool.state:
            change = StatusChange(now, time.time(), name, tool.state, state, tuple(reasons))
            tool.state = state
            tool.history.append(change)
            self._changes.append(change)
        return ToolStatus(name, state, tuple(reasons), age, timing, tool.matrix, tool.transformStatus)

    @staticmethod
    def _judge(tool: _Tool, timing: StreamTiming, age: float, limits: ToolStatusParameters, now: float) -> tuple[ToolState, list[str]]:
        if tool.matrix is None:
            return ToolState.MISSING, [_("nothing has arrived under this name")]
        if timing.ageSec > limits.missingAfterSec:
            return ToolState.MISSING, [_("nothing has arrived for {ageSec:.1f} s").format(ageSec=timing.ageSec)]
        if tool.invalidReason:
            return ToolState.INVALID, [tool.invalidReason]
        if age > limits.staleAfterSec:
            silent = timing.ageSec >= timing.delaySec
            why = (
                _("nothing has arrived for {ageSec:.1f} s").format(ageSec=timing.ageSec)
                if silent
                else _("what arrives is {age:.1f} s old").format(age=age)
            )
            return ToolState.STALE, [why]
        reasons = []
        if tool.unknownStatus:
            reasons.append(_("the tracker does not know whether the pose is valid"))
        stood = tool.clock.lastArrivalSec - tool.sameSince if tool.clock.lastArrivalSec is not None else 0.0
        if tool.sameCount >= 5 and stood > limits.frozenAfterSec:
            reasons.append(
                _("the pose has not changed by a digit for {stood:.1f} s: the tracker may repeat the last one").format(stood=stood)
            )
        if now - tool.jumpedAt < limits.holdJumpSec:
            reasons.append(tool.jumpReason)
        if timing.deviceTime is DeviceTime.FROZEN:
            reasons.append(_("the sender's timestamps stand still"))
        elif timing.deviceTime is DeviceTime.JUMPED:
            reasons.append(_("the sender's timestamps leapt"))
        if timing.messageCount >= 10 and timing.rateHz is not None:
            expected = limits.expectedRateHz
            if timing.rateHz < limits.minRateHz:
                reasons.append(_("only {rateHz:.1f} poses per second arrive").format(rateHz=timing.rateHz))
            elif expected is not None and timing.rateHz < 0.5 * expected:
                reasons.append(
                    _("{rateHz:.0f} poses per second arrive instead of {expected:.0f}").format(rateHz=timing.rateHz, expected=expected)
                )
        if timing.messageCount >= 20 and timing.jitterSec is not None and timing.jitterSec > limits.maxJitterSec:
            reasons.append(_("the poses arrive unevenly (jitter {jitterSec:.0f} ms)").format(jitterSec=1000 * timing.jitterSec))
        return (ToolState.SUSPECT if reasons else ToolState.OK), reasons


def worstState(states: Iterable[ToolState]) -> ToolState:
    """State of a transform composed of several: that of its worst part; MISSING when there is none."""
    return max(states, key=lambda state: state.severity, default=ToolState.MISSING)


def _whyNotAffine(matrix: FloatArray) -> str:
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return _("it holds NaN or infinite values")
    if abs(float(np.linalg.det(matrix[:3, :3]))) < 1e-9:
        return _("it has no volume (determinant 0)")
    return ""


def _looksRigid(matrix: FloatArray) -> bool:
    """Quick test on plain floats: rejects NaN, scale, shear and mirroring; the reason in words is found only when it fails."""
    if matrix.shape != (4, 4):
        return False
    (a, b, c, x), (d, e, f, y), (g, h, i, z), last = matrix.tolist()
    if last != [0.0, 0.0, 0.0, 1.0] or not math.isfinite(x + y + z):
        return False
    tolerance = 1e-3
    return (
        abs(a * a + d * d + g * g - 1.0) < tolerance
        and abs(b * b + e * e + h * h - 1.0) < tolerance
        and abs(c * c + f * f + i * i - 1.0) < tolerance
        and abs(a * b + d * e + g * h) < tolerance
        and abs(a * c + d * f + g * i) < tolerance
        and abs(b * c + e * f + h * i) < tolerance
        and a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g) > 0.0
    )
