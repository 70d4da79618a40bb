"""The one-shot plate: definition file, symmetry, registration from the CT's markers alone, also partly hidden."""

import json
import pathlib

import numpy as np
import pytest

from FusionRegistrationLib.MarkerDetection import detectMarkers
from FusionRegistrationLib.MarkerPlate import MarkerPlate, registerPlate
from FusionRegistrationLib.PointSetGeometry import PointSetError
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationAngleDeg, rotationFromVector, transformPoints
from FusionRegistrationLib.SimulatedMarkerCt import MarkerCtScene, SimulatedMarker, backSurfaceY, simulateMarkerCt

EXAMPLE = pathlib.Path(__file__).parents[3] / "Resources" / "ExampleMarkerPlate.json"
# x of the plate to the patient's left, y to the feet, z out of the back
ON_BACK = rigidFrom(np.array([[-1.0, 0, 0], [0, 0, -1.0], [0, -1.0, 0]]), [0.0, 0.0, 0.0])


@pytest.fixture(scope="module")
def plate():
    return MarkerPlate.load(EXAMPLE)


def pose(random):
    turned = rigidFrom(rotationFromVector(0.3 * random.normal(size=3)), np.zeros(3)) @ ON_BACK
    turned[:3, 3] = random.uniform([-50, -170, -50], [50, -70, 50])
    return turned


def test_exampleIsAsymmetricAndComesBackFromFile(plate, tmp_path):
    assert plate.symmetryWarning() == ""
    plate.save(tmp_path / "plate.json")
    back = MarkerPlate.load(tmp_path / "plate.json")
    assert back.toDict() == plate.toDict()


@pytest.mark.parametrize("hidden", [0, 1, 2, 3])
@pytest.mark.parametrize("foreign", [0, 3])
def test_registersPartlyHidden(plate, hidden, foreign):
    for seed in range(8):
        random = np.random.default_rng(100 * hidden + 10 * foreign + seed)
        truth = pose(random)
        centers = transformPoints(truth, plate.ballPositions) + 0.05 * random.normal(size=(7, 3))
        centers = centers[random.permutation(7)[hidden:]]
        strangers = random.uniform(-100, 100, (foreign, 3)) + truth[:3, 3]
        listed = np.vstack([centers, strangers])[random.permutation(7 - hidden + foreign)]
        found = registerPlate(plate, listed, outwardRas=truth[:3, 2], targets={"disc": truth[:3, 3] - 80 * truth[:3, 2]})
        assert found.fit is not None, found.message
        assert rotationAngleDeg(invertRigid(truth) @ found.referenceToRas) < 0.6
        assert np.linalg.norm(found.referenceToRas[:3, 3] - truth[:3, 3]) < 0.3
        assert len(found.match.missing) == hidden
        assert found.message.count("not seen") == (hidden > 0)
        assert 0 < found.fit.predictedTre["disc"].p95Mm < 3.0


def test_fromTheCtAlone(plate):
    """Detection in a rendered CT and registration: no touching, no order, truth known to the simulation."""
    truth = ON_BACK.copy()
    truth[:3, :3] = rotationFromVector([0.02, 0.0, -0.05]) @ ON_BACK[:3, :3]
    truth[:3, 3] = [12.0, float(backSurfaceY(12, -3)) - 1.0, -3.0]
    markers = tuple(SimulatedMarker(tuple(c), plate.ballDiameterMm, 1500.0) for c in transformPoints(truth, plate.ballPositions))
    voxels, ijkToRas = simulateMarkerCt(MarkerCtScene(markers=markers, extentMm=(140, 96, 96), sliceMm=1.25, spacingMm=0.8, seed=3))
    detected = detectMarkers(voxels, ijkToRas)
    assert len(detected.markers) == 7
    disc = truth[:3, 3] + [0, 80, 0]
    found = registerPlate(plate, detected.centersRas, outwardRas=[0, -1, 0], targets={"disc": disc})
    reached = transformPoints(found.referenceToRas @ invertRigid(truth), disc)
    assert np.linalg.norm(reached - disc) < 0.25
    assert np.linalg.norm(reached - disc) < found.fit.predictedTre["disc"].p95Mm


def test_symmetricPlateWarnsAndIsNotGuessed():
    corners = np.array([[-30, -20, 0], [30, -20, 0], [30, 20, 0], [-30, 20, 0.0]])
    plate = MarkerPlate("square", ("a", "b", "c", "d"), corners, 4.0, np.array([0, 0, 1.0]))
    assert "symmetric" in plate.symmetryWarning()
    found = registerPlate(plate, transformPoints(ON_BACK, corners), outwardRas=[0, -1, 0])
    assert found.fit is None and found.match.ambiguous
    with pytest.raises(ValueError, match="not registered"):
        _ = found.referenceToRas


def test_tooFewMarkersTellWhy(plate):
    found = registerPlate(plate, transformPoints(ON_BACK, plate.ballPositions[:2]))
    assert found.fit is None and "at least 3" in found.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"units": "m"}, "mm"),
        ({"format": "other"}, "no plate definition"),
        ({"version": 9}, "version"),
        ({"balls": [{"name": "a"}]}, "position"),
        ({"ballDiameterMm": 0.005}, "diameter"),
        ({"outward": [0, 0, 0]}, "outward"),
    ],
)
def test_badDefinitionsAreRefusedWithReason(plate, tmp_path, change, told):
    path = tmp_path / "bad.json"
    path.write_text(json.dumps({**plate.toDict(), **change}))
    with pytest.raises(ValueError, match=told) as caught:
        MarkerPlate.load(path)
    assert "bad.json" in str(caught.value)


def test_unreadableFilesAreRefused(tmp_path):
    with pytest.raises(ValueError, match=r"none\.json"):
        MarkerPlate.load(tmp_path / "none.json")
    (tmp_path / "torn.json").write_text("{")
    with pytest.raises(ValueError, match=r"torn\.json"):
        MarkerPlate.load(tmp_path / "torn.json")


def test_metresAreNoticed(plate):
    with pytest.raises(PointSetError):
        MarkerPlate("m", plate.ballNames, plate.ballPositions / 1000.0, 5.0)
    with pytest.raises(PointSetError, match="twice"):
        MarkerPlate("m", ("a",) * 7, plate.ballPositions, 5.0)
