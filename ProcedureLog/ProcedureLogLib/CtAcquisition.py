"""Irradiating acquisitions out of CT image headers.

One acquisition is one continuous actuation of the tube. Its images may lie in many series (reconstructions), and one series may hold
many acquisitions (single shots): images are joined by Irradiation Event UID, else by study, Acquisition Number and time.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from .Clock import ClockTime
from .DicomHeader import DicomHeader
from .DicomTime import acquisitionTimeOf
from .DoseReport import AcquisitionKind
from .EnhancedCt import ENHANCED_CLASSES

CT_CLASSES = ("1.2.840.10008.5.1.4.1.1.2", *ENHANCED_CLASSES)
LOCALIZER_WORDS = ("SCOUT", "SCANOSCOPE", "SURVIEW", "TOPO", "CONSTANT_ANGLE", "LOCALIZER")
SPIRAL_WORDS = ("HELICAL", "HELIX", "SPIRAL", "SPI")
SEQUENCED_WORDS = ("AXIAL MODE", "SEQUENCED", "NORMAL_CT", "SEQ", "STEP")
STATIONARY_WORDS = ("STATIONARY", "FLUORO", "CINE", "DYNAMIC")
DEFAULT_SHOT_GAP_SEC = 15.0


@dataclass(frozen=True)
class CtAcquisition:
    """One acquisition as far as images and dose report tell.

    key: irradiation event UID or a name made of study, number and start; an identifier, so hash it before it leaves the case.
    first, last: scanner times of the earliest and latest image; None where the headers give none.
    """

    key: str
    kind: AcquisitionKind
    first: ClockTime | None
    last: ClockTime | None
    imageCount: int
    seriesCount: int
    acquisitionNumber: str
    protocol: str
    studyUid: str
    patientKey: str
    ctdiVolMGy: float | None = None
    dlpMGyCm: float | None = None
    dlpSource: str = ""
    scanLengthMm: float | None = None
    kvp: float | None = None
    fromReport: bool = False
    onlyDerived: bool = False


@dataclass(frozen=True)
class IgnoredImages:
    """Images that make no acquisition, and why."""

    description: str
    imageCount: int
    reason: str


def patientKeyOf(patientId: str, patientName: str, birthDate: str) -> str:
    """What tells patients apart: ID, else name and birth date; '' where all are blank (de-identified images)."""
    if patientId.strip():
        return f"id:{patientId.strip()}"
    name = patientName.strip(" ^")
    return f"name:{name.lower()}:{birthDate.strip()}" if name or birthDate.strip() else ""


def patientOf(header: DicomHeader) -> str:
    return patientKeyOf(header.text("patientId"), header.text("patientName"), header.text("birthDate"))


def isCtImage(header: DicomHeader) -> bool:
    """An image of CT storage; secondary captures, reports and presentation states are not."""
    sopClass = header.sopClassUid
    return sopClass in CT_CLASSES or (not sopClass and header.text("modality") == "CT")


def kindOf(header: DicomHeader) -> AcquisitionKind:
    """Acquisition kind of one image from ImageType, AcquisitionType, ScanOptions and pitch."""
    words = [word.upper() for word in (*header.texts("imageType")[2:], *header.texts("acquisitionType"), *header.texts("scanOptions"))]
    joined = " ".join(words)
    if any(word in joined for word in LOCALIZER_WORDS):
        return AcquisitionKind.LOCALIZER
    if "FREE" in header.texts("acquisitionType"):
        return AcquisitionKind.FREE
    if any(word in joined for word in STATIONARY_WORDS):
        return AcquisitionKind.STATIONARY
    parts = set(joined.replace("_", " ").split())
    if (header.number("pitch") or 0.0) > 0 or any(word in parts for word in SPIRAL_WORDS):
        return AcquisitionKind.SPIRAL
    if any(word in joined for word in SEQUENCED_WORDS):
        return AcquisitionKind.SEQUENCED
    return AcquisitionKind.UNKNOWN


def isDerived(header: DicomHeader) -> bool:
    """Reformats, dose sheets and screen shots: second value of ImageType is SECONDARY."""
    words = header.texts("imageType")
    return len(words) > 1 and words[1].upper() == "SECONDARY"


def groupAcquisitions(
    headers: Iterable[DicomHeader], shotGapSec: float = DEFAULT_SHOT_GAP_SEC
) -> tuple[tuple[CtAcquisition, ...], tuple[IgnoredImages, ...]]:
    """Acquisitions in the order of their start (unknown starts last), and the images that make none.

    shotGapSec: without event UIDs, images of one acquisition number further apart than this are two actuations.
    """
    byEvent: dict[tuple[str, str], list[DicomHeader]] = defaultdict(list)
    byNumber: dict[tuple[str, str, str], list[DicomHeader]] = defaultdict(list)
    ignored: dict[tuple[str, str], int] = defaultdict(int)
    for header in headers:
        if not isCtImage(header):
            ignored[(header.text("seriesDescription") or header.text("modality") or "unnamed", _whyNoImage(header))] += 1
            continue
        events = [uid for uid in header.texts("irradiationEventUid") if uid]
        if events:
            for uid in events:
                byEvent[(patientOf(header), uid)].append(header)
        elif isDerived(header):
            reason = "derived images (reformat, dose sheet or screen shot) without irradiation event"
            ignored[(header.text("seriesDescription") or "unnamed", reason)] += 1
        else:
            number = header.text("acquisitionNumber")
            place = header.text("studyUid") or header.text("frameOfReferenceUid")
            byNumber[(patientOf(header), place, number or f"series {header.text('seriesUid')}")].append(header)
    found = [_acquisition(uid, group) for (_, uid), group in byEvent.items()]
    for (_, place, number), group in byNumber.items():
        for part in _splitByTime(group, shotGapSec):
            start = min((time.isoText() for time in map(acquisitionTimeOf, part) if time is not None), default="")
            digest = hashlib.sha256(f"{place}|{number}|{start}".encode()).hexdigest()[:12]
            found.append(_acquisition(f"{place or 'study'}#{number}@{digest}", part))
    found.sort(key=lambda entry: (entry.first is None, entry.first.face if entry.first else None, entry.acquisitionNumber.zfill(8)))
    return tuple(found), tuple(IgnoredImages(text, count, reason) for (text, reason), count in sorted(ignored.items()))


def _whyNoImage(header: DicomHeader) -> str:
    sopClass = header.sopClassUid
    if sopClass.startswith("1.2.840.10008.5.1.4.1.1.7"):
        return "secondary capture (dose sheet or screen shot)"
    if sopClass.startswith("1.2.840.10008.5.1.4.1.1.88."):
        return "structured report, read as a dose report where it is one"
    return f"no CT image (modality {header.text('modality') or 'unknown'})"


def _splitByTime(group: Sequence[DicomHeader], shotGapSec: float) -> list[list[DicomHeader]]:
    """Split images of one acquisition number where the scanner paused. Reconstructions carry the times of the same scan and stay joined."""
    timed = [(moment, header) for moment, header in ((acquisitionTimeOf(header), header) for header in group) if moment is not None]
    untimed = [header for header in group if acquisitionTimeOf(header) is None]
    timed.sort(key=lambda entry: entry[0].face)
    parts: list[list[DicomHeader]] = []
    last: ClockTime | None = None
    for moment, header in timed:
        if last is None or moment.face - last.face > timedelta(seconds=shotGapSec):
            parts.append([])
        parts[-1].append(header)
        last = moment
    if untimed:
        if parts:
            parts[0] += untimed
        else:
            parts.append(untimed)
    return parts


def _acquisition(key: str, group: Sequence[DicomHeader]) -> CtAcquisition:
    originals = [header for header in group if not isDerived(header)]
    images = originals or list(group)
    times = sorted((time for time in map(acquisitionTimeOf, images) if time is not None), key=lambda time: time.face)
    kinds = [kindOf(header) for header in images]
    kind = max(set(kinds), key=lambda each: (kinds.count(each), each.value))
    if AcquisitionKind.LOCALIZER in kinds and kind is AcquisitionKind.UNKNOWN:
        kind = AcquisitionKind.LOCALIZER
    if kind in (AcquisitionKind.UNKNOWN, AcquisitionKind.SEQUENCED) and _standsStill(images, times):
        kind = AcquisitionKind.STATIONARY
    numbers = [value for value in (header.number("ctdiVol") for header in images) if value is not None]
    ctdi = sum(numbers) / len(numbers) if numbers else None
    length = _coveredMm(images)
    first = images[0]
    dlp = ctdi * length / 10 if ctdi is not None and length is not None and kind is not AcquisitionKind.LOCALIZER else None
    return CtAcquisition(
        key=key,
        kind=kind,
        first=times[0] if times else None,
        last=times[-1] if times else None,
        imageCount=len({header.sopInstanceUid or header.path for header in group}),
        seriesCount=len({header.text("seriesUid") or header.text("seriesDescription") for header in group}),
        acquisitionNumber=first.text("acquisitionNumber"),
        protocol=first.text("protocolName") or first.text("seriesDescription"),
        studyUid=first.text("studyUid"),
        patientKey=patientOf(first),
        ctdiVolMGy=ctdi,
        dlpMGyCm=dlp,
        dlpSource="mean CTDIvol of the images × length they cover (a lower bound: no over-ranging)" if dlp is not None else "",
        scanLengthMm=length,
        kvp=first.number("kvp"),
        onlyDerived=not originals,
    )


def _positions(images: Sequence[DicomHeader]) -> list[float]:
    found = []
    for header in images:
        parts = header.texts("imagePosition")
        text = parts[2] if len(parts) == 3 else header.text("sliceLocation")
        try:
            found.append(round(float(text), 2))
        except ValueError:
            continue
    return found


def _standsStill(images: Sequence[DicomHeader], times: Sequence[ClockTime]) -> bool:
    """The same places imaged again and again: CT fluoroscopy or a dynamic scan."""
    positions = _positions(images)
    if len(positions) < 3 or not times:
        return False
    moments = {time.face for time in times}
    series = {header.text("seriesUid") for header in images}
    return len(set(positions)) * 3 <= len(positions) / max(1, len(series)) and len(moments) >= 3


def _coveredMm(images: Sequence[DicomHeader]) -> float | None:
    """Length the images cover along the table: span of slice positions plus one slice; None without positions."""
    positions = _positions(images)
    if not positions:
        return None
    thickness = images[0].number("sliceThickness") or 0.0
    return max(positions) - min(positions) + thickness


def withDose(acquisition: CtAcquisition, ctdiVolMGy: float | None, dlpMGyCm: float | None, scanLengthMm: float | None) -> CtAcquisition:
    """The acquisition with the figures of a dose report, which replace those computed from images."""
    return replace(
        acquisition,
        ctdiVolMGy=acquisition.ctdiVolMGy if ctdiVolMGy is None else ctdiVolMGy,
        dlpMGyCm=dlpMGyCm,
        dlpSource="dose report" if dlpMGyCm is not None else "",
        scanLengthMm=acquisition.scanLengthMm if scanLengthMm is None else scanLengthMm,
        fromReport=True,
    )
