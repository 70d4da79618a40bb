"""REDCap: the data dictionary that makes the project, and the import file with the procedures."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .LogExport import csvText
from .ProcedureDetails import FIELD_BY_NAME
from .ProcedureSummary import ALL_COLUMNS, COLUMN_BY_NAME, NUMBER_COLUMNS
from .WholeFile import writeWhole

FORM = "procedure"
DICTIONARY_HEADER = (
    "Variable / Field Name",
    "Form Name",
    "Section Header",
    "Field Type",
    "Field Label",
    "Choices, Calculations, OR Slider Labels",
    "Field Note",
    "Text Validation Type OR Show Slider Number",
    "Text Validation Min",
    "Text Validation Max",
    "Identifier?",
    "Branching Logic (Show field only if...)",
    "Required Field?",
    "Custom Alignment",
    "Question Number (surveys only)",
    "Matrix Group Name",
    "Matrix Ranking?",
    "Field Annotation",
)
LABELS = {
    "pseudonym": "Pseudonym",
    "day": "Day of the procedure (shifted)",
    "group": "Group",
    "operator": "Operator (code)",
    "operatorYears": "Operator's experience",
    "complicationGrade": "Highest grade of complication",
    "caseId": "Record ID",
    "countingRule": "Counting rule of the CT passes",
}
LIMITS = {"ctPasses": (0, 200), "roomMin": (0, 1440), "operativeInjectionMin": (0, 1440), "operativeImageMin": (0, 1440)}


def redcapName(column: str) -> str:
    """Field name as REDCap allows: lower case letters, digits and underscores, a letter first; the record ID is 'record_id'."""
    if column == "caseId":
        return "record_id"
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _choices(column: str) -> tuple[str, ...]:
    if column == "group":
        return FIELD_BY_NAME["group"].choices
    known = COLUMN_BY_NAME.get(column)
    return known.choices if known is not None else ()


def _limits(column: str) -> tuple[str, str]:
    field = FIELD_BY_NAME.get(column.replace("pain ", "pain:"))
    low, high = LIMITS.get(column, (field.low, field.high) if field is not None else (0, math.inf))
    return ("" if math.isinf(low) else f"{low:g}", "" if math.isinf(high) else f"{high:g}")


def dictionaryRows() -> list[tuple[str, ...]]:
    """One row per field, the record ID first, in the order of DICTIONARY_HEADER."""
    rows = []
    for column in ALL_COLUMNS:
        known = COLUMN_BY_NAME.get(column)
        label = LABELS.get(column) or (known.label if known is not None else column)
        note = known.unit if known is not None else ("years" if column == "operatorYears" else "")
        choices = _choices(column)
        low = high = validation = ""
        if column in NUMBER_COLUMNS:
            validation = "number"
            low, high = _limits(column)
        elif column == "day":
            validation = "date_ymd"
        kind = "radio" if choices else "text"
        listed = " | ".join(f"{number}, {choice}" for number, choice in enumerate(choices, 1))
        rows.append((redcapName(column), FORM, "", kind, label, listed, note, validation, low, high, *[""] * 8))
    return rows


def importRows(summaries: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Header and lines of the import file: choices by their number. Raises ValueError for a value outside the choices."""
    lines: list[tuple[str, ...]] = [tuple(redcapName(column) for column in ALL_COLUMNS)]
    for summary in summaries:
        cells = []
        for column in ALL_COLUMNS:
            value = summary.get(column)
            choices = _choices(column)
            if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
                cells.append("")
            elif choices:
                if value not in choices:
                    raise ValueError(
                        _("Record {caseId}: '{value}' is no choice of {column} ({names})").format(
                            caseId=summary.get("caseId"), value=value, column=column, names=", ".join(choices)
                        )
                    )
                cells.append(str(choices.index(value) + 1))
            else:
                cells.append(f"{value:.10g}" if isinstance(value, float) else str(value))
        lines.append(tuple(cells))
    return lines


def writeRedcapDictionary(path: str | Path) -> Path:
    """Write the data dictionary CSV."""
    return writeWhole(path, csvText(DICTIONARY_HEADER, dictionaryRows()))


def writeRedcapImport(summaries: Iterable[Mapping[str, Any]], path: str | Path) -> Path:
    """Write the import CSV."""
    lines = importRows(summaries)
    return writeWhole(path, csvText(lines[0], lines[1:]))
