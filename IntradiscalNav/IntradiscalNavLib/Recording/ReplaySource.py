"""Where a replay takes its poses and pictures from: the sequences of a saved scene, or a raw recording."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, ToolLiveness
from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath
from IntradiscalNavLib.Recording.ProcedureTimeline import ProcedureTimeline, timelineOfDocument, timelineOfRecording
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure, takeApart
from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseValidity, Record
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader, RecordPlace
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument
from IntradiscalNavLib.Recording.SequenceExport import VALIDITY_NAME, findValidityNode
from IntradiscalNavLib.Recording.SequenceFill import setMoves
from IntradiscalNavLib.Recording.SequenceImport import sequenceBrowsers
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, OpenIGTLinkMessage, TransformMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneStream
from TranslatedText.Translation import tr as _

IMAGE_NAMES = ("Image_Reference", "Image_Probe", "Image_Image")
MAXIMUM_AGE_SEC = 0.5
"""A pose or picture older than this was not live then."""


class ReplaySource(Protocol):
    """Moves the nodes of the scene to a moment of the recording."""

    durationSec: float
    fixedTransforms: Mapping[str, FloatArray]
    """Calibrations and registration that the source itself knows, by name; empty where only the scene knows them."""
    plan: PlannedPath | None
    timeline: ProcedureTimeline

    def show(self, timeSec: float) -> float:
        """Move the nodes; returns the time of the sample shown (seconds since the first)."""
        ...

    def toolStatuses(self) -> Mapping[str, ToolLiveness]:
        """Liveness by role at the moment shown, as it was recorded."""
        ...


class SequenceSource:
    """The first recording in the loaded scene's sequences.

    :param sequencesLogic: ``slicer.modules.sequences.logic()``.
    :raises ValueError: when the scene holds no recording.
    """

    def __init__(self, scene: Any, sequencesLogic: Any) -> None:
        browsers = sequenceBrowsers(scene)
        if not browsers:
            raise ValueError(_("The scene holds no recording to replay."))
        self.scene, self._logic, self.browser = scene, sequencesLogic, browsers[0]
        setMoves(self.browser, True)  # one that was filled while a stream ran is quiet
        master = self.browser.GetMasterSequenceNode()
        self._times = np.array([float(master.GetNthIndexValue(index)) for index in range(master.GetNumberOfDataNodes())])
        self.durationSec = float(self._times[-1] - self._times[0]) if len(self._times) else 0.0
        self.fixedTransforms: Mapping[str, FloatArray] = {}
        self.plan: PlannedPath | None = None
        self.timeline = timelineOfDocument(readDocument(scene, DocumentRole.TIMELINE), self.durationSec)

    def show(self, timeSec: float) -> float:
        index = int(np.clip(np.searchsorted(self._times, self._times[0] + timeSec, side="right") - 1, 0, len(self._times) - 1))
        self.browser.SetSelectedItemNumber(index)
        self._logic.UpdateProxyNodesFromSequences(self.browser)
        return float(self._times[index] - self._times[0])

    def toolStatuses(self) -> Mapping[str, ToolLiveness]:
        node = findValidityNode(self.scene) or self.scene.GetFirstNode(VALIDITY_NAME, "vtkMRMLTextNode")
        states = json.loads(node.GetText() or "{}") if node is not None else {}

        def liveness(*names: str) -> ToolLiveness:
            invalid = [name for name in names if states.get(name) == "INVALID"]
            return (
                ToolLiveness(False, "INVALID", _("{invalid} was recorded as invalid").format(invalid=invalid[0]))
                if invalid
                else ToolLiveness(True)
            )

        return {NEEDLE: liveness("NeedleToReference", "NeedleToTracker"), PROBE: liveness("ProbeToReference", "Image_Reference")}


class RecordingSource:
    """A raw recording on the disk. Poses are kept, pictures are read when they are shown.

    The messages go through the same ``SceneStream`` that writes the live stream, so the tree of nodes is the same.

    :raises FileNotFoundError: when there is no recording in the folder. :raises ValueError: when it holds no pose.
    """

    def __init__(self, scene: Any, folder: pathlib.Path) -> None:
        self._reader = RecordingReader(folder, withPixels=False)
        self._images: dict[str, list[tuple[int, PoseValidity, RecordPlace]]] = {}
        self.recorded: RecordedProcedure = takeApart(self._noteImages())
        self.problems = tuple(self._reader.problems)
        if not self.recorded.poses:
            raise ValueError(_("The recording {folder} holds no pose: there is nothing to replay.").format(folder=folder))
        self.durationSec = self.recorded.durationSec
        self.fixedTransforms: Mapping[str, FloatArray] = self.recorded.fixedTransforms
        self.plan = next(iter(self.recorded.plans.values()), None)
        self.timeline = timelineOfRecording(self.recorded)
        self._stream = SceneStream(scene)
        for name, matrix in self.recorded.fixedTransforms.items():
            self._stream.setCalibration(name, matrix)
        self._shownImages: dict[str, int] = {}
        self._imageTimes = {name: np.array([entry[0] for entry in entries]) for name, entries in self._images.items()}
        self._timeSec = 0.0
        self._clockSec = 0.0
        first = max(float(series.timesSec[0]) for series in self.recorded.poses.values())
        self.show(first)

    def _noteImages(self) -> Iterator[Record]:
        for record in self._reader:
            if isinstance(record, ImageRecord) and self._reader.place is not None:
                self._images.setdefault(record.streamName, []).append((record.timeNs, record.validity, self._reader.place))
            yield record

    def show(self, timeSec: float) -> float:
        self._timeSec = float(np.clip(timeSec, 0.0, self.durationSec))
        # A clock of its own that never goes back: to the stream each moment shown is a new one.
        self._clockSec += 1.0
        self._stream.receive([*self._poseMessages(), *self._imageMessages()])
        self._stream.apply(self._clockSec)
        return self._timeSec

    def toolStatuses(self) -> Mapping[str, ToolLiveness]:
        return {
            NEEDLE: self._liveness(["NeedleToReference", "NeedleToTracker"]),
            PROBE: self._liveness(["ProbeToReference", "ProbeToTracker"]),
        }

    def _liveness(self, names: list[str]) -> ToolLiveness:
        series = next((self.recorded.poses[name] for name in names if name in self.recorded.poses), None)
        if series is None:
            return ToolLiveness(False, "MISSING", f"{names[0]} was not recorded")
        index = int(np.searchsorted(series.timesSec, self._timeSec, side="right")) - 1
        if index < 0 or self._timeSec - series.timesSec[index] > MAXIMUM_AGE_SEC:
            return ToolLiveness(False, "STALE", f"{series.name} was silent then")
        return (
            ToolLiveness(True)
            if series.valid[index]
            else ToolLiveness(False, "INVALID", _("{seriesName} was recorded as invalid").format(seriesName=series.name))
        )

    def _poseMessages(self) -> list[OpenIGTLinkMessage]:
        now = self._clockSec
        messages: list[OpenIGTLinkMessage] = []
        for series in self.recorded.poses.values():
            index = int(np.searchsorted(series.timesSec, self._timeSec, side="right")) - 1
            if index >= 0:
                valid = {"TransformValid": "1" if series.valid[index] else "0"}
                matrix = series.matrices[index]
                messages.append(TransformMessage(series.name, matrix, metadata=valid, arrivalSec=now, timestampSec=now))
        return messages

    def _imageMessages(self) -> list[OpenIGTLinkMessage]:
        messages: list[OpenIGTLinkMessage] = []
        for name, entries in self._images.items():
            index = int(np.searchsorted(self._imageTimes[name], round(self._timeSec * 1e9), side="right")) - 1
            if index < 0 or self._shownImages.get(name) == index:
                continue
            timeNs, _unused, place = entries[index]
            record = self._reader.readAt(place, name, timeNs)
            if isinstance(record, ImageRecord):
                self._shownImages[name] = index
                now = self._clockSec
                messages.append(ImageMessage(name, record.pixels, record.imageToParent, arrivalSec=now, timestampSec=now))
        return messages
