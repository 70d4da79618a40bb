"""Painting the bones of the phantom: vertebrae, sacrum, iliac wings, the cartilage of the facet joints and the gluteal muscles."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from . import PhantomLabels as Labels
from .ImplicitShape import Field, ellipsoid
from .PelvisShape import firstSacralShape, iliacShape, lowerSacrumShape
from .PhantomParameters import PhantomParameters
from .SpineGeometry import SpineGeometry, VertebraPose, facetJoints
from .VertebraShape import vertebraShape
from .VoxelPainter import Shape, VoxelPainter

FloatArray = npt.NDArray[np.float64]

CANCELLOUS_HU, CORTICAL_EXTRA_HU = 210.0, 760.0
CORTEX_MM = (1.2, 2.3)
"""Depth below the surface where the cortex begins to thin out, and where it ends."""


class BonePainter:
    """Paints the bones of one phantom; every bone gets its own smooth roughness, drawn in the order of painting."""

    def __init__(self, painter: VoxelPainter, patientToRas: FloatArray, spine: SpineGeometry, parameters: PhantomParameters) -> None:
        self._painter = painter
        self._patientToRas = patientToRas
        self._spine = spine
        self._parameters = parameters
        self._generator = np.random.default_rng(parameters.seed)
        self._lumbosacral = spine.discs["L5-S1"].discToPatient[:3, 3]
        rise = float(spine.discs["L4-L5"].discToPatient[2, 3] - self._lumbosacral[2])
        self._crestMm = rise + parameters.crestHeightMm

    def paintAll(self, skinDistance: Shape) -> None:
        """Cartilage and muscle first, bones over them."""
        for level in self._spine.discs:
            for center, _ in facetJoints(self._spine, level).values():
                shape = partial(ellipsoid, center=tuple(center), semiAxes=(4.5, 4.5, 6.5))
                self._painter.paint(self._patientToRas, center - 8, center + 8, shape, 100.0, Labels.FACET_CARTILAGE)
        for sign, label in ((-1.0, Labels.GLUTEUS_LEFT), (1.0, Labels.GLUTEUS_RIGHT)):
            low, high = self._wingBox(sign)
            shape = partial(self._gluteus, sign=sign, skinDistance=skinDistance)
            self._painter.paint(self._patientToRas, low, high, shape, 55.0, label)
        for pose in self._spine.vertebrae.values():
            self._paintVertebra(pose)
        for sign, label in ((-1.0, Labels.HIP_LEFT), (1.0, Labels.HIP_RIGHT)):
            low, high = self._wingBox(sign)
            self._paintBone(self._patientToRas, low, high, self._wing, label)

    def _paintVertebra(self, pose: VertebraPose) -> None:
        frame = self._patientToRas @ pose.vertebraToPatient
        size = pose.size
        behind = 0.5 * size.depthMm + 19.0 * self._parameters.sizeScale + size.spinousLengthMm + 8.0
        front = 0.5 * size.depthMm + 4.0
        label = Labels.VERTEBRA_LABELS[pose.name]
        if pose.name == "S1":
            first = partial(firstSacralShape, sacrum=pose, spine=self._spine)
            self._paintBone(frame, (-38.0, -behind, -48.0), (38.0, front, 20.0), first, label)
            lower = partial(self._sacrumBelow, sacrum=pose)
            self._paintBone(frame, (-64.0, -60.0, -100.0), (64.0, 30.0, 12.0), lower, Labels.SACRUM)
            return
        reach = 0.5 * max(size.transverseSpanMm, size.widthMm + 8.0) + 4.0
        shape = partial(vertebraShape, vertebra=pose, spine=self._spine)
        self._paintBone(frame, (-reach, -behind, -36.0), (reach, front, 30.0), shape, label)

    def _sacrumBelow(self, x: Field, y: Field, z: Field, sacrum: VertebraPose) -> Field:
        """The sacrum without S1."""
        result: Field = np.maximum(lowerSacrumShape(x, y, z, sacrum), -firstSacralShape(x, y, z, sacrum, self._spine))
        return result

    def _wing(self, x: Field, y: Field, z: Field) -> Field:
        return iliacShape(x, y, z, self._lumbosacral, self._crestMm)

    def _wingBox(self, sign: float) -> tuple[FloatArray, FloatArray]:
        sides = sorted((sign * 10.0, sign * 125.0))
        center = self._lumbosacral
        low = np.array([sides[0], center[1] - 75.0, center[2] - 90.0])
        return low, np.array([sides[1], center[1] + 60.0, center[2] + self._crestMm + 12.0])

    def _gluteus(self, x: Field, y: Field, z: Field, sign: float, skinDistance: Shape) -> Field:
        """A thick layer on the outer face of the wing, below the crest and within the fat."""
        layer = self._wing(x - np.float32(sign * 10.0), y + 4.0, z + 10.0)
        result: Field = (np.maximum(layer, skinDistance(x, y, z) + 9.0) - 8.0).astype(np.float32)
        return result

    def _paintBone(self, frame: FloatArray, low: npt.ArrayLike, high: npt.ArrayLike, shape: Shape, label: int) -> None:
        self._painter.paint(frame, low, high, partial(self._rough, shape=shape), self._hu, label, bone=True)

    def _rough(self, x: Field, y: Field, z: Field, shape: Shape) -> Field:
        """A shape with a sum of six waves of 20-45 mm added to its distance."""
        waves = self._generator.normal(size=(6, 3)) / np.array([[7.0], [6.0], [5.0], [4.5], [4.0], [3.5]])
        phases = self._generator.uniform(0, 2 * np.pi, 6)
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
        for wave, phase in zip(waves.astype(np.float32), phases.astype(np.float32)):
            total += np.sin(wave[0] * x + wave[1] * y + wave[2] * z + phase)
        result: Field = shape(x, y, z) + total * np.float32(self._parameters.boneRoughnessMm / np.sqrt(3.0))
        return result

    def _hu(self, distance: Field) -> Field:
        """Cancellous bone with a cortical shell."""
        thin, end = CORTEX_MM
        shell = np.clip((distance + np.float32(end)) / np.float32(end - thin), 0.0, 1.0)
        result: Field = (self._parameters.boneDensityScale * (CANCELLOUS_HU + CORTICAL_EXTRA_HU * shell)).astype(np.float32)
        return result
