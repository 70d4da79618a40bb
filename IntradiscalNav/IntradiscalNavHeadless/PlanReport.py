"""The one-page plan: what was asked, the best paths with their numbers and limits, and pictures. One HTML file, pictures inside."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from jinja2 import Environment

from IntradiscalNavHeadless.PlanPictures import PATH_COLORS, PlanPicture, drawSkinMap, drawView
from IntradiscalNavLib.Planning.FeasibilityMap import feasibilityMap
from IntradiscalNavLib.Planning.LevelEvidence import levelEvidence
from IntradiscalNavLib.Planning.PathViews import pathViews
from IntradiscalNavLib.Planning.PlanContext import priorOf
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from IntradiscalNavLib.Planning.PlanTrajectories import TrajectoryPlan
from IntradiscalNavLib.Planning.SessionPlan import SessionPlan
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.Trajectory import Trajectory

FloatArray = npt.NDArray[np.float64]

_TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Plan {{ title }}</title>
<style>
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
</style></head><body>
<h1>{{ title }}</h1>
<div class="note">{{ subtitle }}</div>
<div class="note"><b>Level, to be confirmed:</b> {{ evidence }}.</div>
{% for text in reasons %}<div class="bad">{{ text }}</div>{% endfor %}
{% for text in warnings %}<div class="warn">{{ text }}</div>{% endfor %}
<h2>{{ heading }}</h2>
<table><tr><th>path</th><th>side</th><th>inclination</th><th>tilt caudal</th>
<th>entry from midline<br>straight / skin</th><th>depth</th>
{% for name in structures %}<th>{{ name }}</th>{% endfor %}
<th>P(violation)</th><th>score</th><th>probe</th><th class="text">limited by</th></tr>
{% for row in rows %}<tr>
<td><span class="dot" style="background: {{ row.color }}"></span>{{ row.name }}</td><td>{{ row.side }}</td>
<td>{{ row.inclination }}</td><td>{{ row.tilt }}</td><td>{{ row.entry }}</td><td>{{ row.depth }}</td>
{% for value in row.clearances %}<td>{{ value }}</td>{% endfor %}
<td>{{ row.violation }}</td><td>{{ row.score }}</td><td>{{ row.probe }}</td><td class="text">{{ row.limited }}</td></tr>{% endfor %}
</table>
<div class="note">Angles in degrees, lengths and clearances in mm (15 means 15 or more).
Needle {{ needle }} mm, at least {{ reserve }} mm stay outside.
{{ causes }}</div>
{% if session %}<h2>Order of the session</h2>
<table><tr><th>#</th><th class="text">target</th><th>needle</th><th>depth</th><th>inclination</th><th>tilt</th>
<th class="text">why here</th></tr>
{% for step in session %}<tr><td>{{ loop.index }}</td>
<td class="text">{{ step.target }}</td><td>{{ step.needle }}</td><td>{{ step.depth }}</td>
<td>{{ step.inclination }}</td><td>{{ step.tilt }}</td><td class="text">{{ step.reason }}</td></tr>{% endfor %}</table>{% endif %}
{% if pictures %}<h2>Pictures</h2><div class="pictures">
{% for picture in pictures %}<figure><img alt="{{ picture.title }}" src="data:image/png;base64,{{ picture.data }}">
<figcaption>{{ picture.title }}</figcaption></figure>{% endfor %}</div>{% endif %}
<p class="note">{{ footer }}</p>
</body></html>
"""


def planPictures(
    anatomy: SpineAnatomy, ctHu: npt.NDArray, ctIjkToRas: FloatArray, plan: TrajectoryPlan, paths: Sequence[Trajectory]
) -> list[PlanPicture]:
    """Slices along and across the first path, the view down it, and the skin map of each side."""
    if not paths:
        return []
    first = paths[0]
    context = plan.contexts[first.side]
    titles = {
        "along": "Along the path (oblique axial): path, nucleus (cyan), roots and dura (yellow)",
        "across": "Across: path with the cranio-caudal direction",
        "down the needle": "Down the needle, 25 mm before the target",
    }
    same = tuple(path for path in paths if path.side == first.side)
    pictures = []
    for view in pathViews(first, context.axes):
        drawn = drawView(anatomy, ctHu, ctIjkToRas, view, same if view.name == "along" else (first,), pixelMm=0.4, shareNucleus=plan.level)
        pictures.append(PlanPicture(titles[view.name], drawn.pixels))
    for side, search in plan.searches.items():
        onSide = tuple(path for path in paths if path.side == side)
        drawn = drawSkinMap(feasibilityMap(plan.contexts[side], search), onSide)
        pictures.append(
            PlanPicture(f"Skin map {side}, seen from behind: green best, dark red no legal path, grey out of reach", drawn.pixels)
        )
    return pictures


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
    present = [
        name
        for name in ("bone", "root", "dura", "vessel", "bowel", "kidney", "organ", "ilium")
        if any(name in p.clearancesMm for p in paths)
    ]
    disc = anatomy.disc(plan.level)
    context = next(iter(plan.contexts.values()))
    subtitle = (
        f"{plan.kind} {plan.level}, {plan.side}; disc {disc.heightMm:.1f} mm high, {disc.widthMm:.0f} x {disc.depthMm:.0f} mm; target "
        f"{context.depthMm:.0f} mm deep; inclination prior {priorOf(context)}; {plan.candidateCount:,} candidates scored, "
        f"{plan.legalCount:,} legal."
    )
    environment = Environment(autoescape=True)
    steps = [
        {
            "target": step.target.name,
            "needle": f"{step.needleLengthMm:.0f}",
            "depth": f"{step.trajectory.lengthMm:.0f}",
            "inclination": f"{step.trajectory.medialInclinationDeg:.0f}",
            "tilt": f"{step.trajectory.caudalTiltDeg:.0f}",
            "reason": step.reason,
        }
        for step in (session.steps if session is not None else ())
    ]
    warnings = [*extraWarnings, *plan.warnings]
    if session is not None:
        warnings += [f"{name}: {text}" for name, text in session.unplanned.items()]
        warnings += [f"Needles close: {text}" for text in session.conflicts]
    return environment.from_string(_TEMPLATE).render(
        title=title,
        subtitle=subtitle,
        evidence="; ".join(levelEvidence(anatomy, plan.level)),
        reasons=[reason.sentence for reason in plan.infeasible.values()],
        warnings=warnings,
        heading="Best paths" if plan.best else "Nearest to legal",
        structures=present,
        rows=[_row(n, path, present) for n, path in enumerate(paths)],
        needle=f"{parameters.needleLengthMm:.0f}",
        reserve=f"{parameters.hubReserveMm:.0f}",
        causes=(
            f"P(violation): probability that registration error ({parameters.registrationTreMm:.1f} mm RMS until a registration "
            "gives its own), "
            "needle bending and the modelled nerves' uncertainty bring the needle within a hard limit."
        ),
        session=steps,
        pictures=[{"title": picture.title, "data": picture.pngBase64()} for picture in pictures],
        footer="Research software, not a medical device. Confirm the level: count it from the sacrum and from the ribs.",
    )


def _row(n: int, path: Trajectory, structures: Sequence[str]) -> dict[str, object]:
    plane = path.ultrasound
    along = "-" if np.isnan(path.entryDistanceAlongSkinMm) else f"{path.entryDistanceAlongSkinMm:.0f}"
    return {
        "color": "#{:02x}{:02x}{:02x}".format(*PATH_COLORS[n % len(PATH_COLORS)]),
        "name": path.name,
        "side": path.side,
        "inclination": f"{path.medialInclinationDeg:.0f}",
        "tilt": f"{path.caudalTiltDeg:.0f}",
        "entry": f"{path.entryDistanceStraightMm:.0f} / {along}",
        "depth": f"{path.lengthMm:.0f}",
        "clearances": [f"{path.clearancesMm[name]:.1f}" if name in path.clearancesMm else "-" for name in structures],
        "violation": f"{100 * path.violationProbability:.0f} %",
        "score": f"{path.score:.2f}",
        "probe": "-" if plane is None else (f"in plane, {plane.probeSide}" if plane.feasible else "no plane"),
        "limited": path.limitedBy,
    }


def writeReport(path: pathlib.Path, html: str) -> None:
    """Write the page as UTF-8."""
    path.write_text(html, encoding="utf-8")
