"""The live loop: takes what has arrived, writes it into the scene, and lets a step look at it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, REFERENCE, ToolLiveness
from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import STATE_ATTRIBUTE, SceneStream, SceneUpdate

TICK_SEC = 1 / 30


class LiveStream:
    """Connection, scene nodes and recording of one procedure."""

    def __init__(self, run: DemoRun, client: OpenIGTLinkClient, recorder: StreamRecorder) -> None:
        self._run = run
        self.client = client
        self.recorder = recorder
        self.sceneStream = SceneStream(run.scene)
        self.tickMs: list[float] = []
        self.lastUpdate: SceneUpdate | None = None

    def tick(self) -> tuple[list[OpenIGTLinkMessage], SceneUpdate]:
        """One turn: at most a thirtieth of a second, waiting for data without a busy loop."""
        messages = self.client.takeMessages(timeoutSec=TICK_SEC)
        start = time.perf_counter()
        self.sceneStream.receive(messages)
        update = self.lastUpdate = self.sceneStream.apply()
        self.recorder.recordStatusChanges(update.changes)
        self.tickMs.append((time.perf_counter() - start) * 1e3)
        return messages, update

    def runUntil(self, done: Callable[[list[OpenIGTLinkMessage], SceneUpdate], bool], timeoutSec: float, waitingFor: str) -> None:
        """Tick until ``done`` says so.

        :raises RuntimeError: after ``timeoutSec``, saying what did not come and how the connection stands.
        """
        deadline = time.monotonic() + timeoutSec
        while time.monotonic() < deadline:
            messages, update = self.tick()
            if done(messages, update):
                return
        status = self.client.status
        raise RuntimeError(
            f"Waited {timeoutSec:.0f} s in vain for {waitingFor}. Connection: {status.state.name.lower()}"
            + (f" ({status.reason})" if status.reason else "")
            + f", {status.messageCount} messages so far."
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
