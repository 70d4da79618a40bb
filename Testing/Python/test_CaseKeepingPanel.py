"""Step 7 of the panel: recording while the panel is busy, what is lost is said, and automatic copies."""

import json
import time

import numpy as np
from StreamedInsertion import ENTRY, OK, TARGET, records

from IntradiscalNavLib.Recording.CaseFolder import CaseFolder
from IntradiscalNavLib.Recording.RecordFormat import ImageRecord, PoseRecord
from IntradiscalNavLib.Recording.RecordingReader import RecordingReader
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import TransformMessage


def test_nothingIsLostWhileThePanelIsBusyForTwoSeconds(streamed):
    """Images at 30 Hz and poses; between the click on Record and the end the panel does not tick once."""
    panel = streamed.panel
    panel.update()
    panel.ui.recordButton.click()
    streamed.sentImages.clear()
    begun = panel.logic.connection.client.status.messageCount
    start = time.monotonic()
    depths = []
    for index in range(60):
        depths.append(-10.0 + index)
        streamed.sendPose(depths[-1])
        streamed.sendImage(240, 320)
        time.sleep(max(0.0, start + (index + 1) / 30 - time.monotonic()))
    deadline = time.monotonic() + 20
    while panel.logic.connection.client.status.messageCount < begun + 180:
        assert time.monotonic() < deadline, "the server sends all"
        time.sleep(0.01)
    assert panel.logic.connection.client.droppedCounts[("IMAGE", "Image_Reference")] >= 50, "the panel itself would have missed them"
    panel.ui.recordButton.click()
    (folder,) = CaseFolder(streamed.folder).recordingFolders()
    images = [record for record in records(folder, ImageRecord) if record.pixels.shape == (1, 240, 320)]
    assert len(images) == 60
    for record, sent in zip(images, streamed.sentImages, strict=True):
        np.testing.assert_array_equal(record.pixels, sent)
    poses = [record.matrix for record in records(folder, PoseRecord) if record.streamName == "NeedleToReference"][-60:]
    np.testing.assert_allclose(poses, [streamed.needlePose(depth) for depth in depths], atol=1e-4)
    assert "Nothing dropped" in panel.ui.keepingLabel.text


def test_droppedFramesAreSaidInThePanelAndInTheRecording(streamed):
    panel = streamed.panel
    panel.update()
    panel.ui.recordButton.click()
    panel.logic.connection.writer.noteDropped(images=3)
    panel.update()
    assert "DROPPED: 3 pictures" in panel.ui.keepingLabel.text
    panel.ui.recordButton.click()
    assert "DROPPED: 3 pictures" in panel.ui.keepingLabel.text, "also after the end"
    (folder,) = CaseFolder(streamed.folder).recordingFolders()
    told = [record.values for record in RecordingReader(folder) if record.streamName == "Dropped"]
    assert told[-1]["images"] == 3


class StreamInTheThreadOfTheScene:
    """What StreamConnection uses of SlicerOpenIGTLink's connector stream: nothing is handed out before it is taken."""

    def __init__(self):
        self.messages, self.droppedCounts = [], {}

    def start(self):
        return self

    def stop(self):
        pass

    def takeMessages(self, timeoutSec=0.0):
        taken, self.messages = self.messages, []
        return taken


def test_streamWithoutAThreadOfItsOwnIsRecordedAtEachTickAndItsLossesAreCounted(panels, tmp_path, monkeypatch):
    import slicer

    from IntradiscalNavLib.Streaming import LiveStream as liveModule

    panels.load("IntradiscalNav")
    from IntradiscalNavPanel.StreamConnection import StreamConnection

    stream = StreamInTheThreadOfTheScene()
    monkeypatch.setattr(liveModule, "openMessageStream", lambda *_, **__: stream)
    connection = StreamConnection(slicer.mrmlScene)
    connection.connect("connector", 18944)
    stream.droppedCounts = {("IMAGE", "Image_Reference"): 7}
    connection.startRecording(tmp_path / "r")
    for number in range(3):
        stream.messages = [TransformMessage("NeedleToReference", np.diag([1, 1, 1, 1.0]), metadata=OK, arrivalSec=time.monotonic())]
        stream.droppedCounts = {("IMAGE", "Image_Reference"): 7 + number, ("TRANSFORM", "NeedleToReference"): 1}
        connection.tick()
    connection.stopRecording()
    state = connection.recordingState()
    assert (state.poses, state.droppedImages, state.droppedPoses) == (3, 2, 1), "what was lost before the recording isn't its loss"
    connection.disconnect()


def test_planAndLaterRegistrationAreInTheRecording(streamed):
    panel = streamed.panel
    panel.update()
    panel.ui.recordButton.click()
    matrix = np.eye(4)
    matrix[:3, 3] = 1, 2, 3
    panel.logic.connection.setRegistration(matrix)
    panel.ui.recordButton.click()
    from IntradiscalNavLib.Recording.RecordedProcedure import takeApart

    recorded = takeApart(RecordingReader(CaseFolder(streamed.folder).recordingFolders()[0]))
    (plan,) = recorded.plans.values()
    assert plan.entryRas == tuple(ENTRY) and plan.targetRas == tuple(TARGET)
    np.testing.assert_array_equal(recorded.fixedTransforms["ReferenceToRas"], matrix)
    assert "NeedleTipToNeedle" in recorded.fixedTransforms


# --- automatic copies


def copiesIn(folder):
    return sorted((folder / "autosave").glob("documents-*.json"))


def test_whatIsNewIsCopiedWhenItIsTime(streamed):
    panel, logic, node = streamed.panel, streamed.logic, streamed.node
    panel.update()
    panel.ui.recordButton.click()
    panel._timer.stop()
    now = time.monotonic() + 1000
    logic.tick(node, now)
    logic.copies.wait()
    (first,) = copiesIn(streamed.folder)
    content = json.loads(first.read_text())["documents"]
    assert content["plan"]["entryRas"] == ENTRY.tolist() and "covariance" in content["registration"]
    assert content["calibration"]["NeedleTipToNeedle"] == np.eye(4).tolist()
    logic.tick(node, now + 61)
    logic.copies.wait()
    assert copiesIn(streamed.folder) == [first], "nothing was new"
    node.plan.needleLengthMm = 120.0
    logic.tick(node, now + 90)
    logic.copies.wait()
    assert copiesIn(streamed.folder) == [first], "not yet time"
    logic.tick(node, now + 125)
    logic.copies.wait()
    assert len(copiesIn(streamed.folder)) == 2
    node.keeping.autosave = False
    node.plan.needleLengthMm = 130.0
    logic.tick(node, now + 300)
    logic.copies.wait()
    assert len(copiesIn(streamed.folder)) == 2
    assert not list(streamed.folder.rglob("*.mrb")), "the CT isn't written while the needle may be in"


def test_aDiskThatFailsIsToldAndTheProcedureGoesOn(streamed, monkeypatch):
    from IntradiscalNavLib.Recording import DocumentCopies

    def full(path, text):
        raise OSError(28, "No space left on device")

    streamed.panel.update()
    streamed.panel.ui.recordButton.click()
    monkeypatch.setattr(DocumentCopies, "_write", full)
    streamed.logic.tick(streamed.node, time.monotonic() + 1000)
    streamed.logic.copies.wait()
    streamed.panel.update()
    assert "No space left" in streamed.panel.ui.keepingLabel.text
    assert streamed.panel.ui.recordButton.checked
