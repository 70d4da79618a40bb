"""The header reader against pydicom, on every transfer syntax and on damaged files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from ProcedureLogLib.DicomHeader import DamagedDicom, headerValuesFrom, readHeader, readHeaderBytes
from ProcedureLogLib.HeaderScan import filesUnder, scanHeaders

Maker = Callable[..., Dataset]


def nested(depth: int, undefined: bool) -> Dataset:
    item = Dataset()
    item.CodeValue = "113691"
    if depth:
        item.RequestAttributesSequence = [nested(depth - 1, undefined), Dataset()]
        item["RequestAttributesSequence"].is_undefined_length = undefined
    item.is_undefined_length_sequence_item = undefined
    return item


def fullDataset(ctDataset: Maker, undefined: bool) -> Dataset:
    dataset = ctDataset(
        SpecificCharacterSet="ISO_IR 100",
        PatientName="Müller^Jörg",
        IrradiationEventUID=["1.2.3.4", "1.2.3.5"],
        AcquisitionDateTime="20260504090000.123456+0200",
        SpiralPitchFactor=0.8,
        ScanOptions=["HELIX", "X"],
        ProtocolName="LWS nativ",
        SeriesDescription="Wirbelsäule",
        CTDIPhantomTypeCodeSequence=[nested(2, undefined)],
        ReferencedStudySequence=[nested(1, undefined), nested(0, undefined)],
    )
    dataset["ReferencedStudySequence"].is_undefined_length = undefined
    dataset["CTDIPhantomTypeCodeSequence"].is_undefined_length = undefined
    block = dataset.private_block(0x0009, "MAKER", create=True)
    block.add_new(0x01, "UN", b"\x01" * 77777)
    block.add_new(0x02, "OB", b"\x02" * 40000)
    return dataset


SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_sameValuesAsPydicom(dicom, ctDataset: Maker, syntax: str, undefined: bool) -> None:  # type: ignore[no-untyped-def]
    path = dicom.save(fullDataset(ctDataset, undefined), syntax)
    header = readHeader(path)
    assert header.values == headerValuesFrom(pydicom.dcmread(path))
    assert header.text("patientName") == "Müller^Jörg" and header.texts("irradiationEventUid") == ("1.2.3.4", "1.2.3.5")
    assert header.number("ctdiVol") == 10.0 and header.number("pitch") == 0.8 and header.number("acquisitionNumber") == 1.0
    assert header.number("seriesDescription") is None and header.text("age") == "" and header.texts("age") == ()
    assert readHeaderBytes(path.read_bytes(), str(path)) == header


def test_bigEndianAndCompressed(tmp_path: Path, ctDataset: Maker, dicom) -> None:  # type: ignore[no-untyped-def]
    dataset = fullDataset(ctDataset, False)
    dataset.PixelData = pydicom.encaps.encapsulate([b"\x00\x01" * 50])
    dataset["PixelData"].VR = "OB"
    path = dicom.save(dataset, JPEG2000Lossless)
    assert readHeader(path).values == headerValuesFrom(pydicom.dcmread(path))
    plain = ctDataset()
    plain.PixelData = b"\0" * 32
    plain["PixelData"].VR = "OW"
    path = dicom.save(plain, ExplicitVRBigEndian)
    assert readHeader(path).values == headerValuesFrom(pydicom.dcmread(path))


def test_withoutPreamble(tmp_path: Path, ctDataset: Maker) -> None:
    for implicit in (True, False):
        path = tmp_path / f"bare{implicit}.dcm"
        ctDataset().save_as(path, implicit_vr=implicit, little_endian=True)
        assert path.read_bytes()[128:132] != b"DICM"
        assert readHeader(path).text("patientId") == "PAT-0815"


def test_japaneseName(dicom, ctDataset: Maker) -> None:  # type: ignore[no-untyped-def]
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    path = dicom.save(ctDataset(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName=name))
    assert readHeader(path).text("patientName") == name


def test_cutAnywhereIsWholeOrNamed(tmp_path: Path, dicom, ctDataset: Maker) -> None:  # type: ignore[no-untyped-def]
    whole = dicom.save(ctDataset(CTDIPhantomTypeCodeSequence=[nested(1, True)])).read_bytes()
    complete = readHeaderBytes(whole, "x").values
    content = whole.index(b"\x28\x00\x02\x00US")  # Samples per Pixel, the first element of the content
    for length in range(len(whole)):
        if length < content + 8:
            with pytest.raises(DamagedDicom, match=r"cut\.dcm: (is no DICOM|cut at byte)"):
                readHeaderBytes(whole[:length], "cut.dcm")
        else:
            assert readHeaderBytes(whole[:length], "cut.dcm").values == complete  # only pixels are missing: the scan was made


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_noisePassesOrIsNamed(ctDataset: Maker, data: st.DataObject) -> None:
    if not hasattr(test_noisePassesOrIsNamed, "whole"):
        import io

        out = io.BytesIO()
        source = ctDataset(CTDIPhantomTypeCodeSequence=[nested(2, True)])
        source.save_as(out, implicit_vr=False, little_endian=True)
        test_noisePassesOrIsNamed.whole = b"\0" * 128 + b"DICM" + out.getvalue()  # type: ignore[attr-defined]
    damaged = bytearray(test_noisePassesOrIsNamed.whole)  # type: ignore[attr-defined]
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255)), max_size=12)):
        damaged[place] = value
    try:
        readHeaderBytes(bytes(damaged), "noise.dcm")
    except DamagedDicom as error:
        assert "noise.dcm" in str(error)


@given(st.binary(max_size=300))
def test_anyBytesAreNoDicom(data: bytes) -> None:
    with pytest.raises(DamagedDicom):
        readHeaderBytes(b"PK" + data, "x")


def test_scanNamesAndSkips(dicom, ctDataset: Maker) -> None:  # type: ignore[no-untyped-def]
    good = [dicom.image(InstanceNumber=number) for number in range(1, 4)]
    cut = dicom.image()
    cut.write_bytes(cut.read_bytes()[:300])
    (dicom.folder / "notes.txt").write_text("not DICOM")
    (dicom.folder / "DICOMDIR").write_bytes(good[0].read_bytes())
    (dicom.folder / "sub").mkdir()
    (dicom.folder / "sub" / "empty.dcm").write_bytes(b"")
    progress: list[tuple[int, int]] = []
    scan = scanHeaders(dicom.folder, progress=lambda done, all_: progress.append((done, all_)))
    assert [header.path for header in scan.headers] == [str(path) for path in good]
    reasons = {Path(entry.path).name: entry.reason for entry in scan.skipped}
    assert reasons.pop(cut.name).startswith("cut at byte 300")
    assert reasons == {"notes.txt": "is no DICOM file", "empty.dcm": "is no DICOM file"}
    assert progress[-1] == (6, 6) and scan.fileCount == 6
    with pytest.raises(FileNotFoundError, match="does not exist"):
        filesUnder(dicom.folder / "missing")


def test_workersChangeNothing(dicom, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    import ProcedureLogLib.HeaderScan as module

    for number in range(1, 8):
        dicom.image(InstanceNumber=number)
    (dicom.folder / "bad").write_bytes(b"x" * 200)
    monkeypatch.setattr(module, "CHUNK", 2)
    alone = scanHeaders(dicom.folder, workers=1)
    assert scanHeaders(dicom.folder, workers=2) == alone  # threads: few files
    monkeypatch.setattr(module, "PROCESS_FILES", 0)
    assert scanHeaders(dicom.folder, workers=2) == alone  # processes
    monkeypatch.setattr(module.sys, "executable", "/opt/Slicer/SlicerApp-real")
    assert scanHeaders(dicom.folder, workers=3) == alone  # threads where the program is no Python
