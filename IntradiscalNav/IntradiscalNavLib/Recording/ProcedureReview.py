"""Everything that can be said about a recorded procedure, computed the same way from a scene, a case folder or a foreign recording."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from IntradiscalNavLib.Recording.NavigationMetrics import NavigationMetrics, PlannedPath, computeNavigationMetrics
from IntradiscalNavLib.Recording.PerkTutorMetrics import PerkTutorMetrics, TissueSurface, computePerkTutorMetrics
from IntradiscalNavLib.Recording.RecordedProcedure import RecordedProcedure
from TranslatedText.Translation import tr as _


@dataclass(frozen=True, eq=False)
class ProcedureReview:
    """``missing`` says in words what could not be had and why; what is None there is not known, never zero."""

    name: str
    durationSec: float
    streams: Mapping[str, int]
    imageCount: int
    invisibleShare: Mapping[str, float]
    """Per streamed transform, share of its samples without a valid pose."""
    registration: Mapping[str, Any] = field(default_factory=dict)
    plan: PlannedPath | None = None
    navigation: NavigationMetrics | None = None
    perkTutor: PerkTutorMetrics | None = None
    lastCt: Mapping[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def toDict(self) -> dict[str, Any]:
        """JSON-ready; not-a-number and infinite values become None."""
        return {
            "name": self.name,
            "durationSec": self.durationSec,
            "streams": dict(self.streams),
            "imageCount": self.imageCount,
            "invisibleShare": dict(self.invisibleShare),
            "registration": _plain(self.registration),
            "plan": None if self.plan is None else dataclasses.asdict(self.plan) | {"lengthMm": self.plan.lengthMm},
            "navigation": _plain(self.navigation),
            "perkTutor": _plain(self.perkTutor),
            "lastCt": _plain(self.lastCt),
            "missing": list(self.missing),
        }

    def row(self) -> dict[str, Any]:
        """One flat row for a table of many procedures."""
        row: dict[str, Any] = {"name": self.name, "durationSec": round(self.durationSec, 3), "imageCount": self.imageCount}
        for key in ("predictedTre95Mm", "freMm"):
            row[key] = self.registration.get(key)
        for source, prefix in ((self.navigation, ""), (self.perkTutor, "perkTutor.")):
            for item in dataclasses.fields(source) if source is not None else ():
                value = getattr(source, item.name)
                if isinstance(value, int | float) and not isinstance(value, bool):
                    row[prefix + item.name] = value
        for name, value in self.lastCt.items():
            if isinstance(value, int | float):
                row[f"lastCt.{name}"] = value
        row["missing"] = "; ".join(self.missing)
        return row


def reviewProcedure(
    name: str,
    recorded: RecordedProcedure,
    *,
    plan: PlannedPath | None = None,
    registration: Mapping[str, Any] | None = None,
    lastCt: Mapping[str, Any] | None = None,
    tool: str = "Needle",
    tissue: TissueSurface | None = None,
) -> ProcedureReview:
    """Measure a recording. Never fails for what is missing; it is named in ``missing``.

    :param plan: where the recording itself doesn't hold it (older scenes, foreign recordings).
    :param tissue: surface of the tissue in RAS, for Perk Tutor's tissue metrics; None leaves them unknown.
    """
    missing: list[str] = [*recorded.remarks]
    path = plan or next(iter(recorded.plans.values()), None)
    if path is None:
        missing.append(_("no plan: entry and target are not known, so the needle can't be compared with them"))
    invisible = {series.name: float(np.mean(~series.valid)) for series in recorded.poses.values() if len(series.valid)}
    navigation: NavigationMetrics | None = None
    perkTutor: PerkTutorMetrics | None = None
    try:
        times, tipToRas, valid = recorded.toolTipToRas(tool)
        if valid.sum() >= 2:
            perkTutor = computePerkTutorMetrics(
                times[valid], tipToRas[valid], tissue, samplingRule=_("valid samples of {tool} at arrival times").format(tool=tool)
            )
        if path is not None:
            outOfPlane, clearances = _guidanceSeries(recorded, times)
            navigation = computeNavigationMetrics(
                times, tipToRas, path, valid=valid, outOfPlaneMm=outOfPlane, phases=recorded.phases, clearancesMm=clearances
            )
    except (LookupError, ValueError) as error:
        missing.append(str(error))
    if not recorded.imageCount:
        missing.append("no ultrasound images")
    if not registration:
        missing.append("no registration quality")
    return ProcedureReview(
        name=name,
        durationSec=recorded.durationSec,
        streams={series.name: len(series.timesSec) for series in recorded.poses.values()},
        imageCount=recorded.imageCount,
        invisibleShare=invisible,
        registration=dict(registration or {}),
        plan=path,
        navigation=navigation,
        perkTutor=perkTutor,
        lastCt=dict(lastCt or {}),
        missing=tuple(missing),
    )


def _guidanceSeries(recorded: RecordedProcedure, times: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any] | None, dict[str, Any]]:
    """Out-of-plane distance and clearances as displayed, held until the next tick, on the needle's time stamps."""
    if not recorded.guidance:
        return None, {}
    ticks = np.array([entry.timeSec for entry in recorded.guidance])
    index = np.searchsorted(ticks, times, side="right") - 1
    fresh = (index >= 0) & (times - ticks[np.clip(index, 0, None)] < 0.5)

    def held(values: list[float]) -> np.ndarray[Any, Any]:
        series = np.array(values)[np.clip(index, 0, None)]
        return np.where(fresh, series, np.nan)

    outOfPlane = [_number(entry.values.get("outOfPlaneMm")) for entry in recorded.guidance]
    names = sorted({name for entry in recorded.guidance for name in entry.values.get("clearancesMm") or ()})
    clearances = {
        name: held([_number((entry.values.get("clearancesMm") or {}).get(name)) for entry in recorded.guidance]) for name in names
    }
    return held(outOfPlane) if any(not math.isnan(value) for value in outOfPlane) else None, clearances


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return value
