"""Labels of the phantom: names, numbers and Hounsfield units.

Structures that TotalSegmentator segments carry its class names and numbers (task ``total``, version 2); the others, which it
does not know, have numbers from 201 upwards.
"""

from __future__ import annotations

AIR = 0
KIDNEY_RIGHT, KIDNEY_LEFT = 2, 3
SMALL_BOWEL, COLON = 18, 20
SACRUM = 25
VERTEBRA_S1, VERTEBRA_L5, VERTEBRA_L4, VERTEBRA_L3, VERTEBRA_L2, VERTEBRA_L1, VERTEBRA_T12 = range(26, 33)
AORTA, VENA_CAVA = 52, 63
ILIAC_ARTERY_LEFT, ILIAC_ARTERY_RIGHT, ILIAC_VEIN_LEFT, ILIAC_VEIN_RIGHT = 65, 66, 67, 68
HIP_LEFT, HIP_RIGHT = 77, 78
GLUTEUS_LEFT, GLUTEUS_RIGHT = 80, 81
AUTOCHTHON_LEFT, AUTOCHTHON_RIGHT = 86, 87
ILIOPSOAS_LEFT, ILIOPSOAS_RIGHT = 88, 89

DISC_L1_L2, DISC_L2_L3, DISC_L3_L4, DISC_L4_L5, DISC_L5_S1 = range(201, 206)
DURA = 210
ROOT_L1_LEFT = 211  # left roots L1..L5 are 211..215, right ones 216..220
ROOT_L1_RIGHT = 216
SKIN, FAT, FASCIA, FACET_CARTILAGE, QUADRATUS_LUMBORUM, ABDOMINAL_WALL, VISCERAL_FAT = range(230, 237)
PLATE, BALL, TABLE, NEEDLE, GAS = range(240, 245)
DISC_T12_L1 = 206

VERTEBRA_LABELS: dict[str, int] = {
    "T12": VERTEBRA_T12,
    "L1": VERTEBRA_L1,
    "L2": VERTEBRA_L2,
    "L3": VERTEBRA_L3,
    "L4": VERTEBRA_L4,
    "L5": VERTEBRA_L5,
    "S1": VERTEBRA_S1,
}
DISC_LABELS: dict[str, int] = {
    "T12-L1": DISC_T12_L1,
    "L1-L2": DISC_L1_L2,
    "L2-L3": DISC_L2_L3,
    "L3-L4": DISC_L3_L4,
    "L4-L5": DISC_L4_L5,
    "L5-S1": DISC_L5_S1,
}
LUMBAR_LEVELS: tuple[str, ...] = ("L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1")


def _labelNames() -> dict[int, str]:
    names = {
        AIR: "background",
        KIDNEY_RIGHT: "kidney_right",
        KIDNEY_LEFT: "kidney_left",
        SMALL_BOWEL: "small_bowel",
        COLON: "colon",
        SACRUM: "sacrum",
        AORTA: "aorta",
        VENA_CAVA: "inferior_vena_cava",
        ILIAC_ARTERY_LEFT: "iliac_artery_left",
        ILIAC_ARTERY_RIGHT: "iliac_artery_right",
        ILIAC_VEIN_LEFT: "iliac_vena_left",
        ILIAC_VEIN_RIGHT: "iliac_vena_right",
        HIP_LEFT: "hip_left",
        HIP_RIGHT: "hip_right",
        GLUTEUS_LEFT: "gluteus_maximus_left",
        GLUTEUS_RIGHT: "gluteus_maximus_right",
        AUTOCHTHON_LEFT: "autochthon_left",
        AUTOCHTHON_RIGHT: "autochthon_right",
        ILIOPSOAS_LEFT: "iliopsoas_left",
        ILIOPSOAS_RIGHT: "iliopsoas_right",
        DURA: "dural_sac",
        SKIN: "skin",
        FAT: "subcutaneous_fat",
        FASCIA: "thoracolumbar_fascia",
        FACET_CARTILAGE: "facet_cartilage",
        QUADRATUS_LUMBORUM: "quadratus_lumborum",
        ABDOMINAL_WALL: "abdominal_wall",
        VISCERAL_FAT: "visceral_fat",
        PLATE: "marker_plate",
        BALL: "marker_ball",
        TABLE: "ct_table",
        NEEDLE: "needle",
        GAS: "gas",
    }
    names |= {label: f"vertebrae_{level}" for level, label in VERTEBRA_LABELS.items()}
    names |= {label: f"disc_{level}" for level, label in DISC_LABELS.items()}
    for offset, level in enumerate(("L1", "L2", "L3", "L4", "L5")):
        names[ROOT_L1_LEFT + offset] = f"root_{level}_left"
        names[ROOT_L1_RIGHT + offset] = f"root_{level}_right"
    return names


LABEL_NAMES: dict[int, str] = _labelNames()
"""Name of every label number of ``LumbarPhantom.labels``."""

BONE_LABELS: frozenset[int] = frozenset({SACRUM, HIP_LEFT, HIP_RIGHT, *VERTEBRA_LABELS.values()})


def rootLabel(level: str, side: str) -> int:
    """Label of the exiting root of a vertebra (``L1``..``L5``) on a side (``left``, ``right``)."""
    return (ROOT_L1_LEFT if side == "left" else ROOT_L1_RIGHT) + int(level[1]) - 1
