"""A drawing as SVG text: what the plots of the reports need, with nothing to install."""

from __future__ import annotations

import math
from html import escape
from typing import Any

FONT = "font-family='Helvetica,Arial,sans-serif'"
INK = "#1f2933"
FAINT = "#cbd2d9"
PALETTE = ("#1f6f8b", "#d1603d", "#5b8c5a", "#7c5295", "#b08d2f", "#4a5568")


class SvgDrawing:
    """Collects shapes; `text()` gives the whole SVG element. Lengths in pixels, y downwards."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width = width
        self.height = height
        self.title = title
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = INK, width: float = 1.0, dash: str = "") -> None:
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        self._parts.append(
            f"<line x1='{x1:.1f}' y1='{y1:.1f}' x2='{x2:.1f}' y2='{y2:.1f}' stroke='{color}' stroke-width='{width:g}'{dashes}/>"
        )

    def rect(self, x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", opacity: float = 1.0) -> None:
        self._parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 0):.1f}' height='{max(height, 0):.1f}' fill='{fill}' stroke='{stroke}' "
            f"fill-opacity='{opacity:g}'/>"
        )

    def circle(self, x: float, y: float, radius: float, fill: str, hint: str = "", opacity: float = 1.0) -> None:
        inner = f"<title>{escape(hint)}</title>" if hint else ""
        self._parts.append(f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{radius:g}' fill='{fill}' fill-opacity='{opacity:g}'>{inner}</circle>")

    def polyline(self, points: list[tuple[float, float]], color: str = INK, width: float = 1.5, dash: str = "") -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f" stroke-dasharray='{dash}'" if dash else ""
        self._parts.append(f"<polyline points='{path}' fill='none' stroke='{color}' stroke-width='{width:g}'{dashes}/>")

    def write(self, x: float, y: float, text: Any, size: float = 12, anchor: str = "start", color: str = INK, turnDeg: float = 0) -> None:
        turn = f" transform='rotate({turnDeg:g} {x:.1f} {y:.1f})'" if turnDeg else ""
        place = f"x='{x:.1f}' y='{y:.1f}' font-size='{size:g}' text-anchor='{anchor}' fill='{color}'"
        self._parts.append(f"<text {place} {FONT}{turn}>{escape(str(text))}</text>")

    def text(self) -> str:
        body = "".join(self._parts)
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' role='img' viewBox='0 0 {self.width:g} {self.height:g}' "
            f"width='{self.width:g}' height='{self.height:g}' style='max-width:100%;height:auto'>"
            f"<title>{escape(self.title)}</title>{body}</svg>"
        )


def niceTicks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers that cover low..high, about `count` of them."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return [0.0, 1.0]
    if high <= low:
        high = low + 1.0
    raw = (high - low) / max(1, count)
    base = 10.0 ** math.floor(math.log10(raw))
    step = next(base * factor for factor in (1, 2, 2.5, 5, 10) if base * factor >= raw * 0.999)
    first = math.floor(low / step)
    last = math.ceil(high / step - 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def numberText(value: float) -> str:
    """Short text of a tick."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"
