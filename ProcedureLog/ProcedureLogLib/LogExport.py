"""A case as files for others: JSON with the whole history, CSV for spreadsheets. Pseudonymised by what the store holds."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .Clock import Duration
from .LogTable import TABLE_COLUMNS, rows
from .ProcedureEvent import ProcedureEvent, eventFromJson, eventToJson
from .ProcedureRecord import OPERATIVE_TO_INJECTION, OPERATIVE_TO_LAST_IMAGE, ROOM_TIME, ProcedureRecord, recordOf
from .ProcedureStore import ProcedureStore
from .ProcedureSummary import summaryOf
from .WholeFile import writeWhole

FORMAT = "procedure-log"
FORMAT_VERSION = 1
TABLE_VALUE_START = ("=", "+", "-", "@", "\t", "\r")


def recordToJson(record: ProcedureRecord) -> dict[str, Any]:
    """The numbers of a record as plain values with units in the names."""

    def duration(value: Duration) -> dict[str, Any]:
        return {"minutes": value.minutes, "uncertaintySec": value.uncertaintySec, "note": value.note}

    acquisitions = []
    for entry in record.ctAcquisitions:
        shown = asdict(entry)
        shown["time"] = None if entry.time is None else entry.time.isoText()
        acquisitions.append(shown)
    return {
        "pseudonym": record.pseudonym,
        "details": dict(record.details),
        "times": {
            ROOM_TIME: duration(record.roomTime),
            OPERATIVE_TO_INJECTION: duration(record.operativeTimeToInjection),
            OPERATIVE_TO_LAST_IMAGE: duration(record.operativeTimeToLastImage),
        },
        "ctPasses": record.passCount,
        "countingRule": record.countingRule,
        "ctAcquisitions": acquisitions,
        "dlpTotalMGyCm": record.dlpTotalMGyCm,
        "dlpSource": record.dlpSource,
        "effectiveDoseMSv": record.effectiveDoseMSv,
        "doseFactor": asdict(record.doseFactor),
        "injectedMl": record.injectedMl,
        "warnings": list(record.warnings),
        "summary": summaryOf(record),
    }


def writeCaseJson(store: ProcedureStore, path: str | Path) -> Path:
    """Write the record and every revision of every entry."""
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "record": recordToJson(recordOf(store)),
        "revisions": [eventToJson(event) for event in store.auditTrail()],
    }
    return writeWhole(path, json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False))


def readCaseJson(path: str | Path) -> tuple[ProcedureEvent, ...]:
    """All revisions out of a file written by `writeCaseJson`. Raises ValueError for any other file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            raise ValueError(_("the format is not 'procedure-log'"))
        if int(content["version"]) > FORMAT_VERSION:
            raise ValueError(_("version {content} is newer than this program").format(content=content["version"]))
        return tuple(eventFromJson(entry) for entry in content["revisions"])
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(_("{path} is no exported case: {error}").format(path=path, error=error)) from error


def csvText(header: Iterable[str], lines: Iterable[Iterable[object]]) -> str:
    """CSV with a cell that a spreadsheet would take for a formula set behind an apostrophe; numbers stay numbers."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(list(header))
    for line in lines:
        writer.writerow([_safeCell(value) for value in line])
    return out.getvalue()


def _safeCell(value: object) -> object:
    if isinstance(value, str) and value.startswith(TABLE_VALUE_START):
        try:
            float(value)
        except ValueError:
            return "'" + value
    return "" if value is None else value


def writeCaseCsv(store: ProcedureStore, path: str | Path) -> Path:
    """Write the latest revision of every entry, one line each (without the JSON column)."""
    keep = len(TABLE_COLUMNS) - 1
    lines = [row[:keep] for row in rows(store.events(withdrawn=True))]
    return writeWhole(path, "\ufeff" + csvText(TABLE_COLUMNS[:keep], lines))
