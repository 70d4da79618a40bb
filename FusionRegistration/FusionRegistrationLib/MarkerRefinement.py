"""Sub-voxel centre and shape of one marker candidate, judged against the skin and air around it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.MarkerBackground import MarkerBackground, estimateBackgrounds
from FusionRegistrationLib.RigidTransform import FloatArray
from FusionRegistrationLib.SkinBand import OrientedVolume

DENSE_HU = 1800.0
"""Excess over the background (often air) from which an object counts as dense."""
MAX_CONTACT_MM2 = 1.5
"""Cross-section of matter leading away from an object from which it counts as part of a wire, tube or bone."""
CONTACT_HU = 150.0
"""What leads away from an object below this density is plate, skin or tape, not wire or bone."""


@dataclasses.dataclass(frozen=True, eq=False)
class MarkerShape:
    """What was measured at one candidate.

    :ivar centerView: sub-voxel index (along, depth, across).
    :ivar axesMm: standard deviations (mm) of the object's mass along its principal axes, largest first, the scanner's blur taken off.
    :ivar densityHu: density of the object itself, from its mass and size: small objects look less dense than they are.
    :ivar ring: a ring rather than a ball.
    :ivar diameterMm: outer diameter.
    :ivar depthMm: how deep the centre lies under the surrounding outer surface; negative: it stands above.
    :ivar contactMm2: area of dense voxels in the shell just outside the object; large where it is part of something longer or larger.
    :ivar centerSdMm: expected error of the centre from noise and sampling.
    :ivar noiseHu: standard deviation of the voxels about the background around the object.
    """

    centerView: FloatArray
    axesMm: FloatArray
    densityHu: float
    peakHu: float
    ring: bool
    diameterMm: float
    thicknessMm: float
    depthMm: float
    contactMm2: float
    centerSdMm: float
    noiseHu: float

    @property
    def elongation(self) -> float:
        """Longest to second axis: about 1 for balls and rings, large for wires."""
        return float(self.axesMm[0] / self.axesMm[1])

    @property
    def flatness(self) -> float:
        """Shortest to the mean of the other axes: 1 for balls, 0.55 for a half ball such as a wart, 0.4 for a ring lying flat."""
        return float(self.axesMm[2] / np.sqrt(0.5 * (self.axesMm[0] ** 2 + self.axesMm[1] ** 2)))


def measureCandidates(
    volume: OrientedVolume, centersView: FloatArray, radiiMm: FloatArray, maxRadiusMm: float, maxHeightMm: float
) -> list[MarkerShape | None]:
    """Measure the objects at ``centersView`` (n, 3; index) whose radii are about ``radiiMm``; None for one at the border of the volume.

    What exceeds the background (the surroundings' profile across the skin) is the blurred picture of (object - background) inside the
    object. Its centroid is exact for an object wholly in air. Where the object dips into the skin, the part in the skin weighs less by
    (density - skin) / (density - air); that known pull of a ball or ring cut by a plane is taken off again.
    """
    cuts = [_cutOut(volume, center, float(radius)) for center, radius in zip(centersView, radiiMm)]
    shapes: list[MarkerShape | None] = [None] * len(cuts)
    for size in {cut.block.shape for cut in cuts if min(cut.block.shape) >= 3}:
        members = [n for n, cut in enumerate(cuts) if cut.block.shape == size]
        backgrounds = _backgrounds([cuts[n] for n in members], volume.spacingMm)
        for n, background in zip(members, backgrounds):
            cut = cuts[n]
            if not background.known:
                # Perhaps it stands on a plate, high over the skin: look deeper for the surface.
                cut = _cutOut(volume, centersView[n], cut.radiusMm, maxHeightMm)
                (background,) = _backgrounds([cut], volume.spacingMm)
            shapes[n] = _measure(volume, cut, background, maxRadiusMm)
    return shapes


@dataclasses.dataclass(frozen=True, eq=False)
class _CutOut:
    """Block (along, depth, across) around a candidate: index ``low`` of its corner in the view, ``start`` of the candidate in the block."""

    block: npt.NDArray[np.float32]
    low: npt.NDArray[np.int64]
    start: FloatArray
    radiusMm: float


def _cutOut(volume: OrientedVolume, center: FloatArray, radiusMm: float, deeperMm: float = 0.0) -> _CutOut:
    half = np.maximum(np.ceil((radiusMm + 4.0) / volume.spacingMm).astype(int), 2)
    middle = np.rint(center).astype(int)
    low = np.maximum(middle - half, 0)
    high = np.minimum(middle + half + 1 + [0, int(deeperMm / volume.spacingMm[1]), 0], volume.view.shape)
    block = volume.view[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(np.float32)
    return _CutOut(block, low, center - low, radiusMm)


def _backgrounds(cuts: list[_CutOut], spacing: FloatArray) -> list[MarkerBackground]:
    return estimateBackgrounds(
        np.stack([cut.block for cut in cuts]), np.stack([cut.start for cut in cuts]), spacing, np.array([cut.radiusMm for cut in cuts])
    )


def _measure(volume: OrientedVolume, cut: _CutOut, background: MarkerBackground, maxRadiusMm: float) -> MarkerShape | None:
    spacing, metric = volume.spacingMm, volume.viewToRas[:3, :3]
    block, start, radiusMm = cut.block, cut.start, cut.radiusMm
    excess = block - background.hu
    grid = [np.arange(n, dtype=np.float32) for n in block.shape]
    # Blur along each axis of the view; thick slices widen along their axis.
    blur = background.blurSdMm**2 + np.maximum(spacing**2 - spacing.min() ** 2, 0.0) / 12.0
    margin = 2.0 * float(np.sqrt(blur.max()))
    # Weak parts are noise or tape; what is darker than the background pulls nothing. The rest, as a list: the windows below then are cheap.
    reachMm = max(radiusMm, 0.8 * maxRadiusMm) + margin + 1.5
    near = _squaredDistance([g - c for g, c in zip(grid, start)], metric) < reachMm**2
    where = np.nonzero(near & (excess >= 2.5 * background.noiseHu))
    allPoints = np.stack(where, axis=1).astype(float)
    allPlacesMm = allPoints @ metric.T
    allExcess = excess[where].astype(float)
    directions = metric / spacing
    blurTensor = (directions * blur) @ directions.T
    center, radius = start.copy(), radiusMm
    for step in range(5):
        offsets = allPlacesMm - metric @ center
        windowMm = radius + (margin if step else 1.5)
        window = np.flatnonzero(np.einsum("ni,ni->n", offsets, offsets) < windowMm**2)
        weights, points = allExcess[window], allPoints[window]
        mass = float(weights.sum())
        if mass <= 0:
            return None
        moved = (weights @ points) / mass
        shiftMm = metric @ (moved - center)
        relative = offsets[window] - shiftMm
        axes = _axes((relative * weights[:, None]).T @ relative / mass - blurTensor)
        shape = _fitShape(axes, maxRadiusMm)
        center, radius = moved, 0.5 * shape.diameterMm
        if step and float(shiftMm @ shiftMm) < 0.01**2:
            break
    voxelMm3 = float(spacing[0] * spacing[1] * spacing[2])
    massMm3 = mass * voxelMm3
    level = max(float(weights.max()), 1.0)
    squares = _squaredDistance([g - c for g, c in zip(grid, center)], metric)
    inside = block[squares < windowMm**2]
    reach = 0.5 * shape.diameterMm + 0.5 + margin
    shell = (squares > reach**2) & (squares < (reach + 1.5) ** 2)
    beyond = block[shell][excess[shell] > max(0.25 * level, 4.0 * background.noiseHu)]
    toMm2 = voxelMm3 / 1.5
    contactMm2 = float((beyond > CONTACT_HU).sum()) * toMm2
    floorHu = 0.0
    if level > DENSE_HU and len(beyond) * toMm2 > MAX_CONTACT_MM2:
        # Something light leads away from a dense object, such as the edge of its plate: what is weaker by far must not pull.
        floorHu = 0.33 * level
        strong = np.maximum(weights - floorHu, 0.0)
        center = (strong @ points) / float(strong.sum())
    densityHu, pull, depthMm = _undoPull(center, start, background, spacing, shape, massMm3, floorHu)
    center = center - pull
    if not all(0.5 < c < n - 1.5 for c, n in zip(center, block.shape)):
        return None
    noiseSdMm = float(np.sqrt(inside.size) * background.noiseHu * voxelMm3 * np.sqrt(axes.mean() ** 2 + blur.mean()) / massMm3)
    samplingSdMm = 0.03 * float(spacing.max()) ** 2 / max(shape.thicknessMm, 0.5)
    # The surface under the object is only known from beside it: the fainter the object, the more that matters (measured on simulated CT).
    surfaceSdMm = 45.0 / (max(densityHu, 100.0) + 1000.0)
    return MarkerShape(
        centerView=center + cut.low,
        axesMm=axes,
        densityHu=densityHu,
        peakHu=float(inside.max()),
        ring=shape.ring,
        diameterMm=shape.diameterMm,
        thicknessMm=shape.thicknessMm,
        depthMm=depthMm,
        contactMm2=contactMm2,
        centerSdMm=float(np.sqrt((2.0 * noiseSdMm) ** 2 + samplingSdMm**2 + surfaceSdMm**2)),
        noiseHu=background.noiseHu,
    )


@dataclasses.dataclass(frozen=True)
class _BallOrRing:
    ring: bool
    diameterMm: float
    thicknessMm: float
    volumeMm3: float


def _axes(second: FloatArray) -> FloatArray:
    """Standard deviations (mm) along the principal axes of a second moment, largest first; at least 0.2 mm."""
    result: FloatArray = np.sqrt(np.maximum(np.linalg.eigvalsh(second)[::-1], 0.04))
    return result


def _fitShape(axes: FloatArray, maxRadiusMm: float) -> _BallOrRing:
    """Ball or ring of the same second moments: r^2/5 along each axis of a ball; a torus of radii R, t has t^2/4 along its axis and
    R^2/2 + 3 t^2/8 across."""
    wide = 0.5 * float(axes[0] ** 2 + axes[1] ** 2)
    if axes[2] < 0.66 * np.sqrt(wide):
        tube = float(min(2.0 * axes[2], np.sqrt(wide)))
        major = float(np.sqrt(max(2.0 * (wide - 0.375 * tube**2), tube**2)))
        return _BallOrRing(True, min(2.0 * (major + tube), 2.0 * maxRadiusMm), 2.0 * tube, float(2.0 * np.pi**2 * major * tube**2))
    radius = float(min(np.sqrt(5.0 * (axes**2).mean()), maxRadiusMm))
    return _BallOrRing(False, 2.0 * radius, 2.0 * radius, 4.18879 * radius**3)


def _undoPull(
    center: FloatArray,
    start: FloatArray,
    background: MarkerBackground,
    spacing: FloatArray,
    shape: _BallOrRing,
    massMm3: float,
    floorHu: float,
) -> tuple[float, FloatArray, float]:
    """Density (HU) of the object, the pull (index units) on its centroid by the lighter part in the skin, and its depth (mm)."""
    radius = 0.5 * shape.thicknessMm
    offsets = (center - start) * spacing
    surface = background.surfaceDepth(float(offsets[0]), float(offsets[2]))
    slopes = background.coefficients[[1, 2]] * spacing[1]
    slopes = slopes + 2.0 * background.coefficients[[3, 5]] * offsets[[0, 2]] * spacing[1]
    tilt = math.sqrt(1.0 + float(slopes @ slopes))
    height = (surface - float(center[1])) * float(spacing[1]) / tilt
    contrast = min(background.tissueHu, 150.0) - background.airHu
    pullMm, densityHu = 0.0, 0.0
    measured = height
    for _ in range(6):
        q = min(max(height / radius, -1.0), 1.0)
        if shape.ring:
            above = (math.acos(-q) + q * math.sqrt(1.0 - q * q)) / math.pi
            moment = 2.0 / (3.0 * math.pi) * radius * (1.0 - q * q) ** 1.5
        else:
            above = 0.25 * (2.0 + 3.0 * q - q**3)
            moment = 3.0 / 16.0 * radius * (1.0 - q * q) ** 2
        # mass / volume = above (M - air) + (1 - above) (M - tissue)
        densityHu = massMm3 / shape.volumeMm3 + background.airHu + (1.0 - above) * contrast
        weight = max(massMm3 / shape.volumeMm3 - floorHu, 50.0)
        pullMm = min(moment * contrast / weight, 0.375 * radius)
        height = 0.5 * (height + measured - pullMm)
    outward = np.array([slopes[0], -1.0, slopes[1]]) / tilt
    return densityHu, outward * pullMm / spacing, -height


def _squaredDistance(offsets: list[FloatArray], metric: FloatArray) -> FloatArray:
    """Squared mm length of all index offsets of a block, from the metric tensor of a possibly sheared grid."""
    tensor = (metric.T @ metric).astype(np.float32)
    a, d, b = (o.astype(np.float32) for o in offsets)
    result: FloatArray = (
        (tensor[0, 0] * a * a)[:, None, None] + (tensor[1, 1] * d * d)[None, :, None] + (tensor[2, 2] * b * b)[None, None, :]
    )
    if abs(tensor[0, 1]) > 1e-6:
        result = result + 2.0 * tensor[0, 1] * a[:, None, None] * d[None, :, None]
    if abs(tensor[0, 2]) > 1e-6:
        result = result + 2.0 * tensor[0, 2] * a[:, None, None] * b[None, None, :]
    if abs(tensor[1, 2]) > 1e-6:
        result = result + 2.0 * tensor[1, 2] * d[None, :, None] * b[None, None, :]
    return result
