"""Statistics against scipy, against enumeration written independently, and against the published table."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ProcedureLogLib.CaseRegistry import CaseRegistry
from ProcedureLogLib.Cohort import CohortSettings, buildCohortTable, pText
from ProcedureLogLib.Description import describe
from ProcedureLogLib.EffectSize import cliffsDelta, hodgesLehmannShift
from ProcedureLogLib.FisherTest import fisherTest
from ProcedureLogLib.LearningCurve import failureCusum, learningCurves, timeCusum
from ProcedureLogLib.NextTrial import nextTrialSizes
from ProcedureLogLib.ProcedureSummary import ALL_COLUMNS
from ProcedureLogLib.PublishedCohort import CONTROL, FUSION, PUBLISHED_P, publishedRows
from ProcedureLogLib.RankTest import RankVariant, midRanks, rankTest
from ProcedureLogLib.SampleSize import sampleSizeMeans, sampleSizeProportions, sampleSizeSuperiority

tied = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=6)


def permutationP(a: list[float], b: list[float]) -> float:
    """Twice the smaller tail over every choice of the first sample, counted one by one."""
    everything = a + b
    pairs = [sum((x > y) + 0.5 * (x == y) for x in a for y in b)]
    u = pairs[0]
    below = above = total = 0
    for chosen in itertools.combinations(range(len(everything)), len(a)):
        first = [everything[index] for index in chosen]
        second = [everything[index] for index in range(len(everything)) if index not in chosen]
        value = sum((x > y) + 0.5 * (x == y) for x in first for y in second)
        below += value <= u
        above += value >= u
        total += 1
    return min(1.0, 2 * min(below, above) / total)


@settings(max_examples=40, deadline=None)
@given(tied, tied)
def test_exactIsTheEnumeration(a: list[float], b: list[float]) -> None:
    assert rankTest(a, b, RankVariant.EXACT).pValue == pytest.approx(permutationP(a, b), abs=1e-12)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.lists(st.integers(0, 9), min_size=2, max_size=40))
def test_asymptoticIsScipy(a: list[int], b: list[int]) -> None:
    if len(set(a + b)) == 1:
        assert rankTest(a, b).pValue == 1.0
        return
    for variant, continuity in ((RankVariant.ASYMPTOTIC, False), (RankVariant.ASYMPTOTIC_CONTINUITY, True)):
        expected = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=continuity)
        found = rankTest(a, b, variant)
        assert found.pValue == pytest.approx(min(1.0, expected.pvalue), rel=1e-9) and found.uFirst == expected.statistic


def test_exactWithoutTiesIsScipyToo() -> None:
    generator = np.random.default_rng(4)
    for n, m in ((3, 9), (8, 8), (25, 30)):
        a, b = generator.normal(size=n), generator.normal(0.7, 1, size=m)
        assert rankTest(a, b, RankVariant.EXACT).pValue == pytest.approx(stats.mannwhitneyu(a, b, method="exact").pvalue, rel=1e-9)


def test_ranksAreScipys() -> None:
    values = [3, 1, 3, 3, 7, 1, 0]
    assert midRanks(values).tolist() == stats.rankdata(values).tolist()


def test_matlabChoosesByItsRule() -> None:
    assert rankTest(range(9), range(10), RankVariant.MATLAB).variant is RankVariant.EXACT
    assert rankTest(range(10), range(10), RankVariant.MATLAB).variant is RankVariant.ASYMPTOTIC_CONTINUITY
    assert rankTest(range(9), range(11), RankVariant.MATLAB).variant is RankVariant.ASYMPTOTIC_CONTINUITY
    huge = rankTest(range(500), range(600), RankVariant.EXACT)
    assert huge.variant is RankVariant.ASYMPTOTIC and "too large" in huge.note


def test_publishedTableComesOut() -> None:
    with CaseRegistry() as registry:
        registry.addSummaries(publishedRows())
        table = buildCohortTable(registry.columns(ALL_COLUMNS))
    for name, printed in PUBLISHED_P.items():
        assert pText(table.row(name).pValue) == printed, name
    assert pText(table.row("level").pValue) == "> 0.999"
    matlab = {name: table.row(name).matlab for name in ("ageYears", "ctPasses", "roomMin", "operativeInjectionMin")}
    expected = {"ageYears": 0.81818, "ctPasses": 0.01515, "roomMin": 0.00649, "operativeInjectionMin": 0.00649}
    assert {name: round(test.pValue, 5) for name, test in matlab.items() if test is not None} == expected
    texts = {row.column.name: row.texts() for row in table.rows}
    assert texts["ageYears"] == ("68 ± 15 (45-83)", "66 ± 12 (48-81)")
    assert texts["ctPasses"] == ("2 [2-2]", "3 [3-3]")
    assert texts["roomMin"] == ("30 ± 6 (22-39)", "46 ± 10 (33-61)")
    assert texts["operativeInjectionMin"] == ("14 ± 3 (10-18)", "24 ± 6 (16-34)")
    assert texts["sex"][0] == "female 2 (33 %)\nmale 4 (67 %)"
    effects = {name: table.row(name).effect for name in ("roomMin", "operativeInjectionMin", "ctPasses")}
    assert {name: effect.estimate for name, effect in effects.items() if effect is not None} == {
        "roomMin": 16.0,
        "operativeInjectionMin": 10.0,
        "ctPasses": 1.0,
    }
    assert any("tie-corrected, without continuity" in note for note in table.notes) and any("Hazen" in note for note in table.notes)


@pytest.mark.parametrize("variant", [RankVariant.ASYMPTOTIC_CONTINUITY, RankVariant.EXACT, RankVariant.MATLAB])
def test_noOtherVariantGivesThePublishedValues(variant: RankVariant) -> None:
    values = {name: pText(rankTest(FUSION[name], CONTROL[name], variant).pValue) for name in PUBLISHED_P if name != "sex"}
    assert values["ageYears"] != "0.749" and values["ctPasses"] != "0.006"


def test_fisherTwoByTwoIsScipy() -> None:
    for table in ([[3, 1], [1, 9]], [[0, 5], [5, 0]], [[8, 2], [1, 5]], [[40, 11], [23, 27]], [[500, 300], [450, 390]]):
        assert fisherTest(table).pValue == pytest.approx(stats.fisher_exact(table).pvalue, rel=1e-6)


def enumeratedFisher(table: list[list[int]]) -> float:
    """Every arrangement of the column labels over the rows, one by one."""
    labels = [column for row in table for column, count in enumerate(row) for _ in range(count)]
    sizes = [sum(row) for row in table]

    def shape(order: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        start, rows = 0, []
        for size in sizes:
            tally = Counter(order[start : start + size])
            rows.append(tuple(tally.get(column, 0) for column in range(len(table[0]))))
            start += size
        return tuple(rows)

    counts = Counter(shape(order) for order in set(itertools.permutations(labels)))
    weights = {key: math.prod(math.factorial(sum(row)) // math.prod(map(math.factorial, row)) for row in key) for key in counts}
    total = sum(weights.values())
    observed = weights[tuple(tuple(row) for row in table)]
    return sum(weight for weight in weights.values() if weight <= observed) / total


@pytest.mark.parametrize(
    "table", [[[1, 2, 1], [2, 0, 2]], [[1, 3, 0], [1, 0, 3]], [[2, 1], [0, 3], [1, 1]], [[2, 0, 1], [0, 2, 0], [1, 1, 1]]]
)
def test_fisherLargerTablesAreTheEnumeration(table: list[list[int]]) -> None:
    assert fisherTest(table).pValue == pytest.approx(enumeratedFisher(table), abs=1e-9)


def test_fisherLargeTableAgreesWithChiSquare() -> None:
    table = [[900, 1100, 1000, 30], [1000, 1050, 950, 45]]
    found = fisherTest(table)
    assert "Monte Carlo" in found.method
    assert found.pValue == pytest.approx(stats.chi2_contingency(table).pvalue, abs=5 * found.standardError + 0.003)
    assert fisherTest(table) == found  # fixed seed
    assert fisherTest([[50000, 1], [49990, 12]]).standardError == 0


def test_fisherRefusesNonsense() -> None:
    for table in ([[1.5, 2], [1, 2]], [[-1, 2], [1, 2]], [1, 2]):
        with pytest.raises(ValueError, match="Fisher"):
            fisherTest(table)
    assert fisherTest([[6, 0], [6, 0]]).pValue == 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_shiftIsTheMedianDifference(a: list[float], b: list[float]) -> None:
    found = hodgesLehmannShift(a, b)
    differences = sorted(y - x for x in a for y in b)
    assert found.estimate == pytest.approx(float(np.median(differences)), abs=1e-6)
    assert found.low <= found.estimate + 1e-6 and found.estimate <= found.high + 1e-6


def test_shiftIntervalOfTheRManual() -> None:
    # Hollander & Wolfe (1973), p. 69, the example of R's wilcox.test: exact 95 % interval -0.76 .. 0.15 for x - y, estimate -0.305.
    x = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    y = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = hodgesLehmannShift(x, y)
    assert found.estimate == pytest.approx(-0.305) and (found.low, found.high) == pytest.approx((-0.76, 0.15))


def test_shiftOfManyIsTheSameByCounting(monkeypatch: pytest.MonkeyPatch) -> None:
    import ProcedureLogLib.EffectSize as module

    generator = np.random.default_rng(2)
    a, b = generator.integers(0, 60, 150).astype(float), generator.normal(33, 9, 170)
    direct = hodgesLehmannShift(a, b)
    monkeypatch.setattr(module, "PAIR_LIMIT", 0)
    counted = hodgesLehmannShift(a, b)
    assert (counted.estimate, counted.low, counted.high) == pytest.approx((direct.estimate, direct.low, direct.high), abs=1e-9)


def test_intervalsCoverAsTheySay() -> None:
    generator = np.random.default_rng(3)
    shiftHits = deltaHits = 0
    trueDelta = 2 * stats.norm.cdf(0.8 / math.sqrt(2)) - 1
    for _ in range(400):
        a, b = generator.normal(0, 1, 25), generator.normal(0.8, 1, 20)
        shift, delta = hodgesLehmannShift(a, b), cliffsDelta(a, b)
        shiftHits += shift.low <= 0.8 <= shift.high
        deltaHits += delta.low <= trueDelta <= delta.high
    assert 0.92 <= shiftHits / 400 <= 0.98 and 0.92 <= deltaHits / 400 <= 0.98


@given(tied, tied)
def test_deltaIsDominance(a: list[float], b: list[float]) -> None:
    found = cliffsDelta(a, b)
    assert found.estimate == pytest.approx(np.mean([np.sign(y - x) for x in a for y in b]))
    assert -1 <= found.low <= found.estimate + 1e-12 and found.estimate - 1e-12 <= found.high <= 1


def test_quantileRules() -> None:
    values = [45, 55, 69, 77, 79, 83]
    assert (describe(values).q1, describe(values).q3) == (55.0, 79.0)  # MATLAB prctile for n = 6: second and fifth value
    assert describe(values, "linear").q1 == np.quantile(values, 0.25)
    assert describe([1, 2, 3, math.nan]).missing == 1 and describe([]).meanText() == "no values"
    assert describe([2.5, 3.5]).medianText() == "3 [2.5-3.5]" and describe([5]).meanText() == "5 (5-5)"
    with pytest.raises(ValueError, match="Unknown quantile rule"):
        describe(values, "mine")
    with pytest.raises(ValueError, match="Infinite"):
        describe([math.inf])


def test_tableSaysWhatIsMissingAndLeftOut() -> None:
    rows = [
        {"caseId": f"{index}", "group": group, "roomMin": room}
        for index, (group, room) in enumerate((("fusion", 1.0), ("fusion", None), ("control", 4.0), ("pilot", 9.0)))
    ]
    with CaseRegistry() as registry:
        registry.addSummaries(rows)
        table = buildCohortTable(registry.columns(ALL_COLUMNS))
        with pytest.raises(ValueError, match="groups in the data: control, fusion, pilot"):
            buildCohortTable(registry.columns(ALL_COLUMNS), CohortSettings(groups=("fusion", "sham")))
    assert table.leftOut == 1 and [row.column.name for row in table.rows] == ["roomMin"]
    assert table.row("roomMin").texts()[0] == "1 (1-1); 1 missing"
    with pytest.raises(KeyError, match="no row"):
        table.row("dlpMGyCm")
    with pytest.raises(ValueError, match="no column 'group'"):
        buildCohortTable({})


def test_countingRuleStandsBesideTheNumber() -> None:
    rows = [row | {"countingRule": "rule A"} for row in publishedRows()]
    with CaseRegistry() as registry:
        registry.addSummaries(rows)
        assert "CT passes: rule A" in buildCohortTable(registry.columns(ALL_COLUMNS)).notes
        registry.addSummaries([rows[0] | {"countingRule": "rule B"}])
        assert any("2 different rules" in note for note in buildCohortTable(registry.columns(ALL_COLUMNS)).notes)


def test_holmIsStepDown() -> None:
    with CaseRegistry() as registry:
        registry.addSummaries(publishedRows())
        table = buildCohortTable(registry.columns(ALL_COLUMNS))
    tested = sorted((row.pValue, row.holmP) for row in table.rows if row.pValue is not None and row.holmP is not None)
    assert tested[0][1] == pytest.approx(min(1.0, tested[0][0] * len(tested)))
    assert all(first[1] <= second[1] for first, second in itertools.pairwise(tested))


@pytest.mark.parametrize(("p", "text"), [(0.0004, "< 0.001"), (0.008127, "0.008"), (0.9996, "> 0.999"), (1.0, "> 0.999"), (None, "–")])
def test_pAsPrinted(p: float | None, text: str) -> None:
    assert pText(p) == text


def test_sampleSizeReachesItsPower() -> None:
    size = sampleSizeMeans(10, 12, 12)
    generator = np.random.default_rng(6)
    hits = sum(rankTest(generator.normal(0, 12, size.first), generator.normal(10, 12, size.second)).pValue < 0.05 for _ in range(600))
    assert 0.77 <= hits / 600 <= 0.93  # 0.8 asked; the worst-case efficiency makes it a little more for normal data
    noether = sampleSizeSuperiority(0.75)
    assert (noether.first, noether.total) == (21, 42)  # (1.96 + 0.84)^2 / (12 · 0.25 · 0.0625) = 41.9
    assert sampleSizeSuperiority(0.25).first == 21 and sampleSizeSuperiority(0.75, dropout=0.2).firstWithDropouts == 27
    assert sampleSizeProportions(0.9, 0.7).first == 72  # Fleiss, Levin, Paik, table A.4
    for bad in (
        lambda: sampleSizeSuperiority(0.5),
        lambda: sampleSizeMeans(0, 1, 1),
        lambda: sampleSizeProportions(0.5, 0.5),
        lambda: sampleSizeSuperiority(0.7, power=1.2),
    ):
        with pytest.raises(ValueError, match=r"must|between"):
            bad()


def test_nextTrialPlansWithTheWeakerEffect() -> None:
    with CaseRegistry() as registry:
        registry.addSummaries(publishedRows())
        columns = registry.columns(ALL_COLUMNS)
    sizes = nextTrialSizes(buildCohortTable(columns), columns)
    assert len(sizes) == 6 and all(size.firstWithDropouts > size.first for size in sizes)
    seen, weaker = sizes[-2:]
    assert "as seen" in seen.method and "weaker end" in weaker.method and weaker.first > 2 * seen.first
    # P = 1 - 1.5/36, Noether: (1.96 + 1.2816)^2 / (12 * 0.25 * 0.4583^2) = 16.7 in all
    assert (seen.first, seen.second) == (9, 9)


def test_learningCurves() -> None:
    curve = timeCusum([20, 18, math.nan, 15, 11], 16.0, "A")
    assert curve.cusum == (4.0, 6.0, 5.0, 0.0) and curve.missing == 1
    assert timeCusum([1, 2, 3]).cusum[-1] == pytest.approx(0.0)
    good = failureCusum([0] * 60)
    assert (
        good.limits is not None
        and good.reached is not None
        and good.cusum[good.reached - 1] <= good.limits[0] < good.cusum[good.reached - 2]
    )
    s = math.log(0.95 / 0.85) / (math.log(3) + math.log(0.95 / 0.85))
    assert good.cusum[0] == pytest.approx(-s) and failureCusum([1]).cusum[0] == pytest.approx(1 - s)
    assert failureCusum([1, 1, 1, 1]).cusum[-1] > failureCusum([1]).limits[1]  # type: ignore[index]
    columns = {"operator": np.array(["A", "B", "A", ""]), "operativeInjectionMin": np.array([10.0, 20.0, 12.0, 5.0])}
    assert [(found.operator, len(found.cusum)) for found in learningCurves(columns)] == [("A", 2), ("B", 1)]
    for bad in (lambda: timeCusum([math.nan]), lambda: failureCusum([2]), lambda: failureCusum([0], 0.3, 0.1)):
        with pytest.raises(ValueError, match=r"needs|no value|rates"):
            bad()
