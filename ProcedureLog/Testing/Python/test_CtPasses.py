"""What counts as a CT pass, and why."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ProcedureLogLib.Clock import SCANNER, WORKSTATION, ClockOffset, ClockTable, ClockTime
from ProcedureLogLib.CtPasses import CountingRule, MixedPatients, PassClass, classifyAgain, countCtPasses, countFrom, splitByPatient
from ProcedureLogLib.CtPassLog import logCtPasses
from ProcedureLogLib.DoseReport import AcquisitionKind, readDoseReport
from ProcedureLogLib.HeaderScan import scanHeaders
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureRecord import recordOf
from ProcedureLogLib.ProcedureStore import ProcedureStore
from ProcedureLogLib.SlicerDatabase import databaseFiles, databaseStudies

SEQUENCED = ["ORIGINAL", "PRIMARY", "AXIAL", "SEQ"]
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def test_wholeProcedure(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.image(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], AcquisitionNumber=1, AcquisitionTime="085900")
    dicom.helical(2, "090000", series="1")
    dicom.helical(2, "090000", series="2", ImageType=["DERIVED", "PRIMARY", "AXIAL"])  # thick reconstruction of the same scan
    dicom.helical(2, "090000", series="3", ImageType=["DERIVED", "SECONDARY", "MPR"])
    for number, time in ((3, "091000"), (4, "091100")):
        dicom.image(AcquisitionNumber=number, AcquisitionTime=time, SeriesInstanceUID="1.9", ImageType=SEQUENCED)
    dicom.helical(5, "092000", series="4")
    dicom.image(SOPClassUID=SECONDARY_CAPTURE, Modality="CT", ImageType=["DERIVED", "SECONDARY"], SeriesDescription="Patient Protocol")
    count = countCtPasses(dicom.folder)
    assert (count.passCount, count.localizerCount, count.separateCount) == (4, 1, 0)
    classes = [entry.passClass for entry in count.acquisitions]
    assert classes == [PassClass.NONE, PassClass.PLANNING, PassClass.NEEDLE_CHECK, PassClass.NEEDLE_CHECK, PassClass.FINAL]
    planning = count.passes[0]
    assert planning.acquisition.seriesCount == 2 and "2 reconstructions counted once" in planning.why
    assert [entry.number for entry in count.passes] == [1, 2, 3, 4]
    reasons = {entry.reason: entry.imageCount for entry in count.ignored}
    assert reasons["secondary capture (dose sheet or screen shot)"] == 1
    assert reasons["derived images (reformat, dose sheet or screen shot) without irradiation event"] == 5
    first, last = count.firstImage(), count.lastImage()
    assert first is not None and last is not None
    assert (first.face, last.face) == (datetime(2026, 5, 4, 9, 0), datetime(2026, 5, 4, 9, 20, 0, 400000))
    assert all(entry.why for entry in count.acquisitions) and "spiral, sequenced" in count.rule.text()


def test_eventUidJoinsAcrossSeriesAndNumbers(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000", series="1", IrradiationEventUID="1.7.1")
    dicom.helical(77, "090000", series="2", IrradiationEventUID="1.7.1")  # some scanners renumber reconstructions
    dicom.helical(1, "090010", series="1", IrradiationEventUID="1.7.2")
    dicom.helical(3, "090030", series="3", IrradiationEventUID="1.7.3", ImageType=["DERIVED", "SECONDARY", "AXIAL"])
    count = countCtPasses(dicom.folder)
    assert count.passCount == 3
    assert "only derived images" in count.passes[2].why


def test_sameNumberAgainAfterAPauseIsAnotherShot(dicom) -> None:  # type: ignore[no-untyped-def]
    for place, time in enumerate(("090000", "090100", "090105")):
        dicom.image(AcquisitionNumber=1, AcquisitionTime=time, ImageType=SEQUENCED, ImagePositionPatient=[0, 0, place])
    assert countCtPasses(dicom.folder).passCount == 2
    assert countCtPasses(dicom.folder, CountingRule(shotGapSec=2.0)).passCount == 3
    assert countCtPasses(dicom.folder, CountingRule(shotGapSec=120.0)).passCount == 1


def test_fluoroscopyIsCountedSeparately(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000")
    for frame in range(12):
        dicom.image(
            AcquisitionNumber=2,
            AcquisitionTime=f"0905{frame:02d}",
            ImagePositionPatient=[0, 0, -100],
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        )
    dicom.helical(3, "091000")
    count = countCtPasses(dicom.folder)
    assert (count.passCount, count.separateCount) == (2, 1)
    shot = count.acquisitions[1]
    assert shot.acquisition.kind is AcquisitionKind.STATIONARY and "counted separately" in shot.why
    both = CountingRule(countedKinds=(AcquisitionKind.SPIRAL, AcquisitionKind.STATIONARY), separateKinds=())
    assert countCtPasses(dicom.folder, both).passCount == 3
    assert "stationary" in both.text() and both.text() != count.rule.text()
    onlySpiral = CountingRule(countedKinds=(AcquisitionKind.SPIRAL,), separateKinds=())
    assert "the rule leaves out stationary" in countCtPasses(dicom.folder, onlySpiral).acquisitions[1].why


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"]}, AcquisitionKind.LOCALIZER),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "SCOUT MODE"}, AcquisitionKind.LOCALIZER),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "SURVIEW"}, AcquisitionKind.LOCALIZER),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "SCANOSCOPE"}, AcquisitionKind.LOCALIZER),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]}, AcquisitionKind.SPIRAL),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "HELICAL_CT"}, AcquisitionKind.SPIRAL),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SpiralPitchFactor": 1.2}, AcquisitionKind.SPIRAL),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "AXIAL MODE"}, AcquisitionKind.SEQUENCED),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "NORMAL_CT"}, AcquisitionKind.SEQUENCED),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "ScanOptions": "CINE MODE"}, AcquisitionKind.STATIONARY),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"]}, AcquisitionKind.UNKNOWN),
    ],
)
def test_kindsAsVendorsWriteThem(dicom, change: dict[str, object], kind: AcquisitionKind) -> None:  # type: ignore[no-untyped-def]
    dicom.image(**change)
    assert countCtPasses(dicom.folder).acquisitions[0].acquisition.kind is kind


def enhancedCt(dicom, ctDataset, number: int, time: str, event: str, kind: str) -> Path:  # type: ignore[no-untyped-def]
    """A multi-frame CT with ten 2 mm frames."""

    def part(sequence: str, **values: object) -> Dataset:
        group, item = Dataset(), Dataset()
        for name, value in values.items():
            setattr(item, name, value)
        setattr(group, sequence, [item])
        return group

    shared = Dataset()
    for piece in (
        part("CTAcquisitionTypeSequence", AcquisitionType=kind),
        part("IrradiationEventIdentificationSequence", IrradiationEventUID=event),
        part("CTExposureSequence", CTDIvol=6.0),
        part("PixelMeasuresSequence", SliceThickness=2.0),
    ):
        shared.update(piece)
    frames = [part("PlanePositionSequence", ImagePositionPatient=[0, 0, -2.0 * index]) for index in range(10)]
    given = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1", "ImageType": ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "NumberOfFrames": 10}
    removed = dict.fromkeys(("CTDIvol", "ImagePositionPatient", "SliceThickness", "AcquisitionTime", "AcquisitionDate"))
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": frames}
    moment = {"AcquisitionNumber": number, "AcquisitionDateTime": f"20260504{time}"}
    path: Path = dicom.save(ctDataset(**given, **removed, **groups, **moment))
    return path


def test_enhancedCt(dicom, ctDataset) -> None:  # type: ignore[no-untyped-def]
    enhancedCt(dicom, ctDataset, 1, "085900", "1.7.0", "CONSTANT_ANGLE")
    enhancedCt(dicom, ctDataset, 2, "090000", "1.7.1", "SPIRAL")
    enhancedCt(dicom, ctDataset, 2, "090000", "1.7.1", "SPIRAL")
    enhancedCt(dicom, ctDataset, 3, "091000", "1.7.2", "FREE")
    count = countCtPasses(dicom.folder)
    assert (count.passCount, count.localizerCount, count.separateCount) == (1, 1, 1)
    scan = count.passes[0].acquisition
    assert (scan.key, scan.kind, scan.imageCount, scan.scanLengthMm) == ("1.7.1", AcquisitionKind.SPIRAL, 2, 20.0)
    assert scan.dlpMGyCm == pytest.approx(12.0)


def test_reportAndImagesAreJoinedByEvent(dicom) -> None:  # type: ignore[no-untyped-def]
    events = [
        {"uid": "1.7.0", "kind": "113805", "dlp": 5.0},
        {"uid": "1.7.1", "dlp": 120.0, "ctdi": 12.0},
        {"uid": "1.7.2", "kind": "113804", "dlp": 4.0},
        {"uid": "1.7.3", "dlp": 110.0},
    ]
    dicom.helical(1, "090000", IrradiationEventUID="1.7.1")
    dicom.helical(2, "092000", IrradiationEventUID="1.7.3")
    dicom.helical(3, "093000", IrradiationEventUID="1.7.4")  # after the report was written
    dicom.doseReport(events)
    dicom.doseReport(events[:2])
    count = countCtPasses(dicom.folder)
    assert (count.passCount, count.localizerCount) == (4, 1)
    byKey = {entry.acquisition.key: entry for entry in count.acquisitions}
    assert byKey["1.7.1"].acquisition.dlpMGyCm == 120.0 and byKey["1.7.1"].acquisition.imageCount == 5
    assert byKey["1.7.1"].acquisition.first is not None and byKey["1.7.2"].acquisition.first is None
    assert not byKey["1.7.4"].acquisition.fromReport
    assert count.dlpTotalMGyCm == pytest.approx(239.0 + 10.0 * 1.0)  # report + CTDIvol 10 mGy over 10 mm
    assert any("not in a dose report" in warning for warning in count.warnings)


def test_imagesWithoutEventUidArePairedInOrderOrNotAtAll(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.doseReport(
        [{"uid": "1.7.0", "kind": "113805", "dlp": 1.0}, {"uid": "1.7.1", "dlp": 120.0}, {"uid": "1.7.2", "kind": "113804", "dlp": 4.0}]
    )
    dicom.helical(1, "090000")
    dicom.image(AcquisitionNumber=2, AcquisitionTime="091000", ImageType=SEQUENCED)
    joined = countCtPasses(dicom.folder)
    assert joined.passCount == 2 and any("in order" in warning for warning in joined.warnings)
    assert [entry.acquisition.dlpMGyCm for entry in joined.passes] == [120.0, 4.0]
    assert all(entry.acquisition.first is not None for entry in joined.passes)
    dicom.helical(3, "092000")
    alone = countCtPasses(dicom.folder)
    assert alone.passCount == 2 and any("can't be joined" in warning for warning in alone.warnings)


def test_finalNeedsTheInjectionBefore(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000")
    dicom.helical(2, "092000")
    offset = ClockTable((ClockOffset(SCANNER, WORKSTATION, 0.0, 1.0),))

    def classOfLast(time: str, clocks: ClockTable | None = None) -> tuple[PassClass, str]:
        injection = ClockTime(WORKSTATION, datetime.fromisoformat(f"2026-05-04T{time}"))
        last = countCtPasses(dicom.folder, lastInjection=injection, clocks=clocks).passes[-1]
        return last.passClass, last.why

    assert classOfLast("09:15:00", offset)[0] is PassClass.FINAL
    assert classOfLast("09:25:00", offset) == (PassClass.NEEDLE_CHECK, classOfLast("09:25:00", offset)[1])
    assert "not aligned" in classOfLast("09:25:00")[1]
    again = classifyAgain(countCtPasses(dicom.folder), ClockTime(WORKSTATION, datetime(2026, 5, 4, 9, 25)), offset)
    assert again.passes[-1].passClass is PassClass.NEEDLE_CHECK


def test_midnightInOneAcquisition(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.image(AcquisitionNumber=1, AcquisitionDate="20260504", AcquisitionTime="235959.900000", ImagePositionPatient=[0, 0, 0])
    dicom.image(AcquisitionNumber=1, AcquisitionDate="20260505", AcquisitionTime="000000.100000", ImagePositionPatient=[0, 0, -2])
    dicom.image(
        AcquisitionNumber=1, AcquisitionDate=None, AcquisitionTime="000000.300000", StudyTime="235000", ImagePositionPatient=[0, 0, -4]
    )
    count = countCtPasses(dicom.folder)
    assert count.passCount == 1
    first, last = count.firstImage(), count.lastImage()
    assert first is not None and last is not None and (last.face - first.face).total_seconds() == pytest.approx(0.4)


def test_missingTimesAreSaid(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.image(AcquisitionDate=None, AcquisitionTime=None, AcquisitionNumber=1)
    dicom.image(AcquisitionDate=None, AcquisitionTime=None, AcquisitionNumber=2)
    count = countCtPasses(dicom.folder)
    assert count.passCount == 2 and count.firstImage() is None
    assert any("no time of their own" in warning for warning in count.warnings)
    assert count.passes[1].acquisition.first is None


def test_bareSlicesOfTwoSeriesWithoutNumberStayApart(dicom) -> None:  # type: ignore[no-untyped-def]
    for series in ("1.1", "1.2"):
        dicom.image(AcquisitionNumber=None, SeriesInstanceUID=series, AcquisitionTime=None, AcquisitionDate=None)
    assert countCtPasses(dicom.folder).passCount == 2


def test_mixedPatientsAreRefusedAndCanBeSplit(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000")
    dicom.helical(1, "093000", PatientID="PAT-0816", PatientName="Beispiel^Otto")
    with pytest.raises(MixedPatients, match="2 patients"):
        countCtPasses(dicom.folder)
    parts = splitByPatient(scanHeaders(dicom.folder).headers)
    assert [countFrom(*parts[key]).passCount for key in sorted(parts)] == [1, 1]


def test_doseReportOfAnotherPatientIsRefused(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000")
    report = dicom.doseReport([{"uid": "1.7.1", "dlp": 900.0}], PatientID="PAT-0816")
    with pytest.raises(MixedPatients, match="another patient"):
        countCtPasses(dicom.folder)
    headers = [header for header in scanHeaders(dicom.folder).headers if header.path != str(report)]
    assert countFrom(headers).dlpTotalMGyCm == pytest.approx(100 / 10)
    with pytest.raises(MixedPatients, match="dose reports are of 2"):
        other = dicom.doseReport([{"uid": "1.7.2", "dlp": 1.0}], PatientID="PAT-0817")
        countFrom([], [readDoseReport(report), readDoseReport(other)])


def test_twoAdmissionsAreRefused(dicom) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000")
    dicom.helical(2, "090000", AcquisitionDate="20260601")
    with pytest.raises(MixedPatients, match="two admissions"):
        countCtPasses(dicom.folder)
    assert countCtPasses(dicom.folder, CountingRule(newAdmissionHours=1000.0)).passCount == 2


def test_nothingToCount(tmp_path: Path, dicom) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="it is empty"):
        countCtPasses(tmp_path / "empty")
    (tmp_path / "empty" / "x.txt").write_text("x")
    with pytest.raises(ValueError, match=r"1 other files: x\.txt: is no DICOM file"):
        countCtPasses(tmp_path / "empty")
    dicom.image(SOPClassUID=SECONDARY_CAPTURE)
    with pytest.raises(ValueError, match=r"Neither a CT image.*secondary capture"):
        countCtPasses(dicom.folder)


def test_damagedFilesAreNamedAndSkipped(dicom) -> None:  # type: ignore[no-untyped-def]
    paths = dicom.helical(1, "090000")
    paths[2].write_bytes(paths[2].read_bytes()[:400])
    report = dicom.doseReport([{"uid": "1.7.1", "dlp": 900.0}])
    report.write_bytes(report.read_bytes()[:-150])
    count = countCtPasses(dicom.folder)
    assert {Path(entry.path).name for entry in count.skipped} >= {paths[2].name}
    assert count.passCount == 1


def test_ageAndSexComeFromTheHeaderUnlessEntered(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000", PatientSex="F")
    count = countCtPasses(dicom.folder)
    assert (count.ageYears, count.sex) == (69.0, "female")  # born 3 February 1957, study of 4 May 2026
    with ProcedureStore(tmp_path / "a") as store:
        store.setDetail("ageYears", 70)
        logCtPasses(store, count)
        assert recordOf(store).details["ageYears"] == 70 and recordOf(store).details["sex"] == "female"
    other = tmp_path / "other"
    other.mkdir()
    dicom.folder = other
    dicom.image(PatientAge="018M", PatientBirthDate="")
    assert (countCtPasses(other).ageYears, countCtPasses(other).sex) == (1.0, "")


def test_absurdDoseIsRefusedBeforeAnythingIsWritten(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = dicom.doseReport([{"uid": "1.7.1", "dlp": 400000.0}])
    with ProcedureStore(tmp_path / "case") as store:
        with pytest.raises(ValueError, match="DLP total of 400000"):
            logCtPasses(store, countCtPasses(report))
        assert store.events() == ()
        logCtPasses(store, countCtPasses(dicom.doseReport([{"uid": "1.7.2", "dlp": 20000.0}])))
        assert any("unusual" in warning for warning in recordOf(store).warnings)


def test_rulesThatContradictThemselves() -> None:
    with pytest.raises(ValueError, match="at once"):
        CountingRule(countedKinds=(AcquisitionKind.STATIONARY,))
    with pytest.raises(ValueError, match="Localizers"):
        CountingRule(countedKinds=(AcquisitionKind.LOCALIZER,), separateKinds=())


def test_logTakesResentCountsOnceAndNoOtherPatient(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first = dicom.helical(1, "090000")
    with ProcedureStore(tmp_path / "case") as store:
        logCtPasses(store, countCtPasses(first))
        logCtPasses(store, countCtPasses(first))
        assert len(store.auditTrail()) == len(store.events())
        second = dicom.helical(2, "092000")
        logCtPasses(store, countCtPasses([*first, *second]))
        record = recordOf(store)
        assert record.passCount == 2 and record.operativeTimeToLastImage.seconds == pytest.approx(1200.4)
        assert [entry.passClass for entry in record.ctAcquisitions] == ["planning", "final"]
        assert record.dlpTotalMGyCm == pytest.approx(20.0) and record.effectiveDoseMSv == pytest.approx(0.3)
        logCtPasses(store, countCtPasses(second))  # a count of other files replaces the one before; the trail keeps it
        assert recordOf(store).passCount == 1
        other = dicom.helical(1, "090000", PatientID="PAT-0816")
        with pytest.raises(MixedPatients, match="another patient than case"):
            logCtPasses(store, countCtPasses(other))
        assert recordOf(store).passCount == 1
        text = b"".join(path.read_bytes() for path in (tmp_path / "case").iterdir() if "identity" not in path.name)
        assert b"PAT-0815" not in text and b"Muster" not in text and b"1.2.999.1.1" not in text
        assert sum(1 for event in store.events() if event.kind is EventKind.CT_PASS) == 1


CTK_SCHEMA = """
CREATE TABLE Images
  (SOPInstanceUID VARCHAR(64) PRIMARY KEY, Filename VARCHAR(1024), SeriesInstanceUID VARCHAR(64), InsertTimestamp VARCHAR(20));
CREATE TABLE Patients (UID INTEGER PRIMARY KEY, PatientsName VARCHAR(255), PatientID VARCHAR(255));
CREATE TABLE Studies (StudyInstanceUID VARCHAR(64) PRIMARY KEY, PatientsUID INT, StudyDate DATE, StudyDescription VARCHAR(255));
CREATE TABLE Series (SeriesInstanceUID VARCHAR(64) PRIMARY KEY, StudyInstanceUID VARCHAR(64), Modality VARCHAR(20));
"""


def test_slicersDatabase(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Tables as CTK makes them, with relative and absolute file names."""
    folder = tmp_path / "database"
    folder.mkdir()
    scans = [*dicom.helical(1, "090000"), *dicom.helical(2, "091500")]
    with contextlib.closing(sqlite3.connect(folder / "ctkDICOM.sql")) as connection:
        connection.executescript(CTK_SCHEMA)
        connection.execute("INSERT INTO Patients VALUES (1, 'Muster^Hanna', 'PAT-0815')")
        connection.execute("INSERT INTO Studies VALUES ('1.1', 1, '20260504', 'CT LSPINE')")
        connection.executemany("INSERT INTO Series VALUES (?, '1.1', ?)", [("1.1.1", "CT"), ("1.1.2", "US")])
        for number, path in enumerate(scans):
            name = str(path) if number % 2 else os.path.relpath(path, folder)
            connection.execute("INSERT INTO Images VALUES (?, ?, '1.1.1', '')", (f"9.{number}", name))
        connection.execute("INSERT INTO Images VALUES ('9.99', 'sweep.dcm', '1.1.2', '')")
        connection.commit()
    (study,) = databaseStudies(folder)
    assert (study.patientId, study.studyDate, study.fileCount) == ("PAT-0815", "20260504", 11)
    assert countCtPasses(databaseFiles(folder, study.studyUid)).passCount == 2
    with pytest.raises(ValueError, match="holds no CT or SR"):
        databaseFiles(folder, "9.9.9")
    with pytest.raises(FileNotFoundError, match="folder of Slicer's DICOM database"):
        databaseStudies(tmp_path)
    (tmp_path / "other.sql").write_text("no database")
    with pytest.raises(ValueError, match="no DICOM database"):
        databaseStudies(tmp_path / "other.sql")
