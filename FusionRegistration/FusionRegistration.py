"""Module FusionRegistration: CT to patient registration with the error that matters, the one at the disc."""

import slicer
import vtk
from slicer import vtkMRMLLinearTransformNode, vtkMRMLMarkupsFiducialNode, vtkMRMLMarkupsNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


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


@parameterNodeWrapper
class FusionRegistrationParameterNode:
    """
    ctPoints: points in the CT (RAS)
    referencePoints: the same points in the frame of the patient sensor (Reference)
    targets: points in the CT where the registration error is predicted
    referenceToRas: the result
    """

    ctPoints: vtkMRMLMarkupsFiducialNode
    referencePoints: vtkMRMLMarkupsFiducialNode
    targets: vtkMRMLMarkupsFiducialNode
    referenceToRas: vtkMRMLLinearTransformNode


class FusionRegistrationWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Thin panel: shows the parameter node and calls the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None
        self._observedPoints = {}

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/FusionRegistration.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = FusionRegistrationLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.registerPointsButton.connect("clicked(bool)", self.onRegisterPoints)
        self.setParameterNode(self.logic.getParameterNode())

    def cleanup(self):
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self):
        self.setParameterNode(self.logic.getParameterNode())

    def exit(self):
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event):
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self._parameterNode, self._guiTag = parameterNode, None
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateButtons)
        self.updateButtons()

    def observePoints(self):
        """The buttons depend on the points in the chosen nodes, not only on which nodes are chosen."""
        parameterNode = self._parameterNode
        nodes = [parameterNode.ctPoints, parameterNode.referencePoints, parameterNode.targets] if parameterNode else []
        chosen = {node.GetID(): node for node in nodes if node is not None}
        if chosen.keys() == self._observedPoints.keys():
            return
        for node in self._observedPoints.values():
            self.removeObserver(node, vtkMRMLMarkupsNode.PointModifiedEvent, self.updateButtons)
            self.removeObserver(node, vtkMRMLMarkupsNode.PointRemovedEvent, self.updateButtons)
        for node in chosen.values():
            self.addObserver(node, vtkMRMLMarkupsNode.PointModifiedEvent, self.updateButtons)
            self.addObserver(node, vtkMRMLMarkupsNode.PointRemovedEvent, self.updateButtons)
        self._observedPoints = chosen

    def updateButtons(self, caller=None, event=None):
        self.observePoints()
        missing = self.logic.whyNotRegisterPoints(self._parameterNode) if self._parameterNode else _("The scene is being closed.")
        self.ui.registerPointsButton.enabled = not missing
        self.ui.registerPointsButton.toolTip = missing or _("Fit the points on the patient to the points in the CT")

    def onRegisterPoints(self):
        with slicer.util.tryWithErrorDisplay(_("The registration failed."), waitCursor=True):
            fit = self.logic.registerPoints(self._parameterNode)
            self.ui.resultLabel.text = _("Fiducial registration error {freMm:.2f} mm. This is not the accuracy.").format(freMm=fit.freMm)


class FusionRegistrationLogic(ScriptedLoadableModuleLogic):
    """Maps nodes to FusionRegistrationLib and back; needs no panel."""

    def getParameterNode(self):
        return FusionRegistrationParameterNode(super().getParameterNode())

    def whyNotRegisterPoints(self, parameterNode):
        """Why the points can't be registered now; empty if they can."""
        for node, name in ((parameterNode.ctPoints, _("in the CT")), (parameterNode.referencePoints, _("on the patient"))):
            if node is None:
                return _("Choose the points {name} first.").format(name=name)
            if node.GetNumberOfDefinedControlPoints() < 3:
                return _("Three points {name} are needed at least.").format(name=name)
        if parameterNode.ctPoints.GetNumberOfDefinedControlPoints() != parameterNode.referencePoints.GetNumberOfDefinedControlPoints():
            return _("The two lists must have the same number of points.")
        if parameterNode.referenceToRas is None:
            return _("Choose the transform for the result first.")
        return ""

    def registerPoints(self, parameterNode):
        """Fit the points on the patient to those in the CT, in the order of the lists, and set `referenceToRas`.

        :returns: RigidFit
        :raises ValueError: if something is missing, or the points determine no rigid transform
        """
        from FusionRegistrationLib.RigidFit import fitRigid

        missing = self.whyNotRegisterPoints(parameterNode)
        if missing:
            raise ValueError(missing)
        ctPoints = slicer.util.arrayFromMarkupsControlPoints(parameterNode.ctPoints, world=True)
        referencePoints = slicer.util.arrayFromMarkupsControlPoints(parameterNode.referencePoints)
        targets = {}
        if parameterNode.targets is not None:
            points = slicer.util.arrayFromMarkupsControlPoints(parameterNode.targets, world=True)
            targets = {parameterNode.targets.GetNthControlPointLabel(index): point for index, point in enumerate(points)}
        fit = fitRigid(referencePoints, ctPoints, targets=targets)
        slicer.util.updateTransformMatrixFromArray(parameterNode.referenceToRas, fit.fromToTo)
        return fit


class FusionRegistrationTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_parameterNodeSurvivesSceneClose()

    def test_parameterNodeSurvivesSceneClose(self):
        logic = FusionRegistrationLogic()
        parameterNode = logic.getParameterNode()
        parameterNode.ctPoints = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "CtPoints")
        self.assertEqual(logic.getParameterNode().ctPoints.GetName(), "CtPoints")
        slicer.mrmlScene.Clear()
        self.assertIsNone(logic.getParameterNode().ctPoints)
