"""Are the planned paths like those radiologists use? Best paths over random simulated patients beside the published entries.

Every patient differs in size, lordosis, crest height and depth. Plans use modelled roots, as a CT gives them; the phantom's true roots
then tell how good the model was. Published (102 MRIs): L3-L4 64 mm / 40 deg, L4-L5 77 mm / 47 deg, L5-S1 85 mm / 52 deg, at depths of
76, 72 and 66 mm.

    python Testing/Benchmarks/bench_planning_plausibility.py [--phantoms 50] [--figures folder]
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

import numpy as np

from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.PlanningParameters import LEVEL_PRIORS, PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan, planTrajectories, rankCandidates
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy, anatomyFromLabels
from IntradiscalNavLib.Planning.TrajectorySearch import SearchResult
from IntradiscalNavLib.Simulation.LumbarPhantom import LumbarPhantom, buildLumbarPhantom
from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters, randomPhantomParameters

SPACING_MM = (1.5, 1.5, 2.5)


def anatomyOf(phantom: LumbarPhantom, *, withNerves: bool) -> SpineAnatomy:
    """Anatomy of a phantom's labels, with or without its true roots and dura."""
    names = phantom.labelNames
    labels = phantom.labels
    if not withNerves:
        nerves = [value for value, name in names.items() if name.startswith("root") or "dural" in name]
        labels = np.where(np.isin(labels, nerves), 0, labels).astype(np.uint8)
        names = {value: name for value, name in names.items() if value not in nerves}
    return anatomyFromLabels(labels, phantom.ijkToRas, names, ctHu=phantom.voxels, patientPosition="HFP")


def trueRootDistanceMm(phantom: LumbarPhantom, plan: TrajectoryPlan) -> float:
    """Distance of the best path from the phantom's true roots."""
    path = plan.best[0]
    points = path.entryRas + np.linspace(0, 1, 600)[:, None] * (path.targetRas - path.entryRas)
    smallest = np.inf
    for root in phantom.truth.roots:
        a, b = root.centerlineRas[:-1], root.centerlineRas[1:]
        axis = b - a
        share = np.clip(((points[:, None] - a) * axis).sum(-1) / (axis**2).sum(-1), 0, 1)
        smallest = min(smallest, float(np.linalg.norm(points[:, None] - a - share[..., None] * axis, axis=-1).min()) - root.radiusMm)
    return smallest


def withoutPrior(context: PlanContext, search: SearchResult) -> tuple[float, float]:
    """Entry distance and inclination of the best path when the published inclination is no part of the score: geometry alone."""
    free = replace(context, parameters=replace(context.parameters, weightInclination=0.0))
    paths, found = rankCandidates(free, search)
    return (paths[0].entryDistanceStraightMm, paths[0].medialInclinationDeg) if found else (np.nan, np.nan)


def rounded(value: object) -> str:
    """A figure as text, a dash where there is none."""
    return f"{value:.0f}" if isinstance(value, float) else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--phantoms", type=int, default=50)
    options = parser.parse_args()
    run(options.phantoms)


def run(count: int) -> None:
    start = time.perf_counter()
    parameters = PlanningParameters(minEntries=6000)
    rows: dict[str, list[tuple[float, ...]]] = {level: [] for level in LEVEL_PRIORS}
    infeasible: dict[str, list[str]] = {level: [] for level in LEVEL_PRIORS}
    for seed in range(1, count + 1):
        phantom = buildLumbarPhantom(randomPhantomParameters(seed, PhantomParameters(spacingMm=SPACING_MM, withPlate=False)))
        anatomy = anatomyOf(phantom, withNerves=False)
        for level in LEVEL_PRIORS:
            plan = planTrajectories(anatomy, level, "left" if seed % 2 else "right", parameters)
            context = next(iter(plan.contexts.values()))
            if not plan.best:
                infeasible[level].append(next(iter(plan.infeasible.values())).sentence)
                continue
            best = plan.best[0]
            free = withoutPrior(context, next(iter(plan.searches.values())))
            rows[level].append(
                (
                    best.entryDistanceStraightMm,
                    best.medialInclinationDeg,
                    best.caudalTiltDeg,
                    best.lengthMm,
                    context.depthMm,
                    context.priorInclinationDeg,
                    best.violationProbability,
                    trueRootDistanceMm(phantom, plan),
                    float(best.ultrasound is not None and best.ultrasound.feasible),
                    *free,
                )
            )
    print(f"{count} random phantoms, {time.perf_counter() - start:.0f} s; median [quartiles] of the best path per level")
    print(f"{'level':7s} {'n':>3s} {'entry mm':>16s} {'publ.':>6s} {'inclination':>16s} {'publ.':>6s} {'at depth':>15s} {'publ.':>6s} "
          f"{'tilt':>14s} {'publ.':>6s} {'length mm':>15s} {'in plane':>8s} {'true root mm':>14s} {'none':>5s}")  # fmt: skip
    figures: dict[str, object] = {"phantoms": count}
    for level, values in rows.items():
        if not values:
            print(f"{level:7s} no legal path in any phantom")
            continue
        table = np.array(values)
        low, middle, high = np.percentile(table, [25, 50, 75], axis=0)

        def text(column: int, low: np.ndarray = low, middle: np.ndarray = middle, high: np.ndarray = high) -> str:
            return f"{middle[column]:.0f} [{low[column]:.0f}-{high[column]:.0f}]"

        entry, angle, tilt = LEVEL_PRIORS[level]
        depth = entry / np.tan(np.radians(angle))
        print(f"{level:7s} {len(values):3d} {text(0):>16s} {entry:6.0f} {text(1):>16s} {angle:6.0f} "
              f"{text(4):>15s} {depth:6.0f} {text(2):>14s} "
              f"{tilt:6.0f} {text(3):>15s} {100 * table[:, 8].mean():7.0f}% {text(7):>14s} {len(infeasible[level]):5d}")  # fmt: skip
        near = np.abs(table[:, 4] - depth) < 6.0
        figures[level] = {
            "entryMm": middle[0],
            "inclinationDeg": middle[1],
            "tiltDeg": middle[2],
            "depthMm": middle[4],
            "entryAtPublishedDepthMm": float(np.median(table[near, 0])) if near.any() else None,
            "inclinationAtPublishedDepthDeg": float(np.median(table[near, 1])) if near.any() else None,
            "atPublishedDepth": int(near.sum()),
            "throughTrueRoot": int((table[:, 7] < 0).sum()),
            "infeasible": len(infeasible[level]),
            "entryWithoutPriorMm": float(np.nanmedian(table[:, 9])),
            "inclinationWithoutPriorDeg": float(np.nanmedian(table[:, 10])),
        }
    for level, values in rows.items():
        found = figures.get(level)
        if isinstance(found, dict):
            table = np.array(values)
            correlation = float(np.corrcoef(table[:, 1], table[:, 4])[0, 1]) if len(table) > 2 else float("nan")
            print(
                f"{level}: {found['atPublishedDepth']} patients within 6 mm of the published depth: "
                f"entry {rounded(found['entryAtPublishedDepthMm'])} mm, "
                f"inclination {rounded(found['inclinationAtPublishedDepthDeg'])} deg; "
                f"correlation of inclination and depth {correlation:+.2f}"
            )
            print(
                f"       without the published inclination in the score: {found['entryWithoutPriorMm']:.0f} mm, "
                f"{found['inclinationWithoutPriorDeg']:.0f} deg; best path through a true root in {found['throughTrueRoot']}"
            )
    for level, texts in infeasible.items():
        for sentence in texts[:3]:
            print(f"  {level}: {sentence}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
