"""Is this CT fit to be planned on? Gantry tilt, thick slices, a cut skin, a supine patient: found and named."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.SkinSurface import SkinSurface
from TranslatedText.Translation import tr as _

THICK_SLICE_MM = 3.5
"""Above this slice distance partial volume hides thin bone and low discs (5 mm slices against 8-12 mm discs)."""
GANTRY_TILT_DEG = 0.5


def checkGeometry(shape: Sequence[int], ijkToRas: npt.ArrayLike, what: str) -> tuple[str, ...]:
    """Warnings about a voxel grid.

    :raises ValueError: for arrays that are not 3-D, or singular or non-finite matrices.
    """
    affine = np.asarray(ijkToRas, float)
    if len(shape) != 3 or min(shape) < 2:
        raise ValueError(_("The {what} must be a 3-D array (k, j, i), not of shape {shape}.").format(what=what, shape=tuple(shape)))
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(float(np.linalg.det(affine))) < 1e-9:
        raise ValueError(
            _("The {what}'s ijkToRas is not an invertible 4x4 matrix; load the image again with its geometry.").format(what=what)
        )
    warnings = []
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    unit = affine[:3, :3] / spacing
    normal = np.cross(unit[:, 0], unit[:, 1])
    tilt = float(np.degrees(np.arccos(np.clip(abs(normal @ unit[:, 2]) / np.linalg.norm(normal), -1, 1))))
    if tilt > GANTRY_TILT_DEG:
        warnings.append(
            _("The {what} has a gantry tilt of {tilt:.1f} deg; the planner corrects for it, axial slices on the console do not.").format(
                what=what, tilt=tilt
            )
        )
    if spacing.max() > THICK_SLICE_MM:
        warnings.append(
            _(
                "The {what} has voxels of {max:.1f} mm: thin bone and low discs are blurred; margins are less certain. Prefer 1-2 mm."
            ).format(what=what, max=spacing.max())
        )
    return tuple(warnings)


def checkCt(ctHu: npt.NDArray, ijkToRas: npt.ArrayLike, skin: SkinSurface, patientPosition: str = "") -> tuple[str, ...]:
    """Warnings about a CT and its skin: cut at the skin, supine or lateral patient."""
    warnings = []
    seen = ~np.isnan(skin.anteriorMm)
    total = int((seen | skin.cut).sum())
    cutShare = float(skin.cut.sum()) / max(total, 1)
    if cutShare > 0.02:
        warnings.append(
            _(
                "The CT is cut at the skin of the back over {cutShare:.0f} % of its area: no entry is planned there. "
                "Reconstruct a larger field of view."
            ).format(cutShare=100 * cutShare)
        )
    position = patientPosition.upper().strip()
    if position.endswith("S"):
        warnings.append(
            _("The CT was made supine; the procedure is done prone. The spine's curve, the skin and the bowel will lie differently.")
        )
    elif position.endswith(("DL", "DR")):
        warnings.append(_("The CT was made lying on the side; the procedure is done prone. Spine, skin and bowel will lie differently."))
    elif not position and tableBehindBack(ctHu, ijkToRas, skin):
        warnings.append(
            _(
                "A table lies behind the back: the CT looks supine, while the procedure is done prone. "
                "The spine's curve, the skin and the bowel will lie differently."
            )
        )
    return tuple(warnings)


def tableBehindBack(ctHu: npt.NDArray, ijkToRas: npt.ArrayLike, skin: SkinSurface) -> bool:
    """Whether something broad (at least 150 mm, a third of the slices) lies behind the skin of the back: the table of a supine scan."""
    rasToIjk = np.linalg.inv(np.asarray(ijkToRas, float))
    step = max(1, len(skin.superiorMm) // 24)
    rows = np.arange(2, len(skin.superiorMm) - 2, step)
    hits = 0
    offset = np.arange(4.0, 80.0, 2.0)
    for row in rows:
        height = skin.anteriorMm[row]
        known = np.flatnonzero(~np.isnan(height))
        if len(known) < 20:
            continue
        back = float(np.nanpercentile(height, 2))
        a = np.minimum(height[known][:, None], back + 30.0) - offset
        r = np.broadcast_to(skin.rightMm[known][:, None], a.shape)
        s = np.full_like(a, skin.superiorMm[row])
        ijk = np.rint(np.stack([r, a, s], -1) @ rasToIjk[:3, :3].T + rasToIjk[:3, 3]).astype(int)
        inside = ((ijk >= 0) & (ijk < np.array(ctHu.shape)[::-1])).all(-1)
        ijk = np.clip(ijk, 0, np.array(ctHu.shape)[::-1] - 1)
        dense = (ctHu[ijk[..., 2], ijk[..., 1], ijk[..., 0]] > -600) & inside
        width = dense.any(1).sum() * float(skin.rightMm[1] - skin.rightMm[0])
        hits += width >= 150.0
    return hits >= max(1, len(rows) // 3)
