"""Loads scripted module files, unmodified, on the headless host: what Slicer's module factory does with them."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
import types
from collections.abc import Callable
from typing import Any

import slicer

from IntradiscalNavHeadless.SceneHost import SceneHost, startHost

from . import ParameterNodeWrapper, ScriptedLoadableModule


class ModuleDescription:
    """Stand-in of qSlicerScriptedLoadableModule: the `parent` that a module class gets, and what slicer.modules.<name> is."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = str(path)
        self.name = path.stem
        self.title = path.stem
        self.helpText = self.acknowledgementText = ""
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.hidden = False
        self.icon: Any = None
        self.associatedNodeTypes: list[str] = []


class ApplicationSignals:
    """`connect`, `disconnect` and `emit` of the application stand-in (startupCompleted() and the like)."""

    def __init__(self) -> None:
        self._slots: dict[str, list[Callable[..., Any]]] = {}

    def connect(self, signal: str, slot: Callable[..., Any]) -> bool:
        self._slots.setdefault(signal, []).append(slot)
        return True

    def disconnect(self, signal: str, slot: Callable[..., Any]) -> bool:
        self._slots.get(signal, []).remove(slot)
        return True

    def emit(self, signal: str, *arguments: Any) -> None:
        for slot in list(self._slots.get(signal, [])):
            slot(*arguments)


class ModuleManager:
    """Stand-in of slicer.app.moduleManager()."""

    def __init__(self) -> None:
        self.modules: dict[str, ModuleDescription] = {}

    def module(self, name: str) -> ModuleDescription | None:
        return self.modules.get(name)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(self.modules)


_manager = ModuleManager()
_signals = ApplicationSignals()


def installStandIns() -> SceneHost:
    """Start the host and put the stand-ins where module files import them from. Calling it again changes nothing."""
    host = startHost()
    if "slicer.ScriptedLoadableModule" in sys.modules:
        return host
    translation = types.ModuleType("slicer.i18n")
    translation.translate = lambda context, text: text  # type: ignore[attr-defined]
    # modules bind `tr` once; through it a test can put another catalogue in
    translation.tr = lambda text: translation.translate("", text)  # type: ignore[attr-defined]
    standIns: dict[str, types.ModuleType] = {
        "ScriptedLoadableModule": ScriptedLoadableModule,
        "parameterNodeWrapper": ParameterNodeWrapper,
        "i18n": translation,
    }
    for name, module in standIns.items():
        sys.modules[f"slicer.{name}"] = module
        setattr(slicer, name, module)
    application = slicer.app
    application.connect, application.disconnect, application.emit = _signals.connect, _signals.disconnect, _signals.emit
    application.moduleManager = lambda: _manager
    slicer.moduleNames = types.SimpleNamespace()
    slicer.util.modulePath = lambda name: _manager.modules[name].path
    sys.modules["slicer.modules"] = slicer.modules
    return host


def loadModule(path: pathlib.Path | str) -> types.ModuleType:
    """Import one module file and make its module class, as Slicer does at start-up.

    :returns: the Python module; `slicer.modules.<name>` is its description afterwards.
    :raises FileNotFoundError: if there is no such file.
    :raises AttributeError: if the file has no class named after it.
    """
    path = pathlib.Path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"There is no module file {path}.")
    installStandIns()
    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    description = ModuleDescription(path)
    instance = getattr(module, name)(description)
    _manager.modules[name] = description
    setattr(slicer.modules, name.lower(), description)
    setattr(slicer.modules, f"{name}Instance", instance)
    setattr(slicer.moduleNames, name, name)
    return module
