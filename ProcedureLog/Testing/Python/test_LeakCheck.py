"""The leak check finds what is hidden, and exports of a case hold nothing to find."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
import zlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from ProcedureLogLib.CaseIdentity import IDENTITY_FILE, createIdentity
from ProcedureLogLib.CtPasses import countCtPasses
from ProcedureLogLib.CtPassLog import logCtPasses
from ProcedureLogLib.DicomDeidentification import deidentifyFiles, pseudonymUid
from ProcedureLogLib.DicomIdentifiers import Identifier, IdentifierKind, collectIdentifiers, identifiersOf, personIdentifiers
from ProcedureLogLib.DoseReport import readDoseReport
from ProcedureLogLib.HeaderScan import scanHeaders
from ProcedureLogLib.LeakCheck import checkLeaks, dateSpellings
from ProcedureLogLib.LogExport import readCaseJson, writeCaseCsv, writeCaseJson
from ProcedureLogLib.LogTable import rows
from ProcedureLogLib.PdfReport import procedureReportPdf
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureRecord import recordOf
from ProcedureLogLib.ProcedureReport import writeProcedureReport
from ProcedureLogLib.ProcedureStore import ProcedureStore

NAME = Identifier("Muster", IdentifierKind.NAME, "PatientName")
UID = Identifier("1.2.999.1.77", IdentifierKind.UID, "StudyInstanceUID")
DAY = Identifier("20260504", IdentifierKind.DATE, "StudyDate")
ALL = (NAME, UID, DAY)


def zipped(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def pngWith(text: bytes) -> bytes:
    body = b"Comment\0\0" + zlib.compress(text)
    return b"\x89PNG\r\n\x1a\n" + len(body).to_bytes(4, "big") + b"zTXt" + body + b"\0\0\0\0"


def pdfWith(text: bytes) -> bytes:
    stream = zlib.compress(b"BT (" + text + b") Tj ET")
    return b"%PDF-1.4\n1 0 obj\n<< /Filter /FlateDecode >>\nstream\n" + stream + b"\nendstream\nendobj\n"


HIDING: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: b"x " + text + b" y",
    "mrb": lambda text: zipped("scene/scene.mrml", b"<Table value='" + text + b"'/>"),
    "mrb in mrb": lambda text: zipped("inner.mrb", zipped("a.txt", text)),
    "member name": lambda text: zipped(text.decode("latin-1").replace("/", "-") + ".nrrd", b"pixels"),
    "gzip": lambda text: gzip.compress(b"several words " + text + b" and more"),
    "nrrd": lambda text: b"NRRD0004\ntype: short\nencoding: gzip\n\n" + gzip.compress(b"\0\1" * 50 + text),
    "html picture": lambda text: b"<img src='data:image/png;base64," + base64.b64encode(pngWith(text)) + b"'>",
    "pdf": pdfWith,
    "utf-16": lambda text: text.decode("latin-1").encode("utf-16-le"),
    "upper case": bytes.upper,
}


@pytest.mark.parametrize("way", HIDING)
@pytest.mark.parametrize("hidden", [b"Muster", b"1.2.999.1.77", b"20260504", b"4 May 2026"])
def test_hiddenIdentifierIsFound(tmp_path: Path, way: str, hidden: bytes) -> None:
    path = tmp_path / "export.bin"
    path.write_bytes(HIDING[way](hidden))
    found = checkLeaks([path], ALL)
    assert len(found.leaks) >= 1 and not found.isClean, found.text()
    for secret in ("Muster", "1.2.999.1.77", "20260504"):
        assert secret not in found.text()
    path.write_bytes(HIDING[way](b"harmless"))
    assert checkLeaks([path], ALL).isClean


@pytest.mark.parametrize("spelling", dateSpellings("20260504"))
def test_everySpellingOfADate(tmp_path: Path, spelling: str) -> None:
    (tmp_path / "a.csv").write_text(f"a;{spelling};b")
    assert [leak.identifier for leak in checkLeaks([tmp_path], ALL).leaks] == [DAY]


def test_shortWordsInsideOthersAreNoLeak(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Mustering 11.2.999 920260504 amustera")
    assert checkLeaks([tmp_path], (NAME, DAY)).isClean
    (tmp_path / "a.txt").write_text("DT 20260504093015.25")
    assert not checkLeaks([tmp_path], (DAY,)).isClean
    (tmp_path / "a.txt").write_text("(Muster)")
    assert not checkLeaks([tmp_path], (NAME,)).isClean


def test_fileNamesAreLookedAtAndBrokenArchivesProveNothing(tmp_path: Path) -> None:
    (tmp_path / "report_Muster.html").write_text("")
    assert checkLeaks([tmp_path], ALL).leaks[0].place == "the name of a file"
    broken = tmp_path / "scene.mrb"
    broken.write_bytes(zipped("a", b"b" * 100)[:60])
    found = checkLeaks([broken], ALL)
    assert not found.isClean and found.leaks == () and "not readable" in found.text()
    with pytest.raises(FileNotFoundError, match="can't be checked"):
        checkLeaks([tmp_path / "gone"], ALL)


def test_identifiersAtAnyDepth(ctDataset: Callable[..., Dataset]) -> None:
    inner = Dataset()
    inner.InstitutionAddress = "Seeweg 1\r\nNeustadt"
    inner.ReferencedSOPInstanceUID = "1.2.999.8.8"
    inner.ReferencedSOPClassUID = "1.3.12.2.1107.5.9.1"
    dataset = ctDataset(ContributingEquipmentSequence=[inner], OperatorsName=["Klein^Ute", "Gross^Uwe"], PatientSex="F", AccessionNumber="")
    block = dataset.private_block(0x0011, "MAKER", create=True)
    block.add_new(1, "PN", "Hidden^Person")
    found = {identifier.value for identifier in identifiersOf(dataset)}
    assert {"Seeweg 1", "Neustadt", "1.2.999.8.8", "Klein", "Gross", "Hidden", "Klinik am See", "PAT-0815", "19570203", "20260504"} <= found
    assert "1.3.12.2.1107.5.9.1" not in found and "F" not in found and not any(value.startswith("1.2.840.10008.") for value in found)
    person = {identifier.value for identifier in personIdentifiers([("patientName", "Muster^Hanna"), ("birthDate", "1957-02-03")])}
    assert person == {"Muster^Hanna", "Muster", "Hanna", "19570203"}


def test_nothingLeaksFromAnExportedCase(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    dicom.helical(1, "090000", IrradiationEventUID="1.2.999.7.1", ProtocolName="Muster special", SeriesDescription="Hanna L4")
    dicom.helical(2, "091500", IrradiationEventUID="1.2.999.7.2")
    dicom.doseReport([{"uid": "1.2.999.7.1", "dlp": 100.0}, {"uid": "1.2.999.7.2", "dlp": 90.0}])
    identifiers = collectIdentifiers(dicom.folder.iterdir())
    assert len(identifiers) > 15
    person = {"patientName": "Muster^Hanna", "patientId": "PAT-0815", "birthDate": "19570203"}
    out = tmp_path / "out"
    with ProcedureStore(tmp_path / "case", createIdentity(person)) as store:
        store.addEvent(EventKind.PATIENT_IN)
        logCtPasses(store, countCtPasses(dicom.folder))
        store.addEvent(EventKind.INJECTION, values={"volumeMl": 20, "site": "disc L4-L5"})
        record = recordOf(store)
        assert record.passCount == 2 and record.dlpTotalMGyCm == 190.0
        out.mkdir()
        writeCaseJson(store, out / "case.json")
        writeCaseCsv(store, out / "events.csv")
        writeProcedureReport(record, {}, out / "report.html")
        (out / "report.pdf").write_bytes(procedureReportPdf(record))
        (out / "scene.mrb").write_bytes(zipped("scene/log.tsv", "\n".join("\t".join(row) for row in rows(store.auditTrail())).encode()))
        assert readCaseJson(out / "case.json") == store.auditTrail()
    wanted = identifiers | personIdentifiers(person.items())
    found = checkLeaks([out], wanted)
    assert found.isClean, found.text()
    assert found.fileCount == 5 and found.partCount > 8
    caseFiles = [path for path in (tmp_path / "case").iterdir() if path.name != IDENTITY_FILE]
    assert checkLeaks(caseFiles, wanted).isClean
    assert not checkLeaks([tmp_path / "case"], wanted).isClean  # the identity file itself, as it must
    html = (out / "report.html").read_text()
    (out / "report.html").write_text(html.replace("Procedure", "Procedure of 04.05.2026", 1))
    assert not checkLeaks([out], wanted).isClean


def test_deidentifiedDicomKeepsCountDoseAndOrder(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    inner = Dataset()
    inner.InstitutionName = "Klinik am See"
    inner.DeviceSerialNumber = "SERIAL-77"
    dicom.helical(1, "090000", IrradiationEventUID="1.2.999.7.1", ContributingEquipmentSequence=[inner])
    dicom.helical(2, "091500", IrradiationEventUID="1.2.999.7.2")
    dicom.doseReport([{"uid": "1.2.999.7.1", "dlp": 100.0, "start": "20260504090000"}, {"uid": "1.2.999.7.2", "dlp": 90.0}])
    (dicom.folder / "broken").write_bytes(b"no DICOM")
    identity = createIdentity({"patientId": "PAT-0815"})
    identifiers = collectIdentifiers(path for path in dicom.folder.iterdir())
    made = deidentifyFiles(sorted(dicom.folder.iterdir()), tmp_path / "out", identity)
    assert [Path(entry.path).name for entry in made.skipped] == ["broken"] and len(made.written) == 11
    assert checkLeaks([tmp_path / "out"], identifiers).isClean, checkLeaks([tmp_path / "out"], identifiers).text()
    before, after = countCtPasses([path for path in dicom.folder.iterdir() if path.name != "broken"]), countCtPasses(tmp_path / "out")
    assert (after.passCount, after.dlpTotalMGyCm) == (before.passCount, before.dlpTotalMGyCm) == (2, 190.0)
    firstBefore, firstAfter = before.firstImage(), after.firstImage()
    assert firstBefore is not None and firstAfter is not None and firstAfter.face == firstBefore.face + identity.shift
    image = pydicom.dcmread(made.written[0])
    assert image.PatientName == identity.pseudonym and image.PatientIdentityRemoved == "YES"
    assert image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID != ""
    assert image.IrradiationEventUID == pseudonymUid(identity, "1.2.999.7.1")
    assert image.pixel_array.shape == (4, 4)
    assert readDoseReport(made.written[-1]).events[0].eventUid == pseudonymUid(identity, "1.2.999.7.1")
    assert scanHeaders(tmp_path / "out").skipped == ()


def test_exportedJsonIsChecked(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for content in ("{}", "[]", "{", json.dumps({"format": "procedure-log", "version": 99, "revisions": []})):
        path.write_text(content)
        with pytest.raises(ValueError, match="no exported case"):
            readCaseJson(path)


def test_spreadsheetsGetNoFormulas(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path / "case") as store:
        store.addEvent(EventKind.REMARK, text='=HYPERLINK("http://x")')
        text = writeCaseCsv(store, tmp_path / "a.csv").read_text(encoding="utf-8-sig")
    assert "'=HYPERLINK" in text and datetime.now().strftime("%Y-%m-%d") not in text
