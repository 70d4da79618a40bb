"""Many procedures to the study's Table 1: descriptions per group, named tests, effect sizes with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

from .Description import QUANTILE_RULES, Description, describe
from .EffectSize import EffectSize, cliffsDelta, hodgesLehmannShift
from .FisherTest import FisherTest, fisherTest
from .ProcedureSummary import COLUMNS, NUMBER, SummaryColumn
from .RankTest import RankTest, RankVariant, rankTest

SMALLEST_P = 0.001


@dataclass(frozen=True)
class CohortSettings:
    """How the table is worked out. matlabBeside adds the p-value MATLAB's ranksum would give."""

    groups: tuple[str, str] = ("fusion", "control")
    variant: RankVariant = RankVariant.ASYMPTOTIC
    quantileRule: str = "hazen"
    confidence: float = 0.95
    effect: str = "shift"
    """'shift' (Hodges-Lehmann) or 'delta' (Cliff)."""
    alpha: float = 0.05
    matlabBeside: bool = True
    columns: tuple[SummaryColumn, ...] = COLUMNS

    def __post_init__(self) -> None:
        if self.effect not in ("shift", "delta"):
            raise ValueError(_("effect is '{effect}'; it must be 'shift' or 'delta'").format(effect=self.effect))
        if len(set(self.groups)) != 2:
            raise ValueError(_("Two different groups are compared"))


@dataclass(frozen=True)
class CategoryCount:
    """Numbers per category of one group, and how many procedures didn't say."""

    counts: Mapping[str, int]
    missing: int

    def text(self, categories: Sequence[str]) -> str:
        total = sum(self.counts.values())
        if total == 0:
            return "no values"
        return "\n".join(f"{name} {self.counts.get(name, 0)} ({100 * self.counts.get(name, 0) / total:.0f} %)" for name in categories)


@dataclass(frozen=True)
class CohortRow:
    """One variable. first, second: a Description or a CategoryCount. tests are None where a group has no value."""

    column: SummaryColumn
    first: Description | CategoryCount
    second: Description | CategoryCount
    categories: tuple[str, ...] = ()
    rank: RankTest | None = None
    matlab: RankTest | None = None
    fisher: FisherTest | None = None
    effect: EffectSize | None = None
    holmP: float | None = None

    @property
    def pValue(self) -> float | None:
        found = self.rank or self.fisher
        return None if found is None else found.pValue

    def texts(self) -> tuple[str, str]:
        """Both groups as the table prints them."""
        return self._text(self.first), self._text(self.second)

    def _text(self, sample: Description | CategoryCount) -> str:
        if isinstance(sample, CategoryCount):
            text = sample.text(self.categories)
        elif self.column.shownAs == "median":
            text = sample.medianText(self.column.digits)
        else:
            text = sample.meanText(self.column.digits)
        return text + (f"; {sample.missing} missing" if sample.missing else "")


@dataclass(frozen=True)
class CohortTable:
    """Table 1. notes name every method; leftOut counts procedures of neither group."""

    settings: CohortSettings
    sizes: tuple[int, int]
    rows: tuple[CohortRow, ...]
    leftOut: int
    notes: tuple[str, ...]

    def row(self, name: str) -> CohortRow:
        """Row of a variable. Raises KeyError where the table has none."""
        for row in self.rows:
            if row.column.name == name:
                return row
        raise KeyError(_("The cohort table has no row '{name}'").format(name=name))


def pText(p: float | None) -> str:
    """p to three decimals as the paper prints it: '0.008', '< 0.001', '> 0.999'."""
    if p is None:
        return "–"
    if p < SMALLEST_P:
        return f"< {SMALLEST_P:g}"
    return "> 0.999" if p > 0.9995 - 1e-12 else f"{p:.3f}"


def buildCohortTable(columns: Mapping[str, npt.NDArray[Any]], settings: CohortSettings | None = None) -> CohortTable:
    """Table of the columns given (see CaseRegistry.columns); 'group' is needed, variables without any value are left out.

    Raises ValueError when 'group' is missing or a group has no procedure.
    """
    chosen = settings or CohortSettings()
    if "group" not in columns:
        raise ValueError(_("The cohort has no column 'group'"))
    group = np.asarray(columns["group"])
    masks = [group == name for name in chosen.groups]
    sizes = (int(masks[0].sum()), int(masks[1].sum()))
    for name, size in zip(chosen.groups, sizes):
        if size == 0:
            present = ", ".join(sorted({str(value) for value in np.unique(group)})) or "none"
            raise ValueError(
                _("No procedure of group '{name}' was found; groups in the data: {present}").format(name=name, present=present)
            )
    rows: list[CohortRow] = []
    for column in chosen.columns:
        if column.name not in columns:
            continue
        data = np.asarray(columns[column.name])
        row = _numberRow(column, data, masks, chosen) if column.kind == NUMBER else _categoryRow(column, data, masks)
        if row is not None:
            rows.append(row)
    rows = _withHolm(rows)
    tested = sum(1 for row in rows if row.pValue is not None)
    rules = _countingRules(columns, masks[0] | masks[1])
    return CohortTable(chosen, sizes, tuple(rows), int(len(group) - sum(sizes)), (*rules, *_notes(chosen, rows, tested)))


def _countingRules(columns: Mapping[str, npt.NDArray[Any]], used: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    """The rule by which CT passes were counted, or a warning when procedures were counted by different ones."""
    if "countingRule" not in columns:
        return ()
    rules = sorted({str(rule) for rule in np.asarray(columns["countingRule"])[used]} - {""})
    if len(rules) > 1:
        return (f"WARNING: CT passes were counted by {len(rules)} different rules and can't be compared: " + " / ".join(rules),)
    return tuple(f"CT passes: {rule}" for rule in rules)


def _numberRow(
    column: SummaryColumn, data: npt.NDArray[Any], masks: Sequence[npt.NDArray[np.bool_]], settings: CohortSettings
) -> CohortRow | None:
    values = data.astype(float)
    samples = [values[mask] for mask in masks]
    first, second = (describe(sample, settings.quantileRule) for sample in samples)
    if first.count + second.count == 0:
        return None
    if not first.count or not second.count:
        return CohortRow(column, first, second)
    a, b = (sample[~np.isnan(sample)] for sample in samples)
    effect = (hodgesLehmannShift if settings.effect == "shift" else cliffsDelta)(a, b, settings.confidence)
    matlab = rankTest(a, b, RankVariant.MATLAB) if settings.matlabBeside else None
    return CohortRow(column, first, second, (), rankTest(a, b, settings.variant), matlab, None, effect)


def _categoryRow(column: SummaryColumn, data: npt.NDArray[Any], masks: Sequence[npt.NDArray[np.bool_]]) -> CohortRow | None:
    samples = [data[mask].astype(str) for mask in masks]
    tallies = []
    for sample in samples:
        names, counts = np.unique(sample, return_counts=True)
        tallies.append({str(name): int(count) for name, count in zip(names, counts)})
    present = {name for tally in tallies for name in tally if name}
    if not present:
        return None
    categories = tuple(name for name in column.choices if name in present) + tuple(sorted(present - set(column.choices)))
    counted = [CategoryCount({name: tally.get(name, 0) for name in categories}, tally.get("", 0)) for tally in tallies]
    table = [[entry.counts[name] for name in categories] for entry in counted]
    both = all(sum(line) for line in table)
    return CohortRow(column, counted[0], counted[1], categories, fisher=fisherTest(table) if both and len(categories) > 1 else None)


def _withHolm(rows: Sequence[CohortRow]) -> list[CohortRow]:
    """Holm's step-down adjusted p beside each p."""
    order = sorted((row.pValue, index) for index, row in enumerate(rows) if row.pValue is not None)
    adjusted: dict[int, float] = {}
    highest = 0.0
    for position, (p, index) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - position)))
        adjusted[index] = highest
    return [
        CohortRow(row.column, row.first, row.second, row.categories, row.rank, row.matlab, row.fisher, row.effect, adjusted.get(index))
        for index, row in enumerate(rows)
    ]


def _notes(settings: CohortSettings, rows: Sequence[CohortRow], tested: int) -> tuple[str, ...]:
    first, second = settings.groups
    notes = [
        "Continuous: mean ± SD with n - 1 (range), or median [25th-75th percentile]; quantiles by "
        + QUANTILE_RULES[settings.quantileRule]
        + ".",
        f"Continuous variables: Mann-Whitney U test, two-sided, {settings.variant.value}.",
        "Categorical variables: Fisher's exact test, two-sided, sum of tables no more probable than the observed one.",
    ]
    for row in rows:
        if row.rank is not None and row.rank.variant is not settings.variant and settings.variant is not RankVariant.MATLAB:
            notes.append(f"{row.column.label}: {row.rank.variant.value} ({row.rank.note}).")
        if row.fisher is not None and row.fisher.standardError > 0:
            notes.append(f"{row.column.label}: {row.fisher.method}, standard error of p {row.fisher.standardError:.4f}.")
    if settings.matlabBeside:
        notes.append(f"p (MATLAB) is what ranksum gives: {RankVariant.MATLAB.value.removeprefix('as MATLAB ranksum: ')}.")
    percent = 100 * settings.confidence
    what = f"Hodges-Lehmann shift ({second} - {first})" if settings.effect == "shift" else f"Cliff's delta (positive: {second} larger)"
    notes.append(f"Effect: {what} with {percent:g} % confidence interval.")
    notes.append(
        f"{tested} tests; p isn't corrected for multiplicity, Holm's adjusted p stands beside it. Significant: p < {settings.alpha:g}."
    )
    notes.append(f"Computed with ProcedureLog on numpy {np.__version__}.")
    return tuple(notes)


PUBLISHED_NOTE = (
    "Example data consistent with every figure printed, not the authors' data. The published Table 1 gives no data and names MATLAB 2016b. "
    "Its four Mann-Whitney p-values (0.749, 0.006, 0.008, 0.008) all come out of one standard variant only: normal approximation, "
    "tie-corrected, without continuity correction. That is inferred by an exhaustive search over data consistent with the printed means, "
    "SDs and ranges; MATLAB's ranksum can't give them in either of its modes."
)
