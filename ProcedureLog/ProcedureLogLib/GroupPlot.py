"""Strip and box plot of one variable per group, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from .Description import describe
from .SvgDrawing import FAINT, INK, PALETTE, SvgDrawing, niceTicks, numberText

Height = Callable[[float], float]
POINT_LIMIT = 400
"""More points than this are thinned out evenly over the sorted values; the box always uses all of them."""


def groupDrawing(
    samples: Mapping[str, npt.ArrayLike], title: str, unit: str, quantileRule: str = "hazen", width: float = 300, height: float = 260
) -> SvgDrawing:
    """Box (Q1, median, Q3), whiskers to the extremes, and the single values beside each other where they coincide."""
    drawing = SvgDrawing(width, height, title)
    data = {name: np.asarray(values, float) for name, values in samples.items()}
    data = {name: values[np.isfinite(values)] for name, values in data.items()}
    everything = np.concatenate(list(data.values())) if data else np.zeros(0)
    left, right, top, bottom = 46.0, 12.0, 30.0, 34.0
    drawing.write(left, 17, title, 12.5)
    if len(everything) == 0:
        drawing.write(width / 2, height / 2, "no values", 12, "middle")
        return drawing
    ticks = niceTicks(min(0.0, float(everything.min())), float(everything.max()))
    scale = (height - top - bottom) / (ticks[-1] - ticks[0])

    def y(value: float) -> float:
        return height - bottom - (value - ticks[0]) * scale

    for tick in ticks:
        drawing.line(left, y(tick), width - right, y(tick), FAINT, 0.6)
        drawing.write(left - 6, y(tick) + 4, numberText(tick), 10.5, "end")
    drawing.write(13, (top + height - bottom) / 2, unit, 11, "middle", INK, -90)
    step = (width - left - right) / len(data)
    for index, (name, values) in enumerate(data.items()):
        center = left + step * (index + 0.5)
        color = PALETTE[index % len(PALETTE)]
        drawing.write(center, height - bottom + 18, f"{name} (n = {len(values)})", 11, "middle")
        if len(values):
            _drawBox(drawing, values, center, step * 0.3, color, y, quantileRule)
            _drawPoints(drawing, values, center, step * 0.36, color, y, 3.2 if len(values) < 100 else 1.6)
    return drawing


def _drawBox(drawing: SvgDrawing, values: npt.NDArray[np.float64], x: float, half: float, color: str, y: Height, rule: str) -> None:
    found = describe(values, rule)
    assert found.q1 is not None and found.q3 is not None and found.median is not None
    assert found.minimum is not None and found.maximum is not None
    drawing.line(x, y(found.minimum), x, y(found.maximum), color, 1.0)
    for end in (found.minimum, found.maximum):
        drawing.line(x - half / 3, y(end), x + half / 3, y(end), color, 1.0)
    drawing.rect(x - half, y(found.q3), 2 * half, y(found.q1) - y(found.q3), "#ffffff", color)
    drawing.rect(x - half, y(found.q3), 2 * half, y(found.q1) - y(found.q3), color, color, 0.15)
    drawing.line(x - half, y(found.median), x + half, y(found.median), color, 2.4)


def _drawPoints(drawing: SvgDrawing, values: npt.NDArray[np.float64], x: float, half: float, color: str, y: Height, radius: float) -> None:
    shown = np.sort(values)
    if len(shown) > POINT_LIMIT:
        shown = shown[np.linspace(0, len(shown) - 1, POINT_LIMIT).astype(int)]
    lanes: dict[int, int] = {}
    for value in shown:
        lane = round(y(float(value)) / (2 * radius))
        place = lanes.get(lane, 0)
        lanes[lane] = place + 1
        offset = ((place + 1) // 2) * 2.1 * radius * (1 if place % 2 else -1)
        drawing.circle(x + max(-half, min(half, offset)), y(float(value)), radius, color, f"{value:g}", 0.75)
