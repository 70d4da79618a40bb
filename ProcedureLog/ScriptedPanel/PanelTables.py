"""Tables of text in a panel."""

SWATCH_PIXELS = 12


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


def markColor(item, color):
    """A coloured square (RGB 0..1) before the text of an item: it is seen on light and on dark panels; words must say the same."""
    import qt

    picture = qt.QPixmap(SWATCH_PIXELS, SWATCH_PIXELS)
    picture.fill(qt.QColor(*(round(255 * value) for value in color)))
    item.setIcon(qt.QIcon(picture))
