"""Groups sparse dense voxels into candidate objects of marker size."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray

IntArray = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, eq=False)
class Candidate:
    """A group of dense voxels: indices (n, 3) in the view and their HU (n,)."""

    indices: IntArray
    hu: FloatArray

    @property
    def middle(self) -> FloatArray:
        """Index of the middle of the bounding box."""
        result: FloatArray = 0.5 * (self.indices.min(axis=0) + self.indices.max(axis=0))
        return result

    def extentMm(self, spacingMm: FloatArray) -> FloatArray:
        """Edge lengths of the bounding box, mm."""
        result: FloatArray = (self.indices.max(axis=0) - self.indices.min(axis=0) + 1) * spacingMm
        return result


def groupVoxels(indices: IntArray, shape: tuple[int, ...]) -> IntArray:
    """Label (n,) of each voxel: voxels that share a face, an edge or a corner belong together. Only the given voxels are visited.

    Voxels in a row along the last axis are taken together first: far fewer runs than voxels are left to be linked.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # A margin of one index on each side keeps the end of a row from touching the start of the next.
    strides = ((shape[1] + 2) * (shape[2] + 2), shape[2] + 2)
    keys = indices[:, 0] * strides[0] + indices[:, 1] * strides[1] + indices[:, 2]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    gaps = np.diff(ordered) > 1
    starts, ends = ordered[np.append(True, gaps)], ordered[np.append(gaps, True)]
    runs = np.arange(len(starts))
    ones, others = [], []
    for step in (strides[1], strides[0] - strides[1], strides[0], strides[0] + strides[1]):
        # The runs of one neighbouring row that reach from one voxel before this run to one after it.
        first = np.searchsorted(ends, starts + (step - 1))
        counts = np.searchsorted(starts, ends + (step + 1), "right") - first
        one = np.repeat(runs, counts)
        ones.append(one)
        others.append(np.arange(len(one)) + (first - np.cumsum(counts) + counts)[one])
    links = np.concatenate(ones), np.concatenate(others)
    graph = coo_array((np.ones(len(links[0]), np.int8), links), shape=(len(runs), len(runs)))
    _, labels = connected_components(graph, directed=False)
    result = np.empty(len(keys), np.int64)
    result[order] = labels[np.append(0, np.cumsum(gaps))]
    return result


def findCandidates(
    indices: IntArray, view: npt.NDArray[Any], spacingMm: FloatArray, *, minExtentMm: float, maxExtentMm: float, minVolumeMm3: float
) -> list[Candidate]:
    """Groups of marker size among dense voxels (n, 3).

    Where a group is too large but its core is metal, it is cut at half its maximum: streaks and blooming join what is apart.
    """
    if not len(indices):
        return []
    hu = view[indices[:, 0], indices[:, 1], indices[:, 2]].astype(float)
    kept: list[Candidate] = []
    fewest = int(np.ceil(minVolumeMm3 / float(np.prod(spacingMm))))
    for candidate in _split(indices, hu, view.shape, fewest):
        _judge(candidate, view.shape, spacingMm, minExtentMm, maxExtentMm, minVolumeMm3, kept, 0)
    return kept


def _split(indices: IntArray, hu: FloatArray, shape: tuple[int, ...], fewest: int = 1) -> list[Candidate]:
    """Groups of at least ``fewest`` voxels."""
    labels = groupVoxels(indices, shape)
    large = np.bincount(labels)[labels] >= fewest
    indices, hu, labels = indices[large], hu[large], labels[large]
    if not len(labels):
        return []
    order = np.argsort(labels, kind="stable")
    borders = np.flatnonzero(np.diff(labels[order])) + 1
    return [Candidate(indices[part], hu[part]) for part in np.split(order, borders)]


def _judge(
    candidate: Candidate,
    shape: tuple[int, ...],
    spacingMm: FloatArray,
    minExtentMm: float,
    maxExtentMm: float,
    minVolumeMm3: float,
    kept: list[Candidate],
    depth: int,
) -> None:
    if len(candidate.indices) * float(np.prod(spacingMm)) < minVolumeMm3:
        return
    extent = candidate.extentMm(spacingMm)
    if (extent <= maxExtentMm + spacingMm).all():
        if (extent >= np.minimum(minExtentMm, spacingMm)).all():
            kept.append(candidate)
        return
    peak = float(candidate.hu.max())
    level = (0.5, 0.7)[depth] * peak if depth < 2 else np.inf
    if peak < 1500.0 or not np.isfinite(level):
        return
    dense = candidate.hu > level
    if dense.all() or not dense.any():
        return
    for part in _split(candidate.indices[dense], candidate.hu[dense], shape):
        _judge(part, shape, spacingMm, minExtentMm, maxExtentMm, minVolumeMm3, kept, depth + 1)
