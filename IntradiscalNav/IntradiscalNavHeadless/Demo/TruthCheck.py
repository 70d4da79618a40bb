"""Compares the run with what the phantom knows. The only place of the demo that may look at the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavHeadless.Demo.DemoRun import TIP_LIMIT_MM, TRE_LIMIT_MM
from IntradiscalNavLib.Simulation.PhantomTruth import PhantomTruth

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TruthCheck:
    """Errors against the phantom (mm)."""

    treMm: float
    """Registration: where the disc's centre comes to lie, against where it is."""
    shownTipErrorMm: float
    """Where the needle's tip was shown, against where the bent needle's tip truly was."""
    tipToTargetMm: float
    """True tip to planned target."""

    @property
    def passed(self) -> bool:
        return self.treMm <= TRE_LIMIT_MM and self.shownTipErrorMm <= TIP_LIMIT_MM and self.tipToTargetMm <= TIP_LIMIT_MM


def checkAgainstTruth(
    truth: PhantomTruth, level: str, referenceToRas: FloatArray, shownTipRas: FloatArray, trueTipRas: FloatArray, targetRas: FloatArray
) -> TruthCheck:
    """:param referenceToRas: as registered. Points are RAS mm."""
    if truth.referenceToRas is None:
        raise ValueError("The phantom has no marker plate, so there is no true registration to compare with.")
    disc = np.append(truth.discs[level].centerRas, 1.0)
    # Through the truth into Reference, through the result back: written out, not by the project's own transform functions.
    inReference = np.linalg.solve(truth.referenceToRas, disc)
    found = referenceToRas @ inReference
    return TruthCheck(
        treMm=float(np.linalg.norm(found[:3] - disc[:3])),
        shownTipErrorMm=float(np.linalg.norm(np.asarray(shownTipRas) - trueTipRas)),
        tipToTargetMm=float(np.linalg.norm(np.asarray(trueTipRas) - targetRas)),
    )
