"""What can be chosen of the simulated patient and its CT."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class PhantomParameters:
    """Size and posture of the simulated patient, and how the CT samples it.

    The default is a lean adult, sampled coarsely so that it builds in about two seconds. Lengths are millimetres.
    """

    seed: int = 0
    """Seed of everything random in the phantom: noise, roughness, texture."""
    sizeScale: float = 1.0
    """Factor on all dimensions of the spine; 1.0 gives an L3 body 46 mm wide, 33.5 deep, 27 high."""
    lordosisDeg: float = 51.0
    """Angle between the upper endplates of L1 and S1."""
    discHeightScale: float = 1.0
    """Factor on the disc heights (8-11.5 mm at 1.0); below 0.7 the discs are those of a degenerated spine."""
    crestHeightMm: float = 0.0
    """Height of the iliac crests above the centre of disc L4-L5 (positive: higher)."""
    skinDepthMm: float = 72.0
    """Depth of the centre of disc L4-L5 below the skin in the midline."""
    halfWidthMm: float = 168.0
    """Half the width of the trunk at the waist."""
    bellyDepthMm: float = 92.0
    """From the centre of disc L4-L5 to the table below the belly."""
    patientTurnDeg: tuple[float, float, float] = (1.2, -1.5, 2.0)
    """Turns of the patient on the table about R, A and S."""
    patientShiftMm: tuple[float, float, float] = (5.3, -41.7, -412.6)
    """Position in RAS of the patient frame's origin, the centre of disc L3-L4."""
    plateHeightMm: float = 62.0
    """Height of the marker plate's centre above the centre of disc L3-L4, along the patient's long axis."""
    spacingMm: tuple[float, float, float] = (1.25, 1.25, 2.0)
    """Voxel spacing along i (right), j (anterior), k (superior)."""
    noiseHu: float = 14.0
    """Standard deviation of the image noise."""
    blurMm: float = 0.55
    """Standard deviation of the point spread in the slice; along k half of it, partial volume does the rest."""
    boneRoughnessMm: float = 0.35
    """Amplitude of the smooth random deviation of the bone surfaces."""
    boneDensityScale: float = 1.0
    """Factor on the Hounsfield units of bone above water; about 0.7 for osteoporosis."""
    withPlate: bool = True
    """Whether the marker plate lies on the back."""
    withTable: bool = True
    """Whether the table is in the image."""


def randomPhantomParameters(seed: int, base: PhantomParameters | None = None) -> PhantomParameters:
    """A plausible adult: size, lordosis, crest height and body depth drawn at random, the sampling taken from ``base``.

    Lordosis 51 +- 8 deg, crest height 0 +- 8 mm about L4-L5, depth 72 +- 9 mm (within 58..105), size +- 4 %.
    """
    generator = np.random.default_rng(90_000 + seed)
    start = base or PhantomParameters()
    depth = float(np.clip(generator.normal(72.0, 9.0), 58.0, 105.0))
    return replace(
        start,
        seed=seed,
        sizeScale=float(np.clip(generator.normal(1.0, 0.04), 0.9, 1.1)),
        lordosisDeg=float(np.clip(generator.normal(51.0, 8.0), 30.0, 70.0)),
        discHeightScale=float(np.clip(generator.normal(1.0, 0.1), 0.7, 1.25)),
        crestHeightMm=float(np.clip(generator.normal(0.0, 8.0), -20.0, 24.0)),
        skinDepthMm=depth,
        halfWidthMm=float(np.clip(generator.normal(168.0 + 0.8 * (depth - 72.0), 10.0), 145.0, 205.0)),
        bellyDepthMm=float(np.clip(generator.normal(92.0 + 0.8 * (depth - 72.0), 8.0), 70.0, 130.0)),
        patientTurnDeg=(float(generator.normal(0, 1.5)), float(generator.normal(0, 1.5)), float(generator.normal(0, 2.0))),
        patientShiftMm=(
            float(generator.normal(0, 8.0)),
            float(generator.normal(-40.0, 12.0)),
            float(generator.normal(-400.0, 60.0)),
        ),
    )
