"""Posterior bone surface of a CT, from Hounsfield units alone or from a segmentation of the vertebrae."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BoneSurface import BoneSurface, SurfaceVertebra
from FusionRegistrationLib.SpineRegion import SpineRegion, findSpineRegion
from FusionRegistrationLib.VisibleSurface import RasGrid, SurfacePoints, gridOver, resample, seenFromBehind, surfacePoints
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

MINIMUM_SURFACE_POINTS = 400


class NoBoneSurfaceError(ValueError):
    """The CT or segmentation holds no posterior bone surface."""


@dataclasses.dataclass(frozen=True)
class BoneSurfaceParameters:
    """thresholdHu: bone from soft tissue. metalHu: above this it is metal; surface closer than metalMarginMm to it is left out.

    spacingMm: grid the surface is found on. halfWidthMm: how far from the middle of the spine it is looked for (transverse
    processes reach 45 mm); besideRibsMm: the same where ribs or iliac wings lie beside the spine.
    tableSpacingMm: voxel of the distance table.
    """

    thresholdHu: float = 200.0
    metalHu: float = 2500.0
    metalMarginMm: float = 4.0
    spacingMm: float = 1.0
    halfWidthMm: float = 50.0
    besideRibsMm: float = 30.0
    smallestPieceMm3: float = 800.0
    tableSpacingMm: float = 1.5


def extractPosteriorBoneSurface(
    voxels: npt.NDArray, ijkToRas: npt.ArrayLike, *, thresholdHu: float | None = None, parameters: BoneSurfaceParameters | None = None
) -> BoneSurface:
    """Surface of the spine's bone that ultrasound could see from behind, from Hounsfield units alone.

    voxels: (k, j, i) in HU. ijkToRas: 4x4. Only bone beside the middle of the spine counts: ribs, iliac wings, the table and things on
    the skin (markers) are left out.

    :raises NoBoneSurfaceError: nothing like a spine is in the volume.
    :raises ValueError: the volume isn't three-dimensional or the geometry is singular.
    """
    chosen = parameters or BoneSurfaceParameters()
    if thresholdHu is not None:
        chosen = dataclasses.replace(chosen, thresholdHu=thresholdHu)
    volume = _checkedVolume(voxels, ijkToRas)
    region = findSpineRegion(volume, ijkToRas, chosen.thresholdHu)
    if region is None:
        raise NoBoneSurfaceError(
            _(
                "No spine was found in the CT (bone above {thresholdHu:.0f} HU inside the body): check that it is a CT in Hounsfield units."
            ).format(thresholdHu=chosen.thresholdHu)
        )
    grid = gridOver(region.lowerRas, region.upperRas, chosen.spacingMm)
    field = resample(volume, ijkToRas, grid, 1, -1000.0).astype(np.float32)
    bone = field >= chosen.thresholdHu
    _limitToSpine(bone, grid, region, chosen)
    bone = _keepSpinePieces(bone, grid, region, chosen)
    surface = surfacePoints(field, seenFromBehind(bone), grid, chosen.thresholdHu, halfMaximum=True)
    warnings: list[str] = []
    surface = _withoutMetal(surface, field, grid, chosen, warnings)
    if len(surface.pointsRas) < MINIMUM_SURFACE_POINTS:
        raise NoBoneSurfaceError(
            _(
                "The CT shows only {count} points of posterior bone surface: "
                "check the threshold ({thresholdHu:.0f} HU) and that the CT covers the lumbar spine."
            ).format(count=len(surface.pointsRas), thresholdHu=chosen.thresholdHu)
        )
    labels = np.zeros(len(surface.pointsRas), np.int16)
    return BoneSurface(surface.pointsRas, surface.normalsRas, labels, (), region.axisRas, tuple(warnings), chosen.tableSpacingMm)


def extractPosteriorBoneSurfaceFromLabels(
    labels: npt.NDArray,
    ijkToRas: npt.ArrayLike,
    vertebraNames: Mapping[int, str] | None = None,
    *,
    parameters: BoneSurfaceParameters | None = None,
) -> BoneSurface:
    """Surface from a label volume (k, j, i) in which every vertebra (and the sacrum) has its own number.

    vertebraNames: which labels count and their names; None takes every label above 0 as a vertebra named after its number.

    :raises NoBoneSurfaceError: none of the labels is in the volume.
    :raises ValueError: the volume isn't three-dimensional or the geometry is singular.
    """
    from scipy.ndimage import find_objects, gaussian_filter

    chosen = parameters or BoneSurfaceParameters()
    volume = _checkedVolume(labels, ijkToRas)
    matrix = np.asarray(ijkToRas, float)
    present = np.array([label for label in np.unique(volume) if label > 0], int)
    if vertebraNames is not None:
        present = np.array([label for label in present if int(label) in vertebraNames], int)
    if len(present) == 0:
        raise NoBoneSurfaceError(_("The segmentation holds none of the vertebrae asked for: check the label numbers."))
    boxes = find_objects(volume.astype(np.int32))
    lower, upper = np.full(3, np.inf), np.full(3, -np.inf)
    vertebrae = []
    wanted = np.zeros(volume.shape, np.float32)
    for label in present:
        box = boxes[label - 1]
        mine = volume[box] == label
        wanted[box][mine] = 1.0
        start = np.array([part.start for part in box], float)
        centre = np.array([float(np.mean(axis)) for axis in np.nonzero(mine)]) + start
        centreRas = matrix[:3, :3] @ centre[::-1] + matrix[:3, 3]
        name = (vertebraNames or {}).get(int(label), str(int(label)))
        vertebrae.append(SurfaceVertebra(int(label), name, (float(centreRas[0]), float(centreRas[1]), float(centreRas[2]))))
        corners = np.array([[(part.start, part.stop - 1)[c] for part, c in zip(box, bits)] for bits in np.ndindex(2, 2, 2)], float)
        cornersRas = corners[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
        lower, upper = np.minimum(lower, cornersRas.min(axis=0)), np.maximum(upper, cornersRas.max(axis=0))
    vertebrae.sort(key=lambda vertebra: -vertebra.centreRas[2])
    # Smoothing over the source's voxels takes the staircase off the labels before they are interpolated.
    crop = _cropAround(wanted, matrix, lower - 6.0, upper + 6.0)
    smooth = gaussian_filter(crop[0], 0.7, truncate=3.0)
    grid = gridOver(lower - 4.0, upper + 4.0, chosen.spacingMm)
    field = resample(smooth, crop[1], grid, 1, 0.0).astype(np.float32)
    surface = surfacePoints(field, seenFromBehind(field >= 0.5), grid, 0.5)
    if len(surface.pointsRas) < MINIMUM_SURFACE_POINTS:
        raise NoBoneSurfaceError(
            _("The segmentation shows only {count} points of posterior bone surface.").format(count=len(surface.pointsRas))
        )
    pointLabels = _labelsAt(volume, matrix, surface, present)
    axis = _axisThrough(np.array([vertebra.centreRas for vertebra in vertebrae]), lower, upper)
    return BoneSurface(surface.pointsRas, surface.normalsRas, pointLabels, tuple(vertebrae), axis, (), chosen.tableSpacingMm)


def _checkedVolume(voxels: npt.NDArray, ijkToRas: npt.ArrayLike) -> npt.NDArray:
    volume = np.asarray(voxels)
    matrix = np.asarray(ijkToRas, float)
    if volume.ndim != 3 or min(volume.shape) < 2:
        raise ValueError(
            _("The volume has shape {volumeShape}: a three-dimensional CT with at least two slices is needed.").format(
                volumeShape=volume.shape
            )
        )
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError(_("The geometry of the volume (ijkToRas) is no usable 4x4 matrix."))
    return volume


def _cropAround(values: npt.NDArray, matrix: FloatArray, lowerRas: FloatArray, upperRas: FloatArray) -> tuple[npt.NDArray, FloatArray]:
    """The part of a volume that covers a box, and its own ijkToRas."""
    corners = np.array([[(lowerRas, upperRas)[bits[axis]][axis] for axis in range(3)] for bits in np.ndindex(2, 2, 2)])
    inverse = np.linalg.inv(matrix)
    ijk = corners @ inverse[:3, :3].T + inverse[:3, 3]
    size = np.array(values.shape[::-1])
    first = np.clip(np.floor(ijk.min(axis=0)).astype(int), 0, size - 1)
    last = np.clip(np.ceil(ijk.max(axis=0)).astype(int), 0, size - 1)
    moved = matrix.copy()
    moved[:3, 3] = matrix[:3, :3] @ first + matrix[:3, 3]
    return values[first[2] : last[2] + 1, first[1] : last[1] + 1, first[0] : last[0] + 1], moved


def _limitToSpine(bone: npt.NDArray[np.bool_], grid: RasGrid, region: SpineRegion, chosen: BoneSurfaceParameters) -> None:
    """Take away what lies too far beside the middle of the spine, in place."""
    x = grid.originRas[0] + grid.spacingMm * np.arange(grid.shape[2])
    z = grid.originRas[2] + grid.spacingMm * np.arange(grid.shape[0])
    middle = np.interp(z, region.axisRas[:, 2], region.axisRas[:, 0])
    crowded = np.interp(z, region.axisRas[:, 2], region.boneBeside.astype(float)) > 0.5
    limit = np.where(crowded, chosen.besideRibsMm, chosen.halfWidthMm)
    bone &= (np.abs(x[None, :] - middle[:, None]) <= limit[:, None])[:, None, :]


def _keepSpinePieces(
    bone: npt.NDArray[np.bool_], grid: RasGrid, region: SpineRegion, chosen: BoneSurfaceParameters
) -> npt.NDArray[np.bool_]:
    """Connected pieces that are large enough, reach near the middle of the spine and lie inside the body."""
    from scipy.ndimage import label

    pieces, count = label(bone)
    if count == 0:
        return bone
    flat = np.flatnonzero(bone)
    ids = pieces.ravel()[flat]
    z, rest = np.divmod(flat, grid.shape[1] * grid.shape[2])
    y, x = np.divmod(rest, grid.shape[2])
    sizes = np.bincount(ids, minlength=count + 1) * grid.spacingMm**3
    heights = grid.originRas[2] + grid.spacingMm * z
    middle = np.interp(heights, region.axisRas[:, 2], region.axisRas[:, 0])
    near = np.bincount(ids, np.abs(grid.originRas[0] + grid.spacingMm * x - middle) <= 22.0, minlength=count + 1)
    inBody = np.bincount(ids, region.insideBody(np.stack([x, y, z], axis=1) * grid.spacingMm + grid.originRas), minlength=count + 1)
    total = np.maximum(np.bincount(ids, minlength=count + 1), 1)
    keep = (sizes >= chosen.smallestPieceMm3) & (near * grid.spacingMm**3 >= 100.0) & (inBody / total > 0.85)
    keep[0] = False
    result: npt.NDArray[np.bool_] = keep[pieces]
    return result


def _withoutMetal(
    surface: SurfacePoints, field: npt.NDArray[np.float32], grid: RasGrid, chosen: BoneSurfaceParameters, warnings: list[str]
) -> SurfacePoints:
    """Leave out surface points near metal and say so."""
    from scipy.spatial import cKDTree

    metal = np.argwhere(field >= chosen.metalHu)
    if len(metal) * grid.spacingMm**3 < 20.0 or len(surface.pointsRas) == 0:
        return surface
    near = np.isfinite(cKDTree(grid.pointsOf(metal)).query(surface.pointsRas, distance_upper_bound=chosen.metalMarginMm)[0])
    if near.any():
        warnings.append(
            _(
                "Metal in the bone: {mean:.0f} % of the surface lies within {metalMarginMm:.0f} mm of it and is left out; "
                "streaks may bend the rest."
            ).format(mean=100 * near.mean(), metalMarginMm=chosen.metalMarginMm)
        )
    return SurfacePoints(surface.pointsRas[~near], surface.normalsRas[~near])


def _labelsAt(volume: npt.NDArray, matrix: FloatArray, surface: SurfacePoints, present: npt.NDArray[np.int_]) -> npt.NDArray[np.int16]:
    """Label of every surface point: read a little way inside the bone, deeper when that misses, else as the nearest point has."""
    from scipy.spatial import cKDTree

    inverse = np.linalg.inv(matrix)
    upper = np.array(volume.shape[::-1]) - 1
    labels = np.zeros(len(surface.pointsRas), np.int16)
    voxel = float(np.linalg.norm(matrix[:3, :3], axis=0).max())
    for depth in (0.5, 1.0, 0.0, 1.5):
        ijk = np.rint((surface.pointsRas - depth * voxel * surface.normalsRas) @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
        ijk = np.clip(ijk, 0, upper)
        read = volume[ijk[:, 2], ijk[:, 1], ijk[:, 0]].astype(np.int16)
        read[~np.isin(read, present)] = 0
        labels = np.where(labels == 0, read, labels)
    missing = labels == 0
    if missing.any() and not missing.all():
        labels[missing] = labels[~missing][cKDTree(surface.pointsRas[~missing]).query(surface.pointsRas[missing])[1]]
    return labels


def _axisThrough(centresHeadToFoot: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Polyline from foot to head through the vertebra centres, extended by half a vertebra at both ends."""
    centres = centresHeadToFoot[::-1]
    if len(centres) == 1:
        half = max(10.0, float(upper[2] - lower[2]) / 2.0)
        return np.stack([centres[0] - [0, 0, half], centres[0], centres[0] + [0, 0, half]])
    first, last = centres[0] - 0.5 * (centres[1] - centres[0]), centres[-1] + 0.5 * (centres[-1] - centres[-2])
    return np.vstack([first, centres, last])
