"""Rules for visible text: it goes through `_()`, in one plain string each."""

import ast
import pathlib
import re

from .RepositoryFiles import MODULES, panelSources, parsedModuleCode

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
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:']? +[(']?[A-Za-z]{2,}")
LIBRARIES = {"FusionRegistrationLib", "IntradiscalNavLib", "ProcedureLogLib"}
ENGLISH_FOLDERS = {"Simulation"}
"""The simulated patient and PLUS speak to developers."""


def _isTranslation(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_"


def checkTranslatedLiterals(repository: pathlib.Path) -> list[str]:
    """`_()` takes one plain string: an f-string or a variable is never found in the catalog."""
    found = []
    for path, tree in parsedModuleCode(repository):
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
        for path, text in panelSources(repository, module).items():
            for line, what in _rawlyShown(ast.parse(text, str(path))):
                found.append(f"{path.relative_to(repository)}:{line}: {what} shown without _()")
    return found


def _rawlyShown(tree: ast.Module) -> list[tuple[int, str]]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr in TEXT_ATTRIBUTES:
            if _rawText(node.value):
                found.append((node.lineno, f"{node.targets[0].attr} is"))
        elif isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in TEXT_CALLS and any(_rawText(argument) for argument in node.args):
                found.append((node.lineno, f"text of {called}() is"))
    return found


def checkErrorsTranslated(repository: pathlib.Path) -> list[str]:
    """What a library raises is shown to the user word for word."""
    found = []
    for path, tree in parsedModuleCode(repository):
        if LIBRARIES & set(path.parts) and not ENGLISH_FOLDERS & set(path.parts):
            for node in ast.walk(tree):
                if isinstance(node, ast.Raise) and node.exc is not None and _hasRawSentence(node.exc):
                    found.append(f"{path}:{node.lineno}: the error's text isn't in _()")
    return found


def _hasRawSentence(node: ast.AST) -> bool:
    """Whether words stand in a string outside of `_()`; names to look things up by are none."""
    if _isTranslation(node) or isinstance(node, ast.Compare | ast.Subscript):
        return False
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and SENTENCE.search(node.value) is not None
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "0" for part in node.values)
        return SENTENCE.search(text) is not None
    return any(_hasRawSentence(child) for child in ast.iter_child_nodes(node))


CHECKS = (checkTranslatedLiterals, checkVisibleTextTranslated, checkErrorsTranslated)
