"""Quantities of dose as vendors really write their units, and effective dose with a named k factor."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from TranslatedText.Translation import tr as _


@dataclass(frozen=True)
class DoseFactor:
    """Conversion from DLP to effective dose: kMSvPerMGyCm in mSv / (mGy·cm), and where it comes from."""

    kMSvPerMGyCm: float
    source: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.kMSvPerMGyCm) and 0 < self.kMSvPerMGyCm < 1):
            raise ValueError(
                _("k factor {kMSvPerMGyCm} mSv/(mGy·cm) is not plausible; adult trunk is about 0.015").format(
                    kMSvPerMGyCm=self.kMSvPerMGyCm
                )
            )
        if not self.source.strip():
            raise ValueError(_("A k factor needs its source (publication, table, region)"))

    def effectiveDoseMSv(self, dlpMGyCm: float) -> float:
        return dlpMGyCm * self.kMSvPerMGyCm

    def text(self) -> str:
        return f"E = {self.kMSvPerMGyCm:g} mSv/(mGy·cm) × DLP; {self.source}"


DEFAULT_DOSE_FACTOR = DoseFactor(0.015, "AAPM Report 96, adult abdomen/pelvis/trunk")
DOSE_FACTORS: tuple[DoseFactor, ...] = (
    DEFAULT_DOSE_FACTOR,
    DoseFactor(0.01843, "lumbar spine protocol, ICRP 103 (PMC7554984)"),
    DoseFactor(0.0153, "adult abdomen, ICRP 103 (Deak 2010)"),
    DoseFactor(0.0129, "adult pelvis, ICRP 103 (Deak 2010)"),
    DoseFactor(0.0152, "adult trunk, ICRP 103 (Deak 2010)"),
    DoseFactor(0.018, "body at 120 kV (Huda 2008)"),
)

_DOSE_SCALE = {"mgy": 1.0, "gy": 1000.0, "cgy": 10.0, "ugy": 0.001, "rad": 10.0, "mrad": 0.01}
_LENGTH_SCALE = {"cm": 1.0, "mm": 0.1, "m": 100.0}


def _plain(unit: str) -> str:
    return re.sub(r"[\s.·⋅*×_\-\[\]()]+", "", unit.replace("µ", "u").replace("μ", "u")).lower()


def dlpInMGyCm(value: float, unit: str) -> float:
    """DLP in mGy·cm from any spelling: mGy.cm, mGycm, mGy*cm, 'mGy cm', Gy.cm, mGy.mm, mGy·cm.

    Raises ValueError for a unit that is no dose times length, or a value that is negative or not finite.
    """
    return _scaled(value, unit, _DLP_UNITS, "DLP", "mGy.cm")


def doseInMGy(value: float, unit: str) -> float:
    """CTDIvol in mGy from any spelling. Raises ValueError like dlpInMGyCm."""
    return _scaled(value, unit, _DOSE_SCALE, "CTDIvol", "mGy")


_DLP_UNITS = {dose + length: a * b for dose, a in _DOSE_SCALE.items() for length, b in _LENGTH_SCALE.items()}


def _scaled(value: float, unit: str, table: dict[str, float], what: str, wanted: str) -> float:
    scale = table.get(_plain(unit))
    if scale is None:
        raise ValueError(
            _("'{unit}' is not a unit of {what}; expected {wanted} or another spelling of it").format(unit=unit, what=what, wanted=wanted)
        )
    if not math.isfinite(value) or value < 0:
        raise ValueError(_("{what} of {value} {unit} is impossible; correct the entry").format(what=what, value=value, unit=unit))
    return value * scale
