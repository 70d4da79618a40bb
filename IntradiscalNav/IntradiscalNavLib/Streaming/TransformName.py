"""Names of transforms, ``FromToTo`` as PLUS and SlicerIGT write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

CUT_BYTES = 20
"""Header version 1 carries no more of a device name."""

_BOUNDARY = re.compile(r"To(?=[A-Z0-9])")


@dataclass(frozen=True)
class TransformName:
    """Frames of a transform: it maps points of ``fromFrame`` to ``toFrame``."""

    fromFrame: str
    toFrame: str

    @property
    def text(self) -> str:
        return f"{self.fromFrame}To{self.toFrame}"

    @property
    def inverse(self) -> TransformName:
        return TransformName(self.toFrame, self.fromFrame)


def parseTransformName(text: str, knownFrames: Iterable[str] = ()) -> TransformName | None:
    """Frames of a name such as ``StylusTipToReference``, or None when it is not of the form FromToTo.

    Where several splits are possible (``GoToPointToTracker``), one whose ends are known frames wins, else the last. A name of exactly
    20 bytes may have been cut by header version 1: ``PedicleGuideTipToRef`` is completed to the one known frame that begins so.
    """
    splits = [
        TransformName(text[: match.start()], text[match.end() :])
        for match in _BOUNDARY.finditer(text)
        if match.start() > 0 and match.end() < len(text)
    ]
    if not splits:
        return None
    known = set(knownFrames)
    if len(text.encode("utf-8")) == CUT_BYTES:
        splits += [TransformName(split.fromFrame, whole) for split in splits if (whole := _completed(split.toFrame, known))]
    return max(enumerate(splits), key=lambda entry: ((entry[1].fromFrame in known) + (entry[1].toFrame in known), entry[0]))[1]


def _completed(frame: str, known: set[str]) -> str:
    """The one known frame that begins with these letters, empty when none or several do, or when it is one already."""
    candidates = [name for name in known if name.startswith(frame)]
    return candidates[0] if len(candidates) == 1 and frame not in known else ""


def imageFrame(deviceName: str) -> tuple[str, str] | None:
    """(image, frame) of an image device name as PLUS builds it, ``Image_Reference``; None when it has no underscore."""
    image, separator, frame = deviceName.rpartition("_")
    return (image, frame) if separator and image and frame else None


def isPixelFrame(frame: str) -> bool:
    """Whether a frame counts in pixels: ``Image`` and its kin, and PLUS's ``TransducerOriginPixel``."""
    return frame.startswith("Image") or frame.endswith("Pixel")
