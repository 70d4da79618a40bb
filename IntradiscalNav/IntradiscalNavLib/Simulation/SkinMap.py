"""Height of the skin of the back on a grid, for placing probe and needle quickly."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .TrunkShape import TrunkGeometry

FloatArray = npt.NDArray[np.float64]


class SkinMap:
    """Skin of the back as y over (x, z) in the patient frame, bilinear between grid points 4 mm apart."""

    def __init__(self, trunk: TrunkGeometry, *, halfWidthMm: float = 130.0, lowMm: float = -160.0, highMm: float = 140.0) -> None:
        self._x = np.arange(-halfWidthMm, halfWidthMm + 1.0, 4.0)
        self._z = np.arange(lowMm, highMm + 1.0, 4.0)
        x, z = np.meshgrid(self._x, self._z)
        low, high = np.full(x.shape, trunk.axisYMm - 400.0), np.full(x.shape, trunk.axisYMm)
        for _ in range(40):
            middle = 0.5 * (low + high)
            outside = trunk.skinDistance(x.astype(np.float32), middle.astype(np.float32), z.astype(np.float32)) > 0
            low, high = np.where(outside, middle, low), np.where(outside, high, middle)
        self._y = 0.5 * (low + high)

    def height(self, x: float, z: float) -> float:
        """y of the skin; beyond the grid its edge value."""
        i = float(np.clip((x - self._x[0]) / 4.0, 0.0, len(self._x) - 1.001))
        k = float(np.clip((z - self._z[0]) / 4.0, 0.0, len(self._z) - 1.001))
        i0, k0 = int(i), int(k)
        fi, fk = i - i0, k - k0
        y = self._y
        return float((1 - fk) * ((1 - fi) * y[k0, i0] + fi * y[k0, i0 + 1]) + fk * ((1 - fi) * y[k0 + 1, i0] + fi * y[k0 + 1, i0 + 1]))

    def inwardNormal(self, x: float, z: float) -> FloatArray:
        """Unit normal of the skin that points into the body, smoothed over the size of a probe."""
        slopeX = (self.height(x + 12.0, z) - self.height(x - 12.0, z)) / 24.0
        slopeZ = (self.height(x, z + 12.0) - self.height(x, z - 12.0)) / 24.0
        normal = np.array([-slopeX, 1.0, -slopeZ])
        result: FloatArray = normal / np.linalg.norm(normal)
        return result

    def depthOf(self, point: npt.ArrayLike, direction: npt.ArrayLike) -> float:
        """Length inside the body (mm) of a straight way that came in along a direction and ended at a point; 0 outside."""
        end, along = np.asarray(point, float), np.asarray(direction, float)

        def inside(distance: float) -> bool:
            place = end - distance * along
            return bool(place[1] > self.height(float(place[0]), float(place[2])))

        if not inside(0.0):
            return 0.0
        low, high = 0.0, 260.0
        for _ in range(24):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if inside(middle) else (low, middle)
        return low
