"""CT passes of a procedure: which acquisitions count, why, and what they are for.

Sources: Radiation Dose SR where there is one (it lists every irradiation), joined with the image headers (they give the times); else image
headers alone. The counting rule is a setting and is printed beside every number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum
from itertools import pairwise
from pathlib import Path

from TranslatedText.Translation import tr as _

from .Clock import ClockTable, ClockTime
from .CtAcquisition import (
    DEFAULT_SHOT_GAP_SEC,
    CtAcquisition,
    IgnoredImages,
    groupAcquisitions,
    isCtImage,
    patientKeyOf,
    patientOf,
    withDose,
)
from .DicomHeader import DicomHeader
from .DicomTime import parseDateTime, patientAgeAndSex
from .DoseReport import SR_CLASS_PREFIX, AcquisitionKind, DoseReport, NotADoseReport, StudyDose, mergeDoseReports, readDoseReport
from .HeaderScan import Progress, SkippedFile, scanHeaders


class MixedPatients(ValueError):
    """The input holds more than one patient; it is never merged."""


class PassClass(str, Enum):
    PLANNING = "planning"
    NEEDLE_CHECK = "needle check"
    FINAL = "final"
    NONE = "not a pass"


@dataclass(frozen=True)
class CountingRule:
    """What counts as a pass. Kinds in countedKinds count; kinds in separateKinds are given as a second number; localizers never count.

    shotGapSec: see groupAcquisitions. newAdmissionHours: a pause longer than this makes it two admissions, which is refused.
    """

    countedKinds: tuple[AcquisitionKind, ...] = (AcquisitionKind.SPIRAL, AcquisitionKind.SEQUENCED, AcquisitionKind.UNKNOWN)
    separateKinds: tuple[AcquisitionKind, ...] = (AcquisitionKind.STATIONARY, AcquisitionKind.FREE)
    shotGapSec: float = DEFAULT_SHOT_GAP_SEC
    newAdmissionHours: float = 6.0

    def __post_init__(self) -> None:
        both = set(self.countedKinds) & set(self.separateKinds)
        if both:
            raise ValueError(
                _("Counted and counted separately at once: {names}").format(names=", ".join(sorted(kind.value for kind in both)))
            )
        if AcquisitionKind.LOCALIZER in self.countedKinds:
            raise ValueError(_("Localizers are no CT passes; take 'localizer' out of countedKinds"))

    def text(self) -> str:
        counted = ", ".join(kind.value for kind in self.countedKinds if kind is not AcquisitionKind.UNKNOWN)
        text = f"One pass per irradiating acquisition ({counted}), whatever the number of reconstructions"
        if self.separateKinds:
            text += (
                f"; {' and '.join(kind.value for kind in self.separateKinds)} acquisitions (single shots, fluoroscopy) counted separately"
            )
        return text + "; localizers, dose sheets and derived images never."


@dataclass(frozen=True)
class CtPass:
    """One acquisition with the decision about it. number: 1, 2, ... among the counted ones, 0 otherwise."""

    acquisition: CtAcquisition
    counted: bool
    passClass: PassClass
    number: int
    why: str


@dataclass(frozen=True)
class CtPassCount:
    """All acquisitions of one procedure with the decision about each.

    dlpTotalMGyCm includes localizers, as dose reports print it; dlpSource says where it comes from.
    """

    acquisitions: tuple[CtPass, ...]
    rule: CountingRule
    dlpTotalMGyCm: float | None
    dlpSource: str
    patientKey: str
    ageYears: float | None = None
    sex: str = ""
    ignored: tuple[IgnoredImages, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passes(self) -> tuple[CtPass, ...]:
        return tuple(entry for entry in self.acquisitions if entry.counted)

    @property
    def passCount(self) -> int:
        return len(self.passes)

    @property
    def separateCount(self) -> int:
        """Acquisitions counted separately by the rule (single shots, fluoroscopy)."""
        return sum(1 for entry in self.acquisitions if entry.acquisition.kind in self.rule.separateKinds)

    @property
    def localizerCount(self) -> int:
        return sum(1 for entry in self.acquisitions if entry.acquisition.kind is AcquisitionKind.LOCALIZER)

    def firstImage(self) -> ClockTime | None:
        """Start of the first counted pass with a time."""
        times = [entry.acquisition.first for entry in self.passes if entry.acquisition.first is not None]
        return min(times, key=lambda time: time.face) if times else None

    def lastImage(self) -> ClockTime | None:
        """Time of the last image of the last counted pass with a time."""
        times = [time for time in (entry.acquisition.last or entry.acquisition.first for entry in self.passes) if time is not None]
        return max(times, key=lambda time: time.face) if times else None


def countCtPasses(
    place: str | Path | Iterable[str | Path],
    rule: CountingRule | None = None,
    *,
    lastInjection: ClockTime | None = None,
    clocks: ClockTable | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CtPassCount:
    """Count the passes in a folder or in files: CT images and dose reports of one patient and one admission.

    lastInjection: where known, only a pass after it is 'final'. Raises MixedPatients, and ValueError when nothing was found.
    """
    scan = scanHeaders(place, workers, progress)
    reports: list[DoseReport] = []
    skipped = list(scan.skipped)
    warnings: list[str] = []
    for header in scan.headers:
        if header.sopClassUid.startswith(SR_CLASS_PREFIX):
            try:
                reports.append(readDoseReport(header.path))
            except NotADoseReport as error:
                skipped.append(SkippedFile(header.path, str(error)))
            except ValueError as error:
                skipped.append(SkippedFile(header.path, str(error)))
                warnings.append("a structured report can't be read and was passed over; see the skipped files")
    if not scan.headers:
        names = "; ".join(f"{Path(entry.path).name}: {entry.reason}" for entry in skipped[:3])
        places = [place] if isinstance(place, (str, Path)) else list(place)
        where = ", ".join(str(each) for each in places[:3]) + (", ..." if len(places) > 3 else "")
        raise ValueError(
            _("No DICOM file was found in {where}").format(where=where)
            + (_(" ({count} other files: {names})").format(count=len(skipped), names=names) if skipped else _(" (it is empty)"))
        )
    count = countFrom(scan.headers, reports, rule, lastInjection=lastInjection, clocks=clocks)
    return replace(count, skipped=tuple(skipped), warnings=(*warnings, *count.warnings))


def countFrom(
    headers: Iterable[DicomHeader],
    reports: Iterable[DoseReport] = (),
    rule: CountingRule | None = None,
    *,
    lastInjection: ClockTime | None = None,
    clocks: ClockTable | None = None,
) -> CtPassCount:
    """Count from headers and reports already read (network, Slicer's database).

    Raises MixedPatients when they name more than one patient or admission, ValueError when there is neither image nor report.
    """
    rule = rule or CountingRule()
    images = list(headers)
    reportList = list(reports)
    patientKey = _onePatient(images, reportList)
    acquisitions, ignored = groupAcquisitions(images, rule.shotGapSec)
    doses = mergeDoseReports(reportList)
    if not acquisitions and not any(dose.events for dose in doses):
        reasons = "; ".join(f"{entry.imageCount} × {entry.reason}" for entry in ignored) or _("nothing was given")
        raise ValueError(_("Neither a CT image nor a CT dose report was found ({reasons})").format(reasons=reasons))
    warnings: list[str] = []
    joined = _borrowTimes(_joinReports(acquisitions, doses, warnings), doses, rule, warnings)
    _oneAdmission(joined, rule)
    decided = _decide(joined, rule, lastInjection, clocks or ClockTable())
    total, source = _totalDlp(joined, doses, warnings)
    untimed = sum(1 for entry in joined if entry.first is None)
    if untimed:
        warnings.append(f"{untimed} of {len(joined)} acquisitions have no time of their own (no images, and the report gives none)")
    age, sex = patientAgeAndSex(images)
    return CtPassCount(decided, rule, total, source, patientKey, age, sex, ignored, (), tuple(warnings))


def classifyAgain(count: CtPassCount, lastInjection: ClockTime | None, clocks: ClockTable | None = None) -> CtPassCount:
    """The same count with its classes decided anew, now that the time of the last injection is known."""
    acquisitions = [entry.acquisition for entry in count.acquisitions]
    return replace(count, acquisitions=_decide(acquisitions, count.rule, lastInjection, clocks or ClockTable()))


def _borrowTimes(
    acquisitions: list[CtAcquisition], doses: Sequence[StudyDose], rule: CountingRule, warnings: list[str]
) -> list[CtAcquisition]:
    """Where a single study's report gives no time per irradiation and there are no images: its start and end of irradiation."""
    counted = [entry for entry in acquisitions if entry.kind in rule.countedKinds]
    if len(doses) != 1 or not counted or any(entry.first is not None for entry in acquisitions):
        return acquisitions
    start, end = parseDateTime(doses[0].latest.startText), parseDateTime(doses[0].latest.endText)
    if start is None or end is None or end.face < start.face:
        return acquisitions
    warnings.append("times of the first and last pass are start and end of irradiation of the dose report (localizers included)")
    times: dict[str, tuple[ClockTime, ClockTime | None]] = {counted[0].key: (start, end if len(counted) == 1 else None)}
    if len(counted) > 1:
        times[counted[-1].key] = (end, end)
    return [replace(entry, first=times[entry.key][0], last=times[entry.key][1]) if entry.key in times else entry for entry in acquisitions]


def splitByPatient(
    headers: Iterable[DicomHeader], reports: Iterable[DoseReport] = ()
) -> dict[str, tuple[list[DicomHeader], list[DoseReport]]]:
    """Headers and reports of each patient apart; the key is what tells the patients apart."""
    split: dict[str, tuple[list[DicomHeader], list[DoseReport]]] = {}
    for header in headers:
        split.setdefault(patientOf(header), ([], []))[0].append(header)
    for report in reports:
        split.setdefault(patientKeyOf(report.patientId, report.patientName, report.birthDate), ([], []))[1].append(report)
    return split


def _onePatient(images: Sequence[DicomHeader], reports: Sequence[DoseReport]) -> str:
    imageKeys = {patientOf(header) for header in images if isCtImage(header)}
    if len(imageKeys) > 1:
        raise MixedPatients(
            _("The images are of {count} patients; split them by patient (splitByPatient) and count each alone").format(
                count=len(imageKeys)
            )
        )
    reportKeys = {patientKeyOf(report.patientId, report.patientName, report.birthDate) for report in reports}
    if len(reportKeys) > 1:
        raise MixedPatients(
            _("The dose reports are of {count} patients; split them by patient and count each alone").format(count=len(reportKeys))
        )
    if imageKeys and reportKeys and imageKeys != reportKeys:
        studies = {header.text("studyUid") for header in images if isCtImage(header)} - {""}
        if "" in imageKeys | reportKeys and studies and all(report.studyUid in studies for report in reports):
            return next(iter((imageKeys | reportKeys) - {""}))
        raise MixedPatients(
            _("The dose report is of another patient than the images (or that can't be told); it isn't used. Take it out to count")
        )
    return next(iter(imageKeys or reportKeys or {""}))


def _joinReports(acquisitions: Sequence[CtAcquisition], doses: Sequence[StudyDose], warnings: list[str]) -> list[CtAcquisition]:
    """Acquisitions of reports and images joined by irradiation event UID, or in order where the images carry none."""
    byKey = {entry.key: entry for entry in acquisitions}
    taken: set[str] = set()
    joined: list[CtAcquisition] = []
    for dose in doses:
        studyImages = [entry for entry in acquisitions if entry.studyUid == dose.studyUid or entry.key in {e.eventUid for e in dose.events}]
        pairs = {event.eventUid: byKey[event.eventUid] for event in dose.events if event.eventUid in byKey}
        loose = [entry for entry in studyImages if entry.key not in pairs and "#" in entry.key]
        if loose:
            pairs |= _pairInOrder(dose, loose, warnings)
            taken |= {entry.key for entry in loose}
        taken |= set(pairs)
        single = len(dose.events) == 1
        for event in dose.events:
            image = pairs.get(event.eventUid)
            start = parseDateTime(event.startText) or (parseDateTime(dose.latest.startText) if single else None)
            if image is None:
                patient = patientKeyOf(dose.latest.patientId, dose.latest.patientName, dose.latest.birthDate)
                image = CtAcquisition(
                    event.eventUid,
                    event.kind,
                    start,
                    None,
                    0,
                    0,
                    "",
                    event.protocol,
                    dose.studyUid,
                    patient,
                    scanLengthMm=event.scanLengthMm,
                )
            kind = image.kind if event.kind is AcquisitionKind.UNKNOWN else event.kind
            image = replace(image, kind=kind, protocol=event.protocol or image.protocol, first=image.first or start)
            joined.append(withDose(image, event.ctdiVolMGy, event.dlpMGyCm, event.scanLengthMm))
        warnings += dose.warnings
        if dose.reportCount > 1:
            warnings.append(f"{dose.reportCount} dose reports of one study: each irradiation event was taken once")
    extra = [entry for entry in acquisitions if entry.key not in taken]
    if extra and doses:
        warnings.append(f"{len(extra)} acquisition(s) seen in the images are not in a dose report (sent before they were made?)")
    joined += extra
    order = {entry.key: position for position, entry in enumerate(joined)}
    if all(entry.first is not None for entry in joined):
        joined.sort(key=lambda entry: (entry.first.face if entry.first else None, order[entry.key]))
    return joined


def _pairInOrder(dose: StudyDose, loose: Sequence[CtAcquisition], warnings: list[str]) -> dict[str, CtAcquisition]:
    """Images without event UID: paired with the report's irradiations in order when the kinds agree one by one, else not at all."""
    kinds = (AcquisitionKind.LOCALIZER,)
    events = [event for event in dose.events if event.kind not in kinds]
    shots = [entry for entry in loose if entry.kind not in kinds]
    agree = all(a.kind is b.kind or AcquisitionKind.UNKNOWN in (a.kind, b.kind) for a, b in zip(events, shots))
    if len(events) == len(shots) and agree:
        warnings.append("the images carry no irradiation event UID: they were joined with the dose report in order")
        return {event.eventUid: entry for event, entry in zip(events, shots)}
    warnings.append(
        f"{len(shots)} acquisition(s) of images without irradiation event UID can't be joined with the {len(events)} of the dose report; "
        "the report alone is counted"
    )
    return {}


def _oneAdmission(acquisitions: Sequence[CtAcquisition], rule: CountingRule) -> None:
    times = sorted(entry.first.face for entry in acquisitions if entry.first is not None)
    for earlier, later in pairwise(times):
        if later - earlier > timedelta(hours=rule.newAdmissionHours):
            hours = (later - earlier).total_seconds() / 3600
            raise MixedPatients(
                _(
                    "Between two acquisitions lie {hours:.0f} hours: two admissions. Give the files of one, or raise newAdmissionHours"
                ).format(hours=hours)
            )


def _decide(
    acquisitions: Sequence[CtAcquisition], rule: CountingRule, lastInjection: ClockTime | None, clocks: ClockTable
) -> tuple[CtPass, ...]:
    counted = [entry for entry in acquisitions if entry.kind in rule.countedKinds]
    decided: list[CtPass] = []
    for entry in acquisitions:
        if entry.kind in rule.countedKinds:
            number = next(position for position, other in enumerate(counted, 1) if other is entry)
            passClass, why = _classOf(number, len(counted), entry, lastInjection, clocks)
            what = entry.kind.value if entry.kind is not AcquisitionKind.UNKNOWN else "irradiating (kind not stated)"
            source = "dose report" if entry.fromReport else "image headers"
            once = f", {entry.seriesCount} reconstructions counted once" if entry.seriesCount > 1 else ""
            why = f"counted: {what} acquisition by {source}{once}; {why}"
            if entry.onlyDerived:
                why += "; only derived images of it were sent"
            decided.append(CtPass(entry, True, passClass, number, why))
        elif entry.kind is AcquisitionKind.LOCALIZER:
            decided.append(CtPass(entry, False, PassClass.NONE, 0, "not counted: localizer"))
        elif entry.kind in rule.separateKinds:
            decided.append(
                CtPass(entry, False, PassClass.NEEDLE_CHECK, 0, f"{entry.kind.value} acquisition: counted separately by the rule")
            )
        else:
            decided.append(CtPass(entry, False, PassClass.NONE, 0, f"not counted: the rule leaves out {entry.kind.value} acquisitions"))
    return tuple(decided)


def _classOf(number: int, total: int, entry: CtAcquisition, lastInjection: ClockTime | None, clocks: ClockTable) -> tuple[PassClass, str]:
    if number == 1:
        return PassClass.PLANNING, "planning: the first"
    if number < total:
        return PassClass.NEEDLE_CHECK, "needle check: between first and last"
    if lastInjection is None or entry.first is None:
        return PassClass.FINAL, "final: the last (no injection time to compare with)"
    after = clocks.duration(lastInjection, entry.first)
    if after.seconds is not None:
        return PassClass.FINAL, "final: the last, after the last injection"
    if "not known" in after.note:
        return PassClass.FINAL, "final: the last (clocks of scanner and workstation not aligned, order of the injection unknown)"
    return PassClass.NEEDLE_CHECK, "needle check: the last, but before the last injection"


def _totalDlp(joined: Sequence[CtAcquisition], doses: Sequence[StudyDose], warnings: list[str]) -> tuple[float | None, str]:
    extra = [entry.dlpMGyCm for entry in joined if not entry.fromReport and entry.kind is not AcquisitionKind.LOCALIZER]
    extraSum = sum(value for value in extra if value is not None)
    if doses:
        total = sum(dose.dlpTotalMGyCm or 0.0 for dose in doses)
        if not extra:
            return total, "total printed in the dose report (localizers included)"
        return total + extraSum, "total of the dose report + CTDIvol × length of acquisitions it doesn't list"
    if any(value is None for value in extra):
        warnings.append("some acquisitions give no CTDIvol or no slice positions: the DLP total is incomplete")
    if not any(value is not None for value in extra):
        return None, "no dose report and no CTDIvol in the images"
    return extraSum, "sum of mean CTDIvol × length covered by the images (a lower bound: no over-ranging, no localizers)"
