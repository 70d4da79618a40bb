"""Planned paths in words and table rows."""

import dataclasses
import math

from slicer.i18n import tr as _


def statusMark(trajectory):
    """✓ legal with room, △ legal but tight or likely to be violated, ✗ illegal: shape as well as color."""
    from IntradiscalNavLib.Planning.TrajectoryStatus import statusOf

    return {"good": "✓", "tight": "△", "illegal": "✗"}[statusOf(trajectory).value]


def statusColor(trajectory):
    """RGB 0..1 of a path's status, told apart by color-blind eyes too."""
    from IntradiscalNavLib.Planning.TrajectoryStatus import COLORS, statusOf

    return COLORS[statusOf(trajectory)]


def tightestLimit(trajectory):
    """The limit of a structure with the least room (HardLimit), or None."""
    structures = [limit for limit in trajectory.hardLimits if limit.name in trajectory.clearancesMm]
    return min(structures, key=lambda limit: limit.slack, default=None)


def percentText(probability):
    return "–" if math.isnan(probability) else _("{percent:.0f} %").format(percent=100 * probability)


def sideText(side):
    return {"left": _("left"), "right": _("right")}.get(side, side)


def trajectoryText(trajectory):
    """A path in the paper's terms, with the limits that fail and its clearances, one a line; empty for None."""
    if trajectory is None:
        return ""
    lines = [
        _("{length:.0f} mm, {medial:.0f}° medial, {caudal:.0f}° caudal, entry {entry:.0f} mm from the midline").format(
            length=trajectory.lengthMm,
            medial=trajectory.medialInclinationDeg,
            caudal=trajectory.caudalTiltDeg,
            entry=trajectory.entryDistanceStraightMm,
        )
    ]
    lines += [f"✗ {limit.sentence()}" for limit in trajectory.failing]
    nearest = sorted(trajectory.clearancesMm.items(), key=lambda item: item[1])[:4]
    lines += [f"{name}: {value:.1f} mm" for name, value in nearest]
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class PathRow:
    """One path of the table: texts of its cells, and what the row looks like."""

    number: int
    cells: tuple[str, ...]
    toolTip: str
    color: tuple[float, float, float]
    isSelected: bool


def rowHeaders():
    """Heads of the cells of a PathRow."""
    return (_("Path"), _("Angles"), _("mm"), _("Tightest"), _("Risk"))


def pathRow(entry, isSelected=False, needle=None):
    """PathRow of a book entry; `needle` is its SessionNeedle, where it belongs to a session."""
    path = entry.trajectory
    tightest = tightestLimit(path)
    cells = (
        " ".join([statusMark(path), *(["▣"] if entry.locked else []), entry.name]),
        _("{side} {medial}/{caudal}°").format(
            side=sideText(path.side)[:1].upper(), medial=round(path.medialInclinationDeg), caudal=round(path.caudalTiltDeg)
        ),
        f"{path.lengthMm:.0f}" if needle is None else f"{path.lengthMm:.0f}/{needle.needleLengthMm:.0f}",
        "–" if tightest is None else f"{tightest.name} {tightest.value:.1f}",
        percentText(path.violationProbability),
    )
    lines = [entry.name, trajectoryText(path), _("Limited by: {limit}").format(limit=path.limitedBy)]
    lines.append(_("Risk of violating a limit: {risk}").format(risk=percentText(path.violationProbability)))
    if needle is not None:
        lines.append(
            _("Needle {order} of the session, {length:.0f} mm: {reason}").format(
                order=needle.order, length=needle.needleLengthMm, reason=needle.reason
            )
        )
    return PathRow(entry.number, cells, "\n".join(lines), statusColor(path), isSelected)


def comparisonRows(first, second):
    """What tells two Trajectories apart, as (what, first, second, difference) of texts."""
    rows = []

    def number(what, a, b, unit, digits=0):
        if math.isnan(a) or math.isnan(b):
            return
        rows.append((what, f"{a:.{digits}f}{unit}", f"{b:.{digits}f}{unit}", f"{b - a:+.{digits}f}{unit}"))

    number(_("Medial"), first.medialInclinationDeg, second.medialInclinationDeg, "°")
    number(_("Caudal"), first.caudalTiltDeg, second.caudalTiltDeg, "°")
    number(_("Length"), first.lengthMm, second.lengthMm, " mm")
    number(_("Entry"), first.entryDistanceStraightMm, second.entryDistanceStraightMm, " mm")
    for name in first.clearancesMm:
        if name in second.clearancesMm:
            number(name, first.clearancesMm[name], second.clearancesMm[name], " mm", 1)
    number(_("Risk"), 100 * first.violationProbability, 100 * second.violationProbability, " %")
    number(_("Score"), first.score, second.score, "", 2)
    rows.append((_("Limits"), _failingText(first), _failingText(second), ""))
    return tuple(rows)


def _failingText(trajectory):
    return ", ".join(limit.name for limit in trajectory.failing) or _("all met")
