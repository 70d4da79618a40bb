"""The plate's box against the simulated plate's own geometry."""

import dataclasses

import numpy as np
import pytest

from FusionRegistrationLib.MarkerPlate import MarkerPlate
from IntradiscalNavLib.Planning.PlateKeepOut import plateKeepOut
from IntradiscalNavLib.Simulation.MarkerPlateShape import BALLS_IN_PLATE_MM, PLATE_SIZE_MM, SENSOR_TO_PLATE, plateDefinition
from IntradiscalNavLib.Simulation.SimulatedPose import mapPoints, poseFromTurns

PLATE_TO_RAS = poseFromTurns((((1.0, 0.0, 0.0), 95.0), ((0.0, 0.3, 1.0), 12.0)), (3.0, -110.0, 20.0))
"""Lies on the back: the plate's z points to posterior."""


@pytest.mark.parametrize("knowsOutward", [True, False])
def test_boxHoldsThePlate(knowsOutward):
    plate = MarkerPlate.fromDict(plateDefinition())
    if not knowsOutward:
        plate = dataclasses.replace(plate, outward=None)
    box = plateKeepOut(plate, PLATE_TO_RAS @ SENSOR_TO_PLATE)
    half = np.array(PLATE_SIZE_MM) / 2
    corners = np.array([[x, y, z] for x in (-half[0], half[0]) for y in (-half[1], half[1]) for z in (0.0, PLATE_SIZE_MM[2])])
    assert box.distanceMm(mapPoints(PLATE_TO_RAS, corners)).max() < 3.0, "an edge at most looks out, and the planner keeps its margin"
    assert box.distanceMm(mapPoints(PLATE_TO_RAS, np.array(BALLS_IN_PLATE_MM))).max() == 0.0
    out, deep, beside = ((0, 0, 24.0), (0, 0, -25.0), (75.0, 0, 0))
    assert box.distanceMm(mapPoints(PLATE_TO_RAS, np.array(out))) == 0.0, "room for the sensor above"
    assert (
        box.distanceMm(mapPoints(PLATE_TO_RAS, np.array(deep))) > 10.0 and box.distanceMm(mapPoints(PLATE_TO_RAS, np.array(beside))) > 20.0
    )
    assert np.linalg.det(box.boxToRas[:3, :3]) == pytest.approx(1.0)
    assert (box.sizeMm < [110.0, 110.0, 50.0]).all()
