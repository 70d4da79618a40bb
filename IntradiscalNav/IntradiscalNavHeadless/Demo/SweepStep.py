"""Step 4: bone seen by the tracked ultrasound against bone of the CT: an independent check of the marker registration."""

from __future__ import annotations

import numpy as np

from FusionRegistrationLib.BonePoints import NoBoneError, SweepTooSmallError
from FusionRegistrationLib.BoneSurfaceCt import NoBoneSurfaceError, extractPosteriorBoneSurface
from FusionRegistrationLib.ProbeGeometry import ProbeGeometry, curvilinearGeometry
from FusionRegistrationLib.RigidFit import RigidFit
from FusionRegistrationLib.RigidTransform import invertRigid, transformPoints
from FusionRegistrationLib.SurfaceRegistration import registerSurface
from FusionRegistrationLib.SweepBone import SweepFrame, collectBonePoints
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.LiveStream import LiveStream
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavHeadless.Demo.SimulatorControl import commandSimulator
from IntradiscalNavLib.Simulation.UltrasoundGeometry import UltrasoundGeometry
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage, OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate

AGREEMENT_MM = 3.0
SWEEP_SEC = 6.0


def checkByBoneSurface(run: DemoRun, stream: LiveStream, ct: ImportedCt, fit: RigidFit, targetRas: np.ndarray) -> list[str]:
    """Sweep, find bone, register it to the CT from the marker fit, and compare at the disc. Returns remarks for the user."""
    commandSimulator(stream, "sweep", durationSec=SWEEP_SEC)
    calibration = stream.sceneStream.tree.matrix("ImageToProbe")
    assert calibration is not None
    frames: list[SweepFrame] = []

    def collect(messages: list[OpenIGTLinkMessage], update: SceneUpdate) -> bool:
        for message in messages:
            if isinstance(message, ImageMessage) and update.states["ProbeToReference"].isLive:
                # The image carries its own pose: ImageToReference at the moment it was taken.
                pose = message.ijkToFrame @ np.linalg.inv(calibration)
                frames.append(SweepFrame(message.voxels[0], pose, message.timestampSec))
        return len(frames) >= 30 * SWEEP_SEC

    stream.runUntil(collect, SWEEP_SEC * 3, "ultrasound images of the sweep")
    try:
        bone = collectBonePoints(frames[::3], scanGeometry(UltrasoundGeometry()), calibration)
        surface = extractPosteriorBoneSurface(ct.series.voxels, ct.series.ijkToRas)
        found = registerSurface(bone.points, surface, initialReferenceToRas=fit.fromToTo, targetsRas={"disc": targetRas})
    except (NoBoneError, SweepTooSmallError, NoBoneSurfaceError) as error:
        return [f"No check by bone surface: {error}"]
    apart = float(np.linalg.norm(transformPoints(found.referenceToRas @ invertRigid(fit.fromToTo), targetRas) - targetRas))
    run.say(
        f"{len(bone.points)} bone points from {bone.framesWithBone} of {bone.frameCount} frames; "
        f"{100 * found.inlierShare:.0f} % within 2 mm; bone and markers agree at the disc within {apart:.1f} mm"
    )
    remarks = [*bone.warnings, *found.doubts]
    if apart > AGREEMENT_MM:
        remarks.append(f"Bone surface and markers disagree by {apart:.1f} mm at the disc: check the level and the markers.")
    return remarks


def scanGeometry(geometry: UltrasoundGeometry) -> ProbeGeometry:
    """What a user would enter of the simulated curved probe: field of view, radius and depth as its maker states them."""
    column, row = geometry.faceCenterPixel
    pixel = geometry.pixelSpacingMm
    return curvilinearGeometry(
        geometry.columns,
        geometry.rows,
        (pixel, pixel),
        apexPixel=(column, row - geometry.radiusMm / pixel),
        faceRadiusMm=geometry.radiusMm,
        depthMm=geometry.depthMm,
        halfAngleDeg=geometry.fieldOfViewDeg / 2,
    )
