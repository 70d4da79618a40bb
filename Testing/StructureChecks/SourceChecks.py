"""Rules for the Python files that are installed into Slicer."""

import ast
import pathlib

from .RepositoryFiles import MODULES, isModuleCode, moduleFile, pythonFilesOf

QT_MODULES = {"qt", "ctk", "PySide6", "PyQt5", "PyQt6", "PythonQt"}
TEXT_ATTRIBUTES = {"text", "toolTip", "title", "placeholderText", "windowTitle", "statusTip"}
TEXT_CALLS = {
    "setText",
    "setToolTip",
    "setPlaceholderText",
    "setWindowTitle",
    "setTitle",
    "showStatusMessage",
    "errorDisplay",
    "infoDisplay",
    "warningDisplay",
    "confirmOkCancelDisplay",
    "confirmYesNoDisplay",
    "tryWithErrorDisplay",
    "setHorizontalHeaderLabels",
    "addItem",
}


def _parsed(repository: pathlib.Path) -> list[tuple[pathlib.Path, ast.Module]]:
    paths = [path for path in pythonFilesOf(repository) if isModuleCode(repository, path)]
    return [(path.relative_to(repository), ast.parse(path.read_text(encoding="utf-8"), str(path))) for path in paths]


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
    for path, tree in _parsed(repository):
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
    for path, tree in _parsed(repository):
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


def _isTranslation(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"


def checkTranslatedLiterals(repository: pathlib.Path) -> list[str]:
    """`_()` takes one plain string: an f-string or a variable is never found in the catalog."""
    found = []
    for path, tree in _parsed(repository):
        for node in ast.walk(tree):
            if _isTranslation(node):
                assert isinstance(node, ast.Call)
                argument = node.args[0] if len(node.args) == 1 else None
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    found.append(f"{path}:{node.lineno}: _() takes one plain string; put values in with .format() outside")
    return found


def _rawText(node: ast.AST) -> bool:
    """Whether an expression shows text of its own that isn't translated: letters outside `_()`."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and any(letter.isalpha() for letter in node.value)
    if isinstance(node, ast.JoinedStr):
        return any(_rawText(part) for part in node.values)
    if isinstance(node, ast.Call):
        # _("…").format(…) is fine; other functions make their own text
        return isinstance(node.func, ast.Attribute) and node.func.attr in ("format", "join") and _rawText(node.func.value)
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.IfExp | ast.List | ast.Tuple):
        parts = [child for child in ast.iter_child_nodes(node) if not (isinstance(node, ast.IfExp) and child is node.test)]
        return any(_rawText(child) for child in parts)
    return False


def checkVisibleTextTranslated(repository: pathlib.Path) -> list[str]:
    found = []
    for module in MODULES:
        path = moduleFile(repository, module)
        name = path.relative_to(repository)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr in TEXT_ATTRIBUTES:
                if _rawText(node.value):
                    found.append(f"{name}:{node.lineno}: {node.targets[0].attr} is shown without _()")
            elif isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in TEXT_CALLS and any(_rawText(argument) for argument in node.args):
                    found.append(f"{name}:{node.lineno}: text of {called}() is shown without _()")
    return found


CHECKS = (checkNoQtInLibraries, checkNoExtensionClassesAtFileScope, checkNoBareExcept, checkTranslatedLiterals, checkVisibleTextTranslated)
