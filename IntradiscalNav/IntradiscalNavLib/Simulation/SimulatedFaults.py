"""Faults that the simulated PLUS can be told to have, each for a time or until it is taken back."""

from __future__ import annotations

import math
from dataclasses import dataclass

FAULT_KINDS: dict[str, str] = {
    "toolLost": "identity with a status other than OK, as PLUS sends for a lost tool",
    "toolSilent": "nothing is sent for the tool, as PLUS does with SendValidTransformsOnly",
    "frozen": "the last pose is repeated with status OK",
    "jump": "the pose jumps by 60 mm",
    "nan": "a matrix of NaN",
    "mirrored": "a matrix with determinant -1",
    "nonRigid": "a matrix scaled by 1.2",
    "wrongName": "the tool comes under another name",
    "timestampsZero": "all header times are 0",
    "timestampsStuck": "all header times stand still",
    "timestampsJump": "all header times are an hour ahead",
    "imageSize": "the image is half as large",
    "imageMirrored": "the image's columns are mirrored, its geometry is not",
    "noImage": "no image is sent",
    "pause": "no frames; STATUS keep-alives only",
    "die": "the server closes and returns on the same port when the fault ends",
    "corruptCrc": "one message with a wrong checksum per frame",
    "hugeSize": "one header that claims 2^63 bytes, then the connection is dropped",
    "garbage": "one run of bytes that is no message per frame",
    "referenceMoved": "the plate was knocked: Reference moves by 4 mm",
}


@dataclass(frozen=True)
class Fault:
    """One fault. ``tool`` is Probe, Needle, Stylus, Reference, or empty for all tools or none."""

    kind: str
    tool: str = ""
    status: str = "OUT_OF_VIEW"
    untilSec: float = math.inf


class SimulatedFaults:
    """The faults active now."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def start(self, kind: str, nowSec: float, *, tool: str = "", status: str = "OUT_OF_VIEW", durationSec: float = math.inf) -> Fault:
        """Begin a fault.

        :raises ValueError: unknown kind or tool.
        """
        if kind not in FAULT_KINDS:
            raise ValueError(f"There is no fault {kind!r}; there are {', '.join(FAULT_KINDS)}.")
        if tool not in ("", "Probe", "Needle", "Stylus", "Reference"):
            raise ValueError(f"There is no tool {tool!r}; there are Probe, Needle, Stylus and Reference.")
        fault = Fault(kind, tool, status, nowSec + durationSec)
        self._faults.append(fault)
        return fault

    def clear(self, kind: str | None = None) -> None:
        """End all faults, or those of one kind."""
        self._faults = [fault for fault in self._faults if kind is not None and fault.kind != kind]

    def find(self, kind: str, nowSec: float, tool: str = "") -> Fault | None:
        """The active fault of a kind that concerns a tool (any tool if the fault names none)."""
        self._faults = [fault for fault in self._faults if fault.untilSec > nowSec]
        return next((fault for fault in self._faults if fault.kind == kind and (not fault.tool or not tool or fault.tool == tool)), None)
