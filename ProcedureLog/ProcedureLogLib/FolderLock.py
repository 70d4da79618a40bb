"""A lock on a folder that the system lifts when its holder dies; used while a case is opened, so that two programs don't repair at once."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from TranslatedText.Translation import tr as _

LOCK_FILE = "procedure.lock"


@contextlib.contextmanager
def folderLock(folder: Path, timeoutSec: float) -> Iterator[None]:
    """Hold the lock, waiting for another holder. Raises RuntimeError when it isn't lifted in time, OSError in a read-only folder."""
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        end = time.monotonic() + timeoutSec
        while not _tryLock(descriptor):
            if time.monotonic() > end:
                raise RuntimeError(
                    _("Another program has been opening {folder} for {timeoutSec:g} s; close it, then try again").format(
                        folder=folder, timeoutSec=timeoutSec
                    )
                )
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _tryLock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _tryLock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return True  # a network folder without locks: SQLite's own locks remain
        return True
