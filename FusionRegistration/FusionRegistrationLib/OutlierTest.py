"""Which of the paired points contradict the rest: leave-one-out errors with an F test, and a trimmed start for several outliers."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PairedPointSolver import solveRigidBatch, twistDesign
from FusionRegistrationLib.PointSetGeometry import PointSetError, describePointSet
from FusionRegistrationLib.RigidTransform import FloatArray, transformPoints

SIGNIFICANCE = 0.01
"""Family-wise probability of naming an outlier among points that are all good."""

MIN_OUTLIER_MM = 0.5
"""Deviations smaller than this are never called outliers, however small the other residuals are."""

_MAX_TRIPLES = 4000

Mask = npt.NDArray[np.bool_]
Solver = Callable[[Mask], FloatArray]
InformationOf = Callable[[FloatArray, Mask], FloatArray]


def leaveOneOut(
    fromPoints: FloatArray, toPoints: FloatArray, used: Mask, solve: Solver, informationOf: InformationOf
) -> tuple[FloatArray, list[int]]:
    """Error (mm) at every point when the fit is made of the other used points, and the indices of significant outliers, worst first.

    The test compares the squared leave-one-out error, weighted by its own expected covariance, with the residual variance of the other
    points: an F distribution with 3 and 3 (n - 1) - 6 degrees of freedom, corrected for the number of points (Bonferroni).
    """
    from scipy.special import fdtrc

    count = len(fromPoints)
    errors = np.full(count, np.nan)
    found: list[tuple[float, int]] = []
    for index in range(count):
        rest = used.copy()
        rest[index] = False
        if rest.sum() < 3:
            continue
        try:
            describePointSet(toPoints[rest])
        except PointSetError:
            continue
        fromToTo = solve(rest)
        mapped = transformPoints(fromToTo, fromPoints)
        residuals = toPoints - mapped
        errors[index] = float(np.linalg.norm(residuals[index]))
        degrees = 3 * int(rest.sum()) - 6
        information = informationOf(fromToTo, np.ones(count, bool))
        variance = float(np.einsum("ni,nij,nj->", residuals[rest], information[rest], residuals[rest])) / degrees
        center = mapped[rest].mean(axis=0)
        design = twistDesign(mapped, center)
        normal = np.einsum("nip,nij,njq->pq", design[rest], information[rest], design[rest])
        spread = np.linalg.inv(information[index]) + design[index] @ np.linalg.solve(normal, design[index].T)
        statistic = float(residuals[index] @ np.linalg.solve(spread, residuals[index])) / 3.0
        probability = float(fdtrc(3, degrees, statistic / max(variance, 1e-300))) if variance > 0 else 0.0
        if errors[index] > MIN_OUTLIER_MM and probability * count < SIGNIFICANCE:
            found.append((probability, index))
    return errors, [index for _, index in sorted(found, key=lambda item: (item[0], -errors[item[1]]))]


def robustInliers(fromPoints: FloatArray, toPoints: FloatArray, solve: Solver, informationOf: InformationOf) -> Mask:
    """Mask of the points that agree with each other; at least half of them, and never fewer than 4 where one is dropped.

    Start: the best of the rigid fits through 3 points by the median of the residuals (least median of squares, Rousseeuw 1984). From
    there points are taken in and dropped by the same F test that names outliers, until nothing changes.
    """
    count = len(fromPoints)
    everything = np.ones(count, bool)
    if count < 5:
        return everything
    keep = count // 2 + 1
    triples = np.array(list(itertools.combinations(range(count), 3)))
    if len(triples) > _MAX_TRIPLES:
        triples = triples[np.random.default_rng(count).choice(len(triples), _MAX_TRIPLES, replace=False)]
    sides = toPoints[triples]
    areas = np.linalg.norm(np.cross(sides[:, 1] - sides[:, 0], sides[:, 2] - sides[:, 0]), axis=1)
    triples = triples[areas >= 0.25 * areas.max()]
    rotations, translations = solveRigidBatch(fromPoints[triples], toPoints[triples])
    squares = ((np.einsum("hij,nj->hni", rotations, fromPoints) + translations[:, None] - toPoints) ** 2).sum(axis=2)
    best = squares[np.argmin(np.sort(squares, axis=1)[:, keep - 1])]
    inliers = np.zeros(count, bool)
    inliers[np.argsort(best)[: max(keep, 4)]] = True
    for _ in range(2 * count):
        try:
            errors, suspects = leaveOneOut(fromPoints, toPoints, inliers, solve, informationOf)
        except np.linalg.LinAlgError:
            return everything
        # Take in the best outside point that the test doesn't reject: only then is the residual variance honest again.
        outside = [i for i in np.argsort(np.nan_to_num(errors, nan=np.inf)) if not inliers[i] and i not in suspects]
        if outside:
            inliers[outside[0]] = True
            continue
        bad = [i for i in suspects if inliers[i]]
        if bad and inliers.sum() > max(keep, 4):
            inliers[bad[0]] = False
            continue
        break
    return inliers
