"""The held-out spine of the surface benchmark, its sweeps, and what is measured on them."""

from __future__ import annotations

import dataclasses
import functools
import time
from typing import Any

import numpy as np
from RegistrationPeers import TargetCloud, vtkIcp
from SpineMeshes import SpineMeshes, bentSpine, heldOutSpine, meshOf, surfaceOf
from SurfaceBars import lowerBound
from SurfaceCases import DenseSpine, Hardness, Sweep, makeSweep, startNear, targetErrors

from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.PerVertebraRegistration import registerPerVertebra
from FusionRegistrationLib.RigidTransform import invertRigid, transformPoints
from FusionRegistrationLib.SurfaceRegistration import SurfaceRegistrationParameters, registerSurface
from FusionRegistrationLib.SurfaceSearch import shiftAlongSpine

FROZEN = SurfaceRegistrationParameters()
WITHOUT_LEVELS = dataclasses.replace(FROZEN, checkLevels=False)
SUCCESS_MM = 2.0
"""All times are processor time of one thread: what else the machine does at the moment hardly enters."""


class Bench:
    """The held-out spine, its surface, and a pool of sweeps over it."""

    def __init__(self, sweeps: int) -> None:
        self.spine: SpineMeshes = heldOutSpine()
        began = time.process_time()
        self.surface: BoneSurface = surfaceOf(self.spine)
        middle = time.process_time()
        self.surface.prepare()
        self.surfaceSec, self.tableSec = middle - began, time.process_time() - middle
        self.dense = DenseSpine(self.spine)
        self.random = np.random.default_rng(77001)
        self.pool = [self.sweep(Hardness(outlierShare=(0.0, 0.1, 0.3)[n % 3])) for n in range(sweeps)]
        # Shorter sweeps with many outliers, for which the level is hardest to tell.
        self.shortPool = [self.sweep(Hardness(outlierShare=0.3, levelCount=2.5)) for _ in range(sweeps // 2)]
        self.figures: dict[str, Any] = {"surfaceSec": self.surfaceSec, "tableSec": self.tableSec}

    @functools.cached_property
    def mesh(self) -> Any:
        """The whole spine as one mesh of 170,000 triangles."""
        return meshOf(self.spine, 170000)

    @functools.cached_property
    def target(self) -> TargetCloud:
        """Its part that can be seen from behind."""
        return TargetCloud(self.mesh, self.surface.pointsRas)

    def sweep(self, hardness: Hardness) -> Sweep:
        """A new random sweep over the held-out spine."""
        return makeSweep(self.spine, self.dense, self.random, hardness)

    def error(self, sweep: Sweep, transform: np.ndarray) -> float:
        """Largest error (mm) over the disc centres within the sweep."""
        return float(targetErrors(sweep, self.spine, transform).max())

    def capture(self, count: int, radius: float, name: str) -> None:
        """Success over many wrong starts."""
        errors, times, predicted = [], [], []
        for number in range(count):
            sweep = self.pool[number % len(self.pool)]
            start = startNear(sweep, self.random, radius, radius)
            began = time.process_time()
            fit = registerSurface(
                sweep.points,
                self.surface,
                initialReferenceToRas=start,
                parameters=WITHOUT_LEVELS,
                targetsRas={name: self.spine.discs[name] for name in sweep.discs},
            )
            times.append(time.process_time() - began)
            errors.append(self.error(sweep, fit.referenceToRas))
            predicted.append(max(error.p95Mm for error in fit.predictedTre.values()))
        error = np.array(errors)
        good = int((error < SUCCESS_MM).sum())
        covered = float((error <= np.array(predicted))[error < SUCCESS_MM].mean())
        print(
            f"  starts within {radius:.0f} mm and {radius:.0f} deg: {good}/{count} under 2 mm ({100 * good / count:.1f} %, lower bound "
            f"{100 * lowerBound(good, count):.1f} %), TRE median {np.median(error):.2f}, p95 {np.quantile(error, 0.95):.2f}, "
            f"max {error.max():.2f} mm, {1e3 * np.median(times):.0f} ms; predicted p95 covers {100 * covered:.0f} %"
        )
        self.figures[name] = {
            "count": count,
            "success": good / count,
            "medianTreMm": float(np.median(error)),
            "ms": 1e3 * float(np.median(times)),
        }

    def hardTerms(self, count: int) -> None:
        """What every effect costs alone."""
        none = Hardness(noiseMm=0.0, outlierShare=0.0, jitterMm=0.0, depthScale=0.0, beamHalfWidthMm=0.4, gapShare=0.0)
        terms = {
            "none of them": none,
            "noise 0.7 mm": dataclasses.replace(none, noiseMm=0.7),
            "outliers 30 %": dataclasses.replace(none, outlierShare=0.3),
            "jitter 0.3 mm": dataclasses.replace(none, jitterMm=0.3),
            "depth scale 2 %": dataclasses.replace(none, depthScale=0.02),
            "beam 3 mm thick": dataclasses.replace(none, beamHalfWidthMm=1.5),
            "gaps 25 %": dataclasses.replace(none, gapShare=0.25),
            "all together": Hardness(outlierShare=0.3),
        }
        blind = dataclasses.replace(WITHOUT_LEVELS, refinement=dataclasses.replace(FROZEN.refinement, depthScaleSigma=0.0))
        self.figures["terms"] = {}
        for name, hardness in terms.items():
            errors, blindErrors = [], []
            for _ in range(count):
                sweep = self.sweep(hardness)
                start = startNear(sweep, self.random, 10.0, 10.0)
                fits = [
                    registerSurface(sweep.points, self.surface, initialReferenceToRas=start, parameters=p) for p in (WITHOUT_LEVELS, blind)
                ]
                errors.append(self.error(sweep, fits[0].referenceToRas))
                blindErrors.append(self.error(sweep, fits[1].referenceToRas))
            print(
                f"  {name:16s} TRE median {np.median(errors):.2f} max {max(errors):.2f} mm; "
                f"with the depth scale left out {np.median(blindErrors):.2f} mm"
            )
            self.figures["terms"][name] = float(np.median(errors))

    def wrongFits(self, count: int) -> None:
        """Right fits must be trusted, wrong ones doubted: wrong level, wrong place, CT without the scanned levels."""
        right = alarms = 0
        levelMs = []
        while right < count:
            pool = self.pool if right % 2 else self.shortPool
            sweep = pool[right // 2 % len(pool)]
            start = startNear(sweep, self.random, 20.0, 20.0)
            began = time.process_time()
            fit = registerSurface(sweep.points, self.surface, initialReferenceToRas=start, parameters=FROZEN)
            levelMs.append(1e3 * (time.process_time() - began))
            if self.error(sweep, fit.referenceToRas) < SUCCESS_MM:
                right += 1
                alarms += not fit.trusted
        half = self.spine.names[: len(self.spine.names) // 2], self.spine.names[len(self.spine.names) // 2 :]
        partial = [surfaceOf(self.spine, only=names) for names in half]
        narrow = dataclasses.replace(FROZEN, search=dataclasses.replace(FROZEN.search, radiusMm=8.0, radiusDeg=10.0, starts=96))
        wrong = caught = 0
        kinds: dict[str, list[int]] = {"one level off": [0, 0], "wrong place": [0, 0], "CT without the level": [0, 0]}
        number = 0
        while wrong < count:
            kind = list(kinds)[number % 3]
            pool = self.pool if number // 3 % 2 else self.shortPool
            sweep = pool[number // 6 % len(pool)]
            number += 1
            surface = self.surface
            if kind == "one level off":
                place = transformPoints(sweep.referenceToRas, sweep.points.pointsReference.mean(axis=0)[None])[0]
                start = shiftAlongSpine(sweep.referenceToRas, place, surface, float(self.random.choice([-1, 1])) * surface.pitchMm)
                fit = registerSurface(sweep.points, surface, initialReferenceToRas=start, parameters=narrow)
            elif kind == "wrong place":
                start = startNear(sweep, self.random, 60.0, 60.0)
                fit = registerSurface(sweep.points, surface, initialReferenceToRas=start, parameters=narrow)
            else:
                hidden = partial[0] if sweep.centreRas[2] < self.spine.centres[:, 2].mean() else partial[1]
                fit = registerSurface(
                    sweep.points, hidden, initialReferenceToRas=startNear(sweep, self.random, 20.0, 20.0), parameters=FROZEN
                )
            if self.error(sweep, fit.referenceToRas) < 5.0:
                continue  # it found the right place all the same
            wrong += 1
            caught += not fit.trusted
            kinds[kind][0] += 1
            kinds[kind][1] += not fit.trusted
        print(
            f"  wrong fits caught {caught}/{wrong} (lower bound {100 * lowerBound(caught, wrong):.1f} %): "
            + ", ".join(f"{name} {hit}/{total}" for name, (total, hit) in kinds.items())
        )
        quiet = right - alarms
        print(f"  right fits trusted {quiet}/{right} (lower bound {100 * lowerBound(quiet, right):.1f} %), {alarms} false alarms")
        print(f"  with the level check {np.median(levelMs):.0f} ms per registration")
        self.figures["wrong"] = {
            "caught": caught / wrong,
            "caughtLowerBound": lowerBound(caught, wrong),
            "wrong": wrong,
            "falseAlarms": alarms / right,
            "trustedLowerBound": lowerBound(quiet, right),
            "right": right,
            "msWithLevelCheck": float(np.median(levelMs)),
        }

    def perVertebra(self, count: int) -> None:
        """CT from another position: neighbours turn by 5 degrees and shift by 2 mm (standard deviations of the relative motion)."""
        rigidErrors, errors, disagreements = [], [], []
        names = self.spine.names
        for _ in range(count):
            bent, motions = bentSpine(self.spine, self.random, 5.0, 2.0)
            sweep = makeSweep(bent, self.dense.moved(motions), self.random, Hardness(levelCount=4.0, outlierShare=0.2))
            rigid = registerSurface(
                sweep.points, self.surface, initialReferenceToRas=startNear(sweep, self.random, 10.0, 10.0), parameters=WITHOUT_LEVELS
            )
            fit = registerPerVertebra(sweep.points, self.surface, rigid)
            for disc in sweep.discs:
                upper, lower = (names.index(name) for name in disc.split("-"))
                ends = self.spine.endplates[disc]
                truth = (transformPoints(motions[upper], ends[0][None])[0] + transformPoints(motions[lower], ends[1][None])[0]) / 2.0
                truth = transformPoints(rigid.referenceToRas @ invertRigid(sweep.referenceToRas), truth[None])[0]
                shift = fit.movedDisc(disc, upper + 1, lower + 1, *ends)
                errors.append(float(np.linalg.norm(np.array(shift.movedRas) - truth)))
                rigidErrors.append(float(np.linalg.norm(np.array(shift.plannedRas) - truth)))
                disagreements.append(shift.disagreementMm)
        print(
            f"  {len(errors)} discs: one rigid transform mean {np.mean(rigidErrors):.2f} mm, per vertebra mean {np.mean(errors):.2f}, "
            f"p95 {np.quantile(errors, 0.95):.2f}, max {max(errors):.2f} mm; "
            f"endplates disagree by {np.median(disagreements):.1f} mm (median)"
        )
        self.figures["perVertebra"] = {
            "meanTreMm": float(np.mean(errors)),
            "rigidMeanTreMm": float(np.mean(rigidErrors)),
            "discs": len(errors),
        }

    def scaling(self, repeats: int) -> None:
        """Cost against the number of points and of triangles."""
        sweeps = {count: self.sweep(Hardness(pointCount=count, frameCount=count // 40)) for count in (2000, 5000, 20000)}
        start = startNear(sweeps[5000], self.random, 10.0, 10.0)
        starts = {count: startNear(sweep, self.random, 10.0, 10.0) for count, sweep in sweeps.items()}
        meshes = {50000: meshOf(self.spine, 50000), 170000: self.mesh, 500000: meshOf(self.spine, 500000)}
        surfaces = {}
        for count, mesh in meshes.items():
            cloud = TargetCloud(mesh, self.surface.pointsRas)
            labels = np.zeros(len(cloud.points), np.int16)
            surface = dataclasses.replace(self.surface, pointsRas=cloud.points, normalsRas=cloud.normals, pointLabels=labels, vertebrae=())
            surfaces[count] = surface.prepare()
        timesPoints: dict[int, list[float]] = {count: [] for count in sweeps}
        timesMesh: dict[int, list[float]] = {count: [] for count in meshes}
        timesIcp: dict[int, list[float]] = {count: [] for count in meshes}
        for repeat in range(repeats):
            for count, sweep in sweeps.items():
                began = time.process_time()
                registerSurface(sweep.points, self.surface, initialReferenceToRas=starts[count], parameters=WITHOUT_LEVELS)
                timesPoints[count].append(1e3 * (time.process_time() - began))
            for count, surface in surfaces.items():
                began = time.process_time()
                registerSurface(sweeps[5000].points, surface, initialReferenceToRas=start, parameters=WITHOUT_LEVELS)
                timesMesh[count].append(1e3 * (time.process_time() - began))
                if repeat < 3:
                    began = time.process_time()
                    vtkIcp(sweeps[5000].points.pointsReference, meshes[count], start)
                    timesIcp[count].append(1e3 * (time.process_time() - began))
        byPoints = {len(sweeps[count].points): float(np.median(values)) for count, values in timesPoints.items()}
        byMesh = {count: float(np.median(values)) for count, values in timesMesh.items()}
        byIcp = {count: float(np.median(values)) for count, values in timesIcp.items()}
        print("  ours by points: " + ", ".join(f"{count}: {ms:.1f} ms" for count, ms in byPoints.items()))
        print("  ours by triangles: " + ", ".join(f"{count}: {ms:.1f} ms" for count, ms in byMesh.items()))
        print("  vtkICP by triangles: " + ", ".join(f"{count}: {ms:.0f} ms" for count, ms in byIcp.items()))
        self.figures["scaling"] = {
            "pointsMs": {str(count): ms for count, ms in byPoints.items()},
            "trianglesMs": {str(count): ms for count, ms in byMesh.items()},
            "vtkIcpTrianglesMs": {str(count): ms for count, ms in byIcp.items()},
        }
