"""Painting implicit shapes into a CT grid, with partial volume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .ImplicitShape import Field, normalised
from .SimulatedPose import inversePose, mapPoints

FloatArray = npt.NDArray[np.float64]
Box = tuple[slice, slice, slice]
Shape = Callable[[Field, Field, Field], Field]


class VoxelPainter:
    """Voxels (k, j, i) of a CT with axes along RAS, its labels and the share of bone in each voxel.

    Shapes are painted one over the other; a voxel that a shape fills to one half or more gets its label.
    """

    def __init__(self, shape: tuple[int, int, int], originRasMm: npt.ArrayLike, spacingMm: tuple[float, float, float]) -> None:
        self.shape = shape
        self.spacingMm = spacingMm
        self.ijkToRas: FloatArray = np.diag([*spacingMm, 1.0])
        self.ijkToRas[:3, 3] = np.asarray(originRasMm, float)
        self.hu: Field = np.full(shape, -1000.0, np.float32)
        self.labels: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self.boneFraction: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
        self._edgeMm = float(np.prod(spacingMm) ** (1.0 / 3.0))

    def box(self, frameToRas: FloatArray, lowMm: npt.ArrayLike, highMm: npt.ArrayLike) -> Box | None:
        """Grid slices that hold the box low..high of a frame; ``None`` when it lies outside the grid."""
        low, high = np.asarray(lowMm, float), np.asarray(highMm, float)
        corners = np.array([[(low, high)[a][0], (low, high)[b][1], (low, high)[c][2]] for a in (0, 1) for b in (0, 1) for c in (0, 1)])
        ijk = mapPoints(inversePose(self.ijkToRas) @ frameToRas, corners)
        first = np.maximum(np.floor(ijk.min(0)).astype(int) - 1, 0)
        last = np.minimum(np.ceil(ijk.max(0)).astype(int) + 2, np.array(self.shape[::-1]))
        if (last - first < 3).any():
            return None
        return slice(first[2], last[2]), slice(first[1], last[1]), slice(first[0], last[0])

    def coordinates(self, frameToRas: FloatArray, box: Box) -> tuple[Field, Field, Field]:
        """Coordinates of the voxel centres of a box in a frame: three float32 arrays (k, j, i)."""
        m = (inversePose(frameToRas) @ self.ijkToRas).astype(np.float32)
        k, j, i = (np.arange(part.start, part.stop, dtype=np.float32) for part in box)
        k, j, i = k[:, None, None], j[None, :, None], i[None, None, :]
        x, y, z = ((m[row, 0] * i + m[row, 3]) + m[row, 1] * j + m[row, 2] * k for row in range(3))
        return x, y, z

    def paint(
        self,
        frameToRas: FloatArray,
        lowMm: npt.ArrayLike,
        highMm: npt.ArrayLike,
        shape: Shape,
        hu: float | Callable[[Field], Field],
        label: int,
        *,
        bone: bool = False,
        exact: bool = False,
    ) -> None:
        """Paint a shape given in a frame, within a box of that frame.

        :param hu: Hounsfield units inside, or a function of the signed distance (mm, negative inside).
        :param exact: the shape is an exact distance and need not be divided by its gradient.
        """
        box = self.box(frameToRas, lowMm, highMm)
        if box is None:
            return
        distance = shape(*self.coordinates(frameToRas, box))
        if not exact:
            distance = normalised(distance, self.spacingMm)
        self.fill(box, distance, hu, label, bone=bone)

    def fill(self, box: Box, distance: Field, hu: float | Callable[[Field], Field], label: int, *, bone: bool = False) -> None:
        """Fill a box by a signed distance given on its voxels."""
        coverage = np.clip(0.5 - distance / self._edgeMm, 0.0, 1.0)
        value = hu(distance) if callable(hu) else np.float32(hu)
        self.hu[box] += coverage * (value - self.hu[box])
        self.labels[box][distance < 0] = label
        fraction = self.boneFraction[box]
        if bone:
            np.maximum(fraction, np.rint(coverage * 255).astype(np.uint8), out=fraction)

    def paintSmallBall(self, centerRas: npt.ArrayLike, radiusMm: float, hu: float, label: int, oversampling: int = 6) -> None:
        """Ball small against the voxels: its share of every voxel is counted on a fine grid, so that the centroid is true."""
        center = np.asarray(centerRas, float)
        box = self.box(np.eye(4), center - radiusMm - 1.0, center + radiusMm + 1.0)
        if box is None:
            return
        offsets = (np.arange(oversampling) + 0.5) / oversampling - 0.5
        axes = [
            ((np.arange(part.start, part.stop)[:, None] + offsets[None, :]).ravel() * self.spacingMm[axis] + self.ijkToRas[axis, 3])
            for axis, part in zip((2, 1, 0), box)
        ]
        squared = ((axes[0] - center[2]) ** 2)[:, None, None] + ((axes[1] - center[1]) ** 2)[None, :, None] + ((axes[2] - center[0]) ** 2)
        counts = tuple(part.stop - part.start for part in box)
        inside = (squared < radiusMm**2).reshape(
            counts[0], oversampling, counts[1], oversampling, counts[2], oversampling
        )  # fmt: skip
        coverage = inside.mean((1, 3, 5)).astype(np.float32)
        self.hu[box] += coverage * (np.float32(hu) - self.hu[box])
        self.labels[box][coverage >= 0.5] = label
