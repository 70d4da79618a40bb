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


def placeMarkersAndBone(panel, skinShiftMm):
    """The phantom's CT, its balls measured 0.4 mm off and carried along by the skin, and bone as a sweep sees it; returns the truth."""
    import slicer
    from FusionRegistrationPanel.BonePointModel import polyDataOfBonePoints

    from FusionRegistrationLib.BonePoints import BonePoints
    from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurface
    from IntradiscalNavLib.Simulation.LumbarPhantom import cachedLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

    phantom = cachedLumbarPhantom(PhantomParameters(spacingMm=(1.6, 1.6, 2.0)))
    truth, random = phantom.truth, np.random.default_rng(11)
    inReference = np.linalg.inv(truth.referenceToRas)
    volume = slicer.util.addVolumeFromArray(phantom.voxels, ijkToRAS=phantom.ijkToRas, name="CT")
    panel.ui.ctVolumeSelector.setCurrentNode(volume)
    discs = {name: np.array(disc.centerRas) for name, disc in truth.discs.items()}
    fill(panel.ui.targetsSelector, np.array(list(discs.values())), list(discs))
    surface = extractPosteriorBoneSurface(phantom.voxels, phantom.ijkToRas, thresholdHu=panel._parameterNode.surface.thresholdHu)
    low, high = sorted((discs["L2-L3"][2], discs["L5-S1"][2]))
    scanned = surface.pointsRas[(surface.pointsRas[:, 2] > low) & (surface.pointsRas[:, 2] < high) & (surface.normalsRas[:, 1] < -0.4)]
    scanned = scanned[random.permutation(len(scanned))[:1500]] + random.normal(0, 0.5, (1500, 3))
    points = scanned @ inReference[:3, :3].T + inReference[:3, 3]
    model = panel.ui.bonePointsSelector.addNode()
    model.SetAndObservePolyData(polyDataOfBonePoints(BonePoints(points, frames=np.argsort(np.argsort(scanned[:, 2])) // 30)))
    balls = (truth.ballsRas + skinShiftMm) @ inReference[:3, :3].T + inReference[:3, 3]
    panel.ui.anyOrderCheck.checked = False
    fill(panel.ui.ctPointsSelector, truth.ballsRas)
    fill(panel.ui.referencePointsSelector, balls + random.normal(0, 0.4, balls.shape))
    return truth, discs


def errorAt(panel, truth, place):
    import slicer

    found = slicer.util.arrayFromTransformMatrix(panel._parameterNode.referenceToRas) @ np.linalg.inv(truth.referenceToRas)
    return np.linalg.norm(found[:3, :3] @ place + found[:3, 3] - place)


@pytest.mark.slow
def test_markersAreRefinedByBone(panel):
    truth, discs = placeMarkersAndBone(panel, 0.0)
    assert not panel.ui.registerJointlyButton.enabled and "plate first" in panel.ui.registerJointlyButton.toolTip
    panel.ui.registerPointsButton.click()
    markers = errorAt(panel, truth, discs["L5-S1"])
    bound = panel.logic.fitOf(panel._parameterNode).predictedTre["L5-S1"].p95Mm
    panel.ui.registerJointlyButton.click()
    assert "agree" in panel.ui.scanLabel.text
    fit = panel.logic.fitOf(panel._parameterNode)
    assert errorAt(panel, truth, discs["L5-S1"]) < min(1.0, markers + 0.1) and fit.predictedTre["L5-S1"].p95Mm < bound
    assert not panel.ui.registerJointlyButton.enabled  # it was used up: the fit is no longer the markers'
    assert panel._parameterNode.residuals.model is None


@pytest.mark.slow
def test_markersCarriedByTheSkinAreFoundOut(panel):
    placeMarkersAndBone(panel, np.array([12.0, 0, 0]))
    panel.ui.registerPointsButton.click()
    panel.ui.registerJointlyButton.click()
    assert "contradict each other" in panel.ui.scanLabel.text
    assert panel.ui.verdictLabel.text.startswith("△") and "contradict each other" in panel.ui.verdictLabel.text
