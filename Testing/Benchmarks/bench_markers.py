"""Marker detection: what is found where, how exactly, and how fast beside SimpleITK.

Table 1: per cell of diameter x slice thickness x blur x material, with bone, calcifications, moles, a wire and
a contrast-filled tube in the picture.
Table 2: false positives in volumes without markers, and in volumes with markers of any size and noise; finds that the detection
itself calls doubtful are counted apart. Table 3: what becomes of calcifications of marker size at the level of the skin, which CT
can't tell from markers. Table 4: time on 512 x 512 x 200, interleaved with SimpleITK's connected components with label statistics.
Run: python Testing/Benchmarks/bench_markers.py [--volumes N] [--empty N] [--marked N] [--first-seed N] [--full]. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np

from FusionRegistrationLib.MarkerDetection import DetectedMarker, detectMarkers
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


def cellVolume(
    diameter: float, sliceMm: float, blur: float, hu: float, kind: str, seed: int, noiseHu: float = 20.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    scene = MarkerCtScene(
        markers=tuple(markers), sliceMm=sliceMm, blurSdMm=blur, noiseHu=noiseHu, seed=seed, extentMm=(190.0, 76.0, 90.0), **others
    )
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


def falseOnes(markers: tuple[DetectedMarker, ...], truth: np.ndarray) -> tuple[int, int]:
    """Number of finds that are no markers: sure ones, doubtful ones."""
    false = [m for m in markers if not len(truth) or np.linalg.norm(truth - m.centerRas, axis=1).min() >= FOUND_MM]
    return sum(not m.doubt for m in false), sum(bool(m.doubt) for m in false)


def spansTwoVoxels(diameter: float, sliceMm: float, kind: str) -> bool:
    height = diameter if kind == "ball" else 0.4 * diameter
    return height >= 2 * sliceMm and height >= 1.4


def per100(count: int, volumes: int) -> str:
    """Rate per 100 volumes with the exact 95 % interval of a Poisson count."""
    from scipy.stats import chi2

    low = 0.5 * chi2.ppf(0.025, 2 * count) if count else 0.0
    high = 0.5 * chi2.ppf(0.975, 2 * count + 2)
    return f"{100 * count / volumes:.2f} per 100 volumes (95 % interval {100 * low / volumes:.2f}-{100 * high / volumes:.2f})"


def benchCells(volumes: int, full: bool) -> dict:
    diameters = (3.0, 4.0, 5.0, 6.0, 8.0) if full else (3.0, 5.0, 8.0)
    slices = (0.7, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0) if full else (0.7, 1.5, 2.5, 5.0)
    blurs = (0.35, 0.5, 0.65) if full else (0.4, 0.6)
    print("Detected % / mean error mm / false ones; cells in [ ] span fewer than two voxels in some direction")
    spanned: dict = {"errors": [], "missed": 0, "all": 0, "false": 0, "doubtful": 0, "volumes": 0}
    thin: dict = {"errors": [], "missed": 0, "all": 0, "warned": 0, "volumes": 0, "false": 0, "doubtful": 0}
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
                    spans = spansTwoVoxels(diameter, sliceMm, kind)
                    group = spanned if spans else thin
                    errors, missed, false = [], 0, 0
                    for v in range(volumes):
                        voxels, ijkToRas, truth = cellVolume(
                            diameter, sliceMm, blur, hu, kind, seed=1000 * v + int(10 * diameter + sliceMm)
                        )
                        detected = detectMarkers(voxels, ijkToRas)
                        e, m, _ = compare(detected.centersRas, truth)
                        sure, doubtful = falseOnes(detected.markers, truth)
                        errors += e
                        missed += m
                        false += sure
                        group["doubtful"] += doubtful
                        if not spans:
                            thin["warned"] += bool(detected.warnings)
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
            summary[name]["falseButDoubtful"] = group["doubtful"]
    summary["thinner"]["volumesWarned"] = round(thin["warned"] / max(thin["volumes"], 1), 3)
    summary["worstCell"] = {"detected": round(worst[0], 3), "cell": worst[1]}
    summary["largestCellError"] = {"meanErrorMm": round(worstError[0], 3), "cell": worstError[1]}
    print()
    for name, values in summary.items():
        print(f"  {name:24s} {values}")
    return summary


def benchFalsePositives(volumes: int, firstSeed: int) -> dict:
    sure = doubtful = 0
    for v in range(firstSeed, firstSeed + volumes):
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
        found = falseOnes(detectMarkers(voxels, ijkToRas).markers, np.empty((0, 3)))
        sure, doubtful = sure + found[0], doubtful + found[1]
        if found[0]:
            print(f"  seed {v}: {found[0]} false")
    print(f"\nWithout markers, {volumes} volumes: {sure} false ones, {per100(sure, volumes)}; {doubtful} more called doubtful")
    return {"false": sure, "falseButDoubtful": doubtful, "volumes": volumes}


def benchMarkedVolumes(volumes: int, firstSeed: int) -> dict:
    """Markers of any material, 3-8 mm, that span two voxels, in any blur and noise."""
    errors: list[float] = []
    missed = sure = doubtful = trueInDoubt = 0
    for v in range(firstSeed, firstSeed + volumes):
        random = np.random.default_rng(70000 + v)
        while True:
            (_, hu, kind), diameter = MATERIALS[random.integers(len(MATERIALS))], float(random.uniform(3.0, 8.0))
            sliceMm = float(random.choice([0.7, 1.0, 1.5, 2.5]))
            if spansTwoVoxels(diameter, sliceMm, kind):
                break
        blur, noiseHu = float(random.uniform(0.35, 0.65)), float(random.uniform(10, 35))
        voxels, ijkToRas, truth = cellVolume(diameter, sliceMm, blur, hu, kind, 500000 + v, noiseHu)
        detected = detectMarkers(voxels, ijkToRas)
        e, m, _ = compare(detected.centersRas, truth)
        false = falseOnes(detected.markers, truth)
        errors, missed, sure, doubtful = errors + e, missed + m, sure + false[0], doubtful + false[1]
        if m or false[0]:
            print(f"  seed {v}: {m} missed, {false[0]} false")
        trueInDoubt += sum(bool(marker.doubt) for marker in detected.markers) - false[1]
    total = len(errors) + missed
    print(f"With markers, {volumes} volumes: {sure} false ones, {per100(sure, volumes)}; {doubtful} more called doubtful")
    found = f"found {100 * len(errors) / total:.2f} % of {total}, mean error {np.mean(errors):.3f} mm"
    print(f"  {found}; {trueInDoubt} true ones called doubtful")
    return {
        "volumes": volumes,
        "markers": total,
        "detected": round(len(errors) / total, 4),
        "meanErrorMm": round(float(np.mean(errors)), 4),
        "false": sure,
        "falseButDoubtful": doubtful,
        "trueButDoubtful": trueInDoubt,
    }


def benchSkinCalcifications(volumes: int, firstSeed: int) -> list[dict]:
    """Balls of 3-8 mm and 300-1200 HU with their centre from half a radius above to 5 mm under the skin: calcifications, or markers
    pressed in."""
    print(f"Calcifications of marker size at the skin, {volumes} volumes; by how far they stand out of it:")
    bands = ((-9.0, 0.0), (0.0, 0.5), (0.5, 1.5), (1.5, 9.0))
    counts = np.zeros((len(bands), 3), int)
    for v in range(firstSeed, firstSeed + volumes):
        random = np.random.default_rng(80000 + v)
        things, protrusions = [], []
        for x in (-70.0, -35.0, 0.0, 35.0, 70.0):
            diameter = random.uniform(3.0, 8.0)
            depth = random.uniform(-0.25 * diameter, 5.0)
            place, _ = onSkin(random, x + random.uniform(-8, 8), random.uniform(-30, 30), -depth)
            things.append(SimulatedMarker(tuple(place), diameter, random.uniform(300, 1200)))
            protrusions.append(0.5 * diameter - depth)
        scene = MarkerCtScene(
            calcifications=tuple(things),
            sliceMm=1.0,
            noiseHu=float(random.uniform(10, 35)),
            seed=v,
            extentMm=(190, 76, 90),
            spinousDepthMm=12.0,
        )
        detected = detectMarkers(*simulateMarkerCt(scene)).markers
        for thing, protrusion in zip(things, protrusions):
            row = next(n for n, (low, high) in enumerate(bands) if low <= protrusion < high)
            near = [m for m in detected if np.linalg.norm(m.centerRas - np.array(thing.centerRas)) < FOUND_MM]
            counts[row, 0 if not near else 1 if near[0].doubt else 2] += 1
    rows = []
    for (low, high), (left, doubtful, sure) in zip(bands, counts.tolist()):
        name = f"{low:g} to {high:g} mm" if low >= 0 else "wholly under"
        print(f"  {name:16s} left out {left:4d}   doubtful {doubtful:4d}   taken for sure markers {sure:4d}")
        rows.append({"standsOutMm": [low, high], "leftOut": left, "doubtful": doubtful, "sure": sure})
    return rows


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
    parser.add_argument("--marked", type=int, default=100, help="volumes with markers of any size and noise")
    parser.add_argument("--skin", type=int, default=30, help="volumes with calcifications of marker size at the skin")
    parser.add_argument("--first-seed", type=int, default=0, help="other seeds make other volumes")
    parser.add_argument("--skip-cells", action="store_true", help="leave out the table of cells")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--full", action="store_true", help="all diameters, slices and blurs (long)")
    arguments = parser.parse_args()
    result: dict = {"time": benchTime(arguments.rounds)}
    if not arguments.skip_cells:
        result["cells"] = benchCells(arguments.volumes, arguments.full)
    result["empty"] = benchFalsePositives(arguments.empty, arguments.first_seed)
    result["marked"] = benchMarkedVolumes(arguments.marked, arguments.first_seed)
    result["skinCalcifications"] = benchSkinCalcifications(arguments.skin, arguments.first_seed)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
