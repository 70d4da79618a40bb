"""Bone surface on real data: a CT with its segmentation, tracked ultrasound of a spine phantom, meshes of real vertebrae."""

import pathlib
import sys
import zlib

import numpy as np
import pytest

from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurface, extractPosteriorBoneSurfaceFromLabels
from FusionRegistrationLib.BoneSurfaceUltrasound import detectBoneSurface
from FusionRegistrationLib.ProbeGeometry import geometryFromCalibration
from FusionRegistrationLib.RigidTransform import rigidFrom, rotationFromVector
from FusionRegistrationLib.SurfaceRegistration import registerSurface
from FusionRegistrationLib.SweepBone import SweepFrame, collectBonePoints

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "Benchmarks"))

pytestmark = pytest.mark.realdata

NAMES = {26: "S1", 27: "L5", 28: "L4", 29: "L3", 30: "L2", 31: "L1", 32: "T12", 33: "T11"}


def _readNifti(path):
    import SimpleITK

    image = SimpleITK.ReadImage(str(path))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image), np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


@pytest.fixture(scope="module")
def ct(realData):
    folder = realData / "ct" / "totalsegmentator_example"
    return _readNifti(folder / "example_ct.nii.gz"), _readNifti(folder / "vertebrae_L1-S1_totalseg.nii.gz")


def test_realCtSurfaceAgreesWithItsSegmentation(ct):
    """3 mm voxels, supine on a table, ribs and pelvis in view: HU alone finds the lumbar arches the segmentation has."""
    (voxels, ijkToRas), (labels, labelsToRas) = ct
    surface = extractPosteriorBoneSurface(voxels, ijkToRas)
    reference = extractPosteriorBoneSurfaceFromLabels(labels, labelsToRas, NAMES)
    heights = {vertebra.name: vertebra.centreRas[2] for vertebra in reference.vertebrae}
    lumbar = (surface.pointsRas[:, 2] < heights["L1"]) & (surface.pointsRas[:, 2] > heights["L5"])
    arch = lumbar & (np.abs(surface.pointsRas[:, 0] - np.mean([v.centreRas[0] for v in reference.vertebrae])) < 22.0)
    distance = reference.table.distances(surface.pointsRas[arch])
    assert arch.sum() > 3000
    assert abs(np.median(distance)) < 1.0
    assert np.mean(np.abs(distance) < 3.0) > 0.75
    # The way back: what the segmentation has within the arches, HU alone has too.
    back = surface.table.distances(reference.pointsRas[np.isin(reference.pointLabels, [28, 29, 30])])
    assert np.mean(np.abs(back) < 4.0) > 0.8


def test_realCtTableRibsAndPelvisDoNotMislead(ct):
    (voxels, ijkToRas), _ = ct
    surface = extractPosteriorBoneSurface(voxels, ijkToRas)
    middle = np.interp(surface.pointsRas[:, 2], surface.axisRas[:, 2], surface.axisRas[:, 0])
    assert np.abs(surface.pointsRas[:, 0] - middle).max() < 52.0
    assert surface.pointsRas[:, 1].min() > 40.0  # the table lies at A 10-40 mm, the spinous processes at A 60 mm and deeper
    assert np.ptp(surface.axisRas[:, 0]) < 15.0  # the axis keeps to the spine down to the sacrum


def test_vertebraeOfTheRealSegmentation(ct):
    _, (labels, labelsToRas) = ct
    surface = extractPosteriorBoneSurfaceFromLabels(labels, labelsToRas, NAMES)
    assert [vertebra.name for vertebra in surface.vertebrae] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5", "S1"]
    assert 30.0 < surface.pitchMm < 37.0


def _readSequence(path):
    """Frames and per-frame fields of a compressed MetaImage sequence."""
    data = path.read_bytes()
    end = data.index(b"\n", data.index(b"ElementDataFile = LOCAL")) + 1
    fields = dict(line.partition(" = ")[::2] for line in data[:end].decode("latin1").splitlines())
    columns, rows, count = (int(value) for value in fields["DimSize"].split())
    return np.frombuffer(zlib.decompress(data[end:]), np.uint8).reshape(count, rows, columns), fields


@pytest.fixture(scope="module")
def spineSweep(realData):
    folder = realData / "tracked" / "plus"
    images, fields = _readSequence(folder / "SpinePhantomFreehand.igs.mha")
    text = (folder / "PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml").read_text()
    numbers = text.split('From="Image" To="Probe"')[1].split('Matrix="')[1].split('"')[0].split()
    imageToProbe = np.array(numbers, float).reshape(4, 4)
    frames = []
    for number, image in enumerate(images):
        pose = {
            name: np.array(fields[f"Seq_Frame{number:04d}_{name}ToTrackerTransform"].split(), float).reshape(4, 4)
            for name in ("Probe", "Reference")
        }
        frames.append(
            SweepFrame(image, np.linalg.inv(pose["Reference"]) @ pose["Probe"], float(fields[f"Seq_Frame{number:04d}_Timestamp"]))
        )
    return frames, imageToProbe


def test_realFramesShowTheKnownBone(spineSweep):
    """Where a reader sees the spinous process and the lamina of the spine phantom (columns, rows of frames 4, 12 and 16)."""
    frames, imageToProbe = spineSweep
    geometry = geometryFromCalibration(820, 616, imageToProbe, (188, 14, 629, 600))
    for number, expected in ((4, ((400, 250),)), (12, ((415, 100), (345, 262))), (16, ((420, 82),))):
        detection = detectBoneSurface(frames[number].image, geometry)
        assert len(detection) > 20
        for column, row in expected:
            near = np.abs(detection.pixels[:, 0] - column) < 20
            assert near.any(), (number, column)
            assert np.abs(detection.pixels[near, 1] - row).min() < 22, (number, column, detection.pixels[near, 1])


def test_realSweepGivesASurfaceInSpace(spineSweep):
    """33 mm of a tracked sweep: bone in most frames, the points as wide and deep as a spine, the sweep as long as it was."""
    frames, imageToProbe = spineSweep
    geometry = geometryFromCalibration(820, 616, imageToProbe, (188, 14, 629, 600))
    bone = collectBonePoints(frames, geometry, imageToProbe)
    assert bone.framesWithBone >= 18 and bone.framesWithoutPose == 0
    normal = bone.points.elevations.mean(axis=0)
    along = bone.points.pointsReference @ (normal / np.linalg.norm(normal))
    assert 25.0 < np.ptp(along) < 45.0
    depth = np.linalg.norm(bone.points.beamOffsetsMm, axis=1)
    assert depth.min() > 3.0 and depth.max() < 47.0
    # The rigid start of a registration needs the beams: they all point the same way within the hand's tilt.
    unit = bone.points.beamOffsetsMm / depth[:, None]
    assert (unit @ bone.points.beamDirection()).min() > 0.9


def test_phantomSweepDoesNotFitAStrangersSpine(spineSweep, ct):
    """The phantom isn't this patient: whatever is found is doubted, never a confident wrong answer."""
    frames, imageToProbe = spineSweep
    _, (labels, labelsToRas) = ct
    surface = extractPosteriorBoneSurfaceFromLabels(labels, labelsToRas, NAMES)
    geometry = geometryFromCalibration(820, 616, imageToProbe, (188, 14, 629, 600))
    bone = collectBonePoints(frames, geometry, imageToProbe)
    fit = registerSurface(bone.points, surface)
    assert not fit.trusted


@pytest.mark.parametrize("which", ["tuning", "heldOut"])
def test_meshesOfRealVertebrae(realData, which):
    """Simulated sweeps over two patients' vertebrae: found from 30 mm and 30 deg, level alternatives rejected."""
    from SpineMeshes import heldOutSpine, surfaceOf, tuningSpine
    from SurfaceCases import DenseSpine, Hardness, makeSweep, startNear, targetErrors

    assert (realData / "mesh").is_dir()
    spine = tuningSpine() if which == "tuning" else heldOutSpine()
    surface, dense, random = surfaceOf(spine).prepare(), DenseSpine(spine, 1.5), np.random.default_rng(900)
    for _ in range(4):
        sweep = makeSweep(spine, dense, random, Hardness(outlierShare=0.3))
        fit = registerSurface(sweep.points, surface, initialReferenceToRas=startNear(sweep, random, 30.0, 30.0), targetsRas=spine.discs)
        assert targetErrors(sweep, spine, fit.referenceToRas).max() < 1.5
        assert fit.trusted, fit.doubts
        assert all(alternative.cost > fit.cost for alternative in fit.levelCheck.alternatives)


def test_ctSurfaceTakesMovedPatients(ct):
    """Turning and shifting the CT's geometry turns and shifts the surface with it (small turns: the back stays behind)."""
    _, (labels, labelsToRas) = ct
    move = rigidFrom(rotationFromVector(np.radians([3.0, -4.0, 5.0])), [11.0, -7.0, 23.0])
    still = extractPosteriorBoneSurfaceFromLabels(labels, labelsToRas, NAMES)
    moved = extractPosteriorBoneSurfaceFromLabels(labels, move @ labelsToRas, NAMES)
    back = (moved.pointsRas - move[:3, 3]) @ move[:3, :3]
    assert np.mean(np.abs(still.table.distances(back)) < 0.7) > 0.9
