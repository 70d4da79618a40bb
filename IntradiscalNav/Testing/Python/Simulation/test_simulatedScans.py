"""Check scans with needle and gas, and the passes and dose that the procedure log counts from what the simulator writes."""

import datetime
import itertools
import pathlib

import numpy as np
import pytest

from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, cachedLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomCheckScan import bentNeedleCenterline, makeCheckScan
from IntradiscalNavLib.Simulation.PhantomDicom import CtScan, writeDicomSeries, writeLocalizer
from IntradiscalNavLib.Simulation.PhantomDoseReport import writeDoseReport
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters
from ProcedureLogLib.CtPasses import countCtPasses
from ProcedureLogLib.DoseReport import AcquisitionKind, readDoseReport


@pytest.fixture(scope="module")
def phantom() -> LumbarPhantom:
    return cachedLumbarPhantom(PhantomParameters(spacingMm=(2.5, 2.5, 3.0)))


def values(phantom: LumbarPhantom, voxels: np.ndarray, ras: np.ndarray) -> np.ndarray:
    ijk = np.rint((np.atleast_2d(ras) - phantom.ijkToRas[:3, 3]) / np.diag(phantom.ijkToRas)[:3]).astype(int)
    return voxels[ijk[:, 2], ijk[:, 1], ijk[:, 0]]


def test_needleIsBrightAlongItsBentCourseOnly(phantom: LumbarPhantom) -> None:
    tip = phantom.truth.discs["L4-L5"].centerRas
    hub = tip + phantom.truth.patientToRas[:3, :3] @ np.array([-100.0, -100.0, 10.0])
    line = bentNeedleCenterline(tip, hub, (0, 0, 1), 6.0)
    np.testing.assert_allclose(line[-1], tip, atol=1e-9)
    np.testing.assert_allclose(line[0], hub, atol=1e-9)
    # the straight continuation from the hub misses the tip by the stated deflection
    straight = hub + (line[1] - line[0]) / np.linalg.norm(line[1] - line[0]) * np.linalg.norm(tip - hub)
    assert np.linalg.norm(straight - tip) == pytest.approx(6.0, abs=0.6)
    scan = makeCheckScan(phantom, needleRas=line)
    inside = line[6:]
    assert np.median(values(phantom, scan.voxels, inside) - values(phantom, phantom.voxels, inside)) > 300
    changed = np.argwhere(np.abs(scan.voxels.astype(int) - phantom.voxels) > 300)[:, ::-1]
    ras = changed @ phantom.ijkToRas[:3, :3].T + phantom.ijkToRas[:3, 3]
    dense = np.concatenate([np.linspace(a, b, 10) for a, b in itertools.pairwise(line)])
    assert np.linalg.norm(ras[:, None] - dense[None], axis=2).min(1).max() < 6.0


def test_gasFillsTheNucleusWithTheStatedVolume(phantom: LumbarPhantom) -> None:
    scan = makeCheckScan(phantom, gasLevel="L4-L5", gasVolumeMl=3.0)
    voxelMl = float(np.prod(phantom.parameters.spacingMm)) / 1000.0
    disc = phantom.truth.discs["L4-L5"]
    gas = (scan.voxels < -700) & (phantom.labels == disc.label)
    assert gas.sum() * voxelMl == pytest.approx(3.0, abs=0.15)
    assert scan.gasVolumeMl == pytest.approx(3.0, abs=voxelMl)
    center = np.argwhere(gas)[:, ::-1].mean(0) @ phantom.ijkToRas[:3, :3].T + phantom.ijkToRas[:3, 3]
    assert np.linalg.norm(center - disc.centerRas) < 5.0
    with pytest.raises(ValueError, match="don't fit"):
        makeCheckScan(phantom, gasLevel="L4-L5", gasVolumeMl=90.0)
    with pytest.raises(ValueError, match="no disc"):
        makeCheckScan(phantom, gasLevel="C3-C4")


def test_procedureLogCountsTwoPassesAndTheirDose(phantom: LumbarPhantom, tmp_path: pathlib.Path) -> None:
    planning = CtScan()
    later = planning.start + datetime.timedelta(minutes=14)
    final = CtScan(description="Final CT", start=later, acquisitionNumber=2, seriesNumber=3, ctdiVolMgy=5.0)
    written = [
        writeLocalizer(phantom, tmp_path / "a", scan=planning),
        writeDicomSeries(phantom, tmp_path / "b", scan=planning),
        writeDicomSeries(phantom, tmp_path / "c", scan=final, voxels=makeCheckScan(phantom, gasLevel="L3-L4").voxels),
    ]
    length = phantom.voxels.shape[0] * phantom.parameters.spacingMm[2] / 10.0
    expected = 7.4 * length + 5.0 * length
    count = countCtPasses(tmp_path)
    assert len(count.passes) == 2
    # with the report the localizer's dose counts too, but it is still no pass
    path = writeDoseReport(tmp_path / "d", written)
    report = readDoseReport(path)
    assert report.events[0].kind is AcquisitionKind.LOCALIZER
    assert [event.kind for event in report.events[1:]] == [AcquisitionKind.SPIRAL] * 2
    assert report.events[2].dlpMGyCm == pytest.approx(5.0 * length, abs=0.01)
    again = countCtPasses(tmp_path)
    assert len(again.passes) == 2
    assert again.dlpTotalMGyCm == pytest.approx(expected + 0.14 * length, abs=0.1)
    with pytest.raises(ValueError, match="at least one"):
        writeDoseReport(tmp_path, [])
