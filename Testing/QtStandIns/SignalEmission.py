"""Emitting a signal of a stand-in from Python."""

import ctypes
import sys
from typing import Any


def emit(signal: Any, *values: Any) -> None:
    """Emit, and keep Python alive: in PySide 6.12 emit() returns True without counting the reference.

    Below Python 3.12, where True isn't immortal, a few hundred emissions end the process with "bool_dealloc".
    """
    signal.emit(*values)
    if sys.version_info < (3, 12):
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(True))
