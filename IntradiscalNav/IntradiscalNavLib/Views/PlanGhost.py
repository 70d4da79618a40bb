"""Ghost of the plan: the needle where the plan had it at the depth that the recorded needle has reached."""

from __future__ import annotations

from typing import Any

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Views.DisplayNodes import PATH_COLOR
from IntradiscalNavLib.Views.NavigationLayout import THREE_D
from IntradiscalNavLib.Views.NavigationScene import needlePoseAt
from IntradiscalNavLib.Views.SceneModels import PlacedModel, needlePolyData
from IntradiscalNavLib.Views.SessionState import SessionState

GHOST_OPACITY = 0.35


class PlanGhost:
    """A translucent needle in the 3D view; where the scene has no such view nothing is drawn."""

    def __init__(self, scene: Any) -> None:
        self.scene = scene
        self.viewNode = scene.GetSingletonNode(THREE_D.tag, "vtkMRMLViewNode")
        self._model: PlacedModel | None = None

    def show(self, state: SessionState) -> None:
        """Put the ghost beside the needle of this state; without a needle pose it waits at the entry."""
        if state.plan is None or self.viewNode is None:
            return
        if self._model is None:
            self._model = PlacedModel(
                self.scene, "NavGhost", needlePolyData(state.plan.needle), (self.viewNode,), PATH_COLOR, GHOST_OPACITY
            )
            self._model.display.SetVisibility2D(False)
        self._model.place(ghostPose(state.plan, state.needleTipToRas))


def ghostPose(plan: NeedlePlan, needleTipToRas: FloatArray | None) -> FloatArray:
    """NeedleTipToRas of the planned needle at the depth of the recorded one, never past the target."""
    path = plan.path
    depth = 0.0 if needleTipToRas is None else min(path.depthFromEntryMm(needleTipToRas[:3, 3]), path.lengthMm)
    return needlePoseAt(path.entryRas + depth * path.directionRas, path.directionRas)
