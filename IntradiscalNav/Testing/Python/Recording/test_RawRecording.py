"""Raw recording: what went in comes out, also after a crash, a cut file, a flipped bit or a full disk."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, JsonRecord, PoseRecord, PoseValidity, RecordKind
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingSettings, RecordingWriter

RNG = np.random.default_rng(7)


def somePose(seed):
    matrix = np.eye(4)
    matrix[:3] = np.random.default_rng(seed).normal(size=(3, 4))
    return matrix


@pytest.mark.parametrize("compress", [False, True])
def test_everythingComesBack(tmp_path, compress):
    writer = RecordingWriter(tmp_path / "r", RecordingSettings(compressImages=compress, chunkBytes=50_000))
    images = RNG.integers(0, 255, (20, 1, 48, 64), dtype=np.uint8)
    start = time.monotonic_ns()
    for index, image in enumerate(images):
        writer.addPose("ProbeToReference", somePose(index), 100.0 + index, PoseValidity.VALID, start + index * 1_000_000)
        arrival = start + index * 1_000_000 + 7
        writer.addImage("Image_Reference", image, somePose(99 - index), 100.0 + index, PoseValidity.VALID, arrival)
    writer.addEvent("NeedleAtTarget", {"targetName": "L4-L5", "µ": 1.5})
    state = writer.stop()
    assert (state.poses, state.images, state.events, state.droppedImages, state.problem) == (20, 20, 1, 0, "")
    reader = RecordingReader(tmp_path / "r")
    records = list(reader)
    assert reader.problems == []
    assert len(reader.chunks) > 1 or compress
    poses = [record for record in records if isinstance(record, PoseRecord)]
    received = [record for record in records if isinstance(record, ImageRecord)]
    for index, (pose, image) in enumerate(zip(poses, received, strict=True)):
        assert np.array_equal(pose.matrix, somePose(index))
        assert pose.deviceTimeSec == 100.0 + index
        assert pose.timeNs == start + index * 1_000_000 - writer.startMonotonicNs
        assert np.array_equal(image.pixels, images[index])
        assert image.timeNs - pose.timeNs == 7
    (event,) = [record for record in records if isinstance(record, JsonRecord)]
    assert event.values == {"targetName": "L4-L5", "µ": 1.5}
    assert {stream.name for stream in reader.streams()} == {"ProbeToReference", "Image_Reference", "NeedleAtTarget"}


def smallRecording(folder):
    writer = RecordingWriter(folder)
    for index in range(30):
        writer.addPose("NeedleToReference", somePose(index))
    writer.stop()
    return folder / "chunk-000000.rec"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), flip=st.floats(0, 1), doFlip=st.booleans())
def test_damageCostsOnlyWhatItHits(tmp_path_factory, cut, flip, doFlip):
    folder = tmp_path_factory.mktemp("damage") / "r"
    chunk = smallRecording(folder)
    data = bytearray(chunk.read_bytes())
    if doFlip:
        position = 16 + int(flip * (len(data) - 17))
        data[position] ^= 0xFF
        chunk.write_bytes(data)
        expectedAtLeast = 28  # the record hit, or, where the stream definition is hit, none
        reader = RecordingReader(folder)
        records = list(reader)
        assert reader.problems
        definitionHit = position < 16 + 24 + 8 + 80
        assert len(records) >= (0 if definitionHit else expectedAtLeast)
    else:
        chunk.write_bytes(data[: int(cut * len(data))])
        reader = RecordingReader(folder)
        records = list(reader)
        assert len(records) == 30 or reader.problems or int(cut * len(data)) <= len(data)
    for record in records:
        assert any(np.array_equal(record.matrix, somePose(index)) for index in range(30))


def test_killedProgramLosesNothingOlderThanASecond(tmp_path):
    code = textwrap.dedent(f"""
        import sys, time, numpy as np
        from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter
        writer = RecordingWriter({str(tmp_path / "r")!r})
        for index in range(100000):
            matrix = np.eye(4); matrix[0, 3] = index
            writer.addPose("NeedleToReference", matrix)
            print(index, flush=True)
            time.sleep(0.002)
    """)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    acknowledged = [(time.monotonic(), int(process.stdout.readline())) for _ in range(700)]
    os.kill(process.pid, signal.SIGKILL)
    killed = time.monotonic()
    process.communicate()
    recovered = {int(record.matrix[0, 3]) for record in RecordingReader(tmp_path / "r")}
    older = {index for when, index in acknowledged if when < killed - 1.0}
    assert older and older <= recovered


class FullDisk:
    """A file that takes ``room`` bytes and then answers 'no space left'."""

    def __init__(self, file, room):
        self._file, self.room = file, room

    def write(self, data):
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = bytes(data)[: self.room]
        self.room -= len(part)
        return self._file.write(part)

    def __getattr__(self, name):
        return getattr(self._file, name)


def test_fullDiskIsSaidCountedAndSurvived(tmp_path, monkeypatch):
    disk = {}
    original = RecordingWriter._nextChunk

    def nextChunk(self, previous, definitions):
        file = FullDisk(original(self, previous, definitions), disk.get("room", 3000))
        disk["file"] = file
        return file

    monkeypatch.setattr(RecordingWriter, "_nextChunk", nextChunk)
    writer = RecordingWriter(tmp_path / "r", RecordingSettings(syncIntervalSec=0.02))
    for index in range(100):
        writer.addPose("NeedleToReference", somePose(index))
    deadline = time.monotonic() + 10
    while not writer.state().problem and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "Free space" in writer.state().problem
    disk["file"].room = 1_000_000  # somebody made room
    while writer.state().problem and time.monotonic() < deadline:
        time.sleep(0.01)
    state = writer.stop()
    assert state.problem == ""
    records = list(RecordingReader(tmp_path / "r"))
    assert [bool(np.array_equal(record.matrix, somePose(index))) for index, record in enumerate(records)] == [True] * 100


def test_slowDiskDropsImagesNotPosesAndCountsThem(tmp_path, monkeypatch):
    monkeypatch.setattr(RecordingWriter, "_run", lambda self: time.sleep(0.3))  # a disk that takes nothing
    writer = RecordingWriter(tmp_path / "r", RecordingSettings(maximumQueuedBytes=10_000))
    for index in range(10):
        writer.addImage("Image", np.zeros((1, 48, 64), np.uint8), np.eye(4))
        writer.addPose("ProbeToReference", somePose(index))
    state = writer.state()
    assert state.droppedImages == 7
    assert state.droppedPoses == 0
    assert state.queuedBytes <= 40_000
    writer.stop()


def test_recordingIsNeverOverwritten(tmp_path):
    smallRecording(tmp_path / "r")
    with pytest.raises(FileExistsError, match="already holds"):
        RecordingWriter(tmp_path / "r")


def test_clockSetBackIsRecordedAndTimesStayMonotonic(tmp_path, monkeypatch):
    writer = RecordingWriter(tmp_path / "r")
    writer.addPose("NeedleToReference", np.eye(4))
    time.sleep(0.1)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 3600 * 10**9)
    writer.addPose("NeedleToReference", np.eye(4))
    time.sleep(0.2)
    writer.stop()
    records = list(RecordingReader(tmp_path / "r"))
    jumps = [record for record in records if isinstance(record, JsonRecord) and record.streamName == "ClockJump"]
    assert jumps and jumps[0].kind == RecordKind.EVENT and jumps[0].values["jumpSec"] == pytest.approx(-3600, abs=1)
    times = [record.timeNs for record in records if isinstance(record, PoseRecord)]
    assert times == sorted(times)


def test_missingAndNewerRecordingsAreNamed(tmp_path):
    with pytest.raises(FileNotFoundError, match="no recording"):
        RecordingReader(tmp_path)
    chunk = smallRecording(tmp_path / "r")
    data = bytearray(chunk.read_bytes())
    data[4] = 99
    chunk.write_bytes(data)
    with pytest.raises(ValueError, match="format 99"):
        list(RecordingReader(tmp_path / "r"))
    (tmp_path / "r" / "recording.json").write_text(json.dumps({}))
    assert RecordingReader(tmp_path / "r").problems
