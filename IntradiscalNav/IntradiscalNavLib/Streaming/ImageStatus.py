"""Is the place of a streamed image true? PlusServer sends an image with the recorded pose even when the probe is lost."""

from __future__ import annotations

import re
import time

import numpy as np

from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage
from IntradiscalNavLib.Streaming.StreamClock import StreamClock, StreamTiming
from IntradiscalNavLib.Streaming.ToolStatus import STATUS_MEANINGS, ToolState, ToolStatusParameters, worstState
from TranslatedText.Translation import tr as _

_STATUS_KEY = re.compile(r"^(.+?)TransformStatus$")


def imageState(
    message: ImageMessage, relevantTools: tuple[str, ...] = ("Probe", "Reference", "Image")
) -> tuple[ToolState, tuple[str, ...]]:
    """State of one image by its own metadata and geometry, with reasons.

    The metadata of header version 2 carry a status for every tool of the frame; only those that the image's pose depends on count: names
    that begin with one of ``relevantTools`` (``ProbeToTracker``, ``ReferenceToTracker``, ``ImageToProbe``). Under version 1 there is no
    sign of a lost probe at all; then only the geometry can be judged.
    """
    reasons = []
    for key, value in message.metadata.items():
        match = _STATUS_KEY.match(key)
        if match and value not in ("OK", "UNKNOWN") and match.group(1).startswith(relevantTools):
            reasons.append(f"{match.group(1)}: {STATUS_MEANINGS.get(value, value)}")
    linear = message.ijkToFrame[:3, :3]
    if not np.isfinite(message.ijkToFrame).all():
        reasons.append(_("its geometry holds NaN or infinite values"))
    elif abs(float(np.linalg.det(linear))) < 1e-12:
        reasons.append(_("its geometry has no volume"))
    return (ToolState.INVALID if reasons else ToolState.OK), tuple(reasons)


class ImageStatusMonitor:
    """State of each streamed image: its age and delay, its own metadata and geometry, and the state of the probe that carries it."""

    def __init__(self, parameters: ToolStatusParameters | None = None) -> None:
        self.parameters = parameters or ToolStatusParameters()
        self._clocks: dict[str, StreamClock] = {}
        self._own: dict[str, tuple[ToolState, tuple[str, ...]]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._clocks)

    def note(self, message: ImageMessage) -> None:
        """Take in an image."""
        self._clocks.setdefault(message.deviceName, StreamClock()).note(message.arrivalSec or time.monotonic(), message.timestampSec)
        self._own[message.deviceName] = imageState(message)

    def timing(self, name: str, nowSec: float) -> StreamTiming:
        """Rate, jitter and delay of an image at a monotonic time."""
        return self._clocks.get(name, StreamClock()).timing(nowSec)

    def judge(
        self, name: str, nowSec: float, probeState: ToolState | None = None, probeReason: str = ""
    ) -> tuple[ToolState, tuple[str, ...]]:
        """State and reasons at a monotonic time. ``probeState`` is None where no transform tells of the probe.

        Under header version 1 the probe's own transform is the only sign that the picture's place is not true.
        """
        clock = self._clocks.get(name)
        if clock is None:
            return ToolState.MISSING, (_("no image has arrived under this name"),)
        timing = clock.timing(nowSec)
        if timing.ageSec > self.parameters.missingAfterSec:
            return ToolState.MISSING, (_("no image has arrived for {ageSec:.1f} s").format(ageSec=timing.ageSec),)
        state, reasons = self._own[name]
        old = timing.ageSec + timing.delaySec
        if old > self.parameters.staleAfterSec:
            silent = timing.ageSec >= timing.delaySec
            why = (
                _("no image has arrived for {ageSec:.1f} s").format(ageSec=timing.ageSec)
                if silent
                else _("the image that arrives is {old:.1f} s old").format(old=old)
            )
            state, reasons = worstState([state, ToolState.STALE]), (why, *reasons)
        if probeState is not None and probeState is not ToolState.OK:
            state = worstState([state, probeState])
            if probeReason and probeReason not in reasons:
                reasons = (*reasons, probeReason)
        return state, reasons
