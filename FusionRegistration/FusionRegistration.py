"""Module FusionRegistration: CT to patient registration with the error that matters, the one at the disc."""

import time

import slicer
import vtk
from FusionRegistrationPanel.FusionRegistrationLogic import FusionRegistrationLogic
from FusionRegistrationPanel.FusionRegistrationParameterNode import FLE_AXES
from FusionRegistrationPanel.FusionRegistrationParameterNode import FusionRegistrationParameterNode as FusionRegistrationParameterNode
from FusionRegistrationPanel.RegistrationRules import RegistrationAction, whyNoErrorMap, whyNotCheckInDivot
from FusionRegistrationPanel.RegistrationVerdict import markerDoubts
from FusionRegistrationPanel.ToolCalibration import CollectionKind
from ScriptedPanel.ActionButtons import ActionButtons
from ScriptedPanel.ModulePanel import ModulePanel
from ScriptedPanel.PanelTables import fillTable, prepareTable
from slicer import vtkMRMLMarkupsNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleTest

STYLUS_INTERVAL_MS = 50
POINT_EVENTS = (vtkMRMLMarkupsNode.PointModifiedEvent, vtkMRMLMarkupsNode.PointRemovedEvent)


class FusionRegistration(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Fusion Registration")
        parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        parent.dependencies = []
        parent.contributors = ["IntradiscalNav contributors"]
        parent.helpText = _(
            "Registers a CT with the patient sensor and predicts the error at the disc. Research software, not a medical device."
        )
        parent.acknowledgementText = _("Part of the extension IntradiscalNav.")


class FusionRegistrationWidget(ModulePanel):
    """Thin panel: shows the parameter node and calls the logic."""

    def __init__(self, parent=None):
        ModulePanel.__init__(self, parent)
        self._observed = {}
        self._rows = ()
        self._stylusTimer = None

    def setup(self):
        import qt

        ModulePanel.setup(self)
        self.openPanel("FusionRegistration.ui", FusionRegistrationLogic())
        buttons = {
            RegistrationAction.FindMarkers: self.ui.findMarkersButton,
            RegistrationAction.RegisterPlate: self.ui.registerPlateButton,
            RegistrationAction.TakePoint: self.ui.takePointButton,
            RegistrationAction.UndoPoint: self.ui.undoPointButton,
            RegistrationAction.MeasureAgain: self.ui.measureAgainButton,
            RegistrationAction.RegisterPoints: self.ui.registerPointsButton,
            RegistrationAction.ExtractBone: self.ui.extractBoneButton,
            RegistrationAction.RegisterSurface: self.ui.registerSurfaceButton,
            RegistrationAction.RegisterJointly: self.ui.registerJointlyButton,
            RegistrationAction.AcceptScan: self.ui.acceptScanButton,
            RegistrationAction.NeedleData: self.ui.needleDataButton,
            RegistrationAction.CheckProbe: self.ui.checkProbeButton,
            RegistrationAction.Verify: self.ui.verifyButton,
            RegistrationAction.Confirm: self.ui.confirmRegistrationButton,
        }
        switches = {RegistrationAction.MeasureAgain: (lambda: self.logic.isMeasuringAgain, self.stopMeasuringAgain)}
        self._buttons = ActionButtons(self, self.logic, buttons, switches, shown=self.showActionResult)
        self._collecting = {
            self.ui.collectButton: lambda: self._whyNoNode(self._parameterNode.stylusTip),
            self.ui.pivotButton: lambda: self._whyNoNode(self._parameterNode.calibration.tool),
            self.ui.spinButton: lambda: self._whyNoNode(self._parameterNode.calibration.tool),
            self.ui.divotButton: lambda: whyNotCheckInDivot(self._parameterNode),
        }
        self.ui.collectButton.connect("toggled(bool)", self.onCollect)
        self.ui.pivotButton.connect("toggled(bool)", lambda checked: self.onCalibrate(checked, CollectionKind.Pivot))
        self.ui.spinButton.connect("toggled(bool)", lambda checked: self.onCalibrate(checked, CollectionKind.Spin))
        self.ui.divotButton.connect("toggled(bool)", lambda checked: self.onCalibrate(checked, CollectionKind.Divot))
        self.ui.scanButton.connect("toggled(bool)", self.onScan)
        self._toolTips = {
            widget: widget.toolTip for widget in (*self._collecting, self.ui.scanButton, self.ui.errorMapCheck, self.ui.fleRatioSpin)
        }
        self._stylusTimer = qt.QTimer()
        self._stylusTimer.setInterval(STYLUS_INTERVAL_MS)
        self._stylusTimer.connect("timeout()", self.onStylusTimer)
        prepareTable(self.ui.residualsTable, [_("Point"), _("Residual"), _("Left out")])
        prepareTable(self.ui.verificationTable, [_("Touched"), _("Error"), _("Passed")])
        self.ui.residualsTable.connect("itemSelectionChanged()", self.onPointChosen)
        self.follow()

    def stopWork(self, isClosing):
        """End what is being collected without using it."""
        self._stylusTimer.stop()
        self.logic.toolCalibration = None
        self.logic.stopDwelling()
        for button in (*self._collecting, self.ui.scanButton):
            button.checked = False

    def observeNodes(self):
        """The buttons depend on what is in the chosen nodes, not only on which are chosen."""
        parameterNode, wanted = self._parameterNode, {}
        if parameterNode is not None:
            points = [node for node in (parameterNode.ctPoints, parameterNode.referencePoints) if node is not None]
            wanted.update({(node.GetID(), event): (node, self.onPointsMoved) for node in points for event in POINT_EVENTS})
            others = [parameterNode.stylusTip, parameterNode.surface.bonePoints, parameterNode.knownPoints]
            others = [node for node in others if node is not None]
            wanted.update({(node.GetID(), vtk.vtkCommand.ModifiedEvent): (node, self.updateButtons) for node in others})
            kept = [node for node in (parameterNode.verification, parameterNode.doubt) if node is not None]
            wanted.update({(node.GetID(), vtk.vtkCommand.ModifiedEvent): (node, self.update) for node in kept})
        if wanted.keys() == self._observed.keys():
            return
        for (_nodeId, event), (node, follow) in self._observed.items():
            self.removeObserver(node, event, follow)
        for (_nodeId, event), (node, follow) in wanted.items():
            self.addObserver(node, event, follow)
        self._observed = wanted

    def update(self, caller=None, event=None):
        self.observeNodes()
        try:
            if self._parameterNode is not None:
                self.logic.updateDisplay(self._parameterNode)
            self.showResult()
        except ValueError as error:  # what the scene keeps is damaged
            self.ui.verdictLabel.text = f"△ {error}"
        finally:
            self.updateButtons()

    def updateButtons(self, caller=None, event=None):
        self._buttons.update(self._parameterNode)
        scanning, node = self.ui.scanButton.checked, self._parameterNode
        self.ui.markersLabel.text = markerDoubts(node.ctPoints) if node is not None else ""
        self._explain(self.ui.scanButton, lambda: "" if scanning else self.logic.whyNot(node, RegistrationAction.ScanBone))
        self._explain(self.ui.errorMapCheck, lambda: whyNoErrorMap(node))
        self._explain(self.ui.fleRatioSpin, lambda: "" if node.fle.direction in FLE_AXES else _("Choose a direction first."))
        # collecting may start before the tool is in view, but not without one
        for button, whyNot in self._collecting.items():
            self._explain(button, whyNot)

    @staticmethod
    def _whyNoNode(tool):
        return "" if tool is not None else _("Choose the transform of the tool first.")

    def _explain(self, widget, whyNot):
        """Enable a widget, or let it say why it can't be used."""
        why = whyNot() if self._parameterNode is not None else _("The scene is being closed.")
        widget.enabled = not why
        widget.toolTip = why or self._toolTips[widget]

    def showResult(self):
        if self._parameterNode is None:
            self.ui.verdictLabel.text = ""
            self.ui.residualsTable.setRowCount(0)
            self.ui.verificationTable.setRowCount(0)
            self.ui.calibrationLabel.text = self.ui.verifyLabel.text = ""
            return
        marks = {"missing": "○", "doubtful": "△", "done": "✓"}
        verdict = self.logic.verdict(self._parameterNode)
        self.ui.verdictLabel.text = f"{marks[verdict.state]} {verdict.text}"
        self.showPoints()
        summary = self.logic.errorMap.summary(self._parameterNode)
        self.ui.errorMapLabel.text = summary.text if summary is not None else ""
        self.showVerification()
        kept = self.logic.calibrationText(self._parameterNode)
        if kept and not self.ui.calibrationLabel.text:
            self.ui.calibrationLabel.text = kept

    def showVerification(self):
        verification = self.logic.verificationOf(self._parameterNode)
        self.ui.verifyLabel.text = verification.message if verification is not None else ""
        rows = []
        if verification is not None:
            limitMm = verification.limitMm
            for name, errorMm in sorted(zip(verification.names, verification.errorsMm), key=lambda item: -item[1]):
                rows.append((name, f"{errorMm:.1f} mm", "✓" if errorMm <= limitMm else "△"))
        fillTable(self.ui.verificationTable, rows)
        self.ui.verificationTable.resizeColumnsToContents()
        self.ui.verificationTable.visible = bool(rows)

    def onPointsMoved(self, caller, event):
        """A point was moved or removed by hand."""
        if self._parameterNode is not None:
            self.showPoints()
            self.updateButtons()

    def showPoints(self):
        """The table of points, and what is wrong with them."""
        self._rows = self.logic.pointRows(self._parameterNode)
        longest = max((row.residualMm for row in self._rows if row.residualMm is not None), default=0.0)
        texts, toolTips = [], []
        for row in self._rows:
            bar = "▮" * round(6 * row.residualMm / longest) if row.residualMm is not None and longest else ""
            mark = "△ " if row.contradicts else ""
            cells = ["–", "–"] if row.residualMm is None else [f"{row.residualMm:.2f} mm {bar}", f"{row.leftOutMm:.2f} mm"]
            texts.append((mark + row.name + ("" if row.used or row.residualMm is None else " ✗"), *cells))
            toolTips.append(self._rowToolTip(row))
        fillTable(self.ui.residualsTable, texts, toolTips)
        self.ui.residualsTable.resizeColumnsToContents()
        problems = self.logic.pointProblems(self._parameterNode)
        self.ui.problemsLabel.text = "\n".join(f"△ {problem.message}" for problem in problems)
        self.ui.problemsLabel.visible = bool(problems)
        self.noteChosenPoint()

    @staticmethod
    def _rowToolTip(row):
        told = [row.description] if row.description else []
        if row.residualMm is None:
            told.append(_("Takes no part in the registration."))
        elif not row.used:
            told.append(_("Left out because it contradicts the others."))
        elif row.contradicts:
            told.append(_("Contradicts the others: measure it again."))
        return "\n".join(told)

    def onPointChosen(self):
        self.noteChosenPoint()
        self.updateButtons()

    def noteChosenPoint(self):
        row = self.ui.residualsTable.currentRow()
        chosen = 0 <= row < len(self._rows) and bool(self.ui.residualsTable.selectedItems())
        self.logic.chosenPoint = self._rows[row].index if chosen else None

    def showActionResult(self, action, result):
        if action in (RegistrationAction.NeedleData, RegistrationAction.CheckProbe):
            self.ui.calibrationLabel.text = result
        elif action is RegistrationAction.MeasureAgain:
            self._stylusTimer.start()
        if action in (RegistrationAction.MeasureAgain, RegistrationAction.UndoPoint):
            self.ui.collectLabel.text = self.logic.pointMessage
        elif action is RegistrationAction.RegisterJointly:
            self.ui.scanLabel.text = result.disagreement.message
        for warning in getattr(result, "warnings", ()):
            slicer.util.showStatusMessage(warning, 8000)

    def onCollect(self, checked):
        if checked:
            self.logic.startDwelling()
            self._stylusTimer.start()
        else:
            self._stylusTimer.stop()
            self.logic.stopDwelling()
        self.ui.collectLabel.text = _("Hold the stylus still on the first point.") if checked else ""
        self.updateButtons()

    def stopMeasuringAgain(self):
        self.logic.stopMeasuringAgain()
        self._endMeasuringAgain()
        self.ui.collectLabel.text = ""

    def _endMeasuringAgain(self):
        """Stop watching the stylus unless points are being collected."""
        if not self.ui.collectButton.checked:
            self._stylusTimer.stop()
            self.logic.stopDwelling()

    def onCalibrate(self, checked, kind):
        """Collect poses while the button is down, calibrate when it comes up."""
        if checked:
            self.logic.startCalibration(self._parameterNode, kind)
            self._stylusTimer.start()
            return
        self._stylusTimer.stop()
        if self.logic.toolCalibration is not None and self._parameterNode is not None:
            with slicer.util.tryWithErrorDisplay(_("The tool was not calibrated."), waitCursor=True):
                self.ui.calibrationLabel.text = self.logic.finishCalibration(self._parameterNode)

    def onScan(self, checked):
        """Collect bone while the button is down."""
        if not checked:
            self._stylusTimer.stop()
            self.logic.stopScanning()
            self.updateButtons()
            return
        try:
            with slicer.util.tryWithErrorDisplay(_("No bone can be scanned."), waitCursor=True):
                self.logic.startScanning(self._parameterNode)
                self._stylusTimer.start()
        except (ValueError, RuntimeError):
            self.ui.scanButton.checked = False

    def onStylusTimer(self):
        if self.ui.scanButton.checked:
            try:
                self.ui.scanLabel.text = self.logic.scanFrame(self._parameterNode)
            except ValueError as error:  # said once, not thirty times a second
                self.ui.scanButton.checked = False
                self.ui.scanLabel.text = str(error)
            self.updateButtons()
            return
        if self.logic.toolCalibration is not None:
            self.logic.toolCalibration.add()
            self.ui.calibrationLabel.text = self.logic.toolCalibration.feedback()
            return
        self._watchStylus()

    def _watchStylus(self):
        again, told = self.logic.isMeasuringAgain, ""
        try:
            progress = self.logic.watchStylus(self._parameterNode, time.monotonic())
        except ValueError as error:
            progress, told = 0.0, str(error)
        points = self._parameterNode.referencePoints
        count = points.GetNumberOfControlPoints() if points is not None else 0
        if again and not self.logic.isMeasuringAgain:
            told = told or self.logic.pointMessage
            self._endMeasuringAgain()
            self.update()
        elif again:
            told = _("{what} Still: {percent:.0f} %").format(what=self.logic.pointMessage, percent=100 * progress)
        told = told or _("{count} points taken. Still: {percent:.0f} %").format(count=count, percent=100 * progress)
        self.ui.collectLabel.text = told


class FusionRegistrationTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_pointsAreRegisteredInAnyOrder()

    def test_pointsAreRegisteredInAnyOrder(self):
        import numpy as np

        logic = FusionRegistrationLogic()
        parameterNode = logic.getParameterNode()
        patient = np.array([[0, 0, 0], [50, 0, 5], [0, 60, -5], [30, 40, 20.0]])
        shifted = patient[[2, 0, 3, 1]] + [10, -20, 30]
        parameterNode.referencePoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Reference")
        parameterNode.ctPoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Ct")
        slicer.util.updateMarkupsControlPointsFromArray(parameterNode.referencePoints, patient)
        slicer.util.updateMarkupsControlPointsFromArray(parameterNode.ctPoints, shifted)
        logic.registerPoints(parameterNode)
        result = slicer.util.arrayFromTransformMatrix(parameterNode.referenceToRas)
        np.testing.assert_allclose(result[:3, 3], [10, -20, 30], atol=1e-6)
        self.assertEqual(logic.verdict(parameterNode).state, "doubtful")  # no target was chosen
        slicer.mrmlScene.Clear()
        self.assertEqual(logic.verdict(logic.getParameterNode()).state, "missing")
