"""Posterior bone surface of the simulated patient, whose every voxel is known."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree

from FusionRegistrationLib.BoneSurfaceCt import NoBoneSurfaceError, extractPosteriorBoneSurface, extractPosteriorBoneSurfaceFromLabels
from FusionRegistrationLib.RigidTransform import transformPoints
from FusionRegistrationLib.VisibleSurface import seenFromBehind


def _labelsNear(phantom, pointsRas):
    ijk = np.rint(transformPoints(np.linalg.inv(phantom.ijkToRas), pointsRas)).astype(int)
    ijk = np.clip(ijk, 0, np.array(phantom.labels.shape[::-1]) - 1)
    return phantom.labels[ijk[:, 2], ijk[:, 1], ijk[:, 0]]


def _boneFraction(phantom, pointsRas):
    ijk = transformPoints(np.linalg.inv(phantom.ijkToRas), pointsRas)
    return map_coordinates(phantom.boneFraction.astype(np.float32), ijk[:, ::-1].T, order=1) / float(phantom.boneFraction.max())


def test_surfaceLiesWhereBoneBegins(phantom, phantomSurface):
    """Along the normal, half a millimetre inside is mostly bone and a millimetre outside is none."""
    points, normals = phantomSurface.pointsRas, phantomSurface.normalsRas
    inside = _boneFraction(phantom, points - 1.0 * normals)
    outside = _boneFraction(phantom, points + 1.5 * normals)
    assert np.mean(inside > 0.5) > 0.95
    assert np.mean(outside < 0.5) > 0.95


def test_huAndLabelsAgree(phantomSurface, phantomLabelSurface):
    """Two ways to the same surface: HU alone against the labels."""
    distance = phantomLabelSurface.table.distances(phantomSurface.pointsRas)
    heights = phantomLabelSurface.pointsRas[:, 2]
    common = (phantomSurface.pointsRas[:, 2] > np.quantile(heights, 0.25)) & (phantomSurface.pointsRas[:, 2] < heights.max() - 20.0)
    assert abs(np.median(distance[common])) < 0.6
    assert np.mean(np.abs(distance[common]) < 1.0) > 0.85


def test_normalsLookBack(phantomSurface):
    assert np.allclose(np.linalg.norm(phantomSurface.normalsRas, axis=1), 1.0)
    assert phantomSurface.normalsRas[:, 1].max() < 0.0


def test_nothingButTheSpine(phantom, phantomSurface):
    """No point on the table, the marker plate or its balls; few on the hips, whose rear spines stand close beside the sacrum."""
    from IntradiscalNavLib.Simulation.PhantomLabels import BALL, HIP_LEFT, HIP_RIGHT, PLATE, TABLE

    labels = _labelsNear(phantom, phantomSurface.pointsRas - 0.7 * phantomSurface.normalsRas)
    for strange in (PLATE, BALL, TABLE):
        assert (phantom.labels == strange).any()  # it is there to mislead
        assert not (labels == strange).any()
    assert np.isin(labels, [HIP_LEFT, HIP_RIGHT]).mean() < 0.08
    balls = cKDTree(phantom.truth.ballsRas)
    assert balls.query(phantomSurface.pointsRas)[0].min() > 8.0


def test_tableBehindASupinePatient(phantom, phantomSurface):
    """A supine patient lies with the back on the table: a dense plate 3 mm behind the skin of the back changes nothing."""
    voxels = phantom.voxels.copy()
    body = voxels > -300
    body &= ~np.isin(phantom.labels, [240, 241, 242])
    rear = np.argmax(body.any(axis=(0, 2)))
    spacing = phantom.ijkToRas[1, 1]
    assert spacing > 0  # j runs from back to front
    voxels[:, max(rear - 4, 0) : max(rear - 1, 1), 20:-20] = 900
    surface = extractPosteriorBoneSurface(voxels, phantom.ijkToRas)
    distance = phantomSurface.table.distances(surface.pointsRas)
    assert np.mean(np.abs(distance) < 1.0) > 0.98


def test_obliqueAndFlippedGrid(phantom, phantomSurface):
    """The same patient stored with reversed slices and mirrored columns gives the same surface."""
    flipped = phantom.voxels[::-1, :, ::-1]
    turn = np.diag([-1.0, 1.0, -1.0, 1.0])
    turn[0, 3], turn[2, 3] = phantom.voxels.shape[2] - 1, phantom.voxels.shape[0] - 1
    surface = extractPosteriorBoneSurface(flipped, phantom.ijkToRas @ turn)
    assert np.mean(np.abs(phantomSurface.table.distances(surface.pointsRas)) < 0.5) > 0.99


def test_onlyWhatCanBeSeen():
    """A block with a slit: the slit's floor is seen straight on, the block's front never."""
    bone = np.zeros((30, 30, 30), bool)
    bone[5:25, 10:20, 5:25] = True
    bone[5:25, 10:15, 13:17] = False
    seen = seenFromBehind(bone)
    assert seen[15, 10, 8] and seen[15, 15, 14]
    assert not seen[10:20, 19, 10:20].any()  # the front
    assert not seen[~bone].any()


def test_vertebraeAreNamedAndOrdered(phantomLabelSurface):
    assert [vertebra.name for vertebra in phantomLabelSurface.vertebrae][:3] == ["T12", "L1", "L2"]
    heights = [vertebra.centreRas[2] for vertebra in phantomLabelSurface.vertebrae]
    assert heights == sorted(heights, reverse=True)
    assert 28.0 < phantomLabelSurface.pitchMm < 42.0
    for vertebra in phantomLabelSurface.vertebrae:
        mine = phantomLabelSurface.pointsRas[phantomLabelSurface.pointLabels == vertebra.label]
        if len(mine) > 100:
            assert np.linalg.norm(np.median(mine, axis=0) - vertebra.centreRas) < 40.0


def test_pointLabelsAreThePhantoms(phantom, phantomLabelSurface):
    points = phantomLabelSurface.pointsRas - 1.0 * phantomLabelSurface.normalsRas
    truth = _labelsNear(phantom, points)
    known = np.isin(truth, [vertebra.label for vertebra in phantomLabelSurface.vertebrae])
    assert known.mean() > 0.8
    assert np.mean(truth[known] == phantomLabelSurface.pointLabels[known]) > 0.98


def test_oneVertebra(phantomLabelSurface):
    vertebra = phantomLabelSurface.vertebrae[3]
    part = phantomLabelSurface.ofVertebra(vertebra.label)
    assert set(part.pointLabels.tolist()) == {vertebra.label}
    with pytest.raises(ValueError, match="label 99"):
        phantomLabelSurface.ofVertebra(99)


def test_metalIsLeftOutAndSaid(phantom, phantomSurface):
    voxels = phantom.voxels.copy()
    place = phantomSurface.pointsRas[np.argmin(phantomSurface.pointsRas[:, 1])] + [0.0, 8.0, 0.0]
    ijk = np.rint(transformPoints(np.linalg.inv(phantom.ijkToRas), place[None])[0]).astype(int)
    voxels[ijk[2] - 2 : ijk[2] + 3, ijk[1] - 3 : ijk[1] + 4, ijk[0] - 3 : ijk[0] + 4] = 3071
    surface = extractPosteriorBoneSurface(voxels, phantom.ijkToRas)
    assert any("Metal" in warning for warning in surface.warnings)
    metal = transformPoints(phantom.ijkToRas, np.argwhere(voxels > 2500)[:, ::-1])
    metal = metal[np.linalg.norm(metal - place, axis=1) < 15.0]
    assert cKDTree(metal).query(surface.pointsRas)[0].min() > 3.0


@pytest.mark.parametrize("value", [-1000, 40])
def test_noSpineIsNamed(value):
    with pytest.raises(NoBoneSurfaceError, match="No spine"):
        extractPosteriorBoneSurface(np.full((40, 60, 60), value, np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))


def test_badGeometryIsNamed():
    with pytest.raises(ValueError, match="ijkToRas"):
        extractPosteriorBoneSurface(np.zeros((10, 10, 10)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="three-dimensional"):
        extractPosteriorBoneSurface(np.zeros((10, 10)), np.eye(4))


def test_missingLabelsAreNamed(phantom):
    with pytest.raises(NoBoneSurfaceError, match="none of the vertebrae"):
        extractPosteriorBoneSurfaceFromLabels(phantom.labels, phantom.ijkToRas, {199: "L9"})
