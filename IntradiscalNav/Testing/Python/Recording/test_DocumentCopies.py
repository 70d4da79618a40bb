"""Copies of the documents: whole, few, and there after the program was killed in the middle of writing one."""

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from IntradiscalNavHeadless.CaseReview import reviewCase
from IntradiscalNavHeadless.SceneHost import startHost
from IntradiscalNavLib.Recording.CaseFolder import KEPT_AUTOSAVES, CaseFolder
from IntradiscalNavLib.Recording.DocumentCopies import DocumentCopies, encodeDocuments, restoreDocuments
from IntradiscalNavLib.Recording.SceneBundle import newestReadable
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, readDocument


def documents(number):
    return {DocumentRole.PLAN: {"entryRas": [number, -80.0, 0.0], "targetRas": [0.0, 0.0, 0.0], "side": "left"}}


@pytest.fixture
def copies(tmp_path):
    return DocumentCopies(CaseFolder(tmp_path / "case"))


def test_whatGoesInComesOutAndOnlyTheNewestFewStay(copies):
    for number in range(KEPT_AUTOSAVES + 3):
        copies.write(encodeDocuments(documents(number)))
    assert len(copies.paths()) == KEPT_AUTOSAVES
    assert copies.newest() == documents(KEPT_AUTOSAVES + 2)


def test_damagedCopyIsPassedOver(copies):
    copies.write(encodeDocuments(documents(1)))
    newer = copies.write(encodeDocuments(documents(2)))
    newer.write_text(newer.read_text()[:40])
    assert copies.newest() == documents(1)


def test_olderThanTheSceneTheyDoNotCount(copies, tmp_path):
    path = copies.write(encodeDocuments(documents(1)))
    scene = tmp_path / "scene.mrb"
    scene.write_bytes(b"x")
    os.utime(scene, ns=(path.stat().st_mtime_ns + 1, path.stat().st_mtime_ns + 1))
    assert copies.newest(after=scene) == {}
    os.utime(scene, ns=(path.stat().st_mtime_ns - 1, path.stat().st_mtime_ns - 1))
    assert copies.newest(after=scene) == documents(1)


def test_documentsOfAnOlderVersionAreMigrated(copies):
    path = copies.write(encodeDocuments(documents(1)))
    content = json.loads(path.read_text())
    content["version"], content["documents"]["plan"] = 1, {"entry": [1, 2, 3], "target": [0, 0, 0], "side": "R"}
    path.write_text(json.dumps(content))
    assert copies.newest()[DocumentRole.PLAN] == {"entryRas": [1, 2, 3], "targetRas": [0, 0, 0], "side": "right"}


def test_whatJsonCantCarryIsRefused():
    with pytest.raises(ValueError, match="can't be copied"):
        encodeDocuments({DocumentRole.PLAN: {"entryRas": object()}})


KILLED = """
    import os, pathlib, signal, sys
    from IntradiscalNavLib.Recording import DocumentCopies as module
    from IntradiscalNavLib.Recording.CaseFolder import CaseFolder

    def killedHalfWay(path, text=None):
        path.write_text(text[: len(text) // 2] if text else "PK half a scene")
        os.kill(os.getpid(), signal.SIGKILL)

    case = CaseFolder(sys.argv[1])
    module._write = killedHalfWay
    if sys.argv[2] == "scene":
        case.saveScene(killedHalfWay)
    else:
        module.DocumentCopies(case).write('{"documents": {}}' * 100)
"""


def killedWhileWriting(folder, what):
    script = textwrap.dedent(KILLED)
    ended = subprocess.run([sys.executable, "-c", script, str(folder), what], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL is of POSIX")
def test_killedWhileWritingTheOlderCopyAndTheOlderSceneAreWhole(caseRecorder, tmp_path):
    """kill -9 in the middle of a copy, and of a scene: what is left half written is never taken, and the case is reviewed."""
    folder = tmp_path / "case"
    case = caseRecorder(folder, 2.0)
    host = startHost()
    host.clear()
    restoreDocuments(host.scene, {DocumentRole.PLAN: {"entryRas": [60, -80, 0], "targetRas": [0, 0, 0], "side": "left"}})
    case.saveScene(lambda partial: host.saveScene(partial))
    host.clear()
    DocumentCopies(case).write(encodeDocuments({DocumentRole.REGISTRATION: {"freMm": 0.25}}))
    before = case.scenePath.read_bytes()
    for what in ("documents", "scene"):
        killedWhileWriting(folder, what)
    left = [path for path in folder.rglob("*") if path.is_file() and ".saving-" in str(path)]
    assert len(left) == 2, "both were cut half-way"
    reopened = CaseFolder(folder)
    assert reopened.scenePath.read_bytes() == before
    assert newestReadable(reopened.scenes()) == (reopened.scenePath, ())
    assert len(DocumentCopies(reopened).paths()) == 1
    review = reviewCase(folder)
    assert review.navigation.finalLateralMm == pytest.approx(2.0, abs=1e-6)
    assert review.registration["freMm"] == 0.25, "from the copy, which is newer than the scene"
    assert reopened.newestScene() == reopened.scenePath
    host.loadScene(reopened.scenePath)
    assert readDocument(host.scene, DocumentRole.PLAN)["entryRas"] == [60, -80, 0]
    host.clear()


def test_leftoversOfAnEarlierCrashGoAfterADay(tmp_path):
    case = CaseFolder(tmp_path / "case")
    fresh, old = (case.folder / f".saving-{number}-1" for number in (1, 2))
    for path in (fresh, old):
        path.mkdir()
        (path / "scene.mrb").write_text("half")
    os.utime(old, (1e9, 1e9))
    CaseFolder(case.folder)
    assert fresh.exists() and not old.exists()
