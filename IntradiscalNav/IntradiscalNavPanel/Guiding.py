"""The part of the logic that guides: the session, its views, its checks and what it tells the log."""

import time

import slicer

from .AnatomySurfaces import addAnatomyModels
from .GuidanceInput import needlePlan, riskStructures, tipErrorModel
from .NavigationRules import NavigationAction
from .StreamConnection import IMAGE

ARCH_CHECK_SEC = 0.5


class Guiding:
    """Mixed into the logic, which holds the connection, the registration and the log."""

    def _resetGuidance(self):
        self.session = self.updater = self.views = self.state = self.checks = None
        self.reachedTarget = False
        self._archSec = 0.0
        self._statusStamp = 0
        self._warnings, self._warningsKey = (), None

    def startGuidance(self, parameterNode):
        """Guide the needle along `path` with the registration and calibration at hand."""
        from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
        from IntradiscalNavLib.Views.ViewUpdater import ViewUpdater

        self._require(parameterNode, NavigationAction.Guide)
        self.stopGuidance()
        self._followRegistration()
        self.connection.tick()
        entry, target = slicer.util.arrayFromMarkupsControlPoints(parameterNode.path, world=True)[:2]
        chosen, stream = parameterNode.plan, self.connection.stream
        tip = stream.tree.matrix("NeedleTipToNeedle")
        structures, models = (), ()
        if parameterNode.ctVolume is not None and parameterNode.segmentation is not None:
            anatomy = self.anatomy(parameterNode)
            structures = riskStructures(anatomy, entry, target, chosen.rootMarginMm)
            models = addAnatomyModels(slicer.mrmlScene, anatomy)
        session = GuidanceSession(
            slicer.mrmlScene,
            [needlePlan(entry, target, chosen.level.value, chosen.side.value, chosen.needleLengthMm, tip)],
            needleTransform=stream.node("NeedleToReference"),
            ultrasoundVolume=stream.node(IMAGE),
            toolStatuses=self.connection.toolLiveness,
            structures=structures,
            errorModel=tipErrorModel(self.registrationFit(), self.registration.getParameterNode().patientTracked),
        )
        views = self._makeViews(parameterNode, models)
        self.session, self.views, self.updater = session, views, ViewUpdater(session, views)
        self.checks = self._makeChecks(session)
        self.reachedTarget = False
        self.log("GUIDANCE", "guidance started")
        if (
            parameterNode.navigation.recordAutomatically
            and not self.isRecording
            and not self.whyNot(parameterNode, NavigationAction.Record)
        ):
            self.startRecording(parameterNode)

    def _registrationWarnings(self):
        """First line of a verdict that isn't good, for the numbers; worked out anew only when something has changed."""
        key = (self._registrationStamp, self.doubtReasons(), self._statusStamp)
        if key != self._warningsKey:
            registration = self.registration.getParameterNode()
            verdict = self.registration.verdict(registration, self.doubtReasons())
            self._warnings = () if verdict.state == "done" else tuple(verdict.text.splitlines()[:1])
            self._warningsKey = key
        return self._warnings

    def _makeViews(self, parameterNode, models):
        """The navigation views, or None where the scene has no views of that layout (numbers are computed all the same)."""
        from IntradiscalNavLib.Views.NavigationLayout import SLICE_VIEWS
        from IntradiscalNavLib.Views.NavigationViews import NavigationViews

        if self.layoutHost is not None:
            self.layoutHost.showLayout()
        tags = {node.GetLayoutName() for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
        if not {view.tag for view in SLICE_VIEWS} <= tags:
            return None
        views = NavigationViews(slicer.mrmlScene, ct=parameterNode.ctVolume, anatomy=models)
        if self.layoutHost is not None:
            self.layoutHost.attachNumbers(views)
        return views

    def _makeChecks(self, session):
        """Live superimposition of the posterior arch, where Fusion Registration has shown the CT's bone surface; None without it."""
        from IntradiscalNavLib.Views.ProcedureChecks import ProcedureChecks

        registration = self.registration.getParameterNode()
        if registration.surface.boneSurface is None or registration.ctVolume is None:
            return None
        return ProcedureChecks(session, surfaceDistance=self.registration.extractBone(registration).table.distances)

    def _checkArch(self, state):
        """Twice a second, apart from the numbers: it takes some 20 ms."""
        if self.checks is not None and state.timeSec - self._archSec >= ARCH_CHECK_SEC:
            self._archSec = state.timeSec
            self.checks.checkArch(state)

    def stopGuidance(self):
        if self.updater is not None:
            self.updater.close()
            self.log("GUIDANCE", "guidance stopped")
        if self.views is not None:
            # Numbers and needle left in the views would look live.
            self.views.close()
        self.session = self.updater = self.views = self.state = self.checks = None

    @property
    def isGuiding(self):
        return self.session is not None

    def freeze(self, parameterNode):
        """Hold the live picture."""
        self._require(parameterNode, NavigationAction.Freeze)
        self.views.freeze(time.monotonic())

    @property
    def isFrozen(self):
        from IntradiscalNavLib.Views.FrozenPicture import FreezeMode

        return self.views is not None and self.views.freezeMode is not FreezeMode.LIVE

    def release(self):
        if self.views is not None:
            self.views.release()

    def _guide(self, parameterNode, nowSec):
        """One turn of the guidance; returns the SessionState."""
        from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase

        self.session.warnings = self._registrationWarnings() + (self.checks.warnings if self.checks is not None else ())
        if self.views is not None:
            self.views.opacity = parameterNode.navigation.opacity
            self.views.curtain = parameterNode.navigation.curtain
        self.updater.markChanged()
        state = self.updater.tick(nowSec)
        if state is not None:
            self.state = state
            self.reachedTarget = self.reachedTarget or state.displayed.phase is GuidancePhase.AT_TARGET
            self._checkArch(state)
            events = self.session.takeEvents()
            if self.connection.recorder is not None:
                self.connection.recorder.recordGuidance(state)
                self.connection.recorder.recordEvents(events)
            for event in events:
                if event.kind == "clearance" and "UNKNOWN" in event.text:
                    continue  # a structure that comes into or goes out of knowledge is no news for the log
                kind = {"phase": "GUIDANCE", "needle": "NEEDLE_ACTIVE", "tool": "WARNING"}.get(event.kind, "REMARK")
                self.log(kind, event.text, **{name: value for name, value in event.detail.items() if value is not None})
        return self.state
