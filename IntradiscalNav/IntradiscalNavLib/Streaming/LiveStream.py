"""One way to a live stream, whatever is installed: SlicerOpenIGTLink's connector inside Slicer, our own client everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from IntradiscalNavLib.Streaming.ConnectionDoctor import ConnectionDoctor
from IntradiscalNavLib.Streaming.ConnectorStream import CONNECTOR_CLASS, ConnectorStream
from IntradiscalNavLib.Streaming.MessageQueue import Key
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionStatus, OpenIGTLinkClient
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneStream, SceneUpdate


class MessageStream(Protocol):
    """What both kinds of stream can do."""

    @property
    def status(self) -> ConnectionStatus: ...

    @property
    def droppedCounts(self) -> Mapping[Key, int]: ...

    def start(self) -> Any: ...

    def stop(self) -> None: ...

    def takeMessages(self, timeoutSec: float = 0.0) -> list[OpenIGTLinkMessage]: ...


def isConnectorAvailable(scene: Any) -> bool:
    """Whether SlicerOpenIGTLink is installed: its node class is registered in the scene."""
    return scene.CreateNodeByClass(CONNECTOR_CLASS) is not None if _knowsClass(scene) else False


def _knowsClass(scene: Any) -> bool:
    # CreateNodeByClass of an unknown class prints an error; ask the list of registered classes first.
    return any(scene.GetNthRegisteredNodeClass(index).IsA(CONNECTOR_CLASS) for index in range(scene.GetNumberOfRegisteredNodeClasses()))


def openMessageStream(
    scene: Any,
    host: str = "127.0.0.1",
    port: int = 18944,
    *,
    preferConnector: bool = True,
    onMessage: Callable[[OpenIGTLinkMessage], None] | None = None,
) -> MessageStream:
    """A stream that is not started yet: the connector where SlicerOpenIGTLink is installed and wanted, else our own client.

    :param onMessage: called in the receiving thread with every message, whether or not anybody takes it in time (see `isTapped`). The
        connector has no such thread: it works in that of the scene.
    """
    if preferConnector and isConnectorAvailable(scene):
        return ConnectorStream(scene, host, port)
    return OpenIGTLinkClient(host, port, onMessage=onMessage)


def isTapped(stream: MessageStream) -> bool:
    """Whether the stream hands every message to an ``onMessage`` as it arrives."""
    return isinstance(stream, OpenIGTLinkClient) and stream.onMessage is not None


class LiveStream:
    """A stream, the scene it is written to, and the doctor that watches both: everything a panel or a headless loop needs.

    Call ``tick`` from one timer, 20 to 30 times a second; it takes what arrived, writes the scene and returns what changed.
    """

    def __init__(self, stream: MessageStream, sceneStream: SceneStream, doctor: ConnectionDoctor | None = None) -> None:
        self.stream = stream
        self.sceneStream = sceneStream
        self.doctor = doctor or ConnectionDoctor()
        self.lastMessages: tuple[OpenIGTLinkMessage, ...] = ()
        if isinstance(stream, ConnectorStream):
            sceneStream.setWrittenElsewhere(lambda: stream.writtenNames)

    def start(self) -> LiveStream:
        """Begin to connect. Returns itself."""
        self.stream.start()
        return self

    def stop(self) -> None:
        """End the connection; the nodes stay."""
        self.stream.stop()

    def tick(self, nowSec: float | None = None) -> SceneUpdate:
        """Take in what arrived (it is in ``lastMessages`` afterwards, for a recorder) and write the scene."""
        messages = self.stream.takeMessages()
        for message in messages:
            self.doctor.note(message)
        self.lastMessages = tuple(messages)
        with self._ownWriting():
            self.sceneStream.receive(messages)
            return self.sceneStream.apply(nowSec)

    def _ownWriting(self) -> AbstractContextManager[None]:
        return self.stream.ownWriting() if isinstance(self.stream, ConnectorStream) else nullcontext()
