"""One-shot registration by a plate that carries the reference sensor and radiopaque balls: the CT alone gives ``ReferenceToRas``."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PointMatching import PointMatch, matchPoints
from FusionRegistrationLib.PointSetGeometry import PointSetError, asPoints, describePointSet
from FusionRegistrationLib.RigidFit import RigidFit, fitRigid
from FusionRegistrationLib.RigidTransform import FloatArray
from TranslatedText.Translation import tr as _

FORMAT = "IntradiscalNavMarkerPlate"
VERSION = 1
MIN_DISTINCT_MM = 3.0
"""Smallest difference (mm, RMS) between the layout and any other arrangement of itself for the layout to count as asymmetric."""


@dataclasses.dataclass(frozen=True, eq=False)
class MarkerPlate:
    """A plate: ball positions in the frame of its sensor (Reference), mm.

    :ivar ballNames: one name per ball; ``ballPositions`` (N, 3) mm in the sensor's frame.
    :ivar ballDiameterMm: outer diameter of the balls or rings.
    :ivar outward: unit vector of the sensor's frame that points away from the skin when the plate lies on the back, or None if unknown.
    """

    name: str
    ballNames: tuple[str, ...]
    ballPositions: FloatArray
    ballDiameterMm: float
    outward: FloatArray | None = None
    description: str = ""

    def __post_init__(self) -> None:
        describePointSet(asPoints(self.ballPositions, f"balls of plate {self.name}"), f"balls of plate {self.name}")
        if len(set(self.ballNames)) != len(self.ballNames):
            raise PointSetError(_("Plate {selfName} uses a ball name twice.").format(selfName=self.name))
        if len(self.ballNames) != len(self.ballPositions):
            raise PointSetError(
                _("Plate {selfName} has {count} ball names for {total} positions.").format(
                    selfName=self.name, count=len(self.ballNames), total=len(self.ballPositions)
                )
            )
        if not 1.0 <= self.ballDiameterMm <= 20.0:
            raise PointSetError(
                _("Plate {selfName}: a ball diameter of {ballDiameterMm:g} mm is outside 1-20 mm; is the unit millimetres?").format(
                    selfName=self.name, ballDiameterMm=self.ballDiameterMm
                )
            )
        distances = np.linalg.norm(self.ballPositions[:, None] - self.ballPositions[None], axis=2) + 1e9 * np.eye(len(self.ballPositions))
        if distances.min() < 1.5 * self.ballDiameterMm:
            first, second = np.unravel_index(int(np.argmin(distances)), distances.shape)
            raise PointSetError(
                _(
                    "Plate {selfName}: balls {ballNames} and {ballNames2} are {min:.2f} mm "
                    "apart, less than 1.5 diameters; they would merge in the CT. Is the unit millimetres?"
                ).format(selfName=self.name, ballNames=self.ballNames[first], ballNames2=self.ballNames[second], min=distances.min())
            )
        extent = float(distances[distances < 1e8].max())
        if extent > 500.0:
            raise PointSetError(
                _("Plate {selfName} is {extent:.0f} mm across; is the unit millimetres?").format(selfName=self.name, extent=extent)
            )

    def symmetryWarning(self) -> str:
        """Why the layout can't be told from a turned copy of itself, or an empty string."""
        match = matchPoints(
            self.ballPositions,
            self.ballPositions,
            toleranceMm=MIN_DISTINCT_MM,
            minPairs=len(self.ballNames),
            outwardFrom=self.outward,
            outwardTo=self.outward,
        )
        if match.ambiguous:
            return _(
                "The layout of plate {selfName} is symmetric: {count} orientations look alike in the CT. Move one ball by 10 mm or more"
            ).format(selfName=self.name, count=len(match.alternatives)) + (
                "." if self.outward is not None else _(", or state the outward direction.")
            )
        return ""

    def toDict(self) -> dict[str, Any]:
        """JSON-ready content of a plate file."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "description": self.description,
            "units": "mm",
            "frame": "Reference",
            "ballDiameterMm": self.ballDiameterMm,
            "outward": None if self.outward is None else [float(v) for v in self.outward],
            "balls": [{"name": n, "position": [float(v) for v in p]} for n, p in zip(self.ballNames, self.ballPositions)],
        }

    @staticmethod
    def fromDict(content: Mapping[str, Any]) -> MarkerPlate:
        """Build a plate from the content of a plate file.

        :raises ValueError: wrong format or version, missing entries, impossible values; the message names the entry.
        """
        if content.get("format") != FORMAT:
            raise ValueError(
                _("This is no plate definition: its 'format' is {format!r}, expected {format2!r}.").format(
                    format=content.get("format"), format2=FORMAT
                )
            )
        if content.get("version") != VERSION:
            raise ValueError(
                _("The plate definition has version {version!r}; this program reads version {version2}.").format(
                    version=content.get("version"), version2=VERSION
                )
            )
        if content.get("units") != "mm":
            raise ValueError(_('The plate definition must state "units": "mm"; it says {units!r}.').format(units=content.get("units")))
        try:
            balls = content["balls"]
            names = tuple(str(b["name"]) for b in balls)
            positions = asPoints([b["position"] for b in balls], _("balls of the plate"))
            diameterMm = float(content["ballDiameterMm"])
            outward = content.get("outward")
            direction = None if outward is None else np.asarray(outward, float).reshape(3)
        except (KeyError, TypeError) as error:
            raise ValueError(_("The plate definition lacks or garbles an entry: {error}.").format(error=error)) from error
        if direction is not None:
            length = float(np.linalg.norm(direction))
            if not np.isfinite(length) or length < 1e-6:
                raise ValueError(_("The plate's 'outward' must be a direction of non-zero length."))
            direction = direction / length
        return MarkerPlate(str(content.get("name", "plate")), names, positions, diameterMm, direction, str(content.get("description", "")))

    def save(self, path: str | pathlib.Path) -> None:
        """Write the plate file."""
        pathlib.Path(path).write_text(json.dumps(self.toDict(), indent=2) + "\n", encoding="utf-8")

    @staticmethod
    def load(path: str | pathlib.Path) -> MarkerPlate:
        """Read a plate file.

        :raises ValueError: unreadable or wrong content, naming the file.
        """
        try:
            content = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError(_("it holds no JSON object"))
            return MarkerPlate.fromDict(content)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise ValueError(_("Plate definition {path} can't be used: {error}").format(path=path, error=error)) from error


@dataclasses.dataclass(frozen=True, eq=False)
class PlateRegistration:
    """``ReferenceToRas`` from the plate's balls in the CT, or the reason why there is none.

    :ivar fit: the registration; None unless exactly one pose of the plate fits.
    :ivar match: which ball is which marker.
    """

    fit: RigidFit | None
    match: PointMatch
    message: str

    @property
    def referenceToRas(self) -> FloatArray:
        """4x4.

        :raises ValueError: when the plate was not found, with the reason.
        """
        if self.fit is None:
            raise ValueError(self.message)
        return self.fit.fromToTo


def registerPlate(
    plate: MarkerPlate,
    markerCentersRas: npt.ArrayLike,
    *,
    outwardRas: npt.ArrayLike | None = None,
    targets: Mapping[str, npt.ArrayLike] | None = None,
    toleranceMm: float = 2.0,
) -> PlateRegistration:
    """Find the plate among detected markers (RAS mm), also when some balls are hidden and others are no balls.

    :param outwardRas: direction away from the body at the plate (posterior for a patient whose back is treated): with the plate's own
        ``outward`` it rules out a flipped plate. Without it a flat plate can't be told from its flipped copy where that fits as well.
    :param targets: RAS points at which the TRE is predicted.
    """
    try:
        match = matchPoints(
            plate.ballPositions,
            markerCentersRas,
            toleranceMm=toleranceMm,
            outwardFrom=plate.outward if outwardRas is not None else None,
            outwardTo=outwardRas if plate.outward is not None else None,
        )
    except PointSetError as error:
        empty = PointMatch((), np.eye(4), float("nan"), False, False, (), tuple(range(len(plate.ballNames))), (), str(error))
        return PlateRegistration(None, empty, _("Plate {plateName} was not found: {error}").format(plateName=plate.name, error=error))
    if not match.found:
        return PlateRegistration(
            None, match, _("Plate {plateName} was not registered. {message}").format(plateName=plate.name, message=match.message)
        )
    pairs = np.array(match.pairs)
    fit = fitRigid(
        plate.ballPositions[pairs[:, 0]],
        np.asarray(markerCentersRas, float)[pairs[:, 1]],
        names=[plate.ballNames[i] for i in pairs[:, 0]],
        targets=targets,
    )
    hidden = [plate.ballNames[i] for i in match.missing]
    told = _("Plate {plateName}: {count} of {total} balls found").format(plateName=plate.name, count=len(pairs), total=len(plate.ballNames))
    if hidden:
        told += f" (not seen: {', '.join(hidden)})"
    return PlateRegistration(fit, match, told + ".")
