"""The live connection: client, transform tree in the scene, tool status, recording. One `tick` a thirtieth of a second does the work."""

import time

IMAGE = "Image_Reference"


class StreamConnection:
    """Receives from a PlusServer into the scene. Make one, `connect`, then `tick` from a timer."""

    def __init__(self, scene):
        from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE
        from IntradiscalNavLib.Streaming.ConnectionDoctor import ConnectionDoctor, expectedDevices
        from IntradiscalNavLib.Streaming.SceneStream import SceneStream
        from IntradiscalNavLib.Views.ToolRoles import ToolRoles

        self.scene = scene
        self.stream = SceneStream(scene)
        self.doctor = ConnectionDoctor(expectedDevices())
        self.live = None
        self.recorder = None
        self.writer = None
        self.lastRecording = None
        """RecordingState of the recording that ended last: how much came, and what was dropped."""
        self._countedDrops = {}
        self.lastUpdate = None
        self.roles = ToolRoles({NEEDLE: ["NeedleToReference"], PROBE: ["ProbeToReference"]})

    @property
    def client(self):
        """What receives: SlicerOpenIGTLink's connector or our own client; None when nothing was started."""
        return None if self.live is None else self.live.stream

    @property
    def isConnecting(self):
        """Whether the client was started (it reconnects by itself until stopped)."""
        return self.live is not None

    def connect(self, host, port, preferConnector=True):
        """Begin to connect. SlicerOpenIGTLink's connector is used where it is installed, unless `preferConnector` is False."""
        from IntradiscalNavLib.Streaming.LiveStream import LiveStream, openMessageStream

        self.disconnect()
        stream = openMessageStream(self.scene, host, port, preferConnector=preferConnector, onMessage=self._onArrival)
        self.live = LiveStream(stream, self.stream, self.doctor).start()

    def disconnect(self):
        self.stopRecording()
        if self.live is not None:
            self.live.stop()
            self.live = None

    def startRecording(self, folder):
        """Record everything that arrives into a folder that holds no recording yet."""
        from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter
        from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder

        self.stopRecording()
        self.writer = RecordingWriter(folder)
        fixed = {name: self.stream.tree.matrix(name) for name in self.stream.tree.fixedNames}
        recorder = StreamRecorder(self.writer)
        recorder.recordFixedTransforms({name: matrix for name, matrix in fixed.items() if matrix is not None})
        self._countedDrops = self._dropsBeforeRecording()
        self.recorder = recorder

    def stopRecording(self):
        """End the recording; the RecordingState of how it went is `lastRecording`."""
        # First nothing more may come in from the receiving thread.
        writer, self.writer, self.recorder = self.writer, None, None
        if writer is not None:
            self.lastRecording = writer.stop()

    def recordingState(self):
        """RecordingState of the running recording, else of the one that ended last, else None."""
        return self.writer.state() if self.writer is not None else self.lastRecording

    def _onArrival(self, message):
        """In the receiving thread: the recording misses nothing while the panel is busy."""
        recorder = self.recorder
        if recorder is not None:
            recorder.recordMessages((message,))

    def _recordTaken(self):
        """Of a stream without a receiving thread of its own: what this turn has taken, and what was replaced before it could be."""
        from IntradiscalNavLib.Streaming.LiveStream import isTapped

        if self.live is None or isTapped(self.live.stream):
            return
        self.recorder.recordMessages(self.live.lastMessages)
        drops = self._dropsBeforeRecording()
        new = {name: drops[name] - self._countedDrops.get(name, 0) for name in drops}
        self._countedDrops = drops
        images = sum(count for (kind, _name), count in new.items() if kind == "IMAGE")
        if any(new.values()):
            self.writer.noteDropped(images, sum(new.values()) - images)

    def _dropsBeforeRecording(self):
        return dict(self.client.droppedCounts) if self.client is not None else {}

    def setFixed(self, name, matrix):
        """Calibration or registration, also into a running recording."""
        self.stream.setCalibration(name, matrix)
        if self.recorder is not None:
            self.recorder.recordFixedTransforms({name: matrix})

    def setRegistration(self, referenceToRas):
        """Registration, also into a running recording."""
        self.stream.setRegistration(referenceToRas)
        if self.recorder is not None:
            self.recorder.recordFixedTransforms({self.stream.registrationName: referenceToRas})

    def tick(self):
        """Take what has arrived and write it into the scene; returns the SceneUpdate."""
        self.lastUpdate = self.stream.apply() if self.live is None else self.live.tick()
        self.roles.take(self.lastUpdate)
        if self.recorder is not None:
            self._recordTaken()
            self.recorder.recordStatusChanges(self.lastUpdate.changes)
        return self.lastUpdate

    def toolLiveness(self):
        """Liveness by role: what the guidance may use. A role is not live when nobody has called `tick` for half a second."""
        return self.roles.liveness()

    def diagnosis(self):
        """Diagnosis of the connection doctor, or None when nothing was started."""
        return None if self.client is None else self.doctor.diagnose(self.client.status, time.monotonic())
