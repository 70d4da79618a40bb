"""Pairs two point sets of unknown order with missing and spurious points, and says when the layout doesn't allow it."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PairedPointSolver import solveRigid, solveRigidBatch
from FusionRegistrationLib.PointSetGeometry import PointSetError, asPoints, describePointSet
from FusionRegistrationLib.RigidTransform import FloatArray, transformPoints
from TranslatedText.Translation import tr as _

MAX_POINTS = 30
NOISE_FLOOR_MM = 0.1
"""Localisation noise assumed at least: keeps a difference of hundredths of a millimetre from deciding between two solutions."""
AMBIGUITY_ODDS = 0.001
"""A second solution counts as possible when its odds against the best one exceed this."""

_BASES = 60
_MAX_HYPOTHESES = 60000
_CHUNK = 4000

Pairs = tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True, eq=False)
class PointMatch:
    """Result of `matchPoints`.

    :ivar pairs: (index in from, index in to), sorted; **empty** when ambiguous, mirrored or not found: nothing is guessed.
    :ivar fromToTo: rigid transform of the pairs (identity where there are none).
    :ivar freMm: RMS residual of the pairs (NaN where there are none).
    :ivar ambiguous: True when several pairings fit about equally well; they are in ``alternatives``.
    :ivar mirrored: True when only a mirrored copy of the points fits.
    :ivar alternatives: all pairings that fit, best first (including the best one).
    :ivar missing: from-points without partner; ``spurious``: to-points without partner.
    :ivar message: plain sentence: what was found, or why nothing, and what to do.
    """

    pairs: Pairs
    fromToTo: FloatArray
    freMm: float
    ambiguous: bool
    mirrored: bool
    alternatives: tuple[Pairs, ...]
    missing: tuple[int, ...]
    spurious: tuple[int, ...]
    message: str

    @property
    def found(self) -> bool:
        """True when the pairing is unique."""
        return bool(self.pairs)


@dataclasses.dataclass(frozen=True, eq=False)
class _Solution:
    pairs: Pairs
    fromToTo: FloatArray
    squaresMm2: float

    @property
    def freMm(self) -> float:
        return float(np.sqrt(self.squaresMm2 / len(self.pairs)))


def matchPoints(
    fromPoints: npt.ArrayLike,
    toPoints: npt.ArrayLike,
    *,
    toleranceMm: float = 3.0,
    minPairs: int | None = None,
    outwardFrom: npt.ArrayLike | None = None,
    outwardTo: npt.ArrayLike | None = None,
) -> PointMatch:
    """Find which from-point belongs to which to-point.

    :param fromPoints: (N, 3) mm, N <= 30, e.g. the plate's balls; any order.
    :param toPoints: (M, 3) mm, M <= 30, e.g. detected markers; some may be missing, some may be no markers.
    :param toleranceMm: largest residual of a pair.
    :param minPairs: fewest pairs to accept; default 3 when both sets have 3 points, else 4 and at least half of the smaller set.
    :param outwardFrom: direction of the from-frame that must point along ``outwardTo`` of the to-frame (within 90 deg), e.g. away from
        the skin: it decides between a flat layout and its flipped copy. Give both or none.
    :raises PointSetError: too few points, NaN, more than 30, or points on a line.
    """
    source, target = asPoints(fromPoints, "from-points"), asPoints(toPoints, "to-points")
    for points, name in ((source, "from-points"), (target, "to-points")):
        if len(points) > MAX_POINTS:
            raise PointSetError(
                _("The {name} are {count}; at most {maxPoints} can be matched. Restrict the search region.").format(
                    name=name, count=len(points), maxPoints=MAX_POINTS
                )
            )
        describePointSet(points, name)
    if (outwardFrom is None) != (outwardTo is None):
        raise ValueError(_("Give both outward directions or none."))
    outward = None if outwardFrom is None else (_unit(outwardFrom), _unit(outwardTo))
    smaller = min(len(source), len(target))
    needed = minPairs if minPairs is not None else smaller if smaller <= 4 else max(4, (smaller + 1) // 2)
    logVolume = _logVolume(target, toleranceMm)
    solutions = _solutions(source, target, toleranceMm, needed, outward)
    mirrored = _solutions(source * np.array([-1.0, 1.0, 1.0]), target, toleranceMm, needed, None)
    planar = describePointSet(source).isPlanar
    if mirrored and not planar and (not solutions or _clearlyBetter(mirrored[0], solutions[0], logVolume)):
        return _nothing(
            len(source),
            len(target),
            _(
                "Only a mirrored copy of the points fits: an axis is flipped on one side (for example LPS taken for RAS in one axis, or a "
                "plate definition drawn from the wrong side). No registration was made; correct the frame of one of the lists."
            ),
            mirrored=True,
        )
    if not solutions:
        return _nothing(
            len(source),
            len(target),
            _(
                "No {needed} of the points agree within {toleranceMm:g} mm. Check that both lists are of the same markers and in "
                "millimetres, or widen the tolerance."
            ).format(needed=needed, toleranceMm=toleranceMm),
        )
    best = solutions[0]
    # The same pose with one point paired otherwise is no other solution: the better of the two counts.
    others = [s for s in solutions[1:] if not _samePose(best, s, source, toleranceMm)]
    rivals = [best, *(s for s in others if not _clearlyBetter(best, s, logVolume))]
    if len(rivals) > 1:
        match = _nothing(
            len(source),
            len(target),
            _(
                "{count} different pairings of up to {value} points fit about equally well (the "
                "layout is symmetric, or too few "
                "points were found). Nothing was chosen: pair the points by hand, or use an asymmetric layout."
            ).format(count=len(rivals), value=max(len(s.pairs) for s in rivals)),
        )
        return dataclasses.replace(match, ambiguous=True, alternatives=tuple(s.pairs for s in rivals))
    fromPaired, toPaired = {a for a, _unused in best.pairs}, {b for _unused, b in best.pairs}
    missing = tuple(i for i in range(len(source)) if i not in fromPaired)
    spurious = tuple(i for i in range(len(target)) if i not in toPaired)
    told = f"{len(best.pairs)} of {len(source)} points paired"
    if spurious:
        told += _(", {count} of the other list left over").format(count=len(spurious))
    return PointMatch(best.pairs, best.fromToTo, best.freMm, False, False, (best.pairs,), missing, spurious, told + ".")


def _unit(direction: npt.ArrayLike | None) -> FloatArray:
    vector = np.asarray(direction, float).reshape(3)
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length == 0:
        raise ValueError(_("An outward direction must be a vector of non-zero length."))
    return vector / length


def _nothing(fromCount: int, toCount: int, message: str, mirrored: bool = False) -> PointMatch:
    return PointMatch((), np.eye(4), float("nan"), False, mirrored, (), tuple(range(fromCount)), tuple(range(toCount)), message)


def _logEvidence(solution: _Solution, logVolume: float) -> float:
    """Logarithm of the evidence of a pairing, up to a constant: a paired point is explained by its partner (normal error, size estimated
    from the residuals), an unpaired one lies anywhere in the volume of the layout."""
    count = len(solution.pairs)
    degrees = max(3 * count - 6, 1)
    variance = solution.squaresMm2 / degrees + NOISE_FLOOR_MM**2
    return count * logVolume - 0.5 * degrees * float(np.log(2.0 * np.pi * np.e * variance))


def _clearlyBetter(best: _Solution, other: _Solution, logVolume: float) -> bool:
    """Odds of ``other`` against ``best`` below `AMBIGUITY_ODDS`."""
    return _logEvidence(best, logVolume) - _logEvidence(other, logVolume) > -np.log(AMBIGUITY_ODDS)


def _logVolume(points: FloatArray, toleranceMm: float) -> float:
    """Logarithm of the volume (mm^3) over which stray points are spread: the box of the points, at least two tolerances thick."""
    return float(np.log(np.maximum(np.ptp(points, axis=0), 2.0 * toleranceMm)).sum())


def _samePose(first: _Solution, second: _Solution, points: FloatArray, toleranceMm: float) -> bool:
    gaps = transformPoints(first.fromToTo, points) - transformPoints(second.fromToTo, points)
    return bool(np.sqrt((gaps**2).sum(axis=1).mean()) < toleranceMm)


def _solutions(
    source: FloatArray, target: FloatArray, toleranceMm: float, needed: int, outward: tuple[FloatArray, FloatArray] | None
) -> list[_Solution]:
    """Distinct consistent pairings of at least ``needed`` points, best first."""
    if needed > min(len(source), len(target)):
        return []
    rotations, translations = _hypotheses(source, target, toleranceMm)
    if outward is not None and len(rotations):
        facing = np.einsum("i,hij,j->h", outward[1], rotations, outward[0]) > 0
        rotations, translations = rotations[facing], translations[facing]
    scores: list[tuple[int, float, int]] = []
    for start in range(0, len(rotations), _CHUNK):
        stop = start + _CHUNK
        mapped = np.einsum("hij,nj->hni", rotations[start:stop], source) + translations[start:stop, None]
        squares = ((mapped[:, :, None] - target[None, None]) ** 2).sum(axis=3)
        # A hypothesis through 3 noisy points misses far points by more than the final fit does: count generously, refine, then judge.
        near = squares.min(axis=2) <= (2.5 * toleranceMm) ** 2
        cost = np.where(near, squares.min(axis=2), 0.0).sum(axis=1)
        scores += [(int(n), float(c), start + i) for i, (n, c) in enumerate(zip(near.sum(axis=1), cost)) if n >= needed]
    scores.sort(key=lambda s: (-s[0], s[1]))
    found: dict[Pairs, _Solution] = {}
    for _negativeCount, _error, index in scores[:400]:
        solution = _refine(source, target, rotations[index], translations[index], toleranceMm, needed)
        if solution is None or (outward is not None and outward[1] @ solution.fromToTo[:3, :3] @ outward[0] <= 0):
            continue
        known = found.get(solution.pairs)
        if known is None or solution.squaresMm2 < known.squaresMm2:
            found[solution.pairs] = solution
    logVolume = _logVolume(target, toleranceMm)
    ranked = sorted(found.values(), key=lambda s: -_logEvidence(s, logVolume))
    # A pairing that is a part of a better one is no rival of it.
    distinct: list[_Solution] = []
    for solution in ranked:
        if not any(set(solution.pairs) <= set(other.pairs) for other in distinct):
            distinct.append(solution)
    return distinct


def _hypotheses(source: FloatArray, target: FloatArray, toleranceMm: float) -> tuple[FloatArray, FloatArray]:
    """Rigid transforms that carry a triangle of the source onto a congruent triangle of the target."""
    slack = 2.0 * toleranceMm
    distances = np.linalg.norm(target[:, None] - target[None], axis=2)
    np.fill_diagonal(distances, -1e6)
    triples = np.array(list(itertools.combinations(range(len(source)), 3)))
    corners = source[triples]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    order = np.argsort(-areas, kind="stable")
    bases, times = [], np.zeros(len(source), int)
    limit = int(np.ceil(3 * _BASES / len(source))) + 1
    for index in order:
        # Large triangles first, but every point in some: points may be missing on the other side.
        if areas[index] > 0.1 * areas[order[0]] and (times[triples[index]] < limit).all():
            bases.append(triples[index])
            times[triples[index]] += 1
    fromSets, toSets, total = [], [], 0
    for a, b, c in bases:
        ab, ac, bc = (float(np.linalg.norm(source[p] - source[q])) for p, q in ((a, b), (a, c), (b, c)))
        i, j = np.nonzero(np.abs(distances - ab) < slack)
        fits = (np.abs(distances[i] - ac) < slack) & (np.abs(distances[j] - bc) < slack)
        row, k = np.nonzero(fits)
        toSets.append(np.stack([i[row], j[row], k], axis=1))
        fromSets.append(np.broadcast_to([a, b, c], (len(row), 3)))
        total += len(row)
        if total > _MAX_HYPOTHESES:
            break
    if total == 0:
        return np.empty((0, 3, 3)), np.empty((0, 3))
    return solveRigidBatch(source[np.concatenate(fromSets)], target[np.concatenate(toSets)])


def _refine(
    source: FloatArray, target: FloatArray, rotation: FloatArray, translation: FloatArray, toleranceMm: float, needed: int
) -> _Solution | None:
    """Alternate assignment (one to one) and fit until the pairing stays the same."""
    from scipy.optimize import linear_sum_assignment

    mapped = source @ rotation.T + translation
    pairs: Pairs = ()
    for step in range(8):
        reach = toleranceMm * (2.5 if step == 0 else 1.0)
        squares = ((mapped[:, None] - target[None]) ** 2).sum(axis=2)
        rows, columns = linear_sum_assignment(np.minimum(squares, reach**2))
        now: Pairs = tuple((int(r), int(c)) for r, c in zip(rows, columns) if squares[r, c] < reach**2)
        if len(now) < max(needed, 3):
            return None
        if now == pairs and step > 1:
            break
        pairs = now
        chosen = np.array(pairs)
        fromToTo = solveRigid(source[chosen[:, 0]], target[chosen[:, 1]])
        mapped = transformPoints(fromToTo, source)
    residuals = target[chosen[:, 1]] - mapped[chosen[:, 0]]
    return _Solution(pairs, fromToTo, float((residuals**2).sum()))
