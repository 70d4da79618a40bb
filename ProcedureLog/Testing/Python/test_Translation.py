"""Sentences of the packages that know no Slicer, in the language of the application."""

import sys
import types

import pytest

from ProcedureLogLib.DoseUnits import DoseFactor
from TranslatedText.Translation import tr as _


@pytest.fixture
def application(monkeypatch):
    """Stands for Slicer's catalogue; `asked` holds (context, text)."""
    asked = []
    module = types.ModuleType("slicer.i18n")
    module.catalogue = {}
    module.asked = asked

    def translate(context, text):
        asked.append((context, text))
        return module.catalogue.get(text, text)

    module.translate = translate
    monkeypatch.setitem(sys.modules, "slicer.i18n", module)
    return module


def test_englishOutsideTheApplication(monkeypatch):
    monkeypatch.delitem(sys.modules, "slicer.i18n", raising=False)
    assert _("No case is open.") == "No case is open."


def test_contextIsPackageAndFile(application):
    with pytest.raises(ValueError):
        DoseFactor(-1.0, "impossible")
    assert application.asked and all(context == "ProcedureLogLib.DoseUnits" for context, _text in application.asked)


def test_translationIsUsed(application):
    application.catalogue["{count} passes"] = "{count} Durchgänge"
    assert _("{count} passes").format(count=3) == "3 Durchgänge"


def test_translationThatLostItsValuesIsNotUsed(application):
    application.catalogue["{count} passes"] = "{Anzahl} Durchgänge"
    assert _("{count} passes").format(count=3) == "3 passes"
