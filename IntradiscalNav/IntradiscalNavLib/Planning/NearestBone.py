"""Which bone a path comes nearest to, in anatomical words: "L5 superior articular process", "left ilium"."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.DiscGeometry import Disc
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.StructureNames import BONE_KINDS, StructureKind
from IntradiscalNavLib.Planning.VertebraGeometry import VertebraMask

FloatArray = npt.NDArray[np.float64]

SEARCH_MM = 10.0
TRANSVERSE_PROCESS_MM = 26.0
"""Bone of a lumbar vertebra farther lateral than this, beside the canal, is transverse process or ala."""


def nearestBone(anatomy: SpineAnatomy, disc: Disc, pointRas: npt.ArrayLike) -> str:
    """Name of the bone nearest to a point, empty when none lies within 10 mm."""
    point = np.asarray(pointRas, float)
    rasToIjk = np.linalg.inv(anatomy.ijkToRas)
    center = rasToIjk[:3, :3] @ point + rasToIjk[:3, 3]
    reach = SEARCH_MM * np.abs(rasToIjk[:3, :3]).sum(1)
    limit = np.array(anatomy.labels.shape)[::-1]
    low = np.clip(np.floor(center - reach).astype(int), 0, limit)
    high = np.clip(np.ceil(center + reach).astype(int) + 1, 0, limit)
    if (high <= low).any():
        return ""
    crop = anatomy.labels[low[2] : high[2], low[1] : high[1], low[0] : high[0]]
    lookup = np.zeros(256, bool)
    lookup[list(anatomy.labelValues(*BONE_KINDS))] = True
    k, j, i = np.nonzero(lookup[crop])
    if len(k) == 0:
        return ""
    voxels = np.stack([i, j, k], axis=1) + low
    ras = voxels @ anatomy.ijkToRas[:3, :3].T + anatomy.ijkToRas[:3, 3]
    distance = np.linalg.norm(ras - point, axis=1)
    nearest = int(np.argmin(distance))
    if distance[nearest] > SEARCH_MM:
        return ""
    structure = anatomy.structures[int(crop[k[nearest], j[nearest], i[nearest]])]
    if structure.kind is not StructureKind.VERTEBRA:
        return f"{structure.side} {structure.kind.value}".strip()
    name = "S1" if structure.level == "sacrum" and "S1" in anatomy.vertebrae else structure.level
    vertebra = anatomy.vertebrae.get(name)
    return name if vertebra is None else f"{structure.level} {vertebraPart(vertebra, disc, ras[nearest])}"


def vertebraPart(vertebra: VertebraMask, disc: Disc, pointRas: FloatArray) -> str:
    """Part of a vertebra a surface point belongs to, told from body, disc level and side."""
    if bool(vertebra.holds(pointRas[None], body=True)[0]):
        return "body"
    local = disc.discMatrix() @ (pointRas - disc.centerRas)
    upper, lower = disc.level.split("-")
    if local[1] > -0.5 * disc.depthMm:
        return "body"
    if abs(local[0]) > TRANSVERSE_PROCESS_MM:
        return "ala" if vertebra.name == "S1" else "transverse process"
    half = 0.5 * disc.heightMm
    if vertebra.name == lower and local[2] > -half - 3.0 and abs(local[0]) > 5.0:
        return "superior articular process"
    if vertebra.name == upper and local[2] < half + 3.0 and abs(local[0]) > 5.0:
        return "inferior articular process"
    return "arch"
