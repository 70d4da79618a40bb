"""The navigation layout: six views by name, as XML for Slicer's layout node, and as view-node names for any host.

The tags are those Slicer's layout manager gives its nodes (``vtkMRMLSliceNode<tag>``), so the same code finds the views in Slicer and
headless.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYOUT_ID = 59610
"""Number of our layout in vtkMRMLLayoutNode; above the range Slicer keeps for itself and away from the extensions we know."""


@dataclass(frozen=True)
class ViewName:
    """One view: layout tag, label of its tab, and the colour of its bar (#RRGGBB)."""

    tag: str
    label: str
    color: str


FUSION = ViewName("NavFusion", "CT+US", "#56B4E9")
ULTRASOUND = ViewName("NavUltrasound", "US", "#E69F00")
TARGET = ViewName("NavTarget", "Eye", "#CC79A7")
PATH_ACROSS = ViewName("NavPathAcross", "PathA", "#009E73")
PATH_ALONG = ViewName("NavPathAlong", "PathB", "#0072B2")
THREE_D = ViewName("NavScene", "3D", "#999999")

SLICE_VIEWS = (FUSION, ULTRASOUND, TARGET, PATH_ACROSS, PATH_ALONG)


def _sliceItem(view: ViewName) -> str:
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{view.tag}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{view.label}</property>'
        f'<property name="viewcolor" action="default">{view.color}</property>'
        "</view></item>"
    )


def _threeDItem(view: ViewName) -> str:
    return (
        f'<item><view class="vtkMRMLViewNode" singletontag="{view.tag}">'
        f'<property name="viewlabel" action="default">{view.label}</property></view></item>'
    )


def navigationLayoutXml() -> str:
    """Layout description: fusion, ultrasound and target view on top; the two path planes and the 3D view below."""
    top = "".join(_sliceItem(view) for view in (FUSION, ULTRASOUND, TARGET))
    bottom = "".join(_sliceItem(view) for view in (PATH_ACROSS, PATH_ALONG)) + _threeDItem(THREE_D)
    return (
        '<layout type="vertical" split="true">'
        f'<item><layout type="horizontal" split="true">{top}</layout></item>'
        f'<item><layout type="horizontal" split="true">{bottom}</layout></item>'
        "</layout>"
    )


def insertionLayoutXml() -> str:
    """While the needle advances: ultrasound large, needle's eye and one path plane beside it."""
    side = "".join(_sliceItem(view) for view in (TARGET, PATH_ACROSS))
    return (
        '<layout type="horizontal" split="true">'
        f"{_sliceItem(FUSION)}{_sliceItem(ULTRASOUND)}"
        f'<item><layout type="vertical" split="true">{side}</layout></item>'
        "</layout>"
    )
