"""Record, reports in HTML and PDF, REDCap files, the encapsulated PDF."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pydicom
import pytest

from ProcedureLogLib.CaseRegistry import CaseRegistry
from ProcedureLogLib.Clock import SCANNER, WORKSTATION, ClockOffset, ClockTime
from ProcedureLogLib.Cohort import PUBLISHED_NOTE, buildCohortTable
from ProcedureLogLib.CohortReport import cohortReportHtml, curveDrawings
from ProcedureLogLib.EncapsulatedPdf import ArchivePatient, encapsulatePdf
from ProcedureLogLib.GroupPlot import groupDrawing
from ProcedureLogLib.LearningCurve import failureCurves
from ProcedureLogLib.PdfReport import cohortReportPdf, procedureReportPdf
from ProcedureLogLib.ProcedureDetails import FIELDS, GRADINGS, checkDetail, checkGrade, checkInjection
from ProcedureLogLib.ProcedureEvent import EventKind, EventSource
from ProcedureLogLib.ProcedureRecord import ProcedureRecord, logClockOffset, recordOf
from ProcedureLogLib.ProcedureReport import procedureReportHtml, timeRows, writeProcedureReport
from ProcedureLogLib.ProcedureStore import ProcedureStore
from ProcedureLogLib.ProcedureSummary import ALL_COLUMNS, summaryOf
from ProcedureLogLib.PublishedCohort import publishedRows
from ProcedureLogLib.RedcapExport import DICTIONARY_HEADER, dictionaryRows, importRows, writeRedcapDictionary, writeRedcapImport
from ProcedureLogLib.SampleSize import sampleSizeSuperiority
from ProcedureLogLib.SvgDrawing import niceTicks
from ProcedureLogLib.TimelinePlot import timelineDrawing, timelineEntries

START = datetime(2026, 5, 4, 9)
FACTS = (("group", "fusion"), ("level", "L4-L5"), ("operator", "A"), ("pain:before", 8))


def room(minutes: float) -> ClockTime:
    return ClockTime(WORKSTATION, START + timedelta(minutes=minutes), 7200, 60 * minutes, "boot")


def scanner(minutes: float) -> ClockTime:
    """The scanner's clock is 40 s behind."""
    return ClockTime(SCANNER, START + timedelta(minutes=minutes, seconds=-40))


def fillCase(store: ProcedureStore, aligned: bool = True) -> None:
    store.addEvent(EventKind.PATIENT_IN, time=room(0))
    for order, (minute, name) in enumerate(((4, "planning"), (13, "needle check"), (19.5, "final"))):
        values = {"counted": True, "passClass": name, "passNumber": order + 1, "kind": "spiral", "order": order, "lastImageAfterSec": 6.0}
        values |= {"why": f"counted: {name}", "ctdiVolMGy": 8.0, "dlpMGyCm": 100.0, "timeKnown": True}
        store.addEvent(EventKind.CT_PASS, time=scanner(minute), text=name, values=values, source=EventSource.DICOM)
    store.addEvent(EventKind.REGISTRATION, time=room(6), text="<6 balls & more>", source=EventSource.MODULE)
    store.addEvent(EventKind.INJECTION, time=room(15), values={"volumeMl": 20, "site": "disc L4-L5"})
    store.addEvent(EventKind.INJECTION, time=room(16), values={"volumeMl": 10, "site": "facet"})
    store.addEvent(EventKind.PATIENT_OUT, time=room(26))
    for name, value in (
        ("group", "fusion"),
        ("level", "L4-L5"),
        ("operator", "A"),
        ("dlpTotalMGyCm", 305.0),
        ("ageYears", 67),
        ("pain:before", 8),
    ):
        store.setDetail(name, value)
    if aligned:
        logClockOffset(store, ClockOffset(SCANNER, WORKSTATION, -40.0, 3.0))


@pytest.fixture
def record(tmp_path: Path) -> ProcedureRecord:
    with ProcedureStore(tmp_path / "case") as store:
        fillCase(store)
        return recordOf(store)


def test_timesByBothDefinitions(record: ProcedureRecord) -> None:
    assert record.operativeTimeToInjection.minutes == pytest.approx(12.0)
    assert record.operativeTimeToInjection.uncertaintySec == 3.0
    assert record.operativeTimeToLastImage.minutes == pytest.approx(15.6)
    assert record.roomTime.minutes == pytest.approx(26.0)
    assert (record.passCount, record.injectedMl, record.effectiveDoseMSv) == (3, 30.0, pytest.approx(4.575))
    assert [row[0].split(",")[0] for row in timeRows(record)] == ["operative time", "operative time", "room utilisation time"]
    assert record.warnings == ()


def test_unalignedClocksAreRefusedInTheRecord(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        fillCase(store, aligned=False)
        refused, marked = recordOf(store), recordOf(store, "mark")
    assert refused.operativeTimeToInjection.minutes is None and "not known" in refused.operativeTimeToInjection.note
    assert refused.operativeTimeToLastImage.minutes == pytest.approx(15.6)  # one clock only
    assert marked.operativeTimeToInjection.minutes == pytest.approx(12 + 40 / 60)
    assert "NOT ALIGNED" in marked.operativeTimeToInjection.note
    assert "Not placed, clock not aligned or another date" in timelineDrawing(refused).text()


def test_anotherDateDoesntStretchTheTimeline(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        fillCase(store)
        store.addEvent(EventKind.REMARK, time=room(-90 * 1440), text="from the referral")
        record = recordOf(store)
    placed = [entry.minutes for entry in timelineEntries(record) if entry.minutes is not None]
    assert max(placed) == pytest.approx(26.0) and "another date: from the referral" in timelineDrawing(record).text()


def test_clockSetBackDuringTheProcedure(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        store.addEvent(EventKind.PATIENT_IN, time=room(0))
        late = ClockTime(WORKSTATION, START - timedelta(minutes=34), 7200, 60 * 26.0, "boot")
        store.addEvent(EventKind.PATIENT_OUT, time=late)
        record = recordOf(store)
    assert record.roomTime.minutes == pytest.approx(26.0)
    assert [step.stepSec for step in record.clockSteps] == [-3600.0]
    assert any("set by -3600 s" in warning for warning in record.warnings)


def test_twoAdmissionsAndAbsurdEntries(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        fillCase(store)
        second = store.addEvent(EventKind.PATIENT_IN, time=room(60))
        store.addEvent(EventKind.INJECTION, time=room(17), values={"volumeMl": 90})
        store.addEvent(EventKind.INJECTION, time=room(18))
        store.setDetail("ageYears", 12)
        record = recordOf(store)
        assert record.roomTime.minutes is None
        for text in ("2 admissions", "90 mL is unusual", "without a volume", "12 years is unusual"):
            assert any(text in warning for warning in record.warnings), text
        store.withdrawEvent(second.eventId)
        assert recordOf(store).roomTime.minutes == pytest.approx(26.0)
        store.correctEvent(store.events()[0].eventId, time=room(-3 * 1440))
        assert "not one procedure" in recordOf(store).roomTime.note


def test_emptyLogKnowsNothing(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        record = recordOf(store)
    assert (record.passCount, record.effectiveDoseMSv, record.hasComplication, record.roomTime.minutes) == (None, None, None, None)
    assert timelineEntries(record) == () and "not known" in procedureReportHtml(record)
    assert summaryOf(record)["ctPasses"] is None and procedureReportPdf(record).startswith(b"%PDF")


def test_outcomes(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        store.setDetail("complicationGrade", "none")
        assert recordOf(store).hasComplication is False
        store.addEvent(EventKind.COMPLICATION, text="haematoma", values={"grading": "CIRSE 2017", "grade": "1"})
        assert recordOf(store).hasComplication is True
        store.setDetail("complicationGrade", "2")
        assert any("no named grading" in warning for warning in recordOf(store).warnings)
        store.setDetail("complicationGrading", "Clavien-Dindo")
        assert any("'2' is no grade of Clavien-Dindo" in warning for warning in recordOf(store).warnings)
        store.setDetail("complicationGrade", "II")
        assert recordOf(store).warnings == ()
    checkGrade("Clavien-Dindo", "IIIa")
    for grading, grade in (("Clavien-Dindo", "9"), ("mine", "1")):
        with pytest.raises(ValueError, match="grad"):
            checkGrade(grading, grade)
    assert all("none" in grades for grades in GRADINGS.values())
    assert checkDetail("own field", object()) == "" and checkInjection({"volumeMl": 20}) == ""
    assert len({field.name for field in FIELDS}) == len(FIELDS)


class Page(HTMLParser):
    """Checks that tags close and that nothing is fetched from elsewhere."""

    VOID = ("meta", "img", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def pngBytes() -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(out, "PNG")
    return out.getvalue()


def test_htmlIsWholeAndSelfContained(record: ProcedureRecord, tmp_path: Path) -> None:
    (tmp_path / "plan.png").write_bytes(pngBytes())
    path = writeProcedureReport(record, {"CT with plan": tmp_path / "plan.png", "3D": pngBytes()}, tmp_path / "sub" / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and len(page.sources) == 2 and all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    words = " ".join(page.words)
    for wanted in (
        "12.0 ± 0.1",
        "15.6",
        "26.0",
        "305.0 mGy·cm",
        "4.58 mSv",
        "AAPM Report 96",
        "<6 balls & more>",
        "counted: needle check",
        "L4-L5",
    ):
        assert wanted in words, wanted
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    with pytest.raises(ValueError, match="neither PNG nor JPEG"):
        writeProcedureReport(record, {"x": b"GIF89a"}, tmp_path / "other.html")
    assert not (tmp_path / "other.html").exists() and sorted(entry.name for entry in (tmp_path / "sub").iterdir()) == ["report.html"]


def pdfText(data: bytes, tmp_path: Path) -> str:
    program = shutil.which("pdftotext")
    if program is None:
        pytest.skip("pdftotext is not installed (Debian: apt-get install poppler-utils)")
    (tmp_path / "x.pdf").write_bytes(data)
    done = subprocess.run([program, "-layout", str(tmp_path / "x.pdf"), "-"], capture_output=True, text=True, timeout=30, check=True)
    return done.stdout


def test_pdfSaysTheSame(record: ProcedureRecord, tmp_path: Path) -> None:
    data = procedureReportPdf(record, {"Plan": pngBytes()})
    assert data == procedureReportPdf(record, {"Plan": pngBytes()})  # no hidden time stamp
    text = pdfText(data, tmp_path)
    for wanted in (
        "12.0 ± 0.1",
        "15.6",
        "305.0",
        "4.58",
        "AAPM Report 96",
        "<6 balls & more>",
        "needle check",
        "minutes since the first event",
    ):
        assert wanted in text, wanted


def test_cohortReports(tmp_path: Path) -> None:
    with CaseRegistry() as registry:
        rows = publishedRows()
        for index, row in enumerate(rows):
            row |= {"operator": "AB"[index % 2], "dlpMGyCm": 200.0 + index}
        registry.addSummaries(rows)
        columns = registry.columns(ALL_COLUMNS)
    table = buildCohortTable(columns)
    sizes = [sampleSizeSuperiority(0.8)]
    html = cohortReportHtml(table, columns, sizes, "Pilot", [PUBLISHED_NOTE])
    page = Page(html)
    words = " ".join(page.words)
    pdf = pdfText(cohortReportPdf(table, columns, sizes, "Pilot", [PUBLISHED_NOTE]), tmp_path)
    for wanted in ("0.749", "0.006", "0.008", "0.818", "> 0.999", "68 ± 15 (45-83)", "3 [3-3]", "Noether", "tie-corrected", "MATLAB 2016b"):
        assert wanted in words and wanted in pdf, wanted
    assert page.open == [] and page.sources == [] and html.count("<svg") == 5 + 2
    assert len(curveDrawings(table, columns)) == 2
    many = dict(columns) | {"operator": np.array(["A"] * 12), "technicalEfficacy": np.array(["yes"] * 9 + ["no"] * 3)}
    assert len(curveDrawings(table, many)) == 3 and [len(curve.cusum) for curve in failureCurves(many)] == [12]


def test_plotsShowEveryValue() -> None:
    drawing = groupDrawing({"fusion": [2, 2, 2], "control": [3, 5]}, "CT passes", "number")
    assert drawing.text().count("<circle") == 5
    assert "no values" in groupDrawing({"a": []}, "t", "u").text()
    crowd = groupDrawing({"many": np.arange(100000.0)}, "t", "u").text()
    assert crowd.count("<circle") == 400
    assert niceTicks(0, 39) == [0, 10, 20, 30, 40] and niceTicks(5, 5)[-1] >= 6 and niceTicks(-0.3, 0.2, 5)[0] <= -0.3


def test_redcapDictionaryAndImport(tmp_path: Path, record: ProcedureRecord) -> None:
    fields = dictionaryRows()
    names = [row[0] for row in fields]
    assert names[0] == "record_id" and len(set(names)) == len(names) and len(fields[0]) == len(DICTIONARY_HEADER) == 18
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) and len(name) <= 26 for name in names)
    byName = {row[0]: row for row in fields}
    assert byName["group"][3] == "radio" and byName["group"][5] == "1, fusion | 2, control"
    assert byName["age_years"][7:10] == ("number", "0", "120") and byName["day"][7] == "date_ymd"
    summary = summaryOf(record, "case-1")
    lines = importRows([summary])
    entry = dict(zip(lines[0], lines[1]))
    assert (entry["record_id"], entry["group"], entry["ct_passes"]) == ("case-1", "1", "3")
    assert entry["operative_injection_min"] == "12"
    assert entry["pain_before"] == "8" and entry["sex"] == ""
    with pytest.raises(ValueError, match="no choice of group"):
        importRows([summary | {"group": "pilot"}])
    with open(writeRedcapDictionary(tmp_path / "d.csv"), newline="") as handle:
        assert [row[0] for row in csv.reader(handle)][1:] == names
    with open(writeRedcapImport([summary], tmp_path / "i.csv"), newline="") as handle:
        assert next(csv.reader(handle)) == names


def test_encapsulatedPdf(record: ProcedureRecord, tmp_path: Path) -> None:
    pdf = procedureReportPdf(record)
    patient = ArchivePatient("Müster^Hanna", "PAT-0815", "19570203", "female", "1.2.999.1.1")
    path = tmp_path / "report.dcm"
    path.write_bytes(encapsulatePdf(pdf, patient, "Procedure report", datetime(2026, 5, 4, 10, 30)))
    dataset = pydicom.dcmread(path)
    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1" and dataset.StudyInstanceUID == "1.2.999.1.1"
    assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf
    assert str(dataset.PatientName) == "Müster^Hanna" and dataset.PatientSex == "F"
    checker = shutil.which("dcm2pdf")
    if checker is not None:
        subprocess.run([checker, str(path), str(tmp_path / "out.pdf")], check=True, timeout=30)
        assert (tmp_path / "out.pdf").read_bytes()[: len(pdf)] == pdf
    with pytest.raises(ValueError, match="Only a PDF"):
        encapsulatePdf(b"x", patient, "t", START)
    with pytest.raises(ValueError, match="patient's ID"):
        encapsulatePdf(pdf, ArchivePatient("A", " "), "t", START)
