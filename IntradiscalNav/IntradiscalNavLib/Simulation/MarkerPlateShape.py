"""The simulated marker plate: a plastic plate with radiopaque balls and the patient's sensor.

Plate frame: x to the patient's right, y to the head, z out of the skin; origin in the centre of the lower face.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np
import numpy.typing as npt

from . import PhantomLabels as Labels
from .ImplicitShape import Field
from .SimulatedPose import FloatArray, inversePose, mapPoints, poseFromColumns, poseFromTurns
from .TrunkShape import TrunkGeometry
from .VoxelPainter import VoxelPainter

BALL_DIAMETER_MM = 5.0
BALL_HU = 2500.0
PLATE_SIZE_MM = (78.0, 62.0, 3.0)
BALLS_IN_PLATE_MM: tuple[tuple[float, float, float], ...] = (
    (-30.0, -26.0, 4.5),
    (29.0, -26.0, 4.5),
    (31.5, 6.5, 8.0),
    (-28.5, 27.0, 4.5),
    (5.0, 23.5, 11.0),
    (-13.0, -10.5, 4.5),
    (13.5, -11.0, 8.0),
)
"""Centres of the seven balls; no two of their 21 distances are closer than 1 mm to each other (tested)."""

SENSOR_TO_PLATE: FloatArray = poseFromTurns((((0.3, -0.5, 0.8), 115.0), ((1.0, 0.0, 0.0), 10.0)), (-6.0, 9.0, 6.0))
"""The sensor is glued on askew, as in life."""


def ballsInSensor() -> FloatArray:
    """Ball centres in the frame of the sensor on the plate (n, 3), mm: what the maker of a plate would state."""
    return mapPoints(inversePose(SENSOR_TO_PLATE), np.array(BALLS_IN_PLATE_MM))


def plateDefinition() -> dict[str, Any]:
    """The marker plate as its maker would state it: ball centres in the sensor's frame, as FusionRegistration reads it."""
    return {
        "format": "IntradiscalNavMarkerPlate",
        "version": 1,
        "name": "Simulated marker plate",
        "description": "Seven balls of 5 mm, asymmetric; the sensor is glued to the plate.",
        "units": "mm",
        "frame": "Reference",
        "ballDiameterMm": BALL_DIAMETER_MM,
        "outward": inversePose(SENSOR_TO_PLATE)[:3, 2].tolist(),
        "balls": [{"name": f"B{n}", "position": ball.tolist()} for n, ball in enumerate(ballsInSensor(), start=1)],
    }


def writePlateDefinition(path: str | pathlib.Path) -> pathlib.Path:
    """Write :func:`plateDefinition` as JSON and return the path."""
    target = pathlib.Path(path)
    target.write_text(json.dumps(plateDefinition(), indent=2) + "\n", encoding="utf-8")
    return target


def plateToPatient(trunk: TrunkGeometry, heightMm: float) -> FloatArray:
    """Lay the plate on the back at a height along the long axis, in the midline, tangential in the sagittal plane, rolled by 1 deg."""
    reach = 0.5 * PLATE_SIZE_MM[1]
    upper, lower = (trunk.skinHeight(24.0, heightMm + sign * reach) for sign in (1.0, -1.0))
    up = np.array([0.0, upper - lower, 2.0 * reach])
    up /= np.linalg.norm(up)
    roll = np.radians(1.0)
    right = np.array([np.cos(roll), 0.0, 0.0]) + np.sin(roll) * np.cross(up, [1.0, 0.0, 0.0])
    right /= np.linalg.norm(right)
    outwards = np.cross(right, up)
    center = np.array([1.5, 0.0, heightMm])
    pose = poseFromColumns(right, up, outwards, center)
    # raise it until it just presses 1 mm into the skin at the highest place below it
    highest = -np.inf
    for px in np.linspace(-0.5, 0.5, 7) * PLATE_SIZE_MM[0]:
        for py in np.linspace(-0.5, 0.5, 5) * PLATE_SIZE_MM[1]:
            place = mapPoints(pose, np.array([px, py, 0.0]))
            skin = np.array([place[0], trunk.skinHeight(float(place[0]), float(place[2])), place[2]])
            highest = max(highest, float((skin - place) @ outwards))
    pose[:3, 3] += (highest - 1.0) * outwards
    return pose


def paintPlate(painter: VoxelPainter, plateToRas: npt.NDArray[np.float64]) -> None:
    """Paint plate and balls."""
    half = np.array(PLATE_SIZE_MM) * 0.5

    def slab(x: Field, y: Field, z: Field) -> Field:
        result: Field = np.maximum(np.maximum(np.abs(x) - half[0], np.abs(y) - half[1]), np.abs(z - half[2]) - half[2]).astype(np.float32)
        return result

    painter.paint(plateToRas, (-half[0] - 2, -half[1] - 2, -2.0), (half[0] + 2, half[1] + 2, 6.0), slab, 110.0, Labels.PLATE, exact=True)
    for center in mapPoints(plateToRas, np.array(BALLS_IN_PLATE_MM)):
        painter.paintSmallBall(center, 0.5 * BALL_DIAMETER_MM, BALL_HU, Labels.BALL)
