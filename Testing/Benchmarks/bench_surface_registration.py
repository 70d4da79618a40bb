"""Bone-surface registration: capture, accuracy, wrong fits, per-vertebra, speed; ours beside the peers on the same seeded cases.

Run: python Testing/Benchmarks/bench_surface_registration.py [--full] [--quick]
Parameters were tuned on one spine; everything here runs on another with the product's default parameters and other seeds.
With INTRADISCAL_DATA set the spines are meshes of real patients, without it procedural ones.
SIMULATION IS NOT A CADAVER: published numbers printed beside ours come from cadavers and phantoms, with real ultrasound.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from PeerComparison import comparePeers, findEqualSuccess, sweepOutliers
from SurfaceBars import PUBLISHED, judgeBars
from SurfaceBench import Bench


def main() -> None:
    """Run everything and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="more cases for the slow peers and per-vertebra")
    parser.add_argument("--quick", action="store_true", help="a few cases of everything, to see that it runs")
    options = parser.parse_args()
    few = options.quick
    began = time.perf_counter()
    print(__doc__)
    bench = Bench(6 if few else 80)
    print(
        f"Held-out spine {'-'.join(bench.spine.names)}, once per CT: surface from labels {bench.surfaceSec:.2f} s, "
        f"distance table {bench.tableSec:.2f} s"
    )
    print("Capture range (all hard terms, outliers 0/10/30 % in turn)")
    bench.capture(12 if few else 500, 20.0, "within20")
    bench.capture(12 if few else 300, 30.0, "within30")
    print("Each hard term alone")
    bench.hardTerms(2 if few else 12 if options.full else 6)
    print("Wrong fits, at the default thresholds")
    bench.wrongFits(9 if few else 360)
    print("Per vertebra")
    bench.perVertebra(2 if few else 60 if options.full else 12)
    print("Peers (one run, interleaved)")
    comparePeers(bench, 2 if few else 30 if options.full else 8, 2 if few else 64 if options.full else 4)
    print("small_gicp from the fewest starts that succeed as often")
    findEqualSuccess(bench, 4 if few else 120 if options.full else 30, 2 if few else 64 if options.full else 8)
    print("Outliers")
    sweepOutliers(bench, 2 if few else 20 if options.full else 5)
    print("Cost")
    bench.scaling(2 if few else 10)
    print(PUBLISHED)
    figures = bench.figures
    bars = judgeBars(figures)
    print("Bars: " + ", ".join(f"{name} {'met' if met else 'NOT MET'}" for name, met in bars.items()))
    print(f"Took {time.perf_counter() - began:.0f} s")
    print(json.dumps({"benchmark": "surface_registration", **figures, "bars": bars}))


if __name__ == "__main__":
    main()
