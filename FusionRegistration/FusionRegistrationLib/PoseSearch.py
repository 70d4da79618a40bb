"""Many rigid poses fitted at once to a signed distance table: robust Gauss-Newton from many starts.

A pose maps centred points ``p`` (frame of the sweep, origin at their centroid) to RAS as ``R p + t``. The cost of a pose is the
mean Geman-McClure loss ``d^2 / (c^2 + d^2)`` of the signed distances, in [0, 1]; its scale c is lowered step by step
(graduated non-convexity, Blake & Zisserman 1987), so that the many outliers of ultrasound pull less and less.
Arrays are laid out poses x coordinates x points, which numpy multiplies two to three times faster than poses x points x coordinates.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.SignedDistanceTable import SignedDistanceTable

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]

ROTATION_DAMPING_MM2 = 4.0
"""Added per point to the rotational diagonal of the normal equations (mm^2 per rad^2): a cloud that leaves a rotation open doesn't spin."""
TRANSLATION_DAMPING = 0.004
"""Added per point to the translational diagonal: a flat patch that leaves sliding open doesn't slide away."""


@dataclasses.dataclass(frozen=True, eq=False)
class Poses:
    """S poses: rotations (S, 3, 3), translations (S, 3) mm, cost (S,) in [0, 1]."""

    rotations: FloatArray
    translationsMm: FloatArray
    cost: FloatArray

    def take(self, index: npt.NDArray[np.intp]) -> Poses:
        """The poses at the given places."""
        return Poses(self.rotations[index], self.translationsMm[index], self.cost[index])


def rotationsFromVectors(vectorsRad: npt.ArrayLike) -> FloatArray:
    """Rotation matrices (S, 3, 3) of rotation vectors (S, 3) in radians (Rodrigues)."""
    vectors = np.asarray(vectorsRad, float).reshape(-1, 3)
    angle = np.linalg.norm(vectors, axis=1)
    small = angle < 1e-9
    safe = np.where(small, 1.0, angle)
    sinc = np.where(small, 1.0, np.sin(safe) / safe)
    versine = np.where(small, 0.5, (1.0 - np.cos(safe)) / safe**2)
    cross = np.zeros((len(vectors), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2] = -vectors[:, 2], vectors[:, 1]
    cross[:, 1, 0], cross[:, 1, 2] = vectors[:, 2], -vectors[:, 0]
    cross[:, 2, 0], cross[:, 2, 1] = -vectors[:, 1], vectors[:, 0]
    result: FloatArray = np.eye(3) + sinc[:, None, None] * cross + versine[:, None, None] * (cross @ cross)
    return result


def lowDiscrepancy(count: int, dimensions: int) -> FloatArray:
    """The first points (count, dimensions) in [-1, 1] of the additive recurrence of Roberts (2018), which fills a box evenly.

    The first point is the centre of the box, so the given start itself is always tried.
    """
    root = 2.0
    for _ in range(64):  # generalised golden ratio: x^(d+1) = x + 1
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    step = root ** -np.arange(1, dimensions + 1)
    result: FloatArray = 2.0 * np.mod(0.5 + np.arange(count)[:, None] * step, 1.0) - 1.0
    return result


def startsAround(rotation: FloatArray, translationMm: FloatArray, count: int, radiusMm: float, radiusDeg: float) -> Poses:
    """Starting poses spread around one pose within a ball of translations and a ball of rotations."""
    box = lowDiscrepancy(count, 6)

    def ball(cube: FloatArray) -> FloatArray:
        # Radial map of the cube onto the ball: keeps the even filling, reaches the corners' distance no farther than the faces'.
        largest = np.abs(cube).max(axis=1)
        length = np.linalg.norm(cube, axis=1)
        return cube * np.where(length > 0, largest / np.where(length > 0, length, 1.0), 0.0)[:, None]

    rotations = rotationsFromVectors(ball(box[:, :3]) * np.radians(radiusDeg)) @ rotation
    return Poses(rotations, translationMm + ball(box[:, 3:]) * radiusMm, np.ones(count))


def refinePoses(
    table: SignedDistanceTable, points: Float32Array, weights: Float32Array | None, poses: Poses, scalesMm: npt.ArrayLike
) -> Poses:
    """One Gauss-Newton step per Geman-McClure scale for every pose; the returned cost is that at the last step's start.

    points: (3, n) centred; weights: (n,) with mean 1, or None.
    """
    rotations = poses.rotations.copy()
    translations = poses.translationsMm.copy()
    count = points.shape[1]
    poseCount = len(rotations)
    nx, ny, _ = table.shape
    upper = (np.array(table.shape, np.float32) - 1)[None, :, None]
    spacing = np.float32(table.spacingMm)
    jacobian = np.empty((poseCount, 7, count), np.float32)  # cross(y, n), n, d
    damping = np.diag([ROTATION_DAMPING_MM2] * 3 + [TRANSLATION_DAMPING] * 3) * count
    cost = poses.cost
    strides = np.array([1, nx, nx * ny], np.float32)
    # Flat indices reach a few million, exact in single precision up to 2^24: larger tables take the integer path.
    exact = len(table.rows) < 2**24
    for scale in np.asarray(scalesMm, float):
        turned = np.matmul(rotations.astype(np.float32), points)
        cell = turned / spacing
        cell += ((translations - table.originRas) / table.spacingMm).astype(np.float32)[:, :, None]
        nearest = np.rint(cell)
        np.clip(nearest, 0, upper, out=nearest)
        if exact:
            flat = np.einsum("k,skn->sn", strides, nearest).astype(np.int32)
        else:
            whole = nearest.astype(np.int64)
            flat = (whole[:, 2] * ny + whole[:, 1]) * nx + whole[:, 0]
        row = table.rows.take(flat, axis=0)
        normal = jacobian[:, 3:6]
        normal[...] = row[..., 1:].transpose(0, 2, 1)
        cell -= nearest
        cell *= normal
        distance = cell.sum(axis=1)
        distance *= spacing
        distance += row[..., 0]
        np.multiply(turned[:, 1], normal[:, 2], out=jacobian[:, 0])
        jacobian[:, 0] -= turned[:, 2] * normal[:, 1]
        np.multiply(turned[:, 2], normal[:, 0], out=jacobian[:, 1])
        jacobian[:, 1] -= turned[:, 0] * normal[:, 2]
        np.multiply(turned[:, 0], normal[:, 1], out=jacobian[:, 2])
        jacobian[:, 2] -= turned[:, 1] * normal[:, 0]
        jacobian[:, 6] = distance
        squared = np.float32(scale * scale)
        robust = squared / (squared + distance * distance)
        loss = 1.0 - robust
        robust *= robust
        if weights is not None:
            robust *= weights
            loss *= weights
        cost = loss.mean(axis=1).astype(float)
        product = np.matmul(jacobian * robust[:, None, :], jacobian.transpose(0, 2, 1)).astype(float)
        step = -np.linalg.solve(product[:, :6, :6] + damping, product[:, :6, 6:])[..., 0]
        # A step farther than the kernel sees is no step of this linearisation.
        length = np.maximum(np.linalg.norm(step[:, 3:], axis=1) / (3.0 * scale + 3.0), np.linalg.norm(step[:, :3], axis=1) / 0.5)
        step /= np.maximum(length, 1.0)[:, None]
        rotations = rotationsFromVectors(step[:, :3]) @ rotations
        translations = translations + step[:, 3:]
    return Poses(rotations, translations, cost)


def distinctBest(poses: Poses, count: int, withinMm: float, leverMm: float) -> Poses:
    """The cheapest poses no two of which lie closer than withinMm (rotations counted at a lever arm)."""
    order = np.argsort(poses.cost, kind="stable")
    places, turns = poses.translationsMm[order], poses.rotations[order].reshape(len(order), 9)
    # |Ra - Rb| = 2 sqrt(2) sin(angle / 2): over sqrt(2) nearly the angle in radians.
    near = np.linalg.norm(places[:, None] - places[None], axis=2)
    near += leverMm * np.sqrt(np.maximum(6.0 - 2.0 * turns @ turns.T, 0.0) / 2.0)
    close = near < withinMm
    free = np.ones(len(order), bool)
    kept: list[int] = []
    for index in range(len(order)):
        if free[index]:
            kept.append(int(order[index]))
            if len(kept) == count:
                break
            free &= ~close[index]
    return poses.take(np.array(kept, np.intp))
