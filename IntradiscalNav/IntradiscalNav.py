"""Module IntradiscalNav: connect, plan and guide a lumbar intradiscal injection under CT/ultrasound fusion."""

import enum
from typing import Annotated

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper, parameterPack
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class IntradiscalNav(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Intradiscal Navigation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        parent.dependencies = []  # works without SlicerOpenIGTLink and SlicerIGT; what needs them says so where it's used
        parent.contributors = ["IntradiscalNav contributors"]
        parent.helpText = _(
            "Guides a lumbar intradiscal injection on CT fused with tracked ultrasound. Research software, not a medical device."
        )
        parent.acknowledgementText = _("Part of the extension IntradiscalNav.")


class DiscLevel(enum.Enum):
    """Stored by name in scenes: never rename a member."""

    L1L2 = "L1-L2"
    L2L3 = "L2-L3"
    L3L4 = "L3-L4"
    L4L5 = "L4-L5"
    L5S1 = "L5-S1"

    def label(self):
        return self.value


class Side(enum.Enum):
    """Side of the patient from which the needle goes in. Stored by name in scenes."""

    Left = "left"
    Right = "right"

    def label(self):
        return _("Left") if self is Side.Left else _("Right")


@parameterPack
class ConnectionParameters:
    host: str = "127.0.0.1"
    port: Annotated[int, WithinRange(1, 65535)] = 18944


@parameterPack
class PlanParameters:
    level: Annotated[DiscLevel, Default(DiscLevel.L4L5)]
    side: Side
    needleLengthMm: Annotated[float, WithinRange(50, 250)] = 150.0


@parameterNodeWrapper
class IntradiscalNavParameterNode:
    """
    connection: where PlusServer runs
    ctVolume: CT of the patient
    plan: disc, side and needle
    """

    connection: ConnectionParameters
    ctVolume: vtkMRMLScalarVolumeNode
    plan: PlanParameters


class IntradiscalNavWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Thin panel: shows the parameter node and calls the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/IntradiscalNav.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = IntradiscalNavLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
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
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateWorkflow)
        self._parameterNode, self._guiTag = parameterNode, None
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.updateWorkflow)
        self.updateWorkflow()

    def updateWorkflow(self, caller=None, event=None):
        self.ui.workflowLabel.text = self.logic.nextStep(self._parameterNode) if self._parameterNode else ""


class IntradiscalNavLogic(ScriptedLoadableModuleLogic):
    """Maps nodes to IntradiscalNavLib and back; needs no panel."""

    def getParameterNode(self):
        return IntradiscalNavParameterNode(super().getParameterNode())

    def nextStep(self, parameterNode):
        """What to do next, in a sentence."""
        if parameterNode.ctVolume is None:
            return _("Choose the CT of the patient.")
        return _("The CT {name} is chosen.").format(name=parameterNode.ctVolume.GetName())


class IntradiscalNavTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_parameterNodeSurvivesSceneClose()

    def test_parameterNodeSurvivesSceneClose(self):
        logic = IntradiscalNavLogic()
        parameterNode = logic.getParameterNode()
        parameterNode.plan.needleLengthMm = 120
        parameterNode.plan.level = DiscLevel.L3L4
        self.assertEqual(logic.getParameterNode().plan.needleLengthMm, 120)
        self.assertEqual(logic.getParameterNode().plan.level, DiscLevel.L3L4)
        slicer.mrmlScene.Clear()
        self.assertEqual(logic.getParameterNode().plan.level, DiscLevel.L4L5)
