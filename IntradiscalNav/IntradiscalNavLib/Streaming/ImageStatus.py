"""Is the place of a streamed image true? PlusServer sends an image with the recorded pose even when the probe is lost."""

from __future__ import annotations

import re

import numpy as np

from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage
from IntradiscalNavLib.Streaming.ToolStatus import STATUS_MEANINGS, ToolState

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
        reasons.append("its geometry holds NaN or infinite values")
    elif abs(float(np.linalg.det(linear))) < 1e-12:
        reasons.append("its geometry has no volume")
    return (ToolState.INVALID if reasons else ToolState.OK), tuple(reasons)
