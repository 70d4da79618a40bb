"""Bone surface in the panel of FusionRegistration: scanned live, registered, kept in the scene."""

import numpy as np
import pytest
from RegistrationScene import fill


@pytest.fixture
def panel(panels):
    return panels.openPanel("FusionRegistration")


def test_bonePointsGoThroughAModelNode():
    from FusionRegistrationPanel.BonePointModel import bonePointsOfPolyData, polyDataOfBonePoints

    from FusionRegistrationLib.BonePoints import BonePoints

    rng = np.random.default_rng(3)
    points = BonePoints(rng.normal(size=(70, 3)), rng.normal(size=(70, 3)), np.arange(70) // 7, rng.uniform(0.1, 1, 70))
    back = bonePointsOfPolyData(polyDataOfBonePoints(points))
    np.testing.assert_array_equal(back.pointsReference, points.pointsReference)
    np.testing.assert_array_equal(back.beamOffsetsMm, points.beamOffsetsMm)
    np.testing.assert_array_equal(back.frames, points.frames)
    np.testing.assert_array_equal(back.confidence, points.confidence)
    assert back.elevations is None


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_boneIsScannedAndRegistered(panels, panel):
    """Frames of the simulated probe swept over the simulated spine, from a start that is 6 mm off; judged by the phantom's truth."""
    import slicer

    from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
    from IntradiscalNavLib.Simulation.SimulatedProcedure import SimulatedProcedure
    from IntradiscalNavLib.Simulation.SimulatedUltrasound import SimulatedUltrasound
    from IntradiscalNavLib.Simulation.UltrasoundGeometry import UltrasoundGeometry

    phantom = cachedLumbarPhantom(PhantomParameters(spacingMm=(1.6, 1.6, 2.0)))
    truth, geometry = phantom.truth, UltrasoundGeometry()
    volume = slicer.util.addVolumeFromArray(phantom.voxels, ijkToRAS=phantom.ijkToRas, name="CT")
    panel.ui.ctVolumeSelector.setCurrentNode(volume)
    referenceToRas = panel.ui.referenceToRasSelector.addNode()
    image = slicer.util.addVolumeFromArray(np.zeros((1, geometry.rows, geometry.columns), np.uint8), name="Image_Reference")
    image.SetAndObserveTransformNodeID(referenceToRas.GetID())
    assert "ultrasound" in panel.ui.scanButton.toolTip
    panel.ui.ultrasoundSelector.setCurrentNode(image)
    ours = geometry.probeGeometry()
    panel.ui.apexColumnSpin.value, panel.ui.apexRowSpin.value = ours.apexPixel
    panel.ui.faceRadiusSpin.value, panel.ui.depthSpin.value = ours.faceRadiusMm, geometry.depthMm
    panel.ui.halfAngleSpin.value = geometry.fieldOfViewDeg / 2
    # the start: the true registration moved by 6 mm, as a fit of three points would leave it
    start = truth.referenceToRas.copy()
    start[:3, 3] += [4, -3, 3]
    inReference = np.linalg.inv(truth.referenceToRas)
    corners = truth.ballsRas @ inReference[:3, :3].T + inReference[:3, 3]
    fill(panel.ui.referencePointsSelector, corners)
    fill(panel.ui.ctPointsSelector, corners @ start[:3, :3].T + start[:3, 3])
    panel.ui.registerPointsButton.click()

    panel.ui.scanButton.click()
    assert panel.ui.scanButton.checked
    ultrasound = SimulatedUltrasound(phantom, geometry, seed=3)
    operator = SimulatedProcedure(phantom, seed=3)
    endSec = operator.sweep(0.0, durationSec=8.0)
    for timeSec in np.arange(1.0, endSec, 0.1):
        probeToRas = operator.state(timeSec).probeToRas
        slicer.util.updateVolumeFromArray(image, ultrasound.render(probeToRas)[None])
        imageToRas = probeToRas @ geometry.imageToProbe
        image.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.linalg.inv(truth.referenceToRas) @ imageToRas))
        panel.onStylusTimer()
    state = panel.logic.scan.live.waitForFit(0, 120)
    assert state.fit is not None, state.problem
    panel.ui.scanButton.click()
    panel.logic.scan.live.refresh()
    assert "bone points" in panel.ui.scanLabel.text
    panel.update()
    panel.ui.acceptScanButton.click()
    assert panel._parameterNode.surface.bonePoints.GetPolyData().GetNumberOfPoints() > 60
    center = np.append(truth.discs["L4-L5"].centerRas, 1)
    found = slicer.util.arrayFromTransformMatrix(referenceToRas) @ np.linalg.inv(truth.referenceToRas) @ center
    assert np.linalg.norm(found[:3] - center[:3]) < 3.0
    assert panel.ui.registerSurfaceButton.enabled
