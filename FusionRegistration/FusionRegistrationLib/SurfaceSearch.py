"""Search for the poses in which bone points lie on the bone surface: many starts, thinned out stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import BonePoints
from FusionRegistrationLib.BoneSurface import BoneSurface
from FusionRegistrationLib.PoseSearch import Poses, distinctBest, refinePoses, startsAround
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom
from FusionRegistrationLib.SignedDistanceTable import SignedDistanceTable
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

STEADY_SWEEP = 0.7
"""Share of the variance along the drift that time must explain for a sweep to count as one steady pass."""


@dataclasses.dataclass(frozen=True)
class SearchStage:
    """One stage: iterations at falling kernel scales on a subset of the points, then the best distinct poses go on.

    scalesMm: (first, last, count) of the geometric row of Geman-McClure scales.
    """

    points: int
    scalesMm: tuple[float, float, int]
    keep: int
    apartMm: float
    coarse: bool


@dataclasses.dataclass(frozen=True)
class SearchParameters:
    """How far and how densely to search around each start. The defaults are the one frozen configuration of the benchmark."""

    radiusMm: float = 30.0
    radiusDeg: float = 30.0
    starts: int = 320
    stages: tuple[SearchStage, ...] = (
        SearchStage(points=56, scalesMm=(8.0, 6.0, 3), keep=80, apartMm=0.0, coarse=True),
        SearchStage(points=112, scalesMm=(6.0, 3.5, 4), keep=16, apartMm=1.0, coarse=True),
        SearchStage(points=256, scalesMm=(3.5, 2.0, 5), keep=4, apartMm=1.0, coarse=True),
        SearchStage(points=640, scalesMm=(2.0, 1.5, 4), keep=4, apartMm=0.5, coarse=False),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedPoints:
    """Points of a sweep made ready for the search: centred, shuffled once with a fixed seed, single precision, x-y-z rows.

    centred: (3, n); weights: (n,) mean 1, or None; centreReference: what was subtracted; order: which point of the sweep a column is.
    """

    centred: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32] | None
    centreReference: FloatArray
    order: npt.NDArray[np.intp]

    def subset(self, count: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """The first count shuffled points and their weights."""
        points = np.ascontiguousarray(self.centred[:, :count])
        return points, None if self.weights is None else np.ascontiguousarray(self.weights[:count])

    def posesFrom(self, referenceToRas: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Rotation and translation of the centred points for a transform."""
        matrix = np.asarray(referenceToRas, float)
        return matrix[:3, :3], matrix[:3, :3] @ self.centreReference + matrix[:3, 3]

    def transformOf(self, poses: Poses, index: int) -> FloatArray:
        """Reference-to-RAS transform of one pose."""
        rotation = poses.rotations[index]
        return rigidFrom(rotation, poses.translationsMm[index] - rotation @ self.centreReference)


def preparePoints(points: BonePoints) -> PreparedPoints:
    """Centre and shuffle the points of a sweep."""
    order = np.random.default_rng(20231).permutation(len(points))
    centre = points.pointsReference.mean(axis=0)
    weights = None
    if points.confidence is not None:
        weights = (points.confidence[order] / points.confidence.mean()).astype(np.float32)
    return PreparedPoints(np.ascontiguousarray((points.pointsReference[order] - centre).T, np.float32), weights, centre, order)


def searchPoses(
    prepared: PreparedPoints, surface: BoneSurface, centres: Sequence[npt.ArrayLike], parameters: SearchParameters | None = None
) -> Poses:
    """Best distinct poses, cheapest first, found from starts around the given Reference-to-RAS transforms."""
    chosen = parameters or SearchParameters()
    rotations, translations = [], []
    for centre in centres:
        rotation, translation = prepared.posesFrom(centre)
        starts = startsAround(rotation, translation, chosen.starts, chosen.radiusMm, chosen.radiusDeg)
        rotations.append(starts.rotations)
        translations.append(starts.translationsMm)
    if not rotations:
        raise ValueError(_("The search needs at least one pose to start from."))
    poses = Poses(np.concatenate(rotations), np.concatenate(translations), np.ones(len(rotations) * chosen.starts))
    lever = float(np.sqrt((prepared.centred**2).sum(axis=0).mean()))
    for number, stage in enumerate(chosen.stages):
        points, weights = prepared.subset(stage.points)
        table = surface.coarseTable if stage.coarse else surface.table
        first, last, count = stage.scalesMm
        poses = _refineInBatches(table, points, weights, poses, np.geomspace(first, last, count))
        keep = stage.keep * (len(centres) if number == 0 else 1)
        if stage.apartMm > 0:
            poses = distinctBest(poses, keep, stage.apartMm, lever)
        else:
            poses = poses.take(np.argsort(poses.cost, kind="stable")[:keep])
    order = np.argsort(poses.cost, kind="stable")
    return poses.take(order)


def _refineInBatches(
    table: SignedDistanceTable, points: npt.NDArray[np.float32], weights: npt.NDArray[np.float32] | None, poses: Poses, scales: FloatArray
) -> Poses:
    """Refine in batches whose arrays stay in the processor's cache."""
    size = max(1, 16000 // points.shape[1])
    parts = [
        refinePoses(
            table,
            points,
            weights,
            Poses(poses.rotations[at : at + size], poses.translationsMm[at : at + size], poses.cost[at : at + size]),
            scales,
        )
        for at in range(0, len(poses.cost), size)
    ]
    return Poses(
        np.concatenate([part.rotations for part in parts]),
        np.concatenate([part.translationsMm for part in parts]),
        np.concatenate([part.cost for part in parts]),
    )


def startsFromSweep(points: BonePoints, surface: BoneSurface, direction: str = "unknown", stepMm: float = 12.0) -> list[FloatArray]:
    """Coarse Reference-to-RAS transforms from the sweep itself, one for every place along the spine and every possible heading.

    The beams point from back to front (RAS +y in a CT of a prone or supine patient). Where the probe went steadily one way, that is
    along the spine (Gueziri 2019); otherwise, as in a sweep of several lanes, four headings are tried.
    direction: "caudocranial" or "craniocaudal" (how the probe was moved), or "unknown": both headings are tried.

    :raises ValueError: when the direction is none of these or the beams aren't known.
    """
    if direction not in ("caudocranial", "craniocaudal", "unknown"):
        raise ValueError(
            _("The sweep direction must be 'caudocranial', 'craniocaudal' or 'unknown', not {direction!r}.").format(direction=direction)
        )
    anterior = points.beamDirection()
    if anterior is None:
        raise ValueError(_("Without a start the directions of the beams are needed: give beamOffsetsMm, or register the markers first."))
    centre = points.pointsReference.mean(axis=0)
    centred = points.pointsReference - centre
    across = centred - np.outer(centred @ anterior, anterior)
    drift, steadiness = _drift(across, points.frames)
    if steadiness > STEADY_SWEEP:
        along = drift
        signs = {"unknown": (1.0, -1.0), "caudocranial": (1.0,), "craniocaudal": (-1.0,)}[direction]
        headings = [sign * along for sign in signs]
    else:
        along = np.linalg.svd(across, full_matrices=False)[2][0]
        beside = np.cross(anterior, along)
        headings = [along, -along, beside, -beside]
    starts = []
    axis = surface.axisRas
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
    for superior in headings:
        superior = superior / np.linalg.norm(superior)
        extent = float(np.ptp(centred @ superior))
        reach = np.arange(min(extent / 2.0, steps[-1] / 2.0), max(steps[-1] - extent / 2.0, steps[-1] / 2.0) + 1e-6, stepMm)
        reference = np.column_stack([np.cross(anterior, superior), anterior, superior])
        for at in reach:
            place = np.array([np.interp(at, steps, axis[:, k]) for k in range(3)])
            place[1] = _posteriorHeight(surface, place)
            starts.append(rigidFrom(reference.T, place - reference.T @ centre))
    return starts


def _drift(across: FloatArray, frames: npt.NDArray[np.int64] | None) -> tuple[FloatArray, float]:
    """Direction in which the bone seen drifts from frame to frame, and the share of its variance along it that time explains."""
    if frames is None or len(np.unique(frames)) < 3:
        return np.array([0.0, 0.0, 1.0]), 0.0
    time = (frames - frames.mean()) / max(float(frames.std()), 1e-9)
    slope = across.T @ time / len(time)
    length = float(np.linalg.norm(slope))
    if length < 1e-6:
        return np.array([0.0, 0.0, 1.0]), 0.0
    along = across @ (slope / length)
    return slope / length, float(length**2 / max(float((along**2).mean()), 1e-9))


def _posteriorHeight(surface: BoneSurface, placeRas: FloatArray) -> float:
    """Median A coordinate (RAS y) of the surface points within 25 mm across and along the spine of a place."""
    near = (np.abs(surface.pointsRas[:, 0] - placeRas[0]) < 25.0) & (np.abs(surface.pointsRas[:, 2] - placeRas[2]) < 25.0)
    return float(np.median(surface.pointsRas[near, 1])) if near.any() else float(placeRas[1])


def shiftAlongSpine(referenceToRas: npt.ArrayLike, placeRas: npt.ArrayLike, surface: BoneSurface, shiftMm: float) -> FloatArray:
    """The transform carried along the axis of the spine by shiftMm (towards the head positive), turning with it.

    placeRas: where the sweep lies under the transform (its centre).
    """
    axis = surface.axisRas
    steps = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(axis, axis=0), axis=1))])
    place = np.asarray(placeRas, float)
    here = float(steps[np.argmin(np.linalg.norm(axis - place, axis=1))])
    from_, to = _axisFrame(axis, steps, here), _axisFrame(axis, steps, here + shiftMm)
    result: FloatArray = to @ invertRigid(from_) @ np.asarray(referenceToRas, float)
    return result


def _axisFrame(axis: FloatArray, steps: FloatArray, at: float, half: float = 30.0) -> FloatArray:
    """Frame on the spine axis: z along it (mean over +-half mm), y as near to anterior as that allows; straight beyond its ends."""

    def point(s: float) -> FloatArray:
        inside = float(np.clip(s, 0.0, steps[-1]))
        position = np.array([np.interp(inside, steps, axis[:, k]) for k in range(3)])
        if s == inside:
            return position
        k = -1 if s > inside else 0
        chord = max(2, len(axis) // 6)
        end = axis[-1] - axis[-chord] if k == -1 else axis[chord - 1] - axis[0]
        return position + (s - inside) * end / np.linalg.norm(end)

    z = point(at + half) - point(at - half)
    z /= np.linalg.norm(z)
    y = np.array([0.0, 1.0, 0.0]) - z[1] * z
    y /= np.linalg.norm(y)
    return rigidFrom(np.column_stack([np.cross(y, z), y, z]), point(at))
