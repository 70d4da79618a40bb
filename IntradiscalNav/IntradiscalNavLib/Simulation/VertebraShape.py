"""Shape of one simulated lumbar vertebra as an implicit function in its own frame."""

from __future__ import annotations

import numpy as np

from .ImplicitShape import Field, capsule, halfSpace, smoothIntersection, smoothUnion, superellipse
from .SimulatedPose import inversePose, mapPoints
from .SpineGeometry import SpineGeometry, VertebraPose, facetJointInLower, superiorProcessCenter

FACET_GAP_MM = 1.6
"""Width of the joint space between the two articular processes."""


def bodyShape(x: Field, y: Field, z: Field, vertebra: VertebraPose) -> Field:
    """Vertebral body: kidney-shaped in the axial plane, waisted, wedge-shaped in the sagittal plane, rounded rims."""
    size = vertebra.size
    semiHeight = 0.5 * size.heightMm
    waist = 1.0 - 0.09 * np.clip(1.0 - (z / semiHeight) ** 2, 0.0, 1.0)
    semiX, semiY = 0.5 * size.widthMm * waist, 0.5 * size.depthMm * waist
    hollow = 1.2 * np.exp(-((x / (0.25 * size.widthMm)) ** 2)) * (y < 0)  # the concave posterior wall
    side = (superellipse(x, y + hollow * (y / (0.5 * size.depthMm)), semiX, semiY, 2.4) - 1.0) * (0.5 * size.depthMm)
    slope = np.tan(np.radians(0.5 * vertebra.wedgeDeg))
    # positive wedge: the anterior height is larger
    ends = np.abs(z) - (semiHeight + slope * y)
    return smoothIntersection(side.astype(np.float32), ends.astype(np.float32), 3.0)


def vertebraShape(x: Field, y: Field, z: Field, vertebra: VertebraPose, spine: SpineGeometry) -> Field:
    """The whole vertebra L1-L5 (and T12, as a small lumbar one) in its own frame.

    Left and right are mirrored. Made of body, pedicles, pars, laminae, spinous process, transverse processes and articular
    processes; the processes of neighbours are cut along the common joint plane so that a gap of ``FACET_GAP_MM`` remains.
    """
    size = vertebra.size
    ax = np.abs(x)
    back = -0.5 * size.depthMm
    scale = size.heightMm / 27.0
    pedicleX = size.pedicleMedialMm + 0.5 * size.pedicleWidthMm
    pedicleRadius = 0.5 * size.pedicleWidthMm
    pedicleZ = 0.5 * size.heightMm - 0.5 * size.pedicleHeightMm - 0.5

    pieces = [bodyShape(x, y, z, vertebra)]
    pieces.append(
        capsule(
            ax,
            y,
            z,
            (pedicleX - 1.0, back + 6.0, pedicleZ),
            (pedicleX, back - 7.0, pedicleZ),
            (pedicleRadius, pedicleRadius * 0.95),
            (1.0, 1.0, size.pedicleHeightMm / size.pedicleWidthMm),
        )
    )
    # transverse process: from the junction of pedicle and lamina sideways and slightly back; that of L5 is stout and lies lower
    stout, tall, drop = (1.3, 1.35, 4.0) if vertebra.name == "L5" else (1.0, 1.6, 2.5)
    pieces.append(
        capsule(
            ax,
            y,
            z,
            (pedicleX, back - 7.5, pedicleZ - drop),
            (0.5 * size.transverseSpanMm - 3.0, back - 13.0 * scale, pedicleZ + 3.0 - drop),
            (4.0 * stout, 2.8 * stout),
            (1.0, 1.0, tall),
        )
    )
    # lamina: from the pars to the base of the spinous process
    laminaY = back - 19.0 * scale
    pieces.append(
        capsule(ax, y, z, (pedicleX - 1.5, back - 11.5 * scale, -3.0 * scale), (1.0, laminaY, -8.0 * scale), (3.3, 3.2), (1.0, 1.0, 3.0))
    )
    # spinous process, a plate in the mid-sagittal plane with a thicker tip
    tipY = laminaY - size.spinousLengthMm
    pieces.append(
        capsule(x, y, z, (0.0, laminaY, -9.0 * scale), (0.0, tipY, -13.0 * scale), (3.0, 3.7), (1.0, 1.0, 0.5 * size.spinousHeightMm / 3.4))
    )
    pieces.append(superiorProcess(ax, y, z, vertebra, _levelAbove(vertebra, spine), spine, pedicleZ))
    inferior = inferiorProcess(ax, y, z, vertebra, spine, scale)
    if inferior is not None:
        pieces.append(inferior)
    return smoothUnion(pieces, 2.5)


def superiorProcess(ax: Field, y: Field, z: Field, vertebra: VertebraPose, level: str | None, spine: SpineGeometry, baseZ: float) -> Field:
    """Superior articular process: a column from the pedicle up to about the middle of the foramen above."""
    centerX, centerY = superiorProcessCenter(vertebra)
    endplate = 0.0 if vertebra.name == "S1" else 0.5 * vertebra.size.heightMm
    discHeight = spine.discs[level].heightMm if level else 7.0
    tipZ = endplate + 0.9 * discHeight + 1.0
    shape = capsule(ax, y, z, (centerX, centerY, baseZ), (centerX, centerY, tipZ - 3.0), (4.6, 4.2), (1.0, 1.0, 1.0))
    if level:
        joint, normal = facetJointInLower(vertebra, discHeight)
        cut = halfSpace(ax, y, z, joint + 0.5 * FACET_GAP_MM * normal, -normal)
        shape = smoothIntersection(shape, cut, 0.8)
    return shape


def inferiorProcess(ax: Field, y: Field, z: Field, vertebra: VertebraPose, spine: SpineGeometry, scale: float) -> Field | None:
    """Inferior articular process: from the lamina down behind the superior process of the vertebra below."""
    level = next((name for name in spine.discs if name.startswith(vertebra.name + "-")), None)
    if level is None:
        return None
    lower = spine.vertebrae[level.split("-")[1]]
    joint, normal = facetJointInLower(lower, spine.discs[level].heightMm)
    lowerToUpper = inversePose(vertebra.vertebraToPatient) @ lower.vertebraToPatient
    center = joint - 3.3 * normal
    top = mapPoints(lowerToUpper, center + np.array([0.0, 0.0, 7.0]))
    bottom = mapPoints(lowerToUpper, center + np.array([0.0, 0.0, -7.0]))
    jointHere = mapPoints(lowerToUpper, joint - 0.5 * FACET_GAP_MM * normal)
    normalHere = lowerToUpper[:3, :3] @ normal
    start = (max(top[0] - 1.0, 6.0), -0.5 * vertebra.size.depthMm - 16.5 * scale, -9.0 * scale)
    column = smoothUnion([capsule(ax, y, z, start, tuple(top), (3.6, 4.2)), capsule(ax, y, z, tuple(top), tuple(bottom), (4.4, 3.8))], 1.5)
    # the joint plane bounds the process only at the height of the joint: above, the lamina passes over it
    cut = halfSpace(ax, y, z, jointHere, normalHere)
    return smoothIntersection(column, cut, 0.8)


def _levelAbove(vertebra: VertebraPose, spine: SpineGeometry) -> str | None:
    return next((name for name in spine.discs if name.endswith("-" + vertebra.name)), None)
