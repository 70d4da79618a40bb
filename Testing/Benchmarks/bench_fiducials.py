"""Paired-point registration beside vtkLandmarkTransform and a plain SVD: equality, outliers, and whether the stated 95 % bound is one.

Run: python Testing/Benchmarks/bench_fiducials.py [--runs 2000] [--quick]. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import vtk

from FusionRegistrationLib.PairedPointSolver import solveRigid, solveRigidAnisotropic
from FusionRegistrationLib.PointMatching import matchPoints
from FusionRegistrationLib.RigidFit import fitRigid
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationAngleDeg, rotationFromVector, transformPoints
from FusionRegistrationLib.TargetRegistrationError import predictTwistUncertainty


def vtkFit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """4x4 of vtkLandmarkTransform in rigid-body mode, what the fiducial registration of 3D Slicer uses."""
    points = []
    for array in (source, target):
        one = vtk.vtkPoints()
        one.SetDataTypeToDouble()
        for p in array:
            one.InsertNextPoint(*p)
        points.append(one)
    transform = vtk.vtkLandmarkTransform()
    transform.SetModeToRigidBody()
    transform.SetSourceLandmarks(points[0])
    transform.SetTargetLandmarks(points[1])
    transform.Update()
    matrix = transform.GetMatrix()
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


def svdFit(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Textbook SVD without weights, written here independently."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    d = np.sign(np.linalg.det(vt.T @ u.T))
    rotation = vt.T @ np.diag([1, 1, d]) @ u.T
    return rigidFrom(rotation, target.mean(0) - rotation @ source.mean(0))


def skinLayout(random: np.random.Generator, count: int) -> np.ndarray:
    """Markers on a back: 140 x 120 mm, 16 mm of relief, not nearly on a line."""
    while True:
        points = np.c_[random.uniform(-70, 70, count), random.uniform(-60, 60, count), random.uniform(-8, 8, count)]
        if np.linalg.svd(points - points.mean(0), compute_uv=False)[1] > 18.0 * np.sqrt(count):
            return points


def randomPose(random: np.random.Generator) -> np.ndarray:
    return rigidFrom(rotationFromVector(random.normal(size=3)), random.uniform(-300, 300, 3))


def discTarget(random: np.random.Generator) -> np.ndarray:
    """A disc 60-110 mm under the markers."""
    return np.array([random.uniform(-30, 30), random.uniform(-30, 30), -random.uniform(60, 110)])


def benchClean(runs: int) -> dict:
    random = np.random.default_rng(1)
    worst = {"vtk": 0.0, "svd": 0.0, "truth": 0.0}
    for _ in range(runs):
        points, pose = skinLayout(random, int(random.integers(3, 13))), randomPose(random)
        target = transformPoints(pose, points)
        ours = solveRigid(points, target)
        for name, other in (("vtk", vtkFit(points, target)), ("svd", svdFit(points, target)), ("truth", pose)):
            worst[name] = max(worst[name], float(np.abs(transformPoints(ours, points) - transformPoints(other, points)).max()))
    noisy = 0.0
    for _ in range(runs):
        points, pose = skinLayout(random, int(random.integers(4, 13))), randomPose(random)
        target = transformPoints(pose, points) + random.normal(size=points.shape)
        noisy = max(
            noisy,
            float(np.abs(transformPoints(solveRigid(points, target), points) - transformPoints(vtkFit(points, target), points)).max()),
        )
    print("\nClean data: largest difference of mapped points, mm")
    for name, value in worst.items():
        print(f"  against {name:6s} {value:.2e}")
    print(f"  noisy data, against vtk {noisy:.2e}")
    return {"cleanVsVtkMm": worst["vtk"], "cleanVsSvdMm": worst["svd"], "cleanVsTruthMm": worst["truth"], "noisyVsVtkMm": noisy}


def benchOutliers(runs: int) -> dict:
    print("\nOutliers (FLE 0.6 mm RMS, outlier 10-25 mm): error at the disc, mm, median / 95 %")
    print("  points outliers   ours robust      vtkLandmark        plain SVD   outliers named exactly")
    result = {}
    for count, bad in ((6, 1), (8, 2), (12, 3), (20, 6)):
        random = np.random.default_rng(count)
        errors: dict[str, list[float]] = {"ours": [], "vtk": [], "svd": []}
        named = 0
        for _ in range(runs):
            points, pose, disc = skinLayout(random, count), randomPose(random), discTarget(random)
            target = transformPoints(pose, points) + random.normal(size=points.shape) * 0.35
            wrong = random.choice(count, bad, replace=False)
            shift = random.normal(size=(bad, 3))
            target[wrong] += shift / np.linalg.norm(shift, axis=1)[:, None] * random.uniform(10, 25, (bad, 1))
            fit = fitRigid(points, target, robust=True)
            named += set(np.flatnonzero(~fit.used)) == set(wrong)
            truth = transformPoints(pose, disc)
            for name, matrix in (("ours", fit.fromToTo), ("vtk", vtkFit(points, target)), ("svd", svdFit(points, target))):
                errors[name].append(float(np.linalg.norm(transformPoints(matrix, disc) - truth)))
        cells = [f"{np.median(errors[n]):6.2f} / {np.quantile(errors[n], 0.95):6.2f}" for n in ("ours", "vtk", "svd")]
        print(f"  {count:6d} {bad:8d}   " + "   ".join(cells) + f"   {100 * named / runs:5.1f} %")
        result[f"{bad}of{count}"] = {n: round(float(np.median(e)), 3) for n, e in errors.items()} | {"named": named / runs}
    return result


def noiseRoot(kind: str, random: np.random.Generator) -> np.ndarray:
    """Square root of the FLE covariance (mm): isotropic, or elongated in a random direction or across the layout."""
    sd = 0.4
    if kind == "isotropic":
        return sd * np.eye(3)
    ratio = float(kind.split(":")[1].split()[0])
    if "across" in kind:
        return sd * np.diag([1.0, 1.0, ratio])
    turn = rotationFromVector(random.normal(size=3) * 3.0)
    return turn @ np.diag([sd, sd, sd * ratio]) @ turn.T


def distort(points: np.ndarray, strength: float) -> np.ndarray:
    """Field of a metal object beside the patient: the error grows as the inverse cube of the distance (a dipole)."""
    metal = np.array([160.0, 40.0, -60.0])
    lever = points - metal
    distance = np.linalg.norm(lever, axis=-1, keepdims=True)
    return points + strength * lever / distance * (100.0 / distance) ** 3


def coverage(
    kind: str,
    runs: int,
    *,
    given: bool = False,
    axisGiven: bool = False,
    axisOffDeg: float = 0.0,
    naive: bool = False,
    distortionMm: float = 0.0,
    counts=(4, 5, 6, 7, 8),
) -> dict:
    """Share of simulated registrations whose true error at the disc is within the stated 95 % bound.

    given: the program is told the FLE's shape; axisGiven: only the direction of its long axis (across the layout where it has none), wrong
    by axisOffDeg; naive: the estimate is taken for the truth.
    """
    random = np.random.default_rng(2024)
    within: dict[int, list[bool]] = {c: [] for c in counts}
    ratios, rms = [], []
    for index in range(runs):
        count = counts[index % len(counts)]
        points, pose, disc = skinLayout(random, count), randomPose(random), discTarget(random)
        root = noiseRoot(kind, random)
        noise = random.normal(size=(count, 3)) @ root.T
        measured = distort(points, distortionMm) if distortionMm else points
        target = transformPoints(pose, measured + noise)
        if given:
            fromCovariances = np.tile(root @ root.T, (count, 1, 1))
            fitted = solveRigidAnisotropic(points, target, fromCovariances, np.zeros((count, 3, 3)))
            information = np.linalg.inv(fitted[:3, :3] @ fromCovariances @ fitted[:3, :3].T)
        else:
            fitted = solveRigid(points, target)
            information = np.tile(np.eye(3), (count, 1, 1))
        mapped = transformPoints(fitted, points)
        knownFle = None
        if naive:
            # What a plain program would state: the FLE estimate taken for the truth.
            knownFle = float(np.sqrt(3.0 * ((target - mapped) ** 2).sum() / (3 * count - 6)))
        longAxis = None
        if axisGiven:
            aside = random.normal(size=3)
            long = np.linalg.svd(root)[0][:, 0] if kind != "isotropic" else np.array([0.0, 0.0, 1.0])
            aside -= (aside @ long) * long
            longAxis = pose[:3, :3] @ (long + np.tan(np.radians(axisOffDeg)) * aside / np.linalg.norm(aside))
        uncertainty = predictTwistUncertainty(
            mapped, target - mapped, information, shapeKnown=given or naive, knownFleMm=knownFle, longAxisTo=longAxis
        )
        truth = transformPoints(pose, distort(disc, distortionMm) if distortionMm else disc)
        error = float(np.linalg.norm(transformPoints(fitted, disc) - truth))
        stated = uncertainty.at(transformPoints(fitted, disc))
        within[count].append(error <= stated.p95Mm)
        ratios.append(stated.p95Mm)
        rms.append((error, stated.rmsMm))
    everything = np.concatenate([np.array(v) for v in within.values()])
    errors = np.array(rms)
    return {
        "all": float(everything.mean()),
        "perCount": {c: round(float(np.mean(v)), 3) for c, v in within.items()},
        "boundMedianMm": float(np.median(ratios)),
        "rmsTrueMm": float(np.sqrt((errors[:, 0] ** 2).mean())),
        "rmsStatedMm": float(np.sqrt((errors[:, 1] ** 2).mean())),
    }


def benchCoverage(runs: int) -> dict:
    print(
        f"\nCoverage of the stated 95 % bound at a disc 60-110 mm deep, FLE estimated from the 4-8 points at hand, {runs} "
        "registrations each"
    )
    print("  FLE                                         all    N=4    N=5    N=6    N=7    N=8   true RMS  stated RMS  median bound mm")
    rows = (
        ("isotropic", {}),
        ("elongated 1:2 any direction", {}),
        ("elongated 1:3 any direction", {}),
        ("elongated 1:3 any direction", {"given": True}),
        ("elongated 1:3 across layout", {"given": True}),
        ("elongated 1:3 across layout", {}),
        ("elongated 1:2 across layout", {"axisGiven": True}),
        ("elongated 1:3 across layout", {"axisGiven": True}),
        ("elongated 1:3 across layout", {"axisGiven": True, "axisOffDeg": 20.0}),
        ("elongated 1:5 across layout", {"axisGiven": True}),
        ("elongated 1:3 any direction", {"axisGiven": True}),
        ("isotropic", {"axisGiven": True}),
        ("isotropic", {"naive": True}),
        ("elongated 1:3 any direction", {"naive": True}),
        ("isotropic", {"distortionMm": 1.0}),
        ("isotropic", {"distortionMm": 3.0}),
    )
    result = {}
    for kind, options in rows:
        found = coverage(kind, runs, **options)
        label = kind + "".join(
            {
                "given": ", given",
                "axisGiven": ", axis given",
                "axisOffDeg": f" {v:g} deg off",
                "naive": ", FLE taken as known",
                "distortionMm": f", field {v} mm",
            }[k]
            for k, v in options.items()
        )
        cells = "  ".join(f"{100 * v:5.1f}" for v in found["perCount"].values())
        print(
            f"  {label:40s} {100 * found['all']:6.1f}  {cells}   {found['rmsTrueMm']:7.2f}  {found['rmsStatedMm']:9.2f}  "
            f"{found['boundMedianMm']:9.2f}",
            flush=True,
        )
        result[label] = {"all": found["all"], **{f"N{c}": v for c, v in found["perCount"].items()}}
    return result


def benchMatching(runs: int) -> dict:
    print("\nMatching without order (0.3 mm noise): right pairs / ambiguous or none / wrong, median ms")
    result = {}
    for count, missing, spurious in ((6, 0, 0), (6, 2, 2), (10, 3, 3), (20, 5, 5), (30, 0, 0), (22, 8, 8)):
        random = np.random.default_rng(count)
        right = none = wrong = 0
        times = []
        for _ in range(runs):
            points, pose = random.uniform([-80, -70, -12], [80, 70, 12], (count, 3)), randomPose(random)
            target = transformPoints(pose, points) + random.normal(size=(count, 3)) * 0.3
            seen = random.permutation(count)[missing:]
            extra = transformPoints(pose, random.uniform([-80, -70, -12], [80, 70, 12], (spurious, 3)))
            listed = np.vstack([target[seen], extra])
            order = random.permutation(len(listed))
            start = time.perf_counter()
            match = matchPoints(points, listed[order])
            times.append(time.perf_counter() - start)
            truth = {(int(seen[o]), i) for i, o in enumerate(order) if o < len(seen)}
            good = rotationAngleDeg(invertRigid(pose) @ match.fromToTo) < 3.0 and truth <= set(match.pairs)
            right += match.found and good
            wrong += match.found and not good
            none += not match.found
        ms = 1000 * float(np.median(times))
        print(f"  {count:3d} points, {missing} missing, {spurious} spurious: {right:4d} / {none:3d} / {wrong:3d} of {runs}   {ms:7.1f} ms")
        result[f"{count}-{missing}+{spurious}"] = {"right": right / runs, "wrong": wrong / runs, "ms": round(ms, 2)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="simulated registrations per row of the coverage table")
    parser.add_argument("--quick", action="store_true", help="few runs, for a look")
    arguments = parser.parse_args()
    runs = 200 if arguments.quick else arguments.runs
    result = {"clean": benchClean(max(runs // 10, 50)), "outliers": benchOutliers(max(runs // 10, 40))}
    result["matching"] = benchMatching(max(runs // 40, 20))
    result["coverage"] = benchCoverage(runs)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
