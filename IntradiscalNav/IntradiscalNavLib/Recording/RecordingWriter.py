"""Writes everything that arrives to disk as it comes: bounded memory, safe up to the last half second."""

from __future__ import annotations

import json
import os
import pathlib
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Recording.RecordFormat import (
    MANIFEST_NAME,
    ImageRecord,
    PoseRecord,
    PoseValidity,
    RecordKind,
    encodeFileHeader,
    encodeImage,
    encodeJson,
    encodePose,
    encodeRecord,
)
from TranslatedText.Translation import tr as _

DROPPED_EVENT = "Dropped"
"""Event that says how many images and poses were lost up to its time."""
_CLOCK_JUMP_SEC = 0.5


@dataclass(frozen=True)
class RecordingSettings:
    """How a recording is written."""

    compressImages: bool = False
    """Lossless zlib of the images: less disk, more processor."""
    chunkBytes: int = 64 * 1024 * 1024
    chunkSec: float = 30.0
    syncIntervalSec: float = 0.5
    """After so long what arrived is on the disk, whatever happens to the program or the machine."""
    maximumQueuedBytes: int = 256 * 1024 * 1024
    """Images beyond this are dropped (and counted) while the disk is too slow; poses and events are kept four times longer."""


@dataclass(frozen=True)
class RecordingState:
    """What has been recorded so far, and what went wrong."""

    active: bool
    poses: int
    images: int
    events: int
    droppedImages: int
    droppedPoses: int
    """Dropped because the disk was too slow, or before they came to the recording (``noteDropped``)."""
    bytesWritten: int
    queuedBytes: int
    problem: str
    """Why data is being lost, in words with the remedy; empty when all is well."""


class RecordingWriter:
    """Raw recording of one procedure into ``folder``; thread-safe, callers never wait for the disk.

    :raises OSError: from the constructor, if the folder can't be made or written.
    :raises FileExistsError: if the folder already holds a recording; a recording is never overwritten.
    """

    def __init__(self, folder: pathlib.Path | str, settings: RecordingSettings | None = None) -> None:
        self.folder = pathlib.Path(folder)
        self.settings = settings or RecordingSettings()
        self.folder.mkdir(parents=True, exist_ok=True)
        manifest = self.folder / MANIFEST_NAME
        if manifest.exists():
            raise FileExistsError(_("{folder} already holds a recording. Choose another folder.").format(folder=self.folder))
        self.startMonotonicNs = time.monotonic_ns()
        self.startUnixNs = time.time_ns()
        text = json.dumps({"format": "IntradiscalNav recording", "version": 1, "startUnixNs": self.startUnixNs}, indent=1)
        manifest.write_text(text + "\n", encoding="utf-8")
        self._queue: deque[tuple[RecordKind, int, int, bytes | ImageRecord, int]] = deque()
        self._lock = threading.Condition()
        self._streams: dict[tuple[RecordKind, str], int] = {}
        self._queuedBytes = self._bytesWritten = 0
        self._counts = {RecordKind.POSE: 0, RecordKind.IMAGE: 0, RecordKind.EVENT: 0}
        self._droppedImages = self._droppedPoses = 0
        self._problem = ""
        self._stopping = self._flushing = False
        self._chunkNumber = 0
        self._thread = threading.Thread(target=self._run, name="RecordingWriter", daemon=True)
        self._thread.start()

    def nowNs(self) -> int:
        """Time of the recording's clock."""
        return time.monotonic_ns() - self.startMonotonicNs

    def addPose(
        self,
        name: str,
        matrix: npt.NDArray[np.float64],
        deviceTimeSec: float = 0.0,
        validity: PoseValidity = PoseValidity.UNKNOWN,
        arrivalMonotonicNs: int | None = None,
    ) -> None:
        """Record a transform (4x4) as received. ``arrivalMonotonicNs`` is ``time.monotonic_ns()`` at arrival; default now."""
        timeNs = self._timeOf(arrivalMonotonicNs)
        self._put(RecordKind.POSE, name, timeNs, encodePose(PoseRecord(name, timeNs, deviceTimeSec, matrix, validity)))

    def addImage(
        self,
        name: str,
        pixels: npt.NDArray[Any],
        imageToParent: npt.NDArray[np.float64],
        deviceTimeSec: float = 0.0,
        validity: PoseValidity = PoseValidity.UNKNOWN,
        arrivalMonotonicNs: int | None = None,
    ) -> None:
        """Record an image (slices, rows, columns); the array is kept until written, so hand over one that nobody changes."""
        timeNs = self._timeOf(arrivalMonotonicNs)
        self._put(RecordKind.IMAGE, name, timeNs, ImageRecord(name, timeNs, deviceTimeSec, pixels, imageToParent, validity))

    def addEvent(self, name: str, values: dict[str, Any] | None = None, arrivalMonotonicNs: int | None = None) -> None:
        self._put(RecordKind.EVENT, name, self._timeOf(arrivalMonotonicNs), encodeJson(values or {}))

    def addToolStatus(self, toolName: str, values: dict[str, Any]) -> None:
        self._put(RecordKind.TOOL_STATUS, toolName, self.nowNs(), encodeJson(values))

    def addGuidance(self, values: dict[str, Any]) -> None:
        self._put(RecordKind.GUIDANCE, "Guidance", self.nowNs(), encodeJson(values))

    def noteDropped(self, images: int = 0, poses: int = 0) -> None:
        """Count what was lost on the way to the recording, so that it is said with the rest."""
        with self._lock:
            self._droppedImages += images
            self._droppedPoses += poses

    def state(self) -> RecordingState:
        with self._lock:
            return RecordingState(
                active=self._thread.is_alive() and not self._stopping,
                poses=self._counts[RecordKind.POSE],
                images=self._counts[RecordKind.IMAGE],
                events=self._counts[RecordKind.EVENT],
                droppedImages=self._droppedImages,
                droppedPoses=self._droppedPoses,
                bytesWritten=self._bytesWritten,
                queuedBytes=self._queuedBytes,
                problem=self._problem,
            )

    def flush(self, timeoutSec: float = 10.0) -> bool:
        """Write what has come so far, so that a reader finds it; False when the disk didn't take it in time."""
        deadline = time.monotonic() + timeoutSec
        with self._lock:
            self._flushing = True
            self._lock.notify_all()
            while self._queuedBytes and not self._problem and time.monotonic() < deadline:
                self._lock.wait(0.05)
            return not self._queuedBytes

    def stop(self, timeoutSec: float = 30.0) -> RecordingState:
        """Write what is queued, close the files, and say how it went."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        self._thread.join(timeoutSec)
        state = self.state()
        if self._thread.is_alive() and not state.problem:
            problem = _("{queuedBytes:.0f} MB are still being written to {folder}: the disk is slow. Don't end the program yet.").format(
                queuedBytes=state.queuedBytes / 1e6, folder=self.folder
            )
            return replace(state, problem=problem)
        return state

    def _timeOf(self, arrivalMonotonicNs: int | None) -> int:
        return max(0, (time.monotonic_ns() if arrivalMonotonicNs is None else arrivalMonotonicNs) - self.startMonotonicNs)

    def _put(self, kind: RecordKind, name: str, timeNs: int, payload: bytes | ImageRecord, always: bool = False) -> None:
        size = payload.pixels.nbytes if isinstance(payload, ImageRecord) else len(payload)
        limit = self.settings.maximumQueuedBytes * (1 if kind == RecordKind.IMAGE else 4)
        with self._lock:
            if self._stopping and not always:
                return  # what comes after the end is no loss
            if self._queuedBytes + size > limit and not always:
                if kind == RecordKind.IMAGE:
                    self._droppedImages += 1
                else:
                    self._droppedPoses += 1
                return
            number = self._streams.get((kind, name))
            if number is None:
                number = self._streams[(kind, name)] = len(self._streams)
                definition = encodeJson({"number": number, "kind": int(kind), "name": name})
                self._queue.append((RecordKind.STREAM, number, timeNs, definition, 0))
            self._queue.append((kind, number, timeNs, payload, size))
            self._queuedBytes += size
            # The writer wakes by itself each interval; it is called only when much has come, so that small records go in one write.
            if self._queuedBytes > self.settings.maximumQueuedBytes // 8:
                self._lock.notify_all()

    def _run(self) -> None:
        """Writer thread: encodes and appends; on a full disk it keeps the queue and tries again each interval."""
        file = None
        definitions: dict[int, bytes] = {}
        clockOffsetNs = self.startUnixNs - self.startMonotonicNs
        chunkStart = lastSync = time.monotonic()
        toldDrops = (0, 0)
        while True:
            with self._lock:
                if not (self._stopping or self._flushing) and self._queuedBytes <= self.settings.maximumQueuedBytes // 8:
                    self._lock.wait(self.settings.syncIntervalSec)
                self._flushing = False
                stopping = self._stopping
                batch: list[tuple[RecordKind, int, int, bytes | ImageRecord, int]] = []
                room = self.settings.chunkBytes // 2
                while self._queue and room > 0:
                    batch.append(self._queue.popleft())
                    room -= batch[-1][-1]
            offset = time.time_ns() - time.monotonic_ns()
            if abs(offset - clockOffsetNs) > _CLOCK_JUMP_SEC * 1e9:
                jump = encodeJson({"jumpSec": (offset - clockOffsetNs) / 1e9})
                self._put(RecordKind.EVENT, "ClockJump", self.nowNs(), jump, always=True)
                clockOffsetNs = offset
            toldDrops = self._recordDrops(toldDrops)
            parts: list[bytes] = []
            for kind, number, timeNs, payload, _unused in batch:
                flags = 0
                if isinstance(payload, ImageRecord):
                    payload, flags = encodeImage(payload, self.settings.compressImages)
                record = encodeRecord(kind, number, timeNs, payload, flags)
                if kind == RecordKind.STREAM:
                    definitions[number] = record
                parts.append(record)
            data = b"".join(parts)
            try:
                full = file is None or file.tell() > self.settings.chunkBytes or time.monotonic() - chunkStart > self.settings.chunkSec
                if full and data:
                    file = self._nextChunk(file, list(definitions.values()))
                    chunkStart = time.monotonic()
                self._append(file, data)
                if file is not None and (stopping or time.monotonic() - lastSync > self.settings.syncIntervalSec):
                    os.fsync(file.fileno())
                    lastSync = time.monotonic()
                problem = ""
            except OSError as error:
                problem = _("Recording can't write to {folder}: {strerror}. Free space there; nothing recorded so far is lost.").format(
                    folder=self.folder, strerror=error.strerror or error
                )
            with self._lock:
                self._problem = problem
                if not problem:
                    self._queuedBytes -= sum(size for *_record, size in batch)
                    for kind, *_record in batch:
                        if kind in self._counts:
                            self._counts[kind] += 1
                else:
                    # What could not be written goes back to the front, so that memory stays bounded by the queue's limit.
                    self._queue.extendleft(reversed(batch))
                self._lock.notify_all()  # whoever waits for a flush
                if stopping and (problem or not self._queue):
                    break
            if problem:
                time.sleep(self.settings.syncIntervalSec)
        if file is not None:
            file.close()

    def _recordDrops(self, told: tuple[int, int]) -> tuple[int, int]:
        """What was dropped so far goes into the recording itself, whenever it has become more."""
        with self._lock:
            dropped = (self._droppedImages, self._droppedPoses)
        if dropped != told:
            text = _("{images} images and {poses} poses dropped so far").format(images=dropped[0], poses=dropped[1])
            values = encodeJson({"images": dropped[0], "poses": dropped[1], "text": text})
            self._put(RecordKind.EVENT, DROPPED_EVENT, self.nowNs(), values, always=True)
        return dropped

    def _nextChunk(self, previous: Any, definitions: list[bytes]) -> Any:
        if previous is not None:
            os.fsync(previous.fileno())
            previous.close()
        path = self.folder / f"chunk-{self._chunkNumber:06d}.rec"
        file = path.open("xb", buffering=0)
        self._chunkNumber += 1
        # Each chunk repeats the stream names, so that it can be read alone.
        self._append(file, encodeFileHeader(time.time_ns()) + b"".join(definitions))
        return file

    def _append(self, file: Any, data: bytes) -> None:
        """Append all bytes or none: a half-written record is cut off again before the error goes on."""
        if not data:
            return
        start = file.tell()
        view = memoryview(data)
        try:
            while view:
                written = file.write(view)
                view = view[written:]
        except OSError:
            try:
                file.truncate(start)
                file.seek(start)
            except OSError:
                pass  # the reader skips a damaged record by its CRC
            raise
        self._bytesWritten += len(data)
