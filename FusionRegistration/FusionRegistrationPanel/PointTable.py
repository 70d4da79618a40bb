"""The table of points: each point of the fit with its residual, and the points on the patient that take no part."""

import dataclasses

import numpy as np
import slicer

from .ResidualModel import contradicts

SAME_PLACE_MM = 1e-3


@dataclasses.dataclass(frozen=True)
class PointRow:
    """One point.

    name: of the point in the CT where the fit pairs it, else of the point on the patient.
    residualMm, leftOutMm: distance from its partner after the fit, and when it takes no part in the fit; None: not fitted.
    contradicts: an outlier; left out of the fit where `used` is False.
    index: number of the point on the patient; None where there is none (a ball of a plate).
    description: how it was measured.
    """

    name: str
    residualMm: float | None
    leftOutMm: float | None
    used: bool
    contradicts: bool
    index: int | None
    description: str


def pointRows(fit, referencePoints):
    """PointRows of a fit (RigidFit, SurfaceFit or None) and the node of the points on the patient (or None)."""
    places = np.empty((0, 3)) if referencePoints is None else slicer.util.arrayFromMarkupsControlPoints(referencePoints).reshape(-1, 3)
    free = list(range(len(places)))
    rows = []
    for row, name in enumerate(getattr(fit, "pointNames", ())):
        index = next((index for index in free if np.linalg.norm(places[index] - fit.fromPoints[row]) < SAME_PLACE_MM), None)
        if index is not None:
            free.remove(index)
        description = "" if index is None else referencePoints.GetNthControlPointDescription(index)
        values = float(fit.residualsMm[row]), float(fit.leaveOneOutMm[row])
        rows.append(PointRow(name, *values, bool(fit.used[row]), contradicts(fit, row), index, description))
    for index in free:
        name, description = referencePoints.GetNthControlPointLabel(index), referencePoints.GetNthControlPointDescription(index)
        rows.append(PointRow(name, None, None, False, False, index, description))
    return tuple(rows)
