"""Planning on a real CT with its TotalSegmentator labels (3 mm, supine, a deep patient)."""

import numpy as np
import pytest
import SimpleITK

from IntradiscalNavHeadless.PlanInput import PlanCase, loadAnatomy
from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.HuAnatomy import anatomyFromHu
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Planning.SkinPatch import entryOnSkin
from IntradiscalNavLib.Planning.TrajectoryAngles import directionFromAngles

pytestmark = pytest.mark.realdata
FAST = PlanningParameters(minEntries=5000)
LEVELS = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")


@pytest.fixture(scope="module")
def folder(realData):
    return realData / "ct" / "totalsegmentator_example"


@pytest.fixture(scope="module")
def loaded(folder):
    return loadAnatomy(PlanCase("example", folder / "example_ct.nii.gz", folder / "example_seg_fast_force_split.nii.gz"))


def test_discsOfARealSpineAreAnatomical(loaded):
    anatomy, _ = loaded
    assert set(LEVELS) <= set(anatomy.levels)
    centers = np.array([anatomy.disc(level).centerRas for level in LEVELS])
    assert (np.diff(centers[:, 2]) < -25).all()
    for level in LEVELS:
        disc = anatomy.disc(level)
        assert 7.0 <= disc.heightMm <= 15.0
        assert 38 <= disc.widthMm <= 60
        assert 28 <= disc.depthMm <= 44
        assert np.degrees(np.arccos(disc.axes.right[0])) < 8
    # Lumbar lordosis: L5-S1 leans forwards, L1-L2 backwards.
    assert anatomy.disc("L5-S1").discSuperior[1] > 0.4
    assert anatomy.disc("L1-L2").discSuperior[1] < 0


def test_supineTableAndAssumedNumbersAreWarnedOf(loaded):
    anatomy, _ = loaded
    assert any("looks supine" in w for w in anatomy.warnings)
    assert any("TotalSegmentator v2" in w for w in anatomy.warnings)


def test_vertebraOnlyLabelsGiveTheSameDiscs(loaded, folder):
    anatomy, _ = loaded
    bare, _ = loadAnatomy(PlanCase("bare", folder / "example_ct.nii.gz", folder / "vertebrae_L1-S1_totalseg.nii.gz"))
    for level in LEVELS:
        assert np.linalg.norm(bare.disc(level).centerRas - anatomy.disc(level).centerRas) < 3.0
    assert {kind.value for kind in bare.unseen} == {"vessel", "bowel", "kidney", "ilium"}


def test_thisPatientIsDeep(loaded):
    anatomy, _ = loaded
    disc = anatomy.disc("L4-L5")
    for side in ("left", "right"):
        direction = directionFromAngles(disc.axes, side, 47.0, 0.0)
        entry = entryOnSkin(anatomy.skin, disc.centerRas, disc.centerRas - 60.0 * direction)
        assert entry is not None
        # Stated with the data: a 47 deg path would be about 143 mm.
        assert np.linalg.norm(entry - disc.centerRas) == pytest.approx(143, abs=15)


def test_allLevelsAndSidesGivePathsOrReasons(loaded):
    anatomy, _ = loaded
    planned = 0
    for level in LEVELS:
        for side in ("left", "right"):
            plan = planTrajectories(anatomy, level, side, FAST)
            if plan.best:
                planned += 1
                context = plan.contexts[side]
                entries = np.array([p.entryRas for p in plan.best])
                targets = np.array([p.targetRas for p in plan.best])
                assert not crossesBone(context, entries, targets, 0.1).any()
                assert all(path.legal and path.lengthMm <= FAST.maxLengthMm for path in plan.best)
            else:
                reason = plan.infeasible[side]
                assert reason.nearest is not None
                assert reason.nearest.failing
                assert "fails by" in reason.sentence
    assert planned >= 3


def test_aLongerNeedleOpensTheWayThatIsTooLong(loaded):
    anatomy, _ = loaded
    plan = planTrajectories(anatomy, "L4-L5", "left", FAST)
    if plan.best:
        pytest.skip("the level has legal paths")
    reason = plan.infeasible["left"]
    assert "length" in reason.variants
    needed = reason.variants["length"].lengthMm
    assert needed > FAST.maxLengthMm
    assert [limit.name for limit in reason.variants["length"].failing] == ["length"]


def test_hounsfieldUnitsAndClicksFindTheSegmentedDisc(loaded, folder):
    anatomy, ct = loaded
    disc = anatomy.disc("L3-L4")
    found = anatomyFromHu(ct.voxels, ct.ijkToRas, disc.upperEndplate.pointRas + np.array([2, 2, 0]), disc.lowerEndplate.pointRas, "L3-L4")
    assert np.linalg.norm(found.disc("L3-L4").centerRas - disc.centerRas) < 6.0
    assert np.degrees(np.arccos(found.disc("L3-L4").axes.right @ disc.axes.right)) < 6.0


def test_tiltedCopyOfTheScanPlansTheSameDisc(loaded, folder):
    anatomy, _ = loaded
    labels = SimpleITK.ReadImage(str(folder / "vertebrae_L1-S1_totalseg.nii.gz"))
    ct = SimpleITK.ReadImage(str(folder / "example_ct.nii.gz"))
    from IntradiscalNavLib.Planning.SpineAnatomy import anatomyFromLabels

    _, volume = loaded
    sheared = volume.ijkToRas.copy()
    sheared[1, 2] = 3.0 * np.tan(np.radians(10.0))
    # Resample voxels onto the sheared grid, as a tilted gantry would have scanned them.
    k, j, i = np.meshgrid(*(np.arange(n) for n in volume.voxels.shape), indexing="ij")
    points = np.stack([i, j, k], -1) @ sheared[:3, :3].T + sheared[:3, 3]
    ijk = np.rint((points - volume.ijkToRas[:3, 3]) @ np.linalg.inv(volume.ijkToRas[:3, :3]).T).astype(int)
    limit = np.array(volume.voxels.shape)[::-1] - 1
    inside = ((ijk >= 0) & (ijk <= limit)).all(-1)
    ijk = np.clip(ijk, 0, limit)
    pick = (ijk[..., 2], ijk[..., 1], ijk[..., 0])
    tiltedLabels = np.where(inside, SimpleITK.GetArrayFromImage(labels)[pick], 0).astype(np.uint8)
    tiltedCt = np.where(inside, SimpleITK.GetArrayFromImage(ct)[pick], -3024)
    tilted = anatomyFromLabels(tiltedLabels, sheared, ctHu=tiltedCt)
    assert any("gantry tilt of 10.0 deg" in w for w in tilted.warnings)
    for level in ("L3-L4", "L4-L5"):
        assert np.linalg.norm(tilted.disc(level).centerRas - anatomy.disc(level).centerRas) < 3.5
