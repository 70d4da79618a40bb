"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def writeWhole(path: str | Path, data: str | bytes) -> Path:
    """Write a file so that it is there whole or not at all (temporary name, sync, rename)."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as handle:
            handle.write(data.encode("utf-8") if isinstance(data, str) else data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target
