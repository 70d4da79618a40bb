"""The anatomy a plan needs, from a label array and the CT.

``SpineAnatomy`` is plain arrays and dataclasses: no nodes. ``anatomyFromLabels`` takes any segmentation whose names say what they are;
discs come from the vertebrae, roots and dura from a model unless a segment holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.CtSuitability import checkCt, checkGeometry
from IntradiscalNavLib.Planning.DiscGeometry import FUSED_HEIGHT_MM, Disc, FacetJoint, deriveDisc, findFacetJoint, withSegment
from IntradiscalNavLib.Planning.NerveModel import NervePath, modelDura, modelRoots
from IntradiscalNavLib.Planning.SkinSurface import SkinSurface, skinFromCt
from IntradiscalNavLib.Planning.StructureNames import VERTEBRA_ORDER, Structure, StructureKind, nameStructures
from IntradiscalNavLib.Planning.VertebraGeometry import VertebraMask, fitMidSagittalAxes, measureVertebra
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SpineAnatomy:
    """Anatomy in RAS mm.

    ``labels`` (k, j, i) with ``ijkToRas`` hold every tissue; ``structures`` says what each label value is. ``nerves`` are the modelled
    roots and dura (empty where segments hold them). ``unseen`` names the kinds of tissue no segment holds: they cannot be avoided, and
    plans say so.
    """

    labels: npt.NDArray[np.uint8]
    ijkToRas: FloatArray
    structures: Mapping[int, Structure]
    vertebrae: Mapping[str, VertebraMask]
    discs: Mapping[str, Disc]
    facets: Mapping[str, FacetJoint]
    nerves: tuple[NervePath, ...]
    skin: SkinSurface
    unseen: tuple[StructureKind, ...] = ()
    warnings: tuple[str, ...] = ()
    levelProblems: Mapping[str, str] = field(default_factory=dict)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the discs found, cranial first."""
        return tuple(self.discs)

    def disc(self, level: str) -> Disc:
        """The disc of a level.

        :raises ValueError: naming why it cannot be planned and what is there.
        """
        if level in self.discs:
            return self.discs[level]
        reason = self.levelProblems.get(
            level, _("its vertebrae are not in the segmentation (found: {names})").format(names=", ".join(self.vertebrae) or "none")
        )
        raise ValueError(
            _("Level {level} cannot be planned: {reason}. Levels that can: {names}.").format(
                level=level, reason=reason, names=", ".join(self.discs) or "none"
            )
        )

    def facet(self, level: str, side: str) -> FacetJoint:
        """A facet joint.

        :raises ValueError: when it was not found.
        """
        found = self.facets.get(f"{level} {side}")
        if found is None:
            self.disc(level)
            raise ValueError(
                _(
                    "The {side} facet joint of {level} was not found: its articular processes do not face each other in the segmentation."
                ).format(side=side, level=level)
            )
        return found

    def labelValues(self, *kinds: StructureKind) -> tuple[int, ...]:
        """Label values of the given kinds."""
        return tuple(value for value, structure in self.structures.items() if structure.kind in kinds)

    def withNerve(self, nerve: NervePath) -> SpineAnatomy:
        """Copy with a nerve of the same name replaced (or added): how a drawn root takes the model's place."""
        return replace(self, nerves=(*(n for n in self.nerves if n.name != nerve.name), nerve))


def anatomyFromLabels(
    labels: npt.NDArray,
    ijkToRas: npt.ArrayLike,
    names: Mapping[int, str] | None = None,
    *,
    terminology: Mapping[int, str] | None = None,
    ctHu: npt.NDArray | None = None,
    ctIjkToRas: npt.ArrayLike | None = None,
    skin: SkinSurface | None = None,
    patientPosition: str = "",
) -> SpineAnatomy:
    """Anatomy of a labelled CT.

    :param labels: (k, j, i) integers, 0 is background.
    :param ijkToRas: 4x4 of the labels; any affine, a gantry tilt (shear) included.
    :param names: segment name per label value; None takes TotalSegmentator v2 numbers.
    :param ctHu: Hounsfield values, on the labels' grid unless ``ctIjkToRas`` is given; the skin is found in it. Or give ``skin``.
    :param patientPosition: DICOM Patient Position ("HFP", "HFS", …) where known.
    :raises ValueError: when no vertebra or no skin is there, or arrays do not fit, naming the remedy.
    """
    labels = np.asarray(labels)
    affine = np.asarray(ijkToRas, float)
    warnings = list(checkGeometry(labels.shape, affine, "segmentation"))
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            _("The label array holds {dtype}, not integers; export the segmentation as a label map.").format(dtype=labels.dtype)
        )
    compact, named, nameWarnings = _compactLabels(labels, names, terminology)
    warnings += nameWarnings
    structures = named
    if skin is None:
        if ctHu is None:
            raise ValueError(_("No skin: give the CT (ctHu) or a skin surface; entries cannot be planned without it."))
        ctAffine = affine if ctIjkToRas is None else np.asarray(ctIjkToRas, float)
        if ctIjkToRas is None and np.shape(ctHu) != labels.shape:
            raise ValueError(
                _("CT {shape} and segmentation {labelsShape} have different grids; give the CT's own ijkToRas (ctIjkToRas).").format(
                    shape=np.shape(ctHu), labelsShape=labels.shape
                )
            )
        if ctIjkToRas is not None:
            warnings += checkGeometry(np.shape(ctHu), ctAffine, "CT")
        skin = skinFromCt(ctHu, ctAffine)
        warnings += checkCt(ctHu, ctAffine, skin, patientPosition)
    vertebrae, problems = _measureVertebrae(compact, affine, structures)
    warnings += problems.values()
    if not vertebrae:
        understood = sorted({s.kind.value for s in structures.values() if s.kind is not StructureKind.IGNORED})
        raise ValueError(
            _(
                "No vertebra was found in the segmentation. Name the segments (vertebrae_L4, L4, …) or give their terminology; "
                "understood here: {names}."
            ).format(names=", ".join(understood) or "nothing")
        )
    discs, levelProblems, discWarnings = _deriveDiscs(vertebrae)
    warnings += discWarnings
    warnings += _useDiscSegments(discs, compact, affine, structures)
    warnings += _numberingWarnings(tuple(vertebrae))
    facets: dict[str, FacetJoint] = {}
    for level, disc in discs.items():
        upper, lower = level.split("-")
        for side in ("left", "right"):
            joint = findFacetJoint(vertebrae[upper], vertebrae[lower], disc, side)
            if joint is not None:
                facets[f"{level} {side}"] = joint
    nerves = _modelNerves(vertebrae, discs, structures, compact, affine)
    present = {s.kind for s in structures.values()}
    watched = (StructureKind.VESSEL, StructureKind.BOWEL, StructureKind.KIDNEY, StructureKind.ILIUM)
    unseen = tuple(kind for kind in watched if kind not in present)
    if unseen:
        warnings.append(_("Not in the segmentation and therefore not avoided: {names}.").format(names=", ".join(k.value for k in unseen)))
    return SpineAnatomy(compact, affine, structures, vertebrae, discs, facets, nerves, skin, unseen, tuple(warnings), levelProblems)


def _compactLabels(
    labels: npt.NDArray, names: Mapping[int, str] | None, terminology: Mapping[int, str] | None
) -> tuple[npt.NDArray[np.uint8], dict[int, Structure], list[str]]:
    if labels.dtype == np.uint8:
        present = np.zeros(256, bool)
        for part in labels:  # slice by slice: bincount of the whole volume would need eight times its memory
            present |= np.bincount(part.ravel(), minlength=256) > 0
        values = np.flatnonzero(present)
    else:
        values = np.unique(labels)
    named = nameStructures((int(v) for v in values), names, terminology)
    warnings = []
    if named.assumedNumbering:
        warnings.append(_("The segmentation carries no names; its numbers were taken as TotalSegmentator v2 classes. Confirm the level."))
    if named.unknownNames:
        shown = ", ".join(named.unknownNames[:8]) + (" …" if len(named.unknownNames) > 8 else "")
        warnings.append(
            _("{count} segment names were not understood and are not avoided: {shown}.").format(count=len(named.unknownNames), shown=shown)
        )
    if labels.dtype == np.uint8:
        return labels, dict(named.byLabel), warnings
    wanted = [v for v, s in named.byLabel.items() if s.kind is not StructureKind.IGNORED]
    if len(wanted) > 255:
        raise ValueError(
            _("{count} segments are too many for one plan (255); export only spine, pelvis, vessels, bowel and kidneys.").format(
                count=len(wanted)
            )
        )
    if values.min() >= 0 and values.max() <= 255:
        return labels.astype(np.uint8), dict(named.byLabel), warnings
    lookup = np.zeros(len(values), np.uint8)
    structures: dict[int, Structure] = {}
    for code, value in enumerate(wanted, start=1):
        lookup[np.searchsorted(values, value)] = code
        structures[code] = named.byLabel[value]
    return lookup[np.searchsorted(values, labels)], structures, warnings


def _measureVertebrae(
    labels: npt.NDArray[np.uint8], affine: FloatArray, structures: Mapping[int, Structure]
) -> tuple[dict[str, VertebraMask], dict[str, str]]:
    from scipy.ndimage import find_objects

    byName: dict[str, list[int]] = {}
    for value, structure in structures.items():
        if structure.kind is StructureKind.VERTEBRA and structure.level:
            byName.setdefault(structure.level, []).append(value)
    if "sacrum" in byName:
        sacrum = byName.pop("sacrum")
        byName.setdefault("S1", sacrum)
    boxes = find_objects(labels)
    vertebrae, problems = {}, {}
    for name in VERTEBRA_ORDER:
        values = [v for v in byName.get(name, []) if v <= len(boxes) and boxes[v - 1] is not None]
        if not values:
            continue
        box = tuple(slice(min(boxes[v - 1][axis].start for v in values), max(boxes[v - 1][axis].stop for v in values)) for axis in range(3))
        try:
            vertebrae[name] = measureVertebra(name, np.isin(labels[box], values), affine, box, labels.shape)
        except ValueError as error:
            problems[name] = str(error)
    return vertebrae, problems


def _deriveDiscs(vertebrae: Mapping[str, VertebraMask]) -> tuple[dict[str, Disc], dict[str, str], list[str]]:
    order = [name for name in VERTEBRA_ORDER if name in vertebrae]
    discs: dict[str, Disc] = {}
    problems: dict[str, str] = {}
    warnings: list[str] = []
    for n, (upper, lower) in enumerate(pairwise(order)):
        if not upper.startswith("L") and not lower.startswith("L"):
            continue
        level = f"{upper}-{lower}"
        gap = float(np.linalg.norm(vertebrae[upper].bodyCenterRas - vertebrae[lower].bodyCenterRas))
        if gap > 70.0:
            problems[level] = _(
                "{upper} and {lower} lie {gap:.0f} mm apart, a vertebra between them is missing in the segmentation"
            ).format(upper=upper, lower=lower, gap=gap)
            continue
        around = [vertebrae[name] for name in order[max(0, n - 1) : n + 3]]
        try:
            axes = fitMidSagittalAxes(around, 0.5 * (vertebrae[upper].bodyCenterRas + vertebrae[lower].bodyCenterRas))
            disc = deriveDisc(vertebrae[upper], vertebrae[lower], axes)
        except ValueError as error:
            problems[level] = str(error).rstrip(".")
            continue
        if disc.heightMm < FUSED_HEIGHT_MM or disc.bridgedShare > 0.6:
            touching = _("{bridgedShare:.0f} % of the endplates touch").format(bridgedShare=100 * disc.bridgedShare)
            problems[level] = _("{upper} and {lower} appear fused (disc height {heightMm:.1f} mm, {touching})").format(
                upper=upper, lower=lower, heightMm=disc.heightMm, touching=touching
            )
            warnings.append(_("{level}: {problems}; it is not planned.").format(level=level, problems=problems[level]))
            continue
        if disc.heightMm < 5.0:
            warnings.append(
                _("{level}: the disc is only {heightMm:.1f} mm high; the window between the endplates is narrow.").format(
                    level=level, heightMm=disc.heightMm
                )
            )
        if (vertebrae[upper].touchesVolumeEdge or vertebrae[lower].touchesVolumeEdge) and _cutNear(vertebrae, upper, lower, disc):
            warnings.append(_("{level}: a vertebra is cut by the edge of the volume; its far side is not avoided.").format(level=level))
        discs[level] = disc
    return discs, problems, warnings


def _useDiscSegments(
    discs: dict[str, Disc], labels: npt.NDArray[np.uint8], affine: FloatArray, structures: Mapping[int, Structure]
) -> list[str]:
    """Discs that have a segment of their own take centre and outline from it."""
    from scipy.ndimage import find_objects

    named = {s.level: value for value, s in structures.items() if s.kind is StructureKind.DISC and s.level in discs}
    if not named:
        return []
    boxes = find_objects(labels)
    warnings = []
    for level, value in named.items():
        box = boxes[value - 1] if value <= len(boxes) else None
        if box is None:
            continue
        k, j, i = np.nonzero(labels[box] == value)
        if len(k) < 30:
            continue
        start = [box[2].start, box[1].start, box[0].start]
        try:
            discs[level] = withSegment(discs[level], (np.stack([i, j, k], axis=1) + start) @ affine[:3, :3].T + affine[:3, 3])
        except ValueError as error:
            warnings.append(str(error))
    return warnings


def _cutNear(vertebrae: Mapping[str, VertebraMask], upper: str, lower: str, disc: Disc) -> bool:
    return any(
        vertebrae[name].touchesVolumeEdge and float(np.linalg.norm(vertebrae[name].bodyCenterRas - disc.centerRas)) < 40.0
        for name in (upper, lower)
    )


def _numberingWarnings(found: tuple[str, ...]) -> list[str]:
    warnings = []
    if "L6" in found or "T13" in found:
        warnings.append(
            _("A transitional vertebra is labelled (L6 or T13): confirm the level by counting from the sacrum and from the ribs.")
        )
    lumbar = [name for name in found if name.startswith("L")]
    if "S1" in found and any(name.startswith("T") for name in found) and len(lumbar) != 5:
        warnings.append(
            _("{count} lumbar vertebrae lie between thorax and sacrum instead of 5: numbering may be off; confirm the level.").format(
                count=len(lumbar)
            )
        )
    if "S1" not in found:
        warnings.append(_("The sacrum is not in the segmentation: the level cannot be counted from below; confirm it."))
    return warnings


def _modelNerves(
    vertebrae: Mapping[str, VertebraMask],
    discs: Mapping[str, Disc],
    structures: Mapping[int, Structure],
    labels: npt.NDArray[np.uint8],
    affine: FloatArray,
) -> tuple[NervePath, ...]:
    drawn = {(s.level, s.side) for s in structures.values() if s.kind is StructureKind.ROOT}
    nerves: list[NervePath] = []
    for level, disc in discs.items():
        upper, lower = (vertebrae[name] for name in level.split("-"))
        if ("", "") in drawn:
            continue
        for root in modelRoots(upper, lower, disc):
            name = root.name.split(" ")[0]
            if not drawn & {(name, root.side), (name, ""), ("", root.side)}:
                nerves.append(replace(root, name=f"{root.name} at {level}"))
    dura = modelDura([(vertebrae[a], vertebrae[b], disc) for (a, b), disc in ((level.split("-"), d) for level, d in discs.items())])
    if dura is not None:
        values = [v for v, s in structures.items() if s.kind is StructureKind.DURA]
        covered = _coveredVertices(dura, labels, affine, values)
        if not covered.all():
            nerves.append(dura)
    return tuple(nerves)


def _coveredVertices(path: NervePath, labels: npt.NDArray[np.uint8], affine: FloatArray, values: list[int]) -> npt.NDArray[np.bool_]:
    """Which vertices of the path have the segment in the same axial neighbourhood (12 mm): there the segment replaces the model."""
    covered = np.zeros(len(path.pointsRas), bool)
    if not values:
        return covered
    rasToIjk = np.linalg.inv(affine)
    reach = np.ceil(12.0 * np.abs(rasToIjk[:3, :3]).sum(1)).astype(int)
    for n, point in enumerate(path.pointsRas):
        ijk = np.rint(rasToIjk[:3, :3] @ point + rasToIjk[:3, 3]).astype(int)
        low, high = np.maximum(ijk - reach, 0), np.maximum(ijk + reach + 1, 0)
        covered[n] = bool(np.isin(labels[low[2] : high[2], low[1] : high[1], low[0] : high[0]], values).any())
    return covered
