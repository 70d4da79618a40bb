"""Module IntradiscalNav: connect, plan and guide a lumbar intradiscal injection under CT/ultrasound fusion."""

import time

import slicer
import vtk
from IntradiscalNavPanel.IntradiscalNavLogic import IntradiscalNavLogic
from IntradiscalNavPanel.IntradiscalNavParameterNode import DiscLevel
from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.NumberLabels import NUMBER_LABELS
from IntradiscalNavPanel.SimulatedSample import registerSampleData
from slicer import vtkMRMLMarkupsNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest, ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

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


class IntradiscalNavWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Thin panel: shows the parameter node and the workflow, and calls the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._observedPath = None
        self._steps = ()
        self._lastStatusSec = 0.0

    def setup(self):
        import qt

        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/IntradiscalNav.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = IntradiscalNavLogic()
        self.logic.layoutHost = self
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        # the checkable ones are switches: what they say is on while they are down
        self._switches = {
            NavigationAction.Connect: (self.ui.connectButton, lambda: self.logic.isConnecting, self.logic.disconnect),
            NavigationAction.Guide: (self.ui.guideButton, lambda: self.logic.isGuiding, self.logic.stopGuidance),
            NavigationAction.Freeze: (self.ui.freezeButton, lambda: self.logic.isFrozen, self.logic.release),
            NavigationAction.Record: (self.ui.recordButton, lambda: self.logic.isRecording, self.logic.stopRecording),
            NavigationAction.Rehearse: (self.ui.rehearseButton, lambda: self.logic.rehearsal is not None, self.logic.stopRehearsal),
        }
        self._pushButtons = {
            NavigationAction.LoadDeviceSet: self.ui.loadDeviceSetButton,
            NavigationAction.Plan: self.ui.planButton,
            NavigationAction.OtherPath: self.ui.otherPathButton,
            NavigationAction.Confirm: self.ui.confirmButton,
            NavigationAction.Save: self.ui.saveButton,
            NavigationAction.RehearseNext: self.ui.rehearseNextButton,
        }
        buttons = {**self._pushButtons, **{action: entry[0] for action, entry in self._switches.items()}}
        self._toolTips = {action: button.toolTip for action, button in buttons.items()}
        for action, button in self._pushButtons.items():
            button.connect("clicked()", lambda action=action: self.onPush(action))
        for action, (button, _isOn, _stop) in self._switches.items():
            button.connect("clicked()", lambda action=action: self.onSwitch(action))
        self.ui.openRegistrationButton.connect("clicked()", lambda: slicer.util.selectModule("FusionRegistration"))
        self.ui.openLogButton.connect("clicked()", lambda: slicer.util.selectModule("ProcedureLog"))
        self._sections = [
            self.ui.connectSection,
            self.ui.calibrateSection,
            self.ui.registerSection,
            self.ui.planSection,
            self.ui.navigateSection,
            self.ui.logSection,
            self.ui.reviewSection,
        ]
        self.ui.workflowTable.connect("cellClicked(int,int)", self.onStepClicked)
        self._prepareTable(self.ui.workflowTable, [_("Step"), _("Where it stands")])
        self._prepareTable(self.ui.devicesTable, [_("Device"), _("Rate"), _("Status")])
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_INTERVAL_MS)
        self._timer.connect("timeout()", self.onTimer)
        self.setParameterNode(self.logic.getParameterNode())

    @staticmethod
    def _prepareTable(table, headers):
        table.setColumnCount(len(headers))
        table.setWordWrap(False)
        table.setHorizontalHeaderLabels(headers)
        table.verticalHeader().hide()
        table.horizontalHeader().setStretchLastSection(True)

    def cleanup(self):
        self._timer.stop()
        self.logic.close()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.setParameterNode(self.logic.getParameterNode())

    def exit(self):
        """The stream goes on while another module is shown: registration and log need it. Only the panel stops following."""

    def onSceneStartClose(self, caller, event):
        self._timer.stop()
        self.logic.close()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
        self._parameterNode, self._guiTag = parameterNode, None
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
        self.update()

    def observePath(self):
        """A path moved by hand is no longer the planned one."""
        path = self._parameterNode.path if self._parameterNode is not None else None
        if path is self._observedPath:
            return
        if self._observedPath is not None:
            self.removeObserver(self._observedPath, vtkMRMLMarkupsNode.PointModifiedEvent, self.update)
        if path is not None:
            self.addObserver(path, vtkMRMLMarkupsNode.PointModifiedEvent, self.update)
        self._observedPath = path

    # --- actions

    def onPush(self, action):
        with slicer.util.tryWithErrorDisplay(_("That did not work."), waitCursor=True):
            result = getattr(self.logic, action.value)(self._parameterNode)
            if action is NavigationAction.RehearseNext:
                self.ui.rehearsalLabel.text = result
            self.update()

    def onSwitch(self, action):
        """Switch on or off; the button follows what really happened."""
        _button, isOn, stop = self._switches[action]
        try:
            with slicer.util.tryWithErrorDisplay(_("That did not work."), waitCursor=True):
                if isOn():
                    stop()
                else:
                    getattr(self.logic, action.value)(self._parameterNode)
        finally:
            running = self.logic.connection is not None
            self._timer.start() if running else self._timer.stop()
            self.update()

    def onStepClicked(self, row, column):
        for index, section in enumerate(self._sections):
            section.collapsed = index != row

    def onTimer(self):
        if self._parameterNode is None:
            return
        state = self.logic.tick(self._parameterNode)
        self.showNumbers(state)
        if time.monotonic() - self._lastStatusSec > STATUS_INTERVAL_SEC:
            self.update()

    # --- what is shown

    def update(self, caller=None, event=None):
        self._lastStatusSec = time.monotonic()
        self.observePath()
        self.updateButtons()
        self.showNumbers(self.logic.state)  # also when guidance has just ended: no number may stay
        if self._parameterNode is None:
            return
        self.showWorkflow()
        self.showDevices()
        trajectory = self.logic.shownTrajectory(self._parameterNode)
        self.ui.planLabel.text = self.logic.trajectoryText(trajectory)

    def updateButtons(self):
        closing = _("The scene is being closed.")
        for action, button in self._pushButtons.items():
            why = self.logic.whyNot(self._parameterNode, action) if self._parameterNode else closing
            button.enabled = not why
            button.toolTip = why or self._toolTips[action]
        for action, (button, isOn, _stop) in self._switches.items():
            on = isOn()
            why = "" if on else (self.logic.whyNot(self._parameterNode, action) if self._parameterNode else closing)
            button.enabled = not why
            button.checked = on
            button.toolTip = why or self._toolTips[action]

    def showWorkflow(self):
        import qt

        steps = self.logic.workflow(self._parameterNode)
        if steps == self._steps:
            return
        self._steps = steps
        table = self.ui.workflowTable
        table.setRowCount(len(steps))
        for row, step in enumerate(steps):
            for column, text in enumerate((f"{step.state.value} {step.name.label()}", step.why)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(step.why)
                table.setItem(row, column, item)
        table.resizeColumnToContents(0)
        table.resizeRowsToContents()
        self.ui.registerLabel.text = steps[2].why
        self.ui.logLabel.text = steps[5].why
        self.ui.reviewLabel.text = steps[6].why

    def showDevices(self):
        import qt

        connection = self.logic.connection
        diagnosis = connection.diagnosis() if connection is not None else None
        lines = diagnosis.lines if diagnosis is not None else ()
        table = self.ui.devicesTable
        table.setRowCount(len(lines))
        for row, line in enumerate(lines):
            rate = f"{line.rateHz:.0f} Hz" if line.rateHz is not None else ""
            for column, text in enumerate((line.name, rate, line.status or line.advice)):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(line.advice or line.status)
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        table.resizeRowsToContents()
        self.ui.connectLabel.text = "\n".join([diagnosis.summary, *diagnosis.advice]) if diagnosis is not None else ""
        self.ui.treeLabel.text = self.logic.treeText()

    def showNumbers(self, state):
        displayed = state.displayed if state is not None else None
        for number, name in NUMBER_LABELS.items():
            label = getattr(self.ui, f"{name}Number")
            label.text = displayed.text(number) if displayed is not None else "–"
        self.ui.phaseLabel.text = displayed.phase.value if displayed is not None else ""
        self.ui.warningLabel.text = "\n".join(displayed.warnings) if displayed is not None else ""

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
