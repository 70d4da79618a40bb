"""What the surface benchmark's figures are held against."""

from __future__ import annotations

from typing import Any

PUBLISHED = """Published, on cadavers and phantoms with real ultrasound (simulation is not a cadaver):
  Gueziri 2019 median TRE 1.48 mm, 84 % under 2 mm, 11 s on a GPU; Yan 2012 1.65 mm, 83 % under 2 mm;
  widest capture range 23.8 mm / 46 deg (stereovision with two manual point pairs, PMC4545737)"""


def lowerBound(hits: int, count: int) -> float:
    """One-sided 95 % lower bound of a share (Clopper-Pearson)."""
    from scipy.stats import beta

    return float(beta.ppf(0.05, hits, count - hits + 1)) if hits else 0.0


def judgeBars(figures: dict[str, Any]) -> dict[str, bool]:
    """Which of the bars the figures meet."""
    points, triangles = figures["scaling"]["pointsMs"], figures["scaling"]["trianglesMs"]
    growth = [(float(count), ms) for count, ms in points.items()]
    return {
        "medianTre": figures["within20"]["medianTreMm"] <= 0.8,
        "capture20": figures["within20"]["success"] >= 0.99,
        "capture30": figures["within30"]["success"] >= 0.95,
        "wrongCaught": figures["wrong"]["caught"] >= 0.99,
        "falseAlarms": figures["wrong"]["falseAlarms"] <= 0.02,
        "perVertebra": figures["perVertebra"]["meanTreMm"] <= 1.5,
        "vtkIcp20x": figures["peers"]["vtkIcpRatio"] >= 20.0,
        "equalPeer30x": figures["equalSuccess"]["ratio"] >= 30.0,
        "flatInTriangles": max(triangles.values()) <= 1.3 * min(triangles.values()),
        "linearInPoints": growth[-1][1] / growth[0][1] <= growth[-1][0] / growth[0][0],
    }
