"""Two runs side by side: known differences come out, and the page holds them."""

import json

import pytest
from typer.testing import CliRunner

from IntradiscalNavHeadless.CaseReview import reviewWithRecording
from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavLib.Recording.RunComparison import compareRuns


@pytest.fixture(scope="module")
def runs(tmp_path_factory, caseRecorder):
    folder = tmp_path_factory.mktemp("runs")
    for name, lateral in (("first", 1.0), ("second", 4.0)):
        caseRecorder(folder / name, lateral)
    return folder


def test_knownDifferenceComesOut(runs):
    comparison = compareRuns([reviewWithRecording(runs / name) for name in ("first", "second")])
    byName = {each.name: each for each in comparison.differences}
    assert byName["finalLateralMm"].values == pytest.approx((1.0, 4.0))
    assert byName["finalLateralMm"].spread == pytest.approx(3.0)
    for run, lateral in zip(comparison.runs, (1.0, 4.0), strict=True):
        assert run.lateralMm == pytest.approx(lateral)
        # These runs were moved towards the head by their lateral error: up in the frame of the plan.
        assert run.tipInPlan[:, 1] == pytest.approx(lateral)
        assert run.tipInPlan[:, 0] == pytest.approx(0.0, abs=1e-9)


def test_pageAndJson(runs, tmp_path):
    result = CliRunner().invoke(app, ["compare", str(runs / "first"), str(runs / "second"), "--output", str(tmp_path / "c.html"), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["finalLateralMm"] == pytest.approx([1.0, 4.0])
    page = (tmp_path / "c.html").read_text()
    assert page.count("<svg") == 4
    assert "first" in page and "second" in page


def test_oneRunIsNoComparison(runs):
    with pytest.raises(ValueError, match="Two runs"):
        compareRuns([reviewWithRecording(runs / "first")])
