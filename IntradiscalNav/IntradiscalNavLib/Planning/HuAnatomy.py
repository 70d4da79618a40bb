"""Anatomy without a segmentation: bone and skin from Hounsfield units, the disc from a click on each of its two endplates.

What HU cannot tell apart is not there: vessels, kidneys and fluid-filled bowel are not avoided (said in ``unseen``), facet joints are not
offered. Bowel gas is seen.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.CtSuitability import checkCt, checkGeometry
from IntradiscalNavLib.Planning.DiscGeometry import Disc, Endplate, deriveDisc
from IntradiscalNavLib.Planning.GridResampling import RasGrid, resampleToGrid
from IntradiscalNavLib.Planning.NerveModel import modelDura, modelRoots
from IntradiscalNavLib.Planning.SkinSurface import SKIN_HU, skinFromCt
from IntradiscalNavLib.Planning.SpineAnatomy import SpineAnatomy
from IntradiscalNavLib.Planning.StructureNames import Structure, StructureKind
from IntradiscalNavLib.Planning.TrajectoryAngles import AnatomicalAxes, axesFromSagittalPlane
from IntradiscalNavLib.Planning.VertebraGeometry import VertebraMask, measureVertebra
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

BONE_HU = 230.0
"""Threshold of bone against soft tissue on a lightly smoothed CT; trabecular bone inside is filled, contrast-filled vessels are not told
apart."""
GRID_MM = 1.25
UPPER, LOWER, OTHER_BONE, GAS = 1, 2, 3, 4
MIN_BONE_MM3 = 800.0
MIN_GAS_MM3 = 200.0
SEARCH_TURN_DEG = np.arange(-12.0, 12.1, 2.0)
SEARCH_SHIFT_MM = np.arange(-15.0, 15.1, 3.0)


def anatomyFromHu(
    ctHu: npt.NDArray,
    ijkToRas: npt.ArrayLike,
    upperEndplateRas: npt.ArrayLike,
    lowerEndplateRas: npt.ArrayLike,
    level: str = "L4-L5",
    *,
    boneHu: float = BONE_HU,
    patientPosition: str = "",
) -> SpineAnatomy:
    """Anatomy round one disc.

    :param upperEndplateRas: click on the middle of the disc's upper endplate (the lower endplate of the vertebra above), RAS mm.
    :param lowerEndplateRas: click on the middle of the lower endplate.
    :param level: the level as the operator names it; it cannot be counted from bone alone.
    :raises ValueError: clicks outside the volume, too far apart or the wrong way round, no bone beside them, no skin.
    """
    affine = np.asarray(ijkToRas, float)
    warnings = list(checkGeometry(np.shape(ctHu), affine, "CT"))
    if level.count("-") != 1:
        raise ValueError(_("The level must name both vertebrae, as L4-L5, not '{level}'.").format(level=level))
    upperClick, lowerClick = np.asarray(upperEndplateRas, float), np.asarray(lowerEndplateRas, float)
    _checkClicks(np.shape(ctHu), affine, upperClick, lowerClick, level)
    center = 0.5 * (upperClick + lowerClick)
    around = np.array([170.0, 60.0, 130.0])
    skin = skinFromCt(ctHu, affine, center - np.array([170.0, 400.0, 130.0]), center + around)
    warnings += checkCt(ctHu, affine, skin, patientPosition)
    back = float(np.nanmin(skin.anteriorMm)) if np.isfinite(skin.anteriorMm).any() else center[1] - 120.0
    grid = RasGrid.around(
        [center[0] - 150.0, max(back - 5.0, center[1] - 200.0), center[2] - 95.0], center + np.array([150.0, 55.0, 95.0]), GRID_MM
    )
    hu = resampleToGrid(np.asarray(ctHu), affine, grid, outside=-1000.0)
    axes = findMidSagittalAxes(hu, grid, center)
    superior = _discSuperior(upperClick, lowerClick, axes)
    bone = _boneMask(hu, grid, boneHu)
    labels = _splitBone(bone, grid, center, axes, superior)
    labels[_enclosedGas(hu, grid)] = GAS
    gridToRas = np.diag([GRID_MM, GRID_MM, GRID_MM, 1.0])
    gridToRas[:3, 3] = grid.originRas
    upperName, lowerName = level.split("-")
    vertebrae = {name: _vertebra(name, labels == value, gridToRas) for name, value in ((upperName, UPPER), (lowerName, LOWER))}
    disc = _disc(vertebrae[upperName], vertebrae[lowerName], axes, upperClick, lowerClick, superior, warnings)
    structures = {
        UPPER: Structure(StructureKind.VERTEBRA, upperName, name=upperName),
        LOWER: Structure(StructureKind.VERTEBRA, lowerName, name=lowerName),
        OTHER_BONE: Structure(StructureKind.BONE, name="other bone"),
        GAS: Structure(StructureKind.BOWEL, name="bowel gas"),
    }
    unseen = (StructureKind.VESSEL, StructureKind.KIDNEY, StructureKind.BOWEL)
    warnings.append(
        _(
            "Planned from Hounsfield units alone: vessels, kidneys and bowel without gas are not avoided; "
            "keep to the inclination window and look."
        )
    )
    pair = (vertebrae[upperName], vertebrae[lowerName])
    dura = modelDura([(*pair, disc)])
    nerves = modelRoots(*pair, disc) + ((dura,) if dura is not None else ())
    return SpineAnatomy(labels, gridToRas, structures, vertebrae, {level: disc}, {}, nerves, skin, unseen, tuple(warnings))


def _checkClicks(shape: tuple[int, ...], affine: FloatArray, upper: FloatArray, lower: FloatArray, level: str) -> None:
    rasToIjk = np.linalg.inv(affine)
    for name, click in (("upper", upper), ("lower", lower)):
        ijk = rasToIjk[:3, :3] @ click + rasToIjk[:3, 3]
        if (ijk < 0).any() or (ijk > np.array(shape)[::-1] - 1).any():
            raise ValueError(
                _("The click on the {name} endplate of {level} lies outside the CT: the disc is outside the volume.").format(
                    name=name, level=level
                )
            )
    gap = float(np.linalg.norm(upper - lower))
    if not 2.0 <= gap <= 25.0:
        raise ValueError(
            _("The clicks on the endplates of {level} are {gap:.1f} mm apart; a disc is 2-25 mm high. Click its two endplates.").format(
                level=level, gap=gap
            )
        )
    if upper[2] - lower[2] < 0.3 * gap:
        raise ValueError(
            _("The clicks of {level} are the wrong way round or not one above the other: the upper endplate must be cranial.").format(
                level=level
            )
        )


def findMidSagittalAxes(hu: npt.NDArray[np.float32], grid: RasGrid, centerRas: FloatArray) -> AnatomicalAxes:
    """Mid-sagittal plane of best mirror symmetry of bone near a point: position and turn about S, coarse to fine."""
    from scipy.ndimage import gaussian_filter, map_coordinates

    smooth = gaussian_filter(np.clip(hu, -50.0, 500.0), 1.5)
    lateral = np.arange(3.0, 46.0, 3.0)
    sagittal = np.arange(-75.0, 20.0, 3.0)
    height = np.arange(-24.0, 25.0, 4.0)
    u, v, w = np.meshgrid(lateral, sagittal, height, indexing="ij")
    origin, spacing = np.asarray(grid.originRas), np.asarray(grid.spacingMm)

    def mismatch(turnDeg: float, shiftMm: float) -> float:
        normal = np.array([np.cos(np.radians(turnDeg)), np.sin(np.radians(turnDeg)), 0.0])
        anterior = np.array([-normal[1], normal[0], 0.0])
        foot = centerRas + shiftMm * normal + v[..., None] * anterior + w[..., None] * np.array([0.0, 0.0, 1.0])
        values = []
        for sign in (1.0, -1.0):
            ijk = (foot + sign * u[..., None] * normal - origin) / spacing
            values.append(map_coordinates(smooth, [ijk[..., 2], ijk[..., 1], ijk[..., 0]], order=1, mode="nearest"))
        return float(np.mean(np.abs(values[0] - values[1])))

    best = min(((mismatch(t, s), t, s) for t in SEARCH_TURN_DEG for s in SEARCH_SHIFT_MM), key=lambda item: item[0])
    for step in (1.0, 0.5):
        _unused, turn, shift = best
        trials = [(turn + a * step, shift + 1.5 * b * step) for a in (-1, 0, 1) for b in (-1, 0, 1)]
        best = min([best, *((mismatch(t, s), t, s) for t, s in trials)], key=lambda item: item[0])
    _unused, turn, shift = best
    normal = np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn)), 0.0])
    return axesFromSagittalPlane(centerRas + shift * normal, normal)


def _discSuperior(upper: FloatArray, lower: FloatArray, axes: AnatomicalAxes) -> FloatArray:
    """Direction of the disc's axis: from click to click, without its sideways part (clicks wander more sideways than discs tilt)."""
    direction = upper - lower
    direction = direction - (direction @ axes.right) * axes.right
    result: FloatArray = direction / np.linalg.norm(direction)
    return result


def _keepLarge(mask: npt.NDArray[np.bool_], minimumVoxels: float, *, dropBorder: bool = False) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import label

    regions, count = label(mask)
    if count == 0:
        return mask
    size = np.bincount(regions.ravel())
    keep = size >= minimumVoxels
    keep[0] = False
    if dropBorder:
        for axis in range(3):
            for end in (0, -1):
                keep[np.unique(np.take(regions, end, axis=axis))] = False
    result: npt.NDArray[np.bool_] = keep[regions]
    return result


def _boneMask(hu: npt.NDArray[np.float32], grid: RasGrid, boneHu: float) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import binary_closing, binary_fill_holes, gaussian_filter

    bone = _keepLarge(gaussian_filter(hu, 0.6) > boneHu, MIN_BONE_MM3 / GRID_MM**3)
    filled = np.zeros_like(bone)
    for k in range(len(bone)):  # trabecular bone: holes of the cortical shell, slice by slice
        if bone[k].any():
            filled[k] = binary_fill_holes(binary_closing(bone[k], iterations=2))
    # Closing bridges the canal and discs too: what it adds must be denser than muscle and disc.
    return bone | (filled & (gaussian_filter(hu, 1.2) > 110.0))


def _enclosedGas(hu: npt.NDArray[np.float32], grid: RasGrid) -> npt.NDArray[np.bool_]:
    return _keepLarge(hu < SKIN_HU, MIN_GAS_MM3 / GRID_MM**3, dropBorder=True)


def _splitBone(
    bone: npt.NDArray[np.bool_], grid: RasGrid, center: FloatArray, axes: AnatomicalAxes, superior: FloatArray
) -> npt.NDArray[np.uint8]:
    anterior = np.cross(superior, axes.right)
    labels = np.zeros(bone.shape, np.uint8)
    k, j, i = np.nonzero(bone)
    points = np.stack([grid.axis(0)[i], grid.axis(1)[j], grid.axis(2)[k]], axis=1) - center
    r, a, s = points @ axes.right, points @ anterior, points @ superior
    near = (np.abs(r) < 45.0) & (a > -80.0) & (a < 32.0)
    labels[k, j, i] = np.select([near & (s > 0) & (s < 36.0), near & (s <= 0) & (s > -36.0)], [UPPER, LOWER], OTHER_BONE)
    return labels


def _vertebra(name: str, selected: npt.NDArray[np.bool_], affine: FloatArray) -> VertebraMask:
    from scipy.ndimage import find_objects

    boxes = find_objects(selected.astype(np.uint8))
    if not boxes:
        raise ValueError(_("No bone was found at {name}: check the clicks, and that the CT is in Hounsfield units.").format(name=name))
    return measureVertebra(name, selected[boxes[0]], affine, boxes[0], selected.shape)


def _disc(
    upper: VertebraMask,
    lower: VertebraMask,
    axes: AnatomicalAxes,
    upperClick: FloatArray,
    lowerClick: FloatArray,
    superior: FloatArray,
    warnings: list[str],
) -> Disc:
    center = 0.5 * (upperClick + lowerClick)
    try:
        disc = deriveDisc(upper, lower, axes)
        if float(np.linalg.norm(disc.centerRas - center)) < 12.0 and disc.heightMm >= 2.0:
            return disc
    except ValueError:
        pass
    warnings.append(
        _("The endplates could not be fitted in the CT: the disc is taken from the two clicks alone, with a typical width and depth.")
    )
    ctAxes = AnatomicalAxes(center - ((center - axes.originRas) @ axes.right) * axes.right, axes.right, axes.anterior, axes.superior)
    height = float((upperClick - lowerClick) @ superior)
    return Disc(
        f"{upper.name}-{lower.name}",
        center,
        ctAxes,
        np.cross(superior, axes.right),
        superior,
        46.0,
        34.0,
        height,
        Endplate(upperClick, superior),
        Endplate(lowerClick, superior),
        0.0,
        "clicks",
    )
