"""The part of the logic that guides: the session, its views, its checks and what it tells the log."""

import time

import slicer
from slicer.i18n import tr as _

from . import PatientSensing
from .Alerting import Alerting
from .AnatomySurfaces import addAnatomyModels
from .GuidanceInput import tipErrorModel
from .GuidedNeedles import NO_PATH, GuidedNeedles
from .ImageLag import ImageLag
from .NavigationRules import NavigationAction
from .NeedlePaths import NeedlePaths
from .PointCheck import PointCheck
from .StreamConnection import IMAGE

ARCH_CHECK_SEC = 0.5
EVENT_KINDS = {"phase": "GUIDANCE", "needle": "NEEDLE_ACTIVE", "tool": "WARNING"}


class Guiding:
    """Mixed into the logic, which holds the connection, the registration and the log."""

    def _makeCollaborators(self):
        self.needles = NeedlePaths()
        self.alerting = Alerting()
        self.pointCheck = PointCheck(self)
        self.imageLag = ImageLag(self)

    def _resetGuidance(self):
        self.session = self.updater = self.views = self.state = self.checks = self._guided = None
        self.reachedTarget = False
        self._archSec = 0.0
        self._statusStamp = 0
        self._warnings, self._warningsKey = (), None
        self._smoothingSec = 0.0
        self._logTrouble = ""

    def startGuidance(self, parameterNode):
        """Guide the needle of `path` with the registration and calibration at hand; the other planned needles stand ready."""
        from IntradiscalNavLib.Views.GuidanceSession import GuidanceSession
        from IntradiscalNavLib.Views.ViewUpdater import ViewUpdater

        self._require(parameterNode, NavigationAction.Guide)
        self.stopGuidance()
        self._followRegistration()
        self.connection.tick()
        stream, anatomy, models = self.connection.stream, None, ()
        if parameterNode.ctVolume is not None and parameterNode.segmentation is not None:
            anatomy = self.anatomy(parameterNode)
            models = addAnatomyModels(slicer.mrmlScene, anatomy)
        guided = GuidedNeedles(parameterNode, anatomy, lambda: stream.tree.matrix("NeedleTipToNeedle"), self._noteNeedle)
        session = GuidanceSession(
            slicer.mrmlScene,
            guided.plans(),
            needleTransform=stream.node("NeedleToReference"),
            ultrasoundVolume=stream.node(IMAGE),
            toolStatuses=self._toolLiveness,
            errorModel=tipErrorModel(self.registrationFit(), self.registration.getParameterNode().patientTracked),
        )
        guided.attach(session)
        views = self._makeViews(parameterNode, models)
        self.session, self.views, self.updater, self._guided = session, views, ViewUpdater(session, views), guided
        session.needles.onSwitch(lambda switch: self._recordPlan(session.needles.active))
        self.alerting.start()
        self.checks = self._makeChecks(session)
        self.reachedTarget = False
        self._smoothingSec = 0.0
        self.log("GUIDANCE", "guidance started")
        if (
            parameterNode.navigation.recordAutomatically
            and not self.isRecording
            and not self.whyNot(parameterNode, NavigationAction.Record)
        ):
            self.startRecording(parameterNode)  # notes the path itself
        else:
            self._recordPlan(session.needles.active)

    def _tell(self, kind, text, **values):
        """Log without letting a log that can't be written end the guidance: that is told beside the numbers instead."""
        try:
            self.log(kind, text, **values)
            self._logTrouble = ""
        except Exception as error:  # noqa: BLE001  full disks, folders taken away, locked files: guidance goes on all the same
            self._logTrouble = _("The procedure log can't be written: {error}").format(error=error)

    def _noteNeedle(self, needle, isNew):
        """A path was taken up, or moved, while guidance runs: the recording goes on, and knows of it."""
        text = f"{needle.name}: path added" if isNew else f"{needle.name}: path or calibration changed"
        self._tell("PLAN", text, target=needle.targetName, lengthMm=round(needle.pathLengthMm, 1))
        active = self.session.needles.active
        if active is not None and active.name == needle.name:
            self._recordPlan(active)

    def _recordPlan(self, plan):
        """What the numbers that follow refer to."""
        if self.isRecording and plan is not None:
            entry, target = (point.tolist() for point in (plan.path.entryRas, plan.path.targetRas))
            self.connection.recorder.recordPlan(plan.name, plan.targetName, entry, target)

    def _toolLiveness(self):
        from IntradiscalNavLib.Guidance.DisplayedGuidance import NEEDLE, ToolLiveness

        tools = dict(self.connection.toolLiveness())
        if self._guided is not None and self._guided.whyNotLive:
            tools[NEEDLE] = ToolLiveness(False, NO_PATH, self._guided.whyNotLive)
        return tools

    def _followFit(self, fit):
        """A new registration: its errors count from now, what the checks said of an older one does not."""
        self.pointCheck.text = ""
        if self.session is not None:
            self.session.errorModel = tipErrorModel(fit, self.registration.getParameterNode().patientTracked)
        if self.checks is not None:
            self.checks.registered()

    def _standingWarnings(self):
        """First line of a verdict that isn't good, and whether the patient is tracked; worked out anew only when something has changed."""
        tree = self.connection.stream.tree if self.connection is not None else None
        key = (self._registrationStamp, self.doubtReasons(), self._statusStamp, tree is not None and tree.patientTracked)
        if key != self._warningsKey:
            registration = self.registration.getParameterNode()
            verdict = self.registration.verdict(registration, self.doubtReasons())
            patient = PatientSensing.patientText(tree, registration.patientTracked)
            self._warnings = (() if verdict.state == "done" else tuple(verdict.text.splitlines()[:1])) + ((patient,) if patient else ())
            self._warningsKey = key
        return self._warnings

    def _followSmoothing(self, parameterNode):
        from IntradiscalNavLib.Streaming.PoseSmoothing import PoseSmoother

        wanted = parameterNode.navigation.smoothingSec
        if wanted != self._smoothingSec:
            self._smoothingSec = wanted
            self.session.smoother = PoseSmoother(wanted)
            self._tell("GUIDANCE", "smoothing of the needle", timeConstantSec=wanted)

    def smoothingText(self):
        """What the smoothing costs, empty when it is off."""
        delaySec = self.session.smoother.delaySec if self.session is not None else 0.0
        if delaySec <= 0:
            return ""
        # in steps of 10 ms: the measured spacing of the poses trembles, the text must not
        return _("Smoothed: a moving needle is shown some {delay:.0f} ms late.").format(delay=max(round(1000 * delaySec, -1), 10))

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
        updater, views = self.updater, self.views
        self.session = self.updater = self.views = self.state = self.checks = self._guided = None
        if views is not None:
            # Numbers and needle left in the views would look live.
            views.close()
        if updater is not None:
            updater.close()
            self.keepNow()
            self._tell("GUIDANCE", "guidance stopped")

    @property
    def isGuiding(self):
        return self.session is not None

    def freeze(self, parameterNode):
        """Hold the live picture in every ultrasound view."""
        self._require(parameterNode, NavigationAction.Freeze)
        self.views.freeze(time.monotonic())

    def compare(self, parameterNode):
        """Hold the picture in the fusion view; the ultrasound view beside it goes on live. A picture that is frozen already stays."""
        self._require(parameterNode, NavigationAction.Compare)
        self.views.freeze(time.monotonic(), compare=True)

    @property
    def isFrozen(self):
        return self.views is not None and self.views.freezeMode.value == "frozen"

    @property
    def isComparing(self):
        return self.views is not None and self.views.freezeMode.value == "compare"

    def release(self):
        """Go on live."""
        if self.views is not None:
            self.views.release()

    def _guide(self, parameterNode, nowSec):
        """One turn of the guidance; returns the SessionState."""
        from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase

        self._guided.follow(nowSec)
        self.alerting.follow(self.session.alerts, parameterNode)
        self._followSmoothing(parameterNode)
        smoothing = self.smoothingText()
        checks = self.checks.warnings if self.checks is not None else ()
        self.session.warnings = self._standingWarnings() + checks + tuple(filter(None, (smoothing, self._logTrouble)))
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
                kind = EVENT_KINDS.get(event.kind, "REMARK")
                self._tell(kind, event.text, **{name: value for name, value in event.detail.items() if value is not None})
        return self.state
