"""Rules for the Python files that are installed into Slicer."""

import ast
import pathlib

from .RepositoryFiles import parsedModuleCode, pythonFilesOf

QT_MODULES = {"qt", "ctk", "PySide6", "PyQt5", "PyQt6", "PythonQt"}


def _importedNames(tree: ast.Module) -> list[tuple[str, int]]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(alias.name.split(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append((node.module.split(".")[0], node.lineno))
    return names


QT_FOLDERS = {"ScriptedPanel", "IntradiscalNavSections"}


def checkNoQtInLibraries(repository: pathlib.Path) -> list[str]:
    found = []
    for path, tree in parsedModuleCode(repository):
        if len(path.parts) > 2 and path.parts[1] not in QT_FOLDERS:
            found += [
                f"{path}:{line}: {name} imported; Qt belongs in the module file, its sections or ScriptedPanel"
                for name, line in _importedNames(tree)
                if name in QT_MODULES
            ]
    return found


def checkNoExtensionClassesAtFileScope(repository: pathlib.Path) -> list[str]:
    """Classes of other extensions may not exist yet when Slicer starts."""
    found = []
    for path, tree in parsedModuleCode(repository):
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.module == "slicer":
                found += [f"{path}:{node.lineno}: {alias.name} may not exist at start-up" for alias in node.names if "IGTL" in alias.name]
    return found


def checkNoBareExcept(repository: pathlib.Path) -> list[str]:
    found = []
    for path in pythonFilesOf(repository):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                found.append(f"{path.relative_to(repository)}:{node.lineno}: bare except")
    return found


CHECKS = (checkNoQtInLibraries, checkNoExtensionClassesAtFileScope, checkNoBareExcept)
