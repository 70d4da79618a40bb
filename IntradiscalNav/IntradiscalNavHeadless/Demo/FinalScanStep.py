"""Step 6: the last CT after the injection, registered to the planning CT on bone, then needle and gas measured in the planning frame."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from FusionRegistrationLib.RigidTransform import FloatArray, invertRigid, transformPoints
from IntradiscalNavHeadless.Demo.CaseLog import CaseLog, scannerNow
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.GuidanceStep import GuidedNeedle
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavHeadless.DicomSeries import DicomSeries, addDicomVolume, readDicomSeries
from IntradiscalNavLib.Recording.LastCtRegistration import LastCtRegistration, registerLastCt
from IntradiscalNavLib.Recording.NeedleInCt import findNeedleInCt
from IntradiscalNavLib.Simulation.PhantomCheckScan import makeCheckScan
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, writeDicomSeries

PATIENT_MOVED_MM = (3.0, -2.0, 5.0)
"""How far the simulated patient has moved (RAS) when the last CT is taken. The program isn't told; it registers the scans on bone."""
NEAR_MM = 45.0
"""Half the edge of the box around the disc in which gas is measured."""


def scanAfterInjection(
    run: DemoRun, ct: ImportedCt, log: CaseLog, trueNeedleRas: np.ndarray, guided: GuidedNeedle, discCenterRas: np.ndarray
) -> dict[str, object]:
    """Scan with needle and gas in place; count the passes; register; measure. Only the simulator knows its true needle."""
    series = _scan(run, ct, trueNeedleRas)
    count = log.countPasses(ct.dicomFolder)
    run.say(f"{count.passCount} CT passes ({count.localizerCount} localizer not counted), DLP {count.dlpTotalMGyCm or 0:.0f} mGy·cm")
    motion = _register(run, ct, series, discCenterRas)
    metrics: dict[str, object] = {
        "ctPasses": count.passCount,
        "dlpTotalMGyCm": count.dlpTotalMGyCm,
        "patientMovedMm": round(float(np.linalg.norm(transformPoints(motion.lastToPlanning, discCenterRas) - discCenterRas)), 3),
        "vertebraeDisagreeMm": round(motion.disagreementMm, 3),
        "registrationTrusted": motion.trusted,
        "registrationDoubts": list(motion.doubts),
        "boneOverlap": {vertebra.name: round(vertebra.boneOverlap, 3) for vertebra in motion.vertebrae},
    }
    run.remarks += list(motion.doubts)
    pose = guided.state.needleTipToRas
    if pose is not None:
        try:
            # Voxels of the last CT, addressed in the planning frame: what is found there can be compared with plan and virtual needle.
            needle = findNeedleInCt(series.voxels, motion.lastToPlanning @ series.ijkToRas, pose[:3, 3], pose[:3, 2])
            metrics |= {
                "tipErrorMm": round(needle.tipErrorMm, 3),
                "lateralErrorMm": round(needle.lateralErrorMm, 3),
                "angleDeg": round(needle.angleDeg, 3),
                "bendMm": round(needle.bendMm, 3),
                "needleTipRas": [round(float(value), 3) for value in needle.tipRas],
            }
            run.say(f"real needle in the last CT: tip {needle.tipErrorMm:.1f} mm from the virtual one, bent by {needle.bendMm:.1f} mm")
        except LookupError as error:
            run.remarks.append(str(error))
    gas = _measureGas(run, ct, series, motion.lastToPlanning, discCenterRas)
    metrics |= gas
    run.say(f"gas in the disc: {gas['gasInDiscMl']:.1f} mL ({100 * gas['shareOfDisc']:.0f} % of the disc), outside {gas['leakMl']:.1f} mL")
    log.store.setDetail("technicalEfficacy", "yes" if gas["gasInDiscMl"] > 0.5 else "no", author="demo")
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


def _register(run: DemoRun, ct: ImportedCt, series: DicomSeries, discCenterRas: np.ndarray) -> LastCtRegistration:
    """Register on the two vertebrae of the level; the last CT is shown through the transform in the scene."""
    upper, lower = run.settings.level.split("-")
    values = {name: value for value, name in ct.labelNames.items()}
    masks = {name: ct.labels == values[name] for name in (_boneName(values, upper), _boneName(values, lower))}
    motion = registerLastCt(ct.series.voxels, ct.series.ijkToRas, series.voxels, series.ijkToRas, masks, discCenterRas)
    node: Any = run.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "LastCtToPlanning")
    _setMatrix(node, motion.lastToPlanning)
    volume = addDicomVolume(run.scene, series, name="LastCt")
    volume.SetAndObserveTransformNodeID(node.GetID())
    moved = transformPoints(invertRigid(motion.lastToPlanning), discCenterRas) - discCenterRas
    run.say(
        f"patient moved by {np.linalg.norm(moved):.1f} mm at the disc since the planning CT (bone overlaps by "
        f"{100 * min(vertebra.boneOverlap for vertebra in motion.vertebrae):.0f} %, vertebrae agree within {motion.disagreementMm:.1f} mm)"
    )
    return motion


def _setMatrix(node: Any, matrix: FloatArray) -> None:
    import vtk

    converted = vtk.vtkMatrix4x4()
    converted.DeepCopy(matrix.ravel().tolist())
    node.SetMatrixTransformToParent(converted)


def _boneName(values: dict[str, int], level: str) -> str:
    """Label of a vertebra; S1 is part of the sacrum."""
    name = f"vertebrae_{level}"
    return "sacrum" if name not in values and level.startswith("S") else name


def _measureGas(
    run: DemoRun, ct: ImportedCt, series: DicomSeries, lastToPlanning: FloatArray, discCenterRas: np.ndarray
) -> dict[str, float]:
    """On the planning CT's grid around the disc, with the last CT brought there.

    The disc is taken as the space between its two vertebrae around the derived centre; bowel is left out of the leak.
    """
    from scipy.ndimage import distance_transform_edt, map_coordinates

    from IntradiscalNavLib.Recording.DiscGas import measureDiscGas

    upper, lower = run.settings.level.split("-")
    values = {name: value for value, name in ct.labelNames.items()}
    ijkToRas = ct.series.ijkToRas
    spacing = tuple(float(value) for value in np.linalg.norm(ijkToRas[:3, :3], axis=0)[::-1])
    center = transformPoints(np.linalg.inv(ijkToRas), np.asarray(discCenterRas, float))[::-1]
    reach = NEAR_MM / np.array(spacing)
    low = np.maximum(np.floor(center - reach), 0).astype(int)
    high = np.minimum(np.ceil(center + reach).astype(int) + 1, ct.labels.shape)
    labels = ct.labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high))]
    kji = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high)), indexing="ij"), axis=-1)
    places = transformPoints(ijkToRas, kji[..., ::-1].reshape(-1, 3).astype(float))
    away = np.linalg.norm(places - discCenterRas, axis=1).reshape(labels.shape)
    planningToLastIjk = np.linalg.inv(lastToPlanning @ series.ijkToRas)
    inLast = transformPoints(planningToLastIjk, places)[:, ::-1]
    voxels = map_coordinates(series.voxels.astype(np.float32), inLast.T, order=1, cval=0.0).reshape(labels.shape)
    toUpper, toLower = (distance_transform_edt(labels != values[_boneName(values, level)], sampling=spacing) for level in (upper, lower))
    disc = (toUpper > 0) & (toLower > 0) & (toUpper + toLower < 16.0) & (away < 24.0)
    bowel = np.isin(labels, [value for name, value in values.items() if name.startswith(("colon", "small_bowel"))])
    gas = measureDiscGas(voxels, disc, float(np.prod(spacing)), (spacing[0], spacing[1], spacing[2]), bowel)
    return {
        "gasInDiscMl": round(gas.inDiscMl, 3),
        "discMl": round(gas.discMl, 2),
        "shareOfDisc": round(gas.shareOfDisc, 4),
        "leakMl": round(gas.leakMl, 3),
    }
