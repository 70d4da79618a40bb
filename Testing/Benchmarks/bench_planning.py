"""Planning against VTK's ray casters: candidates per second on identical candidates, agreement of the bone flags, time and memory of
whole plans.

A simulated patient at 512 x 512 x 200 voxels. Ours scores every structure; vtkOBBTree and vtkStaticCellLocator test bone only, on the
surface of the same bone at full resolution. Methods take turns; medians of the turns. Absolute times depend on the machine: read the
ratios.

    python Testing/Benchmarks/bench_planning.py [--rounds 5] [--level L4-L5]
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from typing import Any

import numpy as np

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM
from IntradiscalNavLib.Planning.FullResolutionCheck import crossesBone
from IntradiscalNavLib.Planning.PathEvaluation import evaluateTrajectory
from IntradiscalNavLib.Planning.PlanContext import PlanContext, preparePlan
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import planTrajectories
from IntradiscalNavLib.Planning.RayMarching import DEAD, UNSURE_MM, chooseProbes, marchClearance, marchMany, refineClearance
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy, anatomyFromLabels
from IntradiscalNavLib.Planning.StructureNames import BONE_KINDS
from IntradiscalNavLib.Planning.TrajectorySearch import searchTrajectories

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SHAPE = (200, 512, 512)
OBB_CANDIDATES = 240
CELL_CANDIDATES = 6000
AGREEMENT_CANDIDATES = 20000
DRAG_BAR_HZ = 30.0


def buildCase(path: pathlib.Path) -> None:
    """A phantom cut or padded to 512 x 512 x 200, saved as arrays."""
    from IntradiscalNavLib.Simulation.LumbarPhantom import buildLumbarPhantom
    from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

    phantom = buildLumbarPhantom(PhantomParameters(spacingMm=(0.72, 0.54, 1.27)))
    labels = np.zeros(SHAPE, np.uint8)
    voxels = np.full(SHAPE, -1000, np.int16)
    part = tuple(slice(0, min(a, b)) for a, b in zip(SHAPE, phantom.labels.shape))
    labels[part] = phantom.labels[part]
    voxels[part] = phantom.voxels[part]
    np.savez(path, labels=labels, voxels=voxels, ijkToRas=phantom.ijkToRas, names=json.dumps(phantom.labelNames))


def loadCase(path: pathlib.Path) -> SpineAnatomy:
    case = np.load(path)
    names = {int(value): name for value, name in json.loads(str(case["names"])).items()}
    return anatomyFromLabels(case["labels"], case["ijkToRas"], names, ctHu=case["voxels"], patientPosition="HFP")


def boneSurface(anatomy: SpineAnatomy, context: PlanContext) -> Any:
    """Surface of the bone at the labels' own resolution, cut to the field's box, in RAS."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    grid = context.field.grid
    low = np.array(grid.originRas)
    high = low + np.array(grid.spacingMm) * (np.array(grid.shape)[::-1] - 1)
    rasToIjk = np.linalg.inv(anatomy.ijkToRas)
    corners = np.array([[(low, high)[a][0], (low, high)[b][1], (low, high)[c][2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    ijk = corners @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    start = np.maximum(np.floor(ijk.min(0)).astype(int), 0)
    end = np.minimum(np.ceil(ijk.max(0)).astype(int) + 1, np.array(anatomy.labels.shape)[::-1])
    crop = anatomy.labels[start[2] : end[2], start[1] : end[1], start[0] : end[0]]
    mask = np.isin(crop, anatomy.labelValues(*BONE_KINDS)).astype(np.uint8)
    image = vtk.vtkImageData()
    image.SetDimensions(*crop.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(mask.ravel(), deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, 0.5)
    contour.ComputeNormalsOff()
    contour.ComputeGradientsOff()
    matrix = anatomy.ijkToRas.copy()
    matrix[:3, 3] = matrix[:3, :3] @ start + matrix[:3, 3]
    transform = vtk.vtkTransform()
    transform.SetMatrix(matrix.ravel())
    mover = vtk.vtkTransformPolyDataFilter()
    mover.SetInputConnection(contour.GetOutputPort())
    mover.SetTransform(transform)
    mover.Update()
    return mover.GetOutput()


def candidates(context: PlanContext) -> list[np.ndarray]:
    """Per target the entries whose path meets the windows of length and angles: what every method is asked about."""
    from IntradiscalNavLib.Planning.TrajectorySearch import _withinWindows

    entries = context.patch.entries
    local = np.ascontiguousarray(context.axes.coordinates(entries).T.astype(np.float32))
    return [np.flatnonzero(_withinWindows(context, local, context.axes.coordinates(target))) for target in context.targets]


def memoryOfPlan(path: pathlib.Path) -> tuple[float, float]:
    """Peak resident memory (MB) before and after planning of a fresh process that loads the case and plans (Linux: VmHWM; ru_maxrss would
    keep the parent's)."""
    code = (
        f"import sys; sys.path[:0] = [{str(pathlib.Path(__file__).parent)!r}]\n"
        "import bench_planning as b, pathlib\n"
        f"anatomy = b.loadCase(pathlib.Path({str(path)!r}))\n"
        "def peak(): return int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024\n"
        "before = peak()\n"
        "b.planTrajectories(anatomy, 'L4-L5', 'left')\n"
        "print(before, peak())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    before, peak = (float(part) for part in done.stdout.split())
    return before, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--level", default="L4-L5")
    parser.add_argument("--case", type=pathlib.Path, help="case saved by an earlier run (built when missing)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.case or pathlib.Path(folder) / "case.npz"
        if not path.exists():
            subprocess.run(
                [sys.executable, "-c", f"import sys; sys.path[:0]=[{str(pathlib.Path(__file__).parent)!r}]; import "
                 f"bench_planning, pathlib; "
                 f"bench_planning.buildCase(pathlib.Path({str(path)!r}))"],
                check=True,
            )  # fmt: skip
        run(path, options.level, options.rounds)


def run(path: pathlib.Path, level: str, rounds: int) -> None:
    import vtk

    anatomy = loadCase(path)
    parameters = PlanningParameters()
    context = preparePlan(anatomy, level, "left", parameters)
    perTarget = candidates(context)
    entries = context.patch.entries
    pairs = np.concatenate([np.stack([index, np.full(len(index), n)], axis=1) for n, index in enumerate(perTarget)])
    generator = np.random.default_rng(1)
    surface = boneSurface(anatomy, context)
    triangles = surface.GetNumberOfPolys()
    print(f"case {'x'.join(map(str, anatomy.labels.shape[::-1]))}, {level} left: {len(entries):,} entries x "
          f"{len(context.targets)} targets, "
          f"{len(pairs):,} candidates within the windows; bone surface {triangles:,} triangles")  # fmt: skip
    start = time.perf_counter()
    obb = vtk.vtkOBBTree()
    obb.SetDataSet(surface)
    obb.BuildLocator()
    obbBuild = time.perf_counter() - start
    start = time.perf_counter()
    cell = vtk.vtkStaticCellLocator()
    cell.SetDataSet(surface)
    cell.BuildLocator()
    cellBuild = time.perf_counter() - start

    def cellFlag(chosen: np.ndarray) -> np.ndarray:
        t, sub, cellId = vtk.reference(0.0), vtk.reference(0), vtk.reference(0)
        hit, parametric = [0.0] * 3, [0.0] * 3
        flags = np.zeros(len(chosen), bool)
        for n, (e, k) in enumerate(chosen):
            flags[n] = cell.IntersectWithLine(entries[e], context.targets[k], 1e-4, t, hit, parametric, sub, cellId) != 0
        return flags

    def obbFlag(chosen: np.ndarray) -> np.ndarray:
        points, ids = vtk.vtkPoints(), vtk.vtkIdList()
        return np.array([obb.IntersectWithLine(entries[e], context.targets[k], points, ids) != 0 for e, k in chosen])

    def ours() -> int:
        probes = chooseProbes(context.field.combined, context.field.grid, entries, context.tipCenterRas)
        found = marchMany(context.field.combined, context.field.grid, entries, context.targets, perTarget, probesMm=probes)
        alive = sum(int((clearance != DEAD).sum()) for clearance in found)
        return alive

    rates: dict[str, list[float]] = {"ours, scored": [], "ours, march": [], "vtkOBBTree": [], "vtkStaticCellLocator": []}
    legal = 0
    for _ in range(rounds):
        start = time.perf_counter()
        search = searchTrajectories(context)
        rates["ours, scored"].append(len(pairs) / (time.perf_counter() - start))
        start = time.perf_counter()
        legal = ours()
        rates["ours, march"].append(len(pairs) / (time.perf_counter() - start))
        chosen = pairs[generator.choice(len(pairs), OBB_CANDIDATES, replace=False)]
        start = time.perf_counter()
        obbFlag(chosen)
        rates["vtkOBBTree"].append(len(chosen) / (time.perf_counter() - start))
        chosen = pairs[generator.choice(len(pairs), CELL_CANDIDATES, replace=False)]
        start = time.perf_counter()
        cellFlag(chosen)
        rates["vtkStaticCellLocator"].append(len(chosen) / (time.perf_counter() - start))
    legal = search.legalCount
    median = {name: float(np.median(values)) for name, values in rates.items()}
    print(f"\n{'method':24s} {'candidates/s':>14s} {'vs OBB':>9s} {'vs cells':>9s}   covers")
    for name, value in median.items():
        covers = "all structures, score" if name == "ours, scored" else "all structures" if name == "ours, march" else "bone only"
        print(f"{name:24s} {value:14.3g} {value / median['vtkOBBTree']:9.0f} {value / median['vtkStaticCellLocator']:9.1f}   {covers}")
    print(
        f"legal {legal:,} of {len(pairs):,} ({100 * legal / len(pairs):.2f} %); trees built in {obbBuild:.2f} s and "
        f"{cellBuild:.2f} s (not counted)"
    )

    agreement = bonesAgree(context, entries, pairs, cellFlag, obbFlag, generator)
    whole = wholePlans(anatomy, level, parameters)
    drag = dragTimes(context)
    before, peak = memoryOfPlan(path)
    print(f"memory: peak {peak:.0f} MB of a process that loads the CT and labels ({before:.0f} MB before planning)")
    figures = {
        "candidates": len(pairs),
        "legalShare": legal / len(pairs),
        "oursPerSec": median["ours, scored"],
        "vsObbTree": median["ours, scored"] / median["vtkOBBTree"],
        "vsStaticCellLocator": median["ours, scored"] / median["vtkStaticCellLocator"],
        "marchVsObbTree": median["ours, march"] / median["vtkOBBTree"],
        "marchVsStaticCellLocator": median["ours, march"] / median["vtkStaticCellLocator"],
        "triangles": triangles,
        **agreement,
        **whole,
        **drag,
        "peakMemoryMb": peak,
        "loadAverage": os.getloadavg()[0],
    }
    print(json.dumps(figures))


def bonesAgree(
    context: PlanContext, entries: np.ndarray, pairs: np.ndarray, cellFlag: Any, obbFlag: Any, generator: np.random.Generator
) -> dict[str, float]:
    """Share of candidates on which our bone flag equals the mesh's: marched on the 1 mm field, and re-checked at full resolution."""
    bone = context.field.structures["bone"]
    values = np.clip(np.rint(bone.values * UNITS_PER_MM), -127, 127).astype(np.int8)
    chosen = pairs[generator.choice(len(pairs), AGREEMENT_CANDIDATES, replace=False)]
    mesh = cellFlag(chosen)
    marched = np.zeros(len(chosen), bool)
    interpolated = np.zeros(len(chosen), bool)
    unsureAll = np.zeros(len(chosen), bool)
    grid = bone.grid
    far = np.array(grid.originRas) + np.array(grid.shape)[::-1] - 1
    for k, target in enumerate(context.targets):
        here = chosen[:, 1] == k
        clipped = clipToBox(entries[chosen[here, 0]], target, np.array(grid.originRas), far)
        found = marchClearance(values, grid, clipped, target, floorMm=-UNSURE_MM)
        flags = found == DEAD
        unsure = ~flags & (found < UNSURE_MM * UNITS_PER_MM)
        marched[here] = flags
        unsureAll[here] = unsure
        flags = flags.copy()
        flags[unsure] = refineClearance(values, grid, clipped[unsure], target) < 0
        interpolated[here] = flags
    rechecked = crossesBone(context, entries[chosen[:, 0]], context.targets[chosen[:, 1]])
    # As the search does it: marched where the march is sure, looked up in the segmentation where it is not.
    marched[unsureAll] = rechecked[unsureAll]
    few = chosen[:OBB_CANDIDATES]
    obbAgrees = float((obbFlag(few) == mesh[: len(few)]).mean())
    result = {
        "boneAgreement": float((marched == mesh).mean()),
        "boneAgreementInterpolated": float((interpolated == mesh).mean()),
        "boneAgreementRechecked": float((rechecked == mesh).mean()),
        "meshCrossingShare": float(mesh.mean()),
    }
    percent = {name: f"{100 * value:.2f} %" for name, value in result.items()}
    print(
        f"bone flags equal to the mesh's: {percent['boneAgreement']} as the search decides (unsure ones looked up at full resolution: "
        f"{100 * unsureAll.mean():.1f} %), {percent['boneAgreementInterpolated']} on the 1 mm field alone, "
        f"{percent['boneAgreementRechecked']} all at full resolution; both meshes agree on {100 * obbAgrees:.1f} %; "
        f"{percent['meshCrossingShare']} cross bone"
    )
    return result


def clipToBox(entries: np.ndarray, target: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Entries moved along their path into a box: outside the bone's window there is no bone."""
    vector = entries - target
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(vector > 0, (high - target) / vector, np.where(vector < 0, (low - target) / vector, np.inf))
    result: np.ndarray = target + np.minimum(share.min(1), 1.0)[:, None] * vector
    return np.clip(result, low, high)


def wholePlans(anatomy: SpineAnatomy, level: str, parameters: PlanningParameters) -> dict[str, float]:
    """Whole plans, distance fields included: the least of three, and how time grows with the number of pairs."""
    print(f"\n{'pairs':>12s} {'legal':>8s} {'least s':>8s} {'CPU s':>6s}   fields  search  rank (ms)")
    figures: dict[str, float] = {}
    for count, repeats in ((20_000, 5), (75_000, 2), (186_000, 3)):
        chosen = replace(parameters, minEntries=count)
        best: Any = None
        seconds = cpu = np.inf
        for _ in range(repeats):
            start, busy = time.perf_counter(), time.process_time()
            plan = planTrajectories(anatomy, level, "left", chosen)
            took = time.perf_counter() - start
            cpu = min(cpu, time.process_time() - busy)
            if took < seconds:
                seconds, best = took, plan
        times = best.timesMs
        print(
            f"{best.candidateCount:12,d} {best.legalCount:8,d} {seconds:8.2f} {cpu:6.2f}   {times['fields']:6.0f} "
            f"{times['search']:7.0f} {times['rank']:5.0f}"
        )
        figures[f"planSecFor{round(best.candidateCount, -4)}"] = seconds
        figures.setdefault("planSec540k", seconds)
        figures.setdefault("planCpuSec540k", cpu)
    figures["planSec5M"] = seconds
    figures["planCpuSec5M"] = cpu
    return figures


def dragTimes(context: PlanContext) -> dict[str, float]:
    """Median milliseconds of one evaluation of a dragged path, and of one move of its line in the scene: evaluation, book, color."""
    entries = context.patch.entries
    places = np.linspace(0, len(entries) - 1, 60).astype(int)
    times: dict[str, list[float]] = {"drag": [], "lineDrag": []}
    for n in places:
        start = time.perf_counter()
        evaluateTrajectory(context, entries[n], context.targets[n % len(context.targets)])
        times["drag"].append(1000 * (time.perf_counter() - start))
    line, released = dragLine(context)
    for n in places:
        start = time.perf_counter()
        line.SetNthControlPointPositionWorld(0, *entries[n])
        times["lineDrag"].append(1000 * (time.perf_counter() - start))
    released()
    figures = {}
    for name, what in (("drag", "evaluation of a dragged path"), ("lineDrag", "the same through its Markups line in the scene")):
        median, late = float(np.median(times[name])), float(np.percentile(times[name], 95))
        verdict = "met" if 1000 / late >= DRAG_BAR_HZ else "missed"
        print(
            f"{what}: {name}Ms median {median:.1f} ms ({1000 / median:.0f} Hz), 95th percentile {late:.1f} ms ({1000 / late:.0f} Hz); "
            f"bar {DRAG_BAR_HZ:.0f} Hz {verdict}"
        )
        figures |= {f"{name}Ms": median, f"{name}Hz": 1000 / median}
    return figures


def dragLine(context: PlanContext) -> tuple[Any, Any]:
    """A line of the logic's book that is being dragged, and what ends the drag."""
    from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import installStandIns

    installStandIns()
    for module in ("FusionRegistration", "ProcedureLog", "IntradiscalNav"):
        sys.path.insert(0, str(REPOSITORY / module))
    from IntradiscalNavPanel.IntradiscalNavLogic import IntradiscalNavLogic
    from slicer import vtkMRMLMarkupsNode

    logic = IntradiscalNavLogic()
    parameterNode, paths = logic.getParameterNode(), logic.paths
    paths.contexts.take([context])
    paths.select(parameterNode, paths.book.add(evaluateTrajectory(context, context.patch.entries[0], context.targets[0], name="dragged")))
    parameterNode.path.InvokeEvent(vtkMRMLMarkupsNode.PointStartInteractionEvent)
    return parameterNode.path, lambda: parameterNode.path.InvokeEvent(vtkMRMLMarkupsNode.PointEndInteractionEvent)


if __name__ == "__main__":
    main()
