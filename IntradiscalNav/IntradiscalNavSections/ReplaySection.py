"""Step 7 of the panel, a saved procedure: its numbers, its time line and its replay. Nothing here is live."""

import math
import time

from IntradiscalNavPanel.ReviewRules import ReviewAction
from ScriptedPanel.ActionButtons import ActionButtons
from ScriptedPanel.PanelTables import fillTable, prepareTable
from slicer.i18n import tr as _


class ReplaySection:
    UI = "ReplaySection.ui"

    def __init__(self, panel):
        self._panel, self.ui, self._review = panel, panel.ui, panel.logic.review
        review = self._review
        buttons = {
            ReviewAction.OpenCase: self.ui.openCaseButton,
            ReviewAction.Review: self.ui.reviewButton,
            ReviewAction.Play: self.ui.playButton,
            ReviewAction.Pictures: self.ui.picturesButton,
            ReviewAction.Clip: self.ui.clipButton,
        }
        switches = {
            ReviewAction.Review: (lambda: review.isOn, review.stop),
            ReviewAction.Play: (lambda: review.isPlaying, review.pause),
        }
        self._buttons = ActionButtons(panel, review, buttons, switches, self._showWritten)
        self._shown = None
        self._isFollowing = False
        prepareTable(self.ui.numbersTable, [_("Value"), _("Planned against done")])
        prepareTable(self.ui.timelineTable, [_("Time"), _("Event"), _("Text")])
        self.ui.timelineTable.connect("cellClicked(int,int)", self.onEntryClicked)
        self.ui.timeSlider.connect("valueChanged(double)", self.onTimeChosen)
        self.ui.sourceCombo.connect("currentIndexChanged(int)", self.onSourceChosen)

    def onTick(self, parameterNode):
        if self._review.advance(parameterNode, time.monotonic()) is not None:
            self._showTime()

    # --- chosen by the person

    def onEntryClicked(self, row, column):
        self._seek(self._review.timeline[row].timeSec)

    def onTimeChosen(self, timeSec):
        if not self._isFollowing:
            self._seek(timeSec)

    def _seek(self, timeSec):
        if self._review.replay is not None:
            self._panel.run(lambda: self._review.seek(self._panel.parameterNode, timeSec))

    def onSourceChosen(self, index):
        if self._isFollowing or not 0 <= index < len(self._sources):
            return
        self._panel.run(lambda: self._review.start(self._panel.parameterNode, self._sources[index]))

    def _showWritten(self, action, result):
        if action is ReviewAction.Pictures:
            self.ui.writtenLabel.text = _("{count} pictures in {folder}").format(count=len(result), folder=result[0].parent)
        elif action is ReviewAction.Clip:
            self.ui.writtenLabel.text = _("Written: {path}").format(path=result)

    # --- what is shown

    def update(self, parameterNode):
        self._buttons.update(parameterNode)
        review = self._review
        self.ui.replayLabel.text = review.text()
        self.ui.replayPanel.setVisible(review.isOn)
        if review.isOn and review.procedure is not self._shown:
            self._showProcedure(parameterNode)
        self._shown = review.procedure
        self._showTime()

    def _showProcedure(self, parameterNode):
        review = self._review
        self._isFollowing = True
        self._sources = review.sources(parameterNode)
        self.ui.sourceCombo.clear()
        for source in self._sources:
            self.ui.sourceCombo.addItem(source.name)
        self.ui.sourceCombo.currentIndex = self._sources.index(review.source)
        fillTable(self.ui.numbersTable, [(value, name) for name, value in review.rows])
        self.ui.numbersTable.resizeColumnToContents(0)
        fillTable(self.ui.timelineTable, [(f"{entry.timeSec:.1f} s", entry.name, entry.text) for entry in review.timeline])
        self.ui.timelineTable.resizeColumnToContents(0)
        self.ui.remarksLabel.text = "\n".join(review.remarks)
        # Up to a whole hundredth, so that the slider reaches the end.
        self.ui.timeSlider.maximum = max(math.ceil(review.durationSec * 100) / 100, 0.1)
        self.ui.timeSlider.enabled = review.replay is not None
        self.ui.timeSlider.toolTip = review.problem or _("Time since the start of the recording")
        self.ui.writtenLabel.text = ""
        self._isFollowing = False

    def _showTime(self):
        self._isFollowing = True
        self.ui.timeSlider.value = self._review.timeSec
        self._isFollowing = False
