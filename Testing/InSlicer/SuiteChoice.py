"""Which suites run inside Slicer: all but those of the headless product and of the repository itself."""

from __future__ import annotations

import ast
import pathlib

SUITES = ("FusionRegistration/Testing", "ProcedureLog/Testing", "IntradiscalNav/Testing", "Testing/Python")
REPOSITORY_SUITES = ("test_StructureChecks.py", "test_Packaging.py", "test_Docs.py", "test_SlicerRunner.py", "test_ParameterNode.py")
"""They check files and stand-ins, which are the same inside Slicer."""
SCENE_ONLY = ("IntradiscalNavHeadless.SceneHost", {"startHost"})


def isForSlicer(path: pathlib.Path) -> bool:
    """Whether a test file makes sense inside Slicer. A file that needs more of the headless host than a scene doesn't."""
    if not path.name.startswith("test_"):
        return True
    if path.name in REPOSITORY_SUITES or "Headless" in path.parts:
        return False
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("IntradiscalNavHeadless"):
            if (node.module, {alias.name for alias in node.names}) != SCENE_ONLY:
                return False
        elif isinstance(node, ast.Import) and any(alias.name.startswith("IntradiscalNavHeadless") for alias in node.names):
            return False
    return True
