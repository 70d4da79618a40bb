"""Checks during the procedure: arch superimposition on the simulated patient, drift of the reference, re-verification, tool roles."""

import numpy as np
import pytest

from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurface
from FusionRegistrationLib.ProbeGeometry import curvilinearGeometry
from FusionRegistrationLib.RegistrationDoubt import DoubtCause
from FusionRegistrationLib.RigidTransform import rigidFrom
from IntradiscalNavLib.Guidance.ArchSuperimposition import ArchState, ArchSuperimposition
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE, REFERENCE
from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
from IntradiscalNavLib.Simulation.SimulatedUltrasound import SimulatedUltrasound
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate
from IntradiscalNavLib.Streaming.ToolStatus import ToolState
from IntradiscalNavLib.Views.ProcedureChecks import ProcedureChecks
from IntradiscalNavLib.Views.ToolRoles import ToolRoles


def planeDistance(points):
    """CT bone is everything below y = 10 (anterior), seen from behind."""
    return 10.0 - np.asarray(points)[:, 1]


def bone(shiftMm=0.0, noiseMm=0.0, count=40, seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-20, 20, (count, 3))
    points[:, 1] = 10.0 - shiftMm + rng.normal(size=count) * noiseMm
    return points


def test_archMeasuresTheShift():
    arch = ArchSuperimposition(planeDistance)
    for step in range(5):
        check = arch.add(bone(4.0, 0.3, seed=step), step * 0.2)
    assert check.state is ArchState.DOUBTFUL
    assert check.medianMm == pytest.approx(4.0, abs=0.2)
    assert check.biasMm == pytest.approx(4.0, abs=0.2), "the bone seen lies above the CT's"
    assert "above" in check.message


def test_archIsGoodWithinItsLimitAndHasHysteresis():
    arch = ArchSuperimposition(planeDistance)
    states = []
    for step, shift in enumerate([0.5] * 5 + [2.5] * 20 + [3.6] * 20 + [2.5] * 20 + [1.0] * 20):
        states.append(arch.add(bone(shift, 0.05, seed=step), step * 0.3).state)
    assert states[4] is ArchState.GOOD
    assert states[24] is ArchState.GOOD, "between 2 and 3 mm a good state stays"
    assert states[44] is ArchState.DOUBTFUL
    assert states[64] is ArchState.DOUBTFUL, "and a doubtful one too"
    assert states[84] is ArchState.GOOD


def test_archSaysNothingWithoutBone():
    arch = ArchSuperimposition(planeDistance)
    assert arch.add(np.zeros((0, 3)), 0.0).state is ArchState.UNKNOWN
    arch.add(bone(0.0), 0.1)
    assert arch.add(bone(0.0, seed=1), 0.2).state is ArchState.GOOD
    late = arch.add(np.zeros((0, 3)), 30.0)
    assert late.state is ArchState.UNKNOWN, "what was seen half a minute ago is no live check"
    assert np.isnan(late.medianMm)


def test_strayEchoesDontCountButAreTold():
    arch = ArchSuperimposition(planeDistance)
    mixed = np.concatenate([bone(0.3, 0.1, 70), bone(40.0, 1.0, 30)])
    check = arch.add(mixed, 0.0)
    assert check.state is ArchState.GOOD
    assert check.farShare == pytest.approx(0.3)
    arch.clear()
    mostly = np.concatenate([bone(0.3, 0.1, 30), bone(40.0, 1.0, 70)])
    assert arch.add(mostly, 0.0).state is ArchState.DOUBTFUL


@pytest.fixture(scope="module")
def patient():
    phantom = cachedLumbarPhantom(PhantomParameters(spacingMm=(1.0, 1.0, 1.5)))
    return phantom, extractPosteriorBoneSurface(phantom.voxels, phantom.ijkToRas), SimulatedUltrasound(phantom)


def checksOn(streamed, patient):
    _, surface, ultrasound = patient
    geometry = ultrasound.geometry
    half = geometry.fieldOfViewDeg / 2
    column, row = geometry.faceCenterPixel
    spacing = geometry.pixelSpacingMm
    probe = curvilinearGeometry(
        geometry.columns,
        geometry.rows,
        (spacing, spacing),
        apexPixel=(column, row - geometry.radiusMm / spacing),
        faceRadiusMm=geometry.radiusMm,
        depthMm=geometry.depthMm,
        halfAngleDeg=half,
    )
    streamed.setMatrix(streamed.calibration, geometry.imageToProbe)
    return ProcedureChecks(streamed.session, surfaceDistance=surface.table.distances, geometry=probe)


def lookAtArch(streamed, patient, checks, registrationError, startSec=0.0):
    """A short sweep over L3 and L4 behind the spinous processes, with the registration off by this much."""
    phantom, _, ultrasound = patient
    streamed.setMatrix(streamed.registration, registrationError)
    centre = phantom.truth.vertebraToRas["L4"][:3, 3]
    check = None
    for step, offset in enumerate(np.linspace(-12, 30, 8)):
        place = centre + np.array([0.0, -62.0, offset])
        ultrasoundToRas = rigidFrom(np.eye(3), place)
        probeToRas = ultrasoundToRas @ np.linalg.inv(ultrasound.geometry.ultrasoundToProbe)
        streamed.showImage(ultrasound.render(probeToRas))
        streamed.setMatrix(streamed.probeNode, probeToRas)
        check = checks.checkArch(streamed.session.update(startSec + 0.3 * step)) or check
    return check


def test_archOnTheSimulatedPatient(streamed, patient):
    """Right registration: surfaces coincide. Wrong by 6 mm backwards: refuted, shown beside the numbers, and logged."""
    checks = checksOn(streamed, patient)
    good = lookAtArch(streamed, patient, checks, np.eye(4))
    assert good.state is ArchState.GOOD
    assert good.medianMm < 1.5
    assert streamed.session.update(5.0).displayed.warnings == ()
    checks.registered()
    bad = lookAtArch(streamed, patient, checks, rigidFrom(np.eye(3), [0, -6.0, 0]), 10.0)
    assert bad.state is ArchState.DOUBTFUL
    assert bad.biasMm > 2.5
    assert streamed.session.update(15.0).displayed.warnings == (bad.message,)
    texts = [event.text for event in streamed.session.takeEvents() if event.kind == "check"]
    assert "arch superimposition unknown -> good" in texts
    assert "arch superimposition unknown -> doubtful" in texts


def test_archTakesALinearArrayWhenTheProbeIsUnknown(streamed):
    """A bright line with shadow behind it at a known depth of a linear picture; the CT's bone lies 3 mm deeper."""
    rng = np.random.default_rng(0)
    image = rng.integers(60, 110, (240, 320)).astype(np.uint8)
    image[100:104, 40:280] = 240
    image[104:, 40:280] = rng.integers(0, 8, (136, 240))
    streamed.setMatrix(streamed.calibration, np.diag([0.2, 0.2, 0.2, 1.0]))
    streamed.moveProbe(np.eye(3), [0, 0, 0])
    streamed.showImage(image)
    checks = ProcedureChecks(streamed.session, surfaceDistance=lambda p: 100.5 * 0.2 + 3.0 - p[:, 1])
    check = checks.checkArch(streamed.session.update(1.0))
    assert checks.geometry.columns == 320
    assert check.biasMm == pytest.approx(3.0, abs=0.6)
    assert check.state is ArchState.DOUBTFUL


def test_archIsSilentWithoutAPicture(streamed):
    assert ProcedureChecks(streamed.session).checkArch(streamed.session.update(1.0)) is None


def test_knockedReferenceRaisesTheDriftAlarmAndACheckSettlesIt(streamed):
    checks = ProcedureChecks(streamed.session)
    checks.registered()
    rng = np.random.default_rng(0)
    for step in range(300):
        pose = rigidFrom(np.eye(3), rng.normal(size=3) * 0.1)
        assert checks.addReference(step * 0.05, pose) == ()
    for step in range(300, 340):
        checks.addReference(step * 0.05, rigidFrom(np.eye(3), np.array([0, 9.0, 0]) + rng.normal(size=3) * 0.1))
    assert DoubtCause.JUMP in {reason.cause for reason in checks.doubt.reasons}
    assert any("jumped" in warning for warning in streamed.session.update(17.0).displayed.warnings)
    assert any(event.kind == "check" and "jumped" in event.text for event in streamed.session.takeEvents())
    failed = checks.verify(18.0, np.eye(4), [5, 0, 0], [5, 9.0, 0], "spinous process L4")
    assert not failed.passed
    assert len(streamed.session.warnings) >= 2
    passed = checks.verify(19.0, np.eye(4), [5, 0.5, 0], [5, 0, 0], "spinous process L4")
    assert passed.passed
    assert streamed.session.update(19.1).displayed.warnings == (), "a passed check settles the doubt"


def sceneUpdate(**states):
    return SceneUpdate((), {}, {name: ToolState(state) for name, state in states.items()}, (), 0.0)


def test_toolRoles():
    now = [100.0]
    roles = ToolRoles({NEEDLE: ["NeedleToReference"], PROBE: ["ProbeToReference", "Image_Image"]}, clock=lambda: now[0])
    assert not roles.liveness()[NEEDLE].live
    roles.take(sceneUpdate(NeedleToReference="OK", ProbeToReference="OK", Image_Image="STALE"))
    assert roles.liveness()[NEEDLE].live
    assert (roles.liveness()[PROBE].live, roles.liveness()[PROBE].state) == (False, "STALE"), "a role is as good as its worst name"
    roles.take(sceneUpdate(NeedleToReference="SUSPECT", ProbeToReference="OK"))
    assert roles.liveness()[NEEDLE].live
    assert roles.liveness()[NEEDLE].state == "SUSPECT"
    assert roles.liveness()[PROBE].state == "MISSING"
    assert "Image_Image" in roles.liveness()[PROBE].reason
    roles.take(sceneUpdate(NeedleToReference="OK", ProbeToReference="OK", Image_Image="OK"))
    now[0] += 0.7
    stale = roles.liveness()[NEEDLE]
    assert not stale.live, "nobody processes the stream any more: the last OK must not stand"
    assert "0.7 s" in stale.reason
    assert REFERENCE not in roles.liveness()
    with pytest.raises(ValueError, match="roles"):
        ToolRoles({"stylus": ["StylusToReference"]})
