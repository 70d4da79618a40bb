"""Every limit, margin and weight of a plan, with its unit and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from TranslatedText.Translation import tr as _


def _parameter(default: Any, unit: str, source: str, meaning: str) -> Any:
    return field(default=default, metadata={"unit": unit, "source": source, "meaning": meaning})


_ASSUMED = "assumption of this program; adapt to the operator"

LEVEL_PRIORS = {
    # level: (entry distance from the midline mm, medial inclination deg, caudal tilt deg)
    "L3-L4": (64.0, 40.0, -3.0),
    "L4-L5": (77.0, 47.0, 10.0),
    "L5-S1": (85.0, 52.0, 27.0),
}
"""Published entries to the disc centre (102 MRIs, Rajagopal); upper levels take L3-L4's."""


@dataclass(frozen=True)
class PlanningParameters:
    """Limits, margins, weights and search sizes. Each field's metadata holds unit, source and meaning (``describe``)."""

    # Anatomical margins (hard)
    boneMarginMm: float = _parameter(0.5, "mm", "half of a 22 G needle (0.36 mm) and rounding", "distance of the path from bone")
    rootMarginMm: float = _parameter(
        3.0, "mm", "exiting root: at least 3-4 mm inside a triangle of 4-6 mm inscribed radius (Pairaiturkar 2019)", "from roots"
    )
    duraMarginMm: float = _parameter(4.0, "mm", "literature review: dura at least 4 mm", "distance from the dural sac")
    vesselMarginMm: float = _parameter(5.0, "mm", "literature review: vessel 5 mm", "distance from great vessels")
    bowelMarginMm: float = _parameter(
        5.0, "mm", "literature review: bowel 5 mm; bowel within 40 mm of ten discs in 88 patients", "distance from bowel"
    )
    kidneyMarginMm: float = _parameter(5.0, "mm", _ASSUMED, "distance from kidneys")
    organMarginMm: float = _parameter(5.0, "mm", _ASSUMED, "distance from liver, spleen, lung and other organs")
    # Needle and window (hard)
    needleLengthMm: float = _parameter(150.0, "mm", "Albano 2023: 22 G spinal needle, 15 cm", "needle length")
    hubReserveMm: float = _parameter(15.0, "mm", "keeps the hub and its sensor clear of the skin", "needle length that stays outside")
    minInclinationDeg: float = _parameter(25.0, "deg", "literature review: window 25-75 deg", "least medial inclination of a disc path")
    maxInclinationDeg: float = _parameter(
        75.0, "deg", "organs start at 79-86 deg (Tezuka 2017); hard limit 75 deg", "largest medial inclination"
    )
    maxTiltDeg: float = _parameter(50.0, "deg", _ASSUMED, "largest tilt out of the axial plane, either way")
    nucleusShare: float = _parameter(1.0, "share", "tip inside the nucleus", "share of the nucleus' semi-axes a target may lie at")
    maxSkinSlopeDeg: float = _parameter(
        70.0, "deg", "steeper skin faces the table or the arm support", "skin normal against straight posterior"
    )
    keepOutMarginMm: float = _parameter(8.0, "mm", "room for the hub and two fingers", "distance of entry and shaft from the marker plate")
    minEntryDistanceMm: float = _parameter(15.0, "mm", _ASSUMED, "entry's least distance from the midline for a disc")
    # Facet joints (hard)
    facetContactRadiusMm: float = _parameter(
        9.0, "mm", "size of a lumbar facet joint, 15-18 mm across", "around the target its own processes may be touched"
    )
    facetContactDepthMm: float = _parameter(
        2.0, "mm", "label maps end within a voxel or two of the capsule", "how far a touching path may enter their labels"
    )
    facetMinInclinationDeg: float = _parameter(-10.0, "deg", _ASSUMED, "least medial inclination of a facet path")
    facetMaxInclinationDeg: float = _parameter(60.0, "deg", _ASSUMED, "largest medial inclination of a facet path")
    facetPriorInclinationDeg: float = _parameter(20.0, "deg", _ASSUMED, "wished inclination of a facet path")
    # Wishes (soft): weights
    weightCenter: float = _parameter(1.0, "weight", _ASSUMED, "target near the disc's centre")
    weightClearance: float = _parameter(2.0, "weight", _ASSUMED, "room beyond the margins")
    weightInclination: float = _parameter(1.5, "weight", _ASSUMED, "inclination near the depth-scaled prior")
    weightLength: float = _parameter(0.7, "weight", _ASSUMED, "short path")
    weightHerniaSide: float = _parameter(
        0.5, "weight", "Albano 2023: target is the herniated disc's centre", "approach and target on the hernia's side"
    )
    weightIlium: float = _parameter(0.5, "weight", _ASSUMED, "distance from the iliac crest")
    weightTilt: float = _parameter(
        1.0, "weight", "the CT check shows the whole needle in one axial slice", "little tilt out of the axial plane"
    )
    weightUltrasound: float = _parameter(
        1.0, "weight", "Albano 2023: in-plane ultrasound", "a probe plane holds the whole path, with free skin"
    )
    weightRobustness: float = _parameter(3.0, "weight", _ASSUMED, "low probability of violating a hard limit")
    # Wishes: scales
    clearanceWishMm: float = _parameter(4.0, "mm", _ASSUMED, "room beyond the margins that satisfies fully")
    inclinationSigmaDeg: float = _parameter(8.0, "deg", _ASSUMED, "tolerance about the inclination prior")
    tiltSigmaDeg: float = _parameter(
        15.0, "deg", "CT gantry tilts and oblique reformats of 15 deg are routine", "tolerance about the axial plane"
    )
    iliumWishMm: float = _parameter(15.0, "mm", _ASSUMED, "distance from the crest that satisfies fully")
    depthExponent: float = _parameter(
        0.5,
        "-",
        "between a fixed entry distance (0) and a fixed angle (1; entry = depth, Yeung & Tsou)",
        "how the prior entry distance grows with disc depth",
    )
    herniaSide: str = _parameter("", "left, right or empty", "the patient's imaging", "side of the hernia")
    # Ultrasound probe
    probeFootprintMm: float = _parameter(60.0, "mm", "convex abdominal probe", "length of the probe face")
    probeWidthMm: float = _parameter(16.0, "mm", "convex abdominal probe", "width of the probe face")
    probeGapMm: float = _parameter(8.0, "mm", _ASSUMED, "free skin between entry and probe")
    probeMaxTiltDeg: float = _parameter(35.0, "deg", _ASSUMED, "largest tilt of the probe plane against the skin normal")
    probeCouplingMm: float = _parameter(6.0, "mm", "gel and pressure bridge this much", "largest gap between skin and probe face")
    # Uncertainty
    registrationTreMm: float = _parameter(
        1.5,
        "mm",
        "predicted TRE of a 6-ball plate, FLE 1 mm, at 90-120 mm depth: 1.2-1.6 mm RMS",
        "until a registration gives its covariance",
    )
    needleBendMm: float = _parameter(
        8.89, "mm", "22 G Quincke, 80 mm of gel: 8.89 +- 0.17 mm (Rand 2016)", "free lateral deflection at the reference depth"
    )
    needleBendDepthMm: float = _parameter(80.0, "mm", "Rand 2016", "depth of that deflection; it grows with depth squared")
    needleBendResidual: float = _parameter(
        0.08,
        "share",
        "assumption: steered under ultrasound; with 1.5 mm TRE 2.8 mm RMS at 125 mm, as navigated CT (Appelbaum 2011: 2.6 mm)",
        "share of the free deflection that remains",
    )
    violationDraws: int = _parameter(96, "draws", _ASSUMED, "samples of registration and bending per path")
    maxViolation: float = _parameter(0.5, "probability", _ASSUMED, "what the probability exceeds this by counts against the score")
    # Search
    minEntries: int = _parameter(20000, "entries", "full skin grid", "least number of skin entries")
    targetsPerAxis: int = _parameter(3, "targets", "27 targets in the nucleus", "targets per axis of the nucleus")
    targetSpread: float = _parameter(0.5, "share", _ASSUMED, "outermost targets, as share of the nucleus' semi-axes")
    recheckCount: int = _parameter(1000, "paths", "flips of 0.3-0.4 % on a 1 mm grid", "best paths re-checked at full resolution")
    recheckStepMm: float = _parameter(0.25, "mm", "measured: removes the flips", "sampling of the re-check")
    offeredCount: int = _parameter(6, "paths", _ASSUMED, "paths offered")
    minEntrySeparationMm: float = _parameter(12.0, "mm", _ASSUMED, "offered paths differ by this at the skin …")
    minAngleSeparationDeg: float = _parameter(6.0, "deg", _ASSUMED, "… or by this in direction")

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, (int, float)) and not np.isfinite(value):
                raise ValueError(_("Parameter {itemName} is not finite.").format(itemName=item.name))
        if self.hubReserveMm < 0 or self.needleLengthMm <= self.hubReserveMm:
            raise ValueError(
                _("needleLengthMm {needleLengthMm} must exceed hubReserveMm {hubReserveMm}.").format(
                    needleLengthMm=self.needleLengthMm, hubReserveMm=self.hubReserveMm
                )
            )
        if self.minInclinationDeg >= self.maxInclinationDeg:
            raise ValueError(_("minInclinationDeg must be below maxInclinationDeg."))
        if self.herniaSide not in ("", "left", "right"):
            raise ValueError(_("herniaSide must be 'left', 'right' or empty, not '{herniaSide}'.").format(herniaSide=self.herniaSide))
        if self.targetsPerAxis < 1 or self.minEntries < 1 or self.violationDraws < 1:
            raise ValueError(_("targetsPerAxis, minEntries and violationDraws must be at least 1."))

    @property
    def maxLengthMm(self) -> float:
        """Longest path the needle reaches."""
        return self.needleLengthMm - self.hubReserveMm

    def marginMm(self, structure: str) -> float:
        """Hard margin of a structure ("bone", "root", "dura", "vessel", "bowel", "kidney", "organ")."""
        return float(getattr(self, f"{structure}MarginMm"))

    @staticmethod
    def describe() -> list[dict[str, Any]]:
        """One row per parameter: name, default, unit, source, meaning. For tables and panels."""
        return [{"name": item.name, "default": item.default, **item.metadata} for item in fields(PlanningParameters)]

    def toDict(self) -> dict[str, Any]:
        """Values by name, for JSON and the scene."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @staticmethod
    def fromDict(values: Mapping[str, Any]) -> PlanningParameters:
        """Parameters from ``toDict``; missing ones take their default.

        :raises ValueError: naming unknown parameters.
        """
        known = {item.name: item for item in fields(PlanningParameters)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise ValueError(_("Unknown planning parameters: {names}.").format(names=", ".join(unknown)))
        defaults: dict[str, Any] = {name: item.default for name, item in known.items()}
        return PlanningParameters(**{name: type(defaults[name])(value) for name, value in values.items()})


def priorInclinationDeg(level: str, depthMm: float, parameters: PlanningParameters) -> float:
    """Inclination prior of a level for a disc at ``depthMm`` under the skin.

    The published pair (entry distance x0, angle a0) holds at depth x0 / tan(a0). For another depth the entry distance is scaled by the
    depth ratio to the power ``depthExponent`` and the angle follows: deeper discs are approached more steeply.
    """
    entry, angle, _unused = LEVEL_PRIORS.get(level, LEVEL_PRIORS["L3-L4"])
    typicalDepth = entry / np.tan(np.radians(angle))
    scaled = entry * (max(depthMm, 1.0) / typicalDepth) ** parameters.depthExponent
    return float(np.degrees(np.arctan2(scaled, max(depthMm, 1.0))))
