"""Needle from its data, checked in a divot; probe calibration loaded from XML and refused where it must be."""

import numpy as np
import pytest

from FusionRegistrationLib.NeedleCalibration import (
    calibrateNeedleFromData,
    calibrateNeedleFromShaft,
    checkNeedleInDivot,
    pivotAdvice,
)
from FusionRegistrationLib.ProbeCalibration import (
    checkProbeCalibration,
    compareImageOrientation,
    loadProbeCalibration,
)
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationFromVector, transformPoints
from FusionRegistrationLib.WirePhantom import Wire, WirePicture, checkWires, readWires

HUB = np.array([12.0, -4.0, 8.0])
AXIS = np.array([0.0, 0.6, 0.8])


def test_tipLiesOneLengthFromTheHub():
    needle = calibrateNeedleFromData(HUB, 2.0 * AXIS, 150.0)
    tip = needle.needleTipToNeedle[:3, 3]
    assert np.allclose(tip, HUB + 150.0 * AXIS)
    # the convention: +Z advances, the hub is at z = -length in the tip's frame
    assert np.allclose(transformPoints(invertRigid(needle.needleTipToNeedle), HUB), [0, 0, -150.0])


@pytest.mark.parametrize("length", [0.15, 5.0, 900.0, float("nan")])
def test_impossibleLengthsAreRefused(length):
    with pytest.raises(ValueError, match="millimetres"):
        calibrateNeedleFromData(HUB, AXIS, length)


def test_fromPointsTouchedOnTheShaft():
    pose = rigidFrom(rotationFromVector([0.2, -1.0, 0.4]), [100, -50, 20])
    random = np.random.default_rng(0)
    local = HUB + np.outer([0, 40, 80, 140.0], AXIS) + 0.2 * random.normal(size=(4, 3))
    needle = calibrateNeedleFromShaft(transformPoints(pose, local), pose, 150.0)
    assert np.linalg.norm(needle.needleTipToNeedle[:3, 3] - HUB - 150 * AXIS) < 0.6
    bent = local.copy()
    bent[2] += [4.0, 0, 0]
    with pytest.raises(ValueError, match="bent"):
        calibrateNeedleFromShaft(transformPoints(pose, bent), pose, 150.0)
    with pytest.raises(ValueError, match="span"):
        calibrateNeedleFromShaft(transformPoints(pose, local[:2]), pose, 150.0)
    with pytest.raises(ValueError, match="two points"):
        calibrateNeedleFromShaft(local[:1], pose, 150.0)


def posesInDivot(tipInNeedle, divot, count=60, noise=0.2):
    random = np.random.default_rng(1)
    poses = []
    for _ in range(count):
        rotation = rotationFromVector(random.normal(size=3) * 0.2)
        poses.append(rigidFrom(rotation, divot - rotation @ tipInNeedle + noise * random.normal(size=3)))
    return poses


def test_divotCheckTellsLengthFromBend():
    divot = np.array([30.0, 40.0, 50.0])
    true = calibrateNeedleFromData(HUB, AXIS, 150.0)
    poses = posesInDivot(true.needleTipToNeedle[:3, 3], divot)
    good = checkNeedleInDivot(true, [*poses, np.eye(4) * np.nan], divot)
    assert good.passed and good.errorMm < 0.6 and good.poseCount == 60
    tooLong = checkNeedleInDivot(calibrateNeedleFromData(HUB, AXIS, 154.0), poses, divot)
    assert not tooLong.passed
    assert tooLong.alongMm == pytest.approx(4.0, abs=0.2) and "longer" in tooLong.message
    sideways = checkNeedleInDivot(calibrateNeedleFromData(HUB, AXIS + np.array([0.03, 0, 0]), 150.0), poses, divot)
    assert not sideways.passed
    assert sideways.acrossMm == pytest.approx(4.5, abs=0.3) and "to the side" in sideways.message
    with pytest.raises(ValueError, match="No valid pose"):
        checkNeedleInDivot(true, [np.zeros((4, 4))], divot)


def test_thinNeedlesArentPivoted():
    assert "22G" in pivotAdvice(22) and pivotAdvice(17) == ""


def image(sx=0.08, sy=0.08, angleDeg=90.0, flip=False):
    matrix = np.eye(4)
    turn = rotationFromVector([0.3, 0.2, -0.5])
    matrix[:3, 0] = sx * turn @ [1.0, 0, 0]
    matrix[:3, 1] = sy * turn @ [np.cos(np.radians(angleDeg)), np.sin(np.radians(angleDeg)), 0]
    matrix[:3, 2] = (-0.08 if flip else 0.08) * turn @ [0, 0, 1.0]
    matrix[:3, 3] = [10, 40, -5]
    return matrix


def test_goodCalibrationPassesSilently():
    check = checkProbeCalibration(image(), errorMm=0.5)
    assert check.usable and check.remarks == () and check.rightHanded
    assert check.axisAngleDeg == pytest.approx(90)


@pytest.mark.parametrize(
    ("angle", "usable", "remarked"), [(90.5, True, False), (92.7, True, True), (87.0, True, True), (96.0, False, False)]
)
def test_axisAngle(angle, usable, remarked):
    check = checkProbeCalibration(image(angleDeg=angle))
    assert check.usable == usable
    assert any("deg" in r for r in check.remarks) == remarked
    assert check.axisAngleDeg == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        (image(flip=True), "mirrored"),
        (image() @ np.diag([-1.0, 1, 1, 1]), "left-handed"),
        (image() @ np.diag([1.0, -1, 1, 1]), "left-handed"),
        (np.eye(4), "identity"),
        (image(8e-5, 8e-5), "metres"),
        (image(0.08, 0.2), "square"),
        (image(0.0, 0.08), "zero length"),
        (np.full((4, 4), np.nan), "finite"),
        (np.eye(3), "4x4"),
        (image() + 5000.0 * np.eye(4)[:, [3, 3, 3, 3]] * 0 + np.outer([1, 1, 1, 0], [0, 0, 0, 3000.0]), "wrong unit"),
    ],
)
def test_badCalibrationsAreRefused(matrix, told):
    check = checkProbeCalibration(matrix)
    assert not check.usable
    assert any(told in p for p in check.problems)


def test_statedErrorIsRemarked():
    assert any("2.40 mm" in r for r in checkProbeCalibration(image(), errorMm=2.4).remarks)


def test_pictureUpsideDown():
    matrix = image()
    depth = matrix[:3, 1]
    assert compareImageOrientation(matrix, depth) == ""
    assert "upside down" in compareImageOrientation(matrix, -depth)
    assert "turned" in compareImageOrientation(matrix, matrix[:3, 0])


def xml(transforms):
    return "<PlusConfiguration><CoordinateDefinitions>" + transforms + "</CoordinateDefinitions></PlusConfiguration>"


def test_loadingFromDeviceSet(tmp_path):
    path = tmp_path / "set.xml"
    numbers = " ".join(str(v) for v in image().ravel())
    path.write_text(xml(f'<Transform From="Image" To="Probe" Matrix="{numbers}" Error="0.7" Date="today"/>'))
    loaded = loadProbeCalibration(path)
    assert np.array_equal(loaded.imageToProbe, image()) and loaded.errorMm == 0.7 and loaded.date == "today"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (xml('<Transform From="StylusTip" To="Stylus" Matrix="1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1"/>'), "StylusTipToStylus"),
        (xml('<Transform From="Image" To="Probe" Matrix="1 0 0"/>'), "16 finite"),
        (xml('<Transform From="Image" To="Probe" Matrix="a b c"/>'), "no number"),
        ("<Plus", "no valid XML"),
    ],
)
def test_badFilesAreRefused(tmp_path, content, told):
    path = tmp_path / "set.xml"
    path.write_text(content)
    with pytest.raises(ValueError, match=told):
        loadProbeCalibration(path)
    with pytest.raises(ValueError, match="can't be read"):
        loadProbeCalibration(tmp_path / "absent.xml")


def test_wireCheckMeasuresTheDistance(tmp_path):
    """Wires along y at known x, z; a picture plane at y = 20 sees them as points; an offset of 0.7 mm is found as such."""
    wires = {f"w{i}": Wire(f"w{i}", (10.0 * i, 0.0, 5.0 * i), (10.0 * i, 40.0, 5.0 * i)) for i in range(4)}
    scale = np.diag([0.1, 0.1, 0.1, 1.0])
    imageToPhantom = np.array([[1.0, 0, 0, 0], [0, 0, 1, 20], [0, 1, 0, 0], [0, 0, 0, 1]]) @ scale
    # a proper probe pose: the rest of the chain is in imageToProbe
    picture = WirePicture(tuple(wires), np.array([[100.0 * i, 50.0 * i] for i in range(4)]), np.eye(4))
    exact = checkWires(imageToPhantom, np.eye(4), wires, [picture])
    assert exact.meanMm == pytest.approx(0.0, abs=1e-12) and exact.passed
    shifted = imageToPhantom.copy()
    shifted[0, 3] += 0.7
    assert checkWires(shifted, np.eye(4), wires, [picture]).meanMm == pytest.approx(0.7)
    shifted[0, 3] += 5.0
    assert not checkWires(shifted, np.eye(4), wires, [picture]).passed
    with pytest.raises(ValueError, match="w0"):
        checkWires(imageToPhantom, np.eye(4), {"other": wires["w1"]}, [picture])
    with pytest.raises(ValueError, match="No pictures"):
        checkWires(imageToPhantom, np.eye(4), wires, [])
    empty = tmp_path / "no.xml"
    empty.write_text("<a/>")
    with pytest.raises(ValueError, match="no wires"):
        readWires(empty)
