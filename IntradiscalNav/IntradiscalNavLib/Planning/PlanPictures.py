"""Pictures of a planned path: slices along and across it, the view down the needle, and the skin map. Arrays and Pillow, no rendering
window. Pillow is asked for only when something is drawn: where it isn't installed, ImportError says so."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.FeasibilityMap import FeasibilityMap, feasibilityMap
from IntradiscalNavLib.Planning.PathViews import PathView, pathViews
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.StructureNames import StructureKind
from IntradiscalNavLib.Planning.Trajectory import Trajectory
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

WINDOW_HU = (-160.0, 240.0)
TINTS: dict[StructureKind, tuple[int, int, int]] = {
    StructureKind.VERTEBRA: (240, 220, 160),
    StructureKind.ILIUM: (240, 200, 130),
    StructureKind.RIB: (230, 210, 170),
    StructureKind.BONE: (240, 220, 160),
    StructureKind.VESSEL: (220, 60, 60),
    StructureKind.BOWEL: (170, 120, 60),
    StructureKind.KIDNEY: (160, 70, 140),
    StructureKind.ORGAN: (150, 100, 100),
    StructureKind.DURA: (250, 220, 60),
    StructureKind.ROOT: (250, 240, 80),
}
PATH_COLORS = ((60, 220, 90), (80, 170, 255), (255, 150, 60), (230, 110, 230), (120, 230, 230), (200, 200, 90))


@dataclass(frozen=True)
class PlanPicture:
    """An RGB picture (height, width, 3) with a title."""

    title: str
    pixels: npt.NDArray[np.uint8]

    def pngBase64(self) -> str:
        """PNG as base64 text, for HTML."""
        from PIL import Image

        buffer = io.BytesIO()
        Image.fromarray(self.pixels).save(buffer, format="PNG", optimize=True)
        return base64.b64encode(buffer.getvalue()).decode("ascii")


VIEW_TITLES = {
    "along": _("Along the path (oblique axial): path, nucleus (cyan), roots and dura (yellow)"),
    "across": _("Across: path with the cranio-caudal direction"),
    "down the needle": _("Down the needle, 25 mm before the target"),
}


def pathPictures(anatomy: SpineAnatomy, ctHu: npt.NDArray, ctIjkToRas: FloatArray, paths: Sequence[Trajectory]) -> list[PlanPicture]:
    """Slices along and across the first path and the view down it; the picture along shows the other paths of its side and level too."""
    first = paths[0]
    same = tuple(path for path in paths if path.side == first.side and path.level == first.level)
    pictures = []
    for view in pathViews(first, anatomy.disc(first.level).axes):
        shown = same if view.name == "along" else (first,)
        drawn = drawView(anatomy, ctHu, ctIjkToRas, view, shown, pixelMm=0.4, shareNucleus=first.level)
        pictures.append(PlanPicture(VIEW_TITLES[view.name], drawn.pixels))
    return pictures


def skinMapPictures(plan: TrajectoryPlan, paths: Sequence[Trajectory]) -> list[PlanPicture]:
    """The skin map of each side of a plan, with the entries of the paths."""
    pictures = []
    for side, search in plan.searches.items():
        onSide = tuple(path for path in paths if path.side == side and path.level == plan.level)
        drawn = drawSkinMap(feasibilityMap(plan.contexts[side], search), onSide)
        pictures.append(
            PlanPicture(
                _("Skin map {side}, seen from behind: green best, dark red no legal path, grey out of reach").format(side=side),
                drawn.pixels,
            )
        )
    return pictures


def drawView(
    anatomy: SpineAnatomy,
    ctHu: npt.NDArray,
    ctIjkToRas: FloatArray,
    view: PathView,
    trajectories: tuple[Trajectory, ...] = (),
    *,
    title: str = "",
    pixelMm: float = 0.5,
    shareNucleus: str = "",
) -> PlanPicture:
    """CT slice of a view with tinted structures, modelled nerves, nucleus of a level and the paths projected onto it."""
    from PIL import Image, ImageDraw
    from scipy.ndimage import map_coordinates

    width, height = (round(size / pixelMm) for size in view.sizeMm)
    points = view.points(width, height)
    rasToIjk = np.linalg.inv(ctIjkToRas)
    ijk = points @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    hu = map_coordinates(ctHu, [ijk[..., 2], ijk[..., 1], ijk[..., 0]], order=1, mode="constant", cval=-1024, output=np.float32)
    grey = np.clip((hu - WINDOW_HU[0]) / (WINDOW_HU[1] - WINDOW_HU[0]), 0, 1) * 255
    pixels = np.repeat(grey[..., None], 3, axis=2)
    kinds = _kindsAt(anatomy, points)
    order = list(TINTS)
    for n, kind in enumerate(order):
        region = kinds == n
        if region.any():
            edge = region & ~_eroded(region)
            pixels[region] = 0.72 * pixels[region] + 0.28 * np.asarray(TINTS[kind])
            pixels[edge] = TINTS[kind]
    for nerve in anatomy.nerves:
        distance = nerve.distanceMm(points)
        tint = np.asarray(TINTS[StructureKind.DURA if nerve.kind == "dura" else StructureKind.ROOT])
        pixels[(distance <= 0) & (distance > -pixelMm * 1.5)] = tint
        pixels[distance < 0] = 0.6 * pixels[distance < 0] + 0.4 * tint
    if shareNucleus in anatomy.discs:
        norm = np.linalg.norm(anatomy.discs[shareNucleus].nucleusCoordinates(points), axis=-1)
        ring = (norm <= 1.0) & ~_eroded(norm <= 1.0)
        pixels[ring] = (90, 255, 255)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for n, trajectory in reversed(list(enumerate(trajectories))):
        a, b = (view.pixel(p, width, height) for p in (trajectory.entryRas, trajectory.targetRas))
        color = PATH_COLORS[n % len(PATH_COLORS)]
        draw.line([a, b], fill=color, width=2)
        draw.ellipse([b[0] - 3, b[1] - 3, b[0] + 3, b[1] + 3], outline=color, width=2)
        draw.ellipse([a[0] - 2, a[1] - 2, a[0] + 2, a[1] + 2], fill=color)
    _scaleBar(draw, width, height, pixelMm)
    for text, at in zip(
        view.edgeTexts, ((4, height // 2 - 6), (width - 12, height // 2 - 6), (width // 2, 16 if title else 2), (width // 2, height - 14))
    ):
        draw.text(at, text, fill=(255, 255, 255))
    if title:
        draw.text((4, 2), title, fill=(255, 255, 255))
    return PlanPicture(title, np.asarray(image))


def drawSkinMap(
    skinMap: FeasibilityMap, trajectories: tuple[Trajectory, ...] = (), *, title: str = "", pixelMm: float = 0.6
) -> PlanPicture:
    """The skin seen from behind: grey unreachable, red no legal path, red to green the best score; entries marked."""
    from PIL import Image, ImageDraw

    r, s = skinMap.pointsRas[..., 0], skinMap.pointsRas[..., 2]
    known = ~np.isnan(r) & ~np.isnan(skinMap.pointsRas[..., 1])
    low = np.array([np.nanmin(r[known]), np.nanmin(s[known])]) - 5.0
    high = np.array([np.nanmax(r[known]), np.nanmax(s[known])]) + 5.0
    width, height = (int(np.ceil(size / pixelMm)) for size in high - low)
    pixels = np.full((height, width, 3), 30, np.uint8)
    color = np.full((*skinMap.bestScore.shape, 3), 90.0)
    reachable = skinMap.reason == 0
    color[reachable] = (150, 40, 40)
    legal = reachable & (skinMap.legalTargets > 0)
    if legal.any():
        score = skinMap.bestScore[legal]
        share = (score - score.min()) / max(float(np.ptp(score)), 1e-6)
        color[legal] = np.stack([230 * (1 - share), 120 + 120 * share, 60 + 0 * share], axis=-1)
    x = np.clip(np.rint((r[known] - low[0]) / pixelMm).astype(int), 0, width - 1)
    y = np.clip(np.rint((high[1] - s[known]) / pixelMm).astype(int), 0, height - 1)
    size = max(1, int(np.ceil(skinMap.spacingMm / pixelMm)))
    for dy in range(size):
        for dx in range(size):
            pixels[np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)] = color[known]
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for n, trajectory in enumerate(trajectories):
        cx, cy = (trajectory.entryRas[0] - low[0]) / pixelMm, (high[1] - trajectory.entryRas[2]) / pixelMm
        draw.ellipse([cx - 4, cy - 4, cx + 4, cy + 4], outline=PATH_COLORS[n % len(PATH_COLORS)], width=2)
    _scaleBar(draw, width, height, pixelMm)
    draw.text((2, height // 2), "L", fill=(255, 255, 255))
    draw.text((width - 10, height // 2), "R", fill=(255, 255, 255))
    if title:
        draw.text((4, 2), title, fill=(255, 255, 255))
    return PlanPicture(title, np.asarray(image))


def _kindsAt(anatomy: SpineAnatomy, points: FloatArray) -> npt.NDArray[np.int16]:
    rasToIjk = np.linalg.inv(anatomy.ijkToRas)
    ijk = np.rint(points @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]).astype(int)
    count = np.array(anatomy.labels.shape)[::-1]
    inside = ((ijk >= 0) & (ijk < count)).all(-1)
    ijk = np.clip(ijk, 0, count - 1)
    order = list(TINTS)
    lookup = np.full(256, -1, np.int16)
    for value, structure in anatomy.structures.items():
        if structure.kind in TINTS:
            lookup[value] = order.index(structure.kind)
    result: npt.NDArray[np.int16] = np.where(inside, lookup[anatomy.labels[ijk[..., 2], ijk[..., 1], ijk[..., 0]]], -1)
    return result


def _eroded(region: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    inner = region.copy()
    inner[1:] &= region[:-1]
    inner[:-1] &= region[1:]
    inner[:, 1:] &= region[:, :-1]
    inner[:, :-1] &= region[:, 1:]
    return inner


def _scaleBar(draw: Any, width: int, height: int, pixelMm: float) -> None:
    length = 50.0 / pixelMm
    draw.line([(width - 8 - length, height - 6), (width - 8, height - 6)], fill=(255, 255, 255), width=2)
    draw.text((width - 8 - length, height - 20), "50 mm", fill=(255, 255, 255))
