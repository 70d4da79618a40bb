"""Rules that hold .ui files, module files and parameter nodes together."""

import ast
import pathlib
import re
import xml.etree.ElementTree as ElementTree

from .ParameterDeclarations import declaredParameters
from .RepositoryFiles import MODULES, filesOf, panelSources

# Which widget classes Slicer can bind to which kinds of parameters (table in its developer guide); exact classes only
BINDABLE = {
    "QCheckBox": {"bool"},
    "ctkCheckBox": {"bool"},
    "QPushButton": {"bool"},
    "QSlider": {"int"},
    "QSpinBox": {"int"},
    "QDoubleSpinBox": {"float"},
    "ctkSliderWidget": {"float"},
    "ctkDoubleSlider": {"float"},
    "ctkDoubleSpinBox": {"float"},
    "QComboBox": {"enum", "choice"},
    "ctkComboBox": {"enum", "choice"},
    "QLineEdit": {"str"},
    "QTextEdit": {"str"},
    "QLabel": {"str"},
    "ctkPathLineEdit": {"path"},
    "ctkDirectoryButton": {"path"},
    "qMRMLNodeComboBox": {"node"},
    "qMRMLSubjectHierarchyTreeView": {"node"},
}
UNITS = {"Mm": " mm", "Deg": "°", "Sec": " s", "Hz": " Hz", "Min": " min", "Ml": " mL", "Hu": " HU"}


def _panels(repository: pathlib.Path) -> list[tuple[str, pathlib.Path, ElementTree.Element]]:
    panels = []
    for module in MODULES:
        for path in filesOf(repository, module):
            if path.suffix == ".ui":
                panels.append((module, path, ElementTree.parse(path).getroot()))
    return panels


def _parameterName(widget: ElementTree.Element) -> str:
    for prop in widget.findall("property"):
        if prop.get("name") == "SlicerParameterName":
            return (prop.findtext("string") or "").strip()
    return ""


def checkParameterNames(repository: pathlib.Path) -> list[str]:
    """Every bound widget names a parameter that exists and that Slicer has a connector for; units are shown."""
    found = []
    for module, path, root in _panels(repository):
        declared = declaredParameters(repository / module)
        seen = set()
        for widget in root.iter("widget"):
            name = _parameterName(widget)
            if not name:
                continue
            where = f"{path.relative_to(repository)}: {widget.get('class')} {widget.get('name')}"
            if name in seen:
                found.append(f"{where}: {name} is bound to two widgets; Slicer connects one only")
            seen.add(name)
            if name not in declared:
                found.append(f"{where}: the parameter node has no {name}")
                continue
            kinds = declared[name].kinds
            if not kinds & BINDABLE.get(widget.get("class", ""), set()):
                found.append(f"{where}: Slicer has no connector for {name} ({', '.join(sorted(kinds))})")
            if "node" in kinds and widget.get("class") == "qMRMLNodeComboBox":
                found += _checkNodeTypes(where, widget, declared[name].nodeTypes)
            unit = next((text for ending, text in UNITS.items() if name.endswith(ending)), "")
            suffix = next((p.findtext("string") for p in widget.findall("property") if p.get("name") == "suffix"), "")
            if unit and widget.get("class") != "QLabel" and suffix != unit:
                found.append(f"{where}: the unit{unit} isn't shown as suffix")
    return found


def _checkNodeTypes(where: str, widget: ElementTree.Element, nodeTypes: set[str]) -> list[str]:
    listed = {item.text for p in widget.findall("property") if p.get("name") == "nodeTypes" for item in p.iter("string")}
    if listed != nodeTypes:
        return [f"{where}: offers {sorted(filter(None, listed))}, the parameter takes {sorted(nodeTypes)}"]
    return []


def checkSceneConnections(repository: pathlib.Path) -> list[str]:
    """A MRML widget that isn't connected to mrmlSceneChanged stays empty without a word."""
    found = []
    for _module, path, root in _panels(repository):
        top = root.find("widget")
        assert top is not None
        fed = {c.findtext("receiver") for c in root.iter("connection") if (c.findtext("signal") or "").startswith("mrmlSceneChanged(")}
        for widget in root.iter("widget"):
            if widget is not top and (widget.get("class") or "").startswith(("qMRML", "qSlicer")) and widget.get("name") not in fed:
                found.append(
                    f"{path.relative_to(repository)}: {widget.get('class')} {widget.get('name')} isn't connected to mrmlSceneChanged"
                )
    return found


def checkWidgetNames(repository: pathlib.Path) -> list[str]:
    """Every self.ui.NAME of the module file is in its .ui file, and every button of the .ui file is used."""
    found = []
    for module in MODULES:
        sources = panelSources(repository, module)
        source = "\n".join(sources.values())
        names: dict[str, str] = {}
        for other, path, root in _panels(repository):
            if other == module:
                names.update({widget.get("name", ""): widget.get("class", "") for widget in root.iter("widget")})
                names.update({action.get("name", ""): "QAction" for action in root.iter("action")})
                bound = {widget.get("name") for widget in root.iter("widget") if _parameterName(widget)}
                for name, widgetClass in names.items():
                    if (
                        widgetClass in ("QPushButton", "QToolButton")
                        and name not in bound
                        and f'"{name}"' not in source
                        and f".{name}" not in source
                    ):
                        found.append(f"{path.relative_to(repository)}: the button {name} does nothing in {module}.py")
        for path, text in sources.items():
            for node in ast.walk(ast.parse(text)):
                used = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "ui"
                if used and node.attr not in names:
                    found.append(f"{path.relative_to(repository)}:{node.lineno}: the panel has no widget {node.attr}")
    return found


def checkToolTips(repository: pathlib.Path) -> list[str]:
    """Whatever can be clicked or filled in says what it is for."""
    found = []
    for _module, path, root in _panels(repository):
        for widget in root.iter("widget"):
            interactive = re.fullmatch(
                r"Q(PushButton|ToolButton|CheckBox|SpinBox|DoubleSpinBox|ComboBox|LineEdit)|ctk(PathLineEdit|SliderWidget)|qMRMLNodeComboBox",
                widget.get("class") or "",
            )
            if interactive and not any(p.get("name") == "toolTip" for p in widget.findall("property")):
                found.append(f"{path.relative_to(repository)}: {widget.get('class')} {widget.get('name')} has no tooltip")
    return found


CHECKS = (checkParameterNames, checkSceneConnections, checkWidgetNames, checkToolTips)
