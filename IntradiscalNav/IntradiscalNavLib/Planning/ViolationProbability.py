"""Probability that a path violates a hard limit, from registration error, needle bending and the uncertainty of modelled nerves.

Registration: a small twist (rotation vector rad, translation mm) about a centre, with 6x6 covariance, moves the whole needle against the
patient. Bending: a free 22 G needle deflects with depth squared; the share that remains after steering under ultrasound is a parameter;
its direction is unknown. Modelled roots may lie nearer or farther than drawn. Draws are common to all paths (fixed seed), so that
ranking is fair and repeatable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from IntradiscalNavLib.Planning.ClearanceField import UNITS_PER_MM, ClearanceField
from IntradiscalNavLib.Planning.PlanningParameters import PlanningParameters
from TranslatedText.Translation import tr as _

FloatArray = npt.NDArray[np.float64]


_POINTS_AT_ONCE = 60_000
"""Points moved in one go: enough to forget Python's overhead, few enough to stay in the cache."""


@dataclass(frozen=True)
class RegistrationUncertainty:
    """Covariance (6x6: rotation vector in rad, then translation in mm) of a small twist about ``centerRas`` in RAS, as a rigid fit
    predicts it."""

    centerRas: FloatArray
    covariance: FloatArray

    def __post_init__(self) -> None:
        matrix = np.asarray(self.covariance, float)
        if matrix.shape != (6, 6) or not np.isfinite(matrix).all():
            raise ValueError(_("The registration covariance must be a finite 6x6 matrix (rotation vector rad, translation mm)."))
        if np.linalg.eigvalsh(0.5 * (matrix + matrix.T)).min() < -1e-9 * max(1.0, float(np.abs(matrix).max())):
            raise ValueError(
                _("The registration covariance has negative eigenvalues; pass the fit's covariance, not its inverse or a residual matrix.")
            )

    @staticmethod
    def isotropic(centerRas: npt.ArrayLike, treRmsMm: float) -> RegistrationUncertainty:
        """Pure translation error of the given root-mean-square TRE, the same in every direction: what stands in before a registration
        exists."""
        return RegistrationUncertainty(np.asarray(centerRas, float), np.diag([0.0, 0.0, 0.0, *[treRmsMm**2 / 3.0] * 3]))

    def draws(self, standardNormal: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rotation vectors (n, 3) and translations (n, 3) from standard normal draws (n, 6)."""
        value, vector = np.linalg.eigh(0.5 * (self.covariance + self.covariance.T))
        twist = standardNormal @ (vector * np.sqrt(np.maximum(value, 0.0))).T
        return twist[:, :3], twist[:, 3:]


@dataclass(frozen=True)
class ViolationEstimate:
    """Probability (n,) per path of violating any hard limit, and by cause: "segmented structures" (bone,
    vessels, organs, drawn nerves), "modelled nerves", and "tip" (it leaves the target region)."""

    total: FloatArray
    byCause: dict[str, FloatArray]


def bendMm(depthMm: npt.ArrayLike, parameters: PlanningParameters) -> FloatArray:
    """Standard deviation (mm) of the lateral deflection of the needle at a depth: residual share of the free bend, growing with depth
    squared."""
    depth = np.asarray(depthMm, float)
    result: FloatArray = parameters.needleBendResidual * parameters.needleBendMm * (depth / parameters.needleBendDepthMm) ** 2
    return result


def estimateViolation(
    field: ClearanceField,
    entriesRas: FloatArray,
    targetsRas: FloatArray,
    registration: RegistrationUncertainty,
    parameters: PlanningParameters,
    tipCenterRas: FloatArray,
    tipMatrix: FloatArray,
    *,
    stepMm: float = 1.5,
    draws: int | None = None,
    seed: int = 7,
) -> ViolationEstimate:
    """Sampled probability for paths entries (n, 3) to targets (n, 3).

    :param tipCenterRas, tipMatrix: the tip is inside its target region while ``|tipMatrix @ (tip - tipCenter)| <= 1`` (3x3, 1/mm).
    """
    count = len(entriesRas)
    number = parameters.violationDraws if draws is None else draws
    normal = np.random.default_rng(seed).standard_normal((number, 9))
    rotation, translation = registration.draws(normal[:, :6])
    vector = targetsRas - entriesRas
    length = np.linalg.norm(vector, axis=1)
    direction = vector / length[:, None]
    helper = np.where(np.abs(direction[:, 2:3]) < 0.9, np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    across1 = np.cross(direction, helper)
    across1 /= np.linalg.norm(across1, axis=1, keepdims=True)
    across2 = np.cross(direction, across1)
    samples = max(2, int(np.ceil(float(length.max()) / stepMm)) + 1)
    depth = np.linspace(0.0, 1.0, samples)[None, :] * length[:, None]
    points = entriesRas[:, None, :] + depth[..., None] * direction[:, None, :]
    bend = bendMm(depth, parameters)
    relative = points - registration.centerRas
    grid = field.grid
    spacing = grid.spacingMm[0]
    last = np.asarray(grid.shape)[::-1] - 1
    ni, nj = grid.shape[2], grid.shape[1]
    rest, nerves = field.segmented.reshape(-1), field.modelled.reshape(-1)
    hits = {cause: np.zeros(count) for cause in ("modelled nerves", "segmented structures", "tip")}
    anyHit = np.zeros(count)
    block = max(1, _POINTS_AT_ONCE // (count * samples))
    for first in range(0, number, block):
        part = slice(first, min(first + block, number))
        # A small rotation moves a point by rotation x offset, a product with the skew matrix of the rotation.
        skew = np.zeros((part.stop - part.start, 3, 3))
        for row, column, axis, sign in ((0, 1, 2, -1), (0, 2, 1, 1), (1, 0, 2, 1), (1, 2, 0, -1), (2, 0, 1, -1), (2, 1, 0, 1)):
            skew[:, row, column] = sign * rotation[part, axis]
        moved = (relative.reshape(-1, 3) @ skew.transpose(0, 2, 1)).reshape(-1, count, samples, 3)
        moved += points
        moved += translation[part, None, None, :]
        sideways = normal[part, 6, None, None] * across1 + normal[part, 7, None, None] * across2
        moved += bend[None, :, :, None] * sideways[:, :, None, :]
        index = np.clip(np.rint((moved - np.asarray(grid.originRas)) / spacing), 0, last).astype(np.int32)
        flat = (index[..., 2] * nj + index[..., 1]) * ni + index[..., 0]
        others = rest.take(flat).min(2) < 0
        shift = field.nerveSigmaMm * normal[part, 8, None]
        nerve = nerves.take(flat).min(2) / UNITS_PER_MM + shift < 0
        tip = np.linalg.norm((moved[:, :, -1] - tipCenterRas) @ tipMatrix.T, axis=-1) > 1.0
        hits["segmented structures"] += others.sum(0)
        hits["modelled nerves"] += nerve.sum(0)
        hits["tip"] += tip.sum(0)
        anyHit += (others | nerve | tip).sum(0)
    return ViolationEstimate(anyHit / number, {cause: value / number for cause, value in hits.items()})
