"""Step 6: the last CT after the injection, compared with the planning CT, and the gas in the disc measured."""

from __future__ import annotations

import datetime

import numpy as np

from IntradiscalNavHeadless.Demo.CaseLog import CaseLog
from IntradiscalNavHeadless.Demo.DemoRun import DemoRun
from IntradiscalNavHeadless.Demo.GuidanceStep import GuidedNeedle
from IntradiscalNavHeadless.Demo.PatientStep import ImportedCt
from IntradiscalNavHeadless.DicomSeries import addDicomVolume, readDicomSeries
from IntradiscalNavLib.Recording.NeedleInCt import findNeedleInCt
from IntradiscalNavLib.Simulation.PhantomCheckScan import makeCheckScan
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, writeDicomSeries

SIMULATED_MINUTES = 12
"""The simulated procedure is short-cut; the scanner's clock of the last CT stands for a real duration."""


def scanAfterInjection(
    run: DemoRun, ct: ImportedCt, log: CaseLog, trueNeedleRas: np.ndarray, guided: GuidedNeedle, discCenterRas: np.ndarray
) -> dict[str, object]:
    """Scan with needle and gas in place; count the passes; measure. The simulator paints its true needle, nothing else is told."""
    planning = CtScan()
    scan = makeCheckScan(run.phantom, needleRas=trueNeedleRas, gasLevel=run.settings.level, gasVolumeMl=3.0, seed=run.settings.seed + 1)
    last = CtScan(
        description="Final CT",
        start=planning.start + datetime.timedelta(minutes=SIMULATED_MINUTES),
        seriesNumber=5,
        acquisitionNumber=2,
        ctdiVolMgy=5.1,
    )
    writeDicomSeries(run.phantom, ct.dicomFolder / "final", scan=last, voxels=scan.voxels)
    series = readDicomSeries(ct.dicomFolder / "final")
    addDicomVolume(run.scene, series, name="LastCt")
    count = log.countPasses(ct.dicomFolder)
    run.say(f"{count.passCount} CT passes ({count.localizerCount} localizer not counted), DLP {count.dlpTotalMGyCm or 0:.0f} mGy·cm")
    metrics: dict[str, object] = {"ctPasses": count.passCount, "dlpTotalMGyCm": count.dlpTotalMGyCm}
    pose = guided.state.needleTipToRas
    if pose is not None:
        try:
            needle = findNeedleInCt(series.voxels, series.ijkToRas, pose[:3, 3], pose[:3, 2])
            metrics |= {
                "tipErrorMm": round(needle.tipErrorMm, 3),
                "lateralErrorMm": round(needle.lateralErrorMm, 3),
                "angleDeg": round(needle.angleDeg, 3),
                "bendMm": round(needle.bendMm, 3),
            }
            run.say(f"real needle in the last CT: tip {needle.tipErrorMm:.1f} mm from the virtual one, bent by {needle.bendMm:.1f} mm")
        except LookupError as error:
            run.remarks.append(str(error))
    gas = _measureGas(run, ct, series.voxels, discCenterRas, series.ijkToRas)
    metrics |= gas
    run.say(f"gas in the disc: {gas['gasInDiscMl']:.1f} mL ({100 * gas['shareOfDisc']:.0f} % of the disc), outside {gas['leakMl']:.1f} mL")
    log.store.setDetail("technicalEfficacy", "yes" if gas["gasInDiscMl"] > 0.5 else "no", author="demo")
    return metrics


def _measureGas(run: DemoRun, ct: ImportedCt, voxels: np.ndarray, discCenterRas: np.ndarray, ijkToRas: np.ndarray) -> dict[str, float]:
    """The disc is taken as the space between its two vertebrae around the derived centre; bowel is left out of the leak."""
    from scipy.ndimage import distance_transform_edt

    from IntradiscalNavLib.Recording.DiscGas import measureDiscGas

    upper, lower = run.settings.level.split("-")
    values = {name: value for value, name in ct.labelNames.items()}
    spacing = tuple(float(value) for value in np.linalg.norm(ijkToRas[:3, :3], axis=0)[::-1])
    toUpper, toLower = (distance_transform_edt(ct.labels != values[f"vertebrae_{name}"], sampling=spacing) for name in (upper, lower))
    kji = np.indices(ct.labels.shape)[::-1]
    place = np.tensordot(ijkToRas[:3, :3], kji, axes=1) + ijkToRas[:3, 3].reshape(3, 1, 1, 1)
    away = np.sqrt(((place - np.asarray(discCenterRas).reshape(3, 1, 1, 1)) ** 2).sum(axis=0))
    disc = (toUpper > 0) & (toLower > 0) & (toUpper + toLower < 16.0) & (away < 24.0)
    bowel = np.isin(ct.labels, [value for name, value in values.items() if name.startswith(("colon", "small_bowel"))])
    gas = measureDiscGas(voxels, disc, float(np.prod(spacing)), (spacing[0], spacing[1], spacing[2]), bowel)
    return {
        "gasInDiscMl": round(gas.inDiscMl, 3),
        "discMl": round(gas.discMl, 2),
        "shareOfDisc": round(gas.shareOfDisc, 4),
        "leakMl": round(gas.leakMl, 3),
    }
