"""Where the needle is to its plan: every number the operator reads, computed from one pose.

Pure geometry in RAS mm. The needle's convention: origin of NeedleTip at the tip, +Z is the advancing direction (hub to tip).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, checkRigid
from IntradiscalNavLib.Guidance.ImagePlane import ImagePlane, NeedleInPlane, needleInPlane
from IntradiscalNavLib.Guidance.PathFrame import PathFrame, crossProduct, vectorLength
from IntradiscalNavLib.Guidance.StructureClearance import StructureClearance, StructureSet
from IntradiscalNavLib.Guidance.TipUncertainty import TipErrorModel, TipUncertainty, tipUncertainty


@dataclass(frozen=True)
class NeedleShape:
    """Straight needle: length from hub to tip, outer diameter (22 G: 0.72 mm, ISO 9626), and how far behind the tip its sensor sits."""

    lengthMm: float = 150.0
    diameterMm: float = 0.72
    sensorBehindTipMm: float | None = None

    @property
    def leverMm(self) -> float:
        """Distance from the sensor's origin to the tip; the hub where nothing else is known."""
        return self.lengthMm if self.sensorBehindTipMm is None else self.sensorBehindTipMm


@dataclass(frozen=True, eq=False)
class Guidance:
    """Numbers of one pose.

    tipToTargetMm -- distance in space, tip to target.
    targetDepthMm, targetLateralMm -- the same split along and across the planned path; depth is negative once past the target.
    tipToPathMm -- distance to the planned path (the ray from the target out through the entry point and on: it also guides above
    the skin).
    offsetRightMm, offsetUpMm -- across the path, seen from the entry towards the target with patient right to the right.
    depthLeftMm -- how far to push along the needle's own axis until the tip is nearest the target; negative: pull back.
    endPointRas, endPointErrorMm -- where the tip then is, and how far off the target.
    shaftAngleDeg -- between shaft and path. insertedMm -- depth of the tip below the entry point along the path, 0 outside.
    """

    tipRas: FloatArray
    shaftDirectionRas: FloatArray
    hubRas: FloatArray
    tipToTargetMm: float
    targetDepthMm: float
    targetLateralMm: float
    tipToPathMm: float
    offsetRightMm: float
    offsetUpMm: float
    tipToEntryMm: float
    depthFromEntryMm: float
    insertedMm: float
    depthLeftMm: float
    endPointRas: FloatArray
    endPointErrorMm: float
    shaftAngleDeg: float
    inPlane: NeedleInPlane | None
    clearances: tuple[StructureClearance, ...]
    uncertainty: TipUncertainty | None

    @property
    def outOfPlaneMm(self) -> float | None:
        """Signed distance of the tip from the ultrasound plane; None without an image."""
        return None if self.inPlane is None else self.inPlane.outOfPlaneMm

    @property
    def clearancesMm(self) -> dict[str, float]:
        return {clearance.name: clearance.clearanceMm for clearance in self.clearances}


def computeGuidance(
    needleTipToRas: npt.ArrayLike,
    path: PathFrame,
    *,
    needle: NeedleShape | None = None,
    plane: ImagePlane | None = None,
    structures: StructureSet | None = None,
    errorModel: TipErrorModel | None = None,
) -> Guidance:
    """Guidance numbers of one needle pose.

    :param needleTipToRas: rigid 4x4; NeedleTip frame to RAS.
    :param path: planned path (``pathFrame(entryRas, targetRas)``).
    :param plane: live ultrasound plane, or None.
    :param structures: structures at risk with their limits; None when there are none.
    :param errorModel: what is known of the chain's errors; None gives no uncertainty (shown as unknown, never as zero).
    :raises ValueError: when the pose is not rigid (NaN, mirrored, scaled): no number is made from it.
    """
    pose = checkRigid(needleTipToRas, "NeedleTipToRas")
    shape = needle or NeedleShape()
    tip = pose[:3, 3].copy()
    direction = pose[:3, 2] / vectorLength(pose[:3, 2])
    hub = tip - shape.lengthMm * direction

    toTarget = path.targetRas - tip
    tipToTargetMm = vectorLength(toTarget)
    right, down, pastTarget = path.toPath(tip).tolist()
    lateralMm = math.hypot(right, down)
    depthLeftMm = float(toTarget @ direction)
    endPoint = tip + depthLeftMm * direction
    depthFromEntryMm = pastTarget + path.lengthMm
    insertedMm = max(depthFromEntryMm, 0.0)
    along = path.directionRas
    return Guidance(
        tipRas=tip,
        shaftDirectionRas=direction,
        hubRas=hub,
        tipToTargetMm=tipToTargetMm,
        targetDepthMm=-pastTarget,
        targetLateralMm=lateralMm,
        tipToPathMm=tipToTargetMm if pastTarget > 0 else lateralMm,
        offsetRightMm=right,
        offsetUpMm=-down,
        tipToEntryMm=vectorLength(tip - path.entryRas),
        depthFromEntryMm=depthFromEntryMm,
        insertedMm=insertedMm,
        depthLeftMm=depthLeftMm,
        endPointRas=endPoint,
        endPointErrorMm=vectorLength(path.targetRas - endPoint),
        shaftAngleDeg=math.degrees(math.atan2(vectorLength(crossProduct(direction, along)), direction @ along)),
        inPlane=None if plane is None else needleInPlane(plane, tip, direction, shape.lengthMm),
        clearances=()
        if structures is None
        else structures.clearances(tip, direction, shape.lengthMm, shape.diameterMm / 2, endPoint if depthLeftMm > 0 else tip),
        uncertainty=None if errorModel is None else tipUncertainty(tip, direction, tip - shape.leverMm * direction, insertedMm, errorModel),
    )
