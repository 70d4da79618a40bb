"""Draws the icons of the extension and its modules. Run it where Pillow is installed:

python Resources/drawIcons.py
"""

import math
import pathlib

from PIL import Image, ImageDraw

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
SUPERSAMPLING = 8  # drawn this much larger and scaled down, for smooth edges
BONE, DISC, CORD = (240, 226, 200), (110, 170, 205), (232, 196, 84)
NEEDLE, SOUND, DARK, PAPER = (230, 90, 60), (120, 200, 190), (38, 50, 66), (250, 250, 248)


class Canvas:
    """Drawing in units of one icon side."""

    def __init__(self, pixels: int) -> None:
        self.pixels = pixels
        self.side = pixels * SUPERSAMPLING
        self.image = Image.new("RGBA", (self.side, self.side), (0, 0, 0, 0))
        self.draw = ImageDraw.Draw(self.image)

    def points(self, *units: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x * self.side, y * self.side) for x, y in units]

    def background(self) -> None:
        self.draw.rounded_rectangle(self.points((0.02, 0.02), (0.98, 0.98)), radius=0.18 * self.side, fill=DARK)

    def ellipse(self, x: float, y: float, radiusX: float, radiusY: float, fill: tuple[int, ...]) -> None:
        self.draw.ellipse(self.points((x - radiusX, y - radiusY), (x + radiusX, y + radiusY)), fill=fill)

    def line(self, units: list[tuple[float, float]], width: float, fill: tuple[int, ...]) -> None:
        self.draw.line(self.points(*units), fill=fill, width=round(width * self.side), joint="curve")

    def box(self, left: float, top: float, right: float, bottom: float, fill: tuple[int, ...], radius: float = 0.03) -> None:
        self.draw.rounded_rectangle(self.points((left, top), (right, bottom)), radius=radius * self.side, fill=fill)

    def save(self, path: pathlib.Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.image.resize((self.pixels, self.pixels), Image.Resampling.LANCZOS).save(path, optimize=True)
        print("drawn", path.relative_to(REPOSITORY))


def drawVertebra(canvas: Canvas, x: float, y: float, size: float) -> None:
    """Lumbar vertebra seen from above: disc in front, canal, arch and processes behind (below in the picture)."""
    canvas.ellipse(x, y - 0.16 * size, 0.34 * size, 0.22 * size, BONE)
    canvas.ellipse(x, y - 0.16 * size, 0.24 * size, 0.14 * size, DISC)
    for sign in (-1, 1):
        canvas.line([(x + sign * 0.16 * size, y), (x + sign * 0.22 * size, y + 0.16 * size), (x, y + 0.28 * size)], 0.085 * size, BONE)
        canvas.line([(x + sign * 0.2 * size, y + 0.1 * size), (x + sign * 0.46 * size, y + 0.14 * size)], 0.07 * size, BONE)
    canvas.ellipse(x, y + 0.11 * size, 0.12 * size, 0.085 * size, CORD)
    canvas.line([(x, y + 0.26 * size), (x, y + 0.46 * size)], 0.09 * size, BONE)


def drawNavigation(canvas: Canvas) -> None:
    canvas.background()
    drawVertebra(canvas, 0.44, 0.46, 0.92)
    canvas.line([(0.93, 0.93), (0.5, 0.33)], 0.035, NEEDLE)
    canvas.line([(0.97, 0.86), (0.86, 0.97)], 0.06, NEEDLE)


def drawRegistration(canvas: Canvas) -> None:
    canvas.background()
    drawVertebra(canvas, 0.5, 0.6, 0.8)
    # the fan of an ultrasound probe over it, and two matched marker balls
    for ring in range(3):
        radius = 0.3 + 0.14 * ring
        arc = [
            (0.5 + radius * math.sin(angle), 0.02 + radius * math.cos(angle))
            for angle in (math.radians(step) for step in range(-38, 39, 4))
        ]
        canvas.line(arc, 0.025, SOUND)
    canvas.box(0.36, 0.05, 0.64, 0.16, SOUND)
    for x in (0.18, 0.82):
        canvas.ellipse(x, 0.84, 0.085, 0.085, NEEDLE)
        canvas.ellipse(x, 0.84, 0.04, 0.04, PAPER)


def drawLog(canvas: Canvas) -> None:
    canvas.background()
    canvas.box(0.2, 0.12, 0.8, 0.92, PAPER, 0.05)
    canvas.box(0.36, 0.06, 0.64, 0.18, SOUND)
    for row, (color, width) in enumerate(((SOUND, 0.3), (NEEDLE, 0.22), (DISC, 0.3), (CORD, 0.16))):
        y = 0.32 + 0.145 * row
        canvas.ellipse(0.3, y, 0.04, 0.04, color)
        canvas.box(0.39, y - 0.022, 0.39 + width, y + 0.022, DARK, 0.02)


def main() -> None:
    drawings = {"IntradiscalNav": drawNavigation, "FusionRegistration": drawRegistration, "ProcedureLog": drawLog}
    for module, drawing in drawings.items():
        canvas = Canvas(128)
        drawing(canvas)
        canvas.save(REPOSITORY / module / "Resources" / "Icons" / f"{module}.png")
    canvas = Canvas(256)
    drawNavigation(canvas)
    canvas.save(REPOSITORY / "Resources" / "IntradiscalNav.png")


if __name__ == "__main__":
    main()
