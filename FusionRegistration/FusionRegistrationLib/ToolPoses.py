"""Poses of a tool collected for a calibration: which of them can be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from FusionRegistrationLib.RigidTransform import FloatArray, whyNotRigid
from TranslatedText.Translation import tr as _


def usablePoses(toolToReference: Sequence[npt.ArrayLike] | npt.ArrayLike, valid: Sequence[bool] | None) -> tuple[FloatArray, int]:
    """Poses (n, 4, 4) that are valid, rigid and no repeat of the pose before, and how many were left out.

    :raises ValueError: when there aren't as many flags as poses.
    """
    poses = np.asarray(toolToReference, float).reshape(-1, 4, 4)
    flags = np.ones(len(poses), bool) if valid is None else np.asarray(valid, bool)
    if len(flags) != len(poses):
        raise ValueError(_("{count} validity flags were given for {total} poses.").format(count=len(flags), total=len(poses)))
    good = np.array([bool(f) and not whyNotRigid(p) for p, f in zip(poses, flags)], bool)
    # A stalled tracker repeats its last pose: repeats carry no information and feign precision.
    kept = poses[good]
    if len(kept) > 1:
        fresh = np.append(True, np.abs(np.diff(kept.reshape(len(kept), -1), axis=0)).max(axis=1) > 0)
        kept = kept[fresh]
    return kept, int(len(poses) - len(kept))
