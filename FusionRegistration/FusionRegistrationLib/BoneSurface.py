"""The bone surface of the CT that ultrasound can see from behind, with its distance field and its vertebrae."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.SignedDistanceTable import SignedDistanceTable, buildSignedDistanceTable
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]

TYPICAL_PITCH_MM = 36.0
"""Distance between neighbouring lumbar vertebrae when the vertebrae aren't known (33-40 mm in adults)."""


@dataclasses.dataclass(frozen=True)
class SurfaceVertebra:
    """A vertebra of the surface: its label value, its name as the segmentation gives it, its centre in RAS (mm)."""

    label: int
    name: str
    centreRas: tuple[float, float, float]


@dataclasses.dataclass(frozen=True, eq=False)
class BoneSurface:
    """Posterior bone surface of a CT.

    pointsRas, normalsRas: (n, 3), mm, unit normals outward (out of bone).
    pointLabels: (n,) label of the vertebra a point belongs to, 0 when unknown.
    vertebrae: the known vertebrae from head to foot; empty when the surface came from HU alone. Never assumed to be five.
    axisRas: (m, 3) points along the middle of the spine from foot to head.
    spacingMm: voxel edge of the distance table.
    """

    pointsRas: FloatArray
    normalsRas: FloatArray
    pointLabels: npt.NDArray[np.int16]
    vertebrae: tuple[SurfaceVertebra, ...]
    axisRas: FloatArray
    warnings: tuple[str, ...] = ()
    spacingMm: float = 1.5

    @functools.cached_property
    def table(self) -> SignedDistanceTable:
        """Distance field of the whole surface; built on first use."""
        return buildSignedDistanceTable(self.pointsRas, self.normalsRas, spacingMm=self.spacingMm)

    @functools.cached_property
    def coarseTable(self) -> SignedDistanceTable:
        """Every other voxel of the table: small enough for the processor's cache in the search."""
        return self.table.decimated(2)

    def prepare(self) -> BoneSurface:
        """Build the tables now (about half a second), so that the first fit isn't slowed by it; returns the surface."""
        _unused = self.coarseTable, self.table.curvature
        return self

    @property
    def pitchMm(self) -> float:
        """Median distance between the centres of neighbouring vertebrae, or a typical one when they aren't known."""
        if len(self.vertebrae) < 2:
            return TYPICAL_PITCH_MM
        centres = np.array([vertebra.centreRas for vertebra in self.vertebrae])
        return float(np.median(np.linalg.norm(np.diff(centres, axis=0), axis=1)))

    def ofVertebra(self, label: int) -> BoneSurface:
        """The part of the surface that belongs to one vertebra.

        :raises ValueError: when the surface has no points of it.
        """
        mine = self.pointLabels == label
        if not mine.any():
            raise ValueError(_("The bone surface has no points of vertebra label {label}: check the segmentation.").format(label=label))
        vertebrae = tuple(vertebra for vertebra in self.vertebrae if vertebra.label == label)
        return dataclasses.replace(
            self,
            pointsRas=self.pointsRas[mine],
            normalsRas=self.normalsRas[mine],
            pointLabels=self.pointLabels[mine],
            vertebrae=vertebrae,
            warnings=(),
        )
