"""Distance fields of the structures a needle must avoid, and their combination for the search.

The combined field holds ``min over structures of (distance - margin)`` in eighths of a millimetre (int8, +-15.9 mm) on a 1 mm RAS grid.
It is 1-Lipschitz, which the ray march relies on. Bone is measured on the 1 mm grid; vessels, bowel and organs, whose margins are wide,
on a 2 mm grid; modelled nerves exactly from their polylines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.DiscGeometry import FacetJoint
from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.StructureNames import BONE_KINDS, StructureKind

FloatArray = npt.NDArray[np.float64]

FIELD_SPACING_MM = 1.0
SOFT_SPACING_MM = 2.0
UNITS_PER_MM = 8.0
FAR_MM = 120.0 / UNITS_PER_MM
"""Distances are clipped here (15 mm): beyond, more room changes nothing."""

SOFT_KINDS = {
    "vessel": StructureKind.VESSEL,
    "bowel": StructureKind.BOWEL,
    "kidney": StructureKind.KIDNEY,
    "organ": StructureKind.ORGAN,
}
NERVE_STRUCTURES = ("root", "dura")


@dataclass(frozen=True)
class DistanceField:
    """Signed distance (mm, negative inside) of one structure on a grid, clipped at ``FAR_MM``."""

    grid: RasGrid
    values: npt.NDArray[np.float32]

    def at(self, pointsRas: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Trilinear distance (...) at points (..., 3); the nearest edge value outside the grid."""
        points = np.asarray(pointsRas)
        x = (points - np.asarray(self.grid.originRas)) / np.asarray(self.grid.spacingMm)
        count = np.asarray(self.grid.shape)[::-1]
        x = np.clip(x, 0.0, count - 1.000001)
        base = x.astype(np.int32)
        f = (x - base).astype(np.float32)
        ni, nj = int(count[0]), int(count[1])
        index = (base[..., 2] * nj + base[..., 1]) * ni + base[..., 0]
        flat = self.values.reshape(-1)
        fx, fy, fz = f[..., 0], f[..., 1], f[..., 2]

        def row(offset: int) -> npt.NDArray[np.float32]:
            first = flat.take(index + offset, mode="clip")
            result: npt.NDArray[np.float32] = first + fx * (flat.take(index + offset + 1, mode="clip") - first)
            return result

        low = row(0)
        low += fy * (row(ni) - low)
        high = row(ni * nj)
        high += fy * (row(ni * nj + ni) - high)
        result: npt.NDArray[np.float32] = low + fz * (high - low)
        return result


@dataclass(frozen=True)
class ClearanceField:
    """What the search and the evaluation look up.

    ``combined`` is the int8 field of everything; ``segmented`` and ``modelled`` are its two parts, apart because modelled nerves carry
    their own uncertainty (``nerveSigmaMm``). ``structures`` are signed distances by name. ``lipschitz`` is the combined field's constant.
    """

    grid: RasGrid
    combined: npt.NDArray[np.int8]
    segmented: npt.NDArray[np.int8]
    modelled: npt.NDArray[np.int8]
    structures: Mapping[str, DistanceField]
    marginsMm: Mapping[str, float]
    nerveSigmaMm: float
    lipschitz: float
    contact: FacetJoint | None = None
    contactRadiusMm: float = 0.0
    contactDepthMm: float = 0.0

    def boneMarginAt(self, pointsRas: FloatArray) -> FloatArray:
        """Bone margin (mm) at points: constant for a disc; around a facet target contact is legal, so that it falls to minus the contact
        depth."""
        margin = self.marginsMm["bone"]
        if self.contact is None:
            return np.full(pointsRas.shape[:-1], margin)
        distance = np.linalg.norm(pointsRas - self.contact.capsuleTargetRas, axis=-1)
        return np.clip(distance - self.contactRadiusMm, -self.contactDepthMm, margin)

    @property
    def byteCount(self) -> int:
        """Memory of all fields in bytes."""
        return int(
            sum(a.nbytes for a in (self.combined, self.segmented, self.modelled)) + sum(s.values.nbytes for s in self.structures.values())
        )


def maskOnGrid(anatomy: SpineAnatomy, values: tuple[int, ...], grid: RasGrid, *, smooth: bool) -> npt.NDArray[np.bool_] | None:
    """Mask of label values on a grid, from a crop of the label array; None when no voxel of them is near."""
    if not values:
        return None
    rasToIjk = np.linalg.inv(anatomy.ijkToRas)
    extent = np.array([grid.axis(a)[[0, -1]] for a in range(3)])
    corners = np.array([[extent[0, a], extent[1, b], extent[2, c]] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    ijk = corners @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    low = np.maximum(np.floor(ijk.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(ijk.max(0)).astype(int) + 2, np.array(anatomy.labels.shape)[::-1])
    if (high <= low).any():
        return None
    lookup = np.zeros(256, bool)
    lookup[list(values)] = True
    crop = lookup[anatomy.labels[low[2] : high[2], low[1] : high[1], low[0] : high[0]]]
    if not crop.any():
        return None
    affine = anatomy.ijkToRas.copy()
    affine[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    sampled = resampleToGrid(crop, affine, grid, linear=smooth)
    mask = sampled >= 0.5 if smooth else sampled
    return mask if mask.any() else None


def distanceToMask(mask: npt.NDArray[np.bool_] | None, grid: RasGrid) -> npt.NDArray[np.float32]:
    """Signed distance (mm) from the surface of a mask: Maurer's exact transform, moved half a voxel from border voxels to the surface."""
    if mask is None:
        return np.full(grid.shape, FAR_MM, np.float32)
    import SimpleITK

    image = SimpleITK.GetImageFromArray(mask.view(np.uint8))
    image.SetSpacing(grid.spacingMm)
    distance = SimpleITK.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=True)
    values = SimpleITK.GetArrayFromImage(distance).astype(np.float32, copy=False)
    values -= 0.5 * grid.spacingMm[0]
    np.clip(values, -FAR_MM, FAR_MM, out=values)
    return values


def _nerveDistance(anatomy: SpineAnatomy, kind: str, grid: RasGrid) -> npt.NDArray[np.float32] | None:
    values = np.full(grid.shape, FAR_MM, np.float32)
    near = False
    for nerve in anatomy.nerves:
        if nerve.kind != kind:
            continue
        reach = FAR_MM + float(nerve.radiusMm.max())
        low, high = nerve.pointsRas.min(0) - reach, nerve.pointsRas.max(0) + reach
        window = []
        for ras in (2, 1, 0):
            axis = grid.axis(ras)
            inside = np.flatnonzero((axis >= low[ras]) & (axis <= high[ras]))
            window.append(slice(int(inside[0]), int(inside[-1]) + 1) if len(inside) else slice(0, 0))
        part = values[tuple(window)]
        if part.size == 0:
            continue
        s, a, r = (grid.axis(ras)[w] for ras, w in zip((2, 1, 0), window))
        points = np.stack(np.broadcast_arrays(r[None, None, :], a[None, :, None], s[:, None, None]), axis=-1)
        np.minimum(part, nerve.distanceMm(points).astype(np.float32), out=part)
        near = True
    return values if near else None


def _upsample(soft: npt.NDArray[np.float32], softGrid: RasGrid, grid: RasGrid) -> npt.NDArray[np.float32]:
    softToRas = np.diag([*softGrid.spacingMm, 1.0])
    softToRas[:3, 3] = softGrid.originRas
    return resampleToGrid(soft, softToRas, grid, outside=FAR_MM)


def _toInt8(clearanceMm: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    scaled = clearanceMm * np.float32(UNITS_PER_MM)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -127, 127, out=scaled)
    return scaled.astype(np.int8)


def buildClearanceField(
    anatomy: SpineAnatomy,
    lowRas: npt.ArrayLike,
    highRas: npt.ArrayLike,
    parameters: PlanningParameters,
    facet: FacetJoint | None = None,
) -> ClearanceField:
    """Fields over the box from ``lowRas`` to ``highRas`` (RAS mm), which must hold every path to be looked at.

    :param facet: the target joint of a facet path: contact with bone is legal around its capsule.
    """
    low, high = np.asarray(lowRas, float) - 6.0, np.asarray(highRas, float) + 6.0
    grid = RasGrid.around(low, high, FIELD_SPACING_MM)
    softGrid = RasGrid.around(low, high + SOFT_SPACING_MM, SOFT_SPACING_MM)
    margins = {name: parameters.marginMm(name) for name in ("bone", *NERVE_STRUCTURES, *SOFT_KINDS)}
    bone = distanceToMask(maskOnGrid(anatomy, anatomy.labelValues(*BONE_KINDS), grid, smooth=True), grid)
    structures: dict[str, DistanceField] = {"bone": DistanceField(grid, bone)}
    softClearance: npt.NDArray[np.float32] | None = None
    for name, kind in SOFT_KINDS.items():
        mask = maskOnGrid(anatomy, anatomy.labelValues(kind), softGrid, smooth=True)
        if mask is None:
            continue
        distance = distanceToMask(mask, softGrid)
        structures[name] = DistanceField(softGrid, distance)
        clearance = distance - np.float32(margins[name])
        softClearance = clearance if softClearance is None else np.minimum(softClearance, clearance, out=softClearance)
    ilium = maskOnGrid(anatomy, anatomy.labelValues(StructureKind.ILIUM), softGrid, smooth=True)
    if ilium is not None:
        structures["ilium"] = DistanceField(softGrid, distanceToMask(ilium, softGrid))
    modelledClearance: npt.NDArray[np.float32] | None = None
    for name, kind in (("root", StructureKind.ROOT), ("dura", StructureKind.DURA)):
        nearest = _nerveDistance(anatomy, name, softGrid)
        if nearest is not None:
            clearance = nearest - np.float32(margins[name])
            modelledClearance = clearance if modelledClearance is None else np.minimum(modelledClearance, clearance)
        drawn = maskOnGrid(anatomy, anatomy.labelValues(kind), softGrid, smooth=True)
        if drawn is not None:
            drawnDistance = distanceToMask(drawn, softGrid)
            clearance = drawnDistance - np.float32(margins[name])
            softClearance = clearance if softClearance is None else np.minimum(softClearance, clearance)
            nearest = drawnDistance if nearest is None else np.minimum(nearest, drawnDistance)
        if nearest is not None:
            structures[name] = DistanceField(softGrid, nearest)
    boneMargin: npt.NDArray[np.float32] | float = margins["bone"]
    if facet is not None:
        offset = [(grid.axis(ras) - facet.capsuleTargetRas[ras]).astype(np.float32) for ras in range(3)]
        distance = np.sqrt(offset[2][:, None, None] ** 2 + offset[1][None, :, None] ** 2 + offset[0][None, None, :] ** 2)
        boneMargin = np.clip(distance - parameters.facetContactRadiusMm, -parameters.facetContactDepthMm, margins["bone"])
    rest = bone - np.float32(boneMargin) if isinstance(boneMargin, float) else bone - boneMargin
    if softClearance is not None:
        np.minimum(rest, _upsample(softClearance, softGrid, grid), out=rest)
    segmented = _toInt8(rest)
    modelled = np.full(grid.shape, 127, np.int8) if modelledClearance is None else _toInt8(_upsample(modelledClearance, softGrid, grid))
    middle = 0.5 * (low + high)
    sigmas = [n.meanSigmaMm for n in anatomy.nerves if n.kind == "root" and np.linalg.norm(n.pointsRas.mean(0) - middle) < 90.0]
    return ClearanceField(
        grid,
        np.minimum(segmented, modelled),
        segmented,
        modelled,
        structures,
        margins,
        float(np.sqrt(np.mean(np.square(sigmas)))) if sigmas else 0.0,
        1.0 if facet is None else 2.0,
        facet,
        parameters.facetContactRadiusMm,
        parameters.facetContactDepthMm,
    )
