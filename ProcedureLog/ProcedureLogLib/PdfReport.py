"""The reports as PDF. Needs reportlab (headless; Slicer doesn't ship it): imported on use only."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from TranslatedText.Translation import tr as _

from .Cohort import CohortTable
from .CohortReport import Columns, curveDrawings, groupDrawings, sampleSizeRows, tableHeader, tableRows
from .ProcedureRecord import ProcedureRecord
from .ProcedureReport import FOOT, PASS_HEADER, detailRows, doseText, eventRows, keyFigures, passRows, timeRows
from .SampleSize import SampleSize
from .SvgDrawing import Circle, Label, Line, Rectangle, SvgDrawing
from .TimelinePlot import timelineDrawing
from .WholeFile import writeWhole

PAGE_WIDTH = 595.28 - 2 * 42
ACCENT = "#1f6f8b"


def _need() -> None:
    try:
        import reportlab  # noqa: F401
    except ImportError as error:
        raise RuntimeError(_("The PDF report needs 'pip install reportlab'; the HTML report needs nothing and prints to PDF")) from error


def drawingOf(source: SvgDrawing, width: float) -> Any:
    """The same drawing for reportlab, scaled to a width in points."""
    from reportlab.graphics.shapes import Circle as PdfCircle
    from reportlab.graphics.shapes import Drawing, Group, PolyLine, Rect, String
    from reportlab.lib.colors import HexColor

    scale = width / source.width
    height = source.height
    group = Group()
    for shape in source.shapes:
        if isinstance(shape, Line):
            points = [value for x, y in shape.points for value in (x, height - y)]
            dash = [float(each) for each in shape.dash.split()] or None
            group.add(PolyLine(points, strokeColor=HexColor(shape.color), strokeWidth=shape.width, strokeDashArray=dash))
        elif isinstance(shape, Rectangle):
            stroke = None if shape.stroke == "none" else HexColor(shape.stroke)
            place = (shape.x, height - shape.y - shape.height, shape.width, shape.height)
            group.add(Rect(*place, fillColor=HexColor(shape.fill), strokeColor=stroke, strokeWidth=0.8, fillOpacity=shape.opacity))
        elif isinstance(shape, Circle):
            fill = HexColor(shape.fill)
            group.add(PdfCircle(shape.x, height - shape.y, shape.radius, fillColor=fill, strokeColor=None, fillOpacity=shape.opacity))
        elif isinstance(shape, Label):
            group.add(_label(shape, height, String, Group, HexColor))
    group.scale(scale, scale)
    drawing = Drawing(width, height * scale)
    drawing.add(group)
    return drawing


def _label(shape: Label, height: float, string: Any, group: Any, color: Any) -> Any:
    text = string(
        0, 0, _latin(shape.text), fontName="Helvetica", fontSize=shape.size, fillColor=color(shape.color), textAnchor=shape.anchor
    )
    holder = group(text)
    holder.translate(shape.x, height - shape.y)
    if shape.turnDeg:
        holder.rotate(-shape.turnDeg)
    return holder


def _latin(text: str) -> str:
    """Text as the PDF's built-in fonts can show it; what they lack becomes '?'."""
    plain = (
        text.replace("–", "-")
        .replace("−", "-")
        .replace("…", "...")
        .replace("≥", ">=")
        .replace("≤", "<=")
        .replace("₂", "2")
        .replace("₃", "3")
    )
    return plain.encode("cp1252", "replace").decode("cp1252")


class _Story:
    """Flowables of one document in the project's style."""

    def __init__(self, title: str, subtitle: str) -> None:
        from reportlab.lib.colors import HexColor
        from reportlab.lib.styles import ParagraphStyle

        ink = HexColor("#1f2933")
        self.title = title
        self.body = ParagraphStyle("body", fontName="Helvetica", fontSize=8.5, leading=11.5, textColor=ink)
        self.head = ParagraphStyle("head", parent=self.body, fontName="Helvetica-Bold")
        self.right = ParagraphStyle("right", parent=self.body, alignment=2)
        self.rightHead = ParagraphStyle("rightHead", parent=self.head, alignment=2)
        self.small = ParagraphStyle("small", parent=self.body, fontSize=7.5, leading=10, textColor=HexColor("#52606d"))
        self.big = ParagraphStyle("big", parent=self.body, fontName="Helvetica-Bold", fontSize=12, leading=15)
        self.h1 = ParagraphStyle("h1", parent=self.body, fontName="Helvetica-Bold", fontSize=17, leading=21)
        self.h2 = ParagraphStyle("h2", parent=self.head, fontSize=11, leading=14, spaceBefore=12, spaceAfter=4, textColor=HexColor(ACCENT))
        self.parts: list[Any] = []
        self.paragraph(title, self.h1)
        self.paragraph(subtitle, self.small)

    def paragraph(self, text: str, style: Any = None) -> None:
        from reportlab.platypus import Paragraph

        self.parts.append(Paragraph(escape(_latin(text)).replace("\n", "<br/>"), style or self.body))

    def heading(self, text: str) -> None:
        self.paragraph(text, self.h2)
        self.parts[-1].keepWithNext = True

    def table(self, header: Sequence[str], lines: Sequence[Sequence[object]], widths: Sequence[float], numeric: Sequence[int] = ()) -> None:
        """widths are shares of the page."""
        from reportlab.lib.colors import HexColor
        from reportlab.platypus import LongTable, Paragraph

        def cell(value: object, column: int, style: Any) -> Any:
            if column in numeric:
                style = self.rightHead if style is self.head else self.right
            return Paragraph(escape(_latin(str(value))).replace("\n", "<br/>"), style)

        data = [[cell(name, column, self.head) for column, name in enumerate(header)]]
        data += [[cell(value, column, self.body) for column, value in enumerate(line)] for line in lines]
        total = sum(widths)
        table = LongTable(data, colWidths=[PAGE_WIDTH * width / total for width in widths], repeatRows=1)
        line = HexColor("#d9dee3")
        table.setStyle(
            [
                ("BACKGROUND", (0, 0), (-1, 0), HexColor("#f0f3f6")),
                ("LINEBELOW", (0, 0), (-1, -1), 0.4, line),
                ("VALIGN", (0, 0), (-1, -1), "TOP"),
                ("TOPPADDING", (0, 0), (-1, -1), 2.5),
                ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
                ("LEFTPADDING", (0, 0), (-1, -1), 4),
                ("RIGHTPADDING", (0, 0), (-1, -1), 4),
            ]
        )
        self.parts.append(table)

    def drawings(self, drawings: Sequence[SvgDrawing], perRow: int = 1) -> None:
        from reportlab.platypus import Table

        width = PAGE_WIDTH / perRow - (6 if perRow > 1 else 0)
        made = [drawingOf(drawing, width) for drawing in drawings]
        rows = [made[start : start + perRow] for start in range(0, len(made), perRow)]
        for row in rows:
            self.parts.append(Table([row + [""] * (perRow - len(row))], colWidths=[PAGE_WIDTH / perRow] * perRow, hAlign="LEFT"))

    def pictures(self, pictures: Mapping[str, str | Path | bytes]) -> None:
        from reportlab.lib.utils import ImageReader
        from reportlab.platypus import Image, KeepTogether, Paragraph, Table

        cells = []
        for caption, picture in pictures.items():
            data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
            wide, high = ImageReader(io.BytesIO(data)).getSize()
            width = min(PAGE_WIDTH / 2 - 10, 230 * wide / high)
            cells.append([Image(io.BytesIO(data), width, width * high / wide), Paragraph(escape(_latin(caption)), self.small)])
        for start in range(0, len(cells), 2):
            row = cells[start : start + 2]
            self.parts.append(KeepTogether(Table([row + [""] * (2 - len(row))], colWidths=[PAGE_WIDTH / 2] * 2)))

    def build(self) -> bytes:
        from reportlab.lib.pagesizes import A4
        from reportlab.platypus import SimpleDocTemplate

        def foot(canvas: Any, document: Any) -> None:
            canvas.setFont("Helvetica", 7)
            canvas.drawString(42, 24, _latin(self.title))
            canvas.drawRightString(A4[0] - 42, 24, f"page {document.page}")

        out = io.BytesIO()
        document = SimpleDocTemplate(
            out,
            pagesize=A4,
            leftMargin=42,
            rightMargin=42,
            topMargin=40,
            bottomMargin=44,
            title=_latin(self.title),
            author="ProcedureLog",
            invariant=1,
        )
        document.build(self.parts, onFirstPage=foot, onLaterPages=foot)
        return out.getvalue()


def procedureReportPdf(record: ProcedureRecord, pictures: Mapping[str, str | Path | bytes] | None = None) -> bytes:
    """The report of one procedure. Raises RuntimeError when reportlab is missing."""
    _need()
    details = record.details
    subtitle = " · ".join(str(details[name]) for name in ("group", "level", "side") if details.get(name)) or "Procedure log"
    story = _Story(f"Procedure {record.pseudonym}", subtitle)
    story.heading("Key figures")
    figures = keyFigures(record)
    story.table([name for _unused, name in figures], [[value for value, _unused in figures]], [1] * len(figures))
    for warning in record.warnings:
        story.paragraph(f"Check: {warning}", story.head)
    story.heading("Timeline")
    story.drawings([timelineDrawing(record)])
    if pictures:
        story.heading("Plan and result")
        story.pictures(pictures)
    story.heading("Times")
    story.table(("Definition", "min", "Note"), timeRows(record), (5, 1.4, 5), (1,))
    story.heading("CT passes and dose")
    story.table(PASS_HEADER, passRows(record), (0.9, 1.5, 1.7, 1.7, 1.4, 1.5, 1.1, 5.2), (4, 5, 6))
    story.paragraph(record.countingRule or "Passes entered by hand.", story.small)
    story.paragraph(doseText(record), story.small)
    story.heading("Procedure and outcome")
    story.table(("Fact", "Value"), detailRows(record), (3, 2))
    story.heading("Log")
    story.table(("Time", "Event", "Entry", "Noted by"), eventRows(record), (2.4, 2.2, 6, 2.2))
    story.paragraph(FOOT, story.small)
    return story.build()


def cohortReportPdf(
    table: CohortTable, columns: Columns, sampleSizes: Sequence[SampleSize] = (), title: str = "Cohort", notes: Sequence[str] = ()
) -> bytes:
    """The report of a cohort. Raises RuntimeError when reportlab is missing."""
    _need()
    story = _Story(title, f"{sum(table.sizes)} procedures: {table.settings.groups[0]} against {table.settings.groups[1]}")
    story.heading("Table 1")
    header = tableHeader(table)
    middle = [1.2, *[1.5] * (len(header) - 5)]
    story.table(header, tableRows(table), (3.1, 2.7, 2.7, *middle, 2.4), tuple(range(3, len(header))))
    if table.leftOut:
        story.paragraph(f"{table.leftOut} procedures of other or no group are left out.", story.small)
    story.heading("Groups")
    story.drawings(groupDrawings(table, columns), 3)
    curves = curveDrawings(table, columns)
    if curves:
        story.heading("Learning curves and dose")
        story.drawings(curves)
    if sampleSizes:
        story.heading("Sample size of the next trial")
        story.table(("Method", *table.settings.groups, "with drop-outs"), sampleSizeRows(sampleSizes), (6, 1.2, 1.2, 1.6), (1, 2, 3))
    story.heading("Methods")
    for note in (*table.notes, *notes):
        story.paragraph(f"• {note}", story.small)
    return story.build()


def writePdf(data: bytes, path: str | Path) -> Path:
    """Write a PDF; it is there whole or not at all."""
    return writeWhole(path, data)
