"""Stand-ins of the CTK widgets that the panels use, on PySide6: same properties and signals, plain look."""

from __future__ import annotations

from typing import Any

import PythonQtStyle
import qt
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from StoredProperty import storedProperty


def _inRow(parent: Any, *widgets: Any) -> None:
    row = QtWidgets.QHBoxLayout(parent)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)


class ctkCollapsibleButton(qt.QAbstractButton):
    """A section with a title bar that folds its content away. Its checked state is its being open, as in CTK."""

    contentsCollapsed = Signal(bool)
    flat, setFlat = storedProperty(bool, "flat", False)
    contentsFrameShape, setContentsFrameShape = storedProperty(int, "contentsFrameShape", 0)
    contentsLineWidth, setContentsLineWidth = storedProperty(int, "contentsLineWidth", 1)

    def __init__(self, text: Any = "", parent: Any = None) -> None:
        if not isinstance(text, str):
            text, parent = "", text
        super().__init__(parent)
        self._hiddenContents: list[Any] = []
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Minimum)
        self.setContentsMargins(0, self._barHeight(), 0, 0)
        self.toggled.connect(self._fold)

    def _barHeight(self) -> int:
        return self.fontMetrics().height() + 8

    def _fold(self, open_: bool) -> None:
        # explicitly hidden children stay hidden when the section opens
        if not open_:
            self._hiddenContents = [child for child in self._contents() if not child.isHidden()]
        for child in self._hiddenContents:
            child.setVisible(open_)
        self.setMaximumHeight(16777215 if open_ else self._barHeight())
        self.contentsCollapsed.emit(not open_)

    def _contents(self) -> list[Any]:
        direct = QtCore.Qt.FindChildOption.FindDirectChildrenOnly
        return PythonQtStyle._originalFindChildren(self, QtWidgets.QWidget, options=direct)

    def _isCollapsed(self) -> bool:
        return not self.checked

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = Property(bool, _isCollapsed, setCollapsed)

    def childEvent(self, event: Any) -> None:
        if (
            event.type() == QtCore.QEvent.ChildPolished
            and not self.checked
            and event.child().isWidgetType()
            and not event.child().isHidden()
        ):
            event.child().setVisible(False)
            self._hiddenContents.append(event.child())

    def sizeHint(self) -> Any:
        layout = self.layout()
        hint = layout.totalSizeHint() if layout is not None and self.checked else QtCore.QSize(120, self._barHeight())
        return QtCore.QSize(max(hint.width(), 120), max(hint.height(), self._barHeight()))

    def hasHeightForWidth(self) -> bool:
        return bool(self.checked and self.layout() is not None and self.layout().hasHeightForWidth())

    def heightForWidth(self, width: int) -> int:
        return int(self.layout().totalHeightForWidth(width))

    def minimumSizeHint(self) -> Any:
        layout = self.layout()
        return layout.totalMinimumSize() if layout is not None and self.checked else QtCore.QSize(60, self._barHeight())

    def hitButton(self, position: Any) -> bool:
        return bool(position.y() < self._barHeight())

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        bar = QtCore.QRect(0, 0, self.width, self._barHeight() - 2)
        painter.fillRect(bar, self.palette.color(QtGui.QPalette.Button).darker(108))
        painter.setPen(self.palette.color(QtGui.QPalette.ButtonText))
        text = f"{'▾' if self.checked else '▸'}  {self.text}"
        painter.drawText(
            bar.adjusted(6, 0, -6, 0), QtCore.Qt.AlignVCenter, self.fontMetrics().elidedText(text, QtCore.Qt.ElideRight, bar.width() - 12)
        )
        painter.end()


class ctkSliderWidget(qt.QWidget):
    """Slider with spin box."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    startChanging = Signal()
    stopChanging = Signal()
    _STEPS = 10000
    pageStep, setPageStep = storedProperty(float, "pageStep", 10.0)
    tracking, setTracking = storedProperty(bool, "tracking", True)
    popupSlider, setPopupSlider = storedProperty(bool, "popupSlider", False)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._slider.setRange(0, self._STEPS)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        self._spin.setRange(0, 99)
        self._following = False
        _inRow(self, self._slider, self._spin)
        self._slider.valueChanged.connect(self._sliderMoved)
        self._spin.valueChanged.connect(self._spinChanged)

    def _sliderMoved(self, step: int) -> None:
        if not self._following:
            self._spin.setValue(self._spin.minimum + step / self._STEPS * (self._spin.maximum - self._spin.minimum))

    def _spinChanged(self, value: float) -> None:
        self._follow()
        self.valueChanged.emit(value)

    def _follow(self) -> None:
        span = self._spin.maximum - self._spin.minimum
        self._following = True
        self._slider.setValue(round((self._spin.value - self._spin.minimum) / span * self._STEPS) if span else 0)
        self._following = False

    def setValue(self, value: float) -> None:
        self._spin.setValue(value)

    def _setMinimum(self, value: float) -> None:
        self._spin.setMinimum(value)
        self._follow()

    def _setMaximum(self, value: float) -> None:
        self._spin.setMaximum(value)
        self._follow()

    value = Property(float, lambda self: self._spin.value, setValue, notify=valueChanged)
    minimum = Property(float, lambda self: self._spin.minimum, _setMinimum)
    maximum = Property(float, lambda self: self._spin.maximum, _setMaximum)
    singleStep = Property(float, lambda self: self._spin.singleStep, lambda self, step: self._spin.setSingleStep(step))
    decimals = Property(int, lambda self: self._spin.decimals, lambda self, number: self._spin.setDecimals(number))
    suffix = Property(str, lambda self: self._spin.suffix, lambda self, text: self._spin.setSuffix(text))
    prefix = Property(str, lambda self: self._spin.prefix, lambda self, text: self._spin.setPrefix(text))


class ctkPathLineEdit(qt.QWidget):
    """Line edit for a file or folder, with a browse button that does nothing here."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)
    filters, setFilters = storedProperty(int, "filters", 2)
    settingKey, setSettingKey = storedProperty(str, "settingKey", "")
    nameFilters, setNameFilters = storedProperty("QStringList", "nameFilters", [])
    showHistoryButton, setShowHistoryButton = storedProperty(bool, "showHistoryButton", True)
    sizeAdjustPolicy, setSizeAdjustPolicy = storedProperty(int, "sizeAdjustPolicy", 0)
    minimumContentsLength, setMinimumContentsLength = storedProperty(int, "minimumContentsLength", 0)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._edit = QtWidgets.QLineEdit(self)
        browse = QtWidgets.QToolButton(self)
        browse.setText("…")
        _inRow(self, self._edit, browse)
        self._edit.textChanged.connect(self.currentPathChanged)

    def setCurrentPath(self, path: str) -> None:
        self._edit.setText(path)

    currentPath = Property(str, lambda self: self._edit.text, setCurrentPath)

    def addCurrentPathToHistory(self) -> None:
        """The stand-in keeps no history."""


class ctkDirectoryButton(qt.QWidget):
    directoryChanged = Signal(str)
    directorySelected = Signal(str)
    caption, setCaption = storedProperty(str, "caption", "")
    directory, setDirectory = storedProperty(str, "directory", ".", notify="directoryChanged")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._button = QtWidgets.QPushButton(self)
        _inRow(self, self._button)

    def _on_directory(self, directory: str) -> None:
        self._button.setText(directory)


WIDGETS = {name: value for name, value in list(globals().items()) if name.startswith("ctk") and isinstance(value, type)}
