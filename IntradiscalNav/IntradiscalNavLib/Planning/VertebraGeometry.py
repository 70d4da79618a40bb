"""Vertebrae from their masks: body, spinous process tip, pedicles; the mid-sagittal plane through several of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid
from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes, axesFromSagittalPlane
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

VERTEBRA_GRID_MM = 1.5
"""Spacing of the grid the vertebrae are measured on: finer than a 3 mm label map carries, coarse enough for milliseconds."""

BODY_CORE_FRACTION = 0.7
"""The body is what remains of a vertebra after opening with this share of its largest inscribed ball; arch and processes are thinner."""


@dataclass(frozen=True)
class VertebraMask:
    """One vertebra on its own small RAS grid: the whole mask, its body, the body's centre and the tip of the spinous process (RAS mm)."""

    name: str
    grid: RasGrid
    mask: BoolArray
    body: BoolArray
    bodyCenterRas: FloatArray
    posteriorTipRas: FloatArray
    touchesVolumeEdge: bool

    def holds(self, pointsRas: FloatArray, *, body: bool = False) -> BoolArray:
        """Whether points (..., 3) lie in the mask (or the body); nearest voxel."""
        index = np.rint((pointsRas - np.asarray(self.grid.originRas)) / np.asarray(self.grid.spacingMm)).astype(int)
        count = np.asarray(self.grid.shape)[::-1]
        inside = ((index >= 0) & (index < count)).all(axis=-1)
        index = np.clip(index, 0, count - 1)
        source = self.body if body else self.mask
        result: BoolArray = source[index[..., 2], index[..., 1], index[..., 0]] & inside
        return result

    def points(self, selection: BoolArray) -> FloatArray:
        """RAS centres (n, 3) of the selected voxels."""
        k, j, i = np.nonzero(selection)
        result: FloatArray = np.stack([i, j, k], axis=1) * np.asarray(self.grid.spacingMm) + np.asarray(self.grid.originRas)
        return result

    def surfacePoints(self, selection: BoolArray) -> FloatArray:
        """RAS centres of the selected voxels that touch a voxel outside the mask."""
        padded = np.pad(self.mask, 1)
        core = np.ones_like(self.mask)
        for axis in range(3):
            for shift in (0, 2):
                window = [slice(1, -1)] * 3
                window[axis] = slice(shift, shift + self.mask.shape[axis])
                core &= padded[tuple(window)]
        return self.points(selection & ~core)


def measureVertebra(
    name: str, selected: BoolArray, ijkToRas: FloatArray, box: Sequence[slice], volumeShape: tuple[int, ...]
) -> VertebraMask:
    """Resample and measure one vertebra.

    :param selected: boolean crop of the label array (k, j, i) at ``box``.
    :raises ValueError: when the mask is too small to hold a vertebral body (inscribed radius under 4 mm).
    """
    from scipy.ndimage import distance_transform_edt

    start = np.array([box[2].start, box[1].start, box[0].start], float)
    cropToRas = np.array(ijkToRas, float)
    cropToRas[:3, 3] = cropToRas[:3, :3] @ start + cropToRas[:3, 3]
    corners = np.array(
        [[i, j, k] for k in (0, selected.shape[0] - 1) for j in (0, selected.shape[1] - 1) for i in (0, selected.shape[2] - 1)]
    )
    cornersRas = corners @ cropToRas[:3, :3].T + cropToRas[:3, 3]
    pad = 3 * VERTEBRA_GRID_MM + float(np.abs(np.asarray(ijkToRas)[:3, :3]).max())
    grid = RasGrid.around(cornersRas.min(0) - pad, cornersRas.max(0) + pad, VERTEBRA_GRID_MM)
    mask = resampleToGrid(selected, cropToRas, grid) >= 0.5
    depth = distance_transform_edt(mask, sampling=VERTEBRA_GRID_MM)
    radius = float(depth.max())
    if radius < 4.0:
        raise ValueError(
            _("{name} is too small or too thin to hold a vertebral body (inscribed radius {radius:.1f} mm); check its segment.").format(
                name=name, radius=radius
            )
        )
    core = depth >= BODY_CORE_FRACTION * radius
    body = mask & (distance_transform_edt(~core, sampling=VERTEBRA_GRID_MM) <= BODY_CORE_FRACTION * radius)
    k, j, i = np.nonzero(core)
    weight = depth[core]
    origin, spacing = np.asarray(grid.originRas), np.asarray(grid.spacingMm)
    center = np.average(np.stack([i, j, k], axis=1), axis=0, weights=weight) * spacing + origin
    _unused, jm, _unused = np.nonzero(mask)
    tip = mask.copy()
    tip[:, jm.min() + max(1, round(4.0 / VERTEBRA_GRID_MM)) :, :] = False
    k, j, i = np.nonzero(tip)
    tipRas = np.stack([i, j, k], axis=1).mean(0) * spacing + origin
    edge = any(part.start == 0 or part.stop == size for part, size in zip(box, volumeShape))
    return VertebraMask(name, grid, mask, body, center, tipRas, edge)


def fitMidSagittalAxes(vertebrae: Sequence[VertebraMask], originRas: FloatArray) -> AnatomicalAxes:
    """Mid-sagittal plane by least squares through body centres and spinous process tips, as axes at ``originRas`` (projected on the
    plane).

    Sacral "tips" are left out: the sacral crest is low and its label often ends askew.

    :raises ValueError: when fewer than three points are there.
    """
    centers = [v.bodyCenterRas for v in vertebrae]
    tips = [v.posteriorTipRas for v in vertebrae if v.name != "S1"]
    points = np.array(centers + tips)
    if len(points) < 3:
        raise ValueError(_("The mid-sagittal plane needs two vertebrae; segment the neighbours of the level or give the plane."))
    design = np.c_[np.ones(len(points)), points[:, 1:]]
    weight = np.ones(len(points))
    solution = np.zeros(3)
    for _unused in range(4):  # one askew spinous process must not turn the plane
        root = np.sqrt(weight)[:, None]
        solution = np.linalg.lstsq(design * root, points[:, 0] * root[:, 0], rcond=1e-9)[0]
        residual = np.abs(points[:, 0] - design @ solution)
        weight = 1.0 / np.maximum(residual, 1.5)
        weight /= weight.max()
    normal = np.array([1.0, -solution[1], -solution[2]])
    origin = np.asarray(originRas, float)
    offset = float(origin[0] - (solution[0] + solution[1] * origin[1] + solution[2] * origin[2]))
    normal /= np.linalg.norm(normal)
    return axesFromSagittalPlane(origin - offset * normal[0] * normal, normal)


@dataclass(frozen=True)
class Pedicle:
    """A pedicle's centre, the lateral distance of its medial border, and the height of its lower border, in the given axes (mm)."""

    side: str
    centerMm: FloatArray
    medialBorderMm: float
    inferiorBorderMm: float
    found: bool


def posteriorWallMm(vertebra: VertebraMask, axes: AnatomicalAxes) -> float:
    """Anterior coordinate of the body's posterior wall near the midline, in ``axes``."""
    local = axes.coordinates(vertebra.points(vertebra.body))
    middle = local[np.abs(local[:, 0]) < 8.0]
    return float(np.percentile(middle[:, 1] if len(middle) > 20 else local[:, 1], 4))


def findPedicles(vertebra: VertebraMask, axes: AnatomicalAxes) -> tuple[Pedicle, Pedicle]:
    """Left and right pedicle: the bone lateral to the canal, just behind the posterior wall.

    Where no bone is found there (a thin or broken pedicle, a body-only segment) population values relative to the body stand in and
    ``found`` is False: 14 mm lateral, 4 mm above the body's centre, 12 mm high.
    """
    wall = posteriorWallMm(vertebra, axes)
    bodyHeight = float(axes.coordinates(vertebra.bodyCenterRas)[2])
    local = axes.coordinates(vertebra.points(vertebra.mask))
    slab = local[(local[:, 1] < wall - 0.5) & (local[:, 1] > wall - 7.0) & (np.abs(local[:, 2] - bodyHeight) < 20.0)]
    result = []
    for side, sign in (("left", -1.0), ("right", 1.0)):
        lateral = slab[:, 0] * sign
        here = slab[(lateral > 6.0) & (lateral < 28.0)]
        if len(here) < 12:
            center = np.array([sign * 14.0, wall - 4.0, bodyHeight + 4.0])
            result.append(Pedicle(side, center, 9.0, bodyHeight - 2.0, False))
            continue
        center = np.median(here, axis=0)
        medial = float(np.percentile(here[:, 0] * sign, 5))
        result.append(Pedicle(side, center, medial, float(np.percentile(here[:, 2], 5)), True))
    return result[0], result[1]
