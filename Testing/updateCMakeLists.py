"""Rewrites the sorted file lists in the CMakeLists.txt of the three modules from the tree. Run it after adding or removing a file.

python Testing/updateCMakeLists.py
"""

import pathlib
import subprocess

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
MODULES = ("FusionRegistration", "ProcedureLog", "IntradiscalNav")
SCRIPT_SUFFIXES = {".py"}
# Not installed into Slicer: the headless product, the tests, and what only belongs to the source
EXCLUDED_FOLDERS = {"IntradiscalNavHeadless", "Testing", "__pycache__"}
EXCLUDED_SUFFIXES = {".pyc", ".txt"}


def filesOf(folder: pathlib.Path) -> list[pathlib.Path]:
    """Files below a folder: those that git knows, so that half-made files of a working tree stay out; all of them without git."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "--cached", "-z", str(folder)]
    listed = subprocess.run(command, capture_output=True, text=True) if (REPOSITORY / ".git").exists() else None
    if listed is None or listed.returncode != 0:
        return sorted(path for path in folder.rglob("*") if path.is_file())
    paths = (REPOSITORY / name for name in listed.stdout.split("\0") if name)
    return sorted(path for path in paths if path.is_file())


def installedFiles(module: str) -> tuple[list[str], list[str]]:
    """Scripts and resources of a module that must be installed, relative to its folder, sorted."""
    folder = REPOSITORY / module
    scripts, resources = [], []
    for path in filesOf(folder):
        relative = path.relative_to(folder)
        if EXCLUDED_FOLDERS & set(relative.parts) or path.suffix in EXCLUDED_SUFFIXES or path.name.startswith("."):
            continue
        (scripts if path.suffix in SCRIPT_SUFFIXES else resources).append(relative.as_posix())
    # the module file first, as in Slicer's own modules
    scripts.sort(key=lambda name: (name != f"{module}.py", name))
    return scripts, resources


def selfTests(module: str) -> list[str]:
    """In-application test scripts of a module."""
    return sorted(path.name for path in (REPOSITORY / module / "Testing" / "Python").glob("*SelfTest.py"))


def moduleCMakeLists(module: str) -> str:
    scripts, resources = installedFiles(module)
    scriptLines = "\n".join(f"  {name}" for name in scripts)
    resourceLines = "\n".join(f"  {name}" for name in resources)
    return f"""#-----------------------------------------------------------------------------
set(MODULE_NAME {module})

#-----------------------------------------------------------------------------
# Both lists are written by Testing/updateCMakeLists.py
set(MODULE_PYTHON_SCRIPTS
{scriptLines}
  )

set(MODULE_PYTHON_RESOURCES
{resourceLines}
  )

#-----------------------------------------------------------------------------
slicerMacroBuildScriptedModule(
  NAME ${{MODULE_NAME}}
  SCRIPTS ${{MODULE_PYTHON_SCRIPTS}}
  RESOURCES ${{MODULE_PYTHON_RESOURCES}}
  WITH_GENERIC_TESTS
  )

#-----------------------------------------------------------------------------
if(BUILD_TESTING)
  slicer_add_python_unittest(SCRIPT ${{MODULE_NAME}}.py)
  add_subdirectory(Testing)
endif()
"""


def testCMakeLists(module: str) -> str:
    lines = "".join(f"slicer_add_python_unittest(SCRIPT {name})\n" for name in selfTests(module))
    return lines or "# The pytest suites here run outside Slicer (make test) and inside it (make slicer-test).\n"


def writtenFiles() -> dict[pathlib.Path, str]:
    """Every file this script keeps, with its content."""
    files = {}
    for module in MODULES:
        folder = REPOSITORY / module
        files[folder / "CMakeLists.txt"] = moduleCMakeLists(module)
        files[folder / "Testing" / "CMakeLists.txt"] = "add_subdirectory(Python)\n"
        files[folder / "Testing" / "Python" / "CMakeLists.txt"] = testCMakeLists(module)
    return files


def main() -> None:
    for path, text in writtenFiles().items():
        if not path.is_file() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print("written", path.relative_to(REPOSITORY))


if __name__ == "__main__":
    main()
