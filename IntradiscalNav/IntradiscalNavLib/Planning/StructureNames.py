"""What a segment is, from its name, its terminology entry or its TotalSegmentator number.

Planning needs few kinds of tissue. Everything a segment can be called is mapped here, once, to a ``Structure``: a kind (what may not be
crossed) and, for the spine, the vertebra or disc it is. Names nobody understands are reported, never guessed at.

Sources: class numbers of TotalSegmentator v2 ``total``; SNOMED CT codes of DICOM CID 7603 (vertebra) and CID 7604 (intervertebral disc).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum


class StructureKind(str, Enum):
    """Kinds of tissue the planner treats differently."""

    VERTEBRA = "vertebra"
    ILIUM = "ilium"
    RIB = "rib"
    BONE = "bone"
    DISC = "disc"
    ROOT = "root"
    DURA = "dura"
    VESSEL = "vessel"
    BOWEL = "bowel"
    KIDNEY = "kidney"
    ORGAN = "organ"
    SKIN = "skin"
    IGNORED = "ignored"


BONE_KINDS = frozenset({StructureKind.VERTEBRA, StructureKind.ILIUM, StructureKind.RIB, StructureKind.BONE})


@dataclass(frozen=True)
class Structure:
    """Meaning of a segment: its kind, the vertebra ("L4"), disc ("L4-L5") or root ("L4") it is, its side, and the name it came with."""

    kind: StructureKind
    level: str = ""
    side: str = ""
    name: str = ""


VERTEBRA_ORDER = (*(f"T{n}" for n in range(1, 13)), "T13", *(f"L{n}" for n in range(1, 7)), "S1")
"""Caudal order of vertebra names. T13 and L6 are transitional; which of them exist is found in the segmentation, not assumed."""

TOTAL_SEGMENTATOR_CLASSES: Mapping[int, str] = {
    1: "spleen",
    2: "kidney_right",
    3: "kidney_left",
    4: "gallbladder",
    5: "liver",
    6: "stomach",
    7: "pancreas",
    8: "adrenal_gland_right",
    9: "adrenal_gland_left",
    10: "lung_upper_lobe_left",
    11: "lung_lower_lobe_left",
    12: "lung_upper_lobe_right",
    13: "lung_middle_lobe_right",
    14: "lung_lower_lobe_right",
    18: "small_bowel",
    19: "duodenum",
    20: "colon",
    21: "urinary_bladder",
    22: "prostate",
    23: "kidney_cyst_left",
    24: "kidney_cyst_right",
    25: "sacrum",
    26: "vertebrae_S1",
    **{26 + n: f"vertebrae_L{6 - n}" for n in range(1, 6)},
    **{31 + n: f"vertebrae_T{13 - n}" for n in range(1, 13)},
    52: "aorta",
    63: "inferior_vena_cava",
    64: "portal_vein_and_splenic_vein",
    65: "iliac_artery_left",
    66: "iliac_artery_right",
    67: "iliac_vena_left",
    68: "iliac_vena_right",
    75: "femur_left",
    76: "femur_right",
    77: "hip_left",
    78: "hip_right",
    79: "spinal_cord",
    80: "gluteus_maximus_left",
    81: "gluteus_maximus_right",
    82: "gluteus_medius_left",
    83: "gluteus_medius_right",
    84: "gluteus_minimus_left",
    85: "gluteus_minimus_right",
    86: "autochthon_left",
    87: "autochthon_right",
    88: "iliopsoas_left",
    89: "iliopsoas_right",
    **{91 + n: f"rib_left_{n}" for n in range(1, 13)},
    **{103 + n: f"rib_right_{n}" for n in range(1, 13)},
    116: "sternum",
    117: "costal_cartilages",
}

_SNOMED: Mapping[str, Structure] = {
    **{
        code: Structure(StructureKind.VERTEBRA, level)
        for code, level in (
            ("66794005", "L1"),
            ("14293000", "L2"),
            ("36470004", "L3"),
            ("11994002", "L4"),
            ("49668003", "L5"),
            ("23215003", "T12"),
            ("12989004", "T11"),
            ("7610001", "T10"),
        )
    },
    **{
        code: Structure(StructureKind.DISC, level)
        for code, level in (
            ("76206002", "T12-L1"),
            ("80064006", "L1-L2"),
            ("67459009", "L2-L3"),
            ("62551000", "L3-L4"),
            ("84020006", "L4-L5"),
            ("715056000", "L5-S1"),
        )
    },
    "54735007": Structure(StructureKind.VERTEBRA, "sacrum"),
    "22356005": Structure(StructureKind.ILIUM),
    "64033007": Structure(StructureKind.KIDNEY),
    "15825003": Structure(StructureKind.VESSEL),
    "64131007": Structure(StructureKind.VESSEL),
    "73634005": Structure(StructureKind.VESSEL),
    "46027005": Structure(StructureKind.VESSEL),
    "71854001": Structure(StructureKind.BOWEL),
    "30315005": Structure(StructureKind.BOWEL),
    "38848004": Structure(StructureKind.BOWEL),
    "2748008": Structure(StructureKind.DURA),
    "18545000": Structure(StructureKind.DURA),
    "10200004": Structure(StructureKind.ORGAN),
    "78961009": Structure(StructureKind.ORGAN),
    "39607008": Structure(StructureKind.ORGAN),
    "39937001": Structure(StructureKind.SKIN),
}

_WORDS: tuple[tuple[StructureKind, tuple[str, ...]], ...] = (
    # Order matters: "iliac artery" before "iliac", "root" before a bare vertebra name.
    (
        StructureKind.VESSEL,
        (
            "artery", "arteries", "vein", "vena", "aorta", "cava", "ivc", "vessel", "vessels",
        ),
    ),
    (
        StructureKind.IGNORED,
        (
            "femur", "gluteus", "autochthon", "iliopsoas", "psoas", "muscle", "fat", "cartilage", "cartilages", "prostate", "sternum",
            "lamina", "heart", "humerus", "scapula", "clavicula", "skull", "brain", "esophagus", "trachea", "thyroid", "atrial", "fascia",
            "lumborum", "wall", "plate", "ball", "table", "marker", "cartilage",
        ),
    ),
    (StructureKind.ROOT, ("root", "roots", "nerve", "nerves", "ganglion", "drg")),
    (StructureKind.DISC, ("disc", "discs", "disk", "disks", "intervertebral")),
    (StructureKind.DURA, ("dura", "dural", "thecal", "cord", "cauda", "canal")),
    (StructureKind.KIDNEY, ("kidney", "kidneys", "renal", "ureter")),
    (StructureKind.BOWEL, ("colon", "bowel", "duodenum", "rectum", "sigmoid", "intestine", "caecum", "cecum", "ileum", "jejunum")),
    (StructureKind.ILIUM, ("hip", "hips", "ilium", "iliac", "pelvis", "innominate")),
    (StructureKind.RIB, ("rib", "ribs")),
    (StructureKind.ORGAN, ("liver", "spleen", "lung", "stomach", "pancreas", "gallbladder", "bladder", "adrenal", "organ")),
    (StructureKind.SKIN, ("skin", "body", "external")),
    (StructureKind.BONE, ("bone", "bones", "spine")),
)  # fmt: skip

_VERTEBRA = re.compile(r"\b(t1[0-3]|t[1-9]|l[1-6]|s1)\b")


def structureFromName(name: str) -> Structure | None:
    """Structure a segment name stands for, or None when it says nothing known.

    Understands TotalSegmentator class names ("vertebrae_L4"), TotalSpineSeg ("disc_L4_L5") and plain names ("L4", "Left L5 root", "dural
    sac").
    """
    text = re.sub(r"[^a-z0-9]+", " ", name.lower().strip())
    if not text:
        return None
    words = set(text.split())
    side = "left" if words & {"left", "l", "sinistra", "lt"} else "right" if words & {"right", "r", "dextra", "rt"} else ""
    vertebrae = [found.upper() for found in _VERTEBRA.findall(text)]
    if {"vertebra", "vertebrae"} & words and vertebrae:
        return Structure(StructureKind.VERTEBRA, vertebrae[0], side, name)
    for kind, kindWords in _WORDS:
        if kind is StructureKind.SKIN and vertebrae:
            continue
        if words & set(kindWords):
            level = ""
            if kind is StructureKind.DISC:
                level = "-".join(vertebrae[:2]) if len(vertebrae) >= 2 else discBelow(vertebrae[0]) if vertebrae else ""
            elif kind is StructureKind.ROOT:
                level = vertebrae[0] if vertebrae else ""
            return Structure(kind, level, side, name)
    if "sacrum" in words or "sacral" in words:
        return Structure(StructureKind.VERTEBRA, "S1" if vertebrae == ["S1"] else "sacrum", side, name)
    if len(vertebrae) == 2:
        return Structure(StructureKind.DISC, "-".join(vertebrae), side, name)
    if len(vertebrae) == 1:
        return Structure(StructureKind.VERTEBRA, vertebrae[0], side, name)
    return None


def structureFromTerminology(entry: str) -> Structure | None:
    """Structure of a Slicer terminology entry ("…~SCT^123037004^Anatomical Structure~SCT^11994002^L4 vertebra~…"), or None.

    The SNOMED code decides; an unknown code falls back to the meanings' words.
    """
    side = "left" if "^left" in entry.lower() else "right" if "^right" in entry.lower() else ""
    for code in re.findall(r"SCT\^(\d+)\^", entry):
        if code in _SNOMED:
            known = _SNOMED[code]
            return Structure(known.kind, known.level, side, entry)
    parts = entry.split("~")
    for part in parts[2:4]:
        meaning = part.split("^")[-1]
        found = structureFromName(meaning)
        if found is not None and found.kind is not StructureKind.SKIN:
            return Structure(found.kind, found.level, side or found.side, entry)
    return None


def discBelow(vertebra: str) -> str:
    """Name of the disc under a vertebra as it is called in a normal spine ("L5" gives "L5-S1"). Empty for a name not known."""
    order = [v for v in VERTEBRA_ORDER if v not in ("T13", "L6")]
    if vertebra not in order or vertebra == "S1":
        return ""
    return f"{vertebra}-{order[order.index(vertebra) + 1]}"


@dataclass(frozen=True)
class NamedStructures:
    """Structures by label value, and the names that could not be understood."""

    byLabel: Mapping[int, Structure]
    unknownNames: tuple[str, ...]
    assumedNumbering: bool


def nameStructures(
    labelValues: Iterable[int], names: Mapping[int, str] | None = None, terminology: Mapping[int, str] | None = None
) -> NamedStructures:
    """Structures of the label values present in a label array.

    :param names: segment name per label value. Without names the numbers are taken as TotalSegmentator v2 ``total`` classes
        (``assumedNumbering`` then says so, for the user to confirm).
    :param terminology: Slicer terminology entry per label value; wins over a name that says nothing.
    """
    byLabel: dict[int, Structure] = {}
    unknown: list[str] = []
    for value in sorted({int(v) for v in labelValues} - {0}):
        entry = (terminology or {}).get(value, "")
        name = names.get(value, "") if names is not None else TOTAL_SEGMENTATOR_CLASSES.get(value, "")
        structure = structureFromName(name) or (structureFromTerminology(entry) if entry else None)
        if structure is None:
            unknown.append(name or f"label {value}")
            structure = Structure(StructureKind.IGNORED, name=name)
        byLabel[value] = structure
    return NamedStructures(byLabel, tuple(unknown), names is None)
