"""Landmarks collected live with the stylus: taken by holding still, averaged with their spread, undone, measured again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.DwellDetection import Dwell, DwellDetector, DwellParameters
from FusionRegistrationLib.RigidTransform import FloatArray, invertRigid, whyNotRigid
from TranslatedText.Translation import tr as _

FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One measured landmark: position in Reference (mm), spread of the averaged samples and their number."""

    position: tuple[float, float, float]
    spreadMm: float
    standardErrorMm: float
    sampleCount: int
    excluded: int
    timeSec: float


class LandmarkCollection:
    """Collects one measurement per named landmark, in order, from a stream of stylus poses.

    `addPose` takes every pose; positions are expressed in Reference, so that a moving patient doesn't smear them. Every change can be
    undone with `undo`.
    """

    def __init__(self, names: Sequence[str], parameters: DwellParameters | None = None) -> None:
        if len(set(names)) != len(names):
            raise ValueError(_("Landmark names must be different from each other."))
        if not names:
            raise ValueError(_("Name at least one landmark before collecting."))
        self.names: tuple[str, ...] = tuple(names)
        self.detector = DwellDetector(parameters)
        self._measured: dict[str, Measurement] = {}
        self._current: str | None = self.names[0]
        self._history: list[tuple[dict[str, Measurement], str | None]] = []
        self.rejectedPoses = 0

    @property
    def measured(self) -> dict[str, Measurement]:
        """Measurements so far, by name, in the order of the names."""
        return {name: self._measured[name] for name in self.names if name in self._measured}

    @property
    def current(self) -> str | None:
        """The landmark that the next dwell is taken for; None when all are measured."""
        return self._current

    @property
    def complete(self) -> bool:
        """True when every landmark is measured."""
        return len(self._measured) == len(self.names)

    def addPose(
        self,
        timeSec: float,
        stylusToTracker: npt.ArrayLike,
        referenceToTracker: npt.ArrayLike | None,
        stylusTipToStylus: npt.ArrayLike,
        *,
        stylusValid: bool = True,
        referenceValid: bool = True,
    ) -> str | None:
        """Take one pose of the stream.

        :param referenceToTracker: None when the patient carries no sensor: Reference is then the tracker.
        :param stylusValid: False when the pose is missing, invalid or stale; the same for the reference.
        :returns: the name of the landmark that was completed by this pose, or None.
        """
        reference = np.eye(4) if referenceToTracker is None else np.asarray(referenceToTracker, float)
        valid = stylusValid and (referenceValid or referenceToTracker is None)
        valid = valid and not whyNotRigid(stylusToTracker) and not whyNotRigid(reference)
        if not valid:
            self.rejectedPoses += 1
            return self._take(self.detector.addSample(timeSec, np.full(3, np.nan), valid=False))
        tip = invertRigid(reference) @ np.asarray(stylusToTracker, float) @ np.asarray(stylusTipToStylus, float)[:, 3]
        return self._take(self.detector.addSample(timeSec, tip[:3]))

    def finish(self) -> str | None:
        """End of the stream: take the dwell in progress if it is long enough."""
        return self._take(self.detector.flush())

    def measureAgain(self, name: str) -> None:
        """Take the next dwell for this landmark; its old value stays until then.

        :raises ValueError: unknown landmark.
        """
        if name not in self.names:
            raise ValueError(_("There is no landmark '{name}'; there are {names}.").format(name=name, names=", ".join(self.names)))
        self._remember()
        self._current = name
        self.detector.reset()

    def undo(self) -> bool:
        """Take back the last change (a measurement, a choice of landmark). False when there is nothing to undo."""
        if not self._history:
            return False
        self._measured, self._current = self._history.pop()
        self.detector.reset()
        return True

    def positions(self) -> tuple[tuple[str, ...], FloatArray]:
        """Names and positions (N, 3) in Reference (mm) of the measured landmarks."""
        measured = self.measured
        return tuple(measured), np.array([m.position for m in measured.values()]).reshape(-1, 3)

    def toDict(self) -> dict[str, Any]:
        """JSON-ready state (without the undo history)."""
        return {
            "format": "LandmarkCollection",
            "version": FORMAT_VERSION,
            "names": list(self.names),
            "current": self._current,
            "measured": {name: dataclasses.asdict(m) for name, m in self.measured.items()},
        }

    @staticmethod
    def fromDict(content: Mapping[str, Any], parameters: DwellParameters | None = None) -> LandmarkCollection:
        """Rebuild from `toDict`.

        :raises ValueError: content of another kind or version.
        """
        if content.get("format") != "LandmarkCollection" or content.get("version") != FORMAT_VERSION:
            raise ValueError(_("This is no stored landmark collection of a version that this program reads."))
        collection = LandmarkCollection(content["names"], parameters)
        for name, values in content["measured"].items():
            collection._measured[name] = Measurement(**{**values, "position": tuple(values["position"])})
        collection._current = content["current"]
        return collection

    def _take(self, dwell: Dwell | None) -> str | None:
        if dwell is None or self._current is None:
            return None
        self._remember()
        name = self._current
        x, y, z = (float(v) for v in dwell.position)
        self._measured[name] = Measurement(
            (x, y, z), dwell.spreadMm, dwell.standardErrorMm, dwell.sampleCount, dwell.excluded, dwell.endSec
        )
        self._current = next((n for n in self.names if n not in self._measured), None)
        return name

    def _remember(self) -> None:
        self._history.append((dict(self._measured), self._current))
