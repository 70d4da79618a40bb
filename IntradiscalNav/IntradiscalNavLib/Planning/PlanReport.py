"""The one-page plan: what was asked, the best paths with their numbers and limits, and pictures. One HTML file, pictures inside."""

from __future__ import annotations

import html
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.LevelEvidence import levelEvidence
from IntradiscalNavLib.Planning.PlanContext import priorOf
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanPictures import PATH_COLORS, PlanPicture, pathPictures, skinMapPictures
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan
from IntradiscalNavLib.Planning.SessionPlan import SessionPlan
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.Trajectory import Trajectory

FloatArray = npt.NDArray[np.float64]

STRUCTURES = ("bone", "root", "dura", "vessel", "bowel", "kidney", "organ", "ilium")
FOOTER = "Research software, not a medical device. Confirm the level: count it from the sacrum and from the ribs."

_STYLE = """
body { font: 13px/1.35 system-ui, sans-serif; margin: 14px auto; max-width: 1050px; color: #1b1f24; }
h1 { font-size: 19px; margin: 0 0 2px; } h2 { font-size: 14px; margin: 12px 0 4px; }
table { border-collapse: collapse; width: 100%; } th, td { padding: 2px 6px; text-align: right; border-bottom: 1px solid #d5dae0; }
th:first-child, td:first-child, td.text, th.text { text-align: left; } th { font-weight: 600; }
.pictures { display: flex; flex-wrap: wrap; gap: 8px; align-items: flex-start; } .pictures figure { margin: 0; }
.pictures img { height: 300px; max-width: 100%; background: #000; } figcaption { font-size: 11px; color: #555; }
.warn { background: #fff4d6; border-left: 4px solid #d99a00; padding: 3px 8px; margin: 2px 0; }
.bad { background: #fde4e1; border-left: 4px solid #c0392b; padding: 3px 8px; margin: 2px 0; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 5px; margin-right: 4px; }
.note { color: #555; font-size: 11px; } @media print { body { margin: 0; font-size: 11px; } .pictures img { height: 235px; } }
"""


@dataclass(frozen=True)
class PageNeedle:
    """A needle of the session for the page: what it is for, how long (mm), its path, and why it comes here."""

    target: str
    needleLengthMm: float
    trajectory: Trajectory
    reason: str


@dataclass(frozen=True)
class PlanPage:
    """All that stands on the page. ``evidence`` says how the level was counted; ``reasons`` are why nothing is legal, ``notes`` small print
    below the table of paths."""

    title: str
    subtitle: str
    evidence: str
    paths: tuple[Trajectory, ...]
    parameters: PlanningParameters
    heading: str = "Best paths"
    levelConfirmed: bool = False
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    needles: tuple[PageNeedle, ...] = ()
    pictures: tuple[PlanPicture, ...] = ()
    notes: tuple[str, ...] = ()

    def toHtml(self) -> str:
        """One HTML file; texts are escaped."""
        parts = [
            f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Plan {_text(self.title)}</title>',
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{_text(self.title)}</h1>",
            _block("note", self.subtitle),
            f'<div class="note"><b>Level, {"confirmed" if self.levelConfirmed else "to be confirmed"}:</b> {_text(self.evidence)}.</div>',
            *(_block("bad", text) for text in self.reasons),
            *(_block("warn", text) for text in self.warnings),
            f"<h2>{_text(self.heading)}</h2>",
            *self._pathTable(),
            *(_block("note", text) for text in self.notes),
            *self._needleTable(),
        ]
        if self.pictures:
            parts.append('<h2>Pictures</h2><div class="pictures">')
            parts += [
                f'<figure><img alt="{_text(picture.title)}" src="data:image/png;base64,{picture.pngBase64()}">\n'
                f"<figcaption>{_text(picture.title)}</figcaption></figure>"
                for picture in self.pictures
            ]
            parts.append("</div>")
        parts.append(f'<p class="note">{_text(FOOTER)}</p>\n</body></html>')
        return "\n".join(parts)

    def _pathTable(self) -> list[str]:
        present = [name for name in STRUCTURES if any(name in path.clearancesMm for path in self.paths)]
        head = "<table><tr><th>path</th><th>side</th><th>inclination</th><th>tilt caudal</th>\n"
        head += "<th>entry from midline<br>straight / skin</th><th>depth</th>\n"
        head += "".join(f"<th>{_text(name)}</th>" for name in present)
        head += '\n<th>P(violation)</th><th>score</th><th>probe</th><th class="text">limited by</th></tr>'
        p = self.parameters
        below = (
            "Angles in degrees, lengths and clearances in mm (15 means 15 or more). "
            f"Needle {p.needleLengthMm:.0f} mm, at least {p.hubReserveMm:.0f} mm stay outside. "
            f"P(violation): probability that registration error ({p.registrationTreMm:.1f} mm RMS until a registration gives its own), "
            "needle bending and the modelled nerves' uncertainty bring the needle within a hard limit."
        )
        return [head, *(_pathRow(n, path, present) for n, path in enumerate(self.paths)), "</table>", _block("note", below)]

    def _needleTable(self) -> list[str]:
        if not self.needles:
            return []
        head = '<h2>Order of the session</h2>\n<table><tr><th>#</th><th class="text">target</th><th>needle</th><th>depth</th>'
        head += '<th>inclination</th><th>tilt</th>\n<th class="text">why here</th></tr>'
        rows = []
        for number, needle in enumerate(self.needles, start=1):
            path = needle.trajectory
            figures = (needle.needleLengthMm, path.lengthMm, path.medialInclinationDeg, path.caudalTiltDeg)
            rows.append(
                f'<tr><td>{number}</td><td class="text">{_text(needle.target)}</td>'
                + "".join(f"<td>{value:.0f}</td>" for value in figures)
                + f'<td class="text">{_text(needle.reason)}</td></tr>'
            )
        return [head, *rows, "</table>"]


def _text(text: str) -> str:
    return html.escape(text)


def _block(kind: str, text: str) -> str:
    return f'<div class="{kind}">{_text(text)}</div>'


def planPictures(
    anatomy: SpineAnatomy, ctHu: npt.NDArray, ctIjkToRas: FloatArray, plan: TrajectoryPlan, paths: Sequence[Trajectory]
) -> list[PlanPicture]:
    """Slices along and across the first path, the view down it, and the skin map of each side.

    :raises ImportError: where Pillow isn't installed.
    """
    if not paths:
        return []
    return [*pathPictures(anatomy, ctHu, ctIjkToRas, paths), *skinMapPictures(plan, paths)]


def planReport(
    title: str,
    anatomy: SpineAnatomy,
    plan: TrajectoryPlan,
    parameters: PlanningParameters,
    pictures: Sequence[PlanPicture] = (),
    session: SessionPlan | None = None,
    extraWarnings: Sequence[str] = (),
) -> str:
    """The plan as one HTML page."""
    nearest = [reason.nearest for reason in plan.infeasible.values() if reason.nearest is not None]
    paths = list(plan.best) or nearest
    disc = anatomy.disc(plan.level)
    context = next(iter(plan.contexts.values()))
    subtitle = (
        f"{plan.kind} {plan.level}, {plan.side}; disc {disc.heightMm:.1f} mm high, {disc.widthMm:.0f} x {disc.depthMm:.0f} mm; target "
        f"{context.depthMm:.0f} mm deep; inclination prior {priorOf(context)}; {plan.candidateCount:,} candidates scored, "
        f"{plan.legalCount:,} legal."
    )
    needles = tuple(
        PageNeedle(step.target.name, step.needleLengthMm, step.trajectory, step.reason)
        for step in (session.steps if session is not None else ())
    )
    warnings = [*extraWarnings, *plan.warnings]
    if session is not None:
        warnings += [f"{name}: {text}" for name, text in session.unplanned.items()]
        warnings += [f"Needles close: {text}" for text in session.conflicts]
    page = PlanPage(
        title,
        subtitle,
        "; ".join(levelEvidence(anatomy, plan.level)),
        tuple(paths),
        parameters,
        heading="Best paths" if plan.best else "Nearest to legal",
        reasons=tuple(reason.sentence for reason in plan.infeasible.values()),
        warnings=tuple(warnings),
        needles=needles,
        pictures=tuple(pictures),
    )
    return page.toHtml()


def _pathRow(n: int, path: Trajectory, structures: Sequence[str]) -> str:
    plane = path.ultrasound
    along = "-" if np.isnan(path.entryDistanceAlongSkinMm) else f"{path.entryDistanceAlongSkinMm:.0f}"
    color = "#{:02x}{:02x}{:02x}".format(*PATH_COLORS[n % len(PATH_COLORS)])
    cells = [
        path.side,
        f"{path.medialInclinationDeg:.0f}",
        f"{path.caudalTiltDeg:.0f}",
        f"{path.entryDistanceStraightMm:.0f} / {along}",
        f"{path.lengthMm:.0f}",
        *(f"{path.clearancesMm[name]:.1f}" if name in path.clearancesMm else "-" for name in structures),
        "-" if np.isnan(path.violationProbability) else f"{100 * path.violationProbability:.0f} %",
        f"{path.score:.2f}",
        "-" if plane is None else (f"in plane, {plane.probeSide}" if plane.feasible else "no plane"),
    ]
    name = f'<td><span class="dot" style="background: {color}"></span>{_text(path.name)}</td>'
    rest = "".join(f"<td>{_text(cell)}</td>" for cell in cells)
    return f'<tr>\n{name}{rest}<td class="text">{_text(path.limitedBy)}</td></tr>'


def writeReport(path: pathlib.Path, html: str) -> None:
    """Write the page as UTF-8."""
    path.write_text(html, encoding="utf-8")
