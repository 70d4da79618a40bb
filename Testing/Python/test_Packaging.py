"""CMake configure and install of the extension against a stand-in of Slicer's build, and the installed tree at work."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MODULES = ("FusionRegistration", "ProcedureLog", "IntradiscalNav")
INSTALLED = "lib/Slicer-5.12/qt-scripted-modules"
# nothing is compiled: no compiler is asked for
NO_COMPILER = [f"-DCMAKE_{language}_COMPILER{setting}" for language in ("C", "CXX") for setting in ("=/bin/true", "_FORCED=ON")]
needsCMake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is needed: apt-get install cmake")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Configured with tests on, and installed; the folder with `record.txt` and `install`."""
    folder = tmp_path_factory.mktemp("build")
    standIn = REPOSITORY / "Testing" / "SlicerStandIn"
    run("cmake", "-S", str(REPOSITORY), "-B", str(folder), f"-DSlicer_DIR={standIn}", "-DBUILD_TESTING=ON", "-Wno-dev", *NO_COMPILER)
    run("cmake", "--install", str(folder), "--prefix", str(folder / "install"))
    return folder


def record(build) -> list[list[str]]:
    return [line.split("|") for line in (build / "record.txt").read_text().splitlines()]


@needsCMake
def test_everyModuleAndSelfTestIsBuilt(build):
    lines = record(build)
    assert sorted(line[1] for line in lines if line[0] == "MODULE") == sorted(MODULES)
    assert all(line[2] == "TRUE" for line in lines if line[0] == "MODULE"), "Slicer's generic tests are on"
    assert {line[1] for line in lines if line[0] == "TEST"} >= set(MODULES)


@needsCMake
def test_extensionDescriptionAgreesWithTheIndexEntry(build):
    values = {line[0]: line[1] for line in record(build) if line[0].startswith("EXTENSION_")}
    entry = json.loads((REPOSITORY / "Resources" / "IntradiscalNav.json").read_text())
    assert values["EXTENSION_DEPENDS"].split(";") == entry["build_dependencies"]
    assert all(values[f"EXTENSION_{name}"] for name in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS"))
    assert entry["scm_url"].removesuffix(".git") == values["EXTENSION_HOMEPAGE"]
    assert re.fullmatch(r"https://.*\.png", values["EXTENSION_ICONURL"])


@needsCMake
def test_installedTreeIsCompleteAndHasNothingElse(build):
    """Compared with the source tree itself, not with the lists in CMake."""
    installed = {path.relative_to(build / "install" / INSTALLED) for path in (build / "install").rglob("*") if path.is_file()}
    expected = set()
    for module in MODULES:
        listed = run("git", "-C", str(REPOSITORY), "ls-files", module).splitlines() if (REPOSITORY / ".git").exists() else []
        paths = [REPOSITORY / name for name in listed] or [path for path in (REPOSITORY / module).rglob("*") if path.is_file()]
        for path in paths:
            relative = path.relative_to(REPOSITORY / module)
            unwanted = {"Testing", "IntradiscalNavHeadless", "__pycache__"} & set(relative.parts)
            if path.is_file() and not unwanted and path.name != "CMakeLists.txt":
                expected.add(relative)
    assert installed == expected


@needsCMake
def test_installedModulesRunAlone(build, tmp_path):
    """Loads the three modules from the installed tree in a fresh process that can't see the source tree, and plans with them."""
    script = tmp_path / "load.py"
    script.write_text(
        f"""
import pathlib, sys
installed = pathlib.Path({str(build / "install" / INSTALLED)!r})
sys.path = [entry for entry in sys.path if not entry.startswith({str(REPOSITORY)!r}) or "site-packages" in entry]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path.insert(0, str(installed))
import importlib.util
def headless(name, path):
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    module = importlib.util.module_from_spec(spec); sys.modules[name] = module; spec.loader.exec_module(module)
headless("IntradiscalNavHeadless", pathlib.Path({str(REPOSITORY)!r}) / "IntradiscalNav/IntradiscalNavHeadless/__init__.py")
from IntradiscalNavHeadless.ScriptedModules.ModuleLoader import loadModule
for name in {MODULES!r}:
    module = loadModule(installed / f"{{name}}.py")
    getattr(module, f"{{name}}Test")().runTest()
import IntradiscalNavLib, FusionRegistrationLib, ProcedureLogLib, IntradiscalNavPanel
for package in (IntradiscalNavLib, FusionRegistrationLib, ProcedureLogLib, IntradiscalNavPanel):
    assert str(installed) in package.__file__, package.__file__
from IntradiscalNavPanel.SimulatedSample import makeSample
from IntradiscalNavPanel.IntradiscalNavLogic import IntradiscalNavLogic
logic = IntradiscalNavLogic(); node = logic.getParameterNode()
node.ctVolume, node.segmentation = makeSample()
print("planned", round(logic.plan(node).best[0].lengthMm))
"""
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    output = run(sys.executable, str(script), cwd=tmp_path, env=environment)
    assert re.search(r"planned \d{2,3}", output)


@needsCMake
def test_standInRefusesAMissingFile(tmp_path):
    """The stand-in itself must be able to fail."""
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(x NONE)\nfind_package(Slicer REQUIRED)\ninclude(${Slicer_USE_FILE})\n"
        "slicerMacroBuildScriptedModule(NAME X SCRIPTS Gone.py)\n"
    )
    standIn = REPOSITORY / "Testing" / "SlicerStandIn"
    done = subprocess.run(
        ["cmake", "-S", str(tmp_path), "-B", str(tmp_path / "b"), f"-DSlicer_DIR={standIn}"], capture_output=True, text=True
    )
    assert done.returncode != 0 and "Gone.py" in done.stderr
