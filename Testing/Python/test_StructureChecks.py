"""The structure checks find nothing in the repository, and find each seeded defect."""

import json
import pathlib
import shutil

import pytest
from StructureChecks import PackagingChecks, PanelChecks, RepositoryFiles, SourceChecks, TranslationChecks

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PANEL = "IntradiscalNav/Resources/UI/PlanSection.ui"
CHECKS = (*PackagingChecks.CHECKS, *SourceChecks.CHECKS, *TranslationChecks.CHECKS, *PanelChecks.CHECKS)


def findings(repository: pathlib.Path, checks=CHECKS) -> list[str]:
    return [finding for check in checks for finding in check(repository)]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> pathlib.Path:
    """Copy of the files that git knows, without git."""
    folder = tmp_path_factory.mktemp("structure") / "repository"
    for path in RepositoryFiles.filesOf(REPOSITORY):
        target = folder / path.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


class Defects:
    """Puts defects into the copy and takes them out again."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.originals: dict[pathlib.Path, bytes | None] = {}

    def write(self, name: str, content: bytes) -> None:
        path = self.folder / name
        self.originals.setdefault(path, path.read_bytes() if path.exists() else None)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.folder / name).read_bytes() + f"\n{text}\n".encode())

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text, f"{name} holds no {old!r}: the seeded defect must be kept up"
        self.write(name, text.replace(old, new, 1).encode())

    def undo(self) -> None:
        for path, content in self.originals.items():
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)


@pytest.fixture
def defects(pristine):
    made = Defects(pristine)
    yield made
    made.undo()


def found(defects: Defects, check, text: str) -> bool:
    return any(text in finding for finding in check(defects.folder))


def test_repositoryIsClean():
    assert findings(REPOSITORY) == []


def test_unlistedFileIsFound(defects):
    defects.write("ProcedureLog/ProcedureLogLib/Forgotten.py", b"")
    assert found(defects, PackagingChecks.checkModuleFilesListed, "Forgotten.py isn't listed")


def test_listedFileThatIsMissingIsFound(defects):
    defects.replace("ProcedureLog/CMakeLists.txt", "  ProcedureLog.py\n", "  ProcedureLog.py\n  Gone.py\n")
    assert found(defects, PackagingChecks.checkModuleFilesListed, "Gone.py is listed and doesn't exist")


def test_commaInDependenciesIsFound(defects):
    defects.replace("CMakeLists.txt", "SlicerOpenIGTLink SlicerIGT", "SlicerOpenIGTLink, SlicerIGT")
    assert found(defects, PackagingChecks.checkIndexEntry, "comma")


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("build_dependencies", ["SlicerIGT"], "differ"),
        ("homepage", "https://example.org", "doesn't know"),
        ("scm_url", "git@github.com:x/SlicerIntradiscalNav.git", "https"),
        ("tier", 7, "tier"),
    ],
)
def test_wrongIndexEntryIsFound(defects, key, value, expected):
    name = "Resources/IntradiscalNav.json"
    entry = json.loads((defects.folder / name).read_text())
    entry[key] = value
    defects.write(name, json.dumps(entry).encode())
    assert found(defects, PackagingChecks.checkIndexEntry, expected)


def test_iconThatIsNoPngIsFound(defects):
    defects.write("ProcedureLog/Resources/Icons/ProcedureLog.png", b"<svg/>")
    assert found(defects, PackagingChecks.checkPictures, "is no PNG")


@pytest.mark.parametrize(
    ("line", "check", "expected"),
    [
        ("import qt", SourceChecks.checkNoQtInLibraries, "Qt belongs"),
        ("try:\n    pass\nexcept:\n    pass", SourceChecks.checkNoBareExcept, "bare except"),
        ("_(f'{1} mm')", TranslationChecks.checkTranslatedLiterals, "one plain string"),
        ("raise ValueError('no such case')", TranslationChecks.checkErrorsTranslated, "isn't in _()"),
        ("from slicer import vtkMRMLIGTLConnectorNode", SourceChecks.checkNoExtensionClassesAtFileScope, "start-up"),
    ],
)
def test_sourceDefectsAreFound(defects, line, check, expected):
    defects.append("ProcedureLog/ProcedureLogLib/Clock.py", line)
    assert found(defects, check, expected)


@pytest.mark.parametrize("text", ["f'{1} mm of text'", "'%d points' % 3", "'a' if self.x else ''"])
def test_untranslatedTextIsFound(defects, text):
    defects.append("ProcedureLog/ProcedureLog.py", f"def shown(self):\n    self.ui.addRemarkButton.toolTip = {text}")
    assert found(defects, TranslationChecks.checkVisibleTextTranslated, "without _()")


def test_unknownParameterNameIsFound(defects):
    defects.replace(PANEL, ">plan.side<", ">plan.sied<")
    assert found(defects, PanelChecks.checkParameterNames, "has no plan.sied")


def test_parameterWithoutConnectorIsFound(defects):
    defects.replace(PANEL, ">plan.side<", ">plan.needleLengthMm<")
    assert found(defects, PanelChecks.checkParameterNames, "no connector")


def test_missingUnitIsFound(defects):
    defects.replace(PANEL, "<string> mm</string>", "<string> cm</string>")
    assert found(defects, PanelChecks.checkParameterNames, "unit mm isn't shown")


def test_missingSceneConnectionIsFound(defects):
    defects.replace(PANEL, "<receiver>ctVolumeSelector</receiver>", "<receiver>other</receiver>")
    assert found(defects, PanelChecks.checkSceneConnections, "ctVolumeSelector isn't connected")


def test_unknownWidgetIsFound(defects):
    defects.append("ProcedureLog/ProcedureLog.py", "def clicked(self):\n    self.ui.noSuchButton.click()")
    assert found(defects, PanelChecks.checkWidgetNames, "no widget noSuchButton")


def test_twoTestsOfOneNameAreFound(defects):
    defects.write("ProcedureLog/Testing/Python/test_StructureChecks.py", b"")
    assert found(defects, PackagingChecks.checkUniqueTestNames, "same name")


def test_updateScriptAgreesWithTheCheck():
    """The script that writes the lists and the check that reads them were written apart: they must not differ."""
    import updateCMakeLists

    for path, text in updateCMakeLists.writtenFiles().items():
        assert path.read_text() == text, f"{path}: run python Testing/updateCMakeLists.py"
