"""Keeps Python below 3.12 alive with PySide 6.12.

There `signal.emit()` and `signal.disconnect()` return True without counting the reference, and after some hundred calls the
process ends with "Fatal Python error: bool_dealloc". From Python 3.12 on True can't die.
"""

import ctypes
import sys

SPARE_REFERENCES = 1_000_000_000


def makeTrueImmortal() -> None:
    if sys.version_info < (3, 12) and sys.getrefcount(True) < SPARE_REFERENCES:
        ctypes.c_ssize_t.from_address(id(True)).value += SPARE_REFERENCES
