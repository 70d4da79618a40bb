"""Maps nodes to IntradiscalNavLib and back; needs no panel."""

import pathlib
import time

import numpy as np
import slicer
from FusionRegistrationPanel.FusionRegistrationLogic import FusionRegistrationLogic
from FusionRegistrationPanel.ToolCalibration import CALIBRATION_ATTRIBUTE
from ProcedureLogPanel.ProcedureLogLogic import ProcedureLogLogic
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import Workflow
from .AnatomySurfaces import addAnatomyModels
from .GuidanceInput import needlePlan, riskStructures, tipErrorModel
from .IntradiscalNavParameterNode import IntradiscalNavParameterNode
from .NavigationRules import NavigationAction, whyNot
from .PathPlanning import PathPlanning
from .SceneStore import storeProcedure
from .StreamConnection import IMAGE, StreamConnection

SAME_POINT_MM = 0.05
ARCH_CHECK_SEC = 0.5


class IntradiscalNavLogic(PathPlanning, ScriptedLoadableModuleLogic):
    """Connection, plan, guidance and recording of one procedure.

    logic = IntradiscalNavLogic()
    parameterNode = logic.getParameterNode()
    logic.connect(parameterNode)
    while True:
        logic.tick(parameterNode)
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.registration = FusionRegistrationLogic()
        self.procedureLog = ProcedureLogLogic()
        self.rehearsal = None
        self.layoutHost = None
        """Shows the navigation views: an object with `showLayout()` and `attachNumbers(views)`; the panel sets itself here."""
        self._reset()

    def _reset(self):
        self.connection = None
        self.session = self.updater = self.views = self.state = self.checks = None
        self.reachedTarget = False
        self._archSec = 0.0
        self.trajectories = ()
        self._anatomy = self._anatomyKey = None
        self._registrationStamp = None
        self.doubt = self._warningsKey = None
        self._statusStamp = 0
        self._warnings = ()
        self._calibrationStamps = {}
        self._savedStamp = None

    def getParameterNode(self):
        return IntradiscalNavParameterNode(super().getParameterNode())

    def close(self):
        """End everything that runs: guidance, recording, connection, rehearsal. Call it before the scene is closed."""
        self.stopGuidance()
        if self.connection is not None:
            self.connection.disconnect()
        if self.rehearsal is not None:
            self.rehearsal.stop()
            self.rehearsal = None
        self._reset()

    # --- what can be done now

    def whyNot(self, parameterNode, action):
        """Why a NavigationAction can't be done now; empty if it can."""
        return whyNot(self, parameterNode, action)

    def _require(self, parameterNode, action):
        why = self.whyNot(parameterNode, action)
        if why:
            raise ValueError(why)

    # --- connect and calibrate

    def connect(self, parameterNode):
        """Begin to connect, in the background; `tick` brings the data into the scene."""
        self._require(parameterNode, NavigationAction.Connect)
        if self.connection is None:
            self.connection = StreamConnection(slicer.mrmlScene)
        # The rehearsal commands its simulator over the same connection, which only our own client can.
        place = parameterNode.connection
        self.connection.connect(place.host.strip(), place.port, preferConnector=self.rehearsal is None)

    def disconnect(self):
        self.stopGuidance()
        if self.connection is not None:
            self.connection.disconnect()

    @property
    def isConnecting(self):
        return self.connection is not None and self.connection.isConnecting

    def loadDeviceSet(self, parameterNode):
        """Take calibrations (ImageToProbe, NeedleTipToNeedle, …) from a PLUS configuration; returns their names."""
        from IntradiscalNavLib.Streaming.PlusConfiguration import readPlusConfiguration

        self._require(parameterNode, NavigationAction.LoadDeviceSet)
        configuration = readPlusConfiguration(parameterNode.connection.deviceSet)
        return self.setCalibrations(configuration.coordinateDefinitions)

    def setCalibrations(self, matrices):
        """Set calibrations by name (FromToTo -> 4x4); returns their names."""
        if self.connection is None:
            self.connection = StreamConnection(slicer.mrmlScene)
        for name, matrix in matrices.items():
            self.connection.setFixed(name, np.asarray(matrix, float))
        self.connection.tick()
        return tuple(matrices)

    def treeText(self):
        """The transform tree with the state of each transform, one a line."""
        from IntradiscalNavLib.Streaming.TransformTreeCheck import checkTree, describeTree

        if self.connection is None:
            return ""
        tree, update = self.connection.stream.tree, self.connection.lastUpdate
        states = {name: state.value for name, state in update.states.items()} if update is not None else None
        findings = [f"{finding.text} {finding.remedy}" for finding in checkTree(tree)]
        return "\n".join([describeTree(tree, states), *findings])

    # --- register

    def registrationFit(self):
        """The accepted fit of FusionRegistration, or None."""
        return self.registration.fitOf(self.registration.getParameterNode())

    def _followRegistration(self):
        """Bring a new registration into the transform tree."""
        node = self.registration.nodeOf("fit")
        stamp = None if node is None else (node.GetID(), node.GetMTime())
        if stamp != self._registrationStamp:
            self._registrationStamp = stamp
            fit = self.registrationFit()
            if fit is not None:
                from FusionRegistrationLib.RegistrationDoubt import RegistrationDoubt

                self.connection.stream.setRegistration(fit.fromToTo)
                self.doubt = RegistrationDoubt()
                self.doubt.start()
                error = max((item.p95Mm for item in fit.predictedTre.values()), default=None)
                self.log("REGISTRATION", type(fit).__name__, predictedTre95Mm=None if error is None else round(error, 2))

    def _watchReference(self, nowSec):
        """Doubt the registration when the reference was knocked, drifts or breathes too deep."""
        update = self.connection.lastUpdate
        status = update.statuses.get("ReferenceToTracker") if update is not None else None
        if self.doubt is None or status is None or status.matrix is None:
            return
        for reason in self.doubt.addReference(nowSec, status.matrix, valid=status.isLive):
            self.log("WARNING", reason.message)

    def doubtReasons(self):
        """Why the registration must not be relied on now; empty when nothing speaks against it."""
        return self.doubt.messages if self.doubt is not None else ()

    def confirmRegistration(self, parameterNode):
        """The operator has checked the registration at a known point or in the fused picture: the doubt ends."""
        self._require(parameterNode, NavigationAction.Confirm)
        self.doubt.confirm(time.monotonic(), "confirmed in the panel")
        self.log("REGISTRATION", "confirmed by the operator")

    def _followCalibrations(self):
        """Bring tips that FusionRegistration has calibrated into the transform tree."""
        tip = self.registration.nodeOf("calibration.tip")
        how = tip.GetAttribute(CALIBRATION_ATTRIBUTE) if tip is not None else None
        if how is None:
            return
        stamp = (how, tip.GetTransformToParent().GetMTime())
        if self._calibrationStamps.get(tip.GetName()) != stamp:
            self._calibrationStamps[tip.GetName()] = stamp
            self.connection.setFixed(tip.GetName(), slicer.util.arrayFromTransformMatrix(tip))

    # --- navigate

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

    def tick(self, parameterNode, nowSec=None):
        """One turn: take what arrived, write it into the scene, guide, record. Returns the SessionState, None without guidance."""
        from IntradiscalNavLib.Guidance.GuidancePhase import GuidancePhase

        if self.connection is None:
            return None
        nowSec = time.monotonic() if nowSec is None else nowSec
        self._followRegistration()
        self._followCalibrations()
        self.connection.tick()
        self._watchReference(nowSec)
        if self.session is None:
            return None
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

    # --- log and review

    def log(self, kindName, text, **values):
        """Note an event in the case that Procedure Log has open; without one nothing is noted (the workflow says so)."""
        from ProcedureLogLib.ProcedureEvent import EventKind, EventSource
        from ProcedureLogLib.ProcedureStore import ProcedureStore

        logNode = self.procedureLog.getParameterNode()
        if self.procedureLog.isCaseOpen(logNode):
            kept = {name: value for name, value in values.items() if value is not None}
            with ProcedureStore(logNode.caseFolder) as store:
                store.addEvent(EventKind[kindName], text=text, values=kept, source=EventSource.MODULE)

    def _caseFolder(self, parameterNode):
        from IntradiscalNavLib.Recording.CaseFolder import CaseFolder

        return CaseFolder(parameterNode.caseFolder)

    def startRecording(self, parameterNode):
        """Record everything that arrives into a new folder of the case; returns the folder."""
        self._require(parameterNode, NavigationAction.Record)
        folder = self._caseFolder(parameterNode).newRecordingFolder()
        self.connection.startRecording(folder)
        return folder

    def stopRecording(self):
        if self.connection is not None:
            self.connection.stopRecording()

    @property
    def isRecording(self):
        return self.connection is not None and self.connection.writer is not None

    def saveScene(self, parameterNode):
        """Save the scene, with plan, registration and calibrations, into the case folder; only a whole new one replaces an older."""
        self._require(parameterNode, NavigationAction.Save)
        storeProcedure(slicer.mrmlScene, self.registrationFit(), self.shownTrajectory(parameterNode), self.connection)
        path = self._caseFolder(parameterNode).saveScene(lambda partial: slicer.util.saveScene(str(partial)))
        self._savedStamp = True
        return path

    # --- rehearsal

    def startRehearsal(self, parameterNode):
        """Simulated patient and simulated PLUS: everything of a procedure without hardware. Returns the Rehearsal."""
        from .Rehearsal import Rehearsal

        self._require(parameterNode, NavigationAction.Rehearse)
        self.rehearsal = Rehearsal()
        try:
            self.rehearsal.start(self, parameterNode)
        except BaseException:
            self.rehearsal.stop()
            self.rehearsal = None
            raise
        return self.rehearsal

    def stopRehearsal(self):
        self.disconnect()
        if self.rehearsal is not None:
            self.rehearsal.stop()
            self.rehearsal = None

    @property
    def isRehearsing(self):
        return self.rehearsal is not None

    def rehearseNext(self, parameterNode):
        """Do the next missing step of the rehearsal; returns what was done."""
        self._require(parameterNode, NavigationAction.RehearseNext)
        return self.rehearsal.nextStep(self, parameterNode)

    # --- workflow

    def workflow(self, parameterNode):
        """The seven WorkflowSteps in order."""
        self._statusStamp += 1  # the warnings beside the numbers follow changed limits at the pace of the panel
        folder = parameterNode.caseFolder
        recordings = len(self._caseFolder(parameterNode).recordingFolders()) if folder != pathlib.Path() and folder.is_dir() else 0
        logNode = self.procedureLog.getParameterNode()
        eventCount = len(self.procedureLog.logLines(logNode)) if self.procedureLog.isCaseOpen(logNode) else None
        return (
            Workflow.connectStep(self.connection),
            Workflow.calibrateStep(self.connection),
            Workflow.registerStep(self.registration.verdict(self.registration.getParameterNode(), self.doubtReasons())),
            Workflow.planStep(parameterNode.path, self.shownTrajectory(parameterNode)),
            Workflow.navigateStep(self.state, self.reachedTarget),
            Workflow.logStep(eventCount),
            Workflow.reviewStep(self.isRecording, recordings, bool(self._savedStamp)),
        )
