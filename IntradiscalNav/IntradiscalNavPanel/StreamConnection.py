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
        stream = openMessageStream(self.scene, host, port, preferConnector=preferConnector)
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
        self.recorder = StreamRecorder(self.writer)
        fixed = {name: self.stream.tree.matrix(name) for name in self.stream.tree.fixedNames}
        self.recorder.recordFixedTransforms({name: matrix for name, matrix in fixed.items() if matrix is not None})

    def stopRecording(self):
        if self.writer is not None:
            self.writer.stop()
        self.writer = self.recorder = None

    def setFixed(self, name, matrix):
        """Calibration or registration, also into a running recording."""
        self.stream.setCalibration(name, matrix)
        if self.recorder is not None:
            self.recorder.recordFixedTransforms({name: matrix})

    def tick(self):
        """Take what has arrived and write it into the scene; returns the SceneUpdate."""
        self.lastUpdate = self.stream.apply() if self.live is None else self.live.tick()
        self.roles.take(self.lastUpdate)
        if self.recorder is not None:
            self.recorder.recordMessages(self.live.lastMessages if self.live is not None else ())
            self.recorder.recordStatusChanges(self.lastUpdate.changes)
        return self.lastUpdate

    def toolLiveness(self):
        """Liveness by role: what the guidance may use. A role is not live when nobody has called `tick` for half a second."""
        return self.roles.liveness()

    def diagnosis(self):
        """Diagnosis of the connection doctor, or None when nothing was started."""
        return None if self.client is None else self.doctor.diagnose(self.client.status, time.monotonic())
