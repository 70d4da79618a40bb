"""Reads the parameter node of a module from its source, without importing it."""

from __future__ import annotations

import ast
import dataclasses
import pathlib

_SCALARS = {"bool": "bool", "int": "int", "float": "float", "str": "str", "Path": "path", "PurePath": "path"}


@dataclasses.dataclass(frozen=True)
class DeclaredParameter:
    """Kinds: bool, int, float, str, path, enum, choice, node, list, pack, other."""

    kinds: frozenset[str]
    nodeTypes: set[str]


def _classes(folder: pathlib.Path) -> dict[str, ast.ClassDef]:
    classes: dict[str, ast.ClassDef] = {}
    for path in folder.rglob("*.py"):
        if "Testing" not in path.relative_to(folder).parts:
            tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            classes.update({node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)})
    return classes


def _decorated(node: ast.ClassDef, name: str) -> bool:
    return any(isinstance(item, ast.Name) and item.id == name for item in node.decorator_list)


def _isEnum(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split(".")[-1] in ("Enum", "IntEnum") for base in node.bases)


def _declare(prefix: str, annotation: ast.expr, classes: dict[str, ast.ClassDef], into: dict[str, DeclaredParameter]) -> None:
    kinds: set[str] = set()
    nodeTypes: set[str] = set()
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).split(".")[-1] == "Annotated":
        assert isinstance(annotation.slice, ast.Tuple)
        annotation, *extras = annotation.slice.elts
        if any(ast.unparse(extra).startswith("Choice(") for extra in extras):
            kinds.add("choice")
    text = ast.unparse(annotation)
    inside = text.split("Union[", 1)[1].removesuffix("]").split(",") if "Union[" in text else [text]
    members = [part.strip() for part in inside if part.strip() != "None"]
    name = members[0].split(".")[-1]
    if all(member.split(".")[-1].startswith("vtkMRML") for member in members):
        kinds.add("node")
        nodeTypes = {member.split(".")[-1] for member in members}
    elif name in _SCALARS:
        kinds.add(_SCALARS[name])
    elif text.startswith("list["):
        kinds.add("list")
    elif name in classes and _isEnum(classes[name]):
        kinds.add("enum")
    elif name in classes and _decorated(classes[name], "parameterPack"):
        kinds.add("pack")
        for item in classes[name].body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                _declare(f"{prefix}.{item.target.id}", item.annotation, classes, into)
    else:
        kinds.add("other")
    into[prefix] = DeclaredParameter(frozenset(kinds), nodeTypes)


def declaredParameters(moduleFolder: pathlib.Path) -> dict[str, DeclaredParameter]:
    """All parameters of the module's parameter node, members of packs as `pack.member`."""
    classes = _classes(moduleFolder)
    parameters: dict[str, DeclaredParameter] = {}
    for node in classes.values():
        if _decorated(node, "parameterNodeWrapper"):
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    _declare(item.target.id, item.annotation, classes, parameters)
    return parameters
