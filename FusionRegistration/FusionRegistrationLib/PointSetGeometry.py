"""Is a set of points fit to carry a rigid transform? Too few, coincident, collinear and near-collinear sets are refused with numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

MIN_SECOND_SPREAD_MM = 2.0
"""Smallest RMS spread (mm) of the points across their main line. Below it a localisation error of 0.5 mm turns the set by many degrees."""

MIN_SPREAD_RATIO = 0.04
"""Smallest ratio of the second to the first spread; below it the points count as lying on one line."""

WARN_SPREAD_RATIO = 0.15


class PointSetError(ValueError):
    """A point set from which no rigid transform follows.

    :ivar singularValuesMm: RMS spreads of the demeaned points along their three principal axes (mm), largest first; empty if not computed.
    """

    def __init__(self, message: str, singularValuesMm: tuple[float, ...] = ()) -> None:
        super().__init__(message)
        self.singularValuesMm = singularValuesMm


@dataclasses.dataclass(frozen=True)
class PointSetGeometry:
    """Shape of a point set: principal axes (rows, unit vectors) and RMS spreads along them (mm), largest first."""

    centroid: FloatArray
    principalAxes: FloatArray
    singularValuesMm: tuple[float, float, float]
    warning: str

    @property
    def isPlanar(self) -> bool:
        """True when the points lie in one plane within 2 % of their extent: a mirrored set can't be told from a flipped one."""
        return self.singularValuesMm[2] < 0.02 * max(self.singularValuesMm[0], 1e-12)


def asPoints(points: npt.ArrayLike, name: str) -> FloatArray:
    """Points as an (N, 3) float array.

    :raises PointSetError: when the shape is another one or a coordinate is NaN or infinite; the message names the points.
    """
    try:
        array = np.array(points, dtype=float)
    except (TypeError, ValueError) as error:
        raise PointSetError(_("The {name} are not numbers: {error}.").format(name=name, error=error)) from error
    if array.size == 0:
        array = array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise PointSetError(
            _("The {name} must be N rows of 3 coordinates, not an array of shape {arrayShape}.").format(name=name, arrayShape=array.shape)
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise PointSetError(
            _("The {name} hold NaN or infinite coordinates at number {names}: measure them again.").format(
                name=name, names=", ".join(str(i + 1) for i in bad)
            )
        )
    return array


def describePointSet(points: FloatArray, name: str = "points") -> PointSetGeometry:
    """Principal axes and spreads of points (N, 3) in mm.

    :raises PointSetError: fewer than 3 points, all in one place, on a line or nearly so.
    """
    count = len(points)
    if count < 3:
        raise PointSetError(
            _("A rigid registration needs at least 3 points that are not on a line; the {name} are {count}. Add points.").format(
                name=name, count=count
            )
        )
    centroid = points.mean(axis=0)
    _unused, values, axes = np.linalg.svd(points - centroid, full_matrices=False)
    spreads = values / np.sqrt(count)
    if len(spreads) < 3:
        spreads = np.append(spreads, 0.0)
    first, second, third = (float(v) for v in spreads[:3])
    told = _("spreads along the principal axes {first:.2f}, {second:.2f} and {third:.2f} mm").format(
        first=first, second=second, third=third
    )
    if first < MIN_SECOND_SPREAD_MM:
        raise PointSetError(
            _("The {name} lie all in nearly one place ({told}): take points farther apart.").format(name=name, told=told),
            (first, second, third),
        )
    if second < max(MIN_SECOND_SPREAD_MM, MIN_SPREAD_RATIO * first):
        kind = "on a line" if second < 1e-3 * first else "nearly on a line"
        raise PointSetError(
            _(
                "The {name} lie {kind} ({told}), so the rotation about that line is not determined: add a point at least "
                "{value:.0f} mm to the side of it."
            ).format(name=name, kind=kind, told=told, value=max(20.0, 0.3 * first)),
            (first, second, third),
        )
    warning = ""
    if second < WARN_SPREAD_RATIO * first:
        warning = _("The {name} form a narrow strip ({told}): rotation about its length is weakly determined.").format(name=name, told=told)
    return PointSetGeometry(centroid, axes, (first, second, third), warning)


def nameList(names: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    if len(names) < 2:
        return "".join(names)
    return ", ".join(names[:-1]) + " and " + names[-1]
