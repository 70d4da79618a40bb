"""A tool's way as poses at times, passed through smoothly."""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .HandMotion import minimumJerk
from .SimulatedPose import quaternionFromAxisAngle, rotationFromQuaternion

FloatArray = npt.NDArray[np.float64]


def relativeTurn(start: FloatArray, end: FloatArray) -> tuple[FloatArray, float]:
    """Axis and angle (deg) of the turn that carries the axes of one pose over to the other (both in the common frame)."""
    turn = end[:3, :3] @ start[:3, :3].T
    skew = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    angle = float(np.degrees(np.arctan2(np.linalg.norm(skew), np.trace(turn) - 1.0)))
    if np.linalg.norm(skew) < 1e-9:
        # no turn, or half a turn: then any column of (R + 1) is along the axis
        axis = (turn + np.eye(3))[:, int(np.argmax(np.diag(turn)))]
        return axis, angle
    return skew, angle


def between(start: FloatArray, end: FloatArray, share: float) -> FloatArray:
    """Pose at a share 0..1 of the straight way, turning evenly about one axis."""
    axis, angle = relativeTurn(start, end)
    result = np.eye(4)
    result[:3, :3] = rotationFromQuaternion(quaternionFromAxisAngle(tuple(axis), angle * share)) @ start[:3, :3]
    result[:3, 3] = start[:3, 3] + share * (end[:3, 3] - start[:3, 3])
    return result


@dataclass
class KeyframeMotion:
    """Poses at increasing times. Before the first and after the last the tool rests."""

    times: list[float] = field(default_factory=list)
    poses: list[FloatArray] = field(default_factory=list)
    even: bool = False
    """Move evenly between keys (dense keys) instead of starting and stopping at each."""

    def add(self, timeSec: float, pose: FloatArray) -> None:
        """Append a key.

        :raises ValueError: when the time is not later than the last one.
        """
        if self.times and timeSec <= self.times[-1]:
            raise ValueError(f"Key at {timeSec} s does not come after the last one at {self.times[-1]} s.")
        self.times.append(timeSec)
        self.poses.append(np.array(pose, float))

    def poseAt(self, timeSec: float) -> FloatArray:
        """Pose at a time."""
        if not self.times:
            raise ValueError("The motion has no keys.")
        index = bisect.bisect_right(self.times, timeSec)
        if index == 0:
            return self.poses[0].copy()
        if index == len(self.times):
            return self.poses[-1].copy()
        share = (timeSec - self.times[index - 1]) / (self.times[index] - self.times[index - 1])
        return between(self.poses[index - 1], self.poses[index], share if self.even else minimumJerk(share))

    @property
    def endSec(self) -> float:
        """Time of the last key."""
        return self.times[-1] if self.times else 0.0
