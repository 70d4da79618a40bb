"""DICOM out and in again: exact voxels and geometry, whatever the file names; and what is wrong with a series is named."""

import pathlib
import shutil

import numpy as np
import pydicom
import pytest

from IntradiscalNavHeadless.DicomSeries import DicomSeriesError, listDicomSeries, loadDicomVolume, readDicomSeries
from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, cachedLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, WrittenSeries, writeDicomSeries, writeLocalizer
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

SMALL = PhantomParameters(spacingMm=(4.0, 3.5, 5.0))


@pytest.fixture(scope="module")
def phantom() -> LumbarPhantom:
    return cachedLumbarPhantom(SMALL)


@pytest.fixture(scope="module")
def prone(phantom: LumbarPhantom, tmp_path_factory: pytest.TempPathFactory) -> WrittenSeries:
    return writeDicomSeries(phantom, tmp_path_factory.mktemp("prone"))


@pytest.fixture
def copied(prone: WrittenSeries, tmp_path: pathlib.Path) -> pathlib.Path:
    target = tmp_path / "ct"
    shutil.copytree(prone.folder, target)
    return target


def test_roundTripIsExactThoughNamesAreShuffled(phantom: LumbarPhantom, prone: WrittenSeries) -> None:
    byName = sorted(prone.folder.iterdir())
    assert byName != list(prone.files)  # the trap: names are not in slice order
    series = readDicomSeries(prone.folder)
    assert np.array_equal(series.voxels, phantom.voxels)
    assert series.voxels.dtype == np.int16
    np.testing.assert_allclose(series.ijkToRas, phantom.ijkToRas, atol=1e-8)
    assert series.files == prone.files
    assert series.patientPosition == "HFP"
    assert series.seriesInstanceUid == prone.seriesInstanceUid
    assert series.acquisitionStart == prone.start
    assert series.acquisitionEnd == prone.end
    assert series.warnings == ()


@pytest.mark.parametrize("position", ["HFS", "HFP", "FFS", "FFP"])
def test_everyOrientationPutsVoxelsAtTheSamePlace(phantom: LumbarPhantom, tmp_path: pathlib.Path, position: str) -> None:
    written = writeDicomSeries(phantom, tmp_path, scan=CtScan(patientPosition=position))
    series = readDicomSeries(tmp_path)
    assert series.patientPosition == position
    # the balls are found where the phantom says they are, whichever way the array runs
    bright = np.argwhere(series.voxels > 600)[:, ::-1]
    ras = bright @ series.ijkToRas[:3, :3].T + series.ijkToRas[:3, 3]
    truth = np.argwhere(phantom.voxels > 600)[:, ::-1] @ phantom.ijkToRas[:3, :3].T + phantom.ijkToRas[:3, 3]
    assert {tuple(point) for point in np.round(ras, 3)} == {tuple(point) for point in np.round(truth, 3)}
    header = pydicom.dcmread(written.files[0])
    # the standard's own words: HFP has its rows towards the right and its columns towards the front of the patient
    expected = {"HFS": [1, 0, 0, 0, 1, 0], "HFP": [-1, 0, 0, 0, -1, 0], "FFS": [-1, 0, 0, 0, 1, 0], "FFP": [1, 0, 0, 0, -1, 0]}
    assert [float(value) for value in header.ImageOrientationPatient] == expected[position]


def test_anotherReaderAgrees(phantom: LumbarPhantom, prone: WrittenSeries) -> None:
    sitk = pytest.importorskip("SimpleITK")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(prone.folder))
    image = sitk.ReadImage(names)
    assert np.array_equal(sitk.GetArrayFromImage(image), phantom.voxels)
    corner = np.array(image.TransformIndexToPhysicalPoint((3, 5, 7)))
    mine = phantom.ijkToRas @ np.array([3, 5, 7, 1.0])
    np.testing.assert_allclose(corner * [-1, -1, 1], mine[:3], atol=1e-5)


def test_localizerAndSecondPassAreToldApart(phantom: LumbarPhantom, prone: WrittenSeries, copied: pathlib.Path) -> None:
    writeLocalizer(phantom, copied)
    series = readDicomSeries(copied)
    assert series.seriesInstanceUid == prone.seriesInstanceUid
    assert any("Localizer" in warning for warning in series.warnings)
    check = writeDicomSeries(phantom, copied / "check", scan=CtScan(description="Final CT", acquisitionNumber=2, seriesNumber=3))
    assert check.frameOfReferenceUid == prone.frameOfReferenceUid
    assert check.studyInstanceUid == prone.studyInstanceUid
    assert check.irradiationEventUid != prone.irradiationEventUid
    with pytest.raises(DicomSeriesError, match="2 series"):
        readDicomSeries(copied)
    assert readDicomSeries(copied, check.seriesInstanceUid).seriesInstanceUid == check.seriesInstanceUid
    assert sorted(entry.isLocalizer for entry in listDicomSeries(copied)) == [False, False, True]


def edit(path: pathlib.Path, **values: object) -> None:
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


def test_missingSliceIsNamed(prone: WrittenSeries, copied: pathlib.Path) -> None:
    (copied / prone.files[10].name).unlink()
    with pytest.raises(DicomSeriesError, match=f"1 slices are missing.*{prone.files[9].name}"):
        readDicomSeries(copied)


def test_truncatedSliceIsNamed(prone: WrittenSeries, copied: pathlib.Path) -> None:
    last = copied / prone.files[-1].name
    last.write_bytes(last.read_bytes()[:-500])
    series = readDicomSeries(copied)
    assert len(series.files) == len(prone.files) - 1
    assert any(last.name in warning and "truncated" in warning for warning in series.warnings)
    middle = copied / prone.files[12].name
    middle.write_bytes(middle.read_bytes()[:3000])
    with pytest.raises(DicomSeriesError, match="missing"):
        readDicomSeries(copied)


def test_doubledAndRepeatedSlices(prone: WrittenSeries, copied: pathlib.Path) -> None:
    shutil.copy(copied / prone.files[3].name, copied / "copy.dcm")
    series = readDicomSeries(copied)
    assert any("repeats" in warning for warning in series.warnings)
    edit(copied / "copy.dcm", SOPInstanceUID="1.2.3.4")
    with pytest.raises(DicomSeriesError, match="more than once"):
        readDicomSeries(copied)


def test_unevenSpacing(prone: WrittenSeries, copied: pathlib.Path) -> None:
    for number, path in enumerate(prone.files):
        if number % 2:
            x, y, z = pydicom.dcmread(copied / path.name, stop_before_pixels=True).ImagePositionPatient
            edit(copied / path.name, ImagePositionPatient=[x, y, f"{float(z) + 1.4:.4f}"])
    with pytest.raises(DicomSeriesError, match="not evenly spaced"):
        readDicomSeries(copied)


def test_gantryTiltIsRefusedOrRectified(phantom: LumbarPhantom, prone: WrittenSeries, copied: pathlib.Path) -> None:
    for k, path in enumerate(prone.files):
        x, y, z = (float(value) for value in pydicom.dcmread(copied / path.name, stop_before_pixels=True).ImagePositionPatient)
        edit(copied / path.name, ImagePositionPatient=[f"{x:.5f}", f"{y - 5.0 * np.tan(np.radians(12.0)) * k:.5f}", f"{z:.5f}"])
    with pytest.raises(DicomSeriesError, match=r"tilted by 12\.0 deg"):
        readDicomSeries(copied)
    series = readDicomSeries(copied, rectifyTilt=True)
    assert series.gantryTiltDeg == pytest.approx(12.0, abs=0.01)
    # slice k is shifted by k tan(12 deg) 5 mm towards anterior: compare one voxel column of the last slice
    k = len(prone.files) - 1
    shift = 5.0 * np.tan(np.radians(12.0)) * k / 3.5
    rows = np.arange(40, 60)
    source = phantom.voxels[k, :, 40].astype(float)
    expected = np.interp(rows - shift, np.arange(len(source)), source)
    np.testing.assert_allclose(series.voxels[k, rows, 40], expected, atol=1.0)


def test_otherFilesAndEmptyFolders(copied: pathlib.Path, tmp_path: pathlib.Path) -> None:
    (copied / "readme.txt").write_text("not DICOM")
    assert any("readme.txt" in warning for warning in readDicomSeries(copied).warnings)
    with pytest.raises(DicomSeriesError, match="no folder"):
        readDicomSeries(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DicomSeriesError, match="No DICOM image"):
        readDicomSeries(tmp_path / "empty")


def test_rescaleSlopeIsApplied(phantom: LumbarPhantom, prone: WrittenSeries, copied: pathlib.Path) -> None:
    for path in copied.iterdir():
        edit(path, RescaleSlope="0.5", RescaleIntercept="-512")
    series = readDicomSeries(copied)
    assert series.voxels.dtype == np.float32
    np.testing.assert_allclose(series.voxels, phantom.voxels * 0.5, atol=1e-3)


def test_volumeNodeCarriesTheGeometry(phantom: LumbarPhantom, prone: WrittenSeries) -> None:
    pytest.importorskip("slicer")
    import slicer
    import vtk

    from IntradiscalNavHeadless.SceneHost import startHost

    startHost()
    node = loadDicomVolume(slicer.mrmlScene, prone.folder, name="CT")
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    read = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    np.testing.assert_allclose(read, phantom.ijkToRas, atol=1e-8)
    assert np.array_equal(slicer.util.arrayFromVolume(node), phantom.voxels)
    assert node.GetAttribute("DICOM.PatientPosition") == "HFP"
    assert len(node.GetAttribute("DICOM.instanceUIDs").split()) == len(prone.files)
    slicer.mrmlScene.RemoveNode(node)


@pytest.mark.realdata
def test_realCompressedSiemensSeries(realData: pathlib.Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    folder = realData / "ct" / "totalsegmentator_example" / "example_ct_dicom"
    series = readDicomSeries(folder)
    assert series.voxels.shape == (20, 512, 512)
    assert series.patientPosition == "HFS"
    assert "JPEG 2000" in series.transferSyntax
    assert series.spacingMm[2] == pytest.approx(2.0, abs=1e-6)  # slices 3 mm thick, every 2 mm
    assert series.sliceThicknessMm == 3.0
    assert len(set(series.instanceUids)) == 20
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), series.voxels)
    np.testing.assert_allclose(np.array(image.GetOrigin()) * [-1, -1, 1], series.ijkToRas[:3, 3], atol=1e-4)
    assert series.voxels.min() >= -1024
    assert 20 < np.median(series.voxels[(series.voxels > -20) & (series.voxels < 120)]) < 80
