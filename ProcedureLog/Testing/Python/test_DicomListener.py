"""The live listener against real peers: dcmtk's storescu, Orthanc where it is installed, and pynetdicom."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from ProcedureLogLib.CtPasses import PassClass
from ProcedureLogLib.DicomListener import DicomListener
from ProcedureLogLib.LivePasses import LivePasses, LiveState

pytest.importorskip("pynetdicom", reason="the DICOM listener needs pynetdicom")


def tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: apt-get install {'orthanc' if name == 'Orthanc' else 'dcmtk'})")
    return found


def send(listener: DicomListener, *paths: Path) -> subprocess.CompletedProcess[str]:
    command = [tool("storescu"), "-R", "127.0.0.1", str(listener.port), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_passesGrowAsTheScannerSends(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    states: list[LiveState] = []
    with DicomListener(folder=tmp_path / "kept", onState=states.append) as listener:
        echo = subprocess.run([tool("echoscu"), "127.0.0.1", str(listener.port)], capture_output=True, text=True, timeout=30)
        assert echo.returncode == 0, echo.stderr
        scout = dicom.image(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], AcquisitionNumber=1)
        batches = [[scout], dicom.helical(2, "090000"), dicom.helical(2, "090000", series="2"), dicom.helical(3, "091000")]
        seen = []
        for batch in batches:
            done = send(listener, *batch)
            assert done.returncode == 0, done.stderr
            count = listener.passes.state().count
            assert count is not None
            seen.append((count.passCount, count.localizerCount))
        assert seen == [(0, 1), (1, 1), (1, 1), (2, 1)]
        events = [{"uid": "1.7.1", "dlp": 50.0}, {"uid": "1.7.2", "dlp": 60.0}]
        for upTo in (1, 2, 2):
            assert send(listener, dicom.doseReport(events[:upTo])).returncode == 0
        state = listener.passes.state()
        assert state.count is not None and state.reportCount == 3
        assert (state.count.passCount, state.count.dlpTotalMGyCm) == (2, 110.0)
        assert send(listener, *batches[1]).returncode == 0  # sent again: nothing doubled
        assert listener.passes.state().imageCount == 16
    assert listener.refused == [] and states and states[-1].count is not None and states[-1].count.passCount == 2
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 24 and not any("1.2" in path.stem for path in kept)
    assert states[-1].count.passes[-1].passClass is PassClass.FINAL


def test_otherPatientsAreCountedApartAndUsedForNothing(dicom) -> None:  # type: ignore[no-untyped-def]
    with DicomListener(LivePasses(patientKey="id:PAT-0815")) as listener:
        assert send(listener, *dicom.helical(1, "085000", PatientID="PAT-0816"), *dicom.helical(1, "090000")).returncode == 0
        assert send(listener, dicom.doseReport([{"uid": "1.7.9", "dlp": 999.0}], PatientID="PAT-0816")).returncode == 0
        state = listener.passes.state()
    assert state.count is not None and (state.count.passCount, state.otherPatients, state.imageCount) == (1, 6, 5)
    assert state.count.dlpTotalMGyCm == pytest.approx(10.0)


def test_otherReportsAreTakenAndLeftAlone(dicom, doseDataset: Callable[..., Dataset]) -> None:  # type: ignore[no-untyped-def]
    other = doseDataset([])
    other.ConceptNameCodeSequence[0].CodeValue = "18748-4"
    with DicomListener() as listener:
        assert send(listener, dicom.save(other)).returncode == 0
        assert listener.passes.state().count is None
        assert "no CT radiation dose report" in listener.refused[0]


def test_fullDiskIsTold(dicom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    import ProcedureLogLib.DicomListener as module

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with DicomListener(folder=tmp_path / "kept") as listener:
        monkeypatch.setattr(module.os, "fsync", full)
        done = send(listener, dicom.image())
        assert done.returncode != 0 or "Refused" in done.stderr + done.stdout
        assert "No space left" in listener.refused[0]
        assert listener.passes.state().imageCount == 0 and list((tmp_path / "kept").iterdir()) == []


def test_takenPortIsSaid() -> None:
    with DicomListener() as first, pytest.raises(RuntimeError, match="choose another port"):
        DicomListener(port=first.port).start()


def test_manyThreadsGiveOneAnswer(dicom) -> None:  # type: ignore[no-untyped-def]
    from ProcedureLogLib.HeaderScan import scanHeaders

    for number in range(1, 5):
        dicom.helical(number, f"09{number:02d}00")
    headers = scanHeaders(dicom.folder).headers
    passes = LivePasses()
    threads = [threading.Thread(target=lambda: [passes.addHeader(header) for header in headers]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = passes.state()
    assert state.imageCount == 20 and state.count is not None and state.count.passCount == 4


def freePort() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_orthancSendsToUs(dicom, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from urllib.request import Request, urlopen

    program = tool("Orthanc")
    web, dicomPort = freePort(), freePort()
    with DicomListener() as listener:
        peer = {"us": ["INTRADISCAL", "127.0.0.1", listener.port]}
        settings = {
            "Name": "peer",
            "StorageDirectory": str(tmp_path / "db"),
            "IndexDirectory": str(tmp_path / "db"),
            "HttpPort": web,
            "DicomPort": dicomPort,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomModalities": peer,
            "Plugins": [],
        }
        (tmp_path / "orthanc.json").write_text(json.dumps(settings))
        server = subprocess.Popen([program, str(tmp_path / "orthanc.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:

            def call(path: str, data: bytes | None = None) -> object:
                with urlopen(Request(f"http://127.0.0.1:{web}{path}", data), timeout=20) as answer:
                    return json.loads(answer.read())

            end = time.monotonic() + 30
            while True:
                try:
                    call("/system")
                    break
                except OSError:
                    if time.monotonic() > end or server.poll() is not None:
                        pytest.skip("Orthanc did not start here")
                    time.sleep(0.2)
            paths = [*dicom.helical(1, "090000"), *dicom.helical(2, "091000"), dicom.doseReport([{"uid": "1.7.1", "dlp": 5.0}])]
            instances = [call("/instances", path.read_bytes())["ID"] for path in paths]  # type: ignore[index]
            call("/modalities/us/store", json.dumps(instances).encode())
            state = listener.passes.state()
        finally:
            server.terminate()
            server.wait(20)
    assert (state.imageCount, state.reportCount) == (10, 1)
    assert state.count is not None and state.count.dlpTotalMGyCm == 5.0
