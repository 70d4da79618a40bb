"""Anatomy of the analytic spine, and the inputs that are wrong."""

import numpy as np
import pytest

from IntradiscalNavLib.Planning.NerveModel import NervePath
from IntradiscalNavLib.Planning.SpineAnatomy import anatomyFromLabels
from IntradiscalNavLib.Planning.StructureNames import StructureKind


def angleDeg(a, b):
    return np.degrees(np.arccos(np.clip(np.dot(a, b), -1, 1)))


@pytest.mark.parametrize(
    ("spacing", "tilt", "centerMm", "heightMm"),
    [((2, 2, 2), 0, 1.0, 1.2), ((1.3, 1.3, 3.0), 0, 1.2, 3.0), ((2, 2, 2), 12, 1.5, 1.5), ((1.5, 1.5, 5.0), 0, 2.6, 3.0)],
)
def test_discsAreWhereTheyWereDrawn(makeAnatomy, tinySpine, spacing, tilt, centerMm, heightMm):
    # A label map drawn by voxel centres knows an endplate to half a slice: a disc's height to a slice.
    anatomy = makeAnatomy(spacing=spacing, tilt=tilt)
    assert anatomy.levels == ("L3-L4", "L4-L5", "L5-S1")
    for level, disc in anatomy.discs.items():
        assert np.linalg.norm(disc.centerRas - tinySpine.discCenter(level)) < centerMm
        assert disc.heightMm == pytest.approx(tinySpine.discHeightMm, abs=heightMm)
        assert disc.widthMm == pytest.approx(46, abs=4)
        assert disc.depthMm == pytest.approx(34, abs=4)
        assert angleDeg(disc.axes.right, [1, 0, 0]) < 1.0
        for plate in (disc.upperEndplate, disc.lowerEndplate):
            assert angleDeg(plate.normal, [0, 0, 1]) < 4.0


def test_nucleusHoldsItsTargetsAndNotTheAnnulus(makeAnatomy):
    disc = makeAnatomy().discs["L4-L5"]
    targets = disc.nucleusTargets(3, 0.5)
    assert targets.shape == (27, 3)
    assert (np.linalg.norm(disc.nucleusCoordinates(targets), axis=1) <= 0.5 * np.sqrt(3) + 1e-9).all()
    assert np.allclose(targets[13], disc.centerRas)
    assert np.linalg.norm(disc.nucleusCoordinates(disc.centerRas + np.array([0, -0.45 * disc.depthMm, 0]))) > 1


def test_facetCapsulesLieBehindTheJoints(makeAnatomy):
    anatomy = makeAnatomy()
    assert len(anatomy.facets) == 6
    for name, facet in anatomy.facets.items():
        sign = -1 if name.endswith("left") else 1
        assert 8 <= sign * facet.capsuleTargetRas[0] <= 20
        assert facet.capsuleTargetRas[1] == pytest.approx(-40, abs=2.5)


def test_rootsKeepTheirPublishedDistanceFromTheArticularProcess(makeAnatomy, tinySpine):
    anatomy = makeAnatomy()
    for side, sign in (("left", -1), ("right", 1)):
        root = next(n for n in anatomy.nerves if n.name == f"L4 root {side} at L4-L5")
        # The drawn process: a box 11..19 mm lateral, 25..31 mm behind.
        s = np.linspace(0, 27, 28)
        front = np.stack([np.full_like(s, sign * 15.0), np.full_like(s, -25.0), s], axis=1)
        distance = root.distanceMm(front)
        lower = np.argmin(np.abs(s - (tinySpine.discCenter("L4-L5")[2] - 5.0)))
        # 4.3 mm at the upper and 11.2 mm at the lower endplate (Pairaiturkar 2019, L4-L5), measured to the nearest corner here.
        assert 6.0 <= distance[lower] <= 14.0
        assert distance.min() >= 2.0
        assert np.sign(root.pointsRas[:, 0]).tolist() == [sign] * len(root.pointsRas)
        assert (np.diff(root.pointsRas[:, 2]) < 0).all()


def test_modelledNervesStayOutOfBoneAndDisc(makeAnatomy, tinySpine):
    anatomy = makeAnatomy()
    for nerve in anatomy.nerves:
        share = np.linspace(0, 1, 30)
        for a, b in zip(nerve.pointsRas[:-1], nerve.pointsRas[1:]):
            line = a + share[:, None] * (b - a)
            inBody = (line[:, 0] / 22.0) ** 2 + (line[:, 1] / 16.0) ** 2 < 1
            assert not inBody.any(), nerve.name


def test_drawnRootReplacesTheModel(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    k, j, i = np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij")
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    drawn = (np.hypot(points[..., 0] + 24, points[..., 1] + 16) < 3) & (np.abs(points[..., 2] - 19) < 15) & (labels == 0)
    labels = labels.copy()
    labels[drawn] = 9
    anatomy = anatomyFromLabels(labels, affine, {**tinySpineNames, 9: "L4 root left"}, ctHu=hu)
    names = [n.name for n in anatomy.nerves]
    assert "L4 root left at L4-L5" not in names
    assert "L4 root right at L4-L5" in names
    moved = NervePath("L4 root right at L4-L5", "root", "right", np.array([[30.0, 0, 30], [30, 0, 0]]), np.ones(2), np.zeros(2), "drawn")
    assert sum(n.name == moved.name for n in anatomy.withNerve(moved).nerves) == 1


def test_drawnDuraReplacesTheModel(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    k, j, i = np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij")
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    labels = labels.copy()
    labels[(np.hypot(points[..., 0], points[..., 1] + 24) < 6) & (labels == 0)] = 9
    anatomy = anatomyFromLabels(labels, affine, {**tinySpineNames, 9: "spinal_cord"}, ctHu=hu)
    assert not [n for n in anatomy.nerves if n.kind == "dura"]
    assert anatomy.labelValues(StructureKind.DURA) == (9,)


def test_unseenTissuesAreNamed(makeAnatomy):
    assert StructureKind.KIDNEY in makeAnatomy().unseen
    assert any("kidney" in w for w in makeAnatomy().warnings)


def test_gantryTiltAndThickSlicesAreWarnedOf(makeAnatomy):
    assert any("gantry tilt of 12.0 deg" in w for w in makeAnatomy(tilt=12).warnings)
    assert any("5.0 mm" in w for w in makeAnatomy(spacing=(1.5, 1.5, 5.0)).warnings)
    assert not any("gantry" in w or "blurred" in w for w in makeAnatomy().warnings)


def test_supineCtIsWarnedOf(tinySpine, tinySpineNames):
    from dataclasses import replace

    labels, hu, affine = replace(tinySpine, withTableBehind=True).paint()
    seen = anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu)
    assert any("looks supine" in w for w in seen.warnings)
    assert seen.skin.heightAt(0.0, 20.0) == pytest.approx(-76, abs=1.5), "the table must not pass for skin"
    labels, hu, affine = tinySpine.paint()
    assert any("made supine" in w for w in anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu, patientPosition="HFS").warnings)
    assert not any("supine" in w for w in anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu, patientPosition="HFP").warnings)


def test_ctCutAtTheSkinIsWarnedOfAndHasNoSkinThere(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint(lowA=-70.0)  # the back lies at -76
    anatomy = anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu)
    assert any("cut at the skin" in w for w in anatomy.warnings)
    assert np.isnan(anatomy.skin.heightAt(0.0, 20.0))


def test_paddingOutsideTheFieldOfViewIsNotSkin(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    j = np.arange(hu.shape[1])
    posterior = affine[1, 3] + affine[1, 1] * j < -70.0
    hu = hu.copy()
    hu[:, posterior, :] = -3024
    anatomy = anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu)
    assert np.isnan(anatomy.skin.heightAt(0.0, 20.0))
    assert any("cut at the skin" in w for w in anatomy.warnings)


def test_fusedVertebraeAreNamed(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    k, j, i = np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij")
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    body = (points[..., 0] / 23) ** 2 + (points[..., 1] / 17) ** 2 <= 1
    labels = labels.copy()
    labels[body & (points[..., 2] > 10) & (points[..., 2] <= 19) & (labels == 0)] = 3
    labels[body & (points[..., 2] > 19) & (points[..., 2] < 28) & (labels == 0)] = 2
    anatomy = anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu)
    with pytest.raises(ValueError, match=r"L4-L5 cannot be planned.*fused"):
        anatomy.disc("L4-L5")
    assert "L3-L4" in anatomy.levels


def test_missingVertebraIsNamed(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    labels = np.where(labels == 2, 0, labels).astype(np.uint8)
    anatomy = anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu)
    with pytest.raises(ValueError, match=r"L4-L5 cannot be planned.*not in the segmentation \(found: L3, L5, S1\)"):
        anatomy.disc("L4-L5")
    with pytest.raises(ValueError, match="a vertebra between them is missing"):
        anatomy.disc("L3-L5")


def test_unknownNamesAreListedAndNoVertebraIsAnError(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    partly = {**tinySpineNames, 8: "blob"}
    assert any("blob" in w for w in anatomyFromLabels(labels, affine, partly, ctHu=hu).warnings)
    with pytest.raises(ValueError, match=r"No vertebra was found.*Name the segments"):
        anatomyFromLabels(labels, affine, {n: f"Segment_{n}" for n in range(1, 9)}, ctHu=hu)


def test_largeAndSparseLabelValuesAreTaken(tinySpine, tinySpineNames, makeAnatomy):
    labels, hu, affine = tinySpine.paint()
    big = labels.astype(np.int32) * 1000
    anatomy = anatomyFromLabels(big, affine, {1000 * n: name for n, name in tinySpineNames.items()}, ctHu=hu)
    assert np.allclose(anatomy.disc("L4-L5").centerRas, makeAnatomy().disc("L4-L5").centerRas)


def test_arraysThatDoNotFitAreRefused(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    with pytest.raises(ValueError, match="different grids"):
        anatomyFromLabels(labels, affine, tinySpineNames, ctHu=hu[:-1])
    with pytest.raises(ValueError, match="integers"):
        anatomyFromLabels(labels.astype(float), affine, tinySpineNames, ctHu=hu)
    with pytest.raises(ValueError, match="invertible"):
        anatomyFromLabels(labels, np.zeros((4, 4)), tinySpineNames, ctHu=hu)
    with pytest.raises(ValueError, match="No skin"):
        anatomyFromLabels(labels, affine, tinySpineNames)
    with pytest.raises(ValueError, match="No body"):
        anatomyFromLabels(labels, affine, tinySpineNames, ctHu=np.full_like(hu, -1000))


def test_discSegmentGivesCentreAndOutline(tinySpine, tinySpineNames):
    labels, hu, affine = tinySpine.paint()
    k, j, i = np.meshgrid(*(np.arange(n) for n in labels.shape), indexing="ij")
    points = np.stack([i, j, k], -1) @ affine[:3, :3].T + affine[:3, 3]
    drawn = ((points[..., 0] - 2) / 20) ** 2 + ((points[..., 1] - 3) / 14) ** 2 <= 1
    labels = labels.copy()
    labels[drawn & (np.abs(points[..., 2] - 19) < 4) & (labels == 0)] = 9
    labels[(np.linalg.norm(points - np.array([60.0, -40, 60]), axis=-1) < 8) & (labels == 0)] = 10
    names = {**tinySpineNames, 9: "disc_L4_L5", 10: "disc L3-L4"}
    anatomy = anatomyFromLabels(labels, affine, names, ctHu=hu, patientPosition="HFP")
    disc = anatomy.disc("L4-L5")
    assert disc.source == "segment"
    assert np.linalg.norm(disc.centerRas - np.array([2, 3, 19])) < 1.0
    assert disc.widthMm == pytest.approx(40, abs=4)
    assert disc.depthMm == pytest.approx(28, abs=4)
    assert anatomy.disc("L3-L4").source == "vertebrae", "a segment far from its disc space is not believed"
    assert any("segment of disc L3-L4 lies" in w for w in anatomy.warnings)
