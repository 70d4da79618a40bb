"""What is true of the simulated patient, stated by the simulator itself. All positions are RAS millimetres unless a name says otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PlaneTruth:
    """A plane: a point in it and its unit normal."""

    pointRas: FloatArray
    normalRas: FloatArray


@dataclass(frozen=True)
class DiscTruth:
    """One disc. The upper plane is the lower endplate of the vertebra above; both normals point to the head."""

    level: str
    label: int
    centerRas: FloatArray
    upperPlane: PlaneTruth
    lowerPlane: PlaneTruth
    discToRas: FloatArray
    """Disc frame (x right, y anterior, z up, origin in the centre) to RAS."""
    heightMm: float
    semiWidthMm: float
    semiDepthMm: float
    nucleusSemiAxesMm: tuple[float, float, float]
    """Half axes of the nucleus along the disc frame's axes."""


@dataclass(frozen=True)
class RootTruth:
    """An exiting nerve root: from the dural sac through the foramen below its vertebra's pedicle into the psoas."""

    name: str
    vertebra: str
    side: str
    label: int
    centerlineRas: FloatArray
    radiusMm: float


@dataclass(frozen=True)
class FacetTruth:
    """A facet joint: centre of the joint space, its normal and the middle of its dorsal capsule."""

    level: str
    side: str
    centerRas: FloatArray
    normalRas: FloatArray
    capsuleRas: FloatArray


@dataclass(frozen=True)
class DuralSacTruth:
    """The dural sac: centreline and half axes across (right, anterior)."""

    centerlineRas: FloatArray
    semiWidthMm: float
    semiDepthMm: float


@dataclass(frozen=True)
class PhantomTruth:
    """Everything that is true of a phantom."""

    patientToRas: FloatArray
    vertebraToRas: dict[str, FloatArray]
    discs: dict[str, DiscTruth]
    roots: tuple[RootTruth, ...]
    facets: tuple[FacetTruth, ...]
    dura: DuralSacTruth
    midSagittal: PlaneTruth
    """Mid-sagittal plane; its normal points to the patient's right."""
    plateToRas: FloatArray | None
    referenceToRas: FloatArray | None
    """Frame of the sensor on the marker plate to RAS: what a registration has to find."""
    ballsRas: FloatArray
    ballsReference: FloatArray
    """Ball centres in the frame of the sensor on the plate, in the same order as ``ballsRas``."""
    ballDiameterMm: float
    tableTopMm: float
    """RAS y of the table's top."""

    def root(self, vertebra: str, side: str) -> RootTruth:
        """The exiting root of a vertebra on a side.

        :raises ValueError: when the phantom has no such root.
        """
        for root in self.roots:
            if root.vertebra == vertebra and root.side == side:
                return root
        raise ValueError(f"The phantom has no root {vertebra} {side}; it has {', '.join(r.name for r in self.roots)}.")

    def facet(self, level: str, side: str) -> FacetTruth:
        """The facet joint of a level (``L4-L5``) on a side.

        :raises ValueError: when the phantom has no such joint.
        """
        for facet in self.facets:
            if facet.level == level and facet.side == side:
                return facet
        raise ValueError(f"The phantom has no facet joint {level} {side}.")


def truthDictionary(truth: PhantomTruth) -> dict[str, Any]:
    """The truth as plain lists and numbers, for JSON."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return value.tolist()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (tuple, list)):
            return [plain(item) for item in value]
        if hasattr(value, "__dataclass_fields__"):
            return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
        return value

    result: dict[str, Any] = plain(truth)
    return result
