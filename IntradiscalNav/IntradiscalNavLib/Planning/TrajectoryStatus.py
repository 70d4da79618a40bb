"""Traffic lights of a path and of its limits: the same colours in every view."""

from __future__ import annotations

from enum import Enum

from IntradiscalNavLib.Planning.Trajectory import HardLimit, Trajectory


class TrajectoryStatus(str, Enum):
    """GOOD: legal and robust; TIGHT: legal, but with little room or likely to be violated; ILLEGAL: a hard limit fails."""

    GOOD = "good"
    TIGHT = "tight"
    ILLEGAL = "illegal"


COLORS: dict[TrajectoryStatus, tuple[float, float, float]] = {
    TrajectoryStatus.GOOD: (0.0, 0.62, 0.45),
    TrajectoryStatus.TIGHT: (0.9, 0.62, 0.0),
    TrajectoryStatus.ILLEGAL: (0.84, 0.15, 0.1),
}
"""RGB 0..1, told apart by colour-blind eyes too (bluish green, orange, vermilion; Okabe & Ito)."""

TIGHT_PROBABILITY = 0.35
TIGHT_SLACK = {"mm": 0.5, "deg": 2.0, "of its half size": 0.1, "yes": -1.0}


def statusOfLimit(limit: HardLimit) -> TrajectoryStatus:
    """Light of one limit."""
    if not limit.met:
        return TrajectoryStatus.ILLEGAL
    return TrajectoryStatus.TIGHT if limit.slack < TIGHT_SLACK[limit.unit] else TrajectoryStatus.GOOD


def statusOf(trajectory: Trajectory) -> TrajectoryStatus:
    """Light of a path: the worst of its limits, and tight when violation is likely."""
    lights = {statusOfLimit(limit) for limit in trajectory.hardLimits}
    if TrajectoryStatus.ILLEGAL in lights:
        return TrajectoryStatus.ILLEGAL
    if TrajectoryStatus.TIGHT in lights or trajectory.violationProbability > TIGHT_PROBABILITY:
        return TrajectoryStatus.TIGHT
    return TrajectoryStatus.GOOD
