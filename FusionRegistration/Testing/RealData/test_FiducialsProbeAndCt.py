"""Real probe calibrations, the real wire phantom, and a real CT without markers."""

import numpy as np
import pytest

from FusionRegistrationLib.MarkerDetection import MarkerParameters, detectMarkers
from FusionRegistrationLib.ProbeCalibration import checkProbeCalibration, loadProbeCalibration, readPlusTransform
from FusionRegistrationLib.WirePhantom import checkWires, readWirePictures, readWires

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def wirePhantom(realData):
    folder = realData / "tracked" / "plus"
    results = folder / "FreehandCalibration3NWires_fCal2.0.results.xml"
    phantomToReference, _ = readPlusTransform(folder / "PlusDeviceSet_fCal_Sim_SpatialCalibration_2.0.xml", "Phantom", "Reference")
    return (
        loadProbeCalibration(results),
        phantomToReference,
        readWires(folder / "PhantomDefinition_fCal_2.0_Wiring_2.0.xml"),
        readWirePictures(results),
    )


def test_spinePhantomCalibrationPassesWithRemark(realData):
    calibration = loadProbeCalibration(realData / "tracked" / "plus" / "PlusDeviceSet_SpinePhantomFreehandReconstructionOnly.xml")
    check = checkProbeCalibration(calibration.imageToProbe, errorMm=calibration.errorMm)
    assert check.usable
    assert check.pixelSizeMm == pytest.approx((0.085, 0.079), abs=5e-4)
    assert check.axisAngleDeg == pytest.approx(92.7, abs=0.05)
    assert any("92.7 deg" in remark for remark in check.remarks)


def test_wirePointsLieOnTheWires(wirePhantom):
    calibration, phantomToReference, wires, pictures = wirePhantom
    check = checkWires(calibration.imageToProbe, phantomToReference, wires, pictures)
    assert check.passed
    assert check.meanMm == pytest.approx(0.43, abs=0.03)
    assert checkProbeCalibration(calibration.imageToProbe).usable


@pytest.mark.parametrize(
    "flip",
    [np.diag([-1.0, 1.0, 1.0, 1.0]), np.diag([1.0, -1.0, 1.0, 1.0])],
    ids=["left-right", "up-down"],
)
def test_mirroredImageFailsBothChecks(wirePhantom, flip):
    calibration, phantomToReference, wires, pictures = wirePhantom
    flip = flip.copy()
    flip[:2, 3] = [820.0 if flip[0, 0] < 0 else 0.0, 616.0 if flip[1, 1] < 0 else 0.0]
    mirrored = calibration.imageToProbe @ flip
    assert not checkWires(mirrored, phantomToReference, wires, pictures).passed
    assert not checkProbeCalibration(mirrored).usable


def test_invertedPhantomPoseFails(wirePhantom):
    calibration, phantomToReference, wires, pictures = wirePhantom
    inverted = np.linalg.inv(phantomToReference)
    inverted[:3, :3] = phantomToReference[:3, :3].T
    inverted[3] = [0, 0, 0, 1]
    assert not checkWires(calibration.imageToProbe, inverted, wires, pictures).passed


@pytest.mark.parametrize("outward", [(0, -1, 0), (0, 1, 0), (1, 0, 0), (-1, 0, 0)])
def test_nothingIsFoundInCtWithoutMarkers(realData, outward):
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(realData / "ct" / "totalsegmentator_example" / "example_ct.nii.gz"))
    lpsToRas = np.diag([-1.0, -1.0, 1.0])
    ijkToRas = np.eye(4)
    ijkToRas[:3, :3] = lpsToRas @ np.array(image.GetDirection()).reshape(3, 3) @ np.diag(image.GetSpacing())
    ijkToRas[:3, 3] = lpsToRas @ np.array(image.GetOrigin())
    found = detectMarkers(sitk.GetArrayViewFromImage(image), ijkToRas, MarkerParameters(outwardRas=outward))
    assert found.markers == ()
    assert any("3.0 mm" in warning for warning in found.warnings)
