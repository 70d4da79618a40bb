"""Ultrasound probe calibration made by PLUS: loaded from a device-set XML and checked before use."""

from __future__ import annotations

import dataclasses
import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

MAX_FILE_BYTES = 64_000_000


@dataclasses.dataclass(frozen=True)
class ProbeCheckLimits:
    """What passes, what passes with a remark.

    :ivar pixelMm: smallest and largest plausible pixel; 0.03 mm is finer than any probe, 0.6 mm is a 30 cm deep image of 500 rows.
    :ivar maxAspect: largest ratio of the two pixel sizes; clinical images are nearly square, 1.1 already deserves a look.
    :ivar remarkAngleDeg: deviation of the axes from 90 deg that is told; ``maxAngleDeg`` that refuses. At 3 deg, a point 40 mm off the
        middle of the image is displaced by 2.1 mm against a square grid, which a good calibration by wires doesn't do by chance.
    :ivar maxOffsetMm: largest distance of the image's corner from the sensor.
    """

    pixelMm: tuple[float, float] = (0.03, 0.6)
    remarkAspect: float = 1.02
    maxAspect: float = 1.5
    remarkAngleDeg: float = 1.0
    maxAngleDeg: float = 5.0
    maxOffsetMm: float = 400.0
    remarkErrorMm: float = 1.5


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeCheck:
    """Outcome: ``problems`` refuse the calibration, ``remarks`` only want attention.

    :ivar pixelSizeMm: size of a pixel along column and row.
    :ivar axisAngleDeg: angle between the two image axes.
    """

    pixelSizeMm: tuple[float, float]
    axisAngleDeg: float
    rightHanded: bool
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """True when nothing refuses it."""
        return not self.problems


@dataclasses.dataclass(frozen=True, eq=False)
class ProbeCalibration:
    """``imageToProbe`` 4x4: pixel (column, row, 0, 1) to mm of the probe's sensor.

    :ivar errorMm: the error stated in the file, NaN if none; ``date`` as written there.
    """

    imageToProbe: FloatArray
    errorMm: float
    date: str
    source: str


def loadProbeCalibration(path: str | pathlib.Path, *, imageFrame: str = "Image", probeFrame: str = "Probe") -> ProbeCalibration:
    """Read ``imageToProbe`` from a PLUS device set or calibration result (element Transform From=Image To=Probe).

    :raises ValueError: unreadable file, no such transform (those that are there are named), or a matrix that isn't 16 finite numbers.
    """
    matrix, element = readPlusTransform(path, imageFrame, probeFrame)
    try:
        errorMm = float(element.get("Error", "nan"))
    except ValueError:
        errorMm = float("nan")
    return ProbeCalibration(matrix, errorMm, element.get("Date", ""), str(path))


def readPlusTransform(path: str | pathlib.Path, fromFrame: str, toFrame: str) -> tuple[FloatArray, ElementTree.Element]:
    """The 4x4 ``fromToTo`` of a PLUS XML file and its element.

    :raises ValueError: as `loadProbeCalibration`.
    """
    root = readPlusXml(path)
    elements = [e for e in root.iter("Transform") if e.get("Matrix")]
    for element in elements:
        if element.get("From") == fromFrame and element.get("To") == toFrame:
            return _matrix(element, path), element
    listed = ", ".join(f"{e.get('From')}To{e.get('To')}" for e in elements) or "none"
    raise ValueError(
        _("{path} holds no transform {fromFrame}To{toFrame}; it holds: {listed}. Calibrate the probe in PLUS's fCal first.").format(
            path=path, fromFrame=fromFrame, toFrame=toFrame, listed=listed
        )
    )


def readPlusXml(path: str | pathlib.Path) -> ElementTree.Element:
    """Root element of a PLUS XML file.

    :raises ValueError: missing, too large or malformed file.
    """
    file = pathlib.Path(path)
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(
                _("{path} is {stsize:.0f} MB, too large for a PLUS configuration.").format(path=path, stsize=file.stat().st_size / 1e6)
            )
        return ElementTree.fromstring(file.read_bytes())
    except OSError as error:
        raise ValueError(_("{path} can't be read: {strerror}.").format(path=path, strerror=error.strerror or error)) from error
    except ElementTree.ParseError as error:
        raise ValueError(_("{path} is no valid XML: {error}.").format(path=path, error=error)) from error


def _matrix(element: ElementTree.Element, path: str | pathlib.Path) -> FloatArray:
    name = f"{element.get('From')}To{element.get('To')}"
    try:
        numbers = [float(v) for v in element.get("Matrix", "").split()]
    except ValueError as error:
        raise ValueError(
            _("{path}: the matrix of {name} holds something that is no number ({error}).").format(path=path, name=name, error=error)
        ) from error
    if len(numbers) != 16 or not np.isfinite(numbers).all():
        raise ValueError(
            _("{path}: the matrix of {name} must be 16 finite numbers, it has {count}.").format(path=path, name=name, count=len(numbers))
        )
    return np.array(numbers).reshape(4, 4)


def checkProbeCalibration(
    imageToProbe: npt.ArrayLike, *, errorMm: float = float("nan"), limits: ProbeCheckLimits | None = None
) -> ProbeCheck:
    """Is this a plausible picture-to-probe transform? Size of the pixels, angle of the axes, handedness, size of the offset."""
    chosen = limits or ProbeCheckLimits()
    matrix = np.asarray(imageToProbe, float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], [0, 0, 0, 1], atol=1e-6):
        return ProbeCheck(
            (float("nan"), float("nan")), float("nan"), False, (_("ImageToProbe is not a 4x4 affine matrix of finite numbers."),), ()
        )
    column, row, normal = matrix[:3, 0], matrix[:3, 1], matrix[:3, 2]
    sizes = float(np.linalg.norm(column)), float(np.linalg.norm(row))
    problems: list[str] = []
    remarks: list[str] = []
    if min(sizes) == 0:
        return ProbeCheck(sizes, float("nan"), False, (_("ImageToProbe has an image axis of zero length."),), ())
    angle = float(np.degrees(np.arccos(np.clip(column @ row / (sizes[0] * sizes[1]), -1.0, 1.0))))
    _checkSizes(sizes, chosen, problems, remarks)
    skew = abs(angle - 90.0)
    if skew > chosen.maxAngleDeg:
        problems.append(
            _("The image axes are at {angle:.1f} deg instead of 90 deg (limit {maxAngleDeg:g} deg off): calibrate the probe again.").format(
                angle=angle, maxAngleDeg=chosen.maxAngleDeg
            )
        )
    elif skew > chosen.remarkAngleDeg:
        remarks.append(
            _(
                "The image axes are at {angle:.1f} deg instead of 90 deg: 40 mm beside the middle of the image that displaces a point by "
                "{sin:.1f} mm in depth. Usable, but a new calibration would be better."
            ).format(angle=angle, sin=40.0 * np.sin(np.radians(skew)))
        )
    cross = np.cross(column, row)
    handed = float(cross @ normal)
    rightHanded = handed > 0
    length = float(np.linalg.norm(normal))
    if length < 1e-9:
        rightHanded = True
        remarks.append(_("ImageToProbe has no third axis (flat matrix); it is completed with the normal of the image."))
    elif handed < 0:
        problems.append(
            _(
                "ImageToProbe is left-handed: the image is mirrored against the calibration. Check the image orientation (MF/UF...) "
                "in the PLUS "
                "device set; a mirrored image shows left as right."
            )
        )
    elif handed < 0.9 * float(np.linalg.norm(cross)) * length:
        remarks.append(_("The third axis of ImageToProbe isn't perpendicular to the image; only the image plane is used."))
    offset = float(np.linalg.norm(matrix[:3, 3]))
    if offset > chosen.maxOffsetMm:
        problems.append(
            _("The image lies {offset:.0f} mm from the probe's sensor (limit {maxOffsetMm:g} mm): wrong unit or wrong transform.").format(
                offset=offset, maxOffsetMm=chosen.maxOffsetMm
            )
        )
    if np.isfinite(errorMm) and errorMm > chosen.remarkErrorMm:
        remarks.append(
            _(
                "The file states a calibration error of {errorMm:.2f} mm (more than {remarkErrorMm:g} mm): check it with a wire phantom."
            ).format(errorMm=errorMm, remarkErrorMm=chosen.remarkErrorMm)
        )
    return ProbeCheck(sizes, angle, rightHanded, tuple(problems), tuple(remarks))


def _checkSizes(sizes: tuple[float, float], limits: ProbeCheckLimits, problems: list[str], remarks: list[str]) -> None:
    low, high = limits.pixelMm
    for name, size in zip(("wide", "high"), sizes):
        if not low <= size <= high:
            hint = (
                _(" Is it in metres?")
                if low <= size * 1000.0 <= high
                else _(" Is it an identity instead of a calibration?")
                if abs(size - 1) < 1e-6
                else ""
            )
            problems.append(
                _("A pixel would be {size:.4g} mm {name}, outside {low:g}-{high:g} mm.{hint}").format(
                    size=size, name=name, low=low, high=high, hint=hint
                )
            )
    aspect = max(sizes) / min(sizes)
    if aspect > limits.maxAspect:
        problems.append(
            _("Pixels of {sizes:.3f} x {sizes2:.3f} mm are too far from square (limit {maxAspect:g} : 1).").format(
                sizes=sizes[0], sizes2=sizes[1], maxAspect=limits.maxAspect
            )
        )
    elif aspect > limits.remarkAspect:
        remarks.append(
            _("Pixels are {sizes:.3f} x {sizes2:.3f} mm, not square ({aspect:.0f} % apart): compare with the scanner's scale.").format(
                sizes=sizes[0], sizes2=sizes[1], aspect=100 * (aspect - 1)
            )
        )


def compareImageOrientation(imageToProbe: npt.ArrayLike, probeDepthDirection: npt.ArrayLike) -> str:
    """Reason why the picture is upside down, or an empty string.

    :param probeDepthDirection: direction of the probe sensor's frame in which the beam goes into the body.
    """
    matrix, direction = np.asarray(imageToProbe, float), np.asarray(probeDepthDirection, float)
    row = matrix[:3, 1] / np.linalg.norm(matrix[:3, 1])
    cosine = float(row @ direction / np.linalg.norm(direction))
    if cosine < -0.5:
        return _(
            "The rows of the image run against the beam: the picture is upside down. Check the image orientation in the PLUS device set."
        )
    if cosine < 0.5:
        return _("The rows of the image run across the beam: the picture is turned, or the calibration belongs to another probe.")
    return ""
