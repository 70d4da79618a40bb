"""Finds the real needle in a CT as a line, and compares it with the virtual one.

A 22 G needle (0.72 mm) is thinner than a voxel: its brightness is spread over neighbours, so centres are taken as
intensity-weighted centroids in planes across the expected shaft, and the tip where
the shaft's share of the voxels around it ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Recording.NeedleShaft import NeedleFrame, followShaft
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

COARSE_MM = 2.2
"""In slices thicker than this neither the tip of a 22 G needle nor its doubt can be relied on: at 3 mm most are wrong."""


@dataclass(frozen=True)
class NeedleSearch:
    """Where and how to look."""

    radiusMm: float = 12.0
    """How far from the virtual needle the real one may lie."""
    beyondTipMm: float = 25.0
    lengthMm: float = 110.0
    minimumContrastHu: float = 150.0
    """How far a spot, smoothed by 0.6 mm, is brighter than everything 2.5 mm around it. Bone is bright over more than that in some
    direction; a 22 G steel needle in voxels of a millimetre gives 300 and more, midway between slices of 2 mm 200."""
    stepMm: float = 0.5
    maximumGapMm: float = 10.0
    """How long a stretch, beside or in bone, may hide the needle."""
    minimumLengthMm: float = 15.0


@dataclass(frozen=True, eq=False)
class NeedleInCt:
    """The needle found: points along its centre line (n, 3) RAS from hub side to tip, and the comparison with the virtual needle."""

    centerlineRas: FloatArray
    tipRas: FloatArray
    directionRas: FloatArray
    """Unit vector of the last 20 mm, towards the tip."""
    tipErrorMm: float
    """Distance of the real tip from the virtual tip."""
    lateralErrorMm: float
    depthErrorMm: float
    """Real tip minus virtual tip along the virtual shaft; positive: deeper."""
    angleDeg: float
    """Between the real shaft (chord of all that was found) and the virtual shaft."""
    bendMm: float
    """Largest distance of the centre line from its chord."""
    residualMm: float
    """RMS distance of the centres from a parabola: how needle-like the find is."""
    tipDoubtMm: float = 0.0
    """How far from ``tipRas``, along the needle, its tip may be as well: 0 when the scan shows one end alone."""
    coarsestVoxelMm: float = 0.0
    """Largest edge of a voxel of the scan."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What whoever reads the tip must know, in sentences; empty when the tip is sure."""
        doubts = []
        if self.tipDoubtMm > 0.0:
            doubts.append(
                _(
                    "The needle's tip in the last CT is uncertain by up to about {doubt:.0f} mm along the shaft: its end doesn't stand out "
                    "from the gas, bone or noise around it. Look for it in the slices."
                ).format(doubt=np.ceil(self.tipDoubtMm))
            )
        if self.coarsestVoxelMm > COARSE_MM:
            doubts.append(
                _(
                    "Slices of {voxel:.1f} mm hide a thin needle over long stretches: the tip found may be off by centimetres. "
                    "Reconstruct the last CT in slices of 2 mm or less."
                ).format(voxel=self.coarsestVoxelMm)
            )
        return tuple(doubts)


def findNeedleInCt(
    voxels: npt.NDArray[np.generic],
    ijkToRas: npt.ArrayLike,
    virtualTipRas: npt.ArrayLike,
    virtualDirectionRas: npt.ArrayLike,
    search: NeedleSearch | None = None,
) -> NeedleInCt:
    """Follow the needle along the expected shaft.

    :param voxels: HU (k, j, i). :param virtualDirectionRas: advancing direction of the virtual needle.
    :raises LookupError: when no needle-like line is there, with what was found instead. Never a guess.
    """
    from scipy.ndimage import gaussian_filter1d, map_coordinates

    search = search or NeedleSearch()
    tip = np.asarray(virtualTipRas, float)
    direction = np.asarray(virtualDirectionRas, float)
    direction = direction / np.linalg.norm(direction)
    across, up = _frameAcross(direction)
    depths = np.arange(-search.lengthMm, search.beyondTipMm + search.stepMm / 2, search.stepMm)
    reach = search.radiusMm + 3.0
    offsets = np.arange(-reach, reach + 0.25, 0.5)
    u, v = np.meshgrid(offsets, offsets, indexing="ij")
    points = tip + depths[:, None, None, None] * direction + u[..., None] * across + v[..., None] * up
    rasToIjk = np.linalg.inv(np.asarray(ijkToRas, float))
    kji = (points @ rasToIjk[:3, :3].T + rasToIjk[:3, 3])[..., ::-1]
    hu = map_coordinates(np.asarray(voxels, np.float32), np.moveaxis(kji, -1, 0), order=1, mode="constant", cval=-1024.0)
    smooth = gaussian_filter1d(gaussian_filter1d(hu, 1.2, axis=1), 1.2, axis=2)
    # A spot stands out only if it is brighter than all around it 2.5 mm away; along the edge of a bone one side isn't darker.
    ring = [(5, 0), (4, 4), (0, 5), (-4, 4), (-5, 0), (-4, -4), (0, -5), (4, -4)]
    brightestAround = np.max([np.roll(smooth, shift, axis=(1, 2)) for shift in ring], axis=0)
    disc = u**2 + v**2 <= search.radiusMm**2
    profile = (smooth - brightestAround)[:, disc]
    u, v = u[disc], v[disc]

    found = _follow(profile, u, v, search)
    if found is None:
        peak = float(profile.max())
        raise LookupError(
            _(
                "No needle was found within {radiusMm:g} mm of the virtual needle: what is thin and bright there stands out by "
                "{peak:.0f} HU at most and is no line. "
                "Was it drawn out before this scan, or is the scan registered to the planning CT?"
            ).format(radiusMm=search.radiusMm, peak=peak)
        )
    rows, centers, _unused = found
    along = depths[rows]
    frame = NeedleFrame(tip, direction, across, up)
    shaft = followShaft(np.asarray(voxels), np.asarray(ijkToRas, float), frame, along, centers, search.beyondTipMm, search.radiusMm)
    tipDepth = shaft.tipDepthMm
    if tipDepth - along[0] < search.minimumLengthMm:
        raise LookupError(
            _("What is bright near the virtual needle is only {tipDepth:.0f} mm long: bone or calcification, no needle.").format(
                tipDepth=tipDepth - along[0]
            )
        )
    grid = np.append(np.arange(along[0], tipDepth, 1.0), tipDepth)
    line = tip + grid[:, None] * direction + shaft.sidewaysMm(grid) @ np.array([across, up])
    residual = np.sqrt(np.mean(np.sum((shaft.sidewaysMm(along) - centers) ** 2, axis=1)))
    realTip = line[-1]
    chord = line[-1] - line[0]
    chord = chord / np.linalg.norm(chord)
    fromStart = line - line[0]
    bend = float(np.linalg.norm(fromStart - (fromStart @ chord)[:, None] * chord, axis=1).max())
    near = line[grid >= tipDepth - 20.0]
    tangent = near[-1] - near[0]
    offset = realTip - tip
    depthError = float(offset @ direction)
    return NeedleInCt(
        centerlineRas=line,
        tipRas=realTip,
        directionRas=tangent / np.linalg.norm(tangent),
        tipErrorMm=float(np.linalg.norm(offset)),
        lateralErrorMm=float(np.linalg.norm(offset - depthError * direction)),
        depthErrorMm=depthError,
        angleDeg=float(np.degrees(np.arctan2(np.linalg.norm(np.cross(chord, direction)), chord @ direction))),
        bendMm=bend,
        residualMm=float(residual),
        tipDoubtMm=shaft.doubtMm,
        coarsestVoxelMm=float(np.linalg.norm(np.asarray(ijkToRas, float)[:3, :3], axis=0).max()),
    )


def _frameAcross(direction: FloatArray) -> tuple[FloatArray, FloatArray]:
    helper = np.eye(3)[int(np.argmin(np.abs(direction)))]
    across = np.cross(direction, helper)
    across /= np.linalg.norm(across)
    return across, np.cross(direction, across)


def _centroid(values: FloatArray, u: FloatArray, v: FloatArray, around: FloatArray, radiusMm: float) -> tuple[FloatArray, float]:
    """Centroid of what stands out of its surroundings near a point, and its peak."""
    near = (u - around[0]) ** 2 + (v - around[1]) ** 2 <= radiusMm**2
    local = values[near]
    peak = float(local.max())
    background = float(np.median(local))
    weight = np.clip(local - (background + 0.3 * (peak - background)), 0.0, None)
    total = float(weight.sum())
    if total <= 0:
        return around, peak
    return np.array([(weight * u[near]).sum(), (weight * v[near]).sum()]) / total, peak


def _follow(
    profile: FloatArray, u: FloatArray, v: FloatArray, search: NeedleSearch
) -> tuple[npt.NDArray[np.intp], FloatArray, FloatArray] | None:
    """Longest chain of bright centres that moves little from plane to plane.

    The chain is started at every bright plane and followed both ways with a straight-line prediction; bone is bright too, but
    its brightest point wanders, so its chains are short.
    """
    peaks = profile.max(axis=1)
    candidates = np.flatnonzero(peaks > search.minimumContrastHu)
    best: dict[int, tuple[FloatArray, float]] = {}
    tried: set[int] = set()
    for start in (int(row) for row in candidates[:: max(1, len(candidates) // 24)]):
        if start in tried:
            continue
        seed = np.array([u[int(profile[start].argmax())], v[int(profile[start].argmax())]])
        chain: dict[int, tuple[FloatArray, float]] = {}
        for step in (1, -1):
            position, slope, missed = seed, np.zeros(2), 0
            row = start
            while 0 <= row < len(profile) and missed * search.stepMm <= search.maximumGapMm and np.hypot(*position) <= search.radiusMm:
                center, peak = _centroid(profile[row], u, v, position, 1.5)
                if peak > search.minimumContrastHu and np.linalg.norm(center - position) < 0.8:
                    chain[row] = (center, peak)
                    slope = 0.9 * slope + 0.1 * np.clip(center - position + slope, -0.3, 0.3)
                    position, missed = center + slope, 0
                else:
                    position, missed = position + slope, missed + 1
                row += step
        tried.update(chain)
        if len(chain) > len(best):
            best = chain
    if len(best) * search.stepMm < search.minimumLengthMm * 0.8:
        return None
    rows = np.array(sorted(best), dtype=np.intp)
    return rows, np.array([best[int(row)][0] for row in rows]), np.array([best[int(row)][1] for row in rows])
