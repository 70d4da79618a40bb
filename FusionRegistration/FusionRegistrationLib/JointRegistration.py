"""Bone surface and fiducials together, each weighted by its covariance, with a guard for when they contradict.

Skin markers ride on soft tissue and can be wrong as a whole though they agree with each other; a surface fit can sit on the wrong
level. Averaging two answers of which one is wrong makes a third wrong one, so the joint fit is only trusted when both agree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import BonePoints
from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.PoseRefinement import PosePrior, rotationVectorOf
from FusionRegistrationLib.RigidFit import RigidFit
from FusionRegistrationLib.RigidTransform import invertRigid, transformPoints
from FusionRegistrationLib.SurfaceFit import SurfaceFit, twistJacobian
from FusionRegistrationLib.SurfaceRegistration import SurfaceRegistrationParameters, registerSurface
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

CHI_SQUARED_6_999 = 22.458
"""99.9 % quantile of the chi-squared distribution with six degrees of freedom."""


@dataclasses.dataclass(frozen=True)
class Disagreement:
    """How far the surface fit and the markers are apart.

    shiftMm: at the centre of the scanned bone; turnDeg: rotation between them; atTargetsMm: at named targets.
    chiSquared: squared distance in units of both covariances (6 degrees of freedom); agree: it is what chance explains.
    """

    shiftMm: float
    turnDeg: float
    atTargetsMm: Mapping[str, float]
    chiSquared: float
    agree: bool
    message: str

    def toDict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**dataclasses.asdict(self), "atTargetsMm": dict(self.atTargetsMm)}

    @classmethod
    def fromDict(cls, values: Mapping[str, Any]) -> Disagreement:
        """Inverse of toDict."""
        return cls(**{field.name: values[field.name] for field in dataclasses.fields(cls)})


@dataclasses.dataclass(frozen=True, eq=False)
class JointFit:
    """fit: of both together. surfaceOnly: of the surface alone, searched from the markers. disagreement: between the two sources."""

    fit: SurfaceFit
    surfaceOnly: SurfaceFit
    disagreement: Disagreement

    @property
    def trusted(self) -> bool:
        """Both sources agree and nothing else speaks against the fit."""
        return self.fit.trusted and self.disagreement.agree


def markerPrior(fit: RigidFit, skinShiftMm: float = 1.5) -> PosePrior:
    """A paired-point fit of markers (Reference to RAS) as prior.

    skinShiftMm: standard deviation per axis by which the skin may carry all markers together; it doesn't show in their residuals.
    """
    if skinShiftMm < 0:
        raise ValueError(_("The skin shift is a standard deviation and can't be negative."))
    covariance = np.array(fit.covariance, float)
    covariance[3:, 3:] += skinShiftMm**2 * np.eye(3)
    covariance[:3, :3] += np.radians(0.5) ** 2 * np.eye(3)
    return PosePrior(fit.fromToTo, covariance, fit.centerTo)


def registerJointly(
    points: BonePoints,
    surface: BoneSurface,
    markers: PosePrior,
    *,
    targetsRas: Mapping[str, npt.ArrayLike] | None = None,
    parameters: SurfaceRegistrationParameters | None = None,
) -> JointFit:
    """Fit bone points and markers together, beginning at the markers.

    :raises NoBoneError, SweepTooSmallError: the points can't hold a pose.
    :raises ValueError: the markers' transform isn't rigid.
    """
    chosen = parameters or SurfaceRegistrationParameters()
    alone = registerSurface(points, surface, initialReferenceToRas=markers.referenceToRas, targetsRas=targetsRas, parameters=chosen)
    disagreement = compareRegistrations(alone, markers, targetsRas)
    # The second fit only weighs in the markers: it begins where the first ended and needs no search of its own.
    search = dataclasses.replace(chosen.search, radiusMm=4.0, radiusDeg=4.0, starts=24)
    narrow = dataclasses.replace(chosen, search=search, checkLevels=False)
    joint = registerSurface(
        points, surface, initialReferenceToRas=alone.referenceToRas, prior=markers, targetsRas=targetsRas, parameters=narrow
    )
    doubts = list(joint.doubts)
    doubts += [doubt for doubt in alone.doubts if doubt not in doubts]
    if not disagreement.agree:
        doubts.append(disagreement.message)
    joint = dataclasses.replace(joint, levelCheck=alone.levelCheck, captureCheck=alone.captureCheck, doubts=tuple(doubts))
    return JointFit(joint, alone, disagreement)


def compareRegistrations(surfaceFit: SurfaceFit, markers: PosePrior, targetsRas: Mapping[str, npt.ArrayLike] | None = None) -> Disagreement:
    """Is the difference between the surface fit and the markers what their covariances allow?"""
    place = surfaceFit.centreRas
    between = markers.referenceToRas @ invertRigid(surfaceFit.referenceToRas)
    vector = np.concatenate([rotationVectorOf(between[:3, :3]), transformPoints(between, place[None])[0] - place])
    carry = np.eye(6)
    carry[3:] = twistJacobian(markers.centreRas, place)
    combined = surfaceFit.covariance + carry @ markers.covariance @ carry.T
    chiSquared = float(vector @ np.linalg.solve(combined, vector))
    atTargets = {}
    for name, target in (targetsRas or {}).items():
        point = np.asarray(target, float)
        atTargets[name] = float(np.linalg.norm(transformPoints(between, point[None])[0] - point))
    shift, turn = float(np.linalg.norm(vector[3:])), float(np.degrees(np.linalg.norm(vector[:3])))
    agree = chiSquared <= CHI_SQUARED_6_999
    if agree:
        message = _("Markers and bone surface agree ({shift:.1f} mm, {turn:.1f} deg apart).").format(shift=shift, turn=turn)
    else:
        message = _(
            "Markers and bone surface contradict each other: {shift:.1f} mm and {turn:.1f} deg apart, more than their uncertainties "
            "explain. Check whether a marker or the patient moved, and the level."
        ).format(shift=shift, turn=turn)
    return Disagreement(shift, turn, atTargets, chiSquared, agree, message)
