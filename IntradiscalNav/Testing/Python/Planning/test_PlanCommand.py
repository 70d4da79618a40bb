"""``intradiscalnav plan`` on files of the analytic spine: one patient, a list with failing ones, segmentations with and without names."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
import typer
from typer.testing import CliRunner

from IntradiscalNavHeadless.PlanCommand import plan
from IntradiscalNavHeadless.PlanInput import readCt, readSegmentation

app = typer.Typer()
app.command("plan")(plan)


@app.command("other")
def other() -> None:
    """A second command, so that "plan" keeps its name."""


@pytest.fixture(scope="module")
def files(tmp_path_factory, tinySpine, tinySpineNames):
    folder = tmp_path_factory.mktemp("patients")
    labels, hu, affine = replace(tinySpine, withTableBehind=False).paint((2.5, 2.5, 2.5))

    def save(array, name, metadata=()):
        image = SimpleITK.GetImageFromArray(array)
        lps = np.diag([-1.0, -1, 1, 1]) @ affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        for key, value in metadata:
            image.SetMetaData(key, value)
        SimpleITK.WriteImage(image, str(folder / name))

    save(hu, "ct.nii.gz")
    save(labels, "labels.nii.gz")
    (folder / "names.json").write_text(json.dumps({str(k): v for k, v in tinySpineNames.items()}), encoding="utf-8")
    segments = []
    for n, (value, name) in enumerate(tinySpineNames.items()):
        segments += [(f"Segment{n}_LabelValue", str(value)), (f"Segment{n}_Name", name if value != 2 else "Segment_2")]
        if value == 2:
            segments.append(
                (f"Segment{n}_Tags", "Segmentation.Status:done|TerminologyEntry:x~SCT^123037004^A~SCT^11994002^L4 vertebra~^^~x~^^~^^|")
            )
    save(labels, "labels.seg.nrrd", segments)
    (folder / "fast.json").write_text(json.dumps({"minEntries": 2500}), encoding="utf-8")
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["plan", *map(str, arguments)])


def test_onePatientGivesPageJsonAndTable(files, tmp_path):
    out = tmp_path / "plan"
    result = run(
        files / "ct.nii.gz", "--segmentation", files / "labels.nii.gz", "--names", files / "names.json",
        "--parameters", files / "fast.json", "--level", "L4-L5", "--side", "both", "--session", "--output", out, "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["feasible"] is True
    assert printed == {**json.loads((out / "plan.json").read_text()), **{k: printed[k] for k in ("name", "error", "seconds", "files")}}
    assert len(printed["session"]["steps"]) == 7
    page = (out / "plan.html").read_text(encoding="utf-8")
    best = printed["best"][0]
    assert f"<td>{best['medialInclinationDeg']:.0f}</td>" in page
    assert page.count("data:image/png;base64,") == 5
    assert "Order of the session" in page
    assert "L4-L5 lies 1 disc above the lumbosacral disc" in page
    assert "http" not in page.replace("http-equiv", "")
    assert len((out / "plan.csv").read_text().splitlines()) == 1 + len(printed["best"]) + 6


def test_listGoesOnAfterFailures(files, tmp_path):
    table = files / "patients.csv"
    table.write_text(
        "name,ct,segmentation,names,level,side\n"
        "good,ct.nii.gz,labels.nii.gz,names.json,L4-L5,left\n"
        "missing,nowhere.nii.gz,labels.nii.gz,names.json,L4-L5,left\n"
        "nolevel,ct.nii.gz,labels.nii.gz,names.json,L1-L2,left\n"
        "empty,,,,,\n"
        "notct,labels.nii.gz,labels.nii.gz,names.json,L4-L5,left\n"
        "again,ct.nii.gz,labels.seg.nrrd,,L3-L4,right\n",
        encoding="utf-8",
    )
    result = run("--list", table, "--parameters", files / "fast.json", "--output", tmp_path, "--no-pictures", "--json")
    assert result.exit_code == 1
    outcomes = {row["name"]: row for row in json.loads(result.stdout)}
    assert {name for name, row in outcomes.items() if not row["error"]} == {"good", "again"}
    assert "does not exist" in outcomes["missing"]["error"]
    assert "L1-L2 cannot be planned" in outcomes["nolevel"]["error"]
    assert "names no CT" in outcomes["empty"]["error"]
    assert "no Hounsfield units" in outcomes["notct"]["error"]
    assert (tmp_path / "good" / "plan.html").exists()
    assert (tmp_path / "again" / "plan.csv").exists()


def test_clicksStandInForASegmentation(files):
    result = run(
        files / "ct.nii.gz", "--upper-endplate=1,0,24", "--lower-endplate=-1,0,14", "--parameters", files / "fast.json", "--json"
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["best"]


def test_wrongCallsNameTheirRemedy(files):
    for arguments, text in (
        ([], "Give one CT"),
        ([files / "ct.nii.gz"], "--upper-endplate R,A,S"),
        ([files / "ct.nii.gz", "--upper-endplate=1,2"], "three numbers"),
        ([files / "names.json", "--segmentation", files / "labels.nii.gz"], "cannot be read as an image"),
        ([files / "ct.nii.gz", "--segmentation", files / "labels.nii.gz", "--names", files / "ct.nii.gz"], "must be JSON"),
        ([files / "ct.nii.gz", "--parameters", files / "names.json"], "Unknown planning parameters"),
        (["--list", files / "fast.json"], "columns name and ct"),
    ):
        result = run(*arguments)
        assert isinstance(result.exception, ValueError), (arguments, result.exception)
        assert text in str(result.exception)


def test_namesAndTerminologyOfSlicerSegmentationsAreRead(files, tinySpineNames):
    read = readSegmentation(files / "labels.seg.nrrd")
    assert read.names is not None
    assert read.names[1] == tinySpineNames[1]
    assert read.names[2] == "Segment_2"
    assert "11994002" in read.terminology[2]
    assert readSegmentation(files / "labels.nii.gz").names is None
    ct = readCt(files / "ct.nii.gz")
    assert np.allclose(ct.ijkToRas, read.ijkToRas, atol=1e-4)
