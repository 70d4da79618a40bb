"""Bone in B-mode frames: accuracy on hard synthetic frames, false surfaces on frames without bone, speed beside phase symmetry.

Run: python Testing/Benchmarks/bench_bone_detection.py [--quick]
Frames are 640 x 480, seeded, linear and curved arrays; the detector was tuned on other seeds. Synthetic frames are not patients:
they hold speckle, fascia lines, reverberation, shadow gaps, oblique bone, echoes missing over a shadow, lost contact and haze, but
no anatomy. Errors are measured along the scan line, which is stricter than the distance to the curve on oblique bone.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from PhaseSymmetry import detectByPhaseSymmetry
from UltrasoundFrames import DetectionScore, Frame, makeFrame, scoreDetections

from FusionRegistrationLib.BoneSurfaceUltrasound import detectBoneSurface

FIRST_SEED = 30000


def ours(frame: Frame) -> tuple[npt.NDArray, npt.NDArray]:
    """Line numbers and depths (mm) of our detection."""
    found = detectBoneSurface(frame.image, frame.geometry)
    return found.lines, np.linalg.norm((found.pixels - found.facePixels) * frame.geometry.pixelMm, axis=1)


def peer(frame: Frame) -> tuple[npt.NDArray, npt.NDArray]:
    """The same of phase symmetry; columns are scan lines, so for linear arrays only."""
    rows = detectByPhaseSymmetry(frame.image)
    lines = np.arange(frame.geometry.lineCount)
    columns = np.clip(np.rint(frame.geometry.pixelsAt(lines, 0.0)[:, 0]).astype(int), 0, frame.geometry.columns - 1)
    depth = (rows[columns] + 0.5) * frame.geometry.pixelMm[1]
    found = np.isfinite(depth)
    return lines[found], depth[found]


def printScore(name: str, score: DetectionScore) -> dict[str, float]:
    """One line of figures."""
    error = score.errorsMm if len(score.errorsMm) else np.array([np.nan])
    values = {
        "meanErrorMm": float(error.mean()),
        "p95ErrorMm": float(np.quantile(error, 0.95)),
        "precision05": score.precision(0.5),
        "recall05": score.recall(0.5),
        "precision1": score.precision(1.0),
        "recall1": score.recall(1.0),
    }
    print(
        f"  {name:24s} error mean {values['meanErrorMm']:.2f} p95 {values['p95ErrorMm']:.2f} mm; at 0.5 mm precision "
        f"{values['precision05']:.2f} recall {values['recall05']:.2f}; at 1 mm {values['precision1']:.2f} / {values['recall1']:.2f}"
    )
    return values


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few frames, to see that it runs")
    count = 6 if parser.parse_args().quick else 60
    print(__doc__)
    figures: dict[str, Any] = {"benchmark": "bone_detection", "framesPerGroup": count}
    frames = {curved: [makeFrame(FIRST_SEED + n, curved=curved) for n in range(count)] for curved in (False, True)}
    empty = {curved: [makeFrame(FIRST_SEED + n, curved=curved, bone=False) for n in range(count // 2)] for curved in (False, True)}
    everything, results = [], []
    for curved, name in ((False, "linear"), (True, "curved")):
        found = [ours(frame) for frame in frames[curved]]
        figures[name] = printScore(f"ours, {name}", scoreDetections(frames[curved], found))
        everything += frames[curved]
        results += found
    figures["all"] = printScore("ours, all", scoreDetections(everything, results))
    found = [peer(frame) for frame in frames[False]]
    figures["phaseSymmetryLinear"] = printScore("phase symmetry, linear", scoreDetections(frames[False], found))
    for name, method, groups in (("ours", ours, (False, True)), ("phase symmetry", peer, (False,))):
        shares = [len(method(frame)[0]) / frame.geometry.lineCount for curved in groups for frame in empty[curved]]
        print(
            f"  without bone, {name}: {np.count_nonzero(shares)} of {len(shares)} frames show a surface, "
            f"{100 * np.mean(shares):.1f} % of the lines"
        )
        figures[f"falseSurface {name}"] = {"frames": float(np.mean(np.array(shares) > 0)), "lines": float(np.mean(shares))}
    times: dict[str, list[float]] = {"ours, linear": [], "ours, curved": [], "phase symmetry": []}
    for repeat in range(10 if count < 20 else 40):
        linear, bent = frames[False][repeat % count], frames[True][repeat % count]
        for name, work in (
            ("ours, linear", lambda frame=linear: detectBoneSurface(frame.image, frame.geometry)),
            ("ours, curved", lambda frame=bent: detectBoneSurface(frame.image, frame.geometry)),
            ("phase symmetry", lambda frame=linear: detectByPhaseSymmetry(frame.image)),
        ):
            # The scan grid of a geometry is laid once per probe setting, not per frame.
            _ = linear.geometry.sampleIndex, bent.geometry.sampleIndex, linear.geometry.insideImage, bent.geometry.insideImage
            began = time.process_time()
            work()
            times[name].append(1e3 * (time.process_time() - began))
    median = {name: float(np.median(values)) for name, values in times.items()}
    ratio = median["phase symmetry"] / max(median["ours, linear"], median["ours, curved"])
    for name, ms in median.items():
        print(f"  {name:24s} {ms:6.1f} ms, p95 {np.quantile(times[name], 0.95):6.1f} ms, {1000 / ms:5.0f} frames/s on one core")
    figures |= {"ms": median, "ratio": ratio}
    figures["bars"] = {
        "meanError0.3": figures["all"]["meanErrorMm"] <= 0.3,
        "30fps": 1000.0 / max(median["ours, linear"], median["ours, curved"]) >= 30.0,
        "fiveTimesFaster": ratio >= 5.0,
    }
    print(f"  {ratio:.1f} times faster than full-resolution phase symmetry")
    print("Bars: " + ", ".join(f"{name} {'met' if met else 'NOT MET'}" for name, met in figures["bars"].items()))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
