"""Gives PySide6 classes the manners of PythonQt, which Slicer's Python speaks.

- a Q_PROPERTY is an attribute that is read and written (`button.text`, not `button.text()`), the setters stay
- `object.connect("signal(type)", slot)`, with the signature checked against the class; a slot gets as many arguments as it takes
- an exception in a slot is printed and kept in `slotErrors`, so that a test can insist on there being none
- an attribute that doesn't exist can't be set
"""

from __future__ import annotations

import inspect
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from ImmortalConstants import makeConstantsImmortal
from PySide6 import QtCore, QtGui, QtWidgets

makeConstantsImmortal()
slotErrors: list[BaseException] = []
# virtual functions that Qt itself calls: they stay methods
_STAY_METHODS = {"sizeHint", "minimumSizeHint", "objectName"}
_originalFindChildren = QtCore.QObject.findChildren


class ConnectError(AttributeError):
    """The class has no signal of this signature. (PythonQt prints a warning, returns False and goes on.)"""


class PropertyAttribute:
    """One Q_PROPERTY as attribute."""

    def __init__(self, name: str, getter: Callable[..., Any] | None, setter: Callable[..., Any] | None) -> None:
        self.name, self.getter, self.setter = name, getter, setter

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        return self.getter(instance) if self.getter else instance.property(self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        if self.setter is not None:
            self.setter(instance, value)
        elif not instance.setProperty(self.name, value):
            raise AttributeError(f"{type(instance).__name__}.{self.name} can't be written")


def _makePropertiesAttributes(qtClass: Any) -> None:
    meta = qtClass.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        metaProperty = meta.property(index)
        name = metaProperty.name()
        if name in _STAY_METHODS or not metaProperty.isReadable():
            continue
        capital = name[0].upper() + name[1:]
        getter = getattr(qtClass, name, None)
        if isinstance(getter, PropertyAttribute | QtCore.Signal):
            getter = None
        getter = getter or getattr(qtClass, f"is{capital}", None) or getattr(qtClass, f"has{capital}", None)
        if getter is not None and not callable(getter):
            continue
        setter = getattr(qtClass, f"set{capital}", None) if metaProperty.isWritable() else None
        setattr(qtClass, name, PropertyAttribute(name, getter, setter))


def _split(signature: str) -> tuple[str, list[str]]:
    name, _, arguments = signature.partition("(")
    types_ = [part.strip() for part in arguments.rstrip(")").split(",") if part.strip()]
    return name.strip(), types_


def _acceptedArguments(slot: Callable[..., Any]) -> int | None:
    """How many positional arguments a slot takes; None for any number."""
    try:
        parameters = inspect.signature(slot).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(parameter.kind == parameter.VAR_POSITIONAL for parameter in parameters):
        return None
    return sum(parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) for parameter in parameters)


def _signalSignatures(instance: Any, name: str) -> list[str]:
    meta = instance.metaObject()
    signal = QtCore.QMetaMethod.MethodType.Signal
    methods = [meta.method(index) for index in range(meta.methodCount())]
    return [bytes(m.methodSignature()).decode() for m in methods if m.methodType() == signal and bytes(m.name()).decode() == name]


def connect(instance: Any, signature: str, *target: Any) -> bool:
    """`connect("clicked(bool)", callable)` or `connect("clicked()", receiver, "slot()")`."""
    name, types_ = _split(signature)
    known = _signalSignatures(instance, name)
    # PySide signals that stand for signals with MRML types carry a Python object: only the number of arguments can be checked
    loose = getattr(type(instance), "looseSignals", False)
    wanted = f"{name}({','.join(types_)})"
    if not known or (not loose and wanted.replace("*", "") not in [text.replace("*", "") for text in known]):
        raise ConnectError(f"{type(instance).__name__} has no signal {wanted} (it has {known or 'none of that name'})")
    signal = getattr(instance, name)
    if types_ and len(known) > 1 and not loose:
        signal = signal[types_[0] if len(types_) == 1 else tuple(types_)]
    slot = target[0] if len(target) == 1 else getattr(target[0], _split(target[1])[0])
    accepted = _acceptedArguments(slot)

    def call(*arguments: Any) -> None:
        given = arguments[: len(types_)]
        try:
            slot(*(given if accepted is None else given[:accepted]))
        except Exception as error:  # noqa: BLE001  whatever a slot raises is the test's business
            traceback.print_exc(file=sys.stderr)
            slotErrors.append(error)

    connections = instance.__dict__.setdefault("_connections", [])
    connections.append((wanted, slot, call, signal))
    signal.connect(call)
    return True


def disconnect(instance: Any, signature: str, *target: Any) -> bool:
    name, types_ = _split(signature)
    wanted = f"{name}({','.join(types_)})"
    connections = instance.__dict__.get("_connections", [])
    for connection in list(connections):
        if connection[0] == wanted and (not target or connection[1] == target[0]):
            connection[3].disconnect(connection[2])
            connections.remove(connection)
            return True
    return False


def adopt(instance: Any) -> Any:
    """Objects that Qt made itself (a line edit inside a combo box) get PythonQt's connect too."""
    if instance is not None and "_wrappedClass" not in dir(type(instance)) and "connect" not in instance.__dict__:
        instance.connect = types.MethodType(connect, instance)
        instance.disconnect = types.MethodType(disconnect, instance)
    return instance


def findChildren(instance: Any, childClass: Any = None, name: str | None = None) -> list[Any]:
    if isinstance(childClass, str):
        childClass, name = QtCore.QObject, childClass
    childClass = childClass or QtCore.QObject
    found = _originalFindChildren(instance, childClass.__dict__.get("_wrappedClass", childClass))
    return [adopt(child) for child in found if not name or child.objectName() == name]


def findChild(instance: Any, childClass: Any = None, name: str | None = None) -> Any:
    found = findChildren(instance, childClass, name)
    return found[0] if found else None


class _WrappedMeta(type(QtCore.QObject)):  # type: ignore[misc]
    """isinstance(x, qt.QWidget) holds for every real QWidget, also for those that Qt made itself."""

    def __instancecheck__(cls, instance: Any) -> bool:
        wrapped = cls.__dict__.get("_wrappedClass")
        return isinstance(instance, wrapped) if wrapped else type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, other: Any) -> bool:
        wrapped = cls.__dict__.get("_wrappedClass")
        return issubclass(other, wrapped) if wrapped else type.__subclasscheck__(cls, other)


def _initSubclass(cls: Any, **options: Any) -> None:
    # PySide looks for an overridden connect only in the dictionary of the type itself
    for name, function in (("connect", connect), ("disconnect", disconnect)):
        if name not in cls.__dict__:
            setattr(cls, name, function)


def _wrapped(qtClass: Any) -> Any:
    def setAttribute(self: Any, name: str, value: Any) -> None:
        # PySide's loader makes the children attributes of the top widget
        known = name.startswith("_") or name in self.__dict__ or hasattr(type(self), name) or isinstance(value, QtCore.QObject)
        if not known:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        super(wrapper, self).__setattr__(name, value)

    members = {
        "connect": connect,
        "disconnect": disconnect,
        "_wrappedClass": qtClass,
        "__init_subclass__": classmethod(_initSubclass),
        "__setattr__": setAttribute,
        "__module__": "qt",
    }
    wrapper = _WrappedMeta(qtClass.__name__, (qtClass,), members)
    return wrapper


def wrappedClasses() -> dict[str, Any]:
    """All QObject classes of QtCore, QtGui and QtWidgets, restyled. Call once."""
    modules = (QtCore, QtGui, QtWidgets)
    classes = {
        value for module in modules for value in vars(module).values() if isinstance(value, type) and issubclass(value, QtCore.QObject)
    }
    ordered = sorted(classes, key=lambda qtClass: len(qtClass.__mro__))
    for qtClass in ordered:
        _makePropertiesAttributes(qtClass)
    base: Any = QtCore.QObject
    base.findChildren, base.findChild = findChildren, findChild
    base.name = property(lambda self: self.objectName(), lambda self, value: self.setObjectName(value))
    base.className = lambda self: self.metaObject().className()
    base.delete = lambda self: self.deleteLater()
    applications = ("QCoreApplication", "QGuiApplication", "QApplication")
    return {qtClass.__name__: _wrapped(qtClass) for qtClass in ordered if qtClass.__name__ not in applications}
