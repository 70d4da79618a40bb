"""Plans as JSON, CSV, polydata and views."""

import csv
import io
import json

import numpy as np
import pytest

from IntradiscalNavLib.Planning.FeasibilityMap import feasibilityMap
from IntradiscalNavLib.Planning.PathViews import pathViews
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanSerialization import (
    planToDict,
    planToJson,
    trajectoriesFromJson,
    trajectoriesToCsv,
    trajectoryFromDict,
    trajectoryToDict,
)
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories

FAST = PlanningParameters(minEntries=3000)


@pytest.fixture(scope="module")
def plan(makeAnatomy):
    return planTrajectories(makeAnatomy(), "L4-L5", "left", FAST)


def test_jsonComesBackTheSame(plan):
    text = planToJson(plan, FAST)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    again = trajectoriesFromJson(text)
    assert len(again) == len(plan.best)
    for a, b in zip(plan.best, again):
        assert np.allclose(a.entryRas, b.entryRas, atol=1e-5)
        assert a.legal == b.legal
        assert a.hardLimits[0].name == b.hardLimits[0].name
        assert trajectoryToDict(a) == trajectoryToDict(b)
    assert PlanningParameters.fromDict(json.loads(text)["parameters"]) == FAST


def test_wrongJsonIsRefused(plan):
    with pytest.raises(ValueError, match="not readable JSON"):
        trajectoriesFromJson("{")
    with pytest.raises(ValueError, match="not a plan"):
        trajectoriesFromJson("[]")
    later = {**planToDict(plan, FAST), "version": 99}
    with pytest.raises(ValueError, match="later version"):
        trajectoriesFromJson(json.dumps(later))
    broken = trajectoryToDict(plan.best[0])
    del broken["entryRas"]
    with pytest.raises(ValueError, match="entryRas"):
        trajectoryFromDict(broken)


def test_infeasiblePlansCarryTheirReasons(makeAnatomy):
    from dataclasses import replace

    short = replace(FAST, needleLengthMm=100.0)
    values = planToDict(planTrajectories(makeAnatomy(), "L4-L5", "left", short), short)
    assert not values["feasible"]
    assert values["infeasible"]["left"]["variants"]["length"]["lengthMm"] > 85
    json.dumps(values, allow_nan=False)


def test_csvHoldsOnePathPerLine(plan):
    rows = list(csv.DictReader(io.StringIO(trajectoriesToCsv(plan.best))))
    assert len(rows) == len(plan.best)
    assert float(rows[0]["medialInclinationDeg"]) == pytest.approx(plan.best[0].medialInclinationDeg, abs=0.01)
    assert rows[0]["kidneyClearanceMm"] == ""
    assert float(rows[0]["boneClearanceMm"]) == pytest.approx(plan.best[0].clearancesMm["bone"], abs=0.01)


def test_feasibilityMapAgreesWithTheSearch(plan):
    context, search = plan.contexts["left"], plan.searches["left"]
    skinMap = feasibilityMap(context, search)
    assert int(skinMap.legalTargets.sum()) == plan.legalCount
    poly = skinMap.toPolyData()
    known = ~np.isnan(skinMap.pointsRas).any(-1)
    assert poly.GetNumberOfPoints() == int(known.sum())
    assert poly.GetNumberOfPolys() > 0.9 * poly.GetNumberOfPoints()
    scores = poly.GetPointData().GetArray("BestScore")
    assert scores.GetRange()[1] == pytest.approx(float(search.bestScore.max()))
    # The best offered path starts at a node whose score bound is no less than its score.
    best = plan.best[0]
    node = np.nanargmin(np.linalg.norm(skinMap.pointsRas - best.entryRas, axis=-1))
    assert skinMap.bestScore.ravel()[node] >= best.score - 1e-4


def test_viewsHoldThePath(plan):
    path = plan.best[0]
    axes = plan.contexts["left"].axes
    along, across, down = pathViews(path, axes)
    for view in (along, across, down):
        rotation = view.sliceToRas[:3, :3]
        assert np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-9)
        assert np.linalg.det(rotation) == pytest.approx(1.0)
    for view in (along, across):
        normal = view.sliceToRas[:3, 2]
        for point in (path.entryRas, path.targetRas):
            assert abs((point - view.sliceToRas[:3, 3]) @ normal) < 1e-6
    assert abs(along.sliceToRas[:3, 2] @ axes.superior) >= np.cos(np.radians(abs(path.caudalTiltDeg) + 1))
    assert abs(down.sliceToRas[:3, 2] @ path.directionRas) == pytest.approx(1.0)
    # Looking from the hub: the viewer's z points back to the entry.
    assert down.sliceToRas[:3, 2] @ path.directionRas < 0
    # Radiological convention along: the patient's right is on the picture's left, anterior on top.
    left = along.pixel(path.targetRas - 20 * axes.right, 400, 400)
    right = along.pixel(path.targetRas + 20 * axes.right, 400, 400)
    assert right[0] < left[0]
    assert along.pixel(path.targetRas + 20 * axes.anterior, 400, 400)[1] < along.pixel(path.targetRas, 400, 400)[1]
    width, height = 200, 160
    points = along.points(width, height)
    assert points.shape == (height, width, 3)
    column, row = along.pixel(points[30, 50], width, height)
    assert (column, row) == (pytest.approx(50), pytest.approx(30))
