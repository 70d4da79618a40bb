"""Radiopaque skin markers (balls or rings of 3-8 mm) found in a CT by themselves, with sub-voxel centres."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.MarkerCandidates import Candidate, findCandidates
from FusionRegistrationLib.MarkerRefinement import MAX_CONTACT_MM2, MarkerShape, measureCandidates
from FusionRegistrationLib.RigidTransform import FloatArray
from FusionRegistrationLib.SkinBand import SURFACE_HU, OrientedVolume, denseVoxelsNearSurface, orientVolume
from FusionRegistrationLib.SkinBumps import findBumps
from TranslatedText.Translation import tr as _

STREAK_REACH_MM = 20.0
"""Within this distance of metal a spot of less than half its density is taken for a streak."""

MAX_DRIFT_MM = 1.0
"""A centre measured farther than this outside the spot that was found belongs to something else: a streak leads to the metal beside it."""

FAINT_HU = 700.0
"""Markers below this density may have fellows that blur hides: then the surface is searched for bumps as well."""
MIN_FAINT_HU = 235.0
"""Least density, from mass and size, of a bump that counts as a marker; skin, gel and tape have -100 to 100 HU."""

MAX_RING_FLATNESS = 0.5
MIN_BALL_FLATNESS = 0.72
MIN_FAINT_RING_HU = 115.0
"""What tells faint rings and balls from warts, gel and folds of skin (0-70 HU, flat)."""
SKIN_HU = 70.0
PEAK_NOISE_SDS = 4.0
"""Of a hundred warts (dense skin, up to 200 voxels each) one has a voxel this many standard deviations of the noise above its density."""
MIN_PROTRUSION_MM = 0.5
"""A marker stuck on the skin stands out of it at least this far; one that doesn't may as well be a calcification in the skin."""
MAX_FAINT_SPACING_MM = 2.6
"""Coarser voxels don't show the shape of a bump."""
MIN_PEAK_HU = 165.0
"""Least voxel value in something found by density: plastic plates and contrast-soaked skin stay below."""
MIN_THICKNESS_MM = 0.9
MAX_UNCERTAINTY_MM = 0.4
"""Larger expected errors of the centre mean that it is no well-defined object."""


@dataclasses.dataclass(frozen=True)
class MarkerParameters:
    """What counts as a marker.

    :ivar minDiameterMm: smallest and ``maxDiameterMm`` largest outer diameter.
    :ivar minHu: least density ever taken for a marker; raised where the image is noisy, at most to ``maxThresholdHu``.
    :ivar outwardRas: direction away from the body at the markers; posterior for treatment of the back.
    :ivar maxDepthMm: how deep under the outer surface a marker's centre may lie (in a plate, pressed into the skin).
    :ivar maxHeightMm: how far above the surrounding surface it may stand.
    :ivar faintMarkers: where few or only faint markers were found by density, look for small bumps of the skin's surface too.
    """

    minDiameterMm: float = 3.0
    maxDiameterMm: float = 8.0
    minHu: float = 120.0
    maxThresholdHu: float = 200.0
    outwardRas: tuple[float, float, float] = (0.0, -1.0, 0.0)
    maxDepthMm: float = 3.0
    maxHeightMm: float = 15.0
    faintMarkers: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class DetectedMarker:
    """One marker.

    :ivar centerRas: (3,) mm.
    :ivar diameterMm: outer diameter; metal looks larger than it is.
    :ivar kind: "ball" or "ring".
    :ivar uncertaintyMm: expected error of the centre (one standard deviation).
    :ivar spansTwoVoxels: False where it is thinner than two voxels in some direction: its centre is then less certain.
    :ivar doubt: why this might be no marker though it measures like one, as the end of a sentence; empty for a sure marker.
    """

    centerRas: FloatArray
    diameterMm: float
    kind: str
    peakHu: float
    densityHu: float
    depthMm: float
    uncertaintyMm: float
    spansTwoVoxels: bool
    doubt: str = ""


@dataclasses.dataclass(frozen=True, eq=False)
class MarkerDetection:
    """All markers of a volume, ordered from head to foot, and plain sentences about what may have been lost."""

    markers: tuple[DetectedMarker, ...]
    warnings: tuple[str, ...]
    candidateCount: int = 0
    thresholdHu: float = 0.0

    @property
    def centersRas(self) -> FloatArray:
        """(N, 3) mm."""
        return np.array([m.centerRas for m in self.markers]).reshape(-1, 3)

    @property
    def sureMarkers(self) -> tuple[DetectedMarker, ...]:
        """Those without doubt."""
        return tuple(m for m in self.markers if not m.doubt)


def detectMarkers(voxels: npt.NDArray[Any], ijkToRas: npt.ArrayLike, parameters: MarkerParameters | None = None) -> MarkerDetection:
    """Find skin markers in a CT.

    :param voxels: HU, (k, j, i).
    :param ijkToRas: 4x4, index (i, j, k) to RAS mm.
    :raises ValueError: not a volume, or a geometry that isn't invertible.
    """
    chosen = parameters or MarkerParameters()
    matrix = np.asarray(ijkToRas, float)
    if voxels.ndim != 3 or min(voxels.shape) < 3:
        raise ValueError(
            _("Marker detection needs a volume of at least 3 slices, not an array of shape {voxelsShape}.").format(voxelsShape=voxels.shape)
        )
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
        raise ValueError(_("The volume's ijkToRas is no invertible 4x4 matrix: reload the CT."))
    outward = np.asarray(chosen.outwardRas, float)
    volume = orientVolume(voxels, matrix, outward / np.linalg.norm(outward))
    spacing = volume.spacingMm
    indices, threshold = denseVoxelsNearSurface(
        volume,
        aboveMm=chosen.maxDiameterMm + 4.0,
        belowMm=chosen.maxDepthMm + 0.5 * chosen.maxDiameterMm + 1.5,
        minThresholdHu=chosen.minHu,
        maxThresholdHu=chosen.maxThresholdHu,
    )
    candidates = findCandidates(
        indices,
        volume.view,
        spacing,
        minExtentMm=0.3 * chosen.minDiameterMm,
        maxExtentMm=chosen.maxDiameterMm + 3.0,
        minVolumeMm3=0.04 * chosen.minDiameterMm**3,
    )
    markers: list[DetectedMarker] = []
    near = [c for c in candidates if _nearAir(c, volume, chosen)]
    middles = np.array([c.middle for c in near]).reshape(-1, 3)
    radii = np.clip([0.5 * c.extentMm(spacing).max() for c in near], 1.5, 0.5 * chosen.maxDiameterMm + 0.5)
    shapes = measureCandidates(volume, middles, radii, 0.5 * chosen.maxDiameterMm + 1.0, chosen.maxHeightMm)
    # A spot in thick slices is placed no better than by half of one.
    driftMm = max(MAX_DRIFT_MM, 0.5 * float(spacing.max()))
    for middle, radius, shape in zip(middles, radii, shapes):
        if shape is None or shape.peakHu < MIN_PEAK_HU or not _isMarker(shape, chosen, spacing):
            continue
        if np.linalg.norm(volume.viewToRas[:3, :3] @ (shape.centerView - middle)) > radius + driftMm:
            continue
        markers.append(_describe(shape, volume.viewToRas, spacing))
    if chosen.faintMarkers and spacing.max() <= MAX_FAINT_SPACING_MM and (len(markers) < 3 or min(m.densityHu for m in markers) < FAINT_HU):
        markers += _faintMarkers(volume, chosen, markers)
    distinct = _withoutDoubles(markers, 0.5 * chosen.minDiameterMm)
    distinct.sort(key=lambda m: -m.centerRas[2])
    return MarkerDetection(tuple(distinct), _warnings(distinct, spacing, chosen), len(candidates), threshold)


def _faintMarkers(volume: OrientedVolume, chosen: MarkerParameters, known: list[DetectedMarker]) -> list[DetectedMarker]:
    """Markers that blur has made as faint as the skin: bumps whose mass and size together tell a density above the skin's."""
    found: list[DetectedMarker] = []
    bumps = findBumps(
        volume,
        aboveMm=chosen.maxDiameterMm + 4.0,
        belowMm=0.5 * chosen.maxDiameterMm,
        minHeightMm=0.35 * chosen.minDiameterMm,
        maxWidthMm=chosen.maxDiameterMm + 2.0,
    )
    places = bumps @ volume.viewToRas[:3, :3].T + volume.viewToRas[:3, 3]
    new = [not any(np.linalg.norm(m.centerRas - place) < 0.5 * m.diameterMm + 1.0 for m in known) for place in places]
    bumps = bumps[np.array(new, bool)]
    radii = np.full(len(bumps), 0.75 * chosen.minDiameterMm)
    for shape in measureCandidates(volume, bumps, radii, 0.5 * chosen.maxDiameterMm + 1.0, chosen.maxHeightMm):
        if shape is None or shape.densityHu < MIN_FAINT_HU:
            continue
        # A wart is a flat dome of skin: faint rings must be denser than skin somewhere, faint balls must be round.
        if (shape.flatness > MAX_RING_FLATNESS or shape.peakHu < MIN_FAINT_RING_HU) if shape.ring else shape.flatness < MIN_BALL_FLATNESS:
            continue
        if _isMarker(shape, chosen, volume.spacingMm):
            found.append(_describe(shape, volume.viewToRas, volume.spacingMm))
    return found


def _nearAir(candidate: Candidate, volume: OrientedVolume, chosen: MarkerParameters) -> bool:
    """Is there air just outside the object, as far as a marker may be embedded? Most bone is sorted out here at the cost of one look."""
    middle = np.rint(candidate.indices.mean(axis=0)).astype(int)
    top = int(candidate.indices[:, 1].min())
    steps = (chosen.maxDepthMm + np.array([1.0, 2.0, 3.0])) / volume.spacingMm[1]
    place = np.maximum(top - steps.astype(int), 0)
    return bool((volume.view[middle[0], place, middle[2]] < SURFACE_HU).any())


def _isMarker(shape: MarkerShape, chosen: MarkerParameters, spacing: FloatArray) -> bool:
    slack = 0.6 + 0.35 * float(spacing.max())
    return (
        chosen.minDiameterMm - slack <= shape.diameterMm <= chosen.maxDiameterMm + 1.5 + slack
        and shape.elongation < (1.25 + 0.1 * float(spacing.max()) if shape.ring else 1.4 + 0.15 * float(spacing.max()))
        and shape.thicknessMm > MIN_THICKNESS_MM
        and shape.centerSdMm < MAX_UNCERTAINTY_MM
        and shape.contactMm2 < MAX_CONTACT_MM2
        and -chosen.maxHeightMm <= shape.depthMm <= chosen.maxDepthMm
        and shape.densityHu > chosen.minHu
    )


def _describe(shape: MarkerShape, viewToRas: FloatArray, spacing: FloatArray) -> DetectedMarker:
    return DetectedMarker(
        centerRas=viewToRas[:3, :3] @ shape.centerView + viewToRas[:3, 3],
        diameterMm=shape.diameterMm,
        kind="ring" if shape.ring else "ball",
        peakHu=shape.peakHu,
        densityHu=shape.densityHu,
        depthMm=shape.depthMm,
        uncertaintyMm=shape.centerSdMm,
        spansTwoVoxels=bool(shape.thicknessMm >= 1.7 * float(spacing.max())),
        doubt=_doubt(shape),
    )


def _doubt(shape: MarkerShape) -> str:
    if shape.depthMm > 0.5 * shape.thicknessMm - MIN_PROTRUSION_MM:
        return _("it lies wholly under the surface, as a calcification in the skin does")
    # The mass of a round thing tells its density in spite of the noise; that of a flat one depends on how thick it is thought to be.
    if (shape.ring or shape.densityHu < MIN_FAINT_HU) and shape.peakHu < SKIN_HU + PEAK_NOISE_SDS * shape.noiseHu:
        return _("it is no denser than a wart or fold of skin looks in this noise")
    return ""


def _withoutDoubles(markers: list[DetectedMarker], distanceMm: float) -> list[DetectedMarker]:
    """Leave out second finds of one object, and faint spots in the streaks beside a much denser one."""
    distinct: list[DetectedMarker] = []
    for marker in sorted(markers, key=lambda m: -m.peakHu):
        for other in distinct:
            gap = math.dist(marker.centerRas, other.centerRas)
            if gap < distanceMm + 0.25 * other.diameterMm or (
                gap < STREAK_REACH_MM and marker.peakHu < 0.5 * other.peakHu and other.peakHu > 1500.0
            ):
                break
        else:
            distinct.append(marker)
    return distinct


def _warnings(markers: list[DetectedMarker], spacing: FloatArray, chosen: MarkerParameters) -> tuple[str, ...]:
    told: list[str] = []
    thick = float(spacing.max())
    if 2.0 * thick > chosen.minDiameterMm:
        told.append(
            _(
                "The voxels are up to {thick:.1f} mm: markers thinner than {thick2:.1f} mm span fewer than two of them and may "
                "be missed or placed less exactly. Scan with thinner slices or use larger markers."
            ).format(thick=thick, thick2=2 * thick)
        )
    thin = sum(not m.spansTwoVoxels for m in markers)
    if thin:
        told.append(
            _("{thin} of {count} found markers span fewer than two voxels in some direction; their centres are less certain.").format(
                thin=thin, count=len(markers)
            )
        )
    told += [
        _("M{n}, counted from the head, might be no marker: {doubt}. Look at it in the CT.").format(n=n, doubt=m.doubt)
        for n, m in enumerate(markers, 1)
        if m.doubt
    ]
    return tuple(told)
