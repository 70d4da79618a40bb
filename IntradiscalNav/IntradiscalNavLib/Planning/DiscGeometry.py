"""Intervertebral discs between two vertebrae: endplates, centre, nucleus, and the facet joints of the same level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes
from IntradiscalNavLib.Planning.VertebraGeometry import VertebraMask
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

NUCLEUS_WIDTH_SHARE = 0.5
"""The nucleus pulposus takes up half of the disc's width and depth (30-50 % of its cross-section), anatomy textbooks; a model, not seen
in CT."""
NUCLEUS_HEIGHT_SHARE = 0.8
FUSED_HEIGHT_MM = 2.0
"""A disc space lower than this, or mostly bridged, is taken as fused or collapsed."""


@dataclass(frozen=True)
class Endplate:
    """Plane of an endplate: a point on it and the unit normal pointing superiorly (RAS)."""

    pointRas: FloatArray
    normal: FloatArray


@dataclass(frozen=True)
class Disc:
    """A disc: centre (RAS), axes (right, anterior, superior unit vectors of the disc, not of the CT), sizes (mm), endplates, nucleus.

    ``axes`` are the CT-laid anatomical axes at the disc for angles; ``discAnterior``/``discSuperior`` lie in the disc's own plane.
    """

    level: str
    centerRas: FloatArray
    axes: AnatomicalAxes
    discAnterior: FloatArray
    discSuperior: FloatArray
    widthMm: float
    depthMm: float
    heightMm: float
    upperEndplate: Endplate
    lowerEndplate: Endplate
    bridgedShare: float
    source: str

    @property
    def nucleusSemiAxesMm(self) -> FloatArray:
        """Half sizes of the nucleus along right, anterior, superior of the disc."""
        return 0.5 * np.array(
            [self.widthMm * NUCLEUS_WIDTH_SHARE, self.depthMm * NUCLEUS_WIDTH_SHARE, self.heightMm * NUCLEUS_HEIGHT_SHARE]
        )

    def discMatrix(self) -> FloatArray:
        """3x3 with rows right, anterior, superior of the disc."""
        return np.stack([self.axes.right, self.discAnterior, self.discSuperior])

    def nucleusCoordinates(self, pointsRas: npt.ArrayLike) -> FloatArray:
        """Normalised nucleus coordinates (..., 3): inside when their norm is at most 1."""
        result: FloatArray = (np.asarray(pointsRas, float) - self.centerRas) @ self.discMatrix().T / self.nucleusSemiAxesMm
        return result

    def nucleusTargets(self, perAxis: int = 3, share: float = 0.5) -> FloatArray:
        """Grid of targets (perAxis^3, 3) in the nucleus, the centre among them for odd ``perAxis``; outermost at ``share`` of the
        semi-axes."""
        steps = np.linspace(-share, share, perAxis) if perAxis > 1 else np.zeros(1)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
        result: FloatArray = (grid * self.nucleusSemiAxesMm) @ self.discMatrix() + self.centerRas
        return result

    @property
    def wedgeAngleDeg(self) -> float:
        """Angle between the endplates."""
        cosine = float(np.clip(self.upperEndplate.normal @ self.lowerEndplate.normal, -1, 1))
        return float(np.degrees(np.arccos(cosine)))


def _robustPlane(u: FloatArray, v: FloatArray, t: FloatArray) -> FloatArray:
    design = np.c_[np.ones(len(t)), u, v]
    weight = np.ones(len(t))
    solution = np.zeros(3)
    for _unused in range(6):
        root = np.sqrt(weight)
        solution = np.linalg.lstsq(design * root[:, None], t * root, rcond=None)[0]
        weight = 1.0 / np.maximum(np.abs(t - design @ solution), 0.6)
    return solution


def deriveDisc(upper: VertebraMask, lower: VertebraMask, axes: AnatomicalAxes) -> Disc:
    """The disc between two vertebrae, from rays cast from body to body.

    :raises ValueError: when no disc space is found between them (not neighbours, or a mask is wrong).
    """
    level = f"{upper.name}-{lower.name}"
    caudal = lower.bodyCenterRas - upper.bodyCenterRas
    span = float(np.linalg.norm(caudal))
    caudal = caudal / span
    center = 0.5 * (upper.bodyCenterRas + lower.bodyCenterRas)
    lateral = np.arange(-34.0, 34.1, 2.0)
    sagittal = np.arange(-26.0, 26.1, 2.0)
    travel = np.arange(-0.6 * span, 0.6 * span, 0.5)
    from scipy.ndimage import binary_dilation
    from scipy.ndimage import label as components

    for _unused in range(4):
        right = axes.right - (axes.right @ caudal) * caudal
        right /= np.linalg.norm(right)
        anterior = np.cross(-caudal, right)
        u, v = np.meshgrid(lateral, sagittal, indexing="ij")
        foot = center + u[..., None] * right + v[..., None] * anterior
        points = foot[:, :, None, :] + travel[:, None] * caudal
        # Columns through both bodies, grown by one step: the opened bodies lack their rims, the whole masks have arches as well.
        column = binary_dilation(upper.holds(points, body=True).any(-1)) & binary_dilation(lower.holds(points, body=True).any(-1))
        inUpper = upper.holds(points) & column[..., None]
        inLower = lower.holds(points) & column[..., None]
        hasBoth = inUpper.any(-1) & inLower.any(-1)
        lastUpper = len(travel) - 1 - np.argmax(inUpper[..., ::-1], axis=-1)
        firstLower = np.argmax(inLower, axis=-1)
        gap = travel[firstLower] - travel[lastUpper] - 0.5
        valid = hasBoth & (gap > -3.0) & (gap < 24.0)
        regions, count = components(valid)
        if count == 0:
            raise ValueError(
                _("No disc space was found between {upperName} and {lowerName}; check that they are neighbours and whole.").format(
                    upperName=upper.name, lowerName=lower.name
                )
            )
        distance = np.where(valid, np.hypot(u, v), np.inf)
        region = regions == regions[np.unravel_index(int(np.argmin(distance)), distance.shape)]
        if region.sum() < 20:
            raise ValueError(
                _("The endplates facing {level} are too small to fit ({sum} mm2); check the segments.").format(
                    level=level, sum=int(region.sum()) * 4
                )
            )
        upperFit = _robustPlane(u[region], v[region], travel[lastUpper[region]] + 0.25)
        lowerFit = _robustPlane(u[region], v[region], travel[firstLower[region]] - 0.25)
        row = np.abs(v - np.median(v[region])) <= 2.0
        middle = np.abs(u - np.median(u[region])) <= 4.0
        width = float(np.ptp(u[region & row]) + 2.0) if (region & row).any() else float(np.ptp(u[region]) + 2.0)
        depth = float(np.ptp(v[region & middle]) + 2.0)
        vMid = 0.5 * float(v[region & middle].max() + v[region & middle].min())
        uMid = 0.5 * float(u[region & row].max() + u[region & row].min()) if (region & row).any() else 0.0
        normals = []
        for fit in (upperFit, lowerFit):
            normal = -(caudal - fit[1] * right - fit[2] * anterior)
            normals.append(normal / np.linalg.norm(normal))
        tUpper = float(upperFit @ [1.0, uMid, vMid])
        tLower = float(lowerFit @ [1.0, uMid, vMid])
        base = center + uMid * right + vMid * anterior
        ends = base + tUpper * caudal, base + tLower * caudal
        bridged = float((gap[region] < 0.75).mean())
        center = 0.5 * (ends[0] + ends[1])
        caudal = -(normals[0] + normals[1])
        caudal /= np.linalg.norm(caudal)
    superior = -caudal
    right = axes.right - (axes.right @ superior) * superior
    right /= np.linalg.norm(right)
    anterior = np.cross(superior, right)
    height = max(float((ends[0] - ends[1]) @ superior), 0.0)
    ctAxes = AnatomicalAxes(center - ((center - axes.originRas) @ axes.right) * axes.right, axes.right, axes.anterior, axes.superior)
    return Disc(
        level,
        center,
        ctAxes,
        anterior,
        superior,
        width,
        depth,
        height,
        Endplate(ends[0], normals[0]),
        Endplate(ends[1], normals[1]),
        bridged,
        "vertebrae",
    )


SEGMENT_TOLERANCE_MM = 12.0
"""A disc segment whose centre lies farther than this from the space between the endplates is another disc or wrongly named."""


def withSegment(disc: Disc, segmentPointsRas: FloatArray) -> Disc:
    """The disc with centre and outline of its own segment (voxel centres (n, 3) RAS); the endplates stay those of the vertebrae.

    :raises ValueError: when the segment does not lie in this disc space.
    """
    center = segmentPointsRas.mean(0)
    away = float(np.linalg.norm(center - disc.centerRas))
    if away > SEGMENT_TOLERANCE_MM:
        raise ValueError(
            _("The segment of disc {level} lies {away:.0f} mm from the space between its vertebrae; the space is used.").format(
                level=disc.level, away=away
            )
        )
    local = (segmentPointsRas - center) @ disc.discMatrix().T
    width, depth = (float(np.ptp(np.percentile(local[:, axis], [1.0, 99.0]))) for axis in (0, 1))
    axes = AnatomicalAxes(
        center - ((center - disc.axes.originRas) @ disc.axes.right) * disc.axes.right,
        disc.axes.right,
        disc.axes.anterior,
        disc.axes.superior,
    )
    return replace(disc, centerRas=center, axes=axes, widthMm=width, depthMm=depth, source="segment")


@dataclass(frozen=True)
class FacetJoint:
    """A facet joint: centre of the joint space, its normal (from the lower to the upper vertebra's process), and the target at the
    capsule's posterior recess (RAS)."""

    level: str
    side: str
    centerRas: FloatArray
    normal: FloatArray
    capsuleTargetRas: FloatArray
    gapMm: float


def findFacetJoint(upper: VertebraMask, lower: VertebraMask, disc: Disc, side: str) -> FacetJoint | None:
    """The joint between the inferior process of the upper and the superior process of the lower vertebra, or None when their processes
    do not face each other within 8 mm (missing arch, laminectomy, body-only segments)."""
    from scipy.spatial import cKDTree

    sign = -1.0 if side == "left" else 1.0
    facing = []
    for vertebra in (upper, lower):
        points = vertebra.surfacePoints(vertebra.mask & ~vertebra.body)
        local = (points - disc.centerRas) @ disc.discMatrix().T
        behind = (
            (local[:, 1] < -0.5 * disc.depthMm) & (local[:, 0] * sign > 5.0) & (local[:, 0] * sign < 38.0) & (np.abs(local[:, 2]) < 28.0)
        )
        facing.append(points[behind])
    if min(len(facing[0]), len(facing[1])) < 10:
        return None
    distance, index = cKDTree(facing[1]).query(facing[0])
    near = distance <= distance.min() + 2.5
    if distance.min() > 8.0 or near.sum() < 3:
        return None
    top, bottom = facing[0][near], facing[1][index[near]]
    middle = 0.5 * (top + bottom)
    center = np.median(middle, axis=0)
    normal = (top - bottom).mean(0)
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    # The posterior recess at the joint's middle height: back from the rim until both processes are left behind.
    level = np.abs((middle - center) @ disc.axes.superior) <= 4.0
    around = middle[level] if level.sum() >= 3 else middle
    backness = around @ disc.axes.anterior
    rim = around[backness <= np.percentile(backness, 30)].mean(0)
    rim = rim - ((rim - center) @ disc.axes.superior) * disc.axes.superior
    steps = np.arange(0.0, 8.0, 0.25)
    line = rim - steps[:, None] * disc.axes.anterior
    inside = np.flatnonzero(upper.holds(line) | lower.holds(line))
    target = line[min(int(inside.max()) + 1, len(line) - 1)] if len(inside) else rim
    return FacetJoint(disc.level, side, center, normal, target, float(max(distance.min() - 1.5, 0.0)))
