"""A second CT of the phantom: with the needle in place, or with gas in the disc after the injection."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import PhantomLabels as Labels
from .ImplicitShape import Field, capsule
from .LumbarPhantom import LumbarPhantom
from .SimulatedPose import mapPoints
from .VoxelPainter import VoxelPainter

FloatArray = npt.NDArray[np.float64]

NEEDLE_DIAMETER_MM = 0.72
"""Outer diameter of a 22 G needle."""
NEEDLE_HU = 8000.0
"""Steel saturates the scale; partial volume in a voxel of 1-2 mm leaves about 1500-3000 HU."""
GAS_HU = -980.0


@dataclass(frozen=True)
class CheckScan:
    """Voxels of a check scan and what was put in."""

    voxels: npt.NDArray[np.int16]
    needleRas: FloatArray | None
    gasLevel: str | None
    gasVolumeMl: float
    """Volume of the gas painted into the disc."""


def makeCheckScan(
    phantom: LumbarPhantom,
    *,
    needleRas: npt.ArrayLike | None = None,
    gasLevel: str | None = None,
    gasVolumeMl: float = 3.0,
    seed: int = 1,
) -> CheckScan:
    """CT after the needle is placed and, if a level is given, after gas was injected there.

    :param needleRas: centreline of the needle (n, 3) from hub to tip, bent as it may be; ``None`` when it is out again.
    :param gasVolumeMl: gas that stays in the disc; it fills the nucleus as one cleft-like irregular bubble.
    :raises ValueError: unknown level, or more gas than the disc holds.
    """
    painter = VoxelPainter(phantom.voxels.shape, phantom.ijkToRas[:3, 3], phantom.parameters.spacingMm)
    painter.hu[:] = phantom.voxels
    generator = np.random.default_rng(seed)
    line = None if needleRas is None else np.asarray(needleRas, float)
    gas = 0.0
    if gasLevel is not None:
        gas = _paintGas(painter, phantom, gasLevel, gasVolumeMl)
    if line is not None:
        # after the gas: the tip stands in the bubble and stays visible there
        _paintNeedle(painter, line)
    # another scan has other noise
    extra = 0.5 * phantom.parameters.noiseHu
    if extra > 0:
        painter.hu += generator.standard_normal(painter.shape, np.float32) * np.float32(extra)
    return CheckScan(np.clip(np.rint(painter.hu), -1024, 3071).astype(np.int16), line, gasLevel, gas)


def _paintNeedle(painter: VoxelPainter, line: FloatArray) -> None:
    # thinner than a voxel: a soft profile that keeps the metal's share of each voxel, as partial volume does
    radius = 0.5 * NEEDLE_DIAMETER_MM
    voxelArea = float(painter.spacingMm[0] * painter.spacingMm[1])
    sigma = 0.45 * float(np.mean(painter.spacingMm))
    peak = min(0.9, np.pi * radius**2 / (2.0 * np.pi * sigma**2))
    for start, end in itertools.pairwise(line):
        reach = 4.0 * sigma
        box = painter.box(np.eye(4), np.minimum(start, end) - reach, np.maximum(start, end) + reach)
        if box is None:
            continue
        x, y, z = painter.coordinates(np.eye(4), box)
        distance = capsule(x, y, z, tuple(start), tuple(end), (0.0, 0.0))
        share: Field = (peak * np.exp(-0.5 * (distance / sigma) ** 2)).astype(np.float32)
        painted = painter.hu[box] * (1.0 - share) + share * np.float32(NEEDLE_HU)
        # segments overlap at their ends: take the brighter, do not add
        painter.hu[box] = np.where(share > 0.01, np.maximum(painter.hu[box], painted), painter.hu[box])
        painter.labels[box][distance < max(radius, 0.4 * voxelArea**0.5)] = Labels.NEEDLE


def _paintGas(painter: VoxelPainter, phantom: LumbarPhantom, level: str, volumeMl: float) -> float:
    if level not in phantom.truth.discs:
        raise ValueError(f"The phantom has no disc {level}; it has {', '.join(phantom.truth.discs)}.")
    disc = phantom.truth.discs[level]
    reach = np.array([disc.semiWidthMm, disc.semiDepthMm, disc.heightMm])
    box = painter.box(disc.discToRas, -reach, reach)
    if box is None:
        raise ValueError(f"Disc {level} lies outside the CT.")
    x, y, z = painter.coordinates(disc.discToRas, box)
    wave = 0.16 * np.sin(0.42 * x + 1.0) * np.sin(0.5 * y) + 0.10 * np.sin(0.9 * x + 0.6 * y + 2.0)
    shape = np.sqrt((x / disc.semiWidthMm) ** 2 + (y / disc.semiDepthMm) ** 2 + (z / (0.8 * disc.heightMm)) ** 2).astype(np.float32) + wave
    allowed = phantom.labels[box] == disc.label
    voxelMl = float(np.prod(painter.spacingMm)) / 1000.0
    values = np.sort(shape[allowed])
    count = round(volumeMl / voxelMl)
    if count >= values.size:
        raise ValueError(f"{volumeMl:.1f} ml of gas don't fit into disc {level}, which holds {values.size * voxelMl:.1f} ml.")
    if count < 1:
        return 0.0
    inside = allowed & (shape <= values[count - 1])
    painter.hu[box] = np.where(inside, np.float32(GAS_HU), painter.hu[box])
    return float(inside.sum()) * voxelMl


def bentNeedleCenterline(tipRas: npt.ArrayLike, hubRas: npt.ArrayLike, sidewaysRas: npt.ArrayLike, deflectionMm: float) -> FloatArray:
    """Centreline (25, 3) hub to tip of a needle that was pushed straight from the hub and bent sideways by a parabola.

    ``tipRas`` is where the tip truly is; the straight continuation from the hub misses it by ``deflectionMm`` along ``sidewaysRas``.
    """
    tip, hub = np.asarray(tipRas, float), np.asarray(hubRas, float)
    side = np.asarray(sidewaysRas, float)
    axis = tip - hub
    side = side - axis * float(side @ axis) / float(axis @ axis)
    side /= np.linalg.norm(side)
    along = np.linspace(0.0, 1.0, 25)[:, None]
    straightTip = tip - deflectionMm * side
    return mapPoints(np.eye(4), hub + along * (straightTip - hub) + along**2 * deflectionMm * side)
