"""Least-squares rigid transforms of paired points: closed form for scalar weights, Gauss-Newton for anisotropic errors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, rigidFrom, rotationFromVector, transformPoints


def solveRigid(fromPoints: FloatArray, toPoints: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """4x4 ``fromToTo`` that minimises sum of w |to - T from|^2, never a mirror.

    Closed form by the singular value decomposition of the cross-covariance (Arun, Huang and Blostein 1987) with the determinant
    correction of Umeyama (1991). Points (N, 3) mm; weights (N,) >= 0.
    """
    w = np.full(len(fromPoints), 1.0 / len(fromPoints)) if weights is None else weights / weights.sum()
    fromCenter, toCenter = w @ fromPoints, w @ toPoints
    cross = (fromPoints - fromCenter).T @ ((toPoints - toCenter) * w[:, None])
    u, _, vt = np.linalg.svd(cross)
    sign = 1.0 if np.linalg.det(u) * np.linalg.det(vt) > 0 else -1.0
    rotation = (vt.T * np.array([1.0, 1.0, sign])) @ u.T
    return rigidFrom(rotation, toCenter - rotation @ fromCenter)


def solveRigidBatch(fromPoints: FloatArray, toPoints: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotations (H, 3, 3) and translations (H, 3) of H paired sets (H, n, 3); the closed form of `solveRigid` in one go."""
    fromCenter, toCenter = fromPoints.mean(axis=1, keepdims=True), toPoints.mean(axis=1, keepdims=True)
    cross = np.swapaxes(fromPoints - fromCenter, 1, 2) @ (toPoints - toCenter)
    u, _, vt = np.linalg.svd(cross)
    sign = np.where(np.linalg.det(u) * np.linalg.det(vt) > 0, 1.0, -1.0)
    v = np.swapaxes(vt, 1, 2).copy()
    v[:, :, 2] *= sign[:, None]
    rotations = v @ np.swapaxes(u, 1, 2)
    translations = toCenter[:, 0] - np.einsum("hij,hj->hi", rotations, fromCenter[:, 0])
    return rotations, translations


def twistDesign(points: FloatArray, center: FloatArray) -> FloatArray:
    """(N, 3, 6) derivative of points by a small twist (rotation vector in rad, translation in mm) about ``center``, all in one frame."""
    lever = points - center
    design = np.zeros((len(points), 3, 6))
    design[:, 0, 1], design[:, 0, 2] = lever[:, 2], -lever[:, 1]
    design[:, 1, 0], design[:, 1, 2] = -lever[:, 2], lever[:, 0]
    design[:, 2, 0], design[:, 2, 1] = lever[:, 1], -lever[:, 0]
    design[:, 0, 3] = design[:, 1, 4] = design[:, 2, 5] = 1.0
    return design


def twistMatrix(twist: npt.ArrayLike, center: FloatArray) -> FloatArray:
    """4x4 transform of a twist (rotation vector rad, translation mm) about ``center``."""
    vector = np.asarray(twist, float)
    rotation = rotationFromVector(vector[:3])
    return rigidFrom(rotation, center + vector[3:] - rotation @ center)


def solveRigidAnisotropic(
    fromPoints: FloatArray,
    toPoints: FloatArray,
    fromCovariances: FloatArray,
    toCovariances: FloatArray,
    maxIterations: int = 50,
) -> FloatArray:
    """4x4 ``fromToTo`` of greatest likelihood when each point has its own error covariance in both frames ((N, 3, 3), mm^2).

    Each residual is weighted by the inverse of R covFrom R^T + covTo (the ideal weighting of Danilchenko and Fitzpatrick, IEEE TMI 2011),
    iterated because it depends on R.
    """
    fromToTo = solveRigid(fromPoints, toPoints)
    for _ in range(maxIterations):
        rotation = fromToTo[:3, :3]
        information = np.linalg.inv(rotation @ fromCovariances @ rotation.T + toCovariances)
        mapped = transformPoints(fromToTo, fromPoints)
        center = mapped.mean(axis=0)
        design = twistDesign(mapped, center)
        weighted = np.swapaxes(design, 1, 2) @ information
        step = np.linalg.solve((weighted @ design).sum(axis=0), (weighted @ (toPoints - mapped)[..., None]).sum(axis=0))[:, 0]
        fromToTo = twistMatrix(step, center) @ fromToTo
        if np.linalg.norm(step[:3]) < 1e-12 and np.linalg.norm(step[3:]) < 1e-10:
            break
    # Many small steps leave the rotation slightly off orthonormal: put it back.
    u, _, vt = np.linalg.svd(fromToTo[:3, :3])
    return rigidFrom(u @ vt, fromToTo[:3, 3])
