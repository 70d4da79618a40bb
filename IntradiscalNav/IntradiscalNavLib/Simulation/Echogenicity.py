"""How bright the simulated tissues are in ultrasound: mean level, speckle and what their interfaces reflect."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from . import PhantomLabels as Labels

GAS_LIKE = (Labels.AIR, Labels.GAS)
"""Nothing is seen behind these."""

_LEVELS: dict[int, float] = {
    Labels.AIR: 0.0,
    Labels.GAS: 0.0,
    Labels.TABLE: 0.0,
    Labels.SKIN: 0.62,
    Labels.FAT: 0.30,
    Labels.FASCIA: 0.70,
    Labels.VISCERAL_FAT: 0.42,
    Labels.AUTOCHTHON_LEFT: 0.34,
    Labels.AUTOCHTHON_RIGHT: 0.34,
    Labels.ILIOPSOAS_LEFT: 0.30,
    Labels.ILIOPSOAS_RIGHT: 0.30,
    Labels.QUADRATUS_LUMBORUM: 0.32,
    Labels.GLUTEUS_LEFT: 0.33,
    Labels.GLUTEUS_RIGHT: 0.33,
    Labels.ABDOMINAL_WALL: 0.33,
    Labels.DURA: 0.08,
    Labels.AORTA: 0.05,
    Labels.VENA_CAVA: 0.05,
    Labels.KIDNEY_LEFT: 0.36,
    Labels.KIDNEY_RIGHT: 0.36,
    Labels.COLON: 0.45,
    Labels.SMALL_BOWEL: 0.42,
    Labels.FACET_CARTILAGE: 0.25,
    Labels.PLATE: 0.55,
    Labels.BALL: 0.9,
}


def brightnessTable() -> npt.NDArray[np.float32]:
    """Mean brightness (0..1, before shadow) of every label."""
    table = np.full(256, 0.35, np.float32)
    for label, level in _LEVELS.items():
        table[label] = level
    for label in Labels.BONE_LABELS:
        table[label] = 0.30
    for label in Labels.DISC_LABELS.values():
        table[label] = 0.40
    return table


def interfaceTable() -> npt.NDArray[np.uint8]:
    """Acoustic group of every label: a change of group along a scan line gives an echo. Parts of one muscle share a group."""
    table = np.full(256, 1, np.uint8)
    groups = {
        0: (Labels.AIR, Labels.GAS, Labels.TABLE),
        2: (Labels.SKIN,),
        3: (Labels.FAT,),
        4: (Labels.FASCIA,),
        5: (Labels.AUTOCHTHON_LEFT, Labels.AUTOCHTHON_RIGHT),
        6: (Labels.ILIOPSOAS_LEFT, Labels.ILIOPSOAS_RIGHT),
        7: (Labels.QUADRATUS_LUMBORUM,),
        8: (Labels.KIDNEY_LEFT, Labels.KIDNEY_RIGHT),
        9: (Labels.COLON, Labels.SMALL_BOWEL),
        10: (Labels.ABDOMINAL_WALL, Labels.GLUTEUS_LEFT, Labels.GLUTEUS_RIGHT),
        11: (Labels.DURA,),
        12: tuple(Labels.DISC_LABELS.values()),
    }
    for group, labels in groups.items():
        for label in labels:
            table[label] = group
    return table


def stripedTable() -> npt.NDArray[np.float32]:
    """Strength of the fibre stripes: muscles show them, fat shows fainter septa."""
    table = np.zeros(256, np.float32)
    for label in (
        Labels.AUTOCHTHON_LEFT,
        Labels.AUTOCHTHON_RIGHT,
        Labels.ABDOMINAL_WALL,
        Labels.QUADRATUS_LUMBORUM,
        Labels.GLUTEUS_LEFT,
        Labels.GLUTEUS_RIGHT,
    ):
        table[label] = 0.16
    for label in (Labels.ILIOPSOAS_LEFT, Labels.ILIOPSOAS_RIGHT, Labels.FAT):
        table[label] = 0.09
    return table
