"""A panel that follows the parameter node of its module through entering, leaving and scene close."""

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin


class ModulePanel(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Base of the module widgets. A panel implements `setup` (`openPanel` first, `follow` last) and `update`.

    `stopWork(isClosing)` ends what must not outlive the panel being shown; `isClosing` tells that the scene goes.
    """

    keepsNodeWhenLeft = False
    """Whether the panel goes on following the scene while another module is shown."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self._parameterNode = None
        self._guiTag = None

    def openPanel(self, uiName, logic, parts=None):
        """Load the .ui file into the module's layout; `self.ui` and `self.logic` are there afterwards.

        :param parts: name of a widget of the file -> .ui files that fill its layout, one below the other
        """
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{uiName}"))
        self.layout.addWidget(uiWidget)
        loaded = [uiWidget]
        containers = slicer.util.childWidgetVariables(uiWidget)
        for container, partNames in (parts or {}).items():
            for partName in partNames:
                loaded.append(slicer.util.loadUI(self.resourcePath(f"UI/{partName}")))
                getattr(containers, container).layout().addWidget(loaded[-1])
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        for widget in loaded:
            widget.setMRMLScene(slicer.mrmlScene)
        self.logic = logic
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)

    def follow(self):
        """Show the parameter node of the present scene."""
        self.setParameterNode(self.logic.getParameterNode())

    def stopWork(self, isClosing):
        """Nothing runs in a panel that doesn't say so."""

    def enter(self):
        self.follow()

    def exit(self):
        if not self.keepsNodeWhenLeft:
            self.stopWork(isClosing=False)
            self.setParameterNode(None)

    def cleanup(self):
        self.stopWork(isClosing=True)
        self.setParameterNode(None)
        self.removeObservers()

    def onSceneStartClose(self, caller, event):
        self.stopWork(isClosing=True)
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.follow()

    def setParameterNode(self, parameterNode):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
        self._parameterNode, self._guiTag = parameterNode, None
        if parameterNode is not None:
            self._guiTag = parameterNode.connectGui(self.ui)
            self.addObserver(parameterNode, vtk.vtkCommand.ModifiedEvent, self.update)
        self.update()

    @property
    def parameterNode(self):
        """The parameter node that is shown; None while the scene is being closed or the panel is left."""
        return self._parameterNode

    def run(self, function):
        """Do something for a button: an error is shown, and the panel follows what really happened."""
        try:
            with slicer.util.tryWithErrorDisplay(self.failureText(), waitCursor=True):
                function()
        finally:
            self.update()

    def failureText(self):
        return _("That did not work.")

    def update(self, caller=None, event=None):
        """Show everything anew; the parameter node may be None."""
        raise NotImplementedError
