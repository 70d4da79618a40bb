"""Everything one target needs to be planned and dragged: anatomy, skin patch, fields, limits and uncertainty, prepared once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import ClearanceField, buildClearanceField
from IntradiscalNavLib.Planning.DiscGeometry import Disc, FacetJoint
from IntradiscalNavLib.Planning.PlanningParameters import LEVEL_PRIORS, PlanningParameters, priorInclinationDeg
from IntradiscalNavLib.Planning.SkinPatch import KeepOutBox, SkinPatch, buildSkinPatch
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes
from IntradiscalNavLib.Planning.ViolationProbability import RegistrationUncertainty
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

CAPSULE_TOLERANCE_MM = 4.0
"""A facet tip counts as at the capsule within this distance of the posterior recess."""


@dataclass(frozen=True)
class PlanContext:
    """Prepared planning of one target from one side.

    ``kind`` is "disc" or "facet". ``tipMatrix`` maps a tip's offset from ``tipCenterRas`` to normalised coordinates: the tip is in its
    target region while their norm is at most 1. ``axes`` are the anatomical axes at the disc.
    """

    anatomy: SpineAnatomy
    kind: str
    level: str
    side: str
    disc: Disc
    facet: FacetJoint | None
    parameters: PlanningParameters
    patch: SkinPatch
    field: ClearanceField
    targets: FloatArray
    tipCenterRas: FloatArray
    tipMatrix: FloatArray
    registration: RegistrationUncertainty
    keepOuts: tuple[KeepOutBox, ...]
    depthMm: float
    priorInclinationDeg: float

    @property
    def axes(self) -> AnatomicalAxes:
        """Anatomical axes at the disc."""
        return self.disc.axes

    @property
    def inclinationWindowDeg(self) -> tuple[float, float]:
        """Legal medial inclination of this kind of target."""
        p = self.parameters
        return (p.minInclinationDeg, p.maxInclinationDeg) if self.kind == "disc" else (p.facetMinInclinationDeg, p.facetMaxInclinationDeg)

    @property
    def tipLimitName(self) -> str:
        """What the tip's hard limit is called."""
        return "tip in nucleus" if self.kind == "disc" else "tip at capsule"

    def withRegistration(self, registration: RegistrationUncertainty) -> PlanContext:
        """Copy with another registration uncertainty: fields stay."""
        return replace(self, registration=registration)


def preparePlan(
    anatomy: SpineAnatomy,
    level: str = "L4-L5",
    side: str = "left",
    parameters: PlanningParameters | None = None,
    *,
    kind: str = "disc",
    keepOuts: Sequence[KeepOutBox] = (),
    registration: RegistrationUncertainty | None = None,
) -> PlanContext:
    """Prepare planning of a disc or a facet joint from one side.

    :raises ValueError: unknown level, side or kind; no skin over the target; target deeper than the needle reaches.
    """
    if side not in ("left", "right"):
        raise ValueError(_("Side must be 'left' or 'right', not '{side}'.").format(side=side))
    if kind not in ("disc", "facet"):
        raise ValueError(_("Kind must be 'disc' or 'facet', not '{kind}'.").format(kind=kind))
    p = parameters or PlanningParameters()
    disc = anatomy.disc(level)
    facet = anatomy.facet(level, side) if kind == "facet" else None
    center = disc.centerRas if facet is None else facet.capsuleTargetRas
    patch = buildSkinPatch(
        anatomy.skin, disc.axes, center, side, p, minDistanceMm=p.minEntryDistanceMm if kind == "disc" else 0.0, keepOuts=keepOuts
    )
    if facet is None:
        targets = disc.nucleusTargets(p.targetsPerAxis, p.targetSpread)
        tipMatrix = disc.discMatrix() / (disc.nucleusSemiAxesMm * p.nucleusShare)[:, None]
        depth = _depth(anatomy, patch, disc.centerRas)
        prior = priorInclinationDeg(level, depth, p)
    else:
        targets = center + np.array([0.0, -2.0, 2.0])[:, None] * disc.axes.superior
        tipMatrix = np.eye(3) / CAPSULE_TOLERANCE_MM
        depth = _depth(anatomy, patch, center)
        prior = p.facetPriorInclinationDeg
    known = patch.points[~np.isnan(patch.points).any(-1)]
    low = np.minimum(known.min(0), targets.min(0))
    high = np.maximum(known.max(0), targets.max(0))
    # Dragging may leave the patch a little; the midline's far side matters for the dura.
    field = buildClearanceField(anatomy, low - 2.0, high + np.array([2.0, 4.0, 2.0]), p, facet)
    uncertainty = registration or RegistrationUncertainty.isotropic(center, p.registrationTreMm)
    return PlanContext(
        anatomy,
        kind,
        level,
        side,
        disc,
        facet,
        p,
        patch,
        field,
        targets,
        np.asarray(center, float),
        tipMatrix,
        uncertainty,
        tuple(keepOuts),
        depth,
        prior,
    )


def _depth(anatomy: SpineAnatomy, patch: SkinPatch, pointRas: FloatArray) -> float:
    """Depth of a point under the skin, straight back in the mid-sagittal direction (median over 40 mm: the groove of the back levels
    out); where the CT does not show the skin there, under the middle of the skin it does show."""
    offsets = np.arange(-20.0, 20.1, 4.0)
    heights = anatomy.skin.heightAt(pointRas[0] + offsets, np.full_like(offsets, pointRas[2]))
    if np.isnan(heights).all():
        heights = patch.points[..., 1]
    return float(pointRas[1] - np.nanmedian(heights))


def priorOf(context: PlanContext) -> str:
    """The inclination prior in words, for reports."""
    if context.kind == "facet":
        return _("{priorInclinationDeg:.0f} deg (wish for facet joints)").format(priorInclinationDeg=context.priorInclinationDeg)
    entry, angle, _unused = LEVEL_PRIORS.get(context.level, LEVEL_PRIORS["L3-L4"])
    typical = entry / np.tan(np.radians(angle))
    return _("{priorInclinationDeg:.0f} deg at {depthMm:.0f} mm depth (published {angle:.0f} deg at {typical:.0f} mm)").format(
        priorInclinationDeg=context.priorInclinationDeg, depthMm=context.depthMm, angle=angle, typical=typical
    )
