"""Keeps Python below 3.12 alive with PySide 6.12.

There `signal.emit()`, `signal.disconnect()` and others return True or None without counting the reference, and after some hundred
calls the process ends with "Fatal Python error: bool_dealloc" or "none_dealloc". From Python 3.12 on these constants can't die.
"""

import ctypes
import sys

SPARE_REFERENCES = 1_000_000_000


def makeConstantsImmortal() -> None:
    for constant in (True, False, None):
        if sys.version_info < (3, 12) and sys.getrefcount(constant) < SPARE_REFERENCES:
            ctypes.c_ssize_t.from_address(id(constant)).value += SPARE_REFERENCES
