"""The live ultrasound image as a plane in the patient, and how the needle lies to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from IntradiscalNavLib.Guidance.PathFrame import crossProduct, vectorLength
from TranslatedText.Translation import tr as _

PARALLEL_SINE = np.sin(np.radians(1.0))
"""A shaft within one degree of the image plane meets it nowhere that could be aimed at."""


@dataclass(frozen=True, eq=False)
class ImagePlane:
    """Ultrasound image in RAS: ``imageToRas`` maps pixel (column, row, 0, 1) to mm; size is (columns, rows)."""

    imageToRas: FloatArray
    columns: int
    rows: int

    @cached_property
    def normalRas(self) -> FloatArray:
        """Unit normal: column direction x row direction (also right where calibrated axes aren't quite perpendicular)."""
        normal = crossProduct(self.imageToRas[:3, 0], self.imageToRas[:3, 1])
        result: FloatArray = normal / vectorLength(normal)
        return result

    @cached_property
    def _rasToPixel(self) -> FloatArray:
        """(2, 3): offset from the image's origin to (column, row), by least squares."""
        basis = self.imageToRas[:3, :2]
        return np.asarray(np.linalg.solve(basis.T @ basis, basis.T), dtype=np.float64)

    def pixelOf(self, pointRas: npt.ArrayLike) -> FloatArray:
        """(column, row) of the point's projection along the normal."""
        result: FloatArray = self._rasToPixel @ (np.asarray(pointRas, float) - self.imageToRas[:3, 3])
        return result

    def contains(self, pixel: npt.ArrayLike) -> bool:
        """Whether a (column, row) lies on the image (pixel edges included)."""
        column, row = np.asarray(pixel, float).tolist()
        return bool(-0.5 <= column <= self.columns - 0.5 and -0.5 <= row <= self.rows - 0.5)

    def distanceMm(self, pointRas: npt.ArrayLike) -> float:
        """Signed distance of a point from the plane, positive on the side of the normal."""
        return float((np.asarray(pointRas, float) - self.imageToRas[:3, 3]) @ self.normalRas)


@dataclass(frozen=True, eq=False)
class NeedleInPlane:
    """Where needle and image plane meet.

    ``crossingAheadMm`` is counted along the shaft from the tip: positive ahead of the tip (the needle hasn't reached the plane
    yet), negative on the shaft behind the tip. ``crossingRas`` is None where the shaft runs within one degree of the plane.
    """

    outOfPlaneMm: float
    shaftToPlaneDeg: float
    crossingRas: FloatArray | None
    crossingAheadMm: float
    crossingOnShaft: bool
    crossingPixel: FloatArray | None
    crossingOnImage: bool
    tipPixel: FloatArray
    tipOnImage: bool


def imagePlane(imageToRas: npt.ArrayLike, columns: int, rows: int) -> ImagePlane:
    """Plane of an ultrasound image.

    :raises ValueError: when the matrix spans no plane or the image is empty.
    """
    matrix = np.array(imageToRas, float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise ValueError(_("ImageToRas must be a 4x4 matrix of finite numbers. Check the probe calibration and the probe's pose."))
    area = vectorLength(crossProduct(matrix[:3, 0], matrix[:3, 1]))
    column, row = vectorLength(matrix[:3, 0]), vectorLength(matrix[:3, 1])
    if min(column, row) < 1e-6 or area < 0.1 * column * row:
        raise ValueError(_("ImageToRas spans no plane: its pixel axes are null or parallel. Load the probe calibration again."))
    if columns < 1 or rows < 1:
        raise ValueError(
            _("The ultrasound image is empty ({columns} x {rows} pixels). Wait for the first frame.").format(columns=columns, rows=rows)
        )
    return ImagePlane(matrix, int(columns), int(rows))


def needleInPlane(plane: ImagePlane, tipRas: npt.ArrayLike, shaftDirectionRas: npt.ArrayLike, shaftLengthMm: float) -> NeedleInPlane:
    """Relation of a straight needle (tip, unit direction hub to tip, length) to the image plane."""
    tip, direction = np.asarray(tipRas, float), np.asarray(shaftDirectionRas, float)
    normal = plane.normalRas
    offPlaneMm = plane.distanceMm(tip)
    sine = float(direction @ normal)
    tipPixel = plane.pixelOf(tip)
    crossing: FloatArray | None = None
    pixel: FloatArray | None = None
    aheadMm = float("nan")
    if abs(sine) >= PARALLEL_SINE:
        aheadMm = -offPlaneMm / sine
        crossing = tip + aheadMm * direction
        pixel = plane.pixelOf(crossing)
    return NeedleInPlane(
        outOfPlaneMm=offPlaneMm,
        shaftToPlaneDeg=float(np.degrees(np.arcsin(min(1.0, abs(sine))))),
        crossingRas=crossing,
        crossingAheadMm=aheadMm,
        crossingOnShaft=bool(crossing is not None and -shaftLengthMm <= aheadMm <= 0.0),
        crossingPixel=pixel,
        crossingOnImage=bool(pixel is not None and plane.contains(pixel)),
        tipPixel=tipPixel,
        tipOnImage=plane.contains(tipPixel),
    )
