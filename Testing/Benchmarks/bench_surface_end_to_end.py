"""From images to the disc: simulated patients, simulated frames, bone detection, registration to the CT's HU surface.

Run: python Testing/Benchmarks/bench_surface_end_to_end.py [--quick]
Every patient is another random phantom; the CT is read from Hounsfield units alone, the sweep is free-hand in three lanes with
tracking jitter 0.3 mm and depths up to 2 % off. Simulated ultrasound is not a patient's: speckle, layers, shadows and
reverberation are there, poor contact, obesity and degenerated spines are not.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from typing import Any

import numpy as np

from FusionRegistrationLib.BoneSurfaceCt import extractPosteriorBoneSurface
from FusionRegistrationLib.ProbeGeometry import ProbeGeometry, curvilinearGeometry
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, rotationFromVector, transformPoints
from FusionRegistrationLib.SurfaceRegistration import SurfaceRegistrationParameters, registerSurface
from FusionRegistrationLib.SurfaceSearch import shiftAlongSpine
from FusionRegistrationLib.SweepBone import SweepFrame, collectBonePoints
from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, buildLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters, randomPhantomParameters
from IntradiscalNavLib.Simulation.SimulatedProcedure import SimulatedProcedure
from IntradiscalNavLib.Simulation.SimulatedUltrasound import SimulatedUltrasound
from IntradiscalNavLib.Simulation.UltrasoundGeometry import UltrasoundGeometry

LEVELS = ("L2-L3", "L3-L4", "L4-L5")


def probeGeometry(simulated: UltrasoundGeometry) -> ProbeGeometry:
    """Our scan-line geometry of the simulated curved array."""
    pixel = simulated.pixelSpacingMm
    return curvilinearGeometry(
        simulated.columns,
        simulated.rows,
        (pixel, pixel),
        apexPixel=(simulated.faceCenterPixel[0], simulated.faceCenterPixel[1] - simulated.radiusMm / pixel),
        faceRadiusMm=simulated.radiusMm,
        depthMm=simulated.depthMm,
        halfAngleDeg=simulated.fieldOfViewDeg / 2.0,
    )


def sweepOver(phantom: LumbarPhantom, seed: int, random: np.random.Generator) -> tuple[list[SweepFrame], UltrasoundGeometry, float]:
    """Frames of one sweep with jittered poses, and the true factor the depths must be stretched by."""
    depthScale = float(random.uniform(0.98, 1.02))
    simulated = UltrasoundGeometry()
    ultrasound = SimulatedUltrasound(phantom, simulated, seed=seed, depthScale=depthScale)
    procedure = SimulatedProcedure(phantom, seed=seed)
    end = procedure.sweep(0.0, durationSec=8.0)
    frames = []
    for moment in np.arange(1.2, end, 0.15):
        probeToRas = procedure.state(moment).probeToRas
        jitter = rigidFrom(rotationFromVector(random.normal(0.0, 0.003, 3)), random.normal(0.0, 0.3, 3))
        frames.append(
            SweepFrame(ultrasound.render(probeToRas), invertRigid(phantom.truth.referenceToRas) @ probeToRas @ jitter, float(moment))
        )
    return frames, simulated, 1.0 / depthScale


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one patient, to see that it runs")
    patients = 1 if parser.parse_args().quick else 8
    print(__doc__)
    random = np.random.default_rng(606)
    chosen = SurfaceRegistrationParameters()
    narrow = dataclasses.replace(chosen, search=dataclasses.replace(chosen.search, radiusMm=6.0, radiusDeg=8.0, starts=64))
    errors: dict[str, list[float]] = {"poor start": [], "no start": []}
    wrong = caught = alarms = 0
    detectionMs, scaleErrors = [], []
    for patient in range(patients):
        phantom = buildLumbarPhantom(randomPhantomParameters(900 + patient, PhantomParameters()))
        truth = phantom.truth.referenceToRas
        surface = extractPosteriorBoneSurface(phantom.voxels, phantom.ijkToRas).prepare()
        frames, simulated, scale = sweepOver(phantom, patient, random)
        began = time.process_time()
        bone = collectBonePoints(frames, probeGeometry(simulated), simulated.imageToProbe)
        detectionMs.append(1e3 * (time.process_time() - began) / len(frames))
        targets = {name: np.asarray(phantom.truth.discs[name].centerRas) for name in LEVELS}
        centre = transformPoints(truth, bone.points.pointsReference.mean(axis=0)[None])[0]
        turn = rotationFromVector(random.normal(size=3) * np.radians(7.0))
        start = rigidFrom(turn, centre - turn @ centre + random.normal(0.0, 7.0, 3)) @ truth
        for name, initial in (("poor start", start), ("no start", None)):
            fit = registerSurface(bone.points, surface, initialReferenceToRas=initial, targetsRas=targets)
            moved = fit.referenceToRas @ invertRigid(truth)
            error = [float(np.linalg.norm(transformPoints(moved, target[None])[0] - target)) for target in targets.values()]
            errors[name].append(max(error))
            if max(error) < 2.0:
                alarms += not fit.trusted
                scaleErrors.append(abs(fit.depthScale - scale))
            else:
                wrong, caught = wrong + 1, caught + (not fit.trusted)
            print(
                f"  patient {patient}, {name:10s}: worst disc {max(error):.2f} mm, predicted p95 "
                f"{max(value.p95Mm for value in fit.predictedTre.values()):.2f} mm, inliers {100 * fit.inlierShare:.0f} %, "
                f"{'trusted' if fit.trusted else 'doubted: ' + fit.doubts[0]}"
            )
        for shift in (-1.0, 1.0):  # forced one level off
            forced = shiftAlongSpine(truth, centre, surface, shift * surface.pitchMm)
            fit = registerSurface(bone.points, surface, initialReferenceToRas=forced, parameters=narrow)
            place = transformPoints(fit.referenceToRas @ invertRigid(truth), centre[None])[0]
            if np.linalg.norm(place - centre) > 5.0:
                wrong, caught = wrong + 1, caught + (not fit.trusted)
    figures: dict[str, Any] = {
        "benchmark": "surface_end_to_end",
        "patients": patients,
        "medianTreMm": {name: float(np.median(values)) for name, values in errors.items()},
        "maxTreMm": {name: float(max(values)) for name, values in errors.items()},
        "wrong": wrong,
        "wrongCaught": caught,
        "falseAlarms": alarms,
        "detectionMsPerFrame": float(np.median(detectionMs)),
        "medianDepthScaleError": float(np.median(scaleErrors)) if scaleErrors else None,
    }
    figures["bars"] = {"medianTre1.5": max(figures["medianTreMm"].values()) <= 1.5, "wrongFlagged": caught == wrong}
    for name, values in errors.items():
        print(f"  {name}: worst-disc TRE median {np.median(values):.2f}, max {max(values):.2f} mm over {patients} patients")
    print(f"  wrong fits flagged {caught}/{wrong}, right fits doubted {alarms}")
    print(f"  bone detection {figures['detectionMsPerFrame']:.0f} ms per frame")
    print("Bars: " + ", ".join(f"{name} {'met' if met else 'NOT MET'}" for name, met in figures["bars"].items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
