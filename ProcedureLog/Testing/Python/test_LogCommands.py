"""The commands log and cohort, as a user types them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pydicom
import pytest
import typer
from typer.testing import CliRunner, Result

from IntradiscalNavHeadless.CohortCommand import cohortApp
from IntradiscalNavHeadless.LogCommand import logApp
from ProcedureLogLib.CaseRegistry import writeSummaryCsv
from ProcedureLogLib.PublishedCohort import publishedRows

app = typer.Typer()
app.add_typer(logApp, name="log")
app.add_typer(cohortApp, name="cohort")


def run(*words: Any, fails: bool = False) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})
    if not fails:
        assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def test_wholeProcedureByHand(tmp_path: Path, dicom) -> None:  # type: ignore[no-untyped-def]
    case = tmp_path / "case"
    scans = [*dicom.helical(1, "090000"), *dicom.helical(2, "091500")]
    run("log", "add", case, "patientIn", "--time", "2026-05-04T08:50:00", "--clock", "hospital")
    run("log", "set", case, "group", "fusion")
    run("log", "clock", case, "scanner", "workstation", "--offset-sec", 0, "--uncertainty-sec", 2)
    values = ("--value", "volumeMl=20", "--value", "site=disc")
    entry = run("log", "add", case, "injection", "--time", "2026-05-04T09:10:00", *values).stdout.strip()
    counted = json.loads(run("log", "count-ct", *scans, "--case", case, "--json", "--k", 0.018, "--k-source", "own").stdout)
    assert counted["ctPasses"] == 2 and [each["class"] for each in counted["acquisitions"]] == ["planning", "final"]
    assert "One pass per irradiating acquisition" in counted["rule"]
    run("log", "correct", case, entry, "--value", "volumeMl=18", "--reason", "read again")
    shown = json.loads(run("log", "show", case, "--json").stdout)
    assert shown["injectedMl"] == 18 and shown["ctPasses"] == 2
    assert shown["times"]["operative time, first CT to last injection"]["minutes"] == pytest.approx(10)
    assert shown["effectiveDoseMSv"] == pytest.approx(20 * 0.018) and shown["doseFactor"]["source"] == "own"
    assert "read again" in run("log", "show", case, "--trail").stdout
    run("log", "report", case, "--html", tmp_path / "r.html", "--pdf", tmp_path / "r.pdf")
    assert (tmp_path / "r.html").stat().st_size > 3000 and (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    out = run("log", "export", case, tmp_path / "out", "--source", dicom.folder)
    assert "none found" in out.stdout
    run("log", "check", tmp_path / "out", tmp_path / "r.html", tmp_path / "r.pdf", "--source", dicom.folder)
    (tmp_path / "out" / "note.txt").write_text("PAT-0815")
    leaked = run("log", "check", tmp_path / "out", "--source", dicom.folder, fails=True)
    assert leaked.exit_code == 1 and "PatientID" in leaked.stdout and "PAT-0815" not in leaked.stdout
    run("log", "forget-identity", case, "--yes")
    assert "anonymous" in str(run("log", "add", case, "remark", fails=True).exception)


def test_badInputNamesItsRemedy(tmp_path: Path) -> None:
    for words, message in (
        (("log", "show", tmp_path / "none"), "no case folder"),
        (("log", "set", tmp_path / "c", "ageYears", "old"), "must be a number"),
        (("log", "set", tmp_path / "c", "side", "up"), "possible are left"),
        (("log", "add", tmp_path / "c", "remark", "--clock", "scanner"), "--time"),
        (("log", "add", tmp_path / "c", "remark", "--value", "x"), "name=value"),
        (("log", "count-ct", tmp_path), "it is empty"),
        (("log", "count-ct", tmp_path / "gone"), "does not exist"),
        (("cohort", "table", tmp_path), "No case folder"),
        (("cohort", "table", tmp_path / "gone.sqlite"), "does not exist"),
        (("cohort", "sample-size"), "--superiority"),
    ):
        result = run(*words, fails=True)
        assert result.exit_code != 0 and message in str(result.exception), words
    assert run("log", "add", tmp_path / "c", "lunch", fails=True).exit_code == 2


def test_cohortFromCsvAndFolders(tmp_path: Path) -> None:
    path = writeSummaryCsv(publishedRows(), tmp_path / "cohort.csv")
    outputs = ("--html", tmp_path / "c.html", "--pdf", tmp_path / "c.pdf", "--redcap", tmp_path / "redcap")
    made = run("cohort", "table", path, "--json", *outputs)
    content = json.loads(made.stdout)
    byName = {row["variable"]: row for row in content["rows"]}
    assert round(byName["ageYears"]["p"], 3) == 0.749 and round(byName["ctPasses"]["p"], 3) == 0.006
    assert content["groups"] == {"fusion": 6, "control": 6}
    assert {entry.name for entry in (tmp_path / "redcap").iterdir()} == {"redcap-dictionary.csv", "redcap-import.csv"}
    exact = json.loads(run("cohort", "table", path, "--json", "--variant", "exact", "--effect", "delta", "--where", "ageYears=..80").stdout)
    assert "exact" in next(row["test"] for row in exact["rows"] if row["variable"] == "roomMin") and exact["groups"]["fusion"] == 5
    run("cohort", "registry", path, tmp_path / "r.sqlite")
    listed = run("cohort", "list", tmp_path / "r.sqlite", "--where", "group=control", "--order", "roomMin", "--limit", 2).stdout
    assert "6 procedures" in listed and len(re.findall("control [1-6]", listed)) == 2
    for group, minutes in (("fusion", 20), ("control", 40)):
        case = tmp_path / "study" / group
        run("log", "add", case, "patientIn", "--time", "2026-05-04T08:00:00")
        run("log", "add", case, "patientOut", "--time", f"2026-05-04T08:{minutes}:00")
        run("log", "set", case, "group", group)
    folders = json.loads(run("cohort", "table", tmp_path / "study", "--json").stdout)
    assert [row["first"] for row in folders["rows"] if row["variable"] == "roomMin"] == ["20 (20-20)"]


def test_countingRuleIsASetting(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000")
    dicom.image(AcquisitionNumber=2, AcquisitionTime="090500", ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "SEQ"])
    usual = json.loads(run("log", "count-ct", dicom.folder, "--json").stdout)
    own = json.loads(run("log", "count-ct", dicom.folder, "--json", "--count", "spiral", "--separate", "sequenced").stdout)
    assert (usual["ctPasses"], own["ctPasses"], own["countedSeparately"]) == (2, 1, 1)
    assert usual["rule"] != own["rule"] and "sequenced acquisitions" in own["rule"]
    assert "no kind of acquisition" in str(run("log", "count-ct", dicom.folder, "--count", "all", fails=True).exception)


def test_identityStaysInItsFile(tmp_path: Path) -> None:
    case = tmp_path / "case"
    name = run(
        "log", "identity", case, "--patient-id", "PAT-0815", "--patient-name", "Muster^Hanna", "--birth-date", "19570203"
    ).stdout.strip()
    run("log", "add", case, "patientIn")
    run("log", "report", case, "--html", tmp_path / "r.html", "--archive", tmp_path / "r.dcm")
    dataset = pydicom.dcmread(tmp_path / "r.dcm")
    assert dataset.PatientID == "PAT-0815" and dataset.EncapsulatedDocument.startswith(b"%PDF")
    assert name in (tmp_path / "r.html").read_text() and "PAT-0815" not in (tmp_path / "r.html").read_text()
    assert "isn't changed" in str(run("log", "identity", case, "--patient-id", "x", fails=True).exception)
    nameless = tmp_path / "nameless"
    run("log", "add", nameless, "patientIn")
    refused = run("log", "report", nameless, "--html", tmp_path / "n.html", "--archive", tmp_path / "n.dcm", fails=True)
    assert "needs the patient's ID" in str(refused.exception)


def test_publishedAndSampleSize() -> None:
    text = run("cohort", "published").stdout
    assert all(value in text for value in ("0.749", "0.006", "0.008", "> 0.999", "0.818", "0.015"))
    assert "inferred" in text
    assert "21 + 21" in run("cohort", "sample-size", "--superiority", 0.75).stdout


def test_listenForAMoment(tmp_path: Path) -> None:
    pytest.importorskip("pynetdicom", reason="the DICOM listener needs pynetdicom")
    assert "Listening on 127.0.0.1:" in run("log", "listen", "--port", 0, "--seconds", 0.05).stdout
