"""Bounded waiting room for received messages, one line per (type, device name)."""

from __future__ import annotations

import collections
import threading
from collections.abc import Mapping

from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from TranslatedText.Translation import tr as _

Key = tuple[str, str]


class MessageQueue:
    """Keeps messages until they are taken, in order of arrival, and never grows without bound.

    Poses are kept all, up to ``transformCapacity`` per line (10 s at 1000 Hz by default); of images the newest few, because
    showing an old picture late helps nobody. What was dropped is counted per line in ``droppedCounts``.
    """

    def __init__(self, transformCapacity: int = 10000, imageCapacity: int = 2, maxLines: int = 256) -> None:
        if transformCapacity < 1 or imageCapacity < 1:
            raise ValueError(_("A queue needs room for at least one message."))
        self._transformCapacity = transformCapacity
        self._imageCapacity = imageCapacity
        self._maxLines = maxLines
        self._lines: dict[Key, collections.deque[tuple[int, OpenIGTLinkMessage]]] = {}
        self._dropped: collections.Counter[Key] = collections.Counter()
        self._sequence = 0
        self._condition = threading.Condition()

    def put(self, message: OpenIGTLinkMessage) -> None:
        """Add a message; the oldest of its line makes room."""
        key = message.key
        with self._condition:
            line = self._lines.get(key)
            if line is None:
                if len(self._lines) >= self._maxLines:
                    # A sender that invents names without end: its messages count as dropped.
                    self._dropped[("", "")] += 1
                    return
                capacity = self._imageCapacity if key[0] == "IMAGE" else self._transformCapacity
                line = self._lines[key] = collections.deque(maxlen=capacity)
            if len(line) == line.maxlen:
                self._dropped[key] += 1
            self._sequence += 1
            line.append((self._sequence, message))
            self._condition.notify_all()

    def take(self) -> list[OpenIGTLinkMessage]:
        """Everything that waits, oldest first; the queue is empty afterwards."""
        with self._condition:
            return self._takeLocked()

    def waitAndTake(self, timeoutSec: float) -> list[OpenIGTLinkMessage]:
        """As :meth:`take`, but sleeps until something is there or the time is over (then the list is empty)."""
        with self._condition:
            if not any(self._lines.values()):
                self._condition.wait(timeoutSec)
            return self._takeLocked()

    def _takeLocked(self) -> list[OpenIGTLinkMessage]:
        waiting = [entry for line in self._lines.values() for entry in line]
        # Empty lines go, so that names of an earlier connection do not fill the table for ever.
        self._lines.clear()
        waiting.sort(key=lambda entry: entry[0])
        return [message for _unused, message in waiting]

    @property
    def droppedCounts(self) -> Mapping[Key, int]:
        """Messages dropped so far per (type, name); ("", "") counts those of names beyond the bound."""
        with self._condition:
            return dict(self._dropped)

    def __len__(self) -> int:
        with self._condition:
            return sum(len(line) for line in self._lines.values())
