"""The phantom's stated truth against its voxels: the two are made by different code paths."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from IntradiscalNavLib.Simulation import PhantomLabels as Labels
from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, buildLumbarPhantom, cachedLumbarPhantom
from IntradiscalNavLib.Simulation.MarkerPlateShape import BALLS_IN_PLATE_MM
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters, randomPhantomParameters


@pytest.fixture(scope="module")
def phantom() -> LumbarPhantom:
    return cachedLumbarPhantom()


def rasOfLabel(phantom: LumbarPhantom, label: int) -> np.ndarray:
    k, j, i = np.nonzero(phantom.labels == label)
    return np.stack([i, j, k], 1) @ phantom.ijkToRas[:3, :3].T + phantom.ijkToRas[:3, 3]


def labelAt(phantom: LumbarPhantom, ras: np.ndarray) -> np.ndarray:
    ijk = np.rint((np.atleast_2d(ras) - phantom.ijkToRas[:3, 3]) / np.diag(phantom.ijkToRas)[:3]).astype(int)
    return phantom.labels[ijk[:, 2], ijk[:, 1], ijk[:, 0]]


@pytest.mark.parametrize("level", Labels.LUMBAR_LEVELS)
def test_discTruthAgreesWithItsVoxels(phantom: LumbarPhantom, level: str) -> None:
    disc = phantom.truth.discs[level]
    points = rasOfLabel(phantom, disc.label)
    # a wedge is thicker in front, so its centroid may lie up to 2 mm before the centre, but neither aside nor off its plane
    inDisc = (points.mean(0) - disc.centerRas) @ disc.discToRas[:3, :3]
    assert abs(inDisc[0]) < 0.7  # the endplates are rough
    assert -0.5 < inDisc[1] < 2.5
    assert abs(inDisc[2]) < 0.5
    assert np.all((points - disc.upperPlane.pointRas) @ disc.upperPlane.normalRas < 1.6)
    assert np.all((points - disc.lowerPlane.pointRas) @ disc.lowerPlane.normalRas > -1.6)
    upper, lower = level.split("-")
    step = 2.5
    assert labelAt(phantom, disc.upperPlane.pointRas + step * disc.upperPlane.normalRas)[0] == Labels.VERTEBRA_LABELS[upper]
    assert labelAt(phantom, disc.lowerPlane.pointRas - step * disc.lowerPlane.normalRas)[0] == Labels.VERTEBRA_LABELS[lower]


def test_sidesAndDirections(phantom: LumbarPhantom) -> None:
    def middle(label: int) -> np.ndarray:
        return rasOfLabel(phantom, label).mean(0)

    assert middle(Labels.HIP_RIGHT)[0] > middle(Labels.HIP_LEFT)[0] + 100  # R is +x
    assert middle(Labels.VERTEBRA_L1)[2] > middle(Labels.VERTEBRA_L5)[2] + 100  # S is +z
    assert middle(Labels.SMALL_BOWEL)[1] > middle(Labels.DURA)[1] + 40  # A is +y
    assert middle(Labels.BALL)[1] < middle(Labels.VERTEBRA_L2)[1] - 40  # the plate lies on the back
    assert middle(Labels.TABLE)[1] > middle(Labels.SMALL_BOWEL)[1]  # the patient lies on the belly
    for root in phantom.truth.roots:
        assert (root.centerlineRas[-1] - phantom.truth.midSagittal.pointRas) @ phantom.truth.midSagittal.normalRas * (
            1 if root.side == "right" else -1
        ) > 25


def test_rootsRunThroughForaminaNotBone(phantom: LumbarPhantom) -> None:
    for root in phantom.truth.roots:
        dense = np.concatenate([np.linspace(a, b, 8, endpoint=False) for a, b in itertools.pairwise(root.centerlineRas)])
        inside = ((dense - phantom.ijkToRas[:3, 3]) / np.diag(phantom.ijkToRas)[:3] < np.array(phantom.labels.shape[::-1]) - 1).all(1)
        labels = labelAt(phantom, dense[inside])
        assert not np.isin(labels, list(Labels.BONE_LABELS)).any(), root.name
        assert np.mean(np.isin(labels, [root.label, Labels.DURA])) > 0.9, root.name


def test_facetJointsSeparateNeighbours(phantom: LumbarPhantom) -> None:
    for facet in phantom.truth.facets:
        upper, lower = facet.level.split("-")
        assert labelAt(phantom, facet.centerRas + 4.0 * facet.normalRas)[0] == Labels.VERTEBRA_LABELS[lower], facet
        assert labelAt(phantom, facet.centerRas - 4.0 * facet.normalRas)[0] == Labels.VERTEBRA_LABELS[upper], facet


def test_bonesAreFoundByTheirHounsfieldUnits(phantom: LumbarPhantom) -> None:
    bone = np.isin(phantom.labels, list(Labels.BONE_LABELS))
    found = phantom.voxels > 200
    notMetal = ~np.isin(phantom.labels, [Labels.BALL])
    overlap = 2.0 * (bone & found).sum() / (bone.sum() + (found & notMetal).sum())
    assert overlap > 0.88  # 200 HU is passed outside the surface where dense bone is blurred over fat
    spongy = phantom.voxels[bone & (phantom.boneFraction == 255)]
    assert 150 < np.percentile(spongy, 20) < 320
    assert phantom.voxels[bone].max() > 700
    assert -130 < np.median(phantom.voxels[phantom.labels == Labels.FAT]) < -80
    assert 40 < np.median(phantom.voxels[phantom.labels == Labels.AUTOCHTHON_LEFT]) < 70


def test_ballsLieWhereStated(phantom: LumbarPhantom) -> None:
    truth = phantom.truth
    assert truth.referenceToRas is not None
    for inRas, inReference in zip(truth.ballsRas, truth.ballsReference):
        mapped = truth.referenceToRas @ np.append(inReference, 1.0)
        np.testing.assert_allclose(mapped[:3], inRas, atol=1e-9)
        ijk = (inRas - phantom.ijkToRas[:3, 3]) / np.diag(phantom.ijkToRas)[:3]
        low = np.rint(ijk).astype(int) - 4
        patch = phantom.voxels[low[2] : low[2] + 9, low[1] : low[1] + 9, low[0] : low[0] + 9].astype(float)
        weight = np.clip(patch - 300.0, 0.0, None)
        k, j, i = np.indices(patch.shape)
        centroid = np.array([(index * weight).sum() / weight.sum() for index in (i, j, k)]) + low
        assert np.linalg.norm((centroid - ijk) * np.diag(phantom.ijkToRas)[:3]) < 0.3


def test_plateLayoutIsUnambiguous() -> None:
    balls = np.array(BALLS_IN_PLATE_MM)
    distances = sorted(np.linalg.norm(a - b) for a, b in itertools.combinations(balls, 2))
    assert len(balls) >= 6
    assert min(np.diff(distances)) > 1.0
    assert np.linalg.svd(balls - balls.mean(0))[1].min() > 4.0


def test_dimensionsAreThoseOfAnAdult(phantom: LumbarPhantom) -> None:
    poses = phantom.truth.vertebraToRas

    def extent(name: str, axis: int) -> float:
        local = (rasOfLabel(phantom, Labels.VERTEBRA_LABELS[name]) - poses[name][:3, 3]) @ poses[name][:3, axis]
        return float(local.max() - local.min())

    assert 85 < extent("L3", 0) < 99  # transverse processes
    assert 76 < extent("L3", 1) < 92  # body to spinous process
    upperL1, upperS1 = poses["L1"][:3, 2], poses["S1"][:3, 2]
    between = np.degrees(np.arccos(np.clip(upperL1 @ upperS1, -1, 1)))
    assert 46 < between < 56
    for level, low, high in (("L3-L4", 66, 88), ("L4-L5", 66, 84), ("L5-S1", 58, 82)):
        center = phantom.truth.discs[level].centerRas
        ijk = np.rint((center - phantom.ijkToRas[:3, 3]) / np.diag(phantom.ijkToRas)[:3]).astype(int)
        column = phantom.labels[ijk[2], : ijk[1], ijk[0]]
        skin = np.nonzero(column == Labels.SKIN)[0][0]
        assert low < (ijk[1] - skin) * phantom.ijkToRas[1, 1] < high


def test_parametersDoWhatTheySay() -> None:
    coarse = PhantomParameters(spacingMm=(2.5, 2.5, 3.0), noiseHu=0.0)
    high = buildLumbarPhantom(replace(coarse, crestHeightMm=15.0))
    low = buildLumbarPhantom(replace(coarse, crestHeightMm=-10.0, skinDepthMm=94.0))
    crest = [rasOfLabel(p, Labels.HIP_LEFT)[:, 2].max() for p in (high, low)]
    assert crest[0] - crest[1] == pytest.approx(25.0, abs=4.0)
    skin = [rasOfLabel(p, Labels.SKIN)[:, 1].min() for p in (high, low)]
    assert skin[0] - skin[1] == pytest.approx(20.0, abs=4.0)
    again = buildLumbarPhantom(replace(coarse, crestHeightMm=15.0))
    assert np.array_equal(again.voxels, high.voxels)
    assert randomPhantomParameters(3) == randomPhantomParameters(3) != randomPhantomParameters(4)
    with pytest.raises(ValueError, match="spacing"):
        buildLumbarPhantom(PhantomParameters(spacingMm=(0.0, 1.0, 1.0)))


def test_labelNamesFollowTotalSegmentator(phantom: LumbarPhantom) -> None:
    names = phantom.labelNames
    expected = {25: "sacrum", 26: "vertebrae_S1", 27: "vertebrae_L5", 28: "vertebrae_L4", 29: "vertebrae_L3", 30: "vertebrae_L2"}
    expected |= {31: "vertebrae_L1", 77: "hip_left", 78: "hip_right", 52: "aorta", 63: "inferior_vena_cava", 20: "colon"}
    assert {label: names[label] for label in expected} == expected
