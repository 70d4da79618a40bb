"""`make slicer-test` fails whenever the suites didn't run or failed. Slicer itself is played by small scripts here."""

import pathlib
import subprocess
import sys

import pytest
import runSlicerTests
from InSlicer.SuiteChoice import SUITES, isForSlicer

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
REPORT = '<testsuites><testsuite tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}"/></testsuites>'


@pytest.mark.parametrize(
    ("counts", "exitCode", "expected"),
    [
        ({"tests": 0, "failures": 0, "errors": 0, "skipped": 0}, 0, "No test ran"),
        ({"tests": 5, "failures": 0, "errors": 0, "skipped": 5}, 0, "No test ran"),
        ({"tests": 5, "failures": 1, "errors": 0, "skipped": 0}, 1, "failed"),
        ({"tests": 5, "failures": 0, "errors": 1, "skipped": 0}, 0, "failed"),
        ({"tests": 5, "failures": 0, "errors": 0, "skipped": 0}, -11, "failed"),
    ],
)
def test_whatDoesNotCountAsPassed(tmp_path, counts, exitCode, expected):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(**counts))
    with pytest.raises(runSlicerTests.SuiteFailure, match=expected):
        runSlicerTests.checkReport(report, exitCode)


def test_missingReportFails(tmp_path):
    with pytest.raises(runSlicerTests.SuiteFailure, match="no test ran"):
        runSlicerTests.checkReport(tmp_path / "none.xml", 0)


def test_goodRunPasses(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(tests=7, failures=0, errors=0, skipped=2))
    assert "7 tests" in runSlicerTests.checkReport(report, 0)


def test_noSlicerIsSaid(capsys):
    assert runSlicerTests.main(["/no/such/Slicer"]) == 2
    assert "SLICER=" in capsys.readouterr().err


def test_slicerThatRunsNothingFails(tmp_path, capsys):
    fake = tmp_path / "Slicer"
    fake.write_text("#!/bin/sh\nexit 0\n")
    fake.chmod(0o755)
    assert runSlicerTests.main([str(fake), "--no-install"]) == 1
    assert "no test ran" in capsys.readouterr().err


def test_scriptInsideSlicerRunsTheSuitesAndHandsOnTheStatus(tmp_path):
    """The script in a process that has an application-like host: it must run real tests and end with pytest's status."""
    runner = tmp_path / "application.py"
    runner.write_text(
        f"""
import sys, types, runpy
from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import installStandIns
host = installStandIns()
import slicer
def leave(status):
    print("slicer left with", status, flush=True)
    import os; os._exit(status)
slicer.util.exit = leave
import pathlib
sys.path.insert(0, {str(REPOSITORY / "Testing" / "InSlicer")!r})
import SuiteChoice
SuiteChoice.SUITES = ("IntradiscalNav/Testing/Python/Recording/test_SceneDocuments.py", "IntradiscalNav/Testing/Python/Headless")
runpy.run_path({str(REPOSITORY / "Testing" / "InSlicer" / "runInSlicer.py")!r}, run_name="__main__")
"""
    )
    import os

    environment = {
        **os.environ,
        "INTRADISCALNAV_REPOSITORY": str(REPOSITORY),
        "INTRADISCALNAV_TEST_PACKAGES": str(tmp_path),
        "INTRADISCALNAV_TEST_REPORT": str(tmp_path / "report.xml"),
    }
    done = subprocess.run([sys.executable, str(runner)], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert "slicer left with 0" in done.stdout, done.stdout + done.stderr
    text = runSlicerTests.checkReport(tmp_path / "report.xml", 0)
    assert int(text.split("tests")[0].split()[-1]) > 3
    assert "test_SceneHost" not in (tmp_path / "report.xml").read_text(), "suites of the headless host are left out"


def test_mostSuitesAreForSlicer():
    files = [path for suite in SUITES for path in (REPOSITORY / suite).rglob("test_*.py")]
    chosen = [path for path in files if isForSlicer(path)]
    assert len(chosen) > 0.7 * len(files)
    assert not any("Headless" in path.parts for path in chosen if "IntradiscalNavHeadless" in path.read_text())
