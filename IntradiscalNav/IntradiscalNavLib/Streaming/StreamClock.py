"""Times of one stream: rate, jitter, latency, and how far its newest content lags behind the present.

Two clocks are kept apart: the arrival of a message on this machine's monotonic clock, and the sender's timestamp of acquisition. Their
difference ("lag") holds the unknown offset of the clocks; its smallest value of the last minutes stands for a message that came without
delay. What exceeds it is delay: the old frames that PlusServer sends in a burst to its first client, or a queue that grows.
"""

from __future__ import annotations

import collections
import enum
import time
from dataclasses import dataclass

import numpy as np


class DeviceTime(enum.Enum):
    """What the sender's timestamps are worth. NONE: all 0. FROZEN: they stand still. JUMPED: they leapt lately."""

    NONE = "none"
    GOOD = "good"
    FROZEN = "frozen"
    JUMPED = "jumped"


@dataclass(frozen=True)
class StreamTiming:
    """Figures of one stream; None where there is nothing to measure.

    ``delaySec``: how much later than the quickest the newest message came (0 without device timestamps).
    ``latencySec``: arrival minus acquisition; only where both clocks agree well enough to be compared.
    """

    ageSec: float
    rateHz: float | None
    jitterSec: float | None
    delaySec: float
    latencySec: float | None
    deviceTime: DeviceTime
    messageCount: int


class StreamClock:
    """Notes arrivals of one stream and tells its timing.

    :param windowSec: rate and jitter are measured over this time.
    :param lagWindowSec: the quickest message of this time is the standard for delay (long enough to bridge a growing queue, short enough
        for clocks that drift apart).
    :param jumpSec: a message that comes this much quicker than all before it tells of a sender's clock that was set.
    """

    def __init__(self, windowSec: float = 2.0, lagWindowSec: float = 120.0, jumpSec: float = 5.0, holdJumpSec: float = 2.0) -> None:
        self._windowSec = windowSec
        self._lagWindowSec = lagWindowSec
        self._jumpSec = jumpSec
        self._holdJumpSec = holdJumpSec
        self._arrivals: collections.deque[float] = collections.deque(maxlen=8192)
        self._lags: collections.deque[tuple[float, float]] = collections.deque()
        self._lastDeviceSec = 0.0
        self._lastLag = 0.0
        self._deviceStoodSince: float | None = None
        self._jumpedAt: float | None = None
        self._count = 0

    @property
    def lastArrivalSec(self) -> float | None:
        """Monotonic time of the newest message."""
        return self._arrivals[-1] if self._arrivals else None

    def note(self, arrivalSec: float, deviceSec: float) -> None:
        """A message arrived. ``deviceSec`` is 0 where the sender gave no time."""
        self._count += 1
        arrivals = self._arrivals
        arrivals.append(arrivalSec)
        while arrivals[0] < arrivalSec - self._windowSec:
            arrivals.popleft()
        if deviceSec <= 0.0:
            self._lastDeviceSec = 0.0
            self._lags.clear()
            return
        lag = arrivalSec - deviceSec
        # A delay only ever lets the lag grow while device time goes on; time that runs back, or a lag far below the smallest, is a clock
        # that was set.
        if self._lags and (deviceSec < self._lastDeviceSec - 0.5 or lag < self._lags[0][1] - self._jumpSec):
            self._jumpedAt = arrivalSec
            self._lags.clear()
        if deviceSec == self._lastDeviceSec:
            if self._deviceStoodSince is None:
                self._deviceStoodSince = arrivalSec
        else:
            self._deviceStoodSince = None
        self._lastDeviceSec, self._lastLag = deviceSec, lag
        # Deque of increasing lags: its head is the smallest of the window.
        while self._lags and self._lags[-1][1] >= lag:
            self._lags.pop()
        self._lags.append((arrivalSec, lag))
        while self._lags[0][0] < arrivalSec - self._lagWindowSec:
            self._lags.popleft()

    def timing(self, nowSec: float | None = None) -> StreamTiming:
        """Figures at a monotonic time (default now)."""
        now = time.monotonic() if nowSec is None else nowSec
        last = self.lastArrivalSec
        if last is None:
            return StreamTiming(float("inf"), None, None, 0.0, None, DeviceTime.NONE, 0)
        rate: float | None = None
        jitter: float | None = None
        begin = now - self._windowSec
        recent = [arrival for arrival in self._arrivals if arrival >= begin]
        if len(recent) >= 2 and recent[-1] > recent[0]:
            rate = (len(recent) - 1) / (recent[-1] - recent[0])
            if len(recent) >= 5:
                jitter = float(np.std(np.diff(recent)))
        deviceTime = self._deviceTime(now)
        delay = 0.0
        latency: float | None = None
        if deviceTime in (DeviceTime.GOOD, DeviceTime.JUMPED) and self._lags:
            delay = self._lastLag - self._lags[0][1]
            wall = self._lastLag + (time.time() - time.monotonic())
            latency = wall if -0.01 < wall < 60.0 else None
        return StreamTiming(max(0.0, now - last), rate, jitter, delay, latency, deviceTime, self._count)

    def _deviceTime(self, now: float) -> DeviceTime:
        if self._lastDeviceSec <= 0.0:
            return DeviceTime.NONE
        if self._deviceStoodSince is not None and self._arrivals[-1] - self._deviceStoodSince > 0.3:
            return DeviceTime.FROZEN
        if self._jumpedAt is not None and now - self._jumpedAt < self._holdJumpSec:
            return DeviceTime.JUMPED
        return DeviceTime.GOOD
