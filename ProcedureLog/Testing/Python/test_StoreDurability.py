"""Nothing acknowledged is lost: kill -9, two programs, full disk, cut files."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import ProcedureLogLib
from ProcedureLogLib.EventJournal import EventJournal
from ProcedureLogLib.ProcedureEvent import EventKind
from ProcedureLogLib.ProcedureStore import DATABASE_FILE, JOURNAL_FILE, ProcedureStore

WRITER = """
import sys
from ProcedureLogLib.ProcedureStore import ProcedureStore
from ProcedureLogLib.ProcedureEvent import EventKind
name, count = sys.argv[2], int(sys.argv[3])
with ProcedureStore(sys.argv[1]) as store:
    for number in range(count):
        store.addEvent(EventKind.REMARK, text=f"{name} {number}", eventId=f"{name}:{number}")
        print(number, flush=True)
"""


def startWriter(case: Path, name: str, count: int) -> subprocess.Popen[str]:
    folder = str(Path(ProcedureLogLib.__file__).parents[1])
    paths = [folder, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(case), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def textsOf(case: Path) -> set[str]:
    with ProcedureStore(case) as store:
        return {event.text for event in store.events()}


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is a POSIX signal")
@pytest.mark.parametrize("seed", range(4))
def test_killedAtAnyMoment(tmp_path: Path, seed: int) -> None:
    case = tmp_path / "case"
    writer = startWriter(case, "w", 100000)
    assert writer.stdout is not None
    acknowledged = [writer.stdout.readline().strip()]
    time.sleep(random.Random(seed).uniform(0.0, 0.25))
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged += writer.stdout.read().split()
    writer.wait()
    with ProcedureStore(case) as store:
        kept = {event.text for event in store.events()}
        assert store.recovery.damagedFile is None
        store.addEvent(EventKind.REMARK, text="after")
    wanted = {f"w {number}" for number in acknowledged if number.isdigit()}
    assert len(wanted) > 1 and wanted <= kept
    assert len(kept) <= len(wanted) + 2  # at most the one in flight and a cut line of the pipe


def test_twoProgramsAtOnce(tmp_path: Path) -> None:
    writers = [startWriter(tmp_path, name, 120) for name in ("one", "two")]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert textsOf(tmp_path) == {f"{name} {number}" for name in ("one", "two") for number in range(120)}
    content = EventJournal(tmp_path / JOURNAL_FILE).read()
    assert content.damagedLines == () and len(set(content.entries)) == 240


DISK_FULL = """
import resource, signal, sys
from ProcedureLogLib.ProcedureStore import ProcedureStore, EventNotStored
from ProcedureLogLib.ProcedureEvent import EventKind
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = ProcedureStore(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
for number in range(2000):
    try:
        store.addEvent(EventKind.REMARK, text=f"w {number}" + "x" * 300)
    except EventNotStored as error:
        assert "NOT stored" in str(error) and "Free space" in str(error)
        print("refused", number, flush=True)
        break
    print("stored", number, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
def test_fullDiskRefusesAndLosesNothing(tmp_path: Path) -> None:
    case = tmp_path / "case"
    folder = str(Path(ProcedureLogLib.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", DISK_FULL, str(case)], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split("\n")[:-1]
    assert lines[-1].startswith("refused") and len(lines) > 20
    kept = {text.split("x")[0] for text in textsOf(case)}
    assert kept == {f"w {number}" for number in range(len(lines) - 1)}


@pytest.fixture(scope="module")
def filledCase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    case = tmp_path_factory.mktemp("filled")
    with ProcedureStore(case) as store:
        for number in range(120):
            store.addEvent(EventKind.REMARK, text=f"event {number} " + "y" * 80)
        store.correctEvent(store.events()[0].eventId, text="corrected")
    return case


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 0.5, 0.9, 0.999])
def test_cutDatabaseIsRebuilt(tmp_path: Path, filledCase: Path, share: float) -> None:
    case = tmp_path / "case"
    shutil.copytree(filledCase, case)
    path = case / DATABASE_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    expected = textsOf(filledCase)
    with ProcedureStore(case) as store:
        assert {event.text for event in store.events()} == expected
        assert len(store.auditTrail()) == 121
        assert "brought back" in store.recovery.text()
        assert store.pseudonym not in ("", "unknown")
    with ProcedureStore(case) as store:
        assert store.recovery.messages == ()


@pytest.mark.parametrize("anonymous", [False, True])
def test_rebuiltCaseKeepsItsNameAndStaysAnonymous(tmp_path: Path, filledCase: Path, anonymous: bool) -> None:
    case = tmp_path / "case"
    shutil.copytree(filledCase, case)
    with ProcedureStore(case) as store:
        name, number, shift = store.pseudonym, store.caseId, store.identity.dateShiftDays if store.identity else 0
        if anonymous:
            store.removeIdentity()
    (case / DATABASE_FILE).write_bytes(b"gone")
    with ProcedureStore(case) as store:
        assert (store.pseudonym, store.caseId) == (name, number)
        assert (store.identity is None) == anonymous  # never a new identity with another shift of dates
        assert anonymous or (store.identity is not None and store.identity.dateShiftDays == shift)
        assert len(store.events()) == 120


def test_overwrittenDatabaseIsKeptAsideAndRebuilt(tmp_path: Path, filledCase: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(filledCase, case)
    path = case / DATABASE_FILE
    data = bytearray(path.read_bytes())
    generator = random.Random(5)
    for _ in range(400):
        data[generator.randrange(len(data))] ^= 0xFF
    path.write_bytes(bytes(data))
    with ProcedureStore(case) as store:
        assert {event.text for event in store.events()} == textsOf(filledCase)
        assert store.recovery.damagedFile is not None and store.recovery.damagedFile.read_bytes() == bytes(data)


def test_bitsFlippedInsideAnEntryAreNoticed(tmp_path: Path, filledCase: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(filledCase, case)
    path = case / DATABASE_FILE
    data = path.read_bytes()
    assert data.count(b'"event 77 y') == 1
    path.write_bytes(data.replace(b'"event 77 y', b'"event 78 y'))  # SQLite itself has no checksum over its text
    with ProcedureStore(case) as store:
        assert "differs from its second copy" in store.recovery.text()
        assert {event.text for event in store.events()} == textsOf(filledCase)


def test_cutJournalIsCompletedFromTheDatabase(tmp_path: Path, filledCase: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(filledCase, case)
    path = case / JOURNAL_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 7])
    with ProcedureStore(case) as store:
        assert "was cut or damaged" in store.recovery.text() and "were missing" in store.recovery.text()
        store.addEvent(EventKind.REMARK, text="next")
    content = EventJournal(path).read()
    assert len(content.damagedLines) == 1 and len(content.entries) == 122


def test_bothFilesDamagedSavesWhatEitherHolds(tmp_path: Path, filledCase: Path) -> None:
    case = tmp_path / "case"
    shutil.copytree(filledCase, case)
    (case / DATABASE_FILE).write_bytes(b"not a database at all, but long enough to look at" * 20)
    lines = (case / JOURNAL_FILE).read_bytes().split(b"\n")
    lines[40] = lines[40].replace(b"event", b"evEnt")
    (case / JOURNAL_FILE).write_bytes(b"\n".join(lines))
    with ProcedureStore(case) as store:
        assert len(store.auditTrail()) == 120
        assert "Line 41" in store.recovery.text()


def test_journalFailureIsKeptApartFromTheEvent(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:
        store.addEvent(EventKind.REMARK, text="first")
        store._journal.close()
        (tmp_path / JOURNAL_FILE).unlink()
        (tmp_path / JOURNAL_FILE).mkdir()
        store.addEvent(EventKind.REMARK, text="second")
        assert "could not be written" in store._journal.failure
        (tmp_path / JOURNAL_FILE).rmdir()
    with ProcedureStore(tmp_path) as store:
        assert {event.text for event in store.events()} == {"first", "second"}
    assert len(EventJournal(tmp_path / JOURNAL_FILE).read().entries) == 2


def test_severalThreadsWriteThroughOneStore(tmp_path: Path) -> None:
    with ProcedureStore(tmp_path) as store:

        def write(name: str) -> None:
            for number in range(40):
                store.addEvent(EventKind.REMARK, text=f"{name} {number}")

        threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.events()) == 120 and len({event.sequence for event in store.events()}) == 120
