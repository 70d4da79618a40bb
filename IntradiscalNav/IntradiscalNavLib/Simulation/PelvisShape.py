"""Shapes of the simulated sacrum and iliac wings."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from .ImplicitShape import Field, capsule, smoothIntersection, smoothUnion, superellipse
from .SpineGeometry import SpineGeometry, VertebraPose
from .VertebraShape import superiorProcess

# Plan view of the right iliac wing: x, y relative to the centre of disc L5-S1 (patient frame, mm), the share of the crest's
# height reached there, and the thickness.
_WING: tuple[tuple[float, float, float, float], ...] = (
    (40.0, -56.0, 0.00, 13.0),
    (53.0, -44.0, 0.32, 14.0),
    (71.0, -29.0, 0.76, 11.0),
    (89.0, -9.0, 1.00, 11.0),
    (101.0, 16.0, 0.96, 12.0),
    (106.0, 46.0, 0.62, 11.0),
)
_WING_LOW_MM = -24.0
"""Height of the posterior superior iliac spine relative to the centre of disc L5-S1."""


def firstSacralShape(x: Field, y: Field, z: Field, sacrum: VertebraPose, spine: SpineGeometry) -> Field:
    """S1: body, articular processes, laminae and median crest, in the frame of the S1 endplate."""
    size = sacrum.size
    ax = np.abs(x)
    back = -0.5 * size.depthMm
    depthBelow = np.clip(-z / size.heightMm, 0.0, 1.2)
    semiX, semiY = 0.5 * size.widthMm * (1.0 - 0.30 * depthBelow), 0.5 * size.depthMm * (1.0 - 0.28 * depthBelow)
    side = (superellipse(x, y + 1.5 * depthBelow, semiX, semiY, 2.4) - 1.0) * (0.5 * size.depthMm)
    ends = np.abs(z + 0.5 * size.heightMm) - 0.5 * size.heightMm
    body = smoothIntersection(side.astype(np.float32), ends.astype(np.float32), 3.0)
    centerX = size.superiorFacetOuterMm - 5.0
    pieces = [
        body,
        capsule(ax, y, z, (18.0, back + 5.0, -11.0), (centerX, back - 9.0, -11.0), (8.5, 7.0)),
        superiorProcess(ax, y, z, sacrum, "L5-S1", spine, -8.0),
        capsule(ax, y, z, (centerX - 2.0, back - 11.0, -13.0), (2.0, back - 19.0, -17.0), (3.4, 3.2), (1.0, 1.0, 2.6)),
        capsule(x, y, z, (0.0, back - 18.0, -15.0), (0.0, back - 18.0 - size.spinousLengthMm, -20.0), (3.2, 3.6), (1.0, 1.0, 1.5)),
    ]
    return smoothUnion(pieces, 3.0)


def lowerSacrumShape(x: Field, y: Field, z: Field, sacrum: VertebraPose) -> Field:
    """Sacrum except S1: ala, S2, S3 and their dorsal plate, in the frame of the S1 endplate. The sacral canal stays open."""
    ax = np.abs(x)
    back = -0.5 * sacrum.size.depthMm
    pieces = [
        capsule(ax, y, z, (22.0, -5.0, -12.0), (45.0, -14.0, -20.0), (10.5, 13.0), (1.0, 1.0, 1.25)),
        capsule(ax, y, z, (26.0, -10.0, -30.0), (38.0, -16.0, -48.0), (10.0, 8.0), (1.0, 1.0, 1.2)),
        capsule(x, y, z, (0.0, 0.0, -36.0), (0.0, 0.0, -56.0), (9.5, 8.5), (1.7, 1.0, 1.0)),
        capsule(x, y, z, (0.0, 1.0, -60.0), (0.0, 7.0, -82.0), (8.0, 6.5), (1.7, 1.0, 1.0)),
        capsule(ax, y, z, (22.0, back - 8.0, -30.0), (4.0, back - 15.5, -34.0), (3.6, 3.2), (1.0, 1.0, 3.0)),
        capsule(ax, y, z, (20.0, back - 2.0, -56.0), (3.0, back - 9.0, -58.0), (3.6, 3.2), (1.0, 1.0, 4.0)),
        capsule(x, y, z, (0.0, back - 17.0, -34.0), (0.0, back - 10.0, -62.0), (4.0, 3.2)),
        capsule(ax, y, z, (30.0, back - 4.0, -22.0), (24.0, back - 4.0, -60.0), (6.0, 5.0)),
    ]
    return smoothUnion(pieces, 3.5)


def iliacShape(x: Field, y: Field, z: Field, origin: npt.NDArray[np.float64], crestHeightMm: float) -> Field:
    """Both iliac wings, in the patient frame; ``origin`` is the centre of disc L5-S1, the crest's height is relative to it.

    A curved plate that stands on the pelvis, leans outwards from the sacro-iliac joint to the crest and thickens at the crest.
    """
    ax, py, pz = np.abs(x - origin[0]), y - origin[1], z - origin[2]
    climb = crestHeightMm - _WING_LOW_MM
    best: Field | None = None
    for (x0, y0, share0, thick0), (x1, y1, share1, thick1) in itertools.pairwise(_WING):
        # lean: below the crest the plate moves towards the midline
        lean = 0.30 * np.clip(_WING_LOW_MM + 0.5 * (share0 + share1) * climb - pz, 0.0, 70.0)
        qx = ax + lean - x0
        qy = py - y0
        ex, ey = x1 - x0, y1 - y0
        along = np.clip((qx * ex + qy * ey) / (ex * ex + ey * ey), 0.0, 1.0)
        distance = np.sqrt((qx - along * ex) ** 2 + (qy - along * ey) ** 2) * 0.96
        top = _WING_LOW_MM + (share0 + (share1 - share0) * along) * climb
        below = top - pz
        thickness = (thick0 + (thick1 - thick0) * along) * (0.72 + 0.28 * np.exp(-((below / 14.0) ** 2)))
        plate = smoothIntersection((distance - 0.5 * thickness).astype(np.float32), (-below).astype(np.float32), 5.0)
        best = plate if best is None else np.minimum(best, plate)
    assert best is not None
    return best
