"""Real dose reports and real CT: exactly the passes and DLP printed in them, and nothing of them in what is exported."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import pydicom
import pytest

from ProcedureLogLib.CaseIdentity import createIdentity
from ProcedureLogLib.CtPasses import MixedPatients, countCtPasses
from ProcedureLogLib.CtPassLog import logCtPasses
from ProcedureLogLib.DicomDeidentification import deidentifyFiles
from ProcedureLogLib.DicomHeader import headerValuesFrom, readHeader
from ProcedureLogLib.DicomIdentifiers import collectIdentifiers
from ProcedureLogLib.DoseReport import NotADoseReport, readDoseReport
from ProcedureLogLib.HeaderScan import scanHeaders
from ProcedureLogLib.LeakCheck import checkLeaks
from ProcedureLogLib.LogExport import writeCaseCsv, writeCaseJson
from ProcedureLogLib.LogTable import rows
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureRecord import recordOf
from ProcedureLogLib.ProcedureReport import writeProcedureReport
from ProcedureLogLib.ProcedureStore import ProcedureStore

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def slices(realData: Path) -> list[Path]:
    return sorted((realData / "ct" / "totalsegmentator_example" / "example_ct_dicom").iterdir())


def siemens(realData: Path, *numbers: int) -> list[Path]:
    return [realData / "dose" / f"CT-RDSR-Siemens-Multi-{number}.dcm" for number in numbers]


@pytest.mark.parametrize(
    ("numbers", "passes", "dlp"),
    [((1,), 0, 7.46), ((2,), 1, 77.27), ((3,), 2, 236.09), ((1, 2, 3), 2, 236.09), ((3, 1, 3, 2), 2, 236.09), ((1, 2), 1, 77.27)],
)
def test_siemensReportSentAgain(realData: Path, numbers: tuple[int, ...], passes: int, dlp: float) -> None:
    count = countCtPasses(siemens(realData, *numbers))
    assert (count.passCount, count.localizerCount, count.separateCount) == (passes, 1, 0)
    assert count.dlpTotalMGyCm == pytest.approx(dlp, abs=1e-9)


def test_siemensDosePerPass(realData: Path) -> None:
    count = countCtPasses(siemens(realData, 1, 2, 3))
    assert [entry.acquisition.dlpMGyCm for entry in count.acquisitions] == [7.46, 69.81, 158.82]
    assert [entry.acquisition.ctdiVolMGy for entry in count.acquisitions] == [0.15, 8.13, 7.02]
    assert sum(entry.acquisition.dlpMGyCm or 0 for entry in count.acquisitions) == pytest.approx(count.dlpTotalMGyCm)
    first, last = count.firstImage(), count.lastImage()
    assert first is not None and last is not None
    assert (first.face.strftime("%H:%M:%S"), last.face.strftime("%H:%M:%S")) == ("17:21:03", "17:26:57")


def test_geReport(realData: Path) -> None:
    """27 events in the report: 16 localizers, 2 spiral, 5 sequenced, 4 stationary; the unit is written mGycm."""
    count = countCtPasses(realData / "dose" / "CT-ESR-GE_VCT.dcm")
    kinds = Counter(entry.acquisition.kind.value for entry in count.acquisitions)
    assert kinds == {"localizer": 16, "spiral": 2, "sequenced": 5, "stationary": 4} and len(count.acquisitions) == 27
    assert (count.passCount, count.separateCount, count.localizerCount) == (7, 4, 16)
    assert count.dlpTotalMGyCm == pytest.approx(2002.39)
    assert sum(entry.acquisition.dlpMGyCm or 0 for entry in count.acquisitions) == pytest.approx(2002.39)
    assert not any("adds up" in warning or "prints" in warning for warning in count.warnings)


def test_philipsReport(realData: Path) -> None:
    count = countCtPasses(realData / "dose" / "CT-RDSR-Philips_BigBore4DCT.dcm")
    assert (count.passCount, count.localizerCount, count.dlpTotalMGyCm) == (1, 0, 541.1)
    assert count.passes[0].acquisition.ctdiVolMGy == 23.7


def test_nonDoseReportIsNotUsed(realData: Path) -> None:
    with pytest.raises(NotADoseReport, match="no CT radiation dose report"):
        readDoseReport(realData / "dose" / "ESR_non-dose.dcm")
    with pytest.raises(ValueError, match="Neither a CT image nor a CT dose report"):
        countCtPasses(realData / "dose" / "ESR_non-dose.dcm")


def test_threePatientsAreNotMerged(realData: Path) -> None:
    with pytest.raises(MixedPatients, match="3 patients"):
        countCtPasses(realData / "dose")


def test_doseReportOfAnotherPatientIsRefused(realData: Path, slices: list[Path]) -> None:
    with pytest.raises(MixedPatients, match="another patient"):
        countCtPasses([*slices, *siemens(realData, 3)])


def test_realSeriesIsOnePass(slices: list[Path]) -> None:
    assert len(slices) == 20
    count = countCtPasses(slices)
    assert (count.passCount, count.localizerCount, count.separateCount) == (1, 0, 0)
    scan = count.passes[0].acquisition
    assert scan.kind.value == "spiral" and scan.imageCount == 20
    assert scan.ctdiVolMGy == pytest.approx(18.54, abs=0.01)
    assert scan.scanLengthMm == pytest.approx(19 * 2 + 3)
    assert count.dlpTotalMGyCm == pytest.approx(18.5388 * 4.1, rel=1e-4)
    first = count.firstImage()
    assert first is not None and first.isoText() == "2022-12-08T14:03:52.457"


def test_headersEqualPydicom(realData: Path, slices: list[Path]) -> None:
    for path in [*slices, *sorted((realData / "dose").glob("*.dcm"))]:
        assert readHeader(path).values == headerValuesFrom(pydicom.dcmread(path, stop_before_pixels=True)), path.name


def test_folderWithLicenceTextIsScanned(realData: Path) -> None:
    scan = scanHeaders(realData / "dose")
    assert len(scan.headers) == 6 and [Path(entry.path).name for entry in scan.skipped] == ["LICENSE"]


def test_nothingOfTheSourceLeaks(realData: Path, slices: list[Path], tmp_path: Path) -> None:
    """The real series still carries address, dates and UIDs: none may be in the case, its exports, its scene table or its report."""
    reports = siemens(realData, 1, 2, 3)
    for name, source in (("images", slices), ("reports", reports)):
        identifiers = collectIdentifiers(source)
        assert len(identifiers) > 12
        assert not checkLeaks(source, identifiers).isClean  # the check itself sees them in the source
        out = tmp_path / name / "out"
        out.mkdir(parents=True)
        with ProcedureStore(tmp_path / name / "case") as store:
            store.addEvent(EventKind.PATIENT_IN)
            logCtPasses(store, countCtPasses(source))
            writeCaseJson(store, out / "case.json")
            writeCaseCsv(store, out / "events.csv")
            writeProcedureReport(recordOf(store), {}, out / "report.html")
            with zipfile.ZipFile(out / "scene.mrb", "w", zipfile.ZIP_DEFLATED) as scene:
                scene.writestr("scene/ProcedureLog.tsv", "\n".join("\t".join(row) for row in rows(store.auditTrail())))
        found = checkLeaks([tmp_path / name], identifiers)
        assert found.isClean, found.text()


def test_deidentifiedCopiesAreClean(realData: Path, slices: list[Path], tmp_path: Path) -> None:
    ge = [realData / "dose" / "CT-ESR-GE_VCT.dcm"]
    for name, source in (("images", slices[:4]), ("reports", siemens(realData, 1, 2, 3)), ("ge", ge)):
        made = deidentifyFiles(source, tmp_path / name, createIdentity())
        assert made.skipped == () and len(made.written) == len(source)
        found = checkLeaks([tmp_path / name], collectIdentifiers(source))
        assert found.isClean, found.text()
        before, after = countCtPasses(source), countCtPasses(tmp_path / name)
        assert (after.passCount, after.dlpTotalMGyCm) == (before.passCount, before.dlpTotalMGyCm)
