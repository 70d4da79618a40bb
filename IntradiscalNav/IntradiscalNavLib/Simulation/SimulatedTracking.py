"""An electromagnetic tracker: where it stands, its noise, the distortion of its field, and the patient's breathing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .SimulatedPose import inversePose, poseFromTurns, quaternionFromAxisAngle, rotationFromQuaternion

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrackingNoise:
    """White noise of a pose: standard deviation per axis of position and per component of the rotation vector.

    Published jitter of such trackers is 0.08-0.14 mm (Hummel 2005).
    """

    positionMm: float = 0.12
    angleDeg: float = 0.05


@dataclass(frozen=True)
class FieldDistortion:
    """Metal near the field: displacements that grow towards the table and the gantry.

    A smooth displacement field with its matching rotation: not a rigid error, so no registration takes it away.
    ``strengthMm`` is about the largest displacement on the back of the patient; 0 switches it off.
    """

    strengthMm: float = 0.0
    tableTopMm: float = 90.0
    """y (patient frame) of the table, which holds metal at its edges."""
    gantryMm: float = 260.0
    """z (patient frame) of the gantry's front."""
    reachMm: float = 130.0

    def displacement(self, patientPoints: npt.ArrayLike) -> FloatArray:
        """Displacement (n, 3), mm, at points (n, 3), both in the patient frame."""
        points = np.atleast_2d(np.asarray(patientPoints, float))
        table = np.exp(-np.clip(self.tableTopMm - points[:, 1], 0.0, None) / self.reachMm)
        gantry = np.exp(-np.clip(self.gantryMm - points[:, 2], 0.0, None) / self.reachMm)
        side = np.sin(points[:, 0] / 75.0)
        return self.strengthMm * np.stack(
            [
                1.6 * table * side + 0.5 * gantry * np.cos(points[:, 2] / 60.0),
                -1.2 * table - 0.9 * gantry * side,
                2.1 * gantry * gantry - 0.8 * table * np.cos(points[:, 0] / 90.0),
            ],
            axis=1,
        )

    def apply(self, toolToPatient: npt.ArrayLike) -> FloatArray:
        """The pose as the disturbed tracker sees it: shifted by the displacement and turned by half its curl."""
        pose = np.array(toolToPatient, float)
        if self.strengthMm == 0.0:
            return pose
        step = 4.0
        origin = pose[:3, 3]
        around = np.concatenate([origin + step * np.eye(3), origin - step * np.eye(3), origin[None]])
        field_ = self.displacement(around)
        jacobian = (field_[:3] - field_[3:6]).T / (2.0 * step)  # column a holds the change along axis a
        curl = np.array([jacobian[2, 1] - jacobian[1, 2], jacobian[0, 2] - jacobian[2, 0], jacobian[1, 0] - jacobian[0, 1]])
        angleDeg = float(np.degrees(np.linalg.norm(curl)) / 2.0)
        result = np.eye(4)
        result[:3, :3] = rotationFromQuaternion(quaternionFromAxisAngle(tuple(curl), angleDeg)) @ pose[:3, :3]
        result[:3, 3] = origin + field_[6]
        return result


@dataclass(frozen=True)
class Breathing:
    """Breathing of the prone patient: the back rises; the spine follows the plate on the skin but for a share."""

    amplitudeMm: float = 0.0
    """Rise of the back from expiration to inspiration."""
    periodSec: float = 4.0
    skinShare: float = 0.2
    """Share of the motion that the skin (and the plate) does beyond the spine."""

    def rise(self, timeSec: float) -> float:
        """Rise of the spine at a time, mm: expiration is the longer rest."""
        return self.amplitudeMm * float(np.sin(np.pi * timeSec / self.periodSec) ** 4)


@dataclass
class SimulatedTracker:
    """Turns true poses (tool to RAS of the CT) into what the tracker reports.

    :param trackerToPatient: where the field generator stands, beside the patient and askew: the truth.
    """

    patientToRas: FloatArray
    noise: TrackingNoise = field(default_factory=TrackingNoise)
    distortion: FieldDistortion = field(default_factory=FieldDistortion)
    breathing: Breathing = field(default_factory=Breathing)
    seed: int = 0
    trackerToPatient: FloatArray = field(
        default_factory=lambda: poseFromTurns(
            (((1.0, 0.0, 0.0), 90.0), ((0.0, 1.0, 0.0), 24.0), ((0.0, 0.0, 1.0), -63.0)), (-265.0, -118.0, 37.0)
        )
    )

    def __post_init__(self) -> None:
        self._generator = np.random.default_rng(self.seed)
        self._rasToPatient = inversePose(self.patientToRas)
        self._patientToTracker = inversePose(self.trackerToPatient)

    @property
    def rasToTracker(self) -> FloatArray:
        """True pose of the CT's RAS frame in the tracker frame, patient at rest."""
        return self._patientToTracker @ self._rasToPatient

    def toolToTracker(self, toolToRas: npt.ArrayLike, timeSec: float = 0.0, *, onSkin: bool = False) -> FloatArray:
        """Reported pose of a tool that truly is at ``toolToRas``, relative to the spine as the CT shows it.

        :param onSkin: the tool (the plate) rides on the skin and moves a little more than the spine.
        """
        pose = self._rasToPatient @ np.asarray(toolToRas, float)
        rise = self.breathing.rise(timeSec)
        if rise:
            pose[1, 3] -= rise * (1.0 + (self.breathing.skinShare if onSkin else 0.0))  # posterior is -y
        pose = self.distortion.apply(pose)
        reported = self._patientToTracker @ pose
        return self._noisy(reported)

    def _noisy(self, pose: FloatArray) -> FloatArray:
        if self.noise.positionMm == 0.0 and self.noise.angleDeg == 0.0:
            return pose
        axis = self._generator.standard_normal(3)
        angle = self.noise.angleDeg * float(np.linalg.norm(axis))
        result = pose.copy()
        result[:3, :3] = rotationFromQuaternion(quaternionFromAxisAngle(tuple(axis), angle)) @ pose[:3, :3]
        result[:3, 3] += self.noise.positionMm * self._generator.standard_normal(3)
        return result
