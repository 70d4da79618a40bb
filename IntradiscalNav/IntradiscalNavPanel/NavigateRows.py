"""Rows of the two tables beside the numbers: clearances by structure, and the state of each tool. Texts only, no widgets."""

import dataclasses
import time

from slicer.i18n import tr as _

HISTORY_LINES = 6


@dataclasses.dataclass(frozen=True)
class TableRow:
    """Texts of one row, what it says when pointed at, and the colour of its mark (RGB 0..1, None for plain)."""

    texts: tuple[str, ...]
    toolTip: str = ""
    color: tuple[float, float, float] | None = None


def clearanceRows(session, state):
    """Structure, clearance, limit, mark; the most urgent first. Clearances are blank unless the needle is live."""
    from IntradiscalNavLib.Guidance.DisplayedGuidance import BLANK, millimetres
    from IntradiscalNavLib.Guidance.ProximityAlert import LEVEL_COLORS, AlertLevel

    if session is None:
        return ()
    marks = {
        AlertLevel.UNKNOWN: "–",
        AlertLevel.CLEAR: _("✓ clear"),
        AlertLevel.NEAR: _("△ near"),
        AlertLevel.BREACH: _("✕ too near"),
    }
    displayed = state.displayed if state is not None else None
    if displayed is None or displayed.guidance is None:
        return tuple(
            TableRow(
                (structure.name, BLANK, f"{structure.limitMm:g} mm", marks[AlertLevel.UNKNOWN]),
                _("The needle isn't live."),
                LEVEL_COLORS[AlertLevel.UNKNOWN],
            )
            for structure in session.structures.structures
        )
    known = {clearance.name: clearance for clearance in displayed.guidance.clearances}
    rows = []
    for alert in sorted(displayed.alert.structures, key=lambda alert: (-alert.level, known[alert.name].marginMm)):
        clearance = known[alert.name]
        text = f"{'> ' if clearance.isLowerBound else ''}{millimetres(clearance.clearanceMm)}"
        ahead = f"{'> ' if clearance.aheadIsLowerBound else ''}{millimetres(clearance.aheadMm)}"
        told = _("{name}: nearest {behind} behind the tip; {ahead} if pushed on; known to ± {accuracy}").format(
            name=alert.name, behind=millimetres(clearance.behindTipMm), ahead=ahead, accuracy=millimetres(clearance.accuracyMm)
        )
        rows.append(TableRow((alert.name, text, f"{alert.limitMm:g} mm", marks[alert.level]), told, LEVEL_COLORS[alert.level]))
    return tuple(rows)


def toolRows(connection, nowSec=None):
    """Tool, state, rate, delay ± jitter, and why it isn't OK; pointed at, a row tells its reasons and its last changes."""
    if connection is None or connection.lastUpdate is None:
        return ()
    nowSec = time.monotonic() if nowSec is None else nowSec
    update, stream = connection.lastUpdate, connection.stream
    rows = [
        _toolRow(name.split("To")[0], status.state, status.reasons, status.timing, stream.monitor.history(name))
        for name, status in sorted(update.statuses.items())
    ]
    for name in stream.images.names:
        timing = stream.images.timing(name, nowSec)
        rows.append(_toolRow(name.split("_")[0], update.states[name], update.reasons.get(name, ()), timing, ()))
    tree = stream.tree
    if tree.streamedNames and not tree.patientTracked:
        text = _("no sensor on the patient arrives")
        rows.insert(0, TableRow((_("Patient"), _("not tracked"), "", "", text), text, _levelColor(False, True)))
    return tuple(rows)


def _toolRow(name, state, reasons, timing, history):
    rate = f"{timing.rateHz:.0f} Hz" if timing.rateHz is not None else "–"
    jitter = f" ± {1000 * timing.jitterSec:.0f}" if timing.jitterSec is not None else ""
    if timing.rateHz is None:
        delay = "–"
    elif timing.latencySec is not None:
        delay = f"{1000 * max(timing.latencySec, 0.0):.0f}{jitter} ms"
    else:
        delay = f"+{1000 * max(timing.delaySec, 0.0):.0f}{jitter} ms"  # beyond the quickest: the clocks can't be compared
    lines = [f"{name}: {state.value}", *reasons]
    for change in history[-HISTORY_LINES:]:
        clock = time.strftime("%H:%M:%S", time.localtime(change.wallTimeSec))
        why = f" ({'; '.join(change.reasons)})" if change.reasons else ""
        lines.append(f"{clock} {change.fromState.value} → {change.toState.value}{why}")
    isOk = state.isLive and not reasons
    return TableRow((name, state.value, rate, delay, "; ".join(reasons)), "\n".join(lines), None if isOk else _levelColor(state.isLive))


def _levelColor(isLive, isWarning=False):
    from IntradiscalNavLib.Guidance.ProximityAlert import LEVEL_COLORS, AlertLevel

    return LEVEL_COLORS[AlertLevel.NEAR if isLive or isWarning else AlertLevel.BREACH]


def archText(checks, state):
    """What the live comparison of the bone in ultrasound and CT says now, or what it needs; empty without guidance."""
    if state is None:
        return ""
    if checks is None or checks.arch is None:
        return _("Bone check: show the bone of the CT in Fusion Registration before the guidance.")
    if not state.frameLive:
        return _("Bone check: the picture isn't live.")
    check = checks.archCheck
    if check is None or state.timeSec - check.timeSec > checks.arch.limits.windowSec:
        return _("Bone check: rest the probe on a spinous process or lamina.")
    return _("Bone check: {message}").format(message=check.message)
