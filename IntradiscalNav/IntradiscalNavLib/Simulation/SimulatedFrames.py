"""Turns true poses into the OpenIGTLink messages that PLUS would send for one frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    ImageMessage,
    OpenIGTLinkMessage,
    TrackedTool,
    TrackingDataMessage,
    TransformMessage,
)

from .SimulatedFaults import SimulatedFaults
from .SimulatedPose import inversePose
from .SimulatedProcedure import ProcedureState
from .SimulatedTools import SimulatedTools
from .SimulatedTracking import SimulatedTracker
from .SimulatedUltrasound import SimulatedUltrasound

FloatArray = npt.NDArray[np.float64]

TOOL_NAMES = ("Probe", "Needle", "Stylus", "Reference")


@dataclass(frozen=True)
class FrameOptions:
    """What is sent, and under which names."""

    naming: str = "Tracker"
    """``Tracker``: ProbeToTracker, NeedleToTracker, StylusToTracker, ReferenceToTracker. ``Reference``: ProbeToReference and so on."""
    imageName: str = "Image_Reference"
    sendImage: bool = True
    imageDelaySec: float = 0.0
    """The image shows the patient this long before the poses sent with it (a missing temporal calibration)."""

    def __post_init__(self) -> None:
        if self.naming not in ("Tracker", "Reference"):
            raise ValueError(f"Naming {self.naming!r} is neither 'Tracker' nor 'Reference'.")


class SimulatedFrames:
    """Makes the messages of each frame: image first, then the transforms, all with one time."""

    def __init__(
        self,
        tools: SimulatedTools,
        tracker: SimulatedTracker,
        ultrasound: SimulatedUltrasound | None,
        options: FrameOptions | None = None,
        faults: SimulatedFaults | None = None,
    ) -> None:
        self._tools = tools
        self.tracker = tracker
        self._ultrasound = ultrasound
        self.options = options or FrameOptions()
        self.faults = faults or SimulatedFaults()
        self._frozen: dict[str, FloatArray] = {}
        self._stuckTime: float | None = None
        self._past: deque[tuple[float, ProcedureState]] = deque(maxlen=90)

    def messages(self, state: ProcedureState, nowSec: float, unixSec: float) -> Iterator[OpenIGTLinkMessage]:
        """Messages of one frame.

        :param nowSec: the procedure's clock, on which faults end.
        :param unixSec: time of acquisition for the headers.
        """
        stamp = self._stamp(nowSec, unixSec)
        toTracker = self._trackerPoses(state)
        status = {tool: self._status(tool, nowSec) for tool in TOOL_NAMES}
        self._past.append((nowSec, state))
        if self._ultrasound is not None and self.options.sendImage and not self.faults.find("noImage", nowSec):
            yield self._image(toTracker, status, nowSec, stamp)
        referenceFrom = inversePose(toTracker["Reference"])
        sent: list[TrackedTool] = []
        states: dict[str, str] = {}
        for tool in TOOL_NAMES:
            if self.options.naming == "Reference" and tool == "Reference":
                continue
            if self.faults.find("toolSilent", nowSec, tool):
                continue
            pose, state_ = toTracker[tool], status[tool]
            if self.options.naming == "Reference":
                pose = referenceFrom @ pose
                state_ = state_ if state_ != "OK" else status["Reference"]
            if state_ != "OK":
                pose = np.eye(4)  # PLUS sends the identity for a pose that is not valid
            metadata = {"TransformStatus": state_, "TransformValid": "1" if state_ == "OK" else "0"}
            name, matrix = self._name(tool, nowSec), self._damaged(tool, pose, nowSec)
            yield TransformMessage(name, matrix, timestampSec=stamp, metadata=metadata)
            sent.append(TrackedTool(name, matrix))
            states |= {f"{name}Status": state_, f"{name}Index": str(len(sent) - 1)}
        # the server passes it on only to clients that asked by STT_TDATA
        yield TrackingDataMessage(f"TDATA_{len(sent)}Elem", tuple(sent), timestampSec=stamp, metadata=states)

    def _trackerPoses(self, state: ProcedureState) -> dict[str, FloatArray]:
        true = {"Probe": state.probeToRas, "Needle": state.needleToRas, "Stylus": state.stylusToRas, "Reference": state.referenceToRas}
        if self.faults.find("referenceMoved", state.timeSec):
            moved = true["Reference"].copy()
            moved[:3, 3] += 4.0 * moved[:3, 0]
            true["Reference"] = moved
        return {tool: self.tracker.toolToTracker(pose, state.timeSec, onSkin=tool == "Reference") for tool, pose in true.items()}

    def _status(self, tool: str, nowSec: float) -> str:
        fault = self.faults.find("toolLost", nowSec, tool)
        return fault.status if fault is not None else "OK"

    def _name(self, tool: str, nowSec: float) -> str:
        prefix = "Wrong" if self.faults.find("wrongName", nowSec, tool) else ""
        return f"{prefix}{tool}To{self.options.naming}"

    def _stamp(self, nowSec: float, unixSec: float) -> float:
        if self.faults.find("timestampsZero", nowSec):
            return 0.0
        if self.faults.find("timestampsStuck", nowSec):
            self._stuckTime = unixSec if self._stuckTime is None else self._stuckTime
            return self._stuckTime
        self._stuckTime = None
        return unixSec + 3600.0 if self.faults.find("timestampsJump", nowSec) else unixSec

    def _damaged(self, tool: str, pose: FloatArray, nowSec: float) -> FloatArray:
        if self.faults.find("frozen", nowSec, tool):
            return self._frozen.setdefault(tool, pose)
        self._frozen.pop(tool, None)
        if self.faults.find("nan", nowSec, tool):
            return np.full((4, 4), np.nan)
        result = pose.copy()
        if self.faults.find("mirrored", nowSec, tool):
            result[:3, 0] = -result[:3, 0]
        if self.faults.find("nonRigid", nowSec, tool):
            result[:3, :3] *= 1.2
        if self.faults.find("jump", nowSec, tool):
            result[:3, 3] += (60.0, 0.0, 0.0)
        return result

    def _image(self, toTracker: dict[str, FloatArray], status: dict[str, str], nowSec: float, stamp: float) -> ImageMessage:
        assert self._ultrasound is not None
        shown = self._delayed(nowSec)
        pixels = self._ultrasound.render(shown.probeToRas, shown.needleCenterlineRas)
        imageToReference = inversePose(toTracker["Reference"]) @ toTracker["Probe"] @ self._tools.imageToProbe
        if self.faults.find("imageSize", nowSec):
            pixels = np.ascontiguousarray(pixels[::2, ::2])
            imageToReference = imageToReference @ np.diag([2.0, 2.0, 1.0, 1.0])
        if self.faults.find("imageMirrored", nowSec):
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        # as PLUS does: the image goes out with its recorded pose even when the probe is lost; the metadata tell
        metadata = {}
        for tool in TOOL_NAMES:
            metadata[f"{tool}ToTrackerTransform"] = " ".join(f"{value:.6g}" for value in toTracker[tool].ravel())
            metadata[f"{tool}ToTrackerTransformStatus"] = status[tool]
        metadata["Timestamp"] = f"{stamp:.6f}"
        return ImageMessage(self.options.imageName, pixels[None], imageToReference, timestampSec=stamp, metadata=metadata)

    def _delayed(self, nowSec: float) -> ProcedureState:
        wanted = nowSec - self.options.imageDelaySec
        return min(self._past, key=lambda entry: abs(entry[0] - wanted))[1]
