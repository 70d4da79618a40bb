"""Gas in the disc on the last CT, as volumes. A number beside the reader's own judgement, never instead of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from TranslatedText.Translation import tr as _

GAS_HU = -1000.0
"""Oxygen and ozone at body temperature: as air on CT."""


@dataclass(frozen=True)
class GasLimits:
    """``candidateHu``: voxels below it may hold gas (fat ends near -150 HU). ``leakReachMm``: how far around the disc a leak is sought."""

    candidateHu: float = -200.0
    leakReachMm: float = 15.0
    minimumMl: float = 0.01


@dataclass(frozen=True)
class DiscGas:
    """Volumes in mL. Partial volumes count by their share: a voxel of -480 HU in a disc of 40 HU is half gas."""

    inDiscMl: float
    discMl: float
    shareOfDisc: float
    leakMl: float
    """Gas within reach of the disc but outside of it (epidural, paravertebral, vein), without the excluded structures (bowel, lung)."""
    regionCount: int
    """Separate gas regions within the disc."""


def measureDiscGas(
    voxels: npt.NDArray[np.generic],
    discMask: npt.NDArray[np.bool_],
    voxelVolumeMm3: float,
    spacingKjiMm: tuple[float, float, float],
    excludedMask: npt.NDArray[np.bool_] | None = None,
    limits: GasLimits | None = None,
) -> DiscGas:
    """Measure gas.

    :param voxels: HU (k, j, i) of the last CT. :param discMask: the disc on the same grid (carried over by the registration).
    :param excludedMask: where gas is natural (bowel, lung, outside the body), same grid.
    :raises ValueError: if the disc is empty or the grids differ.
    """
    from scipy.ndimage import distance_transform_edt, label

    limits = limits or GasLimits()
    if discMask.shape != voxels.shape or (excludedMask is not None and excludedMask.shape != voxels.shape):
        raise ValueError(
            _("The disc mask {discMaskShape} and the CT {voxelsShape} lie on different grids: resample the mask first.").format(
                discMaskShape=discMask.shape, voxelsShape=voxels.shape
            )
        )
    discCount = int(discMask.sum())
    if not discCount:
        raise ValueError(_("The disc is not in this CT: the mask is empty. Was the last CT registered, and does it cover the level?"))
    hu = np.asarray(voxels, np.float32)
    inside = hu[discMask]
    tissueHu = float(np.median(inside[inside > limits.candidateHu])) if np.any(inside > limits.candidateHu) else 60.0
    near = distance_transform_edt(~discMask, sampling=spacingKjiMm) <= limits.leakReachMm
    gas = (hu < limits.candidateHu) & near
    if excludedMask is not None:
        gas &= ~(excludedMask & ~discMask)
    # The rim of a gas region is partial volume above the candidate limit; it belongs to the gas it touches.
    rim = _dilate(gas) & near & (hu < tissueHu - 100.0)
    share = np.where(gas | rim, np.clip((tissueHu - hu) / (tissueHu - GAS_HU), 0.0, 1.0), 0.0)
    millilitre = voxelVolumeMm3 / 1000.0
    inDisc = float(share[discMask].sum()) * millilitre
    leak = float(share[near & ~discMask].sum()) * millilitre
    regions = int(label(gas & discMask)[1])
    discMl = discCount * millilitre
    return DiscGas(
        inDiscMl=inDisc if inDisc >= limits.minimumMl else 0.0,
        discMl=discMl,
        shareOfDisc=inDisc / discMl,
        leakMl=leak if leak >= limits.minimumMl else 0.0,
        regionCount=regions,
    )


def _dilate(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    result: npt.NDArray[np.bool_] = binary_dilation(mask)
    return result
