"""Tables of text in a panel."""


def prepareTable(table, headers):
    """Columns by name; no line numbers; the last column takes what is left of the width."""
    table.setColumnCount(len(headers))
    table.setWordWrap(False)
    table.setHorizontalHeaderLabels(headers)
    table.verticalHeader().hide()
    table.horizontalHeader().setStretchLastSection(True)


def fillTable(table, rows, toolTips=None):
    """Replace the content by `rows` of texts; `toolTips` holds one text a row, else each cell explains itself by its own."""
    import qt

    table.setRowCount(len(rows))
    for row, texts in enumerate(rows):
        for column, text in enumerate(texts):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(toolTips[row] if toolTips is not None else text)
            table.setItem(row, column, item)
    table.resizeRowsToContents()
