"""One self-contained HTML page: style, tables and pictures inside, nothing fetched from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from TranslatedText.Translation import tr as _

STYLE = """
:root{color-scheme:light}
body{font:15px/1.5 Helvetica,Arial,sans-serif;color:#1f2933;background:#fff;max-width:960px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin-bottom:.1em}
h2{font-size:1.15em;margin:1.8em 0 .5em;border-bottom:2px solid #1f6f8b;padding-bottom:.2em}
.sub{color:#52606d;margin-top:0}
table{border-collapse:collapse;width:100%;margin:.4em 0}
th,td{text-align:left;padding:.32em .6em;border-bottom:1px solid #e4e7eb;vertical-align:top}
th{background:#f5f7fa;font-weight:600}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}
td{white-space:pre-line}td.w,th.w{white-space:pre}
.figures{display:flex;flex-wrap:wrap;gap:1em}
figure{margin:0;flex:1 1 280px;max-width:460px}
figure img{width:100%;border-radius:4px;background:#000}
figcaption{font-size:.85em;color:#52606d}
.cards{display:flex;flex-wrap:wrap;gap:.8em}
.card{flex:1 1 120px;border:1px solid #e4e7eb;border-radius:6px;padding:.6em .9em}
.card b{display:block;font-size:1.2em;white-space:nowrap}
.card span{font-size:.85em;color:#52606d}
.doubt{background:#fff4e5;border-left:4px solid #d1603d;padding:.5em .9em;margin:.6em 0}
.small{font-size:.85em;color:#52606d}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr,figure{break-inside:avoid}}
"""


def htmlTable(header: Sequence[str], rows: Iterable[Sequence[object]], numeric: Iterable[int] = (), whole: Iterable[int] = ()) -> str:
    """A table; columns in `numeric` are set right, those in `whole` never break a line of their own."""
    right, kept = set(numeric), set(whole)

    def cells(values: Sequence[object], tag: str) -> str:
        kinds = [" class=n" if index in right else " class=w" if index in kept else "" for index in range(len(values))]
        return "".join(f"<{tag}{kind}>{escape(str(value))}</{tag}>" for kind, value in zip(kinds, values))

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(header, 'th')}</tr></thead><tbody>{body}</tbody></table>"


def htmlCards(cards: Iterable[tuple[str, str]]) -> str:
    """Key figures: (figure, what it is)."""
    return (
        "<div class=cards>"
        + "".join(f"<div class=card><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in cards)
        + "</div>"
    )


def htmlFigure(picture: str | Path | bytes, caption: str) -> str:
    """A PNG or JPEG file (or its bytes) embedded. Raises ValueError for anything else, OSError for a missing file."""
    data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
    if data.startswith(b"\x89PNG"):
        kind = "png"
    elif data.startswith(b"\xff\xd8"):
        kind = "jpeg"
    else:
        raise ValueError(_("The picture '{caption}' is neither PNG nor JPEG").format(caption=caption))
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return f"<figure><img alt='{escape(caption, quote=True)}' src='{source}'><figcaption>{escape(caption)}</figcaption></figure>"


def htmlDoubts(texts: Iterable[str]) -> str:
    return "".join(f"<div class=doubt>{escape(text)}</div>" for text in texts)


def htmlPage(title: str, subtitle: str, sections: Iterable[tuple[str, str]]) -> str:
    """The page; sections are (heading, inner HTML)."""
    body = "".join(f"<section><h2>{escape(heading)}</h2>{inner}</section>" for heading, inner in sections if inner)
    return (
        f"<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p class=sub>{escape(subtitle)}</p>"
        f"{body}</body></html>\n"
    )
