"""Motions made for calibrating: pivoting about the tip, spinning about the shaft, and a probe going in and out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .KeyframeMotion import KeyframeMotion
from .SimulatedPose import poseFromTurns

FloatArray = npt.NDArray[np.float64]

KEY_SEC = 0.05


def pivotMotion(
    startSec: float, fromPose: FloatArray, tipPose: FloatArray, durationSec: float, coneDeg: float, bendMm: float = 0.0
) -> KeyframeMotion:
    """A tool whose tip rests in a divot while the hub goes round in a cone that opens and closes, turning about the shaft as well.

    Poses are of the tip frame as the hub sees it. A thin needle gives way sideways: at the full cone the straight continuation of
    the hub misses the divot by ``bendMm``, away from the lean.
    """
    motion = KeyframeMotion([startSec], [fromPose], even=True)
    steps = max(int(durationSec / KEY_SEC), 8)
    for step in range(steps + 1):
        share = step / steps
        lean = coneDeg * abs(np.sin(1.5 * np.pi * share)) ** 0.7
        around = 2.0 * np.pi * 5.0 * share
        axis = (float(np.cos(around)), float(np.sin(around)), 0.0)
        turned = tipPose @ poseFromTurns((((0.0, 0.0, 1.0), 80.0 * np.sin(2.0 * np.pi * share)), (axis, lean)), (0.0, 0.0, 0.0))
        # leaning about the axis moves the hub along axis x shaft; the tip of a bent needle lags behind
        sideways = np.array([axis[1], -axis[0], 0.0])
        turned[:3, 3] += tipPose[:3, :3] @ sideways * bendMm * lean / max(coneDeg, 1e-9)
        motion.add(startSec + 1.0 + share * durationSec, turned)
    return motion


def spinMotion(startSec: float, fromPose: FloatArray, tipPose: FloatArray, durationSec: float) -> KeyframeMotion:
    """A tool turned one and a half times about its shaft (Z of the tip frame), tip at rest."""
    motion = KeyframeMotion([startSec], [fromPose], even=True)
    steps = max(int(durationSec / KEY_SEC), 8)
    for step in range(steps + 1):
        share = step / steps
        turn = poseFromTurns((((0.0, 0.0, 1.0), 540.0 * share),), (0.0, 0.0, 0.0))
        motion.add(startSec + 1.0 + share * durationSec, tipPose @ turn)
    return motion


def inOutMotion(
    startSec: float, fromPose: FloatArray, restPose: FloatArray, durationSec: float, amplitudeMm: float, periodSec: float
) -> KeyframeMotion:
    """A probe that goes towards the bone and back along its depth axis (Y of the ultrasound frame), as for a temporal calibration.

    The rhythm wavers by 10 %, as a hand's does; from the skin inwards, so that contact is kept.
    """
    motion = KeyframeMotion([startSec], [fromPose], even=True)
    steps = max(int(durationSec / KEY_SEC), 8)
    phase = 0.0
    for step in range(steps + 1):
        time = step / steps * durationSec
        pose = restPose.copy()
        pose[:3, 3] += restPose[:3, 1] * 0.5 * amplitudeMm * (1.0 - np.cos(phase))
        motion.add(startSec + 1.0 + time, pose)
        phase += 2.0 * np.pi / periodSec * (1.0 + 0.1 * np.sin(1.3 * time)) * durationSec / steps
    return motion
