"""The facts of a procedure that have no time of their own: what they are called, what they may be, what is implausible.

One table of fields serves the log, the panel, the report, the cohort and the REDCap dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from TranslatedText.Translation import tr as _

GROUPS = ("fusion", "control")
SIDES = ("left", "right", "bilateral")
LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")
SEXES = ("female", "male", "other")
YES_NO = ("yes", "no")
GRADINGS: Mapping[str, tuple[str, ...]] = {
    "SIR 2017": ("none", "mild", "moderate", "severe", "life-threatening or disabling", "death"),
    "CIRSE 2017": ("none", "1", "2", "3", "4", "5", "6"),
    "Clavien-Dindo": ("none", "I", "II", "IIIa", "IIIb", "IVa", "IVb", "V"),
    "CTCAE 5.0": ("none", "1", "2", "3", "4", "5"),
}
PAIN_TIMES = ("before", "1 day", "2 weeks", "1 month", "3 months", "6 months", "12 months")


@dataclass(frozen=True)
class DetailField:
    """One fact. kind: 'text', 'choice', 'number', 'integer' or 'record' (a small dictionary). low..high are the possible values,
    usualLow..usualHigh those that pass without a question."""

    name: str
    label: str
    kind: str
    choices: tuple[str, ...] = ()
    unit: str = ""
    low: float = -math.inf
    high: float = math.inf
    usualLow: float = -math.inf
    usualHigh: float = math.inf
    identifying: bool = False


FIELDS: tuple[DetailField, ...] = (
    DetailField("group", "Group", "choice", GROUPS),
    DetailField("level", "Level", "choice", LEVELS),
    DetailField("side", "Side of access", "choice", SIDES),
    DetailField("ageYears", "Age", "number", unit="years", low=0, high=120, usualLow=18, usualHigh=95),
    DetailField("sex", "Sex", "choice", SEXES),
    DetailField("operator", "Operator (code)", "text"),
    DetailField("operatorYears", "Operator's experience", "number", unit="years", low=0, high=70),
    DetailField("supervised", "Supervised", "choice", YES_NO),
    DetailField("technicalSuccess", "Technical success (completed as planned, disc reached)", "choice", YES_NO),
    DetailField("technicalEfficacy", "Technical efficacy (adequate intradiscal gas on the last CT)", "choice", YES_NO),
    DetailField("complicationGrading", "Grading of complications", "choice", tuple(GRADINGS)),
    DetailField("complicationGrade", "Highest grade of complication", "text"),
    DetailField("complicationText", "Complication", "text"),
    *(DetailField(f"pain:{time}", f"Pain score {time}", "number", unit="0-10", low=0, high=10) for time in PAIN_TIMES),
    DetailField("doseFactor", "k factor", "record"),
    DetailField("countingRule", "Counting rule of CT passes", "text"),
    DetailField("dlpTotalMGyCm", "DLP total", "number", unit="mGy·cm", low=0, high=100000, usualHigh=10000),
    DetailField("dlpSource", "Source of the DLP total", "text"),
    DetailField("remark", "Remark", "text"),
)
FIELD_BY_NAME: Mapping[str, DetailField] = {field.name: field for field in FIELDS}

VOLUME_LIMIT_ML = 200.0
VOLUME_USUAL_ML = 40.0


def checkDetail(name: str, value: Any) -> str:
    """Doubt about a value ('' when it is plausible). Raises ValueError for an impossible one; None clears a fact and is always possible.

    Names outside FIELDS (the study's own) are taken as they are.
    """
    field = FIELD_BY_NAME.get(name)
    if field is None or value is None:
        return ""
    if field.kind == "choice" and value not in field.choices:
        raise ValueError(
            _("{label} is '{value}'; possible are {names}").format(label=field.label, value=value, names=", ".join(field.choices))
        )
    if field.kind in ("number", "integer"):
        return _checkNumber(field, value)
    if field.kind == "text" and not isinstance(value, str):
        raise ValueError(_("{label} must be text, not {name}").format(label=field.label, name=type(value).__name__))
    return ""


def _checkNumber(field: DetailField, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(_("{label} must be a number, not '{value}'").format(label=field.label, value=value))
    if not field.low <= value <= field.high:
        raise ValueError(
            _("{label} of {value:g} {unit} is impossible ({low:g} to {high:g}); correct the entry").format(
                label=field.label, value=value, unit=field.unit, low=field.low, high=field.high
            )
        )
    if not field.usualLow <= value <= field.usualHigh:
        return f"{field.label} of {value:g} {field.unit} is unusual; check the entry"
    return ""


def checkInjection(values: Mapping[str, Any]) -> str:
    """Doubt about an injection's values. Raises ValueError for an impossible volume."""
    volume = values.get("volumeMl")
    if volume is None:
        return "injection without a volume"
    if isinstance(volume, bool) or not isinstance(volume, (int, float)) or not math.isfinite(volume) or not 0 <= volume <= VOLUME_LIMIT_ML:
        raise ValueError(
            _("An injected volume of '{volume}' mL is impossible (0 to {volumeLimitMl:g}); correct the entry").format(
                volume=volume, volumeLimitMl=VOLUME_LIMIT_ML
            )
        )
    return f"injection of {volume:g} mL is unusual; check the entry" if volume > VOLUME_USUAL_ML else ""


def checkGrade(grading: str, grade: str) -> None:
    """Raises ValueError when the grade isn't one of the named grading."""
    grades = GRADINGS.get(grading)
    if grades is None:
        raise ValueError(_("Unknown grading '{grading}'; known are {names}").format(grading=grading, names=", ".join(GRADINGS)))
    if grade not in grades:
        raise ValueError(
            _("'{grade}' is no grade of {grading}; possible are {names}").format(grade=grade, grading=grading, names=", ".join(grades))
        )
