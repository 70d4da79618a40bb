"""Marker detection: what is found where, how exactly, and how fast beside SimpleITK.

Table 1: per cell of diameter x slice thickness x blur x material, with bone, calcifications, moles, a wire and
a contrast-filled tube in the picture.
Table 2: false positives in volumes without markers. Table 3: time on 512 x 512 x 200, interleaved with SimpleITK's connected
components with label statistics. Run: python Testing/Benchmarks/bench_markers.py [--volumes N] [--full]. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from FusionRegistrationLib.MarkerDetection import detectMarkers
from FusionRegistrationLib.SimulatedMarkerCt import (
    METAL_HU,
    MarkerCtScene,
    SimulatedMarker,
    SimulatedRod,
    backSurfaceY,
    simulateMarkerCt,
)

MATERIALS = (
    ("plastic 300 HU", 300.0, "ball"),
    ("ceramic 1000 HU", 1000.0, "ball"),
    ("metal, streaks", METAL_HU, "ball"),
    ("ring 1000 HU", 1000.0, "ring"),
)
FOUND_MM = 1.5


def onSkin(random: np.random.Generator, x: float, z: float, heightMm: float) -> tuple[np.ndarray, np.ndarray]:
    """A place above the skin and the skin's outward normal there."""
    slopes = (backSurfaceY(x + 0.5, z) - backSurfaceY(x - 0.5, z)), (backSurfaceY(x, z + 0.5) - backSurfaceY(x, z - 0.5))
    normal = np.array([float(slopes[0]), -1.0, float(slopes[1])])
    normal /= np.linalg.norm(normal)
    return np.array([x, float(backSurfaceY(x, z)), z]) + normal * heightMm, normal


def distractors(random: np.random.Generator) -> dict:
    """Things that look like markers: shallow calcifications, moles, a cable and a filled tube on the skin, a rib under thin skin."""
    calcifications = []
    for _ in range(3):
        x, z, depth = random.uniform(-80, 80), random.uniform(-35, 35), random.uniform(5.5, 15)
        place, _ = onSkin(random, x, z, -depth)
        calcifications.append(SimulatedMarker(tuple(place), random.uniform(1.5, 4.0), random.uniform(300, 1200)))
    for _ in range(2):
        # Moles, warts, drops of gel: small bumps as dense as skin.
        place, _ = onSkin(random, random.uniform(-85, 85), -38.0 + random.uniform(-2, 2), random.uniform(-1.0, 0.5))
        calcifications.append(SimulatedMarker(tuple(place), random.uniform(4.0, 8.0), random.uniform(0, 70)))
    rods = []
    for radius, hu, z in ((0.8, 2500.0, random.uniform(37, 41)), (2.0, 300.0, random.uniform(-2, 2))):
        ends = [onSkin(random, x, z + dz, radius) for x, dz in ((-85.0, random.uniform(-2, 2)), (85.0, random.uniform(-2, 2)))]
        middle = onSkin(random, 0.0, z, radius)[0]
        rods += [SimulatedRod(tuple(ends[0][0]), tuple(middle), radius, hu), SimulatedRod(tuple(middle), tuple(ends[1][0]), radius, hu)]
    z = random.uniform(-30, 30)
    rib = [onSkin(random, x, z + dz, -random.uniform(7.0, 10.0))[0] for x, dz in ((35.0, 0.0), (85.0, 8.0))]
    rods.append(SimulatedRod(tuple(rib[0]), tuple(rib[1]), 3.5, 800.0))
    return {"calcifications": tuple(calcifications), "rods": tuple(rods), "spinousDepthMm": random.uniform(4.0, 12.0)}


def farFromOthers(place: np.ndarray, others: dict, distanceMm: float) -> bool:
    rods: tuple[SimulatedRod, ...] = others["rods"]
    if any(np.linalg.norm(place - np.array(c.centerRas)) < distanceMm + 0.5 * c.diameterMm for c in others["calcifications"]):
        return False
    for rod in rods:
        start, end = np.array(rod.startRas), np.array(rod.endRas)
        t = np.clip((place - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
        if np.linalg.norm(place - start - t * (end - start)) < distanceMm + rod.radiusMm:
            return False
    return True


def cellVolume(diameter: float, sliceMm: float, blur: float, hu: float, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """CT with up to 10 markers of one kind; voxels, ijkToRas, true centres."""
    random = np.random.default_rng(seed)
    others = distractors(random)
    markers: list[SimulatedMarker] = []
    for x in (-72, -36, 0, 36, 72):
        for z in (-22, 22):
            thickness = diameter if kind == "ball" else 0.4 * diameter
            place, normal = onSkin(random, x + random.uniform(-8, 8), z + random.uniform(-6, 6), 0.5 * thickness * random.uniform(0.5, 1.0))
            if farFromOthers(place, others, 0.5 * diameter + 5.0):
                markers.append(SimulatedMarker(tuple(place), diameter, hu, kind, tuple(normal)))
    scene = MarkerCtScene(markers=tuple(markers), sliceMm=sliceMm, blurSdMm=blur, seed=seed, extentMm=(190.0, 76.0, 90.0), **others)
    voxels, ijkToRas = simulateMarkerCt(scene)
    return voxels, ijkToRas, np.array([m.centerRas for m in markers]).reshape(-1, 3)


def compare(found: np.ndarray, truth: np.ndarray) -> tuple[list[float], int, int]:
    """Errors of the found markers, number missed, number of false ones."""
    if not len(truth):
        return [], 0, len(found)
    if not len(found):
        return [], len(truth), 0
    distances = np.linalg.norm(truth[:, None] - found[None], axis=2)
    nearest = distances.min(axis=1)
    return list(nearest[nearest < FOUND_MM]), int((nearest >= FOUND_MM).sum()), int((distances.min(axis=0) >= FOUND_MM).sum())


def benchCells(volumes: int, full: bool) -> dict:
    diameters = (3.0, 4.0, 5.0, 6.0, 8.0) if full else (3.0, 5.0, 8.0)
    slices = (0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0) if full else (0.7, 1.5, 2.5, 5.0)
    blurs = (0.35, 0.5, 0.65) if full else (0.4, 0.6)
    print("Detected % / mean error mm / false ones; cells in [ ] span fewer than two voxels in some direction")
    spanned: dict[str, list] = {"errors": [], "missed": 0, "all": 0, "false": 0, "volumes": 0}
    thin = {"errors": [], "missed": 0, "all": 0, "warned": 0, "volumes": 0, "false": 0}
    perMaterial: dict[str, dict] = {}
    worst: tuple[float, str] = (1.0, "")
    worstError: tuple[float, str] = (0.0, "")
    for label, hu, kind in MATERIALS:
        material = perMaterial.setdefault(label, {"errors": [], "missed": 0, "all": 0})
        for blur in blurs:
            print(f"\n{label}, blur {blur} mm (slice, mm ->)".ljust(44) + "".join(f"{s:^20g}" for s in slices))
            for diameter in diameters:
                row = []
                for sliceMm in slices:
                    height = diameter if kind == "ball" else 0.4 * diameter
                    spans = height >= 2 * sliceMm and height >= 1.4
                    errors, missed, false = [], 0, 0
                    for v in range(volumes):
                        voxels, ijkToRas, truth = cellVolume(
                            diameter, sliceMm, blur, hu, kind, seed=1000 * v + int(10 * diameter + sliceMm)
                        )
                        detected = detectMarkers(voxels, ijkToRas)
                        e, m, f = compare(detected.centersRas, truth)
                        errors += e
                        missed += m
                        false += f
                        if not spans:
                            thin["warned"] += bool(detected.warnings)
                    group = spanned if spans else thin
                    group["errors"] += errors
                    group["missed"] += missed
                    group["false"] += false
                    group["all"] += len(errors) + missed
                    group["volumes"] += volumes
                    total = max(len(errors) + missed, 1)
                    mean = float(np.mean(errors)) if errors else float("nan")
                    text = f"{100 * len(errors) / total:.0f}/{mean:.3f}/{false}"
                    row.append(text if spans else f"[{text}]")
                    if spans:
                        material["errors"] += errors
                        material["missed"] += missed
                        material["all"] += total
                        name = f"{label} {diameter:g} mm, slice {sliceMm:g}, blur {blur}"
                        worst = min(worst, (len(errors) / total, name))
                        worstError = max(worstError, (0.0 if np.isnan(mean) else mean, name))
                print(f"   diameter {diameter:g} mm".ljust(44) + "".join(f"{c:^20s}" for c in row), flush=True)
    summary = {}
    for name, group in (("spanning two voxels", spanned), ("thinner", thin), *perMaterial.items()):
        errors = np.array(group["errors"]) if group["errors"] else np.array([np.nan])
        summary[name] = {
            "detected": round(1 - group["missed"] / max(group["all"], 1), 4),
            "markers": group["all"],
            "meanErrorMm": round(float(errors.mean()), 4),
            "p95ErrorMm": round(float(np.quantile(errors, 0.95)), 4),
        }
        if "false" in group:
            summary[name]["falsePer100Volumes"] = round(100 * group["false"] / max(group["volumes"], 1), 2)
    summary["thinner"]["volumesWarned"] = round(thin["warned"] / max(thin["volumes"], 1), 3)
    summary["worstCell"] = {"detected": round(worst[0], 3), "cell": worst[1]}
    summary["largestCellError"] = {"meanErrorMm": round(worstError[0], 3), "cell": worstError[1]}
    print()
    for name, values in summary.items():
        print(f"  {name:24s} {values}")
    return summary


def benchFalsePositives(volumes: int) -> dict:
    false = 0
    for v in range(volumes):
        random = np.random.default_rng(9000 + v)
        scene = MarkerCtScene(
            sliceMm=float(random.choice([0.7, 1.0, 1.5, 2.5])),
            blurSdMm=float(random.uniform(0.35, 0.65)),
            noiseHu=float(random.uniform(10, 35)),
            seed=v,
            extentMm=(190.0, 76.0, 90.0),
            **distractors(random),
        )
        voxels, ijkToRas = simulateMarkerCt(scene)
        false += len(detectMarkers(voxels, ijkToRas).markers)
    print(f"\nWithout markers: {false} false ones in {volumes} volumes")
    return {"false": false, "volumes": volumes}


def largeVolume() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """512 x 512 x 200 at 0.78 x 0.78 x 1 mm: a whole trunk with 10 markers of 5 mm."""
    spacing, sliceMm = 0.78, 1.0
    random = np.random.default_rng(5)
    markers = []
    for x in (-70, -35, 0, 35, 70):
        for z in (-40, 40):
            place, normal = onSkin(random, x + random.uniform(-8, 8), z + random.uniform(-8, 8), 2.0)
            markers.append(SimulatedMarker(tuple(place), 5.0, 1500.0, "ball", tuple(normal)))
    scene = MarkerCtScene(
        markers=tuple(markers), spacingMm=spacing, sliceMm=sliceMm, extentMm=(512.5 * spacing, 512.5 * spacing, 200.5), centerRas=(0, 20, 0)
    )
    voxels, ijkToRas = simulateMarkerCt(scene)
    return np.ascontiguousarray(voxels), ijkToRas, np.array([m.centerRas for m in markers])


def simpleItkMarkers(voxels: np.ndarray, ijkToRas: np.ndarray) -> np.ndarray:
    """The usual recipe: threshold, connected components, intensity-weighted statistics of each label, filters of size and roundness."""
    import SimpleITK as sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2)
    image = sitk.GetImageFromArray(voxels)
    spacing = np.linalg.norm(ijkToRas[:3, :3], axis=0)
    image.SetSpacing(tuple(spacing))
    labels = sitk.ConnectedComponent(image > 300)
    statistics = sitk.LabelIntensityStatisticsImageFilter()
    statistics.Execute(labels, image)
    kept = [
        statistics.GetCenterOfGravity(label)
        for label in statistics.GetLabels()
        if 10 < statistics.GetPhysicalSize(label) < 400 and statistics.GetElongation(label) < 1.6
    ]
    index = np.array(kept).reshape(-1, 3) / spacing
    return index @ ijkToRas[:3, :3].T + ijkToRas[:3, 3]


def benchTime(rounds: int) -> dict:
    voxels, ijkToRas, truth = largeVolume()
    ours, theirs = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        detected = detectMarkers(voxels, ijkToRas)
        ours.append(time.perf_counter() - start)
        start = time.perf_counter()
        peer = simpleItkMarkers(voxels, ijkToRas)
        theirs.append(time.perf_counter() - start)
    mine, other = compare(detected.centersRas, truth), compare(peer, truth)
    ratio = float(np.median(np.array(theirs) / np.array(ours)))
    print(f"\n512 x 512 x 200, median of {rounds} interleaved rounds:")
    print(f"  ours       {1000 * np.median(ours):8.1f} ms   found {len(mine[0])}/10, false {mine[2]}, mean error {np.mean(mine[0]):.3f} mm")
    error = f"{np.mean(other[0]):.3f}" if other[0] else "-"
    print(f"  SimpleITK  {1000 * np.median(theirs):8.1f} ms   found {len(other[0])}/10, false {other[2]}, mean error {error} mm")
    print(f"  ratio      {ratio:8.1f}")
    return {
        "oursMs": round(1000 * float(np.median(ours)), 1),
        "simpleItkMs": round(1000 * float(np.median(theirs)), 1),
        "ratio": round(ratio, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--volumes", type=int, default=1, help="volumes per cell")
    parser.add_argument("--empty", type=int, default=100, help="volumes without markers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--full", action="store_true", help="all diameters, slices and blurs (long)")
    arguments = parser.parse_args()
    result = {"time": benchTime(arguments.rounds)}
    result["cells"] = benchCells(arguments.volumes, arguments.full)
    result["empty"] = benchFalsePositives(arguments.empty)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
