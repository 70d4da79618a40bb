"""What the suites get inside the Slicer application in place of the headless host: the application's own scene."""

from __future__ import annotations

import pathlib
from typing import Any

import slicer


class ApplicationHost:
    """The part of SceneHost that suites use, on the running application."""

    def __init__(self) -> None:
        self.applicationLogic = slicer.app.applicationLogic()
        self.temporaryFolder = pathlib.Path(slicer.app.temporaryPath)

    @property
    def scene(self) -> Any:
        return slicer.mrmlScene

    def clear(self) -> None:
        slicer.mrmlScene.Clear(0)

    def saveScene(self, path: pathlib.Path | str) -> pathlib.Path:
        if not slicer.util.saveScene(str(path)):
            raise OSError(f"Slicer can't write the scene {path}.")
        return pathlib.Path(path)

    def loadScene(self, path: pathlib.Path | str, clear: bool = True) -> None:
        if clear:
            slicer.mrmlScene.Clear(0)
        slicer.util.loadScene(str(path))


class ApplicationPanelHost:
    """The part of PanelHost that suites use, with Slicer's own widgets."""

    def __init__(self) -> None:
        self.application = slicer.app
        self.openWidgets: list[Any] = []
        self.statusMessages: list[str] = []
        self.selectedModules: list[str] = []
        slicer.util.showStatusMessage = lambda text, duration=0: self.statusMessages.append(text)
        slicer.util.selectModule = self.selectedModules.append

    @property
    def scene(self) -> Any:
        return slicer.mrmlScene

    def load(self, name: str) -> Any:
        return __import__(name)

    def openPanel(self, name: str, widthPixels: int = 350) -> Any:
        representation = getattr(slicer.modules, name.lower()).createNewWidgetRepresentation()
        representation.setMRMLScene(slicer.mrmlScene)
        widget = representation.self()
        widget.enter()
        representation.show()
        self.openWidgets.append(widget)
        slicer.app.processEvents()
        return widget

    def closePanel(self, widget: Any) -> None:
        self.openWidgets.remove(widget)
        widget.exit()
        widget.cleanup()
        widget.parent.close()
        slicer.app.processEvents()
