"""The one line a procedure gives to a registry and to the cohort statistics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .ProcedureDetails import FIELD_BY_NAME, LEVELS, PAIN_TIMES
from .ProcedureRecord import ProcedureRecord

NUMBER = "number"
CATEGORY = "category"


@dataclass(frozen=True)
class SummaryColumn:
    """One column. shownAs: 'mean' (mean ± SD, range), 'median' (median [Q1-Q3]) or 'counts'."""

    name: str
    label: str
    kind: str
    shownAs: str
    unit: str = ""
    digits: int = 0
    choices: tuple[str, ...] = ()


YES_NO = ("yes", "no")
COLUMNS: tuple[SummaryColumn, ...] = (
    SummaryColumn("ageYears", "Age", NUMBER, "mean", "years"),
    SummaryColumn("sex", "Sex", CATEGORY, "counts", choices=FIELD_BY_NAME["sex"].choices),
    SummaryColumn("level", "Level", CATEGORY, "counts", choices=LEVELS),
    SummaryColumn("side", "Side of access", CATEGORY, "counts", choices=FIELD_BY_NAME["side"].choices),
    SummaryColumn("technicalSuccess", "Technical success", CATEGORY, "counts", choices=YES_NO),
    SummaryColumn("technicalEfficacy", "Technical efficacy", CATEGORY, "counts", choices=YES_NO),
    SummaryColumn("complication", "Complication", CATEGORY, "counts", choices=YES_NO),
    SummaryColumn("ctPasses", "CT passes", NUMBER, "median"),
    SummaryColumn("roomMin", "Room utilisation time", NUMBER, "mean", "min"),
    SummaryColumn("operativeInjectionMin", "Operative time, first CT to last injection", NUMBER, "mean", "min"),
    SummaryColumn("operativeImageMin", "Operative time, first to last CT image", NUMBER, "mean", "min"),
    SummaryColumn("dlpMGyCm", "DLP", NUMBER, "median", "mGy·cm"),
    SummaryColumn("effectiveDoseMSv", "Effective dose", NUMBER, "median", "mSv", 1),
    SummaryColumn("injectedMl", "Injected gas", NUMBER, "median", "mL"),
    *(SummaryColumn(f"pain {time}", f"Pain score {time}", NUMBER, "median", "0-10") for time in PAIN_TIMES),
)
TEXT_COLUMNS = ("caseId", "pseudonym", "day", "group", "operator", "complicationGrade", "countingRule")
NUMBER_COLUMNS = ("operatorYears", *(column.name for column in COLUMNS if column.kind == NUMBER))
CATEGORY_COLUMNS = tuple(column.name for column in COLUMNS if column.kind == CATEGORY)
ALL_COLUMNS = (*TEXT_COLUMNS, *CATEGORY_COLUMNS, *NUMBER_COLUMNS)
COLUMN_BY_NAME: Mapping[str, SummaryColumn] = {column.name: column for column in COLUMNS}


def summaryOf(record: ProcedureRecord, caseId: str = "") -> dict[str, Any]:
    """Values by column name; None where the log doesn't tell. Dates are shifted ones, in 'day'."""
    details = record.details
    complication = record.hasComplication
    first = min((event.time.face for event in record.events), default=None)
    row: dict[str, Any] = {name: details.get(name) for name in ALL_COLUMNS}
    row.update(
        caseId=caseId or record.pseudonym,
        pseudonym=record.pseudonym,
        day="" if first is None else first.date().isoformat(),
        complication=None if complication is None else YES_NO[0 if complication else 1],
        ctPasses=record.passCount,
        countingRule=record.countingRule or None,
        roomMin=_rounded(record.roomTime.minutes),
        operativeInjectionMin=_rounded(record.operativeTimeToInjection.minutes),
        operativeImageMin=_rounded(record.operativeTimeToLastImage.minutes),
        dlpMGyCm=record.dlpTotalMGyCm,
        effectiveDoseMSv=_rounded(record.effectiveDoseMSv),
        injectedMl=record.injectedMl or None,
    )
    row.update({f"pain {time}": details.get(f"pain:{time}") for time in PAIN_TIMES})
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
