"""The stream of SlicerOpenIGTLink's connector node, seen as messages like those of our own client.

The connector itself writes its nodes from Slicer's main thread. Here each of its incoming nodes is observed: the event is the heartbeat (it
comes also when the value is the same), arrival is noted on the monotonic clock, and ``takeMessages`` hands out what was noted. Times of
acquisition are not kept by the node, so ``timestampSec`` is that of PLUS's ``Timestamp`` metadata where there is one, else 0.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkCommand
from vtkmodules.vtkCommonMath import vtkMatrix4x4

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Streaming.MessageQueue import Key, MessageQueue
from IntradiscalNavLib.Streaming.OpenIGTLinkClient import ConnectionFailure, ConnectionState, ConnectionStatus
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, OpenIGTLinkMessage, TransformMessage
from TranslatedText.Translation import tr as _

CONNECTOR_CLASS = "vtkMRMLIGTLConnectorNode"
ATTRIBUTE_PREFIX = "OpenIGTLink."
STATE_WAITING, STATE_CONNECTED = 1, 2


class ConnectorStream:
    """Messages from a connector node. Use it from the thread that owns the scene.

    :param scene: the scene to make the connector in.
    :param connector: an existing connector node to listen to; it is then neither started nor stopped here.
    """

    def __init__(
        self, scene: Any, host: str = "127.0.0.1", port: int = 18944, *, connector: Any = None, silentAfterSec: float = 1.0
    ) -> None:
        self.scene = scene
        self.host = host
        self.port = port
        self._own = connector is None
        self._connector = connector
        self._silentAfterSec = silentAfterSec
        self._queue = MessageQueue(imageCapacity=1)
        self._observed: dict[str, tuple[Any, int]] = {}
        self._writing = 0
        self._messageCount = 0
        self._connectCount = 0
        self._lastDataSec: float | None = None
        self._state = ConnectionState.DISCONNECTED
        self._sinceSec = time.monotonic()

    @property
    def connector(self) -> Any:
        """The connector node; None before ``start``."""
        return self._connector

    def start(self) -> ConnectorStream:
        """Make and start the connector. Returns the stream itself.

        :raises RuntimeError: when SlicerOpenIGTLink is not installed.
        """
        if self._connector is None:
            self._connector = self.scene.AddNewNodeByClass(CONNECTOR_CLASS, "IntradiscalNavConnector")
            if self._connector is None:
                raise RuntimeError(_("There is no connector node: install the extension SlicerOpenIGTLink, or use the built-in client."))
        if self._own:
            self._connector.SetTypeClient(self.host, self.port)
            self._connector.SetCheckCRC(True)
            self._connector.Start()
        # Nodes that are there already may come from a saved scene: they say nothing about the present.
        self._observeNewNodes(countAsArrival=False)
        return self

    def stop(self) -> None:
        """Stop listening; the connector too where it was made here."""
        for node, tag in self._observed.values():
            node.RemoveObserver(tag)
        self._observed.clear()
        if self._own and self._connector is not None:
            self._connector.Stop()
            self.scene.RemoveNode(self._connector)
            self._connector = None
        self._setState(ConnectionState.DISCONNECTED)

    @property
    def writtenNames(self) -> frozenset[str]:
        """Names of the nodes that the connector writes itself: nobody else may."""
        return frozenset(node.GetName() for node in self._incomingNodes())

    @contextmanager
    def ownWriting(self) -> Iterator[None]:
        """Changes made inside (attributes, parents) are ours and count as no arrival."""
        self._writing += 1
        try:
            yield
        finally:
            self._writing -= 1

    @property
    def status(self) -> ConnectionStatus:
        """State as the connector node tells it; SILENT is judged here."""
        self._readState()
        state, address = self._state, f"{self.host}:{self.port}"
        reason = {
            ConnectionState.CONNECTED: f"connected to {address}",
            ConnectionState.CONNECTING: _(
                "no connection to {address} yet: nobody listens there or no answer; the connector tries again"
            ).format(address=address),
            ConnectionState.LOST: _("connection to {address} lost; the connector tries again").format(address=address),
        }.get(state, _("the connector is not active"))
        if state is ConnectionState.CONNECTED:
            quietSec = time.monotonic() - max(self._sinceSec, self._lastDataSec or 0.0)
            if quietSec > self._silentAfterSec:
                state, reason = ConnectionState.SILENT, _("connected, but no data for {quietSec:.1f} s").format(quietSec=quietSec)
        # the connector tells no more; a server that isn't running is by far the most frequent cause
        failure = ConnectionFailure.REFUSED if state is ConnectionState.CONNECTING else None
        return ConnectionStatus(state, reason, self._sinceSec, self._connectCount, self._messageCount, 0, self._lastDataSec, failure)

    @property
    def droppedCounts(self) -> Mapping[Key, int]:
        """Messages per (type, name) that the connector wrote and the next one replaced before they were taken."""
        return self._queue.droppedCounts

    def takeMessages(self, timeoutSec: float = 0.0) -> list[OpenIGTLinkMessage]:
        """What arrived since the last call. Never waits: the connector works in this very thread."""
        self._readState()
        self._observeNewNodes(countAsArrival=True)
        return self._queue.take()

    def _readState(self) -> None:
        raw = self._connector.GetState() if self._connector is not None else 0
        if raw == STATE_CONNECTED:
            if self._state is not ConnectionState.CONNECTED:
                self._connectCount += 1
            self._setState(ConnectionState.CONNECTED)
        elif raw == STATE_WAITING:
            self._setState(ConnectionState.LOST if self._connectCount else ConnectionState.CONNECTING)
        else:
            self._setState(ConnectionState.DISCONNECTED)

    def _setState(self, state: ConnectionState) -> None:
        if state is not self._state:
            self._state, self._sinceSec = state, time.monotonic()

    def _incomingNodes(self) -> list[Any]:
        if self._connector is None:
            return []
        nodes = (self._connector.GetIncomingMRMLNode(index) for index in range(self._connector.GetNumberOfIncomingMRMLNodes()))
        return [node for node in nodes if node is not None]

    def _observeNewNodes(self, countAsArrival: bool) -> None:
        current = {node.GetID(): node for node in self._incomingNodes()}
        for nodeId in [known for known in self._observed if known not in current]:
            node, tag = self._observed.pop(nodeId)
            node.RemoveObserver(tag)
        for nodeId, node in current.items():
            if nodeId not in self._observed:
                # ModifiedEvent, not TransformModifiedEvent: that one also comes from a parent transform that changed.
                self._observed[nodeId] = (node, node.AddObserver(vtkCommand.ModifiedEvent, self._onModified))
                if countAsArrival:
                    self._onModified(node, "")

    def _onModified(self, node: Any, _event: str) -> None:
        if self._writing:
            return
        now = time.monotonic()
        message = self._messageOf(node, now)
        if message is None:
            return
        self._lastDataSec = now
        self._messageCount += 1
        self._queue.put(message)

    @staticmethod
    def _messageOf(node: Any, now: float) -> OpenIGTLinkMessage | None:
        metadata = {}
        for name in node.GetAttributeNames():
            if name.startswith(ATTRIBUTE_PREFIX):
                metadata[name.removeprefix(ATTRIBUTE_PREFIX)] = node.GetAttribute(name)
        version = 2 if metadata else 1
        timestamp = _seconds(metadata.get("Timestamp", ""))
        if node.IsA("vtkMRMLLinearTransformNode"):
            matrix = vtkMatrix4x4()
            node.GetMatrixTransformToParent(matrix)
            return TransformMessage(
                node.GetName(), _array(matrix), metadata=metadata, headerVersion=version, arrivalSec=now, timestampSec=timestamp
            )
        if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
            scalars = node.GetImageData().GetPointData().GetScalars()
            if scalars is None:
                return None
            i, j, k = node.GetImageData().GetDimensions()
            components = scalars.GetNumberOfComponents()
            shape = (k, j, i) if components == 1 else (k, j, i, components)
            matrix = vtkMatrix4x4()
            node.GetIJKToRASMatrix(matrix)
            # A copy: the connector may write the next picture into the same memory.
            voxels = np.array(vtk_to_numpy(scalars)).reshape(shape)
            return ImageMessage(
                node.GetName(), voxels, _array(matrix), metadata=metadata, headerVersion=version, arrivalSec=now, timestampSec=timestamp
            )
        return None


def _array(matrix: vtkMatrix4x4) -> FloatArray:
    return np.array(matrix.GetData(), float).reshape(4, 4)


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
