"""Feeds a recording from what the stream, the guidance and the log produce, on the recording's one time base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from IntradiscalNavLib.Recording.RecordFormat import PoseValidity
from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter
from IntradiscalNavLib.Streaming.ImageStatus import imageState
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, OpenIGTLinkMessage, TrackingDataMessage, TransformMessage
from IntradiscalNavLib.Streaming.ToolStatus import StatusChange, ToolState

if TYPE_CHECKING:
    from IntradiscalNavLib.Views.SessionState import SessionEvent, SessionState


class StreamRecorder:
    """Records messages as received, not as displayed: every pose, also the invalid ones, with its own arrival time."""

    def __init__(self, writer: RecordingWriter) -> None:
        self.writer = writer

    def recordMessages(self, messages: Iterable[OpenIGTLinkMessage]) -> None:
        for message in messages:
            arrivalNs = round(message.arrivalSec * 1e9) if message.arrivalSec else None
            if isinstance(message, TransformMessage):
                validity = _validityOf(message.transformValid, message.transformStatus)
                self.writer.addPose(message.deviceName, message.matrix, message.timestampSec, validity, arrivalNs)
            elif isinstance(message, TrackingDataMessage):
                for tool in message.tools:
                    validity = _validityOf(None, message.toolStatus(tool.name))
                    self.writer.addPose(tool.name, tool.matrix, message.timestampSec, validity, arrivalNs)
            elif isinstance(message, ImageMessage) and message.voxels.ndim == 3 and message.isWhole:
                state, _ = imageState(message)
                validity = PoseValidity.INVALID if state is ToolState.INVALID else PoseValidity.VALID
                self.writer.addImage(message.deviceName, message.voxels, message.ijkToFrame, message.timestampSec, validity, arrivalNs)

    def recordFixedTransforms(self, transforms: Mapping[str, np.ndarray[Any, Any]]) -> None:
        """Calibrations and the registration, whenever they change: without them the poses can't be put into the CT later."""
        for name, matrix in transforms.items():
            self.writer.addEvent("FixedTransform", {"name": name, "matrix": np.asarray(matrix, float).tolist()})

    def recordStatusChanges(self, changes: Iterable[StatusChange]) -> None:
        for change in changes:
            values = {"from": change.fromState.value, "to": change.toState.value, "reasons": list(change.reasons)}
            self.writer.addToolStatus(change.name, values)

    def recordPlan(self, needleName: str, targetName: str, entryRas: Iterable[float], targetRas: Iterable[float]) -> None:
        values = {"needle": needleName, "target": targetName, "entryRas": list(entryRas), "targetRas": list(targetRas)}
        self.writer.addEvent("Plan", values)

    def recordGuidance(self, state: SessionState) -> None:
        """Numbers as displayed at this tick; a tick without a live needle is recorded as such, with no numbers."""
        guidance = state.displayed.guidance
        values: dict[str, Any] = {
            "needle": state.displayed.needleName,
            "live": state.displayed.live,
            "phase": state.displayed.phase.value,
            "notLive": {role: tool.state for role, tool in state.displayed.notLive.items()},
        }
        if guidance is not None:
            values |= {
                "tipRas": [float(value) for value in guidance.tipRas],
                "tipToTargetMm": guidance.tipToTargetMm,
                "depthLeftMm": guidance.depthLeftMm,
                "targetLateralMm": guidance.targetLateralMm,
                "shaftAngleDeg": guidance.shaftAngleDeg,
                "outOfPlaneMm": guidance.outOfPlaneMm,
                "clearancesMm": guidance.clearancesMm,
                "tip95Mm": None if guidance.uncertainty is None else guidance.uncertainty.radius95Mm,
            }
        self.writer.addGuidance(values)

    def recordEvents(self, events: Iterable[SessionEvent]) -> None:
        for event in events:
            self.writer.addEvent(event.kind, {"text": event.text, **event.detail})


def _validityOf(valid: bool | None, status: str) -> PoseValidity:
    if valid is not None:
        return PoseValidity.VALID if valid else PoseValidity.INVALID
    if not status:
        return PoseValidity.UNKNOWN
    return PoseValidity.VALID if status == "OK" else PoseValidity.INVALID
