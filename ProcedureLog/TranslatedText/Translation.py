"""Sentences in the language of the application, where there is one.

    from TranslatedText.Translation import tr as _
    raise ValueError(_("There is no case in {folder}.").format(folder=folder))

Inside Slicer the catalogue of the application is asked, under the context that Slicer's own extraction gives the file
(package.file, as slicer.i18n does). Everywhere else the English text comes back. Names that are stored or compared are no sentences.
"""

from __future__ import annotations

import functools
import pathlib
import re
import sys

_PLACEHOLDER = re.compile(r"(?<!\{)\{([^{}]+)\}(?!\})")


def tr(text: str) -> str:
    """A text in the language of the application; a translation whose placeholders differ is not used, it would fail in `format`."""
    application = sys.modules.get("slicer.i18n")
    if application is None:
        return text
    translated = str(application.translate(_contextOf(sys._getframe(1).f_code.co_filename), text))
    return translated if set(_PLACEHOLDER.findall(translated)) == set(_PLACEHOLDER.findall(text)) else text


@functools.cache
def _contextOf(fileName: str) -> str:
    path = pathlib.Path(fileName)
    return f"{path.parent.name}.{path.stem}" if (path.parent / "__init__.py").is_file() else path.stem
