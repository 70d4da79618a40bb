"""Registration from files: plate or touched points, against the phantom's truth."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from IntradiscalNavHeadless.CommandLine import app
from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
from IntradiscalNavLib.Simulation.MarkerPlateShape import writePlateDefinition
from IntradiscalNavLib.Simulation.PhantomDicom import writeDicomSeries


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan")
    phantom = cachedLumbarPhantom()
    writeDicomSeries(phantom, folder / "ct")
    writePlateDefinition(folder / "plate.json")
    rng = np.random.default_rng(5)
    touched = phantom.truth.ballsReference[rng.permutation(len(phantom.truth.ballsReference))] + rng.normal(0, 0.2, (7, 3))
    lines = ["name,x,y,z", *(f"p{index},{point[0]},{point[1]},{point[2]}" for index, point in enumerate(touched))]
    (folder / "points.csv").write_text("\n".join(lines))
    return folder, phantom.truth


def invoke(*arguments):
    return CliRunner().invoke(app, ["register", *(str(argument) for argument in arguments)])


@pytest.mark.parametrize("kind", ["plate", "points"])
def test_registrationAgreesWithTheTruth(scan, kind, tmp_path):
    folder, truth = scan
    disc = truth.discs["L4-L5"].centerRas
    given = ["--plate", folder / "plate.json"] if kind == "plate" else ["--points", folder / "points.csv"]
    target = "disc=" + ",".join(str(value) for value in disc)
    result = invoke(folder / "ct", *given, "--target", target, "--output", tmp_path / "r.json")
    assert result.exit_code == 0, result.output
    assert "Expected error at disc" in result.output
    content = json.loads((tmp_path / "r.json").read_text())
    found = np.array(content["fromToTo"]) @ np.linalg.solve(truth.referenceToRas, np.append(disc, 1.0))
    error = np.linalg.norm(found[:3] - disc)
    assert error < (0.6 if kind == "plate" else 1.2)
    assert error < 2 * content["predictedTre"]["disc"]["p95Mm"]


def test_otherPlateIsRefusedNotGuessed(scan, tmp_path):
    folder, _ = scan
    plate = json.loads((folder / "plate.json").read_text())
    for index, ball in enumerate(plate["balls"]):
        ball["position"] = [20.0 * index, 15.0 * (index % 2), 7.0 * (index % 3)]
    (tmp_path / "other.json").write_text(json.dumps(plate))
    result = invoke(folder / "ct", "--plate", tmp_path / "other.json")
    assert result.exit_code == 1
    assert "Not registered" in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "Give either"),
        (["--points", "missing.csv"], "missing.csv"),
        (["--plate", "plate.json", "--target", "disc"], "NAME=R,A,S"),
        (["--points", "bad.csv"], "row 3"),
    ],
)
def test_badInputIsNamed(scan, arguments, told, tmp_path):
    folder, _ = scan
    (tmp_path / "bad.csv").write_text("x,y,z\n1,2,3\n1,two,3\n4,5,6\n")
    places = {"plate.json": folder / "plate.json", "bad.csv": tmp_path / "bad.csv", "missing.csv": tmp_path / "missing.csv"}
    result = invoke(folder / "ct", *(places.get(argument, argument) for argument in arguments))
    assert result.exit_code != 0
    assert told in str(result.exception)
