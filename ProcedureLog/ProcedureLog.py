"""Module ProcedureLog: the data sheet of an injection procedure, kept by the program."""

import enum
import pathlib

import slicer
import vtk
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


class ProcedureLog(ScriptedLoadableModule):
    """Metadata of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = _("Procedure Log")
        parent.categories = [translate("qSlicerAbstractCoreModule", "IGT")]
        parent.dependencies = []
        parent.contributors = ["IntradiscalNav contributors"]
        parent.helpText = _(
            "Times, CT passes, dose and outcome of spine injections, kept in a case folder. Research software, not a medical device."
        )
        parent.acknowledgementText = _("Part of the extension IntradiscalNav.")


class StudyGroup(enum.Enum):
    """Stored by name in scenes: never rename a member."""

    Fusion = "fusion"
    Control = "control"

    def label(self):
        return _("CT/US fusion") if self is StudyGroup.Fusion else _("CT guidance alone")


@parameterNodeWrapper
class ProcedureLogParameterNode:
    """
    caseFolder: folder that holds the case
    pseudonym: name of the case in exports
    group: group of the study
    remark: text of the next remark
    """

    caseFolder: pathlib.Path
    pseudonym: str
    group: StudyGroup
    remark: str


class ProcedureLogWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Thin panel: shows the parameter node and calls the logic."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/ProcedureLog.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = ProcedureLogLogic()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.ui.addRemarkButton.connect("clicked(bool)", self.onAddRemark)
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

    def updateButtons(self, caller=None, event=None):
        missing = self.logic.whyNotAddRemark(self._parameterNode) if self._parameterNode else _("The scene is being closed.")
        self.ui.addRemarkButton.enabled = not missing
        self.ui.addRemarkButton.toolTip = missing or _("Write the remark to the log, with the time")

    def onAddRemark(self):
        with slicer.util.tryWithErrorDisplay(_("The remark wasn't logged."), waitCursor=True):
            self.logic.addRemark(self._parameterNode)


class ProcedureLogLogic(ScriptedLoadableModuleLogic):
    """Maps the parameter node to ProcedureLogLib; needs no panel."""

    def getParameterNode(self):
        return ProcedureLogParameterNode(super().getParameterNode())

    def whyNotAddRemark(self, parameterNode):
        """Why no remark can be logged now; empty if one can."""
        if not parameterNode.remark.strip():
            return _("Write the remark first.")
        if not parameterNode.caseFolder.is_dir() or parameterNode.caseFolder == pathlib.Path():
            return _("Choose an existing case folder first.")
        return ""

    def addRemark(self, parameterNode):
        """Append the remark to the log of the case and empty the field."""
        missing = self.whyNotAddRemark(parameterNode)
        if missing:
            raise ValueError(missing)
        from ProcedureLogLib.ProcedureEvent import EventKind
        from ProcedureLogLib.ProcedureStore import ProcedureStore

        with ProcedureStore(parameterNode.caseFolder) as store:
            event = store.addEvent(EventKind.REMARK, text=parameterNode.remark.strip())
        parameterNode.remark = ""
        return event


class ProcedureLogTest(ScriptedLoadableModuleTest):
    """Self test inside Slicer."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_parameterNodeSurvivesSceneClose()

    def test_parameterNodeSurvivesSceneClose(self):
        logic = ProcedureLogLogic()
        parameterNode = logic.getParameterNode()
        parameterNode.pseudonym = "Case 7"
        self.assertEqual(logic.getParameterNode().pseudonym, "Case 7")
        slicer.mrmlScene.Clear()
        self.assertEqual(logic.getParameterNode().pseudonym, "")
