"""Case folder: copies are whole, rotate, and survive a disk that fails in the middle."""

import errno
import os

import pytest

from IntradiscalNavLib.Recording.CaseFolder import KEPT_AUTOSAVES, CaseFolder


def saver(content):
    return lambda path: path.write_text(content)


def failing(path):
    path.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_halfWrittenSceneNeverReplacesAWholeOne(tmp_path):
    case = CaseFolder(tmp_path / "case")
    case.saveScene(saver("first"))
    with pytest.raises(OSError):
        case.saveScene(failing)
    with pytest.raises(OSError, match="not written"):
        case.saveScene(lambda path: None)
    assert case.scenePath.read_text() == "first"
    assert not list((tmp_path / "case").glob(".saving*"))


def test_autosaveOncePerMinuteAndOnlyWhatChanged(tmp_path):
    case = CaseFolder(tmp_path)
    assert case.autosave(saver("a"), sceneTime=1, nowSec=0.0).path is not None
    assert case.autosave(saver("b"), sceneTime=2, nowSec=30.0) is None
    assert case.autosave(saver("b"), sceneTime=1, nowSec=61.0) is None
    assert case.autosave(saver("b"), sceneTime=2, nowSec=62.0).path.read_text() == "b"
    for minute in range(3, 8):
        case.autosave(saver(str(minute)), sceneTime=minute, nowSec=70.0 * minute)
    assert [path.read_text() for path in case.autosaves()] == ["6", "7"]
    assert len(case.autosaves()) == KEPT_AUTOSAVES


def test_failedAutosaveIsSaidAndKeepsTheLast(tmp_path):
    case = CaseFolder(tmp_path)
    kept = case.autosave(saver("good"), sceneTime=1, nowSec=0.0).path
    result = case.autosave(failing, sceneTime=2, nowSec=100.0)
    assert result.path is None
    assert "No space left" in result.problem and kept.name in result.problem
    assert case.newestScene().read_text() == "good"


def test_recordingsNeverShareAFolder(tmp_path):
    case = CaseFolder(tmp_path)
    first = case.newRecordingFolder()
    first.mkdir()
    assert case.newRecordingFolder() != first
    assert case.recordingFolders() == (first,)
