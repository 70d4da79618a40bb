"""Finds the usual mistakes in lists of points before they become a wrong registration: units, axes, duplicates, swapped lists."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PairedPointSolver import solveRigid
from FusionRegistrationLib.PointSetGeometry import PointSetError, describePointSet, nameList
from FusionRegistrationLib.RigidTransform import FloatArray, transformPoints
from TranslatedText.Translation import tr as _

DUPLICATE_MM = 0.5
"""Two points closer than this are the same point measured twice."""

_GOOD_FIT_RATIO = 0.1
"""A corrected list must fit at least this much better than the list as given before its error is named."""


@dataclasses.dataclass(frozen=True)
class PointProblem:
    """One finding: ``code`` for programs, ``message`` for people, ``severe`` when a registration must not be made of it."""

    code: str
    message: str
    severe: bool


@dataclasses.dataclass(frozen=True, eq=False)
class CtRegion:
    """Where the CT is: its size in voxels (i, j, k) and ``ijkToRas``."""

    dimensions: tuple[int, int, int]
    ijkToRas: FloatArray

    def outside(self, pointsRas: FloatArray, marginMm: float = 5.0) -> npt.NDArray[np.bool_]:
        """Which points (N, 3) RAS lie outside the volume by more than the margin."""
        spacing = np.linalg.norm(self.ijkToRas[:3, :3], axis=0)
        index = transformPoints(np.linalg.inv(self.ijkToRas), pointsRas)
        gap = np.maximum(-0.5 - index, index - (np.array(self.dimensions) - 0.5)) * spacing
        result: npt.NDArray[np.bool_] = gap.max(axis=1) > marginMm
        return result


def checkPointLists(
    fromPoints: npt.ArrayLike,
    toPoints: npt.ArrayLike,
    *,
    names: Sequence[str] | None = None,
    ctRegion: CtRegion | None = None,
    targetRas: npt.ArrayLike | None = None,
    paired: bool = True,
) -> tuple[PointProblem, ...]:
    """All problems found in two lists of points; empty when there are none. Never raises on bad values: it names them.

    :param fromPoints: measured points, e.g. in Reference (mm).
    :param toPoints: the same points in RAS (mm).
    :param names: names for the messages; numbers from 1 by default.
    :param ctRegion: the CT that the to-points should lie in.
    :param targetRas: a target, e.g. the disc: points on the back lie posterior of it. The only way to tell LPS from RAS where the CT is
        centred in the scanner, because changing the signs of x and y is a mere rotation to the fit.
    :param paired: the lists are in the same order; enables the checks that compare them.
    """
    problems: list[PointProblem] = []
    source, target = _readable(fromPoints, "measured", problems), _readable(toPoints, "CT", problems)
    if source is None or target is None:
        return tuple(problems)
    for points, what in ((source, "measured"), (target, "CT")):
        problems += _checkOneList(points, what, names)
    if ctRegion is not None and len(target):
        problems += _checkRegion(source, target, ctRegion, names)
    if targetRas is not None and len(target) >= 3 and not any(p.code == "lpsForRas" for p in problems):
        problems += _checkSide(target, np.asarray(targetRas, float))
    if paired and len(source) != len(target):
        problems.append(
            PointProblem(
                "unequalNumbers",
                _("There are {count} measured points but {total} CT points: match them or delete some.").format(
                    count=len(source), total=len(target)
                ),
                True,
            )
        )
    if any(p.severe and p.code in {"tooFew", "nan", "unequalNumbers", "collinear"} for p in problems):
        return tuple(problems)
    scale = None if any(p.code == "metres" for p in problems) else _checkScale(source, target, paired)
    if scale is not None:
        return (*problems, scale)
    if paired and len(source) >= 4:
        problems += _checkOrderAndAxes(source, target)
    return tuple(problems)


def _readable(points: npt.ArrayLike, what: str, problems: list[PointProblem]) -> FloatArray | None:
    try:
        array = np.array(points, float)
    except (TypeError, ValueError):
        problems.append(
            PointProblem("notNumbers", _("The {what} points are not all numbers with three coordinates each.").format(what=what), True)
        )
        return None
    if array.size == 0:
        return array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        problems.append(
            PointProblem(
                "shape",
                _("The {what} points must have three coordinates each; the list has the shape {arrayShape}.").format(
                    what=what, arrayShape=array.shape
                ),
                True,
            )
        )
        return None
    return array


def _label(index: int, names: Sequence[str] | None) -> str:
    return str(names[index]) if names is not None and index < len(names) else str(index + 1)


def _checkOneList(points: FloatArray, what: str, names: Sequence[str] | None) -> list[PointProblem]:
    if len(points) < 3:
        return [
            PointProblem(
                "tooFew",
                _("There are only {count} {what} points; at least 3 are needed, better 6.").format(count=len(points), what=what),
                True,
            )
        ]
    bad = np.flatnonzero(~np.isfinite(points).all(axis=1))
    if len(bad):
        listed = nameList([_label(int(i), names) for i in bad])
        return [
            PointProblem(
                "nan",
                _("The {what} point {listed} has no valid position: measure it again or delete it.").format(what=what, listed=listed),
                True,
            )
        ]
    problems: list[PointProblem] = []
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    extent = float(distances.max())
    for i, j in zip(*np.nonzero(np.triu(distances < min(DUPLICATE_MM, 0.02 * extent) if extent > 0 else distances >= 0, 1))):
        problems.append(
            PointProblem(
                "duplicate",
                _("The {what} points {label} and {label2} are at the same place ({distances:.2f} mm apart): delete one of them.").format(
                    what=what, label=_label(int(i), names), label2=_label(int(j), names), distances=distances[i, j]
                ),
                True,
            )
        )
    if np.allclose(points, 0.0):
        problems.append(PointProblem("zero", _("All {what} points are at the origin: nothing was measured.").format(what=what), True))
    elif extent < 2.0:
        problems.append(
            PointProblem(
                "metres",
                _("The {what} points lie within {extent:.3f} mm: they look like metres. Multiply them by 1000.").format(
                    what=what, extent=extent
                ),
                True,
            )
        )
    else:
        try:
            describePointSet(points, f"{what} points")
        except PointSetError as error:
            problems.append(PointProblem("collinear", str(error), True))
    return problems


def _checkRegion(source: FloatArray, target: FloatArray, region: CtRegion, names: Sequence[str] | None) -> list[PointProblem]:
    finite = np.isfinite(target).all(axis=1)
    outside = np.zeros(len(target), bool)
    outside[finite] = region.outside(target[finite])
    if not outside.any():
        return []
    if finite.all() and not region.outside(target * np.array([-1.0, -1.0, 1.0])).any():
        return [
            PointProblem(
                "lpsForRas",
                _(
                    "The CT points lie outside the CT, but inside it when the signs of the first two coordinates are changed: they are "
                    "in LPS, this program works in RAS. Change the signs of x and y."
                ),
                True,
            )
        ]
    if len(source) and np.isfinite(source).all() and not region.outside(source).any() and outside.all():
        return [
            PointProblem(
                "swapped", _("The measured points lie inside the CT and the CT points outside it: the two lists are swapped."), True
            )
        ]
    listed = nameList([_label(int(i), names) for i in np.flatnonzero(outside)])
    plural = int(outside.sum()) > 1
    return [
        PointProblem(
            "outsideCt",
            _("CT point{value} {listed} {value2} outside the CT: delete or correct.").format(
                value="s" * plural, listed=listed, value2="lie" if plural else "lies"
            ),
            True,
        )
    ]


def _checkSide(target: FloatArray, aim: FloatArray) -> list[PointProblem]:
    """Points on the back are posterior (smaller y in RAS) of the disc."""
    behind, flipped = target[:, 1] < aim[1], -target[:, 1] < aim[1]
    if behind.mean() > 0.5 or not np.isfinite(target).all():
        return []
    if flipped.all():
        return [
            PointProblem(
                "lpsForRas",
                _(
                    "The CT points lie in front of the target instead of behind it; with the signs of x and y changed they lie behind "
                    "it: they are in LPS, this program works in RAS. Change the signs of x and y."
                ),
                True,
            )
        ]
    return [PointProblem("wrongSide", _("Most CT points lie in front of the target, not on the back: check them and the target."), False)]


def _checkScale(source: FloatArray, target: FloatArray, paired: bool) -> PointProblem | None:
    """Units from the ratio of the two lists' extents."""
    if paired:
        sizes = [float(np.sqrt(((p - p.mean(axis=0)) ** 2).sum(axis=1).mean())) for p in (source, target)]
    else:
        sizes = [float(np.median(np.linalg.norm(p[:, None] - p[None], axis=2)[np.triu_indices(len(p), 1)])) for p in (source, target)]
    if min(sizes) <= 0:
        return None
    ratio = sizes[1] / sizes[0]
    for factor, unit, code in ((1000.0, "metres", "metres"), (10.0, "centimetres", "centimetres"), (25.4, "inches", "inches")):
        for value, what in ((ratio, "measured"), (1.0 / ratio, "CT")):
            if abs(value / factor - 1.0) < 0.15:
                return PointProblem(
                    code,
                    _("The {what} points are {value:.4g} times too small: they look like {unit}, not millimetres.").format(
                        what=what, value=value, unit=unit
                    ),
                    True,
                )
    if paired and not 0.9 < ratio < 1.1:
        return PointProblem(
            "scale",
            _(
                "The measured points are {value} {ratio:.2f} times as "
                "{value2} "
                "as the CT points: these are not the same points, or one list has another unit."
            ).format(value="spread" if ratio < 1 else "packed", ratio=max(ratio, 1 / ratio), value2="widely" if ratio < 1 else "densely"),
            True,
        )
    return None


def _fre(source: FloatArray, target: FloatArray) -> float:
    residuals = target - transformPoints(solveRigid(source, target), source)
    return float(np.sqrt((residuals**2).sum(axis=1).mean()))


def _checkOrderAndAxes(source: FloatArray, target: FloatArray) -> list[PointProblem]:
    """Does the pairing fit? If not, would another order or a flipped axis?"""
    from FusionRegistrationLib.PointMatching import matchPoints

    size = float(np.sqrt(((target - target.mean(axis=0)) ** 2).sum(axis=1).mean()))
    fre = _fre(source, target)
    limit = max(0.05 * size, 3.0)
    if fre < limit:
        return []
    mirror = _fre(source * np.array([-1.0, 1.0, 1.0]), target)
    if mirror < max(_GOOD_FIT_RATIO * fre, 1.0):
        return [
            PointProblem(
                "mirrored",
                _(
                    "The lists only agree when one of them is mirrored (residual {mirror:.1f} mm instead of {fre:.1f} mm): one or "
                    "all three axes have "
                    "the wrong sign, as when a left-handed frame or a single axis of LPS is taken for RAS."
                ).format(mirror=mirror, fre=fre),
                True,
            )
        ]
    try:
        match = matchPoints(source, target, toleranceMm=max(3.0, 0.02 * size), minPairs=len(source))
    except PointSetError:
        return []
    if match.found or match.ambiguous:
        return [
            PointProblem(
                "order",
                _(
                    "In this order the points don't agree (residual {fre:.1f} mm), in another order they do: the lists are in "
                    "different orders. "
                    "Let the program match them."
                ).format(fre=fre),
                True,
            )
        ]
    return []
