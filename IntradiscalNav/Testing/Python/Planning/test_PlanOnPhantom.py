"""Plans on the simulated patient, whose roots, dura and bone are known."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Planning.SpineAnatomy import anatomyFromLabels
from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

LEVELS = ("L3-L4", "L4-L5", "L5-S1")
FAST = PlanningParameters(minEntries=4000)


@pytest.fixture(scope="module")
def phantom():
    return buildLumbarPhantom(PhantomParameters(spacingMm=(1.5, 1.5, 2.0), seed=4))


@pytest.fixture(scope="module")
def known(phantom):
    """Anatomy with the true roots and dura drawn."""
    return anatomyFromLabels(phantom.labels, phantom.ijkToRas, phantom.labelNames, ctHu=phantom.voxels, patientPosition="HFP")


@pytest.fixture(scope="module")
def modelled(phantom):
    """Anatomy as a CT gives it: roots and dura are modelled."""
    nerves = [value for value, name in phantom.labelNames.items() if name.startswith("root") or "dural" in name]
    labels = np.where(np.isin(phantom.labels, nerves), 0, phantom.labels).astype(np.uint8)
    names = {value: name for value, name in phantom.labelNames.items() if value not in nerves}
    return anatomyFromLabels(labels, phantom.ijkToRas, names, ctHu=phantom.voxels, patientPosition="HFP")


def polylineDistance(points, line):
    a, axis = line[:-1], np.diff(line, axis=0)
    share = np.clip(((points[:, None] - a) * axis).sum(-1) / (axis**2).sum(-1), 0, 1)
    return np.linalg.norm(points[:, None] - a - share[..., None] * axis, axis=-1).min(1)


def test_discsAgreeWithTheTruth(modelled, phantom):
    for level in LEVELS:
        disc, truth = modelled.disc(level), phantom.truth.discs[level]
        assert np.linalg.norm(disc.centerRas - truth.centerRas) < 3.0
        assert disc.heightMm == pytest.approx(truth.heightMm, abs=1.5)
        assert np.degrees(np.arccos(disc.axes.right @ phantom.truth.midSagittal.normalRas)) < 1.5
        for plate, plane in ((disc.upperEndplate, truth.upperPlane), (disc.lowerEndplate, truth.lowerPlane)):
            assert np.degrees(np.arccos(plate.normal @ plane.normalRas)) < 5.0


def test_proneTableIsNotTakenForASupineOne(phantom):
    anatomy = anatomyFromLabels(phantom.labels, phantom.ijkToRas, phantom.labelNames, ctHu=phantom.voxels)
    assert not any("supine" in warning for warning in anatomy.warnings)


def test_facetCapsulesAgreeWithTheTruth(modelled, phantom):
    errors = [
        np.linalg.norm(modelled.facet(level, side).capsuleTargetRas - phantom.truth.facet(level, side).capsuleRas)
        for level in LEVELS
        for side in ("left", "right")
    ]
    assert np.median(errors) < 5.0
    assert max(errors) < 9.0


def test_trueRootsLieWithinTheModelsUncertainty(modelled, phantom):
    scores = []
    for level in LEVELS:
        for side in ("left", "right"):
            name = level.split("-")[0]
            root = next(n for n in modelled.nerves if n.name == f"{name} root {side} at {level}")
            truth = phantom.truth.root(name, side)
            # Where it matters: between the pedicle and the disc's lower edge.
            gap = polylineDistance(root.pointsRas[1:4], truth.centerlineRas)
            scores.append(gap / root.sigmaMm[1:4])
    assert np.median(scores) < 2.0


def test_noOfferedPathCrossesWhatIsTrulyThere(known, phantom):
    truth = phantom.truth
    rasToIjk = np.linalg.inv(phantom.ijkToRas)
    offered = 0
    for level in LEVELS:
        plan = planTrajectories(known, level, "left", FAST)
        for path in plan.best:
            offered += 1
            points = path.entryRas + np.linspace(0, 1, int(path.lengthMm / 0.1))[:, None] * (path.targetRas - path.entryRas)
            ijk = points @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
            bone = map_coordinates(phantom.boneFraction.astype(np.float32), ijk.T[::-1], order=1)
            # The label map cuts bone by voxels, the truth by volume: half a voxel of grazing is the label map's own error.
            assert (bone > 200).sum() * 0.1 < 1.0, (level, path.name)
            for root in truth.roots:
                clearance = polylineDistance(points, root.centerlineRas).min() - root.radiusMm
                assert clearance >= FAST.rootMarginMm - 1.0, (level, path.name, root.name)
            dura = polylineDistance(points, truth.dura.centerlineRas).min() - truth.dura.semiWidthMm
            assert dura >= FAST.duraMarginMm - 1.0
            disc = truth.discs[level]
            local = np.linalg.inv(disc.discToRas) @ np.r_[path.targetRas, 1.0]
            assert np.linalg.norm(local[:3] / np.array(disc.nucleusSemiAxesMm)) < 1.15
    assert offered >= 6


def test_bestPathsAreLikeThePublishedOnes(modelled):
    published = {"L3-L4": (64, 40), "L4-L5": (77, 47), "L5-S1": (85, 52)}
    for level, (entryMm, inclinationDeg) in published.items():
        plan = planTrajectories(modelled, level, "left", FAST)
        assert plan.best
        assert plan.best[0].entryDistanceStraightMm == pytest.approx(entryMm, abs=20)
        assert plan.best[0].medialInclinationDeg == pytest.approx(inclinationDeg, abs=10)


def test_markerPlateIsNotReachedThrough(modelled, phantom):
    from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox

    plate = KeepOutBox("marker plate", phantom.truth.plateToRas, np.array([70.0, 70.0, 20.0]))
    plan = planTrajectories(modelled, "L3-L4", "left", FAST, keepOuts=[plate])
    for path in plan.best:
        outside = path.entryRas - np.linspace(0, FAST.needleLengthMm - path.lengthMm, 40)[:, None] * path.directionRas
        assert plate.distanceMm(outside).min() >= FAST.keepOutMarginMm - 0.5
