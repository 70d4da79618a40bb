"""The numbers of a review as rows of text: the same in the panel and on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from TranslatedText.Translation import tr as _

SHOWN = (
    ("navigation", "entryErrorMm", "entry error", "mm"),
    ("navigation", "finalTipToTargetMm", _("tip to target at the end"), "mm"),
    ("navigation", "finalLateralMm", _("lateral error at the end"), "mm"),
    ("navigation", "finalAngleDeg", _("angle to the plan at the end"), "°"),
    ("navigation", "timeInTissueSec", "time in tissue", "s"),
    ("navigation", "needlePasses", "needle passes", ""),
    ("navigation", "corrections", "corrections", ""),
    ("navigation", "invisibleShare", _("share of time without needle pose"), ""),
    ("navigation", "outOfPlaneShare", _("share of time out of plane"), ""),
    ("perkTutor", "pathLengthMm", _("path length (Perk Tutor)"), "mm"),
    ("perkTutor", "elapsedTimeSec", _("elapsed time (Perk Tutor)"), "s"),
    ("registration", "predictedTre95Mm", _("predicted registration error at the target, 95 %"), "mm"),
)


def reviewRows(review: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, value with unit) of ``ProcedureReview.toDict()``, in the order they are read."""
    rows = [("recorded", f"{review['durationSec']:.1f} s, {review['imageCount']} images")]
    for part, name, label, unit in SHOWN:
        value = (review.get(part) or {}).get(name)
        rows.append((label, "not known" if value is None else f"{value:g} {unit}" if isinstance(value, int) else f"{value:.2f} {unit}"))
    for name, value in ((review.get("navigation") or {}).get("leastClearanceMm") or {}).items():
        rows.append((f"least clearance to {name}", f"{value:.1f} mm"))
    for name, value in (review.get("lastCt") or {}).items():
        if isinstance(value, bool):
            rows.append((f"last CT: {name}", "yes" if value else "no"))
        elif isinstance(value, int | float):
            rows.append((f"last CT: {name}", f"{value:.2f}" if isinstance(value, float) else str(value)))
    return rows
