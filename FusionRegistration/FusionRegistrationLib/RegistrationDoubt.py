"""Watches whether a registration still holds: knocks and drifts of the reference, breathing, distortion of the tracker's field."""

from __future__ import annotations

import dataclasses
import enum
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, invertRigid, rotationAngleDeg, whyNotRigid
from TranslatedText.Translation import tr as _

FORMAT_VERSION = 1
BREATHING_SPEED_MM_S = 10.0
"""Fastest motion of the back in quiet breathing: 10 mm peak to peak every 3 s."""


class DoubtCause(enum.Enum):
    """Why a registration became doubtful."""

    JUMP = "jump"
    DRIFT = "drift"
    BREATHING = "breathing"
    DISTORTION = "distortion"
    NOT_TRACKED = "notTracked"
    RECALIBRATED = "recalibrated"


@dataclasses.dataclass(frozen=True)
class DoubtLimits:
    """From when on a change is taken seriously.

    :ivar jumpMm: displacement of the reference within ``jumpSec``; normal breathing moves the back by 5-10 mm in 2 s, a knock is faster.
    :ivar driftMm: lasting displacement from where the reference was at registration (mean over a breathing window).
    :ivar breathingMm: peak-to-peak motion of the reference over ``breathingSec``: sensor and disc don't move alike in deep breaths.
    :ivar distortionMm: change of the distance between reference and another sensor fixed to the same plate; a rigid body can't do that.
    :ivar lostSec: longest silence of the reference before its place is compared with that before.
    """

    jumpMm: float = 4.0
    jumpDeg: float = 2.0
    jumpSec: float = 0.25
    driftMm: float = 5.0
    driftDeg: float = 3.0
    breathingMm: float = 15.0
    breathingSec: float = 8.0
    distortionMm: float = 1.0
    distortionDeg: float = 1.5
    smoothSamples: int = 3
    lostSec: float = 10.0


@dataclasses.dataclass(frozen=True)
class DoubtReason:
    """One cause with its time, measured amount and a sentence for the user."""

    cause: DoubtCause
    timeSec: float
    amount: float
    message: str


class RegistrationDoubt:
    """Doubt about one registration. Feed every pose with `addReference` and, where there are more sensors on the plate, `addCompanion`.

    Once doubtful it stays so until `confirm` (after a check of a known point or a look at the fused image) or a new registration.
    """

    def __init__(self, limits: DoubtLimits | None = None) -> None:
        self.limits = limits or DoubtLimits()
        self._reasons: list[DoubtReason] = []
        self._poses: deque[tuple[float, FloatArray]] = deque()
        self._history: deque[tuple[float, FloatArray]] = deque()
        self._baseline: FloatArray | None = None
        self._companions: dict[str, FloatArray] = {}
        self._recent: dict[str, deque[FloatArray]] = {}
        self._latest: FloatArray | None = None
        self._lastTimeSec = -np.inf
        self._placeBeforeGap: FloatArray | None = None
        self._amplitudeMm = 0.0
        self.confirmations: list[tuple[float, str]] = []
        self.rejectedPoses = 0

    @property
    def doubtful(self) -> bool:
        """True while the registration must not be relied on."""
        return bool(self._reasons)

    @property
    def reasons(self) -> tuple[DoubtReason, ...]:
        """Open reasons, first one first; one per cause (and companion)."""
        return tuple(self._reasons)

    @property
    def messages(self) -> tuple[str, ...]:
        """The sentences of the open reasons."""
        return tuple(r.message for r in self._reasons)

    def start(self) -> None:
        """A new registration was made now: forget all doubt, and take the coming poses for the baseline."""
        self._reasons.clear()
        self._restart()

    def confirm(self, timeSec: float, note: str = "") -> None:
        """The user checked the registration and found it good: the present state becomes the baseline."""
        self.confirmations.append((timeSec, note))
        self._reasons.clear()
        self._restart()

    def addReference(self, timeSec: float, referenceToTracker: npt.ArrayLike, valid: bool = True) -> tuple[DoubtReason, ...]:
        """Take a pose of the patient's reference; returns reasons that are new with it. Invalid poses only count as silence."""
        if not valid or whyNotRigid(referenceToTracker) or timeSec <= self._lastTimeSec:
            self.rejectedPoses += 1
            return self._silence(timeSec)
        pose = np.asarray(referenceToTracker, float)
        before = len(self._reasons)
        gapSec = timeSec - self._lastTimeSec
        self._lastTimeSec = timeSec
        self._latest = pose
        if gapSec > 1.0 and len(self._poses) >= self.limits.smoothSamples:
            # After a gap the old samples say nothing about speed: their place is compared once enough new ones are there.
            self._placeBeforeGap = _medianPose([p for _unused, p in list(self._poses)[-self.limits.smoothSamples :]])
            self._poses.clear()
        self._poses.append((timeSec, pose))
        while len(self._poses) > 2 * self.limits.smoothSamples + 1 and timeSec - self._poses[0][0] > 4.0 * self.limits.jumpSec:
            self._poses.popleft()
        self._checkJump(timeSec)
        self._checkSlow(timeSec, pose)
        return tuple(self._reasons[before:])

    def addCompanion(self, timeSec: float, name: str, companionToTracker: npt.ArrayLike, valid: bool = True) -> tuple[DoubtReason, ...]:
        """Take a pose of another sensor that is fixed to the same plate (or to the table) as the reference."""
        if not valid or self._latest is None or whyNotRigid(companionToTracker):
            return ()
        relative = invertRigid(self._latest) @ np.asarray(companionToTracker, float)
        recent = self._recent.setdefault(name, deque(maxlen=max(3 * self.limits.smoothSamples, 9)))
        recent.append(relative)
        if len(recent) < (recent.maxlen or 9):
            return ()
        smooth = _meanPose(list(recent))
        if name not in self._companions:
            self._companions[name] = smooth
            return ()
        before = len(self._reasons)
        old = self._companions[name]
        moved = float(np.linalg.norm(smooth[:3, 3] - old[:3, 3]))
        turned = rotationAngleDeg(invertRigid(old) @ smooth)
        if moved > self.limits.distortionMm or turned > self.limits.distortionDeg:
            self._add(
                DoubtCause.DISTORTION,
                timeSec,
                moved,
                _(
                    "The distance between the reference and {name} changed by {moved:.1f} mm ({turned:.1f} deg), though both are "
                    "fixed: metal or the "
                    "gantry distorts the tracker's field, or a sensor came loose."
                ).format(name=name, moved=moved, turned=turned),
                name,
            )
        return tuple(self._reasons[before:])

    def setPatientTracked(self, timeSec: float, tracked: bool) -> None:
        """State that no sensor is on the patient (Reference = Tracker); not a doubt by itself unless the sensor disappeared."""
        if not tracked and self._baseline is not None:
            self._add(DoubtCause.NOT_TRACKED, timeSec, 0.0, _("The patient's reference is no longer tracked: movement goes unnoticed."))

    def toDict(self) -> dict[str, Any]:
        """JSON-ready state of the doubt: reasons, confirmations, limits, baseline."""
        return {
            "format": "RegistrationDoubt",
            "version": FORMAT_VERSION,
            "reasons": [{**dataclasses.asdict(r), "cause": r.cause.value} for r in self._reasons],
            "confirmations": [list(c) for c in self.confirmations],
            "limits": dataclasses.asdict(self.limits),
            "baseline": None if self._baseline is None else self._baseline.tolist(),
        }

    @staticmethod
    def fromDict(content: Mapping[str, Any]) -> RegistrationDoubt:
        """Rebuild from `toDict`.

        :raises ValueError: content of another kind or version.
        """
        if content.get("format") != "RegistrationDoubt" or content.get("version") != FORMAT_VERSION:
            raise ValueError(_("This is no stored registration doubt of a version that this program reads."))
        doubt = RegistrationDoubt(DoubtLimits(**content["limits"]))
        doubt._reasons = [DoubtReason(DoubtCause(r["cause"]), r["timeSec"], r["amount"], r["message"]) for r in content["reasons"]]
        doubt.confirmations = [(float(t), str(n)) for t, n in content["confirmations"]]
        doubt._baseline = None if content["baseline"] is None else np.array(content["baseline"], float)
        return doubt

    def _restart(self) -> None:
        self._baseline = None
        self._history.clear()
        self._poses.clear()
        self._companions.clear()
        self._recent.clear()
        self._placeBeforeGap = None
        self._amplitudeMm = 0.0

    def _silence(self, timeSec: float) -> tuple[DoubtReason, ...]:
        if self._baseline is None or timeSec - self._lastTimeSec <= self.limits.lostSec:
            return ()
        before = len(self._reasons)
        self._add(
            DoubtCause.NOT_TRACKED,
            timeSec,
            timeSec - self._lastTimeSec,
            _("The patient's reference was not seen for {timeSec:.0f} s: movement goes unnoticed.").format(
                timeSec=timeSec - self._lastTimeSec
            ),
        )
        return tuple(self._reasons[before:])

    def _checkJump(self, timeSec: float) -> None:
        """Compare the newest samples with those ``jumpSec`` before, or with the last ones before a gap; medians keep single strays out."""
        count = self.limits.smoothSamples
        new = [p for _unused, p in list(self._poses)[-count:]]
        if len(new) < count:
            return
        if self._placeBeforeGap is not None:
            # Nobody knows at which phase of the breath the poses come back.
            old, allowedMm = self._placeBeforeGap, self.limits.jumpMm + self._amplitudeMm
            self._placeBeforeGap = None
        else:
            newest = self._poses[-count][0]
            earlier = [p for t, p in self._poses if t <= newest - self.limits.jumpSec + 1e-9]
            if len(earlier) < count:
                return
            # Where poses come slowly the two medians are farther apart in time: quiet breathing may use that time.
            passedSec = self._poses[-1][0] - newest + self.limits.jumpSec
            old, allowedMm = _medianPose(earlier[-count:]), self.limits.jumpMm + BREATHING_SPEED_MM_S * max(passedSec - 0.35, 0.0)
        place = _medianPose(new)
        moved = float(np.linalg.norm(place[:3, 3] - old[:3, 3]))
        turned = rotationAngleDeg(invertRigid(old) @ place)
        if moved > allowedMm or turned > self.limits.jumpDeg:
            self._add(
                DoubtCause.JUMP,
                timeSec,
                moved,
                _("The patient's reference jumped by {moved:.1f} mm and {turned:.1f} deg: it was knocked, or the patient moved.").format(
                    moved=moved, turned=turned
                ),
            )

    def _checkSlow(self, timeSec: float, pose: FloatArray) -> None:
        limits = self.limits
        self._history.append((timeSec, pose))
        while timeSec - self._history[0][0] > limits.breathingSec:
            self._history.popleft()
        if timeSec - self._history[0][0] < 0.9 * limits.breathingSec:
            return
        places = np.array([p[:3, 3] for _unused, p in self._history])
        if self._baseline is None:
            self._baseline = _meanPose([p for _unused, p in self._history])
        # Peak to peak along the main direction of motion, between the 5th and 95th percentile: single strays don't count.
        centered = places - places.mean(axis=0)
        _unused, _unused, axes = np.linalg.svd(centered, full_matrices=False)
        low, high = np.quantile(centered @ axes[0], [0.05, 0.95])
        self._amplitudeMm = float(high - low)
        if high - low > limits.breathingMm:
            self._add(
                DoubtCause.BREATHING,
                timeSec,
                float(high - low),
                _(
                    "The patient's reference moves by {high:.0f} mm with breathing: wait for quiet breathing, or hold the "
                    "breath as in the CT."
                ).format(high=high - low),
            )
        mean = _meanPose([p for _unused, p in self._history])
        moved = float(np.linalg.norm(mean[:3, 3] - self._baseline[:3, 3]))
        turned = rotationAngleDeg(invertRigid(self._baseline) @ mean)
        if moved > limits.driftMm or turned > limits.driftDeg:
            self._add(
                DoubtCause.DRIFT,
                timeSec,
                moved,
                _(
                    "The patient's reference is {moved:.0f} mm and {turned:.0f} deg from where it was at registration: the patient "
                    "or the plate moved."
                ).format(moved=moved, turned=turned),
            )

    def _add(self, cause: DoubtCause, timeSec: float, amount: float, message: str, subject: str = "") -> None:
        if any(r.cause is cause and subject in r.message for r in self._reasons):
            return
        self._reasons.append(DoubtReason(cause, float(timeSec), float(amount), message))


def _medianPose(poses: list[FloatArray]) -> FloatArray:
    """The pose whose translation is nearest the median: a real pose, untouched by strays."""
    array = np.array(poses)
    places = array[:, :3, 3]
    result: FloatArray = array[int(np.argmin(np.linalg.norm(places - np.median(places, axis=0), axis=1)))].copy()
    result[:3, 3] = np.median(places, axis=0)
    return result


def _meanPose(poses: list[FloatArray]) -> FloatArray:
    """Median place and mean rotation (nearest rotation to the mean matrix)."""
    array = np.array(poses)
    u, _unused, vt = np.linalg.svd(array[:, :3, :3].mean(axis=0))
    result = np.eye(4)
    result[:3, :3] = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
    result[:3, 3] = np.median(array[:, :3, 3], axis=0)
    return result
