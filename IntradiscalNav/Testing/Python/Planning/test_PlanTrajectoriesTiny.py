"""Plans on the analytic spine: legality against dense sampling of the drawn shapes, limits, diversity, infeasibility."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from IntradiscalNavLib.Planning.PathEvaluation import evaluateTrajectory
from IntradiscalNavLib.Planning.PlanContext import preparePlan
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters, priorInclinationDeg
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox
from IntradiscalNavLib.Planning.TrajectoryAngles import pathAngles
from IntradiscalNavLib.Planning.TrajectoryChoice import paretoFront
from IntradiscalNavLib.Planning.TrajectoryScore import rankValue

FAST = PlanningParameters(minEntries=4000)


@pytest.fixture(scope="module")
def plan(makeAnatomy):
    return planTrajectories(makeAnatomy(), "L4-L5", "left", FAST)


def dense(trajectory, stepMm=0.1):
    count = int(np.ceil(trajectory.lengthMm / stepMm)) + 1
    return trajectory.entryRas + np.linspace(0, 1, count)[:, None] * (trajectory.targetRas - trajectory.entryRas)


def test_fullSearchIsAsLargeAsStated(makeAnatomy):
    full = planTrajectories(makeAnatomy(), "L4-L5", "left")
    assert len(full.searches["left"].entries) >= 20000
    assert len(full.contexts["left"].targets) == 27
    assert full.candidateCount == 27 * len(full.searches["left"].entries)
    assert full.legalCount > 0


def test_noOfferedPathCrossesWhatItMustNot(plan, tinySpine, makeAnatomy):
    anatomy = makeAnatomy()
    assert len(plan.best) >= 3
    for path in plan.best:
        points = dense(path)
        labels = tinySpine.labelsAt(points)
        assert (labels == 0).all(), path.name
        for nerve in anatomy.nerves:
            margin = FAST.rootMarginMm if nerve.kind == "root" else FAST.duraMarginMm
            assert nerve.distanceMm(points).min() >= margin - 0.35, (path.name, nerve.name)
        assert path.legal
        assert path.rechecked
        assert all(limit.met for limit in path.hardLimits)


def test_offeredPathsEndInTheNucleusAndStartOnTheSkin(plan, makeAnatomy, tinySpine):
    disc = makeAnatomy().disc("L4-L5")
    for path in plan.best:
        assert np.linalg.norm(disc.nucleusCoordinates(path.targetRas)) <= 1
        assert path.entryRas[1] == pytest.approx(-tinySpine.skinDepthMm, abs=1.0)
        assert path.entryRas[0] < 0
        assert path.lengthMm <= FAST.maxLengthMm
        assert FAST.minInclinationDeg <= path.medialInclinationDeg <= FAST.maxInclinationDeg
        # On flat skin along the skin and straight are the same.
        assert path.entryDistanceAlongSkinMm == pytest.approx(path.entryDistanceStraightMm, abs=1.0)
        again = pathAngles(disc.axes, path.entryRas, path.targetRas)
        assert again.medialInclinationDeg == pytest.approx(path.medialInclinationDeg)
        assert again.caudalTiltDeg == pytest.approx(path.caudalTiltDeg)


def test_reportedClearancesAgreeWithTheDrawnShapes(plan, tinySpine):
    grid = np.stack(np.meshgrid(*[np.arange(-8, 8.01, 0.5)] * 3, indexing="ij"), -1).reshape(-1, 3)
    for path in plan.best[:1]:
        points = dense(path, 2.0)
        near = points[:, None, :] + grid[None]
        inBone = np.isin(tinySpine.labelsAt(near), (1, 2, 3, 4, 5, 6))
        distance = np.where(inBone, np.linalg.norm(grid, axis=1)[None], np.inf).min()
        # 2 mm voxels, boxes drawn by their centres: the surface is known to half a voxel.
        assert path.clearancesMm["bone"] == pytest.approx(distance, abs=1.5)


def test_offeredPathsReallyDiffer(plan):
    for n, a in enumerate(plan.best):
        for b in plan.best[:n]:
            apart = np.linalg.norm(a.entryRas - b.entryRas)
            angle = np.degrees(np.arccos(np.clip(a.directionRas @ b.directionRas, -1, 1)))
            assert apart >= FAST.minEntrySeparationMm or angle >= FAST.minAngleSeparationDeg
    ranks = [float(rankValue(path.score, path.violationProbability, FAST.maxViolation)) for path in plan.best]
    assert ranks == sorted(ranks, reverse=True)
    assert plan.best[0].name == "best"
    assert all(path.limitedBy for path in plan.best)


def test_leftAndRightOfASymmetricSpineMirror(makeAnatomy, plan):
    right = planTrajectories(makeAnatomy(), "L4-L5", "right", FAST)
    assert right.best[0].score == pytest.approx(plan.best[0].score, abs=0.06)
    assert right.best[0].medialInclinationDeg == pytest.approx(plan.best[0].medialInclinationDeg, abs=6)
    both = planTrajectories(makeAnatomy(), "L4-L5", "both", FAST)
    assert {path.side for path in both.best} == {"left", "right"}


def test_evaluationOfADraggedPathAgreesWithThePlan(plan):
    context = plan.contexts["left"]
    for path in plan.best:
        again = evaluateTrajectory(context, path.entryRas, path.targetRas, draws=FAST.violationDraws)
        assert again.legal
        assert again.score == pytest.approx(path.score, abs=0.02)
        assert again.clearancesMm["bone"] == pytest.approx(path.clearancesMm["bone"], abs=0.3)
    through = evaluateTrajectory(context, [0.0, -76.0, 30.0], [0.0, 0.0, 30.0])
    assert not through.legal
    failing = {limit.name for limit in through.failing}
    assert {"bone", "dura", "inclination, steepest"} <= failing
    with pytest.raises(ValueError, match="coincide"):
        evaluateTrajectory(context, [0, 0, 19], [0, 0, 19])
    with pytest.raises(ValueError, match="finite"):
        evaluateTrajectory(context, [np.nan, 0, 19], [0, 0, 19])


def test_markerPlateIsAvoidedByEntryAndShaft(makeAnatomy, plan):
    box = np.eye(4)
    box[:3, 3] = plan.best[0].entryRas
    plate = KeepOutBox("marker plate", box, np.array([30.0, 20.0, 30.0]))
    around = planTrajectories(makeAnatomy(), "L4-L5", "left", FAST, keepOuts=[plate])
    assert around.best
    for path in around.best:
        outside = path.entryRas - np.linspace(0, FAST.needleLengthMm - path.lengthMm, 50)[:, None] * path.directionRas
        assert plate.distanceMm(outside).min() >= FAST.keepOutMarginMm - 0.5


def test_herniaSideDrawsTheTarget(makeAnatomy):
    anatomy = makeAnatomy()
    toLeft = planTrajectories(anatomy, "L4-L5", "left", replace(FAST, herniaSide="left", weightHerniaSide=8.0)).best[0]
    toRight = planTrajectories(anatomy, "L4-L5", "left", replace(FAST, herniaSide="right", weightHerniaSide=8.0)).best[0]
    assert toLeft.targetRas[0] < toRight.targetRas[0]
    assert toLeft.scoreTerms["herniaSide"] > 0.6


def test_tooShortNeedleIsSaidAndTheNeededLengthGiven(makeAnatomy):
    short = planTrajectories(makeAnatomy(), "L4-L5", "left", replace(FAST, needleLengthMm=100.0))
    assert not short.feasible
    reason = short.infeasible["left"]
    assert "length" in reason.variants
    path = reason.variants["length"]
    assert [limit.name for limit in path.failing] == ["length"]
    assert 0 < reason.singleLimit["length"] < 25
    needed = path.lengthMm + FAST.hubReserveMm
    longer = planTrajectories(makeAnatomy(), "L4-L5", "left", replace(FAST, needleLengthMm=needed + 3.0))
    assert longer.feasible, "the needle named as long enough must be"
    assert "needle of" in reason.sentence


def test_highCrestNarrowsAndThenBlocksTheWay(makeAnatomy, tinySpine):
    blocked = planTrajectories(makeAnatomy(crestTopMm=90.0), "L5-S1", "left", replace(FAST, minInclinationDeg=35.0))
    low = planTrajectories(makeAnatomy(), "L5-S1", "left", replace(FAST, minInclinationDeg=35.0))
    assert low.feasible
    assert blocked.legalCount < 0.7 * low.legalCount
    assert blocked.best
    crest = replace(tinySpine, crestTopMm=90.0)
    for path in blocked.best:
        assert (crest.labelsAt(dense(path)) == 0).all()
    wall = planTrajectories(makeAnatomy(crestTopMm=90.0), "L5-S1", "left", replace(FAST, minInclinationDeg=55.0))
    assert not wall.feasible
    assert "bone" in wall.infeasible["left"].variants or "inclination, steepest" in wall.infeasible["left"].variants
    assert wall.infeasible["left"].nearest is not None
    assert not wall.infeasible["left"].nearest.legal


def test_targetDeeperThanTheNeedleIsAnError(makeAnatomy):
    with pytest.raises(ValueError, match="Use a longer needle"):
        preparePlan(makeAnatomy(), "L4-L5", "left", replace(FAST, needleLengthMm=60.0))


def test_wrongArgumentsAreNamed(makeAnatomy):
    with pytest.raises(ValueError, match="'left', 'right' or 'both'"):
        planTrajectories(makeAnatomy(), "L4-L5", "middle")
    with pytest.raises(ValueError, match=r"L1-L2 cannot be planned.*Levels that can: L3-L4, L4-L5, L5-S1"):
        planTrajectories(makeAnatomy(), "L1-L2", "left")
    with pytest.raises(ValueError, match="Kind"):
        planTrajectories(makeAnatomy(), "L4-L5", "left", kind="other")


def test_deeperDiscsAreApproachedMoreSteeply(makeAnatomy):
    assert priorInclinationDeg("L4-L5", 71.8, FAST) == pytest.approx(47.0, abs=0.1)
    priors = [priorInclinationDeg("L4-L5", depth, FAST) for depth in (60, 72, 90, 110)]
    assert priors == sorted(priors, reverse=True)
    fixedAngle = replace(FAST, depthExponent=1.0)
    assert priorInclinationDeg("L4-L5", 110, fixedAngle) == pytest.approx(47.0, abs=0.1)
    fixedEntry = replace(FAST, depthExponent=0.0)
    assert priorInclinationDeg("L4-L5", 110, fixedEntry) == pytest.approx(np.degrees(np.arctan(77 / 110)), abs=0.1)


def test_facetPathTouchesItsOwnJointOnly(makeAnatomy, tinySpine):
    plan = planTrajectories(makeAnatomy(), "L4-L5", "left", FAST, kind="facet")
    assert plan.best
    facet = makeAnatomy().facet("L4-L5", "left")
    for path in plan.best:
        assert np.linalg.norm(path.targetRas - facet.capsuleTargetRas) <= 4.0
        points = dense(path)
        inside = np.isin(tinySpine.labelsAt(points), (1, 2, 3, 4, 5, 6))
        far = np.linalg.norm(points - facet.capsuleTargetRas, axis=1) > FAST.facetContactRadiusMm
        assert not (inside & far).any()
        assert inside.sum() * 0.1 <= FAST.facetContactDepthMm + 2.5
    assert plan.best[0].violationProbability < 0.3


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 25), st.integers(1, 4)), elements=st.integers(0, 4).map(float)))
def test_paretoFrontFollowsItsDefinition(objectives):
    front = paretoFront(objectives)
    assert front.any()
    for n in range(len(objectives)):
        dominated = any((objectives[m] >= objectives[n]).all() and (objectives[m] > objectives[n]).any() for m in range(len(objectives)))
        assert front[n] == (not dominated)


def test_parametersSayUnitAndSource():
    rows = PlanningParameters.describe()
    assert all(row["unit"] and row["source"] and row["meaning"] for row in rows)
    changed = replace(PlanningParameters(), rootMarginMm=4.0, herniaSide="left")
    assert PlanningParameters.fromDict(changed.toDict()) == changed
    with pytest.raises(ValueError, match="Unknown planning parameters: nonsense"):
        PlanningParameters.fromDict({"nonsense": 1})
    with pytest.raises(ValueError, match="hubReserveMm"):
        PlanningParameters(needleLengthMm=10.0)
    with pytest.raises(ValueError, match="herniaSide"):
        PlanningParameters(herniaSide="up")


def test_skinUnknownOverTheMidlineStillGivesAPlan(makeAnatomy):
    anatomy = makeAnatomy()
    height = anatomy.skin.anteriorMm.copy()
    height[:, np.abs(anatomy.skin.rightMm) < 30] = np.nan
    cut = replace(anatomy, skin=replace(anatomy.skin, anteriorMm=height))
    plan = planTrajectories(cut, "L4-L5", "left", FAST)
    assert plan.contexts["left"].depthMm == pytest.approx(76, abs=2)
    assert plan.best
    assert np.isfinite([path.score for path in plan.best]).all()
    assert all(np.isnan(path.entryDistanceAlongSkinMm) for path in plan.best), "the skin between is unknown, and said to be"
    assert all(path.entryRas[0] < -30 for path in plan.best)


def test_likelyViolationCountsAgainstTheScore():
    assert rankValue(0.6, 0.3, 0.5) == pytest.approx(0.6)
    assert rankValue(0.6, 0.9, 0.5) == pytest.approx(0.2)
    assert rankValue(0.5, 0.5, 0.5) > rankValue(0.6, 0.8, 0.5)
