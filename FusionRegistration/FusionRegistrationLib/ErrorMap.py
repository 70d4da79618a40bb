"""Predicted error over a whole surface: computed on a coarse grid around it and interpolated, because it changes smoothly in space."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PointSetGeometry import asPoints
from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

GRID_MM = 10.0
"""Spacing of the grid. The bound is convex and grows over many centimetres: interpolating over 10 mm states up to 2 % too much."""


class PredictsError(Protocol):
    """A registration that predicts its error anywhere: `RigidFit` or `SurfaceFit`."""

    def treMap(self, pointsTo: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """RMS and 95 % bound (mm) at points (N, 3) of the to-frame."""
        ...


def errorMap(fit: PredictsError, pointsRas: npt.ArrayLike, *, gridMm: float = GRID_MM) -> FloatArray:
    """95 % bound of the predicted error (mm) at each of many points (N, 3) RAS, e.g. the vertices of the bone surface.

    :param gridMm: spacing of the grid the bound is computed on; only grid points beside the surface are computed.
    :raises PointSetError: coordinates that aren't finite numbers.
    :raises ValueError: a spacing that isn't positive.
    """
    points = asPoints(pointsRas, _("points of the surface"))
    if not np.isfinite(gridMm) or gridMm <= 0:
        raise ValueError(_("The spacing of the error map must be a positive length in mm, not {gridMm}.").format(gridMm=gridMm))
    if len(points) == 0:
        return np.empty(0)
    origin = points.min(axis=0)
    place = (points - origin) / gridMm
    cell = np.floor(place).astype(np.int64)
    share = place - cell
    shape = cell.max(axis=0) + 2
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    # (N, 8): the corners of the cell of each point, as one number each
    numbers = np.ravel_multi_index(tuple(np.moveaxis(cell[:, None] + corners, 2, 0)), tuple(shape))
    needed, inverse = np.unique(numbers, return_inverse=True)
    nodes = origin + gridMm * np.stack(np.unravel_index(needed, tuple(shape)), axis=1)
    _unused, boundMm = fit.treMap(nodes)
    weights = np.where(corners[None] == 1, share[:, None], 1.0 - share[:, None]).prod(axis=2)
    result: FloatArray = (boundMm[inverse.reshape(numbers.shape)] * weights).sum(axis=1)
    return result
