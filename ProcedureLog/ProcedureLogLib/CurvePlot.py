"""Learning curves, and dose per procedure, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .LearningCurve import LearningCurve
from .SvgDrawing import FAINT, INK, PALETTE, SvgDrawing, niceTicks, numberText

POINTS_SHOWN = 600


class _Axes:
    """Axes with ticks and names; `at` gives the pixel of a point."""

    def __init__(self, drawing: SvgDrawing, xTicks: Sequence[float], yTicks: Sequence[float], xName: str, yName: str) -> None:
        self.left, self.right, self.top, self.bottom = 56.0, 130.0, 30.0, 42.0
        self.xTicks, self.yTicks = xTicks, yTicks
        self.xScale = (drawing.width - self.left - self.right) / (xTicks[-1] - xTicks[0])
        self.yScale = (drawing.height - self.top - self.bottom) / (yTicks[-1] - yTicks[0])
        self.base = drawing.height - self.bottom
        for tick in yTicks:
            y = self.at(xTicks[0], tick)[1]
            drawing.line(self.left, y, drawing.width - self.right, y, FAINT, 0.6)
            drawing.write(self.left - 6, y + 4, numberText(tick), 10.5, "end")
        for tick in xTicks:
            x = self.at(tick, yTicks[0])[0]
            drawing.line(x, self.base, x, self.base + 4, INK, 0.8)
            drawing.write(x, self.base + 17, numberText(tick), 10.5, "middle")
        drawing.write((self.left + drawing.width - self.right) / 2, drawing.height - 8, xName, 11, "middle")
        drawing.write(14, (self.top + self.base) / 2, yName, 11, "middle", INK, -90)

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.left + (x - self.xTicks[0]) * self.xScale, self.base - (y - self.yTicks[0]) * self.yScale


def _thinned(count: int) -> list[int]:
    return list(range(count)) if count <= POINTS_SHOWN else [int(each) for each in np.linspace(0, count - 1, POINTS_SHOWN)]


def learningCurveDrawing(curves: Sequence[LearningCurve], title: str, unit: str, width: float = 860, height: float = 300) -> SvgDrawing:
    """CUSUM curves over the number of procedures, one colour per operator; limits dashed."""
    drawing = SvgDrawing(width, height, title)
    drawing.write(56, 17, title, 12.5)
    if not curves:
        drawing.write(width / 2, height / 2, "no operator with values", 12, "middle")
        return drawing
    limits = [limit for curve in curves if curve.limits for limit in curve.limits]
    values = [0.0, *limits, *(value for curve in curves for value in curve.cusum)]
    longest = max(len(curve.cusum) for curve in curves)
    axes = _Axes(drawing, niceTicks(0, longest, min(8, longest)), niceTicks(min(values), max(values)), "procedure of the operator", unit)
    drawing.line(*axes.at(0, 0), *axes.at(axes.xTicks[-1], 0), INK, 0.8)
    for limit in sorted(set(limits)):
        drawing.line(*axes.at(0, limit), *axes.at(axes.xTicks[-1], limit), "#b33a3a", 1, "5 4")
    for index, curve in enumerate(curves):
        color = PALETTE[index % len(PALETTE)]
        whole = (0.0, *curve.cusum)
        points = [axes.at(number, whole[number]) for number in _thinned(len(whole))]
        drawing.polyline(points, color, 2)
        if len(whole) <= 60:
            for number, (x, y) in enumerate(points[1:], 1):
                drawing.circle(x, y, 3, color, f"{curve.operator}, procedure {number}: {whole[number]:+.1f}")
        if index < 14:
            drawing.rect(width - 122, 30 + index * 17, 10, 10, color)
            drawing.write(width - 106, 39 + index * 17, f"{curve.operator} (n = {len(curve.cusum)})", 11)
    return drawing


def _inOrder(names: npt.NDArray[Any], order: Sequence[str]) -> list[str]:
    """Names that occur: those of `order` first, so that a group has the same colour in every plot."""
    present = set(names.tolist())
    return [name for name in order if name in present] + sorted(present - set(order))


def doseDrawing(
    doses: npt.ArrayLike, groups: Sequence[str], title: str, unit: str, order: Sequence[str] = (), width: float = 860, height: float = 280
) -> SvgDrawing:
    """Dose of every procedure in the order done, coloured by group (in the order given), with the median of each group."""
    drawing = SvgDrawing(width, height, title)
    drawing.write(56, 17, title, 12.5)
    values = np.asarray(doses, float)
    names = np.asarray(groups).astype(str)
    known = np.isfinite(values)
    if not known.any():
        drawing.write(width / 2, height / 2, "no dose known", 12, "middle")
        return drawing
    count = len(values)
    axes = _Axes(drawing, niceTicks(0, count, min(8, count)), niceTicks(0, float(values[known].max())), "procedure", unit)
    for index, name in enumerate(_inOrder(names[known], order)):
        color = PALETTE[index % len(PALETTE)]
        places = np.flatnonzero(known & (names == name))
        for place in (places[each] for each in _thinned(len(places))):
            x, y = axes.at(int(place) + 1, float(values[place]))
            drawing.circle(x, y, 3.4 if count < 200 else 1.8, color, f"procedure {int(place) + 1}: {values[place]:.1f}", 0.8)
        median = float(np.median(values[places]))
        drawing.line(*axes.at(axes.xTicks[0], median), *axes.at(axes.xTicks[-1], median), color, 1.2, "6 4")
        drawing.rect(width - 122, 30 + index * 34, 10, 10, color)
        drawing.write(width - 106, 39 + index * 34, name or "no group", 11)
        drawing.write(width - 106, 53 + index * 34, f"median {median:.4g}", 10.5)
    return drawing
