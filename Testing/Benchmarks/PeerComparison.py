"""Ours and the peers on the same cases: speed, success, the fewest starts that succeed as often, outliers."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np
from RegistrationPeers import SmallGicp, open3dPointToPlane, trimmedPointToPlane, vtkIcp
from SurfaceBench import SUCCESS_MM, WITHOUT_LEVELS, Bench
from SurfaceCases import Hardness, startNear

from FusionRegistrationLib.SurfaceRegistration import registerSurface


def comparePeers(bench: Bench, count: int, largestStarts: int) -> None:
    """Speed and success on the same cases, interleaved; 5,000 points against 170,000 triangles."""
    mesh, target = bench.mesh, bench.target
    gicp = SmallGicp(target)
    print(f"  target {mesh.GetNumberOfPolys()} triangles; point-to-plane peers get its {len(target.points)} vertices visible from behind")
    starts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= largestStarts]
    methods: dict[str, Any] = {
        "ours": lambda p, s: registerSurface(p, bench.surface, initialReferenceToRas=s, parameters=WITHOUT_LEVELS).referenceToRas,
        "vtkICP": lambda p, s: vtkIcp(p.pointsReference, mesh, s),
        "trimmed point-to-plane": lambda p, s: trimmedPointToPlane(p.pointsReference, target, s),
    }
    for n in starts:
        methods[f"small_gicp x{n}"] = lambda p, s, n=n: gicp.align(p.pointsReference, s, n, 20.0, 20.0)
    coarse = (8, 16)
    for n in coarse:
        methods[f"small_gicp coarse x{n}"] = lambda p, s, n=n: gicp.alignCoarseFirst(p.pointsReference, s, n, 20.0, 20.0)
    try:
        import open3d  # noqa: F401

        methods["Open3D Tukey"] = lambda p, s: open3dPointToPlane(p.pointsReference, target, s)
    except ImportError:
        print("  Open3D is not installed: left out")
    times: dict[str, list[float]] = {name: [] for name in methods}
    errors: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(count):
        sweep = bench.sweep(Hardness(outlierShare=(0.1, 0.3)[number % 2], frameCount=130))
        start = startNear(sweep, bench.random, 20.0, 20.0)
        for name, method in methods.items():
            began = time.process_time()
            found = method(sweep.points, start)
            times[name].append(1e3 * (time.process_time() - began))
            errors[name].append(bench.error(sweep, found))
    ours = float(np.median(times["ours"]))
    success = {name: float((np.array(values) < SUCCESS_MM).mean()) for name, values in errors.items()}
    for name in methods:
        print(
            f"  {name:24s} {np.median(times[name]):8.1f} ms  {np.median(times[name]) / ours:6.1f}x  "
            f"under 2 mm {100 * success[name]:5.1f} %  TRE median {np.median(errors[name]):5.2f} mm"
        )
    helped = [f"small_gicp coarse x{n}" for n in coarse if success[f"small_gicp coarse x{n}"] >= success["ours"] - 1e-9]
    cheapest = min((float(np.median(times[name])) / ours for name in helped), default=float("nan"))
    print(f"  given our coarse stage too, its cheapest equal success is {cheapest:.0f}x ours")
    bench.figures["peers"] = {
        "withOurCoarseStageRatio": cheapest if np.isfinite(cheapest) else None,
        "oursMs": ours,
        "vtkIcpRatio": float(np.median(times["vtkICP"])) / ours,
        "success": success,
    }


def findEqualSuccess(bench: Bench, count: int, largestStarts: int) -> None:
    """small_gicp from the fewest starts that fail no more often than ours on the same cases."""
    gicp = SmallGicp(bench.target)
    cases = []
    for number in range(count):
        sweep = (bench.shortPool if number % 2 else bench.pool)[number // 2 % len(bench.shortPool)]
        cases.append((sweep, startNear(sweep, bench.random, 20.0, 20.0)))
    allowed, ours, ratio, found = 0, [], float("nan"), 0
    for sweep, start in cases:
        began = time.process_time()
        fit = registerSurface(sweep.points, bench.surface, initialReferenceToRas=start, parameters=WITHOUT_LEVELS)
        ours.append(time.process_time() - began)
        allowed += bench.error(sweep, fit.referenceToRas) >= SUCCESS_MM
    print(f"  ours fails in {allowed} of {count} cases")
    starts = 1
    while starts <= largestStarts and not found:
        times, failures = [], 0
        for sweep, start in cases:
            began = time.process_time()
            pose = gicp.align(sweep.points.pointsReference, start, starts, 20.0, 20.0)
            times.append(time.process_time() - began)
            failures += bench.error(sweep, pose) >= SUCCESS_MM
            if failures > allowed:
                break
        ratio = float(np.median(times)) / float(np.median(ours))
        print(f"  small_gicp x{starts}: {failures} failures in the first {len(times)} cases, {ratio:.1f}x ours")
        found = 0 if failures > allowed else starts
        starts *= 2
    if not found:
        print(f"  not reached with {starts // 2} starts; the ratio is that of {starts // 2} starts, a lower bound")
    bench.figures["equalSuccess"] = {"cases": count, "starts": found or None, "ratio": ratio}


def sweepOutliers(bench: Bench, count: int) -> None:
    """Success against the share of outliers, starts within 10 mm and 10 deg as for a decent marker fit."""
    mesh, target = bench.mesh, bench.target
    gentle = Hardness(jitterMm=0.0, depthScale=0.0, beamHalfWidthMm=0.4, gapShare=0.0)
    bench.figures["outliers"] = {}
    for share in (0.0, 0.1, 0.3):
        errors: dict[str, list[float]] = {"ours": [], "vtkICP": [], "trimmed": []}
        for _ in range(count):
            sweep = bench.sweep(dataclasses.replace(gentle, outlierShare=share))
            start = startNear(sweep, bench.random, 10.0, 10.0)
            ours = registerSurface(sweep.points, bench.surface, initialReferenceToRas=start, parameters=WITHOUT_LEVELS).referenceToRas
            errors["ours"].append(bench.error(sweep, ours))
            errors["vtkICP"].append(bench.error(sweep, vtkIcp(sweep.points.pointsReference, mesh, start)))
            errors["trimmed"].append(bench.error(sweep, trimmedPointToPlane(sweep.points.pointsReference, target, start)))
        line = ", ".join(f"{name} {100 * np.mean(np.array(e) < 2.0):.0f} % (median {np.median(e):.2f} mm)" for name, e in errors.items())
        print(f"  outliers {100 * share:2.0f} %: under 2 mm: {line}")
        bench.figures["outliers"][f"{share:.1f}"] = {name: float(np.mean(np.array(e) < 2.0)) for name, e in errors.items()}
