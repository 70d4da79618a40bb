"""Step 4 of the panel, what a plan is good for: the map on the skin, the views of the path, the plan in files."""

from IntradiscalNavPanel.PlanOutput import PlanOutputAction
from IntradiscalNavPanel.PlanViews import PlanViewsAction
from IntradiscalNavPanel.SkinMap import SkinMapAction
from ScriptedPanel.ActionButtons import ActionButtons
from slicer.i18n import tr as _


class PlanOutputSection:
    UI = "PlanOutputSection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        logic, ui = self._logic, self.ui
        mapSwitch = {SkinMapAction.Show: (lambda: logic.skinMap.isShown, logic.skinMap.hide)}
        viewSwitch = {PlanViewsAction.Show: (lambda: logic.planViews.isShown, logic.planViews.stop)}
        self._buttons = (
            ActionButtons(panel, logic.skinMap, {SkinMapAction.Show: ui.skinMapCheck}, mapSwitch),
            ActionButtons(panel, logic.planViews, {PlanViewsAction.Show: ui.pathViewsButton}, viewSwitch),
            ActionButtons(panel, logic.planOutput, {PlanOutputAction.Write: ui.writePlanButton}, shown=self.showWritten),
        )
        ui.planOutputLabel.visible = False

    def showWritten(self, action, paths):
        self.ui.planOutputLabel.text = _("Written: {files}").format(files=", ".join(path.name for path in paths))
        self.ui.planOutputLabel.visible = True

    def onTick(self, parameterNode):
        """Nothing here follows the stream."""

    def update(self, parameterNode):
        if parameterNode is not None:
            self._logic.skinMap.follow(parameterNode)
            self._logic.planViews.follow(parameterNode)
        else:
            self.ui.planOutputLabel.visible = False
        for buttons in self._buttons:
            buttons.update(parameterNode)
