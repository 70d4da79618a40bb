"""Two or more runs side by side: a table, and a page with overlaid paths and depth-error curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from IntradiscalNavLib.Recording.RunComparison import RunComparison
from ProcedureLogLib.HtmlPage import htmlPage, htmlTable
from ProcedureLogLib.SvgDrawing import SvgDrawing, niceTicks

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARGIN = 56.0


def comparisonRows(comparison: RunComparison) -> list[tuple[str, ...]]:
    """Name of each number, its value in every run, and the spread."""

    def text(value: float | None) -> str:
        return "not known" if value is None else f"{value:.2f}"

    return [(each.name, *(text(value) for value in each.values), text(each.spread)) for each in comparison.differences]


def comparisonPage(comparison: RunComparison) -> str:
    """Self-contained HTML."""
    runs = comparison.runs
    names = [run.name for run in runs]
    curves = [
        ("Lateral error over depth", "depth below the entry, mm", "lateral error, mm", [(run.depthMm, run.lateralMm) for run in runs]),
        ("Angle to the plan over depth", "depth below the entry, mm", "angle, °", [(run.depthMm, run.angleDeg) for run in runs]),
        (
            "Paths across the body (0 is the plan)",
            "depth below the entry, mm",
            "right of the plan, mm",
            [(run.tipInPlan[:, 2], run.tipInPlan[:, 0]) for run in runs],
        ),
        (
            "Paths head to foot (0 is the plan)",
            "depth below the entry, mm",
            "above the plan, mm",
            [(run.tipInPlan[:, 2], run.tipInPlan[:, 1]) for run in runs],
        ),
    ]
    drawings = "".join(_curves(title, xName, yName, names, series) for title, xName, yName, series in curves)
    table = htmlTable(("", *names, "spread"), comparisonRows(comparison), range(1, len(names) + 2))
    return htmlPage("Comparison of runs", " · ".join(names), [("Curves", drawings), ("Numbers", table)])


def _curves(title: str, xName: str, yName: str, names: Sequence[str], series: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    drawing = SvgDrawing(860, 300, title)
    drawing.write(MARGIN, 17, title, 12.5)
    kept = [(x[inside], y[inside]) for x, y in series for inside in [(x > -20.0) & (np.abs(y) < 60.0)]]
    xs, ys = (np.concatenate([pair[axis] for pair in kept] or [np.zeros(1)]) for axis in (0, 1))
    if not len(xs):
        return ""
    xTicks, yTicks = niceTicks(float(xs.min()), float(xs.max())), niceTicks(min(0.0, float(ys.min())), max(1.0, float(ys.max())))
    width, height = 860 - MARGIN - 150, 300 - 30 - 42

    def at(x: float, y: float) -> tuple[float, float]:
        share = (x - xTicks[0]) / (xTicks[-1] - xTicks[0])
        rise = (y - yTicks[0]) / (yTicks[-1] - yTicks[0])
        return MARGIN + share * width, 30 + (1 - rise) * height

    for tick in yTicks:
        drawing.line(*at(xTicks[0], tick), *at(xTicks[-1], tick), "#ddd")
        drawing.write(MARGIN - 6, at(0, tick)[1] + 4, f"{tick:g}", 10.5, "end")
    for tick in xTicks:
        drawing.write(at(tick, 0)[0], 300 - 26, f"{tick:g}", 10.5, "middle")
    drawing.write(MARGIN + width / 2, 300 - 8, xName, 11, "middle")
    drawing.write(MARGIN, 300 - 8, yName, 11, "start")
    for number, (name, (x, y)) in enumerate(zip(names, kept)):
        color = COLORS[number % len(COLORS)]
        step = max(1, len(x) // 800)
        drawing.polyline([at(float(a), float(b)) for a, b in zip(x[::step], y[::step])], color)
        drawing.write(860 - 140, 44 + 18 * number, name[:22], 11, "start", color)
    return drawing.text()
