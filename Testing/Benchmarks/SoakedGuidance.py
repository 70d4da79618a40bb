"""What a procedure does with the stream, for the soak: guidance of two needles, all views unrendered, recording of poses and numbers."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from IntradiscalNavLib.Guidance.ActiveNeedle import NeedlePlan
from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, PROBE
from IntradiscalNavLib.Guidance.Guidance import NeedleShape
from IntradiscalNavLib.Guidance.PathFrame import pathFrame
from IntradiscalNavLib.Guidance.StructureClearance import RiskStructure
from IntradiscalNavLib.Guidance.StructureDistance import distanceFromFunction
from IntradiscalNavLib.Guidance.TipUncertainty import RegistrationCovariance, TipErrorModel
from IntradiscalNavLib.Recording.RecordingWriter import RecordingWriter
from IntradiscalNavLib.Recording.StreamRecorder import StreamRecorder
from IntradiscalNavLib.Streaming.LiveStream import LiveStream
from IntradiscalNavLib.Streaming.OpenIGTLinkMessages import ImageMessage
from IntradiscalNavLib.Streaming.SceneStream import SceneUpdate
from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
from IntradiscalNavLib.Views.NavigationLayout import SLICE_VIEWS, THREE_D
from IntradiscalNavLib.Views.NavigationViews import AnatomyModel, NavigationViews
from IntradiscalNavLib.Views.SceneModels import spherePolyData
from IntradiscalNavLib.Views.ToolRoles import ToolRoles
from IntradiscalNavLib.Views.ViewUpdater import ViewUpdater

TARGET, ENTRY = np.array([0.0, 0.0, 0.0]), np.array([60.0, -80.0, 0.0])
SWITCH_SEC, HOLD_SEC = 20.0, 15.0


def addViewNodes(scene: Any) -> None:
    """The nodes of the navigation layout, as the layout manager would make them, without windows."""
    views = [("vtkMRMLSliceNode", view.tag) for view in SLICE_VIEWS] + [("vtkMRMLViewNode", THREE_D.tag)]
    for className, tag in views + [("vtkMRMLSliceCompositeNode", view.tag) for view in SLICE_VIEWS]:
        node = scene.CreateNodeByClass(className)
        node.UnRegister(None)
        node.SetSingletonTag(tag)
        node.SetLayoutName(tag)
        added = scene.AddNode(node)
        if className != "vtkMRMLSliceCompositeNode":
            added.SetMappedInLayout(1)


class SoakedGuidance:
    """Make it once the stream has brought its nodes; then ``turn`` after every tick of the stream."""

    def __init__(self, live: LiveStream, folder: pathlib.Path) -> None:
        stream, scene = live.sceneStream, live.sceneStream.scene
        addViewNodes(scene)
        ball = distanceFromFunction("ball", lambda p: np.linalg.norm(p - 20.0, axis=1) - 9.0, np.array([[-30.0, 70.0]] * 3), 2.0)
        model = scene.AddNewNodeByClass("vtkMRMLModelNode", "ball")
        model.SetAndObservePolyData(spherePolyData(np.full(3, 20.0), 9.0))
        shape, tip = NeedleShape(150.0), np.eye(4)
        plans = [
            NeedlePlan("Disc", "disc L4-L5", pathFrame(ENTRY, TARGET), shape, tip),
            NeedlePlan("Facet", "facet L4-L5 left", pathFrame(ENTRY + 15.0, TARGET + 20.0), shape, tip),
        ]
        self._live = live
        self._roles = ToolRoles({NEEDLE: ["NeedleToReference"], PROBE: ["ProbeToReference"]})
        self.session = GuidanceSession(
            scene,
            plans,
            needleTransform=stream.node("NeedleToReference"),
            ultrasoundVolume=stream.node("Image_Reference"),
            toolStatuses=self._roles.liveness,
            structures=[RiskStructure(ball, 3.0)],
            errorModel=TipErrorModel(RegistrationCovariance(np.diag([1e-5] * 3 + [0.04] * 3), TARGET)),
        )
        self.views = NavigationViews(scene, anatomy=[AnatomyModel(model, (0.9, 0.8, 0.7))])
        self.updater = ViewUpdater(self.session, self.views)
        self._writer = RecordingWriter(folder)
        self._recorder = StreamRecorder(self._writer)
        self._switchSec = self._holdSec = 0.0
        self.liveTurns = 0

    def turn(self, update: SceneUpdate, nowSec: float) -> None:
        """Guide, show and record; another needle now and then, and a picture held for comparison."""
        self._roles.take(update)
        # images would fill the disk: bench_recording measures those
        self._recorder.recordMessages(message for message in self._live.lastMessages if not isinstance(message, ImageMessage))
        self._recorder.recordStatusChanges(update.changes)
        if nowSec - self._switchSec > SWITCH_SEC:
            self._switchSec = nowSec
            self.session.needles.selectNext(nowSec)
        self.updater.markChanged()
        state = self.updater.tick(nowSec)
        if state is None:
            return
        self.liveTurns += state.displayed.guidance is not None
        self._recorder.recordGuidance(state)
        self._recorder.recordEvents(self.session.takeEvents())
        if nowSec - self._holdSec > HOLD_SEC:
            self._holdSec = nowSec
            if self.views.freezer.mode.value != "live":
                self.views.release()
            elif state.frameLive:
                self.views.freeze(nowSec, compare=True)

    def close(self) -> None:
        self._writer.stop()
        self.updater.close()
        self.views.close()
