"""Optional smoothing of a pose. Off unless asked for: whatever calms the picture shows the needle where it was, not where it is.

First-order low-pass on the position and on the rotation (along the geodesic between the smoothed and the new one). The delay is stated:
under steady motion the smoothed pose is exactly the pose of ``delaySec`` ago.
"""

from __future__ import annotations

import math

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, rigidFrom, rotationAngleDeg, rotationFromVector
from TranslatedText.Translation import tr as _


class PoseSmoother:
    """Smooths one tool's poses.

    :param timeConstantSec: of the low-pass; 0 switches it off. The delay under steady motion is the time constant less half the spacing of
        the samples, see ``delaySec``.
    :param resetAfterSec: a longer gap starts anew: nothing is drawn between two places that have no motion between them.
    :param resetMm, resetDeg: a larger step starts anew too.
    """

    def __init__(self, timeConstantSec: float = 0.0, *, resetAfterSec: float = 0.5, resetMm: float = 30.0, resetDeg: float = 45.0) -> None:
        if not 0.0 <= timeConstantSec <= 2.0:
            raise ValueError(
                _("A time constant of {timeConstantSec} s is not usable; give 0 (off) to 2 s.").format(timeConstantSec=timeConstantSec)
            )
        self.timeConstantSec = timeConstantSec
        self._resetAfterSec = resetAfterSec
        self._resetMm = resetMm
        self._resetDeg = resetDeg
        self._pose: FloatArray | None = None
        self._lastSec = 0.0
        self._spacingSec = 0.0

    @property
    def delaySec(self) -> float:
        """How far a steadily moving tool is shown behind its true place, at the present rate of samples; 0 when off."""
        if self.timeConstantSec <= 0.0:
            return 0.0
        if self._spacingSec <= 0.0:
            return self.timeConstantSec
        decay = math.exp(-self._spacingSec / self.timeConstantSec)
        return self._spacingSec * decay / (1.0 - decay)

    def reset(self) -> None:
        """Forget the past: the next pose is taken as it is."""
        self._pose = None
        self._spacingSec = 0.0

    def smooth(self, pose: FloatArray, timeSec: float) -> FloatArray:
        """The smoothed pose at a sample. ``timeSec`` may be of any clock that does not run back."""
        array = np.asarray(pose, float)
        if self.timeConstantSec <= 0.0:
            return array
        spacing = timeSec - self._lastSec
        last = self._pose
        self._lastSec = timeSec
        if last is None or not 0.0 < spacing <= self._resetAfterSec or self._isLeap(last, array):
            self._pose = array
            return array
        self._spacingSec = spacing if self._spacingSec == 0.0 else 0.9 * self._spacingSec + 0.1 * spacing
        weight = 1.0 - math.exp(-spacing / self.timeConstantSec)
        position = last[:3, 3] + weight * (array[:3, 3] - last[:3, 3])
        turn = last[:3, :3].T @ array[:3, :3]
        rotation = last[:3, :3] @ rotationFromVector(weight * _rotationVector(turn))
        self._pose = rigidFrom(rotation, position)
        return self._pose

    def _isLeap(self, last: FloatArray, pose: FloatArray) -> bool:
        if not np.isfinite(pose).all():
            return True
        distance = float(np.linalg.norm(pose[:3, 3] - last[:3, 3]))
        return distance > self._resetMm or rotationAngleDeg(last[:3, :3].T @ pose[:3, :3]) > self._resetDeg


def _rotationVector(rotation: FloatArray) -> FloatArray:
    """Axis times angle (rad) of a rotation well below half a turn."""
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]]) / 2.0
    sine = float(np.linalg.norm(skew))
    if sine < 1e-12:
        return skew
    return skew * (math.atan2(sine, (float(np.trace(rotation)) - 1.0) / 2.0) / sine)
