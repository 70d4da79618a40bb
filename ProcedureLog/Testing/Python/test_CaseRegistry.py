"""Registry of many cases: filters, pages, CSV, case folders, scale."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from ProcedureLogLib.CaseRegistry import CaseRegistry, readSummaryCsv, writeSummaryCsv
from ProcedureLogLib.Cohort import buildCohortTable
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureStore import DATABASE_FILE, ProcedureStore
from ProcedureLogLib.ProcedureSummary import ALL_COLUMNS
from ProcedureLogLib.PublishedCohort import publishedRows


def filled(count: int) -> CaseRegistry:
    registry = CaseRegistry()
    registry.addSummaries(
        {
            "caseId": f"{index:06d}",
            "day": f"2026-01-{1 + index % 28:02d}",
            "group": ("fusion", "control")[index % 2],
            "roomMin": float(index % 50),
        }
        for index in range(count)
    )
    return registry


def test_filtersAndPages() -> None:
    with filled(1000) as registry:
        assert registry.count() == 1000 and registry.count({"group": "fusion"}) == 500
        assert registry.count({"roomMin": (10, 19)}) == 200 and registry.count({"roomMin": (40, None), "group": ["control"]}) == 100
        assert registry.count({"level": None}) == 1000 and registry.count({"day": ("2026-01-05", "2026-01-06")}) == 72
        page = registry.rows({"group": "fusion"}, orderBy="roomMin", descending=True, limit=3, offset=1)
        assert [row["roomMin"] for row in page] == [48.0, 48.0, 48.0] and set(page[0]) == set(ALL_COLUMNS)
        for bad in (
            lambda: registry.rows(orderBy="x; DROP TABLE procedures"),
            lambda: registry.count({"nope": 1}),
            lambda: registry.columns(["nope"]),
        ):
            with pytest.raises(ValueError, match="no column"):
                bad()
        with pytest.raises(ValueError, match="caseId"):
            registry.addSummaries([{"group": "fusion"}])
        assert registry.count() == 1000


def test_sameCaseReplacesItsLine() -> None:
    with filled(5) as registry:
        registry.addSummaries([{"caseId": "000003", "group": "fusion"}])
        assert registry.count() == 5 and registry.count({"roomMin": None}) == 1
        columns = registry.columns(["roomMin", "level", "group"])
        assert np.isnan(columns["roomMin"]).sum() == 1 and set(columns["level"]) == {""}


def test_registryOfAnEarlierVersionGetsItsNewColumns(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE procedures ("caseId" TEXT PRIMARY KEY, "day" TEXT, "group" TEXT, "operator" TEXT, "level" TEXT)')
        connection.execute("INSERT INTO procedures VALUES ('1', '2026-01-01', 'fusion', 'A', 'L4-L5')")
        connection.commit()
    with CaseRegistry(path) as registry:
        assert registry.rows()[0]["group"] == "fusion" and registry.rows()[0]["countingRule"] is None
        registry.addSummaries(publishedRows())
        assert registry.count() == 13


def test_csvRoundTrip(tmp_path: Path) -> None:
    path = writeSummaryCsv(publishedRows(), tmp_path / "cohort.csv")
    rows = readSummaryCsv(path)
    wanted = publishedRows()
    assert [{name: row[name] for name in wanted[0]} for row in rows] == wanted
    path.write_text("group,roomMin\nfusion,30\ncontrol,soon\n")
    with pytest.raises(ValueError, match=r"line 3: 'soon' in column 'roomMin'"):
        readSummaryCsv(path)
    path.write_text("roomMin\n3\n")
    with pytest.raises(ValueError, match="'group' is missing"):
        readSummaryCsv(path)
    path.write_text("group,shoe size\nfusion,43\n")
    with pytest.raises(ValueError, match="unknown column"):
        readSummaryCsv(path)


def test_caseFoldersAreReadAndABrokenOneIsNamed(tmp_path: Path) -> None:
    for number in range(3):
        with ProcedureStore(tmp_path / "study" / f"case{number}") as store:
            store.addEvent(EventKind.PATIENT_IN)
            store.addEvent(EventKind.INJECTION, values={"volumeMl": 10 + number})
            store.setDetail("group", "fusion" if number else "control")
            store.setDetail("pain:before", 7)
    broken = tmp_path / "study" / "broken"
    broken.mkdir()
    (broken / DATABASE_FILE).mkdir()
    with CaseRegistry(tmp_path / "registry.sqlite") as registry:
        found = registry.addCaseFolders(tmp_path / "study")
        assert found.added == 3 and [Path(folder).name for folder, _ in found.failed] == ["broken"]
        assert registry.addCaseFolders(tmp_path / "study").added == 3 and registry.count() == 3
        assert sorted(registry.columns(["injectedMl"])["injectedMl"]) == [10.0, 11.0, 12.0]
        assert registry.count({"pain before": 7.0}) == 3
    with CaseRegistry(tmp_path / "registry.sqlite") as registry:
        assert registry.count({"group": "fusion"}) == 2


def test_hundredThousandProcedures() -> None:
    generator = np.random.default_rng(1)
    count = 100_000
    room = generator.normal(30, 7, count).round(1)
    sex = generator.integers(0, 2, count)
    with CaseRegistry() as registry:
        registry.addSummaries(
            {"caseId": str(i), "group": ("fusion", "control")[i % 2], "roomMin": room[i] + 16 * (i % 2), "sex": ("female", "male")[sex[i]]}
            for i in range(count)
        )
        assert len(registry.rows({"group": "control"}, orderBy="roomMin", limit=25)) == 25
        table = buildCohortTable(registry.columns(["group", "roomMin", "sex"]))
    row = table.row("roomMin")
    assert table.sizes == (50_000, 50_000) and row.effect is not None
    assert row.effect.low <= 16 <= row.effect.high and row.effect.high - row.effect.low < 0.4
    assert (row.pValue is not None and row.pValue < 1e-300) or math.isclose(row.pValue or 0.0, 0.0)
