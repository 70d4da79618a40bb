"""OpenIGTLink client: one background thread on a blocking socket, which reconnects by itself and says what state it is in and why."""

from __future__ import annotations

import contextlib
import enum
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from IntradiscalNavLib.Streaming.MessageQueue import Key, MessageQueue
from IntradiscalNavLib.Streaming.OpenIGTLinkCodec import DEFAULT_MAX_BODY_BYTES, MessageReader, StreamProblem, encodeMessage
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import GetStatusMessage, OpenIGTLinkMessage
from TranslatedText.Translation import tr as _

logger = logging.getLogger(__name__)


class ConnectionState(enum.Enum):
    """DISCONNECTED: not asked to connect. CONNECTING: no connection so far. CONNECTED: data arrives. SILENT: connected, no data.
    LOST: there was a connection, it broke, the client tries again."""

    DISCONNECTED = "disconnected"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    SILENT = "silent"
    LOST = "lost"


class ConnectionFailure(enum.Enum):
    """Why a connection can't be made, where the cure is known."""

    REFUSED = "refused"
    UNKNOWN_HOST = "unknown host"
    NO_ANSWER = "no answer"


@dataclass(frozen=True)
class ConnectionStatus:
    """State of a connection. ``sinceSec`` and ``lastDataSec`` are monotonic times; ``lastDataSec`` is None before the first data.
    ``failure`` says why the last try failed, None where it did not or for another reason."""

    state: ConnectionState
    reason: str
    sinceSec: float
    connectCount: int
    messageCount: int
    problemCount: int
    lastDataSec: float | None
    failure: ConnectionFailure | None = None


class OpenIGTLinkClient:
    """Receives from a PlusServer or any other OpenIGTLink server.

    ``start`` returns at once. Messages wait in a bounded queue (``takeMessages``) or go to ``onMessage``, which is called in the receiving
    thread: note the arrival there and return, do work elsewhere. After connecting the client sends one GET_STATUS with header version 2,
    because PlusServer sends metadata (the tool status) only to clients that have shown they read version 2.

    :param silentAfterSec: time without data (keep-alives don't count) after which a connection counts as SILENT.
    :param deadAfterSec: time without a single byte after which the connection is given up and opened anew. A server that has nothing
        to send is asked for its status every ``silentAfterSec``; PlusServer answers.
    :param stalledAfterSec: time in which a message that has begun must be complete; a damaged size field would swallow the stream for ever.
    :param keepMessages: False where ``onMessage`` alone is used, so that nothing waits in the queue.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 18944,
        *,
        onMessage: Callable[[OpenIGTLinkMessage], None] | None = None,
        onStateChanged: Callable[[ConnectionStatus], None] | None = None,
        keepMessages: bool = True,
        requestMetadata: bool = True,
        queue: MessageQueue | None = None,
        connectTimeoutSec: float = 3.0,
        silentAfterSec: float = 1.0,
        deadAfterSec: float = 15.0,
        stalledAfterSec: float = 5.0,
        firstRetrySec: float = 0.25,
        longestRetrySec: float = 5.0,
        maxBodyBytes: int = DEFAULT_MAX_BODY_BYTES,
        checkCrc: bool = True,
    ) -> None:
        if not 0 < port < 65536:
            raise ValueError(
                _("Port {port} is not between 1 and 65535; PlusServer listens on 18944 unless its configuration says otherwise.").format(
                    port=port
                )
            )
        self.host = host
        self.port = port
        self.onMessage = onMessage
        self.onStateChanged = onStateChanged
        self._queue = (MessageQueue() if queue is None else queue) if keepMessages else None
        self._requestMetadata = requestMetadata
        self._connectTimeoutSec = connectTimeoutSec
        self._silentAfterSec = silentAfterSec
        self._deadAfterSec = deadAfterSec
        self._stalledAfterSec = stalledAfterSec
        self._firstRetrySec = firstRetrySec
        self._longestRetrySec = longestRetrySec
        self._maxBodyBytes = maxBodyBytes
        self._checkCrc = checkCrc
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._sendLock = threading.Lock()
        self._socket: socket.socket | None = None
        self._reader = MessageReader()
        self._state = ConnectionState.DISCONNECTED
        self._reason = "not started"
        self._failure: ConnectionFailure | None = None
        self._sinceSec = time.monotonic()
        self._connectCount = 0
        self._messageCount = 0
        self._earlierProblems = 0
        self._lastDataSec: float | None = None
        self._lastByteSec = 0.0

    # Life

    def start(self) -> OpenIGTLinkClient:
        """Begin to connect, in the background. Does nothing when already started. Returns the client itself."""
        if self._thread is None:
            # An event of its own for each thread: one that still hangs in a connect from before stays stopped.
            self._stopping = threading.Event()
            self._setState(ConnectionState.CONNECTING, f"connecting to {self.host}:{self.port}")
            name = f"OpenIGTLinkClient {self.host}:{self.port}"
            self._thread = threading.Thread(target=self._run, args=(self._stopping,), name=name, daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Close the connection and end the thread. Messages already received can still be taken."""
        self._stopping.set()
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            # A thread that waits for a host which does not answer ends by itself; nobody has to wait for it.
            thread.join(0.5)
        self._thread = None
        self._setState(ConnectionState.DISCONNECTED, _("stopped by the user"))

    def __enter__(self) -> OpenIGTLinkClient:
        return self.start()

    def __exit__(self, *_unused: object) -> None:
        self.stop()

    # What came

    @property
    def state(self) -> ConnectionState:
        return self.status.state

    @property
    def status(self) -> ConnectionStatus:
        """State with its reason; SILENT is judged at the moment of asking."""
        with self._lock:
            state, reason, since = self._state, self._reason, self._sinceSec
            problems = self._earlierProblems + self._reader.problemCount
            lastData = self._lastDataSec
            if state is ConnectionState.CONNECTED:
                quietFrom = max(since, lastData or 0.0)
                quietSec = time.monotonic() - quietFrom
                if quietSec > self._silentAfterSec:
                    state, since = ConnectionState.SILENT, quietFrom + self._silentAfterSec
                    alive = self._lastByteSec > quietFrom + 0.05
                    reason = (
                        _("no data for {quietSec:.1f} s, though the server is alive: its devices deliver nothing").format(quietSec=quietSec)
                        if alive
                        else _("connected, but nothing has arrived for {quietSec:.1f} s").format(quietSec=quietSec)
                    )
            return ConnectionStatus(state, reason, since, self._connectCount, self._messageCount, problems, lastData, self._failure)

    def takeMessages(self, timeoutSec: float = 0.0) -> list[OpenIGTLinkMessage]:
        """Messages received since the last call, oldest first; waits up to ``timeoutSec`` for the first one."""
        if self._queue is None:
            raise RuntimeError(_("This client was made with keepMessages=False; its messages go to onMessage alone."))
        return self._queue.waitAndTake(timeoutSec) if timeoutSec > 0 else self._queue.take()

    @property
    def droppedCounts(self) -> Mapping[Key, int]:
        """Messages per (type, name) that were dropped because nobody took them in time."""
        return self._queue.droppedCounts if self._queue is not None else {}

    @property
    def problems(self) -> tuple[StreamProblem, ...]:
        """The latest things in the stream of this connection that were left out (wrong checksum, not a header ...)."""
        return tuple(self._reader.problems)

    def waitForConnection(self, timeoutSec: float) -> bool:
        """Wait until connected; False when the time is over (``status.reason`` says why)."""
        deadline = time.monotonic() + timeoutSec
        while time.monotonic() < deadline and not self._stopping.is_set():
            if self.state in (ConnectionState.CONNECTED, ConnectionState.SILENT):
                return True
            self._stopping.wait(0.01)
        return self.state in (ConnectionState.CONNECTED, ConnectionState.SILENT)

    def send(self, message: OpenIGTLinkMessage, headerVersion: int | None = None) -> None:
        """Send a message to the server.

        :raises RuntimeError: when there is no connection or it breaks.
        """
        data = encodeMessage(message, headerVersion)
        with self._lock:
            connection = self._socket
        if connection is None:
            raise RuntimeError(
                _("There is no connection to {host}:{port} ({reason}); {messageType} was not sent.").format(
                    host=self.host, port=self.port, reason=self.status.reason, messageType=message.messageType
                )
            )
        try:
            with self._sendLock:
                connection.sendall(data)
        except OSError as error:
            raise RuntimeError(f"Sending {message.messageType} to {self.host}:{self.port} failed: {describeError(error)}.") from error

    # Thread

    def _run(self, stopping: threading.Event) -> None:
        retrySec = self._firstRetrySec
        while not stopping.is_set():
            try:
                connection = _connect(self.host, self.port, self._connectTimeoutSec)
            except OSError as error:
                if stopping.is_set():
                    return
                again = ConnectionState.LOST if self._connectCount else ConnectionState.CONNECTING
                reason = _("no connection to {host}:{port}: {describeError}; trying again").format(
                    host=self.host, port=self.port, describeError=describeError(error)
                )
                self._setState(again, reason, connectionFailure(error))
            else:
                count = self._messageCount
                reason = self._serve(connection, stopping)
                if stopping.is_set():
                    return
                self._setState(
                    ConnectionState.LOST,
                    _("connection to {host}:{port} lost: {reason}; trying again").format(host=self.host, port=self.port, reason=reason),
                )
                if self._messageCount > count:
                    retrySec = self._firstRetrySec
            stopping.wait(retrySec)
            retrySec = min(2.0 * retrySec, self._longestRetrySec)

    def _serve(self, connection: socket.socket, stopping: threading.Event) -> str:
        """Receive until the connection ends; returns why it ended."""
        with connection:
            if stopping.is_set():
                return "stopped"
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # The timeout only wakes the thread to look at the silence; data wake it at once.
            connection.settimeout(max(0.1, self._silentAfterSec / 2.0))
            reader = MessageReader(self._maxBodyBytes, self._checkCrc)
            with self._lock:
                self._earlierProblems += self._reader.problemCount
                self._reader = reader
                self._socket = connection
                self._connectCount += 1
                self._lastByteSec = time.monotonic()
            self._setState(ConnectionState.CONNECTED, f"connected to {self.host}:{self.port}")
            try:
                if self._requestMetadata:
                    connection.sendall(encodeMessage(GetStatusMessage(""), 2))
                return self._receive(connection, reader, stopping)
            except OSError as error:
                return describeError(error)
            finally:
                with self._lock:
                    self._socket = None

    def _receive(self, connection: socket.socket, reader: MessageReader, stopping: threading.Event) -> str:
        lastProbeSec = time.monotonic()
        while not stopping.is_set():
            try:
                count = connection.recv_into(reader.writableView())
            except TimeoutError:
                now = time.monotonic()
                if self._isStalled(reader, now):
                    return _("a message stopped half-way {stalledAfterSec:.0f} s ago").format(stalledAfterSec=self._stalledAfterSec)
                if now - self._lastByteSec > self._deadAfterSec:
                    return f"nothing arrived for {now - self._lastByteSec:.0f} s"
                if self._requestMetadata and now - max(lastProbeSec, self._lastByteSec) > self._silentAfterSec:
                    lastProbeSec = now
                    with self._sendLock:
                        connection.sendall(encodeMessage(GetStatusMessage(""), 2))
                continue
            if count == 0:
                return _("the server closed it")
            now = time.monotonic()
            self._lastByteSec = now
            for message in reader.commit(count, now):
                self._deliver(message, now)
            if self._isStalled(reader, now):
                return _("a message is not complete after {stalledAfterSec:.0f} s: its size is damaged").format(
                    stalledAfterSec=self._stalledAfterSec
                )
        return "stopped"

    def _isStalled(self, reader: MessageReader, now: float) -> bool:
        return reader.partialSinceSec is not None and now - reader.partialSinceSec > self._stalledAfterSec

    def _deliver(self, message: OpenIGTLinkMessage, now: float) -> None:
        self._messageCount += 1
        if message.messageType != "STATUS":
            self._lastDataSec = now
        if self._queue is not None:
            self._queue.put(message)
        if self.onMessage is not None:
            try:
                self.onMessage(message)
            except Exception:
                # A handler's error must not end the stream for everyone else.
                logger.exception("The handler of %s %s failed", message.messageType, message.deviceName)

    def _setState(self, state: ConnectionState, reason: str, failure: ConnectionFailure | None = None) -> None:
        with self._lock:
            changed = state is not self._state
            self._reason, self._failure = reason, failure
            if changed:
                self._state = state
                self._sinceSec = time.monotonic()
        if changed and self.onStateChanged is not None:
            try:
                self.onStateChanged(self.status)
            except Exception:
                logger.exception("The handler of the connection state failed")


def _connect(host: str, port: int, timeoutSec: float) -> socket.socket:
    connection = socket.create_connection((host, port), timeoutSec)
    if connection.getsockname() == connection.getpeername():
        # On this machine, with nobody listening, TCP may connect a socket to itself, and would then keep the server from its port.
        connection.close()
        raise ConnectionRefusedError
    return connection


def connectionFailure(error: OSError) -> ConnectionFailure | None:
    """The kind of a network error, None for one without a known cure."""
    if isinstance(error, ConnectionRefusedError):
        return ConnectionFailure.REFUSED
    if isinstance(error, socket.gaierror):
        return ConnectionFailure.UNKNOWN_HOST
    return ConnectionFailure.NO_ANSWER if isinstance(error, TimeoutError) else None


def describeError(error: OSError) -> str:
    """A network error in words a user can act on."""
    if isinstance(error, ConnectionRefusedError):
        return _("nobody listens there (is PlusServer running, and is the port right?)")
    if isinstance(error, socket.gaierror):
        return _("the host name is not known")
    if isinstance(error, TimeoutError):
        return _("no answer (is the address right, does a firewall block it?)")
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return _("the server ended it")
    return error.strerror or str(error)
