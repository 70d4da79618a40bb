"""Shows the active path in the slice views: along it, across it, and down the needle."""

import enum

import slicer
from slicer.i18n import tr as _

from .ActionOwner import ActionOwner


class PlanViewsAction(enum.Enum):
    """What can be asked of PlanViews; the value is the name of its method."""

    Show = "show"


class PlanViews(ActionOwner):
    """Held by the logic as `logic.planViews`. The views are those of the navigation layout; guidance moves them while it runs."""

    def __init__(self, logic):
        self._logic = logic
        self._drivers = {}
        self._shown = None

    def reset(self):
        self._drivers, self._shown = {}, None

    def whyNot(self, parameterNode, action):
        """Why a PlanViewsAction can't be done now; empty if it can."""
        if self._logic.isGuiding:
            return _("The guidance moves these views: end it first.")
        if self._logic.shownTrajectory(parameterNode) is None:
            return _("Plan a path first, or have a drawn one checked.")
        if slicer.app.layoutManager() is None and not _sliceNodes():
            return _("There are no slice views of the navigation layout here.")
        return ""

    def show(self, parameterNode):
        """Switch to the navigation layout and turn its views to the active path; they follow it from now on. Returns the slice nodes.

        :raises ValueError: when there is no evaluated path, or there are no such views
        """
        self._require(parameterNode, PlanViewsAction.Show)
        if self._logic.layoutHost is not None:
            self._logic.layoutHost.showLayout()
        nodes = _sliceNodes()
        if not nodes:
            raise ValueError(_("There are no slice views of the navigation layout here."))
        self._drivers, self._shown = nodes, None
        self.follow(parameterNode)
        return tuple(nodes.values())

    @property
    def isShown(self):
        """Whether the views follow the path."""
        return bool(self._drivers) and not self._logic.isGuiding

    def stop(self):
        """Leave the views where they are."""
        self.reset()

    def follow(self, parameterNode):
        """Turn the views to the active path, if it is another one or lies elsewhere; not while it is dragged in them."""
        from IntradiscalNavLib.Planning.PathViews import pathViews
        from IntradiscalNavLib.Views.SliceDriver import SliceDriver
        from IntradiscalNavLib.Views.SlicePose import SlicePose

        if self._logic.isGuiding:
            self.reset()
        path, anatomy = self._logic.shownTrajectory(parameterNode), self._logic.knownAnatomy(parameterNode)
        if not self._drivers or path is None or path is self._shown or self._logic.paths.nodes.draggedNumber is not None:
            return
        axes = (anatomy if anatomy is not None else self._logic.anatomy(parameterNode)).disc(path.level).axes
        self._shown = path
        for view in pathViews(path, axes):
            node = self._drivers.get(view.name)
            if node is not None and slicer.mrmlScene.IsNodePresent(node):
                SliceDriver(node).show(SlicePose(view.sliceToRas, *view.sizeMm))
                _showCt(node, parameterNode.ctVolume)


def _sliceNodes():
    """Slice node by the name of the path view that it shows; only those that are there."""
    from IntradiscalNavLib.Views.NavigationLayout import PATH_ACROSS, PATH_ALONG, TARGET

    views = {"along": PATH_ALONG, "across": PATH_ACROSS, "down the needle": TARGET}
    byTag = {node.GetLayoutName(): node for node in slicer.util.getNodesByClass("vtkMRMLSliceNode")}
    return {name: byTag[view.tag] for name, view in views.items() if view.tag in byTag}


def _showCt(sliceNode, ctVolume):
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetLayoutName() == sliceNode.GetLayoutName():
            composite.SetBackgroundVolumeID(ctVolume.GetID())
