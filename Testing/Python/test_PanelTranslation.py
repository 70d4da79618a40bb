"""With a catalogue that puts every text into «», whatever the panels show is in «»: nothing visible went past the translation.

Names are data and stay as they are: nodes, points, devices, structures, file names, units.
"""

import pathlib
import re
import sys
import time
import xml.etree.ElementTree as ElementTree

import pytest

from IntradiscalNavLib.Simulation.PhantomParameters import PhantomParameters

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:']? +[a-z]{2,} +[a-z]{2,}")
STRUCTURE = re.compile(r"[LS]\d root (left|right) at [LS]\d-[LS]\d")


@pytest.fixture
def marked(panels, monkeypatch):
    monkeypatch.setattr(sys.modules["slicer.i18n"], "translate", lambda context, text: f"«{text}»")
    return panels


def untranslated(text):
    """What of a text stands outside of «»; nested ones are taken out from the inside."""
    previous = None
    while previous != text:
        previous, text = text, re.sub(r"«[^«»]*»", " ", text)
    return text


def textsOfUi():
    """Texts of the .ui files, which Qt translates itself."""
    return {node.text for path in REPOSITORY.glob("*/Resources/UI/*.ui") for node in ElementTree.parse(path).iter("string") if node.text}


def visibleTexts(panel):
    import PythonQtStyle
    import qt

    for widget in PythonQtStyle.findChildren(panel.parent):
        texts = [widget.toolTip] if isinstance(widget, qt.QWidget) else []
        if isinstance(widget, qt.QLabel | qt.QPushButton | qt.QCheckBox):
            texts.append(widget.text)
        elif isinstance(widget, qt.QTableWidget):
            items = [widget.item(row, column) for row in range(widget.rowCount) for column in range(widget.columnCount)]
            texts += [text for item in items if item is not None for text in (item.text(), item.toolTip())]
        yield from ((widget.objectName(), text) for text in texts if text)


def untranslatedTexts(panel):
    own = textsOfUi()
    found = {
        f"{name}: {text}"
        for name, text in visibleTexts(panel)
        if text not in own and SENTENCE.search(STRUCTURE.sub("", untranslated(text)))
    }
    return sorted(found)


def test_untranslatedTextIsSeen():
    assert SENTENCE.search(untranslated("«Step» not connected at all"))
    assert not SENTENCE.search(untranslated("✓ «{count} points, «near {name}»»"))


@pytest.mark.parametrize("name", ["FusionRegistration", "ProcedureLog", "IntradiscalNav"])
def test_emptyPanels(marked, name):
    assert untranslatedTexts(marked.openPanel(name)) == []


@pytest.mark.slow
def test_rehearsedPanels(marked, tmp_path, monkeypatch):
    """Connected, registered, planned and guiding: what the libraries say is shown here."""
    opened = [marked.openPanel(name) for name in ("FusionRegistration", "ProcedureLog", "IntradiscalNav")]
    log, panel = opened[1:]
    log.ui.caseFolderEdit.currentPath = str(tmp_path / "log")
    log.ui.openCaseButton.click()
    panel.ui.caseFolderEdit.currentPath = str(tmp_path / "case")
    panel.logic.rehearsalParameters = PhantomParameters(spacingMm=(2.0, 2.0, 2.0))
    panel.ui.rehearseButton.click()
    found = set()

    def settle(seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            marked.application.processEvents()
            time.sleep(0.01)
        for shown in opened:
            shown.update()
            found.update(untranslatedTexts(shown))

    settle(1.5)
    for _step in range(3):
        panel.ui.rehearseNextButton.click()
        settle(1.0)
    panel.ui.portSpin.value = 1
    panel.ui.connectButton.click()
    panel.ui.connectButton.click()
    settle(1.0)
    panel.ui.rehearseButton.click()
    assert not found, "\n".join(sorted(found))
