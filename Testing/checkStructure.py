"""Holds CMake lists, .ui files, code, icons and the extension-index entry together. Exit status 1 when anything is found.

    python Testing/checkStructure.py [REPOSITORY]

Rules: every installed file is listed in CMake and exists; index entry equals CMake; EXTENSION_DEPENDS has no commas; icons and
screenshots are PNG; no Qt and no f-string in `_()` where they don't belong; no bare `except`; every SlicerParameterName exists
in the parameter node and fits its widget; MRML widgets are connected to the scene; every widget the code names exists; test
files have unique names; visible text and the errors of the libraries go through `_()`.
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from StructureChecks import PackagingChecks, PanelChecks, SourceChecks, TranslationChecks


def findings(repository: pathlib.Path) -> list[str]:
    """All findings, one line each."""
    found: list[str] = []
    for checks in (PackagingChecks, SourceChecks, TranslationChecks, PanelChecks):
        for check in checks.CHECKS:
            found += check(repository)
    return found


def main(arguments: list[str]) -> int:
    repository = pathlib.Path(arguments[0]).resolve() if arguments else pathlib.Path(__file__).resolve().parents[1]
    found = findings(repository)
    print("\n".join(found) if found else "structure: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
