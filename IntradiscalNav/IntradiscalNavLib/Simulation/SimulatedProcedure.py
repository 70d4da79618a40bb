"""The scripted operator: touches balls, sweeps the probe over the spine, leads a needle along a path.

Poses are true ones, tool frames to the RAS of the phantom's CT; the tracker's errors come later. Everything is a function of time
and seed, so that a run can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .CalibrationMotion import inOutMotion, pivotMotion, spinMotion
from .HandMotion import HandTremor
from .KeyframeMotion import KeyframeMotion, relativeTurn
from .LumbarPhantom import LumbarPhantom
from .SimulatedPose import inversePose, lookAlong, mapPoints, poseFromColumns, poseFromTurns
from .SimulatedTools import SimulatedTools
from .SkinMap import SkinMap

FloatArray = npt.NDArray[np.float64]

PARK_PROBE = poseFromColumns((1, 0, 0), (0, 1, 0), (0, 0, 1), (150.0, -230.0, -60.0))
PARK_NEEDLE = poseFromColumns((1, 0, 0), (0, 0, -1), (0, 1, 0), (190.0, -240.0, 30.0))
PARK_STYLUS = poseFromColumns((1, 0, 0), (0, 0, 1), (0, -1, 0), (-190.0, -230.0, 60.0))
PROBE_PRESS_MM = 2.0


@dataclass(frozen=True)
class OperatorSkill:
    """How steadily and how exactly the simulated operator works."""

    stylusTremorMm: float = 0.05
    probeDriftMm: float = 0.35
    needleDriftMm: float = 0.15
    needleErrorMm: float = 0.35
    """Standard deviation, per axis, of where the operator brings the tip as the display shows it."""
    needleAngleErrorDeg: float = 0.6


@dataclass(frozen=True)
class ProcedureState:
    """Truth at one moment. Poses are ``toolToRas``."""

    timeSec: float
    phase: str
    """idle, touching, sweeping, calibrating, approaching, inserting or atTarget."""
    probeToRas: FloatArray
    needleToRas: FloatArray
    stylusToRas: FloatArray
    referenceToRas: FloatArray
    needleCenterlineRas: FloatArray
    straightTipRas: FloatArray
    """Where the straight continuation of the hub's pose puts the tip: what the navigation shows at best."""
    trueTipRas: FloatArray
    depthInTissueMm: float
    targetRas: FloatArray | None


class SimulatedProcedure:
    """Moves the tools by commands. Times are seconds on one clock of the caller's choice, never going back."""

    def __init__(
        self, phantom: LumbarPhantom, tools: SimulatedTools | None = None, *, seed: int = 0, skill: OperatorSkill | None = None
    ) -> None:
        if phantom.truth.referenceToRas is None:
            raise ValueError("The phantom has no marker plate, so there is no Reference; build it with withPlate=True.")
        self.phantom = phantom
        self.tools = tools or SimulatedTools()
        self.skill = skill or OperatorSkill()
        self.skin = SkinMap(phantom.trunk)
        self._patientToRas = phantom.truth.patientToRas
        self._rasToPatient = inversePose(self._patientToRas)
        self._generator = np.random.default_rng(seed + 500)
        self._probe = _resting(PARK_PROBE)
        self._needle = _resting(PARK_NEEDLE)
        self._stylus = _resting(PARK_STYLUS)
        self._phases: list[tuple[float, str]] = [(0.0, "idle")]
        self._target: FloatArray | None = None
        self._endSec = 0.0
        skill_ = self.skill
        self._probeTremor = HandTremor(seed + 1, 6, skill_.probeDriftMm, 0.06)
        self._needleTremor = HandTremor(seed + 2, 6, skill_.needleDriftMm, 0.03)
        self._stylusTremor = HandTremor(seed + 3, 6, skill_.stylusTremorMm, 0.04)

    # ---- commands -------------------------------------------------------------------------------------------------

    def touchBalls(self, startSec: float, *, dwellSec: float = 1.5, travelSec: float = 0.8, order: Sequence[int] | None = None) -> float:
        """Touch the balls of the plate one after the other with the stylus' tip; returns the time of the end.

        Each ball sits on a post with a divot in which the tip comes to rest at the ball's centre. The order is random unless given.
        """
        count = len(self.phantom.truth.ballsRas)
        sequence = list(order) if order is not None else [int(index) for index in self._generator.permutation(count)]
        if any(not 0 <= index < count for index in sequence):
            raise ValueError(f"The plate has balls 0 to {count - 1}; asked for {sequence}.")
        return self.touchPoints(startSec, self.phantom.truth.ballsRas[sequence], dwellSec=dwellSec, travelSec=travelSec)

    def touchPoints(self, startSec: float, pointsRas: npt.ArrayLike, *, dwellSec: float = 1.5, travelSec: float = 0.8) -> float:
        """Touch points (n, 3) with the stylus, rest ``dwellSec`` on each, then put it away."""
        self._begin(startSec, "touching")
        time = startSec
        motion = KeyframeMotion([time], [self._stylus.poseAt(time)])
        for point in np.atleast_2d(np.asarray(pointsRas, float)):
            lean = self._generator.normal(0.0, 12.0, 2)
            tip = poseFromTurns((((1, 0, 0), float(lean[0])), ((0, 0, 1), float(lean[1]))), (0, 0, 0))
            pose = tip @ PARK_STYLUS
            pose[:3, 3] = mapPoints(self._rasToPatient, point)
            above = pose.copy()
            above[:3, 3] += 28.0 * pose[:3, 2]
            motion.add(time + 0.6 * travelSec, above)
            motion.add(time + travelSec, pose)
            motion.add(time + travelSec + dwellSec, pose)
            time += travelSec + dwellSec
            motion.add(time + 0.25, above)
            time += 0.25
        motion.add(time + travelSec, PARK_STYLUS)
        self._stylus = motion
        return self._end(time + travelSec)

    def sweep(
        self,
        startSec: float,
        *,
        durationSec: float = 8.0,
        fromLevel: str = "L5-S1",
        toLevel: str = "L2-L3",
        lanesMm: Sequence[float] = (-18.0, 0.0, 18.0),
    ) -> float:
        """Sweep the probe over the posterior arches, transverse to the spine, in lanes up and down; returns the time of the end."""
        discs = self.phantom.truth.discs
        for level in (fromLevel, toLevel):
            if level not in discs:
                raise ValueError(f"There is no level {level}; the phantom has {', '.join(discs)}.")
        low, high = (float(mapPoints(self._rasToPatient, discs[level].centerRas)[2]) for level in (fromLevel, toLevel))
        high = min(high, self.phantom.parameters.plateHeightMm - 31.0 - 14.0)  # the plate lies in the way further up
        self._begin(startSec, "sweeping")
        motion = KeyframeMotion([startSec], [self._probe.poseAt(startSec)])
        time = startSec + 1.0
        steps = max(int(durationSec / len(lanesMm) / 0.1), 4)
        dense = KeyframeMotion(even=True)
        for lane, x in enumerate(lanesMm):
            ends = (low, high) if lane % 2 == 0 else (high, low)
            for step in range(steps + 1):
                share = step / steps
                z = ends[0] + share * (ends[1] - ends[0])
                wobble = 5.0 * np.sin(2.0 * np.pi * (share + 0.3 * lane))
                dense.add(time, self.probeOnSkin(x + 3.0 * np.sin(6.0 * share), z, tiltDeg=wobble, leanDeg=-0.35 * x))
                time += durationSec / len(lanesMm) / steps
        motion.add(dense.times[0], dense.poses[0])
        self._probe = _Chain([motion, dense])
        return self._end(dense.endSec)

    def followPath(
        self,
        startSec: float,
        entryRas: npt.ArrayLike,
        targetRas: npt.ArrayLike,
        *,
        approachSec: float = 2.5,
        insertionSec: float = 8.0,
    ) -> float:
        """Bring the probe beside the entry with the path in its plane, set the needle on and push it to the target.

        The operator aims with the needle's straight continuation (that is what the navigation shows), with errors of hand and eye;
        the true tip departs from it as the needle bends. Returns the time of arrival.
        """
        entry, target = (mapPoints(self._rasToPatient, np.asarray(value, float)) for value in (entryRas, targetRas))
        length = float(np.linalg.norm(target - entry))
        if not 10.0 <= length <= self.tools.needleLengthMm:
            raise ValueError(f"The path is {length:.1f} mm long; the needle serves 10 to {self.tools.needleLengthMm:.0f} mm.")
        direction = (target - entry) / length
        self._begin(startSec, "approaching")
        self._target = mapPoints(self._patientToRas, target)
        probe = KeyframeMotion([startSec], [self._probe.poseAt(startSec)])
        probe.add(startSec + 0.8 * approachSec, self._probeBesidePath(entry, direction))
        self._probe = probe
        aim = self._generator.normal(0.0, self.skill.needleErrorMm, 3)
        angles = self._generator.normal(0.0, self.skill.needleAngleErrorDeg, 2)
        needle = KeyframeMotion([startSec], [self._needle.poseAt(startSec)])

        def key(time: float, along: float) -> None:
            done = float(np.clip(along / length, 0.0, 1.0))
            start = np.array([angles[0] * 1.3, angles[1] * 1.3, 0.0])  # off the line at the skin, corrected on the way
            rotation = lookAlong(direction, (0.0, 0.0, 1.0))
            lean = poseFromTurns((((1, 0, 0), float(angles[0] * (1.2 - done))), ((0, 1, 0), float(angles[1] * (1.2 - done)))), (0, 0, 0))
            pose = np.eye(4)
            pose[:3, :3] = rotation @ lean[:3, :3]
            pose[:3, 3] = entry + along * direction + rotation @ ((1.0 - done) * start) + done * aim
            needle.add(time, pose)

        key(startSec + 0.75 * approachSec, -14.0)
        touch = startSec + approachSec
        key(touch, 0.0)
        for share, along in ((0.22, 0.28), (0.34, 0.30), (0.62, 0.72), (0.72, 0.73), (0.94, 0.985), (1.0, 1.0)):
            key(touch + share * insertionSec, along * length)
        self._needle = needle
        self._phases.append((touch, "inserting"))
        self._endSec = touch + insertionSec
        self._phases.append((self._endSec, "atTarget"))
        return self._endSec

    def pivot(
        self, startSec: float, *, tool: str = "Stylus", durationSec: float = 12.0, coneDeg: float = 30.0, bendMm: float = 0.0
    ) -> float:
        """Pivot the stylus or the needle in the divot of ball 0 of the plate; returns the time of the end.

        :param bendMm: how far a thin needle's straight continuation misses the divot at the full cone.
        """
        self._begin(startSec, "calibrating")
        name = self._toolMotion(tool)
        motion = pivotMotion(startSec, getattr(self, name).poseAt(startSec), self._divotPose(tool), durationSec, coneDeg, bendMm)
        setattr(self, name, motion)
        return self._end(motion.endSec)

    def spin(self, startSec: float, *, tool: str = "Needle", durationSec: float = 6.0) -> float:
        """Turn the stylus or the needle about its shaft, its tip in the divot of ball 0; returns the time of the end."""
        self._begin(startSec, "calibrating")
        name = self._toolMotion(tool)
        motion = spinMotion(startSec, getattr(self, name).poseAt(startSec), self._divotPose(tool), durationSec)
        setattr(self, name, motion)
        return self._end(motion.endSec)

    def probeInOut(
        self, startSec: float, *, durationSec: float = 12.0, amplitudeMm: float = 8.0, periodSec: float = 1.6, level: str = "L4-L5"
    ) -> float:
        """Press the probe in and out over the lamina of a level: a motion for temporal calibration; returns the time of the end."""
        if level not in self.phantom.truth.discs:
            raise ValueError(f"There is no level {level}; the phantom has {', '.join(self.phantom.truth.discs)}.")
        self._begin(startSec, "calibrating")
        z = float(mapPoints(self._rasToPatient, self.phantom.truth.discs[level].centerRas)[2])
        motion = inOutMotion(startSec, self._probe.poseAt(startSec), self.probeOnSkin(0.0, z), durationSec, amplitudeMm, periodSec)
        self._probe = motion
        return self._end(motion.endSec)

    def _toolMotion(self, tool: str) -> str:
        if tool not in ("Stylus", "Needle"):
            raise ValueError(f"Only Stylus and Needle can be pivoted, not {tool!r}.")
        return "_stylus" if tool == "Stylus" else "_needle"

    def _divotPose(self, tool: str) -> FloatArray:
        """Tip frame of a tool that stands in the divot of ball 0, the shaft along the plate's outward direction."""
        assert self.phantom.truth.plateToRas is not None
        pose = self._rasToPatient @ self.phantom.truth.plateToRas
        if tool == "Needle":  # +Z of the needle runs from hub to tip, that of the stylus' tip frame from tip to handle
            pose = pose @ poseFromTurns((((1.0, 0.0, 0.0), 180.0),), (0.0, 0.0, 0.0))
        pose[:3, 3] = mapPoints(self._rasToPatient, self.phantom.truth.ballsRas[0])
        return pose

    def park(self, startSec: float, *, travelSec: float = 1.5) -> float:
        """Put all tools away, the needle straight back out of the patient; returns the time of the end."""
        self._begin(startSec, "idle")
        needle = KeyframeMotion([startSec], [self._needle.poseAt(startSec)])
        out = needle.poses[0].copy()
        out[:3, 3] -= 140.0 * out[:3, 2]
        needle.add(startSec + 0.6 * travelSec, out)
        needle.add(startSec + travelSec, PARK_NEEDLE)
        self._needle = needle
        for name, pose in (("_probe", PARK_PROBE), ("_stylus", PARK_STYLUS)):
            motion = KeyframeMotion([startSec], [getattr(self, name).poseAt(startSec)])
            motion.add(startSec + travelSec, pose)
            setattr(self, name, motion)
        self._target = None
        return self._end(startSec + travelSec)

    def _begin(self, startSec: float, phase: str) -> None:
        self._phases = [entry for entry in self._phases if entry[0] < startSec]
        self._phases.append((startSec, phase))

    def _end(self, endSec: float) -> float:
        self._endSec = endSec
        self._phases.append((endSec, "idle"))
        return endSec

    # ---- geometry -------------------------------------------------------------------------------------------------

    def probeOnSkin(self, xMm: float, zMm: float, *, turnDeg: float = 0.0, tiltDeg: float = 0.0, leanDeg: float = 0.0) -> FloatArray:
        """Pose of the *ultrasound* frame in the patient frame, resting on the back.

        :param turnDeg: turn about the depth axis; 0 is transverse, 90 sagittal.
        :param tiltDeg: turn about the image's lateral axis (fanning).
        :param leanDeg: turn in the image plane.
        """
        depth = self.skin.inwardNormal(xMm, zMm)
        lateral = np.cross(depth, (0.0, 0.0, 1.0))
        lateral /= np.linalg.norm(lateral)
        base = poseFromColumns(lateral, depth, np.cross(lateral, depth), (xMm, self.skin.height(xMm, zMm), zMm))
        turns = poseFromTurns((((1, 0, 0), tiltDeg), ((0, 0, 1), leanDeg), ((0, 1, 0), turnDeg)), (0, 0, 0))
        pose = base @ turns
        pose[:3, 3] += PROBE_PRESS_MM * depth
        return pose

    def _probeBesidePath(self, entry: FloatArray, direction: FloatArray) -> FloatArray:
        """The path in the image plane, the face on the skin between entry and midline, looking down."""
        depth = np.array([0.0, 1.0, 0.0])
        lateral = direction - depth * float(direction @ depth)
        if np.linalg.norm(lateral) < 0.05:
            lateral = np.array([-np.sign(entry[0]) or 1.0, 0.0, 0.0])
        lateral /= np.linalg.norm(lateral)
        place = entry + 36.0 * lateral
        place[1] = self.skin.height(float(place[0]), float(place[2])) + PROBE_PRESS_MM
        # the image's columns run to the patient's right, whatever the side of the path
        if lateral[0] < 0:
            lateral = -lateral
        return poseFromColumns(lateral, depth, np.cross(lateral, depth), place)

    # ---- state ----------------------------------------------------------------------------------------------------

    def phase(self, timeSec: float) -> str:
        """Name of the phase at a time."""
        name = "idle"
        for start, entry in self._phases:
            if start <= timeSec:
                name = entry
        return name

    @property
    def endSec(self) -> float:
        """When the motion commanded last ends."""
        return self._endSec

    def state(self, timeSec: float) -> ProcedureState:
        """True poses at a time."""
        probe = self._probe.poseAt(timeSec) @ _shake(self._probeTremor.at(timeSec), 1.2)
        stylus = self._stylus.poseAt(timeSec) @ _shake(self._stylusTremor.at(timeSec), 12.0)
        tip = self._needle.poseAt(timeSec)
        depth = self.skin.depthOf(tip[:3, 3], tip[:3, 2])
        shake = self._needleTremor.at(timeSec)
        shake[:3] *= 1.0 if depth > 0 else 2.5  # tissue steadies the needle
        tip = tip @ _shake(shake, 0.8)
        depth = self.skin.depthOf(tip[:3, 3], tip[:3, 2])
        tipToRas = self._patientToRas @ tip
        line = self.tools.bending.centerline(tipToRas, depth, self.tools.needleLengthMm)
        assert self.phantom.truth.referenceToRas is not None
        return ProcedureState(
            timeSec,
            self.phase(timeSec),
            self._patientToRas @ probe @ inversePose(self.tools.geometry.ultrasoundToProbe),
            tipToRas @ inversePose(self.tools.needleTipToNeedle),
            self._patientToRas @ stylus @ inversePose(self.tools.stylusTipToStylus),
            self.phantom.truth.referenceToRas,
            line,
            tipToRas[:3, 3].copy(),
            line[-1].copy(),
            depth,
            None if self._target is None else self._target.copy(),
        )


class _Chain(KeyframeMotion):
    """Motions one after the other: the last one that has begun counts."""

    def __init__(self, motions: Sequence[KeyframeMotion]) -> None:
        super().__init__()
        self._motions = list(motions)

    def poseAt(self, timeSec: float) -> FloatArray:
        active = self._motions[0]
        for motion in self._motions[1:]:
            if motion.times[0] <= timeSec:
                active = motion
        return active.poseAt(timeSec)


def _resting(pose: FloatArray) -> KeyframeMotion:
    return KeyframeMotion([0.0], [pose])


def _shake(deviation: FloatArray, degPerMm: float) -> FloatArray:
    """Small motion of a tool in its own frame: three shifts (mm) and three turns."""
    angles = deviation[3:] * degPerMm
    return poseFromTurns((((1, 0, 0), float(angles[0])), ((0, 1, 0), float(angles[1])), ((0, 0, 1), float(angles[2]))), deviation[:3])


def turnBetweenDeg(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Angle between the orientations of two poses."""
    return relativeTurn(np.asarray(first, float), np.asarray(second, float))[1]
