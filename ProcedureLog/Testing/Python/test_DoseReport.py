"""Dose reports: structure, units, merging of re-sent ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from ProcedureLogLib.DicomTime import parseDateTime
from ProcedureLogLib.DoseReport import AcquisitionKind, NotADoseReport, doseReportFrom, mergeDoseReports, readDoseReport
from ProcedureLogLib.DoseUnits import DEFAULT_DOSE_FACTOR, DoseFactor, dlpInMGyCm, doseInMGy

Maker = Callable[..., Dataset]
EVENTS = [
    {"uid": "1.9.1", "kind": "113805", "dlp": 7.0, "ctdi": 0.1},
    {"uid": "1.9.2", "kind": "P5-08001", "dlp": 100.0, "start": "20260504090000"},
    {"uid": "1.9.3", "kind": "113804", "dlp": 11.5, "length": 5.0},
    {"uid": "1.9.4", "kind": "116152004", "dlp": 90.25},
    {"uid": "1.9.5", "kind": "113806", "dlp": 3.0},
    {"uid": "1.9.6", "kind": "113807"},
    {"uid": "1.9.7", "kind": "999999", "dlp": 1.0},
]


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        *((spelling, 1) for spelling in ("mGy.cm", "mGycm", "mGy*cm", "mGy cm", "mGy·cm", "MGY.CM", "mGy-cm", "[mGy.cm]")),
        *(("Gy.cm", 1000), ("mGy.mm", 0.1), ("uGy.m", 0.1), ("µGy·m", 0.1), ("cGy.cm", 10)),
    ],
)
def test_unitsAsVendorsWriteThem(unit: str, factor: float) -> None:
    assert dlpInMGyCm(12.5, unit) == pytest.approx(12.5 * factor)


@pytest.mark.parametrize(("value", "unit"), [(1.0, "mSv"), (1.0, ""), (1.0, "mGy"), (-1.0, "mGy.cm"), (float("nan"), "mGy.cm")])
def test_wrongUnitsAndValuesAreRefused(value: float, unit: str) -> None:
    with pytest.raises(ValueError, match="DLP"):
        dlpInMGyCm(value, unit)
    with pytest.raises(ValueError, match="CTDIvol"):
        doseInMGy(1.0, "mGy.cm")


def test_effectiveDoseNamesItsFactor() -> None:
    assert DEFAULT_DOSE_FACTOR.effectiveDoseMSv(632.5) == pytest.approx(9.4875)  # Somma 2022 at k = 0.015
    assert DoseFactor(0.01843, "lumbar").effectiveDoseMSv(632.5) == pytest.approx(11.657, abs=1e-3)
    assert "AAPM" in DEFAULT_DOSE_FACTOR.text() and "0.015" in DEFAULT_DOSE_FACTOR.text()
    for factor, source in ((0.0, "x"), (15.0, "x"), (0.015, " ")):
        with pytest.raises(ValueError, match="k factor"):
            DoseFactor(factor, source)


def test_kindsOldAndNewCodes(doseDataset: Maker) -> None:
    report = doseReportFrom(doseDataset(EVENTS))
    kinds = [event.kind for event in report.events]
    spiral = AcquisitionKind.SPIRAL
    rest = [AcquisitionKind.STATIONARY, AcquisitionKind.FREE, AcquisitionKind.UNKNOWN]
    assert kinds == [AcquisitionKind.LOCALIZER, spiral, AcquisitionKind.SEQUENCED, spiral, *rest]
    assert report.dlpTotalMGyCm == pytest.approx(212.75) and report.eventTotal == 7 and report.warnings == ()
    assert report.events[1].startText == "20260504090000" and report.events[2].scanLengthMm == 5.0
    assert report.events[5].dlpMGyCm is None


def test_resentCumulativeReportsCountOnce(doseDataset: Maker) -> None:
    reports = [doseReportFrom(doseDataset(EVENTS[:count])) for count in (1, 4, 2, 4)]
    (dose,) = mergeDoseReports(reports)
    assert dose.dlpTotalMGyCm == pytest.approx(208.75) and len(dose.events) == 4 and dose.reportCount == 4


def test_reportsPerSeriesAreAddedUp(doseDataset: Maker) -> None:
    (dose,) = mergeDoseReports([doseReportFrom(doseDataset(part)) for part in (EVENTS[:2], EVENTS[2:4])])
    assert dose.dlpTotalMGyCm == pytest.approx(208.75)
    assert any("not cumulative" in warning for warning in dose.warnings)


def test_otherStudiesAndPatientsStayApart(doseDataset: Maker) -> None:
    reports = [doseReportFrom(doseDataset(EVENTS[:2], **change)) for change in ({}, {"StudyInstanceUID": "9.9"}, {"PatientID": "other"})]
    assert len(mergeDoseReports(reports)) == 3


def test_contradictionsAreSaid(doseDataset: Maker) -> None:
    wrong = doseReportFrom(doseDataset(EVENTS[:2], total=500.0))
    assert any("adds up to 107.00" in warning for warning in wrong.warnings)
    odd = doseDataset([{"uid": "1.9.1", "dlp": 5.0, "length": 99999.0, "start": "yesterday"}], unit="mSv")
    (dose,) = mergeDoseReports([doseReportFrom(odd)])
    assert any("not a unit of DLP" in warning for warning in dose.warnings)
    assert any("impossible" in warning for warning in dose.warnings) and any("yesterday" in warning for warning in dose.warnings)


def test_otherFilesAreNoDoseReport(dicom, doseDataset: Maker, tmp_path) -> None:  # type: ignore[no-untyped-def]
    other = doseDataset(EVENTS)
    other.ConceptNameCodeSequence[0].CodeValue = "18748-4"
    with pytest.raises(NotADoseReport, match="structured report, but no CT"):
        readDoseReport(dicom.save(other))
    with pytest.raises(NotADoseReport, match="no structured report"):
        readDoseReport(dicom.image())
    (tmp_path / "x").write_bytes(b"junk" * 100)
    with pytest.raises(ValueError, match="can't be read as DICOM"):
        readDoseReport(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("20221208140352.457000", "2022-12-08T14:03:52.457"),
        ("20221208140352.457+0130", "2022-12-08T14:03:52.457+01:30"),
        ("2022120814", "2022-12-08T14:00:00.000"),
        ("2022.12.0814:03:52", "2022-12-08T14:03:52.000"),
        ("20161231235960", "2016-12-31T23:59:59.000"),
    ],
)
def test_dicomTimes(text: str, iso: str) -> None:
    found = parseDateTime(text)
    assert found is not None and found.isoText() == iso


@pytest.mark.parametrize("text", ["", "0", "20221308140352", "2022120825", "noon", "20220230120000"])
def test_impossibleTimesAreNone(text: str) -> None:
    assert parseDateTime(text) is None
