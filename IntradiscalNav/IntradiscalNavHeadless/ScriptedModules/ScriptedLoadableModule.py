"""Stand-ins of the four base classes that a scripted module file derives from."""

from __future__ import annotations

import os
import sys
import unittest
from typing import Any

import slicer

__all__ = ["ScriptedLoadableModule", "ScriptedLoadableModuleLogic", "ScriptedLoadableModuleTest", "ScriptedLoadableModuleWidget"]


def _resource(modulePath: str, name: str) -> str:
    return os.path.join(os.path.dirname(modulePath), "Resources", name)


class ScriptedLoadableModule:
    """Metadata of a module, kept in `parent`."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.helpText, parent.acknowledgementText = "", "", ""
        parent.categories, parent.dependencies, parent.contributors = [], [], []

    def resourcePath(self, name: str) -> str:
        return _resource(self.parent.path, name)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return ""

    def runTest(self, msec: int = 100, **options: Any) -> None:
        testClass = getattr(sys.modules[type(self).__module__], f"{self.moduleName}Test")
        testClass().runTest(**options)


class ScriptedLoadableModuleWidget:
    """Panel of a module; `parent` is the widget it's shown in."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout() if parent is not None else None

    def resourcePath(self, name: str) -> str:
        return _resource(slicer.util.modulePath(self.moduleName), name)

    def setup(self) -> None:
        """Nothing to set up in the stand-in: Slicer shows its reload section here."""

    def cleanup(self) -> None:
        """Nothing to clean up in the stand-in."""


class ScriptedLoadableModuleLogic:
    """Logic of a module, with its parameter node in the scene."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            return node if node is not None else slicer.mrmlScene.AddNode(self.createParameterNode())
        nodes = self.getAllParameterNodes()
        return nodes[0] if nodes else slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list[Any]:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self) -> Any:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of the self tests; a subclass overrides `setUp` and `runTest`."""

    def __init__(self, methodName: str = "runTest") -> None:
        super().__init__(methodName)
        self.messageDelay = 0

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        print(message)

    def runTest(self, **options: Any) -> None:
        for name in sorted(dir(self)):
            if name.startswith("test"):
                self.setUp()
                getattr(self, name)()
