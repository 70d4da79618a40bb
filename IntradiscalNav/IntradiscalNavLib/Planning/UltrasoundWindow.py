"""In-plane ultrasound: is there a probe plane that holds the whole needle path and has free skin for the probe beside the entry?

The planes that hold a path turn about it. For each, the probe's face lies on the skin along the plane, starting a finger's width from the
entry, on the side the hub leans away from. It must meet skin along its whole face, clear of solids, and not tilt too far off the skin
normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox
from IntradiscalNavLib.Planning.SkinSurface import SkinSurface
from IntradiscalNavLib.Planning.Trajectory import UltrasoundPlane
from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes

FloatArray = npt.NDArray[np.float64]

ROLL_DEG = np.array([0.0, -10.0, 10.0, -20.0, 20.0, -30.0, 30.0])
FACE_SAMPLES = 7
HUB_OVER_PROBE = 0.2
"""Largest cosine between the outward shaft and the direction to the probe: a hub leaning over the probe is in its way."""


@dataclass(frozen=True)
class UltrasoundWindow:
    """The best probe plane of each of n paths (arrays)."""

    feasible: npt.NDArray[np.bool_]
    quality: FloatArray
    tiltDeg: FloatArray
    gapMm: FloatArray
    planeNormal: FloatArray
    probeCenter: FloatArray
    probeDirection: FloatArray

    def plane(self, n: int, axes: AnatomicalAxes, side: str) -> UltrasoundPlane:
        """The plane of path ``n`` as a result object."""
        lateral, superior = self.probeDirection[n] @ axes.right, self.probeDirection[n] @ axes.superior
        lateral = -lateral if side == "left" else lateral
        where = ("lateral" if lateral > 0 else "medial") if abs(lateral) >= abs(superior) else ("cranial" if superior > 0 else "caudal")
        feasible = bool(self.feasible[n])
        return UltrasoundPlane(
            feasible, where if feasible else "", float(self.tiltDeg[n]), float(self.gapMm[n]), self.planeNormal[n], self.probeCenter[n]
        )


def findUltrasoundWindows(
    skin: SkinSurface, entriesRas: FloatArray, targetsRas: FloatArray, parameters: PlanningParameters, keepOuts: Sequence[KeepOutBox] = ()
) -> UltrasoundWindow:
    """Best probe planes for paths entries (n, 3) to targets (n, 3)."""
    count = len(entriesRas)
    path = targetsRas - entriesRas
    path = path / np.linalg.norm(path, axis=1, keepdims=True)
    outward = skin.normalsAt(entriesRas[:, 0], entriesRas[:, 2])
    outward = np.where(np.isnan(outward), np.array([0.0, -1.0, 0.0]), outward)
    base = np.cross(path, outward)
    size = np.linalg.norm(base, axis=1, keepdims=True)
    # A path along the skin normal lies in every plane through it: start from the axial one.
    axial = np.cross(path, np.array([1.0, 0.0, 0.0]))
    base = np.where(size > 1e-3, base / np.maximum(size, 1e-9), axial / np.linalg.norm(axial, axis=1, keepdims=True))
    best = UltrasoundWindow(
        np.zeros(count, bool),
        np.zeros(count),
        np.full(count, np.nan),
        np.full(count, np.nan),
        base.copy(),
        np.full((count, 3), np.nan),
        np.zeros((count, 3)),
    )
    along = parameters.probeGapMm + parameters.probeFootprintMm * np.linspace(0.0, 1.0, FACE_SAMPLES)
    centered = along - along.mean()
    for roll in np.radians(ROLL_DEG):
        normal = base * np.cos(roll) + np.cross(path, base) * np.sin(roll)
        tilt = np.degrees(np.arcsin(np.clip(np.abs((normal * outward).sum(1)), 0.0, 1.0)))
        tangent = np.cross(normal, outward)
        tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
        for sign in (1.0, -1.0):
            direction = sign * tangent
            face = entriesRas[:, None, :] + along[None, :, None] * direction[:, None, :]
            gap = (skin.heightAt(face[..., 0], face[..., 2]) - face[..., 1]) * -outward[:, None, 1]
            slope = (gap * centered).sum(1) / (centered**2).sum()
            residual = np.abs(gap - gap.mean(1, keepdims=True) - slope[:, None] * centered)
            largest = residual.max(1)
            # The face must also be near the skin by leaning along it only moderately (35 deg).
            fits = (largest <= parameters.probeCouplingMm) & (np.abs(slope) <= 0.7) & (tilt <= parameters.probeMaxTiltDeg)
            fits &= (-path * direction).sum(1) <= HUB_OVER_PROBE
            for box in keepOuts:
                touching = box.distanceMm(face).min(1) < 0.5 * parameters.probeWidthMm
                fits &= ~touching
            quality = np.where(fits, 1.0 - 0.5 * tilt / parameters.probeMaxTiltDeg, 0.0)
            better = quality > best.quality
            best.feasible[better] = True
            best.quality[better] = quality[better]
            best.tiltDeg[better] = tilt[better]
            best.gapMm[better] = largest[better]
            best.planeNormal[better] = normal[better]
            best.probeCenter[better] = face[better, FACE_SAMPLES // 2]
            best.probeDirection[better] = direction[better]
    return best
