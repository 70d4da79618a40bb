"""The navigation layout rendered off-screen: pictures for the report, the review and the clip."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from IntradiscalNavHeadless.OffscreenViews import OffscreenView, SliceView, ThreeDView
from IntradiscalNavHeadless.SceneHost import SceneHost
from IntradiscalNavLib.Views.NavigationLayout import FUSION, PATH_ACROSS, SLICE_VIEWS, TARGET, THREE_D, ULTRASOUND, ViewName
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel, NavigationViews
from IntradiscalNavLib.Views.SessionState import SessionState
from IntradiscalNavLib.Views.ViewMosaic import viewMosaic

CAPTIONS = {
    PATH_ACROSS: "CT with the planned path and the virtual needle",
    FUSION: "Ultrasound fused with CT and virtual needle",
    ULTRASOUND: "Ultrasound with the CT's bone contour, plan and virtual needle",
    TARGET: "Needle's-eye view of the target",
    THREE_D: "3D: vertebrae, modelled nerves, planned path, probe and needle",
}


class NavigationPictures:
    """Views of one scene.

    :raises RuntimeError: where off-screen rendering isn't to be had, naming the missing packages.
    """

    def __init__(
        self, host: SceneHost, ctNode: Any, anatomy: Sequence[AnatomyModel] = (), sizePixels: tuple[int, int] = (720, 560)
    ) -> None:
        self.views: dict[ViewName, OffscreenView] = {view: SliceView(host, view.tag, "Axial", sizePixels) for view in SLICE_VIEWS}
        self.views[THREE_D] = ThreeDView(host, THREE_D.tag, sizePixels)
        display = ctNode.GetDisplayNode() if ctNode is not None else None
        if display is not None:
            display.AutoWindowLevelOff()
            display.SetWindowLevel(1400, 300)
        self.navigation = NavigationViews(host.scene, ct=ctNode, anatomy=anatomy)
        for view, offscreen in self.views.items():
            self.navigation.attachOverlay(view, offscreen.renderer)

    def show(self, state: SessionState) -> None:
        self.navigation.update(state)
        self._lookAtPath(state)

    def write(self, folder: pathlib.Path, state: SessionState) -> dict[str, pathlib.Path]:
        """One PNG per view: caption to file."""
        folder.mkdir(parents=True, exist_ok=True)
        self.show(state)
        return {caption: self.views[view].writePng(folder / f"{view.tag}.png") for view, caption in CAPTIONS.items()}

    def mosaic(self, state: SessionState) -> npt.NDArray[np.uint8]:
        """All six views in one picture (rows, columns, 3)."""
        self.show(state)
        return viewMosaic(lambda view: self.views[view].pixels())

    def close(self) -> None:
        """Let go of the scene."""
        for view in self.views.values():
            view.close()

    def _lookAtPath(self, state: SessionState) -> None:
        view = self.views[THREE_D]
        if state.plan is None or not isinstance(view, ThreeDView):
            return
        path = state.plan.path
        middle = 0.5 * (np.asarray(path.entryRas) + np.asarray(path.targetRas))
        across = np.array([np.sign(path.entryRas[0] - path.targetRas[0]), 0.0, 0.0])
        # From behind and above, a little from the needle's side: the operator's place at a prone patient.
        view.lookFrom(middle + 170 * across + np.array([0.0, -330.0, 190.0]), middle)
