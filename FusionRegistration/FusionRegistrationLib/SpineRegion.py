"""Where the spine lies in a CT: a coarse look that needs no segmentation."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.VisibleSurface import RasGrid, gridOver, resample

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

COARSE_MM = 4.0
TISSUE_HU = -300.0
BESIDE_FROM_MM, BESIDE_TO_MM = 54.0, 110.0
MIDLINE_SIGMA_MM = 25.0


@dataclasses.dataclass(frozen=True, eq=False)
class SpineRegion:
    """axisRas: (m, 3) middle of the spine from foot to head. boneBeside: (m,) ribs or iliac wings lie beside it at that height.

    lowerRas, upperRas: box around the posterior part of the spine. body, grid: coarse mask of the inside of the body.
    """

    axisRas: FloatArray
    boneBeside: BoolArray
    lowerRas: FloatArray
    upperRas: FloatArray
    body: BoolArray
    grid: RasGrid

    def insideBody(self, pointsRas: npt.ArrayLike) -> BoolArray:
        """Whether points (n, 3) lie inside the body and not on its skin."""
        index = np.clip(np.rint(self.grid.indexOf(pointsRas)).astype(int), 0, np.array(self.grid.shape) - 1)
        result: BoolArray = self.body[index[:, 0], index[:, 1], index[:, 2]]
        return result


def findSpineRegion(voxels: npt.NDArray, ijkToRas: npt.ArrayLike, thresholdHu: float) -> SpineRegion | None:
    """Find the spine as the column of bone that runs smoothly through the body from slice to slice; None when there is none."""
    from scipy.ndimage import gaussian_filter, gaussian_filter1d

    lower, upper = _boundsRas(voxels.shape, np.asarray(ijkToRas, float))
    grid = gridOver(lower, upper, COARSE_MM)
    coarse = resample(voxels, ijkToRas, grid, 1, -1000.0).astype(np.float32)
    body = _insideOfBody(coarse)
    bone = (coarse >= thresholdHu) & body
    if bone.sum() * COARSE_MM**3 < 20000.0:
        return None
    # Vertebral bodies carry more bone than anything beside them; the path may wander only slowly from slice to slice.
    profile = gaussian_filter(bone.sum(axis=1).astype(np.float32), (4.0, 4.0), mode="nearest")
    profile /= np.maximum(profile.max(axis=1, keepdims=True), 1e-6)
    xs = grid.originRas[0] + COARSE_MM * np.arange(grid.shape[2])
    z = grid.originRas[2] + COARSE_MM * np.arange(grid.shape[0])
    # The spine keeps near the middle of the body, which hip bones and femurs don't.
    widths = body.sum(axis=1).astype(float)
    inBody = widths.sum(axis=1)
    if not (inBody > 0).any():
        return None
    middles = np.interp(z, z[inBody > 0], (widths @ xs)[inBody > 0] / inBody[inBody > 0])
    profile *= np.exp(-0.5 * ((xs[None, :] - gaussian_filter1d(middles, 8.0, mode="nearest")[:, None]) / MIDLINE_SIGMA_MM) ** 2).astype(
        np.float32
    )
    columns = _smoothestPath(profile)
    x = gaussian_filter1d(grid.originRas[0] + COARSE_MM * columns.astype(float), 4.0, mode="nearest")
    ys = grid.originRas[1] + COARSE_MM * np.arange(grid.shape[1])
    offset = np.abs(xs[None, :] - x[:, None])
    central = bone & (offset <= 26.0)[:, None, :]
    counts = central.sum(axis=(1, 2))
    if (counts > 4).sum() * COARSE_MM < 30.0:
        return None
    along = central.sum(axis=2) @ ys
    y = gaussian_filter1d(along.astype(float), 4.0) / np.maximum(gaussian_filter1d(counts.astype(float), 4.0), 1e-6)
    # Only bone behind the front of the spine can be seen; ribs and iliac wings there crowd the view.
    behind = ys[None, :] < y[:, None] + 10.0
    beside = (bone & (offset > BESIDE_FROM_MM)[:, None, :] & (offset < BESIDE_TO_MM)[:, None, :] & behind[:, :, None]).sum(axis=(1, 2)) >= 4
    useful = _longestRun(counts > 4)
    rear = np.flatnonzero(central[useful].any(axis=(0, 2)))
    first, last = np.flatnonzero(useful)[[0, -1]]
    box = np.array([x.min() - 54.0, ys[rear[0]] - 6.0, z[first] - 4.0]), np.array([x.max() + 54.0, y[useful].max() + 12.0, z[last] + 4.0])
    inside = slice(first, last + 1)
    return SpineRegion(
        np.stack([x, y, z], axis=1)[inside], beside[inside], np.maximum(box[0], lower), np.minimum(box[1], upper), body, grid
    )


def _longestRun(flags: BoolArray) -> BoolArray:
    """The longest stretch of slices that are set, gaps of three slices allowed."""
    from scipy.ndimage import binary_closing, label

    runs, _ = label(binary_closing(flags, np.ones(7, bool)) | flags)
    result: BoolArray = flags & (runs == 1 + int(np.argmax(np.bincount(runs)[1:])))
    return result


def _boundsRas(shape: tuple[int, ...], matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    corners = np.array(
        [[bits[2] * (shape[2] - 1), bits[1] * (shape[1] - 1), bits[0] * (shape[0] - 1)] for bits in np.ndindex(2, 2, 2)], float
    )
    ras = corners @ matrix[:3, :3].T + matrix[:3, 3]
    return ras.min(axis=0), ras.max(axis=0)


def _insideOfBody(coarse: npt.NDArray[np.float32]) -> BoolArray:
    """Largest connected piece of tissue, without thin plates (the table) and without its own skin layer; holes filled slice by slice."""
    from scipy.ndimage import binary_erosion, binary_fill_holes, binary_opening, label

    cross = np.zeros((3, 3, 3), bool)
    cross[1, 1, :] = cross[1, :, 1] = cross[:, 1, 1] = True
    flat = cross.copy()
    flat[0] = flat[2] = False  # within the slice: the first and last slice of the CT are no skin
    tissue = binary_opening(coarse > TISSUE_HU, flat, iterations=2)
    pieces, count = label(tissue, cross)
    if count == 0:
        return np.zeros(coarse.shape, bool)
    body = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    for number in range(len(body)):
        body[number] = binary_fill_holes(body[number])
    result: BoolArray = binary_erosion(body, flat, border_value=1)
    return result


def _smoothestPath(profile: npt.NDArray[np.float32], penalty: float = 0.15) -> npt.NDArray[np.intp]:
    """Column per slice that collects the most while moving at most two columns per slice at a price (dynamic programming)."""
    slices, width = profile.shape
    total = profile[0].astype(float)
    back = np.zeros((slices, width), np.intp)
    for number in range(1, slices):
        options = np.full((5, width), -np.inf)
        for row, move in enumerate((-2, -1, 0, 1, 2)):
            source = np.arange(width) + move
            valid = (source >= 0) & (source < width)
            options[row, valid] = total[source[valid]] - penalty * abs(move)
        choice = options.argmax(axis=0)
        back[number] = np.arange(width) + choice - 2
        total = options[choice, np.arange(width)] + profile[number]
    path = np.zeros(slices, np.intp)
    path[-1] = int(total.argmax())
    for number in range(slices - 1, 0, -1):
        path[number - 1] = back[number, path[number]]
    return path
