"""Finds in a stream of stylus-tip positions where the tip is held still, so that a landmark is taken without pressing a button."""

from __future__ import annotations

import dataclasses
from collections import deque

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray


@dataclasses.dataclass(frozen=True)
class DwellParameters:
    """What counts as holding still.

    :ivar radiusMm: all positions of a dwell lie within this distance of their median, but for stray ones. A stylus that is rocked about
        its tip while held moves the reported tip by its calibration error; the mean over the rocking is better than its stillest part.
    :ivar minDurationSec: how long the tip must be still.
    :ivar minSamples: fewest valid positions in it.
    :ivar maxGapSec: a longer silence between valid positions ends the dwell: poses that are not live are not waited for.
    :ivar leaveMm: how far the tip must go before the next dwell can begin, so that one touch gives one point.
    :ivar maxStrayShare: share of positions allowed outside the radius (tracker glitches).
    """

    radiusMm: float = 2.0
    minDurationSec: float = 1.0
    minSamples: int = 10
    maxGapSec: float = 0.3
    leaveMm: float = 8.0
    maxStrayShare: float = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Dwell:
    """One place where the tip was held: ``position`` (3,) mm in the frame of the stream, averaged over the whole dwell.

    :ivar spreadMm: RMS distance of the averaged positions from their mean.
    :ivar standardErrorMm: spread / sqrt(independent samples); consecutive samples of a tracker are correlated, which is taken into account.
    :ivar excluded: valid positions left out as strays.
    """

    position: FloatArray
    startSec: float
    endSec: float
    sampleCount: int
    spreadMm: float
    standardErrorMm: float
    excluded: int

    @property
    def durationSec(self) -> float:
        """Length of the dwell."""
        return self.endSec - self.startSec


class DwellDetector:
    """Feed every pose of the stream with `addSample`; it returns a `Dwell` once the tip has been lifted from a place where it was held.

    `currentDwell` tells during the hold what is collected so far, for feedback ("hold still ... done").
    """

    def __init__(self, parameters: DwellParameters | None = None) -> None:
        self.parameters = parameters or DwellParameters()
        self._times: deque[float] = deque()
        self._positions: deque[FloatArray] = deque()
        self._holding = False
        self._strays: list[FloatArray] = []
        self._lastPlace: FloatArray | None = None
        self._lastTimeSec = -np.inf
        self.rejectedCount = 0
        """Samples that were excluded because they were invalid, stale (time not advancing) or not finite."""

    def reset(self) -> None:
        """Forget everything, also the place of the last dwell."""
        self._clear()
        self._lastPlace = None
        self._lastTimeSec = -np.inf

    def addSample(self, timeSec: float, position: npt.ArrayLike, valid: bool = True) -> Dwell | None:
        """Take one tip position (3,) mm at a monotonic time; ``valid`` False for poses that are missing, invalid or stale.

        :returns: the finished dwell when this sample ended one.
        """
        point = np.asarray(position, float).reshape(-1)
        finished: Dwell | None = None
        if self._times and timeSec - self._times[-1] > self.parameters.maxGapSec:
            finished = self._finish()
        if not valid or point.shape != (3,) or not np.isfinite(point).all() or not np.isfinite(timeSec) or timeSec <= self._lastTimeSec:
            self.rejectedCount += 1
            return finished
        self._lastTimeSec = timeSec
        if self._lastPlace is not None:
            if float(np.linalg.norm(point - self._lastPlace)) < self.parameters.leaveMm:
                return finished
            self._lastPlace = None
        return self._take(timeSec, point) or finished

    def flush(self) -> Dwell | None:
        """End of the stream: the dwell in progress, if there is one."""
        return self._finish()

    @property
    def currentDwell(self) -> Dwell | None:
        """What is being held now, once it is long enough; else None."""
        return self._summary() if self._holding else None

    @property
    def progress(self) -> float:
        """0-1: how much of the required time the tip has been still."""
        if self._holding:
            return 1.0
        if not self._times:
            return 0.0
        return float(min(1.0, (self._times[-1] - self._times[0]) / self.parameters.minDurationSec))

    def _take(self, timeSec: float, point: FloatArray) -> Dwell | None:
        parameters = self.parameters
        if self._holding:
            center = np.median(np.array(self._positions), axis=0)
            if float(np.linalg.norm(point - center)) <= parameters.radiusMm:
                self._append(timeSec, point)
                # Strays that were followed by a return to the place were glitches, not the lift-off.
                return None
            self._strays.append(point)
            recent = len(self._strays)
            if recent <= max(2, parameters.maxStrayShare * len(self._times)) and timeSec - self._times[-1] <= parameters.maxGapSec:
                return None
            return self._finish()
        self._append(timeSec, point)
        # Search phase: keep the newest run of positions that stays together.
        while len(self._positions) > 1:
            array = np.array(self._positions)
            far = np.linalg.norm(array - np.median(array, axis=0), axis=1) > parameters.radiusMm
            if far.sum() <= parameters.maxStrayShare * len(array) and not far[0]:
                break
            self._times.popleft()
            self._positions.popleft()
        if len(self._times) >= parameters.minSamples and self._times[-1] - self._times[0] >= parameters.minDurationSec:
            self._holding = True
        return None

    def _append(self, timeSec: float, point: FloatArray) -> None:
        self._times.append(timeSec)
        self._positions.append(point)

    def _clear(self) -> None:
        self._times.clear()
        self._positions.clear()
        self._strays.clear()
        self._holding = False

    def _finish(self) -> Dwell | None:
        dwell = self._summary() if self._holding else None
        self._clear()
        if dwell is not None:
            self._lastPlace = dwell.position
        return dwell

    def _summary(self) -> Dwell:
        return averagePositions(
            np.array(self._times), np.array(self._positions), radiusMm=self.parameters.radiusMm, alreadyExcluded=len(self._strays)
        )


def averagePositions(timesSec: FloatArray, positions: FloatArray, *, radiusMm: float, alreadyExcluded: int = 0) -> Dwell:
    """Robust mean of positions (N, 3) mm held at one place; those beyond the radius or 6 robust deviations are left out."""
    center = np.median(positions, axis=0)
    distances = np.linalg.norm(positions - center, axis=1)
    limit = min(radiusMm, max(6.0 * 1.4826 * float(np.median(distances)), 0.1))
    kept = distances <= limit
    chosen = positions[kept]
    mean = chosen.mean(axis=0)
    deviations = chosen - mean
    spreadMm = float(np.sqrt((deviations**2).sum(axis=1).mean()))
    return Dwell(
        position=mean,
        startSec=float(timesSec[0]),
        endSec=float(timesSec[-1]),
        sampleCount=int(kept.sum()),
        spreadMm=spreadMm,
        standardErrorMm=spreadMm / float(np.sqrt(_independentSamples(deviations))),
        excluded=int((~kept).sum()) + alreadyExcluded,
    )


def _independentSamples(deviations: FloatArray) -> float:
    """Number of independent samples of a first-order autoregressive series with the lag-one correlation of these deviations (N, 3)."""
    count = len(deviations)
    power = float((deviations**2).sum())
    if count < 3 or power == 0:
        return float(max(count, 1))
    correlation = min(max(float((deviations[1:] * deviations[:-1]).sum()) / power, 0.0), 0.999)
    return max(1.0, count * (1.0 - correlation) / (1.0 + correlation))
