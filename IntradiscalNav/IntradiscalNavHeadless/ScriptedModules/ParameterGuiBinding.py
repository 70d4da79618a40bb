"""Two-way binding of one widget and one parameter, by the table of connectors in Slicer's developer guide.

Knows widgets only by class name and attributes, so that no Qt is imported here. A pair that Slicer has no connector for
raises RuntimeError, as in Slicer.
"""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from typing import Any

from . import ParameterValidators as validators

# class of the widget -> (attribute that holds the value, signal of its change, parameter types); subclasses don't count, as in Slicer
_VALUE_WIDGETS: dict[str, tuple[str, str, tuple[type, ...]]] = {
    "QCheckBox": ("checked", "toggled", (bool,)),
    "ctkCheckBox": ("checked", "toggled", (bool,)),
    "QPushButton": ("checked", "toggled", (bool,)),
    "QSlider": ("value", "valueChanged", (int,)),
    "QSpinBox": ("value", "valueChanged", (int,)),
    "QDoubleSpinBox": ("value", "valueChanged", (float,)),
    "ctkDoubleSpinBox": ("value", "valueChanged", (float,)),
    "ctkSliderWidget": ("value", "valueChanged", (float,)),
    "ctkDoubleSlider": ("value", "valueChanged", (float,)),
    "QLineEdit": ("text", "textChanged", (str,)),
    "QTextEdit": ("plainText", "textChanged", (str,)),
    "QLabel": ("text", "", (str,)),
    "ctkPathLineEdit": ("currentPath", "currentPathChanged", (pathlib.PurePath,)),
    "ctkDirectoryButton": ("directory", "directoryChanged", (pathlib.PurePath,)),
}
_NEED_BOUNDS = ("QSlider", "ctkSliderWidget", "ctkDoubleSlider")


def bindableTypes(widgetClass: str) -> tuple[type, ...]:
    """Parameter types that a widget class can be bound to, beside combo boxes; empty for an unknown class."""
    return _VALUE_WIDGETS.get(widgetClass, ("", "", ()))[2]


class GuiBinding:
    """One live binding; `changed(parameterName, value)` is called when the person changes the widget."""

    def __init__(self, parameter: Any, name: str, widget: Any, changed: Callable[[str, Any], None]) -> None:
        self.parameter, self.name, self.widget = parameter, name, widget
        self._changed = changed
        widgetClass = type(widget).__name__
        self._choices: list[Any] | None = None
        if widgetClass == "qMRMLNodeComboBox" and parameter.isNode():
            self._signal = widget.currentNodeChanged
        elif widgetClass in ("QComboBox", "ctkComboBox"):
            self._choices = self._fillComboBox()
            self._signal = widget.currentIndexChanged
        else:
            self._attribute, signal, types = _VALUE_WIDGETS.get(widgetClass, ("", "", ()))
            if not types or not (isinstance(parameter.valueType, type) and issubclass(parameter.valueType, types)):
                raise RuntimeError(f"Slicer has no connector between the parameter {name} ({parameter.valueType}) and a {widgetClass}")
            self._signal = getattr(widget, signal) if signal else None
            self._applyAnnotations(widgetClass)
        if self._signal is not None:
            self._signal.connect(self._onChanged)

    def _fillComboBox(self) -> list[Any]:
        valueType = self.parameter.valueType
        if isinstance(valueType, type) and issubclass(valueType, enum.Enum):
            choices: list[Any] = list(valueType)
            texts = [choice.label() if hasattr(choice, "label") else choice.name for choice in choices]
        else:
            choice = self.parameter.annotation(validators.Choice)
            if choice is None:
                raise RuntimeError(f"parameter {self.name}: a combo box needs an enum or the Choice validator")
            choices = list(choice.choices)
            texts = [str(value) for value in choices]
        self.widget.clear()
        for text in texts:
            self.widget.addItem(text)
        return choices

    def _applyAnnotations(self, widgetClass: str) -> None:
        decimals, step = self.parameter.annotation(validators.Decimals), self.parameter.annotation(validators.SingleStep)
        if decimals is not None:
            self.widget.decimals = decimals.value
        if step is not None:
            self.widget.singleStep = step.value
        if self._attribute != "value":
            return
        limits = self.parameter.annotation(validators.WithinRange)
        lowest = limits or self.parameter.annotation(validators.Minimum)
        highest = limits or self.parameter.annotation(validators.Maximum)
        if widgetClass in _NEED_BOUNDS and (lowest is None or highest is None):
            raise RuntimeError(f"parameter {self.name}: a {widgetClass} needs both bounds, annotate it WithinRange")
        unbounded = 2**31 - 1 if self.parameter.valueType is int else float("inf")
        self.widget.minimum = lowest.minimum if lowest is not None else -unbounded
        self.widget.maximum = highest.maximum if highest is not None else unbounded

    def _onChanged(self, *_: Any) -> None:
        self._changed(self.name, self.read())

    def read(self) -> Any:
        if self._choices is not None:
            return self._choices[self.widget.currentIndex]
        if self.parameter.isNode():
            return self.widget.currentNode()
        value = self.widget.toPlainText() if self._attribute == "plainText" else getattr(self.widget, self._attribute)
        return self.parameter.valueType(value)

    def write(self, value: Any) -> None:
        if self._choices is not None:
            self.widget.currentIndex = self._choices.index(value)
        elif self.parameter.isNode():
            self.widget.setCurrentNode(value)
        elif self.read() != value:
            text = value.as_posix() if isinstance(value, pathlib.PurePath) else value
            if self._attribute == "plainText":
                self.widget.setPlainText(text)
            else:
                setattr(self.widget, self._attribute, text)

    def close(self) -> None:
        if self._signal is not None:
            self._signal.disconnect(self._onChanged)
