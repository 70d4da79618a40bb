"""The verdict on a registration in plain words, the same in panel, command line and report: first the error at the disc, then the rest."""

from __future__ import annotations

import dataclasses
import enum

from FusionRegistrationLib.PointSetGeometry import nameList
from FusionRegistrationLib.RigidFit import RigidFit
from TranslatedText.Translation import tr as _

DEFAULT_LIMIT_MM = 2.0
"""Largest acceptable 95 % error at the target. 2 mm is the limit of the expert report on spine navigation quoted by Yan (IJCARS 2012) and
Gueziri (IJCARS 2019); for injections 3.5 mm is quoted (Khallaghi 2010, Hacihaliloglu 2013)."""

LIMIT_SOURCE = _(
    "2 mm: expert limit for spine navigation (quoted in Yan 2012, Gueziri 2019); 3.5 mm is quoted for injections (Khallaghi 2010)"
)


class VerdictLevel(enum.Enum):
    """How far a registration may be trusted."""

    GOOD = "good"
    CAUTION = "caution"
    POOR = "poor"
    UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class RegistrationVerdict:
    """Verdict: ``headline`` is one sentence to show large; ``details`` follow in order of weight; ``limitMm`` was the pass line."""

    level: VerdictLevel
    headline: str
    details: tuple[str, ...]
    limitMm: float

    @property
    def text(self) -> str:
        """All sentences."""
        return " ".join((self.headline, *self.details))


def judgeRegistration(
    fit: RigidFit, *, limitMm: float = DEFAULT_LIMIT_MM, doubtReasons: tuple[str, ...] = (), patientTracked: bool = True
) -> RegistrationVerdict:
    """Put a fit in words.

    :param limitMm: largest acceptable 95 % error at the targets; its default and source are `DEFAULT_LIMIT_MM`.
    :param doubtReasons: why the registration is doubtful now, from `RegistrationDoubt`.
    :param patientTracked: False where no sensor is on the patient: Reference is then the tracker.
    """
    details: list[str] = []
    level = VerdictLevel.UNKNOWN
    if fit.predictedTre:
        worstName, worst = max(fit.predictedTre.items(), key=lambda item: item[1].p95Mm)
        level = VerdictLevel.GOOD if worst.p95Mm <= limitMm else VerdictLevel.CAUTION if worst.rmsMm <= limitMm else VerdictLevel.POOR
        headline = _("Expected error at {worstName}: {rmsMm:.1f} mm, below {p95Mm:.1f} mm in 95 % of cases ({comparison}).").format(
            worstName=worstName, rmsMm=worst.rmsMm, p95Mm=worst.p95Mm, comparison=_comparison(worst.rmsMm, worst.p95Mm, limitMm)
        )
        others = [
            f"{name} {error.rmsMm:.1f} mm (95 %: {error.p95Mm:.1f} mm)" for name, error in fit.predictedTre.items() if name != worstName
        ]
        if others:
            details.append(_("At the other targets: {nameList}.").format(nameList=nameList(others)))
    else:
        headline = _("No target was given, so the error where the needle goes is not known: choose a disc.")
    count = int(fit.used.sum())
    details.append(
        _(
            "The {count} points agree within {freMm:.2f} mm (FRE); that is how well they fit together, not how accurate the "
            "registration is."
        ).format(count=count, freMm=fit.freMm)
    )
    details.append(_("One point is located with an error of about {fleMm:.2f} mm.").format(fleMm=fit.fleMm))
    if fit.outliers:
        level = _atLeast(level, VerdictLevel.CAUTION)
    if count <= 3:
        level = _atLeast(level, VerdictLevel.CAUTION)
    details.extend(fit.warnings)
    if doubtReasons:
        level = VerdictLevel.POOR
        headline = _("The registration is doubtful: {doubtReasons} ").format(doubtReasons=doubtReasons[0]) + headline
        details.extend(doubtReasons[1:])
    if not patientTracked:
        level = _atLeast(level, VerdictLevel.CAUTION)
        details.append(
            _("The patient is not tracked: any movement of the patient or table since registration adds to the error unnoticed.")
        )
    return RegistrationVerdict(level, headline, tuple(details), limitMm)


def _comparison(rmsMm: float, p95Mm: float, limitMm: float) -> str:
    if p95Mm <= limitMm:
        return _("within the limit of {limitMm:g} mm").format(limitMm=limitMm)
    if rmsMm <= limitMm:
        return _("the limit of {limitMm:g} mm may be exceeded").format(limitMm=limitMm)
    return _("above the limit of {limitMm:g} mm").format(limitMm=limitMm)


def _atLeast(level: VerdictLevel, floor: VerdictLevel) -> VerdictLevel:
    order = [VerdictLevel.GOOD, VerdictLevel.UNKNOWN, VerdictLevel.CAUTION, VerdictLevel.POOR]
    return max(level, floor, key=order.index)
