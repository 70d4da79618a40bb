"""Where on the skin a needle can start: the feasibility map of the last plan as a colored model in the scene."""

import enum

import numpy as np
import slicer
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner

MAP_ATTRIBUTE = "IntradiscalNav.SkinMap"
COLOR_COUNT = 256
OUT_OF_REACH, NO_LEGAL_PATH, FIRST_LEGAL = 0, 1, 2
OUT_OF_REACH_COLOR, NO_LEGAL_COLOR = (0.62, 0.62, 0.62, 0.25), (0.12, 0.12, 0.12, 0.5)
"""RGBA: the spine is seen through the skin where no path starts."""
LEGAL_COLORS = ((0.27, 0.0, 0.33), (0.23, 0.32, 0.55), (0.13, 0.57, 0.55), (0.37, 0.79, 0.38), (0.99, 0.91, 0.15))
"""Five steps of viridis, told apart by color-blind eyes and on grey paper."""
OPACITY = 0.85


class SkinMapAction(enum.Enum):
    """What can be asked of SkinMap; the value is the name of its method."""

    Show = "show"


class SkinMap(ActionOwner):
    """Held by the logic as `logic.skinMap`."""

    def __init__(self, logic):
        self._logic = logic
        self._shownPlan = self._shownValue = None

    def whyNot(self, parameterNode, action):
        """Why a SkinMapAction can't be done now; empty if it can."""
        if self._logic.paths.lastPlan is None:
            return _("Plan first: the map shows from where on the skin a legal path starts.")
        if self._logic.paths.isStale(parameterNode):
            return _("Limits, registration or anatomy changed since the plan: plan again.")
        return ""

    @property
    def node(self):
        """The model of the map, or None."""
        nodes = slicer.util.getNodesByClass("vtkMRMLModelNode")
        return next((node for node in nodes if node.GetAttribute(MAP_ATTRIBUTE)), None)

    @property
    def isShown(self):
        node = self.node
        return node is not None and node.GetDisplayNode() is not None and bool(node.GetDisplayNode().GetVisibility())

    def show(self, parameterNode):
        """Show the map of the last plan; returns the model node.

        :raises ValueError: when there is no plan, or it no longer holds
        """
        from IntradiscalNavLib.Planning.FeasibilityMap import feasibilityMap

        self._require(parameterNode, SkinMapAction.Show)
        plan = self._logic.paths.lastPlan
        side = next(iter(plan.contexts))
        polyData = _colored(feasibilityMap(plan.contexts[side], plan.searches[side]), parameterNode.skinMapShows.value)
        node = self.node or slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode", "SkinMap")
        node.SetName(_("Skin map {level} {side}").format(level=plan.level, side=side))
        node.SetAttribute(MAP_ATTRIBUTE, f"{plan.kind} {plan.level} {side}")
        node.SetAndObservePolyData(polyData)
        node.SetSelectable(False)  # an entry is dragged over it
        if node.GetDisplayNode() is None:
            node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetActiveScalarName("Color")
        display.SetAndObserveColorNodeID(self._colorNode(display).GetID())
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
        display.SetScalarRange(0, COLOR_COUNT - 1)
        display.SetScalarVisibility(True)
        display.SetOpacity(OPACITY)
        display.SetBackfaceCulling(False)
        display.SetVisibility(True)
        self._shownPlan, self._shownValue = plan, parameterNode.skinMapShows
        return node

    def hide(self):
        node = self.node
        if node is not None and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(False)

    def follow(self, parameterNode):
        """While it is shown: bring it up to a new plan, and hide it when the plan no longer holds or another disc or side is chosen."""
        if not self.isShown or self._logic.paths.lastPlan is None:
            return  # a map that a loaded scene brought stays as it was saved
        chosen = f"disc {parameterNode.plan.level.value} {parameterNode.plan.side.value}"
        plan = self._logic.paths.lastPlan
        isChosen = chosen == f"{plan.kind} {plan.level} {next(iter(plan.contexts))}"
        if not isChosen or self.whyNot(parameterNode, SkinMapAction.Show):
            self.hide()
        elif self._shownPlan is not plan or self._shownValue is not parameterNode.skinMapShows:
            self.show(parameterNode)

    @staticmethod
    def _colorNode(display):
        node = display.GetColorNode()
        if node is not None and node.GetAttribute(MAP_ATTRIBUTE):
            return node
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "SkinMapColors")
        node.SetAttribute(MAP_ATTRIBUTE, "colors")
        node.SetTypeToUser()
        node.SetNumberOfColors(COLOR_COUNT)
        node.SetColor(OUT_OF_REACH, _("out of reach"), *OUT_OF_REACH_COLOR)
        node.SetColor(NO_LEGAL_PATH, _("no legal path"), *NO_LEGAL_COLOR)
        steps = np.linspace(0, 1, len(LEGAL_COLORS))
        for index in range(FIRST_LEGAL, COLOR_COUNT):
            share = (index - FIRST_LEGAL) / (COLOR_COUNT - 1 - FIRST_LEGAL)
            color = [float(np.interp(share, steps, channel)) for channel in zip(*LEGAL_COLORS)]
            node.SetColor(index, f"{100 * share:.0f} %", *color, 1.0)
        return node


def _colored(skinMap, shows):
    """The map as vtkPolyData with the point array "Color": indices of the color table."""
    from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

    polyData = skinMap.toPolyData()
    data = polyData.GetPointData()
    reason, values, share = (vtk_to_numpy(data.GetArray(name)) for name in ("Reason", shows, "LegalTargetShare"))
    legal = (reason == 0) & (share > 0)
    index = np.where(reason == 0, NO_LEGAL_PATH, OUT_OF_REACH).astype(np.float32)
    if legal.any():
        low, span = float(values[legal].min()), max(float(np.ptp(values[legal])), 1e-6)
        index[legal] = FIRST_LEGAL + (COLOR_COUNT - 1 - FIRST_LEGAL) * (values[legal] - low) / span
    array = numpy_to_vtk(index, deep=True)
    array.SetName("Color")
    data.AddArray(array)
    data.SetActiveScalars("Color")
    return polyData
