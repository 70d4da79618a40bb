"""Re-check of the few best paths on the segmentation itself, at its own resolution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.StructureNames import BONE_KINDS

FloatArray = npt.NDArray[np.float64]

NEAR_BONE_MM = 3.0
"""Only samples this near to bone on the 1 mm field are looked up again: the field is never wrong by that much."""


def crossesBone(context: PlanContext, entriesRas: FloatArray, targetsRas: FloatArray, stepMm: float = 0.25) -> npt.NDArray[np.bool_]:
    """Whether each path (n) passes through bone of the original label array, sampled every ``stepMm``, interpolated between voxels.

    For a facet target, bone inside the contact radius may be touched to the contact depth: samples there are left to the field's margin.
    """
    entries, targets = np.atleast_2d(entriesRas), np.atleast_2d(targetsRas)
    length = np.linalg.norm(targets - entries, axis=1)
    bone = context.field.structures["bone"]
    coarseCount = int(np.ceil(float(length.max()))) + 1
    coarse = np.linspace(0.0, 1.0, coarseCount)
    points = entries[:, None, :] + coarse[None, :, None] * (targets - entries)[:, None, :]
    near = bone.nearestAt(points) < NEAR_BONE_MM
    if context.facet is not None:
        near &= np.linalg.norm(points - context.facet.capsuleTargetRas, axis=-1) > context.field.contactRadiusMm
    path, position = np.nonzero(near)
    crossing = np.zeros(len(entries), bool)
    if len(path) == 0:
        return crossing
    spacing = length[path] / (coarseCount - 1)
    count = int(np.ceil(float(spacing.max()) / stepMm))
    offset = (np.arange(count) / count - 0.5) / (coarseCount - 1)
    share = np.clip(coarse[position][:, None] + offset, 0.0, 1.0)
    fine = entries[path][:, None, :] + share[..., None] * (targets - entries)[path][:, None, :]
    inside = boneShareAt(context, fine.reshape(-1, 3)).reshape(share.shape) >= 0.5
    np.logical_or.at(crossing, path, inside.any(1))
    return crossing


def boneShareAt(context: PlanContext, pointsRas: FloatArray) -> npt.NDArray[np.float32]:
    """Share of bone (0..1) at points (n, 3): the label array's bone mask, interpolated linearly at its own resolution."""
    from scipy.ndimage import map_coordinates

    anatomy = context.anatomy
    rasToIjk = np.linalg.inv(anatomy.ijkToRas)
    ijk = pointsRas @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]
    limit = np.array(anatomy.labels.shape)[::-1]
    low = np.clip(np.floor(ijk.min(0)).astype(int) - 1, 0, limit - 1)
    high = np.clip(np.ceil(ijk.max(0)).astype(int) + 2, 1, limit)
    lookup = np.zeros(256, np.float32)
    lookup[list(anatomy.labelValues(*BONE_KINDS))] = 1.0
    crop = lookup[anatomy.labels[low[2] : high[2], low[1] : high[1], low[0] : high[0]]]
    local = ijk - low
    result: npt.NDArray[np.float32] = map_coordinates(
        crop, [local[:, 2], local[:, 1], local[:, 0]], order=1, mode="constant", cval=0.0, prefilter=False, output=np.float32
    )
    return result
