"""Signed distance to a bone surface as a table of packed rows, for one cheap gather per point.

A row holds ``[d, gx, gy, gz]``: the signed distance of the voxel centre from the surface (mm, positive outside the bone) and
its gradient (unit length). Between the voxel centres the distance is extended to first order, which for a surface that is
smooth at the scale of a voxel is as accurate as trilinear interpolation of four channels at an eighth of the memory traffic.

The table measures the distance to an *open* surface (what ultrasound can see from behind), from surface points with normals:
near the surface as the distance from the tangent plane, far from it as the distance from the closest point. The closest point
comes from an Euclidean feature transform (Maurer, Qi, Raghavan, IEEE PAMI 2003), repaired by propagation between neighbours
because the transform breaks ties to one side, and near the surface from an exact nearest-neighbour query.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

PLANE_DISTANCE_MM = 2.5
"""Closer than this to its surface point a voxel takes the distance from the tangent plane, farther than twice it that from the point."""


@dataclasses.dataclass(frozen=True, eq=False)
class SignedDistanceTable:
    """Distance field on an axis-parallel grid in the frame of the surface (RAS mm).

    rows: (nx*ny*nz, 4) float32, x fastest. originRas: centre of the first voxel. spacingMm: edge of a voxel.
    """

    rows: Float32Array
    originRas: FloatArray
    spacingMm: float
    shape: tuple[int, int, int]

    def distances(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Signed distance (mm) of points (n, 3) from the surface; outside the grid extended linearly from its border."""
        return self.distancesAndGradients(pointsRas)[0]

    def distancesAndGradients(self, pointsRas: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Signed distances (n,) in mm and their gradients (n, 3) at points (n, 3)."""
        points = np.asarray(pointsRas, float).reshape(-1, 3)
        upper = np.array(self.shape, float) - 1.0
        cell = (points - self.originRas) / self.spacingMm
        nearest = np.clip(np.rint(cell), 0.0, upper)
        index = nearest.astype(np.int64)
        flat = (index[:, 2] * self.shape[1] + index[:, 1]) * self.shape[0] + index[:, 0]
        row = self.rows[flat].astype(float)
        distance: FloatArray = row[:, 0] + self.spacingMm * ((cell - nearest) * row[:, 1:]).sum(axis=1)
        return distance, row[:, 1:]

    def lookup(self, placesRas: Float32Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Distances (n,), gradients (3, n) and curvatures (n,) at points given as (3, n): single precision, for inner loops."""
        nx, ny, _unused = self.shape
        cell = (placesRas - self.originRas.astype(np.float32)[:, None]) / np.float32(self.spacingMm)
        nearest = np.rint(cell)
        np.clip(nearest, 0, (np.array(self.shape, np.float32) - 1)[:, None], out=nearest)
        whole = nearest.astype(np.int32)
        flat = (whole[2] * ny + whole[1]) * nx + whole[0]
        row = self.rows.take(flat, axis=0)
        normal = np.ascontiguousarray(row[:, 1:].T)
        cell -= nearest
        cell *= normal
        distance = cell[0] + cell[1]
        distance += cell[2]
        distance *= np.float32(self.spacingMm)
        distance += row[:, 0]
        return distance, normal, self.curvature.take(flat)

    @functools.cached_property
    def curvature(self) -> Float32Array:
        """Sum of the two principal curvatures (1/mm) of the surfaces of equal distance at every voxel: the divergence of the gradient.

        Taken over two voxels and limited to +-0.5, so edges thinner than the table resolves stay finite.
        """
        nx, ny, nz = self.shape
        grid = self.rows.reshape(nz, ny, nx, 4)
        result = np.zeros((nz, ny, nx), np.float32)
        result[:, :, 1:-1] += grid[:, :, 2:, 1] - grid[:, :, :-2, 1]
        result[:, 1:-1, :] += grid[:, 2:, :, 2] - grid[:, :-2, :, 2]
        result[1:-1, :, :] += grid[2:, :, :, 3] - grid[:-2, :, :, 3]
        return np.clip(result / (2.0 * self.spacingMm), -0.5, 0.5).ravel()

    def curvatures(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Sum of the principal curvatures (1/mm) at the voxels nearest to points (n, 3)."""
        cell = np.rint((np.asarray(pointsRas, float).reshape(-1, 3) - self.originRas) / self.spacingMm)
        index = np.clip(cell, 0, np.array(self.shape) - 1).astype(np.int64)
        result: FloatArray = self.curvature[(index[:, 2] * self.shape[1] + index[:, 1]) * self.shape[0] + index[:, 0]].astype(float)
        return result

    def decimated(self, step: int) -> SignedDistanceTable:
        """Every step-th voxel of the table; distances at voxel centres stay as they are."""
        nx, ny, nz = self.shape
        grid = self.rows.reshape(nz, ny, nx, 4)[::step, ::step, ::step]
        shape = (grid.shape[2], grid.shape[1], grid.shape[0])
        return SignedDistanceTable(np.ascontiguousarray(grid.reshape(-1, 4)), self.originRas, self.spacingMm * step, shape)

    def contains(self, pointsRas: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether points (n, 3) lie within the grid."""
        cell = (np.asarray(pointsRas, float).reshape(-1, 3) - self.originRas) / self.spacingMm
        inside: npt.NDArray[np.bool_] = np.asarray(((cell >= -0.5) & (cell <= np.array(self.shape) - 0.5)).all(axis=1), bool)
        return inside


def buildSignedDistanceTable(
    pointsRas: npt.ArrayLike, normalsRas: npt.ArrayLike, *, spacingMm: float = 1.5, marginMm: float = 20.0
) -> SignedDistanceTable:
    """Table of the distance from the surface sampled by points (n, 3) with outward unit normals (n, 3).

    The points should lie no farther apart than about spacingMm. marginMm: how far the grid reaches beyond them.

    :raises ValueError: when there are no points, shapes disagree, or spacing or margin aren't positive.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import cKDTree

    points = np.asarray(pointsRas, float).reshape(-1, 3)
    normals = np.asarray(normalsRas, float).reshape(-1, 3)
    if len(points) == 0:
        raise ValueError(_("The bone surface has no points: check the threshold or the segmentation it came from."))
    if len(points) != len(normals):
        raise ValueError(_("The bone surface has {count} points but {total} normals.").format(count=len(points), total=len(normals)))
    if not (spacingMm > 0 and marginMm > 0):
        raise ValueError(_("Spacing and margin of the distance table must be positive lengths in mm."))
    if not (np.isfinite(points).all() and np.isfinite(normals).all()):
        raise ValueError(_("The bone surface holds NaN or infinite coordinates."))

    origin = points.min(axis=0) - marginMm
    shape = np.ceil((points.max(axis=0) + marginMm - origin) / spacingMm).astype(int) + 1
    nx, ny, nz = (int(n) for n in shape)
    cell = np.rint((points - origin) / spacingMm).astype(np.int64)
    flatOfPoint = (cell[:, 2] * ny + cell[:, 1]) * nx + cell[:, 0]

    # One representative point per voxel feeds the feature transform; the one nearest to the voxel centre, ties by order.
    offset = np.linalg.norm(points - (origin + cell * spacingMm), axis=1)
    order = np.lexsort((offset, flatOfPoint))
    first = np.concatenate([[True], np.diff(flatOfPoint[order]) != 0])
    owners = order[first]
    ownerOfVoxel = np.full(nx * ny * nz, -1, np.int32)
    ownerOfVoxel[flatOfPoint[owners]] = owners
    seeds = ownerOfVoxel.reshape(nz, ny, nx)
    indices = distance_transform_edt(seeds < 0, return_distances=False, return_indices=True)
    owner = seeds[indices[0], indices[1], indices[2]]

    x = (origin[0] + spacingMm * np.arange(nx)).astype(np.float32)
    y = (origin[1] + spacingMm * np.arange(ny)).astype(np.float32)
    z = (origin[2] + spacingMm * np.arange(nz)).astype(np.float32)
    surface = points.astype(np.float32)

    def squaredTo(candidate: npt.NDArray[np.int32]) -> Float32Array:
        result: Float32Array = (x[None, None, :] - surface[candidate, 0]) ** 2
        result += (y[None, :, None] - surface[candidate, 1]) ** 2
        result += (z[:, None, None] - surface[candidate, 2]) ** 2
        return result

    squared = squaredTo(owner)
    band = np.flatnonzero(squared.ravel() < (2.0 * PLANE_DISTANCE_MM + spacingMm) ** 2)
    owner = _propagateClosest(owner, squared, squaredTo)

    # Near the surface the exact nearest of all points, not only of the representatives.
    bandK, bandRest = np.divmod(band, ny * nx)
    bandJ, bandI = np.divmod(bandRest, nx)
    bandCentres = np.stack([x[bandI], y[bandJ], z[bandK]], axis=1)
    owner = owner.ravel()
    owner[band] = cKDTree(points).query(bandCentres)[1]

    rows = np.empty((nz, ny, nx, 4), np.float32)
    closest = surface[owner].reshape(nz, ny, nx, 3)
    away = np.empty_like(closest)
    away[..., 0] = x[None, None, :] - closest[..., 0]
    away[..., 1] = y[None, :, None] - closest[..., 1]
    away[..., 2] = z[:, None, None] - closest[..., 2]
    length = np.sqrt((away * away).sum(axis=-1))
    normal = normals.astype(np.float32)[owner].reshape(nz, ny, nx, 3)
    height = (away * normal).sum(axis=-1)
    sign = np.where(height < 0, np.float32(-1), np.float32(1))
    # Within the band blend from the tangent plane (exact foot point unknown) to the point (surface may end there).
    planeShare = np.clip(2.0 - length / np.float32(PLANE_DISTANCE_MM), 0.0, 1.0)
    # Beside the border of the open surface the point is right at any distance: the plane would say "on the surface".
    lateral = np.sqrt(np.maximum(length * length - height * height, 0.0))
    planeShare *= np.clip(2.0 - lateral / np.float32(spacingMm), 0.0, 1.0)
    rows[..., 0] = planeShare * height + (1.0 - planeShare) * sign * length
    direction = planeShare[..., None] * normal + ((1.0 - planeShare) * sign / np.maximum(length, 1e-3))[..., None] * away
    direction /= np.maximum(np.sqrt((direction * direction).sum(axis=-1)), 1e-6)[..., None]
    rows[..., 1:] = direction
    return SignedDistanceTable(np.ascontiguousarray(rows.reshape(-1, 4)), origin, float(spacingMm), (nx, ny, nz))


def _propagateClosest(owner: npt.NDArray[np.int32], squared: Float32Array, squaredTo: object) -> npt.NDArray[np.int32]:
    """Two passes in which every voxel tries the closest points of its six neighbours (repairs the tie-breaking of the transform)."""
    assert callable(squaredTo)
    owner = owner.copy()
    for _unused in range(2):
        changed = 0
        for axis in range(3):
            for step in (1, -1):
                candidate = owner.copy()
                source = [slice(None)] * 3
                target = [slice(None)] * 3
                source[axis] = slice(None, -1) if step == 1 else slice(1, None)
                target[axis] = slice(1, None) if step == 1 else slice(None, -1)
                candidate[tuple(target)] = owner[tuple(source)]
                trial = squaredTo(candidate)
                better = trial < squared
                changed += int(better.sum())
                squared = np.where(better, trial, squared)
                owner = np.where(better, candidate, owner)
        if not changed:
            break
    return owner
