"""A table that is shown many times a second: only what has changed is written, and its place and selection stay."""

from ScriptedPanel.PanelTables import prepareTable


class LiveTable:
    """Shows TableRow objects (`texts`, `toolTip`, `color`) in a QTableWidget."""

    def __init__(self, table, headers):
        self._table, self._rows = table, None
        prepareTable(table, headers)

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
        if len(rows) != len(before):
            table.resizeRowsToContents()
            table.resizeColumnsToContents()

    @staticmethod
    def _mark(item, color):
        """A coloured square before the name: it is seen on light and on dark panels, and words say the same."""
        import qt

        if color is None:
            item.setIcon(qt.QIcon())
            return
        picture = qt.QPixmap(12, 12)
        picture.fill(qt.QColor(*(round(255 * value) for value in color)))
        item.setIcon(qt.QIcon(picture))
