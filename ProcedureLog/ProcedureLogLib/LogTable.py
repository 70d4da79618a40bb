"""The log as rows of text, for a table node in a scene, a CSV file or a table widget; readable back without loss."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from TranslatedText.Translation import tr as _

from .ProcedureEvent import ProcedureEvent, eventFromJson, eventToJson

TABLE_COLUMNS = ("Sequence", "Revision", "Time", "Clock", "Kind", "Source", "Text", "Values", "Author", "Reason", "Withdrawn", "Entry")
"""`Entry` holds the whole event as JSON and is what `eventsFromRows` reads; the others are for people."""


def rows(events: Iterable[ProcedureEvent]) -> list[tuple[str, ...]]:
    """One row per event in the order of TABLE_COLUMNS. auditTrail() of the store keeps the history, events() gives the latest."""
    found: list[tuple[str, ...]] = []
    for event in events:
        entry = eventToJson(event)
        found.append(
            (
                str(event.sequence),
                str(event.revision),
                event.time.isoText(),
                event.time.clock,
                event.kind.value,
                event.source.value,
                event.text,
                json.dumps(dict(event.values), ensure_ascii=False, sort_keys=True),
                event.author,
                event.reason,
                "yes" if event.withdrawn else "",
                json.dumps(entry, ensure_ascii=False, separators=(",", ":")),
            )
        )
    return found


def eventsFromRows(table: Iterable[Sequence[str]], columns: Sequence[str] = TABLE_COLUMNS) -> tuple[ProcedureEvent, ...]:
    """Events of rows made by `rows`; columns names the columns as they stand in the table.

    Raises ValueError when the column 'Entry' is missing or a row is damaged, naming the row.
    """
    if "Entry" not in columns:
        raise ValueError(_("This table holds no procedure log: its column 'Entry' is missing"))
    place = list(columns).index("Entry")
    events = []
    for number, row in enumerate(table, 1):
        try:
            entry: Mapping[str, object] = json.loads(row[place])
            events.append(eventFromJson(entry))
        except (ValueError, IndexError, AttributeError) as error:
            raise ValueError(_("Row {number} of the log table is damaged: {error}").format(number=number, error=error)) from error
    return tuple(events)


def latestRevisions(events: Iterable[ProcedureEvent]) -> tuple[ProcedureEvent, ...]:
    """The latest revision of each entry, in the order first noted, withdrawn ones included."""
    latest: dict[str, ProcedureEvent] = {}
    for event in events:
        known = latest.get(event.eventId)
        if known is None or event.revision > known.revision:
            latest[event.eventId] = event
    return tuple(sorted(latest.values(), key=lambda event: event.sequence))
