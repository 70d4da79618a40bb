"""The whole demo, as a user runs it, and what it refuses."""

import csv
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavHeadless.Demo.FinalScanStep import PATIENT_MOVED_MM
from IntradiscalNavHeadless.Demo.SimulatorProcess import simulatorProcess
from IntradiscalNavHeadless.Demo.TruthCheck import TruthCheck, checkAgainstTruth
from IntradiscalNavHeadless.RenderingProbe import whyNoRendering
from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom


@pytest.fixture(scope="module")
def demoFolder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "run"
    command = [sys.executable, "-m", "IntradiscalNavHeadless.CommandLine", "demo", "--output", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "Traceback" not in result.stderr
    return folder


@pytest.mark.timeout(420)
@pytest.mark.slow
def test_demoMeetsTheLimitsAndSaysSo(demoFolder):
    summary = json.loads((demoFolder / "summary.json").read_text())
    assert summary["passed"] is True
    assert 0 < summary["truth"]["treMm"] < 2.0
    assert 0 < summary["truth"]["tipToTargetMm"] < 3.0
    assert summary["lastCt"]["ctPasses"] == 2
    assert summary["lastCt"]["gasInDiscMl"] == pytest.approx(3.0, abs=0.6)
    # The needle found in the last CT lies where the truth says that the shown tip was wrong, to one slice of 2 mm.
    assert summary["lastCt"]["tipErrorMm"] == pytest.approx(summary["truth"]["shownTipErrorMm"], abs=2.0)
    # The simulated patient moved between the scans; the program wasn't told by how much.
    assert summary["lastCt"]["registrationTrusted"] is True
    assert summary["lastCt"]["patientMovedMm"] == pytest.approx(np.linalg.norm(PATIENT_MOVED_MM), abs=1.0)


@pytest.mark.slow
def test_demoLeavesReportSceneAndPictures(demoFolder):
    report = (demoFolder / "report.html").read_text(encoding="utf-8")
    assert "research" in report.lower()
    with zipfile.ZipFile(demoFolder / "case" / "scene.mrb") as bundle:
        assert bundle.testzip() is None
        assert any(name.endswith(".mrml") for name in bundle.namelist())
    if not whyNoRendering():
        pictures = sorted(path.stem for path in (demoFolder / "pictures").glob("*.png"))
        assert pictures == ["NavFusion", "NavPathAcross", "NavScene", "NavTarget", "NavUltrasound"]
        assert report.count("data:image/png;base64") == 5


@pytest.mark.slow
def test_sceneOfTheDemoIsReviewedWithTheSameNumbers(demoFolder, tmp_path):
    summary = json.loads((demoFolder / "summary.json").read_text())
    least = []
    for source in (demoFolder / "case" / "scene.mrb", demoFolder / "case"):
        command = [sys.executable, "-m", "IntradiscalNavHeadless.CommandLine", "review", str(source), "--output", str(tmp_path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        (row,) = csv.DictReader((tmp_path / "reviews.csv").open())
        least.append(json.loads((tmp_path / "review.json").read_text())[0]["navigation"]["leastClearanceMm"])
        truth = summary["truth"]
        # Shown tip to target lies within what separates the shown from the true tip.
        assert float(row["finalTipToTargetMm"]) == pytest.approx(truth["tipToTargetMm"], abs=truth["shownTipErrorMm"] + 1.0)
        assert int(row["needlePasses"]) == 1
        assert float(row["lastCt.gasInDiscMl"]) == summary["lastCt"]["gasInDiscMl"]
        assert 0 <= float(row["outOfPlaneShare"]) <= 1
        assert row["pseudonym"] and row["level"] == "L4-L5"
        # The skin model of the scene is the tissue surface: entered once, and left in place.
        assert int(row["perkTutor.tissuePunctures"]) == 1
        assert float(row["perkTutor.pathInTissueMm"]) > 40
    # The scene keeps the displayed numbers at ten per second, the case folder each of them.
    assert least[0].keys() == least[1].keys() and len(least[0]) >= 3
    assert all(least[0][name] == pytest.approx(least[1][name], abs=2.0) for name in least[0])


def test_limitsDecideTheExitCode():
    assert TruthCheck(1.9, 2.9, 2.9).passed
    for check in (TruthCheck(2.1, 1, 1), TruthCheck(1, 3.1, 1), TruthCheck(1, 1, 3.1)):
        assert not check.passed


def test_truthCheckSeesATransposedRegistration():
    """A sign or transpose error must not pass: the truth is written down by the simulator, not by the registration."""
    truth = cachedLumbarPhantom().truth
    tip = truth.discs["L4-L5"].centerRas
    right = checkAgainstTruth(truth, "L4-L5", truth.referenceToRas, tip, tip, tip)
    assert right.treMm == pytest.approx(0, abs=1e-9)
    wrong = truth.referenceToRas.copy()
    wrong[:3, :3] = wrong[:3, :3].T
    assert checkAgainstTruth(truth, "L4-L5", wrong, tip, tip, tip).treMm > 2.0


@pytest.mark.parametrize("arguments", [["--side", "up"], ["--output", "FULL"]])
def test_badChoicesAreNamed(arguments, tmp_path):
    (tmp_path / "something").write_text("kept")
    arguments = [str(tmp_path) if each == "FULL" else each for each in arguments]
    result = CliRunner().invoke(app, ["demo", *arguments])
    assert result.exit_code != 0
    assert isinstance(result.exception, ValueError)
    assert "left or right" in str(result.exception) or "not empty" in str(result.exception)
    assert (tmp_path / "something").read_text() == "kept"


def test_simulatorThatCantStartIsNamed(tmp_path):
    with pytest.raises(RuntimeError, match="did not start"), simulatorProcess(["--phantom", '{"nonsense": 1}'], tmp_path / "log.txt"):
        pass
