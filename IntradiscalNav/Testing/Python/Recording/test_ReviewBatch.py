"""Reviewing many cases: broken ones are named and skipped, and the result doesn't depend on the number of workers."""

import csv
import json

import pytest
from typer.testing import CliRunner

from IntradiscalNavHeadless.CaseReview import findCases
from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavHeadless.ReviewBatch import reviewMany
from IntradiscalNavLib.Recording.CaseFolder import CaseFolder


@pytest.fixture(scope="module")
def cases(tmp_path_factory, caseRecorder):
    folder = tmp_path_factory.mktemp("cases")
    for number in range(3):
        caseRecorder(folder / f"case{number}", float(number))
    (folder / "broken.mrb").write_bytes(b"PK\x03\x04 truncated")
    (folder / "empty").mkdir()
    CaseFolder(folder / "empty case")
    return folder


def test_everyCaseIsFoundOnce(cases):
    assert [path.name for path in findCases(cases)] == ["broken.mrb", "case0", "case1", "case2", "empty case"]


def test_resultDoesNotDependOnTheWorkers(cases):
    paths = findCases(cases)
    one, two = reviewMany(paths, workers=1), reviewMany(paths, workers=2)
    assert one == two
    byName = {result.row["name"]: result for result in one}
    for number in range(3):
        assert byName[f"case{number}"].row["finalLateralMm"] == pytest.approx(number, abs=1e-9)
    assert "truncated" in byName["broken.mrb"].problem
    assert "neither a recording nor a scene" in byName["empty case"].problem


def test_daskGivesTheSame(cases):
    distributed = pytest.importorskip("distributed")
    settings = {"processes": False, "protocol": "tcp://", "host": "127.0.0.1", "dashboard_address": None}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, **settings) as cluster:
        paths = findCases(cases)
        assert reviewMany(paths, scheduler=cluster.scheduler_address) == reviewMany(paths, workers=1)


def test_unreachableSchedulerIsNamed(cases):
    pytest.importorskip("distributed")
    with pytest.raises(RuntimeError, match="can't be reached"):
        reviewMany(findCases(cases), scheduler="not-an-address://x")


def test_commandWritesTableAndReview(cases, tmp_path):
    result = CliRunner().invoke(app, ["review", str(cases), "--output", str(tmp_path), "--workers", "1"])
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "reviews.csv").open()))
    assert len(rows) == 5
    assert sum(bool(row["problem"]) for row in rows) == 2
    reviews = json.loads((tmp_path / "review.json").read_text())
    assert reviews[2]["navigation"]["needlePasses"] == 1


def test_singleCaseAsJson(cases):
    result = CliRunner().invoke(app, ["review", str(cases / "case1"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["navigation"]["finalLateralMm"] == pytest.approx(1.0)
