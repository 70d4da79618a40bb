"""Measures of many paths at once: angles, clearances per structure, target offset, ultrasound window, probability of violation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.SkinPatch import REACHABLE, classifyEntries
from IntradiscalNavLib.Planning.Trajectory import HardLimit
from IntradiscalNavLib.Planning.TrajectoryAngles import PathAngles, pathAngles
from IntradiscalNavLib.Planning.UltrasoundWindow import UltrasoundWindow, findUltrasoundWindows
from IntradiscalNavLib.Planning.ViolationProbability import ViolationEstimate, estimateViolation

FloatArray = npt.NDArray[np.float64]

SAMPLE_STEP_MM = 0.75


@dataclass(frozen=True)
class PathMeasures:
    """n paths. ``nearestBonePoint`` is where each path comes nearest to bone, ``clearanceMm`` holds the smallest surface distance per
    structure, ``slackMm`` that distance less its hard margin (for bone with the legal contact of a facet target), ``tipNorm`` the tip's
    normalised offset in its target region, ``reason`` why the entry is (not) reachable, ``shaftKeepOutMm`` the distance of the shaft
    outside the body from solids (inf without)."""

    entries: FloatArray
    targets: FloatArray
    angles: PathAngles
    nearestBonePoint: FloatArray
    clearanceMm: Mapping[str, FloatArray]
    slackMm: Mapping[str, FloatArray]
    tipNorm: FloatArray
    reason: npt.NDArray[np.int8]
    shaftKeepOutMm: FloatArray
    ultrasound: UltrasoundWindow | None
    violation: ViolationEstimate | None

    def smallestSlackMm(self) -> FloatArray:
        """Smallest room beyond the hard margins over all structures."""
        result: FloatArray = np.min(np.stack(list(self.slackMm.values())), axis=0)
        return result


def measurePaths(
    context: PlanContext,
    entriesRas: npt.ArrayLike,
    targetsRas: npt.ArrayLike,
    *,
    withUltrasound: bool = True,
    withViolation: bool = True,
    stepMm: float = SAMPLE_STEP_MM,
    draws: int | None = None,
) -> PathMeasures:
    """Measure paths entries (n, 3) to targets (n, 3)."""
    entries, targets = (np.atleast_2d(np.asarray(a, float)) for a in (entriesRas, targetsRas))
    angles = pathAngles(context.axes, entries, targets, context.side)
    samples = max(2, int(np.ceil(float(angles.lengthMm.max()) / stepMm)) + 1)
    share = np.linspace(0.0, 1.0, samples)
    points = entries[:, None, :] + share[None, :, None] * (targets - entries)[:, None, :]
    clearance, slack = {}, {}
    nearestBonePoint = np.full((len(entries), 3), np.nan)
    for name, distanceField in context.field.structures.items():
        distance = distanceField.at(points)
        clearance[name] = distance.min(1).astype(float)
        if name == "bone":
            room = distance - context.field.boneMarginAt(points)
            slack[name] = room.min(1)
            nearestBonePoint = points[np.arange(len(entries)), room.argmin(1)]
        elif name in context.field.marginsMm:
            slack[name] = clearance[name] - context.field.marginsMm[name]
    tipNorm = np.linalg.norm((targets - context.tipCenterRas) @ context.tipMatrix.T, axis=1)
    minDistance = context.parameters.minEntryDistanceMm if context.kind == "disc" else 0.0
    reason = classifyEntries(context.anatomy.skin, context.axes, entries, context.parameters, context.keepOuts, minDistance)
    keepOut = np.full(len(entries), np.inf)
    if context.keepOuts:
        direction = (entries - targets) / angles.lengthMm[:, None]
        outside = np.maximum(context.parameters.needleLengthMm - angles.lengthMm, 0.0)
        shaft = entries[:, None, :] + (np.linspace(0, 1, 12)[None, :] * outside[:, None])[..., None] * direction[:, None, :]
        for box in context.keepOuts:
            np.minimum(keepOut, box.distanceMm(shaft).min(1), out=keepOut)
    ultrasound = (
        findUltrasoundWindows(context.anatomy.skin, entries, targets, context.parameters, context.keepOuts) if withUltrasound else None
    )
    violation = (
        estimateViolation(
            context.field, entries, targets, context.registration, context.parameters, context.tipCenterRas, context.tipMatrix, draws=draws
        )
        if withViolation
        else None
    )
    return PathMeasures(entries, targets, angles, nearestBonePoint, clearance, slack, tipNorm, reason, keepOut, ultrasound, violation)


def hardLimits(context: PlanContext, measures: PathMeasures, n: int) -> tuple[HardLimit, ...]:
    """Every hard limit of path ``n``."""
    p = context.parameters
    low, high = context.inclinationWindowDeg
    limits = []
    for name, slack in measures.slackMm.items():
        value = float(measures.clearanceMm[name][n])
        if name == "bone" and context.facet is not None:
            # Contact is legal at the target joint: the value shown is the room beyond the place-dependent margin.
            limits.append(HardLimit("bone", float(slack[n]), 0.0, "min", "mm"))
        else:
            limits.append(HardLimit(name, value, context.field.marginsMm[name], "min", "mm"))
    limits += [
        HardLimit("length", float(measures.angles.lengthMm[n]), p.maxLengthMm, "max", "mm"),
        HardLimit("inclination, steepest", float(measures.angles.medialInclinationDeg[n]), low, "min", "deg"),
        HardLimit("inclination, flattest", float(measures.angles.medialInclinationDeg[n]), high, "max", "deg"),
        HardLimit("tilt", float(abs(measures.angles.caudalTiltDeg[n])), p.maxTiltDeg, "max", "deg"),
        HardLimit(context.tipLimitName, float(measures.tipNorm[n]), 1.0, "max", "of its half size"),
        HardLimit("entry on reachable skin", float(measures.reason[n] == REACHABLE), 1.0, "min", "yes"),
    ]
    if context.keepOuts:
        limits.append(HardLimit("solids on the skin", float(measures.shaftKeepOutMm[n]), p.keepOutMarginMm, "min", "mm"))
    return tuple(limits)


def legalPaths(context: PlanContext, measures: PathMeasures) -> npt.NDArray[np.bool_]:
    """Which of the n paths meet every hard limit: the same rule as ``hardLimits``, over arrays."""
    p = context.parameters
    low, high = context.inclinationWindowDeg
    legal = measures.smallestSlackMm() >= 0.0
    legal &= measures.angles.lengthMm <= p.maxLengthMm
    legal &= (measures.angles.medialInclinationDeg >= low) & (measures.angles.medialInclinationDeg <= high)
    legal &= np.abs(measures.angles.caudalTiltDeg) <= p.maxTiltDeg
    legal &= (measures.tipNorm <= 1.0) & (measures.reason == REACHABLE)
    if context.keepOuts:
        legal &= measures.shaftKeepOutMm >= p.keepOutMarginMm
    return legal
