"""A Q_PROPERTY that only keeps its value, for the many settings of stand-in widgets that have no effect in a test."""

from typing import Any

from PySide6.QtCore import Property


def storedProperty(valueType: Any, name: str, default: Any, notify: str | None = None) -> tuple[Any, Any]:
    """Property and setter; a method `_on_<name>(value)` of the widget is called on change, then the signal `notify`."""
    attribute = f"_stored_{name}"

    def read(self: Any) -> Any:
        return getattr(self, attribute, default)

    def write(self: Any, value: Any) -> None:
        if value == read(self):
            return
        setattr(self, attribute, value)
        hook = getattr(self, f"_on_{name}", None)
        if hook:
            hook(value)
        if notify:
            getattr(self, notify).emit(value)

    return Property(valueType, read, write), write
