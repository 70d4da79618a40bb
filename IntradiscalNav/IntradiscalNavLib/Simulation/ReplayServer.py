"""Streams a recording over OpenIGTLink as PlusServer does when it replays one.

Per frame: the image with its pose, then the transforms, all under one header timestamp (Unix time of the frame's turn). Invalid poses are
left out by default and sent as the identity with their status otherwise; an image goes out with the recorded pose even when the probe is
invalid, and not at all when no chain of transforms reaches its frame. While no new frame is due, a keep-alive STATUS goes out four times a
second, always with header version 1.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Simulation.PlusRecording import PlusRecording
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    OpenIGTLinkMessage,
    StatusMessage,
    TrackedTool,
    TrackingDataMessage,
    TransformMessage,
)
from IntradiscalNavLib.Streaming.OpenIGTLinkServer import OpenIGTLinkServer
from IntradiscalNavLib.Streaming.TransformTree import TransformTree

KEEP_ALIVE_SEC = 0.25
_WORST_FIRST = ("PATH_NOT_FOUND", "INVALID", "MISSING", "OUT_OF_VIEW", "OUT_OF_VOLUME", "REQ_TIMEOUT")


@dataclass(frozen=True)
class ReplayOptions:
    """How a recording is replayed.

    :ivar speed: 2 replays twice as fast; 0 as fast as the clients take it.
    :ivar transformNames: what is sent, in this order; None sends what was recorded and, where a reference was recorded, every tool also
        relative to it.
    :ivar imageName: the image's name before the underscore; imageFrame: the frame its pose is given in.
    :ivar oldFrames: so many frames go to the first client at once, with times of 1 to 2 s ago, as from a PlusServer that was running.
    :ivar sendInvalid: send invalid poses as identity with status (PLUS: SendValidTransformsOnly="FALSE").
    """

    speed: float = 1.0
    loop: bool = True
    waitForClient: bool = True
    transformNames: tuple[str, ...] | None = None
    imageName: str = "Image"
    imageFrame: str = "Reference"
    sendInvalid: bool = False
    sendTrackingData: bool = False
    oldFrames: int = 0

    def __post_init__(self) -> None:
        if self.speed < 0:
            raise ValueError(f"Speed {self.speed} is negative; 1 is the recording's own, 0 as fast as possible.")


class ReplayServer:
    """Replays one recording to any number of clients.

    :param calibrations: fixed transforms such as ``ImageToProbe`` and ``StylusTipToStylus``; ImageToProbe is needed to send images in a
        frame other than ``Image`` itself.
    """

    def __init__(
        self,
        recording: PlusRecording,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        calibrations: Mapping[str, FloatArray] | None = None,
        options: ReplayOptions | None = None,
    ) -> None:
        if recording.frameCount == 0:
            raise ValueError(f"{recording.path} holds no frames; there is nothing to replay.")
        self.recording = recording
        self.options = options or ReplayOptions()
        self._calibrations = dict(calibrations or {})
        self._server = OpenIGTLinkServer(port, host=host, onClientConnected=lambda client: self._clientCame.set())
        self._clientCame = threading.Event()
        self._stopping = threading.Event()
        self._finished = threading.Event()
        self._thread: threading.Thread | None = None
        self._transformNames = self._namesToSend()
        self.sentFrameCount = 0

    @property
    def port(self) -> int:
        """Port it listens on; 0 before ``start``."""
        return self._server.port

    @property
    def transformNames(self) -> tuple[str, ...]:
        """Names of the transforms that are sent."""
        return self._transformNames

    @property
    def server(self) -> OpenIGTLinkServer:
        return self._server

    def start(self) -> ReplayServer:
        """Listen and begin to stream (with ``waitForClient`` once the first client is there). Returns the server itself.

        :raises RuntimeError: when the port cannot be had.
        """
        self._server.start()
        self._thread = threading.Thread(target=self._run, name=f"ReplayServer {self.port}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End the replay and disconnect everybody."""
        self._stopping.set()
        self._clientCame.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
        self._server.stop()

    def waitUntilFinished(self, timeoutSec: float | None = None) -> bool:
        """Wait until the last frame of a replay without loop is sent; False when the time is over."""
        return self._finished.wait(timeoutSec)

    def __enter__(self) -> ReplayServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Content

    def _namesToSend(self) -> tuple[str, ...]:
        if self.options.transformNames is not None:
            return self.options.transformNames
        recorded = tuple(self.recording.transforms)
        names = list(recorded)
        if "ReferenceToTracker" in recorded:
            for name in recorded:
                tool = name.removesuffix("ToTracker")
                if name.endswith("ToTracker") and tool != "Reference":
                    names.append(f"{tool}ToReference")
        return tuple(names)

    def frameMessages(self, index: int, timestampSec: float) -> list[OpenIGTLinkMessage]:
        """All messages of one frame, in the order in which they are sent."""
        tree = TransformTree()
        statuses: dict[str, str] = {}
        for name, matrices in self.recording.transforms.items():
            if np.isfinite(matrices[index]).all():
                tree.update(name, matrices[index], timestampSec)
                statuses[name] = self.recording.statuses[name][index]
        for name, matrix in self._calibrations.items():
            tree.setFixed(name, matrix)
        messages: list[OpenIGTLinkMessage] = []
        image = self._imageMessage(tree, index, timestampSec)
        if image is not None:
            messages.append(image)
        tools: list[TrackedTool] = []
        toolStatus: dict[str, str] = {}
        for name in self._transformNames:
            message, status = self._transformMessage(tree, statuses, name, timestampSec)
            if status == "OK" or self.options.sendInvalid:
                messages.append(message)
                tools.append(TrackedTool(name, message.matrix))
                toolStatus[f"{name}Status"] = status
        if self.options.sendTrackingData:
            indices = {f"{tool.name}Index": str(position) for position, tool in enumerate(tools)}
            metadata = dict(sorted({**toolStatus, **indices}.items()))
            messages.append(TrackingDataMessage(f"TDATA_{len(tools)}Elem", tuple(tools), timestampSec=timestampSec, metadata=metadata))
        return messages

    def _transformMessage(
        self, tree: TransformTree, statuses: Mapping[str, str], name: str, timestampSec: float
    ) -> tuple[TransformMessage, str]:
        fromFrame, _, toFrame = name.rpartition("To")
        resolved = tree.resolve(fromFrame, toFrame)
        status = "PATH_NOT_FOUND" if resolved is None else worstStatus([statuses[used] for used in resolved.streamedNames])
        valid = status == "OK"
        matrix = resolved.matrix if resolved is not None and valid else np.eye(4)
        metadata = {"TransformStatus": status, "TransformValid": "1" if valid else "0"}
        return TransformMessage(name, matrix, timestampSec=timestampSec, metadata=metadata), status

    def _imageMessage(self, tree: TransformTree, index: int, timestampSec: float) -> ImageMessage | None:
        frames = self.recording.imageFrames
        if frames is None:
            return None
        options = self.options
        if options.imageFrame == options.imageName:
            matrix = np.eye(4)
        else:
            resolved = tree.resolve(options.imageName, options.imageFrame)
            if resolved is None:
                return None
            matrix = resolved.matrix
        return ImageMessage(
            f"{options.imageName}_{options.imageFrame}",
            frames[index][np.newaxis],
            matrix,
            timestampSec=timestampSec,
            metadata={key: self.recording.frameFields[index][key] for key in sorted(self.recording.frameFields[index])},
        )

    # Thread

    def _run(self) -> None:
        if self.options.waitForClient:
            self._clientCame.wait()
        times = self.recording.timestampsSec - self.recording.timestampsSec[0]
        # The pause between the last frame and the first of the next round: the usual spacing.
        gap = float(np.median(np.diff(times))) if len(times) > 1 else 0.1
        begin = time.monotonic()
        # Header times are those of acquisition: the moment at which a frame was due, not the one at which this thread woke.
        toUnix = time.time() - begin
        old = min(self.options.oldFrames, self.recording.frameCount - 1)
        for index in range(old):
            self._sendFrame(index, toUnix + begin - 2.0 + index / old)
        begin -= float(times[old]) / self.options.speed if self.options.speed > 0 else 0.0
        first = old
        while not self._stopping.is_set():
            for index in range(first, self.recording.frameCount):
                due = begin + float(times[index]) / self.options.speed if self.options.speed > 0 else time.monotonic()
                self._pauseUntil(due)
                if self._stopping.is_set():
                    return
                self._sendFrame(index, toUnix + due)
            first = 0
            if not self.options.loop:
                break
            begin += (float(times[-1]) + gap) / self.options.speed if self.options.speed > 0 else 0.0
        self._finished.set()
        while not self._stopping.is_set():
            self._pauseUntil(time.monotonic() + 10 * KEEP_ALIVE_SEC)

    def _sendFrame(self, index: int, timestampSec: float) -> None:
        for message in self.frameMessages(index, timestampSec):
            self._server.send(message)
        self.sentFrameCount += 1

    def _pauseUntil(self, whenSec: float) -> None:
        """Sleep; a pause of more than a quarter of a second is filled with keep-alives."""
        while not self._stopping.is_set():
            remaining = whenSec - time.monotonic()
            if remaining <= 0:
                return
            if self._stopping.wait(min(remaining, KEEP_ALIVE_SEC)):
                return
            if remaining > KEEP_ALIVE_SEC:
                for client in self._server.clients:
                    self._server.send(StatusMessage("", headerVersion=1), client, headerVersion=1)


def worstStatus(statuses: Sequence[str]) -> str:
    """PLUS status of a composed transform: that of its worst part. UNKNOWN goes out as OK, as PlusServer does."""
    words = [status for status in statuses if status not in ("OK", "UNKNOWN")]
    for word in _WORST_FIRST:
        if word in words:
            return word
    return words[0] if words else "OK"
