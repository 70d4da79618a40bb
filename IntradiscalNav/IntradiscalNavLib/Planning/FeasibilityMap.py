"""Where on the skin a needle can start: a map of scores over the reachable patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.PlanContext import PlanContext
from IntradiscalNavLib.Planning.SkinPatch import REACHABLE
from IntradiscalNavLib.Planning.TrajectorySearch import SearchResult

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FeasibilityMap:
    """Grid (rows, columns) over the skin: RAS points, why a node is (not) reachable, how many targets have a legal path from it, best
    score bound."""

    pointsRas: FloatArray
    reason: npt.NDArray[np.int8]
    legalTargets: npt.NDArray[np.int16]
    bestScore: npt.NDArray[np.float32]
    spacingMm: float
    targetCount: int

    def toPolyData(self) -> Any:
        """vtkPolyData of quads with point arrays "BestScore", "LegalTargetShare" and "Reason"; nodes without skin are left out."""
        import vtk
        from vtk.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray

        known = ~np.isnan(self.pointsRas).any(-1)
        number = np.full(known.shape, -1, np.int64)
        number[known] = np.arange(int(known.sum()))
        quads = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], axis=-1).reshape(-1, 4)
        quads = quads[(quads >= 0).all(1)]
        points = vtk.vtkPoints()
        points.SetData(numpy_to_vtk(np.ascontiguousarray(self.pointsRas[known]), deep=True))
        cells = vtk.vtkCellArray()
        connectivity = np.ascontiguousarray(quads.ravel())
        offsets = np.arange(0, connectivity.size + 1, 4, dtype=np.int64)
        cells.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(connectivity, deep=True))
        polyData = vtk.vtkPolyData()
        polyData.SetPoints(points)
        polyData.SetPolys(cells)
        for name, values in (
            ("BestScore", self.bestScore[known].astype(np.float32)),
            ("LegalTargetShare", (self.legalTargets[known] / max(self.targetCount, 1)).astype(np.float32)),
            ("Reason", self.reason[known].astype(np.int16)),
        ):
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
            array.SetName(name)
            polyData.GetPointData().AddArray(array)
        polyData.GetPointData().SetActiveScalars("BestScore")
        return polyData


def feasibilityMap(context: PlanContext, search: SearchResult) -> FeasibilityMap:
    """Map of a search over its context's skin patch."""
    reachable = context.patch.reason == REACHABLE
    legal = np.zeros(reachable.shape, np.int16)
    score = np.zeros(reachable.shape, np.float32)
    legal[reachable] = search.legalTargets
    score[reachable] = search.bestScore
    return FeasibilityMap(context.patch.points, context.patch.reason, legal, score, context.patch.spacingMm, len(context.targets))
