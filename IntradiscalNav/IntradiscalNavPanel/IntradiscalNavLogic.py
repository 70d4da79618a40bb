"""Maps nodes to IntradiscalNavLib and back; needs no panel."""

import pathlib
import time

import numpy as np
import slicer
from FusionRegistrationPanel.DoubtRecord import readDoubt
from FusionRegistrationPanel.FusionRegistrationLogic import FusionRegistrationLogic
from FusionRegistrationPanel.ToolCalibration import CALIBRATION_ATTRIBUTE
from ProcedureLogPanel.ProcedureLogLogic import ProcedureLogLogic
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from . import Workflow
from .ActionOwner import ActionOwner
from .AfterProcedure import AfterProcedure
from .CaseKeeping import CaseKeeping
from .CaseReviewing import CaseReviewing
from .Guiding import Guiding
from .IntradiscalNavParameterNode import IntradiscalNavParameterNode
from .LevelCheck import LevelCheck
from .NavigationRules import NavigationAction, whyNot
from .PathPlanning import PathPlanning
from .PatientSensing import patientSensor
from .PlannedPaths import PlannedPaths
from .PlanOutput import PlanOutput
from .PlanViews import PlanViews
from .SkinMap import SkinMap
from .StreamConnection import StreamConnection

FIXED_SENSORS = ("PlateToTracker", "TableToTracker")
"""Sensors fixed beside the reference: if their distance from it changes, the tracker's field is distorted or one came loose."""


class IntradiscalNavLogic(PathPlanning, Guiding, CaseKeeping, ActionOwner, ScriptedLoadableModuleLogic):
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
        self.rehearsalParameters = None
        """PhantomParameters of the patient of the next rehearsal; None for the standard one."""
        self.paths = PlannedPaths(self)
        self.level = LevelCheck(self)
        self.skinMap = SkinMap(self)
        self.planViews = PlanViews(self)
        self.planOutput = PlanOutput(self)
        self.layoutHost = None
        """Shows the navigation views: an object with `showLayout()`, `attachNumbers(views)` and `capture(state)`, which gives all views as
        one picture (rows, columns, 3); the panel sets itself here."""
        self.review = CaseReviewing(self)
        self.after = AfterProcedure(self)
        self._makeCollaborators()
        self._reset()

    def _reset(self):
        self.connection = None
        self._resetPlanning()
        self._resetGuidance()
        self._resetCase()
        self._registrationStamp = self._verificationStamp = self._sensorStamp = self.doubt = None
        self._calibrationStamps = {}

    def getParameterNode(self):
        return IntradiscalNavParameterNode(super().getParameterNode())

    def close(self):
        """End everything that runs: guidance, recording, connection, rehearsal. Call it before the scene is closed."""
        self.review.stop()
        self.stopGuidance()
        self.stopRecording()
        if self.connection is not None:
            self.connection.disconnect()
        if self.rehearsal is not None:
            self.rehearsal.stop()
            self.rehearsal = None
        self.copies.wait()
        self._reset()

    # --- what can be done now

    def whyNot(self, parameterNode, action):
        """Why a NavigationAction can't be done now; empty if it can."""
        return whyNot(self, parameterNode, action)

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
        self.stopRecording()
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

                self.connection.setRegistration(fit.fromToTo)
                self.doubt = RegistrationDoubt()
                self.doubt.start()
                self._followFit(fit)
                error = max((item.p95Mm for item in fit.predictedTre.values()), default=None)
                tracked = self.registration.getParameterNode().patientTracked
                text = type(fit).__name__ if tracked else f"{type(fit).__name__}, patient not tracked"
                self.log("REGISTRATION", text, predictedTre95Mm=None if error is None else round(error, 2), patientTracked=tracked)

    def _followVerification(self):
        """Note in the log what was measured at known points."""
        node = self.registration.nodeOf("verification")
        stamp = None if node is None else (node.GetID(), node.GetText())
        if stamp != self._verificationStamp:
            self._verificationStamp = stamp
            verification = self.registration.verificationOf(self.registration.getParameterNode())
            if verification is not None:
                measured = {"meanMm": round(verification.meanMm, 2), "maxMm": round(verification.maxMm, 2)}
                self.log("REGISTRATION", verification.message, **measured, limitMm=verification.limitMm, passed=verification.passed)

    def _followPatientSensor(self):
        """Once registered, the tracker must not stand in for a sensor on the patient that is merely not seen."""
        stamp = (self._registrationStamp, self.registration.parameterStamp())
        if stamp != self._sensorStamp:
            self._sensorStamp = stamp
            tracked = self.registration.getParameterNode().patientTracked
            self.connection.stream.tree.patientSensor = patientSensor(self.registrationFit() is not None, tracked)

    def _watchReference(self, nowSec):
        """Doubt the registration when the reference was knocked, drifts or breathes too deep."""
        update = self.connection.lastUpdate
        status = update.statuses.get("ReferenceToTracker") if update is not None else None
        if self.doubt is None or status is None or status.matrix is None:
            return
        if self.doubt.doubtful and not self.doubtReasons():
            self.endDoubt(_("confirmed in Fusion Registration"))
            self.log("REGISTRATION", "confirmed by the operator")
        news = list(self.doubt.addReference(nowSec, status.matrix, valid=status.isLive))
        for name in FIXED_SENSORS:
            if (fixed := update.statuses.get(name)) is not None and fixed.matrix is not None:
                news += self.doubt.addCompanion(nowSec, name.split("To")[0], fixed.matrix, valid=fixed.isLive)
        for reason in news:
            self.log("WARNING", reason.message)
        if news:
            self.registration.setDoubt(self.registration.getParameterNode(), dict.fromkeys([*self.doubtReasons(), *self.doubt.messages]))

    def doubtReasons(self):
        """Why the registration must not be relied on now; empty when nothing speaks against it."""
        return readDoubt(self.registration.nodeOf("doubt"))

    def confirmRegistration(self, parameterNode):
        """The operator has checked the registration at a known point or in the fused picture: the doubt ends."""
        self._require(parameterNode, NavigationAction.Confirm)
        self.endDoubt(_("confirmed in the panel"))
        self.log("REGISTRATION", "confirmed by the operator")

    def endDoubt(self, how):
        """The registration has been checked, `how` says by what: no module doubts it any more, and the watch begins anew."""
        self.registration.setDoubt(self.registration.getParameterNode(), ())
        if self.doubt is not None:
            self.doubt.confirm(time.monotonic(), how)

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

    # --- every turn

    def tick(self, parameterNode, nowSec=None):
        """One turn: take what arrived, write it into the scene, guide, record. Returns the SessionState, None without guidance."""
        if self.connection is None or self.review.isOn:
            return None
        nowSec = time.monotonic() if nowSec is None else nowSec
        try:
            return self._turn(parameterNode, nowSec)
        except Exception as error:
            # Numbers that can't be worked out anew would stay on the screen and look live.
            self.stopGuidance()
            self._tell("WARNING", f"guidance was ended by an error: {error}")
            raise

    def _turn(self, parameterNode, nowSec):
        self._followRegistration()
        self._followPatientSensor()
        self._followVerification()
        self._followCalibrations()
        self.connection.tick()
        self.imageLag.take(self.connection)
        self._watchReference(nowSec)
        self.keepCopies(parameterNode, nowSec)
        return self._guide(parameterNode, nowSec) if self.session is not None else None

    @property
    def shownState(self):
        """SessionState that the numbers show: that of the replay while a saved procedure is reviewed, else the live one; or None."""
        return self.review.state if self.review.isOn else self.state

    # --- log

    def log(self, kindName, text, **values):
        """Note an event in the case that Procedure Log has open; without one nothing is noted (the workflow says so)."""
        from ProcedureLogLib.ProcedureEvent import EventKind, EventSource
        from ProcedureLogLib.ProcedureStore import ProcedureStore

        logNode = self.procedureLog.getParameterNode()
        if self.procedureLog.isCaseOpen(logNode):
            kept = {name: value for name, value in values.items() if value is not None}
            with ProcedureStore(logNode.caseFolder) as store:
                store.addEvent(EventKind[kindName], text=text, values=kept, source=EventSource.MODULE)

    # --- rehearsal

    def startRehearsal(self, parameterNode):
        """Simulated patient and simulated PLUS: everything of a procedure without hardware. Returns the Rehearsal."""
        from .Rehearsal import Rehearsal

        self._require(parameterNode, NavigationAction.Rehearse)
        self.rehearsal = Rehearsal(self.rehearsalParameters)
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
        navigate = Workflow.navigateStep(self.state, self.reachedTarget)
        review = Workflow.reviewStep(self.isRecording, recordings, bool(self._savedStamp))
        if self.review.isOn:
            navigate, review = Workflow.replayStep(self.review.timeSec), Workflow.savedStep(self.review.text())
        return (
            Workflow.connectStep(self.connection),
            Workflow.calibrateStep(self.connection),
            Workflow.registerStep(self.registration.verdict(self.registration.getParameterNode(), self.doubtReasons())),
            Workflow.planStep(parameterNode.path, self.shownTrajectory(parameterNode), self.planDoubt(parameterNode)),
            navigate,
            Workflow.logStep(eventCount),
            review,
        )
