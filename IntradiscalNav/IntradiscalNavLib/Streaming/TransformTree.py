"""The tree of frames, built from the names that arrive, whatever their naming (``ProbeToTracker`` or ``ProbeToReference``).

Pure arithmetic, no nodes. Everything is brought to the patient's reference::

    Ras <- ReferenceToRas (registration) <- ProbeToReference <- ImageToProbe
                                         <- NeedleToReference <- NeedleTipToNeedle
                                         <- StylusToReference <- StylusTipToStylus

Poses of one frame carry one timestamp; where several streamed transforms are composed, those of the same timestamp are, so that a moving
patient adds no error.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Streaming.ToolStatus import ToolState, ToolStatus, worstState
from IntradiscalNavLib.Streaming.TransformName import TransformName, parseTransformName
from TranslatedText.Translation import tr as _

KEPT_SAMPLES = 4

SETTLED_COUNT = 10
"""So many poses of one tool without any of the reference before the tracker may stand in for it (one frame's poses come one by one)."""


class PatientSensor(enum.Enum):
    """What to do while no reference on the patient is streamed.

    AUTO: the tracker stands in for it, and every pose relative to the patient is suspect at best: whether there is no sensor or it is just
    not seen cannot be told. NONE: the user has said that there is none; the tracker is the reference. REQUIRED: poses relative to the
    patient do not exist without it.
    """

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"


PATIENT_NOT_TRACKED = _("the patient is not tracked: the tracker stands in for the reference")


@dataclass(frozen=True)
class FrameNames:
    """What the frames are called. Tools whose calibration hangs below them are found by name (``NeedleTipToNeedle``)."""

    world: str = "Ras"
    reference: str = "Reference"
    tracker: str = "Tracker"


@dataclass(frozen=True, eq=False)
class ResolvedTransform:
    """A transform composed from the tree of ``usedNames``; ``timestampSec`` is 0 when nothing streamed is in it.

    ``patientAssumed``: the tracker stands in for a reference that may only be out of view.
    """

    name: str
    matrix: FloatArray
    usedNames: tuple[str, ...]
    streamedNames: tuple[str, ...]
    timestampSec: float
    patientAssumed: bool = False

    def state(self, statuses: Mapping[str, ToolStatus]) -> ToolState:
        """State of the composed transform: the worst of the streamed ones in it; OK where none is."""
        if not self.streamedNames:
            return ToolState.OK
        best = ToolState.SUSPECT if self.patientAssumed else ToolState.OK
        return worstState([best, *self._partStates(statuses)])

    def _partStates(self, statuses: Mapping[str, ToolStatus]) -> list[ToolState]:
        return [statuses[name].state if name in statuses else ToolState.MISSING for name in self.streamedNames]


@dataclass(frozen=True)
class TreeBranch:
    """A transform node to be made: ``name`` maps to its parent's frame; ``parentName`` is the transform above, empty at the root."""

    name: str
    parentName: str
    fromFrame: str
    toFrame: str
    streamed: bool


@dataclass
class _Edge:
    receivedName: str
    name: TransformName
    streamed: bool
    count: int = 0
    samples: collections.deque[tuple[float, FloatArray]] = field(default_factory=lambda: collections.deque(maxlen=KEPT_SAMPLES))


class TransformTree:
    """Holds the transforms that are known and composes any other from them.

    Not thread-safe: update and resolve from the thread that owns it.
    """

    def __init__(self, frames: FrameNames | None = None, patientSensor: PatientSensor = PatientSensor.AUTO) -> None:
        self.frames = frames or FrameNames()
        self._patientSensor = patientSensor
        self._edges: dict[str, _Edge] = {}
        self._frames: dict[str, None] = {}
        self._paths: dict[tuple[str, str], tuple[tuple[_Edge, bool], ...] | None] = {}
        self._unnamed: set[str] = set()
        self._patientTracked: bool | None = None

    # Input

    def update(self, name: str, matrix: FloatArray, timestampSec: float = 0.0) -> None:
        """A streamed transform arrived. Names that are not FromToTo are kept for :attr:`unusableNames`, not used."""
        edge = self._edges.get(name)
        if edge is None:
            edge = self._addEdge(name, True)
            if edge is None:
                return
        elif not edge.streamed:
            # A calibration or registration set here leads over one that is streamed under the same name.
            return
        edge.samples.append((timestampSec, matrix))
        edge.count += 1
        if edge.count == SETTLED_COUNT:
            self._paths.clear()

    @property
    def patientSensor(self) -> PatientSensor:
        """What to do while no reference is streamed."""
        return self._patientSensor

    @patientSensor.setter
    def patientSensor(self, value: PatientSensor) -> None:
        self._patientSensor = value
        self._paths.clear()

    @property
    def trackerStandsIn(self) -> bool:
        """Whether the tracker counts as the reference at present."""
        if self.patientTracked or self._patientSensor is PatientSensor.REQUIRED:
            return False
        if self._patientSensor is PatientSensor.NONE:
            return True
        return any(edge.streamed and edge.count >= SETTLED_COUNT for edge in self._edges.values())

    def setFixed(self, name: str, matrix: FloatArray) -> None:
        """Set a calibration (``ImageToProbe``, any invertible affine) or the registration (``ReferenceToRas``).

        :raises ValueError: for a name that is not FromToTo or a matrix that cannot be inverted.
        """
        array = np.array(matrix, float)
        if array.shape != (4, 4) or not np.isfinite(array).all() or abs(np.linalg.det(array[:3, :3])) < 1e-12:
            raise ValueError(_("{name} is not an invertible 4x4 matrix.").format(name=name))
        edge = self._edges.get(name)
        if edge is None or edge.streamed:
            edge = self._addEdge(name, False)
            if edge is None:
                raise ValueError(_("{name} is not a transform name of the form FromToTo, such as ImageToProbe.").format(name=name))
        edge.samples.clear()
        edge.samples.append((0.0, array))

    def remove(self, name: str) -> None:
        """Forget a transform (an undone registration, a device that was taken away)."""
        if self._edges.pop(name, None) is not None:
            self._frames = {frame: None for edge in self._edges.values() for frame in (edge.name.fromFrame, edge.name.toFrame)}
            self._paths.clear()

    def _addEdge(self, name: str, streamed: bool) -> _Edge | None:
        parsed = parseTransformName(name, self._knownFrames())
        if parsed is None or parsed.fromFrame == parsed.toFrame:
            self._unnamed.add(name)
            return None
        edge = _Edge(name, parsed, streamed)
        self._edges[name] = edge
        self._frames.update({parsed.fromFrame: None, parsed.toFrame: None})
        self._paths.clear()
        return edge

    def _knownFrames(self) -> set[str]:
        return {self.frames.world, self.frames.reference, self.frames.tracker, *self._frames}

    # What is known

    @property
    def frameNames(self) -> tuple[str, ...]:
        """All frames that occur in a name."""
        return tuple(self._frames)

    @property
    def streamedNames(self) -> tuple[str, ...]:
        return tuple(name for name, edge in self._edges.items() if edge.streamed)

    @property
    def fixedNames(self) -> tuple[str, ...]:
        return tuple(name for name, edge in self._edges.items() if not edge.streamed)

    @property
    def unusableNames(self) -> tuple[str, ...]:
        """Received names that are not FromToTo."""
        return tuple(sorted(self._unnamed))

    def matrix(self, name: str) -> FloatArray | None:
        """The newest matrix under exactly this name, None when there is none."""
        edge = self._edges.get(name)
        return edge.samples[-1][1] if edge is not None and edge.samples else None

    @property
    def patientTracked(self) -> bool:
        """Whether a patient reference is part of the stream: some tool reaches it, and it is not just the tracker under another name."""
        if self._patientTracked is not None:
            return self._patientTracked
        reference, tracker = self.frames.reference, self.frames.tracker
        return any(edge.streamed and reference in (edge.name.fromFrame, edge.name.toFrame) for edge in self._edges.values()) and (
            reference != tracker
        )

    @property
    def baseFrame(self) -> str:
        """Frame that poses are expressed in: the reference, or the tracker where the patient is not tracked."""
        return self.frames.reference if self.patientTracked else self.frames.tracker

    # Composition

    def resolve(self, fromFrame: str, toFrame: str) -> ResolvedTransform | None:
        """``fromFrame`` -> ``toFrame``, composed over the fewest transforms; None when there is no path or a value is missing.

        What happens while no reference is streamed, see :class:`PatientSensor`.
        """
        path = self._path(fromFrame, toFrame)
        if path is None or any(not edge.samples for edge, _unused in path):
            return None
        chosen = _sameTime([edge for edge, _unused in path if edge.streamed])
        matrix = np.eye(4)
        for edge, forward in path:
            step = chosen.get(edge.receivedName, edge.samples[-1][1])
            if not forward:
                inverse = _inverse(step)
                if inverse is None:
                    return None
                step = inverse
            matrix = step @ matrix
        streamed = tuple(edge.receivedName for edge, _unused in path if edge.streamed)
        newest = max((edge.samples[-1][0] for edge, _unused in path if edge.streamed), default=0.0)
        name, used = f"{fromFrame}To{toFrame}", tuple(edge.receivedName for edge, _unused in path)
        assumed = self._isAssumed(path, (fromFrame, toFrame))
        return ResolvedTransform(name, matrix, used, streamed, self._commonTime(path) or newest, assumed)

    def _isAssumed(self, path: tuple[tuple[_Edge, bool], ...], ends: tuple[str, str]) -> bool:
        """Whether a path goes through the tracker as if it were the reference, without the user having said that it is."""
        if self._patientSensor is not PatientSensor.AUTO or self.frames.tracker in ends or not self.trackerStandsIn:
            return False
        return any(self.frames.tracker in (edge.name.fromFrame, edge.name.toFrame) for edge, _unused in path)

    def resolveWithout(self, name: str) -> ResolvedTransform | None:
        """The same transform made of others than the one of this name, None where there is no second way."""
        edge = self._edges.get(name)
        if edge is None:
            return None
        others = TransformTree(self.frames, self._patientSensor)
        others._edges = {other: value for other, value in self._edges.items() if other != name}
        others._frames = self._frames
        # What the frames mean must not change with the transform that is left out.
        others._patientTracked = self.patientTracked
        return others.resolve(edge.name.fromFrame, edge.name.toFrame)

    @staticmethod
    def _commonTime(path: tuple[tuple[_Edge, bool], ...]) -> float:
        streams = [{time for time, _unused in edge.samples} for edge, _unused in path if edge.streamed]
        shared = set.intersection(*streams) if streams else set()
        return max(shared, default=0.0)

    def _path(self, fromFrame: str, toFrame: str) -> tuple[tuple[_Edge, bool], ...] | None:
        key = (self._effective(fromFrame), self._effective(toFrame))
        if key not in self._paths:
            self._paths[key] = self._search(*key)
        return self._paths[key]

    def _effective(self, frame: str) -> str:
        # A registration ReferenceToRas then holds for the tracker.
        return self.frames.reference if frame == self.frames.tracker and self.trackerStandsIn else frame

    def _neighbours(self, frame: str) -> list[tuple[str, _Edge, bool]]:
        found = []
        calibrated = self._calibratedFrames()
        for edge in self._edges.values():
            if edge.streamed and edge.name.fromFrame in calibrated:
                continue
            begin, end = self._effective(edge.name.fromFrame), self._effective(edge.name.toFrame)
            if begin == frame:
                found.append((end, edge, True))
            elif end == frame:
                found.append((begin, edge, False))
        # Fixed links first, so that among paths of equal length the one with fewer streamed parts wins.
        found.sort(key=lambda entry: entry[1].streamed)
        return found

    def _calibratedFrames(self) -> set[str]:
        """Frames that hang below a tool by a calibration set here: it leads over what the sender composes with its own."""
        bases = {self.frames.reference, self.frames.tracker, self.frames.world}
        return {edge.name.fromFrame for edge in self._edges.values() if not edge.streamed and edge.name.fromFrame not in bases}

    def _search(self, fromFrame: str, toFrame: str) -> tuple[tuple[_Edge, bool], ...] | None:
        if fromFrame == toFrame:
            return ()
        reached: dict[str, tuple[tuple[_Edge, bool], ...]] = {fromFrame: ()}
        waiting = collections.deque([fromFrame])
        while waiting:
            frame = waiting.popleft()
            for other, edge, forward in self._neighbours(frame):
                if other not in reached:
                    reached[other] = (*reached[frame], (edge, forward))
                    if other == toFrame:
                        return reached[other]
                    waiting.append(other)
        return None

    # The tree of nodes

    def branches(self) -> tuple[TreeBranch, ...]:
        """Transform nodes to be made, parents before children: the registration, the tools below it, calibrations below the tools."""
        base = self.frames.reference
        root = TreeBranch(f"{base}To{self.frames.world}", "", base, self.frames.world, False)
        result = [root]
        below = {base: root.name}
        for frame in self._tools():
            branch = TreeBranch(f"{frame}To{base}", root.name, frame, base, True)
            result.append(branch)
            below[frame] = branch.name
        remaining = [edge for edge in self._edges.values() if not edge.streamed and edge.name.text != root.name]
        while remaining:
            placeable = [edge for edge in remaining if edge.name.toFrame in below]
            if not placeable:
                break
            for edge in placeable:
                remaining.remove(edge)
                if edge.name.fromFrame in below:
                    continue
                branch = TreeBranch(edge.name.text, below[edge.name.toFrame], edge.name.fromFrame, edge.name.toFrame, False)
                result.append(branch)
                below[edge.name.fromFrame] = branch.name
        return tuple(result)

    def _tools(self) -> Iterable[str]:
        """Frames that move: those streamed to the reference or the tracker, in either direction."""
        bases = {self.frames.reference, self.frames.tracker}
        tools: list[str] = []
        calibrated = self._calibratedFrames()
        for edge in self._edges.values():
            if not edge.streamed:
                continue
            for tool, base in ((edge.name.fromFrame, edge.name.toFrame), (edge.name.toFrame, edge.name.fromFrame)):
                if base in bases and tool not in bases and tool not in calibrated and tool != self.frames.world and tool not in tools:
                    tools.append(tool)
        return tools


def _inverse(matrix: FloatArray) -> FloatArray | None:
    """Inverse of an affine 4x4; None for one that has none (NaN, rank). No BLAS call: this runs for every pose."""
    if not np.isfinite(matrix).all():
        return None
    (a, b, c, x), (d, e, f, y), (g, h, i, z) = matrix[:3].tolist()
    determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    if abs(determinant) < 1e-12:
        return None
    inverse = np.eye(4)
    inverse[:3, :3] = [
        [(e * i - f * h), (c * h - b * i), (b * f - c * e)],
        [(f * g - d * i), (a * i - c * g), (c * d - a * f)],
        [(d * h - e * g), (b * g - a * h), (a * e - b * d)],
    ]
    inverse[:3, :3] /= determinant
    inverse[:3, 3] = -inverse[:3, :3] @ (x, y, z)
    return inverse


def _sameTime(edges: list[_Edge]) -> dict[str, FloatArray]:
    """Matrices of the newest timestamp that all these streams share; empty when they share none (then the newest of each is used)."""
    if len(edges) < 2:
        return {}
    shared = set.intersection(*({time for time, _unused in edge.samples if time > 0.0} for edge in edges))
    if not shared:
        return {}
    newest = max(shared)
    return {edge.receivedName: next(matrix for time, matrix in reversed(edge.samples) if time == newest) for edge in edges}
