"""Step 4 of the panel, the paths: a table of them, the active one dragged, locked, named, copied and compared."""

import slicer
from IntradiscalNavPanel.NavigationRules import NavigationAction
from IntradiscalNavPanel.PathRules import PathAction
from IntradiscalNavPanel.PathTexts import rowHeaders
from ScriptedPanel.ActionButtons import ActionButtons
from ScriptedPanel.PanelTables import fillTable, markColor, prepareTable
from slicer import vtkMRMLMarkupsNode
from slicer.i18n import tr as _


class PathsSection:
    UI = "PathsSection.ui"

    def __init__(self, panel):
        import qt

        self._panel, self.ui, self._logic = panel, panel.ui, panel.logic
        self._paths = panel.logic.paths
        self._rows = self._compared = ()
        self._observedPath = None
        self._isFilling = False
        ui = self.ui
        buttons = {
            PathAction.Lock: ui.lockPathButton,
            PathAction.Duplicate: ui.duplicatePathButton,
            PathAction.Remove: ui.removePathButton,
            PathAction.Undo: ui.undoPathButton,
            PathAction.Redo: ui.redoPathButton,
        }
        locked = (lambda: self._paths.isLocked(panel.parameterNode), lambda: self._paths.unlock(panel.parameterNode))
        self._buttons = (
            ActionButtons(panel, self._paths, buttons, {PathAction.Lock: locked}),
            ActionButtons(panel, panel.logic, {NavigationAction.OtherPath: ui.otherPathButton}),
        )
        prepareTable(ui.pathsTable, rowHeaders())
        header = ui.pathsTable.horizontalHeader()
        header.setStretchLastSection(False)
        for column in range(len(rowHeaders())):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents if column else qt.QHeaderView.Stretch)
        toolTips = (
            _("✓ legal, △ legal but tight or likely to be violated, ✗ illegal; ▣ locked"),
            _("Side of the entry; inclination towards the midline / tilt, caudal positive"),
            _("Length of the path; in a session also that of the needle to take"),
            _("The structure with the least room beyond its limit, and the distance from it"),
            _("Probability that registration error and needle bending make the path violate a limit"),
        )
        for column, toolTip in enumerate(toolTips):
            ui.pathsTable.horizontalHeaderItem(column).setToolTip(toolTip)
        prepareTable(ui.compareTable, [_("What"), _("First"), _("Second"), _("More")])
        ui.pathsTable.connect("cellClicked(int,int)", self.onPathClicked)
        ui.pathsTable.connect("itemSelectionChanged()", self.showComparison)
        ui.pathNameEdit.connect("editingFinished()", self.onNamed)
        self._paths.onMoved = self.onMoved

    # --- actions

    def onPathClicked(self, row, column):
        if self._panel.parameterNode is not None and row < len(self._rows):
            self._panel.run(lambda: self._paths.select(self._panel.parameterNode, self._rows[row].number))

    def onNamed(self):
        parameterNode = self._panel.parameterNode
        entry = self._paths.selectedEntry(parameterNode) if parameterNode is not None else None
        name = self.ui.pathNameEdit.text
        if entry is not None and name.strip() != entry.name:
            self._panel.run(lambda: self._paths.rename(parameterNode, entry.number, name))

    def onMoved(self, number):
        """At the pace of dragging: the numbers of the one path alone; everything else follows when it is let go."""
        parameterNode = self._panel.parameterNode
        if parameterNode is None:
            return
        if self._paths.nodes.draggedNumber is None:
            self._panel.update()
            return
        self.showRows(parameterNode)
        self.showNumbers(parameterNode)

    # --- what is shown

    def onTick(self, parameterNode):
        """Nothing here follows the stream."""

    def update(self, parameterNode):
        """`parameterNode` is None while the scene is being closed."""
        self._observePath(parameterNode.path if parameterNode is not None else None)
        if parameterNode is not None:
            self._paths.follow(parameterNode)
        for buttons in self._buttons:
            buttons.update(parameterNode)
        entry = self._paths.selectedEntry(parameterNode) if parameterNode is not None else None
        self.ui.pathNameEdit.enabled = entry is not None
        self.ui.pathNameEdit.toolTip = _("Name of the active path; Enter renames it") if entry is not None else _("Select a path first.")
        if not self.ui.pathNameEdit.focus:
            self.ui.pathNameEdit.text = entry.name if entry is not None else ""
        if parameterNode is None:
            self._fill(())
            return
        self.showRows(parameterNode)
        self.showNumbers(parameterNode)
        steps = self._paths.sessionSteps
        lines = [_("⚠ too near: {pair}").format(pair=pair) for pair in self._paths.sessionConflicts]
        lines += [_("not planned: {target}").format(target=f"{name}: {why}") for name, why in self._paths.session.unplanned.items()]
        self.ui.sessionLabel.text = "\n".join(lines) or _("Needles and hubs of the session keep apart.")
        self.ui.sessionLabel.visible = bool(steps)
        self.showComparison()

    def showRows(self, parameterNode):
        """The table; where only one path's numbers have changed, that row alone."""
        rows = self._paths.rows(parameterNode)
        if rows == self._rows:
            return
        if [row.number for row in rows] != [row.number for row in self._rows]:
            self._fill(rows)
            return
        for index, (row, before) in enumerate(zip(rows, self._rows)):
            if row != before:
                self._fillRow(index, row)
        selectedBefore = next((row.number for row in self._rows if row.isSelected), None)
        self._rows = rows
        if next((row.number for row in rows if row.isSelected), None) != selectedBefore:
            self._markSelected()

    def showNumbers(self, parameterNode):
        text = self._logic.trajectoryText(self._logic.shownTrajectory(parameterNode))
        self.ui.planLabel.text = "\n".join(part for part in (self._paths.message, text) if part)
        self.ui.planLabel.visible = bool(self.ui.planLabel.text)

    def showComparison(self):
        """The comparison of the two rows that are selected, if two are."""
        table = self.ui.pathsTable
        if self._isFilling:
            return
        chosen = [
            row.number for index, row in enumerate(self._rows) if table.item(index, 0) is not None and table.item(index, 0).isSelected()
        ]
        compared = self._paths.compare(*chosen) if len(chosen) == 2 else ()
        self.ui.compareTable.visible = bool(compared)
        if compared != self._compared:
            self._compared = compared
            fillTable(self.ui.compareTable, compared)
            self.ui.compareTable.resizeColumnsToContents()

    def _fill(self, rows):
        table = self.ui.pathsTable
        self._isFilling, self._rows = True, rows
        fillTable(table, [row.cells for row in rows], [row.toolTip for row in rows])
        for index, row in enumerate(rows):
            self._fillRow(index, row)
        self._isFilling = False
        self._markSelected()

    def _fillRow(self, index, row):
        for column, text in enumerate(row.cells):
            item = self.ui.pathsTable.item(index, column)
            item.setText(text)
            item.setToolTip(row.toolTip)
        markColor(self.ui.pathsTable.item(index, 0), row.color)

    def _markSelected(self):
        selected = next((index for index, row in enumerate(self._rows) if row.isSelected), None)
        table = self.ui.pathsTable
        if selected is None:
            table.clearSelection()
        elif not table.item(selected, 0).isSelected():
            table.selectRow(selected)

    def _observePath(self, path):
        """A line that is drawn or moved and isn't in the book yet."""
        if path is self._observedPath:
            return
        if self._observedPath is not None:
            self._panel.removeObserver(self._observedPath, vtkMRMLMarkupsNode.PointModifiedEvent, self._onLine)
        if path is not None:
            self._panel.addObserver(path, vtkMRMLMarkupsNode.PointModifiedEvent, self._onLine)
        self._observedPath = path

    def _onLine(self, caller=None, event=None):
        if slicer.mrmlScene.IsBatchProcessing() or self._paths.nodes.numberOf(self._observedPath) is not None:
            return  # the book tells of its own lines
        self._panel.update()
