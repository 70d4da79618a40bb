"""Loads .ui files with the stand-in widgets. A widget class, property or connection that doesn't exist is an error here, not silence."""

from __future__ import annotations

import pathlib
import xml.etree.ElementTree as ElementTree
from typing import Any

import ctk
import PythonQtStyle
import qMRMLWidgets
import qt
from PySide6 import QtCore, QtUiTools, QtWidgets

CUSTOM_WIDGETS = {**ctk.WIDGETS, **qMRMLWidgets.WIDGETS}


class UiError(ValueError):
    """A .ui file names something that doesn't exist."""


class _Builder(QtUiTools.QUiLoader):
    def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
        widgetClass = CUSTOM_WIDGETS.get(className) or getattr(qt, className, None)
        if widgetClass is None:
            raise UiError(f"no stand-in for {className} ({name})")
        widget = widgetClass(parent)
        widget.setObjectName(name)
        return widget


def _takeConnections(root: Any) -> list[tuple[str, str, str, str]]:
    """The connections of the file, removed from it: Qt can't make those to Python slots."""
    taken = []
    for element in root.findall("connections"):
        for connection in element:
            taken.append(tuple(connection.findtext(part) or "" for part in ("sender", "signal", "receiver", "slot")))
        root.remove(element)
    return taken  # type: ignore[return-value]


def _checkNames(root: Any, fileName: str) -> None:
    for element in root.iter("widget"):
        widgetClass = CUSTOM_WIDGETS.get(element.get("class"))
        if widgetClass is None:
            if not hasattr(qt, element.get("class")):
                raise UiError(f"{fileName}: no stand-in for {element.get('class')} ({element.get('name')})")
            continue
        for prop in element.findall("property"):
            if prop.get("stdset") != "0" and widgetClass.staticMetaObject.indexOfProperty(prop.get("name")) < 0:
                raise UiError(f"{fileName}: {element.get('class')} {element.get('name')} has no property {prop.get('name')}")
            if prop.find("set") is not None:
                element.remove(prop)  # flags of a class that Qt's loader doesn't know


def loadUi(path: pathlib.Path | str) -> Any:
    """Top widget of a .ui file.

    :raises UiError: naming the widget, property or connection that doesn't exist.
    """
    root = ElementTree.parse(path).getroot()
    connections = _takeConnections(root)
    _checkNames(root, str(path))
    buffer = QtCore.QBuffer()
    buffer.setData(ElementTree.tostring(root))
    buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
    builder = _Builder()
    top = builder.load(buffer)
    if top is None:
        raise UiError(f"{path}: {builder.errorString()}")

    def named(name: str) -> Any:
        return top if top.objectName() == name else PythonQtStyle.findChild(top, QtWidgets.QWidget, name)

    for sender, signal, receiver, slot in connections:
        source, target = named(sender), named(receiver)
        signalName, slotName = signal.split("(")[0], slot.split("(")[0]
        if source is None or target is None or not hasattr(source, signalName) or not hasattr(target, slotName):
            raise UiError(f"{path}: the connection {sender}.{signal} to {receiver}.{slot} names something that doesn't exist")
        count = 0 if slot.endswith("()") else slot.count(",") + 1
        function = getattr(target, slotName)
        getattr(source, signalName).connect(lambda *values, function=function, count=count: function(*values[:count]))
    return top
