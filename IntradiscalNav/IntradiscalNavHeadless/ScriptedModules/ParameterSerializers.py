"""How parameter values are kept in a vtkMRMLScriptedModuleNode: the strings and references that Slicer writes too."""

from __future__ import annotations

import enum
import pathlib
import types
import typing
from typing import Any

import slicer


class ScalarSerializer:
    """bool, int, float, str, enum (by name) and paths: one string in the node."""

    def __init__(self, valueType: type) -> None:
        self.valueType = valueType

    def default(self) -> Any:
        if issubclass(self.valueType, enum.Enum):
            return next(iter(self.valueType))
        return self.valueType()

    def isIn(self, node: Any, key: str) -> bool:
        return key in node.GetParameterNames()

    def read(self, node: Any, key: str) -> Any:
        text = node.GetParameter(key)
        if self.valueType is bool:
            return text == "True"
        if issubclass(self.valueType, enum.Enum):
            return self.valueType[text]
        return self.valueType(text)

    def write(self, node: Any, key: str, value: Any) -> None:
        # Slicer takes a whole number for a float and keeps it as it was given
        accepted = (int, float) if self.valueType is float else (self.valueType,)
        if not isinstance(value, accepted) or (isinstance(value, bool) and self.valueType is not bool):
            raise ValueError(f"parameter {key} takes a {self.valueType.__name__}, not {value!r}")
        if isinstance(value, enum.Enum):
            text = value.name
        elif isinstance(value, pathlib.PurePath):
            text = value.as_posix()
        else:
            text = str(value)
        node.SetParameter(key, text)


class NodeSerializer:
    """A reference to a node of the scene."""

    def __init__(self, nodeTypes: tuple[type, ...]) -> None:
        self.nodeTypes = nodeTypes

    def default(self) -> None:
        return None

    def isIn(self, node: Any, key: str) -> bool:
        return key in node.GetParameterNames()

    def read(self, node: Any, key: str) -> Any:
        return node.GetNodeReference(key)

    def write(self, node: Any, key: str, value: Any) -> None:
        if value is not None and not isinstance(value, self.nodeTypes):
            expected = " or ".join(nodeType.__name__ for nodeType in self.nodeTypes)
            raise ValueError(f"parameter {key} takes a {expected}, not a {type(value).__name__}")
        # Slicer keeps an empty parameter of the same name beside the reference
        node.SetParameter(key, "")
        node.SetNodeReferenceID(key, value.GetID() if value is not None else None)


class ListSerializer:
    """`key.len` and `key.0`, `key.1`, ..."""

    def __init__(self, item: Any) -> None:
        self.item = item

    def default(self) -> list[Any]:
        return []

    def isIn(self, node: Any, key: str) -> bool:
        return bool(node.GetParameter(f"{key}.len"))

    def read(self, node: Any, key: str) -> list[Any]:
        return [self.item.read(node, f"{key}.{index}") for index in range(int(node.GetParameter(f"{key}.len")))]

    def write(self, node: Any, key: str, value: Any) -> None:
        before = int(node.GetParameter(f"{key}.len") or 0)
        for index, item in enumerate(value):
            self.item.write(node, f"{key}.{index}", item)
        for index in range(len(value), before):
            node.UnsetParameter(f"{key}.{index}")
        node.SetParameter(f"{key}.len", str(len(value)))


class PackSerializer:
    """A parameter pack: every member under `key.member`."""

    def __init__(self, packType: Any) -> None:
        self.packType = packType

    def default(self) -> Any:
        return self.packType()

    def isIn(self, node: Any, key: str) -> bool:
        return all(member.serializer.isIn(node, f"{key}.{name}") for name, member in self.packType.allParameters.items())

    def read(self, node: Any, key: str) -> Any:
        values = {name: member.serializer.read(node, f"{key}.{name}") for name, member in self.packType.allParameters.items()}
        pack = self.packType(**values)
        pack.writeThrough(lambda name, value: self.packType.allParameters[name].write(node, f"{key}.{name}", value))
        return pack

    def write(self, node: Any, key: str, value: Any) -> None:
        if not isinstance(value, self.packType):
            raise ValueError(f"parameter {key} takes a {self.packType.__name__}, not {value!r}")
        for name, member in self.packType.allParameters.items():
            member.write(node, f"{key}.{name}", getattr(value, name))


def serializerOf(valueType: Any) -> Any:
    """Serializer of an (unannotated) type hint; RuntimeError for what this stand-in doesn't support."""
    origin, arguments = typing.get_origin(valueType), typing.get_args(valueType)
    if origin is types.UnionType:
        raise RuntimeError(f"write typing.Union for {valueType}: Slicer 5.12's parameter node doesn't know the | of types")
    if origin is typing.Union:
        members = tuple(member for member in arguments if member is not type(None))
        if all(isinstance(member, type) and issubclass(member, slicer.vtkMRMLNode) for member in members):
            return NodeSerializer(members)
    elif origin is list:
        return ListSerializer(serializerOf(arguments[0]))
    elif isinstance(valueType, type):
        if issubclass(valueType, slicer.vtkMRMLNode):
            return NodeSerializer((valueType,))
        if hasattr(valueType, "isParameterPack"):
            return PackSerializer(valueType)
        if valueType in (bool, int, float, str) or issubclass(valueType, enum.Enum | pathlib.PurePath):
            return ScalarSerializer(valueType)
    raise RuntimeError(f"the headless parameter node doesn't support parameters of type {valueType}")
