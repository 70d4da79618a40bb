"""The live loop: takes what has arrived, writes it into the scene, and lets a step look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, REFERENCE, ToolLiveness
from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionState, OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import STATE_ATTRIBUTE, SceneStream, SceneUpdate

TICK_SEC = 1 / 30
LOST_SEC = 5.0
"""So long a broken connection may take to come back before a step that waits for data gives up."""


class LiveStream:
    """Connection, scene nodes and recording of one procedure."""

    def __init__(self, run: DemoRun, client: OpenIGTLinkClient, recorder: StreamRecorder) -> None:
        self._run = run
        self.client = client
        self.recorder = recorder
        self.sceneStream = SceneStream(run.scene)
        self.tickMs: list[float] = []
        self.lastUpdate: SceneUpdate | None = None
        # Kept here: the client forgets the problems of a connection when it connects anew.
        self._notUnderstood = False

    def tick(self) -> tuple[list[OpenIGTLinkMessage], SceneUpdate]:
        """One turn: at most a thirtieth of a second, waiting for data without a busy loop."""
        messages = self.client.takeMessages(timeoutSec=TICK_SEC)
        self._notUnderstood = self._notUnderstood or bool(self.client.problems)
        start = time.perf_counter()
        self.sceneStream.receive(messages)
        update = self.lastUpdate = self.sceneStream.apply()
        self.recorder.recordStatusChanges(update.changes)
        self.tickMs.append((time.perf_counter() - start) * 1e3)
        return messages, update

    def runUntil(self, done: Callable[[list[OpenIGTLinkMessage], SceneUpdate], bool], timeoutSec: float, waitingFor: str) -> None:
        """Tick until ``done`` says so.

        :raises RuntimeError: after ``timeoutSec``, or when the server is gone for ``LOST_SEC``, saying what did not come and how the
            connection stands.
        """
        deadline = time.monotonic() + timeoutSec
        while time.monotonic() < deadline:
            messages, update = self.tick()
            if done(messages, update):
                return
            self._checkConnection(waitingFor)
        status = self.client.status
        foreign = ""
        if self._notUnderstood and not status.messageCount:
            foreign = " What arrives can't be read as OpenIGTLink: is this the port of PlusServer?"
        raise RuntimeError(
            f"Waited {timeoutSec:.0f} s in vain for {waitingFor}. Connection: {status.state.name.lower()}"
            + (f" ({status.reason})" if status.reason else "")
            + f", {status.messageCount} messages so far.{foreign}"
        )

    def _checkConnection(self, waitingFor: str) -> None:
        status = self.client.status
        if status.state is ConnectionState.LOST and time.monotonic() - status.sinceSec > LOST_SEC:
            raise RuntimeError(
                f"The server is gone ({status.reason}) and has not come back for {LOST_SEC:.0f} s, while waiting for {waitingFor}. "
                "Start PlusServer again; what was recorded so far is kept."
            )

    def toolLiveness(self) -> Mapping[str, ToolLiveness]:
        """Liveness by role, from the state of each tool in the tree at the last tick."""
        result: dict[str, ToolLiveness] = {}
        update = self.lastUpdate
        if update is None:
            return result
        for role, name in ((NEEDLE, "NeedleToReference"), (PROBE, "ProbeToReference")):
            node = self.sceneStream.node(name)
            state = update.states.get(name)
            if node is None or state is None:
                result[role] = ToolLiveness(False, "MISSING", f"{name} has not arrived")
            else:
                reason = node.GetAttribute("IntradiscalNav.ToolReasons") or ""
                result[role] = ToolLiveness(state.isLive, node.GetAttribute(STATE_ATTRIBUTE) or state.value, reason)
        if self.sceneStream.tree.patientTracked:
            reference = update.statuses.get("ReferenceToTracker")
            if reference is not None:
                result[REFERENCE] = ToolLiveness(reference.isLive, reference.state.value, "; ".join(reference.reasons))
        return result
