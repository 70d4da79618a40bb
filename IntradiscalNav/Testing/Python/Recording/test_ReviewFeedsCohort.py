"""The table of a review is what the cohort statistics take: from case folders and from the log inside a scene."""

import csv
import json

import pytest
from typer.testing import CliRunner

from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavHeadless.ReviewSummary import summaryOfFolder, summaryOfScene
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Recording.SceneDocuments import CASE_ATTRIBUTE, PSEUDONYM_ATTRIBUTE, DocumentRole, storeTable
from ProcedureLogLib.LogTable import TABLE_COLUMNS
from ProcedureLogLib.LogTable import rows as logRows
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureStore import ProcedureStore


def logCase(folder, group, passes):
    with ProcedureStore(folder) as store:
        for name, value in {"group": group, "level": "L4-L5", "side": "left", "operator": "A"}.items():
            store.setDetail(name, value)
        store.addEvent(EventKind.INJECTION, text="O2/O3", values={"volumeMl": 20.0})
        for number in range(passes):
            store.addEvent(EventKind.CT_PASS, values={"order": number, "counted": True, "passClass": "check", "kind": "axial"})
        return store.auditTrail(), store.pseudonym, store.caseId


@pytest.fixture(scope="module")
def cases(tmp_path_factory, caseRecorder):
    root = tmp_path_factory.mktemp("study")
    for number in range(4):
        group = "fusion" if number % 2 else "control"
        caseRecorder(root / f"case{number}", float(number))
        logCase(root / f"case{number}" / "log", group, 3 + number)
    caseRecorder(root / "no log", 1.0)
    return root


def test_reviewTableFeedsTheCohort(cases, tmp_path):
    result = CliRunner().invoke(app, ["review", str(cases), "--output", str(tmp_path), "--workers", "1"])
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in csv.DictReader((tmp_path / "reviews.csv").open())}
    assert rows["case3"]["group"] == "fusion" and rows["case3"]["level"] == "L4-L5" and rows["case3"]["pseudonym"]
    assert rows["no log"]["group"] == "" and float(rows["no log"]["finalLateralMm"]) == pytest.approx(1.0)
    made = CliRunner().invoke(app, ["cohort", "table", str(tmp_path / "cohort.csv"), "--json"])
    assert made.exit_code == 0, made.output
    table = json.loads(made.stdout)
    assert table["groups"] == {"fusion": 2, "control": 2}
    assert any(row["variable"] == "ctPasses" and row["first"].startswith("5") for row in table["rows"])


def test_sceneCarriesTheSameLine(tmp_path):
    trail, pseudonym, caseId = logCase(tmp_path / "log", "fusion", 4)
    host = startHost()
    host.clear()
    assert summaryOfScene(host.scene) == {}
    node = storeTable(host.scene, DocumentRole.LOG, TABLE_COLUMNS, logRows(trail))
    node.SetAttribute(PSEUDONYM_ATTRIBUTE, pseudonym)
    node.SetAttribute(CASE_ATTRIBUTE, caseId)
    path = host.saveScene(tmp_path / "scene.mrb")
    host.clear()
    host.loadScene(path)
    assert summaryOfScene(host.scene) == summaryOfFolder(tmp_path / "log")
    host.clear()


def test_brokenLogCostsTheLogOnly(cases, tmp_path, caseRecorder):
    caseRecorder(tmp_path / "case", 2.0)
    (tmp_path / "case" / "log").mkdir()
    (tmp_path / "case" / "log" / "procedure.sqlite").write_bytes(b"no database" * 100)
    (tmp_path / "case" / "log" / "procedure-case.json").write_text("{")
    result = CliRunner().invoke(app, ["review", str(tmp_path / "case"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["navigation"]["finalLateralMm"] == pytest.approx(2.0)
