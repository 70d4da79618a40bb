"""Signed distance to a structure at risk, looked up in a table made once.

Negative inside, in mm. Between nodes the distance is interpolated trilinearly, so it is exact where the true distance is linear (off flat
faces) and otherwise within ``accuracyMm``. Beyond the table only a lower bound is known, and said to be one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

DEFAULT_MARGIN_MM = 25.0
LARGEST_TABLE = 40_000_000


@dataclass(frozen=True, eq=False)
class StructureDistance:
    """Distance table of one structure; ``distanceMm`` is indexed (k, j, i), ``rasToIjk`` maps RAS mm to (i, j, k) of the table."""

    name: str
    distanceMm: npt.NDArray[np.float64]
    rasToIjk: FloatArray
    accuracyMm: float
    edgeMm: float = field(init=False)
    """Least distance found on the table's own border."""

    def __post_init__(self) -> None:
        table = self.distanceMm
        borders = (table[0], table[-1], table[:, 0], table[:, -1], table[:, :, 0], table[:, :, -1])
        object.__setattr__(self, "edgeMm", max(0.0, min(float(border.min()) for border in borders)))

    def distancesAt(self, pointsRas: npt.ArrayLike) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Signed distances (mm) at points (n, 3), and which of them are lower bounds because they lie outside the table."""
        values, bounds = StackedTables([self]).distancesAt(np.asarray(pointsRas, float).T[None])
        return values[0], bounds[0]


class StackedTables:
    """Tables of several structures side by side, looked up together for the cost of a few array operations.

    Points come as (..., 3, n): numpy is quick along long rows and slow along the three coordinates of a point.
    """

    def __init__(self, tables: Sequence[StructureDistance]) -> None:
        self._flat = tables[0].distanceMm.reshape(-1) if len(tables) == 1 else np.concatenate([t.distanceMm.reshape(-1) for t in tables])
        sizes = np.array([table.distanceMm.size for table in tables])
        shapes = np.array([table.distanceMm.shape for table in tables])
        self._rotations = np.stack([table.rasToIjk[:3, :3] for table in tables])
        self._offsets = np.stack([table.rasToIjk[:3, 3] for table in tables])[:, :, None]
        self._toRas = np.linalg.inv(self._rotations)
        self._upper = (shapes[:, ::-1, None] - 1).astype(float)
        self._lastCell = shapes[:, ::-1, None] - 2
        # Flat place of a cell: k times the first stride, plus j times the second, plus i.
        self._strides = shapes[:, 1:2] * shapes[:, 2:], shapes[:, 2:]
        self._first = np.concatenate([[0], np.cumsum(sizes)[:-1]])[:, None]
        # Offsets of a cell's eight corners in the flat table, i fastest.
        corners = [k * self._strides[0] + j * self._strides[1] + i for k in (0, 1) for j in (0, 1) for i in (0, 1)]
        self._corners = np.stack(corners, axis=1)
        self._edges = np.array([table.edgeMm for table in tables])[:, None]

    def distancesAt(self, pointsRas: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Signed distances (mm) at points (structures or 1, 3, n): values (structures, n), and which are lower bounds."""
        return self._distancesAt(self._rotations @ pointsRas + self._offsets)

    def alongSegments(self, startsRas: FloatArray, waysRas: FloatArray) -> Callable[[FloatArray], tuple[FloatArray, npt.NDArray[np.bool_]]]:
        """Look-up of points on segments (m, 3): takes shares of the way (structures, m, n), gives values and bounds of the same shape.

        The segments are brought into the tables' coordinates once, however often points on them are asked for.
        """
        starts = (self._rotations @ startsRas.T + self._offsets)[..., None]
        ways = (self._rotations @ waysRas.T)[..., None]

        def distances(shares: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
            ijk = (starts + ways * shares[:, None]).reshape(len(shares), 3, -1)
            values, outside = self._distancesAt(ijk)
            return values.reshape(shares.shape), outside.reshape(shares.shape)

        return distances

    def _distancesAt(self, ijk: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Distances and bounds (structures, n) at table coordinates (structures, 3, n).

        A bound is given outside the table. Every way from there to the structure crosses the table's border, so the distance is at least
        the way to the border plus the least distance found on it.
        """
        inside = np.minimum(np.maximum(ijk, 0.0), self._upper)
        base = np.minimum(inside.astype(np.intp), self._lastCell)
        fraction = inside - base
        first = base[:, 2] * self._strides[0] + base[:, 1] * self._strides[1] + base[:, 0] + self._first
        corner = self._flat.take(first[:, None] + self._corners)
        # Along i, then j, then k: each step halves the corners.
        alongI = corner[:, 0::2] + (corner[:, 1::2] - corner[:, 0::2]) * fraction[:, 0:1]
        alongJ = alongI[:, 0::2] + (alongI[:, 1::2] - alongI[:, 0::2]) * fraction[:, 1:2]
        values: FloatArray = alongJ[:, 0] + (alongJ[:, 1] - alongJ[:, 0]) * fraction[:, 2]
        beyond = ijk != inside
        outside: npt.NDArray[np.bool_] = beyond[:, 0] | beyond[:, 1] | beyond[:, 2]
        if outside.any():
            excessMm = self._toRas @ (ijk - inside)
            excess = np.sqrt((excessMm * excessMm).sum(axis=1))
            values = np.where(outside, np.maximum(values - excess, excess + self._edges), values)
        return values, outside


def distanceFromFunction(
    name: str, distanceAt: Callable[[FloatArray], npt.ArrayLike], boundsRas: npt.ArrayLike, spacingMm: float = 1.0
) -> StructureDistance:
    """Table of a known distance function on a RAS box ((xmin, xmax), (ymin, ymax), (zmin, zmax)) that contains the structure.

    The function gets points (n, 3) and returns signed distances (n,). For any true distance the interpolation error stays under
    half the diagonal of a cell, and for smooth ones far under it.
    """
    bounds = np.asarray(boundsRas, float)
    counts = np.maximum(np.ceil((bounds[:, 1] - bounds[:, 0]) / spacingMm).astype(int) + 1, 2)
    _checkSize(name, counts)
    axes = [bounds[a, 0] + spacingMm * np.arange(counts[a]) for a in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    values = np.asarray(distanceAt(np.column_stack([x.ravel(), y.ravel(), z.ravel()])), float).reshape(z.shape)
    rasToIjk = np.diag([1 / spacingMm] * 3 + [1.0])
    rasToIjk[:3, 3] = -bounds[:, 0] / spacingMm
    return StructureDistance(name, np.ascontiguousarray(values), rasToIjk, spacingMm * np.sqrt(3) / 2)


def distanceFromMask(
    name: str, mask: npt.ArrayLike, ijkToRas: npt.ArrayLike, marginMm: float = DEFAULT_MARGIN_MM, spacingMm: float = 1.0
) -> StructureDistance:
    """Table of a voxel mask (k, j, i): Euclidean distance transform of its neighbourhood, with the border placed between the voxels.

    Fine grids are thinned to about ``spacingMm``, which is all the accuracy a voxel mask has.

    :raises ValueError: when the mask is empty or the voxel axes aren't perpendicular (a sheared grid has no simple distance transform).
    """
    from scipy import ndimage

    voxels, toRas = np.asarray(mask) != 0, np.asarray(ijkToRas, float)
    if voxels.ndim != 3 or not voxels.any():
        raise ValueError(_("Structure {name!r} has no voxels. Segment it again or leave it out.").format(name=name))
    spacing = np.linalg.norm(toRas[:3, :3], axis=0)
    axes = toRas[:3, :3] / spacing
    if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3:
        raise ValueError(
            _("The voxel axes of structure {name!r} aren't perpendicular. Resample it onto an upright grid first.").format(name=name)
        )
    box = ndimage.find_objects(voxels.astype(np.uint8))[0]
    pad = np.ceil(marginMm / spacing).astype(int)[::-1] + 1
    cropped = np.pad(voxels[box], [(p, p) for p in pad])
    _checkSize(name, np.array(cropped.shape))
    start = np.array([box[2].start, box[1].start, box[0].start]) - pad[::-1]
    sampling = spacing[::-1]
    depth = _depthInMask(cropped, sampling)
    signed = np.where(cropped, -_distanceToOther(cropped, -depth, sampling), _distanceToOther(~cropped, depth, sampling))
    step = np.maximum(np.round(spacingMm / spacing + 1e-6).astype(int), 1)
    signed = np.ascontiguousarray(signed[:: step[2], :: step[1], :: step[0]], dtype=float)
    tableToRas = toRas.copy()
    tableToRas[:3, 3] = toRas[:3, :3] @ start + toRas[:3, 3]
    tableToRas[:3, :3] = toRas[:3, :3] * step
    return StructureDistance(name, signed, np.linalg.inv(tableToRas), float(np.linalg.norm(spacing)) / 2)


def _depthInMask(mask: npt.NDArray[np.bool_], samplingMm: FloatArray) -> FloatArray:
    """Depth (mm, positive inside) of voxel centres near the border of a mask.

    The border runs between centres; how near it is to each is read from the smoothed mask, which across a flat border is the normal
    distribution's integral. Without it every distance is off by up to half a voxel to one side.
    """
    from scipy import ndimage
    from scipy.special import ndtri

    sigmaMm = 0.75 * float(samplingMm.mean())
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), sigmaMm / samplingMm, truncate=3.0)
    halfDiagonalMm = float(np.linalg.norm(samplingMm)) / 2
    return np.clip(sigmaMm * ndtri(np.clip(smooth.astype(float), 1e-4, 1 - 1e-4)), -halfDiagonalMm, halfDiagonalMm)


def _distanceToOther(region: npt.NDArray[np.bool_], depthInOther: FloatArray, samplingMm: FloatArray) -> FloatArray:
    """Distance (mm) of each voxel of a region from the border: to the nearest centre beyond it, less how far that one is beyond."""
    from scipy import ndimage

    distance, nearest = ndimage.distance_transform_edt(region, sampling=samplingMm, return_indices=True)
    beyond = np.maximum(depthInOther[tuple(nearest)], 0.0)
    result: FloatArray = np.maximum(distance - beyond, 0.0)
    return result


def distancesFromLabels(
    labels: npt.ArrayLike, ijkToRas: npt.ArrayLike, names: Mapping[int, str], marginMm: float = DEFAULT_MARGIN_MM, spacingMm: float = 1.0
) -> tuple[StructureDistance, ...]:
    """One table per label value that has voxels; a value without voxels is an error, since a silent gap would read as *far away*."""
    array = np.asarray(labels)
    return tuple(distanceFromMask(name, array == value, ijkToRas, marginMm, spacingMm) for value, name in names.items())


def distanceFromPolyData(name: str, polyData: Any, marginMm: float = DEFAULT_MARGIN_MM, spacingMm: float = 1.5) -> StructureDistance:
    """Table of a closed surface (vtkPolyData, RAS mm).

    Nodes get the exact distance to the surface's triangles near it (closer than four cells), farther ones the distance to its points
    and triangle centres, which is off by less than half a triangle; the sign comes from filling the surface.

    :raises ValueError: when the surface has no triangles.
    """
    from scipy.spatial import cKDTree
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance, vtkPolyDataNormals, vtkTriangleFilter
    from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

    triangles = vtkTriangleFilter()
    triangles.SetInputData(polyData)
    normals = vtkPolyDataNormals()
    normals.SetInputConnection(triangles.GetOutputPort())
    normals.SplittingOff()
    normals.AutoOrientNormalsOn()
    normals.Update()
    surface = normals.GetOutput()
    if surface.GetNumberOfPolys() == 0:
        raise ValueError(_("The surface of structure {name!r} has no triangles. Make its closed surface first.").format(name=name))
    points = vtk_to_numpy(surface.GetPoints().GetData()).astype(float)
    corners = points[vtk_to_numpy(surface.GetPolys().GetConnectivityArray()).reshape(-1, 3)]
    lower, upper = points.min(axis=0) - marginMm, points.max(axis=0) + marginMm
    counts = np.ceil((upper - lower) / spacingMm).astype(int) + 1
    _checkSize(name, counts)

    stencil = vtkPolyDataToImageStencil()
    stencil.SetInputData(surface)
    stencil.SetOutputOrigin(*lower)
    stencil.SetOutputSpacing(spacingMm, spacingMm, spacingMm)
    stencil.SetOutputWholeExtent(0, int(counts[0]) - 1, 0, int(counts[1]) - 1, 0, int(counts[2]) - 1)
    fill = vtkImageStencilToImage()
    fill.SetInputConnection(stencil.GetOutputPort())
    fill.SetOutputScalarTypeToUnsignedChar()
    fill.Update()
    image: vtkImageData = fill.GetOutput()
    within = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(counts[::-1]) > 0

    z, y, x = np.meshgrid(*[lower[a] + spacingMm * np.arange(counts[a]) for a in (2, 1, 0)], indexing="ij")
    nodes = np.column_stack([x.ravel(), y.ravel(), z.ravel()])
    samples = np.vstack([points, corners.mean(axis=1)])
    reach = float(np.linalg.norm(corners - corners.mean(axis=1, keepdims=True), axis=2).max())
    distances, _unused = cKDTree(samples).query(nodes)
    values = np.where(within.ravel(), -distances, distances)
    near = np.flatnonzero(distances < min(4.0 * spacingMm, marginMm) + (reach if reach < 10.0 else 0.0))
    exact = vtkImplicitPolyDataDistance()
    exact.SetInput(surface)
    for index in near:
        values[index] = exact.EvaluateFunction(nodes[index])
    signed = values.reshape(counts[::-1])
    rasToIjk = np.diag([1 / spacingMm] * 3 + [1.0])
    rasToIjk[:3, 3] = -lower / spacingMm
    return StructureDistance(name, np.ascontiguousarray(signed), rasToIjk, spacingMm * np.sqrt(3) / 2)


def _checkSize(name: str, counts: npt.NDArray[np.int_]) -> None:
    if int(np.prod(counts.astype(np.int64))) > LARGEST_TABLE:
        raise ValueError(
            _(
                "The distance table of structure {name!r} would have {prod} nodes. "
                "Crop the structure to the region of the path or give a larger spacing."
            ).format(name=name, prod=int(np.prod(counts.astype(np.int64))))
        )
