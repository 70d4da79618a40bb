"""Opens the panels of scripted modules on the stand-ins: `host = PanelHost.start(); widget = host.openPanel(module)`."""

from __future__ import annotations

import os
import pathlib
import sys
import types
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import ctk
import PythonQtStyle
import qMRMLWidgets
import qt
import slicer
import UiLoader

from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import installStandIns, loadModule

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODULES = ("FusionRegistration", "ProcedureLog", "IntradiscalNav")


class PanelHost:
    """One Qt application with the headless scene; use `start()`."""

    def __init__(self) -> None:
        self.application = qt.QApplication.instance() or qt.QApplication(["panels"])
        self.scene = installStandIns().scene
        for name, widgetClass in {**ctk.WIDGETS, **qMRMLWidgets.WIDGETS}.items():
            if name.startswith("q"):
                setattr(slicer, name, widgetClass)
        slicer.app.processEvents = lambda *_: self.application.processEvents()
        slicer.app.setOverrideCursor = slicer.app.restoreOverrideCursor = lambda *_: None
        slicer.util.loadUI = UiLoader.loadUi
        slicer.util.mainWindow = lambda verbose=True: None
        slicer.util.childWidgetVariables = self._childWidgets
        slicer.util.showStatusMessage = lambda text, duration=0: self.statusMessages.append(text)
        self.statusMessages: list[str] = []
        self.selectedModules: list[str] = []
        self.openWidgets: list[Any] = []
        slicer.util.selectModule = self.selectedModules.append

    @staticmethod
    def _childWidgets(top: Any) -> Any:
        ui = types.SimpleNamespace()
        for child in [top, *PythonQtStyle.findChildren(top)]:
            name = child.objectName()
            if name and not name.startswith("qt_"):
                setattr(ui, name, child)
        return ui

    def load(self, name: str) -> Any:
        """The Python module of one of the extension's modules, loaded once."""
        loaded = sys.modules.get(name)
        # A package of the folder's name may stand there: pytest makes one of the folders above a test file.
        return loaded if hasattr(loaded, f"{name}Widget") else loadModule(REPOSITORY / name / f"{name}.py")

    def openPanel(self, name: str, widthPixels: int = 350) -> Any:
        """Widget of a module, set up, entered and shown as Slicer does."""
        module = self.load(name)
        parent = qMRMLWidgets.qMRMLWidget()
        parent.setObjectName(f"{name}ModuleWidget")
        parent.setLayout(qt.QVBoxLayout())
        parent.layout().setContentsMargins(0, 0, 0, 0)
        parent.setMRMLScene(self.scene)
        widget = getattr(module, f"{name}Widget")(parent)
        setattr(slicer.modules, f"{name}Widget", widget)
        widget.setup()
        parent.isEntered = True
        if hasattr(widget, "enter"):
            widget.enter()
        parent.resize(widthPixels, parent.sizeHint().height())
        parent.show()
        self.application.processEvents()
        self.openWidgets.append(widget)
        return widget

    def closePanel(self, widget: Any) -> None:
        self.openWidgets.remove(widget)
        if hasattr(widget, "exit"):
            widget.exit()
        widget.parent.isEntered = False
        widget.cleanup()
        widget.parent.close()
        widget.parent.deleteLater()
        self.application.processEvents()

    def screenshot(self, widget: Any, path: pathlib.Path, widthPixels: int = 350, dark: bool = False) -> pathlib.Path:
        """Picture of a whole panel, `widthPixels` wide."""
        palette = qt.QPalette(qt.QColor(50, 50, 50) if dark else qt.QColor(239, 239, 239))
        self.application.setPalette(palette)
        parent = widget.parent
        for _ in range(2):  # word wrap settles at the second pass
            parent.resize(widthPixels, max(parent.layout().totalHeightForWidth(widthPixels), parent.minimumSizeHint().height()))
            self.application.processEvents()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not parent.grab().save(str(path)):
            raise OSError(f"The picture {path} can't be written.")
        return path


_host: PanelHost | None = None


def start() -> PanelHost:
    global _host
    if _host is None:
        _host = PanelHost()
    return _host
