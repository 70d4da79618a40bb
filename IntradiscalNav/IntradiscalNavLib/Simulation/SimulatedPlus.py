"""A simulated PLUS server in a process of its own.

``python -m IntradiscalNavLib.Simulation.SimulatedPlus --port 0 --seed 1`` prints one line of JSON when it listens: the port, the
calibrations of the tools and the plate's definition, as a user of real equipment would have them. Then it streams images and
transforms over OpenIGTLink at the given rate, as PlusServer does on the wire.

Clients control it by STRING messages to the device ``SimulatorCommand`` that hold JSON; each is answered by a STRING
``SimulatorReply`` with ``"ok"`` and, for motions, ``"durationSec"``. The commands::

    {"command": "touchBalls", "dwellSec": 1.5, "order": [0, 1, 2]}      order random unless given
    {"command": "touchPoints", "frame": "Reference", "pointsMm": [[x, y, z]]}
    {"command": "sweep", "durationSec": 8, "fromLevel": "L5-S1", "toLevel": "L2-L3"}
    {"command": "followPath", "frame": "Reference", "entryMm": [x, y, z], "targetMm": [x, y, z], "insertionSec": 8}
    {"command": "pivot", "tool": "Stylus"}   {"command": "spin", "tool": "Needle"}   {"command": "probeInOut"}
    {"command": "park"}   {"command": "state"}   {"command": "truth", "anatomy": false}
    {"command": "fault", "kind": "toolLost", "tool": "Needle", "durationSec": 2}   {"command": "clearFaults"}   {"command": "quit"}

Places are given in Reference (as the navigation has them; registration errors then act as they would) or in Ras, the phantom's own.
Changes of phase are told by STRING ``SimulatorState``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import encodeMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage, StatusMessage, StringMessage, TransformMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer, ServerClient

from .LumbarPhantom import LumbarPhantom, buildLumbarPhantom
from .MarkerPlateShape import plateDefinition
from .PhantomParameters import PhantomParameters, randomPhantomParameters
from .PhantomTruth import truthDictionary
from .SimulatedFaults import SimulatedFaults
from .SimulatedFrames import FrameOptions, SimulatedFrames
from .SimulatedPose import mapPoints
from .SimulatedProcedure import OperatorSkill, SimulatedProcedure
from .SimulatedTools import NeedleBending, SimulatedTools
from .SimulatedTracking import Breathing, FieldDistortion, SimulatedTracker, TrackingNoise
from .SimulatedUltrasound import SimulatedUltrasound
from .UltrasoundGeometry import UltrasoundGeometry

COMMAND_DEVICE, REPLY_DEVICE, STATE_DEVICE = "SimulatorCommand", "SimulatorReply", "SimulatorState"
KEEP_ALIVE_SEC = 0.25


class SimulatedPlus:
    """Streams a procedure over OpenIGTLink. Run it in a process of its own, or call :meth:`step` from a test.

    :param oldFrames: old frames the first client gets at once (PlusServer: about 10).
    :param monotonic: the clock; tests give their own.
    """

    def __init__(
        self,
        phantom: LumbarPhantom,
        *,
        port: int = 0,
        rateHz: float = 30.0,
        seed: int = 0,
        tools: SimulatedTools | None = None,
        tracker: SimulatedTracker | None = None,
        ultrasound: SimulatedUltrasound | None = None,
        options: FrameOptions | None = None,
        skill: OperatorSkill | None = None,
        oldFrames: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 1.0 <= rateHz <= 500.0:
            raise ValueError(f"A rate of {rateHz} Hz is outside 1..500.")
        self.phantom = phantom
        self.rateHz = rateHz
        self.tools = tools or SimulatedTools()
        self.procedure = SimulatedProcedure(phantom, self.tools, seed=seed, skill=skill)
        self.faults = SimulatedFaults()
        chosen = options or FrameOptions()
        image = (ultrasound or SimulatedUltrasound(phantom, self.tools.geometry, seed=seed)) if chosen.sendImage else None
        self.frames = SimulatedFrames(
            self.tools, tracker or SimulatedTracker(phantom.truth.patientToRas, seed=seed), image, chosen, self.faults
        )
        self._oldFrames = oldFrames
        self._hadClient = False
        self._monotonic = monotonic
        self._start = monotonic()
        self._commands: queue.SimpleQueue[tuple[ServerClient, StringMessage]] = queue.SimpleQueue()
        self._server = OpenIGTLinkServer(port, onMessage=self._receive)
        self._phase = ""
        self._lastKeepAlive = -1.0
        self._hugeSent = False
        self._dead = False
        self.wantsToQuit = False

    @property
    def port(self) -> int:
        """The port it listens on, 0 before :meth:`start`."""
        return self._server.port

    @property
    def nowSec(self) -> float:
        """The procedure's clock."""
        return self._monotonic() - self._start

    def start(self) -> None:
        """Listen."""
        self._server.start()

    def stop(self) -> None:
        """Close all connections."""
        self._server.stop()

    def run(self, shouldStop: Callable[[], bool] = lambda: False) -> None:
        """Stream until told to stop. A late frame is made up for; frames are dropped, not queued, when the machine can't keep up."""
        period = 1.0 / self.rateHz
        due = self._monotonic()
        while not self.wantsToQuit and not shouldStop():
            self.step()
            due += period
            wait = due - self._monotonic()
            if wait > 0:
                time.sleep(wait)
            else:
                due = max(due, self._monotonic() - 2.0 * period)

    def step(self) -> None:
        """Take commands and send one frame."""
        while True:
            try:
                client, message = self._commands.get_nowait()
            except queue.Empty:
                break
            self._obey(client, message)
        now = self.nowSec
        self._dieOrReturn(now)
        if self._dead or not self._server.clients:
            return
        if not self._hadClient:
            self._hadClient = True
            self._sendOldFrames(now)
        if self.faults.find("pause", now):
            if now - self._lastKeepAlive >= KEEP_ALIVE_SEC:
                self._lastKeepAlive = now
                self._server.send(StatusMessage(""), headerVersion=1)
            return
        state = self.procedure.state(now)
        if state.phase != self._phase:
            self._phase = state.phase
            self._server.send(StringMessage(STATE_DEVICE, json.dumps({"phase": state.phase, "timeSec": round(now, 3)})))
        for frameMessage in self.frames.messages(state, now, time.time()):
            self._server.send(frameMessage)
        self._sendDamage(now)

    def announcement(self) -> dict[str, Any]:
        """What a user of real equipment would know: port, names, calibrations, plate."""
        geometry = self.tools.geometry
        return {
            "port": self.port,
            "rateHz": self.rateHz,
            "imageName": self.frames.options.imageName if self.frames.options.sendImage else "",
            "imageSize": [geometry.columns, geometry.rows],
            "imageKind": geometry.kind,
            "naming": self.frames.options.naming,
            "calibrations": self.tools.calibrations(),
            "needleLengthMm": self.tools.needleLengthMm,
            "plate": plateDefinition(),
        }

    def _receive(self, client: ServerClient, message: OpenIGTLinkMessage) -> None:
        if isinstance(message, StringMessage):
            self._commands.put((client, message))

    def _obey(self, client: ServerClient, message: StringMessage) -> None:
        if message.deviceName.startswith("CMD_"):
            # PlusServer answers text commands so
            self._server.send(StringMessage("ACK_" + message.deviceName[4:].lstrip("0"), "<CommandReply Status='SUCCESS' />"), client)
            return
        if message.deviceName != COMMAND_DEVICE:
            return
        reply: dict[str, Any]
        try:
            request = json.loads(message.text)
            if not isinstance(request, dict):
                raise ValueError("a command is a JSON object")
            reply = {"ok": True, "command": request.get("command"), **self._execute(request)}
        except (ValueError, KeyError, TypeError) as error:
            reply = {"ok": False, "error": f"{type(error).__name__}: {error}"}
        self._server.send(StringMessage(REPLY_DEVICE, json.dumps(reply)), client)

    def _execute(self, request: dict[str, Any]) -> dict[str, Any]:
        now = self.nowSec
        command = request.pop("command", None)
        if command in ("touchBalls", "sweep", "park", "pivot", "spin", "probeInOut"):
            end = getattr(self.procedure, command)(now, **request)
            return {"durationSec": round(end - now, 3)}
        if command in ("touchPoints", "followPath"):
            frame = request.pop("frame", "Reference")
            names = ("pointsMm",) if command == "touchPoints" else ("entryMm", "targetMm")
            places = [self._toRas(request.pop(name), frame) for name in names]
            end = getattr(self.procedure, command)(now, *places, **request)
            return {"durationSec": round(end - now, 3)}
        if command == "state":
            return {"phase": self.procedure.phase(now), "timeSec": now, "remainingSec": max(0.0, self.procedure.endSec - now)}
        if command == "truth":
            return self._truth(now, bool(request.get("anatomy", False)))
        if command == "fault":
            fault = self.faults.start(request.pop("kind"), now, **request)
            self._hugeSent = False
            return {"kind": fault.kind}
        if command == "clearFaults":
            self.faults.clear(request.get("kind"))
            return {}
        if command == "quit":
            self.wantsToQuit = True
            return {}
        raise ValueError(f"unknown command {command!r}")

    def _toRas(self, places: Any, frame: str) -> np.ndarray:
        """Places given in a frame, in RAS, by the simulator's own truth."""
        points = np.asarray(places, float)
        if points.shape[-1:] != (3,) or not np.isfinite(points).all():
            raise ValueError(f"a place is three finite numbers, not {places}")
        if frame == "Ras":
            return points
        if frame == "Reference":
            assert self.phantom.truth.referenceToRas is not None
            return mapPoints(self.phantom.truth.referenceToRas, points)
        raise ValueError(f"frame {frame!r} is neither 'Reference' nor 'Ras'")

    def _truth(self, now: float, anatomy: bool) -> dict[str, Any]:
        state = self.procedure.state(now)
        answer: dict[str, Any] = {
            "phase": state.phase,
            "trueTipRas": state.trueTipRas.tolist(),
            "straightTipRas": state.straightTipRas.tolist(),
            "needleCenterlineRas": state.needleCenterlineRas.tolist(),
            "depthInTissueMm": state.depthInTissueMm,
            "probeToRas": state.probeToRas.tolist(),
            "referenceToRas": state.referenceToRas.tolist(),
            "rasToTracker": self.frames.tracker.rasToTracker.tolist(),
            "targetRas": None if state.targetRas is None else state.targetRas.tolist(),
        }
        if anatomy:
            answer["anatomy"] = truthDictionary(self.phantom.truth)
        return answer

    def _dieOrReturn(self, now: float) -> None:
        dying = self.faults.find("die", now) is not None
        if dying and not self._dead:
            port = self.port
            self._server.stop()
            self._server = OpenIGTLinkServer(port, onMessage=self._receive)
        elif not dying and self._dead:
            # where another program has taken the port meanwhile, try again with the next frame
            with contextlib.suppress(RuntimeError):
                self._server.start()
            dying = self._server.port == 0
        self._dead = dying

    def _sendOldFrames(self, now: float) -> None:
        """The first client of a PlusServer gets what has piled up in its buffer: about ten frames, one to two seconds old."""
        for number in range(self._oldFrames):
            age = 1.5 - number / max(self._oldFrames, 1)
            for message in self.frames.messages(self.procedure.state(max(now - age, 0.0)), now - age, time.time() - age):
                self._server.send(message)

    def _sendDamage(self, now: float) -> None:
        if self.faults.find("corruptCrc", now):
            data = bytearray(encodeMessage(TransformMessage("NeedleToTracker", np.eye(4)), 1))
            data[-3] ^= 0xFF
            self._server.sendBytes(bytes(data))
        if self.faults.find("garbage", now):
            self._server.sendBytes(bytes(range(256)))
        if self.faults.find("hugeSize", now) and not self._hugeSent:
            self._hugeSent = True
            data = bytearray(encodeMessage(TransformMessage("NeedleToTracker", np.eye(4)), 1))
            data[42:50] = (1 << 63).to_bytes(8, "big")
            self._server.sendBytes(bytes(data))
            self._server.dropClients()


def parseArguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Command line of the simulator process."""
    parser = argparse.ArgumentParser(description="Simulated PLUS server: a procedure on a simulated patient, streamed over OpenIGTLink.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1, 0 for any free one")
    parser.add_argument("--rate", type=float, default=30.0, help="frames per second")
    parser.add_argument("--seed", type=int, default=0, help="seed of noise, hand motion and phantom")
    parser.add_argument("--random-patient", action="store_true", help="draw size, lordosis and depth of the patient from the seed")
    parser.add_argument("--phantom", default="{}", help="JSON object with fields of PhantomParameters that differ from the default")
    parser.add_argument("--naming", choices=("Tracker", "Reference"), default="Tracker", help="frame of the streamed transforms")
    parser.add_argument("--probe", choices=("curvilinear", "linear"), default="curvilinear")
    parser.add_argument("--no-image", action="store_true", help="transforms only")
    parser.add_argument("--depth-scale", type=float, default=1.0, help="displayed over true depth in the image (speed of sound)")
    parser.add_argument("--image-delay", type=float, default=0.0, help="seconds by which the image lags behind the poses")
    parser.add_argument("--noise-mm", type=float, default=TrackingNoise().positionMm)
    parser.add_argument("--noise-deg", type=float, default=TrackingNoise().angleDeg)
    parser.add_argument("--distortion-mm", type=float, default=0.0, help="strength of the field distortion")
    parser.add_argument("--breathing-mm", type=float, default=0.0, help="rise of the back with each breath")
    parser.add_argument("--bending-mm", type=float, default=NeedleBending().deflectionAt80Mm, help="deflection of the needle 80 mm deep")
    parser.add_argument("--old-frames", type=int, default=0, help="frames 1-2 s old that the first client gets at once, as from PlusServer")
    parser.add_argument("--lifetime", type=float, default=1800.0, help="end after so many seconds, whatever happens")
    return parser.parse_args(arguments)


def phantomParametersFrom(options: argparse.Namespace) -> PhantomParameters:
    """Phantom parameters of a command line.

    :raises ValueError: unknown field names.
    """
    changes = json.loads(options.phantom)
    known = {entry.name for entry in fields(PhantomParameters)}
    if unknown := set(changes) - known:
        raise ValueError(f"PhantomParameters has no {', '.join(sorted(unknown))}.")
    for name, value in changes.items():
        if isinstance(value, list):
            changes[name] = tuple(value)
    base = randomPhantomParameters(options.seed) if options.random_patient else PhantomParameters(seed=options.seed)
    return replace(base, **changes)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the simulator until its lifetime ends, its parent process is gone or a client sends ``quit``."""
    options = parseArguments(arguments)
    try:
        phantom = buildLumbarPhantom(phantomParametersFrom(options))
        tools = SimulatedTools(geometry=UltrasoundGeometry(kind=options.probe), bending=NeedleBending(deflectionAt80Mm=options.bending_mm))
        tracker = SimulatedTracker(
            phantom.truth.patientToRas,
            TrackingNoise(options.noise_mm, options.noise_deg),
            FieldDistortion(options.distortion_mm),
            Breathing(options.breathing_mm),
            seed=options.seed,
        )
        ultrasound = None
        if not options.no_image:
            ultrasound = SimulatedUltrasound(phantom, tools.geometry, seed=options.seed, depthScale=options.depth_scale)
        frames = FrameOptions(naming=options.naming, sendImage=not options.no_image, imageDelaySec=options.image_delay)
        plus = SimulatedPlus(
            phantom,
            port=options.port,
            rateHz=options.rate,
            seed=options.seed,
            tools=tools,
            tracker=tracker,
            ultrasound=ultrasound,
            options=frames,
            oldFrames=options.old_frames,
        )
        plus.start()
    except (ValueError, RuntimeError) as error:
        print(f"The simulated PLUS can't start: {error}", file=sys.stderr)
        return 2
    print(json.dumps(plus.announcement()), flush=True)
    parent = os.getppid()
    deadline = time.monotonic() + options.lifetime
    with contextlib.suppress(KeyboardInterrupt):
        plus.run(lambda: time.monotonic() > deadline or os.getppid() != parent)
    plus.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
