"""One entry of the procedure log and its revisions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any

from TranslatedText.Translation import tr as _

from .Clock import ClockTime


class EventKind(str, Enum):
    """What happened. The values are the words kept in files and tables."""

    PATIENT_IN = "patientIn"
    PATIENT_OUT = "patientOut"
    CT_PASS = "ctPass"
    REGISTRATION = "registration"
    PLAN = "plan"
    NEEDLE_ACTIVE = "needleActive"
    GUIDANCE = "guidance"
    INJECTION = "injection"
    COMPLICATION = "complication"
    REMARK = "remark"
    DETAIL = "detail"
    """A fact without a time of its own (group, level, operator, outcome): values {'name': ..., 'value': ...}."""
    WARNING = "warning"
    """Noted by a program: tool lost, patient reference moved, clock set back."""


class EventSource(str, Enum):
    """Who noted it."""

    MANUAL = "manual"
    MODULE = "module"
    DICOM = "dicom"


@dataclass(frozen=True)
class ProcedureEvent:
    """The latest or an earlier revision of an entry.

    eventId stays the same over revisions; revision counts from 0. values holds plain JSON values; quantities carry the unit in their
    name (volumeMl, dlpMGyCm). author and reason say who changed it and why; withdrawn entries stay in the file and out of the numbers.
    """

    eventId: str
    kind: EventKind
    time: ClockTime
    source: EventSource = EventSource.MANUAL
    text: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    revision: int = 0
    author: str = ""
    reason: str = ""
    withdrawn: bool = False
    sequence: int = 0
    """Order in which entries were first noted in this case, from 1; 0 before it is stored."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", EventKind(self.kind))
        object.__setattr__(self, "source", EventSource(self.source))
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def withTime(self, time: ClockTime) -> ProcedureEvent:
        return replace(self, time=time)


def eventToJson(event: ProcedureEvent) -> dict[str, Any]:
    """Plain dictionary of an event; `eventFromJson` gives the event back."""
    return {
        "eventId": event.eventId,
        "revision": event.revision,
        "sequence": event.sequence,
        "kind": event.kind.value,
        "source": event.source.value,
        "clock": event.time.clock,
        "face": event.time.face.isoformat(timespec="microseconds"),
        "utcOffsetSec": event.time.utcOffsetSec,
        "monotonicSec": event.time.monotonicSec,
        "session": event.time.session,
        "text": event.text,
        "values": dict(event.values),
        "author": event.author,
        "reason": event.reason,
        "withdrawn": event.withdrawn,
    }


def eventFromJson(entry: Mapping[str, Any]) -> ProcedureEvent:
    """Event of a dictionary made by `eventToJson`. Raises ValueError naming what is missing or wrong."""
    try:
        time = ClockTime(
            entry["clock"], datetime.fromisoformat(entry["face"]), entry["utcOffsetSec"], entry["monotonicSec"], entry["session"]
        )
        return ProcedureEvent(
            eventId=entry["eventId"],
            kind=EventKind(entry["kind"]),
            time=time,
            source=EventSource(entry["source"]),
            text=entry["text"],
            values=entry["values"],
            revision=int(entry["revision"]),
            author=entry["author"],
            reason=entry["reason"],
            withdrawn=bool(entry["withdrawn"]),
            sequence=int(entry["sequence"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            _("Log entry {eventId!r} can't be read: {error!r}").format(eventId=str(entry.get("eventId", "?")), error=error)
        ) from error


def checkedValues(values: Mapping[str, Any]) -> str:
    """JSON text of values. Raises ValueError for what JSON can't hold (nan, arrays): nothing may change on re-reading."""
    try:
        return json.dumps(dict(values), allow_nan=False, ensure_ascii=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise ValueError(
            _("The values of a log entry must be plain JSON (text, finite numbers, lists): {error}").format(error=error)
        ) from error
