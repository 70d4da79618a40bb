"""What a recording loses is counted, and said in the recording itself."""

import threading

import numpy as np
import pytest

from IntradiscalNavLib.Recording import RecordingWriter as WriterModule
from IntradiscalNavLib.Recording.ProcedureReview import reviewProcedure
from IntradiscalNavLib.Recording.ProcedureTimeline import timelineOfRecording
from IntradiscalNavLib.Recording.RecordedProcedure import takeApart
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Recording.RecordingWriter import RecordingSettings, RecordingWriter


@pytest.fixture
def held(monkeypatch):
    """An event until which the writer's thread is held up."""
    event = threading.Event()
    original = WriterModule.encodeRecord

    def slow(*arguments):
        event.wait(20)
        return original(*arguments)

    monkeypatch.setattr(WriterModule, "encodeRecord", slow)
    return event


def test_imagesThatFindNoRoomAreCountedInTheRecording(tmp_path, held):
    """The writer is held up while ten images of 10 kB come; the queue has room for three."""
    writer = RecordingWriter(tmp_path / "r", RecordingSettings(maximumQueuedBytes=32_000, syncIntervalSec=0.01))
    for _ in range(10):
        writer.addImage("Image_Reference", np.zeros((1, 100, 100), np.uint8), np.eye(4))
    lost = writer.state().droppedImages
    assert lost == 7
    held.set()
    state = writer.stop()
    assert (state.images, state.droppedImages, state.droppedPoses) == (3, 7, 0)
    recorded = takeApart(RecordingReader(tmp_path / "r"))
    assert recorded.imageCount == 3
    assert recorded.remarks == ("7 images and 0 poses were dropped while recording",)
    assert recorded.remarks[0] in reviewProcedure("r", recorded).missing
    (told,) = [entry.text for entry in timelineOfRecording(recorded).entries if entry.name == "Dropped"]
    assert told == "7 images and 0 poses dropped so far"


def test_whatWasLostBeforeTheRecorderIsSaidToo(tmp_path):
    writer = RecordingWriter(tmp_path / "r")
    writer.addPose("NeedleToReference", np.eye(4))
    writer.noteDropped(images=2, poses=5)
    assert writer.stop().droppedPoses == 5
    assert takeApart(RecordingReader(tmp_path / "r")).remarks == ("2 images and 5 poses were dropped while recording",)


def test_aRecordingWithoutLossSaysNothing(tmp_path):
    writer = RecordingWriter(tmp_path / "r")
    writer.addPose("NeedleToReference", np.eye(4))
    writer.stop()
    writer.addPose("NeedleToReference", np.eye(4))
    assert writer.state().droppedPoses == 0, "what comes after the end is no loss"
    recorded = takeApart(RecordingReader(tmp_path / "r"))
    assert recorded.remarks == () and recorded.events == ()


def test_afterAFlushAReaderFindsAllThatCame(tmp_path):
    writer = RecordingWriter(tmp_path / "r", RecordingSettings(syncIntervalSec=30.0))
    for _ in range(20):
        writer.addPose("NeedleToReference", np.eye(4))
        writer.addImage("Image_Reference", np.zeros((1, 100, 100), np.uint8), np.eye(4))
    assert writer.flush()
    assert len(list(RecordingReader(tmp_path / "r"))) == 40
    assert writer.state().active
    writer.stop()


def test_endThatCantWaitForTheDiskSaysWhatIsStillToCome(tmp_path, held):
    writer = RecordingWriter(tmp_path / "r", RecordingSettings(syncIntervalSec=0.01))
    writer.addImage("Image_Reference", np.zeros((1, 1000, 2000), np.uint8), np.eye(4))
    assert "2 MB are still being written" in writer.stop(timeoutSec=0.2).problem
    held.set()
    assert writer.stop().problem == ""
    assert takeApart(RecordingReader(tmp_path / "r")).imageCount == 1
