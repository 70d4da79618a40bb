"""Stand-in of the `qt` module of Slicer's Python on PySide6, for tests of panels. README.md says what it can't show."""

import sys

import PythonQtStyle
from PySide6 import QtCore, QtGui, QtWidgets

for _module in (QtGui, QtWidgets, QtCore):
    for _name in dir(_module):
        if not _name.startswith("_"):
            setattr(sys.modules[__name__], _name, getattr(_module, _name))
for _name, _class in PythonQtStyle.wrappedClasses().items():
    setattr(sys.modules[__name__], _name, _class)

Signal, Slot, Property = QtCore.Signal, QtCore.Slot, QtCore.Property


def SIGNAL(signature: str) -> str:
    return signature


def SLOT(signature: str) -> str:
    return signature
