"""Lumbar nerve roots and dural sac, which CT hardly shows, modelled from pedicles, foramen and disc, with their uncertainty.

The exiting root of a level leaves the sac at the pedicle of the upper vertebra, turns round the pedicle's lower medial border, passes in
front of the superior articular process of the lower vertebra and runs on caudally, laterally and anteriorly. Its distance from the
articular process is published for both endplates (50 patients' 3-D MRI: Pairaiturkar 2019), and that is what places it; the standard
deviation of the same measurement is its uncertainty. A drawn or segmented root replaces the model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.DiscGeometry import Disc
from IntradiscalNavLib.Planning.VertebraGeometry import Pedicle, VertebraMask, findPedicles, posteriorWallMm
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

ROOT_TO_FACET_MM = {
    # level: (upper endplate mean, SD, lower endplate mean, SD); L1-L2 and L5-S1 published, between them interpolated.
    "L1-L2": (3.42, 3.01, 6.07, 1.13),
    "L2-L3": (3.71, 2.88, 7.78, 1.56),
    "L3-L4": (4.00, 2.75, 9.49, 1.98),
    "L4-L5": (4.28, 2.62, 11.19, 2.41),
    "L5-S1": (4.57, 2.49, 12.90, 2.83),
}
"""Distance (mm) of the exiting root from the facet at the level's upper and lower endplate (Pairaiturkar 2019)."""

ROOT_RADIUS_MM = 2.0
"""Half of a lumbar root with its sheath outside the ganglion (diameter about 4 mm at L4-L5; textbook figure)."""
GANGLION_RADIUS_MM = 2.8
DURA_RADIUS_MM = 7.5
"""Half width of the lumbar dural sac (14-16 mm; textbook figure)."""
DURA_SIGMA_MM = 1.0
TRAVERSING_SIGMA_MM = 1.5


@dataclass(frozen=True)
class NervePath:
    """A nerve as a polyline (n, 3) RAS with radius and standard deviation (mm) at each vertex."""

    name: str
    kind: str
    side: str
    pointsRas: FloatArray
    radiusMm: FloatArray
    sigmaMm: FloatArray
    source: str

    def distanceMm(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Distance (...) of points from the nerve's surface, negative inside: the tapered polyline, exact to its linear radius."""
        points = np.asarray(pointsRas, float)
        flat = points.reshape(-1, 3)
        best = np.full(len(flat), np.inf)
        for a, b, ra, rb in zip(self.pointsRas[:-1], self.pointsRas[1:], self.radiusMm[:-1], self.radiusMm[1:]):
            axis = b - a
            share = np.clip((flat - a) @ axis / max(float(axis @ axis), 1e-12), 0.0, 1.0)
            gap = np.linalg.norm(flat - a - share[:, None] * axis, axis=1) - (ra + share * (rb - ra))
            np.minimum(best, gap, out=best)
        return best.reshape(points.shape[:-1])

    @property
    def meanSigmaMm(self) -> float:
        """Root mean square of the vertices' standard deviations."""
        return float(np.sqrt(np.mean(self.sigmaMm**2)))


def _outsideDisc(local: FloatArray, disc: Disc, clearMm: float) -> FloatArray:
    """Push a point (right, anterior, superior of the disc centre, disc axes) sideways out of the disc's outline, grown by ``clearMm``."""
    width, depth = 0.5 * disc.widthMm + clearMm, 0.5 * disc.depthMm + clearMm
    norm = float(np.hypot(local[0] / width, local[1] / depth))
    if norm < 1.0:
        local = local.copy()
        reach = width * np.sqrt(max(1.0 - (local[1] / depth) ** 2, 0.0))
        local[0] = np.copysign(max(reach, abs(local[0])), local[0])
    return local


def _facetFront(vertebrae: tuple[VertebraMask, ...], disc: Disc, side: str, heightMm: float) -> FloatArray:
    """Front of the articular processes on one side at a height above the disc centre (disc axes). Falls back to a typical place."""
    sign = -1.0 if side == "left" else 1.0
    fronts = []
    for vertebra in vertebrae:
        local = (vertebra.points(vertebra.mask & ~vertebra.body) - disc.centerRas) @ disc.discMatrix().T
        here = local[
            (np.abs(local[:, 2] - heightMm) < 3.0)
            & (local[:, 0] * sign > 9.0)
            & (local[:, 0] * sign < 26.0)
            & (local[:, 1] < -0.5 * disc.depthMm - 2.0)
        ]
        if len(here) >= 6:
            level = np.percentile(here[:, 1], 95)
            fronts.append(np.array([float(np.median(here[here[:, 1] >= level - 3.0, 0])), float(level), heightMm]))
    if not fronts:
        return np.array([sign * 15.0, -0.5 * disc.depthMm - 9.0, heightMm])
    return max(fronts, key=lambda front: float(front[1]))


def modelExitingRoot(upper: VertebraMask, lower: VertebraMask, disc: Disc, pedicle: Pedicle) -> NervePath:
    """The root that leaves under the upper vertebra's pedicle (L4 root at L4-L5)."""
    side, sign = pedicle.side, -1.0 if pedicle.side == "left" else 1.0
    level = disc.level if disc.level in ROOT_TO_FACET_MM else "L4-L5"
    upperGap, upperSigma, lowerGap, lowerSigma = ROOT_TO_FACET_MM[level]
    toDisc = disc.discMatrix()

    def local(ctCoordinates: FloatArray) -> FloatArray:
        result: FloatArray = toDisc @ (disc.axes.points(ctCoordinates) - disc.centerRas)
        return result

    half = 0.5 * disc.heightMm
    center = local(pedicle.centerMm)
    under = local(np.array([pedicle.centerMm[0], pedicle.centerMm[1], pedicle.inferiorBorderMm]))
    medial = sign * max(pedicle.medialBorderMm, 8.0)
    back = -0.5 * disc.depthMm
    takeOff = np.array([sign * (DURA_RADIUS_MM - 1.0), back - 7.0, max(float(center[2]), half + 8.0)])
    shoulder = np.array([medial - sign * 1.0, back - 4.0, max(float(under[2]) + 2.0, half + 4.0)])
    outward = np.array([sign * 0.6, 0.8, 0.0])
    foramen = _facetFront((lower, upper), disc, side, half) + outward * (upperGap + GANGLION_RADIUS_MM)
    foramen[2] = max(min(float(under[2]) - GANGLION_RADIUS_MM - 0.5, half + 3.0), half - 1.0)
    foramen = _outsideDisc(foramen, disc, GANGLION_RADIUS_MM + 0.5)
    discEdge = _facetFront((lower, upper), disc, side, -half) + outward * (lowerGap + ROOT_RADIUS_MM)
    discEdge[2] = -half
    discEdge[0] = np.copysign(max(abs(discEdge[0]), abs(foramen[0]) + 3.0), sign)
    discEdge = _outsideDisc(discEdge, disc, ROOT_RADIUS_MM + 0.5)
    onward = discEdge + np.array([sign * 5.0, 7.0, -14.0])
    onward = _outsideDisc(onward, disc, ROOT_RADIUS_MM + 1.0)
    points = np.array([takeOff, shoulder, foramen, discEdge, onward]) @ toDisc + disc.centerRas
    return NervePath(
        f"{upper.name} root {side}",
        "root",
        side,
        points,
        np.array([ROOT_RADIUS_MM, ROOT_RADIUS_MM, GANGLION_RADIUS_MM, ROOT_RADIUS_MM, ROOT_RADIUS_MM]),
        np.array([TRAVERSING_SIGMA_MM, upperSigma, upperSigma, lowerSigma, lowerSigma]) * (1.0 if pedicle.found else 1.5),
        "pedicle and foramen" if pedicle.found else _("population values (no pedicle found)"),
    )


def modelTraversingRoot(upper: VertebraMask, lower: VertebraMask, disc: Disc, lowerPedicle: Pedicle) -> NervePath:
    """The root that crosses the back of the disc on its way to the next foramen (L5 root at L4-L5)."""
    side, sign = lowerPedicle.side, -1.0 if lowerPedicle.side == "left" else 1.0
    toDisc = disc.discMatrix()
    half, back = 0.5 * disc.heightMm, -0.5 * disc.depthMm
    end = toDisc @ (disc.axes.points(lowerPedicle.centerMm) - disc.centerRas)
    medial = max(min(lowerPedicle.medialBorderMm - ROOT_RADIUS_MM - 0.5, 12.0), DURA_RADIUS_MM - 1.5)
    points = np.array(
        [
            [sign * (DURA_RADIUS_MM - 2.0), back - 6.0, half + 2.0],
            [sign * (DURA_RADIUS_MM - 1.0), back - 5.0, -half],
            [sign * medial, back - 4.5, min(float(end[2]), -half - 8.0)],
        ]
    )
    return NervePath(
        f"{lower.name} root {side}",
        "root",
        side,
        points @ toDisc + disc.centerRas,
        np.full(3, ROOT_RADIUS_MM),
        np.full(3, TRAVERSING_SIGMA_MM),
        "pedicle and canal",
    )


def modelRoots(upper: VertebraMask, lower: VertebraMask, disc: Disc) -> tuple[NervePath, ...]:
    """Exiting and traversing roots of a level, both sides."""
    roots = [modelExitingRoot(upper, lower, disc, pedicle) for pedicle in findPedicles(upper, disc.axes)]
    lowerPedicles = findPedicles(lower, disc.axes)
    roots += [modelTraversingRoot(upper, lower, disc, pedicle) for pedicle in lowerPedicles]
    return tuple(roots)


def modelDura(discs: list[tuple[VertebraMask, VertebraMask, Disc]]) -> NervePath | None:
    """Dural sac behind the bodies and discs given, in caudal order; None for an empty list."""
    points: list[FloatArray] = []
    for upper, lower, disc in discs:
        for vertebra in (upper, lower):
            wall = posteriorWallMm(vertebra, disc.axes)
            height = float(disc.axes.coordinates(vertebra.bodyCenterRas)[2])
            points.append(disc.axes.points([0.0, wall - DURA_RADIUS_MM - 1.5, height]))
        points.append(disc.centerRas - (0.5 * disc.depthMm + DURA_RADIUS_MM + 1.5) * disc.discAnterior)
    if not points:
        return None
    ordered = np.array(sorted(points, key=lambda point: -float(point[2])))
    keep = np.r_[True, np.linalg.norm(np.diff(ordered, axis=0), axis=1) > 4.0]
    ordered = ordered[keep]
    count = len(ordered)
    return NervePath(
        "dural sac", "dura", "", ordered, np.full(count, DURA_RADIUS_MM), np.full(count, DURA_SIGMA_MM), _("canal behind the bodies")
    )
