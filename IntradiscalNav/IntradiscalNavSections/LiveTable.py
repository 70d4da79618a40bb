"""A table that is shown many times a second: only what has changed is written, and its place and selection stay."""

from ScriptedPanel.PanelTables import markColor, prepareTable

MOST_ROWS = 8
"""More rows than this are scrolled."""


class LiveTable:
    """Shows TableRow objects (`texts`, `toolTip`, `color`) in a QTableWidget."""

    def __init__(self, table, headers):
        self._table, self._rows = table, None
        self._longest = [0] * len(headers)
        prepareTable(table, headers)
        table.visible = False

    def show(self, rows):
        import qt

        if rows == self._rows:
            return
        before = self._rows or ()
        self._rows = rows
        table = self._table
        if len(rows) != table.rowCount:
            table.setRowCount(len(rows))
        for number, row in enumerate(rows):
            if number < len(before) and before[number] == row:
                continue
            for column, text in enumerate(row.texts):
                item = table.item(number, column)
                if item is None:
                    item = qt.QTableWidgetItem()
                    table.setItem(number, column, item)
                item.setText(text)
                item.setToolTip(row.toolTip or text)
            self._mark(table.item(number, 0), row.color)
        self._widen(rows)
        if len(rows) != len(before):
            self._fitHeight()

    def _widen(self, rows):
        """Columns grow with their texts and never shrink: digits that come and go must not make the table tremble."""
        for column in range(len(self._longest) - 1):  # the last one takes what is left
            longest = max((len(row.texts[column]) for row in rows), default=0)
            if longest > self._longest[column]:
                self._longest[column] = longest
                self._table.resizeColumnToContents(column)

    def _fitHeight(self):
        """As high as its rows; without any it takes no room."""
        table = self._table
        table.resizeRowsToContents()
        heights = [table.rowHeight(row) for row in range(min(table.rowCount, MOST_ROWS))]
        if heights:
            header = heights[0] + 6
            table.setFixedHeight(header + sum(heights) + 2 * table.frameWidth)
        table.visible = bool(heights)

    @staticmethod
    def _mark(item, color):
        import qt

        if color is None:
            item.setIcon(qt.QIcon())
        else:
            markColor(item, color)
