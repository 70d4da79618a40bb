"""Every vertebra its own rigid transform: for a CT taken in another position than the ultrasound (supine against prone).

All vertebrae are fitted together. Neighbours are held by a prior on how far they move against each other from one posture to the
other (5 degrees and 2 mm, standard deviations); points belong to the vertebra whose surface they lie closest to, decided anew in
every iteration. Twists are taken about each vertebra's own centre (multi-body registration as in Rasoulian et al. 2012).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.BonePoints import BonePoints, checkSweep
from FusionRegistrationLib.BoneSurface import BoneSurface, SurfaceVertebra
from FusionRegistrationLib.PoseRefinement import PINNED, RefinementParameters, rotationVectorOf
from FusionRegistrationLib.PoseSearch import rotationsFromVectors
from FusionRegistrationLib.RigidTransform import invertRigid, rigidFrom, transformPoints
from FusionRegistrationLib.SignedDistanceTable import SignedDistanceTable
from FusionRegistrationLib.SurfaceFit import SurfaceFit, targetError, twistJacobian
from FusionRegistrationLib.TargetRegistrationError import TargetError
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

INLIER_MM = 2.0


@dataclasses.dataclass(frozen=True)
class PerVertebraParameters:
    """rotationSigmaDeg, translationSigmaMm: relative motion of neighbours (standard deviations).

    scalesMm: falling Geman-McClure scales, the last one is kept for the final iterations.
    minimumPoints: a vertebra with fewer points near it is carried by its neighbours and said to be.
    """

    rotationSigmaDeg: float = 5.0
    translationSigmaMm: float = 2.0
    scalesMm: tuple[float, ...] = (8.0, 8.0, 6.0, 6.0, 5.0, 4.0, 3.5, 3.0, 2.5, 2.0, 1.8, 1.5, 1.5, 1.2, 1.2, 1.2, 1.2)
    minimumPoints: int = 60
    refinement: RefinementParameters = dataclasses.field(default_factory=RefinementParameters)


@dataclasses.dataclass(frozen=True, eq=False)
class VertebraFit:
    """One vertebra: referenceToRas maps what ultrasound sees of it to where it lies in the CT.

    covariance: 6x6 twist (rad, mm) about the vertebra's centre. motionDeg, motionMm: how it moved against the overall rigid fit.
    carried: too few points of its own, its place comes from its neighbours.
    """

    label: int
    name: str
    centreRas: FloatArray
    referenceToRas: FloatArray
    covariance: FloatArray
    pointCount: int
    inlierShare: float
    motionDeg: float
    motionMm: float
    carried: bool


@dataclasses.dataclass(frozen=True)
class DiscShift:
    """A disc target seen through the rigid registration. movedRas: where it is now, in the RAS of the rigid fit.

    disagreementMm: how differently its two endplates say it moved. predicted: its error as both vertebrae's covariances have it.
    """

    name: str
    plannedRas: tuple[float, float, float]
    movedRas: tuple[float, float, float]
    disagreementMm: float
    predicted: TargetError


@dataclasses.dataclass(frozen=True, eq=False)
class PerVertebraFit:
    """All vertebrae from head to foot, relative to one rigid fit (rigidReferenceToRas) that the scene keeps using."""

    vertebrae: tuple[VertebraFit, ...]
    rigidReferenceToRas: FloatArray
    inlierShare: float
    depthScale: float
    converged: bool
    warnings: tuple[str, ...]

    def toDict(self) -> dict[str, Any]:
        """All fields as JSON-ready values."""

        def plain(value: Any) -> Any:
            return value.tolist() if isinstance(value, np.ndarray) else value

        vertebrae = [{field.name: plain(getattr(fit, field.name)) for field in dataclasses.fields(fit)} for fit in self.vertebrae]
        rest = {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}
        return {**rest, "vertebrae": vertebrae, "warnings": list(self.warnings)}

    @classmethod
    def fromDict(cls, values: Mapping[str, Any]) -> PerVertebraFit:
        """Inverse of toDict.

        :raises ValueError: naming the fields that are missing.
        """
        missing = [field.name for field in dataclasses.fields(cls) if field.name not in values]
        if missing:
            raise ValueError(
                _("The stored per-vertebra fit lacks {names}: it was written by another version or damaged.").format(
                    names=", ".join(missing)
                )
            )
        arrays = ("centreRas", "referenceToRas", "covariance")
        fits = tuple(VertebraFit(**{**item, **{name: np.asarray(item[name], float) for name in arrays}}) for item in values["vertebrae"])
        rigid = np.asarray(values["rigidReferenceToRas"], float)
        return cls(
            fits, rigid, float(values["inlierShare"]), float(values["depthScale"]), bool(values["converged"]), tuple(values["warnings"])
        )

    def vertebra(self, label: int) -> VertebraFit:
        """The fit of one vertebra.

        :raises KeyError: when that label wasn't fitted.
        """
        for fit in self.vertebrae:
            if fit.label == label:
                return fit
        raise KeyError(_("No vertebra with label {label} was fitted.").format(label=label))

    def movedByVertebra(self, label: int, pointsRas: npt.ArrayLike) -> FloatArray:
        """CT points (n, 3) that go with a vertebra, to where it is now in the RAS of the rigid fit."""
        return transformPoints(self.rigidReferenceToRas @ invertRigid(self.vertebra(label).referenceToRas), pointsRas)

    def movedDisc(
        self, name: str, upperLabel: int, lowerLabel: int, upperEndplateRas: npt.ArrayLike, lowerEndplateRas: npt.ArrayLike
    ) -> DiscShift:
        """Where a disc's centre has gone: with the mean of the centres of the two endplates that enclose it.

        upperEndplateRas: centre of the lower endplate of the vertebra above; lowerEndplateRas: of the upper endplate of the one below.
        """
        planned = np.stack([np.asarray(upperEndplateRas, float), np.asarray(lowerEndplateRas, float)])
        moved = np.vstack([self.movedByVertebra(upperLabel, planned[:1]), self.movedByVertebra(lowerLabel, planned[1:])])
        shift = moved - planned
        target = moved.mean(axis=0)
        errors = [
            targetError(fit.covariance, fit.centreRas, point)
            for fit, point in zip((self.vertebra(upperLabel), self.vertebra(lowerLabel)), planned)
        ]
        # The mean of two is no worse than the mean of their errors, however they go together.
        predicted = TargetError(
            (float(target[0]), float(target[1]), float(target[2])),
            float(np.mean([error.rmsMm for error in errors])),
            float(np.mean([error.meanMm for error in errors])),
            float(np.mean([error.p95Mm for error in errors])),
        )
        middle = planned.mean(axis=0)
        return DiscShift(
            name,
            (float(middle[0]), float(middle[1]), float(middle[2])),
            (float(target[0]), float(target[1]), float(target[2])),
            float(np.linalg.norm(shift[0] - shift[1])),
            predicted,
        )

    def movedObstacles(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Soft structures (nerves, vessels; (n, 3) RAS mm) carried along, to the RAS of the rigid fit.

        Between two vertebra centres a point goes partly with each, by its height between them; beyond the last ones with the last.
        """
        points = np.asarray(pointsRas, float).reshape(-1, 3)
        order = np.argsort([fit.centreRas[2] for fit in self.vertebrae])
        heights = np.array([self.vertebrae[k].centreRas[2] for k in order])
        moved = np.stack([self.movedByVertebra(self.vertebrae[k].label, points) for k in order])
        if len(heights) == 1:
            return moved[0]
        place = np.clip(np.interp(points[:, 2], heights, np.arange(len(heights))), 0, len(heights) - 1)
        below = np.minimum(place.astype(int), len(heights) - 2)
        share = (place - below)[:, None]
        rows = np.arange(len(points))
        result: FloatArray = (1.0 - share) * moved[below, rows] + share * moved[below + 1, rows]
        return result


def registerPerVertebra(
    points: BonePoints, surface: BoneSurface, rigid: SurfaceFit | npt.ArrayLike, parameters: PerVertebraParameters | None = None
) -> PerVertebraFit:
    """Fit every vertebra of the surface, beginning at a rigid fit of the whole sweep.

    rigid: the SurfaceFit, or its Reference-to-RAS transform.

    :raises ValueError: the surface has no labelled vertebrae.
    :raises NoBoneError, SweepTooSmallError: the points can't hold a pose.
    """
    chosen = parameters or PerVertebraParameters()
    checkSweep(points)
    if not surface.vertebrae:
        raise ValueError(_("Vertebrae can only be fitted one by one on a surface with labels: segment the vertebrae first."))
    start = rigid.referenceToRas if isinstance(rigid, SurfaceFit) else np.asarray(rigid, float)
    vertebrae = [vertebra for vertebra in surface.vertebrae if (surface.pointLabels == vertebra.label).sum() >= 30]
    if not vertebrae:
        raise ValueError(_("No labelled vertebra has enough posterior surface: check the segmentation."))
    solver = _Solver(points, [surface.ofVertebra(vertebra.label).table for vertebra in vertebrae], vertebrae, start, chosen)
    converged = solver.run()
    return solver.result(converged)


class _Solver:
    """Joint Gauss-Newton over all vertebrae; unknowns are six per vertebra, then depth scale and thickness of the scan plane."""

    def __init__(
        self,
        points: BonePoints,
        tables: list[SignedDistanceTable],
        vertebrae: list[SurfaceVertebra],
        start: FloatArray,
        chosen: PerVertebraParameters,
    ) -> None:
        limit = 6000
        if len(points) > limit:
            points = points.take(np.sort(np.random.default_rng(11).permutation(len(points))[:limit]))
        self.points, self.tables, self.vertebrae, self.start, self.chosen = points, tables, vertebrae, start, chosen
        self.centres = [np.asarray(vertebra.centreRas) for vertebra in vertebrae]
        self.poses = [start.copy() for _unused in vertebrae]
        self.offsets = np.zeros_like(points.pointsReference) if points.beamOffsetsMm is None else points.beamOffsetsMm
        self.elevations = np.zeros_like(points.pointsReference) if points.elevations is None else points.elevations
        self.relative = np.ones(len(points)) if points.confidence is None else points.confidence / points.confidence.mean()
        refinement = chosen.refinement
        self.expected = np.array([0.0, refinement.sliceHalfWidthMm if points.elevations is not None else 0.0])
        self.nuisance = self.expected.copy()
        self.precision = np.full(2, PINNED)
        if points.beamOffsetsMm is not None and refinement.depthScaleSigma > 0:
            self.precision[0] = refinement.depthScaleSigma**-2
        if points.elevations is not None and refinement.sliceHalfWidthSigmaMm > 0:
            self.precision[1] = refinement.sliceHalfWidthSigmaMm**-2
        self.independent = min(len(points), refinement.pointsPerFrame * points.frameCount) / len(points)
        self.owner = np.zeros(len(points), int)
        self.distances = np.zeros(len(points))
        self.information = np.zeros((6 * len(vertebrae) + 2,) * 2)

    def run(self) -> bool:
        moved = np.inf
        for scale in self.chosen.scalesMm:
            moved = self._iterate(scale)
        for _unused in range(10):
            if moved < 0.01:
                break
            moved = self._iterate(self.chosen.scalesMm[-1])
        self._assign()
        return moved < 0.1

    def _stretched(self) -> FloatArray:
        result: FloatArray = self.points.pointsReference + self.nuisance[0] * self.offsets
        return result

    def _assign(self) -> FloatArray:
        """Give every point to the vertebra it lies closest to; returns the distances of all pairs."""
        stretched = self._stretched()
        distance = np.stack([table.distances(transformPoints(pose, stretched)) for table, pose in zip(self.tables, self.poses)])
        self.owner = np.abs(distance).argmin(axis=0)
        self.distances = distance[self.owner, np.arange(distance.shape[1])]
        return distance

    def _iterate(self, scale: float) -> float:
        self._assign()
        size = 6 * len(self.vertebrae) + 2
        information, gradient = np.zeros((size, size)), np.zeros(size)
        refinement = self.chosen.refinement
        stretched = self._stretched()
        pieces = []
        for number, (table, pose, centre) in enumerate(zip(self.tables, self.poses, self.centres)):
            mine = np.flatnonzero(self.owner == number)
            if len(mine) == 0:
                continue
            place = transformPoints(pose, stretched[mine])
            distance, normal = table.distancesAndGradients(place)
            jacobian = np.empty((len(mine), 8))
            jacobian[:, :3] = np.cross(place - centre, normal)
            jacobian[:, 3:6] = normal
            jacobian[:, 6] = ((self.offsets[mine] @ pose[:3, :3].T) * normal).sum(axis=1)
            jacobian[:, 7] = -np.abs(((self.elevations[mine] @ pose[:3, :3].T) * normal).sum(axis=1))
            residual = distance + self.nuisance[1] * jacobian[:, 7] - 0.5 * refinement.pointNoiseMm**2 * table.curvatures(place)
            robust = self.relative[mine] * (scale**2 / (scale**2 + residual**2)) ** 2
            pieces.append((number, jacobian, residual, robust))
        total = sum(float(robust.sum()) for *_piece, robust in pieces)
        noise = max(
            0.4, np.sqrt(sum(float((robust * residual**2).sum()) for _number, _jacobian, residual, robust in pieces) / max(total, 1e-9))
        )
        worth = self.independent / noise**2
        for number, jacobian, residual, robust in pieces:
            columns = np.concatenate([np.arange(6 * number, 6 * number + 6), [size - 2, size - 1]])
            information[np.ix_(columns, columns)] += (jacobian * robust[:, None]).T @ jacobian * worth
            gradient[columns] += jacobian.T @ (robust * residual) * worth
        information[[size - 2, size - 1], [size - 2, size - 1]] += self.precision
        gradient[-2:] += self.precision * (self.nuisance - self.expected)
        self._addNeighbourPriors(information, gradient)
        information[np.arange(size - 2), np.arange(size - 2)] += 1e-3
        self.information = information
        step = -np.linalg.solve(information, gradient)
        moved = 0.0
        for number, centre in enumerate(self.centres):
            twist = step[6 * number : 6 * number + 6]
            twist = twist / max(1.0, float(np.linalg.norm(twist[3:])) / 4.0, float(np.linalg.norm(twist[:3])) / 0.1)
            rotation = rotationsFromVectors(twist[None, :3])[0]
            self.poses[number] = rigidFrom(rotation, centre - rotation @ centre + twist[3:]) @ self.poses[number]
            moved = max(moved, float(np.linalg.norm(twist[3:]) + 30.0 * np.linalg.norm(twist[:3])))
        self.nuisance = np.clip(self.nuisance + step[-2:] * (self.precision < PINNED), [-0.1, 0.0], [0.1, 4.0])
        return moved

    def _addNeighbourPriors(self, information: FloatArray, gradient: FloatArray) -> None:
        """Relative motion of neighbours about the point between them is small."""
        sigma = np.concatenate([np.full(3, np.radians(self.chosen.rotationSigmaDeg)), np.full(3, self.chosen.translationSigmaMm)])
        for number in range(len(self.vertebrae) - 1):
            between = (self.centres[number] + self.centres[number + 1]) / 2.0
            relative = self.poses[number] @ invertRigid(self.poses[number + 1])
            error = np.concatenate([rotationVectorOf(relative[:3, :3]), transformPoints(relative, between[None])[0] - between])
            jacobian = np.zeros((6, 12))
            for side, sign in ((0, 1.0), (1, -1.0)):
                at = 6 * side
                jacobian[:3, at : at + 3] = sign * np.eye(3)
                jacobian[3:, at : at + 6] = sign * twistJacobian(self.centres[number + side], between)
            weighted = jacobian / sigma[:, None]
            rows = slice(6 * number, 6 * number + 12)
            information[rows, rows] += weighted.T @ weighted
            gradient[rows] += weighted.T @ (error / sigma)

    def result(self, converged: bool) -> PerVertebraFit:
        covariance: FloatArray = np.asarray(np.linalg.inv(self.information), float)
        inlier = np.abs(self.distances) < INLIER_MM
        fits, warnings = [], []
        for number, vertebra in enumerate(self.vertebrae):
            mine = self.owner == number
            count = int((mine & inlier).sum())
            rows = slice(6 * number, 6 * number + 6)
            motion = self.start @ invertRigid(self.poses[number])
            centre = self.centres[number]
            carried = count < self.chosen.minimumPoints
            if carried:
                warnings.append(
                    _(
                        "{vertebraName} has only {count} points near it: it is carried by its neighbours. Scan it, or don't rely on it."
                    ).format(vertebraName=vertebra.name, count=count)
                )
            fits.append(
                VertebraFit(
                    vertebra.label,
                    vertebra.name,
                    centre,
                    self.poses[number],
                    covariance[rows, rows] + np.diag([1e-6] * 3 + [0.15**2] * 3),
                    count,
                    float(inlier[mine].mean()) if mine.any() else 0.0,
                    float(np.degrees(np.linalg.norm(rotationVectorOf(motion[:3, :3])))),
                    float(np.linalg.norm(transformPoints(motion, centre[None])[0] - centre)),
                    carried,
                )
            )
        return PerVertebraFit(tuple(fits), self.start, float(inlier.mean()), 1.0 + float(self.nuisance[0]), converged, tuple(warnings))


def movedDiscs(fit: PerVertebraFit, endplatesRas: Mapping[str, tuple[int, int, npt.ArrayLike, npt.ArrayLike]]) -> dict[str, DiscShift]:
    """movedDisc for several.

    endplatesRas: name to (upper label, lower label, centre of the upper vertebra's lower endplate, of the lower one's upper endplate).
    """
    return {name: fit.movedDisc(name, upper, lower, top, bottom) for name, (upper, lower, top, bottom) in endplatesRas.items()}
