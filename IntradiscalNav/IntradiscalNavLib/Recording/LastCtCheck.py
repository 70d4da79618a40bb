"""The last CT against the procedure: registered to the planning CT, the real needle beside the virtual one, the gas in the disc."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, transformPoints
from IntradiscalNavLib.Recording.DiscGas import DiscGas, measureDiscGas
from IntradiscalNavLib.Recording.LastCtRegistration import LastCtRegistration, registerLastCt
from IntradiscalNavLib.Recording.NeedleInCt import NeedleInCt, findNeedleInCt
from TranslatedText.Translation import tr as _

NEAR_MM = 45.0
"""Half the edge of the box around the disc in which gas is measured."""
DISC_RADIUS_MM = 24.0
DISC_THICKNESS_MM = 16.0
"""The disc is the space between its two vertebrae where they are nearer than this, around the derived centre."""


@dataclass(frozen=True, eq=False)
class CtImage:
    """``voxels`` HU (k, j, i); ``ijkToRas`` 4x4, mm."""

    voxels: npt.NDArray[Any]
    ijkToRas: FloatArray


@dataclass(frozen=True, eq=False)
class LastCtCheck:
    """``patientMovedMm``: how far the disc has moved between the scans. ``needle`` is None with the reason in ``remarks``,
    which also say when its tip is uncertain."""

    registration: LastCtRegistration
    patientMovedMm: float
    needle: NeedleInCt | None
    gas: DiscGas
    remarks: tuple[str, ...]

    def metrics(self) -> dict[str, Any]:
        """Numbers as a scene keeps them and a review prints them (mm, degrees, mL)."""
        motion = self.registration
        metrics: dict[str, Any] = {
            "patientMovedMm": round(self.patientMovedMm, 3),
            "vertebraeDisagreeMm": round(motion.disagreementMm, 3),
            "registrationTrusted": motion.trusted,
            "registrationDoubts": list(motion.doubts),
            "boneOverlap": {vertebra.name: round(vertebra.boneOverlap, 3) for vertebra in motion.vertebrae},
        }
        if self.needle is not None:
            metrics |= {
                "tipErrorMm": round(self.needle.tipErrorMm, 3),
                "lateralErrorMm": round(self.needle.lateralErrorMm, 3),
                "angleDeg": round(self.needle.angleDeg, 3),
                "bendMm": round(self.needle.bendMm, 3),
                "tipDoubtMm": round(self.needle.tipDoubtMm, 3),
                "needleDoubts": list(self.needle.doubts),
                "needleTipRas": [round(float(value), 3) for value in self.needle.tipRas],
            }
        return metrics | {
            "gasInDiscMl": round(self.gas.inDiscMl, 3),
            "discMl": round(self.gas.discMl, 2),
            "shareOfDisc": round(self.gas.shareOfDisc, 4),
            "leakMl": round(self.gas.leakMl, 3),
        }


def checkLastCt(
    planning: CtImage,
    labels: npt.NDArray[Any],
    vertebrae: Mapping[str, int],
    last: CtImage,
    discCenterRas: npt.ArrayLike,
    *,
    bowel: Sequence[int] = (),
    needleTipToRas: FloatArray | None = None,
) -> LastCtCheck:
    """Register on the vertebrae above and below the disc; find the needle; measure the gas.

    :param labels: segmentation on the grid of the planning CT. :param vertebrae: name -> label of the two vertebrae, upper first.
    :param discCenterRas: in the planning CT. :param bowel: labels in which gas is natural.
    :param needleTipToRas: where the navigation had the needle at the end, None when it isn't known.
    :raises ValueError: when a vertebra isn't segmented, the grids differ, or the last CT doesn't cover the level.
    """
    if labels.shape != planning.voxels.shape:
        raise ValueError(
            _("The segmentation {labelsShape} and the planning CT {shape} lie on different grids.").format(
                labelsShape=labels.shape, shape=planning.voxels.shape
            )
        )
    if len(vertebrae) != 2:
        raise ValueError(_("The two vertebrae next to the disc are needed to measure the last CT: segment both."))
    center = np.asarray(discCenterRas, float)
    masks = {name: labels == value for name, value in vertebrae.items()}
    motion = registerLastCt(planning.voxels, planning.ijkToRas, last.voxels, last.ijkToRas, masks, center)
    needle, remarks = None, list(motion.doubts)
    if needleTipToRas is None:
        remarks.append(_("Where the navigation had the needle at the end isn't known: the real one isn't looked for."))
    else:
        try:
            # Voxels of the last CT, addressed in the planning frame: what is found there can be compared with plan and virtual needle.
            place = motion.lastToPlanning @ last.ijkToRas
            needle = findNeedleInCt(last.voxels, place, needleTipToRas[:3, 3], needleTipToRas[:3, 2])
            remarks += needle.doubts
        except LookupError as error:
            remarks.append(str(error))
    gas = _measureGas(planning.ijkToRas, labels, tuple(vertebrae.values()), bowel, last, motion.lastToPlanning, center)
    moved = float(np.linalg.norm(transformPoints(motion.lastToPlanning, center) - center))
    return LastCtCheck(motion, moved, needle, gas, tuple(remarks))


def _measureGas(
    ijkToRas: FloatArray,
    labels: npt.NDArray[Any],
    vertebrae: tuple[int, ...],
    bowel: Sequence[int],
    last: CtImage,
    lastToPlanning: FloatArray,
    center: FloatArray,
) -> DiscGas:
    """On the planning CT's grid around the disc, with the last CT brought there. Bowel is left out of the leak."""
    from scipy.ndimage import distance_transform_edt, map_coordinates

    spacing = tuple(float(value) for value in np.linalg.norm(ijkToRas[:3, :3], axis=0)[::-1])
    centerKji = transformPoints(np.linalg.inv(ijkToRas), center)[::-1]
    reach = NEAR_MM / np.array(spacing)
    low = np.maximum(np.floor(centerKji - reach), 0).astype(int)
    high = np.minimum(np.ceil(centerKji + reach).astype(int) + 1, labels.shape)
    near = labels[tuple(slice(int(a), int(b)) for a, b in zip(low, high))]
    kji = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high)), indexing="ij"), axis=-1)
    places = transformPoints(ijkToRas, kji[..., ::-1].reshape(-1, 3).astype(float))
    away = np.linalg.norm(places - center, axis=1).reshape(near.shape)
    inLast = transformPoints(np.linalg.inv(lastToPlanning @ last.ijkToRas), places)[:, ::-1]
    voxels = map_coordinates(last.voxels.astype(np.float32), inLast.T, order=1, cval=0.0).reshape(near.shape)
    toUpper, toLower = (distance_transform_edt(near != value, sampling=spacing) for value in vertebrae)
    disc = (toUpper > 0) & (toLower > 0) & (toUpper + toLower < DISC_THICKNESS_MM) & (away < DISC_RADIUS_MM)
    natural = np.isin(near, list(bowel))
    return measureDiscGas(voxels, disc, float(np.prod(spacing)), (spacing[0], spacing[1], spacing[2]), natural)
