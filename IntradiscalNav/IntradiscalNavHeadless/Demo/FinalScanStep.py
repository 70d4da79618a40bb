"""Step 6: the last CT after the injection, registered to the planning CT on bone, then needle and gas measured in the planning frame."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import invertRigid, transformPoints
from IntradiscalNavHeadless.Demo.CaseLog import CaseLog, scannerNow
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.GuidanceStep import GuidedNeedle
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavHeadless.DicomSeries import DicomSeries, addDicomVolume, readDicomSeries
from IntradiscalNavLib.Recording.LastCtCheck import CtImage, checkLastCt
from IntradiscalNavLib.Recording.LastCtRegistration import LastCtRegistration
from IntradiscalNavLib.Simulation.PhantomCheckScan import makeCheckScan
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, writeDicomSeries
from IntradiscalNavLib.Views.DisplayNodes import setMatrix

PATIENT_MOVED_MM = (3.0, -2.0, 5.0)
"""How far the simulated patient has moved (RAS) when the last CT is taken. The program isn't told; it registers the scans on bone."""


def scanAfterInjection(
    run: DemoRun, ct: ImportedCt, log: CaseLog, trueNeedleRas: np.ndarray, guided: GuidedNeedle, discCenterRas: np.ndarray
) -> dict[str, object]:
    """Scan with needle and gas in place; count the passes; register; measure. Only the simulator knows its true needle."""
    series = _scan(run, ct, trueNeedleRas)
    count = log.countPasses(ct.dicomFolder)
    run.say(f"{count.passCount} CT passes ({count.localizerCount} localizer not counted), DLP {count.dlpTotalMGyCm or 0:.0f} mGy·cm")
    upper, lower = run.settings.level.split("-")
    values = {name: value for value, name in ct.labelNames.items()}
    check = checkLastCt(
        CtImage(ct.series.voxels, ct.series.ijkToRas),
        ct.labels,
        {name: values[name] for name in (_boneName(values, upper), _boneName(values, lower))},
        CtImage(series.voxels, series.ijkToRas),
        discCenterRas,
        bowel=[value for name, value in values.items() if name.startswith(("colon", "small_bowel"))],
        needleTipToRas=guided.state.needleTipToRas,
    )
    _show(run, series, check.registration, discCenterRas)
    metrics: dict[str, object] = {"ctPasses": count.passCount, "dlpTotalMGyCm": count.dlpTotalMGyCm, **check.metrics()}
    run.remarks += check.remarks
    needle, gas = check.needle, check.gas
    if needle is not None:
        run.say(f"real needle in the last CT: tip {needle.tipErrorMm:.1f} mm from the virtual one, bent by {needle.bendMm:.1f} mm")
    run.say(f"gas in the disc: {gas.inDiscMl:.1f} mL ({100 * gas.shareOfDisc:.0f} % of the disc), outside {gas.leakMl:.1f} mL")
    log.store.setDetail("technicalEfficacy", "yes" if gas.inDiscMl > 0.5 else "no", author="demo")
    return metrics


def _scan(run: DemoRun, ct: ImportedCt, trueNeedleRas: np.ndarray) -> DicomSeries:
    scan = makeCheckScan(run.phantom, needleRas=trueNeedleRas, gasLevel=run.settings.level, gasVolumeMl=3.0, seed=run.settings.seed + 1)
    last = CtScan(
        description="Final CT",
        start=scannerNow(),
        seriesNumber=5,
        acquisitionNumber=2,
        ctdiVolMgy=5.1,
    )
    place = run.phantom.ijkToRas.copy()
    place[:3, 3] += PATIENT_MOVED_MM
    moved = dataclasses.replace(run.phantom, ijkToRas=place)
    writeDicomSeries(moved, ct.dicomFolder / "final", scan=last, voxels=scan.voxels)
    return readDicomSeries(ct.dicomFolder / "final")


def _show(run: DemoRun, series: DicomSeries, motion: LastCtRegistration, discCenterRas: np.ndarray) -> None:
    """The last CT is shown through the transform in the scene."""
    node: Any = run.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LastCtToPlanning")
    setMatrix(node, motion.lastToPlanning)
    volume = addDicomVolume(run.scene, series, name="LastCt")
    volume.SetAndObserveTransformNodeID(node.GetID())
    moved = transformPoints(invertRigid(motion.lastToPlanning), discCenterRas) - discCenterRas
    run.say(
        f"patient moved by {np.linalg.norm(moved):.1f} mm at the disc since the planning CT (bone overlaps by "
        f"{100 * min(vertebra.boneOverlap for vertebra in motion.vertebrae):.0f} %, vertebrae agree within {motion.disagreementMm:.1f} mm)"
    )


def _boneName(values: dict[str, int], level: str) -> str:
    """Label of a vertebra; S1 is part of the sacrum."""
    name = f"vertebrae_{level}"
    return "sacrum" if name not in values and level.startswith("S") else name
