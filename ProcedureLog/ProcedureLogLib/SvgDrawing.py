"""A drawing as SVG text: what the plots of the reports need, with nothing to install."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import Any

FONT = "font-family='Helvetica,Arial,sans-serif'"
INK = "#1f2933"
FAINT = "#cbd2d9"
PALETTE = ("#1f6f8b", "#d1603d", "#5b8c5a", "#7c5295", "#b08d2f", "#4a5568")


@dataclass(frozen=True)
class Line:
    points: tuple[tuple[float, float], ...]
    color: str
    width: float
    dash: str


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    fill: str
    stroke: str
    opacity: float


@dataclass(frozen=True)
class Circle:
    x: float
    y: float
    radius: float
    fill: str
    hint: str
    opacity: float


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    text: str
    size: float
    anchor: str
    color: str
    turnDeg: float


Shape = Line | Rectangle | Circle | Label


class SvgDrawing:
    """Collects shapes; `text()` gives the whole SVG element, `shapes` lets a PDF draw the same. Lengths in pixels, y downwards."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width = width
        self.height = height
        self.title = title
        self.shapes: list[Shape] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, color: str = INK, width: float = 1.0, dash: str = "") -> None:
        self.polyline([(x1, y1), (x2, y2)], color, width, dash)

    def polyline(self, points: list[tuple[float, float]], color: str = INK, width: float = 1.5, dash: str = "") -> None:
        self.shapes.append(Line(tuple(points), color, width, dash))

    def rect(self, x: float, y: float, width: float, height: float, fill: str, stroke: str = "none", opacity: float = 1.0) -> None:
        self.shapes.append(Rectangle(x, y, max(width, 0.0), max(height, 0.0), fill, stroke, opacity))

    def circle(self, x: float, y: float, radius: float, fill: str, hint: str = "", opacity: float = 1.0) -> None:
        self.shapes.append(Circle(x, y, radius, fill, hint, opacity))

    def write(self, x: float, y: float, text: Any, size: float = 12, anchor: str = "start", color: str = INK, turnDeg: float = 0) -> None:
        self.shapes.append(Label(x, y, str(text), size, anchor, color, turnDeg))

    def text(self) -> str:
        body = "".join(_svgOf(shape) for shape in self.shapes)
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' role='img' viewBox='0 0 {self.width:g} {self.height:g}' "
            f"width='{self.width:g}' height='{self.height:g}' style='max-width:100%;height:auto'>"
            f"<title>{escape(self.title)}</title>{body}</svg>"
        )


def _svgOf(shape: Shape) -> str:
    if isinstance(shape, Line):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dashes = f" stroke-dasharray='{shape.dash}'" if shape.dash else ""
        return f"<polyline points='{path}' fill='none' stroke='{shape.color}' stroke-width='{shape.width:g}'{dashes}/>"
    if isinstance(shape, Rectangle):
        place = f"x='{shape.x:.1f}' y='{shape.y:.1f}' width='{shape.width:.1f}' height='{shape.height:.1f}'"
        return f"<rect {place} fill='{shape.fill}' stroke='{shape.stroke}' fill-opacity='{shape.opacity:g}'/>"
    if isinstance(shape, Circle):
        hint = f"<title>{escape(shape.hint)}</title>" if shape.hint else ""
        place = f"cx='{shape.x:.1f}' cy='{shape.y:.1f}' r='{shape.radius:g}'"
        return f"<circle {place} fill='{shape.fill}' fill-opacity='{shape.opacity:g}'>{hint}</circle>"
    turn = f" transform='rotate({shape.turnDeg:g} {shape.x:.1f} {shape.y:.1f})'" if shape.turnDeg else ""
    place = f"x='{shape.x:.1f}' y='{shape.y:.1f}' font-size='{shape.size:g}' text-anchor='{shape.anchor}' fill='{shape.color}'"
    return f"<text {place} {FONT}{turn}>{escape(shape.text)}</text>"


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
