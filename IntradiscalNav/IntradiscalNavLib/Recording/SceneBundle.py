"""Whether a scene file is whole, told before the present scene is closed for it."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Iterable

from TranslatedText.Translation import tr as _


def checkSceneFile(path: pathlib.Path) -> None:
    """Refuse a damaged bundle.

    :raises ValueError: naming what is wrong with the file.
    """
    if path.suffix.lower() == ".mrb":
        try:
            with zipfile.ZipFile(path) as bundle:
                names = bundle.namelist()
                broken = bundle.testzip()
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise ValueError(
                _("The scene {path} can't be read: it is truncated or no scene bundle ({error}).").format(path=path, error=error)
            ) from error
        if broken:
            raise ValueError(_("The scene {path} is damaged: its part {broken} can't be read.").format(path=path, broken=broken))
        if not any(name.lower().endswith(".mrml") for name in names):
            raise ValueError(_("{path} is no scene bundle: it holds no .mrml file.").format(path=path))
    elif path.suffix.lower() != ".mrml":
        raise ValueError(_("{path} is no scene: a .mrb or .mrml file is needed.").format(path=path))


def newestReadable(paths: Iterable[pathlib.Path]) -> tuple[pathlib.Path | None, tuple[pathlib.Path, ...]]:
    """The first whole one of scene files (newest first), or None; and the damaged ones before it."""
    damaged: list[pathlib.Path] = []
    for path in paths:
        try:
            checkSceneFile(path)
        except ValueError:
            damaged.append(path)
        else:
            return path, tuple(damaged)
    return None, tuple(damaged)
