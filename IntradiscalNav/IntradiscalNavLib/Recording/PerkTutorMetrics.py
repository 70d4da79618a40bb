"""Motion metrics exactly as Perk Tutor defines them, so that numbers can be compared with its publications.

Definitions: Perk Tutor (Ungi et al., IEEE TBME 2012) and its Python metrics, core set and additional set. They are applied
to every recorded sample as given: no resampling, no smoothing. Perk Tutor itself evaluates a tool at the time stamps of
the *master* transform of the recording; a tool's own time stamps give path lengths a few per cent longer. The rule used
is stated in ``PerkTutorMetrics.samplingRule``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

if TYPE_CHECKING:
    import vtk

NEEDLE_LENGTH_MM = 300.0
"""Length of shaft that Perk Tutor intersects with the tissue surface, whatever the real needle."""
VELOCITY_THRESHOLD_MM_PER_SEC = 50.0
ANGULAR_VELOCITY_THRESHOLD_DEG_PER_SEC = 50.0
ACTION_TIME_THRESHOLD_SEC = 0.2
TARGET_HIT_DISTANCE_MM = 3.0

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PerkTutorMetrics:
    """Named and computed as in Perk Tutor; what needs a tissue surface is None without one."""

    samplingRule: str
    elapsedTimeSec: float
    pathLengthMm: float
    averageVelocityMmPerSec: float
    pathInefficiencyPercent: float
    rotationTotalDeg: float
    depthPerceptionMm: float
    motionSmoothness: float
    translationalActions: int
    rotationalActions: int
    pathInTissueMm: float | None
    timeInTissueSec: float | None
    tissueDamageMm2: float | None
    tissuePunctures: int | None


class TissueSurface:
    """Closed tissue surface (vtkPolyData, RAS mm): inside test and intersection with the shaft."""

    def __init__(self, surface: vtk.vtkPolyData) -> None:
        import vtk

        if surface is None or surface.GetNumberOfCells() == 0:
            raise ValueError(_("The tissue surface is empty: choose a closed surface model, such as the skin."))
        self._enclosed = vtk.vtkSelectEnclosedPoints()
        self._enclosed.SetTolerance(1e-12)
        self._enclosed.Initialize(surface)
        self._tree = vtk.vtkModifiedBSPTree()
        self._tree.SetTolerance(1e-12)
        self._tree.SetDataSet(surface)
        self._tree.BuildLocator()

    def isInside(self, pointRas: npt.ArrayLike) -> bool:
        return bool(self._enclosed.IsInsideSurface(*(float(value) for value in np.asarray(pointRas)[:3])))

    def firstIntersection(self, fromRas: FloatArray, toRas: FloatArray) -> FloatArray:
        """First crossing of the segment with the surface. (0, 0, 0) where there is none, as Perk Tutor leaves it."""
        import vtk

        parameter, subCell = vtk.mutable(0.0), vtk.mutable(0)
        point = [0.0, 0.0, 0.0]
        self._tree.IntersectWithLine(list(fromRas), list(toRas), 1e-12, parameter, point, [0.0, 0.0, 0.0], subCell)
        return np.array(point)


def computePerkTutorMetrics(
    timesSec: npt.ArrayLike,
    toolToRas: npt.ArrayLike,
    tissue: TissueSurface | None = None,
    needleOrientation: tuple[float, float, float] = (0.0, 0.0, 1.0),
    samplingRule: str = "every recorded sample of the tool at its own time stamp",
) -> PerkTutorMetrics:
    """Metrics of one tool.

    :param timesSec: (n,) increasing time stamps.
    :param toolToRas: (n, 4, 4) tip poses; ``needleOrientation`` is the advancing direction in the tool frame (default +Z).
    :raises ValueError: with fewer than two samples, or times that go backwards.
    """
    times = np.asarray(timesSec, float)
    poses = np.asarray(toolToRas, float)
    if len(times) < 2 or poses.shape != (len(times), 4, 4):
        raise ValueError(
            _("Metrics need at least two time stamps with a 4x4 pose each; got {count} and {posesShape}.").format(
                count=len(times), posesShape=poses.shape
            )
        )
    if np.any(np.diff(times) < 0):
        raise ValueError(_("The time stamps go backwards: sort the recording, or cut it where the clock was set back."))
    tips = poses[:, :3, 3]
    steps = np.diff(tips, axis=0)
    stepMm = np.linalg.norm(steps, axis=1)
    durations = np.diff(times)
    elapsed = float(durations.sum())
    startToEnd = float(np.linalg.norm(tips[-1] - tips[0]))
    axes = poses[:, :3, :3] @ np.asarray(needleOrientation, float)
    pathLength = float(stepMm.sum())
    change = poses[1:] @ np.linalg.inv(poses[:-1])
    changeDeg = _rotationDeg(change)
    return PerkTutorMetrics(
        samplingRule=samplingRule,
        elapsedTimeSec=elapsed,
        pathLengthMm=pathLength,
        averageVelocityMmPerSec=float(np.mean(stepMm[durations > 0] / durations[durations > 0])) if np.any(durations > 0) else 0.0,
        pathInefficiencyPercent=100.0 * (pathLength / startToEnd - 1.0) if startToEnd > 0 else float("inf"),
        rotationTotalDeg=float(changeDeg.sum()),
        depthPerceptionMm=float(np.abs(np.einsum("ij,ij->i", steps, axes[1:])).sum()),
        motionSmoothness=_motionSmoothness(times, tips),
        translationalActions=_actions(times, poses, lambda relative: float(np.linalg.norm(relative[:3, 3])), VELOCITY_THRESHOLD_MM_PER_SEC),
        rotationalActions=_actions(times, poses, lambda relative: float(_rotationDeg(relative)), ANGULAR_VELOCITY_THRESHOLD_DEG_PER_SEC),
        **_tissueMetrics(durations, poses, stepMm, np.asarray(needleOrientation, float), tissue),
    )


def _rotationDeg(matrices: FloatArray) -> FloatArray:
    """Rotation angle 0..180 deg of (..., 4, 4) rigid matrices."""
    rotation = matrices[..., :3, :3]
    skew = np.stack(
        [
            rotation[..., 2, 1] - rotation[..., 1, 2],
            rotation[..., 0, 2] - rotation[..., 2, 0],
            rotation[..., 1, 0] - rotation[..., 0, 1],
        ],
        axis=-1,
    )
    trace = np.trace(rotation, axis1=-2, axis2=-1)
    result: FloatArray = np.degrees(np.arctan2(np.linalg.norm(skew, axis=-1), trace - 1.0))
    return result


def _motionSmoothness(times: FloatArray, tips: FloatArray) -> float:
    """Root of the time integral of squared jerk, by backward differences over the last four distinct time stamps."""
    keep = np.concatenate([[True], np.diff(times) > 0])
    t, p = times[keep], tips[keep]
    if len(t) < 4:
        return 0.0
    dt = np.diff(t)
    velocity = np.diff(p, axis=0) / dt[:, None]
    acceleration = (velocity[1:] - velocity[:-1]) / dt[1:, None]
    jerk = (acceleration[1:] - acceleration[:-1]) / dt[2:, None]
    return float(np.sqrt((np.einsum("ij,ij->i", jerk, jerk) * dt[2:]).sum()))


def _actions(times: FloatArray, poses: FloatArray, amountOf: Callable[[FloatArray], float], threshold: float) -> int:
    """Perk Tutor's state machine: a state must have ended longer than 0.2 s before the other one counts.

    The speed is that of the pose change ``pose @ inverse(previous)``, whose translation is not the step of the tip; this
    is how Perk Tutor computes it.
    """
    actions, state = 0, False
    lastInState = 0.0
    previousTime: float | None = None
    previousPose = poses[0]
    for time, pose in zip(times, poses):
        if previousTime is not None and time == previousTime:
            continue
        if previousTime is not None:
            fast = amountOf(pose @ np.linalg.inv(previousPose)) / (time - previousTime) > threshold
            if fast == state:
                lastInState = time
            elif time - lastInState > ACTION_TIME_THRESHOLD_SEC:
                state, lastInState = fast, time
                actions += int(fast)
        previousTime, previousPose = float(time), pose
    return actions


def _tissueMetrics(
    durations: FloatArray, poses: FloatArray, stepMm: FloatArray, orientation: FloatArray, tissue: TissueSurface | None
) -> dict[str, Any]:
    if tissue is None:
        return {"pathInTissueMm": None, "timeInTissueSec": None, "tissueDamageMm2": None, "tissuePunctures": None}
    tips = poses[:, :3, 3]
    axes = poses[:, :3, :3] @ orientation
    inside = np.array([tissue.isInside(tip) for tip in tips])
    ahead = np.array([tissue.isInside(tip + axis) for tip, axis in zip(tips, axes)])
    behind = np.array([tissue.isInside(tip - axis) for tip, axis in zip(tips, axes)])
    punctures, inTissue = 0, False
    for tip, front, back in zip(inside, ahead, behind):
        if not inTissue and tip and front and back:
            punctures, inTissue = punctures + 1, True
        if inTissue and not (tip or front or back):
            inTissue = False
    damage = 0.0
    both = inside[1:] & inside[:-1]
    entries: dict[int, FloatArray] = {}
    for index in (int(found) + 1 for found in np.flatnonzero(both)):
        for at in (index - 1, index):
            if at not in entries:
                entries[at] = tissue.firstIntersection(tips[at], tips[at] - NEEDLE_LENGTH_MM * axes[at])
        damage += _triangleArea(tips[index], tips[index - 1], entries[index])
        damage += _triangleArea(entries[index], tips[index - 1], entries[index - 1])
    return {
        "pathInTissueMm": float(stepMm[inside[1:]].sum()),
        "timeInTissueSec": float(durations[inside[1:]].sum()),
        "tissueDamageMm2": damage,
        "tissuePunctures": punctures,
    }


def _triangleArea(a: FloatArray, b: FloatArray, c: FloatArray) -> float:
    return float(0.5 * np.linalg.norm(np.cross(b - a, c - a)))
