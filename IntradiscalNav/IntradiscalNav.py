"""Module IntradiscalNav: connect, plan and guide a lumbar intradiscal injection under CT/ultrasound fusion."""

import time

import slicer
from IntradiscalNavPanel.ImageLag import LagAction
from IntradiscalNavPanel.IntradiscalNavLogic import IntradiscalNavLogic
from IntradiscalNavPanel.IntradiscalNavParameterNode import DiscLevel
from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.SimulatedSample import registerSampleData
from IntradiscalNavSections.ComparisonSection import ComparisonSection
from IntradiscalNavSections.NavigateSection import NavigateSection
from IntradiscalNavSections.PathsSection import PathsSection
from IntradiscalNavSections.PlanOutputSection import PlanOutputSection
from IntradiscalNavSections.PlanSection import PlanSection
from IntradiscalNavSections.ReplaySection import ReplaySection
from IntradiscalNavSections.ReviewSection import ReviewSection
from IntradiscalNavSections.ViewCapture import captureViews
from ScriptedPanel.ActionButtons import ActionButtons
from ScriptedPanel.ModulePanel import ModulePanel
from ScriptedPanel.PanelTables import fillTable, prepareTable
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

TICK_INTERVAL_MS = 33
STATUS_INTERVAL_SEC = 0.5
LAYOUT_ID = 5418


class IntradiscalNav(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Intradiscal Navigation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        parent.dependencies = []  # works without SlicerOpenIGTLink and SlicerIGT; a missing dependency would make the module vanish
        parent.contributors = ["IntradiscalNav contributors"]
        parent.helpText = _(
            "Guides a lumbar intradiscal injection on CT fused with tracked ultrasound. Research software, not a medical device."
        )
        parent.acknowledgementText = _("Part of the extension IntradiscalNav.")
        slicer.app.connect("startupCompleted()", registerSampleData)


class IntradiscalNavWidget(ModulePanel):
    """Thin panel: the workflow, connection and calibration; the longer steps are sections of their own."""

    keepsNodeWhenLeft = True  # the stream goes on while another module is shown: registration and log need it

    def __init__(self, parent=None):
        ModulePanel.__init__(self, parent)
        self.sections = ()
        self._steps = ()
        self._lastStatusSec = 0.0

    def setup(self):
        import qt

        ModulePanel.setup(self)
        parts = {
            "planSection": (PlanSection.UI, PathsSection.UI, PlanOutputSection.UI),
            "navigateSection": (NavigateSection.UI,),
            "reviewSection": (ReviewSection.UI, ReplaySection.UI, ComparisonSection.UI),
        }
        self.openPanel("IntradiscalNav.ui", IntradiscalNavLogic(), parts)
        self.logic.layoutHost = self
        buttons = {
            NavigationAction.Connect: self.ui.connectButton,
            NavigationAction.Rehearse: self.ui.rehearseButton,
            NavigationAction.RehearseNext: self.ui.rehearseNextButton,
            NavigationAction.LoadDeviceSet: self.ui.loadDeviceSetButton,
            NavigationAction.Confirm: self.ui.confirmButton,
        }
        switches = {
            NavigationAction.Connect: (lambda: self.logic.isConnecting, self.logic.disconnect),
            NavigationAction.Rehearse: (lambda: self.logic.isRehearsing, self.logic.stopRehearsal),
        }
        self._buttons = ActionButtons(self, self.logic, buttons, switches, self.showResult)
        lag = self.logic.imageLag
        self._lagButtons = ActionButtons(
            self, lag, {LagAction.Measure: self.ui.imageLagButton}, {LagAction.Measure: (lambda: lag.isMeasuring, lag.finish)}
        )
        self.sections = (
            PlanSection(self),
            PathsSection(self),
            PlanOutputSection(self),
            NavigateSection(self),
            ReviewSection(self),
            ReplaySection(self),
            ComparisonSection(self),
        )
        self.ui.openRegistrationButton.connect("clicked()", lambda: slicer.util.selectModule("FusionRegistration"))
        self.ui.openLogButton.connect("clicked()", lambda: slicer.util.selectModule("ProcedureLog"))
        self._foldings = [
            self.ui.connectSection,
            self.ui.calibrateSection,
            self.ui.registerSection,
            self.ui.planSection,
            self.ui.navigateSection,
            self.ui.logSection,
            self.ui.reviewSection,
        ]
        self.ui.workflowTable.connect("cellClicked(int,int)", self.onStepClicked)
        prepareTable(self.ui.workflowTable, [_("Step"), _("Where it stands")])
        prepareTable(self.ui.devicesTable, [_("Device"), _("Rate"), _("Status")])
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_INTERVAL_MS)
        self._timer.connect("timeout()", self.onTimer)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneImported)
        self.follow()

    def follow(self):
        ModulePanel.follow(self)
        if self.logic.review.startIfSaved(self._parameterNode):
            self.update()

    def onSceneImported(self, caller, event):
        """A scene was loaded: where it is that of a procedure of the past, it comes up in review."""
        if self.parent.isEntered:
            self.follow()

    def stopWork(self, isClosing):
        self._timer.stop()
        self.logic.close()

    # --- actions

    def run(self, function):
        try:
            ModulePanel.run(self, function)
        finally:
            running = self.logic.connection is not None or self.logic.review.isPlaying
            self._timer.start() if running else self._timer.stop()

    def showResult(self, action, result):
        if action is NavigationAction.RehearseNext:
            self.ui.rehearsalLabel.text = result

    def onStepClicked(self, row, column):
        for index, folding in enumerate(self._foldings):
            folding.collapsed = index != row

    def onTimer(self):
        if self._parameterNode is None:
            return
        try:
            self.logic.tick(self._parameterNode)
        except Exception:
            self.update()  # guidance has ended: no number may stay
            raise
        for section in self.sections:
            section.onTick(self._parameterNode)
        if time.monotonic() - self._lastStatusSec > STATUS_INTERVAL_SEC:
            self.update()

    # --- what is shown

    def update(self, caller=None, event=None):
        self._lastStatusSec = time.monotonic()
        self._buttons.update(self._parameterNode)
        self._lagButtons.update(self._parameterNode)
        self.ui.imageLagLabel.text = self.logic.imageLag.text
        for section in self.sections:
            section.update(self._parameterNode)
        if self._parameterNode is not None:
            self.showWorkflow()
            self.showDevices()

    def showWorkflow(self):
        steps = self.logic.workflow(self._parameterNode)
        if steps == self._steps:
            return
        self._steps = steps
        fillTable(
            self.ui.workflowTable, [(f"{step.state.value} {step.name.label()}", step.why) for step in steps], [step.why for step in steps]
        )
        self.ui.workflowTable.resizeColumnToContents(0)
        self.ui.registerLabel.text = steps[2].why
        self.ui.logLabel.text = steps[5].why
        self.ui.reviewLabel.text = steps[6].why if not self.logic.review.isOn else ""  # it stands above the numbers

    def showDevices(self):
        connection = self.logic.connection
        diagnosis = connection.diagnosis() if connection is not None else None
        lines = diagnosis.lines if diagnosis is not None else ()
        rates = [f"{line.rateHz:.0f} Hz" if line.rateHz is not None else "" for line in lines]
        rows = [(line.name, rate, line.status or line.advice) for line, rate in zip(lines, rates)]
        fillTable(self.ui.devicesTable, rows, [line.advice or line.status for line in lines])
        self.ui.devicesTable.resizeColumnsToContents()
        self.ui.connectLabel.text = "\n".join([diagnosis.summary, *diagnosis.advice]) if diagnosis is not None else ""
        self.ui.treeLabel.text = self.logic.treeText()

    # --- views, asked for by the logic when guidance starts

    def showLayout(self):
        """Switch to the navigation layout, where there is a window to lay out."""
        from IntradiscalNavLib.Views.NavigationLayout import navigationLayoutXml

        manager = slicer.app.layoutManager()
        if manager is None:
            return
        layoutNode = manager.layoutLogic().GetLayoutNode()
        if not layoutNode.IsLayoutDescription(LAYOUT_ID):
            layoutNode.AddLayoutDescription(LAYOUT_ID, navigationLayoutXml())
        manager.setLayout(LAYOUT_ID)

    def capture(self, state):
        """All views as one picture, as they show the state."""
        return captureViews()

    def attachNumbers(self, views):
        """Large numbers on the slice views."""
        from IntradiscalNavLib.Views.NavigationLayout import SLICE_VIEWS

        manager = slicer.app.layoutManager()
        for view in SLICE_VIEWS if manager is not None else ():
            widget = manager.sliceWidget(view.tag)
            if widget is not None:
                views.attachOverlay(view, widget.sliceView().renderWindow().GetRenderers().GetFirstRenderer())


class IntradiscalNavTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_parametersAndWorkflow()

    def test_parametersAndWorkflow(self):
        logic = IntradiscalNavLogic()
        parameterNode = logic.getParameterNode()
        parameterNode.plan.needleLengthMm = 120.0
        parameterNode.plan.level = DiscLevel.L3L4
        self.assertEqual(logic.getParameterNode().plan.needleLengthMm, 120.0)
        steps = logic.workflow(parameterNode)
        self.assertEqual([step.name.value for step in steps], ["connect", "calibrate", "register", "plan", "navigate", "log", "review"])
        self.assertTrue(all(step.why for step in steps))
        slicer.mrmlScene.Clear()
        self.assertEqual(logic.getParameterNode().plan.level, DiscLevel.L4L5)
