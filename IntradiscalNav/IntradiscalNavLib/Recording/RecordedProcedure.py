"""A recording taken apart for review: series of poses per tool in RAS, plan, phases, events, tool visibility."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import invertRigid
from IntradiscalNavLib.Recording.NavigationMetrics import PlannedPath
from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, JsonRecord, PoseRecord, PoseValidity, Record, RecordKind
from IntradiscalNavLib.Recording.RecordingWriter import DROPPED_EVENT
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PoseSeries:
    """One streamed transform: ``timesSec`` (n,) since the start of the recording, ``matrices`` (n, 4, 4), ``valid`` (n,)."""

    name: str
    timesSec: FloatArray
    matrices: FloatArray
    valid: npt.NDArray[np.bool_]

    def at(self, timesSec: FloatArray, maximumAgeSec: float = 0.25) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Last sample at or before each time, as the program saw it live; not valid where it was older than ``maximumAgeSec``."""
        index = np.searchsorted(self.timesSec, timesSec, side="right") - 1
        safe = np.clip(index, 0, None)
        fresh = (index >= 0) & (timesSec - self.timesSec[safe] <= maximumAgeSec)
        return self.matrices[safe], fresh & self.valid[safe]


@dataclass(frozen=True)
class RecordedEvent:
    """``timeSec`` since the start of the recording."""

    timeSec: float
    name: str
    values: dict[str, Any]


@dataclass(frozen=True, eq=False)
class RecordedProcedure:
    """Everything of a recording but the pixels."""

    durationSec: float
    poses: dict[str, PoseSeries]
    fixedTransforms: dict[str, FloatArray]
    """Last known calibrations and registration (``ReferenceToRas``, ``NeedleTipToNeedle``, ...)."""
    plans: dict[str, PlannedPath]
    """By needle name."""
    guidance: tuple[RecordedEvent, ...]
    events: tuple[RecordedEvent, ...]
    imageCount: int
    imageTimesSec: FloatArray
    phases: tuple[tuple[float, str], ...] = field(default=())
    remarks: tuple[str, ...] = field(default=())
    """What is doubtful about the recording itself."""

    def toolTipToRas(self, tool: str = "Needle") -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
        """Times (n,), tip poses in RAS (n, 4, 4) and validity (n,) of a tool, through the registration and its tip calibration.

        :raises LookupError: naming what is missing in the recording: the tool's stream or the registration.
        """
        toReference = self.poses.get(f"{tool}ToReference")
        if toReference is not None:
            times, matrices, valid = toReference.timesSec, toReference.matrices, toReference.valid
        else:
            toTracker = self.poses.get(f"{tool}ToTracker")
            if toTracker is None:
                names = ", ".join(self.poses) or "none"
                raise LookupError(
                    _("The recording holds no {tool}ToReference and no {tool}ToTracker; recorded are: {names}.").format(
                        tool=tool, names=names
                    )
                )
            times, matrices, valid = toTracker.timesSec, toTracker.matrices, toTracker.valid
            reference = self.poses.get("ReferenceToTracker")
            if reference is not None:
                referenceToTracker, referenceValid = reference.at(times)
                matrices = np.array([invertRigid(each) for each in referenceToTracker]) @ matrices
                valid = valid & referenceValid
        registration = self.fixedTransforms.get("ReferenceToRas", self.fixedTransforms.get("TrackerToRas"))
        if registration is None:
            raise LookupError(
                _(
                    "The recording holds no registration (ReferenceToRas): the needle can't be placed in the CT. "
                    "Open the scene that belongs to it, or give the registration."
                )
            )
        tip = self.fixedTransforms.get(f"{tool}TipTo{tool}", np.eye(4))
        return times, registration @ matrices @ tip, valid


def takeApart(records: Iterable[Record]) -> RecordedProcedure:
    """Sort records into series; pixels are not kept."""
    poses: dict[str, list[PoseRecord]] = {}
    fixed: dict[str, FloatArray] = {}
    plans: dict[str, PlannedPath] = {}
    guidance: list[RecordedEvent] = []
    events: list[RecordedEvent] = []
    imageTimes: list[float] = []
    lastNs = 0
    for record in records:
        lastNs = max(lastNs, record.timeNs)
        if isinstance(record, PoseRecord):
            poses.setdefault(record.streamName, []).append(record)
        elif isinstance(record, ImageRecord):
            imageTimes.append(record.timeNs / 1e9)
        elif isinstance(record, JsonRecord):
            event = RecordedEvent(record.timeNs / 1e9, record.streamName, record.values)
            if record.kind == RecordKind.GUIDANCE:
                guidance.append(event)
            elif record.streamName == "FixedTransform":
                fixed[record.values["name"]] = np.array(record.values["matrix"], float)
            elif record.streamName == "Plan":
                plans[record.values["needle"]] = PlannedPath(tuple(record.values["entryRas"]), tuple(record.values["targetRas"]))
                events.append(event)
            else:
                events.append(event)
    return RecordedProcedure(
        durationSec=lastNs / 1e9,
        poses={name: _series(name, found) for name, found in poses.items()},
        fixedTransforms=fixed,
        plans=plans,
        guidance=tuple(guidance),
        events=tuple(events),
        imageCount=len(imageTimes),
        imageTimesSec=np.array(imageTimes),
        phases=_phases(guidance),
        remarks=_dropRemarks(events),
    )


def _dropRemarks(events: list[RecordedEvent]) -> tuple[str, ...]:
    drops = [event.values for event in events if event.name == DROPPED_EVENT]
    if not drops:
        return ()
    return (
        _("{images} images and {poses} poses were dropped while recording").format(
            images=drops[-1].get("images", 0), poses=drops[-1].get("poses", 0)
        ),
    )


def _series(name: str, records: list[PoseRecord]) -> PoseSeries:
    records = sorted(records, key=lambda record: record.timeNs)
    return PoseSeries(
        name=name,
        timesSec=np.array([record.timeNs / 1e9 for record in records]),
        matrices=np.array([record.matrix for record in records]),
        valid=np.array([record.validity is not PoseValidity.INVALID for record in records]),
    )


def _phases(guidance: list[RecordedEvent]) -> tuple[tuple[float, str], ...]:
    phases: list[tuple[float, str]] = []
    for entry in guidance:
        name = str(entry.values.get("phase", ""))
        if not phases or phases[-1][1] != name:
            phases.append((entry.timeSec, name))
    return tuple(phases)
