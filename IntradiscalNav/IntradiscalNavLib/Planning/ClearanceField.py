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
from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid, trilinear
from IntradiscalNavLib.Planning.NerveModel import NervePath
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.StructureNames import BONE_KINDS, StructureKind

FloatArray = npt.NDArray[np.float64]

FIELD_SPACING_MM = 1.0
SOFT_SPACING_MM = 2.0
UNITS_PER_MM = 8.0
FAR_MM = 120.0 / UNITS_PER_MM
"""Distances are clipped here (15 mm): beyond, more room changes nothing."""
CAP_UNITS = 80
"""The combined clearance is clipped at 10 mm: no structure's distance less its margin is known beyond, and the march relies on never
jumping farther than is known to be free."""
BORDER_DEPTH = 0.3
"""Depth of the nearest border voxel's centre under the surface, in voxels: half a voxel for a plane along the grid, less for any other;
measured on spheres."""
SHARE_TO_MM = 1.0
CONVEX_BIAS_MM = 0.1
EDGE_MM = 6.0
"""The fields reach this far beyond the box of the paths, more than any margin."""

SOFT_KINDS = {
    "vessel": StructureKind.VESSEL,
    "bowel": StructureKind.BOWEL,
    "kidney": StructureKind.KIDNEY,
    "organ": StructureKind.ORGAN,
}
NERVE_STRUCTURES = ("root", "dura")


@dataclass(frozen=True)
class DistanceField:
    """Signed distance (mm, negative inside) of one structure on a grid, clipped at ``FAR_MM``; ``others`` are further parts of the same
    structure (drawn roots beside modelled ones), the nearest counts."""

    grid: RasGrid
    values: npt.NDArray[np.float32]
    others: tuple[DistanceField, ...] = ()

    def at(self, pointsRas: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Trilinear distance (...) at points (..., 3); the nearest edge value outside the grid."""
        nearest = self._interpolated(pointsRas)
        for other in self.others:
            np.minimum(nearest, other.at(pointsRas), out=nearest)
        return nearest

    def nearestAt(self, pointsRas: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Distance (...) at the nodes nearest to points (..., 3): coarse and fast; ``others`` are left out."""
        index = ((np.asarray(pointsRas) - np.asarray(self.grid.originRas)) / np.asarray(self.grid.spacingMm) + 0.5).astype(np.int32)
        count = self.grid.shape[::-1]
        i, j, k = (np.clip(index[..., axis], 0, count[axis] - 1) for axis in range(3))
        result: npt.NDArray[np.float32] = self.values.reshape(-1).take((k * count[1] + j) * count[0] + i)
        return result

    def _interpolated(self, pointsRas: npt.ArrayLike) -> npt.NDArray[np.float32]:
        points = np.asarray(pointsRas)
        x = (points - np.asarray(self.grid.originRas)) / np.asarray(self.grid.spacingMm)
        count = np.asarray(self.grid.shape)[::-1]
        x = np.clip(x, 0.0, count - 1.000001)
        base = x.astype(np.int32)
        f = (x - base).astype(np.float32)
        ni, nj = int(count[0]), int(count[1])
        index = (base[..., 2] * nj + base[..., 1]) * ni + base[..., 0]
        flat = self.values.reshape(-1)
        return trilinear(flat, index, ni, nj, f[..., 0], f[..., 1], f[..., 2])


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


def shareOnGrid(anatomy: SpineAnatomy, values: tuple[int, ...], grid: RasGrid) -> npt.NDArray[np.float32]:
    """Share (0..1) of label values on a grid, interpolated linearly between voxels: one half is the surface, smooth for coarse labels
    too."""
    rasToIjk = np.linalg.inv(anatomy.ijkToRas)
    extent = np.array([grid.axis(a)[[0, -1]] for a in range(3)])
    corners = np.array([[extent[0, a], extent[1, b], extent[2, c]] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    ijk = corners @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    low = np.maximum(np.floor(ijk.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(ijk.max(0)).astype(int) + 2, np.array(anatomy.labels.shape)[::-1])
    if (high <= low).any():
        return np.zeros(grid.shape, np.float32)
    lookup = np.zeros(256, bool)
    lookup[list(values)] = True
    crop = lookup[anatomy.labels[low[2] : high[2], low[1] : high[1], low[0] : high[0]]]
    affine = anatomy.ijkToRas.copy()
    affine[:3, 3] = affine[:3, :3] @ low + affine[:3, 3]
    result: npt.NDArray[np.float32] = resampleToGrid(crop, affine, grid)
    return result


def distanceToMask(mask: npt.NDArray[np.bool_], spacingMm: float) -> npt.NDArray[np.float32]:
    """Signed distance (mm) from the surface of a mask: Maurer's exact transform measures to the centres of border voxels, which lie
    ``BORDER_DEPTH`` voxels inside.
    ``FAR_MM`` everywhere for an empty mask."""
    if not mask.any():
        return np.full(mask.shape, FAR_MM, np.float32)
    import SimpleITK

    image = SimpleITK.GetImageFromArray(mask.view(np.uint8))
    distance = SimpleITK.SignedMaurerDistanceMap(image, insideIsPositive=False, squaredDistance=False, useImageSpacing=False)
    values = SimpleITK.GetArrayFromImage(distance).astype(np.float32, copy=False)
    values -= np.float32(BORDER_DEPTH)
    if spacingMm != 1.0:
        values *= np.float32(spacingMm)
    np.clip(values, -FAR_MM, FAR_MM, out=values)
    return values


def distanceToSurface(
    share: npt.NDArray[np.float32], spacingMm: float, voxelMm: npt.ArrayLike = (1.0, 1.0, 1.0)
) -> npt.NDArray[np.float32]:
    """Signed distance (mm) from the surface where a share passes one half.

    Nodes through which the surface passes take their distance from the share itself, which falls from 1 to 0 over one voxel of the
    segmentation (``voxelMm``: its extent along R, A, S; at least ``SHARE_TO_MM``), so that the surface is known below the grid's
    spacing. The bias makes up for what linear interpolation shaves off convex bone; both were measured against the triangulated surface:
    99.6 % of bone flags equal, against 99.3 % from the mask alone without the bias.
    """
    values = distanceToMask(share >= 0.5, spacingMm)
    values -= np.float32(CONVEX_BIAS_MM)
    passing = np.nonzero((share > 0.0) & (share < 1.0))
    extent = np.asarray(voxelMm, float)
    if extent.max() <= SHARE_TO_MM:
        fall: npt.NDArray | float = SHARE_TO_MM
    else:
        gradient = np.empty((3, len(passing[0])), np.float32)
        for axis in range(3):  # S, A, R
            ahead, behind = list(passing), list(passing)
            ahead[axis] = np.minimum(passing[axis] + 1, share.shape[axis] - 1)
            behind[axis] = np.maximum(passing[axis] - 1, 0)
            gradient[2 - axis] = share[tuple(ahead)] - share[tuple(behind)]
        size = np.maximum(np.linalg.norm(gradient, axis=0), 1e-6)
        fall = np.maximum(np.sqrt(((gradient / size) ** 2 * (extent**2)[:, None]).sum(0)), SHARE_TO_MM)
    values[passing] = (0.5 - share[passing]) * fall - np.float32(CONVEX_BIAS_MM)
    return values


@dataclass(frozen=True)
class _Window:
    """Part of the main grid, its limits on even nodes so that every second node makes the soft grid."""

    low: tuple[int, int, int]
    high: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        return slice(self.low[0], self.high[0] + 1), slice(self.low[1], self.high[1] + 1), slice(self.low[2], self.high[2] + 1)

    def grid(self, main: RasGrid, step: int) -> RasGrid:
        origin = [main.originRas[ras] + main.spacingMm[ras] * self.low[2 - ras] for ras in range(3)]
        count = [(high - low) // step + 1 for low, high in zip(self.low, self.high)]
        spacing = step * main.spacingMm[0]
        return RasGrid((origin[0], origin[1], origin[2]), (spacing,) * 3, (count[0], count[1], count[2]))


def _windowAround(low: npt.NDArray, high: npt.NDArray, main: RasGrid, padMm: float) -> _Window | None:
    """Window of the main grid round a box of main-grid indices (k, j, i), padded; None when it misses the grid."""
    pad = int(np.ceil(padMm / main.spacingMm[0]))
    last = np.asarray(main.shape) - 1
    start = np.maximum(low.astype(int) - pad, 0) // 2 * 2
    end = np.minimum((high.astype(int) + pad + 1) // 2 * 2, last)
    if (end - start < 2).any():
        return None
    return _Window((int(start[0]), int(start[1]), int(start[2])), (int(end[0]), int(end[1]), int(end[2])))


def _windowOfMask(mask: npt.NDArray[np.bool_], main: RasGrid, padMm: float) -> _Window | None:
    """Window round a mask given on every second node of the main grid."""
    limits = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        if len(found) == 0:
            return None
        limits.append((2 * found[0], 2 * found[-1]))
    low, high = np.array(limits).T
    return _windowAround(low, high, main, padMm)


def _doubled(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Linear interpolation onto twice as fine a grid with the same corners: shape n becomes 2 n - 1."""
    for axis in range(3):
        shape = list(values.shape)
        shape[axis] = 2 * shape[axis] - 1
        out = np.empty(shape, np.float32)
        even: list[slice] = [slice(None)] * 3
        odd: list[slice] = [slice(None)] * 3
        first: list[slice] = [slice(None)] * 3
        second: list[slice] = [slice(None)] * 3
        even[axis], odd[axis], first[axis], second[axis] = slice(0, None, 2), slice(1, None, 2), slice(0, -1), slice(1, None)
        out[tuple(even)] = values
        np.add(values[tuple(first)], values[tuple(second)], out=out[tuple(odd)])
        out[tuple(odd)] *= np.float32(0.5)
        values = out
    return values


def _nerveDistance(nerves: list[NervePath], grid: RasGrid) -> npt.NDArray[np.float32]:
    s, a, r = grid.axis(2), grid.axis(1), grid.axis(0)
    points = np.stack(np.broadcast_arrays(r[None, None, :], a[None, :, None], s[:, None, None]), axis=-1)
    values = np.full(grid.shape, FAR_MM, np.float32)
    for nerve in nerves:
        reach = FAR_MM + float(nerve.radiusMm.max())
        low, high = nerve.pointsRas.min(0) - reach, nerve.pointsRas.max(0) + reach
        window = tuple(slice(*np.searchsorted(axis, [low[ras], high[ras]])) for ras, axis in ((2, s), (1, a), (0, r)))
        if values[window].size:
            np.minimum(values[window], nerve.distanceMm(points[window]).astype(np.float32), out=values[window])
    return values


def _lower(combined: npt.NDArray[np.int8], window: _Window, clearanceMm: npt.NDArray[np.float32]) -> None:
    """Lower the combined field to a clearance over a window."""
    scaled = clearanceMm * np.float32(UNITS_PER_MM)
    np.rint(scaled, out=scaled)
    np.clip(scaled, -127, CAP_UNITS, out=scaled)
    part = combined[window.slices]
    np.minimum(part, scaled.astype(np.int8), out=part)


def _facetMargin(grid: RasGrid, facet: FacetJoint, parameters: PlanningParameters) -> npt.NDArray[np.float32]:
    offset = [(grid.axis(ras) - facet.capsuleTargetRas[ras]).astype(np.float32) for ras in range(3)]
    distance = np.sqrt(offset[2][:, None, None] ** 2 + offset[1][None, :, None] ** 2 + offset[0][None, None, :] ** 2)
    result: npt.NDArray[np.float32] = np.clip(
        distance - parameters.facetContactRadiusMm, -parameters.facetContactDepthMm, parameters.boneMarginMm
    ).astype(np.float32)
    return result


def buildClearanceField(
    anatomy: SpineAnatomy,
    lowRas: npt.ArrayLike,
    highRas: npt.ArrayLike,
    parameters: PlanningParameters,
    facet: FacetJoint | None = None,
) -> ClearanceField:
    """Fields over the box from ``lowRas`` to ``highRas`` (RAS mm), which must hold every path to be looked at.

    Every structure is measured only in a window that reaches ``FAR_MM`` beyond it.

    :param facet: the target joint of a facet path: contact with bone is legal around its capsule.
    """
    low, high = np.asarray(lowRas, float) - EDGE_MM, np.asarray(highRas, float) + EDGE_MM
    grid = RasGrid.around(low, high, FIELD_SPACING_MM)
    grid = RasGrid(grid.originRas, grid.spacingMm, (grid.shape[0] | 1, grid.shape[1] | 1, grid.shape[2] | 1))
    whole = _Window((0, 0, 0), (grid.shape[0] - 1, grid.shape[1] - 1, grid.shape[2] - 1))
    softLabels = resampleToGrid(anatomy.labels, anatomy.ijkToRas, whole.grid(grid, 2), linear=False)
    margins = {name: parameters.marginMm(name) for name in ("bone", *NERVE_STRUCTURES, *SOFT_KINDS)}
    voxelMm = np.abs(anatomy.ijkToRas[:3, :3]).max(axis=1)
    segmented = np.full(grid.shape, CAP_UNITS, np.int8)
    modelled = np.full(grid.shape, CAP_UNITS, np.int8)
    structures: dict[str, DistanceField] = {}

    def present(*kinds: StructureKind) -> npt.NDArray[np.bool_]:
        lookup = np.zeros(256, bool)
        lookup[list(anatomy.labelValues(*kinds))] = True
        result: npt.NDArray[np.bool_] = lookup[softLabels]
        return result

    for name, kinds in (("bone", tuple(BONE_KINDS)), *((kind.value, (kind,)) for kind in (StructureKind.ROOT, StructureKind.DURA))):
        window = _windowOfMask(present(*kinds), grid, FAR_MM + 2.0)
        if window is None:
            continue
        fine = window.grid(grid, 1)
        distance = distanceToSurface(shareOnGrid(anatomy, anatomy.labelValues(*kinds), fine), FIELD_SPACING_MM, voxelMm)
        structures[name] = DistanceField(fine, distance)
        margin = np.float32(margins[name]) if facet is None or name != "bone" else _facetMargin(fine, facet, parameters)
        _lower(segmented, window, distance - margin)
    for name, kind in (*SOFT_KINDS.items(), ("ilium", StructureKind.ILIUM)):
        mask = present(kind)
        window = _windowOfMask(mask, grid, FAR_MM + 2.0)
        if window is None:
            continue
        distance = distanceToMask(mask[tuple(slice(part.start // 2, part.stop // 2 + 1) for part in window.slices)], SOFT_SPACING_MM)
        structures[name] = DistanceField(window.grid(grid, 2), distance)
        if name in margins:
            _lower(segmented, window, _doubled(distance - np.float32(margins[name])))
    sigmas = []
    for name in NERVE_STRUCTURES:
        nerves = [nerve for nerve in anatomy.nerves if nerve.kind == name]
        points = [nerve.pointsRas for nerve in nerves]
        if not points:
            continue
        box = (np.concatenate(points) - np.asarray(grid.originRas)) / FIELD_SPACING_MM
        thickest = max(float(nerve.radiusMm.max()) for nerve in nerves)
        window = _windowAround(box.min(0)[::-1], box.max(0)[::-1], grid, FAR_MM + thickest + 2.0)
        if window is None:
            continue
        soft = window.grid(grid, 2)
        distance = _nerveDistance(nerves, soft)
        _lower(modelled, window, _doubled(distance - np.float32(margins[name])))
        drawn = structures.get(name)
        structures[name] = DistanceField(soft, distance, () if drawn is None else (drawn,))
        middle = 0.5 * (low + high)
        sigmas += [n.meanSigmaMm for n in nerves if name == "root" and np.linalg.norm(n.pointsRas.mean(0) - middle) < 90.0]
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
