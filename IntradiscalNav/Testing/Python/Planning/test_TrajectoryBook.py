"""The operator's paths, their lights, the bone they come nearest to, and the level's evidence."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from IntradiscalNavLib.Planning.LevelEvidence import levelEvidence
from IntradiscalNavLib.Planning.NearestBone import nearestBone
from IntradiscalNavLib.Planning.PathEvaluation import evaluateTrajectory
from IntradiscalNavLib.Planning.PlanContext import preparePlan
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.Trajectory import HardLimit, Trajectory
from IntradiscalNavLib.Planning.TrajectoryBook import OFFERED, OWN, TrajectoryBook
from IntradiscalNavLib.Planning.TrajectoryStatus import TrajectoryStatus, statusOf, statusOfLimit

PATH = Trajectory(
    "best", "disc", "L4-L5", "left", np.array([-70.0, -70, 0]), np.zeros(3), 45.0, 0.0, 70.0, 71.0, 99.0, {"bone": 3.0},
    (HardLimit("bone", 3.0, 0.5, "min", "mm"), HardLimit("length", 99.0, 135.0, "max", "mm")), 0.7, {}, 0.1,
)  # fmt: skip


def moved(x):
    return replace(PATH, entryRas=np.array([x, -70.0, 0.0]))


def test_dragIsOneStepAndKeepsTheName():
    book = TrajectoryBook([PATH])
    for x in (-71.0, -72.0, -73.0):
        book.drag(1, replace(moved(x), name=""))
    book.endDrag()
    assert book.entry(1).trajectory.entryRas[0] == -73.0
    assert book.entry(1).name == "best"
    assert book.undo()
    assert book.entry(1).trajectory.entryRas[0] == -70.0
    assert not book.canUndo
    assert book.redo()
    assert book.entry(1).trajectory.entryRas[0] == -73.0


def test_lockNameDuplicateRemove():
    book = TrajectoryBook([PATH, PATH])
    assert [e.name for e in book.entries] == ["best", "best 2"]
    book.setLocked(1, True)
    with pytest.raises(ValueError, match="'best' is locked and cannot be moved"):
        book.drag(1, moved(-80))
    with pytest.raises(ValueError, match="removed"):
        book.remove(1)
    copy = book.duplicate(1)
    assert book.entry(copy).name == "best copy"
    assert not book.entry(copy).locked
    with pytest.raises(ValueError, match="already"):
        book.rename(copy, "best")
    with pytest.raises(ValueError, match="needs a name"):
        book.rename(copy, "  ")
    book.rename(copy, "mine")
    book.remove(2)
    assert [e.name for e in book.entries] == ["best", "mine"]
    with pytest.raises(ValueError, match="no path number 2"):
        book.entry(2)
    assert [row["name"] for row in book.compare([copy])] == ["mine"]
    assert book.compare()[0]["boneClearanceMm"] == 3.0


def test_savedBookComesBack():
    book = TrajectoryBook([PATH])
    book.duplicate(1)
    book.setLocked(2, True)
    again = TrajectoryBook.fromDict(json.loads(json.dumps(book.toDict())))
    assert [(e.number, e.name, e.locked) for e in again.entries] == [(1, "best", False), (2, "best copy", True)]
    assert again.add(PATH) == 3
    twice = book.toDict()
    twice["entries"].append(twice["entries"][0])
    with pytest.raises(ValueError, match="twice"):
        TrajectoryBook.fromDict(twice)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["add", "duplicate", "remove", "lock", "drag", "rename"]), max_size=25))
def test_undoingEverythingLeadsBackAndRedoingForward(actions):
    book = TrajectoryBook([PATH])
    start = book.toDict()
    for n, action in enumerate(actions):
        number = book.entries[0].number if book.entries else 0
        if action == "add" or not number:
            book.add(PATH)
        elif action == "duplicate":
            book.duplicate(number)
        elif action == "lock":
            book.setLocked(number, not book.entry(number).locked)
        elif action == "rename":
            book.rename(number, f"name {n}")
        elif not book.entry(number).locked:
            if action == "remove":
                book.remove(number)
            else:
                book.drag(number, moved(-60.0 - n))
                book.endDrag()
    end = book.toDict()
    while book.undo():
        pass
    assert book.toDict() == start
    while book.redo():
        pass
    assert book.toDict() == end


def test_lightsFollowTheLimits():
    assert statusOf(PATH) is TrajectoryStatus.GOOD
    assert statusOf(replace(PATH, violationProbability=0.6)) is TrajectoryStatus.TIGHT
    tight = HardLimit("bone", 0.7, 0.5, "min", "mm")
    assert statusOfLimit(tight) is TrajectoryStatus.TIGHT
    assert statusOf(replace(PATH, hardLimits=(tight,))) is TrajectoryStatus.TIGHT
    failing = HardLimit("length", 140.0, 135.0, "max", "mm")
    assert statusOf(replace(PATH, hardLimits=(failing, tight))) is TrajectoryStatus.ILLEGAL
    assert "fails by 5.0 mm" in failing.sentence()
    assert "fails by 0.02 mm" in HardLimit("bone", 0.48, 0.5, "min", "mm").sentence()


def test_nearestBoneIsNamed(makeAnatomy):
    anatomy = makeAnatomy()
    disc = anatomy.disc("L4-L5")
    # L5's superior process: 11..19 mm lateral, A -31..-25, up to S 27; L4's inferior: A -40..-33, down to S 12.
    assert nearestBone(anatomy, disc, [-21.0, -27.0, 17.0]) == "L5 superior articular process"
    assert nearestBone(anatomy, disc, [-21.0, -37.0, 17.0]) == "L4 inferior articular process"
    assert nearestBone(anatomy, disc, [0.0, 0.0, 21.0]) == "L4 body"
    assert nearestBone(anatomy, disc, [-48.0, -20.0, -50.0]) == "left ilium"
    assert nearestBone(anatomy, disc, [-60.0, -60.0, 60.0]) == ""


def test_evaluationNamesTheBoneInTheWay(makeAnatomy):
    context = preparePlan(makeAnatomy(), "L4-L5", "left", PlanningParameters(minEntries=1500))
    path = evaluateTrajectory(context, [-35.0, -76.0, 19.0], [0.0, 0.0, 19.0])
    assert "articular process" in path.nearestBone
    assert path.nearestBone in path.limitedBy


def test_levelEvidenceCountsFromTheSacrum(makeAnatomy):
    anatomy = makeAnatomy()
    assert levelEvidence(anatomy, "L5-S1")[0] == "L5-S1 is the disc on the sacrum"
    assert levelEvidence(anatomy, "L4-L5")[0] == "L4-L5 lies 1 disc above the lumbosacral disc"
    assert any("no thoracic vertebra" in fact for fact in levelEvidence(anatomy, "L4-L5"))
    with pytest.raises(ValueError, match="cannot be planned"):
        levelEvidence(anatomy, "L1-L2")


def test_newPlanTakesThePlaceOfTheOldOfferedPathsInOneStep():
    book = TrajectoryBook([PATH])
    first = book.replaceOrigin(OFFERED, [PATH, moved(-75.0)])
    assert [e.name for e in book.entries] == ["best 2", "best 3", "best"]
    book.setLocked(first[0], True)
    book.drag(first[1], moved(-76.0))
    book.endDrag()
    assert book.entry(first[1]).origin == OWN, "what was dragged is the operator's"
    second = book.replaceOrigin(OFFERED, [moved(-80.0)])
    assert {e.number for e in book.entries} == {1, *first, *second}
    third = book.replaceOrigin(OFFERED, [moved(-81.0)])
    assert {e.number for e in book.entries} == {1, *first, *third}
    assert book.undo()
    assert {e.number for e in book.entries} == {1, *first, *second}
    assert TrajectoryBook.fromDict(book.toDict()).entry(second[0]).origin == OFFERED
    assert len({e.name for e in book.entries}) == len(book.entries)


def test_reevaluationIsOneStepThatKeepsNamesAndLocks():
    book = TrajectoryBook([PATH, PATH])
    book.setLocked(2, True)
    book.reevaluate({1: replace(PATH, name="x", score=0.1), 2: replace(PATH, score=0.2)})
    assert [(e.name, e.locked, e.trajectory.score) for e in book.entries] == [("best", False, 0.1), ("best 2", True, 0.2)]
    assert book.undo()
    assert [e.trajectory.score for e in book.entries] == [0.7, 0.7]
    with pytest.raises(ValueError, match="no path number 9"):
        book.reevaluate({9: PATH})
