"""Steps 2-3: balls found in the CT, touched with the stylus, matched without order, fitted; the error at the disc predicted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from FusionRegistrationLib.DwellDetection import Dwell, DwellDetector
from FusionRegistrationLib.MarkerDetection import detectMarkers
from FusionRegistrationLib.PointMatching import matchPoints
from FusionRegistrationLib.RigidFit import RigidFit, fitRigid
from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.LiveStream import LiveStream
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavLib.Recording.SceneDocuments import DocumentRole, storeDocument
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import OpenIGTLinkMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate


def findMarkers(run: DemoRun, ct: ImportedCt) -> FloatArray:
    """Ball centres (n, 3) RAS, found in the CT alone; shown in the scene as points."""
    detection = detectMarkers(ct.series.voxels, ct.series.ijkToRas)
    run.remarks += list(detection.warnings)
    centers = np.array([marker.centerRas for marker in detection.markers])
    node = run.scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "MarkersInCt")
    for number, center in enumerate(centers, 1):
        node.AddControlPoint(*center, f"M{number}")
    node.GetDisplayNode().SetPointLabelsVisibility(False)
    run.say(f"{len(centers)} radiopaque balls found in the CT")
    return centers


def touchMarkers(run: DemoRun, stream: LiveStream, wanted: int, timeoutSec: float = 60.0) -> list[Dwell]:
    """Collect where the stylus is held still, in Reference, until every ball was touched."""
    detector = DwellDetector()
    dwells: list[Dwell] = []
    latest = -1.0

    def look(messages: list[OpenIGTLinkMessage], update: SceneUpdate) -> bool:
        nonlocal latest
        resolved = stream.sceneStream.tree.resolve("StylusTip", "Reference")
        if resolved is None or resolved.timestampSec == latest:
            return False
        latest = resolved.timestampSec
        live = resolved.state(update.statuses).isLive
        dwell = detector.addSample(latest, resolved.matrix[:3, 3], live)
        if dwell is not None:
            dwells.append(dwell)
            run.say(f"ball {len(dwells)} of {wanted}: {dwell.sampleCount} poses, spread {dwell.spreadMm:.2f} mm")
        return len(dwells) >= wanted

    stream.runUntil(look, timeoutSec, f"the stylus to touch {wanted} balls")
    return dwells


def registerMarkers(
    run: DemoRun, stream: LiveStream, dwells: list[Dwell], centersRas: FloatArray, targets: Mapping[str, FloatArray]
) -> RigidFit:
    """Match and fit; set ReferenceToRas in the tree and store the fit in the scene.

    :raises RuntimeError: when the touched points don't fit the balls in exactly one way.
    """
    touched = np.array([dwell.position for dwell in dwells])
    match = matchPoints(touched, centersRas)
    if not match.found:
        raise RuntimeError(f"The touched points were not matched to the balls in the CT: {match.message}")
    pairs = np.array(match.pairs)
    fit = fitRigid(touched[pairs[:, 0]], centersRas[pairs[:, 1]], names=[f"M{index + 1}" for index in pairs[:, 1]], targets=targets)
    run.remarks += list(fit.warnings)
    stream.sceneStream.setRegistration(fit.fromToTo)
    stream.sceneStream.apply()
    storeDocument(run.scene, DocumentRole.REGISTRATION, fit.toDict())
    for name, error in fit.predictedTre.items():
        run.say(f"predicted error at {name}: {error.rmsMm:.2f} mm RMS, below {error.p95Mm:.2f} mm in 95 %")
    run.say(f"FRE {fit.freMm:.2f} mm over {len(pairs)} balls (it says how well the points agree, not how accurate it is)")
    return fit
