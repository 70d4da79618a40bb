"""Measured error of a registration: known points are touched and compared with where the CT says they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.PointSetGeometry import PointSetError, asPoints
from FusionRegistrationLib.RegistrationVerdict import DEFAULT_LIMIT_MM, LIMIT_SOURCE
from FusionRegistrationLib.RigidTransform import FloatArray, checkRigid, transformPoints
from TranslatedText.Translation import tr as _

FORMAT_VERSION = 1


@dataclasses.dataclass(frozen=True, eq=False)
class RegistrationVerification:
    """Errors at touched points (mm).

    :ivar errorVectorsRas: measured minus known (N, 3).
    :ivar passed: every error within ``limitMm``; ``limitSource`` tells where the limit comes from.
    :ivar independent: False when touched points took part in the registration: their errors then say less than they seem to.
    """

    names: tuple[str, ...]
    knownRas: FloatArray
    errorVectorsRas: FloatArray
    errorsMm: FloatArray
    meanMm: float
    rmsMm: float
    maxMm: float
    worstName: str
    limitMm: float
    limitSource: str
    passed: bool
    independent: bool
    message: str

    def toDict(self) -> dict[str, Any]:
        """JSON-ready content for the scene and the log."""
        content: dict[str, Any] = {"format": "RegistrationVerification", "version": FORMAT_VERSION}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            content[field.name] = value.tolist() if isinstance(value, np.ndarray) else list(value) if isinstance(value, tuple) else value
        return content

    @staticmethod
    def fromDict(content: Mapping[str, Any]) -> RegistrationVerification:
        """Rebuild from `toDict`.

        :raises ValueError: content of another kind or version.
        """
        if content.get("format") != "RegistrationVerification" or content.get("version") != FORMAT_VERSION:
            raise ValueError(_("This is no stored verification of a version that this program reads."))
        values = {f.name: content[f.name] for f in dataclasses.fields(RegistrationVerification)}
        values["names"] = tuple(values["names"])
        for name in ("knownRas", "errorVectorsRas"):
            values[name] = np.array(values[name], float).reshape(-1, 3)
        values["errorsMm"] = np.array(values["errorsMm"], float)
        return RegistrationVerification(**values)


def verifyRegistration(
    referenceToRas: npt.ArrayLike,
    touchedInReference: npt.ArrayLike,
    knownRas: npt.ArrayLike,
    *,
    names: Sequence[str] | None = None,
    limitMm: float = DEFAULT_LIMIT_MM,
    limitSource: str = LIMIT_SOURCE,
    registrationPointsRas: npt.ArrayLike | None = None,
) -> RegistrationVerification:
    """Compare touched points with their known places.

    :param touchedInReference: (N, 3) mm, stylus tip in Reference.
    :param knownRas: (N, 3) mm, the same points in the CT.
    :param limitMm: pass line; state its source.
    :param registrationPointsRas: points the registration was made of, to tell whether the check is independent of it.
    :raises PointSetError: no points, unequal numbers, or NaN.
    """
    matrix = checkRigid(referenceToRas, "ReferenceToRas")
    touched, known = asPoints(touchedInReference, "touched points"), asPoints(knownRas, "known points")
    if len(touched) == 0 or len(touched) != len(known):
        raise PointSetError(
            _("{count} points were touched but {total} known places were given; touch at least one known point.").format(
                count=len(touched), total=len(known)
            )
        )
    if not np.isfinite(limitMm) or limitMm <= 0:
        raise ValueError(_("The pass line must be a positive length in mm, not {limitMm}.").format(limitMm=limitMm))
    labels = tuple(str(n) for n in names) if names is not None else tuple(str(i + 1) for i in range(len(known)))
    if len(labels) != len(known):
        raise ValueError(_("{count} names were given for {total} points.").format(count=len(labels), total=len(known)))
    vectors = transformPoints(matrix, touched) - known
    errors = np.linalg.norm(vectors, axis=1)
    worst = int(np.argmax(errors))
    passed = bool((errors <= limitMm).all())
    independent = True
    if registrationPointsRas is not None:
        used = np.asarray(registrationPointsRas, float).reshape(-1, 3)
        independent = bool(np.linalg.norm(known[:, None] - used[None], axis=2).min(initial=np.inf) > 1.0)
    message = _(
        "Measured error at {count} touched point{value}: mean {mean:.1f} mm, largest "
        "{errors:.1f} mm "
        "at {labels}; {value2} the limit of {limitMm:g} mm."
    ).format(
        count=len(known),
        value="s" * (len(known) > 1),
        mean=errors.mean(),
        errors=errors[worst],
        labels=labels[worst],
        value2="within" if passed else "above",
        limitMm=limitMm,
    )
    if not passed:
        message += _(" Don't rely on this registration: measure the points again and register anew.")
    if not independent:
        message += _(" Some of these points were used for the registration: touch others to learn the true error.")
    return RegistrationVerification(
        names=labels,
        knownRas=known,
        errorVectorsRas=vectors,
        errorsMm=errors,
        meanMm=float(errors.mean()),
        rmsMm=float(np.sqrt((errors**2).mean())),
        maxMm=float(errors[worst]),
        worstName=labels[worst],
        limitMm=float(limitMm),
        limitSource=limitSource,
        passed=passed,
        independent=independent,
        message=message,
    )
