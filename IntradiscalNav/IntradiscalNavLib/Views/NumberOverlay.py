"""Large numbers in the corner of a view, readable from two metres, and the reason when a number can't be shown.

Works on any renderer: in Slicer that of a slice or 3D widget, headless that of an off-screen view.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from IntradiscalNavLib.Guidance.DisplayedGuidance import BLANK, DisplayedGuidance, DisplayedNumber, GuidanceNumber
from IntradiscalNavLib.Guidance.ProximityAlert import LEVEL_COLORS, AlertLevel

BIG_SHARE = 0.125
"""Height of the large digits as a share of the view's height: 60 pixels in a view of 480, 14 mm on a usual monitor, 24' of arc at 2 m."""

LABEL_SHARE = 0.042
NAME_SHARE = 0.068
"""Active needle and target: one sensor serves many needles, so which one is meant must be read as far off as the numbers."""
TEXT_COLOR = (1.0, 1.0, 1.0)
REPLAY_COLOR = (0.62, 0.80, 1.0)
"""Numbers of a replay: no live number is blue."""
NAME_COLOR = (0.93, 0.55, 0.78)
LABEL_COLOR = (0.80, 0.83, 0.88)
BANNER_BACKGROUND = (0.45, 0.17, 0.0)
PANEL_BACKGROUND = (0.0, 0.0, 0.0)

TEXTS: dict[str, tuple[str, str, bool]] = {
    "title": ("Left", "Top", False),
    "name": ("Right", "Top", True),
    "big": ("Left", "Bottom", True),
    "label": ("Left", "Bottom", False),
    "bigRight": ("Right", "Bottom", True),
    "labelRight": ("Right", "Bottom", False),
    "banner": ("Centered", "Top", True),
}
"""Texts of a view: how each is justified across and upwards, and whether it is bold."""


class NumberOverlay:
    """Texts of one view: title and phase (top left), active needle and target (top right, where ``namesNeedle``), a large number
    (bottom left), a second one (bottom right), a banner below the title."""

    def __init__(
        self, renderer: Any, title: str, main: GuidanceNumber | None, second: GuidanceNumber | None = None, namesNeedle: bool = True
    ) -> None:
        self._renderer = renderer
        self._title, self._main, self._second, self._namesNeedle = title, main, second, namesNeedle
        self._texts = {name: self._makeText(name) for name in TEXTS}
        self._shown: dict[str, tuple[Any, ...]] = {}
        self._words: tuple[Any, ...] = ()

    def _makeText(self, name: str) -> Any:
        import vtk

        actor = vtk.vtkTextActor()
        actor.SetTextScaleModeToNone()
        text = actor.GetTextProperty()
        text.SetFontFamilyToArial()
        text.SetShadow(False)
        text.SetBackgroundColor(*(BANNER_BACKGROUND if name == "banner" else PANEL_BACKGROUND))
        text.SetBackgroundOpacity(0.9 if name == "banner" else 0.55)
        across, upwards, bold = TEXTS[name]
        getattr(text, f"SetJustificationTo{across}")()
        getattr(text, f"SetVerticalJustificationTo{upwards}")()
        text.SetBold(bold)
        actor.SetVisibility(False)
        actor.SetLayerNumber(5)
        self._renderer.AddViewProp(actor)
        return actor

    def show(self, displayed: DisplayedGuidance, heldSec: float | None = None) -> bool:
        """Show this state; True when anything changed on the screen.

        :param heldSec: how long the picture of this view has been frozen. A number that belongs to the live plane isn't shown beside it.
        """
        width, height = self._renderer.GetSize()
        if width < 2 or height < 2:
            return False
        big, small = max(int(height * BIG_SHARE), 18), max(int(height * LABEL_SHARE), 11)
        edge = max(small // 2, 5)
        changed = self._showNumbers(displayed, heldSec is not None, (width, big, small, edge))
        title = f"{self._title}   {displayed.phaseText}" if displayed.live or displayed.isReplay else self._title
        name = f"{displayed.needleName}\n{displayed.targetName}" if self._namesNeedle else ""
        lines = [] if heldSec is None else [f"FROZEN {heldSec:.0f} s"]
        lines += [
            f"{role.upper()} {tool.state}: {tool.reason}" if tool.reason else f"{role.upper()} {tool.state}"
            for role, tool in displayed.notLive.items()
        ]
        lines += displayed.warnings
        # Words stay the same for most of the time: they are laid out again only when they or the view's size change.
        words = (width, height, title, name, *lines)
        if words != self._words:
            self._words = words
            nameSize = _fittedSize(max(int(height * NAME_SHARE), 13), max(name.split("\n"), key=len), int(0.7 * width))
            changed |= self._put("name", name, NAME_COLOR, nameSize, (width - edge, height - edge))
            changed |= self._put("title", title, LABEL_COLOR, small, (edge, height - edge))
            text = "\n".join(_wrapped(line, max(int(width / (0.55 * small)), 12)) for line in lines)
            changed |= self._put("banner", text, TEXT_COLOR, small, (width // 2, height - edge - 4 * small))
        return changed

    def _showNumbers(self, displayed: DisplayedGuidance, held: bool, layout: tuple[int, int, int, int]) -> bool:
        width, big, small, edge = layout
        changed = False
        for side, number, x in (("", self._main, edge), ("Right", self._second, width - edge)):
            item = displayed.numbers[number] if number is not None else None
            if item is not None and held and number is GuidanceNumber.OUT_OF_PLANE:
                item = replace(item, text=BLANK, live=False)
            color = LEVEL_COLORS[AlertLevel.UNKNOWN] if item is None or not item.live else self._color(item, displayed.isReplay)
            text = "" if item is None else item.text
            size = _fittedSize(big if side == "" else int(big * 0.62), text, width)
            changed |= self._put(f"big{side}", text, color, size, (x, edge + small + 4))
            changed |= self._put(f"label{side}", "" if item is None else item.label, LABEL_COLOR, small, (x, edge))
        return changed

    @staticmethod
    def _color(item: DisplayedNumber, isReplay: bool) -> tuple[float, float, float]:
        if item.level is AlertLevel.CLEAR:
            return REPLAY_COLOR if isReplay else TEXT_COLOR
        return LEVEL_COLORS[item.level]

    def _put(self, name: str, text: str, color: tuple[float, float, float], size: int, position: tuple[int, int]) -> bool:
        key = (text, color, size, position)
        if self._shown.get(name) == key:
            return False
        self._shown[name] = key
        actor = self._texts[name]
        actor.SetVisibility(bool(text))
        if text:
            actor.SetInput(text)
            properties = actor.GetTextProperty()
            properties.SetColor(*color)
            properties.SetFontSize(size)
            actor.SetPosition(*position)
        return True

    def remove(self) -> None:
        """Take the texts out of the renderer."""
        for actor in self._texts.values():
            self._renderer.RemoveViewProp(actor)
        self._texts.clear()


def _fittedSize(size: int, text: str, width: int) -> int:
    """Smaller digits where the view is too narrow for the text (a bold digit is about 0.58 of its size wide)."""
    return min(size, int(0.6 * width / max(0.58 * len(text), 1.0))) if text else size


def _wrapped(line: str, columns: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(line, columns))
