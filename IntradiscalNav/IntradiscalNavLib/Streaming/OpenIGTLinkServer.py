"""OpenIGTLink server for several clients, which behaves as PlusServer does on the wire.

One thread serves all sockets. A message is sent at once from the calling thread where the client's buffer has room; only what does not fit
waits in a bounded queue. A slow client loses its oldest images, then its oldest messages, and never holds up the others.
Header version: 1 to every client until the client itself sends a version-2 message. TDATA goes only to clients that asked with STT_TDATA.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import MessageReader, encodeParts
from IntradiscalNavLib.Streaming.OpenIGTLinkContent import Parts
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import (
    GetStatusMessage,
    OpenIGTLinkMessage,
    StartTrackingDataMessage,
    StatusMessage,
    StopTrackingDataMessage,
    TrackingDataMessage,
    TrackingDataReplyMessage,
)
from TranslatedText.Translation import tr as _

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class ServerClient:
    """One connected client as the server sees it."""

    address: str
    connection: socket.socket
    reader: MessageReader
    headerVersion: int = 1
    trackingResolutionSec: float | None = None
    droppedCount: int = 0
    lastTrackingSec: float = float("-inf")
    pending: collections.deque[tuple[str, memoryview]] = field(default_factory=collections.deque)
    pendingBytes: int = 0
    stuckSinceSec: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False


class OpenIGTLinkServer:
    """Sends messages to all connected clients. ``start`` binds, so that ``port`` is known when it returns.

    :param port: 0 for any free port.
    :param onMessage: called in the server's thread with (client, message) for what clients send.
    :param maxPendingBytes: what may wait for one slow client.
    :param stuckAfterSec: a client that took no byte for so long is disconnected.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        onMessage: Callable[[ServerClient, OpenIGTLinkMessage], None] | None = None,
        onClientConnected: Callable[[ServerClient], None] | None = None,
        maxPendingBytes: int = 8 * 1024 * 1024,
        stuckAfterSec: float = 5.0,
        maxBodyBytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._host = host
        self._wantedPort = port
        self._onMessage = onMessage
        self._onClientConnected = onClientConnected
        self._maxPendingBytes = maxPendingBytes
        self._stuckAfterSec = stuckAfterSec
        self._maxBodyBytes = maxBodyBytes
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._clients: list[ServerClient] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._port = 0
        self._wakeReader: socket.socket | None = None
        self._wakeWriter: socket.socket | None = None

    @property
    def port(self) -> int:
        """The port it listens on; 0 before ``start``."""
        return self._port

    @property
    def clients(self) -> tuple[ServerClient, ...]:
        """The clients connected now."""
        with self._lock:
            return tuple(self._clients)

    def start(self) -> OpenIGTLinkServer:
        """Bind and serve in the background. Returns the server itself.

        :raises RuntimeError: when the port cannot be had.
        """
        if self._thread is not None:
            return self
        try:
            self._listener = socket.create_server((self._host, self._wantedPort))
        except OSError as error:
            raise RuntimeError(
                _("Cannot listen on {host}:{wantedPort}: {strerror}. Choose another port, or 0 for any free one.").format(
                    host=self._host, wantedPort=self._wantedPort, strerror=error.strerror or error
                )
            ) from error
        self._listener.setblocking(False)
        self._port = int(self._listener.getsockname()[1])
        self._wakeReader, self._wakeWriter = socket.socketpair()
        self._wakeReader.setblocking(False)
        self._wakeWriter.setblocking(False)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"OpenIGTLinkServer {self._port}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Disconnect everybody and free the port."""
        if self._thread is None:
            return
        self._stopping = True
        self._wake()
        self._thread.join(5.0)
        self._thread = None

    def __enter__(self) -> OpenIGTLinkServer:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()

    def waitForClient(self, timeoutSec: float, count: int = 1) -> bool:
        """Wait until at least ``count`` clients are connected; False when the time is over."""
        deadline = time.monotonic() + timeoutSec
        while time.monotonic() < deadline:
            if len(self.clients) >= count:
                return True
            time.sleep(0.005)
        return len(self.clients) >= count

    def send(self, message: OpenIGTLinkMessage, client: ServerClient | None = None, headerVersion: int | None = None) -> None:
        """Send to all clients, or to one; returns at once. Each client gets the header version it understands, or the one given."""
        encoded: dict[int, Parts] = {}
        for receiver in (client,) if client is not None else self.clients:
            if isinstance(message, TrackingDataMessage) and not self._wantsTracking(receiver):
                continue
            version = receiver.headerVersion if headerVersion is None else headerVersion
            if version not in encoded:
                encoded[version] = encodeParts(message, version)
            self._sendParts(receiver, message.messageType, encoded[version])

    def sendBytes(self, data: bytes) -> None:
        """Send bytes as they are to all clients (recorded streams, damaged messages in tests)."""
        for receiver in self.clients:
            self._sendParts(receiver, "", [data])

    def dropClients(self) -> None:
        """Close all connections as a server that dies would; it goes on listening."""
        for client in self.clients:
            with contextlib.suppress(OSError):
                client.connection.shutdown(socket.SHUT_RDWR)

    def _wantsTracking(self, client: ServerClient) -> bool:
        if client.trackingResolutionSec is None:
            return False
        now = time.monotonic()
        # As in PlusServer, where the field of STT_TDATA acts in seconds though the specification says milliseconds.
        if now - client.lastTrackingSec < client.trackingResolutionSec:
            return False
        client.lastTrackingSec = now
        return True

    def _sendParts(self, client: ServerClient, messageType: str, parts: Parts) -> None:
        with client.lock:
            if client.closed:
                return
            rest = parts
            if not client.pending:
                try:
                    rest = _sendNow(client.connection, parts)
                except OSError:
                    # The serving thread sees the same error and removes the client.
                    return
                if not rest:
                    return
                # The rest of a message that has begun must follow, whatever else is dropped.
                messageType = "" if rest is not parts else messageType
            # A copy: the caller may change its voxels as soon as this returns.
            data = memoryview(b"".join(rest))
            client.pending.append((messageType, data))
            client.pendingBytes += len(data)
            if client.stuckSinceSec is None:
                client.stuckSinceSec = time.monotonic()
            self._makeRoom(client)
        self._wake()

    def _makeRoom(self, client: ServerClient) -> None:
        """Drop the oldest images, then the oldest messages, but never the first entry: it may have begun on the wire."""
        for droppable in (lambda kind: kind == "IMAGE", lambda kind: True):
            index = 1
            while client.pendingBytes > self._maxPendingBytes and index < len(client.pending) - 1:
                if droppable(client.pending[index][0]):
                    client.pendingBytes -= len(client.pending[index][1])
                    client.droppedCount += 1
                    del client.pending[index]
                else:
                    index += 1

    # Thread

    def _wake(self) -> None:
        if self._wakeWriter is not None:
            with contextlib.suppress(OSError):
                self._wakeWriter.send(b"\0")

    def _run(self) -> None:
        assert self._listener is not None and self._wakeReader is not None and self._wakeWriter is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ, "listener")
            selector.register(self._wakeReader, selectors.EVENT_READ, "wake")
            while not self._stopping:
                for key, events in selector.select(self._armWriters(selector)):
                    if key.data == "listener":
                        self._accept(selector)
                    elif key.data == "wake":
                        with contextlib.suppress(BlockingIOError):
                            self._wakeReader.recv(4096)
                    else:
                        self._attend(selector, key.data, events)
            for client in self.clients:
                self._close(selector, client)
        self._listener.close()
        self._wakeReader.close()
        self._wakeWriter.close()
        self._wakeWriter = None

    def _armWriters(self, selector: selectors.BaseSelector) -> float | None:
        """Ask for writability where something waits, remove stuck clients; returns how long to sleep at most."""
        timeout: float | None = None
        now = time.monotonic()
        for client in self.clients:
            with client.lock:
                waiting = bool(client.pending)
                stuck = waiting and client.stuckSinceSec is not None and now - client.stuckSinceSec > self._stuckAfterSec
            if stuck:
                logger.warning("Client %s takes no data; disconnected", client.address)
                self._close(selector, client)
                continue
            if waiting:
                timeout = min(timeout or 1.0, 1.0)
            selector.modify(client.connection, selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0), client)
        return timeout

    def _accept(self, selector: selectors.BaseSelector) -> None:
        assert self._listener is not None
        try:
            connection, address = self._listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = ServerClient(f"{address[0]}:{address[1]}", connection, MessageReader(self._maxBodyBytes))
        selector.register(connection, selectors.EVENT_READ, client)
        with self._lock:
            self._clients.append(client)
        if self._onClientConnected is not None:
            try:
                self._onClientConnected(client)
            except Exception:
                logger.exception("The handler of a new client failed")

    def _attend(self, selector: selectors.BaseSelector, client: ServerClient, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._flush(client)
            if events & selectors.EVENT_READ:
                count = client.connection.recv_into(client.reader.writableView())
                if count == 0:
                    self._close(selector, client)
                    return
                for message in client.reader.commit(count):
                    self._answer(client, message)
        except BlockingIOError:
            return
        except OSError:
            self._close(selector, client)

    def _flush(self, client: ServerClient) -> None:
        with client.lock:
            while client.pending:
                _kind, view = client.pending[0]
                sent = client.connection.send(view)
                if sent:
                    client.stuckSinceSec = time.monotonic()
                client.pendingBytes -= sent
                if sent < len(view):
                    client.pending[0] = ("", view[sent:])
                    return
                client.pending.popleft()
            client.stuckSinceSec = None

    def _answer(self, client: ServerClient, message: OpenIGTLinkMessage) -> None:
        client.headerVersion = max(client.headerVersion, min(message.headerVersion, 2))
        if isinstance(message, GetStatusMessage):
            self.send(StatusMessage(message.deviceName), client)
        elif isinstance(message, StartTrackingDataMessage):
            client.trackingResolutionSec = float(message.resolution)
            client.lastTrackingSec = float("-inf")
            self.send(TrackingDataReplyMessage(message.deviceName), client)
        elif isinstance(message, StopTrackingDataMessage):
            client.trackingResolutionSec = None
            self.send(TrackingDataReplyMessage(message.deviceName), client)
        if self._onMessage is not None:
            try:
                self._onMessage(client, message)
            except Exception:
                logger.exception("The handler of %s from %s failed", message.messageType, client.address)

    def _close(self, selector: selectors.BaseSelector, client: ServerClient) -> None:
        with client.lock:
            if client.closed:
                return
            client.closed = True
            client.pending.clear()
        with contextlib.suppress(KeyError, ValueError):
            selector.unregister(client.connection)
        client.connection.close()
        with self._lock:
            self._clients.remove(client)


_HAS_SENDMSG = hasattr(socket.socket, "sendmsg")
"""Windows has none; there the pieces of a message are joined."""

PATIENCE_SEC = 0.002
"""How long the calling thread waits for a client to take the rest of a large message before the serving thread takes over."""


def _sendNow(connection: socket.socket, parts: Parts) -> Parts:
    """Send what the client takes within :data:`PATIENCE_SEC`; returns what is left (the very same list when nothing went)."""
    rest = parts
    deadline: float | None = None
    while rest:
        try:
            sent = connection.sendmsg(rest) if _HAS_SENDMSG else connection.send(b"".join(rest))
        except BlockingIOError:
            now = time.monotonic()
            deadline = now + PATIENCE_SEC if deadline is None else deadline
            if now >= deadline or not _isWritable(connection, deadline - now):
                return rest
            continue
        rest = _after(rest, sent)
    return rest


def _after(parts: Parts, sent: int) -> Parts:
    """The pieces without their first ``sent`` bytes."""
    for index, part in enumerate(parts):
        if sent < len(part):
            return [memoryview(part)[sent:], *parts[index + 1 :]]
        sent -= len(part)
    return []


def _isWritable(connection: socket.socket, timeoutSec: float) -> bool:
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(connection, select.POLLOUT)
        return bool(poll.poll(timeoutSec * 1000.0))
    return bool(select.select([], [connection], [], timeoutSec)[1])
