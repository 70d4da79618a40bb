"""Stand-in of `slicer.parameterNodeWrapper`: typed views of a vtkMRMLScriptedModuleNode, and parameter packs.

Supported: bool, int, float, str, enums, paths, MRML nodes (also unions with None), lists of these, packs of these;
validators; binding to widgets. Not supported (RuntimeError): dict, tuple, Optional scalars, custom serializers, caching,
createGui.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

import vtk

from .ParameterGuiBinding import GuiBinding
from .ParameterSerializers import NodeSerializer, serializerOf
from .ParameterValidators import Choice, Decimals, Default, Maximum, Minimum, NotNone, SingleStep, Validator, WithinRange

__all__ = [
    "Choice",
    "Decimals",
    "Default",
    "Maximum",
    "Minimum",
    "NotNone",
    "SingleStep",
    "Validator",
    "WithinRange",
    "isParameterNodeWrapper",
    "isParameterPack",
    "parameterNodeWrapper",
    "parameterPack",
]


class Parameter:
    """One declared parameter: its type, checks and default."""

    def __init__(self, name: str, hint: Any, declaringClass: type) -> None:
        self.name = name
        self.annotations: tuple[Any, ...] = ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *annotations = typing.get_args(hint)
            self.annotations = tuple(annotations)
        self.valueType = hint
        self.serializer = serializerOf(hint)
        default, choice = self.annotation(Default), self.annotation(Choice)
        if name in vars(declaringClass):
            self._default: Any = vars(declaringClass)[name]
        elif default is not None:
            self._default = default.value
        elif choice is not None:
            self._default = choice.choices[0]
        else:
            self._default = None

    def annotation(self, annotationType: type) -> Any:
        return next((item for item in self.annotations if isinstance(item, annotationType)), None)

    def default(self) -> Any:
        return self.serializer.default() if self._default is None else self._default

    def isNode(self) -> bool:
        return isinstance(self.serializer, NodeSerializer)

    def check(self, value: Any) -> None:
        for item in self.annotations:
            if isinstance(item, Validator):
                item.validate(value)

    def write(self, node: Any, key: str, value: Any) -> None:
        self.check(value)
        self.serializer.write(node, key, value)


def _declared(classType: type) -> dict[str, Parameter]:
    hints = typing.get_type_hints(classType, include_extras=True)
    return {name: Parameter(name, hint, classType) for name, hint in hints.items()}


class _Pack:
    """Methods of every parameter pack."""

    allParameters: dict[str, Parameter]
    isParameterPack = True

    def __init__(self, *values: Any, **named: Any) -> None:
        object.__setattr__(self, "_writeThrough", None)
        given = {**dict(zip(self.allParameters, values)), **named}
        unknown = set(given) - set(self.allParameters)
        if unknown or len(values) > len(self.allParameters):
            raise TypeError(f"{type(self).__name__} has no parameter {', '.join(sorted(unknown)) or 'beyond its last'}")
        for name, parameter in self.allParameters.items():
            value = given.get(name, parameter.default())
            parameter.check(value)
            object.__setattr__(self, name, value)

    def writeThrough(self, write: Callable[[str, Any], None]) -> None:
        """From now on a member that is set is written into the node too."""
        object.__setattr__(self, "_writeThrough", write)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.allParameters:
            raise AttributeError(f"{type(self).__name__} has no parameter {name}")
        self.allParameters[name].check(value)
        if self._writeThrough is not None:
            self._writeThrough(name, value)
        object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in self.allParameters)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.allParameters)})"


def parameterPack(classType: Any = None) -> Any:
    """Class decorator: a group of parameters that is one parameter of a node."""
    if classType is None:
        return parameterPack
    parameters = _declared(classType)
    members = {name: value for name, value in vars(classType).items() if name not in parameters and name not in ("__dict__", "__weakref__")}
    return type(classType.__name__, (_Pack,), {**members, "allParameters": parameters})


class _Wrapper:
    """Methods of every wrapped parameter node."""

    allParameters: dict[str, Parameter]
    isWrappedParameterNode = True

    def __init__(self, parameterNode: Any, prefix: str | None = None) -> None:
        if prefix:
            raise RuntimeError("the headless parameter node doesn't support prefixes")
        self.parameterNode = parameterNode
        self._guiBindings: dict[int, list[GuiBinding]] = {}
        self._updatingGui = False
        for name, parameter in self.allParameters.items():
            if not parameter.serializer.isIn(parameterNode, name):
                parameter.serializer.write(parameterNode, name, parameter.default())

    def _find(self, path: str) -> Parameter:
        """Parameter of a dotted path such as `needle.gauge`."""
        first, *rest = path.split(".")
        parameters = self.allParameters
        for name in [first, *rest]:
            if name not in parameters:
                raise ValueError(f"{type(self).__name__} has no parameter {path}")
            parameter = parameters[name]
            parameters = getattr(parameter.valueType, "allParameters", {})
        return parameter

    def getValue(self, path: str) -> Any:
        return self._find(path).serializer.read(self.parameterNode, path)

    def setValue(self, path: str, value: Any) -> None:
        self._find(path).write(self.parameterNode, path, value)

    def default(self, path: str) -> Default:
        return Default(self._find(path).default())

    def dataType(self, path: str) -> Any:
        return self._find(path).valueType

    def isCached(self, path: str) -> bool:
        return False

    def connectGui(self, gui: Any) -> int:
        """Bind every child widget that has the dynamic property SlicerParameterName; returns the tag for `disconnectGui`."""
        widgets = list(vars(gui).values()) if not hasattr(gui, "findChildren") else gui.findChildren()
        named = {}
        for widget in widgets:
            name = widget.property("SlicerParameterName") if hasattr(widget, "property") else None
            if name:
                named[name] = widget
        return self.connectParametersToGui(named)

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        bindings: list[GuiBinding] = []
        for name, widget in mapping.items():
            parameter = self._find(name)
            if isinstance(widget, str):
                raise TypeError(f"parameter {name}: a widget is expected")
            binding = GuiBinding(parameter, name, widget, self._onGuiChanged)
            self._write(binding)
            bindings.append(binding)
        tag = self.parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._updateGui(bindings))
        self._guiBindings[tag] = bindings
        return int(tag)

    def _onGuiChanged(self, name: str, value: Any) -> None:
        if not self._updatingGui:
            self.setValue(name, value)

    def _write(self, binding: GuiBinding) -> None:
        self._updatingGui = True
        try:
            binding.write(self.getValue(binding.name))
        finally:
            self._updatingGui = False

    def _updateGui(self, bindings: list[GuiBinding]) -> None:
        if not self._updatingGui:
            for binding in bindings:
                self._write(binding)

    def disconnectGui(self, tag: int | None) -> None:
        for binding in self._guiBindings.pop(tag, []) if tag is not None else []:
            binding.close()
        if tag is not None:
            self.parameterNode.RemoveObserver(tag)

    def StartModify(self) -> Any:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying: Any) -> Any:
        return self.parameterNode.EndModify(wasModifying)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    def AddObserver(self, event: Any, callback: Any, priority: float = 0.0) -> int:
        return int(self.parameterNode.AddObserver(event, callback, priority))

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)


def _property(name: str, parameter: Parameter) -> property:
    return property(
        lambda self: parameter.serializer.read(self.parameterNode, name),
        lambda self, value: parameter.write(self.parameterNode, name, value),
        doc=f"parameter {name}",
    )


def parameterNodeWrapper(classType: Any = None) -> Any:
    """Class decorator: typed properties over a vtkMRMLScriptedModuleNode."""
    if classType is None:
        return parameterNodeWrapper
    parameters = _declared(classType)
    members = {name: value for name, value in vars(classType).items() if name not in parameters and name not in ("__dict__", "__weakref__")}
    properties = {name: _property(name, parameter) for name, parameter in parameters.items()}
    return type(classType.__name__, (_Wrapper,), {**members, **properties, "allParameters": parameters})


def isParameterNodeWrapper(value: Any) -> bool:
    return getattr(value, "isWrappedParameterNode", False)


def isParameterPack(value: Any) -> bool:
    return getattr(value, "isParameterPack", False)
